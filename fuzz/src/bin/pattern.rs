//! Patterns against one that tries everything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logging::multilog::StarPattern;

/// A star stands for any string without the character after it, and for any
/// string at the end.
fn naive(pattern: &[u8], line: &[u8]) -> bool {
    match pattern {
        [] => line.is_empty(),
        [b'*'] => true,
        [b'*', next, ..] => (0..=line.len()).any(|length| {
            let (stands, rest) = line.split_at(length);
            !stands.contains(next) && naive_after_star(&pattern[1..], rest)
        }),
        [byte, rest @ ..] => line.first() == Some(byte) && naive(rest, &line[1..]),
    }
}

/// The character that ended a star must be there; if it is a star, it is one
/// again, for which the string then is empty.
fn naive_after_star(pattern: &[u8], line: &[u8]) -> bool {
    line.first() == pattern.first() && naive(pattern, line)
}

fuzz_target!(|bytes: &[u8]| {
    let [length, rest @ ..] = bytes else { return };
    let length = usize::from(length % 16).min(rest.len());
    // Few different bytes, so that they meet.
    let few: Vec<u8> = rest
        .iter()
        .map(|byte| b"*ab*c\0\xff "[usize::from(byte % 8)])
        .collect();
    for bytes in [rest, &few] {
        let (pattern, line) = bytes.split_at(length);
        let line = &line[..line.len().min(64)];
        assert_eq!(StarPattern::new(pattern).matches(line), naive(pattern, line));
    }
});
