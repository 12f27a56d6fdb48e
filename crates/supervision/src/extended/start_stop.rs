//! Starting `start` and `stop`, and the events of all scripts for `notify`.

use std::cell::Cell;
use std::ffi::CStr;
use std::os::fd::RawFd;

use daemontools_core::names;
use nix::errno::Errno;
use nix::unistd::Pid;
use unix::exec::PreparedExec;
use unix::file;
use unix::launch::Launch;

use super::config::{is_executable, program_exists};
use super::{ConfigWarning, Extended, SuperviseWarning};
use crate::machine::{Machine, Script};

impl Extended<'_> {
    /// Whether a script exists. As in daemontools-encore, a file that is not
    /// executable counts as missing for `start` and `stop`.
    ///
    /// Errors: those of stat(2) that may pass, after a warning. A missing `start` would
    /// count as failed, and the service with it.
    pub(crate) fn has_script(&self, script: Script) -> Result<bool, Errno> {
        match script {
            Script::Run => self
                .status_of(names::RUN)
                .map(|status| status != FileStatus::Missing),
            Script::Finish(_) => Ok(program_exists(names::FINISH)),
            Script::Check => Ok(program_exists(names::CHECK)),
            Script::Start => self.has_executable(names::START),
            Script::Stop => self.has_executable(names::STOP),
        }
    }

    fn has_executable(&self, file: &'static CStr) -> Result<bool, Errno> {
        let status = self.status_of(file)?;
        if status == FileStatus::NotExecutable {
            let warning = ConfigWarning::Malformed(file, "an executable file");
            self.warn(SuperviseWarning::Config(warning));
        }
        Ok(matches!(
            status,
            FileStatus::Executable | FileStatus::Unknown
        ))
    }

    fn status_of(&self, file: &'static CStr) -> Result<FileStatus, Errno> {
        match file::status(file) {
            Ok(status) if !status.is_file() => Ok(FileStatus::NoFile),
            Ok(status) if is_executable(&status) => Ok(FileStatus::Executable),
            Ok(_) => Ok(FileStatus::NotExecutable),
            Err(Errno::ENOENT) => Ok(FileStatus::Missing),
            Err(error) if may_pass(error) => {
                let warning = ConfigWarning::Read(file, error);
                self.warn(SuperviseWarning::Config(warning));
                Err(error)
            }
            Err(_) => Ok(FileStatus::Unknown),
        }
    }

    /// Starts `start` with the current settings.
    pub(crate) fn launch_start(&mut self, machine: &mut Machine) -> Result<Pid, StartError> {
        self.config = self.read_config();
        machine.set_config(self.config.restart);
        let failure = Cell::new(None);
        let launch = Launch {
            // The process shares this memory until exec, and `failure` with it.
            copies_below: Some(RawFd::MAX),
            ..self.outside(names::START_PROGRAM)
        };
        let started = self.launch_beside_run(launch, names::START_PROGRAM, |error| {
            failure.set(Some(error));
        });
        match failure.take() {
            Some(error) if may_pass(error) => Err(StartError::Exec),
            Some(_) | None => started.map_err(StartError::Fork),
        }
    }

    pub(crate) fn launch_stop(&self) -> Result<Pid, Errno> {
        let launch = self.outside(names::STOP_PROGRAM);
        self.launch_beside_run(launch, names::STOP_PROGRAM, |_| ())
    }

    fn outside(&self, name: &'static CStr) -> Launch<'static> {
        Launch {
            session: !self.config.no_setsid,
            ..Launch::new(PreparedExec::inheriting(&[name]))
        }
    }
}

/// The reason why `start` could not be started. A later attempt may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartError {
    Fork(Errno),
    /// execve(2) failed, and the process has reported the error.
    Exec,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileStatus {
    Missing,
    Executable,
    NotExecutable,
    /// A directory or a special file.
    NoFile,
    /// stat(2) failed, and the exec, which fails as well, reports the reason.
    Unknown,
}

/// Whether a system call that failed may succeed later, although no file changes.
fn may_pass(error: Errno) -> bool {
    matches!(
        error,
        Errno::ENOMEM
            | Errno::EAGAIN
            | Errno::EMFILE
            | Errno::ENFILE
            | Errno::EINTR
            | Errno::EIO
            | Errno::ETXTBSY
    )
}

/// The first argument of `notify`, as in daemontools-encore. None for the scripts
/// whose starts and exits are no event.
pub(super) fn notify_word(script: Script) -> Option<&'static CStr> {
    match script {
        Script::Run => Some(c"run"),
        Script::Start => Some(c"start"),
        Script::Stop => Some(c"stop"),
        Script::Finish(_) | Script::Check => None,
    }
}
