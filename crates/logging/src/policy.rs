//! By which rules a log directory is kept.
//!
//! There is one log directory and a [`LogPolicy`] for each family of programs.
//! Where the families differ, a match on the policy decides, so that a policy
//! more is asked for in each of these places by the compiler.

use std::ffi::CString;
use std::time::Duration;

use nix::sys::signal::Signal;

/// Whose rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPolicy {
    /// Those of multilog: what a processor or a crash leaves half done has a
    /// name of its own until it is safe, and what the system refuses is tried
    /// until it is done.
    Multilog,
    /// Those of svlogd: a file has its label at once, its processor works in
    /// the background, and an old file that cannot be removed stays.
    Svlogd,
}

impl LogPolicy {
    /// The signals that the program holds: a processor gets them at their
    /// default action, and unblocked.
    #[must_use]
    pub fn signals(self) -> &'static [Signal] {
        match self {
            LogPolicy::Multilog => &[Signal::SIGTERM, Signal::SIGALRM],
            LogPolicy::Svlogd => &[
                Signal::SIGTERM,
                Signal::SIGALRM,
                Signal::SIGHUP,
                Signal::SIGCHLD,
            ],
        }
    }

    /// The terms of a directory of which nothing is said.
    #[must_use]
    pub fn default_config(self) -> LogDirConfig {
        let (size, slack) = match self {
            LogPolicy::Multilog => (99_999, 2000),
            LogPolicy::Svlogd => (1_000_000, 1000),
        };
        LogDirConfig {
            size,
            slack,
            files: 10,
            min_files: 10,
            bytes: None,
            age: None,
            processor: None,
            suffix: b"s".to_vec(),
        }
    }
}

/// How a log directory is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirConfig {
    /// How many bytes a file may have; 0 is any number.
    pub size: usize,
    /// A file may be closed at a line end when it lacks no more than this.
    pub slack: usize,
    /// How many files are kept: with `current` for multilog, without it for
    /// svlogd, to whom 0 is all.
    pub files: usize,
    /// svlogd: how many old files are kept while the disk is full; it says
    /// nothing unless it is less than the number before.
    pub min_files: usize,
    /// multilog: how many bytes old files and `current` may have together
    /// before the oldest goes, if there is a limit.
    pub bytes: Option<usize>,
    /// How old `current` becomes before it is closed, if there is a limit.
    pub age: Option<Duration>,
    /// The shell command that each file goes through.
    pub processor: Option<CString>,
    /// multilog: the code of what it has made; see [`Suffix::Processed`].
    ///
    /// [`Suffix::Processed`]: crate::names::Suffix::Processed
    pub suffix: Vec<u8>,
}
