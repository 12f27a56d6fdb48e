//! The files in the supervise directory that other programs use. The current
//! directory is the service directory.

use std::ffi::{CStr, OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use cli::{Failure, Program, text};
use daemontools::supervise_dir::{SuperviseDir, SuperviseDirRule};
use daemontools_core::names::{AtomicFile, SupervisePaths};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, readlink, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, access, mkdir, mkfifo, write};
use unix::appearance::MAX_LINKS;
use unix::file;
use unix::file_lock::{FileLock, WhenLocked};

use crate::retry::WriteResult;

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
        how: WhenLocked,
        parents: MissingParents,
    ) -> Result<FileLock, AcquireError> {
        match parents {
            MissingParents::Fail => self.make()?,
            MissingParents::Make => self.make_with_parents()?,
        }
        let name = self.names.lock;
        let lock = file::open_append(&*self.dir.path(name), 0o600)
            .map_err(|error| AcquireError::Open(name, error))?;
        FileLock::lock(lock, how).map_err(|(_, error)| AcquireError::Lock(name, error))
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
            make_path(&path, PRIVATE_MODE).map_err(|error| AcquireError::Make(name, error))?;
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

    /// As [`write_result`].
    pub(crate) fn write_result(&self, replaced: Result<(), ReplaceError>) -> WriteResult {
        write_result(&self.dir, replaced)
    }

    /// As [`replace`].
    pub(crate) fn replace(&self, file: AtomicFile, content: &[u8]) -> Result<(), ReplaceError> {
        replace(&self.dir, file, content)
    }
}

/// The result of [`replace`] for a record. A removed service directory cannot
/// return, nor can the files in it.
pub(crate) fn write_result(dir: &SuperviseDir, replaced: Result<(), ReplaceError>) -> WriteResult {
    match replaced {
        Ok(()) => WriteResult::Written,
        Err(_) if dir.is_in_service() && is_removed() => WriteResult::Lost,
        Err(_) => WriteResult::Failed,
    }
}

/// The mode of the parents of a supervise directory.
pub(crate) const PARENT_MODE: u32 = 0o755;

/// The mode of a supervise directory.
const PRIVATE: Mode = Mode::S_IRWXU;
const PRIVATE_MODE: u32 = 0o700;

/// Makes the directory above all supervise directories and its missing
/// parents, mode 0755, if the rule names one.
///
/// # Errors
/// The directory could not be made, or this process may not make entries in
/// it.
pub fn prepare_central(rule: SuperviseDirRule, program: &Program) -> Result<(), Failure> {
    let SuperviseDirRule::Central(path) = rule else {
        return Ok(());
    };
    let directory = Path::new(OsStr::from_bytes(path));
    let failed = |operation: &str| {
        let problem = text!["unable to ", operation, " SUPERVISEDIR ", path];
        move |error| program.fatal(problem, error)
    };
    make_path(directory, PARENT_MODE).map_err(failed("make"))?;
    // Fails for a file that is no directory. Fails with EROFS for all users.
    let entries = directory.join(".");
    access(&entries, AccessFlags::W_OK | AccessFlags::X_OK).map_err(failed("write to"))
}

/// Makes a directory with this mode, and its missing parents with
/// [`PARENT_MODE`]. An existing file is no error, of any type. Errors: as
/// mkdir(2).
pub(crate) fn make_path(path: &Path, mode: u32) -> Result<(), Errno> {
    let make = || match mkdir(path, file::mode_of(mode)) {
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

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, metadata, read, remove_dir, remove_file, symlink_metadata};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use daemontools_core::names;

    use super::*;
    use crate::testing::{in_directory, write};
    use daemontools::supervise_dir::{IN_SERVICE, SuperviseDirRule};

    fn files() -> SuperviseFiles {
        SuperviseFiles {
            names: &names::SERVICE,
            dir: IN_SERVICE.clone(),
        }
    }

    fn mode(path: &str) -> u32 {
        metadata(path).unwrap().permissions().mode() & 0o7777
    }

    const TRY: WhenLocked = WhenLocked::Fail;

    #[test]
    fn directory_is_private_and_locked_once() {
        for parents in [MissingParents::Fail, MissingParents::Make] {
            in_directory(|| {
                let lock = files().lock(TRY, parents).unwrap();
                assert_eq!((mode("supervise"), mode("supervise/lock")), (0o700, 0o600));
                let held = files().lock(TRY, parents).unwrap_err();
                assert_eq!(held, AcquireError::Lock(names::LOCK, Errno::EAGAIN));
                drop(lock);
                assert!(files().lock(TRY, parents).is_ok());
            });
        }
    }

    #[test]
    fn target_of_dangling_link_is_made() {
        in_directory(|| {
            create_dir("above").unwrap();
            symlink("above/target", "supervise").unwrap();
            files().lock(TRY, MissingParents::Fail).unwrap();
            assert_eq!(mode("above/target"), 0o700);
        });
        in_directory(|| {
            symlink("above/deep/target", "supervise").unwrap();
            let failed = files().lock(TRY, MissingParents::Fail).unwrap_err();
            assert_eq!(failed, AcquireError::Open(names::LOCK, Errno::ENOENT));
            files().lock(TRY, MissingParents::Make).unwrap();
            let modes = ["above", "above/deep", "above/deep/target"].map(mode);
            assert_eq!(modes, [0o755, 0o755, 0o700]);
            assert!(metadata("supervise/lock").is_ok());
        });
        // The target is relative to the directory of the link.
        in_directory(|| {
            create_dir("x").unwrap();
            symlink("../made", "x/link").unwrap();
            symlink("x/link", "supervise").unwrap();
            files().lock(TRY, MissingParents::Make).unwrap();
            assert_eq!(mode("made"), 0o700);
        });
    }

    #[test]
    fn file_in_place_of_parent_is_an_error() {
        in_directory(|| {
            write("file", b"");
            symlink("file/target", "supervise").unwrap();
            let failed = files().lock(TRY, MissingParents::Make).unwrap_err();
            assert_eq!(failed, AcquireError::Make(names::SUPERVISE, Errno::ENOTDIR));
        });
    }

    #[test]
    fn control_is_made_and_never_reads_as_ended() {
        in_directory(|| {
            create_dir("supervise").unwrap();
            let control = ControlFifo::open(&files()).unwrap();
            assert_eq!(mode("supervise/control"), 0o600);
            assert!(
                symlink_metadata("supervise/control")
                    .unwrap()
                    .file_type()
                    .is_fifo()
            );
            let mut byte = [0];
            let read = nix::unistd::read(&control.reader, &mut byte);
            assert_eq!(read, Err(Errno::EAGAIN));
            assert!(ControlFifo::open_strict(&files()).is_ok());
        });
        in_directory(|| {
            create_dir("supervise").unwrap();
            write("supervise/control", b"");
            assert!(ControlFifo::open(&files()).is_ok());
            let refused = ControlFifo::open_strict(&files()).err();
            assert_eq!(refused, Some(AcquireError::NoFifo(names::CONTROL)));
        });
    }

    #[test]
    fn missing_fifo_is_made_and_existing_file_kept() {
        in_directory(|| {
            create_dir("supervise").unwrap();
            let is_fifo = || {
                let status = symlink_metadata("supervise/ok").unwrap();
                status.file_type().is_fifo()
            };
            files().make_fifo(names::OK);
            assert!(is_fifo());
            assert_eq!(mode("supervise/ok"), 0o600);
            remove_file("supervise/ok").unwrap();
            write("supervise/ok", b"kept");
            files().make_fifo(names::OK);
            assert_eq!(read("supervise/ok").unwrap(), b"kept");
        });
    }

    #[test]
    fn record_is_lost_with_its_directory_alone() {
        in_directory(|| {
            let failed = || Err(ReplaceError::Short(names::STATE));
            let elsewhere = SuperviseDirRule::Central(b"/run/svc").of_current();
            let elsewhere = elsewhere.unwrap();
            assert_eq!(files().write_result(Ok(())), WriteResult::Written);
            assert_eq!(files().write_result(failed()), WriteResult::Failed);
            create_dir("gone").unwrap();
            std::env::set_current_dir("gone").unwrap();
            remove_dir("../gone").unwrap();
            assert_eq!(files().write_result(failed()), WriteResult::Lost);
            assert_eq!(write_result(&elsewhere, failed()), WriteResult::Failed);
            assert_eq!(files().write_result(Ok(())), WriteResult::Written);
        });
    }

    #[test]
    fn replaced_file_has_new_content_or_the_old_one() {
        in_directory(|| {
            create_dir("supervise").unwrap();
            let replace = |content| files().replace(names::STATE, content);
            for content in [&b"one"[..], b"", b"three"] {
                assert_eq!(replace(content), Ok(()));
                assert_eq!(read("supervise/state").unwrap(), content);
                assert_eq!(mode("supervise/state") & 0o700, 0o600);
                assert!(metadata("supervise/state.new").is_err());
            }
            create_dir("supervise/state.new").unwrap();
            let failed = replace(b"four").unwrap_err();
            assert_eq!(failed, ReplaceError::Open(names::STATE, Errno::EISDIR));
            assert_eq!(failed.file(), names::STATE);
            assert_eq!(read("supervise/state").unwrap(), b"three");
        });
        // A file that takes no byte.
        in_directory(|| {
            create_dir("supervise").unwrap();
            symlink("/dev/full", "supervise/state.new").unwrap();
            let failed = files().replace(names::STATE, b"x").unwrap_err();
            assert_eq!(failed, ReplaceError::Write(names::STATE, Errno::ENOSPC));
        });
    }

    #[test]
    fn only_removed_directory_is_removed() {
        in_directory(|| {
            assert!(!is_removed());
            create_dir("gone").unwrap();
            std::env::set_current_dir("gone").unwrap();
            remove_dir("../gone").unwrap();
            assert!(is_removed());
        });
    }
}
