//! What becomes of the files that are found at start.

use std::ffi::CStr;

use crate::names::{CURRENT, Code, NEWSTATE, PREVIOUS, PROCESSED, STATE};

/// What is known of a file by its mode: it is executable by its owner once it
/// is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It does not exist.
    Nothing,
    /// It was being written when its writer ended.
    Unfinished,
    /// It was finished, and has this many bytes.
    Finished(usize),
}

/// What to do with a file that a crash left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Remove it if it can be; it does not matter.
    Forget(&'static CStr),
    /// If it exists, make it an old file.
    Keep(&'static CStr, Code),
}

/// What a processor is told and tells is forgotten after a crash, at once.
pub const FORGET_STATE: [Repair; 2] = [Repair::Forget(STATE), Repair::Forget(NEWSTATE)];

/// What to do, after a crash, with the files themselves.
///
/// A finished `processed` has all that was in `previous`. An unfinished one
/// has not, and goes.
#[must_use]
pub fn repairs(processed: Found) -> [Repair; 3] {
    match processed {
        Found::Finished(_) => [
            Repair::Forget(PREVIOUS),
            Repair::Keep(PROCESSED, Code::Safe),
            Repair::Keep(CURRENT, Code::Unfinished),
        ],
        Found::Unfinished | Found::Nothing => [
            Repair::Forget(PROCESSED),
            Repair::Keep(PREVIOUS, Code::Unfinished),
            Repair::Keep(CURRENT, Code::Unfinished),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_previous_and_processed_is_kept() {
        let kept = |processed| {
            repairs(processed).map(|repair| match repair {
                Repair::Keep(name, code) => Some((name, code)),
                Repair::Forget(_) => None,
            })
        };
        let current = Some((CURRENT, Code::Unfinished));
        assert_eq!(
            kept(Found::Finished(7)),
            [None, Some((PROCESSED, Code::Safe)), current]
        );
        for processed in [Found::Unfinished, Found::Nothing] {
            assert_eq!(
                kept(processed),
                [None, Some((PREVIOUS, Code::Unfinished)), current]
            );
        }
    }
}
