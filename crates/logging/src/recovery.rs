//! What becomes of the files that are found at start.

use std::ffi::CStr;

use crate::names::{CURRENT, Code, NEWSTATE, PREVIOUS, PROCESSED, STATE};
use crate::policy::Policy;

/// What is known of a file by its mode: it is executable by its owner once it
/// is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It does not exist.
    Nothing,
    /// It was being written when its writer ended, and has this many bytes.
    Unfinished(usize),
    /// It was finished, and has this many bytes.
    Finished(usize),
}

/// How many bytes `current` has, if it is continued.
///
/// To svlogd, a crash without a byte is none.
#[must_use]
pub fn continued(policy: Policy, current: Found) -> Option<usize> {
    match (policy, current) {
        (Policy::Multilog | Policy::Svlogd, Found::Finished(size)) => Some(size),
        (Policy::Svlogd, Found::Unfinished(0)) => Some(0),
        (Policy::Multilog | Policy::Svlogd, Found::Unfinished(_) | Found::Nothing) => None,
    }
}

/// What to do with a file that a crash left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair<'a> {
    /// Remove it if it can be; it does not matter.
    Forget(&'static CStr),
    /// If it exists, make it an old file.
    Keep(&'static CStr, Code<'a>),
}

/// To multilog, what a processor is told and tells is forgotten after a crash,
/// at once.
pub const FORGET_STATE: [Repair<'static>; 2] = [Repair::Forget(STATE), Repair::Forget(NEWSTATE)];

/// What multilog does, after a crash, with the files themselves.
///
/// A finished `processed` has all that was in `previous`. An unfinished one
/// has not, and goes. `made` is the code of what processors make.
#[must_use]
pub fn repairs(processed: Found, made: Code<'_>) -> [Repair<'_>; 3] {
    match processed {
        Found::Finished(_) => [
            Repair::Forget(PREVIOUS),
            Repair::Keep(PROCESSED, made),
            Repair::Keep(CURRENT, Code::Unfinished),
        ],
        Found::Unfinished(_) | Found::Nothing => [
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
    fn a_finished_file_is_continued_and_by_svlogd_an_empty_one() {
        for (found, by_multilog, by_svlogd) in [
            (Found::Nothing, None, None),
            (Found::Unfinished(0), None, Some(0)),
            (Found::Unfinished(7), None, None),
            (Found::Finished(0), Some(0), Some(0)),
            (Found::Finished(7), Some(7), Some(7)),
        ] {
            assert_eq!(continued(Policy::Multilog, found), by_multilog);
            assert_eq!(continued(Policy::Svlogd, found), by_svlogd);
        }
    }

    #[test]
    fn one_of_previous_and_processed_is_kept() {
        let kept = |processed| {
            repairs(processed, Code::Processed(b"gz")).map(|repair| match repair {
                Repair::Keep(name, code) => Some((name, code)),
                Repair::Forget(_) => None,
            })
        };
        let current = Some((CURRENT, Code::Unfinished));
        assert_eq!(
            kept(Found::Finished(7)),
            [None, Some((PROCESSED, Code::Processed(b"gz"))), current]
        );
        for processed in [Found::Unfinished(7), Found::Nothing] {
            assert_eq!(
                kept(processed),
                [None, Some((PREVIOUS, Code::Unfinished)), current]
            );
        }
    }
}
