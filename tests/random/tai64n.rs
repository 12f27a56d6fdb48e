//! Lines of all kinds, in chunks of all sizes.

use std::fs::File;

use testkit::random::compare;
use testkit::{Sandbox, Subject};

/// The size of 0.76's read buffer, in bytes.
const ORIGINAL_READ: usize = 1024;
/// A label and a space.
const STAMP: usize = 26;

/// The output with the digits of the stamps overwritten.
fn stamped(sandbox: &Sandbox, input: &[u8], chunk: usize) -> Vec<u8> {
    let command = sandbox.command("tai64n");
    let outcome = if chunk > ORIGINAL_READ && sandbox.subject() == Subject::Reference {
        sandbox.write("in", input);
        let mut command = command;
        command.stdin(File::open(sandbox.path("in")).unwrap());
        sandbox.run(command)
    } else {
        sandbox.run_with_chunks(command, input.chunks(chunk))
    };
    assert_eq!((outcome.code(), &outcome.stderr[..]), (Some(0), &b""[..]));
    let mut text = outcome.stdout;
    for line in text.split_inclusive_mut(|&byte| byte == b'\n') {
        let stamp = &mut line[1..STAMP - 1];
        assert!(stamp.iter().all(u8::is_ascii_hexdigit));
        stamp.fill(b'#');
    }
    text
}

#[test]
fn lines_in_chunks_of_any_size_are_the_same() {
    compare(
        "tai64n",
        env!("CARGO_BIN_EXE_tai64n"),
        400,
        |random, pair| {
            let goal = random.choice([10, 5000, 100_000, 300_000]).unwrap();
            let goal = random.usize(..=goal);
            let mut input = Vec::new();
            while input.len() < goal {
                let length = match random.u8(..10) {
                    0 => 0,
                    1 => random.usize(..5000),
                    2 if goal > 100_000 => 100_000,
                    _ => random.usize(..200),
                };
                let filling = *random.choice(b"a@ \0\xff").unwrap();
                input.extend(std::iter::repeat_n(filling, length));
                input.push(random.u8(..));
                input.push(b'\n');
            }
            input.truncate(input.len() - random.usize(..3).min(input.len()));
            // At most 1000 chunks, which bounds the time of a case.
            let chunk = match random.u8(..4) {
                0 => 1,
                1 => random.usize(1..=ORIGINAL_READ),
                2 => 4096,
                _ => 65_536,
            };
            let chunk = chunk.max(input.len() / 1000);
            let differ = |chunk| {
                let theirs = stamped(&pair.reference, &input, chunk);
                let ours = stamped(&pair.ours, &input, chunk);
                let at = theirs.iter().zip(&ours).position(|(a, b)| a != b);
                (at, theirs.len().abs_diff(ours.len()))
            };
            assert_eq!(differ(chunk), (None, 0), "chunks of {chunk}");
        },
    );
}
