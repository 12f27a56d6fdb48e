//! A range of times.

use daemontools_core::label::Label;

/// The range of times of the wanted lines. Default: all times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The earliest time. A line of exactly this time is in the range.
    pub since: Option<Label>,
    /// The end. A line of exactly this time is in the range.
    pub until: Option<Label>,
}

impl TimeRange {
    /// Whether a time is in the range.
    pub fn contains(&self, time: Label) -> bool {
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time <= until)
    }
}
