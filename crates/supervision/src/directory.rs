//! The files in `supervise/` by which other programs meet a running supervise
//! or runsv. All names are relative to the service directory, which is the
//! current directory.

use std::ffi::{CStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use daemontools_core::names::{AtomicFile, SupervisePaths};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, readlink, renameat};
use nix::sys::stat::{Mode, SFlag, stat};
use nix::unistd::{mkdir, mkfifo, read, write};
use unix::file;

/// What could not be had when the directory was taken; the name of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Where a link in place of `supervise` leads could not be read.
    Link(&'static CStr, Errno),
    /// The lock could not be opened.
    Open(&'static CStr, Errno),
    /// The lock is held by another.
    Lock(&'static CStr, Errno),
    /// What is there in place of a FIFO could not be looked at.
    Stat(&'static CStr, Errno),
    /// What is there is no FIFO.
    NoFifo(&'static CStr),
    /// A FIFO could not be opened for reading.
    Read(&'static CStr, Errno),
    /// A FIFO could not be opened for writing.
    Write(&'static CStr, Errno),
}

/// Why a file could not be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplaceTrouble {
    /// The new one could not be opened.
    Open(AtomicFile, Errno),
    /// The new one could not be written.
    Write(AtomicFile, Errno),
    /// Not all of it was written.
    Short(AtomicFile),
    /// The new one could not be renamed to the old one.
    Rename(AtomicFile, Errno),
}

/// The lock of a service directory: held, it makes this process its one
/// supervise.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not used")] Flock<OwnedFd>);

impl Lock {
    /// Makes the directory `supervise`, if need be, and locks it, waiting for
    /// another to release it only if told to.
    ///
    /// If `supervise` is a symbolic link to nothing, the directory that it
    /// names is made.
    ///
    /// # Errors
    /// [`Obstacle::Link`], [`Obstacle::Open`] and [`Obstacle::Lock`], which is
    /// EAGAIN if another supervise holds it.
    pub fn take(files: &SupervisePaths, how: FlockArg) -> Result<Self, Obstacle> {
        let private = Mode::S_IRWXU;
        if mkdir(files.supervise, private).is_err() {
            match readlink(files.supervise) {
                Ok(target) => {
                    // Whatever is wrong with it, opening the lock will tell.
                    let _ = mkdir(&seen_from_here(files.supervise, target), private);
                }
                // It is no link, and may be a directory.
                Err(Errno::EINVAL | Errno::ENOENT) => {}
                Err(error) => return Err(Obstacle::Link(files.supervise, error)),
            }
        }
        let lock = file::open_append(files.lock, 0o600)
            .map_err(|error| Obstacle::Open(files.lock, error))?;
        Flock::lock(lock, how)
            .map(Lock)
            .map_err(|(_, error)| Obstacle::Lock(files.lock, error))
    }
}

/// The target of a link, by a name relative to the current directory.
fn seen_from_here(link: &CStr, target: OsString) -> std::path::PathBuf {
    let link = String::from_utf8_lossy(link.to_bytes());
    let directory = Path::new(&*link).parent().unwrap_or(Path::new(""));
    directory.join(target)
}

/// The control FIFO, open at both ends, so that it never reads as ended.
#[derive(Debug)]
pub struct Control {
    reader: OwnedFd,
    _writer: OwnedFd,
}

impl Control {
    /// Makes the FIFO, if need be, and opens it, whatever it is.
    ///
    /// # Errors
    /// [`Obstacle::Read`] and [`Obstacle::Write`].
    pub fn open(files: &SupervisePaths) -> Result<Self, Obstacle> {
        let reader = open_fifo(files.control)?;
        let writer = file::open_write(files.control)
            .map_err(|error| Obstacle::Write(files.control, error))?;
        Ok(Control {
            reader,
            _writer: writer,
        })
    }

    /// Makes the FIFO, if need be, and opens it if it is one.
    ///
    /// # Errors
    /// [`Obstacle::Stat`] and [`Obstacle::NoFifo`], and as [`Control::open`].
    pub fn open_fifo(files: &SupervisePaths) -> Result<Self, Obstacle> {
        make_fifo(files.control);
        let status = stat(files.control).map_err(|error| Obstacle::Stat(files.control, error))?;
        if SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT != SFlag::S_IFIFO {
            return Err(Obstacle::NoFifo(files.control));
        }
        Control::open(files)
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
    pub fn announce(files: &SupervisePaths) -> Result<Self, Obstacle> {
        open_fifo(files.ok).map(Presence)
    }
}

fn open_fifo(name: &'static CStr) -> Result<OwnedFd, Obstacle> {
    make_fifo(name);
    file::open_read(name).map_err(|error| Obstacle::Read(name, error))
}

fn make_fifo(name: &CStr) {
    // What is there already is used, whatever it is.
    let _ = mkfifo(name, Mode::S_IRUSR | Mode::S_IWUSR);
}

/// Replaces a file: a reader sees the old one or the new one.
///
/// # Errors
/// The step that failed; the old file then stays.
pub fn replace(which: AtomicFile, content: &[u8]) -> Result<(), ReplaceTrouble> {
    let new = file::open_truncate(which.new, 0o644)
        .map_err(|error| ReplaceTrouble::Open(which, error))?;
    let written = match content {
        [] => 0,
        _ => write(&new, content).map_err(|error| ReplaceTrouble::Write(which, error))?,
    };
    if written < content.len() {
        // One that is cut short would be one that nobody can read.
        return Err(ReplaceTrouble::Short(which));
    }
    drop(new);
    renameat(AT_FDCWD, which.new, AT_FDCWD, which.name)
        .map_err(|error| ReplaceTrouble::Rename(which, error))
}
