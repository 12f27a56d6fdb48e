//! Adds labels to lines.

use daemontools_core::label::TEXT;

use crate::batch::{lines, split_line};

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
    pub fn stamp(&mut self, input: &[u8], label: &[u8; TEXT], output: &mut Vec<u8>) {
        let mut stamp = [b' '; STAMP];
        stamp
            .iter_mut()
            .zip(label)
            .for_each(|(to, from)| *to = *from);
        let mut rest = input;
        if self.inside {
            let (line, later) = split_line(rest);
            output.extend_from_slice(line);
            rest = later;
        }
        for line in lines(rest) {
            output.extend_from_slice(&stamp);
            output.extend_from_slice(line);
        }
        self.inside = input.last().map_or(self.inside, |&last| last != b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &[u8; TEXT] = b"@400000004d52960a0ebe121c";

    fn stamped(pieces: &[&str]) -> String {
        let (mut stamper, mut output) = (Stamper::default(), Vec::new());
        for fragment in pieces {
            stamper.stamp(fragment.as_bytes(), LABEL, &mut output);
        }
        let label = std::str::from_utf8(LABEL).unwrap();
        String::from_utf8(output).unwrap().replace(label, "@")
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
            let (mut stamper, mut output) = (Stamper::default(), Vec::new());
            let mut rest = input.as_slice();
            while !rest.is_empty() {
                let (fragment, later) = rest.split_at(random.usize(..=rest.len()));
                stamper.stamp(fragment, LABEL, &mut output);
                rest = later;
            }
            assert_eq!(
                output.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        }
    }
}
