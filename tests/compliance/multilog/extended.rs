//! The words that 0.76 ignores: `R` rotates by age.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGALRM, SIGTERM};
use testkit::{Running, Scene, Subject, compliance, skip};

use super::{Feed, contents, files, line, masked, sizes};

/// Tests of what the reference has not.
macro_rules! ours {
    ($($(#[$meta:meta])* fn $name:ident($scene:ident: &Scene) $body:block)*) => {
        $(testkit::on_subjects! {
            $(#[$meta])* fn $name($scene) $body
            ours: Ours,
        })*
    };
}

/// `current` with this text, from an earlier writer that ended well.
fn write_finished(scene: &Scene, log: &str, text: &str) {
    scene.write(format!("{log}/current"), text);
    scene.mode(format!("{log}/current"), 0o744);
    scene.write(format!("{log}/state"), "");
}

/// A multilog that waits for input.
fn start(scene: &Scene, words: &[&str]) -> (Running, Feed) {
    let mut command = scene.command("multilog");
    command.args(words);
    let (running, feed) = Feed::start(scene, command);
    feed.settle(scene, &running);
    (running, feed)
}

/// Waits until the program waits for input with an end to its patience, or
/// without one.
#[track_caller]
fn wait_for_patience(scene: &Scene, running: &Running, endless: bool) {
    let call = format!("/proc/{}/syscall", running.pid());
    scene.wait_until("it waits as long as it should", || {
        let call = fs::read_to_string(&call).unwrap();
        // poll of two descriptors, and for how long.
        let mut words = call.split(' ');
        words.next() == Some("7")
            && words.nth(1) == Some("0x2")
            && words.next().unwrap().ends_with("ffffffff") == endless
    });
}

#[track_caller]
fn refuses(scene: &Scene, word: &str, what: &str) {
    let outcome = scene.sh(&format!("multilog '{word}' ./m"));
    let expected = format!("multilog: fatal: {what}\n");
    outcome.is(100, "", expected);
    assert!(!scene.exists("m"), "{word}");
}

compliance! {
    fn without_its_number_r_is_ignored_or_refused(scene: &Scene) {
        for word in ["R", "Rx", "R1d"] {
            let outcome = scene.feed("a\n", &format!("multilog {word} ./m && cat m/current"));
            match scene.subject() {
                Subject::Reference => outcome.prints("a\n"),
                _ => outcome.is(
                    100,
                    "",
                    format!(
                        "multilog: fatal: R takes 0 to 4294967295 seconds, not {}\n",
                        &word[1..]
                    ),
                ),
            };
            scene.sh("rm -rf m").succeeds();
        }
    }
}

ours! {
    fn an_age_out_of_its_range_is_refused_with_the_range(scene: &Scene) {
        for seconds in ["", "-1", "1 ", "4294967296", "18446744073709551617", "1h"] {
            let what = format!("R takes 0 to 4294967295 seconds, not {seconds}");
            refuses(scene, &format!("R{seconds}"), &what);
        }
        for seconds in ["0", "1", "4294967295"] {
            scene.sh(&format!("multilog R{seconds} ./m")).succeeds();
        }
    }

    fn a_file_is_closed_at_its_age_though_nothing_comes(scene: &Scene) {
        let (running, mut feed) = start(scene, &["R1", "./m"]);
        for (number, line) in ["a\n", "b\n"].into_iter().enumerate() {
            feed.write(line);
            scene.wait_until("the file is closed", || contents(scene, "m").len() == number + 2);
        }
        feed.settle(scene, &running);
        assert_eq!(contents(scene, "m"), [&b"a\n"[..], b"b\n", b""]);
        assert_eq!(
            files(scene, "m"),
            "-rwxr--r-- 2 @LABEL.s\n-rwxr--r-- 2 @LABEL.s\n-rw-r--r-- 0 current\n\
             -rw------- 0 lock\n-rw-r--r-- 0 state\n"
        );
        feed.end();
        running.wait().succeeds();
    }

    fn the_first_line_starts_the_clock(scene: &Scene) {
        let (running, mut feed) = start(scene, &["R3600", "./m", "-*", "./n"]);
        wait_for_patience(scene, &running, true);
        // A line that has not ended is not written yet.
        feed.write("a");
        feed.settle(scene, &running);
        wait_for_patience(scene, &running, true);
        feed.write("\n");
        feed.settle(scene, &running);
        wait_for_patience(scene, &running, false);
        running.signal(SIGALRM);
        scene.wait_until("the file is closed", || contents(scene, "m").len() == 2);
        wait_for_patience(scene, &running, true);
        running.signal(SIGTERM);
        running.wait().succeeds();
        assert_eq!(contents(scene, "m"), [&b"a\n"[..], b""]);
    }

    fn what_goes_elsewhere_starts_no_clock(scene: &Scene) {
        let (running, mut feed) = start(scene, &["./m", "-*", "R3600", "./n"]);
        feed.write("a\n");
        feed.settle(scene, &running);
        wait_for_patience(scene, &running, true);
        feed.end();
        running.wait().succeeds();
    }

    fn a_full_file_stops_the_clock(scene: &Scene) {
        let (running, mut feed) = start(scene, &["R3600", "s4096", "./m"]);
        feed.write("a\n");
        feed.settle(scene, &running);
        wait_for_patience(scene, &running, false);
        feed.write(line(4000));
        scene.wait_until("the file is closed", || contents(scene, "m").len() == 2);
        wait_for_patience(scene, &running, true);
        feed.end();
        running.wait().succeeds();
        assert_eq!(sizes(scene, "m"), [4002, 0]);
    }

    fn a_begun_line_is_left_for_the_next_file(scene: &Scene) {
        let (running, mut feed) = start(scene, &["R1", "./m"]);
        feed.write("a\nbegun");
        scene.wait_until("the file is closed", || contents(scene, "m").len() == 2);
        feed.write(" ended\n");
        feed.end();
        running.wait().succeeds();
        // It may be time for the second one too by now.
        assert_eq!(contents(scene, "m")[..2], [&b"a\n"[..], b"begun ended\n"]);
    }

    fn it_closes_while_a_line_ends_after_term(scene: &Scene) {
        let (running, mut feed) = start(scene, &["R1", "./m"]);
        feed.write("a\nbegun");
        feed.settle(scene, &running);
        running.signal(SIGTERM);
        scene.wait_until("the file is closed", || contents(scene, "m").len() == 2);
        feed.write(" ended\nnext\n");
        running.wait().succeeds();
        // It may be time for the second one too by now.
        assert_eq!(contents(scene, "m")[..2], [&b"a\n"[..], b"begun ended\n"]);
        assert_eq!(feed.left(), b"next\n");
    }

    fn each_directory_has_its_own_age(scene: &Scene) {
        let (running, mut feed) = start(scene, &["./a", "R1", "./b", "./c", "R0", "./d"]);
        feed.write("a\n");
        scene.wait_until("the files are closed", || {
            ["b", "c"].iter().all(|log| contents(scene, log).len() == 2)
        });
        wait_for_patience(scene, &running, true);
        feed.end();
        running.wait().succeeds();
        assert_eq!(contents(scene, "a"), [b"a\n"]);
        assert_eq!(contents(scene, "d"), [b"a\n"]);
    }

    fn what_is_closed_goes_through_the_processor(scene: &Scene) {
        write_finished(scene, "m", "@400000003b9aca0a000001f4 old\n");
        scene.sh("multilog R60 '!tr a-z A-Z' ./m </dev/null").succeeds();
        assert_eq!(masked(scene.read("m/current")), "");
        assert_eq!(
            contents(scene, "m"),
            [&b"@400000003B9ACA0A000001F4 OLD\n"[..], b""]
        );
    }

    fn a_restart_does_not_make_a_file_younger_than_its_label(scene: &Scene) {
        for (label, closed) in [
            ("@400000003b9aca0a000001f4 ", true),
            ("@4000000fffffffff00000000 ", false),
            ("@400000003b9aca0a000001f ", false),
            ("", false),
        ] {
            write_finished(scene, "m", &format!("{label}old\n"));
            scene.feed("new\n", "multilog R3600 ./m").succeeds();
            let all = format!("{label}old\nnew\n");
            assert_eq!(contents(scene, "m").concat(), all.as_bytes());
            assert_eq!(contents(scene, "m").len(), 1 + usize::from(closed), "{label}");
            scene.sh("rm -r m").succeeds();
        }
        scene.sh("for n in 1 2 3; do echo $n | multilog t R3600 ./m || exit; done").succeeds();
        assert_eq!(contents(scene, "m").len(), 1);
    }

    fn a_restart_does_not_make_a_file_younger_than_itself(scene: &Scene) {
        scene.feed("old\n", "multilog ./m").succeeds();
        let made = fs::metadata(scene.path("m/current")).unwrap().created();
        let Ok(made) = made else {
            skip("the age of a file", "this file system does not know when it was made");
            return;
        };
        scene.wait_until("the file is old enough", || {
            made.elapsed().is_ok_and(|age| age > Duration::from_secs(1))
        });
        scene.feed("b\n", "multilog R1 ./m").succeeds();
        // It may be time for the second one too by now.
        assert_eq!(contents(scene, "m")[..2], [&b"old\n"[..], b"b\n"]);
    }

    fn an_empty_file_is_not_closed_at_start(scene: &Scene) {
        write_finished(scene, "m", "");
        let (running, mut feed) = start(scene, &["R1", "./m"]);
        wait_for_patience(scene, &running, true);
        feed.end();
        running.wait().succeeds();
        assert_eq!(contents(scene, "m"), [b""]);
    }
}
