//! Stopped processes: `run`, `finish` and loggers that STOP, from svc or from
//! elsewhere, holds when a command ends them.

use std::fs;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{SLEEPER, Sandbox, compliance, kill, ours};

compliance!(
    stopped_run_ends_at_down_and_kill,
    stopped_run_ends_at_term_once_continued,
    stopped_run_ends_with_runsv,
    stopped_finish_does_not_hold_runsv,
    stopped_logger_reads_all_before_runsv_exits,
);

ours!(
    stopped_run_ends_with_supervise_e,
    stopped_notify_delays_nothing,
);

/// The programs under which a stopped `run` behaves alike.
const SUPERVISORS: [&str; 2] = ["supervise", "runsv"];

/// Sends commands in one write.
fn command(sandbox: &Sandbox, dir: &str, letters: &str) {
    let line = format!("printf {letters} >{dir}/supervise/control");
    sandbox.sh(&line).succeeds();
}

fn is_stopped(process: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status"));
    status.is_ok_and(|status| status.contains("\nState:\tT"))
}

/// Stops a process, by the command `p` or by a signal, and waits until it is
/// stopped.
#[track_caller]
fn stop(sandbox: &Sandbox, dir: &str, by_command: bool) -> Pid {
    let process = sandbox.service(dir);
    if by_command {
        command(sandbox, dir, "p");
    } else {
        kill(process, Signal::SIGSTOP).unwrap();
    }
    sandbox.wait_until("the process is stopped", || is_stopped(process));
    process
}

/// Waits until a service has another process.
#[track_caller]
fn wait_for_another(sandbox: &Sandbox, than: Pid) {
    sandbox.wait_until("the service is started again", || {
        sandbox.service("s") != than
    });
}

/// Waits until the record of `s` names no process.
#[track_caller]
fn wait_until_down(sandbox: &Sandbox) {
    sandbox.wait_until("the service is down", || {
        fs::read(sandbox.path("s/supervise/status"))
            .is_ok_and(|record| record.get(12..16) == Some(&[0; 4]))
    });
}

fn stopped_run_ends_at_down_and_kill(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    for supervisor in SUPERVISORS {
        let running = sandbox.start_supervisor(supervisor, "s");
        for by_command in [true, false] {
            let process = stop(sandbox, "s", by_command);
            command(sandbox, "s", "k");
            wait_for_another(sandbox, process);
            stop(sandbox, "s", by_command);
            command(sandbox, "s", "d");
            wait_until_down(sandbox);
            command(sandbox, "s", "u");
        }
        stop(sandbox, "s", false);
        command(sandbox, "s", "dx");
        running.wait().is(0, "", "");
    }
}

fn stopped_run_ends_at_term_once_continued(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    for supervisor in SUPERVISORS {
        let running = sandbox.start_supervisor(supervisor, "s");
        for by_command in [true, false] {
            let process = stop(sandbox, "s", by_command);
            command(sandbox, "s", "t");
            let pending = format!("/proc/{process}/status");
            sandbox.wait_until("TERM is pending", || {
                let status = fs::read_to_string(&pending).unwrap();
                status.contains("\nShdPnd:\t0000000000004000\n")
            });
            assert!(is_stopped(process));
            command(sandbox, "s", "c");
            wait_for_another(sandbox, process);
        }
        command(sandbox, "s", "dx");
        running.wait().is(0, "", "");
    }
}

fn stopped_run_ends_with_runsv(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    for by_command in [true, false] {
        for by_signal in [true, false] {
            let runsv = sandbox.start_supervisor("runsv", "s");
            stop(sandbox, "s", by_command);
            if by_signal {
                runsv.signal(Signal::SIGTERM);
            } else {
                command(sandbox, "s", "x");
            }
            runsv.wait().is(0, "", "");
        }
    }
}

fn stopped_finish_does_not_hold_runsv(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\nexit 0\n");
    sandbox.script(
        "s/finish",
        "#!/bin/sh\necho $$ >finish.pid\nkill -STOP $$\n",
    );
    let runsv = sandbox.start_supervisor("runsv", "s");
    let pid = || fs::read_to_string(sandbox.path("s/finish.pid")).unwrap_or_default();
    sandbox.wait_until("finish has started", || pid().ends_with('\n'));
    let finish = Pid::from_raw(pid().trim().parse().unwrap());
    sandbox.wait_until("finish is stopped", || is_stopped(finish));
    // finish gets no signals, and KILL lets runsv exit without it.
    command(sandbox, "s", "dtx");
    command(sandbox, "s", "k");
    runsv.wait().is(0, "", "");
    assert!(is_stopped(finish));
    kill(finish, Signal::SIGKILL).unwrap();
}

fn stopped_logger_reads_all_before_runsv_exits(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\n[ -e go ] || mkfifo go\nread line <go\necho $line\n>written\nexec sleep 1000\n",
    );
    sandbox.script("s/log/run", "#!/bin/sh\nexec cat >>kept\n");
    for (number, by_command) in [true, false].into_iter().enumerate() {
        let runsv = sandbox.start_supervisor("runsv", "s");
        let run = sandbox.service("s");
        sandbox.wait_until("the service waits", || sandbox.exists("s/go"));
        let logger = stop(sandbox, "s/log", by_command);
        sandbox.sh("echo last >s/go").succeeds();
        sandbox.wait_until("the line is written", || sandbox.exists("s/written"));
        command(sandbox, "s", "x");
        sandbox.wait_until("the service has ended", || kill(run, None).is_err());
        assert!(is_stopped(logger));
        kill(logger, Signal::SIGCONT).unwrap();
        runsv.wait().is(0, "", "");
        let kept = "last\n".repeat(number + 1);
        assert_eq!(sandbox.read("s/log/kept"), kept.as_bytes());
        sandbox.sh("rm s/written").succeeds();
    }
}

fn stopped_run_ends_with_supervise_e(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.write("s/down-signal", "INT");
    for letters in ["dx", "x", "kdx", "tdx"] {
        for by_command in [true, false] {
            let supervise = sandbox.start_supervisor("supervise -e", "s");
            stop(sandbox, "s", by_command);
            command(sandbox, "s", letters);
            supervise.wait().is(0, "", "");
        }
    }
}

fn stopped_notify_delays_nothing(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/notify", "#!/bin/sh\n>notified\nkill -STOP $$\n");
    let supervise = sandbox.start_supervisor("supervise -e", "s");
    let process = sandbox.service("s");
    sandbox.wait_until("notify has started", || sandbox.exists("s/notified"));
    command(sandbox, "s", "t");
    wait_for_another(sandbox, process);
    command(sandbox, "s", "dx");
    supervise.wait().is(0, "", "");
}
