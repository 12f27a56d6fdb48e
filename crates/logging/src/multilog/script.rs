//! The command line of multilog.

use std::ffi::CStr;
use std::time::Duration;

use daemontools_core::number::{parse_decimal, scan_decimal};
use memchr::memchr;

use crate::multilog::pattern::StarPattern;
use crate::names::Suffix;
use crate::policy::{LogDirConfig, LogPolicy};

/// The actions for each line, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script<'a> {
    /// Whether each line gets a label.
    pub stamped: bool,
    /// The actions.
    pub actions: Vec<ScriptAction<'a>>,
}

/// An action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptAction<'a> {
    /// `-PATTERN`: deselect the line if it matches.
    Deselect(StarPattern<'a>),
    /// `+PATTERN`: select the line if it matches.
    Select(StarPattern<'a>),
    /// `e`: print a selected line to standard error.
    Alert,
    /// `=FILE`: store the latest selected line in a file.
    Status(&'a CStr),
    /// `pPREFIX`: put a prefix before each line of the following actions.
    Prefix(&'a [u8]),
    /// `1`: print a selected line to standard output.
    Print,
    /// `.DIR` or `/DIR`: append selected lines to a log directory.
    Append(&'a CStr, LogDirConfig),
}

/// An invalid argument. 0.76 has none of these arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptError<'a> {
    /// `R` without a number of seconds up to [`MAX_AGE`].
    Age(&'a [u8]),
    /// `S` without a number of bytes from [`min_bytes`] for files of this size
    /// up to [`MAX_BYTES`].
    Bytes(&'a [u8], u64),
    /// `w` without a valid suffix: see [`Suffix::processed`].
    Suffix(&'a [u8]),
    /// `p` with a newline, which would divide each line.
    Prefix,
}

/// The maximum of `R`, in seconds.
pub const MAX_AGE: u64 = u32::MAX as u64;
/// The maximum of `S`, in bytes.
pub const MAX_BYTES: u64 = i64::MAX as u64;
/// The limits of `s`, in bytes. As in 0.76, other numbers are clamped.
const MIN_SIZE: u64 = 4096;
const MAX_SIZE: u64 = 16_777_215;
/// The minimum of `n`: `current` and one old file.
const MIN_FILES: u64 = 2;

impl<'a> Script<'a> {
    /// Parses the arguments. As in 0.76, unknown ones are ignored.
    ///
    /// # Errors
    /// The first invalid argument.
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
                b'p' => actions.push(ScriptAction::Prefix(parse_prefix(rest.to_bytes())?)),
                b'1' if rest.is_empty() => actions.push(ScriptAction::Print),
                b'.' | b'/' => {
                    let bytes = bytes.map_or(Ok(None), |bytes| parse_limit(bytes, config.size))?;
                    let config = config.clone();
                    actions.push(ScriptAction::Append(word, LogDirConfig { bytes, ..config }));
                }
                b's' => config.size = scanned.clamp(MIN_SIZE, MAX_SIZE),
                b'n' => config.files = to_usize(scanned.max(MIN_FILES)),
                b'!' => config.processor = Some(rest.to_owned()),
                b'w' => config.suffix = parse_suffix(rest.to_bytes())?.to_vec(),
                b'R' => config.age = parse_age(rest.to_bytes())?,
                b'S' => {
                    // The minimum for the smallest files rejects invalid numbers early.
                    parse_limit(rest.to_bytes(), MIN_SIZE)?;
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

    /// Whether lines are printed to standard output.
    #[must_use]
    pub fn prints(&self) -> bool {
        self.actions.contains(&ScriptAction::Print)
    }

    /// Whether the script has no destination for lines but standard output.
    #[must_use]
    pub fn only_prints(&self) -> bool {
        self.prints()
            && self.actions.iter().all(|action| match action {
                ScriptAction::Deselect(_)
                | ScriptAction::Select(_)
                | ScriptAction::Prefix(_)
                | ScriptAction::Print => true,
                ScriptAction::Alert | ScriptAction::Status(_) | ScriptAction::Append(..) => false,
            })
    }
}

/// The prefix in an argument `p`.
fn parse_prefix(prefix: &[u8]) -> Result<&[u8], ScriptError<'_>> {
    match memchr(b'\n', prefix) {
        None => Ok(prefix),
        Some(_) => Err(ScriptError::Prefix),
    }
}

/// The suffix of processed files in an argument `w`.
fn parse_suffix(suffix: &[u8]) -> Result<&[u8], ScriptError<'_>> {
    let valid = Suffix::processed(suffix).ok_or(ScriptError::Suffix(suffix))?;
    Ok(valid.bytes())
}

/// The age limit in an argument `R`. 0 disables the limit.
fn parse_age(seconds: &[u8]) -> Result<Option<Duration>, ScriptError<'_>> {
    let age = parse_decimal(seconds).filter(|age| *age <= MAX_AGE);
    let age = age.ok_or(ScriptError::Age(seconds))?;
    Ok(Some(Duration::from_secs(age)).filter(|age| !age.is_zero()))
}

/// The minimum of `S` for files of a size: `current` and one old file.
#[must_use]
pub fn min_bytes(size: u64) -> u64 {
    size.saturating_mul(2)
}

/// The limit for the total size in an argument `S`. 0 disables the limit.
fn parse_limit(bytes: &[u8], size: u64) -> Result<Option<u64>, ScriptError<'_>> {
    match parse_decimal(bytes).filter(|bytes| *bytes <= MAX_BYTES) {
        Some(0) => Ok(None),
        Some(bytes) if bytes >= min_bytes(size) => Ok(Some(bytes)),
        Some(_) | None => Err(ScriptError::Bytes(bytes, size)),
    }
}

/// The argument without its first byte.
fn after_first(word: &CStr) -> &CStr {
    let bytes = word.to_bytes_with_nul().get(1..).unwrap_or_default();
    CStr::from_bytes_with_nul(bytes).unwrap_or_default()
}

fn to_usize(number: u64) -> usize {
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
    fn first_byte_selects_the_action() {
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
    fn t_counts_as_first_argument_only() {
        let stamped = |words: &[&'static CStr]| Script::parse(words).unwrap().stamped;
        assert!(stamped(&[c"tai"]));
        assert!(!stamped(&[c"e", c"t"]));
        assert!(!stamped(&[c"", c"t"]));
        assert!(!stamped(&[]));
    }

    #[test]
    fn prefix_and_standard_output_are_actions() {
        let script = Script::parse(&[c"pweb: ", c"1", c"p", c"./m"]).unwrap();
        assert_eq!(
            script.actions,
            [
                ScriptAction::Prefix(b"web: "),
                ScriptAction::Print,
                ScriptAction::Prefix(b""),
                ScriptAction::Append(c"./m", LogPolicy::Multilog.default_config()),
            ]
        );
        assert!(script.prints() && !script.only_prints());
        assert_eq!(Script::parse(&[c"1", c"pa\n"]), Err(ScriptError::Prefix));
        let script = Script::parse(&[c"t", c"px", c"1", c"-a*"]).unwrap();
        assert!(script.only_prints());
        assert!(!Script::parse(&[c"-a*"]).unwrap().only_prints());
    }

    #[test]
    fn unknown_arguments_are_ignored() {
        let words = [c"", c"x", c"main", c"7", c"r5", c"W", c"10", c"1x"];
        let script = Script::parse(&words);
        assert_eq!(script.unwrap().actions, []);
    }

    #[test]
    fn sizes_and_numbers_are_clamped() {
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
            (c"n4294967299", to_usize(4_294_967_299)),
        ] {
            assert_eq!(config(&[word]).files, files, "{word:?}");
        }
        assert_eq!(config(&[]), LogPolicy::Multilog.default_config());
        assert_eq!(config(&[c"s5000", c"s6000"]).size, 6000);
    }

    #[test]
    fn settings_apply_to_later_directories() {
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
    fn age_is_a_number_of_seconds_within_limits() {
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
    fn total_limit_admits_two_files() {
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
            let error = ScriptError::Bytes(bytes, size);
            assert_eq!(Script::parse(words), Err(error), "{words:?}");
        }
    }

    #[test]
    fn suffix_must_be_valid_in_a_name() {
        assert_eq!(config(&[c"wgz"]).suffix, b"gz");
        assert_eq!(config(&[c"wgz", c"ws"]).suffix, b"s");
        for word in [c"w", c"wu", c"wt", c"w/", c"w0123456789abcdefg"] {
            let suffix = &word.to_bytes()[1..];
            assert_eq!(Script::parse(&[word]), Err(ScriptError::Suffix(suffix)));
        }
    }
}
