//! What runsv tells about a service, in its three files, and what sv makes of
//! it.
//!
//! The record in `status` is that of supervise (see [`crate::status`])
//! and two bytes more:
//!
//! | byte | what |
//! | --- | --- |
//! | 18 | 1 if the service was sent TERM, else 0 |
//! | 19 | 0 down, 1 `run` runs, 2 `finish` runs or is about to |

use crate::state::ServiceState;
use crate::status::{self, Status, Want};

/// Length of the record in bytes.
pub const LENGTH: usize = status::LENGTH + 2;

/// The word for a state in runsv's files and sv's lines; None: a byte that
/// runsv does not write.
#[must_use]
pub fn word(state: Option<ServiceState>) -> &'static str {
    match state {
        Some(ServiceState::Down | ServiceState::Delay | ServiceState::Failed) => "down",
        Some(ServiceState::Starting | ServiceState::Up | ServiceState::Ready) => "run",
        Some(ServiceState::Finish) => "finish",
        None => "",
    }
}

/// All that runsv tells about a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// What supervise would tell.
    pub status: Status,
    /// Whether TERM was sent to what runs.
    pub got_term: bool,
    /// `Down`, `Up` or `Finish`; None: a byte that runsv does not write.
    pub state: Option<ServiceState>,
}

impl Report {
    /// The record on disk.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let state = match self.state {
            Some(ServiceState::Down | ServiceState::Delay | ServiceState::Failed) | None => 0,
            Some(ServiceState::Starting | ServiceState::Up | ServiceState::Ready) => 1,
            Some(ServiceState::Finish) => 2,
        };
        let more = [u8::from(self.got_term), state];
        let mut record = [0; LENGTH];
        let bytes = self.status.encode().into_iter().chain(more);
        record
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = from);
        record
    }

    /// Reads a record; None if it is shorter than one. What follows it is
    /// ignored.
    #[must_use]
    pub fn decode(record: &[u8]) -> Option<Self> {
        let &[got_term, state] = record.get(status::LENGTH..LENGTH)? else {
            return None;
        };
        Some(Report {
            status: Status::decode(record)?,
            got_term: got_term != 0,
            state: match state {
                0 => Some(ServiceState::Down),
                1 => Some(ServiceState::Up),
                2 => Some(ServiceState::Finish),
                _ => None,
            },
        })
    }

    /// The line of the file `stat`, without its newline. `leaving` is whether
    /// runsv is to exit.
    #[must_use]
    pub fn stat(&self, leaving: bool) -> String {
        let mut line = word(self.state).to_owned();
        let down = self.state == Some(ServiceState::Down);
        let want = self.status.want;
        for (holds, clause) in [
            (self.status.paused, ", paused"),
            (self.got_term, ", got TERM"),
            (!down && leaving, ", want exit"),
            (!down && !leaving && want == Want::Down, ", want down"),
        ] {
            if holds {
                line += clause;
            }
        }
        line
    }

    /// The content of the file `pid`.
    #[must_use]
    pub fn pid(&self) -> String {
        let pid = self.status.pid.map(|pid| format!("{pid}\n"));
        pid.unwrap_or_default()
    }
}
