//! StatusFile files: the last selected line, for others to read.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::{Whence, fchdir, lseek, write};
use unix::file::{open_append, open_write};

use crate::batch::HEAD;
use crate::event::{LogReporter, LogStep, ReportFn, StepError};

/// The length of a record: a line's head, and newlines up to here.
const RECORD: usize = HEAD + 1;

/// An open status file.
#[derive(Debug)]
pub struct StatusFile<'a> {
    reporter: LogReporter<'a>,
    file: OwnedFd,
}

impl<'a> StatusFile<'a> {
    /// Opens a status file whose name is relative to `origin`; one that does
    /// not exist is made, with mode 0600.
    ///
    /// # Errors
    /// The step that failed.
    pub fn open(
        name: &'a CStr,
        origin: BorrowedFd<'_>,
        report: ReportFn,
    ) -> Result<Self, StepError<'a>> {
        let trouble = |step| move |error| StepError::new(name, step, error);
        fchdir(origin).map_err(trouble(LogStep::ChdirToOrigin))?;
        open_append(name, 0o600).map_err(trouble(LogStep::CreateStatus))?;
        let file = open_write(name).map_err(trouble(LogStep::WriteStatus))?;
        let reporter = LogReporter {
            place: name,
            report,
        };
        Ok(StatusFile { reporter, file })
    }

    /// Overwrites the file with a line's head, and newlines up to 1001 bytes;
    /// what the file may have after them stays.
    pub fn show(&self, head: &[u8]) {
        let mut record = [b'\n'; RECORD];
        for (to, &from) in record.iter_mut().zip(head) {
            *to = from;
        }
        while let Err((step, error)) = self.overwrite(&record) {
            self.reporter.pause(step, error);
        }
    }

    fn overwrite(&self, record: &[u8; RECORD]) -> Result<(), (LogStep<'a>, Errno)> {
        lseek(&self.file, 0, Whence::SeekSet).map_err(|error| (LogStep::RewindStatus, error))?;
        match write(&self.file, record) {
            Ok(RECORD) => Ok(()),
            // A part of a record is no record, and 0.76 shows what errno
            // happens to be.
            Ok(_) => Err((LogStep::WriteStatus, Errno::last())),
            Err(error) => Err((LogStep::WriteStatus, error)),
        }
    }
}
