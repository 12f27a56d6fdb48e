//! What becomes of the files that are found at start.

use std::ffi::CStr;

use crate::names::{CURRENT, NEWSTATE, PREVIOUS, PROCESSED, STATE, Suffix};
use crate::policy::LogPolicy;

/// What is known of a file by its mode: it is executable by its owner once it
/// is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It does not exist.
    Missing,
    /// It was being written when its writer ended, and has this many bytes.
    Unfinished(usize),
    /// It was finished, and has this many bytes.
    Finished(usize),
}

/// How many bytes `current` has, if it is continued.
///
/// To svlogd, a crash without a byte is none.
#[must_use]
pub fn resume_len(policy: LogPolicy, current: FileState) -> Option<usize> {
    match (policy, current) {
        (LogPolicy::Multilog | LogPolicy::Svlogd, FileState::Finished(size)) => Some(size),
        (LogPolicy::Svlogd, FileState::Unfinished(0)) => Some(0),
        (
            LogPolicy::Multilog | LogPolicy::Svlogd,
            FileState::Unfinished(_) | FileState::Missing,
        ) => None,
    }
}

/// What to do with a file that a crash left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair<'a> {
    /// Remove it if it can be; it does not matter.
    Remove(&'static CStr),
    /// If it exists, make it an old file.
    Archive(&'static CStr, Suffix<'a>),
}

/// To multilog, what a processor is told and tells is forgotten after a crash,
/// at once.
pub const REMOVE_STATE: [Repair<'static>; 2] = [Repair::Remove(STATE), Repair::Remove(NEWSTATE)];

/// What multilog does, after a crash, with the files themselves.
///
/// A finished `processed` has all that was in `previous`. An unfinished one
/// has not, and goes. `made` is the code of what processors make.
#[must_use]
pub fn repairs(processed: FileState, made: Suffix<'_>) -> [Repair<'_>; 3] {
    match processed {
        FileState::Finished(_) => [
            Repair::Remove(PREVIOUS),
            Repair::Archive(PROCESSED, made),
            Repair::Archive(CURRENT, Suffix::Unfinished),
        ],
        FileState::Unfinished(_) | FileState::Missing => [
            Repair::Remove(PROCESSED),
            Repair::Archive(PREVIOUS, Suffix::Unfinished),
            Repair::Archive(CURRENT, Suffix::Unfinished),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_file_is_continued_and_by_svlogd_an_empty_one() {
        for (found, by_multilog, by_svlogd) in [
            (FileState::Missing, None, None),
            (FileState::Unfinished(0), None, Some(0)),
            (FileState::Unfinished(7), None, None),
            (FileState::Finished(0), Some(0), Some(0)),
            (FileState::Finished(7), Some(7), Some(7)),
        ] {
            assert_eq!(resume_len(LogPolicy::Multilog, found), by_multilog);
            assert_eq!(resume_len(LogPolicy::Svlogd, found), by_svlogd);
        }
    }

    #[test]
    fn one_of_previous_and_processed_is_kept() {
        let kept = |processed| {
            repairs(processed, Suffix::Processed(b"gz")).map(|repair| match repair {
                Repair::Archive(name, code) => Some((name, code)),
                Repair::Remove(_) => None,
            })
        };
        let current = Some((CURRENT, Suffix::Unfinished));
        assert_eq!(
            kept(FileState::Finished(7)),
            [None, Some((PROCESSED, Suffix::Processed(b"gz"))), current]
        );
        for processed in [FileState::Unfinished(7), FileState::Missing] {
            assert_eq!(
                kept(processed),
                [None, Some((PREVIOUS, Suffix::Unfinished)), current]
            );
        }
    }
}
