//! The current directory: opened once, and entered again after each visit to
//! another one.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::fchdir;

use crate::file;

/// A directory to which the process returns after each [`Visit`].
#[derive(Debug)]
pub struct Origin(OwnedFd);

impl Origin {
    /// The current directory, which has to be readable, as 0.76 requires.
    ///
    /// # Errors
    /// As open(2).
    pub fn open() -> Result<Self, Errno> {
        file::open_read(c".").map(Origin)
    }

    /// The current directory, which need not be readable.
    ///
    /// # Errors
    /// As open(2).
    pub fn open_path() -> Result<Self, Errno> {
        open_directory(AT_FDCWD, c".").map(Origin)
    }

    /// Returns to the directory.
    ///
    /// # Errors
    /// As fchdir(2).
    pub fn enter(&self) -> Result<(), Errno> {
        fchdir(&self.0)
    }

    /// Allows the caller to change the current directory until the visit ends.
    #[must_use]
    pub fn visit(&self) -> Visit<'_> {
        Visit(self)
    }
}

/// A stay in other directories. The drop returns to the origin and ignores
/// errors; [`Visit::end`] returns them.
#[derive(Debug)]
pub struct Visit<'a>(&'a Origin);

impl Visit<'_> {
    /// Returns to the origin.
    ///
    /// # Errors
    /// As [`Origin::enter`].
    pub fn end(self) -> Result<(), Errno> {
        ManuallyDrop::new(self).0.enter()
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let _ = self.0.enter();
    }
}

/// Opens a directory for fchdir(2) and fstat(2) alone; it need not be
/// readable.
///
/// # Errors
/// As openat(2).
pub fn open_directory<P: NixPath + ?Sized>(above: impl AsFd, name: &P) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    openat(above, name, flags, Mode::empty())
}
