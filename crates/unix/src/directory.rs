//! The entries of a directory, by getdents64(2).

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use crate::memory;

/// The size of the buffer, in bytes: about 5000 old files.
const BUFFER: usize = 256 * 1024;

/// Offset of the record's length in `struct linux_dirent64`.
const LENGTH_OFFSET: usize = 16;
/// Offset of the name in `struct linux_dirent64`.
const NAME_OFFSET: usize = 19;

/// Calls `visit` with the inode and the name of each entry, `.` and `..` included.
/// Returns whether one system call returned all entries.
///
/// The kernel locks the directory for one call, so entries of one call are a
/// consistent snapshot: a file that is renamed meanwhile is in it once. readdir(3)
/// of musl has a buffer for 30 entries. Errors: as getdents64(2).
pub fn read_entries(
    directory: BorrowedFd<'_>,
    mut visit: impl FnMut(u64, &[u8]),
) -> Result<bool, Errno> {
    let mut buffer = EntryBuffer {
        memory: Vec::with_capacity(BUFFER),
    };
    buffer.read(directory, |inode, name| visit(inode, name.to_bytes()))
}

/// Memory for reads of a directory, which then need no further memory. Unused pages
/// stay untouched.
#[derive(Debug, Default)]
pub struct EntryBuffer {
    memory: Vec<u8>,
}

impl EntryBuffer {
    /// Makes room for this many bytes, once. Errors: ENOMEM.
    pub fn try_reserve(&mut self, size: usize) -> Result<(), Errno> {
        self.memory.clear();
        memory::try_reserve_exact(&mut self.memory, size)
    }

    /// As [`read_entries`].
    pub fn read(
        &mut self,
        directory: BorrowedFd<'_>,
        mut visit: impl FnMut(u64, &CStr),
    ) -> Result<bool, Errno> {
        let mut calls = 0;
        loop {
            self.memory.clear();
            let space = self.memory.spare_capacity_mut();
            let length = read_records(directory, space)?;
            if length == 0 {
                return Ok(calls <= 1);
            }
            calls += 1;
            // SAFETY: the kernel wrote this many bytes.
            unsafe { self.memory.set_len(length) };
            let mut records = self.memory.as_slice();
            while let Some((inode, name, rest)) = split_record(records) {
                visit(inode, name);
                records = rest;
            }
        }
    }
}

fn read_records(directory: BorrowedFd<'_>, space: &mut [MaybeUninit<u8>]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most the given length to the buffer.
    let result = unsafe {
        libc::syscall(
            libc::SYS_getdents64,
            directory.as_raw_fd(),
            space.as_mut_ptr(),
            space.len(),
        )
    };
    let length = usize::try_from(Errno::result(result)?).unwrap_or_default();
    Ok(length.min(space.len()))
}

/// The inode and name of the first record, and the records after it.
fn split_record(records: &[u8]) -> Option<(u64, &CStr, &[u8])> {
    let inode = u64::from_ne_bytes(*records.first_chunk()?);
    let length = u16::from_ne_bytes(*records.get(LENGTH_OFFSET..)?.first_chunk()?);
    let (record, rest) = records.split_at_checked(usize::from(length))?;
    let name = record.get(NAME_OFFSET..)?;
    Some((inode, CStr::from_bytes_until_nul(name).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::{DirEntryExt, OpenOptionsExt};
    use std::os::{fd::AsFd, unix::ffi::OsStrExt};

    use super::*;

    #[test]
    fn entries_equal_those_of_std() {
        let directory = tempfile::tempdir().unwrap();
        for count in [0, 3, 8000] {
            for number in 0..count {
                std::fs::write(
                    directory
                        .path()
                        .join(format!("name-of-another-old-file-{number}")),
                    "",
                )
                .unwrap();
            }
            let opened = std::fs::OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_DIRECTORY)
                .open(&directory)
                .unwrap();
            let mut entries = BTreeSet::new();
            let at_once = read_entries(opened.as_fd(), |inode, name| {
                entries.insert((inode, name.to_owned()));
            });
            assert_eq!(at_once, Ok(count < 1000));
            let expected = std::fs::read_dir(&directory).unwrap().map(|entry| {
                let entry = entry.unwrap();
                (entry.ino(), entry.file_name().as_bytes().to_owned())
            });
            entries.retain(|(_, name)| name != b"." && name != b"..");
            assert_eq!(entries, expected.collect());
        }
    }
}
