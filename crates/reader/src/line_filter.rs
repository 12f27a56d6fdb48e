//! The filter between a log directory and the lines that a reader returns.

use std::time::Duration;

use daemontools_core::label::Label;

use crate::line::LineRef;
use crate::pattern::Pattern;
use crate::selection::Selection;
use crate::stamp::Stamp;

/// A reader looks this much beyond the ends of its range for lines of the range: a
/// clock that was set back by less leaves them out of order.
pub(crate) const CLOCK_STEP: Duration = Duration::from_secs(60);

/// The state of a selection in one log directory.
#[derive(Debug, Default)]
pub(crate) struct LineFilter {
    pub(crate) selection: Selection,
    /// Lines up to the first one after this time are not returned.
    pub(crate) skip_through: Option<Label>,
    /// Whether the latest stamp is out of the range.
    pub(crate) is_out_of_range: bool,
    /// Whether the latest line is returned.
    pub(crate) is_selected: bool,
    /// Whether no later line can be in the range.
    pub(crate) is_past_end: bool,
}

impl LineFilter {
    /// Decides on a line. `time` is the time of the line, `is_match` whether the
    /// pattern selects it.
    pub(crate) fn decide(
        &mut self,
        stamp: Option<Stamp>,
        time: Option<Label>,
        is_match: impl FnOnce(&Pattern) -> bool,
    ) {
        let range = self.selection.range;
        if let Some(time) = stamp.and(time) {
            self.is_out_of_range = !range.contains(time);
            self.is_past_end = range
                .until
                .is_some_and(|until| time > until.after(CLOCK_STEP));
            if self.skip_through.is_some_and(|last| time > last) {
                self.skip_through = None;
            }
        }
        self.is_selected = !self.is_out_of_range
            && self.skip_through.is_none()
            && self.selection.pattern.as_ref().is_none_or(is_match);
    }
}

/// The text of a line after its stamp.
pub(crate) fn message(stamp: Option<Stamp>, text: &[u8]) -> &[u8] {
    let line = LineRef {
        text,
        stamp,
        is_start: true,
        is_end: true,
    };
    line.message()
}
