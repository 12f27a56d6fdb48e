//! The last deaths of a service: the file `supervise/death_tally`, which is
//! that of s6, so that s6-svdt and s6-permafailon read it.
//!
//! A record has 14 bytes:
//!
//! | bytes | what |
//! | --- | --- |
//! | 0-11 | the moment of the death, a packed label |
//! | 12 | the exit code, 0 if a signal ended the service |
//! | 13 | the signal's number, 0 if there was none |

use crate::label::{Label, PACKED};

/// Length of a record in bytes.
pub const LENGTH: usize = PACKED + 2;

/// How many deaths are kept.
pub const KEPT: usize = 100;

/// A death of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// When it was.
    pub when: Label,
    /// The exit code; 0 if a signal ended the service.
    pub code: u8,
    /// The number of that signal; 0 if there was none.
    pub signal: u8,
}

/// The last deaths of a service, as records, the last one at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(Vec<u8>);

impl Tally {
    /// Reads the file; None if it is not made of whole records. Of more than
    /// are kept, the last ones count.
    #[must_use]
    pub fn read(mut file: Vec<u8>) -> Option<Self> {
        if file.len() % LENGTH != 0 {
            return None;
        }
        let too_many = file.len().saturating_sub(KEPT * LENGTH);
        file.drain(..too_many);
        Some(Tally(file))
    }

    /// Adds a death.
    pub fn add(&mut self, death: Death) {
        if self.0.len() == KEPT * LENGTH {
            self.0.drain(..LENGTH);
        }
        self.0.extend(death.when.pack());
        self.0.extend([death.code, death.signal]);
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(code: u8) -> Death {
        let when = Label::from_unix(1_297_257_984, 247_337);
        let signal = 9;
        Death { when, code, signal }
    }

    #[test]
    fn a_record_is_a_label_a_code_and_a_signal() {
        let mut tally = Tally::default();
        tally.add(death(111));
        let label = b"\x40\0\0\0\x4d\x52\x96\x0a\x0e\xbe\x12\x1c";
        assert_eq!(tally.file(), [&label[..], &[111, 9]].concat());
        assert_eq!(Tally::read(tally.file().to_vec()), Some(tally));
    }

    #[test]
    fn only_the_last_deaths_are_kept() {
        let mut tally = Tally::default();
        (0..=250).for_each(|code| tally.add(death(code)));
        assert_eq!(tally.file().len(), KEPT * LENGTH);
        let codes = tally.file().iter().skip(PACKED).step_by(LENGTH);
        assert!(codes.copied().eq(151..=250));
        let more = [&[0; LENGTH], tally.file()].concat();
        assert_eq!(Tally::read(more), Some(tally));
    }

    #[test]
    fn a_file_of_other_records_is_none() {
        assert_eq!(Tally::read(vec![0; LENGTH + 1]), None);
        assert_eq!(Tally::read(Vec::new()), Some(Tally::default()));
    }
}
