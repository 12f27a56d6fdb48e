//! supervise -e: deaths that a command requested neither count nor delay the
//! restart.

use std::fs;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{SLEEPER, Sandbox, kill, ours, theirs_on_ours};

use super::supervise_extended::{kill_service, supervise, told, wait_for_another, wait_for_state};

theirs_on_ours!(
    requested_restart_has_no_delay_and_no_limit,
    graceful_exit_on_request_does_not_count,
    paused_service_restarts_on_request,
    death_by_outside_signal_counts,
);

ours!(requested_restarts_keep_essential_up);

/// Settings under which no restart comes within the time limit of a test, unless
/// it was requested.
fn forbid_restarts(sandbox: &Sandbox, dir: &str) {
    sandbox.write(format!("{dir}/restart-delay"), "1000");
    sandbox.write(format!("{dir}/restart-delay-max"), "2000");
    sandbox.write(format!("{dir}/restart-limit-count"), "1");
    sandbox.write(format!("{dir}/restart-limit-interval"), "1000");
}

/// Sends commands in one write.
fn command(sandbox: &Sandbox, dir: &str, letters: &str) {
    let line = format!("printf {letters} >{dir}/supervise/control");
    sandbox.sh(&line).succeeds();
}

fn requested_restart_has_no_delay_and_no_limit(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    forbid_restarts(sandbox, "s");
    let _supervise = supervise(sandbox);
    let mut process = sandbox.service("s");
    let requests = ["t", "k", "i", "h", "a", "q", "1", "2", "du", "+t"];
    for letters in requests {
        command(sandbox, "s", letters);
        wait_for_another(sandbox, process);
        process = sandbox.service("s");
    }
    // svdt of s6 lists them, and s6-permafailon counts them, as in s6.
    let tally = sandbox.read("s/supervise/death_tally");
    assert_eq!(tally.len(), 14 * requests.len());
    assert_eq!(told(sandbox, "restarts"), requests.len().to_string());
    // Other deaths count as before.
    kill_service(sandbox, Signal::SIGKILL);
    wait_for_state(sandbox, "delay");
    command(sandbox, "s", "u");
    sandbox.wait_until("the service is up", || told(sandbox, "state") == "up");
}

fn graceful_exit_on_request_does_not_count(sandbox: &Sandbox) {
    // The exit code differs from 0, after time for cleaning up.
    sandbox.script(
        "s/run",
        "#!/bin/sh\ntrap 'sleep 0.2; rm there; exit 3' TERM USR1\n>there\nwhile :; do sleep 0.02; done\n",
    );
    sandbox.script("s/finish", "#!/bin/sh\necho $1 >>finished\n");
    sandbox.write("s/down-signal", "USR1");
    forbid_restarts(sandbox, "s");
    let _supervise = supervise(sandbox);
    for (deaths, letters) in ["t", "1", "du", "t"].iter().enumerate() {
        sandbox.wait_until("the service is there", || sandbox.exists("s/there"));
        command(sandbox, "s", letters);
        let wanted = "3\n".repeat(deaths + 1);
        sandbox.wait_until("finish has run", || {
            fs::read(sandbox.path("s/finished")).is_ok_and(|text| text == wanted.as_bytes())
        });
    }
    sandbox.wait_until("the service is there", || sandbox.exists("s/there"));
}

fn paused_service_restarts_on_request(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    forbid_restarts(sandbox, "s");
    let _supervise = supervise(sandbox);
    for letters in ["ptc", "phc", "pk", "pdu"] {
        let process = sandbox.service("s");
        command(sandbox, "s", letters);
        wait_for_another(sandbox, process);
    }
}

fn death_by_outside_signal_counts(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.write("s/restart-limit-count", "2");
    sandbox.write("s/restart-limit-interval", "1000");
    let _supervise = supervise(sandbox);
    let mut deaths = 0;
    while told(sandbox, "state") != "failed" {
        let process = sandbox.service("s");
        // STOP and CONT request no death.
        command(sandbox, "s", "pc");
        kill(process, Signal::SIGTERM).unwrap();
        deaths += 1;
        let has_failed = || told(sandbox, "state") == "failed";
        let runs_again = || {
            let pid = told(sandbox, "pid");
            !pid.is_empty() && pid != process.to_string()
        };
        sandbox.wait_until("it is up again or failed", || has_failed() || runs_again());
    }
    assert_eq!(deaths, 3);
}

fn requested_restarts_keep_essential_up(sandbox: &Sandbox) {
    sandbox.script("scan/main/run", SLEEPER);
    sandbox.write("scan/main/essential", "");
    sandbox.write("scan/main/restart-limit-count", "1");
    sandbox.write("scan/main/restart-limit-interval", "1000");
    let svscan = sandbox.start(sandbox.shell("exec svscan -e scan"));
    sandbox.wait_until("the service is supervised", || {
        sandbox.is_supervised("scan/main")
    });
    let mut processes: Vec<Pid> = Vec::new();
    for letters in ["t", "t", "k", "du", "t"] {
        processes.push(sandbox.service("scan/main"));
        command(sandbox, "scan/main", letters);
        sandbox.wait_until("the service is started again", || {
            !processes.contains(&sandbox.service("scan/main"))
        });
    }
    svscan.signal(Signal::SIGTERM);
    svscan.wait().is(0, "", "");
}
