//! One multilog continues the directory of another; each may be ours or theirs.

use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use testkit::{Sandbox, interop};

use super::{Feed, contents, files, line};

interop!(
    a_clean_directory_is_continued,
    rotation_continues_after_handover,
    killed_loggers_file_is_kept,
    a_kill_in_a_processor_leaves_previous,
    processor_state_survives_handover,
    lock_excludes_the_other_program,
    pipe_handover_loses_no_byte,
    a_status_file_is_taken_over,
);

/// Runs the second multilog on the directory of the first.
fn meet(sandbox: &Sandbox, script: &str, input: impl AsRef<[u8]>) {
    sandbox
        .feed(input, &format!("$THEN/multilog {script}"))
        .succeeds();
}

fn a_clean_directory_is_continued(sandbox: &Sandbox) {
    sandbox.feed("one\n", "multilog ./m").succeeds();
    meet(sandbox, "./m", "two\n");
    assert_eq!(sandbox.read("m/current"), b"one\ntwo\n");
    assert_eq!(
        files(sandbox, "m"),
        "-rwxr--r-- 8 current\n-rw------- 0 lock\n-rw-r--r-- 0 state\n"
    );
}

fn rotation_continues_after_handover(sandbox: &Sandbox) {
    let lines = line(100);
    for n in 0..10 {
        let who = if n % 2 == 0 {
            "multilog"
        } else {
            "$THEN/multilog"
        };
        sandbox
            .feed(lines.repeat(17), &format!("{who} s4096 n3 ./m"))
            .succeeds();
    }
    let sizes: Vec<_> = contents(sandbox, "m").iter().map(Vec::len).collect();
    assert_eq!(sizes, [2200, 2400, 1200]);
}

fn killed_loggers_file_is_kept(sandbox: &Sandbox) {
    let mut command = sandbox.command("multilog");
    command.args(["t", "s4096", "./m"]);
    let (running, mut feed) = Feed::start(sandbox, command);
    feed.write(line(2500));
    feed.settle(sandbox, &running);
    feed.write("second\nbegun");
    feed.settle(sandbox, &running);
    running.signal(SIGKILL);
    assert_eq!(running.wait().signal(), Some(9));
    meet(sandbox, "s4096 ./m", "third\n");
    assert_eq!(
        files(sandbox, "m"),
        "-rwxr--r-- 2526 @LABEL.s\n-rw-r--r-- 33 @LABEL.u\n-rwxr--r-- 6 current\n\
         -rw------- 0 lock\n-rw-r--r-- 0 state\n"
    );
}

fn a_kill_in_a_processor_leaves_previous(sandbox: &Sandbox) {
    // The processor never ends, so the kill hits it halfway.
    let mut command =
        sandbox.shell("exec multilog s4096 '!echo half; echo new >&5; kill -STOP $$' ./m");
    command.env("LC_ALL", "C");
    let (running, mut feed) = Feed::start(sandbox, command);
    feed.write(line(2500));
    sandbox.wait_until("the processor runs", || {
        sandbox.exists("m/newstate") && sandbox.read("m/newstate") == b"new\n"
    });
    running.kill();
    for pid in sandbox.processes() {
        let _ = testkit::kill(pid, SIGKILL);
    }
    assert_eq!(
        files(sandbox, "m"),
        "-rw-r--r-- 0 current\n-rw------- 0 lock\n-rw-r--r-- 4 newstate\n\
         -rwxr--r-- 2500 previous\n-rw-r--r-- 5 processed\n-rw-r--r-- 0 state\n"
    );
    meet(sandbox, "./m", "third\n");
    assert_eq!(
        files(sandbox, "m"),
        "-rwxr--r-- 2500 @LABEL.u\n-rw-r--r-- 0 @LABEL.u\n-rwxr--r-- 6 current\n\
         -rw------- 0 lock\n-rw-r--r-- 0 state\n"
    );
}

fn processor_state_survives_handover(sandbox: &Sandbox) {
    let script = "s4096 '!cat; { cat <&4; echo run; } >&5' ./m";
    sandbox
        .feed(line(2500), &format!("multilog {script}"))
        .succeeds();
    meet(sandbox, script, line(2500));
    assert_eq!(sandbox.read("m/state"), b"run\nrun\n");
}

fn lock_excludes_the_other_program(sandbox: &Sandbox) {
    let mut command = sandbox.command("multilog");
    command.arg("./m");
    let (running, feed) = Feed::start(sandbox, command);
    feed.settle(sandbox, &running);
    sandbox.sh("$THEN/multilog ./m").is(
        111,
        "",
        "multilog: fatal: unable to lock directory ./m: temporary failure\n",
    );
    running.signal(SIGTERM);
    running.wait().succeeds();
    meet(sandbox, "./m", "a\n");
}

fn pipe_handover_loses_no_byte(sandbox: &Sandbox) {
    let mut command = sandbox.command("multilog");
    command.arg("./m");
    let (running, mut feed) = Feed::start(sandbox, command);
    feed.write("one\ntwo");
    feed.settle(sandbox, &running);
    running.signal(SIGTERM);
    feed.settle(sandbox, &running);
    feed.write(" and a half\nthree\nfour");
    running.wait().succeeds();
    meet(sandbox, "./m", feed.left());
    assert_eq!(
        sandbox.read("m/current"),
        b"one\ntwo and a half\nthree\nfour\n"
    );
}

fn a_status_file_is_taken_over(sandbox: &Sandbox) {
    sandbox.feed("long line\n", "multilog =status").succeeds();
    meet(sandbox, "=status", "short\n");
    let mut expected = b"short\n".to_vec();
    expected.resize(1001, b'\n');
    assert_eq!(sandbox.read("status"), expected);
}
