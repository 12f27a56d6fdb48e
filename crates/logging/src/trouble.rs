//! What the system may refuse, as values: words for them are the program's.

use std::ffi::CStr;

use nix::errno::Errno;

/// A step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble<'a> {
    /// The log directory or status file, as the script names it.
    pub place: &'a CStr,
    /// What was to be done there.
    pub step: Step<'a>,
    /// What the system said; None if it had no part in it.
    pub error: Option<Errno>,
}

/// What can fail. Files are named by their name in the log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Going back to where the program was started.
    SwitchBack,
    /// Going to the log directory.
    Switch,
    /// Opening the log directory.
    OpenDirectory,
    /// Opening or locking `lock`.
    Lock,
    /// Learning about a file.
    Stat(&'a CStr),
    /// Making a file.
    Create(&'a CStr),
    /// Opening a file to write at its end.
    Append(&'a CStr),
    /// Opening a new file to write to, or writing to it.
    Write(&'a CStr),
    /// Changing a file's mode.
    SetMode(&'a CStr),
    /// Having a file safely on disk.
    Sync(&'a CStr),
    /// Renaming a file.
    Rename(&'a CStr, &'a CStr),
    /// Giving a file its name as an old file.
    Link(&'a CStr),
    /// Removing a file.
    Remove(&'a CStr),
    /// Reading the log directory.
    ReadDirectory,
    /// Forking for the processor.
    Fork,
    /// Becoming the processor; this is the child's to say, who then exits.
    Run(&'a CStr),
    /// Waiting for the processor.
    Wait,
    /// The processor was killed.
    Crash,
    /// The processor did not exit 0.
    Failure,
    /// Making the status file.
    CreateStatus,
    /// Going to the beginning of the status file.
    RewindStatus,
    /// Opening the status file to write to, or writing to it.
    WriteStatus,
}

/// Tells of a trouble, and waits before the step is tried again.
pub type Tell = fn(&Trouble<'_>);

impl<'a> Trouble<'a> {
    /// A step that the system refused.
    #[must_use]
    pub fn new(place: &'a CStr, step: Step<'a>, error: Errno) -> Self {
        let error = Some(error);
        Trouble { place, step, error }
    }
}

/// Makes attempts until one succeeds, and tells of each that fails.
pub(crate) fn persist<'a, T>(
    tell: Tell,
    place: &'a CStr,
    step: Step<'a>,
    mut attempt: impl FnMut() -> Result<T, Errno>,
) -> T {
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(error) => tell(&Trouble::new(place, step, error)),
        }
    }
}
