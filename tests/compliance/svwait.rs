use std::fs;

use nix::sys::signal::Signal;
use testkit::{Running, Scene};

use super::{SLEEPER, pid, supervise, wait_for_status};

const USAGE: &str = "svwait: usage: svwait [-uUdDrRxao] [-t ms] dir ...\n";

/// svwait, which the reference has not, on what ours makes and on what the
/// reference makes.
macro_rules! waits {
    ($($(#[$meta:meta])* fn $name:ident($scene:ident: &Scene) $body:block)*) => {
        $(testkit::on_subjects! {
            $(#[$meta])* fn $name($scene) $body
            ours: Ours, ours_on_theirs: TheirsThenOurs,
        })*
    };
}

/// Starts svwait and waits until it sleeps.
#[track_caller]
fn start(scene: &Scene, words: &str) -> Running {
    let running = scene.start(scene.shell(&format!("exec svwait {words}")));
    let wchan = format!("/proc/{}/syscall", running.pid());
    // 7 is poll, 271 ppoll.
    scene.wait_until("svwait sleeps", || {
        fs::read_to_string(&wchan)
            .is_ok_and(|call| call.starts_with("7 ") || call.starts_with("271 "))
    });
    running
}

/// The service `s`, down or not.
fn service(scene: &Scene, down: bool) {
    scene.script("s/run", SLEEPER);
    if down {
        scene.write("s/down", "");
    }
}

waits! {
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
        let first = pid(scene);
        let mut svwait = start(scene, "-r s");
        scene.sh("svc -p s");
        wait_for_status(scene, (true, 1, b'u'));
        assert!(svwait.runs());
        scene.sh("svc -k s");
        svwait.wait().succeeds();
        assert_ne!(pid(scene), first);
    }

    fn the_time_may_be_up(scene: &Scene) {
        service(scene, true);
        let _supervise = supervise(scene);
        scene.sh("svwait -u -t 30 s").is(99, "", "svwait: fatal: timed out\n");
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
        service(scene, false);
        let _supervise = supervise(scene);
        // svwait begins at any moment of what it waits for.
        for n in 0..30 {
            let (letter, other) = if n % 2 == 0 { ("d", "u") } else { ("u", "d") };
            scene.sh(&format!("svc -{letter} s & svwait -{letter} -t 60000 s; wait; svwait -t 1 -{other} s"))
                .is(99, "", "svwait: fatal: timed out\n");
        }
    }

    fn what_is_no_service_is_refused(scene: &Scene) {
        scene.write("file", "");
        scene.sh("mkdir none bad bad/supervise; printf short >bad/supervise/status");
        scene.sh("svwait nope").is(111, "", "svwait: fatal: unable to chdir to nope: file does not exist\n");
        scene.sh("svwait -x nope").is(111, "", "svwait: fatal: unable to chdir to nope: file does not exist\n");
        scene.sh("svwait file").is(111, "", "svwait: fatal: unable to chdir to file: not a directory\n");
        scene.sh("svwait -x none").is(111, "", "svwait: fatal: none is not a service: it has no run\n");
        scene.sh("svwait bad").is(111, "", "svwait: fatal: unable to read bad/supervise/status: bad format\n");
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
        let holder = scene.start(scene.shell("ulimit -n 4096; exec perl -e 'for (@ARGV) { open my $f, \"+<\", $_ or die; push @f, $f } \
            print \"open\\n\"; $| = 1; print \"\"; sleep 1000' many/*/supervise/ok"));
        scene.wait_until("all are open", || holder.stdout() == b"open\n");
        let svwait = start(scene, "-u many/*");
        for n in 0..MANY {
            scene.write("new", [[0; 12].as_slice(), &[1, 0, 0, 0, 0, b'u']].concat());
            fs::rename(scene.path("new"), scene.path(format!("many/{n}/supervise/status"))).unwrap();
        }
        svwait.wait().succeeds();
        let svwait = start(scene, "-x many/*");
        holder.signal(Signal::SIGKILL);
        svwait.wait().succeeds();
    }

    fn what_supervise_e_tells_is_heard(scene: &Scene) {
        service(scene, true);
        let _supervise = supervise(scene);
        let at = "@4fffffffffffffff00000000";
        let state = |stage: &str| {
            scene.write("s/supervise/state.new", format!("state={stage}\nsince={at}\n"));
            fs::rename(scene.path("s/supervise/state.new"), scene.path("s/supervise/state")).unwrap();
        };
        state("starting");
        let mut ready = start(scene, "-U s");
        scene.sh("svwait -u s").succeeds();
        assert!(ready.runs());
        state("ready");
        ready.wait().succeeds();
        state("finish");
        let mut finished = start(scene, "-D s");
        scene.sh("svwait -d s").succeeds();
        assert!(finished.runs());
        state("delay");
        finished.wait().succeeds();
    }
}
