//! The loop of svscan: it looks at the current directory every five seconds
//! and keeps a supervise running for each service in it.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use daemontools_core::names;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{SFlag, stat};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, dup2_stdin, dup2_stdout, pipe2};
use unix::exec::Program;
use unix::fork::fork;

use crate::table::{Identity, Side, Table};

/// The time between two looks at the directory.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// The program that is run for each service.
const SUPERVISE: &CStr = c"supervise";

/// What could not be done; it is tried again at the next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble<'a> {
    /// The directory could not be read: nothing is forgotten.
    Directory,
    /// An entry, or its `log`, could not be looked at.
    Stat(&'a CStr),
    /// No pipe could be made for a service and its logger.
    Pipe(&'a CStr),
    /// There could be no process for a side of a service.
    Fork(&'a CStr, Side),
    /// In a logger's process: the service's directory could not be entered.
    Chdir(&'a CStr),
    /// In the new process: supervise could not be executed.
    Start(&'a CStr, Side),
}

/// Scans the current directory for ever. `report` puts trouble into words.
pub fn scan(report: impl Fn(Trouble, Errno)) -> ! {
    let environment = unix::start::environment();
    let path = unix::start::variable(b"PATH");
    let mut scanner = Scanner {
        table: Table::default(),
        environment,
        path,
        report,
    };
    loop {
        scanner.reap();
        scanner.look();
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

struct Scanner<R> {
    table: Table<Pipe>,
    environment: Vec<&'static CStr>,
    path: Option<&'static [u8]>,
    report: R,
}

/// The pipe from a service to its logger. svscan keeps both ends, so that no
/// line is lost while either side is away.
struct Pipe {
    from_service: OwnedFd,
    to_logger: OwnedFd,
}

impl Pipe {
    fn new() -> Result<Self, Errno> {
        let (to_logger, from_service) = pipe2(OFlag::O_CLOEXEC)?;
        Ok(Pipe {
            from_service,
            to_logger,
        })
    }
}

impl<R: Fn(Trouble, Errno)> Scanner<R> {
    fn reap(&mut self) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return,
                Ok(status) => {
                    if let Some(pid) = status.pid() {
                        self.table.died(pid);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    fn look(&mut self) {
        self.table.begin();
        let looked = std::fs::read_dir(".").and_then(|entries| {
            for entry in entries {
                if let Ok(name) = CString::new(entry?.file_name().into_vec()) {
                    self.see(&name);
                }
            }
            Ok(())
        });
        match looked {
            Ok(()) => self.table.end(),
            Err(error) => (self.report)(Trouble::Directory, unix::errno(&error)),
        }
    }

    /// Looks at an entry of the directory and starts what is missing.
    fn see(&mut self, name: &CStr) {
        if name.to_bytes().starts_with(b".") {
            return;
        }
        let status = match stat(name) {
            Ok(status) => status,
            Err(error) => return (self.report)(Trouble::Stat(name), error),
        };
        if SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT != SFlag::S_IFDIR {
            return;
        }
        let identity = Identity {
            device: status.st_dev,
            inode: status.st_ino,
        };
        if !self.table.see(identity) {
            match self.new_pipe(name) {
                Ok(pipe) => self.table.add(identity, pipe),
                Err(()) => return,
            }
        }
        for side in self.table.missing(identity) {
            match self.start(identity, side, name) {
                Ok(pid) => self.table.started(identity, side, pid),
                Err(error) => return (self.report)(Trouble::Fork(name, side), error),
            }
        }
    }

    /// The pipe for a service that is seen for the first time, if it has a
    /// logger: only now `log` is looked for.
    fn new_pipe(&self, name: &CStr) -> Result<Option<Pipe>, ()> {
        let log = [name.to_bytes(), b"/", names::LOG.to_bytes()].concat();
        let log = CString::new(log).unwrap_or_default();
        match stat(log.as_c_str()) {
            Ok(_) => {}
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => {
                (self.report)(Trouble::Stat(&log), error);
                return Err(());
            }
        }
        Pipe::new()
            .map(Some)
            .map_err(|error| (self.report)(Trouble::Pipe(name), error))
    }

    fn start(&self, identity: Identity, side: Side, name: &CStr) -> Result<Pid, Errno> {
        let directory = match side {
            Side::Service => name,
            Side::Logger => names::LOG,
        };
        let pipe = self.table.pipe(identity);
        let supervise = Program::search(self.path, &[SUPERVISE, directory], &self.environment);
        fork(|| {
            let ready = match (side, pipe) {
                (Side::Service, None) => Ok(()),
                (Side::Service, Some(pipe)) => dup2_stdout(&pipe.from_service),
                (Side::Logger, pipe) => pipe
                    .map_or(Ok(()), |pipe| dup2_stdin(&pipe.to_logger))
                    .and_then(|()| chdir(name)),
            };
            match ready {
                Ok(()) => (self.report)(Trouble::Start(name, side), supervise.exec()),
                Err(error) => (self.report)(Trouble::Chdir(name), error),
            }
            111
        })
    }
}
