//! Options as the original's own getopt reads them.
//!
//! They stop at the first word that does not begin with `-`; a word that begins
//! with `--`, whatever follows, ends them and is skipped; a lone `-` ends them
//! and is not skipped. Letters bundle, and a value is attached to its letter or
//! is the next word.

use std::ffi::CStr;

use crate::program::{Exit, Failure, Program};
use crate::text;

/// One option of a program: the parser, the usage line and the manual speak
/// of the same table.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// The letter after the dash.
    pub letter: u8,
    /// What the value is called, if the option takes one.
    pub value: Option<&'static str>,
    /// What it does, in a few words.
    pub help: &'static str,
}

/// An option that takes a value.
#[must_use]
pub const fn value(letter: u8, value: &'static str, help: &'static str) -> Opt {
    let value = Some(value);
    Opt {
        letter,
        value,
        help,
    }
}

/// An option that takes none.
#[must_use]
pub const fn flag(letter: u8, help: &'static str) -> Opt {
    let value = None;
    Opt {
        letter,
        value,
        help,
    }
}

/// The options of a command line, one after the other.
#[derive(Debug)]
pub struct Options<'a> {
    program: &'static Program,
    called: &'a [u8],
    words: &'a [&'static CStr],
    /// What is left of a word of bundled letters.
    letters: &'a [u8],
}

impl<'a> Options<'a> {
    /// Reads `arguments`, the program's name first.
    #[must_use]
    pub fn new(program: &'static Program, arguments: &'a [&'static CStr]) -> Self {
        let (called, words) = match arguments {
            [called, words @ ..] => (called.to_bytes(), words),
            [] => (&b""[..], arguments),
        };
        Options {
            program,
            called,
            words,
            letters: b"",
        }
    }

    /// The next option, as [`Options::read`] has it.
    ///
    /// # Errors
    /// A letter that is not an option, or lacks its value: the failure says
    /// so and how the program is used.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator's item could not borrow so"
    )]
    pub fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Failure> {
        self.read().map_err(|complaint| Failure {
            exit: Exit::Permanent,
            message: text![complaint, self.program.usage().message],
        })
    }

    /// The next option: its letter and its value, which is empty for options
    /// that take none. None where the operands begin.
    ///
    /// # Errors
    /// The line that says which letter is not an option, or lacks its value.
    pub fn read(&mut self) -> Result<Option<(u8, &'a [u8])>, Vec<u8>> {
        if self.letters.is_empty() {
            match self.words {
                [word, rest @ ..] => match word.to_bytes() {
                    [b'-', b'-', ..] => {
                        self.words = rest;
                        return Ok(None);
                    }
                    [b'-', letters @ ..] if !letters.is_empty() => {
                        self.letters = letters;
                        self.words = rest;
                    }
                    _ => return Ok(None),
                },
                [] => return Ok(None),
            }
        }
        let [letter, rest @ ..] = self.letters else {
            return Ok(None);
        };
        self.letters = rest;
        let option = self
            .program
            .options
            .iter()
            .find(|option| option.letter == *letter);
        let Some(option) = option else {
            return Err(self.bad("illegal option", *letter));
        };
        if option.value.is_none() {
            return Ok(Some((*letter, b"")));
        }
        if !self.letters.is_empty() {
            return Ok(Some((*letter, std::mem::take(&mut self.letters))));
        }
        match self.words {
            [value, rest @ ..] => {
                self.words = rest;
                Ok(Some((*letter, value.to_bytes())))
            }
            [] => Err(self.bad("option requires an argument", *letter)),
        }
    }

    /// The words after the options that were read.
    #[must_use]
    pub fn operands(&self) -> &'a [&'static CStr] {
        self.words
    }

    fn bad(&self, complaint: &str, letter: u8) -> Vec<u8> {
        let called = basename(self.called);
        text![called, ": ", complaint, " -- ", [letter][..], "\n"]
    }
}

/// What a program is called as without the directories before it.
#[must_use]
pub fn basename(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}
