//! Log directories.
//!
//! A file is executable once it is finished; after a crash the next writer
//! finds it non-executable. multilog renames a finished `current` to
//! `previous`, from which the processor makes `processed`; the result gets a
//! label as its name. svlogd renames `current` to its label at once.

use std::ffi::CStr;
use std::mem::ManuallyDrop;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};
use nix::unistd::{fchdir, fsync, mkdir, unlink, write};
use unix::file::{is_executable_by_owner, open_append, open_read, open_truncate, status};
use unix::file_lock::{FileLock, WhenLocked};

use crate::archive::{Archive, rename, unused_name};
use crate::batch::Batch;
use crate::event::{LogEvent, LogReporter, LogStep, Purpose, ReportFn, StepError};
use crate::names::{CURRENT, FINISHED, LOCK, PREVIOUS, PROCESSED, STATE, Suffix, UNFINISHED};
use crate::policy::{LogDirConfig, LogPolicy};
use crate::processor::Processor;
use crate::recovery::{FileState, REMOVE_STATE, Repair, repairs, resume_len};
use crate::retention::Limits;
use crate::rotation::Rotation;
use crate::timer::{Timer, age_since_first_line};

/// The number of split points of a text for which there is room from the start.
const FIRST_POINTS: usize = 16;

/// The context shared by all log directories of a program.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The directory in which the program was started: the base of names.
    pub origin: BorrowedFd<'a>,
    /// The environment of processors.
    pub environment: &'a [&'a CStr],
    /// Receives events and errors.
    pub report: ReportFn,
}

/// A locked log directory that is the current directory, before it is opened
/// for writing.
#[derive(Debug)]
pub struct LockedLogDir<'a> {
    policy: LogPolicy,
    environment: &'a [&'a CStr],
    reporter: LogReporter<'a>,
    descriptor: OwnedFd,
    lock: FileLock,
}

/// An open and locked log directory.
#[derive(Debug)]
pub struct LogDir<'a> {
    policy: LogPolicy,
    reporter: LogReporter<'a>,
    descriptor: OwnedFd,
    /// Released by [`LogDir::close`], or when the program exits.
    lock: ManuallyDrop<FileLock>,
    current: OwnedFd,
    rotation: Rotation,
    /// The split points of the latest text. The field reuses the allocation.
    split_points: Vec<usize>,
    age_timer: Timer,
    processor: Option<Processor<'a>>,
    /// The suffix of processed files.
    suffix: Vec<u8>,
    archive: Archive<'a>,
}

impl<'a> LockedLogDir<'a> {
    /// Changes to the log directory `name` and locks it. multilog creates a
    /// missing directory, with mode 0700.
    ///
    /// # Errors
    /// The step that failed.
    pub fn enter(
        policy: LogPolicy,
        name: &'a CStr,
        ctx: Context<'a>,
    ) -> Result<Self, StepError<'a>> {
        let reporter = LogReporter {
            path: name,
            report: ctx.report,
        };
        let step_error = |step| move |error| StepError::new(name, step, error);
        opening_step(policy, reporter, LogStep::ChdirToOrigin, || {
            fchdir(ctx.origin)
        })?;
        match policy {
            LogPolicy::Multilog => {
                // After an error, the next step fails unless the directory exists.
                let _ = mkdir(name, Mode::S_IRWXU);
            }
            LogPolicy::Svlogd => {}
        }
        let descriptor = open_read(name).map_err(step_error(LogStep::OpenDirectory))?;
        fchdir(&descriptor).map_err(step_error(LogStep::ChdirToLogDir(Purpose::Open)))?;
        let lock = lock().map_err(step_error(LogStep::Lock))?;
        Ok(LockedLogDir {
            policy,
            environment: ctx.environment,
            reporter,
            descriptor,
            lock,
        })
    }

    /// Repairs the directory after a crash, retrying each repair until it
    /// succeeds, and opens `current`.
    ///
    /// # Errors
    /// The step that failed.
    pub fn open(self, config: LogDirConfig) -> Result<LogDir<'a>, StepError<'a>> {
        let LockedLogDir {
            policy, reporter, ..
        } = self;
        let mut archive = Archive {
            policy,
            reporter,
            limits: Limits {
                files: config.files,
                bytes: config.bytes,
            },
            min_files: config.min_files,
            current_limit: u64::MAX,
        };
        let written = recover(&mut archive, Suffix::Processed(&config.suffix))?;
        let opening = match (policy, written) {
            (LogPolicy::Multilog, None) => LogStep::Write(CURRENT),
            (LogPolicy::Multilog, Some(_)) | (LogPolicy::Svlogd, _) => LogStep::Append(CURRENT),
        };
        let current = opening_step(policy, reporter, opening, || open_append(CURRENT, 0o600))?;
        opening_step(policy, reporter, LogStep::SetMode(CURRENT), || {
            fchmod(&current, UNFINISHED)
        })?;
        reporter.event(written.map_or(LogEvent::Created, |_| LogEvent::Resumed));
        if config.bytes.is_some() {
            archive.remove_excess(written.unwrap_or(0));
        }
        let mut directory = LogDir {
            policy,
            reporter,
            descriptor: self.descriptor,
            lock: ManuallyDrop::new(self.lock),
            current,
            rotation: Rotation::new(config.size, config.slack, written.unwrap_or(0)),
            split_points: Vec::with_capacity(FIRST_POINTS),
            age_timer: Timer::new(config.age),
            processor: config.processor.map(|command| Processor {
                policy,
                reporter,
                command,
                environment: self.environment,
                job: None,
            }),
            suffix: config.suffix,
            archive,
        };
        directory.arm_age_timer(|| match policy {
            LogPolicy::Multilog => age_since_first_line(CURRENT),
            LogPolicy::Svlogd => Duration::ZERO,
        });
        Ok(directory)
    }
}

impl LogDir<'_> {
    /// Appends a batch, split into files as by multilog.
    pub fn append(&mut self, batch: &Batch<'_>) {
        let mut points = std::mem::take(&mut self.split_points);
        self.rotation.split_points(batch, &mut points);
        self.write_split(batch.text, points);
    }

    /// Appends text, split into files as by svlogd.
    pub fn append_lines(&mut self, text: &[u8]) {
        let mut points = std::mem::take(&mut self.split_points);
        self.rotation.split_points_of_lines(text, &mut points);
        self.write_split(text, points);
    }

    fn write_split(&mut self, text: &[u8], mut points: Vec<usize>) {
        let (mut rest, mut start) = (text, 0);
        for end in points.drain(..) {
            let (before, after) = rest.split_at_checked(end - start).unwrap_or((rest, b""));
            self.write(before);
            self.close_current();
            (rest, start) = (after, end);
        }
        self.write(rest);
        self.split_points = points;
        self.arm_age_timer(Duration::default);
        if self.rotation.written() > self.archive.current_limit {
            self.chdir_to(Purpose::FreeSpace);
            self.archive.remove_excess(self.rotation.written());
        }
    }

    /// Closes `current` unless it is empty.
    pub fn rotate(&mut self) {
        if !self.rotation.is_empty() {
            self.rotation.start_file();
            self.close_current();
        }
    }

    /// Closes `current` if it exceeds its age limit. Returns the time until
    /// the (new) `current` does; None if the timer is not armed.
    pub fn rotate_if_expired(&mut self) -> Option<Duration> {
        let remaining = self.age_timer.remaining()?;
        if !remaining.is_zero() {
            return Some(remaining);
        }
        self.rotate();
        self.age_timer.disarm();
        self.arm_age_timer(Duration::default);
        self.age_timer.remaining()
    }

    /// Arms the timer unless it is armed: for svlogd when `current` is created,
    /// for multilog at the first line. `age` is the present age.
    fn arm_age_timer(&mut self, age: impl FnOnce() -> Duration) {
        let is_aging = match self.policy {
            LogPolicy::Multilog => !self.rotation.is_empty(),
            LogPolicy::Svlogd => true,
        };
        if is_aging {
            self.age_timer.arm(age);
        }
    }

    /// Collects the output of the processor, if it has exited.
    pub fn collect_processor(&mut self) {
        if self.processor.as_ref().is_some_and(Processor::has_exited) {
            self.wait_for_processor();
        }
    }

    /// Waits for the processor, if it is running.
    fn wait_for_processor(&mut self) {
        if self.processor.as_ref().is_some_and(Processor::is_running) {
            self.chdir_to(Purpose::Process);
            self.processor.iter_mut().for_each(Processor::finish);
        }
    }

    /// Syncs `current` and marks it as finished.
    pub fn finish(&mut self) {
        self.wait_for_processor();
        self.reporter.event(LogEvent::Closed);
        self.sync_current();
        self.set_mode_of_current(FINISHED);
    }

    /// Finishes the directory and releases its lock.
    pub fn close(mut self) {
        self.finish();
        drop(ManuallyDrop::into_inner(self.lock));
    }

    fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let error = match write(&self.current, bytes) {
                Ok(0) => Errno::last(),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    continue;
                }
                Err(error) => error,
            };
            if !self.recovers_from(error) {
                self.reporter.pause(LogStep::Write(CURRENT), error);
            }
        }
    }

    /// Whether the write is repeated without a pause.
    fn recovers_from(&self, error: Errno) -> bool {
        match (self.policy, error) {
            (LogPolicy::Svlogd, Errno::EINTR) => true,
            (LogPolicy::Svlogd, Errno::ENOSPC) => {
                self.chdir_to(Purpose::FreeSpace);
                self.archive.free_space()
            }
            (LogPolicy::Multilog | LogPolicy::Svlogd, _) => false,
        }
    }

    /// Turns `current` into an old file and creates a new `current`.
    fn close_current(&mut self) {
        self.wait_for_processor();
        self.chdir_to(Purpose::Rotate);
        match self.policy {
            LogPolicy::Multilog => {
                self.sync_current();
                rename(self.reporter, CURRENT, PREVIOUS);
                self.create_current();
                self.reporter
                    .retry_until_ok(LogStep::SetMode(PREVIOUS), || {
                        fchmodat(AT_FDCWD, PREVIOUS, FINISHED, FchmodatFlags::FollowSymlink)
                    });
                match &mut self.processor {
                    None => self.archive.archive(PREVIOUS, Suffix::Safe),
                    Some(processor) => {
                        processor.start(PREVIOUS, PROCESSED);
                        processor.finish();
                        self.archive
                            .archive(PROCESSED, Suffix::Processed(&self.suffix));
                    }
                }
            }
            LogPolicy::Svlogd => {
                let name = unused_name(match self.processor {
                    None => Suffix::Safe,
                    Some(_) => Suffix::Unfinished,
                });
                self.sync_current();
                self.set_mode_of_current(FINISHED);
                let size = status(CURRENT).map_or(0, |status| status.len());
                self.reporter.event(LogEvent::Renamed(&name, size));
                rename(self.reporter, CURRENT, &name);
                self.create_current();
                self.archive.remove_excess(0);
                if let Some(processor) = &mut self.processor {
                    processor.start(&name, &Suffix::InProgress.name(name.to_bytes()));
                }
            }
        }
        self.age_timer.disarm();
        self.arm_age_timer(Duration::default);
    }

    fn chdir_to(&self, purpose: Purpose) {
        self.reporter
            .retry_until_ok(LogStep::ChdirToLogDir(purpose), || fchdir(&self.descriptor));
    }

    fn create_current(&mut self) {
        self.current = self
            .reporter
            .retry_until_ok(LogStep::Create(CURRENT), || open_append(CURRENT, 0o600));
        self.set_mode_of_current(UNFINISHED);
    }

    fn sync_current(&self) {
        self.reporter
            .retry_until_ok(LogStep::Sync(CURRENT), || fsync(&self.current));
    }

    fn set_mode_of_current(&self, mode: Mode) {
        self.reporter
            .retry_until_ok(LogStep::SetMode(CURRENT), || fchmod(&self.current, mode));
    }
}

/// Runs a step of opening a directory. svlogd retries until the step
/// succeeds; multilog fails.
fn opening_step<'a, T>(
    policy: LogPolicy,
    reporter: LogReporter<'a>,
    step: LogStep<'a>,
    mut attempt: impl FnMut() -> Result<T, Errno>,
) -> Result<T, StepError<'a>> {
    match policy {
        LogPolicy::Multilog => {
            attempt().map_err(|error| StepError::new(reporter.path, step, error))
        }
        LogPolicy::Svlogd => Ok(reporter.retry_until_ok(step, attempt)),
    }
}

/// Repairs the current directory after a crash; `suffix` is that of processed
/// files. Returns the size of `current` if it is to be resumed.
fn recover<'a>(
    archive: &mut Archive<'a>,
    suffix: Suffix<'_>,
) -> Result<Option<u64>, StepError<'a>> {
    let path = archive.reporter.path;
    let step_error = |step| move |error| StepError::new(path, step, error);
    let current = file_state(CURRENT).map_err(step_error(LogStep::Stat(CURRENT)))?;
    let written = resume_len(archive.policy, current);
    match (archive.policy, written, current) {
        (_, Some(_), _) | (LogPolicy::Svlogd, None, FileState::Missing) => {}
        (LogPolicy::Multilog, None, _) => {
            for repair in REMOVE_STATE {
                repair.apply(archive);
            }
            let processed = file_state(PROCESSED).map_err(step_error(LogStep::Stat(PROCESSED)))?;
            for repair in repairs(processed, suffix) {
                repair.apply(archive);
            }
            open_truncate(STATE, 0o644).map_err(step_error(LogStep::Write(STATE)))?;
        }
        (LogPolicy::Svlogd, None, _) => archive.archive(CURRENT, Suffix::Unfinished),
    }
    Ok(written)
}

impl Repair<'_> {
    fn apply(self, archive: &mut Archive<'_>) {
        match self {
            Repair::Remove(file) => {
                let _ = unlink(file);
            }
            Repair::Archive(file, suffix) => archive.archive(file, suffix),
        }
    }
}

/// Locks the current directory against other writers.
fn lock() -> Result<FileLock, Errno> {
    let file = open_append(LOCK, 0o600)?;
    FileLock::lock(file, WhenLocked::Fail).map_err(|(_, error)| error)
}

/// The state of a file in the current directory.
fn file_state(file: &CStr) -> Result<FileState, Errno> {
    match status(file) {
        Ok(status) if is_executable_by_owner(&status) => Ok(FileState::Finished(status.len())),
        Ok(status) => Ok(FileState::Unfinished(status.len())),
        Err(Errno::ENOENT) => Ok(FileState::Missing),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
