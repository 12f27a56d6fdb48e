//! Prints lines to standard output.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::unistd::{fdatasync, write};
use unix::poll::wait_for_events;
use unix::stdio::STDOUT;

use crate::line::LineRef;
use crate::render::Renderer;

/// The length of the text that is written at once, in bytes.
const FULL: usize = 64 * 1024;

/// Prints lines to standard output.
#[derive(Debug)]
pub struct Printer {
    renderer: Renderer,
    has_printed: bool,
}

impl Printer {
    /// A printer that has printed nothing.
    pub fn new(renderer: Renderer) -> Self {
        Printer {
            renderer,
            has_printed: false,
        }
    }

    /// Reserves a column for the name of a service; see
    /// [`Renderer::add_service`].
    pub fn add_service(&mut self, service: &[u8]) {
        self.renderer.add_service(service);
    }

    /// Prints a line. The text may be written later, at the latest by
    /// [`Printer::flush`]. Errors: as write(2).
    pub fn print(&mut self, service: &[u8], line: &LineRef<'_>) -> Result<(), Errno> {
        self.has_printed = true;
        self.renderer.push(service, line);
        if self.renderer.output().len() < FULL {
            return Ok(());
        }
        self.flush()
    }

    /// Writes the text of all lines so far. Errors: as write(2).
    pub fn flush(&mut self) -> Result<(), Errno> {
        let written = write_all(self.renderer.output());
        self.renderer.clear();
        written
    }

    /// Syncs the written text, if the output is a file: after a crash of the machine,
    /// a synced cursor would otherwise be ahead of the output. Errors: as
    /// fdatasync(2); output without storage has none.
    pub fn sync(&self) -> Result<(), Errno> {
        match fdatasync(STDOUT) {
            // A pipe, a socket or a terminal.
            Err(Errno::EINVAL | Errno::ENOTSUP | Errno::EROFS) => Ok(()),
            synced => synced,
        }
    }

    /// Whether the text of all lines so far was written.
    pub fn is_flushed(&self) -> bool {
        self.renderer.output().is_empty()
    }

    /// Whether a line was printed.
    pub fn has_printed(&self) -> bool {
        self.has_printed
    }
}

/// Writes to standard output. A non-blocking pipe or terminal that is full delays
/// the write: another process may have set that mode. Errors: as write(2), after a
/// partial write as well.
fn write_all(mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(STDOUT, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                wait_for_events(&mut [PollFd::new(STDOUT, PollFlags::POLLOUT)], None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
