//! The last exits of a service: the file `supervise/death_tally` in the format of
//! s6, for s6-svdt and s6-permafailon.
//!
//! A record has 14 bytes:
//!
//! | bytes | content |
//! | --- | --- |
//! | 0-11 | the time of the exit, a packed label |
//! | 12 | the exit code; 0 after a signal |
//! | 13 | the number of the signal; 0 without one |

use crate::label::{Label, PACKED};

/// Length of a record in bytes.
pub const LENGTH: usize = PACKED + 2;

/// The maximum number of records.
pub const KEPT: usize = 100;

/// The exit of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub struct DeathRecord {
    /// The time of the exit.
    pub when: Label,
    /// The exit code; 0 after a signal.
    pub code: u8,
    /// The number of the signal; 0 without one.
    pub signal: u8,
}

/// The last records, in order of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally(Vec<u8>);

impl Default for Tally {
    fn default() -> Self {
        Tally(Vec::with_capacity(KEPT * LENGTH))
    }
}

impl Tally {
    /// Reads the file, and keeps the last [`KEPT`] records. None if the last
    /// record is incomplete.
    pub fn read(mut file: Vec<u8>) -> Option<Self> {
        if file.len() % LENGTH != 0 {
            return None;
        }
        let too_many = file.len().saturating_sub(KEPT * LENGTH);
        file.drain(..too_many);
        // Records are added without an allocation.
        file.reserve_exact(KEPT * LENGTH - file.len());
        Some(Tally(file))
    }

    /// Adds a record, and drops the first one of too many.
    pub fn add(&mut self, death: DeathRecord) {
        if self.0.len() == KEPT * LENGTH {
            self.0.drain(..LENGTH);
        }
        self.0.extend(death.when.pack());
        self.0.extend([death.code, death.signal]);
    }

    /// The records, in order of time.
    pub fn deaths(&self) -> impl Iterator<Item = DeathRecord> {
        self.0.chunks_exact(LENGTH).filter_map(|record| {
            let (when, rest) = record.split_first_chunk::<PACKED>()?;
            let [code, signal] = *rest else { return None };
            let when = Label::unpack(*when);
            Some(DeathRecord { when, code, signal })
        })
    }

    /// The content of the file.
    pub fn file(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(code: u8) -> DeathRecord {
        let when = Label::from_unix(1_297_257_984, 247_337);
        let signal = 9;
        DeathRecord { when, code, signal }
    }

    #[test]
    fn record_holds_label_code_and_signal() {
        let mut tally = Tally::read(Vec::new()).unwrap();
        tally.add(death(111));
        let label = b"\x40\0\0\0\x4d\x52\x96\x0a\x0e\xbe\x12\x1c";
        assert_eq!(tally.file(), [&label[..], &[111, 9]].concat());
        assert!(tally.deaths().eq([death(111)]));
        assert_eq!(Tally::read(tally.file().to_vec()), Some(tally));
    }

    #[test]
    fn oldest_records_are_dropped() {
        let mut tally = Tally::default();
        (0..=250).for_each(|code| tally.add(death(code)));
        assert_eq!(tally.file().len(), KEPT * LENGTH);
        let codes = tally.file().iter().skip(PACKED).step_by(LENGTH);
        assert!(codes.copied().eq(151..=250));
        let more = [&[0; LENGTH], tally.file()].concat();
        assert_eq!(Tally::read(more), Some(tally));
        assert_eq!(Tally::read(vec![0; LENGTH + 1]), None);
    }
}
