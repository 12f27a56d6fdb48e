//! Memory of the programs that run for long: no allocation between two events of one
//! kind, and no death where the system has no memory left.
//!
//! These tests run the programs of Cargo, also with `DAEMONTOOLS_OURS`: a library
//! replaces their allocator's functions, and static programs have none to replace.

use testkit::{Sandbox, run_built};

/// Runs a test on the programs that Cargo built.
fn run(check: impl FnOnce(&Sandbox)) {
    run_built(env!("CARGO_BIN_EXE_svok"), check);
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
