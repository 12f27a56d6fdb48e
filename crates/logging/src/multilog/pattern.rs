//! Patterns: strings of stars and non-stars.

use memchr::memchr;

/// A pattern of multilog's `+` and `-`.
///
/// A non-star matches itself. A star matches any string without the character
/// after it in the pattern; at the end of the pattern, any string. There is
/// no other special character, and the whole line must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StarPattern<'a> {
    /// What the line begins with.
    start: &'a [u8],
    /// Its stars, but for one at its end.
    inner: Vec<Star<'a>>,
    /// Whether the last star matches any rest.
    open: bool,
}

/// A star that ends where `next` is found for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Star<'a> {
    next: u8,
    /// What is there, `next` included; nothing if `next` is a star, which
    /// begins there for its part.
    then: &'a [u8],
}

impl<'a> StarPattern<'a> {
    /// The pattern that is written as `text`.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        let (start, mut rest) = split_star(text);
        let mut inner = Vec::new();
        while let [b'*', after @ ..] = rest {
            let (then, later) = split_star(after);
            inner.extend(after.first().map(|&next| Star { next, then }));
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
    pub fn matches(&self, line: &[u8]) -> bool {
        let Some(mut rest) = after(line, self.start) else {
            return false;
        };
        for star in &self.inner {
            let next = memchr(star.next, rest).and_then(|found| rest.get(found..));
            match next.and_then(|next| after(next, star.then)) {
                Some(then) => rest = then,
                None => return false,
            }
        }
        self.open || rest.is_empty()
    }
}

/// What follows in `line` if it begins with `beginning`. That is short, and
/// most often its first bytes tell, so it is not worth a call.
fn after<'l>(line: &'l [u8], beginning: &[u8]) -> Option<&'l [u8]> {
    let (seen, rest) = line.split_at_checked(beginning.len())?;
    let same = seen.iter().zip(beginning).all(|(seen, byte)| seen == byte);
    same.then_some(rest)
}

/// What comes before the first star, and what from there on.
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
    fn without_a_star_only_the_same_line_matches() {
        assert!(matches("hello", "hello"));
        assert!(!matches("hello", "hello world"));
        assert!(!matches("hello", "hell"));
        assert!(matches("", ""));
        assert!(!matches("", "a"));
    }

    #[test]
    fn a_star_at_the_end_matches_any_rest() {
        assert!(matches("*", ""));
        assert!(matches("a*", "a"));
        assert!(matches("a*", "abc"));
        assert!(!matches("a*", "b"));
    }

    #[test]
    fn a_star_before_the_end_stops_at_the_first_such_character() {
        assert!(matches("*: *", "error: no: x"));
        assert!(matches("a*c", "abc"));
        assert!(!matches("a*c", "abcc"));
        assert!(!matches("*b", "a"));
    }

    #[test]
    fn a_star_after_a_star_is_the_character_that_stops_the_first() {
        assert!(matches("**", "ab*cd"));
        assert!(!matches("**", "abcd"));
        assert!(matches("**d", "ab*cd"));
        assert!(!matches("**d", "ab*cdd"));
    }

    /// The same, as the manual says it.
    fn said(pattern: &[u8], line: &[u8]) -> bool {
        match (pattern, line) {
            ([], []) | ([b'*'], _) => true,
            ([b'*', next, ..], [first, ..]) if first != next => said(pattern, &line[1..]),
            ([b'*', _, ..], [_, ..]) => said(&pattern[1..], line),
            ([byte, rest @ ..], [first, after @ ..]) if byte == first => said(rest, after),
            _ => false,
        }
    }

    #[test]
    fn every_pattern_matches_what_the_manual_says() {
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
            let expected = said(&pattern, &line);
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
