//! The files in the supervise directory that other programs use. The current
//! directory is the service directory.

use std::ffi::{CStr, OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use daemontools_core::names::{AtomicFile, SupervisePaths};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, readlink, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{mkdir, mkfifo, write};
use unix::file;

use crate::retry::WriteResult;
use crate::supervise_dir::{PARENT_MODE, SuperviseDir};

/// A step in acquiring the directory that failed, with its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireError {
    /// The supervise directory, or a parent, could not be made.
    Make(&'static CStr, Errno),
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

/// The treatment of missing parents of a supervise directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MissingParents {
    /// The parents are made, those of the target of a link as well.
    Make,
    /// Acquiring the directory fails, as in 0.76 and runit.
    Fail,
}

/// The files of a service or of its logger, and their supervise directory.
#[derive(Debug)]
pub(crate) struct SuperviseFiles {
    pub(crate) names: &'static SupervisePaths,
    pub(crate) dir: SuperviseDir,
}

impl SuperviseFiles {
    /// Makes the supervise directory, if it does not exist, and locks it. The
    /// holder of the lock is the one supervise of the service.
    /// `how` decides whether the call blocks while another process holds the
    /// lock. If the directory is a dangling symbolic link, its target is made.
    pub(crate) fn lock(
        &self,
        how: FlockArg,
        parents: MissingParents,
    ) -> Result<Flock<OwnedFd>, AcquireError> {
        match parents {
            MissingParents::Fail => self.make()?,
            MissingParents::Make => self.make_with_parents()?,
        }
        let name = self.names.lock;
        let lock = file::open_append(&*self.dir.path(name), 0o600)
            .map_err(|error| AcquireError::Open(name, error))?;
        Flock::lock(lock, how).map_err(|(_, error)| AcquireError::Lock(name, error))
    }

    fn make(&self) -> Result<(), AcquireError> {
        let supervise = &*self.dir.path(self.names.supervise);
        if mkdir(supervise, PRIVATE).is_err() {
            match readlink(supervise) {
                Ok(target) => {
                    // If this fails, so does opening the lock.
                    let _ = mkdir(&resolve_link(as_path(supervise), target), PRIVATE);
                }
                // No link: probably a directory.
                Err(Errno::EINVAL | Errno::ENOENT) => {}
                Err(error) => return Err(AcquireError::Link(self.names.supervise, error)),
            }
        }
        Ok(())
    }

    fn make_with_parents(&self) -> Result<(), AcquireError> {
        let name = self.names.supervise;
        let mut path = as_path(&self.dir.path(name)).to_owned();
        for _ in 0..MAX_LINKS {
            make_path(&path, PRIVATE.bits()).map_err(|error| AcquireError::Make(name, error))?;
            match readlink(&path) {
                Ok(target) => path = resolve_link(&path, target),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Makes a FIFO, if the file does not exist.
    pub(crate) fn make_fifo(&self, name: &'static CStr) {
        make_fifo(&self.dir.path(name));
    }

    /// Opens a FIFO for reading, and makes the FIFO if it does not exist.
    pub(crate) fn open_fifo(&self, name: &'static CStr) -> Result<OwnedFd, AcquireError> {
        let path = &*self.dir.path(name);
        make_fifo(path);
        file::open_read(path).map_err(|error| AcquireError::Read(name, error))
    }

    /// As [`SuperviseDir::write_result`].
    pub(crate) fn write_result(&self, replaced: Result<(), ReplaceError>) -> WriteResult {
        self.dir.write_result(replaced)
    }

    /// As [`replace`].
    pub(crate) fn replace(&self, file: AtomicFile, content: &[u8]) -> Result<(), ReplaceError> {
        replace(&self.dir, file, content)
    }
}

impl SuperviseDir {
    /// The result of [`replace`] for a record. A removed service directory cannot
    /// return, nor can the files in it.
    pub(crate) fn write_result(&self, replaced: Result<(), ReplaceError>) -> WriteResult {
        match replaced {
            Ok(()) => WriteResult::Written,
            Err(_) if self.is_in_service() && is_removed() => WriteResult::Lost,
            Err(_) => WriteResult::Failed,
        }
    }
}

/// The maximum number of links on the way to a file, as in the kernel.
pub(crate) const MAX_LINKS: usize = 40;

/// The mode of a supervise directory.
const PRIVATE: Mode = Mode::S_IRWXU;

/// Makes a directory with this mode, and its missing parents with
/// [`PARENT_MODE`]. An existing file is no error, of any type. Errors: as
/// mkdir(2).
pub(crate) fn make_path(path: &Path, mode: u32) -> Result<(), Errno> {
    let make = || match mkdir(path, Mode::from_bits_truncate(mode)) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(error),
    };
    make().or_else(|error| {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        match (error, parent) {
            (Errno::ENOENT, Some(parent)) => {
                make_path(parent, PARENT_MODE)?;
                make()
            }
            (error, _) => Err(error),
        }
    })
}

fn as_path(path: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

/// The target of a link, relative to the current directory.
fn resolve_link(link: &Path, target: OsString) -> PathBuf {
    let directory = link.parent().unwrap_or(Path::new(""));
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
    pub(crate) fn open(files: &SuperviseFiles) -> Result<Self, AcquireError> {
        let name = files.names.control;
        let reader = files.open_fifo(name)?;
        let writer = file::open_write(&*files.dir.path(name))
            .map_err(|error| AcquireError::Write(name, error))?;
        Ok(ControlFifo {
            reader,
            _writer: writer,
        })
    }

    /// As [`ControlFifo::open`], but fails for a file of another type, as in
    /// runit.
    pub(crate) fn open_strict(files: &SuperviseFiles) -> Result<Self, AcquireError> {
        let name = files.names.control;
        let path = &*files.dir.path(name);
        make_fifo(path);
        let status = file::status(path).map_err(|error| AcquireError::Stat(name, error))?;
        if !status.file_type().is_fifo() {
            return Err(AcquireError::NoFifo(name));
        }
        ControlFifo::open(files)
    }
}

fn make_fifo(path: &CStr) {
    // An existing file is used, of any type.
    let _ = mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR);
}

/// Replaces a file in a supervise directory: readers see the old content or the
/// new one. After an error, the old content stays.
pub(crate) fn replace(
    dir: &SuperviseDir,
    file: AtomicFile,
    content: &[u8],
) -> Result<(), ReplaceError> {
    let (name, new_name) = (dir.path(file.name), dir.path(file.new));
    let new =
        file::open_truncate(&*new_name, 0o644).map_err(|error| ReplaceError::Open(file, error))?;
    let written = match content {
        [] => 0,
        _ => write(&new, content).map_err(|error| ReplaceError::Write(file, error))?,
    };
    if written < content.len() {
        // Readers could not decode a truncated record.
        return Err(ReplaceError::Short(file));
    }
    drop(new);
    renameat(AT_FDCWD, &*new_name, AT_FDCWD, &*name)
        .map_err(|error| ReplaceError::Rename(file, error))
}
