//! The status record of supervise: 18 bytes.
//!
//! | bytes | content |
//! | --- | --- |
//! | 0–11 | TAI64N label of the last change of the pid |
//! | 12–15 | the pid, little-endian; 0 while down |
//! | 16 | 1 while paused, else 0 |
//! | 17 | `u` want up, `d` want down, 0 neither |

use std::num::NonZeroI32;

use crate::label::{Label, PACKED};

/// Length of the record in bytes.
pub const LENGTH: usize = 18;

/// The wanted state of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum Want {
    /// Up: supervise restarts the service.
    Up,
    /// Down.
    Down,
    /// Neither: supervise does not restart the service, after `o`.
    Once,
}

/// The status record of supervise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub struct Status {
    /// The time of the last change of the pid.
    pub since: Label,
    /// The process; None while down.
    pub pid: Option<NonZeroI32>,
    /// Whether the service is paused.
    pub paused: bool,
    /// The wanted state.
    pub want: Want,
}

impl Status {
    /// The record as bytes.
    pub fn encode(&self) -> [u8; LENGTH] {
        let pid = self.pid.map_or(0, NonZeroI32::get).to_le_bytes();
        let flags = [
            u8::from(self.paused),
            match self.want {
                Want::Up => b'u',
                Want::Down => b'd',
                Want::Once => 0,
            },
        ];
        to_array(self.since.pack().into_iter().chain(pid).chain(flags))
    }

    /// Decodes a record, and ignores further bytes. None if the record is too
    /// short. Any other content is valid, as in 0.76.
    pub fn decode(record: &[u8]) -> Option<Self> {
        let (label, rest) = record.split_first_chunk::<PACKED>()?;
        let (pid, rest) = rest.split_first_chunk::<4>()?;
        let [paused, want, ..] = *rest else {
            return None;
        };
        Some(Status {
            since: Label::unpack(*label),
            pid: NonZeroI32::new(i32::from_le_bytes(*pid)),
            paused: paused != 0,
            want: match want {
                b'u' => Want::Up,
                b'd' => Want::Down,
                _ => Want::Once,
            },
        })
    }
}

/// The first `N` bytes.
pub(crate) fn to_array<const N: usize>(mut bytes: impl Iterator<Item = u8>) -> [u8; N] {
    std::array::from_fn(|_| bytes.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_has_same_bytes_on_every_machine() {
        let status = Status {
            since: Label::from_unix(0x1234_5678, 0x0102),
            pid: NonZeroI32::new(0x0001_0203),
            paused: true,
            want: Want::Down,
        };
        let record = *b"\x40\0\0\0\x12\x34\x56\x82\0\x03\xf1\xc4\x03\x02\x01\0\x01d";
        assert_eq!(status.encode(), record);
        assert_eq!(Status::decode(&record), Some(status));
    }

    #[test]
    fn each_wanted_state_reads_back() {
        for (want, byte) in [(Want::Up, b'u'), (Want::Down, b'd'), (Want::Once, 0)] {
            let status = Status {
                since: Label::from_unix(0, 0),
                pid: None,
                paused: false,
                want,
            };
            let record = status.encode();
            assert_eq!(record.last(), Some(&byte));
            assert_eq!(Status::decode(&record), Some(status));
        }
    }

    #[test]
    fn short_records_are_rejected() {
        assert_eq!(Status::decode(&[0; LENGTH - 1]), None);
        assert!(Status::decode(&[0; LENGTH + 2]).is_some());
    }
}
