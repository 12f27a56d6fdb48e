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
