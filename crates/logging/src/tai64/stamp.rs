//! Adds labels to lines.

use daemontools_core::label::TEXT;

use crate::batch::split_line;
use crate::text_buffer::{HEAD_BLOCK, TextBuffer};

/// The length of a label and a space.
pub(crate) const STAMP: usize = TEXT + 1;

/// Adds a label and a space before each line.
#[derive(Debug, Default)]
pub struct Stamper {
    /// Whether the latest line is unfinished.
    inside: bool,
}

impl Stamper {
    /// Appends `input` to `output`, with `label` before each line that starts
    /// there. A line may continue in the next call.
    pub fn stamp(&mut self, input: &[u8], label: &[u8; TEXT], output: &mut TextBuffer) {
        let mut stamp = [b' '; HEAD_BLOCK];
        stamp
            .iter_mut()
            .zip(label)
            .for_each(|(to, from)| *to = *from);
        let mut rest = input;
        if self.inside {
            let (line, later) = split_line(rest);
            output.push(line);
            rest = later;
        }
        while !rest.is_empty() {
            let (line, later) = split_line(rest);
            output.push_headed(&stamp, STAMP, rest, line.len());
            rest = later;
        }
        self.inside = input.last().map_or(self.inside, |&last| last != b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &[u8; TEXT] = b"@400000004d52960a0ebe121c";

    fn stamped(pieces: &[&str]) -> String {
        let (mut stamper, mut output) = (Stamper::default(), TextBuffer::default());
        for fragment in pieces {
            stamper.stamp(fragment.as_bytes(), LABEL, &mut output);
        }
        let label = std::str::from_utf8(LABEL).unwrap();
        String::from_utf8(output.text().to_vec())
            .unwrap()
            .replace(label, "@")
    }

    #[test]
    fn each_line_gets_one_label() {
        assert_eq!(stamped(&["a\n\nb\nc"]), "@ a\n@ \n@ b\n@ c");
        assert_eq!(stamped(&[]), "");
    }

    #[test]
    fn line_in_pieces_gets_one_label() {
        assert_eq!(
            stamped(&["a", "", "b\n", "", "c", "\n", "\n"]),
            "@ ab\n@ c\n@ \n"
        );
    }

    #[test]
    fn pieces_and_bytes_get_the_same_labels() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..300 {
            let length = random.usize(..500);
            let input: Vec<u8> = (0..length)
                .map(|_| *random.choice(b"\n\nabc\0@ ").unwrap())
                .collect();
            let mut expected = Vec::new();
            let mut at_line_start = true;
            for &byte in &input {
                if at_line_start {
                    expected.extend_from_slice(LABEL);
                    expected.push(b' ');
                }
                expected.push(byte);
                at_line_start = byte == b'\n';
            }
            let (mut stamper, mut output) = (Stamper::default(), TextBuffer::default());
            let mut rest = input.as_slice();
            while !rest.is_empty() {
                let (fragment, later) = rest.split_at(random.usize(..=rest.len()));
                stamper.stamp(fragment, LABEL, &mut output);
                rest = later;
            }
            assert_eq!(
                output.text().escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        }
    }
}
