use std::fs;

use nix::sys::signal::Signal;
use testkit::{Running, Scene, kill, ours_meets};

use super::chain::injected;
use super::multilog::calls::strace_works;
use super::{SLEEPER, may_change_identity, supervise, wait_for_status};

const USAGE: &str = "svwait: usage: svwait [-uUdDrRxao] [-t ms] dir ...\n";

/// Starts svwait and waits until it sleeps.
#[track_caller]
fn start(scene: &Scene, words: &str) -> Running {
    let running = scene.start(scene.shell(&format!("exec svwait {words}")));
    scene.wait_until("svwait sleeps", || sleeps(&running));
    running
}

/// Whether it waits for an event, or for its time to be up.
fn sleeps(running: &Running) -> bool {
    // poll of x86-64, and ppoll there and elsewhere.
    const POLL: [&str; 3] = ["7 ", "271 ", "73 "];
    let about = |what| fs::read_to_string(format!("/proc/{}/{what}", running.pid()));
    about("syscall").is_ok_and(|call| POLL.iter().any(|poll| call.starts_with(poll)))
        && about("status").is_ok_and(|status| status.contains("State:\tS"))
}

/// Starts svwait so that it is stopped after the `n`th of its calls of this
/// name; None if it sleeps without making so many.
fn start_and_stop(scene: &Scene, call: &str, n: u32, words: &str) -> Option<Running> {
    let strace =
        format!("strace -D -qq -o trace -e trace={call} -e inject={call}:signal=SIGSTOP:when={n}");
    let script = format!("exec {strace} svwait {words}");
    let running = scene.start(scene.shell(&script));
    let stopped = || {
        let trace = fs::read_to_string(scene.path("trace"));
        trace.is_ok_and(|trace| trace.contains("stopped by SIGSTOP"))
    };
    let mut asleep = false;
    scene.wait_until("svwait stops or sleeps", || {
        asleep = sleeps(&running);
        asleep || stopped()
    });
    if asleep {
        running.signal(Signal::SIGKILL);
    }
    (!asleep).then_some(running)
}

/// What changes a service, and its supervise.
type Change = fn(&Scene, &Running);

/// The service `s`, down or not.
fn service(scene: &Scene, down: bool) {
    scene.script("s/run", SLEEPER);
    if down {
        scene.write("s/down", "");
    }
}

ours_meets! {
    fn what_is_so_is_not_waited_for(scene: &Scene) {
        service(scene, false);
        let _supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        scene.sh("svwait s && svwait -u s && svwait -U s").succeeds();
        scene.sh("svc -d s");
        wait_for_status(scene, (false, 0, b'd'));
        scene.sh("svwait -d s && svwait -D s").succeeds();
        scene.sh("svc -x s");
        scene.wait_until("supervise is gone", || scene.sh("svok s").code() == Some(100));
        scene.sh("svwait -x s && svwait -d s && svwait -D s").succeeds();
    }

    fn each_change_is_waited_for(scene: &Scene) {
        service(scene, true);
        let _supervise = supervise(scene);
        for (letters, command) in [("u", "u"), ("r", "t"), ("R", "k"), ("d", "d"), ("U", "u"), ("D", "d"), ("r", "o"), ("x", "dx")] {
            let svwait = start(scene, &format!("-{letters} s"));
            scene.sh(&format!("svc -{command} s")).succeeds();
            svwait.wait().succeeds();
        }
    }

    fn what_the_introduction_misses(scene: &Scene) {
        service(scene, false);
        for _ in 0..5 {
            let supervise = supervise(scene);
            scene.sh("svc -dx s && svwait -x s && svok s").is(100, "", "");
            supervise.wait().succeeds();
        }
    }

    fn a_restart_is_one_after_the_first_look(scene: &Scene) {
        service(scene, false);
        let _supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        let first = scene.service("s");
        let mut svwait = start(scene, "-r s");
        scene.sh("svc -p s");
        wait_for_status(scene, (true, 1, b'u'));
        assert!(svwait.runs());
        scene.sh("svc -k s");
        svwait.wait().succeeds();
        assert_ne!(scene.service("s"), first);
    }

    fn what_was_down_for_a_moment_was_down(scene: &Scene) {
        service(scene, false);
        let _supervise = supervise(scene);
        scene.sh("svwait s").succeeds();
        let waiting = ["-d", "-D"].map(|letter| start(scene, &format!("{letter} s")));
        for svwait in &waiting {
            svwait.signal(Signal::SIGSTOP);
        }
        let before = scene.service("s");
        scene.sh("svc -t s").succeeds();
        scene.wait_until("it is started again", || scene.service("s") != before);
        for svwait in waiting {
            svwait.signal(Signal::SIGCONT);
            svwait.wait().succeeds();
        }
    }

    fn the_time_may_be_up(scene: &Scene) {
        service(scene, true);
        let _supervise = supervise(scene);
        scene.sh("svwait -u -t 30 s").is(99, "", "svwait: fatal: timed out\n");
        // Of several goals and limits the last ones count.
        scene.sh("svwait -xudDU -t 0 -t30 s").is(99, "", "svwait: fatal: timed out\n");
        scene.sh("svwait -xuUd -oa s").succeeds();
        scene.sh("svwait -u -t4294967295 s & sleep 0.1; svc -u s; wait $!").succeeds();
    }

    fn a_killed_supervise_ends_the_wait(scene: &Scene) {
        service(scene, true);
        let supervise = supervise(scene);
        let down = start(scene, "-u s");
        let gone = start(scene, "-x s");
        supervise.signal(Signal::SIGKILL);
        down.wait().is(102, "", "svwait: fatal: supervise of s has ended\n");
        gone.wait().succeeds();
    }

    fn a_supervise_that_is_replaced_has_ended(scene: &Scene) {
        service(scene, true);
        let first = supervise(scene);
        let (up, gone) = (start(scene, "-u s"), start(scene, "-x s"));
        for svwait in [&up, &gone] {
            svwait.signal(Signal::SIGSTOP);
        }
        // There is another one before they can look.
        first.signal(Signal::SIGKILL);
        first.wait();
        let _second = supervise(scene);
        scene.sh("svc -u s && svwait -u s").succeeds();
        for svwait in [&up, &gone] {
            svwait.signal(Signal::SIGCONT);
        }
        gone.wait().succeeds();
        // What it waited for came all the same.
        up.wait().is(102, "", "svwait: fatal: supervise of s has ended\n");
    }

    fn a_removed_directory_ends_the_wait(scene: &Scene) {
        service(scene, true);
        let supervise = supervise(scene);
        let (up, gone) = (start(scene, "-u s"), start(scene, "-x s"));
        scene.sh("rm -r s").succeeds();
        up.wait().is(102, "", "svwait: fatal: supervise of s has ended\n");
        gone.wait().succeeds();
        drop(supervise);
        // One that was never supervised, too.
        scene.script("t/run", SLEEPER);
        let up = start(scene, "-u t");
        scene.sh("rm -r t").succeeds();
        up.wait().is(102, "", "svwait: fatal: supervise of t has ended\n");
    }

    fn supervise_may_come_later(scene: &Scene) {
        service(scene, false);
        let svwait = start(scene, "-u s");
        let _supervise = supervise(scene);
        svwait.wait().succeeds();
    }

    fn supervise_may_be_a_link(scene: &Scene) {
        service(scene, false);
        // First to nothing, in a directory that exists; then to what is there.
        scene.sh("mkdir state; ln -s ../state/s s/supervise").succeeds();
        let svwait = start(scene, "-u s");
        let supervise = supervise(scene);
        svwait.wait().succeeds();
        let svwait = start(scene, "-d s");
        scene.sh("svc -d s").succeeds();
        svwait.wait().succeeds();
        let svwait = start(scene, "-x s");
        supervise.signal(Signal::SIGKILL);
        svwait.wait().succeeds();
    }

    fn the_link_to_a_service_may_go(scene: &Scene) {
        service(scene, false);
        let _supervise = supervise(scene);
        scene.sh("ln -s s link").succeeds();
        let svwait = start(scene, "-x link");
        scene.sh("rm link; svc -dx s").succeeds();
        svwait.wait().succeeds();
    }

    fn all_or_one(scene: &Scene) {
        service(scene, true);
        scene.script("b/run", SLEEPER);
        let first = supervise(scene);
        let _second = scene.start(scene.shell("exec supervise b"));
        scene.sh("svwait -u b && svwait -o -u s b").succeeds();
        scene.sh("svwait -a -t 30 -u s b").is(99, "", "svwait: fatal: timed out\n");
        // A death does not matter as long as another may reach the goal.
        let (all, one) = (start(scene, "-ad s b"), start(scene, "-or s b"));
        first.signal(Signal::SIGKILL);
        scene.sh("svc -t b").succeeds();
        one.wait().succeeds();
        scene.sh("svc -d b").succeeds();
        all.wait().succeeds();
    }

    fn no_change_is_missed(scene: &Scene) {
        if !strace_works(scene) {
            return;
        }
        // The last one may come before svwait has opened the directory.
        let each: [(_, Change, &[i32]); 3] = [
            ("-u s", |scene, _| {
                scene.sh("svc -u s").succeeds();
                wait_for_status(scene, (true, 0, b'u'));
            }, &[0]),
            ("-x s", |_, supervise| supervise.signal(Signal::SIGKILL), &[0]),
            ("-u s", |scene, _| { scene.sh("rm -r s").succeeds(); }, &[102, 111]),
        ];
        // It comes after each of the calls by which svwait watches and looks.
        let calls = ["inotify_add_watch", "openat", "read", "?poll,?ppoll"];
        for ((words, change, codes), call) in each.iter().flat_map(|each| calls.map(|call| (each, call))) {
            for n in 1.. {
                scene.sh("rm -rf s trace").succeeds();
                service(scene, true);
                let supervise = supervise(scene);
                let svwait = start_and_stop(scene, call, n, words);
                if let Some(svwait) = svwait {
                    change(scene, &supervise);
                    svwait.signal(Signal::SIGCONT);
                    let outcome = svwait.wait();
                    let code = outcome.code().unwrap_or_default();
                    assert!(codes.contains(&code), "{call} {n}: {outcome:?}");
                } else {
                    assert!(n > 1, "svwait makes no {call}");
                    break;
                }
                let _ = kill(supervise.pid(), Signal::SIGKILL);
                supervise.wait();
            }
        }
    }

    fn it_sleeps_until_something_happens(scene: &Scene) {
        service(scene, true);
        scene.script("b/run", SLEEPER);
        if !strace_works(scene) {
            return;
        }
        let _supervise = supervise(scene);
        let _other = scene.start(scene.shell("exec supervise b"));
        scene.sh("svwait b").succeeds();
        let traced = |words: &str| {
            let script = format!("rm -f trace; exec strace -D -qq -o trace svwait {words}");
            let svwait = scene.start(scene.shell(&script));
            scene.wait_until("svwait sleeps", || sleeps(&svwait));
            (svwait, String::from_utf8(scene.read("trace")).unwrap())
        };
        let (mut svwait, trace) = traced("-U -t 0 s");
        // It waits in one call without an end.
        let last = trace.lines().last().unwrap();
        assert!(last.contains("poll(") && last.contains(", 1, -1") || last.contains(", 1, NULL"), "{last}");
        // What is not about its service does not wake it.
        scene.sh("svc -d b && svwait -d b; svstat s b >stats; svok s; : >s/new; : >new").succeeds();
        assert_eq!(String::from_utf8(scene.read("trace")).unwrap(), trace);
        assert!(svwait.runs());
        scene.sh("svc -u s").succeeds();
        svwait.wait().succeeds();
        // With a limit, until that is reached.
        let (svwait, trace) = traced("-t 4000000000 -d s");
        let last = trace.lines().last().unwrap();
        assert!(last.contains(", 1, 2147483647"), "{last}");
        scene.sh("svc -d s").succeeds();
        svwait.wait().succeeds();
    }

    fn what_is_no_service_is_refused(scene: &Scene) {
        scene.write("file", "");
        scene.sh("mkdir none; ln -s loop loop").succeeds();
        for (dir, error) in [("nope", "file does not exist"), ("''", "file does not exist"),
            ("file", "not a directory"), ("loop", "symbolic link loop")] {
            let shown = dir.trim_matches('\'');
            for letter in ["u", "x"] {
                scene.sh(&format!("svwait -{letter} {dir}")).is(111, "",
                    format!("svwait: fatal: unable to chdir to {shown}: {error}\n"));
            }
        }
        scene.sh("svwait none").is(111, "", "svwait: fatal: none is not a service: it has no run\n");
        scene.sh("svwait -x none").is(111, "", "svwait: fatal: none is not a service: it has no run\n");
        // Whatever is wrong with one, the others are not waited for.
        service(scene, true);
        scene.sh("svwait -o s nope").is(111, "", "svwait: fatal: unable to chdir to nope: file does not exist\n");
    }

    fn a_record_of_another_kind_is_refused(scene: &Scene) {
        service(scene, true);
        let bad = "svwait: fatal: unable to read s/supervise/status: ";
        for (record, error) in [
            ("printf 123 >", "bad format"),
            ("printf 12345678901234567 >", "bad format"),
            (": >", "bad format"),
            ("mkdir", "is a directory"),
            // Nothing waits for who would write it.
            ("mkfifo", "bad format"),
            ("ln -s status", "symbolic link loop"),
        ] {
            scene.sh(&format!("rm -rf s/supervise; mkdir s/supervise; {record} s/supervise/status")).succeeds();
            scene.sh("svwait s").is(111, "", format!("{bad}{error}\n"));
        }
        // What has no end is not read to it, and is down.
        scene.sh("rm -r s/supervise; mkdir s/supervise; cd s/supervise; ln -s /dev/zero status; ln -s /dev/zero state").succeeds();
        scene.sh("svwait -d s").succeeds();
        scene.sh("cd s/supervise; rm state; mkfifo state; svwait -d ../../s; rm state; mkdir state; svwait -d ../../s").succeeds();
        scene.sh("rm s/supervise/status; mkdir s/supervise/ok").succeeds();
        scene.sh("svwait s").is(111, "", "svwait: fatal: unable to read s/supervise/ok: is a directory\n");
        scene.sh("rm -r s/supervise; ln -s supervise s/supervise").succeeds();
        scene.sh("svwait s").is(111, "", "svwait: fatal: unable to watch s: symbolic link loop\n");
        // A file where the directory should be is no supervise, and may go.
        scene.sh("rm s/supervise; : >s/supervise").succeeds();
        scene.sh("svwait -x s && svwait -d s").succeeds();
    }

    fn what_is_closed_to_others_is_refused(scene: &Scene) {
        service(scene, true);
        let _supervise = supervise(scene);
        if !may_change_identity("svwait by another user") {
            return;
        }
        scene.copy_program("svwait", &scene.path("svwait"));
        let as_nobody = "setuidgid nobody ./svwait -d s";
        scene.sh(as_nobody).is(111, "", "svwait: fatal: unable to watch s: access denied\n");
        scene.mode("s/supervise", 0o755);
        scene.sh(as_nobody).is(111, "", "svwait: fatal: unable to watch s: access denied\n");
        scene.mode("s/supervise/ok", 0o644);
        scene.sh(as_nobody).is(111, "", "svwait: fatal: unable to read s/supervise/ok: access denied\n");
    }

    fn what_the_system_has_too_few_of_is_named(scene: &Scene) {
        service(scene, true);
        scene.sh("mkdir t; : >t/run").succeeds();
        let with = |call: &str, error: &str| {
            let words = injected(call, error, "1")?;
            Some(scene.sh(&format!("exec {words} svwait s")))
        };
        if let Some(outcome) = with("inotify_init1", "EMFILE") {
            outcome.is(111, "", "svwait: fatal: unable to watch anything: too few descriptors, or fs.inotify.max_user_instances is too low\n");
        }
        if let Some(outcome) = with("inotify_add_watch", "ENOSPC") {
            outcome.is(111, "", "svwait: fatal: unable to watch s: fs.inotify.max_user_watches is too low\n");
        }
        // 0, 1 and 2 are open already.
        scene.sh("ulimit -n 4; exec svwait -d s t").is(111, "", "svwait: fatal: unable to chdir to t: process cannot open more files\n");
        scene.sh("ulimit -S -n 4; exec svwait -d s t").succeeds();
    }

    fn the_wrong_words_are_told(scene: &Scene) {
        scene.sh("svwait").is(100, "", USAGE);
        scene.sh("svwait -u").is(100, "", USAGE);
        scene.sh("svwait -Z s").is(100, "", format!("svwait: illegal option -- Z\n{USAGE}"));
        scene.sh("svwait -t").is(100, "", format!("svwait: option requires an argument -- t\n{USAGE}"));
        for limit in ["4294967296", "-1", "1s", "", "18446744073709551617"] {
            scene.sh(&format!("svwait -t '{limit}' s")).is(100, "",
                format!("svwait: fatal: -t takes 0 to 4294967295 milliseconds, not {limit}\n"));
        }
    }

    fn a_thousand_services_are_waited_for_at_once(scene: &Scene) {
        const MANY: usize = 1000;
        // Made by hand, as many supervises would take too long to start.
        for n in 0..MANY {
            scene.write(format!("many/{n}/supervise/status"), [[0; 17].as_slice(), b"u"].concat());
            scene.write(format!("many/{n}/run"), "");
        }
        scene.sh("for n in many/*; do echo $n/supervise/ok; done | xargs mkfifo").succeeds();
        let holder = scene.start(scene.shell("ulimit -n 4096; exec perl -MFcntl -e 'for (@ARGV) { sysopen my $f, $_, O_RDONLY | O_NONBLOCK or die; push @f, $f } \
            print \"open\\n\"; $| = 1; print \"\"; sleep 1000' many/*/supervise/ok"));
        scene.wait_until("all are open", || holder.stdout() == b"open\n");
        // More than it may at first have open.
        let start_of_many = |letter: &str| {
            let running = scene.start(scene.shell(&format!("ulimit -S -n 64; exec svwait {letter} many/*")));
            scene.wait_until("svwait sleeps", || sleeps(&running));
            running
        };
        let svwait = start_of_many("-u");
        for n in 0..MANY {
            scene.write("new", [[0; 12].as_slice(), &[1, 0, 0, 0, 0, b'u']].concat());
            fs::rename(scene.path("new"), scene.path(format!("many/{n}/supervise/status"))).unwrap();
        }
        svwait.wait().succeeds();
        let svwait = start_of_many("-x");
        holder.signal(Signal::SIGKILL);
        svwait.wait().succeeds();
    }

    fn what_supervise_e_tells_is_heard(scene: &Scene) {
        service(scene, false);
        let _supervise = supervise(scene);
        let at = "@4fffffffffffffff00000000";
        let state = |stage: &str| {
            scene.write("s/supervise/state.new", format!("state={stage}\nsince={at}\n"));
            fs::rename(scene.path("s/supervise/state.new"), scene.path("s/supervise/state")).unwrap();
        };
        wait_for_status(scene, (true, 0, b'u'));
        state("starting");
        let mut ready = start(scene, "-U s");
        scene.sh("svwait -u s").succeeds();
        assert!(ready.runs());
        state("ready");
        ready.wait().succeeds();
        // The first start that is seen is the one that counts.
        let mut restarted = start(scene, "-R s");
        state("starting");
        scene.sh("svc -t s && svwait -r s").succeeds();
        assert!(restarted.runs());
        state("ready");
        restarted.wait().succeeds();
        scene.sh("svc -d s");
        wait_for_status(scene, (false, 0, b'd'));
        state("finish");
        let mut finished = start(scene, "-D s");
        scene.sh("svwait -d s").succeeds();
        assert!(finished.runs());
        state("delay");
        finished.wait().succeeds();
    }

    fn services_of_runsv_are_waited_for(scene: &Scene) {
        service(scene, true);
        scene.script("s/finish", "#!/bin/sh\nread line <fifo\n");
        scene.script("s/log/run", SLEEPER);
        scene.sh("mkfifo s/fifo").succeeds();
        // It may come later.
        let (up, log) = (start(scene, "-u s"), start(scene, "-U s/log"));
        let runsv = scene.start(scene.shell("exec runsv s"));
        log.wait().succeeds();
        scene.sh("svc -u s").succeeds();
        up.wait().succeeds();
        let log = start(scene, "-r s/log");
        scene.sh("svc -t s/log").succeeds();
        log.wait().succeeds();
        let (restarted, mut finished) = (start(scene, "-R s"), start(scene, "-D s"));
        scene.sh("svc -t s && svwait -d s").succeeds();
        assert!(finished.runs(), "finish waits still");
        scene.sh("echo >s/fifo").succeeds();
        finished.wait().succeeds();
        restarted.wait().succeeds();
        scene.sh("svwait -u s; svc -d s; svwait -d s; echo >s/fifo; svwait -D s").succeeds();
        let down = start(scene, "-u s");
        let gone = start(scene, "-x s s/log");
        runsv.signal(Signal::SIGKILL);
        down.wait().is(102, "", "svwait: fatal: supervise of s has ended\n");
        gone.wait().succeeds();
    }
}

testkit::ours! {
    fn supervise_e_tells_when_it_is_ready_and_cleaned_up_after(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\nread line <go; echo >&3; exec 3>&-; exec sleep 1000\n");
        scene.script("s/finish", "#!/bin/sh\nread line <done\n");
        scene.write("s/notification-fd", "3\n");
        scene.sh("mkfifo s/go s/done").succeeds();
        let _supervise = scene.start(scene.shell("exec supervise -e s"));
        let mut ready = start(scene, "-U s");
        scene.sh("svwait -u s").succeeds();
        assert!(ready.runs());
        scene.sh("echo >s/go").succeeds();
        ready.wait().succeeds();
        let mut finished = start(scene, "-D s");
        let mut restarted = start(scene, "-R s");
        scene.sh("svc -t s && svwait -d s").succeeds();
        assert!(finished.runs());
        scene.sh("echo >s/done; svwait -u s").succeeds();
        finished.wait().succeeds();
        assert!(restarted.runs());
        scene.sh("echo >s/go").succeeds();
        restarted.wait().succeeds();
    }
}
