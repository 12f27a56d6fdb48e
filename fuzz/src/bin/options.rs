//! Command lines: which options they have, and where their operands begin.
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
    /// Arguments live for ever; there are few, and each is made once.
    static WORDS: RefCell<HashMap<Vec<u8>, &'static CStr>> = RefCell::default();
}

fn word(bytes: &[u8]) -> &'static CStr {
    WORDS.with_borrow_mut(|words| {
        let made = || &*Box::leak(CString::new(bytes).unwrap().into_boxed_c_str());
        *words.entry(bytes.to_owned()).or_insert_with(made)
    })
}

/// What a command line says: its options with their values, and how many
/// words are operands, or the letter that is wrong and how.
#[derive(Debug, Default, PartialEq)]
struct Said {
    options: Vec<(u8, Vec<u8>)>,
    operands: Option<usize>,
    wrong: Option<String>,
}

/// As getopt was described in 1990, a letter at a time.
fn naive(words: &[&CStr]) -> Said {
    let mut said = Said::default();
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
                b'a' | b'b' => said.options.push((*letter, vec![])),
                b'v' if n + 1 < word.len() => {
                    said.options.push((*letter, word[n + 1..].to_owned()));
                    continue 'words;
                }
                b'v' => {
                    let Some(value) = words.get(place) else {
                        said.wrong = Some("option requires an argument -- v".into());
                        return said;
                    };
                    said.options.push((*letter, value.to_bytes().to_owned()));
                    place += 1;
                }
                // A dash within a word of letters is a letter like others.
                _ => {
                    let letter = [*letter];
                    let letter = String::from_utf8_lossy(&letter);
                    said.wrong = Some(format!("illegal option -- {letter}"));
                    return said;
                }
            }
        }
    }
    said.operands = Some(words.len().saturating_sub(place));
    said
}

fuzz_target!(|bytes: &[u8]| {
    // Words of up to four of these bytes.
    let mut words = vec![word(b"/bin/called")];
    for bytes in bytes.split(|byte| byte & 15 == 0).take(10) {
        let letter = |byte: &u8| b"-av-bx-v"[usize::from(byte & 7)];
        let bytes: Vec<u8> = bytes.iter().take(4).map(letter).collect();
        words.push(word(&bytes));
    }
    let mut said = Said::default();
    let mut options = PROGRAM.options(&words);
    loop {
        match options.next() {
            Ok(Some((letter, value))) => said.options.push((letter, value.to_owned())),
            Ok(None) => {
                said.operands = Some(options.operands().len());
                break;
            }
            Err(failure) => {
                let message = String::from_utf8(failure.message).unwrap();
                let wrong = message.strip_prefix("called: ").unwrap();
                let wrong = wrong.strip_suffix("\nprog: usage\n").unwrap();
                said.wrong = Some(wrong.to_owned());
                assert_eq!(u8::from(failure.exit), 100);
                break;
            }
        }
    }
    assert_eq!(said, naive(&words), "{words:?}");
});
