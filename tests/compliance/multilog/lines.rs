//! Lines: stamps, selection, alerts and status files.

use std::time::{SystemTime, UNIX_EPOCH};

use daemontools_core::label::Label;
use nix::sys::signal::Signal;
use testkit::{Sandbox, compliance};

use super::{Feed, contents, files, line, masked, nonblocking_pipe};

compliance!(
    lines_are_appended_unchanged,
    a_partial_last_line_is_ended,
    line_is_written_before_next_read,
    stamp_is_time_of_first_byte,
    stamps_do_not_go_back,
    patterns_deselect_and_select,
    star_stops_at_next_character,
    patterns_see_the_stamp,
    only_the_first_1000_bytes_are_matched,
    long_line_follows_selection_of_its_head,
    actions_use_selection_so_far,
    an_alert_is_cut_after_200_bytes,
    alerts_count_the_stamp,
    alerts_to_closed_stderr_are_lost,
    a_status_file_holds_the_last_selected_line,
    a_status_file_holds_1000_bytes_of_a_line,
    a_status_file_is_kept_until_a_line_comes,
    a_status_file_may_be_written_twice,
    unreadable_input_counts_as_end,
    empty_nonblocking_input_counts_as_end,
    closed_descriptors_are_accepted,
    chunking_of_input_changes_nothing,
    alert_into_broken_pipe_raises_sigpipe,
);

fn now() -> [u8; 25] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Label::from_unix(i64::try_from(now.as_secs()).unwrap(), now.subsec_micros()).text()
}

/// The lines of `input` that a script selects.
fn selected(sandbox: &Sandbox, input: &str, script: &str) -> String {
    sandbox
        .feed(input, &format!("multilog {script} e"))
        .error_text()
}

fn lines_are_appended_unchanged(sandbox: &Sandbox) {
    let input = b"a\n\n\0b\0\n\xff\xfe\r\n \t \n";
    sandbox.feed(input, "multilog ./m").succeeds();
    assert_eq!(sandbox.read("m/current"), input);
}

fn a_partial_last_line_is_ended(sandbox: &Sandbox) {
    for (input, output) in [
        ("", ""),
        ("a", "a\n"),
        ("a\n", "a\n"),
        ("a\nb", "a\nb\n"),
        ("\n", "\n"),
    ] {
        sandbox.feed(input, "rm -rf m; multilog ./m").succeeds();
        assert_eq!(sandbox.read("m/current"), output.as_bytes());
    }
}

fn line_is_written_before_next_read(sandbox: &Sandbox) {
    let (running, mut feed) = Feed::start(sandbox, {
        let mut command = sandbox.command("multilog");
        command.args(["./m", "=status", "e"]);
        command
    });
    for n in 0..3 {
        feed.write(format!("line {n}\n"));
        feed.settle(sandbox, &running);
        assert_eq!(sandbox.read("m/current").len(), 7 * (n + 1));
        assert_eq!(
            &sandbox.read("status")[..7],
            format!("line {n}\n").as_bytes()
        );
        assert_eq!(running.stderr().len(), 7 * (n + 1));
    }
    feed.end();
    running.wait().is(0, "", "line 0\nline 1\nline 2\n");
}

fn stamp_is_time_of_first_byte(sandbox: &Sandbox) {
    let (running, mut feed) = Feed::start(sandbox, {
        let mut command = sandbox.command("multilog");
        command.args(["t", "./m"]);
        command
    });
    let before = now();
    feed.write("begun");
    feed.settle(sandbox, &running);
    let between = now();
    feed.write(" ended\nnext\n");
    feed.settle(sandbox, &running);
    let after = now();
    feed.end();
    running.wait().succeeds();
    let current = sandbox.read("m/current");
    assert_eq!(masked(&current), "@LABEL begun ended\n@LABEL next\n");
    let (first, second) = (&current[..25], &current[38..63]);
    assert!(before.as_slice() <= first && first <= between.as_slice());
    assert!(between.as_slice() <= second && second <= after.as_slice());
}

fn stamps_do_not_go_back(sandbox: &Sandbox) {
    sandbox.sh("seq 20000 | multilog t ./m").succeeds();
    let text = contents(sandbox, "m").concat();
    let stamps: Vec<_> = text
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| &line[..25])
        .collect();
    assert_eq!(stamps.len(), 20000);
    assert!(stamps.is_sorted());
}

fn patterns_deselect_and_select(sandbox: &Sandbox) {
    let input = "a\nb\nab\nabc\n";
    assert_eq!(selected(sandbox, input, ""), input);
    assert_eq!(selected(sandbox, input, "-a"), "b\nab\nabc\n");
    assert_eq!(selected(sandbox, input, "'-*'"), "");
    assert_eq!(selected(sandbox, input, "'-*' +b"), "b\n");
    assert_eq!(selected(sandbox, input, "'-*' '+a*'"), "a\nab\nabc\n");
    assert_eq!(selected(sandbox, input, "'-*' '+a*' -ab"), "a\nabc\n");
    assert_eq!(selected(sandbox, input, "+a '-*'"), "");
    assert_eq!(selected(sandbox, input, "-"), input);
    assert_eq!(selected(sandbox, "a\n\nb\n", "-"), "a\nb\n");
    assert_eq!(selected(sandbox, "a\n\nb\n", "'-*' +"), "\n");
}

fn star_stops_at_next_character(sandbox: &Sandbox) {
    for (pattern, line, matches) in [
        ("hello", "hello", true),
        ("hello", "hello world", false),
        ("hello", "hell", false),
        ("*", "", true),
        ("*", "anything", true),
        ("a*", "a", true),
        ("a*", "ba", false),
        ("*b", "aab", true),
        ("*b", "abb", false),
        ("*b", "bb", false),
        ("*b", "a", false),
        (
            "named[*]: Cleaned cache *",
            "named[135]: Cleaned cache of 3121 RRs",
            true,
        ),
        ("a*b*c", "axbyc", true),
        ("a*b*c", "axbybc", true),
        ("a*b*c", "axbycc", false),
        ("**", "a", false),
        ("**", "a*", true),
        ("**", "*", true),
        ("**", "", false),
        ("**b", "a*b", true),
        ("**b", "ab", false),
        ("**b", "a*xb", true),
        ("*a*", "bab", true),
        ("*a*", "b", false),
        ("\\*", "\\x", true),
        ("?", "x", false),
        ("[ab]", "a", false),
    ] {
        let expected = if matches {
            format!("{line}\n")
        } else {
            String::new()
        };
        let seen = selected(sandbox, &format!("{line}\n"), &format!("'-*' '+{pattern}'"));
        assert_eq!(seen, expected, "{pattern} and {line}");
    }
}

fn patterns_see_the_stamp(sandbox: &Sandbox) {
    assert_eq!(selected(sandbox, "a\nb\n", "t '-*' +a"), "");
    assert_eq!(
        masked(selected(sandbox, "a\nb\n", "t '-*' '+@* a'")),
        "@LABEL a\n"
    );
}

fn only_the_first_1000_bytes_are_matched(sandbox: &Sandbox) {
    let head = |length: usize| "x".repeat(length);
    let count = |input: String, script: &str| selected(sandbox, &input, script).len();
    assert_eq!(count(head(998) + "yz\n", "'-*' '+*z'"), 204);
    assert_eq!(count(head(999) + "yz\n", "'-*' '+*z'"), 0);
    assert_eq!(count(head(999) + "yz\n", "'-*' '+*y'"), 204);
    assert_eq!(count(head(999) + "y\n", "'-*' '+*y'"), 204);
    // The label and its space are 26 of the 1000.
    assert_eq!(count(head(973) + "yz\n", "t '-*' '+* *y'"), 204);
    assert_eq!(count(head(972) + "yz\n", "t '-*' '+* *y'"), 0);
}

fn long_line_follows_selection_of_its_head(sandbox: &Sandbox) {
    let input = [
        line(5000),
        b"short\n".to_vec(),
        line(70_000),
        b"end".to_vec(),
    ]
    .concat();
    sandbox
        .feed(
            &input,
            "multilog ./all '-x*' ./short '+x*' '-e*' ./long '-*' ./none",
        )
        .succeeds();
    let read = |log: &str| contents(sandbox, log).concat();
    assert_eq!(read("all"), [&input[..], b"\n"].concat());
    assert_eq!(read("short"), b"short\nend\n");
    assert_eq!(read("long"), input[..input.len() - 3]);
    assert_eq!(read("none"), b"");
}

fn actions_use_selection_so_far(sandbox: &Sandbox) {
    sandbox
        .feed(
            "a\nb\nc\n",
            "multilog ./1 -a ./2 -b ./3 +a ./4 '-*' ./5 =five '+*' ./6",
        )
        .succeeds();
    for (log, text) in [
        ("1", "a\nb\nc\n"),
        ("2", "b\nc\n"),
        ("3", "c\n"),
        ("4", "a\nc\n"),
        ("5", ""),
        ("6", "a\nb\nc\n"),
    ] {
        assert_eq!(
            sandbox.read(format!("{log}/current")),
            text.as_bytes(),
            "{log}"
        );
    }
    assert_eq!(sandbox.read("five"), b"");
}

fn an_alert_is_cut_after_200_bytes(sandbox: &Sandbox) {
    for length in [0, 1, 199, 200] {
        let text = "x".repeat(length) + "\n";
        sandbox.feed(&text, "multilog e").is(0, "", &text);
    }
    for length in [201, 999, 1000, 1001, 5000] {
        let text = "x".repeat(length) + "\n";
        sandbox
            .feed(&text, "multilog e")
            .is(0, "", "x".repeat(200) + "...\n");
    }
}

fn alerts_count_the_stamp(sandbox: &Sandbox) {
    let outcome = sandbox.feed("x".repeat(174) + "\n" + &"x".repeat(175), "multilog t e");
    let x = "x".repeat(174);
    assert_eq!(
        masked(&outcome.stderr),
        format!("@LABEL {x}\n@LABEL {x}...\n")
    );
}

fn alerts_to_closed_stderr_are_lost(sandbox: &Sandbox) {
    sandbox.feed("a\nb\n", "multilog e ./m 2>&-").succeeds();
    sandbox
        .feed("a\nb\n", "multilog e ./n 2>/dev/full")
        .succeeds();
    assert_eq!(sandbox.read("m/current"), b"a\nb\n");
    assert_eq!(sandbox.read("n/current"), b"a\nb\n");
}

fn a_status_file_holds_the_last_selected_line(sandbox: &Sandbox) {
    sandbox
        .feed("one\ntwo\nthree\n", "multilog -three =status")
        .succeeds();
    let mut expected = b"two\n".to_vec();
    expected.resize(1001, b'\n');
    assert_eq!(sandbox.read("status"), expected);
    assert_eq!(sandbox.sh("stat -c %A status").text(), "-rw-------\n");
}

fn a_status_file_holds_1000_bytes_of_a_line(sandbox: &Sandbox) {
    for length in [999, 1000, 1001, 3000] {
        sandbox
            .feed("x".repeat(length) + "\n", "multilog =status")
            .succeeds();
        let mut expected = "x".repeat(length.min(1000)).into_bytes();
        expected.resize(1001, b'\n');
        assert_eq!(sandbox.read("status"), expected, "{length}");
    }
}

fn a_status_file_is_kept_until_a_line_comes(sandbox: &Sandbox) {
    sandbox.write("status", "x".repeat(2000));
    sandbox.mode("status", 0o640);
    sandbox.feed("", "multilog =status").succeeds();
    assert_eq!(sandbox.read("status"), "x".repeat(2000).as_bytes());
    sandbox.feed("y\n", "multilog =status").succeeds();
    let expected = "y\n".to_owned() + &"\n".repeat(999) + &"x".repeat(999);
    assert_eq!(sandbox.read("status"), expected.as_bytes());
    assert_eq!(sandbox.sh("stat -c %A status").text(), "-rw-r-----\n");
}

fn a_status_file_may_be_written_twice(sandbox: &Sandbox) {
    sandbox
        .feed("a\nbcd\n", "multilog =status t =status -bcd =status")
        .succeeds();
    assert_eq!(&sandbox.read("status")[..4], b"bcd\n");
}

fn unreadable_input_counts_as_end(sandbox: &Sandbox) {
    sandbox
        .sh("multilog ./m e <.; multilog ./m e >>f <&1; multilog ./m e <&-")
        .succeeds();
    assert_eq!(
        files(sandbox, "m"),
        "-rwxr--r-- 0 current\n-rw------- 0 lock\n-rw-r--r-- 0 state\n"
    );
}

fn empty_nonblocking_input_counts_as_end(sandbox: &Sandbox) {
    let (reader, writer) = nonblocking_pipe();
    nix::unistd::write(&writer, b"a\nb").unwrap();
    let mut command = sandbox.command("multilog");
    command.arg("./m").stdin(reader);
    sandbox.run(command).succeeds();
    assert_eq!(sandbox.read("m/current"), b"a\nb\n");
    drop(writer);
}

fn closed_descriptors_are_accepted(sandbox: &Sandbox) {
    sandbox
        .sh("echo a | multilog ./m >&-; echo b | multilog ./m 2>&-; echo c | multilog ./m >&- 2>&-")
        .succeeds();
    assert_eq!(sandbox.read("m/current"), b"a\nb\nc\n");
    assert_eq!(
        files(sandbox, "m"),
        "-rwxr--r-- 6 current\n-rw------- 0 lock\n-rw-r--r-- 0 state\n"
    );
}

fn chunking_of_input_changes_nothing(sandbox: &Sandbox) {
    let input: Vec<u8> = [
        1, 3, 998, 999, 1000, 1001, 1002, 2, 2500, 500, 7, 1024, 1, 6000, 30,
    ]
    .iter()
    .flat_map(|&length| line(length))
    .collect();
    let script = ["s4096", "n100", "./m", "-xx", "./n"];
    let others: Vec<u8> = input
        .split_inclusive(|&byte| byte == b'\n')
        .filter(|line| line != b"xx\n")
        .flatten()
        .copied()
        .collect();
    for chunk in [1, 2, 999, 1000, 1001, 1024] {
        let mut command = sandbox.command("multilog");
        command.args(script);
        sandbox
            .run_with_chunks(command, input.chunks(chunk))
            .succeeds();
        assert_eq!(contents(sandbox, "m").concat(), input, "{chunk}");
        assert_eq!(contents(sandbox, "n").concat(), others, "{chunk}");
        sandbox.sh("rm -r m n").succeeds();
    }
    for command in [
        "multilog",
        "cat | multilog",
        "dd bs=4096 status=none | multilog",
        "dd bs=65536 status=none | multilog",
    ] {
        sandbox
            .feed(&input, &format!("{command} {}", script.join(" ")))
            .succeeds();
        assert_eq!(contents(sandbox, "m").concat(), input, "{command}");
        assert_eq!(contents(sandbox, "n").concat(), others, "{command}");
        sandbox.sh("rm -r m n").succeeds();
    }
}

fn alert_into_broken_pipe_raises_sigpipe(sandbox: &Sandbox) {
    let outcome = sandbox.feed(
        "a\n",
        "mkfifo f; (sleep 0 <f) & exec 2>f; wait; exec multilog e ./m",
    );
    assert_eq!(outcome.signal(), Some(Signal::SIGPIPE as i32));
    let outcome = sandbox.feed(
        "a\n",
        "rm f; mkfifo f; (sleep 0 <f) & exec 2>f; wait; trap '' PIPE; exec multilog e ./m",
    );
    assert_eq!(outcome.code(), Some(0));
    assert_eq!(sandbox.read("m/current"), b"a\n");
}
