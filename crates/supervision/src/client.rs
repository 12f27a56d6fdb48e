//! How other programs meet a running runsv or supervise: what it tells, what it
//! is told, and when it has something new to tell. All but [`ChangeWatcher`] is about the
//! service in the current directory.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use daemontools_core::names;
use daemontools_core::runsv::{LENGTH, Report};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::stat;
use nix::unistd::{read, write};
use unix::descriptors::DescriptorLimit;
use unix::exec::PreparedExec;
use unix::file;
use unix::launch::{Launch, LaunchError};
use unix::poll::wait_for_events;
use unix::stdio::STDOUT;
use unix::wait::{ExitStatus, wait_for as wait_for_child};

/// Why runsv could not be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// Nobody supervises the service.
    NotRunning,
    /// A file could not be opened; its name.
    Open(&'static CStr, Errno),
    /// The status record could not be read.
    Read(Errno),
    /// The status record is too short.
    Format,
    /// The letters could not be written.
    Write(Errno),
}

/// What runsv tells. `record` is read into, and what cannot be read stays in
/// it as it was.
///
/// # Errors
/// Why there is nothing new in `record`, or not a whole one.
pub fn report(record: &mut [u8; LENGTH]) -> Result<Report, ClientError> {
    let status = listen().and_then(|_| {
        file::open_read(names::STATUS).map_err(|error| ClientError::Open(names::STATUS, error))
    })?;
    let length = read(&status, record).map_err(ClientError::Read)?;
    let read = record.get(..length).unwrap_or_default();
    Report::decode(read).ok_or(ClientError::Format)
}

/// Opens the FIFO that only a running runsv has open.
fn listen() -> Result<OwnedFd, ClientError> {
    file::open_write(names::OK).map_err(|error| match error {
        Errno::ENXIO => ClientError::NotRunning,
        other => ClientError::Open(names::OK, other),
    })
}

/// Tells runsv to obey these letters. It does not wait for room in the FIFO.
///
/// # Errors
/// Why runsv was told nothing.
pub fn tell(letters: &[u8]) -> Result<(), ClientError> {
    let control = file::open_write(names::CONTROL).map_err(|error| match error {
        Errno::ENXIO => ClientError::NotRunning,
        other => ClientError::Open(names::CONTROL, other),
    })?;
    write(&control, letters)
        .map(drop)
        .map_err(ClientError::Write)
}

/// What kept `check` from telling whether the service is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckError {
    /// It could not be looked for: the service counts as not available.
    Stat(Errno),
    /// There could be no process for it: the service counts as not available.
    Fork(Errno),
    /// In the new process: it could not be executed. The service counts as
    /// available, as it does if `check` is killed.
    Run(Errno),
}

/// Whether the service is available: its program `check`, if there is one,
/// says so by its exit code. `complain` puts trouble into words.
pub fn is_available(complain: impl Fn(CheckError)) -> bool {
    match stat(names::CHECK) {
        Ok(_) => {}
        Err(Errno::ENOENT) => return true,
        Err(error) => {
            complain(CheckError::Stat(error));
            return false;
        }
    }
    let environment = unix::start::environment();
    let check = PreparedExec::at(names::CHECK, &[names::CHECK_PROGRAM], &environment);
    let launch = Launch {
        failure_code: 0,
        ..Launch::new(check)
    };
    let close_stdout = || {
        // Only the exit code counts.
        let _ = file::close_in_child(STDOUT);
        Ok(())
    };
    let started = launch.start_with(close_stdout, |error: LaunchError| {
        complain(CheckError::Run(error.errno()));
    });
    match started {
        Ok(pid) => wait_for_child(pid).and_then(ExitStatus::code).unwrap_or(0) == 0,
        Err(error) => {
            complain(CheckError::Fork(error));
            false
        }
    }
}

/// What tells of changes in any number of services: a new status record, and
/// the end of runsv.
#[derive(Debug)]
pub struct ChangeWatcher {
    records: Option<Inotify>,
    runsvs: Vec<OwnedFd>,
    /// How many of these there may be.
    room: usize,
    /// Whether there are more.
    is_full: bool,
}

/// So many descriptors are left for everything else.
const SPARE: u64 = 16;

impl ChangeWatcher {
    /// Of no service yet.
    #[must_use]
    pub fn new() -> Self {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        ChangeWatcher {
            records: Inotify::init(flags).ok(),
            runsvs: Vec::new(),
            room: DescriptorLimit::read().soft_limit().map_or(0, |limit| {
                usize::try_from(limit.saturating_sub(SPARE)).unwrap_or(usize::MAX)
            }),
            is_full: false,
        }
    }

    /// Of the service in the current directory, too.
    pub fn add(&mut self) {
        if let Some(records) = &self.records {
            let renamed = AddWatchFlags::IN_MOVED_TO;
            if records.add_watch(names::SUPERVISE, renamed).is_err() {
                self.records = None;
            }
        }
        // Who has the FIFO open for writing learns when nobody reads it any
        // more.
        if self.runsvs.len() < self.room {
            self.runsvs.extend(listen());
        } else {
            self.is_full = true;
        }
    }

    /// Whether all of it will be noticed: the system may have run out of what
    /// that takes.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.records.is_some() && !self.is_full
    }

    /// Waits for news, until the moment has come. What was added is then
    /// forgotten where it is not a service's directory.
    pub fn wait(&mut self, until: Option<Instant>) {
        let records = self.records.iter();
        let mut descriptors: Vec<_> = records
            .map(|records| PollFd::new(records.as_fd(), PollFlags::POLLIN))
            .collect();
        let ends = self.runsvs.iter();
        descriptors.extend(ends.map(|runsv| PollFd::new(runsv.as_fd(), PollFlags::empty())));
        wait_for_events(&mut descriptors, until);
        self.runsvs.clear();
        self.is_full = false;
        while self
            .records
            .as_ref()
            .is_some_and(|records| records.read_events().is_ok())
        {}
    }
}

impl Default for ChangeWatcher {
    fn default() -> Self {
        ChangeWatcher::new()
    }
}
