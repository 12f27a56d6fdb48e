//! Patterns: strings of stars and non-stars.

use memchr::memchr;

/// A pattern of multilog's `+` and `-`.
///
/// A non-star matches itself. A star matches any string without the character
/// after it in the pattern; at the end of the pattern, any string. There is
/// no other special character, and the whole line must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern<'a>(pub &'a [u8]);

impl Pattern<'_> {
    /// Whether the pattern matches `line`, from its first byte to its last.
    #[must_use]
    pub fn matches(&self, mut line: &[u8]) -> bool {
        let mut pattern = self.0;
        loop {
            match pattern {
                [] => return line.is_empty(),
                [b'*'] => return true,
                [b'*', next, ..] => {
                    let Some(found) = memchr(*next, line) else {
                        return false;
                    };
                    line = line.get(found..).unwrap_or_default();
                    pattern = pattern.get(1..).unwrap_or_default();
                }
                [byte, rest @ ..] => {
                    match line.split_first() {
                        Some((first, after)) if first == byte => line = after,
                        _ => return false,
                    }
                    pattern = rest;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn matches(pattern: &str, line: &str) -> bool {
        Pattern(pattern.as_bytes()).matches(line.as_bytes())
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
}
