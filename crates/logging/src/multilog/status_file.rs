//! Status files: the latest selected line, for other programs.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::{Whence, fchdir, lseek, write};
use unix::file::{open_append, open_write};

use crate::batch::HEAD;
use crate::event::{LogReporter, LogStep, ReportFn, StepError};

/// The length of a record in bytes: the head of a line, padded with newlines.
const RECORD: usize = HEAD + 1;

/// An open status file.
#[derive(Debug)]
pub struct StatusFile<'a> {
    reporter: LogReporter<'a>,
    file: OwnedFd,
}

impl<'a> StatusFile<'a> {
    /// Opens a status file with a name relative to `origin`. A missing file is
    /// created, with mode 0600.
    ///
    /// # Errors
    /// The step that failed.
    pub fn open(
        name: &'a CStr,
        origin: BorrowedFd<'_>,
        report: ReportFn,
    ) -> Result<Self, StepError<'a>> {
        let step_error = |step| move |error| StepError::new(name, step, error);
        fchdir(origin).map_err(step_error(LogStep::ChdirToOrigin))?;
        open_append(name, 0o600).map_err(step_error(LogStep::CreateStatus))?;
        let file = open_write(name).map_err(step_error(LogStep::WriteStatus))?;
        let reporter = LogReporter { path: name, report };
        Ok(StatusFile { reporter, file })
    }

    /// Overwrites the first 1001 bytes of the file with the first 1000 bytes of a
    /// line and newlines. As in 0.76, later bytes stay.
    ///
    /// `line` is in parts.
    pub fn set(&self, line: &[&[u8]]) {
        let mut record = [b'\n'; RECORD];
        let bytes = line.iter().copied().flatten().take(HEAD);
        for (to, &from) in record.iter_mut().zip(bytes) {
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
            // As in 0.76, the report of a short write shows the last errno.
            Ok(_) => Err((LogStep::WriteStatus, Errno::last())),
            Err(error) => Err((LogStep::WriteStatus, error)),
        }
    }
}
