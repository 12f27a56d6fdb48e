//! Random lives under svscan -e: services with random files, commands, signals,
//! and changes of the scan directory. Each life ends with a SIGTERM to svscan.
//!
//! After its end, no line of a service is lost, no service has received SIGKILL
//! without a request and before its time, no process is left, and svscan has
//! exited with the right code.

pub(crate) mod checks;
pub(crate) mod events;
mod processes;
pub(crate) mod service;

use std::fs;
use std::path::PathBuf;
use std::sync::Once;
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Running, Sandbox, kill, pause_at_random, say_once};

use self::service::Service;
use crate::processes::children;
use crate::stepped_clock;

/// The lives that the suite runs without `DAEMONTOOLS_CASES`.
const LIVES: u64 = 8;

/// The lives that run at the same time. Most of a life is waiting.
const LANES: usize = 4;

#[test]
fn lives_lose_no_line_and_leave_no_process() {
    let name = "lives_lose_no_line_and_leave_no_process";
    testkit::random::ours(
        name,
        env!("CARGO_BIN_EXE_svok"),
        LIVES,
        LANES,
        |rng, sandbox| {
            let mut life = Life::begin(rng.fork(), sandbox);
            for _ in 0..rng.usize(6..25) {
                life.pause(300);
                life.event();
            }
            life.pause(500);
            life.end();
        },
    );
}

/// A life, from the start of svscan.
struct Life<'a> {
    rng: Rng,
    sandbox: &'a Sandbox,
    /// svscan, or unshare, which exits with the code of svscan.
    svscan: Running,
    pid: Pid,
    services: Vec<Service>,
    /// Supervises that were asked to kill their service, by their pids.
    kill_requests: Vec<Pid>,
    /// The sessions of the processes whose supervise was killed.
    orphans: Vec<Pid>,
    /// Whether the clock can be stepped.
    has_clock: bool,
    /// Whether svscan has received SIGTERM.
    is_ending: bool,
    start: Instant,
    story: Vec<String>,
}

impl<'a> Life<'a> {
    fn begin(mut rng: Rng, sandbox: &'a Sandbox) -> Self {
        for dir in ["scan", "sv", "away", "logs", "said"] {
            fs::create_dir(sandbox.path(dir)).unwrap();
        }
        let mut services = Vec::new();
        for id in 0..rng.usize(2..5) {
            services.push(Service::make(
                &mut rng,
                sandbox,
                id,
                &PathBuf::from(format!("sv/{id}")),
            ));
        }
        let is_traced = rng.u32(..4) != 0 && can_trace(sandbox);
        let has_clock = rng.bool() && stepped_clock::make(sandbox);
        let clock = stepped_clock::variables(sandbox);
        let is_init = !is_traced && rng.bool() && can_make_namespace(sandbox);
        let mut command;
        if is_traced {
            command = sandbox.command("strace");
            command.args("-D -f --seccomp-bpf -qq -ttt -Y -e trace=kill,execve".split(' '));
            command.args(["-e", "signal=none", "-o", "trace"]);
            for (name, value) in clock.iter().filter(|_| has_clock) {
                command.args(["-E", &format!("{name}={value}")]);
            }
            command.arg("svscan");
        } else {
            command = sandbox.command(if is_init { "unshare" } else { "svscan" });
            if is_init {
                command.args(NAMESPACE.split(' ')).arg("svscan");
            }
            command.envs(clock.into_iter().filter(|_| has_clock));
        }
        command.args(["-e", "scan"]);
        let svscan = sandbox.start(command);
        let mut life = Life {
            rng,
            sandbox,
            pid: svscan.pid(),
            svscan,
            services,
            kill_requests: Vec::new(),
            orphans: Vec::new(),
            has_clock,
            is_ending: false,
            start: Instant::now(),
            story: Vec::new(),
        };
        life.tell(format!(
            "traced: {is_traced}, process 1: {is_init}, clock: {has_clock}"
        ));
        for index in 0..life.services.len() {
            life.tell(format!("service {index}: {}", life.services[index].plan));
            life.place(index);
        }
        // Earlier, a signal would kill the process.
        if is_init {
            let unshare = life.svscan.pid();
            sandbox.wait_until("svscan has started", || !children(unshare).is_empty());
            life.pid = children(unshare)[0];
        }
        let status = format!("/proc/{}/status", life.pid);
        sandbox.wait_until("svscan blocks its signals", || {
            let status = fs::read_to_string(&status).unwrap_or_default();
            status.starts_with("Name:\tsvscan\n") && !status.contains("SigBlk:\t0000000000000000\n")
        });
        life
    }

    /// Adds a sentence to the report of the life.
    fn tell(&mut self, sentence: impl Into<String>) {
        let time = self.start.elapsed().as_secs_f64();
        self.story.push(format!("{time:7.3} {}", sentence.into()));
    }

    /// Waits a random time of at most `longest` milliseconds: the events of a
    /// life come at any moment.
    fn pause(&mut self, longest: u64) {
        pause_at_random(&mut self.rng, Duration::from_millis(longest));
    }

    /// Ends svscan, and checks the life.
    fn end(mut self) {
        let ended_early = !self.svscan.runs();
        if ended_early {
            self.tell("svscan has ended");
        }
        // Without a limit, svscan waits for a logger as long as an orphan lives.
        let is_unlimited = |service: &Service| service.plan.contains("log/timeout-kill=0");
        if self.rng.u32(..5) != 0 || self.services.iter().any(is_unlimited) {
            self.end_orphans();
        }
        for service in &mut self.services {
            service.has_orphan &= !self.orphans.is_empty();
        }
        self.is_ending = true;
        self.signal(Signal::SIGTERM);
        for _ in 0..self.rng.usize(..5) {
            self.pause(400);
            self.event();
        }
        checks::check(self, ended_early);
    }

    fn signal(&mut self, signal: Signal) {
        self.tell(format!("{signal} to svscan"));
        if self.svscan.runs() {
            let _ = kill(self.pid, signal);
        }
    }
}

/// The options of unshare for a namespace in which svscan is process 1.
const NAMESPACE: &str = "--mount --pid --fork --kill-child --mount-proc";

fn can_make_namespace(sandbox: &Sandbox) -> bool {
    let can = sandbox.sh(&format!("unshare {NAMESPACE} true"));
    if can.code() != Some(0) {
        static SAID: Once = Once::new();
        say_once(
            &SAID,
            "not tested, not permitted to make a process namespace: lives of process 1",
        );
    }
    can.code() == Some(0)
}

fn can_trace(sandbox: &Sandbox) -> bool {
    let can = sandbox.sh("strace -f --seccomp-bpf -qq -o /dev/null -e trace=kill true");
    if can.code() != Some(0) {
        static SAID: Once = Once::new();
        say_once(
            &SAID,
            "not checked, processes cannot be traced: SIGKILL without SIGTERM",
        );
    }
    can.code() == Some(0)
}
