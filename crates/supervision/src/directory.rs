//! The files in `supervise/` that other programs use. All names are relative
//! to the service directory, which is the current directory.

use std::ffi::{CStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use daemontools_core::names::{AtomicFile, SupervisePaths};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, readlink, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{mkdir, mkfifo, write};
use unix::file;

/// A step in acquiring the directory that failed, with its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireError {
    /// The symbolic link `supervise` could not be read.
    Link(&'static CStr, Errno),
    /// The lock could not be opened.
    Open(&'static CStr, Errno),
    /// The lock could not be acquired: EAGAIN if another process holds it.
    Lock(&'static CStr, Errno),
    /// stat(2) failed for a FIFO.
    Stat(&'static CStr, Errno),
    /// The file is no FIFO.
    NoFifo(&'static CStr),
    /// A FIFO could not be opened for reading.
    Read(&'static CStr, Errno),
    /// A FIFO could not be opened for writing.
    Write(&'static CStr, Errno),
}

/// A step in replacing a file that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplaceError {
    /// Opening the new file.
    Open(AtomicFile, Errno),
    /// Writing the new file.
    Write(AtomicFile, Errno),
    /// Writing the new file: only a part was written.
    Short(AtomicFile),
    /// Renaming the new file.
    Rename(AtomicFile, Errno),
}

/// Whether the service directory was removed.
pub(crate) fn is_removed() -> bool {
    file::status(c".").is_ok_and(|status| status.nlink() == 0)
}

impl ReplaceError {
    pub(crate) fn file(self) -> AtomicFile {
        match self {
            ReplaceError::Open(file, _)
            | ReplaceError::Write(file, _)
            | ReplaceError::Short(file)
            | ReplaceError::Rename(file, _) => file,
        }
    }
}

/// Makes the directory `supervise`, if it does not exist, and locks it. The holder
/// of the lock is the one supervise of the service.
/// `how` decides whether the call blocks while another process holds the
/// lock. If `supervise` is a dangling symbolic link, its target is made.
pub(crate) fn lock_service(
    files: &SupervisePaths,
    how: FlockArg,
) -> Result<Flock<OwnedFd>, AcquireError> {
    let private = Mode::S_IRWXU;
    if mkdir(files.supervise, private).is_err() {
        match readlink(files.supervise) {
            Ok(target) => {
                // If this fails, so does opening the lock.
                let _ = mkdir(&resolve_link(files.supervise, target), private);
            }
            // No link: probably a directory.
            Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(error) => return Err(AcquireError::Link(files.supervise, error)),
        }
    }
    let lock = file::open_append(files.lock, 0o600)
        .map_err(|error| AcquireError::Open(files.lock, error))?;
    Flock::lock(lock, how).map_err(|(_, error)| AcquireError::Lock(files.lock, error))
}

/// The target of a link, relative to the current directory.
fn resolve_link(link: &CStr, target: OsString) -> PathBuf {
    let link = String::from_utf8_lossy(link.to_bytes());
    let directory = Path::new(&*link).parent().unwrap_or(Path::new(""));
    directory.join(target)
}

/// The FIFO `control`, open at both ends, so that it never reads as ended. A file
/// of another type does.
pub(crate) struct ControlFifo {
    pub(crate) reader: OwnedFd,
    _writer: OwnedFd,
}

impl ControlFifo {
    /// Makes the FIFO, if it does not exist. A file of another type is opened
    /// as well, as in 0.76.
    pub(crate) fn open(files: &SupervisePaths) -> Result<Self, AcquireError> {
        let reader = open_fifo(files.control)?;
        let writer = file::open_write(files.control)
            .map_err(|error| AcquireError::Write(files.control, error))?;
        Ok(ControlFifo {
            reader,
            _writer: writer,
        })
    }

    /// As [`ControlFifo::open`], but fails for a file of another type, as in
    /// runit.
    pub(crate) fn open_strict(files: &SupervisePaths) -> Result<Self, AcquireError> {
        make_fifo(files.control);
        let status = file::status(files.control)
            .map_err(|error| AcquireError::Stat(files.control, error))?;
        if !status.file_type().is_fifo() {
            return Err(AcquireError::NoFifo(files.control));
        }
        ControlFifo::open(files)
    }
}

/// Opens a FIFO for reading, and makes the FIFO if it does not exist.
pub(crate) fn open_fifo(name: &'static CStr) -> Result<OwnedFd, AcquireError> {
    make_fifo(name);
    file::open_read(name).map_err(|error| AcquireError::Read(name, error))
}

fn make_fifo(name: &CStr) {
    // An existing file is used, of any type.
    let _ = mkfifo(name, Mode::S_IRUSR | Mode::S_IWUSR);
}

/// Replaces a file: readers see the old content or the new one. After an error,
/// the old content stays.
pub(crate) fn replace(file: AtomicFile, content: &[u8]) -> Result<(), ReplaceError> {
    let new =
        file::open_truncate(file.new, 0o644).map_err(|error| ReplaceError::Open(file, error))?;
    let written = match content {
        [] => 0,
        _ => write(&new, content).map_err(|error| ReplaceError::Write(file, error))?,
    };
    if written < content.len() {
        // Readers could not decode a truncated record.
        return Err(ReplaceError::Short(file));
    }
    drop(new);
    renameat(AT_FDCWD, file.new, AT_FDCWD, file.name)
        .map_err(|error| ReplaceError::Rename(file, error))
}
