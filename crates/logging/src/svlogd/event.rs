//! What there is to say about a log directory: words for it are the
//! program's.

use std::ffi::CStr;

use nix::errno::Errno;

use super::config::Mistake;

/// Something to say.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// How bad it is.
    pub weight: Weight,
    /// The log directory, as svlogd was told of it.
    pub place: &'a CStr,
    /// What is said.
    pub what: What<'a>,
    /// What the system said.
    pub error: Option<Errno>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It is as it should be.
    Info,
    /// It goes on.
    Warning,
    /// It is tried again, after a while.
    Pausing,
}

/// What happens, or cannot be done. Files are named by their name in the
/// directory.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are what the program says")]
pub enum What<'a> {
    Read,
    New,
    Append,
    Close,
    Rename(&'a CStr, usize),
    Delete(&'a CStr),
    Processing(&'a CStr),
    Processed(&'a CStr),
    OpenDirectory,
    ChangeDirectory,
    LockDirectory,
    ReadConfig,
    Mistake(&'a Mistake),
    StatCurrent,
    OpenCurrent,
    SetModeOfCurrent,
    ChangeToInitial,
    ChangeToRotate,
    SyncCurrent,
    RenameCurrent,
    CreateNewCurrent,
    ChangeToRemove,
    OpenToRotate,
    OpenToRemove,
    ReadToRemove,
    ReadDirectory,
    UnlinkLeftover(&'a CStr),
    UnlinkOldest(&'a CStr),
    DiskFullDelete(&'a CStr),
    WriteToCurrent,
    Fork,
    RunProcessor,
    OpenInput,
    OpenOutput,
    CreateState,
    OpenState,
    OpenNewState,
    WaitForProcessor,
    ChangeForProcessor,
    ProcessorFailed,
    RenameProcessed,
    SetModeOfProcessed,
    Unlink(&'a CStr),
    RenameState,
}

/// Says it. After [`Weight::Pausing`] it waits before the step is tried again.
pub type Say<'a> = &'a dyn Fn(&Event<'_>);

/// A log directory and its voice.
#[derive(Clone, Copy)]
pub(crate) struct Voice<'a> {
    pub(crate) place: &'a CStr,
    pub(crate) say: Say<'a>,
}

impl Voice<'_> {
    pub(crate) fn info(self, what: What<'_>) {
        self.event(Weight::Info, what, None);
    }

    pub(crate) fn warn(self, what: What<'_>, error: Errno) {
        self.event(Weight::Warning, what, Some(error));
    }

    /// Says that a directory is left alone, as runit does: by the name that it
    /// has for it so far.
    pub(crate) fn give_up(self, so_far: &CStr, what: What<'_>, error: Errno) {
        let say = self.say;
        Voice { place: so_far, say }.info(What::Close);
        self.warn(what, error);
    }

    pub(crate) fn pause(self, what: What<'_>, error: Errno) {
        self.event(Weight::Pausing, what, Some(error));
    }

    pub(crate) fn event(self, weight: Weight, what: What<'_>, error: Option<Errno>) {
        (self.say)(&Event {
            weight,
            place: self.place,
            what,
            error,
        });
    }

    /// Makes attempts until one succeeds, and pauses after each that fails.
    pub(crate) fn persist<T>(
        self,
        what: What<'_>,
        mut attempt: impl FnMut() -> Result<T, Errno>,
    ) -> T {
        loop {
            match attempt() {
                Ok(done) => return done,
                Err(error) => self.pause(what, error),
            }
        }
    }
}

impl std::fmt::Debug for Voice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.place.fmt(f)
    }
}
