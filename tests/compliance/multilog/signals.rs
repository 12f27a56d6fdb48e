//! TERM ends multilog after the line that it is reading, ALRM closes the
//! current files.

use nix::sys::signal::Signal::{SIGALRM, SIGTERM};
use testkit::{Sandbox, compliance};

use super::{Feed, contents, count, files, masked, start};

compliance!(
    term_ends_at_once_between_lines,
    term_ends_after_the_line_being_read,
    term_in_long_line_leaves_rest_in_pipe,
    term_waits_for_end_of_unfinished_line,
    next_multilog_continues_after_term,
    second_term_changes_nothing,
    term_ends_a_multilog_without_directories,
    term_works_if_inherited_ignored_or_blocked,
    alrm_closes_nonempty_current,
    alrm_moves_partial_line_to_next_file,
    alrm_cuts_a_long_line,
    alrm_closes_continued_current,
    alrm_and_term_both_take_effect,
    other_signals_have_their_own_action,
);

const FINISHED: &str = "-rw------- 0 lock\n-rw-r--r-- 0 state\n";

fn term_ends_at_once_between_lines(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["./m"]);
    feed.write("a\n");
    feed.settle(sandbox, &running);
    running.signal(SIGTERM);
    running.wait().succeeds();
    assert_eq!(
        files(sandbox, "m"),
        format!("-rwxr--r-- 2 current\n{FINISHED}")
    );
    assert_eq!(feed.left(), b"");
}

fn term_ends_after_the_line_being_read(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["t", "./m", "e"]);
    feed.write("a\nbegun");
    feed.settle(sandbox, &running);
    running.signal(SIGTERM);
    feed.settle(sandbox, &running);
    feed.write(" en");
    feed.settle(sandbox, &running);
    feed.write("ded\nnext\npart");
    let outcome = running.wait();
    assert_eq!(masked(outcome.stderr), "@LABEL a\n@LABEL begun ended\n");
    assert_eq!(
        masked(sandbox.read("m/current")),
        "@LABEL a\n@LABEL begun ended\n"
    );
    assert_eq!(
        files(sandbox, "m").lines().next(),
        Some("-rwxr--r-- 66 current")
    );
    assert_eq!(feed.left(), b"next\npart");
}

fn term_in_long_line_leaves_rest_in_pipe(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["s4096", "./m"]);
    feed.write("x".repeat(5000));
    feed.settle(sandbox, &running);
    running.signal(SIGTERM);
    feed.settle(sandbox, &running);
    feed.write("yz");
    feed.settle(sandbox, &running);
    assert_eq!(
        sandbox.read("m/current"),
        ["x".repeat(904), "yz".into()].concat().as_bytes()
    );
    feed.write("\nnext\n");
    running.wait().succeeds();
    assert_eq!(contents(sandbox, "m").concat().len(), 5003);
    assert_eq!(feed.left(), b"next\n");
}

fn term_waits_for_end_of_unfinished_line(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["./m"]);
    feed.write("begun");
    feed.settle(sandbox, &running);
    running.signal(SIGTERM);
    feed.settle(sandbox, &running);
    feed.end();
    running.wait().succeeds();
    assert_eq!(sandbox.read("m/current"), b"begun\n");
}

fn next_multilog_continues_after_term(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["./m"]);
    feed.write("one");
    feed.settle(sandbox, &running);
    running.signal(SIGTERM);
    feed.settle(sandbox, &running);
    feed.write("\ntwo\nthree");
    running.wait().succeeds();
    sandbox.feed(feed.left(), "multilog ./m").succeeds();
    assert_eq!(sandbox.read("m/current"), b"one\ntwo\nthree\n");
}

fn second_term_changes_nothing(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["./m"]);
    feed.write("begun");
    feed.settle(sandbox, &running);
    for _ in 0..3 {
        running.signal(SIGTERM);
        feed.settle(sandbox, &running);
    }
    feed.write(" ended\nnext\n");
    running.wait().succeeds();
    assert_eq!(sandbox.read("m/current"), b"begun ended\n");
    assert_eq!(feed.left(), b"next\n");
}

fn term_ends_a_multilog_without_directories(sandbox: &Sandbox) {
    let (running, feed) = start(sandbox, &[]);
    running.signal(SIGTERM);
    running.wait().succeeds();
    assert_eq!(feed.left(), b"");
}

fn term_works_if_inherited_ignored_or_blocked(sandbox: &Sandbox) {
    let mut command = sandbox.shell(
        "trap '' TERM ALRM; \
         exec env --block-signal=TERM --block-signal=ALRM $FIRST/multilog ./m",
    );
    command.env("LC_ALL", "C");
    let (running, mut feed) = Feed::start(sandbox, command);
    feed.write("a\n");
    feed.settle(sandbox, &running);
    sandbox.wait_until("the line is logged", || {
        sandbox.exists("m/current") && sandbox.read("m/current") == b"a\n"
    });
    running.signal(SIGALRM);
    sandbox.wait_until("the file is closed", || count(sandbox, "m") == 2);
    feed.settle(sandbox, &running);
    running.signal(SIGTERM);
    running.wait().succeeds();
}

fn alrm_closes_nonempty_current(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["./a", "-a", "./b", "-*", "./c"]);
    feed.write("a\n");
    feed.settle(sandbox, &running);
    running.signal(SIGALRM);
    sandbox.wait_until("the file is closed", || count(sandbox, "a") == 2);
    feed.settle(sandbox, &running);
    assert_eq!(
        files(sandbox, "a"),
        format!("-rwxr--r-- 2 @LABEL.s\n-rw-r--r-- 0 current\n{FINISHED}")
    );
    assert_eq!(
        files(sandbox, "b"),
        format!("-rw-r--r-- 0 current\n{FINISHED}")
    );
    assert_eq!(
        files(sandbox, "c"),
        format!("-rw-r--r-- 0 current\n{FINISHED}")
    );
    running.signal(SIGALRM);
    feed.settle(sandbox, &running);
    feed.write("b\n");
    feed.settle(sandbox, &running);
    assert_eq!(contents(sandbox, "a"), [b"a\n", b"b\n"]);
    feed.end();
    running.wait().succeeds();
}

fn alrm_moves_partial_line_to_next_file(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["./m"]);
    feed.write("a\nbegun");
    feed.settle(sandbox, &running);
    running.signal(SIGALRM);
    sandbox.wait_until("the file is closed", || count(sandbox, "m") == 2);
    feed.write(" ended\n");
    feed.end();
    running.wait().succeeds();
    assert_eq!(contents(sandbox, "m"), [&b"a\n"[..], b"begun ended\n"]);
}

fn alrm_cuts_a_long_line(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["./m"]);
    feed.write("x".repeat(1500));
    feed.settle(sandbox, &running);
    running.signal(SIGALRM);
    sandbox.wait_until("the file is closed", || count(sandbox, "m") == 2);
    feed.write("y\n");
    feed.end();
    running.wait().succeeds();
    assert_eq!(
        contents(sandbox, "m"),
        ["x".repeat(1500).as_bytes(), b"y\n"]
    );
}

fn alrm_closes_continued_current(sandbox: &Sandbox) {
    sandbox.feed("old\n", "multilog ./m").succeeds();
    let (running, mut feed) = start(sandbox, &["./m"]);
    running.signal(SIGALRM);
    sandbox.wait_until("the file is closed", || count(sandbox, "m") == 2);
    feed.end();
    running.wait().succeeds();
    assert_eq!(contents(sandbox, "m"), [&b"old\n"[..], b""]);
}

fn alrm_and_term_both_take_effect(sandbox: &Sandbox) {
    for first in [SIGALRM, SIGTERM] {
        let (running, mut feed) = start(sandbox, &["./m"]);
        feed.write("a\nbegun");
        feed.settle(sandbox, &running);
        running.signal(first);
        feed.settle(sandbox, &running);
        running.signal(if first == SIGALRM { SIGTERM } else { SIGALRM });
        feed.settle(sandbox, &running);
        sandbox.wait_until("the file is closed", || count(sandbox, "m") == 2);
        feed.settle(sandbox, &running);
        feed.write(" ended\nnext\n");
        running.wait().succeeds();
        assert_eq!(contents(sandbox, "m"), [&b"a\n"[..], b"begun ended\n"]);
        assert_eq!(feed.left(), b"next\n");
        sandbox.sh("rm -r m").succeeds();
    }
}

fn other_signals_have_their_own_action(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["./m"]);
    feed.write("a\n");
    feed.settle(sandbox, &running);
    running.signal(nix::sys::signal::Signal::SIGHUP);
    assert_eq!(running.wait().signal(), Some(1));
    assert_eq!(
        files(sandbox, "m"),
        format!("-rw-r--r-- 2 current\n{FINISHED}")
    );
}
