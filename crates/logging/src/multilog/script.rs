//! The words of multilog's command line.

use std::ffi::CStr;
use std::time::Duration;

use daemontools_core::number::{parse_decimal, scan_decimal};

use crate::multilog::pattern::StarPattern;
use crate::names::Suffix;
use crate::policy::{LogDirConfig, LogPolicy};

/// What to do with every line: actions, carried out in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script<'a> {
    /// Whether each line begins with its time stamp.
    pub stamped: bool,
    /// The actions.
    pub actions: Vec<ScriptAction<'a>>,
}

/// One action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptAction<'a> {
    /// `-PATTERN`: deselect the line if it matches.
    Deselect(StarPattern<'a>),
    /// `+PATTERN`: select the line if it matches.
    Select(StarPattern<'a>),
    /// `e`: print a selected line to standard error.
    Alert,
    /// `=FILE`: keep the last selected line in a file.
    Status(&'a CStr),
    /// `.DIR` or `/DIR`: append selected lines to a log directory.
    Append(&'a CStr, LogDirConfig),
}

/// What is wrong with a word that 0.76 ignores, but that means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptError<'a> {
    /// `R`, followed by what is no number of seconds, or one above
    /// [`GREATEST_AGE`].
    Age(&'a [u8]),
    /// `S`, followed by what is no number of bytes, or one above
    /// [`GREATEST_BYTES`] or below what [`least_bytes`] is for files of this
    /// size.
    Bytes(&'a [u8], usize),
    /// `w`, followed by what is no suffix: see [`Suffix::processed`].
    Suffix(&'a [u8]),
}

/// The greatest number of seconds that `R` takes.
pub const GREATEST_AGE: u64 = u32::MAX as u64;
/// The greatest number of bytes that `S` takes.
pub const GREATEST_BYTES: u64 = i64::MAX as u64;
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
    pub fn parse(words: &[&'a CStr]) -> Result<Self, ScriptError<'a>> {
        let mut actions = Vec::new();
        let mut config = LogPolicy::Multilog.default_config();
        let mut bytes = None;
        for &word in words {
            let Some((letter, _)) = word.to_bytes().split_first() else {
                continue;
            };
            let rest = after_first(word);
            let (scanned, _) = scan_decimal(rest.to_bytes());
            match letter {
                b'-' => actions.push(ScriptAction::Deselect(StarPattern::new(rest.to_bytes()))),
                b'+' => actions.push(ScriptAction::Select(StarPattern::new(rest.to_bytes()))),
                b'e' => actions.push(ScriptAction::Alert),
                b'=' => actions.push(ScriptAction::Status(rest)),
                b'.' | b'/' => {
                    let bytes = bytes.map_or(Ok(None), |bytes| limit(bytes, config.size))?;
                    let config = config.clone();
                    actions.push(ScriptAction::Append(word, LogDirConfig { bytes, ..config }));
                }
                b's' => config.size = number(scanned.clamp(LEAST_SIZE, GREATEST_SIZE)),
                b'n' => config.files = number(scanned.max(LEAST_FILES)),
                b'!' => config.processor = Some(rest.to_owned()),
                b'w' => config.suffix = suffix(rest.to_bytes())?.to_vec(),
                b'R' => config.age = age(rest.to_bytes())?,
                b'S' => {
                    // Files of the least size take any number that is one.
                    limit(rest.to_bytes(), number(LEAST_SIZE))?;
                    bytes = Some(rest.to_bytes());
                }
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

/// The code of what processors make by a word `w`.
fn suffix(suffix: &[u8]) -> Result<&[u8], ScriptError<'_>> {
    let sound = Suffix::processed(suffix).ok_or(ScriptError::Suffix(suffix))?;
    Ok(sound.bytes())
}

/// How old a file becomes by a word `R`; 0 is no limit.
fn age(seconds: &[u8]) -> Result<Option<Duration>, ScriptError<'_>> {
    let age = parse_decimal(seconds).filter(|age| *age <= GREATEST_AGE);
    let age = age.ok_or(ScriptError::Age(seconds))?;
    Ok(Some(Duration::from_secs(age)).filter(|age| !age.is_zero()))
}

/// The least number of bytes that `S` takes for files of a size: `current` and
/// one old file have room.
#[must_use]
pub fn least_bytes(size: usize) -> usize {
    size.saturating_mul(2)
}

/// How many bytes files of a size may have together by a word `S`; 0 is no
/// limit.
fn limit(bytes: &[u8], size: usize) -> Result<Option<usize>, ScriptError<'_>> {
    match parse_decimal(bytes).filter(|bytes| *bytes <= GREATEST_BYTES) {
        Some(0) => Ok(None),
        Some(bytes) if number(bytes) >= least_bytes(size) => Ok(Some(number(bytes))),
        Some(_) | None => Err(ScriptError::Bytes(bytes, size)),
    }
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

    fn config(words: &[&CStr]) -> LogDirConfig {
        let words: Vec<_> = words.iter().copied().chain([c"."]).collect();
        match Script::parse(&words).unwrap().actions.as_slice() {
            [ScriptAction::Append(_, config)] => config.clone(),
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
                ScriptAction::Deselect(StarPattern::new(b"*")),
                ScriptAction::Select(StarPattern::new(b"a*")),
                ScriptAction::Alert,
                ScriptAction::Status(c"status"),
                ScriptAction::Append(c"./main", LogPolicy::Multilog.default_config()),
                ScriptAction::Append(c"/var/log", LogPolicy::Multilog.default_config()),
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
            assert_eq!(config(&[word]).size, size, "{word:?}");
        }
        for (word, files) in [
            (c"n", 2),
            (c"n1", 2),
            (c"n3x", 3),
            (c"n4294967299", 4_294_967_299),
        ] {
            assert_eq!(config(&[word]).files, files, "{word:?}");
        }
        assert_eq!(config(&[]), LogPolicy::Multilog.default_config());
        assert_eq!(config(&[c"s5000", c"s6000"]).size, 6000);
    }

    #[test]
    fn terms_hold_for_the_directories_after_them() {
        let script = Script::parse(&[c".a", c"!gzip", c".b", c"n5", c".c"]).unwrap();
        let config: Vec<_> = script
            .actions
            .iter()
            .map(|action| match action {
                ScriptAction::Append(_, config) => (config.processor.clone(), config.files),
                other => panic!("{other:?}"),
            })
            .collect();
        let gzip = Some(c"gzip".to_owned());
        assert_eq!(config, [(None, 10), (gzip.clone(), 10), (gzip, 5)]);
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
            assert_eq!(config(&[c"R5", word]).age, age, "{word:?}");
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
            assert_eq!(Script::parse(&[word]), Err(ScriptError::Age(seconds)));
        }
    }

    #[test]
    fn a_limit_has_room_for_two_files() {
        for (words, bytes) in [
            (&[c"S199998"][..], Some(199_998)),
            (&[c"S9223372036854775807"], Some(9_223_372_036_854_775_807)),
            (&[c"S8192", c"s4096"], Some(8192)),
            (&[c"s5000", c"S010000"], Some(10_000)),
            (&[c"S199998", c"S0"], None),
            (&[], None),
        ] {
            assert_eq!(config(words).bytes, bytes, "{words:?}");
        }
        for (words, size) in [
            (&[c"S"][..], 4096),
            (&[c"S1M"], 4096),
            (&[c"S-1"], 4096),
            (&[c"S8191"], 4096),
            (&[c"S9223372036854775808"], 4096),
            (&[c"S18446744073709751616"], 4096),
            (&[c"S199997", c"./m"], 99_999),
            (&[c"S8192", c"s4096", c"./m", c"s4097", c"./n"], 4097),
        ] {
            let word = words.iter().find(|word| word.to_bytes()[0] == b'S');
            let bytes = &word.unwrap().to_bytes()[1..];
            let mistake = ScriptError::Bytes(bytes, size);
            assert_eq!(Script::parse(words), Err(mistake), "{words:?}");
        }
    }

    #[test]
    fn a_code_is_what_can_end_a_name() {
        assert_eq!(config(&[c"wgz"]).suffix, b"gz");
        assert_eq!(config(&[c"wgz", c"ws"]).suffix, b"s");
        for word in [c"w", c"wu", c"wt", c"w/", c"w0123456789abcdefg"] {
            let suffix = &word.to_bytes()[1..];
            assert_eq!(Script::parse(&[word]), Err(ScriptError::Suffix(suffix)));
        }
    }
}
