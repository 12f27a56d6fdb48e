//! What ours does better than runit by default: each test shows what the
//! reference does and what ours does, and is named in COMPATIBILITY.md.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::{Scene, Subject, compliance, kill};

use super::runsv::{runsv, wait_for, wait_until_up};
use super::sv::{RUNS, pretend};
use super::{SLEEPER, wait_until_it_rests};

fn is_reference(scene: &Scene) -> bool {
    match scene.subject() {
        Subject::Reference => true,
        Subject::Ours => false,
        mixed => panic!("a difference is not shown by {mixed:?}"),
    }
}

/// Sends a letter to the service `s`.
fn send(scene: &Scene, letter: char) {
    scene
        .sh(&format!("printf {letter} >s/supervise/control"))
        .succeeds();
}

fn lines(scene: &Scene, name: &str) -> usize {
    let text = std::fs::read_to_string(scene.path(name)).unwrap_or_default();
    text.lines().count()
}

compliance! {
    fn runsv_obeys_while_it_waits_to_start(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho >>starts\n");
        scene.write("s/down", "");
        let _runsv = runsv(scene);
        let obeyed = || {
            let starts = lines(scene, "s/starts");
            send(scene, 'u');
            scene.wait_until("it is down again", || {
                lines(scene, "s/starts") > starts && scene.read("s/supervise/stat") == b"down\n"
            });
            let start = Instant::now();
            send(scene, 'd');
            wait_for(scene, "s", (0, 'd', 0, 0), "down");
            let passed = start.elapsed();
            // So that the next try finds it waiting for no start.
            scene.wait_until("a second has passed", || start.elapsed() > Duration::from_millis(1200));
            passed
        };
        if is_reference(scene) {
            assert!(obeyed() > Duration::from_millis(300));
        } else {
            scene.wait_until("it obeys at once", || obeyed() < Duration::from_millis(300));
        }
    }

    fn runsv_never_runs_a_second_copy(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho >>starts\nexec sleep 1000\n");
        scene.script("s/control/k", "#!/bin/sh\nexit 0\n");
        scene.script("s/control/t", "#!/bin/sh\nexit 0\n");
        let _runsv = runsv(scene);
        wait_until_up(scene, "s");
        let first = scene.service("s");
        // A program has stood in for KILL, and the service goes on.
        send(scene, 'k');
        send(scene, 'u');
        send(scene, 'p');
        wait_for(scene, "s", (1, 'u', 0, 1), "run, paused");
        if is_reference(scene) {
            assert_ne!(scene.service("s"), first);
            kill(first, None).unwrap();
        } else {
            assert_eq!((scene.service("s"), lines(scene, "s/starts")), (first, 1));
        }
    }

    fn runsv_does_not_leave_a_service_that_a_program_stood_in_for(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        scene.script("s/control/k", "#!/bin/sh\nexit 0\n");
        let runsv = runsv(scene);
        wait_until_up(scene, "s");
        let service = scene.service("s");
        send(scene, 'k');
        send(scene, 'x');
        runsv.wait().succeeds();
        assert_eq!(kill(service, Signal::SIGKILL).is_ok(), is_reference(scene));
    }

    fn runsv_tests_the_right_fifo_of_the_logger(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        scene.sh("mkdir -p s/log/supervise; : >s/log/supervise/control").succeeds();
        if is_reference(scene) {
            let _runsv = runsv(scene);
            wait_until_up(scene, "s");
        } else {
            scene.sh("runsv s").is(111, "", "runsv s: fatal: log/supervise/control exists but is not a fifo\n");
        }
    }

    fn runsv_that_lets_its_logger_end_is_not_told_otherwise(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        scene.script("s/log/run", "#!/bin/sh\ncat >kept\nuntil [ -e go ]; do sleep 0.02; done\n");
        let runsv = runsv(scene);
        wait_until_up(scene, "s");
        send(scene, 'x');
        wait_for(scene, "s/log", (0, 'd', 0, 1), "run, want exit");
        send(scene, 'u');
        if is_reference(scene) {
            // It has no pipe any more, and can start neither.
            let line = b"runsv s: fatal: unable to setup filedescriptor for ./run: file descriptor not open\n";
            scene.wait_until("it fails", || runsv.stderr().starts_with(line));
        } else {
            scene.write("s/log/go", "");
            runsv.wait().succeeds();
        }
    }

    fn chpst_as_setlock_says_that_a_program_cannot_be_run(scene: &Scene) {
        scene.sh("ln -s $(command -v chpst) setlock").succeeds();
        let outcome = scene.sh("./setlock -N -x lock nope");
        if is_reference(scene) {
            outcome.is(0, "", "");
        } else {
            outcome.is(111, "", "chpst: fatal: unable to run: nope: file does not exist\n");
        }
    }

    fn programs_of_runsv_and_svlogd_are_run_with_all_signals_let_through(scene: &Scene) {
        scene.script("mask", "#!/usr/bin/perl\nopen F, '/proc/self/status';\nwhile (<F>) { print STDERR if /^SigBlk/ }\nwhile (<STDIN>) { print }\n");
        scene.script("s/run", SLEEPER);
        scene.sh("mkdir s/control; ln -s ../../mask s/control/h").succeeds();
        let runsv = runsv(scene);
        wait_until_up(scene, "s");
        send(scene, 'h');
        scene.wait_until("it is asked", || !runsv.stderr().is_empty());
        let blocked = if is_reference(scene) { "14000" } else { "00000" };
        assert_eq!(String::from_utf8(runsv.stderr()).unwrap(), format!("SigBlk:\t00000000000{blocked}\n"));
        scene.write("m/config", "s2000\n!exec ../mask\n");
        let outcome = scene.feed("a line of text\n".repeat(100), "exec svlogd m");
        let blocked = if is_reference(scene) { "10000" } else { "00000" };
        assert_eq!(outcome.error_text(), format!("SigBlk:\t00000000000{blocked}\n"));
    }

    fn svlogd_told_to_read_config_again_takes_what_a_processor_makes(scene: &Scene) {
        scene.write("m/config", "s2000\n!>../begun; until [ -e ../go ]; do sleep 0.02; done; cat\n");
        scene.sh("mkfifo fifo").succeeds();
        let svlogd = scene.start(scene.shell("exec svlogd m <fifo"));
        let lines = "a line of text\n".repeat(100);
        scene.write("lines", &lines);
        let script = "exec 3>fifo; cat lines >&3; until [ -e end ]; do sleep 0.02; done";
        let writer = scene.start(scene.shell(script));
        scene.wait_until("it is processed", || scene.exists("begun"));
        svlogd.signal(Signal::SIGHUP);
        wait_until_it_rests(scene, &svlogd);
        scene.write("go", "");
        wait_until_it_rests(scene, &svlogd);
        scene.write("end", "");
        writer.wait().succeeds();
        svlogd.wait().succeeds();
        let left = scene.sh("cd m; ls | sed -n 's/^@.*\\././p' | tr -d '\\n'");
        left.prints(if is_reference(scene) { ".t.u" } else { ".s" });
    }

    fn runsvdir_starts_a_new_link_at_once(scene: &Scene) {
        scene.script("link/run", SLEEPER);
        scene.script("scan/first/run", SLEEPER);
        let _runsvdir = scene.start(scene.shell("exec runsvdir scan"));
        scene.wait_until("it looks", || scene.sh("svok scan/first").code() == Some(0));
        let mut n = 0;
        let mut wait_for_link = || {
            n += 1;
            scene.sh(&format!("cp -r link link{n}; ln -s ../link{n} scan")).succeeds();
            let start = Instant::now();
            scene.wait_until("it runs", || scene.sh(&format!("svok link{n}")).code() == Some(0));
            start.elapsed()
        };
        if is_reference(scene) {
            // It waits at least until the second of the change is over.
            let waits = [wait_for_link(), wait_for_link(), wait_for_link()];
            assert!(waits.iter().any(|wait| *wait > Duration::from_millis(300)), "{waits:?}");
        } else {
            scene.wait_until("a link runs within 0.1 s", || wait_for_link() < Duration::from_millis(100));
        }
    }

    fn sv_waits_for_a_path_with_a_slash_at_its_end(scene: &Scene) {
        let _held = pretend(scene, "s", RUNS);
        if is_reference(scene) {
            scene.sh("sv start s/").is(1, "fail: s/: unable to change to service directory: file does not exist\n", "");
        } else {
            scene.sh("sv start s/").prints("ok: run: s/: (pid 77) 0s\n");
        }
    }
}
