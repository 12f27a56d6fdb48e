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
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroI32;

    use super::*;
    use crate::label::Label;

    fn running() -> RunsvStatus {
        let status = Status {
            since: Label::from_unix(0, 0),
            pid: NonZeroI32::new(0x0102),
            paused: false,
            want: Want::Up,
        };
        RunsvStatus {
            status,
            got_term: false,
            state: Some(ServiceState::Up),
        }
    }

    #[test]
    fn record_adds_two_bytes_to_supervise() {
        let status = RunsvStatus {
            got_term: true,
            state: Some(ServiceState::Finish),
            ..running()
        };
        let record = *b"\x40\0\0\0\0\0\0\x0a\0\0\x01\xf4\x02\x01\0\0\0u\x01\x02";
        assert_eq!(status.encode(), record);
        assert_eq!(RunsvStatus::decode(&record), Some(status));
        assert_eq!(RunsvStatus::decode(&record[..19]), None);
    }

    #[test]
    fn each_state_has_a_byte_and_a_word() {
        for (state, byte, word) in [
            (ServiceState::Down, 0, "down"),
            (ServiceState::Up, 1, "run"),
            (ServiceState::Finish, 2, "finish"),
        ] {
            let state = Some(state);
            let status = RunsvStatus { state, ..running() };
            assert_eq!((status.word(), status.encode()[19]), (Some(word), byte));
            assert_eq!(RunsvStatus::decode(&status.encode()), Some(status));
        }
        let mut record = running().encode();
        record[19] = 3;
        assert_eq!(RunsvStatus::decode(&record).unwrap().word(), None);
    }

    #[test]
    fn stat_names_state_and_pending_commands() {
        use ServiceState::{Down, Finish, Up};

        let stat = |state, paused, got_term, want, exiting| {
            let status = Status {
                paused,
                want,
                ..running().status
            };
            let state = Some(state);
            let status = RunsvStatus {
                status,
                got_term,
                state,
            };
            status.stat(exiting)
        };
        for (line, stat) in [
            ("run", stat(Up, false, false, Want::Up, false)),
            ("run", stat(Up, false, false, Want::Once, false)),
            ("run, paused", stat(Up, true, false, Want::Up, false)),
            (
                "run, paused, got TERM, want down",
                stat(Up, true, true, Want::Down, false),
            ),
            (
                "finish, want down",
                stat(Finish, false, false, Want::Down, false),
            ),
            (
                "run, got TERM, want exit",
                stat(Up, false, true, Want::Down, true),
            ),
            ("down", stat(Down, false, false, Want::Down, false)),
            ("down", stat(Down, false, false, Want::Down, true)),
        ] {
            assert_eq!(&*stat, line.as_bytes());
        }
    }

    #[test]
    fn pid_file_is_empty_while_down() {
        assert_eq!(&*running().pid(), b"258\n");
        let mut down = running();
        down.status.pid = None;
        assert!(down.pid().is_empty());
    }
}
