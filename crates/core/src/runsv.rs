//! The status files of runsv: `status`, `stat` and `pid`.
//!
//! The record in `status` is that of supervise (see [`crate::status`]) with two
//! more bytes:
//!
//! | byte | content |
//! | --- | --- |
//! | 18 | 1 after TERM was sent to the process, else 0 |
//! | 19 | 0 down, 1 `run` runs, 2 `finish` runs or starts next |

use crate::short_text::ShortText;
use crate::state::ServiceState;
use crate::status::{self, Status, Want, to_array};

/// Length of the record in bytes.
pub const LENGTH: usize = status::LENGTH + 2;

/// The states of runsv: byte 19, and the word in `stat` and in the lines of sv.
const STATES: [(u8, &str, ServiceState); 3] = [
    (0, "down", ServiceState::Down),
    (1, "run", ServiceState::Up),
    (2, "finish", ServiceState::Finish),
];

/// The status of a service of runsv.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunsvStatus {
    /// The part that supervise shares.
    pub status: Status,
    /// Whether TERM was sent to the process.
    pub got_term: bool,
    /// [`Down`](ServiceState::Down), [`Up`](ServiceState::Up) or
    /// [`Finish`](ServiceState::Finish). None: runsv does not write the byte.
    pub state: Option<ServiceState>,
}

impl RunsvStatus {
    /// The record as bytes.
    pub fn encode(&self) -> [u8; LENGTH] {
        let state = self.state_row().map_or(0, |(byte, ..)| byte);
        let more = [u8::from(self.got_term), state];
        to_array(self.status.encode().into_iter().chain(more))
    }

    /// Decodes a record, and ignores further bytes. None if the record is too
    /// short.
    pub fn decode(record: &[u8]) -> Option<Self> {
        let &[got_term, state] = record.get(status::LENGTH..LENGTH)? else {
            return None;
        };
        let row = STATES.iter().find(|(byte, ..)| *byte == state);
        Some(RunsvStatus {
            status: Status::decode(record)?,
            got_term: got_term != 0,
            state: row.map(|&(.., state)| state),
        })
    }

    fn state_row(&self) -> Option<(u8, &'static str, ServiceState)> {
        let mut rows = STATES.into_iter();
        rows.find(|(.., state)| Some(*state) == self.state)
    }

    /// The word for the state; None if runsv does not write the byte.
    pub fn word(&self) -> Option<&'static str> {
        self.state_row().map(|(_, word, _)| word)
    }

    /// The line of `stat` without its newline. `exiting`: runsv exits when the
    /// service is down.
    pub fn stat(&self, exiting: bool) -> ShortText<64> {
        let mut line = ShortText::new();
        line.push(self.word().unwrap_or_default().as_bytes());
        let down = self.state == Some(ServiceState::Down);
        let want = self.status.want;
        for (holds, clause) in [
            (self.status.paused, ", paused"),
            (self.got_term, ", got TERM"),
            (!down && exiting, ", want exit"),
            (!down && !exiting && want == Want::Down, ", want down"),
        ] {
            if holds {
                line.push(clause.as_bytes());
            }
        }
        line
    }

    /// The content of the file `pid`.
    pub fn pid(&self) -> ShortText<16> {
        let mut text = ShortText::new();
        if let Some(pid) = self.status.pid {
            text.push_value(format_args!("{pid}\n"));
        }
        text
    }
}
