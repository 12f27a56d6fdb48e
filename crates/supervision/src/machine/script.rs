//! The scripts of a service: which one starts next, and the effect of its start.

use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::check::Checks;
use super::exit_request::ExitRequest;
use super::{ChildProcess, Cleanup, Delayed, Down, Failed, Finish, MIN_RESTART_INTERVAL};
use super::{Machine, Moment, Outside, Preparation, Readiness, Run, RunExit, StartStop, Up};

/// A program of the service directory that the machine starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    Run,
    /// `finish`, after this exit of `run`.
    Finish(RunExit),
    /// `check`, while `run` runs.
    Check,
    /// `start`, before the first `run`.
    Start,
    /// `stop`, after the last `run`.
    Stop,
}

impl Machine {
    /// The next script, and the moment of its start.
    pub(crate) fn next_start(&self) -> Option<(Instant, Script)> {
        match &self.state {
            Delayed(moment) if !self.exit_requested => {
                let script = if self.needs_start() {
                    Script::Start
                } else {
                    Script::Run
                };
                Some((moment.instant, script))
            }
            Finish(Cleanup::Due(moment, exit), _) => Some((*moment, Script::Finish(*exit))),
            StartStop(outside) => outside.next_start(),
            Up(run) => self.next_check(run).map(|moment| (moment, Script::Check)),
            Finish(Cleanup::Running(_) | Cleanup::GivenUp(_), _) | Delayed(_) | Down | Failed => {
                None
            }
        }
    }

    /// The caller has started the script of [`Machine::next_start`] as this
    /// process.
    pub(crate) fn record_start(&mut self, script: Script, pid: Pid, now: Moment) {
        match script {
            Script::Run => self.record_run_start(pid, now),
            Script::Finish(_) => self.record_finish_start(pid, now),
            Script::Check => self.record_check_start(pid, now),
            Script::Start => self.record_start_start(pid, now),
            Script::Stop => self.record_stop_start(pid),
        }
    }

    fn record_run_start(&mut self, pid: Pid, now: Moment) {
        self.paused = false;
        self.preparation = Preparation::Done;
        self.starts += 1;
        self.since = now.label;
        self.last_start = Some(now.instant);
        self.not_before = now.instant + MIN_RESTART_INTERVAL;
        self.state = Up(Run {
            child: ChildProcess { pid, kill_at: None },
            readiness: if self.config.expects_readiness {
                Readiness::Pending
            } else {
                Readiness::Unused
            },
            got_term: false,
            exit_request: ExitRequest::Absent,
            checks: self.config.check.map(|config| Checks::new(config, now)),
        });
    }

    fn record_finish_start(&mut self, pid: Pid, now: Moment) {
        self.paused = false;
        if let Finish(cleanup, _) = &mut self.state {
            let kill_at = self.config.finish_timeout.map(|time| now.instant + time);
            *cleanup = Cleanup::Running(ChildProcess { pid, kill_at });
        }
    }

    /// fork(2) failed for the script of [`Machine::next_start`].
    #[cfg(test)]
    pub(crate) fn record_failed_start(&mut self, script: Script, now: Moment) {
        self.postpone_start(script, self.ruleset.fork_retry_interval(), now);
    }

    /// The caller could not start the script of [`Machine::next_start`]; the next
    /// attempt comes after this delay.
    pub(crate) fn postpone_start(&mut self, script: Script, delay: Duration, now: Moment) {
        let retry = now.after(delay);
        match (script, &mut self.state) {
            (Script::Check, _) => self.record_failed_check(now),
            (Script::Finish(_), Finish(Cleanup::Due(moment, _), _))
            | (Script::Stop, StartStop(Outside::StopDue(moment, _)))
            | (Script::Run, StartStop(Outside::Ready(moment))) => *moment = retry.instant,
            (Script::Run | Script::Start, _) => {
                self.not_before = retry.instant;
                self.state = Delayed(retry);
            }
            (Script::Finish(_) | Script::Stop, _) => {}
        }
    }
}
