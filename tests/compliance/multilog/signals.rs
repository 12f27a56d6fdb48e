//! TERM ends multilog after the line that it is reading, ALRM closes the
//! current files.

use nix::sys::signal::Signal::{SIGALRM, SIGTERM};
use testkit::{Running, Sandbox, compliance};

use super::{Feed, contents, files, masked};

compliance!(
    term_ends_at_once_between_lines,
    term_ends_after_the_line_being_read,
    term_in_a_long_line_passes_its_rest_on,
    term_in_a_line_that_never_ends,
    the_next_multilog_goes_on_where_term_ended,
    a_second_term_changes_nothing,
    term_ends_a_multilog_without_directories,
    term_is_heard_though_it_was_ignored_or_blocked,
    alrm_closes_what_is_not_empty,
    alrm_leaves_a_begun_line_for_the_next_file,
    alrm_cuts_a_long_line,
    alrm_counts_what_was_continued,
    alrm_and_term_are_both_heard,
    other_signals_have_their_own_action,
);

fn multilog(sandbox: &Sandbox, words: &[&str]) -> (Running, Feed) {
    let mut command = sandbox.command("multilog");
    command.args(words);
    let (running, feed) = Feed::start(sandbox, command);
    feed.settle(sandbox, &running);
    (running, feed)
}

const FINISHED: &str = "-rw------- 0 lock\n-rw-r--r-- 0 state\n";

fn term_ends_at_once_between_lines(sandbox: &Sandbox) {
    let (running, mut feed) = multilog(sandbox, &["./m"]);
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
    let (running, mut feed) = multilog(sandbox, &["t", "./m", "e"]);
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

fn term_in_a_long_line_passes_its_rest_on(sandbox: &Sandbox) {
    let (running, mut feed) = multilog(sandbox, &["s4096", "./m"]);
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

fn term_in_a_line_that_never_ends(sandbox: &Sandbox) {
    let (running, mut feed) = multilog(sandbox, &["./m"]);
    feed.write("begun");
    feed.settle(sandbox, &running);
    running.signal(SIGTERM);
    feed.settle(sandbox, &running);
    feed.end();
    running.wait().succeeds();
    assert_eq!(sandbox.read("m/current"), b"begun\n");
}

fn the_next_multilog_goes_on_where_term_ended(sandbox: &Sandbox) {
    let (running, mut feed) = multilog(sandbox, &["./m"]);
    feed.write("one");
    feed.settle(sandbox, &running);
    running.signal(SIGTERM);
    feed.settle(sandbox, &running);
    feed.write("\ntwo\nthree");
    running.wait().succeeds();
    sandbox.feed(feed.left(), "multilog ./m").succeeds();
    assert_eq!(sandbox.read("m/current"), b"one\ntwo\nthree\n");
}

fn a_second_term_changes_nothing(sandbox: &Sandbox) {
    let (running, mut feed) = multilog(sandbox, &["./m"]);
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
    let (running, feed) = multilog(sandbox, &[]);
    running.signal(SIGTERM);
    running.wait().succeeds();
    assert_eq!(feed.left(), b"");
}

fn term_is_heard_though_it_was_ignored_or_blocked(sandbox: &Sandbox) {
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
    sandbox.wait_until("the file is closed", || contents(sandbox, "m").len() == 2);
    running.signal(SIGTERM);
    running.wait().succeeds();
}

fn alrm_closes_what_is_not_empty(sandbox: &Sandbox) {
    let (running, mut feed) = multilog(sandbox, &["./a", "-a", "./b", "-*", "./c"]);
    feed.write("a\n");
    feed.settle(sandbox, &running);
    running.signal(SIGALRM);
    sandbox.wait_until("the file is closed", || contents(sandbox, "a").len() == 2);
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

fn alrm_leaves_a_begun_line_for_the_next_file(sandbox: &Sandbox) {
    let (running, mut feed) = multilog(sandbox, &["./m"]);
    feed.write("a\nbegun");
    feed.settle(sandbox, &running);
    running.signal(SIGALRM);
    sandbox.wait_until("the file is closed", || contents(sandbox, "m").len() == 2);
    feed.write(" ended\n");
    feed.end();
    running.wait().succeeds();
    assert_eq!(contents(sandbox, "m"), [&b"a\n"[..], b"begun ended\n"]);
}

fn alrm_cuts_a_long_line(sandbox: &Sandbox) {
    let (running, mut feed) = multilog(sandbox, &["./m"]);
    feed.write("x".repeat(1500));
    feed.settle(sandbox, &running);
    running.signal(SIGALRM);
    sandbox.wait_until("the file is closed", || contents(sandbox, "m").len() == 2);
    feed.write("y\n");
    feed.end();
    running.wait().succeeds();
    assert_eq!(
        contents(sandbox, "m"),
        ["x".repeat(1500).as_bytes(), b"y\n"]
    );
}

fn alrm_counts_what_was_continued(sandbox: &Sandbox) {
    sandbox.feed("old\n", "multilog ./m").succeeds();
    let (running, mut feed) = multilog(sandbox, &["./m"]);
    running.signal(SIGALRM);
    sandbox.wait_until("the file is closed", || contents(sandbox, "m").len() == 2);
    feed.end();
    running.wait().succeeds();
    assert_eq!(contents(sandbox, "m"), [&b"old\n"[..], b""]);
}

fn alrm_and_term_are_both_heard(sandbox: &Sandbox) {
    for first in [SIGALRM, SIGTERM] {
        let (running, mut feed) = multilog(sandbox, &["./m"]);
        feed.write("a\nbegun");
        feed.settle(sandbox, &running);
        running.signal(first);
        feed.settle(sandbox, &running);
        running.signal(if first == SIGALRM { SIGTERM } else { SIGALRM });
        feed.settle(sandbox, &running);
        sandbox.wait_until("the file is closed", || contents(sandbox, "m").len() == 2);
        feed.settle(sandbox, &running);
        feed.write(" ended\nnext\n");
        running.wait().succeeds();
        assert_eq!(contents(sandbox, "m"), [&b"a\n"[..], b"begun ended\n"]);
        assert_eq!(feed.left(), b"next\n");
        sandbox.sh("rm -r m").succeeds();
    }
}

fn other_signals_have_their_own_action(sandbox: &Sandbox) {
    let (running, mut feed) = multilog(sandbox, &["./m"]);
    feed.write("a\n");
    feed.settle(sandbox, &running);
    running.signal(nix::sys::signal::Signal::SIGHUP);
    assert_eq!(running.wait().signal(), Some(1));
    assert_eq!(
        files(sandbox, "m"),
        format!("-rw-r--r-- 2 current\n{FINISHED}")
    );
}
