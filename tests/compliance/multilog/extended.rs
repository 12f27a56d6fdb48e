//! The extended words, which 0.76 ignores: `R` rotates by age, `S` limits the
//! size of all files, `w` adds a suffix to processed files.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGALRM, SIGTERM};
use testkit::{Running, Sandbox, Subject, compliance, ours, skip, theirs_on_ours};

use super::{contents, count, files, line, masked, sizes, start};

compliance!(unknown_words_are_ignored_or_refused);

ours!(
    age_out_of_range_is_refused_with_range,
    file_is_closed_at_age_without_input,
    first_line_arms_age_timer,
    unselected_line_does_not_arm_age_timer,
    rotation_by_size_disarms_age_timer,
    partial_line_moves_to_next_file,
    age_closes_file_while_term_waits_for_line,
    directories_have_separate_ages,
    file_closed_by_age_is_processed,
    restart_keeps_age_from_label,
    restart_keeps_age_of_current,
    an_empty_file_is_not_closed_at_start,
    limit_out_of_range_is_refused_with_range,
    oldest_file_is_removed_above_size_limit,
    oldest_file_is_removed_when_limit_is_reached,
    the_limit_holds_at_start,
    size_limit_never_removes_current,
    crash_leftover_counts_once_old,
    stricter_of_two_limits_applies,
    only_old_files_count_and_are_removed,
    directories_have_separate_limits,
    processor_output_counts_in_limit,
    invalid_suffix_is_refused,
    processor_output_has_suffix,
    suffix_without_processor_is_ignored,
    removal_ignores_suffixes,
    processed_file_has_suffix_after_crash,
    renamed_file_keeps_name_after_crash,
);

theirs_on_ours!(reference_continues_extended_directory);

/// `current` with this text, from an earlier writer that ended well.
fn write_finished(sandbox: &Sandbox, log: &str, text: &str) {
    sandbox.write(format!("{log}/current"), text);
    sandbox.mode(format!("{log}/current"), 0o744);
    sandbox.write(format!("{log}/state"), "");
}

/// Waits until the program polls its input, with or without a timeout.
#[track_caller]
fn wait_for_patience(sandbox: &Sandbox, running: &Running, endless: bool) {
    let call = format!("/proc/{}/syscall", running.pid());
    sandbox.wait_until("it waits as long as it should", || {
        let call = fs::read_to_string(&call).unwrap();
        // poll of two descriptors, and for how long.
        let mut words = call.split(' ');
        words.next() == Some("7")
            && words.nth(1) == Some("0x2")
            && words.next().unwrap().ends_with("ffffffff") == endless
    });
}

#[track_caller]
fn refuses(sandbox: &Sandbox, word: &str, what: &str) {
    let outcome = sandbox.sh(&format!("multilog '{word}' ./m"));
    let expected = format!("multilog: fatal: {what}\n");
    outcome.is(100, "", expected);
    assert!(!sandbox.exists("m"), "{word}");
}

/// How a `w` with this is refused.
fn code(not: &str) -> String {
    format!(
        "w takes 1 to 16 letters, digits, dots, hyphens and underscores, and neither u nor t, \
            not {not}"
    )
}

/// The size of all files of a log; other files do not count.
fn held(sandbox: &Sandbox, log: &str) -> usize {
    sizes(sandbox, log).iter().sum()
}

fn unknown_words_are_ignored_or_refused(sandbox: &Sandbox) {
    for (word, takes) in [
        ("R", "R takes 0 to 4294967295 seconds, not "),
        ("R1d", "R takes 0 to 4294967295 seconds, not 1d"),
        ("Rest", "R takes 0 to 4294967295 seconds, not est"),
        (
            "S",
            "S takes 8192 to 9223372036854775807 bytes for files of 4096, not ",
        ),
        (
            "S10M",
            "S takes 8192 to 9223372036854775807 bytes for files of 4096, not 10M",
        ),
        (
            "S1000",
            "S takes 8192 to 9223372036854775807 bytes for files of 4096, not 1000",
        ),
        ("w", &code("")),
        ("wu", &code("u")),
        ("w/gz", &code("/gz")),
    ] {
        let outcome = sandbox.feed("a\n", &format!("multilog {word} ./m && cat m/current"));
        match sandbox.subject() {
            Subject::Reference => outcome.prints("a\n"),
            _ => outcome.is(100, "", format!("multilog: fatal: {takes}\n")),
        };
        sandbox.sh("rm -rf m").succeeds();
    }
}

fn age_out_of_range_is_refused_with_range(sandbox: &Sandbox) {
    for seconds in ["", "-1", "1 ", "4294967296", "18446744073709551617", "1h"] {
        let what = format!("R takes 0 to 4294967295 seconds, not {seconds}");
        refuses(sandbox, &format!("R{seconds}"), &what);
    }
    for seconds in ["0", "1", "4294967295"] {
        sandbox.sh(&format!("multilog R{seconds} ./m")).succeeds();
    }
}

fn file_is_closed_at_age_without_input(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["R1", "./m"]);
    for (number, line) in ["a\n", "b\n"].into_iter().enumerate() {
        feed.write(line);
        sandbox.wait_until("the file is closed", || count(sandbox, "m") == number + 2);
    }
    feed.settle(sandbox, &running);
    assert_eq!(contents(sandbox, "m"), [&b"a\n"[..], b"b\n", b""]);
    assert_eq!(
        files(sandbox, "m"),
        "-rwxr--r-- 2 @LABEL.s\n-rwxr--r-- 2 @LABEL.s\n-rw-r--r-- 0 current\n\
         -rw------- 0 lock\n-rw-r--r-- 0 state\n"
    );
    feed.end();
    running.wait().succeeds();
}

fn first_line_arms_age_timer(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["R3600", "./m", "-*", "./n"]);
    wait_for_patience(sandbox, &running, true);
    // A line that has not ended is not written yet.
    feed.write("a");
    feed.settle(sandbox, &running);
    wait_for_patience(sandbox, &running, true);
    feed.write("\n");
    feed.settle(sandbox, &running);
    wait_for_patience(sandbox, &running, false);
    running.signal(SIGALRM);
    sandbox.wait_until("the file is closed", || count(sandbox, "m") == 2);
    wait_for_patience(sandbox, &running, true);
    running.signal(SIGTERM);
    running.wait().succeeds();
    assert_eq!(contents(sandbox, "m"), [&b"a\n"[..], b""]);
}

fn unselected_line_does_not_arm_age_timer(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["./m", "-*", "R3600", "./n"]);
    feed.write("a\n");
    feed.settle(sandbox, &running);
    wait_for_patience(sandbox, &running, true);
    feed.end();
    running.wait().succeeds();
}

fn rotation_by_size_disarms_age_timer(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["R3600", "s4096", "./m"]);
    feed.write("a\n");
    feed.settle(sandbox, &running);
    wait_for_patience(sandbox, &running, false);
    feed.write(line(4000));
    sandbox.wait_until("the file is closed", || count(sandbox, "m") == 2);
    wait_for_patience(sandbox, &running, true);
    feed.end();
    running.wait().succeeds();
    assert_eq!(sizes(sandbox, "m"), [4002, 0]);
}

fn partial_line_moves_to_next_file(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["R1", "./m"]);
    feed.write("a\nbegun");
    sandbox.wait_until("the file is closed", || count(sandbox, "m") == 2);
    feed.write(" ended\n");
    feed.end();
    running.wait().succeeds();
    // The age of the second file may have been reached, too.
    assert_eq!(contents(sandbox, "m")[..2], [&b"a\n"[..], b"begun ended\n"]);
}

fn age_closes_file_while_term_waits_for_line(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["R1", "./m"]);
    feed.write("a\nbegun");
    feed.settle(sandbox, &running);
    running.signal(SIGTERM);
    sandbox.wait_until("the file is closed", || count(sandbox, "m") == 2);
    feed.write(" ended\nnext\n");
    running.wait().succeeds();
    // The age of the second file may have been reached, too.
    assert_eq!(contents(sandbox, "m")[..2], [&b"a\n"[..], b"begun ended\n"]);
    assert_eq!(feed.left(), b"next\n");
}

fn directories_have_separate_ages(sandbox: &Sandbox) {
    let (running, mut feed) = start(sandbox, &["./a", "R1", "./b", "./c", "R0", "./d"]);
    feed.write("a\n");
    sandbox.wait_until("the files are closed", || {
        ["b", "c"].iter().all(|log| count(sandbox, log) == 2)
    });
    wait_for_patience(sandbox, &running, true);
    feed.end();
    running.wait().succeeds();
    assert_eq!(contents(sandbox, "a"), [b"a\n"]);
    assert_eq!(contents(sandbox, "d"), [b"a\n"]);
}

fn file_closed_by_age_is_processed(sandbox: &Sandbox) {
    write_finished(sandbox, "m", "@400000003b9aca0a000001f4 old\n");
    sandbox
        .sh("multilog R60 '!tr a-z A-Z' ./m </dev/null")
        .succeeds();
    assert_eq!(masked(sandbox.read("m/current")), "");
    assert_eq!(
        contents(sandbox, "m"),
        [&b"@400000003B9ACA0A000001F4 OLD\n"[..], b""]
    );
}

fn restart_keeps_age_from_label(sandbox: &Sandbox) {
    for (label, closed) in [
        ("@400000003b9aca0a000001f4 ", true),
        ("@4000000fffffffff00000000 ", false),
        ("@400000003b9aca0a000001f ", false),
        ("", false),
    ] {
        write_finished(sandbox, "m", &format!("{label}old\n"));
        sandbox.feed("new\n", "multilog R3600 ./m").succeeds();
        let all = format!("{label}old\nnew\n");
        assert_eq!(contents(sandbox, "m").concat(), all.as_bytes());
        assert_eq!(
            contents(sandbox, "m").len(),
            1 + usize::from(closed),
            "{label}"
        );
        sandbox.sh("rm -r m").succeeds();
    }
    sandbox
        .sh("for n in 1 2 3; do echo $n | multilog t R3600 ./m || exit; done")
        .succeeds();
    assert_eq!(contents(sandbox, "m").len(), 1);
}

fn restart_keeps_age_of_current(sandbox: &Sandbox) {
    sandbox.feed("old\n", "multilog ./m").succeeds();
    let made = fs::metadata(sandbox.path("m/current")).unwrap().created();
    let Ok(made) = made else {
        skip(
            "the age of a file",
            "this file system does not know when it was made",
        );
        return;
    };
    sandbox.wait_until("the file is old enough", || {
        made.elapsed().is_ok_and(|age| age > Duration::from_secs(1))
    });
    sandbox.feed("b\n", "multilog R1 ./m").succeeds();
    // The age of the second file may have been reached, too.
    assert_eq!(contents(sandbox, "m")[..2], [&b"old\n"[..], b"b\n"]);
}

fn an_empty_file_is_not_closed_at_start(sandbox: &Sandbox) {
    write_finished(sandbox, "m", "");
    let (running, mut feed) = start(sandbox, &["R1", "./m"]);
    wait_for_patience(sandbox, &running, true);
    feed.end();
    running.wait().succeeds();
    assert_eq!(contents(sandbox, "m"), [b""]);
}

fn limit_out_of_range_is_refused_with_range(sandbox: &Sandbox) {
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
        refuses(sandbox, &format!("S{bytes}"), &what);
    }
    for words in ["S199998", "S9223372036854775807", "S8192 s4096", "S0"] {
        sandbox.sh(&format!("multilog {words} ./m")).succeeds();
    }
    sandbox.sh("multilog s4096 S8192 ./a s4097 ./b").is(
        100,
        "",
        "multilog: fatal: S takes 8194 to 9223372036854775807 bytes for files of 4097, not 8192\n",
    );
    assert!(!sandbox.exists("a"));
}

fn oldest_file_is_removed_above_size_limit(sandbox: &Sandbox) {
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
        sandbox.feed(&input, &script).succeeds();
        assert_eq!(sizes(sandbox, "m"), left, "S{limit}, {more} more");
        let text = contents(sandbox, "m").concat();
        assert!(input.ends_with(&text));
    }
}

fn oldest_file_is_removed_when_limit_is_reached(sandbox: &Sandbox) {
    // multilog removes the right file, though a second directory is open.
    let (running, mut feed) = start(sandbox, &["s4096", "S8192", "./m", "S0", "./n"]);
    for (input, kept, all) in [
        (line(4096), &[4096, 0][..], &[4096, 0][..]),
        (line(2500), &[4096, 2500, 0], &[4096, 2500, 0]),
        (line(1596), &[4096, 2500, 1596], &[4096, 2500, 1596]),
        (line(1), &[2500, 1597], &[4096, 2500, 1597]),
    ] {
        feed.write(input);
        feed.settle(sandbox, &running);
        assert_eq!(sizes(sandbox, "m"), kept);
        assert_eq!(sizes(sandbox, "n"), all);
    }
    feed.end();
    running.wait().succeeds();
}

fn the_limit_holds_at_start(sandbox: &Sandbox) {
    sandbox
        .feed(line(20_480), "multilog s4096 n100 ./m")
        .succeeds();
    sandbox.feed("a\n", "multilog s4096 n100 ./m").succeeds();
    assert_eq!(held(sandbox, "m"), 20_482);
    sandbox
        .sh("multilog s4096 n100 S20482 ./m </dev/null")
        .succeeds();
    assert_eq!(held(sandbox, "m"), 20_482);
    sandbox
        .sh("multilog s4096 n100 S12000 ./m </dev/null")
        .succeeds();
    assert_eq!(sizes(sandbox, "m"), [4096, 4096, 2]);
    sandbox
        .sh("multilog s4096 n2 S12000 ./m </dev/null")
        .succeeds();
    assert_eq!(sizes(sandbox, "m"), [4096, 2]);
}

fn size_limit_never_removes_current(sandbox: &Sandbox) {
    write_finished(sandbox, "m", &"x".repeat(20_000));
    sandbox.write("m/@400000003b9aca0a000001f4.s", "old\n");
    sandbox.sh("multilog s4096 S8192 ./m </dev/null").succeeds();
    assert_eq!(sizes(sandbox, "m"), [20_000]);
}

fn crash_leftover_counts_once_old(sandbox: &Sandbox) {
    sandbox.write("m/@400000003b9aca0a000001f4.s", line(8192));
    sandbox.write("m/current", "left\n");
    sandbox.sh("multilog s4096 S8192 ./m </dev/null").succeeds();
    assert_eq!(contents(sandbox, "m"), [&b"left\n"[..], b""]);
    assert!(files(sandbox, "m").contains("5 @LABEL.u\n"));
}

fn stricter_of_two_limits_applies(sandbox: &Sandbox) {
    let input = line(40_960);
    for (words, left) in [
        ("n3 S40000", 2),
        ("n30 S9000", 2),
        ("n2 S40000", 1),
        ("n9 S40000", 8),
        ("S40000 n30", 9),
    ] {
        sandbox
            .feed(&input, &format!("rm -rf m; multilog s4096 {words} ./m"))
            .succeeds();
        assert_eq!(sizes(sandbox, "m").len(), left + 1, "{words}");
    }
}

fn only_old_files_count_and_are_removed(sandbox: &Sandbox) {
    let label = "@400000003b9aca0a000001f";
    for name in ["notes", "@notes", label, "state", "lock", "newstate"] {
        sandbox.write(format!("m/{name}"), line(20_000));
    }
    for name in ["1.u", "2.s", "3.gz", "4", "5.s.bak"] {
        sandbox.write(format!("m/{label}{name}"), line(4000));
    }
    write_finished(sandbox, "m", "");
    sandbox.write("m/state", line(20_000));
    sandbox
        .sh("multilog s4096 S12000 ./m </dev/null")
        .succeeds();
    let expected = format!(
        "{label}\n{label}3.gz\n{label}4\n{label}5.s.bak\n@notes\ncurrent\nlock\nnewstate\n\
            notes\nstate\n"
    );
    sandbox.sh("LC_ALL=C ls m").prints(expected);
}

fn directories_have_separate_limits(sandbox: &Sandbox) {
    let script = "multilog s4096 ./a S8192 ./b ./c S0 ./d";
    sandbox.feed(line(20_480), script).succeeds();
    for (log, left) in [("a", 5), ("b", 2), ("c", 2), ("d", 5)] {
        assert_eq!(sizes(sandbox, log).len(), left + 1, "{log}");
    }
}

fn processor_output_counts_in_limit(sandbox: &Sandbox) {
    let script = "multilog s4096 n100 S8192 '!head -c 1000' ./m";
    sandbox.feed(line(45_056), script).succeeds();
    assert_eq!(
        sizes(sandbox, "m"),
        [1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 0]
    );
}

fn invalid_suffix_is_refused(sandbox: &Sandbox) {
    for not in [
        "",
        "u",
        "t",
        "/",
        "g z",
        "g*",
        "\u{fc}",
        "0123456789abcdefg",
    ] {
        refuses(sandbox, &format!("w{not}"), &code(not));
    }
    for word in ["ws", "wgz", "wlog.gz", "wx-z_9", "w0123456789abcdef"] {
        sandbox.sh(&format!("multilog {word} ./m")).succeeds();
    }
}

fn processor_output_has_suffix(sandbox: &Sandbox) {
    let script = "multilog s4096 wgz '!gzip' ./a ws ./b '!' wx ./c";
    sandbox.feed(line(4096), script).succeeds();
    for (log, code) in [("a", "gz"), ("b", "s"), ("c", "x")] {
        let size = sizes(sandbox, log)[0];
        assert_eq!(
            files(sandbox, log),
            format!(
                "-rwxr--r-- {size} @LABEL.{code}\n-rwxr--r-- 0 current\n-rw------- 0 lock\n\
                    -rw-r--r-- 0 state\n"
            )
        );
    }
    sandbox.sh("cat a/@*.gz | gunzip").prints(line(4096));
}

fn suffix_without_processor_is_ignored(sandbox: &Sandbox) {
    sandbox
        .feed(line(4096), "multilog s4096 wgz ./m")
        .succeeds();
    assert!(files(sandbox, "m").starts_with("-rwxr--r-- 4096 @LABEL.s\n"));
}

fn removal_ignores_suffixes(sandbox: &Sandbox) {
    for code in ["s", "gz", "zst", "u.x"] {
        let script = format!("multilog s4096 n3 w{code} '!cat' ./m");
        sandbox.feed(line(4096), &script).succeeds();
    }
    let names = masked(sandbox.sh("cd m; ls @*").stdout);
    assert_eq!(names, "@LABEL.zst\n@LABEL.u.x\n");
}

fn processed_file_has_suffix_after_crash(sandbox: &Sandbox) {
    // The state after KILL: the x bit marks a complete processed file.
    for (mode, kept) in [
        (0o744, "@LABEL.gz PROCESSED\n@LABEL.u current\n"),
        (0o644, "@LABEL.u previous\n@LABEL.u current\n"),
    ] {
        sandbox.write("m/previous", "previous\n");
        sandbox.write("m/processed", "PROCESSED\n");
        sandbox.write("m/current", "current\n");
        sandbox.mode("m/previous", 0o744);
        sandbox.mode("m/processed", mode);
        // Even if there is no processor any more.
        for script in ["wgz '!false' ./m", "wgz ./m"] {
            sandbox
                .sh(&format!("cp -rp m saved; multilog {script} </dev/null"))
                .succeeds();
            let seen = masked(
                sandbox
                    .sh("cd m; for f in @*; do echo $f $(cat $f); done")
                    .stdout,
            );
            assert_eq!(seen, kept);
            assert!(!sandbox.exists("m/processed") && !sandbox.exists("m/previous"));
            sandbox.sh("rm -r m; mv saved m").succeeds();
        }
        sandbox.sh("rm -r m").succeeds();
    }
}

fn renamed_file_keeps_name_after_crash(sandbox: &Sandbox) {
    sandbox.write("m/@400000003b9aca0a000001f4.gz", "PROCESSED\n");
    sandbox
        .sh("ln m/@*.gz m/processed; chmod 744 m/processed")
        .succeeds();
    for script in ["wgz ./m", "wzst ./m", "./m"] {
        sandbox
            .sh(&format!("multilog {script} </dev/null; ls m/@*"))
            .prints("m/@400000003b9aca0a000001f4.gz\n");
        assert!(!sandbox.exists("m/processed"));
        sandbox
            .sh("ln m/@*.gz m/processed; rm m/current")
            .succeeds();
    }
}

fn reference_continues_extended_directory(sandbox: &Sandbox) {
    let input = line(12_288);
    sandbox
        .feed(&input, "$FIRST/multilog s4096 S100000 R3600 wgz '!cat' ./m")
        .succeeds();
    sandbox
        .feed("a\n", "$FIRST/multilog s4096 S100000 R3600 wgz '!cat' ./m")
        .succeeds();
    let names = masked(sandbox.sh("cd m; ls").stdout);
    assert_eq!(
        names,
        "@LABEL.gz\n@LABEL.gz\n@LABEL.gz\ncurrent\nlock\nstate\n"
    );
    sandbox
        .feed(line(4094), "$THEN/multilog s4096 n4 ./m")
        .succeeds();
    let names = masked(sandbox.sh("cd m; ls").stdout);
    assert_eq!(
        names,
        "@LABEL.gz\n@LABEL.gz\n@LABEL.s\ncurrent\nlock\nstate\n"
    );
    assert_eq!(sizes(sandbox, "m"), [4096, 4096, 4096, 0]);
}
