//! The choice of lines by time and pattern.

use daemontools_core::label::Label;

use crate::line::LineRef;
use crate::pattern::Pattern;
use crate::time_range::TimeRange;

/// The choice of lines by time and pattern.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The times of the lines.
    pub range: TimeRange,
    /// The pattern for the messages. Default: all messages.
    pub pattern: Option<Pattern>,
    /// Whether the line of the last piece is selected.
    is_selected: bool,
}

impl Selection {
    /// The lines in a range that a pattern selects.
    pub fn new(range: TimeRange, pattern: Option<Pattern>) -> Self {
        Selection {
            range,
            pattern,
            is_selected: false,
        }
    }

    /// Whether a line is selected. `time` is that of the line, or of the line
    /// before it with a stamp; a line without a known time is in each range. The
    /// first piece of a long line decides for all of its pieces, which follow each
    /// other.
    pub fn selects(&mut self, line: &LineRef<'_>, time: Option<Label>) -> bool {
        if line.is_start {
            self.is_selected = time.is_none_or(|time| self.range.contains(time))
                && self
                    .pattern
                    .as_ref()
                    .is_none_or(|pattern| pattern.selects(line.message()));
        }
        self.is_selected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    fn line(text: &[u8]) -> LineRef<'_> {
        LineRef {
            text,
            stamp: Stamp::parse(text),
            is_start: true,
            is_end: true,
        }
    }

    #[test]
    fn first_piece_decides_for_the_line() {
        let pattern = Pattern::new(b"^a", false).unwrap();
        let mut selection = Selection::new(TimeRange::default(), Some(pattern));
        for (first, wanted) in [(&b"ab"[..], true), (b"b", false), (b"@4000 a", false)] {
            assert_eq!(selection.selects(&line(first), None), wanted);
            let piece = LineRef {
                is_start: false,
                ..line(b"a")
            };
            assert_eq!(selection.selects(&piece, None), wanted);
        }
        let stamped = line(b"@400000004d52960a0ebe121c a");
        assert!(selection.selects(&stamped, None));
    }

    #[test]
    fn range_includes_its_ends_and_unknown_times() {
        let time = |seconds| Label::from_unix(seconds, 0);
        let range = TimeRange {
            since: Some(time(10)),
            until: Some(time(20)),
        };
        let mut selection = Selection::new(range, None);
        let mut selects = |time| selection.selects(&line(b"a"), time);
        assert_eq!(
            [9, 10, 20, 21].map(|seconds| selects(Some(time(seconds)))),
            [false, true, true, false]
        );
        assert!(selects(None));
    }
}
