//! Starting `check`, and reporting its results to `notify`.

use std::cell::Cell;
use std::os::fd::RawFd;

use daemontools_core::names;
use nix::unistd::Pid;
use unix::exec::PreparedExec;
use unix::launch::{Launch, LaunchError};
use unix::process::end_with_parent;
use unix::stdio::detach_stdin;

use super::{Extended, SuperviseWarning};
use crate::machine::{CheckEvent, CheckReport};

impl Extended<'_> {
    /// Starts `check` in a session of its own, so that a KILL reaches its children.
    /// An error is reported once until the next success: `check` may be replaced
    /// at this moment. None after an error, which is no result.
    pub(crate) fn launch_check(&mut self) -> Option<Pid> {
        let failure = Cell::new(None);
        let program = PreparedExec::inheriting(&[names::CHECK_PROGRAM]);
        let launch = Launch {
            session: true,
            // The process shares this memory until exec, and `failure` with it.
            copies_below: Some(RawFd::MAX),
            ..Launch::new(program)
        };
        let prepare = || {
            self.signals.restore();
            detach_stdin();
            // Without supervise, no timeout would end the check.
            let _ = end_with_parent(true);
            Ok(())
        };
        let started = launch.start_with(prepare, |error: LaunchError| {
            failure.set(Some(error.errno()));
        });
        let started = match failure.take() {
            Some(error) => Err(error),
            None => started,
        };
        let error = started.err();
        if let Some(error) = error.filter(|_| self.check_error != error) {
            self.warn(SuperviseWarning::Check(error));
        }
        self.check_error = error;
        started.ok()
    }

    /// Runs `notify` as `./notify check ok PID 0`, `./notify check failing PID
    /// FAILURES` or `./notify check stop PID FAILURES`, with the PID of `run`.
    pub(crate) fn on_check(&self, report: CheckReport) {
        let event = match report.event {
            CheckEvent::Ok => c"ok",
            CheckEvent::Failing => c"failing",
            CheckEvent::Stop => c"stop",
        };
        let failures = i64::try_from(report.failures).unwrap_or(i64::MAX);
        self.notify(c"check", event, report.run, Some(failures));
    }
}
