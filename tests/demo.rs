//! `make demo`: it shows what it promises and leaves nothing behind, however
//! it ends.

use std::os::unix::process::CommandExt;

use nix::sys::signal::Signal;
use testkit::{Running, Scene, compliance, killpg};

/// Starts the demo in a process group of its own, as a terminal does.
fn start(scene: &Scene) -> Running {
    let mut demo = scene.command(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/run"));
    demo.arg(scene.bin()).env("TMPDIR", scene.dir());
    demo.process_group(0);
    scene.start(demo)
}

/// Waits until the demo has shown a command.
fn await_command(scene: &Scene, demo: &Running, command: &str) {
    scene.wait_until(&format!("the demo shows {command}"), || {
        String::from_utf8_lossy(&demo.stdout()).contains(&format!("\n$ {command}"))
    });
}

/// Interrupts the demo after it has shown a command.
fn interrupt_after(scene: &Scene, command: &str) {
    let demo = start(scene);
    await_command(scene, &demo, command);
    killpg(demo.pid(), Signal::SIGINT).unwrap();
    let outcome = demo.wait();
    assert_eq!(outcome.code(), Some(130), "{outcome:?}");
    assert_nothing_left(scene);
}

fn assert_nothing_left(scene: &Scene) {
    assert_eq!(scene.processes(), []);
    assert_eq!(scene.listing("."), "");
}

compliance! {
    fn it_shows_services_and_leaves_nothing(scene: &Scene) {
        let outcome = start(scene).wait();
        assert_eq!((outcome.code(), outcome.error_text()), (Some(0), String::new()), "{outcome:?}");
        for shown in [
            "service/asleep: down ",
            "service/asleep: up (pid ",
            " seconds, normally down\n",
            " seconds, normally up\n",
            "$ kill -9 ",
            " starting\n",
            "sv/clock/log: supervise not running\n",
        ] {
            assert!(outcome.text().contains(shown), "{shown:?} is not in {outcome:?}");
        }
        assert_nothing_left(scene);
    }

    fn interrupted_as_svscan_starts_it_leaves_nothing(scene: &Scene) {
        interrupt_after(scene, "svscan service &\n");
    }

    fn interrupted_as_services_run_it_leaves_nothing(scene: &Scene) {
        interrupt_after(scene, "kill -9 ");
    }

    fn interrupted_as_it_takes_down_it_leaves_nothing(scene: &Scene) {
        interrupt_after(scene, "svc -dx ");
    }
}
