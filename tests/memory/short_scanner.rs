//! A long scene of svscan, svscan -e and runsvdir in which every allocation fails from
//! the n-th on: start, new services, a death, commands, settings, a removed service,
//! and the shutdown. svscan and runsvdir are process 1, which ends its services.
//!
//! Before the first scan, a scanner waits for memory. The scene restores memory then.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Allocations, Running, Sandbox, holds_within, kill, skip};

use super::short::{RECOVERY, for_every_allocation};
use super::{children, run, wait_until_quiet};

const NAMESPACE: &str = "unshare --mount --pid --fork --kill-child --mount-proc";

/// Appends its pid and `end` to a file and to its output. tee(1) ends before the trap
/// runs, so both have the same lines.
const RUN: &str = "#!/bin/sh
trap 'echo end | tee -a pids; kill $!; exit 0' TERM
echo $$ | tee -a pids
sleep 1000 &
wait
";

/// The processes of a service in addition to its supervise or runsv.
const OF_SERVICE: usize = 2;

/// A scanner in a scene.
struct Scene<'a> {
    sandbox: &'a Sandbox,
    program: &'static str,
    running: Running,
    pid: Pid,
}

impl<'a> Scene<'a> {
    fn start(sandbox: &'a Sandbox, allocations: &Allocations, command: Command) -> Self {
        sandbox.sh("mkdir scan services").succeeds();
        for name in ["one", "two"] {
            add(sandbox, name);
        }
        let words = command.words;
        let wrapper = if command.first { NAMESPACE } else { "" };
        let mut start = sandbox.shell(&format!("exec {wrapper} {words} scan"));
        allocations.apply(&mut start);
        let mut running = sandbox.start(start);
        let mut pid = running.pid();
        sandbox.wait_until("the scanner runs", || {
            assert!(running.runs());
            if command.first {
                pid = children(running.pid()).first().copied().unwrap_or(pid);
            }
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == command.program
        });
        let scene = Scene {
            sandbox,
            program: command.program,
            running,
            pid,
        };
        scene.settle();
        scene
    }

    /// Waits until the scanner has nothing left to do.
    fn settle(&self) {
        wait_until_quiet(self.sandbox, self.pid);
    }

    /// The processes in the directory of a service, with its supervise or runsv.
    fn processes(&self, directory: &str) -> Vec<Pid> {
        let directory = self.sandbox.path("services").join(directory);
        let inside =
            |pid: &Pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == directory);
        let processes = self.sandbox.processes().into_iter();
        processes.filter(inside).collect()
    }

    /// Kills a supervise or runsv with its service.
    fn kill_supervisor(&self, directory: &str) {
        let signal_all = |are_supervisors: bool, signal| {
            let mut pids = self.processes(directory);
            let supervisors = children(self.pid);
            pids.retain(|pid| supervisors.contains(pid) == are_supervisors);
            for &pid in &pids {
                let _ = kill(pid, signal);
            }
            pids
        };
        // A stopped supervise starts no other process. Without memory, the scanner may
        // start the supervise at any time: one that was not stopped is not killed.
        let mut stopped = None;
        self.sandbox.wait_until("the service has ended", || {
            let found = Some(signal_all(true, Signal::SIGSTOP));
            let are_same = std::mem::replace(&mut stopped, found.clone()) == found;
            signal_all(false, Signal::SIGKILL).is_empty() && are_same
        });
        // This run has ended, without the signal that others must receive.
        let pids = self.sandbox.path("services").join(directory).join("pids");
        if let Ok(mut pids) = File::options().append(true).open(pids) {
            pids.write_all(b"end\n").unwrap();
        }
        for pid in stopped.into_iter().flatten() {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }

    /// Stops a service and starts it again, if it is supervised.
    fn restart(&self, name: &str) {
        let client = match self.program {
            "runsvdir" => "sv d scan/NAME; sv u scan/NAME",
            _ => "svc -d scan/NAME; svc -u scan/NAME",
        };
        let _ = self.sandbox.sh(&client.replace("NAME", name));
    }

    /// Asserts that each service runs once, and that no other runs.
    fn assert_complete(&self, third: bool) {
        let logger = if self.program == "runsvdir" { 1 } else { 2 };
        let wanted = [
            ("one", 1 + OF_SERVICE),
            ("two", 1 + OF_SERVICE),
            ("two/log", logger),
            ("three", if third { 1 + OF_SERVICE } else { 0 }),
        ];
        let found = || wanted.map(|(directory, _)| (directory, self.processes(directory).len()));
        let complete = || found() == wanted;
        assert!(holds_within(RECOVERY, complete), "{:?}", found());
    }

    /// Asserts that each service that has run received SIGTERM, and that the logger
    /// read the output to its end.
    fn assert_ended(self, code: i32) {
        let Scene {
            sandbox, running, ..
        } = self;
        running.wait().exits(code);
        sandbox.wait_until("no process is left", || sandbox.processes().is_empty());
        for name in ["one", "two", "three"] {
            let pids = sandbox.path(format!("services/{name}/pids"));
            let pids = fs::read_to_string(pids).unwrap_or_default();
            assert!(pids.is_empty() || pids.ends_with("end\n"), "{name}: {pids}");
        }
        let read = |name: &str| fs::read_to_string(sandbox.path(name)).unwrap_or_default();
        assert_eq!(read("services/two/log/lines"), read("services/two/pids"));
    }
}

/// Adds a service to the scan directory. The service `two` has a logger.
fn add(sandbox: &Sandbox, name: &str) {
    sandbox.script(format!("services/{name}/run"), RUN);
    if name == "two" {
        let reader = "#!/bin/sh\nexec cat >>lines\n";
        sandbox.script("services/two/log/run", reader);
    }
    link(sandbox, name);
}

fn link(sandbox: &Sandbox, name: &str) {
    let to = Path::new("../services").join(name);
    symlink(to, sandbox.path("scan").join(name)).unwrap();
}

#[derive(Clone, Copy)]
struct Command {
    program: &'static str,
    words: &'static str,
    /// Whether the scanner is process 1 of a namespace.
    first: bool,
}

impl Command {
    /// Whether the system permits the scene. Prints a message if not.
    fn is_possible(self, test: &str) -> bool {
        let mut possible = !self.first;
        run(|sandbox| {
            possible |= sandbox.sh(&format!("{NAMESPACE} true")).code() == Some(0);
        });
        if !possible {
            skip(test, "not permitted to make a process namespace");
        }
        possible
    }
}

/// Plays the scene. `number` decides whether memory comes back before the shutdown,
/// and whether the shutdown has memory.
fn scanned(sandbox: &Sandbox, allocations: &Allocations, number: u64, command: Command) {
    let scene = Scene::start(sandbox, allocations, command);
    if allocations.failed() > 0 {
        // A scanner waits for the memory that it keeps from its start on.
        allocations.restore();
        scene.settle();
    }
    let extended = !command.first;
    let signal = |signal| {
        if extended {
            kill(scene.pid, signal).unwrap();
            scene.settle();
        }
    };
    add(sandbox, "three");
    scene.settle();
    scene.kill_supervisor("one");
    scene.settle();
    scene.restart("two");
    scene.settle();
    for (file, value) in [
        ("one/essential", ""),
        ("one/timeout-kill", "30000"),
        ("two/timeout-kill", "no number"),
        ("two/log/timeout-kill", "30000"),
    ] {
        sandbox.write(format!("services/{file}"), value);
    }
    signal(Signal::SIGALRM);
    fs::remove_file(sandbox.path("scan/three")).unwrap();
    signal(Signal::SIGHUP);
    scene.settle();
    // svscan without -e keeps a removed service.
    let keeps = command.program == "svscan" && !extended;
    if keeps {
        link(sandbox, "three");
    }
    if allocations.failed() == 0 || number % 3 != 2 {
        if allocations.failed() > 0 {
            allocations.restore();
        }
        scene.assert_complete(keeps);
    }
    if allocations.failed() > 0 && number % 3 != 0 {
        allocations.fail_from(0);
    }
    kill(scene.pid, Signal::SIGTERM).unwrap();
    scene.assert_ended(0);
    allocations.restore();
}

#[test]
fn svscan_survives_each_failed_allocation() {
    const SVSCAN: Command = Command {
        program: "svscan",
        words: "svscan",
        first: true,
    };
    let name = "svscan_survives_each_failed_allocation";
    if SVSCAN.is_possible(name) {
        for_every_allocation(name, "svscan", |sandbox, allocations, number| {
            scanned(sandbox, allocations, number, SVSCAN);
        });
    }
}

#[test]
fn svscan_e_survives_each_failed_allocation() {
    const EXTENDED: Command = Command {
        program: "svscan",
        words: "svscan -e",
        first: false,
    };
    let name = "svscan_e_survives_each_failed_allocation";
    for_every_allocation(name, "svscan", |sandbox, allocations, number| {
        scanned(sandbox, allocations, number, EXTENDED);
    });
}

#[test]
fn runsvdir_survives_each_failed_allocation() {
    const RUNSVDIR: Command = Command {
        program: "runsvdir",
        words: "runsvdir",
        first: true,
    };
    let name = "runsvdir_survives_each_failed_allocation";
    if RUNSVDIR.is_possible(name) {
        for_every_allocation(name, "runsvdir", |sandbox, allocations, number| {
            scanned(sandbox, allocations, number, RUNSVDIR);
        });
    }
}
