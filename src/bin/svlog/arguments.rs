//! The command line of svlog.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use cli::{Exit, Failure, text};
use daemontools_core::label::Label;
use daemontools_core::number::parse_decimal;
use logging::tai64::LocalZone;
use reader::{LineStyle, Pattern, RangeEnd, Selection, TIME_FORMS, TimeRange, parse_time};

use super::SVLOG;

/// The default of -n with -f.
const LINES_BEFORE: u64 = 10;

/// The options and operands.
pub(crate) struct Arguments<'a> {
    /// Wait for further lines.
    pub(crate) follows: bool,
    /// The last lines to print; None: all.
    pub(crate) last: Option<u64>,
    /// The lines to print.
    pub(crate) selection: Selection,
    pub(crate) style: LineStyle,
    /// The file with the place of the last run.
    pub(crate) cursor: Option<PathBuf>,
    pub(crate) operands: &'a [&'static CStr],
}

impl<'a> Arguments<'a> {
    /// Parses the command line. Times are relative to now and to `zone`. None: -V.
    /// Failure: wrong usage, or a value that has no meaning, with exit status 100.
    pub(crate) fn parse(
        arguments: &'a [&'static CStr],
        zone: &LocalZone,
    ) -> Result<Option<Self>, Failure> {
        let (mut follows, mut inverts) = (false, false);
        let (mut last, mut pattern, mut cursor) = (None, None, None);
        let mut range = TimeRange::default();
        let mut style = LineStyle::Local;
        let now = Label::now();
        let time = |end, text| parse_time(text, end, now, zone).ok_or_else(|| no_time(text));
        let mut options = SVLOG.options(arguments);
        while let Some((letter, value)) = options.next()? {
            match letter {
                b'f' => follows = true,
                b'n' => last = Some(parse_decimal(value).ok_or_else(|| no_number(value))?),
                b's' => range.since = Some(time(RangeEnd::Since, value)?),
                b'u' => range.until = Some(time(RangeEnd::Until, value)?),
                b'g' => pattern = Some(value),
                b'v' => inverts = true,
                b'l' => style = LineStyle::Local,
                b'U' => style = LineStyle::Utc,
                b'r' => style = LineStyle::Raw,
                b'j' => style = LineStyle::Json,
                b'V' => return Ok(None),
                _ => cursor = Some(PathBuf::from(OsStr::from_bytes(value))),
            }
        }
        let operands = options.operands();
        // Lines after the end of a range never come. Without a pattern, -v selects
        // nothing. -n would skip lines that the cursor promises.
        let contradicts = follows && range.until.is_some()
            || inverts && pattern.is_none()
            || cursor.is_some() && last.is_some();
        if operands.is_empty() || contradicts {
            return Err(SVLOG.usage());
        }
        if follows && cursor.is_none() && range.since.is_none() {
            last = last.or(Some(LINES_BEFORE));
        }
        let pattern = pattern
            .map(|text| parse_pattern(text, inverts))
            .transpose()?;
        Ok(Some(Arguments {
            follows,
            last,
            selection: Selection::new(range, pattern),
            style,
            cursor,
            operands,
        }))
    }
}

fn parse_pattern(text: &[u8], inverts: bool) -> Result<Pattern, Failure> {
    Pattern::new(text, inverts)
        .map_err(|error| no_meaning(text!["bad pattern ", text, ": ", error.0]))
}

fn no_number(value: &[u8]) -> Failure {
    no_meaning(text!["bad number of lines: ", value])
}

fn no_time(value: &[u8]) -> Failure {
    no_meaning(text!["bad time: ", value, "; known are ", TIME_FORMS])
}

/// A failure for a value that another call cannot give a meaning either.
fn no_meaning(problem: Vec<u8>) -> Failure {
    Failure {
        exit: Exit::Permanent,
        ..SVLOG.fatal_msg(problem)
    }
}
