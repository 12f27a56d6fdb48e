//! The files of a service that readers see, as views of the machine.

use std::num::NonZeroI32;

use daemontools_core::runsv::RunsvStatus;
use daemontools_core::state::{ServiceState, StateFile};
use daemontools_core::status::Status;
use nix::unistd::Pid;
use unix::wait::ExitStatus;

use daemontools_core::status::Want;

use super::{Delayed, Down, Failed, Finish, Machine, Outside, Readiness, Ruleset, StartStop, Up};

impl Machine {
    /// The status record, with the part of runsv.
    pub(crate) fn report(&self) -> RunsvStatus {
        let (state, got_term) = match self.state {
            Down | Delayed(_) | StartStop(_) | Failed => (ServiceState::Down, false),
            Up(run) => (ServiceState::Up, run.got_term),
            Finish(..) => (ServiceState::Finish, false),
        };
        let pid = match self.ruleset {
            Ruleset::Supervise | Ruleset::Extended => self.run_pid(),
            Ruleset::Runsv(_) => self.child_pid(),
        };
        RunsvStatus {
            status: Status {
                since: self.since,
                pid: pid.and_then(number_of),
                paused: self.paused,
                want: match self.state {
                    // As in daemontools-encore: no start is to come.
                    StartStop(Outside::Started) => Want::Once,
                    Down | Delayed(_) | Up(_) | Finish(..) | StartStop(_) | Failed => self.want,
                },
            },
            got_term,
            state: Some(state),
        }
    }

    /// The content of the file `state` of supervise -e.
    pub(crate) fn state_file(&self) -> StateFile {
        let (mut ready_since, mut next_start, mut check) = (None, None, None);
        let state = match self.state {
            Down => ServiceState::Down,
            Delayed(moment) => {
                next_start = Some(moment.label);
                ServiceState::Delay
            }
            Up(run) => {
                check = run.checks.and_then(|checks| checks.result);
                match run.readiness {
                    Readiness::Unused => ServiceState::Up,
                    Readiness::Pending => ServiceState::Starting,
                    Readiness::ReadySince(label) => {
                        ready_since = Some(label);
                        ServiceState::Ready
                    }
                }
            }
            Finish(..) => ServiceState::Finish,
            StartStop(Outside::Starting { .. } | Outside::Ready(_)) => ServiceState::Start,
            StartStop(Outside::Started) => ServiceState::Started,
            StartStop(Outside::StopDue(..) | Outside::Stopping(..)) => ServiceState::Stop,
            Failed => ServiceState::Failed,
        };
        let code = self.last_exit.and_then(ExitStatus::code);
        StateFile {
            state,
            pid: self.run_pid().and_then(number_of),
            since: Some(self.since),
            ready_since,
            restarts: Some(self.starts.saturating_sub(1)),
            exit_code: code.and_then(|code| u8::try_from(code).ok()),
            signal: self.last_exit.and_then(ExitStatus::signal),
            next_start,
            check,
        }
    }
}

/// The number of a process in records.
pub(super) fn number_of(process: Pid) -> Option<NonZeroI32> {
    NonZeroI32::new(process.as_raw())
}
