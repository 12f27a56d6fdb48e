use std::os::unix::fs::{MetadataExt, symlink};

use nix::sys::signal::Signal;
use testkit::{Running, Sandbox, compliance};

const USAGE: &str = "setlock: usage: setlock [ -nNxX ] file program [ arg ... ]\n";

compliance!(
    usage_is_for_missing_arguments,
    bad_option_names_program_as_called,
    options_end_at_two_dashes_or_an_operand,
    file_is_created_with_mode_0600,
    file_is_opened_for_append_and_not_changed,
    child_and_its_children_hold_the_lock,
    lock_ends_with_its_last_holder,
    n_does_not_wait,
    x_is_silent_about_the_lock,
    x_is_silent_about_the_file,
    x_is_not_silent_about_the_child,
    unopenable_file_is_reported,
    anything_that_opens_for_writing_can_be_locked,
    setlock_waits_for_held_lock,
    the_lock_is_one_of_flock,
    signals_end_setlock_while_waiting,
    ignored_and_stop_signals_keep_setlock_waiting,
    removed_file_keeps_waiters_blocked,
    message_goes_to_file_if_stderr_is_closed,
);

/// Starts a program that holds the lock `held` until it is ended.
#[track_caller]
fn hold(sandbox: &Sandbox) -> Running {
    let holder = sandbox.start(sandbox.shell("exec setlock held sh -c '>taken; exec sleep 1000'"));
    sandbox.wait_until("the lock is taken", || sandbox.exists("taken"));
    holder
}

/// Starts a setlock that has to wait for `held`.
#[track_caller]
fn wait(sandbox: &Sandbox, script: &str) -> Running {
    let waiting = sandbox.start(sandbox.shell(script));
    let locks = || std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let waits = format!("-> FLOCK  ADVISORY  WRITE {} ", waiting.pid());
    sandbox.wait_until("the second one waits", || locks().contains(&waits));
    waiting
}

fn usage_is_for_missing_arguments(sandbox: &Sandbox) {
    for script in [
        "setlock",
        "setlock file",
        "setlock -n",
        "setlock -nx file",
        "setlock -- file",
    ] {
        sandbox.sh(script).is(100, "", USAGE);
    }
    assert!(!sandbox.exists("file"));
}

fn bad_option_names_program_as_called(sandbox: &Sandbox) {
    sandbox.sh("setlock -z file true").is(
        100,
        "",
        format!("setlock: illegal option -- z\n{USAGE}"),
    );
    sandbox.sh("setlock -nNxXq file true").is(
        100,
        "",
        format!("setlock: illegal option -- q\n{USAGE}"),
    );
    sandbox.sh("setlock -n-x file true").is(
        100,
        "",
        format!("setlock: illegal option -- -\n{USAGE}"),
    );
    sandbox.sh("setlock -: file true").is(
        100,
        "",
        format!("setlock: illegal option -- :\n{USAGE}"),
    );
    sandbox
        .sh("ln -s $FIRST/setlock other; ./other -z file true")
        .is(100, "", format!("other: illegal option -- z\n{USAGE}"));
    assert!(!sandbox.exists("file"));
}

fn options_end_at_two_dashes_or_an_operand(sandbox: &Sandbox) {
    sandbox
        .sh("exec setlock -n -- -x echo a; echo b")
        .prints("a\n");
    sandbox.sh("exec setlock - echo a").prints("a\n");
    sandbox.sh("exec setlock lock -n").is(
        111,
        "",
        "setlock: fatal: unable to run -n: file does not exist\n",
    );
    for name in ["-x", "-", "lock"] {
        assert!(sandbox.exists(name), "{name}");
    }
}

fn file_is_created_with_mode_0600(sandbox: &Sandbox) {
    sandbox
        .sh("exec setlock lock stat -c '%a %s' lock")
        .prints("600 0\n");
    sandbox
        .sh("umask 777; exec setlock lock2 stat -c '%a %s' lock2")
        .prints("0 0\n");
}

fn file_is_opened_for_append_and_not_changed(sandbox: &Sandbox) {
    sandbox.write("lock", "content\n");
    sandbox.mode("lock", 0o640);
    let before = std::fs::metadata(sandbox.path("lock")).unwrap();
    // 3 is O_APPEND and O_WRONLY; O_NONBLOCK is still set as well.
    let flags = sandbox.sh("exec 3>&-; exec setlock lock grep flags /proc/self/fdinfo/3");
    let wanted =
        nix::fcntl::OFlag::O_APPEND | nix::fcntl::OFlag::O_WRONLY | nix::fcntl::OFlag::O_NONBLOCK;
    let shown = i32::from_str_radix(flags.text().trim_start_matches("flags:").trim(), 8).unwrap();
    let kept = nix::fcntl::OFlag::from_bits_retain(shown) & (wanted | nix::fcntl::OFlag::O_CLOEXEC);
    assert_eq!(kept, wanted, "{flags:?}");
    let after = std::fs::metadata(sandbox.path("lock")).unwrap();
    assert_eq!(sandbox.read("lock"), b"content\n");
    assert_eq!(
        (before.ino(), before.mtime_nsec(), before.mode()),
        (after.ino(), after.mtime_nsec(), after.mode())
    );
}

fn child_and_its_children_hold_the_lock(sandbox: &Sandbox) {
    sandbox.sh("setlock lock sh -c 'setlock -n lock true'").is(
        111,
        "",
        "setlock: fatal: unable to lock lock: temporary failure\n",
    );
    let mut later = sandbox
        .start(sandbox.shell("exec setlock lock sh -c 'sleep 1000 >&- 2>&- & echo $! >pid'"));
    sandbox.wait_until("the child ends", || !later.runs());
    sandbox.sh("setlock -n lock true").is(
        111,
        "",
        "setlock: fatal: unable to lock lock: temporary failure\n",
    );
    sandbox.sh("kill $(cat pid)").succeeds();
    // The kernel frees the lock a moment after the signal.
    sandbox.sh("exec setlock lock echo free").prints("free\n");
}

fn lock_ends_with_its_last_holder(sandbox: &Sandbox) {
    sandbox
        .sh("setlock lock true; setlock -n lock echo free")
        .prints("free\n");
}

fn n_does_not_wait(sandbox: &Sandbox) {
    let _holder = hold(sandbox);
    for options in ["-n", "-nX", "-Nn", "-x -X -n"] {
        sandbox
            .sh(&format!("exec setlock {options} held echo ran"))
            .is(
                111,
                "",
                "setlock: fatal: unable to lock held: temporary failure\n",
            );
    }
}

fn x_is_silent_about_the_lock(sandbox: &Sandbox) {
    let _holder = hold(sandbox);
    for options in ["-nx", "-x -n", "-Xx -Nn"] {
        sandbox
            .sh(&format!("exec setlock {options} held echo ran"))
            .succeeds();
    }
}

fn x_is_silent_about_the_file(sandbox: &Sandbox) {
    for file in [".", "no/lock", "''"] {
        sandbox
            .sh(&format!("exec setlock -x {file} echo ran"))
            .succeeds();
    }
}

fn x_is_not_silent_about_the_child(sandbox: &Sandbox) {
    sandbox.sh("exec setlock -x lock nope").is(
        111,
        "",
        "setlock: fatal: unable to run nope: file does not exist\n",
    );
    sandbox.sh("exec setlock -x lock").is(100, "", USAGE);
}

fn unopenable_file_is_reported(sandbox: &Sandbox) {
    sandbox.write("file", "");
    symlink("loop", sandbox.path("loop")).unwrap();
    sandbox.sh("mkfifo fifo").succeeds();
    for (file, wording) in [
        ("no/lock", "file does not exist"),
        (".", "is a directory"),
        ("file/lock", "not a directory"),
        ("loop", "symbolic link loop"),
        // The FIFO has no reader, and open does not block.
        ("fifo", "device not configured"),
    ] {
        sandbox.sh(&format!("exec setlock {file} echo ran")).is(
            111,
            "",
            format!("setlock: fatal: unable to open {file}: {wording}\n"),
        );
    }
    sandbox.sh("exec setlock '' echo ran").is(
        111,
        "",
        "setlock: fatal: unable to open : file does not exist\n",
    );
}

fn anything_that_opens_for_writing_can_be_locked(sandbox: &Sandbox) {
    sandbox
        .sh("exec setlock /dev/null echo ran")
        .prints("ran\n");
    sandbox
        .sh("mkfifo fifo; exec setlock fifo echo ran 4<>fifo")
        .prints("ran\n");
    symlink("target", sandbox.path("link")).unwrap();
    sandbox.sh("exec setlock link test -f target").succeeds();
}

fn setlock_waits_for_held_lock(sandbox: &Sandbox) {
    let holder = hold(sandbox);
    let waiting = wait(sandbox, "exec setlock held echo mine");
    assert_eq!(waiting.stdout(), b"");
    holder.signal(Signal::SIGTERM);
    waiting.wait().prints("mine\n");
}

fn the_lock_is_one_of_flock(sandbox: &Sandbox) {
    let _holder = hold(sandbox);
    sandbox.sh("flock -n held echo ran").is(1, "", "");
    sandbox.sh("flock other setlock -n other echo ran").is(
        111,
        "",
        "setlock: fatal: unable to lock other: temporary failure\n",
    );
}

fn signals_end_setlock_while_waiting(sandbox: &Sandbox) {
    let _holder = hold(sandbox);
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGPIPE,
        Signal::SIGALRM,
        Signal::SIGTERM,
        Signal::SIGUSR1,
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGKILL,
    ] {
        let waiting = wait(sandbox, "ulimit -c 0; exec setlock held echo mine");
        waiting.signal(signal);
        let outcome = waiting.wait();
        assert_eq!(outcome.signal(), Some(signal as i32), "{outcome:?}");
        assert_eq!(
            (outcome.text(), outcome.error_text()),
            (String::new(), String::new())
        );
    }
}

fn ignored_and_stop_signals_keep_setlock_waiting(sandbox: &Sandbox) {
    let holder = hold(sandbox);
    let waiting = wait(
        sandbox,
        "trap '' TERM PIPE SEGV; exec setlock held echo mine",
    );
    for signal in [
        Signal::SIGTERM,
        Signal::SIGPIPE,
        Signal::SIGSEGV,
        Signal::SIGCHLD,
        Signal::SIGWINCH,
        Signal::SIGSTOP,
    ] {
        waiting.signal(signal);
    }
    let state = format!("/proc/{}/stat", waiting.pid());
    sandbox.wait_until("it is stopped", || {
        std::fs::read_to_string(&state).unwrap().contains(") T ")
    });
    waiting.signal(Signal::SIGCONT);
    holder.signal(Signal::SIGTERM);
    waiting.wait().prints("mine\n");
}

fn removed_file_keeps_waiters_blocked(sandbox: &Sandbox) {
    let holder = hold(sandbox);
    let waiting = wait(sandbox, "exec setlock held echo mine");
    std::fs::remove_file(sandbox.path("held")).unwrap();
    sandbox
        .sh("exec setlock -n held echo another")
        .prints("another\n");
    holder.signal(Signal::SIGTERM);
    waiting.wait().prints("mine\n");
}

fn message_goes_to_file_if_stderr_is_closed(sandbox: &Sandbox) {
    sandbox.write("lock", "before\n");
    sandbox.sh("exec setlock lock nope 2>&-").is(111, "", "");
    assert_eq!(
        sandbox.read("lock"),
        b"before\nsetlock: fatal: unable to run nope: file does not exist\n"
    );
    let _holder = hold(sandbox);
    sandbox.sh("exec setlock -n held nope 2>&-").is(111, "", "");
    assert_eq!(
        sandbox.read("held"),
        b"setlock: fatal: unable to lock held: temporary failure\n"
    );
}
