//! Scripts of multilog and the numbers in them.
#![no_main]

use std::ffi::{CStr, CString};
use std::ops::RangeInclusive;

use daemontools_core::number::scan_decimal;
use libfuzzer_sys::fuzz_target;
use logging::multilog::{Script, ScriptAction, ScriptError};

/// The leading digits as a number that wraps at 64 bits.
fn naive_number(text: &[u8]) -> u64 {
    let mut number: u128 = 0;
    for byte in text.iter().take_while(|byte| byte.is_ascii_digit()) {
        number = (number * 10 + u128::from(byte - b'0')) % (1 << 64);
    }
    number as u64
}

/// A text of digits only as a number in the range.
fn naive_decimal(text: &[u8], range: RangeInclusive<u128>) -> Option<u128> {
    let mut number: u128 = 0;
    for byte in text {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number = number.saturating_mul(10).saturating_add(digit.into());
    }
    (!text.is_empty() && range.contains(&number)).then_some(number)
}

/// The first invalid argument: invalid by itself, or a directory with an invalid
/// combination of earlier settings.
fn naive_error<'a>(words: &[&'a CStr]) -> Option<ScriptError<'a>> {
    let (mut size, mut limit) = (99_999, None);
    for word in words {
        match word.to_bytes() {
            [b's', size_of_file @ ..] => size = naive_number(size_of_file).clamp(4096, 16_777_215),
            [b'R', age @ ..] if naive_decimal(age, 0..=0xffff_ffff).is_none() => {
                return Some(ScriptError::Age(age));
            }
            [b'p', prefix @ ..] if prefix.contains(&b'\n') => return Some(ScriptError::Prefix),
            [b'w', code @ ..] if !is_code(code) => return Some(ScriptError::Suffix(code)),
            [b'S', bytes @ ..] => {
                if !is_limit(bytes, 4096) {
                    return Some(ScriptError::Bytes(bytes, 4096));
                }
                limit = Some(bytes);
            }
            [b'.' | b'/', ..] => {
                if let Some(bytes) = limit.filter(|bytes| !is_limit(bytes, size.into())) {
                    return Some(ScriptError::Bytes(bytes, size));
                }
            }
            _ => {}
        }
    }
    None
}

fn is_limit(bytes: &[u8], size: u128) -> bool {
    naive_decimal(bytes, 0..=0).is_some()
        || naive_decimal(bytes, 2 * size..=(1 << 63) - 1).is_some()
}

fn is_code(code: &[u8]) -> bool {
    let plain = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz.-";
    matches!(code.len(), 1..17)
        && code != b"u"
        && code != b"t"
        && code.iter().all(|byte| plain.contains(byte))
}

fuzz_target!(|bytes: &[u8]| {
    let words: Vec<CString> = bytes
        .split(|&byte| byte == 0)
        .map(|word| CString::new(word).unwrap())
        .collect();
    let words: Vec<&CStr> = words.iter().map(CString::as_c_str).collect();
    let error = naive_error(&words);
    let script = match (Script::parse(&words), error) {
        (Ok(script), None) => script,
        (parsed, error) => {
            assert_eq!(parsed.err(), error);
            return;
        }
    };

    let first = words[0].to_bytes();
    assert_eq!(script.stamped, first.first() == Some(&b't'));
    let (mut size, mut files, mut processor) = (99_999, 10, None);
    let (mut age, mut bytes, mut code) = (None, None, &b"s"[..]);
    let mut actions = script.actions.iter();
    for word in &words {
        let word = word.to_bytes();
        let Some(letter) = word.first() else { continue };
        let rest = &word[1..];
        let number = naive_number(rest);
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        assert_eq!(scan_decimal(rest), (number, &rest[digits..]));
        match letter {
            b's' => size = number.clamp(4096, 16_777_215),
            b'n' => files = number.max(2),
            b'!' => processor = Some(rest),
            b'w' => code = rest,
            b'S' => bytes = Some(number).filter(|bytes| *bytes > 0),
            b'R' => age = Some(u128::from(number)).filter(|age| *age > 0),
            b'1' if !rest.is_empty() => {}
            b'-' | b'+' | b'e' | b'=' | b'p' | b'1' | b'.' | b'/' => {
                match (letter, actions.next().unwrap()) {
                    (b'-', ScriptAction::Deselect(pattern))
                    | (b'+', ScriptAction::Select(pattern)) => {
                        assert_eq!(*pattern, logging::multilog::StarPattern::new(rest));
                    }
                    (b'e', ScriptAction::Alert) => {}
                    (b'=', ScriptAction::Status(name)) => assert_eq!(name.to_bytes(), rest),
                    (b'p', ScriptAction::Prefix(prefix)) => assert_eq!(*prefix, rest),
                    (b'1', ScriptAction::Print) => {}
                    (_, ScriptAction::Append(name, terms)) => {
                        assert_eq!(name.to_bytes(), word);
                        assert_eq!(terms.size, size);
                        assert_eq!(terms.files as u64, files);
                        assert_eq!(terms.suffix, code);
                        assert_eq!(terms.bytes, bytes);
                        assert_eq!(
                            terms.age.map(|age| age.as_millis()),
                            age.map(|age| age * 1000)
                        );
                        assert_eq!(terms.processor.as_deref().map(CStr::to_bytes), processor);
                    }
                    (_, other) => panic!("{} is {other:?}", word.escape_ascii()),
                }
            }
            _ => {}
        }
    }
    assert_eq!(actions.next(), None);
});
