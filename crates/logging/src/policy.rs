//! The differences between multilog and svlogd in a log directory.
//!
//! Each difference is an exhaustive match on [`LogPolicy`].

use std::ffi::CString;
use std::time::Duration;

use nix::sys::signal::Signal;

/// The program whose rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPolicy {
    /// Unfinished output has a name of its own until it is synced. Failed
    /// steps are retried until they succeed.
    Multilog,
    /// A closed file is renamed to its label at once, the processor runs in
    /// the background, and an old file that cannot be removed is kept.
    Svlogd,
}

impl LogPolicy {
    /// The signals that the program blocks. A processor gets them unblocked,
    /// with the default action.
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

    /// The default configuration of a log directory.
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

/// The configuration of a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirConfig {
    /// The maximum size of a file, in bytes. 0 disables the limit.
    pub size: u64,
    /// A file is closed at a line end that leaves at most this many bytes
    /// of its size free.
    pub slack: u64,
    /// The maximum number of files. multilog counts `current`. svlogd does
    /// not, and 0 disables its limit.
    pub files: usize,
    /// svlogd: the number of old files to keep on a full disk. Ignored unless
    /// less than `files`.
    pub min_files: usize,
    /// multilog: the maximum total size of old files and `current`, in bytes.
    pub bytes: Option<u64>,
    /// The maximum age of `current`.
    pub age: Option<Duration>,
    /// The shell command that processes each closed file.
    pub processor: Option<CString>,
    /// multilog: the suffix of processed files; see [`Suffix::Processed`].
    ///
    /// [`Suffix::Processed`]: crate::names::Suffix::Processed
    pub suffix: Vec<u8>,
}
