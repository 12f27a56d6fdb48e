use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{SystemTime, UNIX_EPOCH};

use testkit::{Sandbox, compliance};

compliance!(
    lines_get_current_label_and_space,
    label_is_time_of_first_byte,
);

/// Microseconds of Unix time.
type Moment = u128;

fn now() -> Moment {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_micros()
}

/// The time of the label, and the text after the label and its space.
fn read(line: &[u8]) -> (Moment, &[u8]) {
    let (label, rest) = line.split_at(26);
    let text = std::str::from_utf8(label).unwrap();
    let digits = text
        .strip_prefix('@')
        .and_then(|text| text.strip_suffix(' '))
        .unwrap();
    assert!(
        !digits.contains(|digit: char| digit.is_ascii_uppercase()),
        "{text}"
    );
    let seconds = u128::from_str_radix(&digits[..16], 16).unwrap() - 4_611_686_018_427_387_914;
    let nanoseconds = u128::from_str_radix(&digits[16..], 16).unwrap();
    assert_eq!(nanoseconds % 1000, 500, "{text}");
    (seconds * 1_000_000 + nanoseconds / 1000, rest)
}

fn lines_get_current_label_and_space(sandbox: &Sandbox) {
    let before = now();
    let outcome = sandbox.feed("a\n\n@400000006b018a5a0a5030ac b\npartial", "tai64n");
    let after = now();
    assert_eq!(outcome.code(), Some(0));
    let mut last = before;
    let rests: Vec<&[u8]> = outcome
        .stdout
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| {
            let (moment, rest) = read(line);
            assert!(last <= moment && moment <= after, "{outcome:?}");
            last = moment;
            rest
        })
        .collect();
    assert_eq!(
        rests,
        [
            &b"a\n"[..],
            b"\n",
            b"@400000006b018a5a0a5030ac b\n",
            b"partial"
        ]
    );
}

fn label_is_time_of_first_byte(sandbox: &Sandbox) {
    let (mut writer, reader) = UnixStream::pair().unwrap();
    let mut command = sandbox.command("tai64n");
    command.stdin(OwnedFd::from(reader));
    let running = sandbox.start(command);
    let write_and_see = |writer: &mut UnixStream, bytes: &str| {
        let before = now();
        writer.write_all(bytes.as_bytes()).unwrap();
        sandbox.wait_until("the data has passed", || {
            running.stdout().ends_with(bytes.as_bytes())
        });
        (before, now())
    };
    let mut writer_and = |bytes| write_and_see(&mut writer, bytes);
    let first = writer_and("par");
    let end = writer_and("tial\n");
    let second = writer_and("second");
    drop(writer);
    let outcome = running.wait();
    let (line, rest) = outcome.stdout.split_at(outcome.stdout.len() - 26 - 6);
    let (moment, text) = read(line);
    assert!(first.0 <= moment && moment <= first.1, "{outcome:?}");
    assert_eq!(text, b"partial\n");
    let (moment, text) = read(rest);
    assert!(
        end.1 <= second.0 && second.0 <= moment && moment <= second.1,
        "{outcome:?}"
    );
    assert_eq!(text, b"second");
}
