//! The entries of a directory, by getdents64(2).

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

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
    let mut buffer = vec![0_u8; BUFFER];
    let mut calls = 0;
    loop {
        // SAFETY: the kernel writes at most the given length to the buffer.
        let result = unsafe {
            libc::syscall(
                libc::SYS_getdents64,
                directory.as_raw_fd(),
                buffer.as_mut_ptr(),
                buffer.len(),
            )
        };
        let length = usize::try_from(Errno::result(result)?).unwrap_or_default();
        if length == 0 {
            return Ok(calls <= 1);
        }
        calls += 1;
        let mut records = buffer.get(..length).unwrap_or_default();
        while let Some((inode, name, rest)) = split_record(records) {
            visit(inode, name);
            records = rest;
        }
    }
}

/// The inode and name of the first record, and the records after it.
fn split_record(records: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let inode = u64::from_ne_bytes(*records.first_chunk()?);
    let length = u16::from_ne_bytes(*records.get(LENGTH_OFFSET..)?.first_chunk()?);
    let (record, rest) = records.split_at_checked(usize::from(length))?;
    let name = record.get(NAME_OFFSET..)?;
    let end = name.iter().position(|&byte| byte == 0)?;
    Some((inode, name.get(..end)?, rest))
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
