//! The line that sv shows for a service.

use std::fmt;

use cli::text;
use daemontools_core::label::Label;
use daemontools_core::runsv::RunsvStatus;
use daemontools_core::state::ServiceState;
use daemontools_core::status_line::write_clauses;
use std::num::NonZeroI32;

/// `run: NAME: (pid 7) 4s, …`, without a newline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SvStatusLine {
    /// The status of runsv.
    pub(crate) report: RunsvStatus,
    /// Whether the service directory lacks the file `down`.
    pub(crate) normally_up: bool,
    /// The current time.
    pub(crate) now: Label,
}

impl SvStatusLine {
    /// The line for a service of this name.
    pub(crate) fn named(&self, name: &[u8]) -> Vec<u8> {
        let word = self.report.word();
        let colon = word.map_or("", |_| ": ");
        text![
            word.unwrap_or_default(),
            colon,
            name,
            ": ",
            self.to_string()
        ]
    }
}

impl fmt::Display for SvStatusLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RunsvStatus {
            status,
            got_term,
            state,
        } = self.report;
        if state != Some(ServiceState::Down) {
            // runit prints the pid as an unsigned long.
            let pid = i64::from(status.pid.map_or(0, NonZeroI32::get));
            write!(f, "(pid {}) ", u64::from_ne_bytes(pid.to_ne_bytes()))?;
        }
        write!(f, "{}s", self.now.seconds_since(status.since))?;
        write_clauses(f, &status, self.normally_up)?;
        if status.pid.is_some() && got_term {
            f.write_str(", got TERM")?;
        }
        Ok(())
    }
}
