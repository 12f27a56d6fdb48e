//! Messages are bytes: names of files and arguments pass through unchanged.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use unix::stdio;

/// A part of a message.
pub trait MessagePart {
    /// The bytes to show.
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

/// Writes all of `bytes` to standard output, going on after interruptions.
///
/// # Errors
/// As write(2); what was written until then stays written.
pub fn print(bytes: &[u8]) -> Result<(), Errno> {
    write_all(stdio::STDOUT, bytes)
}

/// Writes a message to standard error. Nobody could be told of a failure to
/// do so, and it changes nothing for the program.
pub fn write_stderr(bytes: &[u8]) {
    let _ = write_all(stdio::STDERR, bytes);
}

/// As [`complain`], for programs that others depend on: if standard error is
/// a pipe that is full, or that nobody reads, the message is left out, where
/// writing it would stop the program, or end it.
pub fn try_write_stderr(bytes: &[u8]) {
    let mut stderr = [PollFd::new(stdio::STDERR, PollFlags::POLLOUT)];
    let _ = poll(&mut stderr, PollTimeout::ZERO);
    let [stderr] = stderr;
    if stderr.revents() == Some(PollFlags::POLLOUT) {
        write_stderr(bytes);
    }
}

fn write_all(to: std::os::fd::BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match nix::unistd::write(to, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
