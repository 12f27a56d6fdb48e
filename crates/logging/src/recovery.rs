//! The treatment of files that an earlier writer left.

use std::ffi::CStr;

use crate::names::{CURRENT, NEWSTATE, PREVIOUS, PROCESSED, STATE, Suffix};
use crate::policy::LogPolicy;

/// The state of a file by its mode: executable by its owner once finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// The file does not exist.
    Missing,
    /// Its writer did not finish the file of this size in bytes.
    Unfinished(u64),
    /// Its writer finished the file of this size in bytes.
    Finished(u64),
}

/// The size of `current`, if output is appended to it. svlogd also appends to
/// an unfinished empty file.
#[must_use]
pub fn resume_len(policy: LogPolicy, current: FileState) -> Option<u64> {
    match (policy, current) {
        (LogPolicy::Multilog | LogPolicy::Svlogd, FileState::Finished(size)) => Some(size),
        (LogPolicy::Svlogd, FileState::Unfinished(0)) => Some(0),
        (
            LogPolicy::Multilog | LogPolicy::Svlogd,
            FileState::Unfinished(_) | FileState::Missing,
        ) => None,
    }
}

/// The treatment of a file after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair<'a> {
    /// Remove the file; errors are ignored.
    Remove(&'static CStr),
    /// Turn the file, if it exists, into an old file.
    Archive(&'static CStr, Suffix<'a>),
}

/// After a crash, multilog first discards the state of the processor.
pub const REMOVE_STATE: [Repair<'static>; 2] = [Repair::Remove(STATE), Repair::Remove(NEWSTATE)];

/// The repairs of multilog after a crash.
///
/// A finished `processed` replaces `previous`; an unfinished one is removed.
/// `suffix` is that of processed files.
#[must_use]
pub fn repairs(processed: FileState, suffix: Suffix<'_>) -> [Repair<'_>; 3] {
    match processed {
        FileState::Finished(_) => [
            Repair::Remove(PREVIOUS),
            Repair::Archive(PROCESSED, suffix),
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
    fn finished_file_is_resumed_svlogd_an_empty_one() {
        for (state, by_multilog, by_svlogd) in [
            (FileState::Missing, None, None),
            (FileState::Unfinished(0), None, Some(0)),
            (FileState::Unfinished(7), None, None),
            (FileState::Finished(0), Some(0), Some(0)),
            (FileState::Finished(7), Some(7), Some(7)),
        ] {
            assert_eq!(resume_len(LogPolicy::Multilog, state), by_multilog);
            assert_eq!(resume_len(LogPolicy::Svlogd, state), by_svlogd);
        }
    }

    #[test]
    fn previous_or_processed_is_archived() {
        let archived = |processed| {
            repairs(processed, Suffix::Processed(b"gz")).map(|repair| match repair {
                Repair::Archive(name, code) => Some((name, code)),
                Repair::Remove(_) => None,
            })
        };
        let current = Some((CURRENT, Suffix::Unfinished));
        assert_eq!(
            archived(FileState::Finished(7)),
            [None, Some((PROCESSED, Suffix::Processed(b"gz"))), current]
        );
        for processed in [FileState::Unfinished(7), FileState::Missing] {
            assert_eq!(
                archived(processed),
                [None, Some((PREVIOUS, Suffix::Unfinished)), current]
            );
        }
    }
}
