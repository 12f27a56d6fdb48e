//! Messages as bytes, so that file names and arguments are printed unchanged.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use unix::stdio;

/// A value that [`text!`](crate::text!) can join.
pub trait MessagePart {
    /// The bytes of the value.
    fn bytes(&self) -> &[u8];
}

impl<T: MessagePart + ?Sized> MessagePart for &T {
    fn bytes(&self) -> &[u8] {
        (**self).bytes()
    }
}

impl MessagePart for str {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl MessagePart for String {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl MessagePart for [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl MessagePart for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl MessagePart for CStr {
    fn bytes(&self) -> &[u8] {
        self.to_bytes()
    }
}

impl MessagePart for CString {
    fn bytes(&self) -> &[u8] {
        self.to_bytes()
    }
}

impl MessagePart for OsStr {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Joins [`MessagePart`]s into one message: `text!["unable to chdir to ", dir]`.
#[macro_export]
macro_rules! text {
    [$($part:expr),* $(,)?] => {{
        let mut text: Vec<u8> = Vec::new();
        $(text.extend_from_slice($crate::text::MessagePart::bytes(&$part));)*
        text
    }};
}

/// Writes all of `bytes` to standard output. EINTR is retried. Errors: as
/// write(2), after a partial write as well.
pub fn print(bytes: &[u8]) -> Result<(), Errno> {
    write_all(stdio::STDOUT, bytes)
}

/// Writes a message to standard error. Errors are ignored.
pub fn write_stderr(bytes: &[u8]) {
    let _ = write_all(stdio::STDERR, bytes);
}

/// As [`write_stderr`], without blocking, for supervisors. The message is
/// dropped if standard error is a full pipe, or a pipe without a reader, which
/// would send SIGPIPE.
pub fn try_write_stderr(bytes: &[u8]) {
    let mut stderr = [PollFd::new(stdio::STDERR, PollFlags::POLLOUT)];
    let _ = poll(&mut stderr, PollTimeout::ZERO);
    let [stderr] = stderr;
    if stderr.revents() == Some(PollFlags::POLLOUT) {
        write_stderr(bytes);
    }
}

fn write_all(descriptor: std::os::fd::BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match nix::unistd::write(descriptor, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn each_kind_of_text_is_joined_unchanged() {
        let joined = text![
            "str ",
            &&"reference ",
            "String ".to_owned(),
            b"slice\xff "[..],
            b"Vec\0 ".to_vec(),
            *c"CStr ",
            CString::from(c"CString "),
            *OsStr::from_bytes(b"OsStr\xfe"),
        ];
        let expected = b"str reference String slice\xff Vec\0 CStr CString OsStr\xfe";
        assert_eq!(joined, expected);
    }

    #[test]
    fn all_bytes_are_written() {
        let (read, write) = nix::unistd::pipe().unwrap();
        let writer = std::thread::spawn(move || {
            let bytes = vec![b'x'; 200_000];
            let written = write_all(write.as_fd(), &bytes);
            (written, write_all(write.as_fd(), b""))
        });
        let mut seen = Vec::new();
        std::fs::File::from(read).read_to_end(&mut seen).unwrap();
        assert!(seen == vec![b'x'; 200_000]);
        assert_eq!(writer.join().unwrap(), (Ok(()), Ok(())));
    }

    #[test]
    fn failed_write_is_reported() {
        let (read, _write) = nix::unistd::pipe().unwrap();
        assert_eq!(write_all(read.as_fd(), b"x"), Err(Errno::EBADF));
        assert_eq!(write_all(read.as_fd(), b""), Ok(()));
    }
}
