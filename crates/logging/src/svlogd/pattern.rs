//! Patterns of svlogd, with `*` and `+`.

use crate::search::ByteFinder;

/// A pattern of a line `+`, `-`, `e` or `E` in `config`.
///
/// `*` matches any string without the next character of the pattern; at the
/// end of the pattern, any string. `+` matches one or more of the next
/// character, after which the line may end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlusPattern(Vec<u8>);

impl PlusPattern {
    /// Parses a pattern; every text is valid.
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
                // runit compares with the NUL that ends its strings.
                ([b'+'], _) => return line.iter().all(|&byte| byte == 0),
                ([b'*'], _) => return true,
                ([b'*', rest @ ..], _) => {
                    let next = rest
                        .first()
                        .and_then(|next| ByteFinder::new(*next).find(line));
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

    #[test]
    fn star_and_plus_match_as_in_runit() {
        for (pattern, line, matches) in [
            ("", "", true),
            ("", "a", false),
            ("*: *", "error: no: x", true),
            ("a*", "a", true),
            ("*b", "abb", false),
            ("*b", "a", false),
            ("**x", "*x", true),
            ("a*+c", "a+c", false),
            ("+abc", "aaabc", true),
            ("+abc", "bc", false),
            ("+x*", "xx and more", true),
            ("a++", "a+++", true),
            ("a+bc", "abb", true),
            ("a+bc", "abbd", false),
            ("a+", "a", true),
            ("a+", "a+", false),
        ] {
            let seen = PlusPattern::new(pattern.as_bytes()).matches(line.as_bytes());
            assert_eq!(seen, matches, "{pattern} {line}");
        }
    }
}
