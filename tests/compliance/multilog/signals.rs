//! TERM ends multilog after the line that it is reading, ALRM closes the
//! current files.

use nix::sys::signal::Signal::{SIGALRM, SIGTERM};
use testkit::{Running, Scene, compliance};

use super::{Feed, contents, files, masked};

fn multilog(scene: &Scene, words: &[&str]) -> (Running, Feed) {
    let mut command = scene.command("multilog");
    command.args(words);
    let (running, feed) = Feed::start(scene, command);
    feed.settle(scene, &running);
    (running, feed)
}

const FINISHED: &str = "-rw------- 0 lock\n-rw-r--r-- 0 state\n";

compliance! {
    fn term_ends_at_once_between_lines(scene: &Scene) {
        let (running, mut feed) = multilog(scene, &["./m"]);
        feed.write("a\n");
        feed.settle(scene, &running);
        running.signal(SIGTERM);
        running.wait().succeeds();
        assert_eq!(
            files(scene, "m"),
            format!("-rwxr--r-- 2 current\n{FINISHED}")
        );
        assert_eq!(feed.left(), b"");
    }

    fn term_ends_after_the_line_being_read(scene: &Scene) {
        let (running, mut feed) = multilog(scene, &["t", "./m", "e"]);
        feed.write("a\nbegun");
        feed.settle(scene, &running);
        running.signal(SIGTERM);
        feed.settle(scene, &running);
        feed.write(" en");
        feed.settle(scene, &running);
        feed.write("ded\nnext\npart");
        let outcome = running.wait();
        assert_eq!(masked(outcome.stderr), "@LABEL a\n@LABEL begun ended\n");
        assert_eq!(
            masked(scene.read("m/current")),
            "@LABEL a\n@LABEL begun ended\n"
        );
        assert_eq!(
            files(scene, "m").lines().next(),
            Some("-rwxr--r-- 66 current")
        );
        assert_eq!(feed.left(), b"next\npart");
    }

    fn term_in_a_long_line_passes_its_rest_on(scene: &Scene) {
        let (running, mut feed) = multilog(scene, &["s4096", "./m"]);
        feed.write("x".repeat(5000));
        feed.settle(scene, &running);
        running.signal(SIGTERM);
        feed.settle(scene, &running);
        feed.write("yz");
        feed.settle(scene, &running);
        assert_eq!(
            scene.read("m/current"),
            ["x".repeat(904), "yz".into()].concat().as_bytes()
        );
        feed.write("\nnext\n");
        running.wait().succeeds();
        assert_eq!(contents(scene, "m").concat().len(), 5003);
        assert_eq!(feed.left(), b"next\n");
    }

    fn term_in_a_line_that_never_ends(scene: &Scene) {
        let (running, mut feed) = multilog(scene, &["./m"]);
        feed.write("begun");
        feed.settle(scene, &running);
        running.signal(SIGTERM);
        feed.settle(scene, &running);
        feed.end();
        running.wait().succeeds();
        assert_eq!(scene.read("m/current"), b"begun\n");
    }

    fn the_next_multilog_goes_on_where_term_ended(scene: &Scene) {
        let (running, mut feed) = multilog(scene, &["./m"]);
        feed.write("one");
        feed.settle(scene, &running);
        running.signal(SIGTERM);
        feed.settle(scene, &running);
        feed.write("\ntwo\nthree");
        running.wait().succeeds();
        scene.feed(feed.left(), "multilog ./m").succeeds();
        assert_eq!(scene.read("m/current"), b"one\ntwo\nthree\n");
    }

    fn a_second_term_changes_nothing(scene: &Scene) {
        let (running, mut feed) = multilog(scene, &["./m"]);
        feed.write("begun");
        feed.settle(scene, &running);
        for _ in 0..3 {
            running.signal(SIGTERM);
            feed.settle(scene, &running);
        }
        feed.write(" ended\nnext\n");
        running.wait().succeeds();
        assert_eq!(scene.read("m/current"), b"begun ended\n");
        assert_eq!(feed.left(), b"next\n");
    }

    fn term_ends_a_multilog_without_directories(scene: &Scene) {
        let (running, feed) = multilog(scene, &[]);
        running.signal(SIGTERM);
        running.wait().succeeds();
        assert_eq!(feed.left(), b"");
    }

    fn term_is_heard_though_it_was_ignored_or_blocked(scene: &Scene) {
        let mut command = scene.shell("trap '' TERM ALRM; \
             exec env --block-signal=TERM --block-signal=ALRM $FIRST/multilog ./m");
        command.env("LC_ALL", "C");
        let (running, mut feed) = Feed::start(scene, command);
        feed.write("a\n");
        feed.settle(scene, &running);
        scene.wait_until("the line is logged", || {
            scene.exists("m/current") && scene.read("m/current") == b"a\n"
        });
        running.signal(SIGALRM);
        scene.wait_until("the file is closed", || contents(scene, "m").len() == 2);
        running.signal(SIGTERM);
        running.wait().succeeds();
    }

    fn alrm_closes_what_is_not_empty(scene: &Scene) {
        let (running, mut feed) = multilog(scene, &["./a", "-a", "./b", "-*", "./c"]);
        feed.write("a\n");
        feed.settle(scene, &running);
        running.signal(SIGALRM);
        scene.wait_until("the file is closed", || contents(scene, "a").len() == 2);
        feed.settle(scene, &running);
        assert_eq!(
            files(scene, "a"),
            format!("-rwxr--r-- 2 @LABEL.s\n-rw-r--r-- 0 current\n{FINISHED}")
        );
        assert_eq!(
            files(scene, "b"),
            format!("-rw-r--r-- 0 current\n{FINISHED}")
        );
        assert_eq!(
            files(scene, "c"),
            format!("-rw-r--r-- 0 current\n{FINISHED}")
        );
        running.signal(SIGALRM);
        feed.settle(scene, &running);
        feed.write("b\n");
        feed.settle(scene, &running);
        assert_eq!(contents(scene, "a"), [b"a\n", b"b\n"]);
        feed.end();
        running.wait().succeeds();
    }

    fn alrm_leaves_a_begun_line_for_the_next_file(scene: &Scene) {
        let (running, mut feed) = multilog(scene, &["./m"]);
        feed.write("a\nbegun");
        feed.settle(scene, &running);
        running.signal(SIGALRM);
        scene.wait_until("the file is closed", || contents(scene, "m").len() == 2);
        feed.write(" ended\n");
        feed.end();
        running.wait().succeeds();
        assert_eq!(contents(scene, "m"), [&b"a\n"[..], b"begun ended\n"]);
    }

    fn alrm_cuts_a_long_line(scene: &Scene) {
        let (running, mut feed) = multilog(scene, &["./m"]);
        feed.write("x".repeat(1500));
        feed.settle(scene, &running);
        running.signal(SIGALRM);
        scene.wait_until("the file is closed", || contents(scene, "m").len() == 2);
        feed.write("y\n");
        feed.end();
        running.wait().succeeds();
        assert_eq!(contents(scene, "m"), ["x".repeat(1500).as_bytes(), b"y\n"]);
    }

    fn alrm_counts_what_was_continued(scene: &Scene) {
        scene.feed("old\n", "multilog ./m").succeeds();
        let (running, mut feed) = multilog(scene, &["./m"]);
        running.signal(SIGALRM);
        scene.wait_until("the file is closed", || contents(scene, "m").len() == 2);
        feed.end();
        running.wait().succeeds();
        assert_eq!(contents(scene, "m"), [&b"old\n"[..], b""]);
    }

    fn alrm_and_term_are_both_heard(scene: &Scene) {
        for first in [SIGALRM, SIGTERM] {
            let (running, mut feed) = multilog(scene, &["./m"]);
            feed.write("a\nbegun");
            feed.settle(scene, &running);
            running.signal(first);
            feed.settle(scene, &running);
            running.signal(if first == SIGALRM { SIGTERM } else { SIGALRM });
            feed.settle(scene, &running);
            scene.wait_until("the file is closed", || contents(scene, "m").len() == 2);
            feed.settle(scene, &running);
            feed.write(" ended\nnext\n");
            running.wait().succeeds();
            assert_eq!(contents(scene, "m"), [&b"a\n"[..], b"begun ended\n"]);
            assert_eq!(feed.left(), b"next\n");
            scene.sh("rm -r m").succeeds();
        }
    }

    fn other_signals_have_their_own_action(scene: &Scene) {
        let (running, mut feed) = multilog(scene, &["./m"]);
        feed.write("a\n");
        feed.settle(scene, &running);
        running.signal(nix::sys::signal::Signal::SIGHUP);
        assert_eq!(running.wait().signal(), Some(1));
        assert_eq!(
            files(scene, "m"),
            format!("-rw-r--r-- 2 current\n{FINISHED}")
        );
    }
}
