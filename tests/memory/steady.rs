//! Allocations between two events of one kind: none, in supervise, supervise -e and
//! runsv.

use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Allocations, Running, SLEEPER, Sandbox, kill, say};

use super::{children, run, wait_until_quiet};

/// A supervisor of the service directory `svc`, whose allocations are counted.
struct Supervisor<'a> {
    sandbox: &'a Sandbox,
    allocations: Allocations,
    running: Running,
    costs: Vec<(&'static str, u64)>,
}

impl<'a> Supervisor<'a> {
    /// Starts a command, whose first word is the program. None if allocations cannot
    /// be counted.
    fn start(sandbox: &'a Sandbox, command: &str, test: &str) -> Option<Self> {
        let (words, variable) = command.split_once(" # ").unwrap_or((command, ""));
        let program = words.split(' ').next().unwrap();
        let allocations = sandbox.allocations(program, test)?;
        let mut start = sandbox.shell(&format!("{variable} exec {words} svc"));
        allocations.apply(&mut start);
        let running = sandbox.start(start);
        sandbox.wait_until("the service is supervised", || sandbox.is_supervised("svc"));
        sandbox.service("svc");
        Some(Supervisor {
            sandbox,
            allocations,
            running,
            costs: Vec::new(),
        })
    }

    /// Writes commands to `control`.
    fn command(&self, dir: &str, letters: &str) {
        fs::write(self.sandbox.path(dir).join("supervise/control"), letters).unwrap();
    }

    /// Waits until the supervisor has nothing left to do: its only children are the
    /// processes that last.
    fn settle(&self, lasting: usize) {
        let pid = self.running.pid();
        self.sandbox.wait_until("other children have ended", || {
            children(pid).len() == lasting
        });
        wait_until_quiet(self.sandbox, pid);
    }

    /// Measures an event: the allocations of the second and the third one.
    fn measure(&mut self, event: &'static str, lasting: usize, act: impl Fn(&Self)) {
        act(self);
        self.settle(lasting);
        let before = self.allocations.count();
        for _ in 0..2 {
            act(self);
            self.settle(lasting);
        }
        self.costs.push((event, self.allocations.count() - before));
    }

    /// The process of a service, and of another one than `last`.
    fn next_process(&self, dir: &str, last: Pid) -> Pid {
        let mut next = last;
        self.sandbox.wait_until("another process runs", || {
            next = self.sandbox.service(dir);
            next != last
        });
        next
    }

    /// Kills the process of a service, and waits for the next one.
    fn restart(&self, dir: &str) {
        let last = self.sandbox.service(dir);
        kill(last, Signal::SIGKILL).unwrap();
        self.next_process(dir, last);
    }

    fn wait_for_down(&self, dir: &str) {
        let record = self.sandbox.path(dir).join("supervise/status");
        self.sandbox.wait_until("the service is down", || {
            fs::read(&record).is_ok_and(|record| record.get(12..16) == Some(&[0; 4]))
        });
    }

    /// Stops the service, and starts it again.
    fn stop_and_start(&self, dir: &str) {
        self.command(dir, "d");
        self.wait_for_down(dir);
        self.command(dir, "u");
        self.sandbox.service(dir);
    }

    /// Pauses the service, and continues it.
    fn pause(&self, dir: &str, lasting: usize) {
        for letter in ["p", "c"] {
            self.command(dir, letter);
            self.settle(lasting);
        }
    }

    /// Ends the supervisor.
    fn end(self, command: &str) {
        let what = format!("allocations of {command} in two events each");
        say(&format!("{what}: {:?}", self.costs));
        self.command("svc", "dx");
        self.running.wait().exits(0);
        let nonzero = self.costs.iter().any(|(_, cost)| *cost != 0);
        assert!(!nonzero, "{what}: {:?}", self.costs);
    }
}

#[test]
fn supervise_allocates_nothing_between_events() {
    run(|sandbox| {
        sandbox.script("svc/run", SLEEPER);
        let name = "supervise_allocates_nothing_between_events";
        let Some(mut supervisor) = Supervisor::start(sandbox, "supervise", name) else {
            return;
        };
        supervisor.measure("command", 1, |it| it.command("svc", "u"));
        supervisor.measure("record", 1, |it| it.pause("svc", 1));
        supervisor.measure("many commands", 1, |it| {
            it.command("svc", &"pcau+c=".repeat(300));
        });
        supervisor.measure("restart", 1, |it| it.restart("svc"));
        supervisor.measure("stop and start", 1, |it| it.stop_and_start("svc"));
        supervisor.end("supervise");
    });
}

#[test]
fn supervise_e_allocates_nothing_between_events() {
    let name = "supervise_e_allocates_nothing_between_events";
    supervise_extended("supervise -e", name);
}

#[test]
fn moved_supervise_dir_costs_no_allocation() {
    let name = "moved_supervise_dir_costs_no_allocation";
    supervise_extended("supervise -e # SUPERVISEDIR=state", name);
}

/// All that supervise -e does for a service. After `#`, the command has a variable.
fn supervise_extended(command: &str, name: &str) {
    run(|sandbox| {
        let deaf = "#!/bin/sh\necho >&3\ntrap '' TERM\nexec sleep 1000\n";
        sandbox.script("svc/run", deaf);
        for script in ["finish", "notify", "start", "stop"] {
            sandbox.script(format!("svc/{script}"), "#!/bin/sh\n");
        }
        for (file, value) in [
            ("notification-fd", "3"),
            ("lock-fd", "4"),
            ("timeout-kill", "50"),
            ("down-signal", "term"),
            ("restart-limit-count", "5"),
            ("restart-limit-interval", "1.5"),
            ("restart-delay", "1"),
            ("timeout-finish", "a long word in place of a number"),
            ("timeout-start", "60000"),
        ] {
            sandbox.write(format!("svc/{file}"), value);
        }
        // The tests find the files in `supervise` also if that is a link.
        symlink("state", sandbox.path("svc/supervise")).unwrap();
        let Some(mut supervisor) = Supervisor::start(sandbox, command, name) else {
            return;
        };
        supervisor.measure("command", 1, |it| it.command("svc", "u"));
        supervisor.measure("record", 1, |it| it.pause("svc", 1));
        supervisor.measure("restart", 1, |it| it.restart("svc"));
        supervisor.measure("stop and start", 1, |it| it.stop_and_start("svc"));
        supervisor.end(command);
    });
}

#[test]
fn checks_cost_no_allocation() {
    run(|sandbox| {
        sandbox.script("svc/run", SLEEPER);
        let check = "echo >>checks; if test -e odd; then rm odd; else touch odd; exit 1; fi";
        sandbox.script("svc/check", &format!("#!/bin/sh\n{check}\n"));
        sandbox.script("svc/notify", "#!/bin/sh\necho $2 >>notified\n");
        sandbox.write("svc/check-interval", "20");
        let name = "checks_cost_no_allocation";
        let Some(mut supervisor) = Supervisor::start(sandbox, "supervise -e", name) else {
            return;
        };
        let length = |file: &str| fs::read(sandbox.path(file)).map_or(0, |text| text.len());
        let checks = || length("svc/checks");
        let wait = |number: usize| {
            sandbox.wait_until("checks are made", || checks() >= number);
        };
        wait(6);
        let before = supervisor.allocations.count();
        wait(12);
        let after = supervisor.allocations.count();
        assert!(length("svc/notified") > 0);
        supervisor.costs.push(("six checks", after - before));
        supervisor.end("supervise -e with checks");
    });
}

#[test]
fn runsv_allocates_nothing_between_events() {
    run(|sandbox| {
        sandbox.script("svc/run", SLEEPER);
        sandbox.script("svc/log/run", "#!/bin/sh\nexec cat\n");
        sandbox.script("svc/finish", "#!/bin/sh\n");
        for letter in ["t", "u"] {
            sandbox.script(format!("svc/control/{letter}"), "#!/bin/sh\nexit 1\n");
        }
        let name = "runsv_allocates_nothing_between_events";
        let Some(mut supervisor) = Supervisor::start(sandbox, "runsv", name) else {
            return;
        };
        sandbox.service("svc/log");
        for dir in ["svc", "svc/log"] {
            supervisor.measure("command", 2, |it| it.command(dir, "u"));
            supervisor.measure("record", 2, |it| it.pause(dir, 2));
            supervisor.measure("restart", 2, |it| it.restart(dir));
            supervisor.measure("stop and start", 2, |it| it.stop_and_start(dir));
        }
        supervisor.end("runsv");
    });
}
