//! Regular expressions that select lines.

use std::ops::Range;

use regex::bytes::Regex;

/// A regular expression, and whether it selects the lines that match.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Matched against a message.
    message: Regex,
    /// Matches, somewhere in a text of several lines, each message that `message`
    /// matches, with or without its stamp. None: no such expression is known.
    candidate: Option<Regex>,
    /// Whether each match of `candidate` in a message is one of `message`.
    is_exact: bool,
    selects_matches: bool,
}

/// The reason why a pattern is invalid, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError(pub String);

impl Pattern {
    /// Parses a regular expression of the crate regex. With `invert`, it selects
    /// the lines that do not match. Errors: the pattern is invalid, not UTF-8, or
    /// larger than 10 MB when compiled.
    pub fn new(text: &[u8], invert: bool) -> Result<Self, PatternError> {
        let text = std::str::from_utf8(text).map_err(|_| PatternError("not UTF-8".to_owned()))?;
        let message = Regex::new(text).map_err(|error| PatternError(one_line(&error)))?;
        let relaxed = without_anchors(text);
        let is_exact = relaxed
            .as_ref()
            .is_some_and(|text| !text.contains(NO_ANCHOR));
        Ok(Pattern {
            message,
            // A pattern without anchors has a larger relative in rare cases alone.
            candidate: relaxed.and_then(|text| Regex::new(&text).ok()),
            is_exact,
            selects_matches: !invert,
        })
    }

    /// Whether the pattern selects a line with this message.
    pub fn selects(&self, message: &[u8]) -> bool {
        self.message.is_match(message) == self.selects_matches
    }

    /// The first match in a text of several lines that may be one in a message; the
    /// end of the text, if there is none. No message that ends before it matches.
    /// None for a pattern whose matches cannot be found in this way. The text
    /// begins at the start of a line.
    pub fn find_candidate(&self, text: &[u8]) -> Option<Range<usize>> {
        let found = self.candidate.as_ref()?.find(text);
        Some(found.map_or(text.len()..text.len(), |found| found.range()))
    }

    /// Whether [`Pattern::find_candidate`] finds nothing but matches, if they are
    /// in a message.
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Whether the pattern selects the lines that match.
    pub fn selects_matches(&self) -> bool {
        self.selects_matches
    }
}

/// The empty group in place of an anchor.
const NO_ANCHOR: &str = "(?:)";

/// The pattern with an empty group in place of each `^`, `$`, `\A` and `\z`: it
/// matches, somewhere in a text of several lines, wherever the pattern matches a
/// message. None for flags other than `i`, and for verbose patterns, which need a
/// complete parser.
///
/// Classes that match nearly all characters lose the newline, which no message
/// contains: a match over many lines would make the search slow.
fn without_anchors(pattern: &str) -> Option<String> {
    let mut relaxed = String::new();
    let mut depth = 0_u32;
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next()? {
                'A' | 'z' if depth == 0 => relaxed.push_str(NO_ANCHOR),
                class @ ('s' | 'D' | 'W') if depth == 0 => {
                    relaxed.push_str("[^\\n");
                    relaxed.extend([
                        '\\',
                        if class == 's' {
                            'S'
                        } else {
                            class.to_ascii_lowercase()
                        },
                    ]);
                    relaxed.push(']');
                }
                'S' | 'D' | 'W' if depth > 0 => return None,
                escaped => relaxed.extend(['\\', escaped]),
            },
            '[' => {
                depth += 1;
                relaxed.push('[');
                // A bracket at the start of a class is a member of it.
                if characters.next_if_eq(&'^').is_some() {
                    relaxed.push_str("^\\n");
                }
                if characters.next_if_eq(&']').is_some() {
                    relaxed.push_str("\\]");
                }
            }
            ']' if depth > 0 => {
                depth -= 1;
                relaxed.push(']');
            }
            '^' | '$' if depth == 0 => relaxed.push_str(NO_ANCHOR),
            '(' if depth == 0 && characters.peek() == Some(&'?') => {
                characters.next();
                let flags: String = std::iter::from_fn(|| {
                    characters.next_if(|&other| other != ':' && other != ')')
                })
                .collect();
                match flags.as_str() {
                    "" | "i" => {
                        relaxed.push_str("(?");
                        relaxed.push_str(&flags);
                    }
                    _ => return None,
                }
            }
            other => relaxed.push(other),
        }
    }
    Some(relaxed)
}

/// The last line of an error, which names the problem. The lines before it repeat
/// the pattern.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().next_back().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(pattern: &str, message: &[u8]) -> bool {
        Pattern::new(pattern.as_bytes(), false)
            .unwrap()
            .selects(message)
    }

    #[test]
    fn patterns_match_bytes() {
        assert!(selects("b+$", b"abb"));
        assert!(!selects("^b", b"abb"));
        assert!(selects("(?i)ERR", b"\xff err"));
        assert!(selects(r"(?-u)\xff", b"\xff"));
        let inverted = Pattern::new(b"b", true).unwrap();
        assert!(inverted.selects(b"a") && !inverted.selects(b"b"));
    }

    #[test]
    fn invalid_patterns_have_a_reason() {
        let reason = |pattern: &[u8]| Pattern::new(pattern, false).unwrap_err().0;
        assert_eq!(reason(b"a("), "unclosed group");
        assert_eq!(reason(b"*"), "repetition operator missing expression");
        assert_eq!(reason(b"\xff"), "not UTF-8");
        assert!(reason(b"(?:(?:a{999}){999}){999}").contains("size limit"));
    }

    #[test]
    fn candidates_lose_their_anchors() {
        let relaxed = |pattern| without_anchors(pattern).unwrap();
        for (pattern, wanted) in [
            ("^a|b$", "(?:)a|b(?:)"),
            (r"\Aa\z\b\\A", r"(?:)a(?:)\b\\A"),
            ("[^^$]$", r"[^\n^$](?:)"),
            (r"\s\D\W\S\d", r"[^\n\S][^\n\d][^\n\w]\S\d"),
            ("[]^]^", r"[\]^](?:)"),
            ("[^]^]^", r"[^\n\]^](?:)"),
            (r"[\]^[$]^]^", r"[\]^[$]^](?:)"),
            (r"\^\$\[^", r"\^\$\[(?:)"),
            ("(?i)^(a)(?:b)", "(?i)(?:)(a)(?:b)"),
        ] {
            assert_eq!(relaxed(pattern), wanted);
        }
        for verbose in ["(?x) [ # ^", "(?m)^", "(?P<a>^)", "(?-i:a)", r"[\S]"] {
            assert_eq!(without_anchors(verbose), None);
        }
    }

    #[test]
    fn candidates_include_each_selected_line() {
        let mut random = fastrand::Rng::with_seed(1);
        let parts = [
            "a", "b", "^", "$", ".", "\\s", "[^a]", "|", "(", ")", "*", "\\b", "\\B", "@", " ",
            "[]a]", "+", "\\z", "(?i)", "A",
        ];
        let mut compared = 0;
        while compared < 600 {
            let text: String = (0..random.usize(1..7))
                .map(|_| parts[random.usize(..parts.len())])
                .collect();
            let Ok(pattern) = Pattern::new(text.as_bytes(), false) else {
                continue;
            };
            let lines: Vec<(String, bool)> = (0..random.usize(1..6))
                .map(|_| {
                    let letters =
                        (0..random.usize(0..4)).map(|_| ["a", "b", " ", "A"][random.usize(..4)]);
                    (letters.collect(), random.bool())
                })
                .collect();
            let mut block = Vec::new();
            let mut ends = Vec::new();
            for (message, is_stamped) in &lines {
                let stamp = if *is_stamped { "@40 " } else { "" };
                block.extend_from_slice(format!("{stamp}{message}\n").as_bytes());
                ends.push(block.len());
            }
            let mut start = 0;
            let mut next = start;
            for ((message, _), end) in lines.iter().zip(ends) {
                if next <= start {
                    let Some(found) = pattern.find_candidate(&block[start..]) else {
                        break;
                    };
                    next = start + found.start;
                    // The message is the end of the line.
                    let message = end - 1 - message.len()..end - 1;
                    if pattern.is_exact() && message.contains(&next) {
                        let is_inside = start + found.end < end;
                        assert!(!is_inside || pattern.selects(&block[message]), "{text:?}");
                    }
                }
                // A match in an earlier line hides none in this one.
                if pattern.selects(message.as_bytes()) {
                    assert!(next < end, "{text:?} {block:?} {start} {next}");
                }
                start = end;
            }
            compared += 1;
        }
    }
}
