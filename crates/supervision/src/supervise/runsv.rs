//! runsv, the part that supervise lacks: the logger and the pipe to it,
//! programs in `control`, `finish`, and the files `pid` and `stat`.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use daemontools_core::names;
use nix::errno::Errno;
use nix::unistd::Pid;
use unix::exec::{NumberArgument, PreparedExec};
use unix::file;
use unix::launch::{Launch, LaunchError};
use unix::signals::SignalPipe;
use unix::wait::{ExitStatus, wait_for};

use super::service::{PidFile, Service, View, Visible};
use crate::Role;
use crate::directory::ReplaceError;
use crate::machine::RunExit;
use crate::pipe::Pipe;
use crate::retry::Attempt;

/// A failure of runsv that does not end it. Those marked `child` occur in the
/// new process, which then exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunsvWarning<'a> {
    /// A published file could not be replaced.
    Replace(ReplaceError),
    /// fork(2) failed for `run` or `finish`, or the end of its pipe could not be
    /// opened.
    Fork(Errno),
    /// Child: this program could not get its end of the pipe.
    Pipe(&'a CStr, Errno),
    /// Child: the directory of the logger could not be entered.
    Chdir(Errno),
    /// Child: this program could not be executed.
    Exec(&'a CStr, Errno),
    /// stat(2) failed for this program in `control`.
    ControlStat(&'a CStr, Errno),
    /// fork(2) failed for this program in `control`.
    ControlFork(&'a CStr, Errno),
    /// This program in `control` could not get the standard output of the
    /// service.
    ControlPipe(&'a CStr, Errno),
    /// Child: this program in `control` could not be executed.
    ControlExec(&'a CStr, Errno),
}

/// The state of runsv besides the machine of its service.
pub(super) struct Runsv<'a> {
    /// Reports SIGTERM, which requests the exit.
    pub(super) terminated: &'a SignalPipe,
    pub(super) logger: Option<Logger>,
    pub(super) warn: &'a dyn Fn(RunsvWarning<'_>),
}

pub(super) struct Logger {
    pub(super) service: Service,
    /// The pipe from the service; None after the end of the service.
    pub(super) pipe: Option<Pipe>,
}

impl Runsv<'_> {
    /// Starts `run`, of the service after `control/u`, whose exit status is
    /// ignored.
    pub(super) fn launch_run(&self, service: &mut Service, role: Role) -> Result<Pid, Errno> {
        match role {
            Role::Service => {
                let _ = self.run_control_program(service, b'u');
                self.launch(role, names::RUN_PROGRAM, &[names::RUN_PROGRAM])
            }
            Role::Logger => self.launch(role, c"log/./run", &[names::RUN_PROGRAM]),
        }
    }

    /// Starts `finish` as `./finish CODE STATUS`: the exit code, -1 after a
    /// signal, and the low byte of the wait status, as in runit.
    pub(super) fn launch_finish(&self, RunExit { status, .. }: RunExit) -> Result<Pid, Errno> {
        let code = NumberArgument::new(status.code().unwrap_or(-1));
        let status = NumberArgument::new(status.low_byte());
        let program = names::FINISH_PROGRAM;
        let arguments = [program, code.as_c_str(), status.as_c_str()];
        self.launch(Role::Service, program, &arguments)
    }

    /// Starts a program with its end of the pipe; `path` names it in warnings.
    fn launch(&self, role: Role, path: &CStr, arguments: &[&CStr]) -> Result<Pid, Errno> {
        let end = self.pipe_end(role)?;
        let end = end.as_ref().map(AsFd::as_fd);
        let program = PreparedExec::inheriting(arguments);
        let launch = match role {
            Role::Service => Launch {
                stdout: end,
                ..Launch::new(program)
            },
            Role::Logger => Launch {
                stdin: end,
                directory: Some(names::LOG),
                ..Launch::new(program)
            },
        };
        launch.start(|error| {
            (self.warn)(match error {
                LaunchError::Descriptor(error) => RunsvWarning::Pipe(path, error),
                LaunchError::Chdir(error) => RunsvWarning::Chdir(error),
                LaunchError::Exec(error) => RunsvWarning::Exec(path, error),
            });
        })
    }

    fn pipe_end(&self, role: Role) -> Result<Option<OwnedFd>, Errno> {
        let pipe = self.logger.as_ref().and_then(|logger| logger.pipe.as_ref());
        pipe.map(|pipe| pipe.open_end(role)).transpose()
    }

    /// Runs the program in `control` for a letter, if there is one, and waits
    /// for it; whether it exits 0.
    pub(super) fn run_control_program(&self, service: &mut Service, letter: u8) -> bool {
        let path = names::control_program(letter);
        let path = CStr::from_bytes_until_nul(&path).unwrap_or_default();
        match self.launch_control_program(service, path) {
            Ok(Some(pid)) => wait_for(pid).and_then(ExitStatus::code) == Some(0),
            Ok(None) => false,
            Err(warning) => {
                (self.warn)(warning);
                false
            }
        }
    }

    fn launch_control_program<'p>(
        &self,
        service: &mut Service,
        path: &'p CStr,
    ) -> Result<Option<Pid>, RunsvWarning<'p>> {
        match file::status(path) {
            Ok(status) if file::is_executable_by_owner(&status) => {}
            Ok(_) | Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(RunsvWarning::ControlStat(path, error)),
        }
        // The program may read the published files.
        publish(service, self.warn);
        let end = self.pipe_end(Role::Service);
        let end = end.map_err(|error| RunsvWarning::ControlPipe(path, error))?;
        let launch = Launch {
            stdout: end.as_ref().map(AsFd::as_fd),
            ..Launch::new(PreparedExec::inheriting(&[path]))
        };
        let launched = launch.start(|error| {
            (self.warn)(match error {
                LaunchError::Descriptor(error) => RunsvWarning::ControlPipe(path, error),
                LaunchError::Chdir(error) | LaunchError::Exec(error) => {
                    RunsvWarning::ControlExec(path, error)
                }
            });
        });
        launched
            .map(Some)
            .map_err(|error| RunsvWarning::ControlFork(path, error))
    }

    pub(super) fn has_finish(role: Role) -> bool {
        match role {
            Role::Service => file::open_read(names::FINISH).is_ok(),
            Role::Logger => false,
        }
    }

    /// Publishes the files of the service or of its logger.
    pub(super) fn publish(&mut self, service: &mut Service, role: Role) {
        match role {
            Role::Service => publish(service, self.warn),
            Role::Logger => {
                if let Some(logger) = &mut self.logger {
                    publish(&mut logger.service, self.warn);
                }
            }
        }
    }
}

impl Logger {
    /// Whether the logger is in its restart delay, and will read the pipe, as in runit.
    pub(super) fn is_due(&self) -> bool {
        self.pipe.is_some() && self.service.machine.next_start().is_some()
    }

    /// Closes the pipe, so that the logger reads to its end and exits.
    pub(super) fn shut_down(&mut self) {
        if self.pipe.take().is_some() {
            self.service.machine.request_exit();
        }
    }
}

/// Replaces the files of a service.
fn publish(service: &mut Service, warn: &dyn Fn(RunsvWarning<'_>)) {
    let Some((attempt, view)) = service.next_write(Visible::ExitRequest) else {
        return;
    };
    let replaced = replace_files(service, view);
    service.record_write(view, replaced);
    if let (Attempt::Event, Err(error)) = (attempt, replaced) {
        warn(RunsvWarning::Replace(error));
    }
}

fn replace_files(
    service: &mut Service,
    (report, exit_requested): View,
) -> Result<(), ReplaceError> {
    let files = &service.files;
    let pid = report.status.pid;
    if service.pid_file != PidFile::Contains(pid) {
        files.replace(files.names.pid, &report.pid())?;
        service.pid_file = PidFile::Contains(pid);
    }
    let mut stat = report.stat(exit_requested);
    stat.push(b"\n");
    files.replace(files.names.stat, &stat)?;
    // Last: a reader that waits for the record finds the other files current.
    files.replace(files.names.status, &report.encode())
}
