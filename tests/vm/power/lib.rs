//! The numbered lines of the power scene: writer, parser and sets of lines.

use std::fmt;

/// A small random generator: the same seed gives the same numbers everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator; any seed is as good as another.
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// The next number (splitmix64).
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }
}

fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A line: the boot that wrote it, and its number in this boot, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Numbered {
    /// The number of the boot.
    pub round: u64,
    /// The number of the line.
    pub number: u64,
}

impl Numbered {
    /// Appends the text of the line. Every byte follows from the numbers.
    pub fn write(self, text: &mut Vec<u8>) {
        let Numbered { round, number } = self;
        text.extend(format!("{round:04} {number:08} ").bytes());
        let random = mix(round << 32 ^ number);
        let letter = b'a' + u8::try_from(random % 26).unwrap();
        let length = usize::try_from(random >> 8 & 127).unwrap();
        text.resize(text.len() + length, letter);
        text.push(b'\n');
    }

    /// The numbers of a whole line without its newline, if every byte is right. A
    /// label of multilog may precede it.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = match line {
            [b'@', rest @ ..] => rest.get(24..)?.strip_prefix(b" ")?,
            line => line,
        };
        let head = std::str::from_utf8(line.get(..14)?).ok()?;
        let numbered = Numbered {
            round: head.get(..4)?.parse().ok()?,
            number: head.get(5..13)?.parse().ok()?,
        };
        let mut expected = Vec::new();
        numbered.write(&mut expected);
        (expected.strip_suffix(b"\n") == Some(line)).then_some(numbered)
    }
}

/// Consecutive lines of one boot: its number, the first line and the last one.
pub type Span = (u64, u64, u64);

/// A set of lines, as sorted spans that do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(Vec<Span>);

impl Spans {
    /// Adds a span.
    pub fn add(&mut self, (round, first, last): Span) {
        match self.0.last_mut() {
            Some(newest) if newest.0 == round && newest.2 + 1 == first => {
                newest.2 = last;
                return;
            }
            _ => {}
        }
        self.0.push((round, first, last));
        self.0.sort_unstable();
        let mut joined: Vec<Span> = Vec::new();
        for span in self.0.drain(..) {
            match joined.last_mut() {
                Some(last) if last.0 == span.0 && span.1 <= last.2 + 1 => {
                    last.2 = last.2.max(span.2);
                }
                _ => joined.push(span),
            }
        }
        self.0 = joined;
    }

    /// Adds the lines of another set.
    pub fn extend(&mut self, other: &Spans) {
        other.0.iter().for_each(|span| self.add(*span));
    }

    /// The lines that `other` lacks.
    #[must_use]
    pub fn without(&self, other: &Spans) -> Spans {
        let mut rest = Spans::default();
        for &(round, first, last) in &self.0 {
            let mut from = first;
            for &(_, start, end) in other.0.iter().filter(|span| span.0 == round) {
                if end < from || start > last {
                    continue;
                }
                if start > from {
                    rest.add((round, from, start - 1));
                }
                from = end + 1;
            }
            if from <= last {
                rest.add((round, from, last));
            }
        }
        rest
    }

    /// The lines from `oldest` on.
    #[must_use]
    pub fn since(&self, oldest: Numbered) -> Spans {
        let mut rest = Spans::default();
        for &(round, first, last) in &self.0 {
            let from = if round == oldest.round {
                first.max(oldest.number)
            } else {
                first
            };
            if round >= oldest.round && from <= last {
                rest.add((round, from, last));
            }
        }
        rest
    }

    /// The first line of a boot.
    pub fn first_of(&self, round: u64) -> Option<Numbered> {
        let &(round, number, _) = self.0.iter().find(|span| span.0 == round)?;
        Some(Numbered { round, number })
    }

    /// The number of lines.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, first, last)| last - first + 1).sum()
    }

    /// The number of lines of one boot.
    pub fn count_of(&self, round: u64) -> u64 {
        let of_round = self.0.iter().filter(|span| span.0 == round);
        of_round.map(|(_, first, last)| last - first + 1).sum()
    }

    /// Reads the text of [`fmt::Display`].
    pub fn parse(text: &str) -> Option<Self> {
        let mut spans = Spans::default();
        for span in text.split(',').filter(|span| *span != "-") {
            let (round, lines) = span.split_once(':')?;
            let (first, last) = lines.split_once('-')?;
            spans.add((round.parse().ok()?, first.parse().ok()?, last.parse().ok()?));
        }
        Some(spans)
    }
}

/// `ROUND:FIRST-LAST,…`, or `-` for none.
impl fmt::Display for Spans {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return to.write_str("-");
        }
        for (number, (round, first, last)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(to, "{comma}{round}:{first}-{last}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_parsed_and_no_other() {
        let mut text = b"@4000000065000000075bcd15 ".to_vec();
        let line = Numbered {
            round: 3,
            number: 71,
        };
        line.write(&mut text);
        let whole = text.strip_suffix(b"\n").unwrap();
        assert_eq!(Numbered::parse(whole), Some(line));
        assert_eq!(Numbered::parse(&whole[26..]), Some(line));
        for end in 0..whole.len() {
            assert_eq!(Numbered::parse(&whole[..end]), None);
        }
        let mut other = whole.to_vec();
        *other.last_mut().unwrap() = 0;
        assert_eq!(Numbered::parse(&other), None);
    }

    #[test]
    fn sets_of_lines_are_joined_and_subtracted() {
        let set = |text| Spans::parse(text).unwrap();
        let mut all = set("1:0-9,1:5-20,2:0-3,1:21-22");
        assert_eq!(all.to_string(), "1:0-22,2:0-3");
        assert_eq!(all.count(), 27);
        assert_eq!(all.count_of(2), 4);
        let rest = all.without(&set("1:3-4,1:8-30,2:2-2"));
        assert_eq!(rest.to_string(), "1:0-2,1:5-7,2:0-1,2:3-3");
        assert_eq!(
            rest.since(Numbered {
                round: 1,
                number: 6
            })
            .to_string(),
            "1:6-7,2:0-1,2:3-3"
        );
        assert_eq!(all.without(&all).to_string(), "-");
        all.extend(&set("-"));
        assert_eq!(set(&all.to_string()), all);
    }
}
