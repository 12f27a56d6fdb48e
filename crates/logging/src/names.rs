//! The names in a log directory, each written once.

use std::ffi::CStr;

/// Locked (flock) for as long as the directory is written to, mode 0600.
pub const LOCK: &CStr = c"lock";
/// The file that lines are appended to: mode 0644 while it is written, 0744
/// once it is finished.
pub const CURRENT: &CStr = c"current";
/// What was `current`, until it has its label or its processor is done.
pub const PREVIOUS: &CStr = c"previous";
/// What the processor makes of `previous`; mode 0744 once that is safe.
pub const PROCESSED: &CStr = c"processed";
/// What the processor is to know of its last run.
pub const STATE: &CStr = c"state";
/// What it is to know the next time, until it is done.
pub const NEWSTATE: &CStr = c"newstate";

/// The end of an old file's name, after its label: what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// `.s`: it is complete, and safely on disk.
    Safe,
    /// `.u`: a crash cut it short, and no processor has seen it.
    Unfinished,
}

impl Code {
    /// The bytes after the label.
    #[must_use]
    pub fn suffix(self) -> &'static [u8] {
        match self {
            Code::Safe => b".s",
            Code::Unfinished => b".u",
        }
    }
}
