//! The service directories of a long life.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use testkit::Sandbox;

use super::{CALM, Scanner};
use crate::random::lives::service::head;

/// Whether a service is in its scan directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Here,
    /// The link is removed, but its processes may run. The time of the last
    /// look.
    Leaving(Instant),
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Multilog,
    Svlogd,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Logger {
    pub(super) program: Program,
    /// The command of `!`.
    processor: &'static str,
    /// Whether the files that start the logger differ from those of the
    /// beginning.
    pub(super) is_changed: bool,
}

impl Logger {
    /// Whether `state` contains the number of processed files.
    pub(super) fn counts(self) -> bool {
        self.processor == PROCESSORS[1]
    }
}

/// The size of a log file. If a logger reads a lower limit, it may split a line between
/// two files, as the originals do.
const SIZE: u32 = 8192;

/// Processors that keep each line. The second one counts its runs in `state`, and
/// fails at times.
pub(super) const PROCESSORS: [&str; 3] = [
    "exec cat",
    "read n <&4; [ $(($$ % 6)) = 0 ] && exit 1; echo $((n+1)) >&5; exec cat",
    "sleep 0.$(($$ % 10)); exec cat",
];

/// A service of a life.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: usize,
    pub(super) scanner: Scanner,
    pub(super) logger: Option<Logger>,
    /// A guest is added during the life, and removed before its end.
    pub(super) is_guest: bool,
    pub(super) presence: Presence,
}

impl Member {
    pub(super) fn make(
        sandbox: &Sandbox,
        id: usize,
        scanner: Scanner,
        logger: Option<usize>,
        is_guest: bool,
    ) -> Member {
        let logger = logger.map(|number| Logger {
            program: [Program::Multilog, Program::Svlogd][number % 2],
            processor: PROCESSORS[number / 2 % PROCESSORS.len()],
            is_changed: false,
        });
        let member = Member {
            id,
            scanner,
            logger,
            is_guest,
            presence: Presence::Gone,
        };
        fs::create_dir(sandbox.path(member.directory())).unwrap();
        member.lay_out(sandbox);
        member
    }

    /// The service directory.
    pub(super) fn directory(&self) -> PathBuf {
        PathBuf::from(format!("sv/{}", self.id))
    }

    /// The service directory, and that of the logger.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        let directory = self.directory();
        let log = self.logger.map(|_| directory.join("log"));
        [directory].into_iter().chain(log).collect()
    }

    /// The text that names the service in reports.
    pub(super) fn mark(&self) -> String {
        format!("sv/{} ", self.id)
    }

    fn entry(&self) -> PathBuf {
        Path::new(self.scanner.directory()).join(self.id.to_string())
    }

    /// Whether no command ends its supervisors or its logger, so that the same
    /// processes live from the beginning to the end.
    pub(super) fn is_spared(&self) -> bool {
        self.id % 4 == 1
    }

    /// Whether the service is never removed, and its runsv never ended: in return, its
    /// logger receives all commands. With svscan and runsv, nothing reads the rest of
    /// the pipe if a service is removed while its logger is down.
    pub(super) fn stays(&self) -> bool {
        self.logger.is_some()
            && self.id % 2 == 0
            && !self.is_guest
            && self.scanner != Scanner::Extended
    }

    /// Whether the logger of a service that may be removed must be up all the time.
    pub(super) fn needs_logger(&self) -> bool {
        self.logger.is_some() && self.scanner == Scanner::Runsvdir && !self.stays()
    }

    pub(super) fn link(&mut self, sandbox: &Sandbox) {
        let target = Path::new("..").join(self.directory());
        symlink(target, sandbox.path(self.entry())).unwrap();
        self.presence = Presence::Here;
    }

    pub(super) fn unlink(&mut self, sandbox: &Sandbox) {
        fs::remove_file(sandbox.path(self.entry())).unwrap();
        self.presence = Presence::Leaving(Instant::now());
    }

    /// Gives the directory the files of the beginning, and no others.
    pub(super) fn lay_out(&self, sandbox: &Sandbox) {
        let directory = self.directory();
        for directory in self.directories() {
            let entries = fs::read_dir(sandbox.path(&directory));
            for entry in entries.into_iter().flatten().flatten() {
                let is_kept = ["run", "log", "supervise"].map(|name| entry.file_name() == *name);
                let path = entry.path();
                if !is_kept.contains(&true) && fs::remove_file(&path).is_err() {
                    // runsv may have opened the directory meanwhile.
                    let _ = fs::remove_dir_all(&path);
                }
            }
        }
        sandbox.script(directory.join("run"), &self.run(sandbox));
        if let Some(logger) = self.logger {
            self.lay_out_logger(sandbox, logger, ["", ""]);
        }
    }

    /// The run script: a service that dies by itself after a while, unless all is
    /// calm.
    fn run(&self, sandbox: &Sandbox) -> String {
        let calm = sandbox.path(CALM).display().to_string();
        let head = head(sandbox, self.id, "run");
        let body = match self.logger {
            None => format!(
                "{{ echo >&3; }} 2>/dev/null\n[ -e {calm} ] && exec sleep 100000\n\
                 [ -d env ] && exec envdir env sleep $(($$ % 40 + 3))\n\
                 exec sleep $(($$ % 40 + 3))\n"
            ),
            // A pid is reused after some minutes, an UUID is not.
            Some(_) => format!(
                "read uuid </proc/sys/kernel/random/uuid\nid=$id.$uuid\n\
                 trap 'say; exit 0' TERM\n\
                 [ -e {calm} ] && exec sleep 100000\n\
                 while [ ! -e {calm} ]; do\nburst 10\nsleep 1\n\
                 [ $n -gt $(($$ % 400 + 50)) ] && exit 1\ndone\n"
            ),
        };
        head + &body
    }

    /// Writes the files of a logger: `words` are options of the program, and further
    /// settings.
    pub(super) fn lay_out_logger(&self, sandbox: &Sandbox, logger: Logger, words: [&str; 2]) {
        let log = sandbox.path("logs").join(self.id.to_string());
        let place = log.display();
        let [options, more] = words;
        let processor = logger.processor;
        let run = match logger.program {
            Program::Multilog => {
                format!("multilog {options} s{SIZE} n1000000 {more} '!{processor}' {place}")
            }
            Program::Svlogd => {
                let _ = fs::create_dir(&log);
                let config = format!("s{SIZE}\nn0\n{more}\n!{processor}\n");
                sandbox.write(log.join("config.new"), config);
                fs::rename(log.join("config.new"), log.join("config")).unwrap();
                format!("svlogd {options} {place}")
            }
        };
        let run = format!("#!/bin/sh\nexec {run}\n");
        sandbox.script(self.directory().join("log/run"), &run);
        // A processor that fails twice lets its logger wait for ten seconds. svscan would
        // then kill a removed logger, and lose unread lines.
        if self.scanner == Scanner::Extended {
            sandbox.write(self.directory().join("log/timeout-kill"), "60000");
        }
    }

    /// Removes all that the service has made.
    pub(super) fn remove(&self, sandbox: &Sandbox) {
        let id = self.id.to_string();
        for place in ["sv", "logs", "said"] {
            let path = sandbox.path(place).join(&id);
            if place == "said" {
                let _ = fs::remove_file(path);
            } else {
                let _ = fs::remove_dir_all(path);
            }
        }
    }
}
