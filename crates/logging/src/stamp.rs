//! Labels in front of lines.

use daemontools_core::label::TEXT;

/// Puts a label and a space in front of every line that passes through it.
#[derive(Debug, Default)]
pub struct Stamper {
    /// Whether the last line has begun, and not ended.
    inside: bool,
}

impl Stamper {
    /// Appends `input` to `output`, where every line that begins in it is
    /// given `label`. A line may come in several pieces.
    pub fn stamp(&mut self, input: &[u8], label: &[u8; TEXT], output: &mut Vec<u8>) {
        let mut rest = input;
        while !rest.is_empty() {
            if !self.inside {
                output.extend_from_slice(label);
                output.push(b' ');
            }
            let end = memchr::memchr(b'\n', rest);
            let (piece, later) = rest.split_at(end.map_or(rest.len(), |at| at + 1));
            output.extend_from_slice(piece);
            self.inside = end.is_none();
            rest = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &[u8; TEXT] = b"@400000004d52960a0ebe121c";

    fn stamped(pieces: &[&str]) -> String {
        let (mut stamper, mut output) = (Stamper::default(), Vec::new());
        for piece in pieces {
            stamper.stamp(piece.as_bytes(), LABEL, &mut output);
        }
        let label = std::str::from_utf8(LABEL).unwrap();
        String::from_utf8(output).unwrap().replace(label, "@")
    }

    #[test]
    fn every_line_gets_one_label() {
        assert_eq!(stamped(&["a\n\nb\nc"]), "@ a\n@ \n@ b\n@ c");
        assert_eq!(stamped(&[]), "");
    }

    #[test]
    fn a_line_in_pieces_gets_it_before_the_first() {
        assert_eq!(
            stamped(&["a", "", "b\n", "", "c", "\n", "\n"]),
            "@ ab\n@ c\n@ \n"
        );
    }
}
