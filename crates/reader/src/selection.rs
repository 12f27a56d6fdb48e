//! The choice of lines by time and pattern.

use crate::pattern::Pattern;
use crate::time_range::TimeRange;

/// The choice of lines by time and pattern.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The times of the lines.
    pub range: TimeRange,
    /// The pattern for the messages. Default: all messages.
    pub pattern: Option<Pattern>,
}

impl Selection {
    /// The lines in a range that a pattern selects.
    pub fn new(range: TimeRange, pattern: Option<Pattern>) -> Self {
        Selection { range, pattern }
    }
}
