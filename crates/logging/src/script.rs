//! The words of multilog's command line.

use std::ffi::CStr;
use std::time::Duration;

use cli::number::{scan, whole};

use crate::pattern::Pattern;
use crate::policy::{Policy, Terms};

/// What to do with every line: actions, carried out in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script<'a> {
    /// Whether each line begins with its time stamp.
    pub stamped: bool,
    /// The actions.
    pub actions: Vec<Action<'a>>,
}

/// One action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// `-PATTERN`: deselect the line if it matches.
    Deselect(Pattern<'a>),
    /// `+PATTERN`: select the line if it matches.
    Select(Pattern<'a>),
    /// `e`: print a selected line to standard error.
    Alert,
    /// `=FILE`: keep the last selected line in a file.
    Status(&'a CStr),
    /// `.DIR` or `/DIR`: append selected lines to a log directory.
    Append(&'a CStr, Terms),
}

/// What is wrong with a word that 0.76 ignores, but that means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake<'a> {
    /// `R`, followed by what is no number of seconds, or one above
    /// [`GREATEST_AGE`].
    Age(&'a [u8]),
}

/// The greatest number of seconds that `R` takes.
pub const GREATEST_AGE: u64 = u32::MAX as u64;
/// The bounds of a file's size in bytes; what lies outside is moved in.
const LEAST_SIZE: u64 = 4096;
const GREATEST_SIZE: u64 = 16_777_215;
/// There are always `current` and one old file.
const LEAST_FILES: u64 = 2;

impl<'a> Script<'a> {
    /// Reads the words. Those that mean nothing are ignored.
    ///
    /// # Errors
    /// The first mistake, in one of the words that 0.76 does not have.
    pub fn parse(words: &[&'a CStr]) -> Result<Self, Mistake<'a>> {
        let mut actions = Vec::new();
        let mut terms = Policy::Multilog.terms();
        for &word in words {
            let Some((letter, _)) = word.to_bytes().split_first() else {
                continue;
            };
            let rest = after_first(word);
            let (scanned, _) = scan(rest.to_bytes());
            match letter {
                b'-' => actions.push(Action::Deselect(Pattern::new(rest.to_bytes()))),
                b'+' => actions.push(Action::Select(Pattern::new(rest.to_bytes()))),
                b'e' => actions.push(Action::Alert),
                b'=' => actions.push(Action::Status(rest)),
                b'.' | b'/' => actions.push(Action::Append(word, terms.clone())),
                b's' => terms.size = number(scanned.clamp(LEAST_SIZE, GREATEST_SIZE)),
                b'n' => terms.files = number(scanned.max(LEAST_FILES)),
                b'!' => terms.processor = Some(rest.to_owned()),
                b'R' => terms.age = age(rest.to_bytes())?,
                _ => {}
            }
        }
        Ok(Script {
            stamped: words
                .first()
                .is_some_and(|word| word.to_bytes().starts_with(b"t")),
            actions,
        })
    }
}

/// How old a file becomes by a word `R`; 0 is no limit.
fn age(seconds: &[u8]) -> Result<Option<Duration>, Mistake<'_>> {
    let age = whole(seconds).filter(|age| *age <= GREATEST_AGE);
    let age = age.ok_or(Mistake::Age(seconds))?;
    Ok(Some(Duration::from_secs(age)).filter(|age| !age.is_zero()))
}

/// The word without its first byte.
fn after_first(word: &CStr) -> &CStr {
    let bytes = word.to_bytes_with_nul().get(1..).unwrap_or_default();
    CStr::from_bytes_with_nul(bytes).unwrap_or_default()
}

fn number(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(words: &[&CStr]) -> Terms {
        let words: Vec<_> = words.iter().copied().chain([c"."]).collect();
        match Script::parse(&words).unwrap().actions.as_slice() {
            [Action::Append(_, terms)] => terms.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_word_is_an_action_by_its_first_byte() {
        let words = [
            c"t",
            c"-*",
            c"+a*",
            c"e",
            c"=status",
            c"./main",
            c"/var/log",
        ];
        let script = Script::parse(&words).unwrap();
        assert!(script.stamped);
        assert_eq!(
            script.actions,
            [
                Action::Deselect(Pattern::new(b"*")),
                Action::Select(Pattern::new(b"a*")),
                Action::Alert,
                Action::Status(c"status"),
                Action::Append(c"./main", Policy::Multilog.terms()),
                Action::Append(c"/var/log", Policy::Multilog.terms()),
            ]
        );
    }

    #[test]
    fn t_counts_as_the_first_word_alone() {
        let stamped = |words: &[&'static CStr]| Script::parse(words).unwrap().stamped;
        assert!(stamped(&[c"tai"]));
        assert!(!stamped(&[c"e", c"t"]));
        assert!(!stamped(&[c"", c"t"]));
        assert!(!stamped(&[]));
    }

    #[test]
    fn what_means_nothing_is_ignored() {
        let script = Script::parse(&[c"", c"x", c"main", c"7", c"r5", c"W"]);
        assert_eq!(script.unwrap().actions, []);
    }

    #[test]
    fn sizes_and_numbers_stay_within_bounds() {
        for (word, size) in [
            (c"s", 4096),
            (c"s4095", 4096),
            (c"s5000k", 5000),
            (c"s16777216", 16_777_215),
        ] {
            assert_eq!(terms(&[word]).size, size, "{word:?}");
        }
        for (word, files) in [
            (c"n", 2),
            (c"n1", 2),
            (c"n3x", 3),
            (c"n4294967299", 4_294_967_299),
        ] {
            assert_eq!(terms(&[word]).files, files, "{word:?}");
        }
        assert_eq!(terms(&[]), Policy::Multilog.terms());
        assert_eq!(terms(&[c"s5000", c"s6000"]).size, 6000);
    }

    #[test]
    fn terms_hold_for_the_directories_after_them() {
        let script = Script::parse(&[c".a", c"!gzip", c".b", c"n5", c".c"]).unwrap();
        let terms: Vec<_> = script
            .actions
            .iter()
            .map(|action| match action {
                Action::Append(_, terms) => (terms.processor.clone(), terms.files),
                other => panic!("{other:?}"),
            })
            .collect();
        let gzip = Some(c"gzip".to_owned());
        assert_eq!(terms, [(None, 10), (gzip.clone(), 10), (gzip, 5)]);
    }

    #[test]
    fn an_age_is_a_number_of_seconds_within_bounds() {
        for (word, seconds) in [
            (c"R1", Some(1)),
            (c"R086400", Some(86_400)),
            (c"R4294967295", Some(4_294_967_295)),
            (c"R0", None),
        ] {
            let age = seconds.map(Duration::from_secs);
            assert_eq!(terms(&[c"R5", word]).age, age, "{word:?}");
        }
        for word in [
            c"R",
            c"Rx",
            c"R1d",
            c"R-1",
            c"R 1",
            c"R4294967296",
            c"R18446744073709551617",
        ] {
            let seconds = &word.to_bytes()[1..];
            assert_eq!(Script::parse(&[word]), Err(Mistake::Age(seconds)));
        }
    }
}
