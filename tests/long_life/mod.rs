//! A long life: 300 services under svscan -e, svscan and runsvdir, 20 of them
//! with a logger that rotates and runs processors. The services die at random,
//! and receive random commands, signals and settings; services are removed and
//! added. Two lives run at the same time: one with the machine's clock, one with
//! a clock that the test steps.
//!
//! A life settles twice: all services of the beginning are up with their first
//! settings, and nothing else runs. Between both, no process may have gained
//! memory, descriptors or inotify watches. All records describe the running
//! processes, and no log lacks a line.

mod directories;
mod events;
mod settle;
mod snapshot;

use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::unistd::Pid;
use testkit::{Running, Sandbox, pause_at_random, random, say};

use self::directories::Member;
use crate::faults::span;
use crate::stepped_clock;

/// The services of a life, guests apart.
const SERVICES: usize = 300;

/// The services with a logger.
const LOGGERS: usize = 20;

/// The file that makes services stay up.
const CALM: &str = "calm";

/// The longest pause between two events, in milliseconds.
const PAUSE: u64 = 200;

/// A program that supervises a third of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scanner {
    Extended,
    Plain,
    Runsvdir,
}

impl Scanner {
    const ALL: [Scanner; 3] = [Scanner::Extended, Scanner::Plain, Scanner::Runsvdir];

    /// The command, without the scan directory.
    fn command(self) -> &'static str {
        match self {
            Scanner::Extended => "svscan -e",
            Scanner::Plain => "svscan",
            Scanner::Runsvdir => "runsvdir",
        }
    }

    /// The scan directory.
    fn directory(self) -> &'static str {
        match self {
            Scanner::Extended => "extended",
            Scanner::Plain => "plain",
            Scanner::Runsvdir => "runit",
        }
    }
}

#[test]
fn long_life_leaves_no_trace() {
    let built = env!("CARGO_BIN_EXE_svok");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            random::ours("long_life_in_real_time", built, 1, 1, |rng, sandbox| {
                live(rng, sandbox, false);
            });
        });
        // Only programs that are linked dynamically load the clock.
        random::ours_as_built("long_life_in_stepped_time", built, 1, 1, |rng, sandbox| {
            if stepped_clock::make(sandbox) {
                live(rng, sandbox, true);
            }
        });
    });
}

fn live(rng: &mut Rng, sandbox: &Sandbox, is_stepped: bool) {
    let start = Instant::now();
    let total = span(60_000);
    let mut life = Life::begin(rng.fork(), sandbox, is_stepped);
    life.live(start + (total / 4).min(Duration::from_secs(120)));
    life.settle();
    let before = life.snapshot();
    // Settling takes some seconds.
    let rest = (total / 5).min(Duration::from_secs(30));
    life.live(start + total.saturating_sub(rest));
    life.settle();
    let after = life.snapshot();
    let mut faults = std::mem::take(&mut life.faults);
    after.compare(&before, &mut faults);
    life.report(&before, &after, start.elapsed());
    assert!(faults.is_empty(), "{}", life.explain(&faults));
}

/// Counts for the report.
#[derive(Debug, Default)]
struct Counts {
    commands: usize,
    signals: usize,
    settings: usize,
    removals: usize,
    steps: usize,
}

struct Life<'a> {
    rng: Rng,
    sandbox: &'a Sandbox,
    is_stepped: bool,
    scanners: Vec<Running>,
    members: Vec<Member>,
    /// The number of the next guest.
    next_guest: usize,
    /// Commands that still run.
    commands: Vec<Running>,
    counts: Counts,
    /// The steps of the clock: times since 1970, and the difference from then on.
    offsets: Vec<(f64, f64)>,
    faults: Vec<String>,
    start: Instant,
    story: Vec<String>,
}

impl<'a> Life<'a> {
    fn begin(rng: Rng, sandbox: &'a Sandbox, is_stepped: bool) -> Self {
        for dir in ["sv", "logs", "said"] {
            fs::create_dir(sandbox.path(dir)).unwrap();
        }
        for scanner in Scanner::ALL {
            fs::create_dir(sandbox.path(scanner.directory())).unwrap();
        }
        let members = (0..SERVICES).map(|id| {
            let scanner = Scanner::ALL[id % Scanner::ALL.len()];
            // One logger each SERVICES / LOGGERS services, under all scanners.
            let logger = (id % (SERVICES / LOGGERS) == id / (SERVICES / LOGGERS) % 3)
                .then_some(id / (SERVICES / LOGGERS));
            Member::make(sandbox, id, scanner, logger, false)
        });
        let members = members.collect();
        let start = |scanner: Scanner| {
            let mut command = sandbox.shell(&format!(
                "exec {} {}",
                scanner.command(),
                scanner.directory()
            ));
            if is_stepped {
                command.envs(stepped_clock::variables(sandbox));
            }
            sandbox.start(command)
        };
        let mut life = Life {
            rng,
            sandbox,
            is_stepped,
            scanners: Scanner::ALL.map(start).into(),
            members,
            next_guest: SERVICES,
            commands: Vec::new(),
            counts: Counts::default(),
            offsets: vec![(0.0, 0.0)],
            faults: Vec::new(),
            start: Instant::now(),
            story: Vec::new(),
        };
        for member in &mut life.members {
            member.link(sandbox);
        }
        life.wait_for_scanner();
        life
    }

    /// Waits until svscan -e blocks its signals: before, HUP would kill it.
    fn wait_for_scanner(&self) {
        for (index, name) in [(0, "svscan"), (2, "runsvdir")] {
            let status = format!("/proc/{}/status", self.scanners[index].pid());
            self.sandbox
                .wait_until("the scanner handles its signals", || {
                    let status = fs::read_to_string(&status).unwrap_or_default();
                    let zero = "0000000000000000\n";
                    status.starts_with(&format!("Name:\t{name}\n"))
                        && !(status.contains(&format!("SigBlk:\t{zero}"))
                            && status.contains(&format!("SigCgt:\t{zero}")))
                });
        }
    }

    fn scanner(&self, scanner: Scanner) -> Pid {
        self.scanners[scanner as usize].pid()
    }

    /// Adds a sentence to the report of a failure.
    fn tell(&mut self, sentence: impl Into<String>) {
        let time = self.start.elapsed().as_secs_f64();
        self.story.push(format!("{time:8.3} {}", sentence.into()));
    }

    /// Causes events until a time.
    fn live(&mut self, end: Instant) {
        let _ = fs::remove_file(self.sandbox.path(CALM));
        while Instant::now() < end {
            pause_at_random(&mut self.rng, Duration::from_millis(PAUSE));
            self.reap_commands();
            self.step_removals();
            self.event();
        }
    }

    /// The faults, each with the last events of the services that it names.
    fn explain(&self, faults: &[String]) -> String {
        let mut text = String::new();
        for fault in faults.iter().take(12) {
            let _ = writeln!(text, "{fault}");
            // A guest that was removed is no member any more.
            let words = fault.split(' ');
            for service in words.filter(|word| word.starts_with("sv/") && !word.contains("/log")) {
                let marks = [format!("{service} "), format!("{service}/log ")];
                let names_it = |event: &&String| marks.iter().any(|mark| event.contains(mark));
                let events: Vec<_> = self.story.iter().filter(names_it).collect();
                let last = events.len().saturating_sub(25).max(1);
                for event in events.iter().take(1).chain(events.iter().skip(last)) {
                    let _ = writeln!(text, "    {event:.120}");
                }
            }
        }
        for scanner in &self.scanners {
            let errors = String::from_utf8_lossy(&scanner.stderr()).into_owned();
            let lines: Vec<_> = errors.lines().collect();
            for line in &lines[lines.len().saturating_sub(10)..] {
                let _ = writeln!(text, "stderr: {line}");
            }
        }
        text + &format!("{} faults", faults.len())
    }

    /// Prints the figures of the life.
    fn report(&self, before: &snapshot::Snapshot, after: &snapshot::Snapshot, time: Duration) {
        let started = fs::read_to_string(self.sandbox.path("started")).unwrap_or_default();
        let starts = started
            .lines()
            .filter(|line| line.starts_with("run "))
            .count();
        let warnings: usize = self
            .scanners
            .iter()
            .map(|scanner| String::from_utf8_lossy(&scanner.stderr()).lines().count())
            .sum();
        let (lines, rotations) = self.log_figures();
        let counts = &self.counts;
        say(&format!(
            "long life, {} time: {} s; {} deaths, {} commands, {} signals, {} settings, \
             {} removals, {} steps of the clock; {lines} lines, {rotations} rotations; \
             {warnings} warnings",
            if self.is_stepped { "stepped" } else { "real" },
            time.as_secs(),
            starts.saturating_sub(SERVICES),
            counts.commands,
            counts.signals,
            counts.settings,
            counts.removals,
            counts.steps,
        ));
        after.report(before);
    }
}
