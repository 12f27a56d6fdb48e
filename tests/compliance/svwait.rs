use std::fs;

use nix::sys::signal::Signal;
use testkit::{Running, SLEEPER, Sandbox, kill, ours, ours_on_theirs};

use super::chain::injected;
use super::multilog::calls::strace_works;
use super::{supervise, wait_for_status};

pub(crate) const USAGE: &str =
    "svwait: usage: svwait [-uUdDrRxaoV] [-t ms] dir ... [-- program ...]\n";

ours_on_theirs!(
    state_already_reached_returns_at_once,
    each_change_is_waited_for,
    introduction_script_works_with_svwait,
    restart_counts_after_first_snapshot,
    short_down_state_is_noticed,
    timeout_ends_the_wait,
    a_killed_supervise_ends_the_wait,
    replaced_supervise_counts_as_exited,
    a_removed_directory_ends_the_wait,
    supervise_may_start_later,
    supervise_may_be_a_link,
    link_to_service_may_be_removed,
    all_or_one,
    no_change_is_missed_at_any_call,
    svwait_sleeps_until_a_change,
    non_service_is_refused,
    malformed_record_is_refused,
    inaccessible_service_is_refused,
    exhausted_resource_is_named,
    wrong_arguments_are_reported,
    a_thousand_services_are_waited_for_at_once,
    state_of_supervise_e_is_used,
    services_of_runsv_are_waited_for,
);

ours!(
    ready_and_finished_of_supervise_e_are_awaited,
    failure_in_the_wait_ends_it,
    failure_before_the_wait_does_not_end_it,
    first_failure_ends_wait_for_all,
    last_failure_ends_wait_for_one,
    failure_precedes_exit_of_supervise,
);

/// Starts svwait and waits until it sleeps.
#[track_caller]
pub(crate) fn start(sandbox: &Sandbox, words: &str) -> Running {
    let running = sandbox.start(sandbox.shell(&format!("exec svwait {words}")));
    sandbox.wait_until("svwait sleeps", || sleeps(&running));
    running
}

/// Whether svwait sleeps in poll or ppoll.
pub(crate) fn sleeps(running: &Running) -> bool {
    // poll of x86-64, and ppoll there and elsewhere.
    const POLL: [&str; 3] = ["7 ", "271 ", "73 "];
    let about = |what| fs::read_to_string(format!("/proc/{}/{what}", running.pid()));
    about("syscall").is_ok_and(|call| POLL.iter().any(|poll| call.starts_with(poll)))
        && about("status").is_ok_and(|status| status.contains("State:\tS"))
}

/// Starts svwait and stops it after the `n`th of its calls of this name. None
/// if svwait sleeps before that call.
fn start_and_stop(sandbox: &Sandbox, call: &str, n: u32, words: &str) -> Option<Running> {
    let strace =
        format!("strace -D -qq -o trace -e trace={call} -e inject={call}:signal=SIGSTOP:when={n}");
    let script = format!("exec {strace} svwait {words}");
    let running = sandbox.start(sandbox.shell(&script));
    let stopped = || {
        let trace = fs::read_to_string(sandbox.path("trace"));
        trace.is_ok_and(|trace| trace.contains("stopped by SIGSTOP"))
    };
    let mut asleep = false;
    sandbox.wait_until("svwait stops or sleeps", || {
        asleep = sleeps(&running);
        asleep || stopped()
    });
    if asleep {
        running.signal(Signal::SIGKILL);
    }
    (!asleep).then_some(running)
}

/// A change of a service and its supervise.
type Change = fn(&Sandbox, &Running);

/// The service `s`, down or not.
pub(crate) fn service(sandbox: &Sandbox, down: bool) {
    sandbox.script("s/run", SLEEPER);
    if down {
        sandbox.write("s/down", "");
    }
}

fn state_already_reached_returns_at_once(sandbox: &Sandbox) {
    service(sandbox, false);
    let _supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    sandbox
        .sh("svwait s && svwait -u s && svwait -U s")
        .succeeds();
    sandbox.sh("svc -d s").succeeds();
    wait_for_status(sandbox, (false, 0, b'd'));
    sandbox.sh("svwait -d s && svwait -D s").succeeds();
    sandbox.sh("svc -x s").succeeds();
    sandbox.wait_until("supervise is gone", || {
        sandbox.sh("svok s").code() == Some(100)
    });
    sandbox
        .sh("svwait -x s && svwait -d s && svwait -D s")
        .succeeds();
}

fn each_change_is_waited_for(sandbox: &Sandbox) {
    service(sandbox, true);
    let _supervise = supervise(sandbox);
    for (letters, command) in [
        ("u", "u"),
        ("r", "t"),
        ("R", "k"),
        ("d", "d"),
        ("U", "u"),
        ("D", "d"),
        ("r", "o"),
        ("x", "dx"),
    ] {
        let svwait = start(sandbox, &format!("-{letters} s"));
        sandbox.sh(&format!("svc -{command} s")).succeeds();
        svwait.wait().succeeds();
    }
}

fn introduction_script_works_with_svwait(sandbox: &Sandbox) {
    service(sandbox, false);
    for _ in 0..5 {
        let supervise = supervise(sandbox);
        sandbox
            .sh("svc -dx s && svwait -x s && svok s")
            .is(100, "", "");
        supervise.wait().succeeds();
    }
}

fn restart_counts_after_first_snapshot(sandbox: &Sandbox) {
    service(sandbox, false);
    let _supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    let first = sandbox.service("s");
    let mut svwait = start(sandbox, "-r s");
    sandbox.sh("svc -p s").succeeds();
    wait_for_status(sandbox, (true, 1, b'u'));
    assert!(svwait.runs());
    sandbox.sh("svc -k s").succeeds();
    svwait.wait().succeeds();
    assert_ne!(sandbox.service("s"), first);
}

fn short_down_state_is_noticed(sandbox: &Sandbox) {
    service(sandbox, false);
    let _supervise = supervise(sandbox);
    sandbox.sh("svwait s").succeeds();
    let waiting = ["-d", "-D"].map(|letter| start(sandbox, &format!("{letter} s")));
    for svwait in &waiting {
        svwait.signal(Signal::SIGSTOP);
    }
    let before = sandbox.service("s");
    sandbox.sh("svc -t s").succeeds();
    sandbox.wait_until("the service is started again", || {
        sandbox.service("s") != before
    });
    for svwait in waiting {
        svwait.signal(Signal::SIGCONT);
        svwait.wait().succeeds();
    }
}

fn timeout_ends_the_wait(sandbox: &Sandbox) {
    service(sandbox, true);
    let _supervise = supervise(sandbox);
    sandbox
        .sh("svwait -u -t 30 s")
        .is(99, "", "svwait: fatal: timed out\n");
    // Of several goals and limits the last ones count.
    sandbox
        .sh("svwait -xudDU -t 0 -t30 s")
        .is(99, "", "svwait: fatal: timed out\n");
    sandbox.sh("svwait -xuUd -oa s").succeeds();
    sandbox
        .sh("svwait -u -t4294967295 s & sleep 0.1; svc -u s; wait $!")
        .succeeds();
}

fn a_killed_supervise_ends_the_wait(sandbox: &Sandbox) {
    service(sandbox, true);
    let supervise = supervise(sandbox);
    let down = start(sandbox, "-u s");
    let gone = start(sandbox, "-x s");
    supervise.signal(Signal::SIGKILL);
    down.wait()
        .is(102, "", "svwait: fatal: supervise of s has ended\n");
    gone.wait().succeeds();
}

fn replaced_supervise_counts_as_exited(sandbox: &Sandbox) {
    service(sandbox, true);
    let first = supervise(sandbox);
    let (up, gone) = (start(sandbox, "-u s"), start(sandbox, "-x s"));
    for svwait in [&up, &gone] {
        svwait.signal(Signal::SIGSTOP);
    }
    // Another supervise starts before they can read the state.
    first.kill();
    let _second = supervise(sandbox);
    sandbox.sh("svc -u s && svwait -u s").succeeds();
    for svwait in [&up, &gone] {
        svwait.signal(Signal::SIGCONT);
    }
    gone.wait().succeeds();
    // The awaited state came nevertheless.
    up.wait()
        .is(102, "", "svwait: fatal: supervise of s has ended\n");
}

fn a_removed_directory_ends_the_wait(sandbox: &Sandbox) {
    service(sandbox, true);
    let supervise = supervise(sandbox);
    let (up, gone) = (start(sandbox, "-u s"), start(sandbox, "-x s"));
    sandbox.sh("rm -r s").succeeds();
    up.wait()
        .is(102, "", "svwait: fatal: supervise of s has ended\n");
    gone.wait().succeeds();
    drop(supervise);
    // A service that was never supervised counts as well.
    sandbox.script("t/run", SLEEPER);
    let up = start(sandbox, "-u t");
    sandbox.sh("rm -r t").succeeds();
    up.wait()
        .is(102, "", "svwait: fatal: supervise of t has ended\n");
}

fn supervise_may_start_later(sandbox: &Sandbox) {
    service(sandbox, false);
    let svwait = start(sandbox, "-u s");
    let _supervise = supervise(sandbox);
    svwait.wait().succeeds();
}

fn supervise_may_be_a_link(sandbox: &Sandbox) {
    service(sandbox, false);
    // The link first points to nothing, in an existing directory; then to the
    // service.
    sandbox
        .sh("mkdir state; ln -s ../state/s s/supervise")
        .succeeds();
    let svwait = start(sandbox, "-u s");
    let supervise = supervise(sandbox);
    svwait.wait().succeeds();
    let svwait = start(sandbox, "-d s");
    sandbox.sh("svc -d s").succeeds();
    svwait.wait().succeeds();
    let svwait = start(sandbox, "-x s");
    supervise.signal(Signal::SIGKILL);
    svwait.wait().succeeds();
}

fn link_to_service_may_be_removed(sandbox: &Sandbox) {
    service(sandbox, false);
    let _supervise = supervise(sandbox);
    sandbox.sh("ln -s s link").succeeds();
    let svwait = start(sandbox, "-x link");
    sandbox.sh("rm link; svc -dx s").succeeds();
    svwait.wait().succeeds();
}

fn all_or_one(sandbox: &Sandbox) {
    service(sandbox, true);
    sandbox.script("b/run", SLEEPER);
    let first = supervise(sandbox);
    let _second = sandbox.start(sandbox.shell("exec supervise b"));
    sandbox.sh("svwait -u b && svwait -o -u s b").succeeds();
    sandbox
        .sh("svwait -a -t 30 -u s b")
        .is(99, "", "svwait: fatal: timed out\n");
    // A death does not matter as long as another may reach the goal.
    let (all, one) = (start(sandbox, "-ad s b"), start(sandbox, "-or s b"));
    first.signal(Signal::SIGKILL);
    sandbox.sh("svc -t b").succeeds();
    one.wait().succeeds();
    sandbox.sh("svc -d b").succeeds();
    all.wait().succeeds();
}

fn no_change_is_missed_at_any_call(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    // The last one may come before svwait has opened the directory.
    let each: [(_, Change, &[i32]); 3] = [
        (
            "-u s",
            |sandbox, _| {
                sandbox.sh("svc -u s").succeeds();
                wait_for_status(sandbox, (true, 0, b'u'));
            },
            &[0],
        ),
        (
            "-x s",
            |_, supervise| supervise.signal(Signal::SIGKILL),
            &[0],
        ),
        (
            "-u s",
            |sandbox, _| {
                sandbox.sh("rm -r s").succeeds();
            },
            &[102, 111],
        ),
    ];
    // The change follows each of the calls by which svwait watches and reads.
    // strace counts each name on its own, and glibc makes no `open`.
    let calls = [
        "inotify_add_watch",
        "?open",
        "openat",
        "read",
        "?poll,?ppoll",
    ];
    for ((words, change, codes), call) in
        each.iter().flat_map(|each| calls.map(|call| (each, call)))
    {
        for n in 1.. {
            sandbox.sh("rm -rf s trace").succeeds();
            service(sandbox, true);
            let supervise = supervise(sandbox);
            let svwait = start_and_stop(sandbox, call, n, words);
            if let Some(svwait) = svwait {
                change(sandbox, &supervise);
                svwait.signal(Signal::SIGCONT);
                let outcome = svwait.wait();
                let code = outcome.code().unwrap_or_default();
                assert!(codes.contains(&code), "{call} {n}: {outcome:?}");
            } else {
                assert!(n > 1 || call == "?open", "svwait makes no {call}");
                break;
            }
            let _ = kill(supervise.pid(), Signal::SIGKILL);
            let _ = supervise.wait();
        }
    }
}

fn svwait_sleeps_until_a_change(sandbox: &Sandbox) {
    service(sandbox, true);
    sandbox.script("b/run", SLEEPER);
    if !strace_works(sandbox) {
        return;
    }
    let _supervise = supervise(sandbox);
    let _other = sandbox.start(sandbox.shell("exec supervise b"));
    sandbox.sh("svwait b").succeeds();
    let traced = |words: &str| {
        let script = format!("rm -f trace; exec strace -D -qq -o trace svwait {words}");
        let svwait = sandbox.start(sandbox.shell(&script));
        sandbox.wait_until("svwait sleeps", || sleeps(&svwait));
        (svwait, String::from_utf8(sandbox.read("trace")).unwrap())
    };
    let (mut svwait, trace) = traced("-U -t 0 s");
    // svwait sleeps in one call without a timeout.
    let last = trace.lines().last().unwrap();
    assert!(
        last.contains("poll(") && last.contains(", 1, -1") || last.contains(", 1, NULL"),
        "{last}"
    );
    // Changes of other files do not wake svwait.
    sandbox
        .sh("svc -d b && svwait -d b; svstat s b >stats; svok s; : >s/new; : >new")
        .succeeds();
    assert_eq!(String::from_utf8(sandbox.read("trace")).unwrap(), trace);
    assert!(svwait.runs());
    sandbox.sh("svc -u s").succeeds();
    svwait.wait().succeeds();
    // With a limit, until that is reached.
    let (svwait, trace) = traced("-t 4000000000 -d s");
    let last = trace.lines().last().unwrap();
    assert!(last.contains(", 1, 2147483647"), "{last}");
    sandbox.sh("svc -d s").succeeds();
    svwait.wait().succeeds();
}

fn non_service_is_refused(sandbox: &Sandbox) {
    sandbox.write("file", "");
    sandbox.sh("mkdir none; ln -s loop loop").succeeds();
    for (dir, error) in [
        ("nope", "file does not exist"),
        ("''", "file does not exist"),
        ("file", "not a directory"),
        ("loop", "symbolic link loop"),
    ] {
        let shown = dir.trim_matches('\'');
        for letter in ["u", "x"] {
            sandbox.sh(&format!("svwait -{letter} {dir}")).is(
                111,
                "",
                format!("svwait: fatal: unable to chdir to {shown}: {error}\n"),
            );
        }
    }
    sandbox.sh("svwait none").is(
        111,
        "",
        "svwait: fatal: none is not a service: it has no run\n",
    );
    sandbox.sh("svwait -x none").is(
        111,
        "",
        "svwait: fatal: none is not a service: it has no run\n",
    );
    // An error of one service ends the wait for the others.
    service(sandbox, true);
    sandbox.sh("svwait -o s nope").is(
        111,
        "",
        "svwait: fatal: unable to chdir to nope: file does not exist\n",
    );
}

fn malformed_record_is_refused(sandbox: &Sandbox) {
    service(sandbox, true);
    let bad = "svwait: fatal: unable to read s/supervise/status: ";
    for (record, error) in [
        ("printf 123 >", "bad format"),
        ("printf 12345678901234567 >", "bad format"),
        (": >", "bad format"),
        ("mkdir", "is a directory"),
        // svwait does not block on a FIFO without a writer.
        ("mkfifo", "bad format"),
        ("ln -s status", "symbolic link loop"),
    ] {
        sandbox
            .sh(&format!(
                "rm -rf s/supervise; mkdir s/supervise; {record} s/supervise/status"
            ))
            .succeeds();
        sandbox
            .sh("svwait s")
            .is(111, "", format!("{bad}{error}\n"));
    }
    // An endless file is not read to its end, and means down.
    sandbox
        .sh(
            "rm -r s/supervise; mkdir s/supervise; cd s/supervise; ln -s /dev/zero status; \
        ln -s /dev/zero state",
        )
        .succeeds();
    sandbox.sh("svwait -d s").succeeds();
    sandbox
        .sh(
            "cd s/supervise; rm state; mkfifo state; svwait -d ../../s; rm state; \
        mkdir state; svwait -d ../../s",
        )
        .succeeds();
    sandbox
        .sh("rm s/supervise/status; mkdir s/supervise/ok")
        .succeeds();
    sandbox.sh("svwait s").is(
        111,
        "",
        "svwait: fatal: unable to read s/supervise/ok: is a directory\n",
    );
    sandbox
        .sh("rm -r s/supervise; ln -s supervise s/supervise")
        .succeeds();
    sandbox.sh("svwait s").is(
        111,
        "",
        "svwait: fatal: unable to watch s: symbolic link loop\n",
    );
    // A file where the directory should be is no supervise, and may go.
    sandbox.sh("rm s/supervise; : >s/supervise").succeeds();
    sandbox.sh("svwait -x s && svwait -d s").succeeds();
}

fn inaccessible_service_is_refused(sandbox: &Sandbox) {
    service(sandbox, true);
    let _supervise = supervise(sandbox);
    if !testkit::is_root("svwait by another user") {
        return;
    }
    sandbox.copy_program("svwait", &sandbox.path("svwait"));
    let as_nobody = "setuidgid nobody ./svwait -d s";
    sandbox
        .sh(as_nobody)
        .is(111, "", "svwait: fatal: unable to watch s: access denied\n");
    sandbox.mode("s/supervise", 0o755);
    sandbox
        .sh(as_nobody)
        .is(111, "", "svwait: fatal: unable to watch s: access denied\n");
    sandbox.mode("s/supervise/ok", 0o644);
    sandbox.sh(as_nobody).is(
        111,
        "",
        "svwait: fatal: unable to read s/supervise/ok: access denied\n",
    );
}

fn exhausted_resource_is_named(sandbox: &Sandbox) {
    service(sandbox, true);
    sandbox.sh("mkdir t; : >t/run").succeeds();
    let with = |call: &str, error: &str| {
        let words = injected(call, error, "1")?;
        Some(sandbox.sh(&format!("exec {words} svwait s")))
    };
    if let Some(outcome) = with("inotify_init1", "EMFILE") {
        outcome.is(
            111,
            "",
            "svwait: fatal: unable to watch anything: too few descriptors, or \
            fs.inotify.max_user_instances is too low\n",
        );
    }
    if let Some(outcome) = with("inotify_add_watch", "ENOSPC") {
        outcome.is(
            111,
            "",
            "svwait: fatal: unable to watch s: fs.inotify.max_user_watches is too low\n",
        );
    }
    // 0, 1 and 2 are open already.
    sandbox.sh("ulimit -n 4; exec svwait -d s t").is(
        111,
        "",
        "svwait: fatal: unable to chdir to t: process cannot open more files\n",
    );
    sandbox.sh("ulimit -S -n 4; exec svwait -d s t").succeeds();
}

fn wrong_arguments_are_reported(sandbox: &Sandbox) {
    sandbox.sh("svwait").is(100, "", USAGE);
    sandbox.sh("svwait -u").is(100, "", USAGE);
    sandbox
        .sh("svwait -Z s")
        .is(100, "", format!("svwait: illegal option -- Z\n{USAGE}"));
    sandbox.sh("svwait -t").is(
        100,
        "",
        format!("svwait: option requires an argument -- t\n{USAGE}"),
    );
    for limit in ["4294967296", "-1", "1s", "", "18446744073709551617"] {
        sandbox.sh(&format!("svwait -t '{limit}' s")).is(
            100,
            "",
            format!("svwait: fatal: -t takes 0 to 4294967295 milliseconds, not {limit}\n"),
        );
    }
}

fn a_thousand_services_are_waited_for_at_once(sandbox: &Sandbox) {
    const MANY: usize = 1000;
    // Made by hand, as many supervises would take too long to start.
    for n in 0..MANY {
        sandbox.write(
            format!("many/{n}/supervise/status"),
            [[0; 17].as_slice(), b"u"].concat(),
        );
        sandbox.write(format!("many/{n}/run"), "");
    }
    sandbox
        .sh("for n in many/*; do echo $n/supervise/ok; done | xargs mkfifo")
        .succeeds();
    let holder = sandbox.start(sandbox.shell(
        "ulimit -n 4096; \
        exec perl -MFcntl -e 'for (@ARGV) { sysopen my $f, $_, O_RDONLY | O_NONBLOCK or die; \
        push @f, $f } \
        print \"open\\n\"; $| = 1; print \"\"; sleep 1000' many/*/supervise/ok",
    ));
    sandbox.wait_until("all are open", || holder.stdout() == b"open\n");
    // More services than the soft limit on descriptors.
    let start_of_many = |letter: &str| {
        let running =
            sandbox.start(sandbox.shell(&format!("ulimit -S -n 64; exec svwait {letter} many/*")));
        sandbox.wait_until("svwait sleeps", || sleeps(&running));
        running
    };
    let svwait = start_of_many("-u");
    for n in 0..MANY {
        sandbox.write("new", [[0; 12].as_slice(), &[1, 0, 0, 0, 0, b'u']].concat());
        fs::rename(
            sandbox.path("new"),
            sandbox.path(format!("many/{n}/supervise/status")),
        )
        .unwrap();
    }
    svwait.wait().succeeds();
    let svwait = start_of_many("-x");
    holder.signal(Signal::SIGKILL);
    svwait.wait().succeeds();
}

fn state_of_supervise_e_is_used(sandbox: &Sandbox) {
    service(sandbox, false);
    let _supervise = supervise(sandbox);
    let at = "@4fffffffffffffff00000000";
    let state = |stage: &str| {
        sandbox.write(
            "s/supervise/state.new",
            format!("state={stage}\nsince={at}\n"),
        );
        fs::rename(
            sandbox.path("s/supervise/state.new"),
            sandbox.path("s/supervise/state"),
        )
        .unwrap();
    };
    wait_for_status(sandbox, (true, 0, b'u'));
    state("starting");
    let mut ready = start(sandbox, "-U s");
    sandbox.sh("svwait -u s").succeeds();
    assert!(ready.runs());
    state("ready");
    ready.wait().succeeds();
    // The first start that is seen is the one that counts.
    let mut restarted = start(sandbox, "-R s");
    state("starting");
    let again = start(sandbox, "-r s");
    sandbox.sh("svc -t s").succeeds();
    again.wait().succeeds();
    assert!(restarted.runs());
    state("ready");
    restarted.wait().succeeds();
    sandbox.sh("svc -d s").succeeds();
    wait_for_status(sandbox, (false, 0, b'd'));
    state("finish");
    let mut finished = start(sandbox, "-D s");
    sandbox.sh("svwait -d s").succeeds();
    assert!(finished.runs());
    state("delay");
    finished.wait().succeeds();
}

fn services_of_runsv_are_waited_for(sandbox: &Sandbox) {
    service(sandbox, true);
    sandbox.script("s/finish", "#!/bin/sh\nread line <fifo\n");
    sandbox.script("s/log/run", SLEEPER);
    sandbox.sh("mkfifo s/fifo").succeeds();
    // The logger may start later.
    let (up, log) = (start(sandbox, "-u s"), start(sandbox, "-U s/log"));
    let runsv = sandbox.start(sandbox.shell("exec runsv s"));
    log.wait().succeeds();
    sandbox.sh("svc -u s").succeeds();
    up.wait().succeeds();
    let log = start(sandbox, "-r s/log");
    sandbox.sh("svc -t s/log").succeeds();
    log.wait().succeeds();
    let (restarted, mut finished) = (start(sandbox, "-R s"), start(sandbox, "-D s"));
    sandbox.sh("svc -t s && svwait -d s").succeeds();
    assert!(finished.runs(), "finish waits still");
    sandbox.sh("echo >s/fifo").succeeds();
    finished.wait().succeeds();
    restarted.wait().succeeds();
    sandbox
        .sh("svwait -u s; svc -d s; svwait -d s; echo >s/fifo; svwait -D s")
        .succeeds();
    let down = start(sandbox, "-u s");
    let gone = start(sandbox, "-x s s/log");
    runsv.signal(Signal::SIGKILL);
    down.wait()
        .is(102, "", "svwait: fatal: supervise of s has ended\n");
    gone.wait().succeeds();
}

fn ready_and_finished_of_supervise_e_are_awaited(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\nread line <go; echo >&3; exec 3>&-; exec sleep 1000\n",
    );
    sandbox.script("s/finish", "#!/bin/sh\nread line <done\n");
    sandbox.write("s/notification-fd", "3\n");
    sandbox.write("s/timeout-finish", "0");
    sandbox.sh("mkfifo s/go s/done").succeeds();
    let _supervise = sandbox.start(sandbox.shell("exec supervise -e s"));
    let mut ready = start(sandbox, "-U s");
    sandbox.sh("svwait -u s").succeeds();
    assert!(ready.runs());
    sandbox.sh("echo >s/go").succeeds();
    ready.wait().succeeds();
    let mut finished = start(sandbox, "-D s");
    let mut restarted = start(sandbox, "-R s");
    sandbox.sh("svc -t s && svwait -d s").succeeds();
    assert!(finished.runs());
    sandbox.sh("echo >s/done; svwait -u s").succeeds();
    finished.wait().succeeds();
    assert!(restarted.runs());
    sandbox.sh("echo >s/go").succeeds();
    restarted.wait().succeeds();
}

const FAILED: &str = "svwait: fatal: s has failed\n";

/// Starts `supervise -e` for `s`, which is down, and fails for good at its end.
/// A line in the FIFO `s/go` ends `s`, which never reports readiness.
pub(crate) fn failing_service(sandbox: &Sandbox) -> Running {
    sandbox.script("s/run", "#!/bin/sh\nread line <go\n");
    sandbox.script("s/finish", "#!/bin/sh\nexit 125\n");
    sandbox.write("s/notification-fd", "3\n");
    sandbox.write("s/down", "");
    sandbox.sh("mkfifo s/go").succeeds();
    sandbox.start_supervisor("supervise -e", "s")
}

/// Starts `s` and lets it fail.
fn fail(sandbox: &Sandbox) {
    sandbox.sh("svc -u s && echo >s/go").succeeds();
    sandbox.wait_for("cat s/supervise/state", |text| {
        text.starts_with("state=failed\n")
    });
}

fn failure_in_the_wait_ends_it(sandbox: &Sandbox) {
    let _supervise = failing_service(sandbox);
    for letter in ["U", "R"] {
        let svwait = start(sandbox, &format!("-{letter} s"));
        fail(sandbox);
        svwait.wait().is(1, "", FAILED);
    }
    // Each failure is a new one, also for a wait that began after the last.
    sandbox.sh("svc -u s && svwait -u s").succeeds();
    let waiting = ["U", "r", "R"].map(|letter| start(sandbox, &format!("-{letter} s")));
    let down = ["d", "D"].map(|letter| start(sandbox, &format!("-{letter} s")));
    let mut gone = start(sandbox, "-x s");
    sandbox.sh("echo >s/go").succeeds();
    for svwait in waiting {
        svwait.wait().is(1, "", FAILED);
    }
    for svwait in down {
        svwait.wait().succeeds();
    }
    assert!(gone.runs(), "supervise runs still");
    sandbox.sh("svc -x s").succeeds();
    gone.wait().succeeds();
}

fn failure_before_the_wait_does_not_end_it(sandbox: &Sandbox) {
    let _supervise = failing_service(sandbox);
    fail(sandbox);
    for letter in ["u", "U", "r", "R"] {
        sandbox
            .sh(&format!("svwait -{letter} -t 30 s"))
            .is(99, "", "svwait: fatal: timed out\n");
    }
    sandbox.sh("svwait -d s && svwait -D s").succeeds();
    // Nor does a command to take the service down.
    let (up, mut ready) = (start(sandbox, "-u s"), start(sandbox, "-U s"));
    sandbox.sh("svc -d s && svc -u s").succeeds();
    up.wait().succeeds();
    sandbox.sh("svc -d s && svwait -D s").succeeds();
    assert!(ready.runs(), "s was down, and not failed");
    fail(sandbox);
    ready.wait().is(1, "", FAILED);
}

fn first_failure_ends_wait_for_all(sandbox: &Sandbox) {
    let _supervise = failing_service(sandbox);
    sandbox.script("b/run", SLEEPER);
    sandbox.write("b/down", "");
    let _other = sandbox.start_supervisor("supervise", "b");
    let waiting = ["b s", "s b", "-a s b b s"].map(|words| start(sandbox, &format!("-U {words}")));
    let mut one = start(sandbox, "-oU s b");
    fail(sandbox);
    for svwait in waiting {
        svwait.wait().is(1, "", FAILED);
    }
    assert!(one.runs(), "b may still be ready");
    sandbox.sh("svc -u b").succeeds();
    one.wait().succeeds();
    // A service that was up already does not matter.
    let all = start(sandbox, "-U b s");
    fail(sandbox);
    all.wait().is(1, "", FAILED);
}

fn last_failure_ends_wait_for_one(sandbox: &Sandbox) {
    let _supervise = failing_service(sandbox);
    sandbox.script("b/run", SLEEPER);
    sandbox.write("b/down", "");
    let other = sandbox.start_supervisor("supervise", "b");
    let svwait = start(sandbox, "-oU s b");
    fail(sandbox);
    other.kill();
    svwait
        .wait()
        .is(102, "", "svwait: fatal: supervise of b has ended\n");
    let other = sandbox.start_supervisor("supervise", "b");
    let svwait = start(sandbox, "-oU b s");
    other.kill();
    fail(sandbox);
    svwait.wait().is(1, "", FAILED);
}

fn failure_precedes_exit_of_supervise(sandbox: &Sandbox) {
    let supervise = failing_service(sandbox);
    let svwait = start(sandbox, "-U s");
    svwait.signal(Signal::SIGSTOP);
    fail(sandbox);
    supervise.kill();
    svwait.signal(Signal::SIGCONT);
    svwait.wait().is(1, "", FAILED);
}
