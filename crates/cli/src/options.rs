//! Options as in 0.76's own getopt.
//!
//! Options end before the first word without a leading `-`, before a word `-`,
//! and after a word with a leading `--`, such as `--x`. Letters may share a
//! word. A value follows its letter directly or is the next word.

use std::ffi::CStr;

use crate::program::{Exit, Failure, Program};
use crate::text;

/// One option in the table of a program. The parser uses the table; tests
/// compare the usage line, the manual and the completions with it.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// The letter after the dash.
    pub letter: u8,
    /// The name of the value. None for a flag.
    pub value: Option<&'static str>,
    /// The effect, in a few words.
    pub help: &'static str,
}

/// An option with a value.
pub const fn value(letter: u8, value: &'static str, help: &'static str) -> Opt {
    let value = Some(value);
    Opt {
        letter,
        value,
        help,
    }
}

/// An option without a value.
pub const fn flag(letter: u8, help: &'static str) -> Opt {
    let value = None;
    Opt {
        letter,
        value,
        help,
    }
}

/// An iterator over the options of a command line.
#[derive(Debug)]
pub struct Options<'a> {
    pub(crate) program: &'static Program,
    pub(crate) called: &'a [u8],
    pub(crate) words: &'a [&'static CStr],
    /// The unread letters of the current word.
    pub(crate) letters: &'a [u8],
}

impl<'a> Options<'a> {
    /// As [`Options::read`], with the program's usage line in the failure.
    /// Errors: an unknown letter or a missing value: exit 100.
    #[expect(
        clippy::should_implement_trait,
        reason = "returns a Result of an Option"
    )]
    pub fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Failure> {
        self.read().map_err(|line| Failure {
            exit: Exit::Permanent,
            message: text![line, self.program.usage().message],
        })
    }

    /// The next option: its letter and its value, which is empty for a flag.
    /// None at the first operand. Errors: the error line for an unknown letter
    /// or a missing value.
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
            return Err(self.error_line("illegal option", *letter));
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
            [] => Err(self.error_line("option requires an argument", *letter)),
        }
    }

    /// The words after the options read so far.
    pub fn operands(&self) -> &'a [&'static CStr] {
        self.words
    }

    fn error_line(&self, error: &str, letter: u8) -> Vec<u8> {
        let called = basename(self.called);
        text![called, ": ", error, " -- ", [letter][..], "\n"]
    }
}

/// The last component of a path.
pub fn basename(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    static PROGRAM: Program = Program {
        name: "program",
        usage: "program: usage: program [ -ab ] [ -n number ] word ...",
        options: &[
            flag(b'a', "first"),
            flag(b'b', "second"),
            value(b'n', "number", "third"),
        ],
    };

    /// The options of a command line, each as its letter and its value, and the
    /// operands; or the error line.
    fn parse(words: &[&'static CStr]) -> Result<(Vec<String>, Vec<String>), String> {
        let arguments = [&[c"bin/program"], words].concat();
        let mut options = PROGRAM.options(&arguments);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut seen = Vec::new();
        while let Some((letter, value)) = options.read().map_err(|line| text(&line))? {
            seen.push(format!("{}{}", char::from(letter), text(value)));
        }
        let operands = options.operands().iter();
        Ok((seen, operands.map(|word| text(word.to_bytes())).collect()))
    }

    #[test]
    fn letters_share_a_word_and_values_follow() {
        for (words, options, operands) in [
            (&[][..], &[][..], &[][..]),
            (&[c"x", c"-a"], &[], &["x", "-a"]),
            (&[c"-ab", c"-b", c"x"], &["a", "b", "b"], &["x"]),
            (
                &[c"-n5", c"-an", c"6", c"-n-a"],
                &["n5", "a", "n6", "n-a"],
                &[],
            ),
            (&[c"-n", c"-a", c"--x", c"-b"], &["n-a"], &["-b"]),
            (&[c"-n", c"", c"x"], &["n"], &["x"]),
            (&[c"-a", c"-", c"-b"], &["a"], &["-", "-b"]),
            (&[c"-a", c"", c"-b"], &["a"], &["", "-b"]),
            (&[c"--", c"-b"], &[], &["-b"]),
        ] {
            let seen = parse(words).unwrap();
            assert_eq!(seen.0, options, "{words:?}");
            assert_eq!(seen.1, operands, "{words:?}");
        }
    }

    #[test]
    fn failure_has_error_and_usage() {
        let error = parse(&[c"-ax"]).unwrap_err();
        assert_eq!(error, "program: illegal option -- x\n");
        let error = parse(&[c"-a", c"-n"]).unwrap_err();
        assert_eq!(error, "program: option requires an argument -- n\n");
        let arguments = [c"/bin/program", c"-b", c"-x"];
        let mut options = PROGRAM.options(&arguments);
        assert_eq!(options.next().unwrap(), Some((b'b', &b""[..])));
        let failure = options.next().unwrap_err();
        assert_eq!(failure.exit, Exit::Permanent);
        let message = text!["program: illegal option -- x\n", PROGRAM.usage, "\n"];
        assert_eq!(failure.message, message);
    }

    #[test]
    fn basename_is_the_last_component() {
        for (path, name) in [
            ("svc", "svc"),
            ("/usr/bin/svc", "svc"),
            ("bin/", ""),
            ("", ""),
        ] {
            assert_eq!(basename(path.as_bytes()), name.as_bytes());
        }
    }
}
