//! The status record of supervise: 18 bytes.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0–11 | TAI64N label of the last change of the pid |
//! | 12–15 | the pid, little-endian; 0 while down |
//! | 16 | 1 while paused, else 0 |
//! | 17 | `u` want up, `d` want down, 0 neither |

use nix::unistd::Pid;

use crate::label::{Label, PACKED};

/// Length of the record in bytes.
pub const LENGTH: usize = 18;

/// What was last asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Run, and be restarted.
    Up,
    /// Be down.
    Down,
    /// Run, if it does, to its end: after `o`, no restart is wanted.
    Once,
}

/// What a reader may know about a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The moment of the last change of the pid.
    pub since: Label,
    /// The process, None while down.
    pub pid: Option<Pid>,
    /// Whether it was paused.
    pub paused: bool,
    /// What was asked for.
    pub want: Want,
}

impl Status {
    /// The record on disk.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let pid = self.pid.map_or(0, Pid::as_raw).to_le_bytes();
        let flags = [
            u8::from(self.paused),
            match self.want {
                Want::Up => b'u',
                Want::Down => b'd',
                Want::Once => 0,
            },
        ];
        let mut record = [0; LENGTH];
        let bytes = self.since.pack().into_iter().chain(pid).chain(flags);
        record
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = from);
        record
    }

    /// Reads a record; None if it is shorter than one. What follows the
    /// record is ignored, and no other content is refused: it is shown as
    /// the original shows it.
    #[must_use]
    pub fn decode(record: &[u8]) -> Option<Self> {
        let (label, rest) = record.split_first_chunk::<PACKED>()?;
        let (pid, rest) = rest.split_first_chunk::<4>()?;
        let [paused, want, ..] = *rest else {
            return None;
        };
        let pid = i32::from_le_bytes(*pid);
        Some(Status {
            since: Label::unpack(*label),
            pid: (pid != 0).then(|| Pid::from_raw(pid)),
            paused: paused != 0,
            want: match want {
                b'u' => Want::Up,
                b'd' => Want::Down,
                _ => Want::Once,
            },
        })
    }
}
