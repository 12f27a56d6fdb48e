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

use std::fmt::{self, Write};

use nix::unistd::Pid;

use crate::label::Label;
use crate::status::{self, Status, Want};

/// Length of the record in bytes.
pub const LENGTH: usize = status::LENGTH + 2;

/// What a service is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Nothing of it runs.
    Down,
    /// `run` runs.
    Run,
    /// `run` has ended, and `finish` cleans up after it.
    Finish,
    /// A byte that runsv does not write.
    Unknown,
}

impl Activity {
    fn word(self) -> &'static str {
        match self {
            Activity::Down => "down",
            Activity::Run => "run",
            Activity::Finish => "finish",
            Activity::Unknown => "",
        }
    }
}

/// All that runsv tells about a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// What supervise would tell.
    pub status: Status,
    /// Whether TERM was sent to what runs.
    pub got_term: bool,
    /// What the service is at.
    pub activity: Activity,
}

impl Report {
    /// The record on disk.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let activity = match self.activity {
            Activity::Down | Activity::Unknown => 0,
            Activity::Run => 1,
            Activity::Finish => 2,
        };
        let more = [u8::from(self.got_term), activity];
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
        let &[got_term, activity] = record.get(status::LENGTH..LENGTH)? else {
            return None;
        };
        Some(Report {
            status: Status::decode(record)?,
            got_term: got_term != 0,
            activity: match activity {
                0 => Activity::Down,
                1 => Activity::Run,
                2 => Activity::Finish,
                _ => Activity::Unknown,
            },
        })
    }

    /// The line of the file `stat`, without its newline. `leaving` is whether
    /// runsv is to exit.
    #[must_use]
    pub fn stat(&self, leaving: bool) -> String {
        let mut line = self.activity.word().to_owned();
        let down = self.activity == Activity::Down;
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

/// What sv says about a service: `run: NAME: (pid 7) 4s, …`, in two parts
/// since the name is bytes.
#[derive(Clone, Copy, Debug)]
pub struct Sentence {
    /// What runsv tells.
    pub report: Report,
    /// Whether the service directory lacks the file `down`.
    pub normally_up: bool,
    /// The moment to count seconds from.
    pub now: Label,
}

impl Sentence {
    /// What stands before the name.
    #[must_use]
    pub fn before_name(&self) -> String {
        match self.report.activity {
            Activity::Unknown => String::new(),
            known => format!("{}: ", known.word()),
        }
    }

    /// What stands after the name.
    #[must_use]
    pub fn after_name(&self) -> String {
        let mut text = String::from(": ");
        // Nothing can fail: a String takes whatever is written to it.
        let _ = self.write_after_name(&mut text);
        text
    }

    fn write_after_name(&self, text: &mut String) -> fmt::Result {
        let Report {
            status,
            got_term,
            activity,
        } = self.report;
        match activity {
            Activity::Down => {}
            // The number is shown as a C program shows a negative one as an
            // unsigned long.
            Activity::Run | Activity::Finish | Activity::Unknown => {
                let pid = i64::from(status.pid.map_or(0, Pid::as_raw));
                write!(text, "(pid {}) ", u64::from_ne_bytes(pid.to_ne_bytes()))?;
            }
        }
        write!(text, "{}s", self.now.seconds_since(status.since))?;
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
            .try_for_each(|(_, clause)| text.write_str(clause))
    }
}
