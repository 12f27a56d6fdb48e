//! The names in a log directory, each written once.

use std::ffi::{CStr, CString};

use daemontools_core::label::TEXT;

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
    /// `.u`: a crash cut it short, or no processor has seen it.
    Unfinished,
    /// `.t`: svlogd's processor is making it.
    Made,
}

impl Code {
    /// The bytes after the label.
    #[must_use]
    pub fn suffix(self) -> &'static [u8] {
        match self {
            Code::Safe => b".s",
            Code::Unfinished => b".u",
            Code::Made => b".t",
        }
    }

    /// What the name of an old file says of it, if it says something.
    #[must_use]
    pub fn of(name: &CStr) -> Option<Self> {
        [Code::Safe, Code::Unfinished, Code::Made]
            .into_iter()
            .find(|code| name.to_bytes().ends_with(code.suffix()))
    }

    /// The name of an old file whose label begins `name`.
    #[must_use]
    pub fn name(self, name: &[u8]) -> CString {
        let label = name.get(..TEXT).unwrap_or(name);
        CString::new([label, self.suffix()].concat()).unwrap_or_default()
    }
}
