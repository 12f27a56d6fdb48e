//! The screen of `svps -w`: the part of the table that fits, and the changes from
//! one screen to the next.

use std::fmt::Write;

/// The lines that the terminal shows, and the first row of the table among them.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    shown: Vec<String>,
    /// The first row of the table that is shown.
    offset: usize,
}

/// A movement in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scroll {
    Lines(isize),
    Pages(isize),
    Start,
    End,
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Quit,
    Redraw,
    Scroll(Scroll),
}

/// The sequences of keys. No sequence stands before one that it begins.
const KEYS: [(&[u8], Key); 20] = [
    (b"\x1b[5~", Key::Scroll(Scroll::Pages(-1))),
    (b"\x1b[6~", Key::Scroll(Scroll::Pages(1))),
    (b"\x1b[1~", Key::Scroll(Scroll::Start)),
    (b"\x1b[4~", Key::Scroll(Scroll::End)),
    (b"\x1b[A", Key::Scroll(Scroll::Lines(-1))),
    (b"\x1b[B", Key::Scroll(Scroll::Lines(1))),
    (b"\x1b[H", Key::Scroll(Scroll::Start)),
    (b"\x1b[F", Key::Scroll(Scroll::End)),
    (b"\x1bOA", Key::Scroll(Scroll::Lines(-1))),
    (b"\x1bOB", Key::Scroll(Scroll::Lines(1))),
    (b"k", Key::Scroll(Scroll::Lines(-1))),
    (b"j", Key::Scroll(Scroll::Lines(1))),
    (b"\r", Key::Scroll(Scroll::Lines(1))),
    (b"\n", Key::Scroll(Scroll::Lines(1))),
    (b" ", Key::Scroll(Scroll::Pages(1))),
    (b"b", Key::Scroll(Scroll::Pages(-1))),
    (b"g", Key::Scroll(Scroll::Start)),
    (b"G", Key::Scroll(Scroll::End)),
    (b"\x0c", Key::Redraw),
    (b"q", Key::Quit),
];

/// The keys of some input. Other bytes are skipped.
pub(crate) fn keys(mut input: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Some((_, rest)) = input.split_first() {
        let found = KEYS
            .iter()
            .find_map(|(sequence, key)| Some((*key, input.strip_prefix(*sequence)?)));
        input = match found {
            Some((key, rest)) => {
                keys.push(key);
                rest
            }
            None => rest,
        };
    }
    keys
}

impl Screen {
    /// The rows of the table that fit on a terminal with `height` rows: all but the
    /// title and the last line.
    fn visible(height: usize) -> usize {
        height.saturating_sub(2)
    }

    /// Moves in a table of `rows` rows.
    pub(crate) fn scroll(&mut self, scroll: Scroll, rows: usize, height: usize) {
        let page = isize::try_from(Screen::visible(height)).unwrap_or(isize::MAX);
        self.offset = match scroll {
            Scroll::Lines(lines) => self.offset.saturating_add_signed(lines),
            Scroll::Pages(pages) => self
                .offset
                .saturating_add_signed(pages.saturating_mul(page)),
            Scroll::Start => 0,
            Scroll::End => rows,
        };
        self.limit_offset(rows, height);
    }

    /// The last page is full.
    fn limit_offset(&mut self, rows: usize, height: usize) {
        let last = rows.saturating_sub(Screen::visible(height));
        self.offset = self.offset.min(last);
    }

    /// The numbers of the rows that are shown.
    pub(crate) fn visible_rows(&mut self, rows: usize, height: usize) -> std::ops::Range<usize> {
        self.limit_offset(rows, height);
        let end = rows.min(self.offset + Screen::visible(height));
        self.offset..end
    }

    /// Forgets the shown lines, so that the next update draws all lines.
    pub(crate) fn forget(&mut self) {
        self.shown.clear();
    }

    /// The output that turns the shown lines into the title, the visible rows of a
    /// table and the last line. Empty if nothing changes.
    pub(crate) fn update(&mut self, table: &str, last_line: &str, height: usize) -> String {
        let mut lines = table.lines();
        let title = lines.next().unwrap_or_default();
        let rows: Vec<_> = lines.collect();
        let visible = self.visible_rows(rows.len(), height);
        let mut next: Vec<String> = vec![title.to_owned()];
        next.extend(
            rows.get(visible)
                .unwrap_or_default()
                .iter()
                .map(|&row| row.to_owned()),
        );
        next.resize(height.saturating_sub(1).max(1), String::new());
        next.push(last_line.to_owned());
        next.truncate(height.max(1));
        let mut output = String::new();
        if self.shown.len() != next.len() {
            self.shown = vec![String::new(); next.len()];
            output.push_str("\x1b[2J");
        }
        for (number, (shown, line)) in self.shown.iter().zip(&next).enumerate() {
            if shown != line {
                // Writing to a String cannot fail.
                let _ = write!(output, "\x1b[{};1H{line}\x1b[K", number + 1);
            }
        }
        self.shown = next;
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_recognized_in_a_row() {
        let lines = |lines| Key::Scroll(Scroll::Lines(lines));
        assert_eq!(
            keys(b"j\x1b[A\x1b[6~xq"),
            [
                lines(1),
                lines(-1),
                Key::Scroll(Scroll::Pages(1)),
                Key::Quit
            ]
        );
        assert_eq!(keys(b"\x1b[\xff\x1b"), []);
    }

    #[test]
    fn only_changed_lines_are_written() {
        let mut screen = Screen::default();
        let first = screen.update("T\na 1\nb 1\n", "last", 5);
        assert_eq!(
            first,
            "\x1b[2J\x1b[1;1HT\x1b[K\x1b[2;1Ha 1\x1b[K\x1b[3;1Hb 1\x1b[K\x1b[5;1Hlast\x1b[K"
        );
        assert_eq!(screen.update("T\na 1\nb 1\n", "last", 5), "");
        assert_eq!(
            screen.update("T\na 1\nb 2\n", "last", 5),
            "\x1b[3;1Hb 2\x1b[K"
        );
        assert_eq!(screen.update("T\na 1\n", "last", 5), "\x1b[3;1H\x1b[K");
    }

    #[test]
    fn scrolling_stops_at_the_ends() {
        let mut screen = Screen::default();
        for (scroll, expected) in [
            (Scroll::Lines(-1), 0..3),
            (Scroll::Lines(1), 1..4),
            (Scroll::Pages(1), 4..7),
            (Scroll::End, 7..10),
            (Scroll::Pages(1), 7..10),
            (Scroll::Pages(-1), 4..7),
            (Scroll::Start, 0..3),
        ] {
            screen.scroll(scroll, 10, 5);
            assert_eq!(screen.visible_rows(10, 5), expected);
        }
        screen.scroll(Scroll::End, 10, 5);
        assert_eq!(screen.visible_rows(2, 5), 0..2);
        for height in 0..3 {
            let _ = screen.update("T\na\n", "last", height);
            assert!(screen.visible_rows(10, height).is_empty() || height > 2);
        }
    }
}
