//! svscan, svscan -e and runsvdir without memory: no death, no service lost or
//! started twice, and all services five seconds after memory is back.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Allocations, Running, SLEEPER, Sandbox, kill, ours, say};

use super::{children, run, wait_until_quiet};
use crate::compliance::multilog::calls::strace_works;

ours!(new_links_start_without_system_memory);

/// The commands, and the program whose allocations count.
const SCANNERS: [(&str, &str); 3] = [
    ("svscan scan", "svscan"),
    ("svscan -e scan", "svscan"),
    ("runsvdir scan", "runsvdir"),
];

struct Scanner<'a> {
    sandbox: &'a Sandbox,
    running: Running,
    links: usize,
}

impl<'a> Scanner<'a> {
    fn start(
        sandbox: &'a Sandbox,
        command: &str,
        links: usize,
        allocations: Option<&Allocations>,
    ) -> Self {
        let _ = fs::remove_dir_all(sandbox.path("scan"));
        let _ = fs::remove_dir_all(sandbox.path("services"));
        sandbox.sh("mkdir scan services").succeeds();
        let mut start = sandbox.shell(&format!("exec {command}"));
        if let Some(allocations) = allocations {
            allocations.apply(&mut start);
        }
        let running = sandbox.start(start);
        let mut scanner = Scanner {
            sandbox,
            running,
            links: 0,
        };
        scanner.add(links);
        scanner.wait_until_complete();
        scanner
    }

    fn pid(&self) -> Pid {
        self.running.pid()
    }

    /// Adds links to new services.
    fn add(&mut self, count: usize) {
        for number in self.links..self.links + count {
            self.sandbox
                .script(format!("services/{number}/run"), SLEEPER);
            let link = self.sandbox.path(format!("scan/{number}"));
            symlink(format!("../services/{number}"), link).unwrap();
        }
        self.links += count;
    }

    fn supervised(&self) -> BTreeSet<PathBuf> {
        let directories = children(self.pid()).into_iter();
        directories
            .filter_map(|pid| fs::read_link(format!("/proc/{pid}/cwd")).ok())
            .filter(|directory| {
                directory
                    .parent()
                    .is_some_and(|dir| dir.ends_with("services"))
            })
            .collect()
    }

    /// Waits until each service has one supervise or runsv.
    fn wait_until_complete(&self) {
        self.sandbox.wait_until("all services are supervised", || {
            let supervised = self.supervised().len();
            supervised == self.links && children(self.pid()).len() == self.links
        });
    }

    /// Kills the supervise of a service, and the service.
    fn kill_supervise(&self) {
        let Some(&supervise) = children(self.pid()).first() else {
            return;
        };
        // A stopped supervise starts no other process.
        let _ = kill(supervise, Signal::SIGSTOP);
        for service in children(supervise) {
            let _ = kill(service, Signal::SIGKILL);
        }
        let _ = kill(supervise, Signal::SIGKILL);
    }

    /// Ends the scanner, then its services.
    fn end(mut self) {
        assert!(self.running.runs(), "the scanner has died");
        let supervises = children(self.pid());
        self.running.kill();
        for number in 0..self.links {
            let control = self
                .sandbox
                .path(format!("services/{number}/supervise/control"));
            let _ = fs::write(control, "dx");
        }
        self.sandbox.wait_until("all supervises have exited", || {
            let exited = |pid: &Pid| !fs::exists(format!("/proc/{pid}")).unwrap();
            supervises.iter().all(exited)
        });
    }
}

/// 40 new links while brk(2), mmap(2) and mremap(2) of the scanner fail; 400 with
/// `DAEMONTOOLS_CASES`. The scanner has taken address space ahead of need, and starts
/// all of them, as 0.76 and runit do. A refused brk(2) returns the old end of the heap
/// or 0, never an errno, which glibc would use as an address.
fn new_links_start_without_system_memory(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    for (command, _) in SCANNERS {
        let mut scanner = Scanner::start(sandbox, command, 2, None);
        let strace = sandbox.start(sandbox.shell(&format!(
            "exec strace -qq -p {} -o trace -e trace=brk,mmap,mremap \
             -e inject=brk:retval=0 -e inject=mmap,mremap:error=ENOMEM",
            scanner.pid()
        )));
        sandbox.wait_until("strace is attached", || {
            let status = fs::read_to_string(format!("/proc/{}/status", scanner.pid()));
            status
                .unwrap()
                .contains(&format!("TracerPid:\t{}", strace.pid()))
        });
        scanner.add(std::env::var("DAEMONTOOLS_CASES").map_or(40, |_| 400));
        scanner.wait_until_complete();
        strace.signal(Signal::SIGTERM);
        let _ = strace.wait();
        let trace = String::from_utf8(sandbox.read("trace")).unwrap();
        let refused = trace.lines().count();
        say(&format!(
            "{command}: {} services started, {refused} calls refused",
            scanner.links
        ));
        scanner.end();
    }
}

/// A scanner without memory from its first allocation on looks again with each scan,
/// as 0.76, and obeys signals.
#[test]
fn scanner_without_memory_at_start_obeys() {
    let name = "scanner_without_memory_at_start_obeys";
    for (command, signal, code, restored) in [
        // Without a handler, the signal kills.
        ("svscan", Signal::SIGTERM, None, false),
        ("svscan", Signal::SIGTERM, None, true),
        ("svscan -e", Signal::SIGTERM, Some(0), false),
        ("svscan -e", Signal::SIGINT, Some(0), true),
        ("runsvdir", Signal::SIGTERM, Some(0), true),
        ("runsvdir", Signal::SIGHUP, Some(111), false),
    ] {
        run(|sandbox| {
            let program = command.trim_end_matches(" -e");
            let Some(allocations) = sandbox.allocations(program, name) else {
                return;
            };
            sandbox.script("scan/s/run", SLEEPER);
            allocations.fail_from(0);
            let mut start = sandbox.shell(&format!("exec {command} scan 2>errors"));
            allocations.apply(&mut start);
            let scanner = sandbox.start(start);
            let errors = sandbox.path("errors");
            sandbox.wait_until("the first scan has failed", || {
                let errors = fs::read_to_string(&errors).unwrap_or_default();
                errors.contains(" directory") && errors.ends_with(": out of memory\n")
            });
            if restored {
                allocations.restore();
                sandbox.wait_until("the service is supervised", || {
                    sandbox.is_supervised("scan/s")
                });
            }
            scanner.signal(signal);
            assert_eq!(scanner.wait().code(), code, "{command}");
            let _ = sandbox.sh("svc -dx scan/s");
            sandbox.wait_until("no process is left", || sandbox.processes().is_empty());
        });
    }
}

/// Deaths of supervises, and scans without change.
#[test]
fn scanner_allocates_nothing_between_events() {
    run(|sandbox| {
        for (command, program) in SCANNERS {
            let name = "scanner_allocates_nothing_between_events";
            let Some(allocations) = sandbox.allocations(program, name) else {
                return;
            };
            let scanner = Scanner::start(sandbox, command, 3, Some(&allocations));
            // The first death, and the scan after it.
            let die = || {
                let before: BTreeSet<_> = children(scanner.pid()).into_iter().collect();
                scanner.kill_supervise();
                sandbox.wait_until("another supervise runs", || {
                    let after: BTreeSet<_> = children(scanner.pid()).into_iter().collect();
                    after != before && scanner.supervised().len() == scanner.links
                });
                wait_until_quiet(sandbox, scanner.pid());
            };
            die();
            let before = allocations.count();
            die();
            die();
            let cost = allocations.count() - before;
            say(&format!("allocations of {command} in two deaths: {cost}"));
            assert_eq!(cost, 0, "{command}");
            scanner.end();
        }
    });
}
