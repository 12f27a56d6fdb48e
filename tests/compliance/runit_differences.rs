//! Default behaviour in which ours improves on runit. Each test shows both
//! sides, and a row of COMPATIBILITY.md names the test.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{SLEEPER, Sandbox, Subject, compliance, kill};

use super::runsv::{runsv, wait_for, wait_until_up};
use super::sv::{RUNS, pretend};
use super::wait_until_asleep;

compliance!(
    runsv_obeys_during_start_delay,
    runsv_never_runs_a_second_copy,
    runsv_does_not_exit_before_its_service,
    runsv_restarts_after_k_during_finish,
    runsv_checks_control_fifo_of_the_logger,
    runsv_ignores_commands_while_logger_ends,
    chpst_as_setlock_reports_unrunnable_program,
    children_start_with_empty_signal_mask,
    svlogd_takes_processor_output_after_hup,
    runsvdir_starts_a_new_link_at_once,
    sv_waits_for_path_with_trailing_slash,
);

fn is_reference(sandbox: &Sandbox) -> bool {
    match sandbox.subject() {
        Subject::Reference => true,
        Subject::Ours => false,
        mixed => panic!("a difference is not shown by {mixed:?}"),
    }
}

/// Sends a letter to the service `s`.
fn send(sandbox: &Sandbox, letter: char) {
    sandbox
        .sh(&format!("printf {letter} >s/supervise/control"))
        .succeeds();
}

fn lines(sandbox: &Sandbox, name: &str) -> usize {
    let text = std::fs::read_to_string(sandbox.path(name)).unwrap_or_default();
    text.lines().count()
}

fn runsv_obeys_during_start_delay(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho >>starts\n");
    sandbox.write("s/down", "");
    let _runsv = runsv(sandbox);
    let obeyed = || {
        let starts = lines(sandbox, "s/starts");
        send(sandbox, 'u');
        sandbox.wait_until("the service is down again", || {
            lines(sandbox, "s/starts") > starts && sandbox.read("s/supervise/stat") == b"down\n"
        });
        let start = Instant::now();
        send(sandbox, 'd');
        wait_for(sandbox, "s", (0, 'd', 0, 0), "down");
        let passed = start.elapsed();
        // After a second, the next run starts without a delay.
        sandbox.wait_until("a second has passed", || {
            start.elapsed() > Duration::from_millis(1200)
        });
        passed
    };
    if is_reference(sandbox) {
        assert!(obeyed() > Duration::from_millis(300));
    } else {
        sandbox.wait_until("it obeys at once", || obeyed() < Duration::from_millis(300));
    }
}

fn runsv_never_runs_a_second_copy(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho >>starts\nexec sleep 1000\n");
    sandbox.script("s/control/k", "#!/bin/sh\nexit 0\n");
    sandbox.script("s/control/t", "#!/bin/sh\nexit 0\n");
    let _runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    let first = sandbox.service("s");
    // The program has replaced KILL, and the service survives.
    send(sandbox, 'k');
    send(sandbox, 'u');
    send(sandbox, 'p');
    wait_for(sandbox, "s", (1, 'u', 0, 1), "run, paused");
    if is_reference(sandbox) {
        assert_ne!(sandbox.service("s"), first);
        kill(first, None).unwrap();
    } else {
        assert_eq!(
            (sandbox.service("s"), lines(sandbox, "s/starts")),
            (first, 1)
        );
    }
}

fn runsv_does_not_exit_before_its_service(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/control/k", "#!/bin/sh\nexit 0\n");
    let runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    let service = sandbox.service("s");
    send(sandbox, 'k');
    send(sandbox, 'x');
    runsv.wait().succeeds();
    assert_eq!(
        kill(service, Signal::SIGKILL).is_ok(),
        is_reference(sandbox)
    );
}

fn runsv_restarts_after_k_during_finish(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho >>starts\n");
    sandbox.script("s/finish", "#!/bin/sh\necho $$ >>ends\nexec sleep 1000\n");
    let _runsv = runsv(sandbox);
    let finish = |number: usize| {
        sandbox.wait_until("finish runs", || lines(sandbox, "s/ends") == number);
        let pids = String::from_utf8(sandbox.read("s/ends")).unwrap();
        Pid::from_raw(pids.lines().last().unwrap().parse().unwrap())
    };
    let first = finish(1);
    wait_for(sandbox, "s", (0, 'u', 0, 2), "finish");
    // finish gets no signal.
    send(sandbox, 'k');
    send(sandbox, 'p');
    sandbox.wait_until("the commands are obeyed", || {
        sandbox.read("s/supervise/status")[16] == 1
    });
    kill(first, Signal::SIGKILL).unwrap();
    sandbox.wait_until("finish has ended", || kill(first, None).is_err());
    if is_reference(sandbox) {
        send(sandbox, 'd');
        sandbox.wait_until("the command is obeyed", || {
            sandbox.read("s/supervise/status")[17] == b'd'
        });
        assert_eq!(lines(sandbox, "s/starts"), 1);
        send(sandbox, 'u');
    }
    finish(2);
}

fn runsv_checks_control_fifo_of_the_logger(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox
        .sh("mkdir -p s/log/supervise; : >s/log/supervise/control")
        .succeeds();
    if is_reference(sandbox) {
        let _runsv = runsv(sandbox);
        wait_until_up(sandbox, "s");
    } else {
        sandbox.sh("runsv s").is(
            111,
            "",
            "runsv s: fatal: log/supervise/control exists but is not a fifo\n",
        );
    }
}

fn runsv_ignores_commands_while_logger_ends(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script(
        "s/log/run",
        "#!/bin/sh\ncat >kept\nuntil [ -e go ]; do sleep 0.02; done\n",
    );
    let runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    send(sandbox, 'x');
    wait_for(sandbox, "s/log", (0, 'd', 0, 1), "run, want exit");
    send(sandbox, 'u');
    if is_reference(sandbox) {
        // runsv has lost the pipe and can start neither process.
        let line =
            b"runsv s: fatal: unable to setup filedescriptor for ./run: file descriptor not open\n";
        sandbox.wait_until("it fails", || runsv.stderr().starts_with(line));
    } else {
        sandbox.write("s/log/go", "");
        runsv.wait().succeeds();
    }
}

fn chpst_as_setlock_reports_unrunnable_program(sandbox: &Sandbox) {
    sandbox.sh("ln -s $(command -v chpst) setlock").succeeds();
    let outcome = sandbox.sh("./setlock -N -x lock nope");
    if is_reference(sandbox) {
        outcome.is(0, "", "");
    } else {
        outcome.is(
            111,
            "",
            "chpst: fatal: unable to run: nope: file does not exist\n",
        );
    }
}

fn children_start_with_empty_signal_mask(sandbox: &Sandbox) {
    sandbox.script(
        "mask",
        "#!/usr/bin/perl\nopen F, '/proc/self/status';\n\
        while (<F>) { print STDERR if /^SigBlk/ }\nwhile (<STDIN>) { print }\n",
    );
    sandbox.script("s/run", SLEEPER);
    sandbox
        .sh("mkdir s/control; ln -s ../../mask s/control/h")
        .succeeds();
    let runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    send(sandbox, 'h');
    sandbox.wait_until("it is asked", || !runsv.stderr().is_empty());
    let blocked = if is_reference(sandbox) {
        "14000"
    } else {
        "00000"
    };
    assert_eq!(
        String::from_utf8(runsv.stderr()).unwrap(),
        format!("SigBlk:\t00000000000{blocked}\n")
    );
    sandbox.write("m/config", "s2000\n!exec ../mask\n");
    let outcome = sandbox.feed("a line of text\n".repeat(100), "exec svlogd m");
    let blocked = if is_reference(sandbox) {
        "10000"
    } else {
        "00000"
    };
    assert_eq!(
        outcome.error_text(),
        format!("SigBlk:\t00000000000{blocked}\n")
    );
}

fn svlogd_takes_processor_output_after_hup(sandbox: &Sandbox) {
    sandbox.write(
        "m/config",
        "s2000\n!>../begun; until [ -e ../go ]; do sleep 0.02; done; cat; >../done\n",
    );
    sandbox.sh("mkfifo fifo").succeeds();
    let svlogd = sandbox.start(sandbox.shell("exec svlogd m <fifo"));
    let lines = "a line of text\n".repeat(100);
    sandbox.write("lines", &lines);
    let script = "exec 3>fifo; cat lines >&3; until [ -e end ]; do sleep 0.02; done";
    let writer = sandbox.start(sandbox.shell(script));
    sandbox.wait_until("the processor runs", || sandbox.exists("begun"));
    svlogd.signal(Signal::SIGHUP);
    wait_until_asleep(sandbox, &svlogd);
    sandbox.write("go", "");
    sandbox.wait_until("the processor ends", || sandbox.exists("done"));
    wait_until_asleep(sandbox, &svlogd);
    sandbox.write("end", "");
    writer.wait().succeeds();
    svlogd.wait().succeeds();
    let left = sandbox.sh("cd m; ls | sed -n 's/^@.*\\././p' | tr -d '\\n'");
    left.prints(if is_reference(sandbox) { ".t.u" } else { ".s" });
}

fn runsvdir_starts_a_new_link_at_once(sandbox: &Sandbox) {
    sandbox.script("link/run", SLEEPER);
    sandbox.script("scan/first/run", SLEEPER);
    let _runsvdir = sandbox.start(sandbox.shell("exec runsvdir scan"));
    sandbox.wait_until("it looks", || sandbox.is_supervised("scan/first"));
    let mut n = 0;
    let mut wait_for_link = || {
        n += 1;
        sandbox
            .sh(&format!("cp -r link link{n}; ln -s ../link{n} scan"))
            .succeeds();
        let start = Instant::now();
        sandbox.wait_until("it runs", || {
            sandbox.sh(&format!("svok link{n}")).code() == Some(0)
        });
        start.elapsed()
    };
    if is_reference(sandbox) {
        // runsvdir waits at least until the second of the change is over.
        let waits = [wait_for_link(), wait_for_link(), wait_for_link()];
        assert!(
            waits.iter().any(|wait| *wait > Duration::from_millis(300)),
            "{waits:?}"
        );
    } else {
        sandbox.wait_until("a link runs within 0.1 s", || {
            wait_for_link() < Duration::from_millis(100)
        });
    }
}

fn sv_waits_for_path_with_trailing_slash(sandbox: &Sandbox) {
    let _held = pretend(sandbox, "s", RUNS);
    if is_reference(sandbox) {
        sandbox.sh("sv start s/").is(
            1,
            "fail: s/: unable to change to service directory: file does not exist\n",
            "",
        );
    } else {
        sandbox
            .sh("sv start s/")
            .prints("ok: run: s/: (pid 77) 0s\n");
    }
}
