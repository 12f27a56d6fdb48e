//! Command lines: options, their values and the first operand.
#![no_main]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};

use cli::Program;
use cli::options::Opt;
use libfuzzer_sys::fuzz_target;

const fn opt(letter: u8, value: Option<&'static str>) -> Opt {
    Opt {
        letter,
        value,
        help: "",
    }
}

static PROGRAM: Program = Program {
    name: "prog",
    usage: "prog: usage",
    options: &[opt(b'a', None), opt(b'b', None), opt(b'v', Some("value"))],
};

thread_local! {
    /// Leaked arguments. The cache keeps their number small.
    static WORDS: RefCell<HashMap<Vec<u8>, &'static CStr>> = RefCell::default();
}

fn word(bytes: &[u8]) -> &'static CStr {
    WORDS.with_borrow_mut(|words| {
        let made = || &*Box::leak(CString::new(bytes).unwrap().into_boxed_c_str());
        *words.entry(bytes.to_owned()).or_insert_with(made)
    })
}

/// A parsed command line: options with their values, the number of operands,
/// or the error.
#[derive(Debug, Default, PartialEq)]
struct Parsed {
    options: Vec<(u8, Vec<u8>)>,
    operands: Option<usize>,
    error: Option<String>,
}

/// A model of getopt: one letter at a time.
fn naive(words: &[&CStr]) -> Parsed {
    let mut parsed = Parsed::default();
    let mut place = 1;
    'words: while let Some(word) = words.get(place) {
        let word = word.to_bytes();
        if word.len() < 2 || word[0] != b'-' {
            break;
        }
        place += 1;
        if word[1] == b'-' {
            break;
        }
        for (n, letter) in word.iter().enumerate().skip(1) {
            match letter {
                b'a' | b'b' => parsed.options.push((*letter, vec![])),
                b'v' if n + 1 < word.len() => {
                    parsed.options.push((*letter, word[n + 1..].to_owned()));
                    continue 'words;
                }
                b'v' => {
                    let Some(value) = words.get(place) else {
                        parsed.error = Some("option requires an argument -- v".into());
                        return parsed;
                    };
                    parsed.options.push((*letter, value.to_bytes().to_owned()));
                    place += 1;
                }
                // A dash within a word counts as a letter.
                _ => {
                    let letter = [*letter];
                    let letter = String::from_utf8_lossy(&letter);
                    parsed.error = Some(format!("illegal option -- {letter}"));
                    return parsed;
                }
            }
        }
    }
    parsed.operands = Some(words.len().saturating_sub(place));
    parsed
}

fuzz_target!(|bytes: &[u8]| {
    // Each byte selects a letter; words have up to four.
    let mut words = vec![word(b"/bin/called")];
    for bytes in bytes.split(|byte| byte & 15 == 0).take(10) {
        let letter = |byte: &u8| b"-av-bx-v"[usize::from(byte & 7)];
        let bytes: Vec<u8> = bytes.iter().take(4).map(letter).collect();
        words.push(word(&bytes));
    }
    let mut parsed = Parsed::default();
    let mut options = PROGRAM.options(&words);
    loop {
        match options.next() {
            Ok(Some((letter, value))) => parsed.options.push((letter, value.to_owned())),
            Ok(None) => {
                parsed.operands = Some(options.operands().len());
                break;
            }
            Err(failure) => {
                let message = String::from_utf8(failure.message).unwrap();
                let error = message.strip_prefix("called: ").unwrap();
                let error = error.strip_suffix("\nprog: usage\n").unwrap();
                parsed.error = Some(error.to_owned());
                assert_eq!(u8::from(failure.exit), 100);
                break;
            }
        }
    }
    assert_eq!(parsed, naive(&words), "{words:?}");
});
