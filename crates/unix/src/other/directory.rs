//! The entries of a directory, by readdir(3).

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

/// Calls `visit` with the inode and the name of each entry, `.` and `..` included.
/// Returns whether the entries are a consistent snapshot: never.
/// Errors: as openat(2) and readdir(3).
pub fn read_entries(
    directory: BorrowedFd<'_>,
    mut visit: impl FnMut(u64, &[u8]),
) -> Result<bool, Errno> {
    EntryBuffer.read(directory, |inode, name| visit(inode, name.to_bytes()))
}

/// The C library has a buffer of its own.
#[derive(Debug, Default)]
pub struct EntryBuffer;

impl EntryBuffer {
    /// Without effect.
    pub fn try_reserve(&mut self, _size: usize) -> Result<(), Errno> {
        Ok(())
    }

    /// As [`read_entries`].
    pub fn read(
        &mut self,
        directory: BorrowedFd<'_>,
        mut visit: impl FnMut(u64, &CStr),
    ) -> Result<bool, Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        // The descriptor keeps its position.
        let mut opened = Dir::openat(directory, c".", flags, Mode::empty())?;
        for entry in opened.iter() {
            let entry = entry?;
            visit(entry.ino(), entry.file_name());
        }
        Ok(false)
    }
}
