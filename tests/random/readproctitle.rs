//! The title in the output of ps after messages of all kinds.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use fastrand::Rng;
use testkit::Sandbox;
use testkit::random::compare;

/// The last byte of each message in turn, which no message contains elsewhere.
/// Once the title ends with it, the program has read the message.
const ENDS: [u8; 5] = [1, 2, 3, 4, 5];

fn message(random: &mut Rng, end: u8) -> Vec<u8> {
    let most = *random.choice(&[1, 10, 100, 3000]).unwrap();
    let length = random.usize(..most);
    let mut message: Vec<u8> = (0..length)
        .map(|_| {
            if random.u8(..20) == 0 {
                0
            } else {
                random.u8(..)
            }
        })
        .filter(|byte| !ENDS.contains(byte))
        .collect();
    message.push(end);
    message
}

fn argument(random: &mut Rng, most: usize) -> String {
    let length = random.usize(..most);
    let among = ["a", "b", " ", ".", "-", "\\", "\n", "\u{e9}"];
    (0..length)
        .map(|_| *random.choice(&among).unwrap())
        .collect()
}

/// The titles seen after each message, and the exit code.
fn titles(
    sandbox: &Sandbox,
    arguments: &[String],
    messages: &[Vec<u8>],
) -> (Vec<String>, Option<i32>) {
    let (mut writer, reader) = UnixStream::pair().unwrap();
    let mut command = sandbox.command("readproctitle");
    command.args(arguments).stdin(OwnedFd::from(reader));
    let mut running = sandbox.start(command);
    let cmdline = format!("/proc/{}/cmdline", running.pid());
    let title = || fs::read(&cmdline).unwrap_or_default();
    let mut titles = Vec::new();
    for message in messages {
        // The program exits if its last argument is too short.
        if writer.write_all(message).is_err() {
            break;
        }
        let end = &[message[message.len() - 1], 0];
        let start = Instant::now();
        while running.runs() && !title().ends_with(end) {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "the title does not end with {:?}",
                message.last()
            );
            std::thread::yield_now();
        }
        // Again, since the first read may have seen a partly written title.
        titles.push(title().escape_ascii().to_string());
    }
    drop(writer);
    let outcome = running.wait();
    assert!(
        outcome.stdout.is_empty() && outcome.stderr.is_empty(),
        "{outcome:?}"
    );
    // Titles seen before an immediate exit depend on timing.
    if outcome.code() == Some(100) {
        titles.clear();
    }
    (titles, outcome.code())
}

#[test]
fn messages_of_any_kind_make_same_titles() {
    let built = env!("CARGO_BIN_EXE_readproctitle");
    compare("readproctitle", built, 700, |random, pair| {
        let mut arguments = Vec::new();
        for _ in 0..random.usize(..4) {
            arguments.push(argument(random, 20));
        }
        let most = if random.bool() { 9 } else { 500 };
        arguments.push(argument(random, most));
        let number = random.usize(1..=ENDS.len());
        let messages: Vec<_> = ENDS[..number]
            .iter()
            .map(|&end| message(random, end))
            .collect();
        pair.same(|sandbox| titles(sandbox, &arguments, &messages));
    });
}
