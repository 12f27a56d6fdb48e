//! The word `p`: text between the stamp and each line.

use crate::batch::{Batch, ReadEmulation};
use crate::text_buffer::TextBuffer;

/// A prefix, which follows the stamp of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix<'a> {
    /// The length of the stamps, in bytes. 0: lines have no stamp.
    pub(crate) stamp: usize,
    /// The prefix. Default: empty.
    pub(crate) text: &'a [u8],
}

impl Prefix<'_> {
    /// The start of a line, with the prefix, in parts.
    pub(crate) fn insert<'l>(&'l self, line: &'l [u8]) -> [&'l [u8]; 3] {
        let (stamp, rest) = line.split_at_checked(self.stamp).unwrap_or((line, b""));
        [stamp, self.text, rest]
    }
}

/// The selected lines of a batch, with prefix.
#[derive(Debug)]
pub(crate) struct PrefixedLines<'a> {
    pub(crate) prefix: Prefix<'a>,
    text: TextBuffer,
    /// Whether the text starts within a line.
    within_line: bool,
    /// Whether the latest line is selected.
    selected: bool,
    /// The end of the examined part of the batch.
    examined: usize,
}

impl<'a> PrefixedLines<'a> {
    pub(crate) fn new(prefix: Prefix<'a>) -> Self {
        PrefixedLines {
            prefix,
            text: TextBuffer::with_room(),
            within_line: false,
            selected: false,
            examined: 0,
        }
    }

    /// Starts a batch.
    pub(crate) fn start(&mut self, batch: &Batch<'_>) {
        self.text.clear();
        self.examined = 0;
        self.within_line = batch.within_line && self.selected;
    }

    /// Sets whether the line at offset `start` of the text of the batch is selected.
    pub(crate) fn start_line(&mut self, selected: bool, text: &[u8], start: usize) {
        self.copy_until(text, start);
        self.selected = selected;
        if selected && !self.prefix.text.is_empty() {
            self.copy_until(text, start + self.prefix.stamp);
            self.text.push(self.prefix.text);
        }
    }

    /// Copies the selected text before `end`.
    pub(crate) fn copy_until(&mut self, text: &[u8], end: usize) {
        if self.selected {
            self.text
                .push(text.get(self.examined..end).unwrap_or_default());
        }
        self.examined = end;
    }

    /// The text of the batch.
    pub(crate) fn text(&self) -> &[u8] {
        self.text.text()
    }

    /// The text as the batch in which 0.76 would have read it.
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch {
            text: self.text(),
            within_line: self.within_line,
            reads: ReadEmulation {
                input: self.text(),
                held: 0,
                within_line: self.within_line,
                stamp: 0,
                selected: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Lines;
    use daemontools_core::label::Label;

    #[test]
    fn prefix_follows_stamp_of_selected_lines() {
        let long = [b'b'; 5000];
        let input = [b"a1\n-2\n\nb", &long[..], b"\n-3", &long, b"\nend"].concat();
        for stamped in [false, true] {
            for chunk in [1, 999, 1000, 1001, 100_000] {
                let prefix = Prefix {
                    stamp: if stamped { 26 } else { 0 },
                    text: b"web: ",
                };
                let (mut lines, mut prefixed) = (Lines::new(stamped), PrefixedLines::new(prefix));
                let mut output = Vec::new();
                let mut take = |batch: &Batch<'_>| {
                    prefixed.start(batch);
                    for fragment in batch.fragments() {
                        if !fragment.continues {
                            let selected = !fragment.head()[prefix.stamp..].starts_with(b"-");
                            prefixed.start_line(selected, batch.text, fragment.start);
                        }
                    }
                    prefixed.copy_until(batch.text, batch.text.len());
                    let batch = prefixed.batch();
                    assert_eq!(
                        batch
                            .original_reads()
                            .map(|read| read.text.len())
                            .sum::<usize>(),
                        batch.text.len()
                    );
                    output.extend_from_slice(batch.text);
                };
                let now = || Label::from_unix(0, 0);
                for read in input.chunks(chunk) {
                    lines.read_buffer()[..read.len()].copy_from_slice(read);
                    take(&lines.batch(read.len(), now));
                }
                take(&lines.finish(now).unwrap());
                let label = [&now().text()[..], b" "].concat();
                let stamp: &[u8] = if stamped { &label } else { b"" };
                let start = [stamp, b"web: "].concat();
                let expected = [
                    &start,
                    &b"a1\n"[..],
                    &start,
                    b"\n",
                    &start,
                    b"b",
                    &long,
                    b"\n",
                    &start,
                    b"end\n",
                ];
                assert!(output == expected.concat(), "chunks of {chunk}");
            }
        }
    }

    #[test]
    fn rest_of_a_deselected_line_continues_no_line() {
        let prefix = Prefix {
            stamp: 0,
            text: b"web: ",
        };
        let (mut lines, mut prefixed) = (Lines::new(false), PrefixedLines::new(prefix));
        let long = [b'x'; 5000];
        for selected in [true, false] {
            for (part, continues) in [(&long[..], false), (&b"rest\n"[..], true)] {
                for read in part.chunks(1000) {
                    lines.read_buffer()[..read.len()].copy_from_slice(read);
                    let batch = lines.batch(read.len(), || Label::from_unix(0, 0));
                    prefixed.start(&batch);
                    if batch.within_line {
                        assert_eq!(prefixed.batch().within_line, selected, "{continues}");
                    }
                    for fragment in batch.fragments().filter(|line| !line.continues) {
                        prefixed.start_line(selected, batch.text, fragment.start);
                    }
                    prefixed.copy_until(batch.text, batch.text.len());
                }
            }
        }
    }
}
