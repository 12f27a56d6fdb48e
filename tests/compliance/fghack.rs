use nix::sys::signal::Signal;
use testkit::{Running, Sandbox, compliance};

use super::chain::perl;

/// The child's exit code, when a background process keeps a copy of the pipe;
/// its pid is in `pid`.
const BACKGROUND: &str = "exec fghack sh -c 'sleep 1000 & echo $! >pid; exit 7'";

compliance!(
    missing_child_prints_usage,
    argument_with_dash_is_the_child,
    child_killed_by_signal_is_a_crash,
    fghack_waits_for_background_process,
    fghack_waits_for_child_without_descriptors,
    daemon_that_closes_all_copies_is_not_awaited,
    one_open_copy_keeps_fghack_waiting,
    data_written_to_pipe_is_ignored,
    signals_end_fghack_and_leave_child,
    a_stopped_child_is_waited_for,
    failing_wait_is_reported,
    inherited_children_are_not_reaped,
    failing_pipe_is_reported,
    descriptor_limit_reduces_copies,
    failing_fork_is_reported,
);

/// Starts a script and waits until the file `pid` has been written.
#[track_caller]
fn start(sandbox: &Sandbox, script: &str) -> Running {
    let running = sandbox.start(sandbox.shell(script));
    let pid = sandbox.path("pid");
    sandbox.wait_until("the pid is written", || {
        std::fs::read(&pid).is_ok_and(|pid| pid.ends_with(b"\n"))
    });
    running
}

fn missing_child_prints_usage(sandbox: &Sandbox) {
    sandbox
        .sh("fghack")
        .is(100, "", "fghack: usage: fghack child\n");
}

fn argument_with_dash_is_the_child(sandbox: &Sandbox) {
    for word in ["-x", "--", "-"] {
        sandbox.sh(&format!("exec fghack {word} true")).is(
            111,
            "",
            format!("fghack: fatal: unable to run {word}: file does not exist\n"),
        );
    }
}

fn child_killed_by_signal_is_a_crash(sandbox: &Sandbox) {
    for signal in ["HUP", "KILL", "TERM", "SEGV", "ABRT"] {
        sandbox
            .sh(&format!(
                "ulimit -c 0; exec fghack sh -c 'kill -{signal} $$'"
            ))
            .is(111, "", "fghack: fatal: child crashed\n");
    }
}

fn fghack_waits_for_background_process(sandbox: &Sandbox) {
    let mut fghack = start(sandbox, BACKGROUND);
    // The child itself is a zombie by now, or will be.
    let children = format!("/proc/{0}/task/{0}/children", fghack.pid());
    sandbox.wait_until("the child ends", || {
        let child = std::fs::read_to_string(&children).unwrap();
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        stat.contains(") Z ")
    });
    assert!(fghack.runs());
    sandbox.sh("kill $(cat pid)").succeeds();
    fghack.wait().is(7, "", "");
}

fn fghack_waits_for_child_without_descriptors(sandbox: &Sandbox) {
    // The pipe ends at once, the child later.
    let close =
        perl("require POSIX; POSIX::close($_) for 3 .. 99; sleep 1 until -e \"go\"; exit 8");
    let mut fghack = start(
        sandbox,
        &format!("exec fghack sh -c 'echo $$ >pid; exec \"$@\"' - {close}"),
    );
    assert!(fghack.runs());
    sandbox.write("go", "");
    fghack.wait().is(8, "", "");
}

fn daemon_that_closes_all_copies_is_not_awaited(sandbox: &Sandbox) {
    let close = perl("require POSIX; POSIX::close($_) for 3 .. 99; exec @ARGV");
    sandbox
        .sh(&format!(
            "exec fghack sh -c '\"$@\" & exit 9' - {close} sleep 1000"
        ))
        .is(9, "", "");
}

fn one_open_copy_keeps_fghack_waiting(sandbox: &Sandbox) {
    for kept in [3, 20, 33] {
        std::fs::write(sandbox.path("pid"), "").unwrap();
        let close = perl(&format!(
            "require POSIX; $_ == {kept} or POSIX::close($_) for 3 .. 99; exec @ARGV"
        ));
        let mut fghack = start(
            sandbox,
            &format!("exec fghack sh -c '\"$@\" & echo $! >pid; exit 9' - {close} sleep 1000"),
        );
        assert!(fghack.runs());
        sandbox.sh("kill $(cat pid)").succeeds();
        fghack.wait().is(9, "", "");
    }
}

fn data_written_to_pipe_is_ignored(sandbox: &Sandbox) {
    sandbox
        .sh("exec fghack sh -c 'head -c 300000 /dev/zero >&4; echo done; exit 5'")
        .is(5, "done\n", "");
}

fn signals_end_fghack_and_leave_child(sandbox: &Sandbox) {
    for signal in [
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGSEGV,
        Signal::SIGPIPE,
        Signal::SIGKILL,
    ] {
        std::fs::write(sandbox.path("pid"), "").unwrap();
        let fghack = start(
            sandbox,
            "ulimit -c 0; exec fghack sh -c 'echo $$ >pid; exec sleep 1000'",
        );
        fghack.signal(signal);
        let outcome = fghack.wait();
        assert_eq!(outcome.signal(), Some(signal as i32), "{outcome:?}");
        sandbox.sh("kill $(cat pid)").succeeds();
    }
}

fn a_stopped_child_is_waited_for(sandbox: &Sandbox) {
    let mut fghack = start(
        sandbox,
        "exec fghack sh -c 'echo $$ >pid; kill -STOP $$; exit 4'",
    );
    let stat = format!(
        "/proc/{}/stat",
        String::from_utf8(sandbox.read("pid")).unwrap().trim()
    );
    sandbox.wait_until("it is stopped", || {
        std::fs::read_to_string(&stat).unwrap().contains(") T ")
    });
    assert!(fghack.runs());
    sandbox.sh("kill -CONT $(cat pid)").succeeds();
    fghack.wait().is(4, "", "");
}

fn failing_wait_is_reported(sandbox: &Sandbox) {
    // A shell cannot set SIGCHLD to ignored.
    let ignore = perl("$SIG{CHLD} = \"IGNORE\"; exec @ARGV");
    sandbox.sh(&format!("exec {ignore} fghack true")).is(
        111,
        "",
        "fghack: fatal: wait failed: no child processes\n",
    );
}

fn inherited_children_are_not_reaped(sandbox: &Sandbox) {
    // The shell's child becomes fghack's, and ends first.
    sandbox
        .sh("true & sleep 1000 3>&- & exec fghack sh -c 'exit 6'")
        .is(6, "", "");
}

fn failing_pipe_is_reported(sandbox: &Sandbox) {
    sandbox
        .sh("exec 3>&- 4>&- 5>&-; ulimit -n 4; exec fghack true")
        .is(
            111,
            "",
            "fghack: fatal: unable to create pipe: process cannot open more files\n",
        );
}

fn descriptor_limit_reduces_copies(sandbox: &Sandbox) {
    // The child is a script, for which the kernel needs no descriptor;
    // its interpreter finds none left for the C library.
    let outcome = sandbox.sh("exec 3>&- 4>&- 5>&-; ulimit -n 9; exec fghack /bin/sh -c true");
    outcome.exits(127);
    assert!(
        outcome
            .error_text()
            .starts_with("/bin/sh: error while loading shared libraries"),
        "{outcome:?}"
    );
}

fn failing_fork_is_reported(sandbox: &Sandbox) {
    if testkit::is_root("fghack without processes to be had") {
        // The limit is counted for the user, and root has none.
        sandbox
            .sh(
                "exec setpriv --reuid=65533 --regid=65533 --clear-groups sh -c 'ulimit -p \
            0; exec fghack true'",
            )
            .is(
                111,
                "",
                "fghack: fatal: unable to fork: temporary failure\n",
            );
    }
}
