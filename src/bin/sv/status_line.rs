//! The line that sv shows for a service.

use std::fmt;

use cli::text;
use daemontools_core::label::Label;
use daemontools_core::runsv::{RunsvStatus, word};
use daemontools_core::state::ServiceState;
use daemontools_core::status::Want;
use nix::unistd::Pid;

/// `run: NAME: (pid 7) 4s, …`, without a newline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusLine {
    /// The status of runsv.
    pub(crate) report: RunsvStatus,
    /// Whether the service directory lacks the file `down`.
    pub(crate) normally_up: bool,
    /// The current time.
    pub(crate) now: Label,
}

impl StatusLine {
    /// The line for a service of this name.
    pub(crate) fn named(&self, name: &[u8]) -> Vec<u8> {
        let (word, colon) = match word(self.report.state) {
            "" => ("", ""),
            word => (word, ": "),
        };
        text![word, colon, name, ": ", self.to_string()]
    }
}

impl fmt::Display for StatusLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RunsvStatus {
            status,
            got_term,
            state,
        } = self.report;
        if state != Some(ServiceState::Down) {
            // runit prints the pid as an unsigned long.
            let pid = i64::from(status.pid.map_or(0, Pid::as_raw));
            write!(f, "(pid {}) ", u64::from_ne_bytes(pid.to_ne_bytes()))?;
        }
        write!(f, "{}s", self.now.seconds_since(status.since))?;
        let up = status.pid.is_some();
        let clauses = [
            (up && !self.normally_up, ", normally down"),
            (!up && self.normally_up, ", normally up"),
            (up && status.paused, ", paused"),
            (!up && status.want == Want::Up, ", want up"),
            (up && status.want == Want::Down, ", want down"),
            (up && got_term, ", got TERM"),
        ];
        clauses
            .iter()
            .filter(|(holds, _)| *holds)
            .try_for_each(|(_, clause)| f.write_str(clause))
    }
}
