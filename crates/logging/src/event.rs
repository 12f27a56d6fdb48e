//! Events and errors of log directories, as values: the program words them.

use std::ffi::CStr;

use nix::errno::Errno;

use crate::multilog::print::divide_unfinished_line;
use crate::svlogd::LogConfigWarning;

/// An event or error for the program to report.
#[derive(Clone, Copy, Debug)]
pub enum LogReport<'a> {
    /// An event in the named log directory.
    Event(&'a CStr, LogEvent<'a>),
    /// A failed step.
    Error(StepError<'a>),
}

/// An event in a log directory. File names are relative to the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEvent<'a> {
    /// The file `config` was read.
    ConfigRead,
    /// The file `config` cannot be read.
    ConfigUnreadable(Errno),
    /// A line of `config` is invalid.
    ConfigWarning(&'a LogConfigWarning),
    /// `current` was created.
    Created,
    /// Output is appended to the `current` of an earlier writer.
    Resumed,
    /// The directory is closed.
    Closed,
    /// `current`, with this size in bytes, gets this name.
    Renamed(&'a CStr, u64),
    /// This old file is to be removed.
    Removed(&'a CStr),
    /// This old file is to be removed because the disk is full.
    RemovedForSpace(&'a CStr),
    /// A processor starts on this file.
    ProcessorStarted(&'a CStr),
    /// A processor has produced this file.
    ProcessorDone(&'a CStr),
}

/// A failed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepError<'a> {
    /// The log directory or status file, as named on the command line.
    pub path: &'a CStr,
    /// The step.
    pub step: LogStep<'a>,
    /// The errno. None if no system call failed.
    pub error: Option<Errno>,
    /// The reaction to the error.
    pub on_error: OnError,
}

/// The reaction to a failed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Retry the step. The [`ReportFn`] sleeps before it returns.
    Retry,
    /// Continue without the step.
    Continue,
    /// Exit: the reporting process is a forked child.
    Exit,
}

/// A step that can fail. File names are relative to the log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStep<'a> {
    /// Change to the directory in which the program was started.
    ChdirToOrigin,
    /// Change to the log directory.
    ChdirToLogDir(Purpose),
    /// Open the log directory.
    OpenDirectory,
    /// Open or lock `lock`.
    Lock,
    /// Stat a file.
    Stat(&'a CStr),
    /// Create a file.
    Create(&'a CStr),
    /// Open a file for appending.
    Append(&'a CStr),
    /// Open a new file for writing, or write to it.
    Write(&'a CStr),
    /// Change the mode of a file.
    SetMode(&'a CStr),
    /// Sync a file to disk.
    Sync(&'a CStr),
    /// Rename a file.
    Rename(&'a CStr, &'a CStr),
    /// Link a file to its name as an old file.
    Link(&'a CStr),
    /// Remove a file.
    Remove(&'a CStr),
    /// Open the log directory to list old files.
    OpenToList(Purpose),
    /// List old files.
    List(Purpose),
    /// Fork the processor.
    Fork,
    /// Set up and exec this processor command. Reported by the child, which
    /// then exits.
    Run(&'a CStr, ProcessorPart),
    /// Wait for the processor.
    Wait,
    /// A signal killed the processor.
    Crash,
    /// The exit code of the processor was not 0.
    Failure,
    /// Create the status file.
    CreateStatus,
    /// Seek to the start of the status file.
    RewindStatus,
    /// Open the status file for writing, or write to it.
    WriteStatus,
    /// Write lines to standard output.
    Print,
    /// Lock standard output against other loggers.
    LockOutput,
    /// Allocate memory, for which the program then waits.
    Memory,
}

/// The reason to enter or list a log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Open the directory for logging.
    Open,
    /// Close `current`.
    Rotate,
    /// Free space on a full disk.
    FreeSpace,
    /// Collect the output of a processor.
    Process,
}

/// A part of starting a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessorPart {
    /// Open standard input.
    Input,
    /// Open standard output.
    Output,
    /// Create an empty `state`.
    FirstState,
    /// Open `state`.
    State,
    /// Open `newstate`.
    NewState,
    /// Exec the shell.
    Shell,
}

/// Reports an event or error. For [`OnError::Retry`] the function sleeps
/// before it returns.
pub type ReportFn = fn(&LogReport<'_>);

impl<'a> StepError<'a> {
    /// An error after which the step is not retried.
    #[must_use]
    pub fn new(path: &'a CStr, step: LogStep<'a>, error: Errno) -> Self {
        StepError {
            path,
            step,
            error: Some(error),
            on_error: OnError::Continue,
        }
    }
}

/// A log directory or status file, and the function that reports its events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogReporter<'a> {
    pub(crate) path: &'a CStr,
    pub(crate) report: ReportFn,
}

impl LogReporter<'_> {
    pub(crate) fn event(self, event: LogEvent<'_>) {
        (self.report)(&LogReport::Event(self.path, event));
    }

    pub(crate) fn error(
        self,
        step: LogStep<'_>,
        error: impl Into<Option<Errno>>,
        on_error: OnError,
    ) {
        (self.report)(&LogReport::Error(StepError {
            path: self.path,
            step,
            error: error.into(),
            on_error,
        }));
    }

    pub(crate) fn pause(self, step: LogStep<'_>, error: impl Into<Option<Errno>>) {
        divide_unfinished_line();
        self.pause_locked(step, error);
    }

    /// As `pause`, for standard output itself: the other loggers wait as well.
    pub(crate) fn pause_locked(self, step: LogStep<'_>, error: impl Into<Option<Errno>>) {
        self.error(step, error, OnError::Retry);
    }

    pub(crate) fn warn(self, step: LogStep<'_>, error: impl Into<Option<Errno>>) {
        self.error(step, error, OnError::Continue);
    }

    /// Retries until an attempt succeeds, and reports each failure.
    pub(crate) fn retry_until_ok<T>(
        self,
        step: LogStep<'_>,
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    fn report(report: &LogReport<'_>) {
        let seen = match report {
            LogReport::Event(path, event) => format!("{path:?} {event:?}"),
            LogReport::Error(error) => {
                format!("{:?} {:?} {:?}", error.path, error.error, error.on_error)
            }
        };
        SEEN.with_borrow_mut(|all| all.push(seen));
    }

    #[test]
    fn failed_step_is_retried_after_a_report() {
        let reporter = LogReporter {
            path: c"log",
            report,
        };
        let mut failures = vec![Errno::EIO, Errno::ENOSPC];
        let done = reporter.retry_until_ok(LogStep::Lock, || failures.pop().map_or(Ok(7), Err));
        assert_eq!(done, 7);
        reporter.warn(LogStep::Lock, Errno::EIO);
        reporter.event(LogEvent::Closed);
        let seen = [
            "\"log\" Some(ENOSPC) Retry",
            "\"log\" Some(EIO) Retry",
            "\"log\" Some(EIO) Continue",
            "\"log\" Closed",
        ];
        assert_eq!(SEEN.take(), seen);
    }
}
