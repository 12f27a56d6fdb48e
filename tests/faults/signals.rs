//! Signal storms: handled, ignored, stopping and continuing signals while a
//! program reads lines. No line is lost.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::Signal::{self, SIGALRM, SIGCONT, SIGSTOP, SIGURG, SIGWINCH};
use nix::unistd::Pid;
use testkit::{Outcome, Sandbox, compliance, kill, say};

use super::in_memory;
use crate::compliance::multilog::{Feed, masked};

/// The signals sent to every program. multilog handles SIGALRM; the other
/// programs start with SIGALRM ignored.
const STORM: [Signal; 5] = [SIGWINCH, SIGSTOP, SIGCONT, SIGALRM, SIGURG];

/// The minimum number of signals for a program.
const LEAST: usize = 500;

compliance!(
    filters_lose_nothing_in_a_storm_of_signals,
    multilog_loses_nothing_in_a_storm_of_signals,
);

/// Whether a signal has not reached a process. Others may stay pending, such as the
/// SIGCHLD of a stopped process.
fn is_pending(process: Pid, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let set = status
        .lines()
        .find_map(|line| line.strip_prefix("ShdPnd:\t"));
    let set = set.map_or(0, |set| u64::from_str_radix(set, 16).unwrap());
    set & (1 << (signal as i32 - 1)) != 0
}

/// Runs a program on `input` while signals arrive. Returns the outcome and the
/// number of signals.
fn storm(sandbox: &Sandbox, command: Command, input: &[u8]) -> (Outcome, usize) {
    let (mut running, mut feed) = Feed::start(sandbox, command);
    feed.write("first\n");
    feed.settle(sandbox, &running);
    let pid = running.pid();
    let done = AtomicBool::new(false);
    let signals = thread::scope(|scope| {
        let signals = scope.spawn(|| {
            let mut sent = 0;
            for signal in STORM.iter().cycle() {
                kill(pid, *signal).unwrap();
                sent += 1;
                while is_pending(pid, *signal) {
                    thread::yield_now();
                }
                if *signal == SIGURG && sent >= LEAST && done.load(Ordering::Relaxed) {
                    return sent;
                }
            }
            sent
        });
        for (n, chunk) in input.chunks(1500).enumerate() {
            feed.write(chunk);
            if n % 3 == 0 {
                // Signals reach the program at work and in blocked reads.
                sandbox.wait_until("the program has read its input", || feed.is_empty());
            }
        }
        done.store(true, Ordering::Relaxed);
        signals.join().unwrap()
    });
    assert!(running.runs());
    feed.end();
    (running.wait(), signals)
}

fn input() -> Vec<u8> {
    let line = |n: usize| format!("line {n} {}\n", "x".repeat(n * 7 % 1800));
    (0..600).map(line).collect::<String>().into_bytes()
}

fn filters_lose_nothing_in_a_storm_of_signals(sandbox: &Sandbox) {
    let input = input();
    let expected = format!("first\n{}", String::from_utf8_lossy(&input));
    let mut all = 0;
    for filter in ["tai64n", "tai64nlocal"] {
        let script = format!("trap '' ALRM; exec {filter}");
        let (outcome, signals) = storm(sandbox, sandbox.shell(&script), &input);
        let passed = masked(&outcome.stdout).replace("@LABEL ", "");
        assert!(passed == expected, "{filter}: {}", outcome.status);
        assert_eq!(outcome.code(), Some(0));
        all += signals;
    }
    let script = "trap '' ALRM; exec readproctitle .....";
    let (outcome, signals) = storm(sandbox, sandbox.shell(script), &input);
    outcome.succeeds();
    all += signals;
    say(&format!(
        "filters, {:?}: {all} signals, {} bytes written to each, none lost",
        sandbox.subject(),
        expected.len()
    ));
}

fn multilog_loses_nothing_in_a_storm_of_signals(sandbox: &Sandbox) {
    let input = input();
    let expected = format!("first\n{}", String::from_utf8_lossy(&input));
    for script in [
        "n1000000 ./m",
        "t s4096 n1000000 ./m",
        "s4096 n1000000 '!cat' ./m",
    ] {
        let place = in_memory();
        let mut command = sandbox.shell(&format!("exec multilog {script}"));
        command.current_dir(place.path());
        let (outcome, signals) = storm(sandbox, command, &input);
        outcome.succeeds();
        let mut names: Vec<_> = std::fs::read_dir(place.path().join("m"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| !path.ends_with("lock") && !path.ends_with("state"))
            .collect();
        names.sort();
        let text: Vec<u8> = names
            .iter()
            .flat_map(|name| std::fs::read(name).unwrap())
            .collect();
        let text = masked(text).replace("@LABEL ", "");
        assert!(text == expected, "{script}: {names:?}");
        say(&format!(
            "multilog {script}, {:?}: {signals} signals, {} bytes written, {} files, none lost",
            sandbox.subject(),
            expected.len(),
            names.len()
        ));
    }
}
