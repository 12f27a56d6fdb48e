//! Patterns of svlogd.

use memchr::memchr;

/// A pattern in which `*` is any string without the character after it, or
/// any string at the end of the pattern, and `+` is the character after it
/// once or more often, after which the line may end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlusPattern(Vec<u8>);

impl PlusPattern {
    /// The pattern that is written as `text`.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        PlusPattern(text.to_vec())
    }

    /// Whether the pattern matches `line`.
    #[must_use]
    pub fn matches(&self, mut line: &[u8]) -> bool {
        let mut pattern = self.0.as_slice();
        loop {
            match (pattern, line) {
                ([], _) => return line.is_empty(),
                // What follows there is the NUL at the end of runit's strings.
                ([b'+'], _) => return line.iter().all(|&byte| byte == 0),
                ([b'*'], _) => return true,
                ([b'*', rest @ ..], _) => {
                    let next = rest.first().and_then(|next| memchr(*next, line));
                    let Some(found) = next.and_then(|next| line.get(next..)) else {
                        return false;
                    };
                    (pattern, line) = (rest, found);
                }
                ([b'+', next, rest @ ..], [first, ..]) if next == first => {
                    let other = line.iter().position(|byte| byte != next);
                    let Some(after) = other.and_then(|other| line.get(other..)) else {
                        return true;
                    };
                    (pattern, line) = (rest, after);
                }
                ([b'+', ..], _) => return false,
                ([byte, rest @ ..], [first, after @ ..]) if byte == first => {
                    (pattern, line) = (rest, after);
                }
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PlusPattern;

    fn matches(pattern: &str, line: &str) -> bool {
        PlusPattern::new(pattern.as_bytes()).matches(line.as_bytes())
    }

    #[test]
    fn a_star_stops_at_the_next_character() {
        assert!(matches("*: *", "error: no: x"));
        assert!(matches("a*", "a"));
        assert!(!matches("*b", "abb"));
        assert!(!matches("*b", "a"));
        assert!(matches("**x", "*x"));
        assert!(!matches("a*+c", "a+c"));
    }

    #[test]
    fn a_plus_is_one_or_more_of_the_next_character() {
        assert!(matches("+abc", "aaabc"));
        assert!(!matches("+abc", "bc"));
        assert!(matches("+x*", "xx and more"));
        assert!(matches("a++", "a+++"));
    }

    #[test]
    fn after_a_plus_the_line_may_end() {
        assert!(matches("a+bc", "abb"));
        assert!(!matches("a+bc", "abbd"));
        assert!(matches("a+", "a"));
        assert!(!matches("a+", "a+"));
        assert!(matches("", "") && !matches("", "a"));
    }
}
