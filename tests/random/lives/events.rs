//! The events of a life.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::kill;

use super::Life;
use super::processes::{LOGGER, SERVICE};
use super::service::{DEFAULT_TIMEOUT, Logger, SETTINGS, Service, settings};
use crate::processes::{children, describe};
use crate::stepped_clock;

/// Commands to a service. `+` selects the process group.
pub(crate) const COMMANDS: [&str; 32] = [
    "u", "d", "o", "x", "p", "c", "h", "a", "i", "t", "k", "q", "1", "2", "w", "dx", "du", "t",
    "t", "ud", "pd", "pc", "tt", "ou", "+t", "+d", "+k", "=t", "px", "dxu", "k", "u",
];

/// Commands to a logger. A logger that is killed may lose lines.
pub(crate) const LOGGER_COMMANDS: [&str; 18] = [
    "u", "o", "p", "c", "a", "p", "c", "w", "t", "t", "d", "du", "x", "dx", "k", "pt", "pd", "h",
];

/// Files of settings that a life rewrites.
const REWRITTEN: [&str; 8] = [
    "timeout-kill",
    "timeout-finish",
    "restart-delay",
    "restart-delay-max",
    "restart-limit-count",
    "restart-limit-interval",
    "notification-fd",
    "lock-fd",
];

impl Life<'_> {
    /// A random event.
    pub(super) fn event(&mut self) {
        let index = self.rng.usize(..self.services.len());
        match self.rng.u32(..40) {
            0..=9 => self.command(index),
            10..=13 => self.command_logger(index),
            14 | 15 => self.signal(Signal::SIGHUP),
            16 => self.signal(Signal::SIGALRM),
            17 if self.is_ending => self.signal(Signal::SIGTERM),
            18..=20 => self.rename(index),
            21 => self.unlink(index),
            22 => self.place(index),
            23 => self.remove(index),
            24 => self.remove_state(index),
            25 | 26 => self.kill_supervise_of(index),
            27 | 28 => self.stop_supervise(index),
            29..=31 => self.signal_run(index),
            32 | 33 => self.rewrite(index),
            34 | 35 => self.step_clock(),
            36 => self.toggle_down(index),
            17 | 37 => self.add(),
            _ => self.look(),
        }
    }

    fn svc(&mut self, letters: &str, directory: &PathBuf) {
        self.tell(format!("svc -{letters} {}", directory.display()));
        let mut command = self.sandbox.command("svc");
        command.arg(format!("-{letters}")).arg(directory);
        let outcome = self.sandbox.run(command);
        if !outcome.stderr.is_empty() {
            self.tell(outcome.error_text().trim_end().to_owned());
        }
    }

    fn command(&mut self, index: usize) {
        let letters = COMMANDS[self.rng.usize(..COMMANDS.len())];
        let Some(directory) = self.services[index].directory.clone() else {
            return;
        };
        // After SIGTERM, a pause would only delay the end.
        if self.is_ending && letters.contains('p') {
            return;
        }
        if letters.contains('k') {
            self.kill_requests.extend(self.supervise(index, SERVICE));
        }
        self.svc(letters, &directory);
    }

    fn command_logger(&mut self, index: usize) {
        let letters = LOGGER_COMMANDS[self.rng.usize(..LOGGER_COMMANDS.len())];
        let service = &mut self.services[index];
        let Some(directory) = service.directory.clone().filter(|_| service.has_logger) else {
            return;
        };
        // A logger of the administrator's that is down at the end stays down.
        if self.is_ending && letters.contains(['p', 'd', 't']) {
            return;
        }
        let kills = match service.logger {
            Logger::Multilog => letters.contains(['k', 'h']),
            Logger::Cat | Logger::Loop => letters.contains(['k', 'h', 't', 'd', 'a', 'x']),
        };
        if kills {
            service.may_lose = Some("a command killed the logger");
        }
        service.logger_may_be_down |= letters.contains(['d', 't', 'x', 'o', 'k', 'h']);
        if letters.contains('k') {
            self.kill_requests.extend(self.supervise(index, LOGGER));
        }
        self.svc(letters, &directory.join("log"));
    }

    fn new_name(&mut self) -> String {
        format!("n{}", self.rng.u32(..1000))
    }

    /// Moves a directory into the scan directory, or links to it there.
    pub(super) fn place(&mut self, index: usize) {
        let (Some(directory), None) = (
            self.services[index].directory.clone(),
            self.services[index].name.clone(),
        ) else {
            return;
        };
        let name = self.new_name();
        let place = PathBuf::from("scan").join(&name);
        if self.sandbox.exists(&place) {
            return;
        }
        if self.rng.bool() {
            let target = PathBuf::from("..").join(&directory);
            symlink(target, self.sandbox.path(&place)).unwrap();
        } else {
            fs::rename(self.sandbox.path(&directory), self.sandbox.path(&place)).unwrap();
            self.services[index].directory = Some(place.clone());
        }
        self.tell(format!(
            "{} becomes {}",
            directory.display(),
            place.display()
        ));
        self.services[index].name = Some(name);
    }

    fn add(&mut self) {
        if self.services.len() > 6 {
            return;
        }
        let id = self.services.len();
        let directory = PathBuf::from(format!("sv/{id}"));
        let service = Service::make(&mut self.rng, self.sandbox, id, &directory);
        self.tell(format!("new service {id}: {}", service.plan));
        self.services.push(service);
        self.place(id);
    }

    /// Renames the entry of the scan directory, or moves a directory elsewhere.
    fn rename(&mut self, index: usize) {
        let service = &self.services[index];
        let (Some(name), Some(directory)) = (service.name.clone(), service.directory.clone())
        else {
            return;
        };
        let from = PathBuf::from("scan").join(&name);
        let (to, is_entry) = match self.rng.u32(..4) {
            0 | 1 => (PathBuf::from("scan").join(self.new_name()), true),
            2 => (PathBuf::from("scan").join(format!(".{name}")), false),
            _ => (PathBuf::from("away").join(&name), false),
        };
        if self.sandbox.exists(&to) {
            return;
        }
        self.tell(format!("{} becomes {}", from.display(), to.display()));
        fs::rename(self.sandbox.path(&from), self.sandbox.path(&to)).unwrap();
        let service = &mut self.services[index];
        let name = to.file_name().unwrap().to_string_lossy().into_owned();
        service.name = is_entry.then_some(name);
        if directory == from {
            service.directory = Some(to);
        }
    }

    /// Removes the link to a service, or makes it lead to another one.
    fn unlink(&mut self, index: usize) {
        let service = &self.services[index];
        let Some(name) = service.name.clone() else {
            return;
        };
        let link = self.sandbox.path("scan").join(&name);
        if fs::read_link(&link).is_err() {
            return;
        }
        let other = self.rng.usize(..self.services.len());
        self.tell(format!("link {name} removed"));
        fs::remove_file(&link).unwrap();
        self.services[index].name = None;
        let other = &mut self.services[other];
        let directory = other.directory.clone().filter(|_| other.name.is_none());
        if let Some(directory) = directory.filter(|_| self.rng.bool()) {
            symlink(PathBuf::from("..").join(&directory), &link).unwrap();
            other.name = Some(name.clone());
            self.tell(format!("link {name} to {}", directory.display()));
        }
    }

    /// Removes a service directory while its processes run.
    fn remove(&mut self, index: usize) {
        let logger = self.supervise(index, LOGGER).map_or(Vec::new(), children);
        let started = fs::read_to_string(self.sandbox.path("started")).unwrap_or_default();
        let has_started = |pid: &Pid| started.contains(&format!("log {pid} "));
        let logger_runs = logger.iter().any(has_started);
        let service = &mut self.services[index];
        let Some(directory) = service.directory.take() else {
            return;
        };
        if service.logger_may_be_down || self.is_ending || !logger_runs {
            service.may_lose = Some("a logger that is down cannot start without its directory");
        }
        service.kill_timeouts.push(DEFAULT_TIMEOUT);
        if let Some(name) = service.name.take() {
            // With a link, the link is left dangling.
            let _ = name;
        }
        self.tell(format!("{} removed", directory.display()));
        // A supervise may write a file meanwhile.
        let remove = format!("until rm -rf {0}; do :; done", directory.display());
        let _ = self.sandbox.sh(&remove);
    }

    /// Removes files that supervise made.
    fn remove_state(&mut self, index: usize) {
        let Some(directory) = self.services[index].directory.clone() else {
            return;
        };
        let files = [
            "supervise",
            "supervise/control",
            "supervise/ok",
            "log/supervise/control",
        ];
        let file = directory.join(files[self.rng.usize(..files.len())]);
        self.tell(format!("{} removed", file.display()));
        let _ = self.sandbox.sh(&format!("rm -rf {}", file.display()));
    }

    fn role(&mut self) -> usize {
        if self.rng.u32(..3) == 0 {
            LOGGER
        } else {
            SERVICE
        }
    }

    fn kill_supervise_of(&mut self, index: usize) {
        // After SIGTERM, no supervise would follow that reads the log.
        if !self.is_ending {
            let role = self.role();
            self.kill_supervise(index, role);
        }
    }

    /// Stops or continues a supervise.
    fn stop_supervise(&mut self, index: usize) {
        let role = self.role();
        if let Some(supervise) = self.supervise(index, role).filter(|_| !self.is_ending) {
            let signals = [Signal::SIGSTOP, Signal::SIGCONT];
            let signal = signals[self.rng.usize(..2)];
            self.tell(format!(
                "{signal} to supervise {supervise}, service {index}.{role}"
            ));
            let _ = kill(supervise, signal);
        }
    }

    /// Sends a signal to the process of a service or logger.
    fn signal_run(&mut self, index: usize) {
        let role = self.role();
        let signals = match role {
            SERVICE => [Signal::SIGSTOP, Signal::SIGCONT, Signal::SIGKILL],
            _ => [Signal::SIGSTOP, Signal::SIGCONT, Signal::SIGALRM],
        };
        let signal = signals[self.rng.usize(..3)];
        let is_loss = role == LOGGER
            && signal == Signal::SIGALRM
            && self.services[index].logger != Logger::Multilog;
        if self.is_ending || is_loss {
            return;
        }
        let supervise = self.supervise(index, role);
        // supervise does not end `notify`, which would stay stopped.
        let is_run = |pid: &Pid| !describe(*pid).contains("./notify");
        let run = supervise.and_then(|supervise| children(supervise).into_iter().find(is_run));
        if let Some(run) = run {
            self.tell(format!("{signal} to process {run}, service {index}.{role}"));
            let _ = kill(run, signal);
        }
    }

    /// Replaces files of settings.
    fn rewrite(&mut self, index: usize) {
        let Some(directory) = self.services[index].directory.clone() else {
            return;
        };
        let name = REWRITTEN[self.rng.usize(..REWRITTEN.len())];
        let _ = self
            .sandbox
            .sh(&format!("rm -rf {}/{name}", directory.display()));
        let mut plan = vec![format!("{name} removed")];
        let service = &mut self.services[index];
        if name == "timeout-kill" {
            service.kill_timeouts.push(DEFAULT_TIMEOUT);
        }
        settings(
            &mut self.rng,
            self.sandbox,
            &directory,
            &SETTINGS,
            30,
            &mut service.kill_timeouts,
            &mut plan,
        );
        self.tell(format!("service {index}: {}", plan.join(", ")));
    }

    fn step_clock(&mut self) {
        if self.has_clock {
            let step = stepped_clock::step(self.sandbox, &mut self.rng);
            self.tell(format!("clock {step}"));
        }
    }

    fn toggle_down(&mut self, index: usize) {
        if let Some(directory) = self.services[index].directory.clone() {
            let down = directory.join("down");
            self.tell(format!("{} toggled", down.display()));
            if fs::remove_file(self.sandbox.path(&down)).is_err() {
                self.sandbox.write(down, "");
            }
        }
    }

    /// Runs the programs that read states.
    fn look(&mut self) {
        let looks = [
            "svstat scan/* scan/*/log",
            "svps scan",
            "svps -j scan",
            "svok scan/*",
            "svwait -u -t 300 scan/*",
            "svwait -d -o -t 200 scan/*",
        ];
        let look = looks[self.rng.usize(..looks.len())];
        let outcome = self.sandbox.sh(look);
        self.tell(format!("{look}: {:?}", outcome.code()));
    }
}
