use nix::sys::signal::Signal;
use testkit::{Running, Sandbox, compliance};

use super::chain::{is_root, perl};

/// The child's exit code, when a background process keeps a copy of the pipe;
/// its pid is in `pid`.
const BACKGROUND: &str = "exec fghack sh -c 'sleep 1000 & echo $! >pid; exit 7'";

compliance!(
    usage_is_for_a_missing_child,
    a_word_with_a_dash_is_the_child,
    a_signal_is_a_crash,
    it_stays_for_as_long_as_a_background_process,
    it_stays_for_the_child_that_closed_everything,
    a_background_process_that_closes_every_copy_is_not_waited_for,
    one_copy_is_enough,
    what_is_written_to_the_pipe_is_ignored,
    signals_end_it_and_leave_the_child,
    a_stopped_child_is_waited_for,
    a_child_that_nobody_can_wait_for_is_said,
    other_children_of_the_process_are_left_alone,
    a_pipe_that_cannot_be_made_is_said,
    too_few_descriptors_mean_fewer_copies,
    a_fork_that_fails_is_said,
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

fn usage_is_for_a_missing_child(sandbox: &Sandbox) {
    sandbox
        .sh("fghack")
        .is(100, "", "fghack: usage: fghack child\n");
}

fn a_word_with_a_dash_is_the_child(sandbox: &Sandbox) {
    for word in ["-x", "--", "-"] {
        sandbox.sh(&format!("exec fghack {word} true")).is(
            111,
            "",
            format!("fghack: fatal: unable to run {word}: file does not exist\n"),
        );
    }
}

fn a_signal_is_a_crash(sandbox: &Sandbox) {
    for signal in ["HUP", "KILL", "TERM", "SEGV", "ABRT"] {
        sandbox
            .sh(&format!(
                "ulimit -c 0; exec fghack sh -c 'kill -{signal} $$'"
            ))
            .is(111, "", "fghack: fatal: child crashed\n");
    }
}

fn it_stays_for_as_long_as_a_background_process(sandbox: &Sandbox) {
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

fn it_stays_for_the_child_that_closed_everything(sandbox: &Sandbox) {
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

fn a_background_process_that_closes_every_copy_is_not_waited_for(sandbox: &Sandbox) {
    let close = perl("require POSIX; POSIX::close($_) for 3 .. 99; exec @ARGV");
    sandbox
        .sh(&format!(
            "exec fghack sh -c '\"$@\" & exit 9' - {close} sleep 1000"
        ))
        .is(9, "", "");
}

fn one_copy_is_enough(sandbox: &Sandbox) {
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

fn what_is_written_to_the_pipe_is_ignored(sandbox: &Sandbox) {
    sandbox
        .sh("exec fghack sh -c 'head -c 300000 /dev/zero >&4; echo done; exit 5'")
        .is(5, "done\n", "");
}

fn signals_end_it_and_leave_the_child(sandbox: &Sandbox) {
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

fn a_child_that_nobody_can_wait_for_is_said(sandbox: &Sandbox) {
    // A shell would not ignore SIGCHLD when it is told to.
    let ignore = perl("$SIG{CHLD} = \"IGNORE\"; exec @ARGV");
    sandbox.sh(&format!("exec {ignore} fghack true")).is(
        111,
        "",
        "fghack: fatal: wait failed: no child processes\n",
    );
}

fn other_children_of_the_process_are_left_alone(sandbox: &Sandbox) {
    // The shell's child becomes fghack's, and ends first.
    sandbox
        .sh("true & sleep 1000 3>&- & exec fghack sh -c 'exit 6'")
        .is(6, "", "");
}

fn a_pipe_that_cannot_be_made_is_said(sandbox: &Sandbox) {
    sandbox
        .sh("exec 3>&- 4>&- 5>&-; ulimit -n 4; exec fghack true")
        .is(
            111,
            "",
            "fghack: fatal: unable to create pipe: process cannot open more files\n",
        );
}

fn too_few_descriptors_mean_fewer_copies(sandbox: &Sandbox) {
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

fn a_fork_that_fails_is_said(sandbox: &Sandbox) {
    if is_root("fghack without processes to be had") {
        // The limit is counted for the user, and root has none.
        sandbox.sh("exec setpriv --reuid=65533 --regid=65533 --clear-groups sh -c 'ulimit -p 0; exec fghack true'")
            .is(111, "", "fghack: fatal: unable to fork: temporary failure\n");
    }
}
