//! Patterns of multilog, with `*`.

use memchr::memchr;

use crate::search::ByteFinder;

/// A pattern of multilog's actions `+` and `-`.
///
/// `*` matches any string without the next character of the pattern; at the
/// end of the pattern, any string. All other characters match themselves. The
/// whole line must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StarPattern<'a> {
    /// The start of the line.
    start: &'a [u8],
    /// The stars, except one at the end.
    inner: Vec<Star<'a>>,
    /// Whether the pattern ends with a star.
    open: bool,
}

/// A star, which matches up to the first `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Star<'a> {
    next: ByteFinder,
    /// The text after `next`, up to the next star; None if `next` is itself a
    /// star.
    then: Option<&'a [u8]>,
}

impl<'a> StarPattern<'a> {
    /// Parses a pattern; every text is valid.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        let (start, mut rest) = split_star(text);
        let mut inner = Vec::new();
        while let [b'*', after @ ..] = rest {
            let (then, later) = split_star(after);
            inner.extend(after.first().map(|&next| Star {
                next: ByteFinder::new(next),
                then: then.get(1..),
            }));
            rest = later;
        }
        StarPattern {
            start,
            inner,
            open: text.ends_with(b"*"),
        }
    }

    /// Whether the pattern matches `line`, from its first byte to its last.
    #[must_use]
    #[inline]
    pub fn matches(&self, line: &[u8]) -> bool {
        match (self.start, self.inner.as_slice()) {
            // The pattern `*`.
            ([], []) => self.open || line.is_empty(),
            ([], _) => self.matches_stars(line),
            (start, _) => after(line, start).is_some_and(|rest| self.matches_stars(rest)),
        }
    }

    /// Whether the part of the pattern from its first star on matches.
    fn matches_stars(&self, mut rest: &[u8]) -> bool {
        for Star { next, then } in &self.inner {
            let Some(found) = next.find(rest) else {
                return false;
            };
            // A star after a star is found, and is the start of the next one.
            let text = rest.get(found..).unwrap_or_default();
            rest = match (then, text) {
                (None, _) => text,
                (Some(then), [_, text @ ..]) => match after(text, then) {
                    Some(later) => later,
                    None => return false,
                },
                (Some(_), []) => return false,
            };
        }
        self.open || rest.is_empty()
    }
}

/// The rest of `line` after `start`. The comparison mostly fails at the
/// first bytes, so a loop is faster than a call to memcmp.
fn after<'l>(line: &'l [u8], start: &[u8]) -> Option<&'l [u8]> {
    let (seen, rest) = line.split_at_checked(start.len())?;
    let same = seen.iter().zip(start).all(|(seen, byte)| seen == byte);
    same.then_some(rest)
}

/// Splits `text` before its first star.
fn split_star(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(memchr(b'*', text).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::StarPattern;

    fn matches(pattern: &str, line: &str) -> bool {
        StarPattern::new(pattern.as_bytes()).matches(line.as_bytes())
    }

    #[test]
    fn pattern_without_star_matches_itself_only() {
        assert!(matches("hello", "hello"));
        assert!(!matches("hello", "hello world"));
        assert!(!matches("hello", "hell"));
        assert!(matches("", ""));
        assert!(!matches("", "a"));
    }

    #[test]
    fn star_at_the_end_matches_any_rest() {
        assert!(matches("*", ""));
        assert!(matches("a*", "a"));
        assert!(matches("a*", "abc"));
        assert!(!matches("a*", "b"));
    }

    #[test]
    fn star_stops_at_the_next_character() {
        assert!(matches("*: *", "error: no: x"));
        assert!(matches("a*c", "abc"));
        assert!(!matches("a*c", "abcc"));
        assert!(!matches("*b", "a"));
    }

    #[test]
    fn star_after_star_stops_the_first() {
        assert!(matches("**", "ab*cd"));
        assert!(!matches("**", "abcd"));
        assert!(matches("**d", "ab*cd"));
        assert!(!matches("**d", "ab*cdd"));
    }

    /// The definition in the manual.
    fn matches_by_manual(pattern: &[u8], line: &[u8]) -> bool {
        match (pattern, line) {
            ([], []) | ([b'*'], _) => true,
            ([b'*', next, ..], [first, ..]) if first != next => {
                matches_by_manual(pattern, &line[1..])
            }
            ([b'*', _, ..], [_, ..]) => matches_by_manual(&pattern[1..], line),
            ([byte, rest @ ..], [first, after @ ..]) if byte == first => {
                matches_by_manual(rest, after)
            }
            _ => false,
        }
    }

    #[test]
    fn random_patterns_match_as_in_the_manual() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut matched = 0;
        for _ in 0..200_000 {
            let mut text = |length, bytes: &[u8]| -> Vec<u8> {
                let length = random.usize(..=length);
                (0..length)
                    .map(|_| *random.choice(bytes).unwrap())
                    .collect()
            };
            let (pattern, line) = (text(6, b"**ab"), text(8, b"aabb*"));
            let expected = matches_by_manual(&pattern, &line);
            let seen = StarPattern::new(&pattern).matches(&line);
            assert_eq!(
                seen,
                expected,
                "{} {}",
                pattern.escape_ascii(),
                line.escape_ascii()
            );
            matched += usize::from(seen);
        }
        assert!((20_000..180_000).contains(&matched), "{matched}");
    }
}
