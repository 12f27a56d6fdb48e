//! multilog's scripts, and the numbers in them.
#![no_main]

use std::ffi::{CStr, CString};

use cli::number::scan;
use libfuzzer_sys::fuzz_target;
use logging::script::{Action, Script};

/// The leading digits as a number, whatever its size; saturates far above 64
/// bits, and says so.
fn naive_number(text: &[u8]) -> u64 {
    let mut number: u128 = 0;
    for byte in text.iter().take_while(|byte| byte.is_ascii_digit()) {
        number = (number * 10 + u128::from(byte - b'0')) % (1 << 64);
    }
    number as u64
}

fuzz_target!(|bytes: &[u8]| {
    let words: Vec<CString> = bytes
        .split(|&byte| byte == 0)
        .map(|word| CString::new(word).unwrap())
        .collect();
    let words: Vec<&CStr> = words.iter().map(CString::as_c_str).collect();
    let script = Script::parse(&words);

    let first = words[0].to_bytes();
    assert_eq!(script.stamped, first.first() == Some(&b't'));
    let (mut size, mut files, mut processor) = (99_999, 10, None);
    let mut actions = script.actions.iter();
    for word in &words {
        let word = word.to_bytes();
        let Some(letter) = word.first() else { continue };
        let rest = &word[1..];
        let number = naive_number(rest);
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        assert_eq!(scan(rest), (number, &rest[digits..]));
        match letter {
            b's' => size = number.clamp(4096, 16_777_215),
            b'n' => files = number.max(2),
            b'!' => processor = Some(rest),
            b'-' | b'+' | b'e' | b'=' | b'.' | b'/' => match (letter, actions.next().unwrap()) {
                (b'-', Action::Deselect(pattern)) | (b'+', Action::Select(pattern)) => {
                    assert_eq!(*pattern, logging::pattern::Pattern::new(rest));
                }
                (b'e', Action::Alert) => {}
                (b'=', Action::Status(name)) => assert_eq!(name.to_bytes(), rest),
                (_, Action::Append(name, terms)) => {
                    assert_eq!(name.to_bytes(), word);
                    assert_eq!(terms.size as u64, size);
                    assert_eq!(terms.files as u64, files);
                    assert_eq!(terms.processor.as_deref().map(CStr::to_bytes), processor);
                }
                (_, other) => panic!("{} is {other:?}", word.escape_ascii()),
            },
            _ => {}
        }
    }
    assert_eq!(actions.next(), None);
});
