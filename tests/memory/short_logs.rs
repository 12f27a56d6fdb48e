//! As the scenes of short.rs, for multilog and svlogd: each line is kept, once.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::pipe2;
use testkit::{Allocations, Running, Sandbox, holds_within};

use super::short::{RECOVERY, for_every_allocation};

/// The input: short lines of which each third has a `z`, a line of more than 1 MB, and
/// empty lines, whose labels need more memory than the lines.
fn input() -> Vec<u8> {
    let lines = (0..6000).map(|number| {
        let end = if number % 3 == 0 { " z" } else { "" };
        format!("line {number}{end}\n").into_bytes()
    });
    let mut lines: Vec<_> = lines.collect();
    lines.insert(
        2000,
        [&b"long z"[..], &b"x".repeat(1_200_000), b"\n"].concat(),
    );
    lines.insert(4000, vec![b'\n'; 60_000]);
    lines.concat()
}

/// The lines of a text that contain a `z`.
fn selected(input: &[u8]) -> Vec<u8> {
    let lines = input.split_inclusive(|&byte| byte == b'\n');
    let lines: Vec<_> = lines.filter(|line| line.contains(&b'z')).collect();
    lines.concat()
}

/// The length of a label and a space, in bytes.
const STAMP: usize = 26;

/// All lines of a log directory without their labels.
fn logged(sandbox: &Sandbox, dir: &str) -> Vec<u8> {
    let names = fs::read_dir(sandbox.path(dir)).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = names.filter(|name| name.starts_with('@')).collect();
    files.sort();
    files.push("current".into());
    let read = |name: String| sandbox.read(format!("{dir}/{name}"));
    let text: Vec<_> = files.into_iter().map(read).collect();
    let text = text.concat();
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    let lines: Vec<_> = lines.map(|line| &line[STAMP.min(line.len())..]).collect();
    lines.concat()
}

/// Feeds the input to a logger, whose allocations fail at some moment. Memory comes
/// back after a delay in which the logger reaches the failure.
fn feed(
    sandbox: &Sandbox,
    allocations: &Allocations,
    command: &str,
    signals: &[Signal],
) -> Running {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let mut start = sandbox.shell(&format!("exec {command}"));
    allocations.apply(&mut start);
    start.stdin(reader);
    let mut running = sandbox.start(start);
    let feeder = feeder(writer);
    // Without memory, the logger may wait, and the pipe is full.
    let mut seen = 0;
    holds_within(Duration::from_millis(1500), || {
        if seen < signals.len() && sandbox.exists("all/current") {
            running.signal(signals[seen]);
            seen += 1;
        }
        feeder.is_finished()
    });
    assert!(running.runs());
    allocations.restore();
    assert!(holds_within(RECOVERY, || feeder.is_finished()), "{command}");
    drop(feeder.join().unwrap());
    running
}

/// Writes the input. Returns the open end of the pipe.
fn feeder(writer: OwnedFd) -> thread::JoinHandle<File> {
    thread::spawn(move || {
        let mut writer = File::from(writer);
        writer.write_all(&input()).unwrap();
        writer
    })
}

/// Asserts that two texts are equal, without printing megabytes.
fn assert_same(seen: &[u8], expected: &[u8], what: &str) {
    let differs = seen
        .iter()
        .zip(expected)
        .position(|(one, other)| one != other);
    let place = differs.unwrap_or(seen.len().min(expected.len()));
    let near = |text: &[u8]| {
        let near = &text[place.saturating_sub(50)..text.len().min(place + 100)];
        near.escape_ascii().to_string()
    };
    assert!(
        seen == expected,
        "{what}: {} bytes of {}, differ at {place}: {} in place of {}",
        seen.len(),
        expected.len(),
        near(seen),
        near(expected)
    );
}

/// Asserts that the directories `all`, `processed` and `some` have their lines of the
/// input, which is returned.
fn assert_logged(sandbox: &Sandbox) -> Vec<u8> {
    let input = input();
    assert_same(&logged(sandbox, "all"), &input, "all");
    assert_same(&logged(sandbox, "processed"), &input, "processed");
    assert_same(&logged(sandbox, "some"), &selected(&input), "some");
    input
}

#[test]
fn multilog_survives_each_failed_allocation() {
    let name = "multilog_survives_each_failed_allocation";
    for_every_allocation(name, "multilog", |sandbox, allocations, _| {
        let script = "t s500000 n1000 ./all !cat ./processed '-*' '+*z*' ./some \
            'pweb: ' 1 =status ./prefixed";
        let signals = [Signal::SIGALRM];
        let running = feed(
            sandbox,
            allocations,
            &format!("multilog {script}"),
            &signals,
        );
        let outcome = running.wait();
        assert_eq!(outcome.code(), Some(0), "{}", outcome.error_text());
        let input = assert_logged(sandbox);
        let lines = selected(&input);
        let lines = lines.split_inclusive(|&byte| byte == b'\n');
        let prefixed: Vec<_> = lines.map(|line| [&b"web: "[..], line].concat()).collect();
        let prefixed = prefixed.concat();
        assert_same(&logged(sandbox, "prefixed"), &prefixed, "prefixed");
        assert!(sandbox.read("status").starts_with(b"@"));
        // A line of more than 1 MB may be divided in two while the logger waits.
        let without = |text: &[u8]| {
            let lines = text.split(|&byte| byte == b'\n');
            let plain = |line: &[u8]| match line.first() {
                Some(b'@') => line[STAMP + 5..].to_vec(),
                _ => line.strip_prefix(b"web: ").unwrap_or(line).to_vec(),
            };
            lines.map(plain).collect::<Vec<_>>().concat()
        };
        assert_same(&without(&outcome.stdout), &without(&prefixed), "printed");
    });
}

#[test]
fn svlogd_survives_each_failed_allocation() {
    let name = "svlogd_survives_each_failed_allocation";
    for_every_allocation(name, "svlogd", |sandbox, allocations, _| {
        sandbox.write("all/config", "s500000\nn1000\n");
        sandbox.write("processed/config", "s500000\nn1000\n!cat\n");
        sandbox.write("some/config", "s500000\nn1000\n-*\n+*z*\ne*999 z\n");
        let command = "svlogd -t -b 1200 all processed some";
        let signals = [Signal::SIGALRM, Signal::SIGHUP, Signal::SIGALRM];
        let running = feed(sandbox, allocations, command, &signals);
        let outcome = running.wait();
        assert_eq!(outcome.code(), Some(0), "{}", outcome.error_text());
        assert_logged(sandbox);
        assert_eq!(
            sandbox.sh("ls processed | grep -c '^@.*[ut]$'").text(),
            "0\n"
        );
    });
}
