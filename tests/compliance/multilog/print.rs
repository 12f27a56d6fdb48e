//! The words `p` and `1`, which 0.76 ignores: a prefix before each line, and
//! whole lines on a standard output that several loggers share.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;

use nix::pty::openpty;
use nix::sys::signal::Signal::{SIGCONT, SIGPIPE, SIGSTOP};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use testkit::{Running, Sandbox, Subject, compliance, ours};

use super::super::wait_until_asleep;
use super::{Feed, contents, line, masked, sizes};

compliance!(prefix_and_print_are_words_of_ours_alone);

ours!(
    prefix_stands_between_stamp_and_line,
    prefix_counts_for_the_words_after_it,
    patterns_match_the_line_without_prefix,
    prefix_counts_in_alerts_and_status_files,
    prefix_counts_in_the_size_of_files,
    prefix_with_a_newline_is_refused,
    only_the_whole_word_1_prints,
    selected_lines_are_printed,
    partial_last_line_is_printed_with_newline,
    lines_on_one_pipe_do_not_mix,
    lines_in_one_file_do_not_mix,
    lines_on_one_terminal_do_not_mix,
    closed_output_warns_once,
    closed_output_without_log_is_fatal,
    output_for_reading_counts_as_closed,
    full_device_is_retried,
    processor_inherits_no_ignored_sigpipe,
    blocked_output_delays_no_log_directory,
    stopped_logger_delays_no_other,
    stalled_long_line_is_divided,
    full_log_directory_delays_no_other,
    slow_processor_delays_no_other,
    endless_line_takes_bounded_memory,
);

fn prefix_and_print_are_words_of_ours_alone(sandbox: &Sandbox) {
    let outcome = sandbox.feed("a\nb\n", "multilog 'pweb: ' 1 ./m");
    let (printed, logged) = match sandbox.subject() {
        Subject::Reference => ("", "a\nb\n"),
        _ => ("web: a\nweb: b\n", "web: a\nweb: b\n"),
    };
    outcome.prints(printed);
    assert_eq!(sandbox.read("m/current"), logged.as_bytes());
}

fn prefix_stands_between_stamp_and_line(sandbox: &Sandbox) {
    let outcome = sandbox.feed("a\n\n", "multilog t 'pweb: ' 1 ./m");
    let expected = "@LABEL web: a\n@LABEL web: \n";
    assert_eq!(masked(&outcome.stdout), expected);
    assert_eq!(masked(sandbox.read("m/current")), expected);
}

fn prefix_counts_for_the_words_after_it(sandbox: &Sandbox) {
    let script = "multilog ./a 1 'px: ' ./b 1 e p ./c 1 py: 'pz: ' ./d";
    sandbox.feed("l\n", script).is(0, "l\nx: l\nl\n", "x: l\n");
    for (log, text) in [("a", "l\n"), ("b", "x: l\n"), ("c", "l\n"), ("d", "z: l\n")] {
        assert_eq!(
            String::from_utf8(sandbox.read(format!("{log}/current"))),
            Ok(text.into())
        );
    }
}

fn patterns_match_the_line_without_prefix(sandbox: &Sandbox) {
    let script = "multilog pab 1 '-a*' 1 '+aa*' 1 ./m";
    let outcome = sandbox.feed("a\naa\nb\n", script);
    outcome.prints("aba\nabaa\nabb\nabb\nabaa\nabb\n");
    assert_eq!(sandbox.read("m/current"), b"abaa\nabb\n");
}

fn prefix_counts_in_alerts_and_status_files(sandbox: &Sandbox) {
    let text = "x".repeat(3000);
    let outcome = sandbox.feed(format!("{text}\n"), "multilog t 'pweb: ' e =status");
    let expected = format!("@LABEL web: {}...\n", "x".repeat(200 - 31));
    assert_eq!(masked(&outcome.stderr), expected);
    let status = sandbox.read("status");
    assert_eq!(status.len(), 1001);
    let expected = format!("@LABEL web: {}\n", "x".repeat(1000 - 31));
    assert_eq!(masked(status), expected);
}

fn prefix_counts_in_the_size_of_files(sandbox: &Sandbox) {
    // A first line that is written in parts, then short ones.
    let input = [line(3000), line(11).repeat(1000)].concat();
    let script = "multilog s4096 n100 '-nothing' 'pprefix: ' ./m";
    sandbox.feed(&input, script).succeeds();
    let files = contents(sandbox, "m");
    for file in &files {
        assert!(
            file.len() <= 4096 && file.ends_with(b"\n"),
            "{:?}",
            sizes(sandbox, "m")
        );
    }
    let text = String::from_utf8(files.concat()).unwrap();
    assert!(text.lines().all(|line| line.starts_with("prefix: x")));
    assert_eq!(text.replace("prefix: ", "").into_bytes(), input);
}

fn prefix_with_a_newline_is_refused(sandbox: &Sandbox) {
    let outcome = sandbox.sh("multilog './m' 'pa\nb' 1");
    outcome.is(
        100,
        "",
        "multilog: fatal: p takes a prefix without newlines\n",
    );
    assert!(!sandbox.exists("m"));
}

fn only_the_whole_word_1_prints(sandbox: &Sandbox) {
    sandbox.feed("a\n", "multilog 10 1x 2 ./m").prints("");
    sandbox.feed("a\n", "multilog 1 1").prints("a\na\n");
}

fn selected_lines_are_printed(sandbox: &Sandbox) {
    let long = "y".repeat(5000);
    let input = format!("x1\n{long}\nx{long}\n\nz\n");
    let outcome = sandbox.feed(input, "multilog '-x*' 1");
    outcome.prints(format!("{long}\n\nz\n"));
}

fn partial_last_line_is_printed_with_newline(sandbox: &Sandbox) {
    sandbox.feed("a\nb", "multilog pp 1").prints("pa\npb\n");
    let long = "y".repeat(3_000_000);
    sandbox
        .feed(&long, "multilog 1")
        .prints(format!("{long}\n"));
}

/// The number of loggers on one output, and the lines of each.
const LOGGERS: usize = 20;
const LINES: usize = 6;

/// Line `n` of a logger: a megabyte and more, or a few bytes.
fn text(logger: usize, n: usize) -> Vec<u8> {
    let letter = b'a' + u8::try_from(logger).unwrap();
    let length = [1_048_570, 90, 4094, 1_500_000, 1, 5000][n % 6];
    vec![letter; length]
}

/// Starts the loggers by a shell script, which `prepare` and `finish` enclose.
fn start_loggers(sandbox: &Sandbox, prepare: &str, finish: &str) -> Running {
    for logger in 0..LOGGERS {
        let lines = (0..LINES).flat_map(|n| [text(logger, n), b"\n".to_vec()]);
        sandbox.write(format!("in{logger}"), lines.collect::<Vec<_>>().concat());
    }
    let last = LOGGERS - 1;
    sandbox.start(sandbox.shell(&format!(
        "{prepare}
         for i in $(seq 0 {last}); do cat in$i | multilog \"p$i: \" 1 & done
         wait
         {finish}"
    )))
}

#[track_caller]
fn assert_whole_lines(output: &[u8]) {
    let mut next = [0; LOGGERS];
    for line in output
        .strip_suffix(b"\n")
        .unwrap()
        .split(|&byte| byte == b'\n')
    {
        let colon = line.iter().position(|&byte| byte == b':').unwrap();
        let logger: usize = String::from_utf8_lossy(&line[..colon]).parse().unwrap();
        let expected = text(logger, next[logger]);
        assert!(
            line[colon + 2..] == expected,
            "line {} of {logger}",
            next[logger]
        );
        next[logger] += 1;
    }
    assert_eq!(next, [LINES; LOGGERS]);
}

fn lines_on_one_pipe_do_not_mix(sandbox: &Sandbox) {
    let running = start_loggers(sandbox, "exec >out; {", "} | cat");
    running.wait().succeeds();
    assert_whole_lines(&sandbox.read("out"));
}

fn lines_in_one_file_do_not_mix(sandbox: &Sandbox) {
    for how in [">", ">>"] {
        let running = start_loggers(sandbox, &format!("exec {how}out"), "");
        running.wait().succeeds();
        assert_whole_lines(&sandbox.read("out"));
        sandbox.sh("rm out").succeeds();
    }
}

fn lines_on_one_terminal_do_not_mix(sandbox: &Sandbox) {
    let terminal = openpty(None, None).unwrap();
    let mut mode = tcgetattr(&terminal.slave).unwrap();
    cfmakeraw(&mut mode);
    tcsetattr(&terminal.slave, SetArg::TCSANOW, &mode).unwrap();
    let number = terminal.slave.as_raw_fd();
    let path = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
    let running = start_loggers(sandbox, &format!("exec >{}", path.display()), "");
    let mut length = 0;
    for logger in 0..LOGGERS {
        let prefix = format!("{logger}: ").len();
        length += (0..LINES)
            .map(|n| prefix + text(logger, n).len() + 1)
            .sum::<usize>();
    }
    assert_whole_lines(&read_exactly(&File::from(terminal.master), length));
    running.wait().succeeds();
}

fn closed_output_warns_once(sandbox: &Sandbox) {
    let input = line(1000).repeat(500);
    for (setup, reason) in [
        ("exec >&-", "file descriptor not open"),
        ("mkfifo f; (sleep 0 <f) & exec >f; wait", "broken pipe"),
    ] {
        let script = format!("{setup}; exec multilog 1 1 ./m 1 s10000000 ./n");
        let warning = "multilog: warning: unable to write to standard output: ";
        let outcome = sandbox.feed(&input, &script);
        outcome.is(0, "", format!("{warning}{reason}\n"));
        assert!(sandbox.read("n/current") == input);
        sandbox.sh("rm -rf m n").succeeds();
    }
    // Alerts and status files are other destinations, too.
    for (words, alert) in [("e", "a\n"), ("=status", "")] {
        let outcome = sandbox.feed("a\n", &format!("multilog 1 {words} >&-"));
        let text = outcome.error_text();
        assert_eq!(outcome.code(), Some(0));
        assert!(
            text.starts_with("multilog: warning: ") && text.ends_with(alert),
            "{text}"
        );
    }
    assert_eq!(sandbox.read("status")[..2], *b"a\n");
}

fn closed_output_without_log_is_fatal(sandbox: &Sandbox) {
    let fatal = "multilog: fatal: unable to write to standard output: ";
    sandbox
        .feed("a\n", "multilog '-b*' pp 1 >&-; code=$?; cat; exit $code")
        .is(111, "a\n", format!("{fatal}file descriptor not open\n"));
    sandbox
        .feed(
            "a\n",
            "mkfifo f; (sleep 0 <f) & exec >f; wait; exec multilog 1",
        )
        .is(111, "", format!("{fatal}broken pipe\n"));
}

fn output_for_reading_counts_as_closed(sandbox: &Sandbox) {
    let outcome = sandbox.feed("a\n", "exec multilog 1 1</dev/null");
    let fatal = "multilog: fatal: unable to write to standard output: ";
    outcome.is(111, "", format!("{fatal}file descriptor not open\n"));
}

fn full_device_is_retried(sandbox: &Sandbox) {
    sandbox.write("in", "a\n");
    let running = sandbox.start(sandbox.shell("exec multilog 1 ./m <in >/dev/full"));
    let warning =
        "multilog: warning: unable to write to standard output, pausing: out of disk space\n";
    sandbox.wait_until("the error is reported", || {
        running.stderr() == warning.as_bytes()
    });
    assert_eq!(sandbox.read("m/current"), b"a\n");
    running.kill();
}

fn processor_inherits_no_ignored_sigpipe(sandbox: &Sandbox) {
    for (trap, ignored) in [(":", false), ("trap '' PIPE", true)] {
        let words = "s4096 '!exec cat /proc/self/status' ./m 1";
        let script = format!("{trap}; exec multilog {words} >/dev/null");
        sandbox.feed(line(4096), &script).succeeds();
        let status = String::from_utf8_lossy(&contents(sandbox, "m")[0]).into_owned();
        let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let bits = u64::from_str_radix(bits.unwrap().trim(), 16).unwrap();
        assert_eq!(bits & 1 << (SIGPIPE as u64 - 1) != 0, ignored);
        sandbox.sh("rm -rf m").succeeds();
    }
}

/// A FIFO `name` with a reader, and no read of it.
fn fifo(sandbox: &Sandbox, name: &str) -> File {
    sandbox.sh(&format!("mkfifo {name}")).succeeds();
    let path = sandbox.path(name);
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap()
}

/// Starts multilog with these words and the FIFO `f` as standard output.
fn start(sandbox: &Sandbox, words: &str) -> (Running, Feed) {
    Feed::start(
        sandbox,
        sandbox.shell(&format!("exec multilog {words} >>f")),
    )
}

fn read_exactly(mut fifo: &File, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fifo.read_exact(&mut bytes).unwrap();
    bytes
}

fn blocked_output_delays_no_log_directory(sandbox: &Sandbox) {
    let output = fifo(sandbox, "f");
    let (running, mut feed) = start(sandbox, "1 s16777215 ./m");
    let batch = line(1000).repeat(60);
    feed.write(&batch);
    feed.settle(sandbox, &running);
    // The pipe takes 64 KB at most, the log directory all.
    feed.write(&batch);
    sandbox.wait_until("the log directory has all lines", || {
        sandbox.read("m/current").len() == 2 * batch.len()
    });
    let all = read_exactly(&output, 2 * batch.len());
    assert!(all == batch.repeat(2));
    feed.end();
    running.wait().succeeds();
}

fn stopped_logger_delays_no_other(sandbox: &Sandbox) {
    let output = fifo(sandbox, "f");
    let (one, mut feed) = start(sandbox, "1 ./m");
    // More than the pipe takes: the logger waits for the pipe.
    let lines = line(1000).repeat(60);
    feed.write(&lines);
    feed.settle(sandbox, &one);
    feed.write(&lines);
    wait_until_asleep(sandbox, &one);
    one.signal(SIGSTOP);
    let mut read = read_exactly(&output, 50_000);
    let (two, mut other) = start(sandbox, "'ptwo: ' 1");
    other.write("line\n");
    other.end();
    two.wait().succeeds();
    one.signal(SIGCONT);
    feed.end();
    let rest = 2 * lines.len() + "two: line\n".len() - read.len();
    read.extend(read_exactly(&output, rest));
    one.wait().succeeds();
    let text = String::from_utf8(read).unwrap();
    assert_eq!(text.matches("two: line\n").count(), 1);
    assert!(text.replace("two: line\n", "").into_bytes() == lines.repeat(2));
}

fn stalled_long_line_is_divided(sandbox: &Sandbox) {
    let output = fifo(sandbox, "f");
    let (one, mut feed) = start(sandbox, "'pone: ' 1 ./m");
    let start_of_line = vec![b'a'; 1_300_000];
    std::thread::scope(|scope| {
        scope.spawn(|| feed.write(&start_of_line));
        let mut printed = read_exactly(&output, 5 + start_of_line.len());
        assert!(printed.starts_with(b"one: aaa") && printed.ends_with(b"aaa"));
        let (two, mut other) = start(sandbox, "'ptwo: ' 1");
        other.write("line\n");
        other.end();
        two.wait().succeeds();
        printed = read_exactly(&output, "\ntwo: line\n".len());
        assert_eq!(printed, b"\ntwo: line\n");
    });
    feed.write("b\nc\n");
    assert_eq!(read_exactly(&output, 14), b"one: b\none: c\n");
    feed.end();
    one.wait().succeeds();
    let files = contents(sandbox, "m").concat();
    assert!(files.ends_with(b"ab\none: c\n"));
}

/// Feeds the start of a long line to `one`, which blocks in its log directory at most
/// 64 KB before the end. Asserts that the line is divided for another logger.
#[track_caller]
fn assert_divided(sandbox: &Sandbox, output: &File, feed: &mut Feed, length: usize) {
    let start_of_line = vec![b'a'; length];
    std::thread::scope(|scope| {
        scope.spawn(|| feed.write(&start_of_line));
        let mut printed = read_exactly(output, 1_060_000);
        let (two, mut other) = start(sandbox, "'ptwo: ' 1");
        other.write("line\n");
        other.end();
        while !printed.ends_with(b"\ntwo: line\n") {
            printed.extend(read_exactly(output, 1));
        }
        two.wait().succeeds();
        let divided = printed.strip_suffix(b"\ntwo: line\n").unwrap();
        let one = divided.strip_prefix(b"one: ").unwrap();
        assert!(one.iter().all(|byte| *byte == b'a'));
    });
}

fn full_log_directory_delays_no_other(sandbox: &Sandbox) {
    let output = fifo(sandbox, "f");
    // 1 228 800 bytes.
    let limit = "trap '' XFSZ; ulimit -f 2400";
    let command = format!("{limit}; exec multilog 'pone: ' 1 p s16777215 ./m >>f 2>said");
    let (one, mut feed) = Feed::start(sandbox, sandbox.shell(&command));
    assert_divided(sandbox, &output, &mut feed, 1_290_000);
    one.kill();
    let said = String::from_utf8(sandbox.read("said")).unwrap();
    let pause = "multilog: warning: unable to write to ./m/current, pausing: file too big\n";
    assert!(said.starts_with(pause), "{said}");
}

fn slow_processor_delays_no_other(sandbox: &Sandbox) {
    let output = fifo(sandbox, "f");
    let processor = "!until [ -e ../go ]; do sleep 0.1; done; cat";
    let words = format!("'pone: ' 1 p s1300000 '{processor}' ./m");
    let (one, mut feed) = start(sandbox, &words);
    assert_divided(sandbox, &output, &mut feed, 1_360_000);
    sandbox.write("go", "");
    feed.write("b\n");
    let mut rest = Vec::new();
    while !rest.ends_with(b"b\n") {
        rest.extend(read_exactly(&output, 1));
    }
    assert!(rest.starts_with(b"one: "), "the rest has the prefix");
    feed.end();
    one.wait().succeeds();
    let logged = contents(sandbox, "m").concat();
    assert!(logged == [&vec![b'a'; 1_360_000][..], b"b\n"].concat());
}

fn endless_line_takes_bounded_memory(sandbox: &Sandbox) {
    let script = "head -c 100000000 /dev/zero | { ulimit -v 60000; exec multilog 1; } | wc -c";
    sandbox.sh(script).prints("100000001\n");
}
