//! Starting `start` and `stop`, and the events of all scripts for `notify`.

use std::ffi::CStr;

use daemontools_core::names;
use nix::errno::Errno;
use nix::unistd::Pid;
use unix::exec::PreparedExec;
use unix::file;

use super::config::{is_executable, program_exists};
use super::{ConfigWarning, Extended, SuperviseWarning};
use crate::machine::{Machine, Script};

impl Extended<'_> {
    /// Whether a script exists. As in daemontools-encore, a file that is not
    /// executable counts as missing for `start` and `stop`.
    pub(crate) fn has_script(&self, script: Script) -> bool {
        match script {
            Script::Run => program_exists(names::RUN),
            Script::Finish(_) => program_exists(names::FINISH),
            Script::Check => program_exists(names::CHECK),
            Script::Start => self.has_executable(names::START),
            Script::Stop => self.has_executable(names::STOP),
        }
    }

    fn has_executable(&self, file: &'static CStr) -> bool {
        match file::status(file) {
            Ok(status) if status.is_file() && !is_executable(&status) => {
                let warning = ConfigWarning::Malformed(file, "an executable file");
                self.warn(SuperviseWarning::Config(warning));
                false
            }
            Ok(status) => status.is_file(),
            Err(Errno::ENOENT) => false,
            // The failed exec reports the reason.
            Err(_) => true,
        }
    }

    /// Starts `start` with the current settings.
    pub(crate) fn launch_start(&mut self, machine: &mut Machine) -> Result<Pid, Errno> {
        self.config = self.read_config();
        machine.set_config(self.config.restart);
        self.launch_outside(names::START_PROGRAM)
    }

    pub(crate) fn launch_stop(&self) -> Result<Pid, Errno> {
        self.launch_outside(names::STOP_PROGRAM)
    }

    fn launch_outside(&self, name: &'static CStr) -> Result<Pid, Errno> {
        let program = PreparedExec::inheriting(&[name]);
        self.launch_beside_run(program, name, !self.config.no_setsid)
    }
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
