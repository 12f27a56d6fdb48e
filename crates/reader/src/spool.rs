//! The uncompressed rests of files whose readers are suspended.
//!
//! A merge of a thousand log directories with compressed files can neither keep a
//! thousand tools running nor start them again for each read. The tool of a
//! suspended reader runs to its end, and its output goes to one unlinked file in
//! TMPDIR (default: /tmp), which takes one descriptor.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, remove_file};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use unix::file::{OPEN_UNNAMED, punch_hole};
use unix::start;

use crate::held_file::to_u64;

/// The file, once it is needed.
static SPOOL: Mutex<Option<Spool>> = Mutex::new(None);

#[derive(Debug)]
struct Spool {
    file: File,
    /// The end of the last extent.
    end: u64,
    /// The number of extents in use.
    extents: usize,
}

/// A part of the file, whose space is free once the value is dropped.
#[derive(Debug)]
pub(crate) struct Extent {
    start: u64,
    length: u64,
}

impl Extent {
    /// Stores the bytes that `read` returns up to its 0. Errors: of `read`; as
    /// open(2) and write(2).
    pub(crate) fn store(mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<Self> {
        let mut locked = lock();
        let spool = match &mut *locked {
            Some(spool) => spool,
            none => none.insert(Spool {
                file: create()?,
                end: 0,
                extents: 0,
            }),
        };
        let (start, mut length) = (spool.end, 0);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = read(&mut buffer)?;
            if count == 0 {
                break;
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            spool.file.write_all_at(bytes, start + length)?;
            length += to_u64(count);
        }
        spool.end += length;
        spool.extents += 1;
        Ok(Extent { start, length })
    }

    /// Reads at an offset of the extent; 0 at its end. Errors: as read(2).
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.length.saturating_sub(offset);
        let length = usize::try_from(rest)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let locked = lock();
        let spool = locked.as_ref().ok_or(Errno::EBADF)?;
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        spool.file.read_at(buffer, self.start + offset)
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        let mut locked = lock();
        let Some(spool) = &mut *locked else {
            return;
        };
        spool.extents = spool.extents.saturating_sub(1);
        if spool.extents == 0 {
            *locked = None;
            return;
        }
        // Without holes, the file keeps its size until its last extent ends.
        let _ = punch_hole(&spool.file, self.start, self.length);
    }
}

fn lock() -> MutexGuard<'static, Option<Spool>> {
    SPOOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates a file without a name.
fn create() -> io::Result<File> {
    let directory = start::variable(b"TMPDIR").filter(|directory| !directory.is_empty());
    let directory = Path::new(OsStr::from_bytes(directory.unwrap_or(b"/tmp")));
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let unnamed = options.clone().custom_flags(OPEN_UNNAMED).open(directory);
    unnamed.or_else(|_| {
        // The file system or the system lacks O_TMPFILE.
        let path = directory.join(format!("svlog.{}", std::process::id()));
        let file = options.create_new(true).open(&path)?;
        remove_file(&path)?;
        Ok(file)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_keep_their_bytes_until_they_are_dropped() {
        let store = |byte: u8, length: usize| {
            let mut rest = length;
            Extent::store(|buffer| {
                let count = rest.min(buffer.len());
                buffer[..count].fill(byte);
                rest -= count;
                Ok(count)
            })
            .unwrap()
        };
        let mut extents: Vec<_> = (1..20)
            .map(|byte| store(byte, 10_000 * usize::from(byte)))
            .collect();
        while let Some(extent) = extents.pop() {
            let byte = u8::try_from(extents.len() + 1).unwrap();
            let mut buffer = vec![0; 1000];
            assert_eq!(extent.read_at(&mut buffer, 5000).unwrap(), 1000);
            assert_eq!(buffer, vec![byte; 1000]);
            assert_eq!(extent.read_at(&mut buffer, extent.length() - 7).unwrap(), 7);
            assert_eq!(extent.read_at(&mut buffer, extent.length() + 7).unwrap(), 0);
            let first = extents.len() / 2;
            if first > 0 && extents.len() % 2 == 0 {
                extents.push(store(byte, 10));
                extents.pop();
            }
        }
    }
}
