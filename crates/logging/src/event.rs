//! What happens to logs, and what the system may refuse, as values: words for
//! them are the program's.

use std::ffi::CStr;

use nix::errno::Errno;

use crate::svlogd::config::Mistake;

/// What a program is told.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// In this log directory, as it should be; or it hardly matters.
    News(&'a CStr, News<'a>),
    /// The system refused a step.
    Trouble(Trouble<'a>),
}

/// What happens in a log directory. Files are named by their name in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// Its configuration is read.
    Configured,
    /// Its configuration cannot be read.
    NotConfigured(Errno),
    /// Something in its configuration means nothing.
    Mistaken(&'a Mistake),
    /// `current` is new.
    New,
    /// `current` is continued.
    Continued,
    /// Nothing is written to it any more.
    Closed,
    /// `current`, which has so many bytes, gets its name.
    Renamed(&'a CStr, usize),
    /// An old file goes.
    Removed(&'a CStr),
    /// An old file goes because the disk is full.
    RemovedForRoom(&'a CStr),
    /// A processor begins with an old file.
    Processing(&'a CStr),
    /// It has made this one.
    Processed(&'a CStr),
}

/// A step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble<'a> {
    /// The log directory or status file, as the program was told of it.
    pub place: &'a CStr,
    /// What was to be done there.
    pub step: Step<'a>,
    /// What the system said; None if it had no part in it.
    pub error: Option<Errno>,
    /// What comes next.
    pub then: Then,
}

/// What comes after a trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The step is tried again. Who is told of it waits first.
    Again,
    /// It goes on without.
    On,
    /// Who tells of it is a child, which exits.
    Exit,
}

/// What can fail. Files are named by their name in the log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Going back to where the program was started.
    SwitchBack,
    /// Going to the log directory.
    Switch(Purpose),
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
    /// Opening the log directory to see the old files.
    OpenToList(Purpose),
    /// Reading it.
    List(Purpose),
    /// Forking for the processor.
    Fork,
    /// Becoming the processor of this command; this is the child's to say,
    /// who then exits.
    Run(&'a CStr, Part),
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

/// What the log directory is gone to, or looked at, for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To write to it from now on.
    Open,
    /// To close `current`.
    Rotate,
    /// To have room on a full disk.
    MakeRoom,
    /// To take what a processor has made.
    Process,
}

/// What there is to becoming a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its standard input.
    Input,
    /// Its standard output.
    Output,
    /// A first, empty state.
    FirstState,
    /// What it is to know.
    State,
    /// What it will be to know.
    NewState,
    /// The shell.
    Shell,
}

/// Tells a program of an event. If that says [`Then::Again`], it comes back
/// after a while.
pub type Tell = fn(&Event<'_>);

impl<'a> Trouble<'a> {
    /// A step that the system refused and that is not tried again.
    #[must_use]
    pub fn new(place: &'a CStr, step: Step<'a>, error: Errno) -> Self {
        Trouble {
            place,
            step,
            error: Some(error),
            then: Then::On,
        }
    }
}

/// A log directory or status file, and who is told what happens there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice<'a> {
    pub(crate) place: &'a CStr,
    pub(crate) tell: Tell,
}

impl Voice<'_> {
    pub(crate) fn news(self, news: News<'_>) {
        (self.tell)(&Event::News(self.place, news));
    }

    pub(crate) fn trouble(self, step: Step<'_>, error: impl Into<Option<Errno>>, then: Then) {
        (self.tell)(&Event::Trouble(Trouble {
            place: self.place,
            step,
            error: error.into(),
            then,
        }));
    }

    pub(crate) fn pause(self, step: Step<'_>, error: impl Into<Option<Errno>>) {
        self.trouble(step, error, Then::Again);
    }

    pub(crate) fn warn(self, step: Step<'_>, error: impl Into<Option<Errno>>) {
        self.trouble(step, error, Then::On);
    }

    /// Makes attempts until one succeeds, and tells of each that fails.
    pub(crate) fn persist<T>(
        self,
        step: Step<'_>,
        mut attempt: impl FnMut() -> Result<T, Errno>,
    ) -> T {
        loop {
            match attempt() {
                Ok(done) => return done,
                Err(error) => self.pause(step, error),
            }
        }
    }
}
