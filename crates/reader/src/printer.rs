//! Prints lines to standard output.

use cli::text::print;
use nix::errno::Errno;

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
        let written = print(self.renderer.output());
        self.renderer.clear();
        written
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
