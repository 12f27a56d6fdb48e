//! The search for a pattern in all lines of the buffer at once.

use std::ops::Range;

use memchr::memrchr;

use super::DirectoryReader;
use super::piece::{Piece, Place, Progress};
use crate::line_filter::message;
use crate::stamp::Stamp;

/// The result of a search in the buffer, by index.
#[derive(Debug)]
pub(super) struct MatchScan {
    /// The next match that may be in a message; no line from `from` to its start
    /// matches.
    found: Range<usize>,
    from: usize,
}

impl MatchScan {
    fn covers(&self, index: usize) -> bool {
        (self.from..self.found.start).contains(&index)
    }

    pub(super) fn shift(&mut self, by: usize) {
        self.from = self.from.saturating_sub(by);
        self.found = self.found.start.saturating_sub(by)..self.found.end.saturating_sub(by);
    }
}

impl DirectoryReader {
    /// Searches the whole lines in the buffer, if the next line was not searched.
    pub(super) fn find_match(&mut self) {
        let is_whole = self.progress == Progress::AtStart && self.boundary.is_none();
        let start = self.buffer.start();
        let is_known = self.scan.as_ref().is_some_and(|scan| scan.covers(start));
        let pattern = self.filter.selection.pattern.as_ref();
        let Some(pattern) = pattern.filter(|_| is_whole && !is_known) else {
            return;
        };
        let found = pattern.find_candidate(self.buffer.whole_lines());
        self.scan = found.map(|found| MatchScan {
            found: start + found.start..start + found.end,
            from: start,
        });
    }

    /// Skips whole lines that do not match, all at once.
    pub(super) fn skip_unselected(&mut self) {
        let is_whole = self.progress == Progress::AtStart && self.boundary.is_none();
        let pattern = self.filter.selection.pattern.as_ref();
        let start = self.buffer.start();
        let (Some(scan), Some(_)) = (
            self.scan
                .as_ref()
                .filter(|scan| is_whole && scan.covers(start)),
            pattern.filter(|pattern| pattern.selects_matches()),
        ) else {
            return;
        };
        let before = self.buffer.get(start..scan.found.start);
        let skipped = memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        if skipped == 0 {
            return;
        }
        if let Some(stamp) = last_stamp(before.get(..skipped).unwrap_or_default()) {
            self.time = Some(stamp.time);
            self.filter.decide(Some(stamp), self.time, |_| false);
        }
        self.buffer.take(start + skipped);
        self.place = Place::InBuffer(start + skipped, self.mark, self.time);
    }

    /// Makes a piece the head if it belongs to a selected line.
    pub(super) fn set_head(&mut self, piece: Piece) {
        if piece.is_start {
            let line = self.buffer.get(piece.range.clone());
            let scan = self.scan.as_ref();
            let scan = scan.filter(|scan| scan.from <= piece.range.start);
            self.filter.decide(piece.stamp, self.time, |pattern| {
                let message = message(piece.stamp, line);
                let Some(scan) = scan else {
                    return pattern.selects(message);
                };
                let found = &scan.found;
                let is_before = piece.range.end <= found.start;
                let is_inside = pattern.is_exact()
                    && found.end <= piece.range.end
                    && piece.range.end - message.len() <= found.start;
                if is_before {
                    !pattern.selects_matches()
                } else if is_inside {
                    pattern.selects_matches()
                } else {
                    pattern.selects(message)
                }
            });
        }
        if self.filter.is_selected {
            self.head = Some(piece);
        } else {
            self.move_place(&piece);
        }
    }
}

/// The last stamp in a text of whole lines.
fn last_stamp(lines: &[u8]) -> Option<Stamp> {
    let mut rest = lines.strip_suffix(b"\n")?;
    loop {
        let start = memrchr(b'\n', rest).map_or(0, |newline| newline + 1);
        let stamp = Stamp::parse(rest.get(start..).unwrap_or_default());
        if stamp.is_some() || start == 0 {
            return stamp;
        }
        rest = rest.get(..start - 1).unwrap_or_default();
    }
}
