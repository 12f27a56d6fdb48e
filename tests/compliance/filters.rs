//! Behaviour of both tai64n and tai64nlocal: reading, writing and ending.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use testkit::{Sandbox, compliance, skip};

const FILTERS: [&str; 2] = ["tai64n", "tai64nlocal"];

compliance!(
    no_input_is_no_output,
    arguments_are_ignored,
    all_bytes_pass_in_lines_of_any_length,
    chunking_of_input_changes_nothing,
    partial_line_passes_without_delay,
    an_unreadable_input_ends_silently,
    failing_output_ends_silently,
    closed_standard_error_is_accepted,
    empty_nonblocking_input_is_an_error,
    closed_output_ends_filter_by_sigpipe,
    closed_output_is_an_error_without_sigpipe,
    interrupted_read_ends_tai64n_only,
    short_writes_are_continued,
);

/// The stamped lines without their stamps: tai64n's output, of which every
/// line must have one.
fn unstamped(stamped: &[u8]) -> Vec<u8> {
    stamped
        .split_inclusive(|&byte| byte == b'\n')
        .flat_map(|line| {
            let (stamp, rest) = line.split_at(26);
            assert!(
                stamp[0] == b'@' && stamp[25] == b' ',
                "{}",
                line.escape_ascii()
            );
            rest
        })
        .copied()
        .collect()
}

/// The text that the filter passed on, without stamps.
fn passed_on(filter: &str, stdout: &[u8]) -> Vec<u8> {
    match filter {
        "tai64n" => unstamped(stdout),
        _ => stdout.to_owned(),
    }
}

/// Lines of all lengths and all bytes, without labels, the last one partial.
fn lines(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(17);
    let mut lines: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
        .map(|byte| if byte == b'@' { b'\n' } else { byte })
        .take(length)
        .collect();
    lines.push(b'.');
    lines
}

fn no_input_is_no_output(sandbox: &Sandbox) {
    for filter in FILTERS {
        sandbox.feed("", filter).succeeds();
    }
}

fn arguments_are_ignored(sandbox: &Sandbox) {
    for filter in FILTERS {
        sandbox
            .feed("", &format!("{filter} -x --help nonsense"))
            .succeeds();
    }
}

fn all_bytes_pass_in_lines_of_any_length(sandbox: &Sandbox) {
    let mut input = lines(300_000);
    input.extend(vec![b'\n'; 70_000]);
    input.extend(vec![b'x'; 200_000]);
    input.extend(vec![0; 70_000]);
    for filter in FILTERS {
        let outcome = sandbox.feed(&input, filter);
        let passed = passed_on(filter, &outcome.stdout);
        assert!(outcome.code() == Some(0) && passed == input, "{filter}");
    }
}

fn chunking_of_input_changes_nothing(sandbox: &Sandbox) {
    let input = lines(40_000);
    for filter in FILTERS {
        for size in [1, 2, 7, 1000, 1024] {
            let input = if size < 3 { &input[..5000] } else { &input };
            let outcome = sandbox.run_with_chunks(sandbox.command(filter), input.chunks(size));
            let passed = passed_on(filter, &outcome.stdout);
            assert!(
                outcome.code() == Some(0) && passed == input,
                "{filter}, {size} at once"
            );
        }
    }
}

fn partial_line_passes_without_delay(sandbox: &Sandbox) {
    for filter in FILTERS {
        let (mut writer, reader) = UnixStream::pair().unwrap();
        let mut command = sandbox.command(filter);
        command.stdin(OwnedFd::from(reader));
        let running = sandbox.start(command);
        for (written, seen) in [("a", "a"), ("b\n", "ab\n"), ("\nc", "ab\n\nc")] {
            std::io::Write::write_all(&mut writer, written.as_bytes()).unwrap();
            let last = &written.as_bytes()[written.len() - 1..];
            sandbox.wait_until("the data has passed", || running.stdout().ends_with(last));
            assert_eq!(passed_on(filter, &running.stdout()), seen.as_bytes());
        }
        drop(writer);
        let outcome = running.wait();
        assert_eq!(passed_on(filter, &outcome.stdout), b"ab\n\nc");
        assert_eq!(
            (outcome.code(), outcome.stderr.as_slice()),
            (Some(0), &b""[..])
        );
    }
}

fn an_unreadable_input_ends_silently(sandbox: &Sandbox) {
    for filter in FILTERS {
        sandbox.sh(&format!("{filter} </")).is(111, "", "");
        sandbox.sh(&format!("{filter} <&-")).is(111, "", "");
    }
}

fn failing_output_ends_silently(sandbox: &Sandbox) {
    for filter in FILTERS {
        sandbox
            .feed("a\n", &format!("{filter} >/dev/full"))
            .is(111, "", "");
        sandbox
            .feed("a\n", &format!("{filter} >&-"))
            .is(111, "", "");
        sandbox.feed("", &format!("{filter} >&-")).succeeds();
    }
}

fn closed_standard_error_is_accepted(sandbox: &Sandbox) {
    for filter in FILTERS {
        let outcome = sandbox.feed("a\n", &format!("{filter} 2>&-"));
        assert_eq!(passed_on(filter, &outcome.stdout), b"a\n");
        assert_eq!(outcome.code(), Some(0));
    }
}

fn empty_nonblocking_input_is_an_error(sandbox: &Sandbox) {
    for filter in FILTERS {
        let (mut writer, reader) = UnixStream::pair().unwrap();
        reader.set_nonblocking(true).unwrap();
        std::io::Write::write_all(&mut writer, b"a\nb").unwrap();
        let mut command = sandbox.command(filter);
        command.stdin(OwnedFd::from(reader));
        let outcome = sandbox.run(command);
        assert_eq!(passed_on(filter, &outcome.stdout), b"a\nb");
        assert_eq!(
            (outcome.code(), outcome.stderr.as_slice()),
            (Some(111), &b""[..])
        );
    }
}

fn closed_output_ends_filter_by_sigpipe(sandbox: &Sandbox) {
    for filter in FILTERS {
        // Descriptor 4 is the writing end of a FIFO without a reader.
        let nobody = "rm -f fifo; mkfifo fifo; exec 3<>fifo 4>fifo 3<&-";
        sandbox
            .feed("a\n", &format!("{nobody}; {filter} >&4; echo $?"))
            .prints("141\n");
    }
}

fn closed_output_is_an_error_without_sigpipe(sandbox: &Sandbox) {
    for filter in FILTERS {
        let nobody = "trap '' PIPE; rm -f fifo; mkfifo fifo; exec 3<>fifo 4>fifo 3<&-";
        sandbox
            .feed("a\n", &format!("{nobody}; {filter} >&4; echo $?"))
            .prints("111\n");
    }
}

fn interrupted_read_ends_tai64n_only(sandbox: &Sandbox) {
    if sandbox.sh("strace -o trace true").code() != Some(0) {
        return skip("interrupted reads and writes", "strace cannot be used");
    }
    sandbox.write("in", "a\nb\n");
    for (call, passed_by_tai64n) in [("read", ""), ("read:when=2", "a\nb\n"), ("write", "")] {
        for filter in FILTERS {
            let (call, when) = call.split_once(':').unwrap_or((call, "when=1"));
            let outcome = sandbox.sh(&format!(
                "touch out; strace -qq -o trace -P in -P out -e trace={call} \
                 -e inject={call}:error=EINTR:{when} {filter} <in >out 2>err"
            ));
            let (code, passed) = match filter {
                "tai64n" => (111, passed_by_tai64n),
                _ => (0, "a\nb\n"),
            };
            assert_eq!(outcome.code(), Some(code), "{filter}, {call} {when}");
            assert_eq!(passed_on(filter, &sandbox.read("out")), passed.as_bytes());
            assert!(
                sandbox
                    .read("trace")
                    .windows(5)
                    .any(|word| word == b"EINTR")
            );
        }
    }
}

fn short_writes_are_continued(sandbox: &Sandbox) {
    // A pipe that is full takes a part of each write.
    let input = lines(400_000);
    for filter in FILTERS {
        let outcome = sandbox.feed(&input, &format!("{filter} | (exec dd bs=1000 2>/dev/null)"));
        assert!(passed_on(filter, &outcome.stdout) == input, "{filter}");
    }
}
