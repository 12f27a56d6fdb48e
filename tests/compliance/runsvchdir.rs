use testkit::{Outcome, Sandbox, compliance};

use super::chain::{injected, not_shown};

const PLACE: &str = "/etc/runit/runsvdir";

compliance!(
    usage_names_program_as_called,
    current_is_switched_and_previous_kept,
    current_directory_is_not_switched_again,
    leftover_link_is_replaced,
    unusable_directory_is_reported,
    failing_call_is_reported,
);

/// Runs a script with /etc/runit/runsvdir replaced by the sandbox's directories
/// `one` and `two` and the link `current` to `one`. None if mounting is not
/// permitted.
fn here(sandbox: &Sandbox, script: &str) -> Option<Outcome> {
    let can = sandbox.sh(&format!("exec unshare -m sh -c 'mount --bind . {PLACE}'"));
    if can.code() != Some(0) {
        not_shown("runsvchdir in a mount namespace");
        return None;
    }
    sandbox
        .sh("rm -rf one two current* previous; mkdir one two; ln -s one current")
        .succeeds();
    Some(sandbox.sh(&format!(
        "exec unshare -m sh -c 'mount --bind . {PLACE} || exit 99; {script}'"
    )))
}

/// The links, each as `name -> target`.
fn links(sandbox: &Sandbox) -> String {
    sandbox
        .sh("find . -type l -printf '%P -> %l\\n' | LC_ALL=C sort")
        .text()
}

fn usage_names_program_as_called(sandbox: &Sandbox) {
    sandbox
        .sh("runsvchdir")
        .is(1, "", "usage: runsvchdir dir\n\n");
    sandbox
        .sh("ln -s $(readlink -f $(command -v runsvchdir)) x; ./x; ./x .y")
        .is(
            111,
            "",
            "usage: ./x dir\n\n./x: fatal: .y: must not start with a dot.\n",
        );
}

fn current_is_switched_and_previous_kept(sandbox: &Sandbox) {
    if let Some(outcome) = here(sandbox, "runsvchdir two ignored") {
        outcome.prints("runsvchdir: two: now current.\n");
        assert_eq!(links(sandbox), "current -> two\nprevious -> one\n");
    }
    if let Some(outcome) = here(sandbox, "runsvchdir two; runsvchdir one/; runsvchdir /tmp") {
        outcome.prints(
            "runsvchdir: two: now current.\nrunsvchdir: one/: now current.\n\
             runsvchdir: /tmp: now current.\n",
        );
        assert_eq!(links(sandbox), "current -> /tmp\nprevious -> one/\n");
    }
}

fn current_directory_is_not_switched_again(sandbox: &Sandbox) {
    if let Some(outcome) = here(sandbox, "runsvchdir one; runsvchdir $PWD/one") {
        let dir = sandbox.dir();
        outcome.prints(format!(
            "runsvchdir: one: current.\nrunsvchdir: {}/one: current.\n",
            dir.display()
        ));
        assert_eq!(links(sandbox), "current -> one\n");
    }
}

fn leftover_link_is_replaced(sandbox: &Sandbox) {
    if let Some(outcome) = here(
        sandbox,
        "ln -s x current.new; ln -s y previous; runsvchdir two",
    ) {
        outcome.prints("runsvchdir: two: now current.\n");
        assert_eq!(links(sandbox), "current -> two\nprevious -> one\n");
    }
}

fn unusable_directory_is_reported(sandbox: &Sandbox) {
    for (setup, directory, message) in [
        (":", "nope", "nope: file does not exist"),
        (":", ".", ".: must not start with a dot."),
        (":", "\"\"", ": file does not exist"),
        ("echo >file", "file", "filenot a directory."),
        (
            "ln -s loop loop",
            "loop",
            "unable to stat: loop: symbolic link loop",
        ),
        (
            "rm current",
            "two",
            "unable to stat: current: file does not exist",
        ),
        (
            "mkdir current.new",
            "two",
            "unable to unlink: current.new: is a directory",
        ),
        (
            "mkdir previous",
            "two",
            "unable to unlink: previous: is a directory",
        ),
    ] {
        if let Some(outcome) = here(sandbox, &format!("{setup}; runsvchdir {directory}")) {
            outcome.is(111, "", format!("runsvchdir: fatal: {message}\n"));
        }
    }
}

fn failing_call_is_reported(sandbox: &Sandbox) {
    for (call, when, message) in [
        ("chdir", "1", "unable to chdir: /etc/runit/runsvdir"),
        ("unlink,unlinkat", "1", "unable to unlink: current.new"),
        ("unlink,unlinkat", "2", "unable to unlink: previous"),
        (
            "symlink,symlinkat",
            "1",
            "unable to create: current.new -> two",
        ),
        (
            "rename,renameat",
            "1",
            "unable to copy: current to previous",
        ),
        (
            "rename,renameat",
            "2",
            "unable to move: current.new to current",
        ),
    ] {
        let Some(strace) = injected(call, "EIO", when) else {
            return;
        };
        if let Some(outcome) = here(sandbox, &format!("{strace} runsvchdir two")) {
            outcome.is(
                111,
                "",
                format!("runsvchdir: fatal: {message}: input/output error\n"),
            );
        }
    }
}
