//! `make demo` shows running services and leaves nothing behind, also if
//! interrupted.

use std::os::unix::process::CommandExt;

use nix::sys::signal::Signal;
use testkit::{Running, Sandbox, compliance, killpg};

compliance!(
    demo_shows_services_and_leaves_nothing,
    interrupt_during_start_leaves_nothing,
    interrupt_during_services_leaves_nothing,
    interrupt_during_stop_leaves_nothing,
);

/// Starts the demo in a process group of its own, as a terminal does.
fn start(sandbox: &Sandbox) -> Running {
    let mut demo = sandbox.command(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/run"));
    demo.arg(sandbox.bin()).env("TMPDIR", sandbox.dir());
    demo.process_group(0);
    sandbox.start(demo)
}

/// Waits until the demo has shown a command.
fn await_command(sandbox: &Sandbox, demo: &Running, command: &str) {
    sandbox.wait_until(&format!("the demo shows {command}"), || {
        String::from_utf8_lossy(&demo.stdout()).contains(&format!("\n$ {command}"))
    });
}

/// Interrupts the demo after a command has appeared.
fn interrupt_after(sandbox: &Sandbox, command: &str) {
    let demo = start(sandbox);
    await_command(sandbox, &demo, command);
    killpg(demo.pid(), Signal::SIGINT).unwrap();
    let outcome = demo.wait();
    outcome.exits(130);
    assert_nothing_left(sandbox);
}

fn assert_nothing_left(sandbox: &Sandbox) {
    assert_eq!(sandbox.processes(), []);
    assert_eq!(sandbox.listing("."), "");
}

fn demo_shows_services_and_leaves_nothing(sandbox: &Sandbox) {
    let outcome = start(sandbox).wait();
    assert_eq!(
        (outcome.code(), outcome.error_text()),
        (Some(0), String::new()),
        "{outcome:?}"
    );
    for shown in [
        "service/asleep: down ",
        "service/asleep: up (pid ",
        " seconds, normally down\n",
        " seconds, normally up\n",
        "$ kill -9 ",
        " starting\n",
        "sv/clock/log: supervise not running\n",
    ] {
        assert!(
            outcome.text().contains(shown),
            "{shown:?} is not in {outcome:?}"
        );
    }
    assert_nothing_left(sandbox);
}

fn interrupt_during_start_leaves_nothing(sandbox: &Sandbox) {
    interrupt_after(sandbox, "svscan service &\n");
}

fn interrupt_during_services_leaves_nothing(sandbox: &Sandbox) {
    interrupt_after(sandbox, "kill -9 ");
}

fn interrupt_during_stop_leaves_nothing(sandbox: &Sandbox) {
    interrupt_after(sandbox, "svc -dx ");
}
