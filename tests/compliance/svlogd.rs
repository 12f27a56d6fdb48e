//! svlogd, by its output and its files.

use std::net::UdpSocket;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGALRM, SIGHUP, SIGTERM};
use testkit::{Outcome, Running, Sandbox, Subject, compliance, interop, say};

use super::chain::injected;
use super::multilog::{Feed, contents, count, files, line, masked, sizes};
use super::wait_until_asleep;

const USAGE: &str = " [-ttv] [-r c] [-R abc] [-l len] [-b buflen] dir ...\n\n";

compliance!(
    stamp_is_time_of_first_byte,
    line_and_buffer_lengths_do_not_overflow,
    malformed_config_lines_are_ignored,
    usage_names_program_as_called,
    a_directory_must_exist,
    lines_are_appended_and_directory_finished,
    long_unfinished_last_line_is_written,
    stamps_are_labels_or_dates,
    the_prefix_comes_after_the_stamp,
    unprintable_bytes_are_replaced,
    the_last_pattern_that_matches_counts,
    star_and_plus_stop_at_next_character,
    plus_stops_at_end_of_line,
    patterns_ignore_stamp_and_prefix,
    e_writes_the_heads_of_lines_to_stderr,
    directories_have_separate_configurations,
    file_ends_at_line_end_near_size,
    n_old_files_are_kept,
    each_new_old_file_removes_one,
    crash_leftover_is_kept_as_unfinished,
    processor_output_becomes_old_file,
    failing_processor_is_retried,
    killed_processor_is_retried,
    unrunnable_processor_is_retried,
    unrunnable_shell_is_reported,
    failing_fork_of_processor_is_retried,
    a_processor_works_in_the_background,
    hup_reads_the_configurations_again,
    alrm_rotates_nonempty_current,
    term_leaves_unread_lines_in_pipe,
    term_ends_after_the_line_being_read,
    t_rotates_file_at_age,
    u_sends_the_heads_of_lines,
    invalid_address_is_reported,
    unsent_line_is_written,
    full_disk_removes_old_files_first,
    refused_call_is_retried,
    log_directory_is_locked,
    unreadable_input_counts_as_end,
    denied_file_creation_is_retried,
);

interop!(
    svlogd_continues_the_other_svlogd,
    killed_loggers_file_is_kept,
    multilog_and_svlogd_continue_each_other,
);

/// A log directory `m` with this configuration, new.
fn directory(sandbox: &Sandbox, config: &str) {
    sandbox.sh("rm -rf m; mkdir m").succeeds();
    if !config.is_empty() {
        sandbox.write("m/config", config);
    }
}

/// Runs svlogd on a new directory `m`.
#[track_caller]
fn log(sandbox: &Sandbox, config: &str, words: &str, input: impl AsRef<[u8]>) -> Outcome {
    directory(sandbox, config);
    sandbox.feed(input, &format!("exec svlogd {words} m"))
}

/// The content of `current` after `input`.
#[track_caller]
fn current(sandbox: &Sandbox, config: &str, words: &str, input: impl AsRef<[u8]>) -> String {
    log(sandbox, config, words, input).succeeds();
    String::from_utf8_lossy(&sandbox.read("m/current")).into_owned()
}

/// Starts svlogd on `m` and a pipe to it.
fn start(sandbox: &Sandbox, words: &str) -> (Running, Feed) {
    let (running, feed) = Feed::start(sandbox, sandbox.shell(&format!("exec svlogd {words} m")));
    sandbox.wait_until("it keeps the directory", || sandbox.exists("m/current"));
    feed.settle(sandbox, &running);
    (running, feed)
}

/// Text in which the digits of every date read `0`.
fn undated(text: &str) -> String {
    let digit = |c: char| if c.is_ascii_digit() { '0' } else { c };
    text.chars().map(digit).collect()
}

/// Waits until a file of `m` is as wanted.
#[track_caller]
fn wait_for(sandbox: &Sandbox, file: &str, text: &str) {
    sandbox.wait_until(&format!("{file} is {text:?}"), || {
        std::fs::read(sandbox.path(format!("m/{file}"))).is_ok_and(|seen| seen == text.as_bytes())
    });
}

fn stamp_is_time_of_first_byte(sandbox: &Sandbox) {
    sandbox.sh("mkdir m; mkfifo fifo").succeeds();
    let svlogd = sandbox.start(sandbox.shell("exec svlogd -tt m <>fifo"));
    sandbox.wait_until("it is there", || sandbox.exists("m/current"));
    wait_until_asleep(sandbox, &svlogd);
    sandbox.sh("printf a >fifo").succeeds();
    wait_until_asleep(sandbox, &svlogd);
    let second = || {
        sandbox
            .sh("date -u +%Y-%m-%d_%H:%M:%S")
            .text()
            .trim()
            .to_owned()
    };
    let began = second();
    sandbox.wait_until("it is later", || second() > began);
    sandbox.sh("printf 'b\\nc\\n' >fifo").succeeds();
    sandbox.wait_until("it is written", || {
        sandbox.read("m/current").ends_with(b" c\n")
    });
    let current = String::from_utf8(sandbox.read("m/current")).unwrap();
    let stamps: Vec<_> = current.lines().map(|line| &line[..began.len()]).collect();
    assert!(
        stamps[0] <= &*began && *began < *stamps[1],
        "{began}: {current}"
    );
}

fn line_and_buffer_lengths_do_not_overflow(sandbox: &Sandbox) {
    sandbox
        .feed(
            "line\n",
            "mkdir m; exec svlogd -l 99999999999999 -b 999999999999999 m",
        )
        .is(0, "", "");
    if sandbox.subject() == Subject::Ours {
        // In the reference the sum of the two wraps, and svlogd crashes.
        sandbox
            .feed(
                "line\n",
                "exec svlogd -l 18446744073709551613 -b 18446744073709551615 m",
            )
            .is(0, "", "");
    }
    assert!(sandbox.read("m/current").starts_with(b"line\n"));
}

fn malformed_config_lines_are_ignored(sandbox: &Sandbox) {
    for (config, kept) in [
        (&b"\0-*\n+x\n"[..], "line\n"),
        (b"x\0-*\n", "line\n"),
        (b"-*\0x\n", ""),
        (b"u127.0.0.1:65536\n", "line\n"),
        (b"U127.0.0.1:9\nu127.0.0.1:9\n", ""),
    ] {
        sandbox.write("m/config", config);
        sandbox.feed("line\n", "exec svlogd m").is(0, "", "");
        assert_eq!(
            String::from_utf8(sandbox.read("m/current")).unwrap(),
            kept,
            "{}",
            config.escape_ascii()
        );
        sandbox.sh("rm -r m").succeeds();
    }
}

fn usage_names_program_as_called(sandbox: &Sandbox) {
    sandbox
        .sh("svlogd")
        .is(111, "", format!("usage: svlogd{USAGE}"));
    for words in [
        "-v",
        "-l 5",
        "-b 1000 m",
        "-l 1024 m",
        "-r '' m",
        "-r ab m",
        "--",
    ] {
        sandbox
            .sh(&format!("exec svlogd {words}"))
            .is(111, "", format!("usage: svlogd{USAGE}"));
    }
    sandbox.sh("ln -s $FIRST/svlogd x; ./x -z m").is(
        111,
        "",
        format!("x: illegal option -- z\nusage: ./x{USAGE}"),
    );
    sandbox.sh("svlogd -l").is(
        111,
        "",
        format!("svlogd: option requires an argument -- l\nusage: svlogd{USAGE}"),
    );
    sandbox.sh("svlogd -V m").is(
        111,
        "",
        format!("$Id: 5e55a90e0a1b35ec47fed3021453c50675ea1117 $\nusage: svlogd{USAGE}"),
    );
}

fn a_directory_must_exist(sandbox: &Sandbox) {
    sandbox.write("file", "");
    sandbox
        .sh("mkdir locked; mkdir locked/lock; mkdir m")
        .succeeds();
    for (words, message) in [
        (
            "nope",
            "unable to open log directory: nope: file does not exist",
        ),
        ("''", "unable to open log directory: : file does not exist"),
        ("file", "unable to change directory: file: not a directory"),
        ("locked", "unable to lock directory: locked: is a directory"),
    ] {
        let fatal = "svlogd: fatal: no functional log directories.\n";
        sandbox.sh(&format!("exec svlogd {words}")).is(
            111,
            "",
            format!("svlogd: warning: {message}\n{fatal}"),
        );
        sandbox.sh(&format!("echo x | svlogd {words} m")).is(
            0,
            "",
            format!("svlogd: warning: {message}\n"),
        );
    }
    assert_eq!(sandbox.read("m/current"), b"x\n".repeat(4));
}

fn lines_are_appended_and_directory_finished(sandbox: &Sandbox) {
    assert_eq!(current(sandbox, "", "", "one\ntwo\n"), "one\ntwo\n");
    sandbox.feed("three\n", "exec svlogd m").succeeds();
    assert_eq!(sandbox.read("m/current"), b"one\ntwo\nthree\n");
    assert_eq!(
        files(sandbox, "m"),
        "-rwxr--r-- 14 current\n-rw------- 0 lock\n"
    );
}

fn long_unfinished_last_line_is_written(sandbox: &Sandbox) {
    assert_eq!(current(sandbox, "", "", "one\ntwo"), "one\n");
    assert_eq!(
        current(sandbox, "", "", line(1000).split_last().unwrap().1),
        ""
    );
    let long = "x".repeat(1000);
    assert_eq!(current(sandbox, "", "", &long), format!("{long}\n"));
    assert_eq!(current(sandbox, "", "-l 5 -b 20", "a\nxxxx"), "a\n");
    assert_eq!(current(sandbox, "", "-l 5 -b 20", "a\nxxxxx"), "a\nxxxxx\n");
}

fn stamps_are_labels_or_dates(sandbox: &Sandbox) {
    let stamped = |words: &str| current(sandbox, "", words, "one\n\n");
    assert_eq!(masked(stamped("-t")), "@LABEL one\n@LABEL \n");
    for (words, form) in [
        ("-tt", "0000-00-00_00:00:00.00000"),
        ("-ttt", "0000-00-00T00:00:00.00000"),
        ("-tttt", "0000-00-00T00:00:00.00000"),
        ("-t -t", "0000-00-00_00:00:00.00000"),
    ] {
        assert_eq!(undated(&stamped(words)), format!("{form} one\n{form} \n"));
    }
    let today = sandbox.sh("date -u +%Y-%m-%d").text();
    let stamp = stamped("-tt");
    let tomorrow = sandbox.sh("date -u +%Y-%m-%d").text();
    assert!(
        [today, tomorrow]
            .iter()
            .any(|day| stamp.starts_with(day.trim())),
        "{stamp}"
    );
}

fn the_prefix_comes_after_the_stamp(sandbox: &Sandbox) {
    assert_eq!(current(sandbox, "pA\np: \n", "", "x\n"), ": x\n");
    assert_eq!(
        masked(current(sandbox, "pA: ", "-t", "x\n")),
        "@LABEL A: x\n"
    );
    assert_eq!(current(sandbox, "pA\np\n", "", "x\n"), "Ax\n");
}

fn unprintable_bytes_are_replaced(sandbox: &Sandbox) {
    let input = b"x\x01y\x80\xffz\ttab\r~\x7f\n";
    assert_eq!(current(sandbox, "", "-r .", input), "x.y..z.tab.~.\n");
    assert_eq!(current(sandbox, "", "-R xyz", input), "_______tab_~_\n");
    assert_eq!(
        current(sandbox, "", "-R xyz -r .", input),
        ".......tab.~.\n"
    );
    // Replacement precedes matching and applies to matching.
    assert_eq!(current(sandbox, "-*\n+a_\n", "-R b", "ab\na\nb\n"), "a_\n");
    assert_eq!(
        current(sandbox, "", "-l 3 -r .", "\x01\x01\x01\x01\x01\n"),
        "...\x01\x01\n"
    );
}

fn the_last_pattern_that_matches_counts(sandbox: &Sandbox) {
    assert_eq!(
        current(sandbox, "-*\n+a*\n-ab*\n", "", "abc\nac\nb\n"),
        "ac\n"
    );
    assert_eq!(current(sandbox, "-\n", "", "\na\n\n"), "a\n");
    assert_eq!(current(sandbox, "-*\n+", "", "\na\n"), "");
    assert_eq!(current(sandbox, "-*\n+\n", "", "\na\n"), "\n");
    assert_eq!(current(sandbox, "# -a\n -a\nzzz\n\n", "", "a\n"), "a\n");
}

fn star_and_plus_stop_at_next_character(sandbox: &Sandbox) {
    let lines = "abc\nabbbbc\nac\nabb\n";
    assert_eq!(
        current(sandbox, "-*\n+a+bc\n", "", lines),
        "abc\nabbbbc\nabb\n"
    );
    assert_eq!(
        current(sandbox, "-*\n+a*c\n", "", lines),
        "abc\nabbbbc\nac\n"
    );
    assert_eq!(
        current(sandbox, "-*\n++yz\n", "", "z\nyz\nyyz\n"),
        "yz\nyyz\n"
    );
    assert_eq!(current(sandbox, "-*\n+*b\n", "", "b\nab\nbb\n"), "b\nab\n");
    let pid = "tcpsvd: info: pid 1977 from 10.4.1.14\n";
    assert_eq!(current(sandbox, "-*pid*\n", "", pid), pid);
    assert_eq!(current(sandbox, "-*: *: pid *\n", "", pid), "");
}

fn plus_stops_at_end_of_line(sandbox: &Sandbox) {
    // The first line leaves a b where the second one has ended.
    let seen = current(sandbox, "-*\n+a+b*\n", "", "abb\na\n");
    let found = match sandbox.subject() {
        Subject::Reference => "abb\na\n",
        _ => "abb\n",
    };
    assert_eq!(seen, found);
}

fn patterns_ignore_stamp_and_prefix(sandbox: &Sandbox) {
    let config = "-*\n+abcde\npP\n";
    let words = "-l 5 -b 20";
    assert_eq!(
        current(sandbox, config, words, "abcdefghij\nabcde\nabcd\n"),
        "Pabcdefghij\nPabcde\n"
    );
    assert_eq!(
        masked(current(sandbox, "-*\n+a\n", "-t", "a\n")),
        "@LABEL a\n"
    );
}

fn e_writes_the_heads_of_lines_to_stderr(sandbox: &Sandbox) {
    log(sandbox, "ea*\nEab*\n-*\n", "", "abc\nac\nb\n").is(0, "", "ac\n");
    assert_eq!(sandbox.read("m/current"), b"");
    for (length, shown) in [(4, "xxxx\n"), (5, "xxxxx...\n"), (9, "xxxxx...\n")] {
        let line = "x".repeat(length) + "\n";
        log(sandbox, "e*\n", "-l 5 -b 20", &line).is(0, "", shown);
        assert_eq!(sandbox.read("m/current"), line.as_bytes());
    }
    let outcome = log(sandbox, "e*\npP: \n", "-t", "a\n");
    assert_eq!(masked(&outcome.stderr), "@LABEL P: a\n");
}

fn directories_have_separate_configurations(sandbox: &Sandbox) {
    directory(sandbox, "-a*\ne*\n");
    sandbox.write("n/config", "pN\ne*\n");
    sandbox
        .feed("a\nb\n", "exec svlogd m n")
        .is(0, "", "a\nNa\nb\nNb\n");
    assert_eq!(
        (sandbox.read("m/current"), sandbox.read("n/current")),
        (b"b\n".into(), b"Na\nNb\n".into())
    );
}

fn file_ends_at_line_end_near_size(sandbox: &Sandbox) {
    let files = |config: &str, words: &str, length: usize, count: usize| {
        log(sandbox, config, words, line(length).repeat(count)).succeeds();
        sizes(sandbox, "m")
    };
    assert_eq!(files("s3000\n", "", 100, 70), [2000, 2000, 2000, 1000]);
    assert_eq!(files("s3000\n", "-l 500", 100, 70), [2500, 2500, 2000]);
    assert_eq!(files("s3k\n", "", 100, 50), [2100, 2100, 800]);
    assert_eq!(files("s3000\n", "", 2500, 2), [2500, 2500, 0]);
    assert_eq!(files("s3000\n", "", 10_000, 1), [3000, 3000, 3000, 1000]);
    assert_eq!(files("s1000\n", "", 100, 3), [100, 100, 100, 0]);
    assert_eq!(files("s100\n", "", 100, 3), [100, 100, 100]);
    assert_eq!(files("s0\n", "", 100, 50), [5000]);
    assert_eq!(files("", "", 100, 9991), [999_000, 100]);
}

fn n_old_files_are_kept(sandbox: &Sandbox) {
    for (config, count) in [("n1", 1), ("n3", 3), ("n0", 12), ("", 10)] {
        log(
            sandbox,
            &format!("s2000\n{config}\n"),
            "",
            line(1000).repeat(12),
        )
        .succeeds();
        assert_eq!(contents(sandbox, "m").len(), count + 1, "{config}");
    }
}

fn each_new_old_file_removes_one(sandbox: &Sandbox) {
    directory(sandbox, "s2000\nn2\n");
    let old = |name: &str| sandbox.write(format!("m/@{name}"), "x");
    for name in ["400000000000000000000011.s", "400000000000000000000022.x"] {
        old(name);
    }
    // The first names are no log files, and svlogd removes the leftover of a
    // processor silently.
    let others = [
        "1",
        "400000000000000000000000",
        "400000000000000000000001.u",
        "400000000000000000000002.ss",
    ];
    for name in others {
        old(name);
    }
    old("400000000000000000000003.t");
    let outcome = sandbox.feed(line(1000).repeat(2), "exec svlogd -v m");
    assert_eq!(
        masked(&outcome.stderr),
        "svlogd: info: read: m/config\nsvlogd: info: new: m/current\n\
         svlogd: info: rename: m/current @LABEL.s 1000\nsvlogd: info: delete: m/@LABEL.s\n\
         svlogd: info: rename: m/current @LABEL.s 1000\nsvlogd: info: delete: m/@LABEL.x\n\
         svlogd: info: close: m\n"
    );
    let left = sandbox.sh("cd m; ls -d @*").text();
    assert_eq!(left.lines().count(), others.len() + 2, "{left}");
    assert!(!sandbox.exists("m/@400000000000000000000003.t"));
}

fn crash_leftover_is_kept_as_unfinished(sandbox: &Sandbox) {
    for (mode, text, said, listed) in [
        (
            0o644,
            "old\n",
            "new",
            "-rw-r--r-- 4 @LABEL.u\n-rwxr--r-- 4 current\n",
        ),
        (0o644, "", "append", "-rwxr--r-- 4 current\n"),
        (0o744, "old\n", "append", "-rwxr--r-- 8 current\n"),
    ] {
        directory(sandbox, "");
        sandbox.write("m/current", text);
        sandbox.mode("m/current", mode);
        sandbox.feed("new\n", "exec svlogd -v m").is(
            0,
            "",
            format!("svlogd: info: {said}: m/current\nsvlogd: info: close: m\n"),
        );
        assert_eq!(files(sandbox, "m"), format!("{listed}-rw------- 0 lock\n"));
    }
}

fn processor_output_becomes_old_file(sandbox: &Sandbox) {
    let config = "s2000\n!tr 0 1; echo seen >&5\n";
    let input = b"0\n".repeat(600);
    log(sandbox, config, "", &input).succeeds();
    assert_eq!(contents(sandbox, "m")[0], b"1\n".repeat(500));
    assert_eq!(
        files(sandbox, "m"),
        "-rwxr--r-- 1000 @LABEL.s\n-rw-r--r-- 27 config\n-rwxr--r-- 200 current\n\
         -rw------- 0 lock\n-rw-r--r-- 5 state\n"
            .replace("27 config", &format!("{} config", config.len()))
    );
    directory(sandbox, "s2000\n!cat; { cat <&4; echo seen; } >&5\n");
    sandbox
        .feed(line(1000).repeat(3), "exec svlogd m")
        .succeeds();
    assert_eq!(sandbox.read("m/state"), b"seen\n".repeat(3));
}

fn failing_processor_is_retried(sandbox: &Sandbox) {
    let config = "s2000\n!test -e ok || { echo x; >ok; exit 3; }; cat\n";
    let outcome = log(sandbox, config, "", line(1000));
    outcome.is(0, "", "svlogd: warning: processor failed, restart: m\n");
    assert_eq!(contents(sandbox, "m")[0], line(1000));
    assert!(!sandbox.exists("m/newstate"));
}

fn killed_processor_is_retried(sandbox: &Sandbox) {
    let config = "s2000\n!test -e ok || { >ok; kill -9 $$; }; cat\n";
    let outcome = log(sandbox, config, "", line(1000));
    // runit takes a killed processor for success, and its partial output for
    // complete.
    if sandbox.subject() == Subject::Reference {
        outcome.succeeds();
        assert_eq!(contents(sandbox, "m")[0], b"");
    } else {
        outcome.is(0, "", "svlogd: warning: processor failed, restart: m\n");
        assert_eq!(contents(sandbox, "m")[0], line(1000));
    }
}

fn unrunnable_processor_is_retried(sandbox: &Sandbox) {
    for (hinder, help, message) in [
        (
            "mkdir newstate",
            "rmdir newstate",
            "open newstate for processor: m: is a directory",
        ),
        (
            "ln -s state state",
            "rm state",
            "open state for processor: m: symbolic link loop",
        ),
        (
            "ln -s gone/state state",
            "rm state",
            "create empty state for processor: m: file does not exist",
        ),
    ] {
        directory(sandbox, "s2000\n!cat\n");
        sandbox.sh(&format!("cd m; {hinder}")).succeeds();
        let (running, mut feed) = start(sandbox, "");
        feed.write(line(1000));
        let said = format!(
            "svlogd: fatal: unable to {message}\nsvlogd: warning: processor failed, restart: m\n"
        );
        sandbox.wait_until("the message is written twice", || {
            running.stderr().starts_with(said.repeat(2).as_bytes())
        });
        sandbox.sh(&format!("cd m; {help}")).succeeds();
        feed.end();
        let outcome = running.wait();
        assert_eq!(
            (outcome.code(), outcome.error_text().replace(&said, "")),
            (Some(0), String::new())
        );
        assert_eq!(contents(sandbox, "m")[0], line(1000));
    }
}

fn unrunnable_shell_is_reported(sandbox: &Sandbox) {
    directory(sandbox, "s2000\n!cat\n");
    sandbox.write("input", line(1000));
    let mut command = sandbox.command("unshare");
    command.args([
        "-rm",
        "sh",
        "-c",
        "mount --bind /dev/null /bin/sh || exit 99
            svlogd m <input 2>said & PID=$!
            until grep -qs restart said; do sleep .05; done
            umount /bin/sh
            wait $PID",
    ]);
    let outcome = sandbox.run(command);
    if outcome.code() == Some(99) || outcome.error_text().starts_with("unshare: ") {
        say("skipped, nothing can be mounted: a shell that cannot be run");
        return;
    }
    outcome.succeeds();
    let said = sandbox.read("said");
    let first = b"svlogd: fatal: unable to run processor: m: access denied\n\
                  svlogd: warning: processor failed, restart: m\n";
    assert!(said.starts_with(first), "{}", said.escape_ascii());
    assert_eq!(contents(sandbox, "m")[0], line(1000));
}

fn failing_fork_of_processor_is_retried(sandbox: &Sandbox) {
    let Some(strace) = injected("clone,clone3,?fork,?vfork", "EAGAIN", "1") else {
        return;
    };
    directory(sandbox, "s2000\n!cat\n");
    sandbox
        .feed(line(1000), &format!("exec {strace} svlogd m"))
        .is(
            0,
            "",
            "svlogd: pausing: unable to fork for processor: m: temporary failure\n",
        );
    assert_eq!(contents(sandbox, "m")[0], line(1000));
}

fn a_processor_works_in_the_background(sandbox: &Sandbox) {
    directory(
        sandbox,
        "s2000\n!until test -e go; do sleep 0.01; done; cat\n",
    );
    let (running, mut feed) = start(sandbox, "-v");
    feed.write(line(1000));
    sandbox.wait_until("the processor runs", || files(sandbox, "m").contains(".t"));
    feed.write("one\n");
    wait_for(sandbox, "current", "one\n");
    assert_eq!(
        files(sandbox, "m")
            .lines()
            .filter(|line| line.contains('@'))
            .collect::<Vec<_>>(),
        ["-rw-r--r-- 0 @LABEL.t", "-rwxr--r-- 1000 @LABEL.u"]
    );
    sandbox.write("m/go", "");
    sandbox.wait_until("its work is taken", || {
        files(sandbox, "m").contains("1000 @LABEL.s")
    });
    feed.end();
    let outcome = running.wait();
    assert!(
        masked(&outcome.stderr).contains(
            "svlogd: info: processing: m/@LABEL.u\nsvlogd: info: sigchild received.\n\
         svlogd: info: processed: m/@LABEL.s\n"
        ),
        "{outcome:?}"
    );
}

fn hup_reads_the_configurations_again(sandbox: &Sandbox) {
    directory(sandbox, "");
    sandbox.sh("mkdir n").succeeds();
    let (running, mut feed) = start(sandbox, "-v n");
    feed.write("one\npa");
    wait_for(sandbox, "current", "one\n");
    feed.settle(sandbox, &running);
    sandbox.write("m/config", "px: \n");
    sandbox.sh("mv n gone").succeeds();
    running.signal(SIGHUP);
    sandbox.wait_until("it has read it", || {
        running.stderr().ends_with(b"append: m/current\n")
    });
    feed.write("rt\n");
    wait_for(sandbox, "current", "one\nx: part\n");
    feed.end();
    running.wait().is(
        0,
        "",
        "svlogd: info: new: n/current\nsvlogd: info: new: m/current\n\
         svlogd: info: sighangup received.\n\
         svlogd: info: close: n\n\
         svlogd: warning: unable to open log directory: n: file does not exist\n\
         svlogd: info: close: m\nsvlogd: info: read: m/config\n\
         svlogd: info: append: m/current\nsvlogd: info: close: m\n",
    );
}

fn alrm_rotates_nonempty_current(sandbox: &Sandbox) {
    directory(sandbox, "");
    let (running, mut feed) = start(sandbox, "-v");
    running.signal(SIGALRM);
    sandbox.wait_until("the message is written", || {
        running.stderr().ends_with(b"received.\n")
    });
    feed.write("one\n");
    wait_for(sandbox, "current", "one\n");
    feed.settle(sandbox, &running);
    running.signal(SIGALRM);
    wait_for(sandbox, "current", "");
    feed.end();
    let outcome = running.wait();
    assert_eq!(
        masked(&outcome.stderr),
        "svlogd: info: new: m/current\nsvlogd: info: sigalarm received.\n\
         svlogd: info: sigalarm received.\nsvlogd: info: rename: m/current @LABEL.s 4\n\
         svlogd: info: close: m\n"
    );
}

fn term_leaves_unread_lines_in_pipe(sandbox: &Sandbox) {
    directory(sandbox, "");
    let (running, mut feed) = start(sandbox, "-v");
    feed.write("one\n");
    wait_for(sandbox, "current", "one\n");
    feed.settle(sandbox, &running);
    running.signal(SIGTERM);
    running.wait().is(
        0,
        "",
        "svlogd: info: new: m/current\nsvlogd: info: sigterm received.\nsvlogd: info: close: m\n",
    );
    feed.write("two\n");
    assert_eq!(feed.left(), b"two\n");
}

fn term_ends_after_the_line_being_read(sandbox: &Sandbox) {
    directory(sandbox, "");
    let (running, mut feed) = start(sandbox, "-v");
    feed.write("be");
    feed.settle(sandbox, &running);
    running.signal(SIGTERM);
    // runit reads once more as before.
    sandbox.wait_until("it knows", || running.stderr().ends_with(b"received.\n"));
    feed.settle(sandbox, &running);
    feed.write("gun\nnext\n");
    assert_eq!(running.wait().code(), Some(0));
    assert_eq!(feed.left(), b"next\n");
    // runit reads the rest of the line and loses it.
    let written: &[u8] = match sandbox.subject() {
        Subject::Reference => b"",
        _ => b"begun\n",
    };
    assert_eq!(sandbox.read("m/current"), written);
}

fn t_rotates_file_at_age(sandbox: &Sandbox) {
    directory(sandbox, "t1\n");
    let (running, mut feed) = start(sandbox, "");
    feed.write("one\n");
    sandbox.wait_until("the file is rotated", || count(sandbox, "m") == 2);
    assert_eq!(contents(sandbox, "m"), [b"one\n".to_vec(), Vec::new()]);
    feed.end();
    running.wait().succeeds();
}

fn u_sends_the_heads_of_lines(sandbox: &Sandbox) {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let port = socket.local_addr().unwrap().port();
    let receive = || {
        let mut buffer = [0; 5000];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let config = format!("u127.0.0.1:{port}\npP \n-b*\n");
    log(sandbox, &config, "-l 5 -b 20", "a\nb\nxxxx\nxxxxx\n").succeeds();
    assert_eq!(
        [receive(), receive(), receive()],
        ["P a\n", "P xxxx\n", "P xxxxx...\n"]
    );
    assert_eq!(sandbox.read("m/current"), b"P a\nP xxxx\nP xxxxx\n");
    log(sandbox, &config.replace('u', "U"), "-tt", "a\n").succeeds();
    assert_eq!(undated(&receive()), "0000-00-00_00:00:00.00000 P a\n");
    assert_eq!(sandbox.read("m/current"), b"");
}

fn invalid_address_is_reported(sandbox: &Sandbox) {
    for (address, message) in [
        ("1.2.3", "ip address: 1.2.3"),
        (" 1.2.3.4", "ip address:  1.2.3.4"),
        ("1.2.3.4:", "port number: "),
        ("1.2.3.4:0", "port number: 0"),
        ("1.2.3.4:x", "port number: x"),
    ] {
        for (letter, written) in [("u", "a\n"), ("U", "")] {
            log(sandbox, &format!("{letter}{address}\n"), "", "a\n").is(
                0,
                "",
                format!("svlogd: warning: unable to scan {message}\n"),
            );
            assert_eq!(sandbox.read("m/current"), written.as_bytes());
        }
    }
}

fn unsent_line_is_written(sandbox: &Sandbox) {
    let Some(strace) = injected("sendto", "EIO", "1+") else {
        return;
    };
    directory(sandbox, "U127.0.0.1:9\npP\n");
    sandbox
        .feed("x\n", &format!("exec {strace} svlogd m"))
        .succeeds();
    assert_eq!(
        sandbox.read("m/current"),
        b"warning: failure sending through udp: Px\n"
    );
    let strace = injected("socket", "EIO", "1+").unwrap();
    sandbox.sh("rm m/current").succeeds();
    sandbox
        .feed("x\n", &format!("exec {strace} svlogd m"))
        .succeeds();
    assert_eq!(
        sandbox.read("m/current"),
        b"warning: no udp socket available: Px\n"
    );
}

fn full_disk_removes_old_files_first(sandbox: &Sandbox) {
    let Some(strace) = injected("write", "ENOSPC", "1") else {
        return;
    };
    for (config, left) in [
        ("N0\n", Some(11)),
        ("N11\nn12\n", Some(11)),
        ("n11\n", Some(11)),
        ("N2\nn0\n", None),
        ("", None),
    ] {
        directory(sandbox, config);
        for n in 10..22 {
            sandbox.write(format!("m/@4000000000000000000000{n}.s"), "x");
        }
        let said = if left.is_some() {
            "svlogd: warning: out of disk space, delete: m/@400000000000000000000010.s\n"
        } else {
            "svlogd: pausing: unable to write to current: m: out of disk space\n"
        };
        sandbox
            .feed("a\n", &format!("exec {strace} svlogd m"))
            .is(0, "", said);
        assert_eq!(sandbox.read("m/current"), b"a\n");
        assert_eq!(contents(sandbox, "m").len(), left.unwrap_or(12) + 1);
    }
}

fn refused_call_is_retried(sandbox: &Sandbox) {
    for (call, when, message) in [
        ("fchmod", "1", "set mode of current"),
        ("fsync", "1", "fsync current logfile"),
        ("rename,renameat,renameat2", "1", "rename current"),
    ] {
        let Some(strace) = injected(call, "EIO", when) else {
            return;
        };
        directory(sandbox, "s2000\n");
        let outcome = sandbox.feed(line(1000), &format!("exec {strace} svlogd m"));
        outcome.is(
            0,
            "",
            format!("svlogd: pausing: unable to {message}: m: input/output error\n"),
        );
        assert_eq!(sizes(sandbox, "m"), [1000, 0]);
    }
}

fn log_directory_is_locked(sandbox: &Sandbox) {
    directory(sandbox, "");
    let (running, feed) = start(sandbox, "");
    sandbox.sh("exec svlogd -v m").is(
        111,
        "",
        "svlogd: info: close: \nsvlogd: warning: unable to lock directory: m: temporary failure\n\
         svlogd: fatal: no functional log directories.\n",
    );
    drop(feed);
    running.wait().succeeds();
}

fn unreadable_input_counts_as_end(sandbox: &Sandbox) {
    directory(sandbox, "");
    sandbox.sh("exec svlogd m <.").is(
        0,
        "",
        "svlogd: warning: unable to read standard input: is a directory\n",
    );
}

fn denied_file_creation_is_retried(sandbox: &Sandbox) {
    if !testkit::is_root("denied_file_creation_is_retried") {
        return;
    }
    directory(sandbox, "");
    sandbox
        .sh("mkdir m/current; mv m/current x; chmod 755 m")
        .succeeds();
    sandbox.sh("exec setuidgid daemon $FIRST/svlogd m").is(
        111,
        "",
        "svlogd: warning: unable to lock directory: m: access denied\n\
                      svlogd: fatal: no functional log directories.\n",
    );
}

fn svlogd_continues_the_other_svlogd(sandbox: &Sandbox) {
    directory(sandbox, "s2000\nn3\n");
    for n in 0..8 {
        let who = if n % 2 == 0 { "svlogd" } else { "$THEN/svlogd" };
        sandbox
            .feed(line(100).repeat(7), &format!("{who} m"))
            .succeeds();
    }
    assert_eq!(sizes(sandbox, "m"), [1000, 1000, 1000, 600]);
}

fn killed_loggers_file_is_kept(sandbox: &Sandbox) {
    directory(sandbox, "s2000\n!cat\n");
    let (running, mut feed) = start(sandbox, "");
    feed.write("one\n");
    wait_for(sandbox, "current", "one\n");
    running.kill();
    sandbox.feed("two\n", "$THEN/svlogd m").succeeds();
    assert_eq!(
        files(sandbox, "m"),
        "-rw-r--r-- 4 @LABEL.u\n-rw-r--r-- 11 config\n-rwxr--r-- 4 current\n-rw------- 0 lock\n"
    );
}

fn multilog_and_svlogd_continue_each_other(sandbox: &Sandbox) {
    directory(sandbox, "s3000\n");
    sandbox.feed(line(100).repeat(25), "svlogd m").succeeds();
    sandbox
        .feed(line(100).repeat(25), "/usr/bin/env multilog s5000 ./m")
        .succeeds();
    sandbox
        .feed(line(100).repeat(5), "$THEN/svlogd m")
        .succeeds();
    assert_eq!(sizes(sandbox, "m"), [2000, 3000, 500]);
}
