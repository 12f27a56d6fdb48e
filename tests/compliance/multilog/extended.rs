//! The words that 0.76 ignores: `R` rotates by age, `S` limits all files
//! together, `w` names what processors make.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGALRM, SIGTERM};
use testkit::{Running, Scene, Subject, compliance, ours, skip};

use super::{Feed, contents, files, line, masked, sizes};

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

/// How a `w` with this is refused.
fn code(not: &str) -> String {
    format!(
        "w takes 1 to 16 letters, digits, dots, hyphens and underscores, and neither u nor t, not {not}"
    )
}

/// The whole bytes that files have in a log, without what is no log.
fn held(scene: &Scene, log: &str) -> usize {
    sizes(scene, log).iter().sum()
}

compliance! {
    fn words_that_cannot_be_understood_are_ignored_or_refused(scene: &Scene) {
        for (word, takes) in [
            ("R", "R takes 0 to 4294967295 seconds, not "),
            ("R1d", "R takes 0 to 4294967295 seconds, not 1d"),
            ("Rest", "R takes 0 to 4294967295 seconds, not est"),
            ("S", "S takes 8192 to 9223372036854775807 bytes for files of 4096, not "),
            ("S10M", "S takes 8192 to 9223372036854775807 bytes for files of 4096, not 10M"),
            ("S1000", "S takes 8192 to 9223372036854775807 bytes for files of 4096, not 1000"),
            ("w", &code("")),
            ("wu", &code("u")),
            ("w/gz", &code("/gz")),
        ] {
            let outcome = scene.feed("a\n", &format!("multilog {word} ./m && cat m/current"));
            match scene.subject() {
                Subject::Reference => outcome.prints("a\n"),
                _ => outcome.is(100, "", format!("multilog: fatal: {takes}\n")),
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

    fn a_limit_out_of_its_range_is_refused_with_the_range(scene: &Scene) {
        for (bytes, size) in [
            ("", 4096),
            ("-1", 4096),
            ("1k", 4096),
            ("8191", 4096),
            ("9223372036854775808", 4096),
            ("18446744073709751616", 4096),
            ("199997", 99_999),
        ] {
            let least = 2 * size;
            let what = format!(
                "S takes {least} to 9223372036854775807 bytes for files of {size}, not {bytes}"
            );
            refuses(scene, &format!("S{bytes}"), &what);
        }
        for words in ["S199998", "S9223372036854775807", "S8192 s4096", "S0"] {
            scene.sh(&format!("multilog {words} ./m")).succeeds();
        }
        scene.sh("multilog s4096 S8192 ./a s4097 ./b").is(
            100,
            "",
            "multilog: fatal: S takes 8194 to 9223372036854775807 bytes for files of 4097, not 8192\n",
        );
        assert!(!scene.exists("a"));
    }

    fn the_oldest_file_goes_when_all_have_more_than_they_may(scene: &Scene) {
        for (limit, more, left) in [
            (12_288, 0, &[4096, 4096, 4096, 0][..]),
            (12_287, 0, &[4096, 4096, 0]),
            (12_287, 2000, &[4096, 4096, 2000]),
            (12_287, 4095, &[4096, 4096, 4095, 0]),
            (12_288, 100, &[4096, 4096, 100]),
            (12_388, 100, &[4096, 4096, 4096, 100]),
            (12_387, 100, &[4096, 4096, 100]),
            (8192, 100, &[4096, 100]),
            (0, 100, &[4096, 4096, 4096, 4096, 4096, 100]),
        ] {
            let mut input = line(20_480);
            if more > 0 {
                input.extend(line(more));
            }
            let script = format!("rm -rf m; multilog s4096 n100 S{limit} ./m");
            scene.feed(&input, &script).succeeds();
            assert_eq!(sizes(scene, "m"), left, "S{limit}, {more} more");
            let text = contents(scene, "m").concat();
            assert!(input.ends_with(&text));
        }
    }

    fn it_goes_as_soon_as_there_is_no_room(scene: &Scene) {
        // It is the right one that goes, though another directory is open too.
        let (running, mut feed) = start(scene, &["s4096", "S8192", "./m", "S0", "./n"]);
        for (input, kept, all) in [
            (line(4096), &[4096, 0][..], &[4096, 0][..]),
            (line(2500), &[4096, 2500, 0], &[4096, 2500, 0]),
            (line(1596), &[4096, 2500, 1596], &[4096, 2500, 1596]),
            (line(1), &[2500, 1597], &[4096, 2500, 1597]),
        ] {
            feed.write(input);
            feed.settle(scene, &running);
            assert_eq!(sizes(scene, "m"), kept);
            assert_eq!(sizes(scene, "n"), all);
        }
        feed.end();
        running.wait().succeeds();
    }

    fn the_limit_holds_at_start(scene: &Scene) {
        scene.feed(line(20_480), "multilog s4096 n100 ./m").succeeds();
        scene.feed("a\n", "multilog s4096 n100 ./m").succeeds();
        assert_eq!(held(scene, "m"), 20_482);
        scene.sh("multilog s4096 n100 S20482 ./m </dev/null").succeeds();
        assert_eq!(held(scene, "m"), 20_482);
        scene.sh("multilog s4096 n100 S12000 ./m </dev/null").succeeds();
        assert_eq!(sizes(scene, "m"), [4096, 4096, 2]);
        scene.sh("multilog s4096 n2 S12000 ./m </dev/null").succeeds();
        assert_eq!(sizes(scene, "m"), [4096, 2]);
    }

    fn current_stays_whatever_it_has(scene: &Scene) {
        write_finished(scene, "m", &"x".repeat(20_000));
        scene.write("m/@400000003b9aca0a000001f4.s", "old\n");
        scene.sh("multilog s4096 S8192 ./m </dev/null").succeeds();
        assert_eq!(sizes(scene, "m"), [20_000]);
    }

    fn what_a_crash_left_counts_once_it_is_old(scene: &Scene) {
        scene.write("m/@400000003b9aca0a000001f4.s", line(8192));
        scene.write("m/current", "left\n");
        scene.sh("multilog s4096 S8192 ./m </dev/null").succeeds();
        assert_eq!(contents(scene, "m"), [&b"left\n"[..], b""]);
        assert!(files(scene, "m").contains("5 @LABEL.u\n"));
    }

    fn of_both_limits_the_one_that_wants_more_gone_counts(scene: &Scene) {
        let input = line(40_960);
        for (words, left) in [("n3 S40000", 2), ("n30 S9000", 2), ("n2 S40000", 1), ("n9 S40000", 8), ("S40000 n30", 9)] {
            scene.feed(&input, &format!("rm -rf m; multilog s4096 {words} ./m")).succeeds();
            assert_eq!(sizes(scene, "m").len(), left + 1, "{words}");
        }
    }

    fn only_old_files_count_and_go(scene: &Scene) {
        let label = "@400000003b9aca0a000001f";
        for name in ["notes", "@notes", label, "state", "lock", "newstate"] {
            scene.write(format!("m/{name}"), line(20_000));
        }
        for name in ["1.u", "2.s", "3.gz", "4", "5.s.bak"] {
            scene.write(format!("m/{label}{name}"), line(4000));
        }
        write_finished(scene, "m", "");
        scene.write("m/state", line(20_000));
        scene.sh("multilog s4096 S12000 ./m </dev/null").succeeds();
        let expected = format!(
            "{label}\n{label}3.gz\n{label}4\n{label}5.s.bak\n@notes\ncurrent\nlock\nnewstate\nnotes\nstate\n"
        );
        scene.sh("LC_ALL=C ls m").prints(expected);
    }

    fn each_directory_has_its_own_limit(scene: &Scene) {
        let script = "multilog s4096 ./a S8192 ./b ./c S0 ./d";
        scene.feed(line(20_480), script).succeeds();
        for (log, left) in [("a", 5), ("b", 2), ("c", 2), ("d", 5)] {
            assert_eq!(sizes(scene, log).len(), left + 1, "{log}");
        }
    }

    fn what_a_processor_makes_counts(scene: &Scene) {
        let script = "multilog s4096 n100 S8192 '!head -c 1000' ./m";
        scene.feed(line(45_056), script).succeeds();
        assert_eq!(sizes(scene, "m"), [1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 0]);
    }

    fn a_code_that_cannot_be_is_refused(scene: &Scene) {
        for not in ["", "u", "t", "/", "g z", "g*", "\u{fc}", "0123456789abcdefg"] {
            refuses(scene, &format!("w{not}"), &code(not));
        }
        for word in ["ws", "wgz", "wlog.gz", "wx-z_9", "w0123456789abcdef"] {
            scene.sh(&format!("multilog {word} ./m")).succeeds();
        }
    }

    fn what_a_processor_made_has_the_code(scene: &Scene) {
        let script = "multilog s4096 wgz '!gzip' ./a ws ./b '!' wx ./c";
        scene.feed(line(4096), script).succeeds();
        for (log, code) in [("a", "gz"), ("b", "s"), ("c", "x")] {
            let size = sizes(scene, log)[0];
            assert_eq!(
                files(scene, log),
                format!(
                    "-rwxr--r-- {size} @LABEL.{code}\n-rwxr--r-- 0 current\n-rw------- 0 lock\n-rw-r--r-- 0 state\n"
                )
            );
        }
        scene.sh("cat a/@*.gz | gunzip").prints(line(4096));
    }

    fn without_a_processor_there_is_nothing_to_name(scene: &Scene) {
        scene.feed(line(4096), "multilog s4096 wgz ./m").succeeds();
        assert!(files(scene, "m").starts_with("-rwxr--r-- 4096 @LABEL.s\n"));
    }

    fn the_code_does_not_matter_to_those_that_go(scene: &Scene) {
        for code in ["s", "gz", "zst", "u.x"] {
            let script = format!("multilog s4096 n3 w{code} '!cat' ./m");
            scene.feed(line(4096), &script).succeeds();
        }
        let names = masked(scene.sh("cd m; ls @*").stdout);
        assert_eq!(names, "@LABEL.zst\n@LABEL.u.x\n");
    }

    fn after_a_crash_what_the_processor_finished_has_the_code(scene: &Scene) {
        // As KILL leaves it: what was processed is whole once it is executable.
        for (mode, kept) in [
            (0o744, "@LABEL.gz PROCESSED\n@LABEL.u current\n"),
            (0o644, "@LABEL.u previous\n@LABEL.u current\n"),
        ] {
            scene.write("m/previous", "previous\n");
            scene.write("m/processed", "PROCESSED\n");
            scene.write("m/current", "current\n");
            scene.mode("m/previous", 0o744);
            scene.mode("m/processed", mode);
            // Even if there is no processor any more.
            for script in ["wgz '!false' ./m", "wgz ./m"] {
                scene.sh(&format!("cp -rp m saved; multilog {script} </dev/null")).succeeds();
                let seen = masked(scene.sh("cd m; for f in @*; do echo $f $(cat $f); done").stdout);
                assert_eq!(seen, kept);
                assert!(!scene.exists("m/processed") && !scene.exists("m/previous"));
                scene.sh("rm -r m; mv saved m").succeeds();
            }
            scene.sh("rm -r m").succeeds();
        }
    }

    fn after_a_crash_what_has_its_name_gets_no_other(scene: &Scene) {
        scene.write("m/@400000003b9aca0a000001f4.gz", "PROCESSED\n");
        scene.sh("ln m/@*.gz m/processed; chmod 744 m/processed").succeeds();
        for script in ["wgz ./m", "wzst ./m", "./m"] {
            scene.sh(&format!("multilog {script} </dev/null; ls m/@*"))
                .prints("m/@400000003b9aca0a000001f4.gz\n");
            assert!(!scene.exists("m/processed"));
            scene.sh("ln m/@*.gz m/processed; rm m/current").succeeds();
        }
    }
}

testkit::ours_is_met! {
    fn the_reference_goes_on_where_these_words_were_used(scene: &Scene) {
        let input = line(12_288);
        scene.feed(&input, "$FIRST/multilog s4096 S100000 R3600 wgz '!cat' ./m").succeeds();
        scene.feed("a\n", "$FIRST/multilog s4096 S100000 R3600 wgz '!cat' ./m").succeeds();
        let names = masked(scene.sh("cd m; ls").stdout);
        assert_eq!(names, "@LABEL.gz\n@LABEL.gz\n@LABEL.gz\ncurrent\nlock\nstate\n");
        scene.feed(line(4094), "$THEN/multilog s4096 n4 ./m").succeeds();
        let names = masked(scene.sh("cd m; ls").stdout);
        assert_eq!(names, "@LABEL.gz\n@LABEL.gz\n@LABEL.s\ncurrent\nlock\nstate\n");
        assert_eq!(sizes(scene, "m"), [4096, 4096, 4096, 0]);
    }
}
