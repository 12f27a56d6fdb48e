//! The program `check` of a service.

use daemontools_core::names;
use nix::errno::Errno;
use unix::exec::PreparedExec;
use unix::file;
use unix::launch::{Launch, LaunchError};
use unix::stdio::STDOUT;
use unix::wait::{ExitStatus, wait_for};

use super::messages::warn_check;

/// Runs `check` of the service in the current directory. Returns whether the
/// service is available: `check` exits 0, is missing, is killed, or cannot be
/// executed.
pub(crate) fn run_check(name: &[u8]) -> bool {
    match file::status(names::CHECK) {
        Ok(_) => {}
        Err(Errno::ENOENT) => return true,
        Err(error) => {
            warn_check("unable to stat ", name, error);
            return false;
        }
    }
    let environment = unix::start::environment();
    let check = PreparedExec::at(names::CHECK, &[names::CHECK_PROGRAM], &environment);
    let launch = Launch {
        failure_code: 0,
        ..Launch::new(check)
    };
    let close_stdout = || {
        let _ = file::close_in_child(STDOUT);
        Ok(())
    };
    let report = |error: LaunchError| warn_check("unable to run ", name, error.errno());
    match launch.start_with(close_stdout, report) {
        Ok(pid) => wait_for(pid).and_then(ExitStatus::code).unwrap_or(0) == 0,
        Err(error) => {
            warn_check("unable to fork for ", name, error);
            false
        }
    }
}
