//! The files in `supervise/` by which svc, svok and svstat meet a running
//! supervise. All names are relative to the service directory, which is the
//! current directory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use daemontools_core::names;
use daemontools_core::status::{LENGTH, Status};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, readlink};
use nix::sys::stat::Mode;
use nix::unistd::{mkdir, mkfifo, read, write};
use unix::file;

/// What could not be had when the directory was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The lock could not be opened, or is held by another supervise.
    Lock(Errno),
    /// A FIFO could not be opened for reading; its name.
    Read(&'static std::ffi::CStr, Errno),
    /// A FIFO could not be opened for writing; its name.
    Write(&'static std::ffi::CStr, Errno),
}

/// Why the status record could not be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusTrouble {
    /// `status.new` could not be opened.
    Open(Errno),
    /// `status.new` could not be written.
    Write(Errno),
    /// `status.new` could not be renamed to `status`.
    Rename(Errno),
}

/// The lock of a service directory: held, it makes this process its one
/// supervise.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not used")] Flock<OwnedFd>);

impl Lock {
    /// Makes the directory `supervise`, if need be, and locks it.
    ///
    /// If `supervise` is a symbolic link to nothing, the directory that it
    /// names is made.
    ///
    /// # Errors
    /// [`Obstacle::Lock`]: EAGAIN if another supervise holds it.
    pub fn take() -> Result<Self, Obstacle> {
        let private = Mode::S_IRWXU;
        if mkdir(names::SUPERVISE, private) == Err(Errno::EEXIST) {
            if let Ok(target) = readlink(names::SUPERVISE) {
                // Whatever is wrong with it, opening the lock will tell.
                let _ = mkdir(target.as_os_str(), private);
            }
        }
        let lock = file::open_append(names::LOCK, 0o600).map_err(Obstacle::Lock)?;
        Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map(Lock)
            .map_err(|(_, error)| Obstacle::Lock(error))
    }
}

/// The control FIFO, open at both ends, so that it never reads as ended.
#[derive(Debug)]
pub struct Control {
    reader: OwnedFd,
    _writer: OwnedFd,
}

impl Control {
    /// Makes the FIFO, if need be, and opens it.
    ///
    /// # Errors
    /// [`Obstacle::Read`] and [`Obstacle::Write`].
    pub fn open() -> Result<Self, Obstacle> {
        let reader = open_fifo(names::CONTROL)?;
        let writer = file::open_write(names::CONTROL)
            .map_err(|error| Obstacle::Write(names::CONTROL, error))?;
        Ok(Control {
            reader,
            _writer: writer,
        })
    }

    /// Reads the commands that have come, as bytes; how many. 0 only from
    /// something that is no FIFO.
    ///
    /// # Errors
    /// As read(2); EAGAIN if there are none.
    pub fn read(&self, bytes: &mut [u8]) -> Result<usize, Errno> {
        read(&self.reader, bytes)
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// The FIFO `ok`, open for reading: as long as this lives, those who open it
/// for writing learn that supervise runs.
#[derive(Debug)]
pub struct Presence(#[expect(dead_code, reason = "held, not used")] OwnedFd);

impl Presence {
    /// Makes the FIFO, if need be, and opens it.
    ///
    /// # Errors
    /// [`Obstacle::Read`].
    pub fn announce() -> Result<Self, Obstacle> {
        open_fifo(names::OK).map(Presence)
    }
}

fn open_fifo(name: &'static std::ffi::CStr) -> Result<OwnedFd, Obstacle> {
    // What is there already is used, whatever it is.
    let _ = mkfifo(name, Mode::S_IRUSR | Mode::S_IWUSR);
    file::open_read(name).map_err(|error| Obstacle::Read(name, error))
}

/// Replaces the status record: a reader sees the old one or the new one.
///
/// # Errors
/// The step that failed; the old record then stays.
pub fn write_status(status: &Status) -> Result<(), StatusTrouble> {
    let record = status.encode();
    let new = file::open_truncate(names::STATUS_NEW, 0o644).map_err(StatusTrouble::Open)?;
    match write(&new, &record) {
        Ok(LENGTH) => {}
        // A record cut short would be one that nobody can read.
        Ok(_) => return Err(StatusTrouble::Write(Errno::ENOSPC)),
        Err(error) => return Err(StatusTrouble::Write(error)),
    }
    drop(new);
    nix::fcntl::renameat(
        nix::fcntl::AT_FDCWD,
        names::STATUS_NEW,
        nix::fcntl::AT_FDCWD,
        names::STATUS,
    )
    .map_err(StatusTrouble::Rename)
}
