//! svscan with killed supervises and svscans, a thousand services, exhausted
//! descriptors, and without inotify or /proc.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Running, SLEEPER, Sandbox, compliance, kill, ours, pause_at_random, say};

use super::{children, descriptors, directory, is_zombie, memory, pid_of, record, span, steady};

/// A service that writes numbered lines under a unique name. On SIGTERM, or once
/// its supervise is dead, it writes a last line and exits.
const COUNTING: &str = r#"#!/usr/bin/perl
use Time::HiRes qw(time sleep);
my ($name, $parent, $n, $stop) = ("$$." . time, getppid, 0, 0);
open my $comm, "<", "/proc/$parent/comm";
exit unless <$comm> eq "supervise\n";
$SIG{TERM} = sub { $stop = 1 };
$| = 1;
until ($stop || getppid != $parent) { $n++; print "$name $n\n"; sleep 0.002 }
print "$name end $n\n";
"#;

/// The number of services, each with a logger.
const DISTURBED: usize = 6;

compliance!(repeated_kills_lose_no_line, new_svscan_takes_over_services,);

ours!(
    more_services_than_0_76_allows_stay_up,
    services_inherit_descriptor_limit,
    descriptor_exhaustion_keeps_services_running,
    svscan_works_without_inotify_or_proc,
);

/// Services under random kills, with counts for the report.
struct Trial<'a> {
    sandbox: &'a Sandbox,
    random: fastrand::Rng,
    kills: usize,
    longest_recovery: Duration,
}

impl Trial<'_> {
    fn dirs() -> impl Iterator<Item = String> {
        (0..DISTURBED).flat_map(|n| [format!("scan/{n}"), format!("scan/{n}/log")])
    }

    /// Whether each service and each logger is up under a supervise of svscan,
    /// and there is no zombie.
    fn is_whole(&self, svscan: Pid) -> bool {
        let supervises = children(svscan);
        let services: Vec<Pid> = supervises.iter().flat_map(|&pid| children(pid)).collect();
        let is_up = |dir: String| {
            record(self.sandbox, &dir)
                .is_some_and(|record| services.contains(&Pid::from_raw(pid_of(record))))
        };
        supervises.len() == 2 * DISTURBED
            && services.len() == 2 * DISTURBED
            && Self::dirs().all(is_up)
            && !supervises
                .into_iter()
                .chain(services.iter().copied())
                .any(is_zombie)
    }

    fn wait_until_whole(&mut self, svscan: Pid) {
        let start = Instant::now();
        self.sandbox
            .wait_until("all services are up again", || self.is_whole(svscan));
        self.longest_recovery = self.longest_recovery.max(start.elapsed());
    }

    /// Kills supervises at random times, in any state.
    fn kill_supervises(&mut self, svscan: Pid) {
        let start = Instant::now();
        while start.elapsed() < span(2500) {
            let mut supervises = children(svscan);
            supervises.retain(|&pid| !is_zombie(pid));
            if let Some(&victim) = self.random.choice(&supervises) {
                self.kills += usize::from(kill(victim, Signal::SIGKILL).is_ok());
            }
            pause_at_random(&mut self.random, Duration::from_millis(200));
        }
        self.wait_until_whole(svscan);
    }

    /// The number of bytes in all logs.
    fn written(&self) -> usize {
        Self::dirs()
            .map(|dir| {
                fs::read(self.sandbox.path(format!("{dir}/kept"))).map_or(0, |kept| kept.len())
            })
            .sum()
    }
}

/// Starts svscan on the directory `scan`.
fn svscan(sandbox: &Sandbox) -> Running {
    sandbox.start(sandbox.shell("exec svscan scan"))
}

/// The number of descriptors of each supervise, by directory, and of svscan.
fn all_descriptors(svscan: Pid) -> Vec<(Option<std::path::PathBuf>, usize)> {
    let mut all: Vec<_> = children(svscan)
        .into_iter()
        .map(|pid| (directory(pid), descriptors(pid)))
        .collect();
    all.sort();
    all.push((None, descriptors(svscan)));
    all
}

/// Asserts that each line of each writer is in the log, once. Returns the numbers
/// of lines and writers.
fn count_lines(sandbox: &Sandbox) -> (usize, usize) {
    let (mut lines, mut writers) = (0, 0);
    for n in 0..DISTURBED {
        let kept = String::from_utf8(sandbox.read(format!("scan/{n}/log/kept"))).unwrap();
        let mut numbers: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        let mut ends = BTreeMap::new();
        for line in kept.lines() {
            match *line.split(' ').collect::<Vec<_>>() {
                [name, number] => numbers
                    .entry(name)
                    .or_default()
                    .push(number.parse().unwrap()),
                [name, "end", number] => {
                    assert_eq!(ends.insert(name, number.parse().unwrap()), None);
                }
                _ => panic!("an incomplete line: {line}"),
            }
        }
        for (name, end) in ends {
            // Two loggers, one of them an orphan, may write in another order than
            // they read.
            let mut seen = numbers.remove(name).unwrap_or_default();
            seen.sort_unstable();
            assert!(
                seen.iter().copied().eq(1..=end),
                "lines of {name} are lost, of {end} lines"
            );
            lines += seen.len();
            writers += 1;
        }
        assert!(
            numbers.is_empty(),
            "writers without a last line: {:?}",
            numbers.keys()
        );
    }
    (lines, writers)
}

fn repeated_kills_lose_no_line(sandbox: &Sandbox) {
    for dir in Trial::dirs() {
        let logger = "#!/bin/sh\nexec cat >>kept\n";
        sandbox.script(
            format!("{dir}/run"),
            if dir.ends_with("log") {
                logger
            } else {
                COUNTING
            },
        );
    }
    let mut trial = Trial {
        sandbox,
        random: fastrand::Rng::with_seed(1),
        kills: 0,
        longest_recovery: Duration::ZERO,
    };
    for round in 0..2 {
        let svscan = svscan(sandbox);
        sandbox.wait_until("all services are up", || trial.is_whole(svscan.pid()));
        let before = steady(sandbox, || all_descriptors(svscan.pid()));
        trial.kill_supervises(svscan.pid());
        let after = steady(sandbox, || all_descriptors(svscan.pid()));
        assert_eq!(before, after);

        // Services survive the death of svscan: services and loggers hold the
        // pipes.
        svscan.signal(Signal::SIGKILL);
        let complaints = svscan.wait().error_text();
        assert!(complaints.is_empty(), "{complaints}");
        let written = trial.written();
        sandbox.wait_until("the services write on", || {
            trial.written() > written + 10_000
        });
        // The loggers exit at end of file, once all writers have exited.
        sandbox.sh("svc -dx scan/*; svc -x scan/*/log").succeeds();
        sandbox.wait_until("all processes have exited", || {
            sandbox.processes().is_empty()
        });
        say(&format!(
            "{:?}: svscan {} killed after {} kills of supervises",
            sandbox.subject(),
            round + 1,
            trial.kills
        ));
    }
    let (lines, writers) = count_lines(sandbox);
    say(&format!(
        "{:?}: {} kills, recovered after {:?} at most; {lines} lines of {writers} writers, none lost",
        sandbox.subject(),
        trial.kills,
        trial.longest_recovery
    ));
}

fn new_svscan_takes_over_services(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let first = svscan(sandbox);
    sandbox.wait_until("supervise runs", || sandbox.is_supervised("scan/a"));
    let supervise = children(first.pid())[0];
    first.kill();
    let second = svscan(sandbox);
    let held = "supervise: fatal: unable to acquire a/supervise/lock: temporary failure\n";
    sandbox.wait_until("the second svscan finds the lock held", || {
        second.stderr() == held.as_bytes()
    });
    kill(supervise, Signal::SIGKILL).unwrap();
    sandbox.wait_until("supervise runs again", || sandbox.is_supervised("scan/a"));
    sandbox.wait_until("the service runs under the second svscan", || {
        children(second.pid())
            .iter()
            .any(|&pid| !children(pid).is_empty())
    });
}

fn more_services_than_0_76_allows_stay_up(sandbox: &Sandbox) {
    const SERVICES: usize = 1010;
    let waiting = sandbox.bin().join("tai64n").canonicalize().unwrap();
    for n in 0..SERVICES {
        let dir = sandbox.path(format!("scan/{n}"));
        fs::create_dir_all(&dir).unwrap();
        std::os::unix::fs::symlink(&waiting, dir.join("run")).unwrap();
    }
    // Each service waits for input that never arrives.
    let start = Instant::now();
    let svscan = sandbox.start(sandbox.shell("mkfifo never; exec svscan scan <>never"));
    let is_up =
        |n: usize| record(sandbox, &format!("scan/{n}")).is_some_and(|record| pid_of(record) != 0);
    sandbox.wait_until("all services are up", || (0..SERVICES).all(is_up));
    let elapsed = start.elapsed();
    let supervises = children(svscan.pid());
    assert_eq!(supervises.len(), SERVICES);
    // Adds a service with a logger, and waits for the scan that starts it.
    let wait_for_scan = |name: &str| {
        sandbox.script(
            format!("{name}/run"),
            "#!/bin/sh\necho line; exec sleep 1000\n",
        );
        sandbox.script(format!("{name}/log/run"), "#!/bin/sh\nexec cat >kept\n");
        fs::rename(sandbox.path(name), sandbox.path(format!("scan/{name}"))).unwrap();
        sandbox.wait_until("the new service and its logger run", || {
            let kept = fs::read(sandbox.path(format!("scan/{name}/log/kept")));
            kept.is_ok_and(|kept| kept == b"line\n")
        });
    };
    wait_for_scan("more");
    let switches = || -> u64 {
        let of = |pid: &Pid| -> u64 {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let count = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            count.unwrap().trim().parse().unwrap()
        };
        supervises.iter().map(of).sum()
    };
    // Between two scans, no process but svscan wakes up.
    let before = steady(sandbox, switches);
    wait_for_scan("yet_more");
    assert_eq!(switches(), before);
    let now = children(svscan.pid());
    assert!(supervises.iter().all(|pid| now.contains(pid)) && now.len() == SERVICES + 4);
    assert_eq!(svscan.stderr(), b"");
    let memory: u64 = supervises
        .iter()
        .filter_map(|&pid| memory(pid, "Anonymous"))
        .sum();
    say(&format!(
        "Ours: {SERVICES} services up in {elapsed:?}, {} KB for each supervise; idle ones never wake",
        memory / SERVICES as u64
    ));
}

fn services_inherit_descriptor_limit(sandbox: &Sandbox) {
    const SERVICES: usize = 40;
    for n in 0..SERVICES {
        sandbox.script(
            format!("scan/{n}/run"),
            "#!/bin/sh\nexec >limits; ulimit -Sn; ulimit -Hn; exec sleep 1000\n",
        );
        sandbox.script(
            format!("scan/{n}/log/run"),
            "#!/bin/sh\nexec >limits; ulimit -Sn; ulimit -Hn; exec sleep 1000\n",
        );
    }
    let svscan = sandbox.start(sandbox.shell("ulimit -Sn 24; ulimit -Hn 100; exec svscan scan"));
    for n in 0..SERVICES {
        for dir in [format!("scan/{n}"), format!("scan/{n}/log")] {
            let limits = sandbox.path(format!("{dir}/limits"));
            sandbox.wait_until("the service has written its limits", || {
                fs::read(&limits).is_ok_and(|limits| limits == b"24\n100\n")
            });
        }
    }
    assert_eq!(svscan.stderr(), b"");
    let own = descriptors(svscan.pid());
    assert!(
        (SERVICES..SERVICES + 15).contains(&own),
        "{own} descriptors"
    );
    say(&format!(
        "Ours: {SERVICES} services with loggers, {own} descriptors, a limit of 24"
    ));
}

fn descriptor_exhaustion_keeps_services_running(sandbox: &Sandbox) {
    for n in 0..30 {
        sandbox.script(format!("scan/{n}/run"), SLEEPER);
        sandbox.script(format!("scan/{n}/log/run"), SLEEPER);
    }
    let svscan = sandbox.start(sandbox.shell("ulimit -n 24; exec svscan scan"));
    let refused_pipes = || {
        let stderr = String::from_utf8(svscan.stderr()).unwrap();
        stderr
            .lines()
            .filter(|line| {
                let name = line.strip_prefix("svscan: warning: unable to create pipe for ");
                assert!(
                    name.is_some_and(|name| name.ends_with(": process cannot open more files")),
                    "{line}"
                );
                true
            })
            .count()
    };
    sandbox.wait_until("pipes are refused", || refused_pipes() >= 10);
    let first = children(svscan.pid());
    sandbox.wait_until("a second scan refuses pipes", || refused_pipes() >= 20);
    assert_eq!(children(svscan.pid()), first);
    for &pid in &first {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    sandbox.wait_until("all supervises are replaced", || {
        let now = children(svscan.pid());
        now.len() == first.len() && !now.iter().any(|pid| first.contains(pid))
    });
    say(&format!(
        "Ours: with 24 descriptors, {} supervises killed and replaced, {} pipes refused",
        first.len(),
        refused_pipes()
    ));
}

fn svscan_works_without_inotify_or_proc(sandbox: &Sandbox) {
    // First without inotify, then without /proc.
    for (n, without) in [
        "strace -f -qq -o /dev/null -e trace=inotify_init1 -e inject=inotify_init1:error=EMFILE",
        r#"unshare -m sh -c 'mount -t tmpfs none /proc && exec "$@"' sh"#,
    ]
    .into_iter()
    .enumerate()
    {
        if sandbox.sh(&format!("{without} true 2>/dev/null")).code() != Some(0) {
            say(&format!("skipped, cannot run here: {without}"));
            continue;
        }
        sandbox.script(
            format!("s{n}/run"),
            "#!/bin/sh\necho line; exec sleep 1000\n",
        );
        sandbox.script(format!("s{n}/log/run"), "#!/bin/sh\nexec cat >kept\n");
        sandbox.sh(&format!("mkdir scan{n}")).succeeds();
        let svscan = sandbox.start(sandbox.shell(&format!("exec {without} svscan scan{n}")));
        // The first scan finds an empty directory, or already the link.
        sandbox.sh(&format!("ln -s ../s{n} scan{n}/")).succeeds();
        sandbox.wait_until("the linked service and its logger run", || {
            fs::read(sandbox.path(format!("s{n}/log/kept"))).is_ok_and(|kept| kept == b"line\n")
        });
        assert_eq!(svscan.stderr(), b"");
    }
}
