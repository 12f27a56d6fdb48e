//! The events of a long life.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::kill;

use super::directories::{Member, Presence, Program};
use super::settle::now;
use super::{Life, Scanner};
use crate::processes::{arguments, children, directory};
use crate::random::lives::checks::lost_lines;
use crate::random::lives::events::{COMMANDS, LOGGER_COMMANDS};
use crate::random::lives::service::{
    SETTINGS, check_body, finish_body, head, notify_body, setting, settings, start_stop_body,
};
use crate::stepped_clock;

/// Commands of sv.
const SV_COMMANDS: [&str; 20] = [
    "up",
    "down",
    "once",
    "pause",
    "cont",
    "hup",
    "alarm",
    "interrupt",
    "quit",
    "1",
    "2",
    "term",
    "kill",
    "exit",
    "start",
    "stop",
    "restart",
    "try-restart",
    "force-restart",
    "status",
];

/// Programs that read states.
const LOOKS: [&str; 3] = ["svstat", "svok", "svwait -u -o -t 200"];

/// The guests of a life at the same time.
const GUESTS: usize = 9;

impl Life<'_> {
    pub(super) fn event(&mut self) {
        let index = self.rng.usize(..self.members.len());
        match self.rng.u32(..50) {
            0..=13 => self.command(index),
            14..=18 => self.restart_some(),
            19..=24 => self.command_logger(),
            25 | 26 => self.signal_scanner(),
            27..=30 => self.signal_run(index),
            31..=36 => self.change_settings(index),
            37 => self.change_logger(),
            38 | 39 => self.remove(index),
            40 => self.add(),
            41 => self.add_guest(),
            42 => self.toggle_down(index),
            43 | 44 => self.look(index),
            _ => self.step_clock(),
        }
    }

    /// Starts a command, which may wait for its services.
    fn start(&mut self, words: &str, directories: impl IntoIterator<Item = PathBuf>) {
        let directories: Vec<_> = directories.into_iter().map(OsString::from).collect();
        if directories.is_empty() {
            return;
        }
        let names: Vec<_> = directories.iter().map(|d| d.to_string_lossy()).collect();
        let sentence = format!("{words} {} ", names.join(" "));
        self.tell(sentence);
        self.counts.commands += 1;
        let mut words = words.split(' ');
        let mut command = self.sandbox.command(words.next().unwrap());
        command.args(words).args(directories);
        self.commands.push(self.sandbox.start(command));
    }

    pub(super) fn svc(&mut self, letters: &str, directories: impl IntoIterator<Item = PathBuf>) {
        self.start(&format!("svc -{letters}"), directories);
    }

    /// Checks commands that have ended: none has crashed.
    pub(super) fn reap_commands(&mut self) {
        let commands = std::mem::take(&mut self.commands);
        for mut command in commands {
            if command.runs() {
                self.commands.push(command);
                continue;
            }
            let outcome = command.wait();
            if outcome.signal().is_some() {
                self.faults.push(format!("{outcome:?}"));
            }
        }
    }

    /// Whether events may change the service. The removal of a service from
    /// svscan is a sequence of commands, which others would disturb.
    fn is_open(&self, index: usize) -> bool {
        let member = &self.members[index];
        match member.presence {
            Presence::Here => true,
            Presence::Leaving(_) => member.scanner != Scanner::Plain,
            Presence::Gone => false,
        }
    }

    fn command(&mut self, index: usize) {
        if !self.is_open(index) {
            return;
        }
        let member = &self.members[index];
        let directory = member.directory();
        if member.scanner == Scanner::Runsvdir && self.rng.bool() {
            let word = SV_COMMANDS[self.rng.usize(..SV_COMMANDS.len())];
            if !((member.is_spared() || member.stays()) && word == "exit") {
                let path = PathBuf::from(".").join(directory);
                self.start(&format!("sv -w 1 {word}"), [path]);
            }
            return;
        }
        let letters = COMMANDS[self.rng.usize(..COMMANDS.len())];
        let is_kept = member.is_spared() || member.scanner == Scanner::Runsvdir && member.stays();
        if !(is_kept && letters.contains('x')) {
            self.svc(letters, [directory]);
        }
    }

    /// Ends the processes of some services, which are then up.
    fn restart_some(&mut self) {
        let mut directories = Vec::new();
        for _ in 0..8 {
            let index = self.rng.usize(..self.members.len());
            if self.is_open(index) {
                directories.push(self.members[index].directory());
            }
        }
        self.svc("uct", directories);
        let index = self.rng.usize(..self.members.len());
        if self.is_open(index) {
            let log = self.members[index].directories().split_off(1);
            self.svc("uc", log);
        }
    }

    /// A random service with a logger that events may change.
    fn with_logger(&mut self) -> Option<usize> {
        let mut indices = Vec::new();
        for index in 0..self.members.len() {
            if self.members[index].logger.is_some() && self.is_open(index) {
                indices.push(index);
            }
        }
        self.rng.choice(indices)
    }

    fn command_logger(&mut self) {
        let Some(index) = self.with_logger() else {
            return;
        };
        let letters = LOGGER_COMMANDS[self.rng.usize(..LOGGER_COMMANDS.len())];
        let member = &self.members[index];
        let is_svlogd = member.logger.is_some_and(|l| l.program == Program::Svlogd);
        let kills = letters.contains('k') || (letters.contains('h') && !is_svlogd);
        let ends = letters.contains(['t', 'd', 'x', 'o']);
        let is_removed = member.scanner == Scanner::Plain && !member.stays();
        let is_spared = (member.is_spared() || member.needs_logger()) && ends
            || is_removed && letters.contains('x');
        if !(kills || is_spared) {
            self.svc(letters, [member.directory().join("log")]);
        }
    }

    fn signal_scanner(&mut self) {
        let (scanner, signal) = match self.rng.u32(..3) {
            0 => (Scanner::Extended, Signal::SIGALRM),
            1 => (Scanner::Extended, Signal::SIGHUP),
            _ => (Scanner::Runsvdir, Signal::SIGALRM),
        };
        self.signal(self.scanner(scanner), signal);
    }

    fn signal(&mut self, pid: Pid, signal: Signal) {
        self.counts.signals += 1;
        let _ = kill(pid, signal);
    }

    /// The supervise or runsv of a directory.
    pub(super) fn supervisor(&self, scanner: Scanner, dir: &PathBuf) -> Option<Pid> {
        let path = self.sandbox.path(dir);
        children(self.scanner(scanner))
            .into_iter()
            .find(|&pid| directory(pid).as_ref() == Some(&path))
    }

    /// Sends a signal to a process of a service.
    fn signal_run(&mut self, index: usize) {
        let member = &self.members[index];
        let path = member.directory();
        let Some(supervisor) = self.supervisor(member.scanner, &path) else {
            return;
        };
        let here = Some(self.sandbox.path(&path));
        let mut runs = children(supervisor);
        // supervise does not end `notify`, which would stay stopped.
        runs.retain(|&pid| directory(pid) == here && !arguments(pid).contains("./notify"));
        let signals = [
            Signal::SIGKILL,
            Signal::SIGSEGV,
            Signal::SIGTERM,
            Signal::SIGSTOP,
            Signal::SIGCONT,
        ];
        let signal = signals[self.rng.usize(..signals.len())];
        if let Some(run) = self.rng.choice(runs) {
            self.tell(format!("{signal} to {run} of {} ", path.display()));
            self.signal(run, signal);
        }
    }

    /// Writes random files into a service directory: settings of supervise -e,
    /// programs, a directory for envdir, and control programs of runsv.
    fn change_settings(&mut self, index: usize) {
        let member = &self.members[index];
        let (id, dir, scanner) = (member.id, member.directory(), member.scanner);
        let rng = &mut self.rng;
        let sandbox = self.sandbox;
        if member.presence == Presence::Gone {
            return;
        }
        self.counts.settings += 1;
        let mut plan = Vec::new();
        if rng.u32(..3) == 0 {
            member.lay_out(sandbox);
            self.tell(format!("sv/{id} has its first settings"));
            return;
        }
        match rng.u32(..8) {
            0..=2 => {
                // svscan ends with an essential service.
                let files = SETTINGS.map(|file| match file {
                    ("essential", values) => ("restart-delay", values),
                    other => other,
                });
                settings(rng, sandbox, &dir, &files, 20, &mut Vec::new(), &mut plan);
                let valid = &["INT", "hup", "SIGUSR1", "15", "10", "QUIT"];
                if rng.bool() && !sandbox.exists(dir.join("down-signal")) {
                    setting(rng, sandbox, &dir, "down-signal", valid);
                    plan.push("down-signal".into());
                }
            }
            3 => {
                // runsv waits for its finish without a limit.
                let (kind, body) = match finish_body(rng) {
                    ("endless" | "stopped", _) if scanner == Scanner::Runsvdir => ("none", ""),
                    other => other,
                };
                sandbox.script(dir.join("finish"), &(head(sandbox, id, "finish") + body));
                plan.push(format!("finish {kind}"));
            }
            4 if scanner == Scanner::Extended => {
                let (kind, body) = notify_body(rng);
                sandbox.script(dir.join("notify"), &(head(sandbox, id, "notify") + body));
                plan.push(format!("notify {kind}"));
            }
            5 if scanner == Scanner::Extended => {
                let name = ["start", "stop"][rng.usize(..2)];
                let (kind, body) = start_stop_body(rng);
                sandbox.script(dir.join(name), &(head(sandbox, id, name) + body));
                plan.push(format!("{name} {kind}"));
            }
            6 if scanner == Scanner::Extended => {
                let body = check_body(rng);
                sandbox.script(dir.join("check"), &format!("#!/bin/sh\n{body}"));
                let numbers = [
                    ("check-interval", ["200", "1000", "3000"]),
                    ("check-timeout", ["50", "300", "0"]),
                    ("check-failures", ["0", "1", "3"]),
                ];
                for (name, values) in numbers {
                    sandbox.write(dir.join(name), values[rng.usize(..values.len())]);
                }
                plan.push(format!("check {}", body.trim()));
            }
            4..=6 if scanner == Scanner::Runsvdir => {
                let letter = ["t", "d", "u", "x", "k", "h"][rng.usize(..6)];
                let end = ["exit 0", "exit 1", "sleep 0.3"][rng.usize(..3)];
                sandbox.script(
                    dir.join("control").join(letter),
                    &format!("#!/bin/sh\n{end}\n"),
                );
                plan.push(format!("control/{letter} {end}"));
            }
            _ => {
                sandbox.write(dir.join("env/LIFE"), rng.u32(..).to_string());
                plan.push("env".into());
            }
        }
        self.tell(format!("sv/{id} {}", plan.join(", ")));
    }

    /// Replaces the files of a logger, and makes it read them.
    fn change_logger(&mut self) {
        let Some(index) = self.with_logger() else {
            return;
        };
        let rng = &mut self.rng;
        let is_labelled = rng.bool();
        let has_age = rng.bool();
        let member = &mut self.members[index];
        let is_spared = member.is_spared() || member.needs_logger();
        let log = member.directory().join("log");
        let Some(logger) = &mut member.logger else {
            return;
        };
        if logger.program == Program::Multilog && is_spared {
            return;
        }
        logger.is_changed = true;
        let logger = *logger;
        let words = match logger.program {
            Program::Multilog => [
                if is_labelled { "t" } else { "" },
                if has_age { "R3" } else { "" },
            ],
            Program::Svlogd => [
                if is_labelled && !is_spared { "-t" } else { "" },
                if has_age { "t3" } else { "" },
            ],
        };
        self.counts.settings += 1;
        self.members[index].lay_out_logger(self.sandbox, logger, words);
        match logger.program {
            Program::Svlogd if self.rng.bool() || is_spared => self.svc("h", [log]),
            Program::Multilog | Program::Svlogd => self.svc("t", [log]),
        }
    }

    /// Removes a service from its scan directory.
    pub(super) fn remove(&mut self, index: usize) {
        let member = &self.members[index];
        let is_kept = member.is_spared() || member.stays();
        if member.presence != Presence::Here || (is_kept && !member.is_guest) {
            return;
        }
        self.counts.removals += 1;
        self.members[index].unlink(self.sandbox);
        let mark = self.members[index].mark();
        self.tell(format!("{mark}removed"));
        self.push_removal(index);
    }

    /// Sends the commands or the signal that end a removed service.
    fn push_removal(&mut self, index: usize) {
        let member = &self.members[index];
        let (scanner, dir) = (member.scanner, member.directory());
        let log = member.directories().split_off(1);
        match scanner {
            Scanner::Extended => self.signal(self.scanner(scanner), Signal::SIGHUP),
            Scanner::Plain => {
                let (is_up, id) = (self.supervisor(scanner, &dir).is_some(), member.id);
                if is_up {
                    self.svc("dxc", [dir]);
                }
                if is_up || !lost_lines(self.sandbox, id).1.is_empty() {
                    self.svc("uc", log);
                } else {
                    self.svc("dxc", log);
                }
            }
            Scanner::Runsvdir => {
                // A paused logger would delay the end of runsv, and a command that
                // came after the first TERM has cancelled it.
                let runsv = self.supervisor(scanner, &dir);
                self.svc("uc", log);
                if let Some(runsv) = runsv {
                    self.signal(runsv, Signal::SIGTERM);
                }
            }
        }
    }

    /// Continues the removals: each service ends, and its log is then whole.
    pub(super) fn step_removals(&mut self) {
        for index in (0..self.members.len()).rev() {
            let member = &self.members[index];
            let Presence::Leaving(look) = member.presence else {
                continue;
            };
            if look.elapsed() < Duration::from_secs(1) {
                continue;
            }
            let runs = |dir| self.supervisor(member.scanner, dir).is_some();
            if member.directories().iter().any(runs) {
                self.members[index].presence = Presence::Leaving(Instant::now());
                self.push_removal(index);
                continue;
            }
            let mark = member.mark();
            let (said, lost) = lost_lines(self.sandbox, member.id);
            if member.logger.is_some() && !lost.is_empty() {
                let (first, lost) = (&lost[0], lost.len());
                self.faults.push(format!(
                    "{mark}removed: {lost} of {said} lines lost, from {first}"
                ));
            }
            if member.is_guest {
                let member = self.members.swap_remove(index);
                member.remove(self.sandbox);
            } else {
                self.members[index].presence = Presence::Gone;
            }
            self.tell(format!("{mark}gone"));
        }
    }

    /// Adds a removed service again.
    pub(super) fn add(&mut self) {
        let gone = self
            .members
            .iter_mut()
            .find(|member| member.presence == Presence::Gone);
        if let Some(member) = gone {
            member.link(self.sandbox);
            let mark = member.mark();
            self.tell(format!("{mark}added"));
        }
    }

    fn add_guest(&mut self) {
        let guests = self.members.iter().filter(|m: &&Member| m.is_guest);
        if guests.count() >= GUESTS {
            return;
        }
        let id = self.next_guest;
        self.next_guest += 1;
        let scanner = Scanner::ALL[self.rng.usize(..3)];
        let logger = self.rng.bool().then(|| self.rng.usize(..6));
        let mut member = Member::make(self.sandbox, id, scanner, logger, true);
        member.link(self.sandbox);
        let logger = member.logger.map(|logger| logger.program);
        let scanner = scanner.command();
        self.tell(format!("{}added to {scanner}, {logger:?}", member.mark()));
        self.members.push(member);
    }

    fn toggle_down(&mut self, index: usize) {
        let down = self.members[index].directory().join("down");
        if fs::remove_file(self.sandbox.path(&down)).is_err() {
            self.sandbox.write(down, "");
        }
    }

    fn look(&mut self, index: usize) {
        let look = LOOKS[self.rng.usize(..LOOKS.len())];
        let member = &self.members[index];
        match self.rng.u32(..4) {
            0 => {
                let scan = member.scanner.directory();
                self.start("svps -j", [PathBuf::from(scan)]);
            }
            _ => self.start(look, member.directories()),
        }
    }

    fn step_clock(&mut self) {
        if self.is_stepped {
            let step = stepped_clock::step(self.sandbox, &mut self.rng);
            self.offsets.push((now(), f64::from(step)));
            self.counts.steps += 1;
            self.tell(format!("clock {step}"));
        }
    }
}
