//! Memory of the programs that run for long: no allocation between two events of one
//! kind, and no death where the system has no memory left.
//!
//! Most tests run the programs of Cargo, also with `DAEMONTOOLS_OURS`: a library
//! replaces their allocator's functions, and static programs have none to replace.

mod logs;
mod scanner;
mod short;
mod short_logs;
mod short_scanner;
mod steady;

use std::fs;

use nix::unistd::Pid;
use testkit::{Sandbox, run_built};

/// Runs a test on the programs that Cargo built.
fn run(check: impl FnOnce(&Sandbox)) {
    run_built(env!("CARGO_BIN_EXE_svok"), check);
}

/// The children of a process, including zombies.
fn children(pid: Pid) -> Vec<Pid> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let pids = children.split_whitespace().map(|pid| pid.parse().unwrap());
    pids.map(Pid::from_raw).collect()
}

/// Waits until a process slept in 20 checks in a row.
fn wait_until_quiet(sandbox: &Sandbox, pid: Pid) {
    wait_until_steady(sandbox, "the process sleeps", || is_asleep(pid));
}

/// Waits until a condition held in 20 checks in a row.
fn wait_until_steady(sandbox: &Sandbox, what: &str, holds: impl Fn() -> bool) {
    let mut times = 0;
    sandbox.wait_until(what, || {
        times = if holds() { times + 1 } else { 0 };
        times == 20
    });
}

/// Whether a process sleeps, without a pending signal.
fn is_asleep(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.contains("\nState:\tS") && status.contains("\nShdPnd:\t0000000000000000\n")
}

#[test]
fn allocations_are_counted_and_fail() {
    run(|sandbox| {
        let name = "allocations_are_counted_and_fail";
        let Some(allocations) = sandbox.allocations("svstat", name) else {
            return;
        };
        let run = |first_failed| {
            allocations.fail_from(first_failed);
            let mut command = sandbox.command("svstat");
            command.args(["one", "two"]);
            allocations.apply(&mut command);
            let mut running = sandbox.start(command);
            sandbox.wait_until("svstat has exited", || !running.runs());
        };
        run(u64::MAX);
        let count = allocations.count();
        assert!(count > 0 && allocations.failed() == 0);
        run(count + count);
        assert_eq!(allocations.failed(), 1);
        assert_eq!(allocations.count(), count + count);
    });
}
