//! Patterns of multilog against a model that tries all lengths.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logging::multilog::StarPattern;

/// A star matches any string without the next character of the pattern, and at
/// the end any string.
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

/// The line must contain the character that ends the star. If that character
/// is a star, it is a star of the pattern too.
fn naive_after_star(pattern: &[u8], line: &[u8]) -> bool {
    line.first() == pattern.first() && naive(pattern, line)
}

fuzz_target!(|bytes: &[u8]| {
    let [length, rest @ ..] = bytes else { return };
    let length = usize::from(length % 16).min(rest.len());
    // Few different bytes, so that matches are frequent.
    let few: Vec<u8> = rest
        .iter()
        .map(|byte| b"*ab*c\0\xff "[usize::from(byte % 8)])
        .collect();
    for bytes in [rest, &few] {
        let (pattern, line) = bytes.split_at(length);
        let line = &line[..line.len().min(64)];
        assert_eq!(
            StarPattern::new(pattern).matches(line),
            naive(pattern, line)
        );
    }
});
