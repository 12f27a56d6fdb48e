//! Prints the selected lines.

use cli::text::print;
use daemontools_core::label::Label;
use nix::errno::Errno;

use crate::line::LineRef;
use crate::render::Renderer;
use crate::selection::Selection;

/// The length of the text that is written at once, in bytes.
const FULL: usize = 64 * 1024;

/// Prints the selected lines to standard output.
#[derive(Debug)]
pub struct Printer {
    selection: Selection,
    renderer: Renderer,
    has_selected: bool,
}

impl Printer {
    /// A printer of the lines that `selection` selects.
    pub fn new(selection: Selection, renderer: Renderer) -> Self {
        Printer {
            selection,
            renderer,
            has_selected: false,
        }
    }

    /// Reserves a column for the name of a service; see
    /// [`Renderer::add_service`].
    pub fn add_service(&mut self, service: &[u8]) {
        self.renderer.add_service(service);
    }

    /// Prints a line if it is selected. `time` is that of the line, or of the line
    /// before it with a stamp. The text may be written later, at the latest by
    /// [`Printer::flush`]. Errors: as write(2).
    pub fn push(
        &mut self,
        service: &[u8],
        line: &LineRef<'_>,
        time: Option<Label>,
    ) -> Result<(), Errno> {
        if !self.selection.selects(line, time) {
            return Ok(());
        }
        self.has_selected = true;
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

    /// Whether a line was selected.
    pub fn has_selected(&self) -> bool {
        self.has_selected
    }

    /// The choice of lines.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }
}
