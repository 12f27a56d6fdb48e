//! The current directory, opened so that the process can return to it.

use std::os::fd::{AsFd, OwnedFd};

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::fchdir;

use crate::file;
use crate::system::PATH_ONLY;

/// The directory to which a program returns after each visit to another directory.
#[derive(Debug)]
pub struct Origin(OwnedFd);

impl Origin {
    /// Opens the current directory, which has to be readable, as 0.76 requires.
    /// Errors: as open(2).
    pub fn open() -> Result<Self, Errno> {
        file::open_read(c".").map(Origin)
    }

    /// Opens the current directory, which need not be readable. Errors: as
    /// open(2).
    pub fn open_path() -> Result<Self, Errno> {
        open_directory(AT_FDCWD, c".").map(Origin)
    }

    /// Returns to the directory. Errors: as fchdir(2).
    pub fn enter(&self) -> Result<(), Errno> {
        fchdir(&self.0)
    }
}

/// Opens a directory for fchdir(2) and fstat(2) alone; it need not be
/// readable on Linux. Errors: as openat(2).
pub fn open_directory<P: NixPath + ?Sized>(above: impl AsFd, name: &P) -> Result<OwnedFd, Errno> {
    let flags = PATH_ONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    openat(above, name, flags, Mode::empty())
}
