//! Table output.

use std::fmt::Write;

use daemontools_core::label::Label;
use nix::sys::signal::Signal;

use super::row::{Row, Severity};

/// The columns, and whether they are right-aligned. A narrow terminal drops the
/// last ones.
const COLUMNS: [(&str, bool); 8] = [
    ("SERVICE", false),
    ("STATE", false),
    ("PID", true),
    ("FOR", true),
    ("RESTARTS", true),
    ("EXIT", false),
    ("PRIVATE", true),
    ("RSS", true),
];

/// The number of columns that are never dropped.
const REQUIRED_COLUMNS: usize = 4;

/// The characters to which a name may be cut for another column.
const SHORT_NAME: usize = 24;

/// The characters to which a name may be cut for a required column.
const SHORTEST_NAME: usize = 8;

/// The colour of a row. Of the eight colours, red and magenta are readable on
/// dark and light backgrounds; yellow is not.
fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Normal => "",
        Severity::Warning => "\x1b[35m",
        Severity::Critical => "\x1b[1;31m",
    }
}

const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// The table, with or without colours. It fits `width` characters, unless the
/// required columns are wider. Default: no limit.
pub(crate) fn table(rows: &[Row], now: Label, colours: bool, width: Option<usize>) -> String {
    let titles = COLUMNS.map(|(title, _)| title.to_owned());
    let mut lines = vec![(titles, BOLD)];
    lines.extend(
        rows.iter()
            .map(|row| (cells(row, now), colour(row.state(now).1))),
    );
    let number = fit_columns(&mut lines, width.unwrap_or(usize::MAX));
    let widths = widths(&lines);
    let mut text = String::new();
    for (cells, colour) in &lines {
        let mut line = String::new();
        for ((cell, (_, right)), width) in cells.iter().zip(COLUMNS).zip(widths).take(number) {
            // Writing to a String cannot fail.
            let _ = if right {
                write!(line, "{cell:>width$}  ")
            } else {
                write!(line, "{cell:<width$}  ")
            };
        }
        let (on, off) = match *colour {
            colour if colours && !colour.is_empty() => (colour, PLAIN),
            _ => ("", ""),
        };
        let _ = writeln!(text, "{on}{}{off}", line.trim_end());
    }
    text
}

/// A line of the table, and its escape sequence.
type Line = ([String; COLUMNS.len()], &'static str);

/// Cuts the names to fit `width` characters; the number of columns that fit.
fn fit_columns(lines: &mut [Line], width: usize) -> usize {
    let widths = widths(lines);
    let [longest, ..] = widths;
    // Two spaces separate columns.
    let wide = |number: usize| widths.iter().take(number).sum::<usize>() + 2 * (number - 1);
    let least = |number| wide(number) - longest + longest.min(SHORT_NAME);
    let fitting = (REQUIRED_COLUMNS..=COLUMNS.len()).rfind(|number| least(*number) <= width);
    let number = fitting.unwrap_or(REQUIRED_COLUMNS);
    let room = longest.saturating_sub(wide(number).saturating_sub(width));
    for ([name, ..], _) in lines {
        shorten(name, room.max(SHORTEST_NAME));
    }
    number
}

/// Cuts a name to `max` characters, with `~` at the end.
fn shorten(name: &mut String, max: usize) {
    if name.chars().count() > max {
        *name = name.chars().take(max.saturating_sub(1)).collect();
        name.push('~');
    }
}

/// The widths of the columns, in characters.
fn widths(lines: &[Line]) -> [usize; COLUMNS.len()] {
    let mut widths = [0; COLUMNS.len()];
    for (cells, _) in lines {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    widths
}

fn cells(row: &Row, now: Label) -> [String; COLUMNS.len()] {
    let state = row.record().and_then(|record| record.state_file);
    let signal = state.and_then(|state| state.signal).map(signal_name);
    let code = state.and_then(|state| state.exit_code);
    let name = if row.logger {
        "  log".to_owned()
    } else {
        escape_for_terminal(&row.name)
    };
    [
        name,
        row.state(now).0.to_owned(),
        or_dash(row.pid()),
        or_dash(row.seconds(now).map(duration)),
        or_dash(state.and_then(|state| state.restarts)),
        or_dash(signal.or(code.map(|code| code.to_string()))),
        or_dash(row.memory.map(|memory| kilobytes(memory.private))),
        or_dash(row.memory.map(|memory| kilobytes(memory.resident))),
    ]
}

/// The value; a dash if unknown.
fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A name with `\xNN` for bytes that are not UTF-8, and for control and
/// invisible characters.
pub(crate) fn escape_for_terminal(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || is_invisible(character) {
                escape(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(character);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

/// Whether a character is invisible, or changes the direction of others.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "\\x{byte:02x}");
    }
}

fn signal_name(number: u8) -> String {
    Signal::try_from(i32::from(number)).map_or_else(
        |_| format!("signal {number}"),
        |signal| signal.as_str().to_owned(),
    )
}

/// At most two units: `9s`, `5m09s`, `2h05m`, `3d04h`.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days}d{:02}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h{:02}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// Kilobytes up to 9999, then megabytes, rounded down.
fn kilobytes(bytes: u64) -> String {
    match bytes / 1024 {
        few @ 0..10_000 => format!("{few}K"),
        many => format!("{}M", many / 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::{NOW, row};
    use super::*;
    use supervision::client::ServiceSnapshot;

    fn rows() -> Vec<Row> {
        let mut gone = row(b"gone", false, 5, 9, b'u', "");
        gone.snapshot = gone.snapshot.map(|snapshot| ServiceSnapshot {
            supervised: false,
            ..snapshot
        });
        gone.memory = None;
        vec![
            row(
                b"web",
                false,
                100_000,
                17,
                b'u',
                "state=ready\nrestarts=2\nsignal=9\n",
            ),
            row(b"web", true, 3, 18, b'u', ""),
            row(
                b"moody",
                false,
                1,
                0,
                b'u',
                "state=delay\nrestarts=31\nexit_code=111\n",
            ),
            gone,
        ]
    }

    const TABLE: &str = "\
SERVICE  STATE         PID    FOR  RESTARTS  EXIT     PRIVATE  RSS
web      ready          17  1d03h         2  SIGKILL      52K  20M
  log    up             18     3s         -  -            52K  20M
moody    restarting      -     1s        31  111            -    -
gone     unsupervised    -      -         -  -              -    -
";

    #[test]
    fn table_has_a_row_for_each_service() {
        let now = Label::from_unix(NOW, 0);
        assert_eq!(table(&rows(), now, false, None), TABLE);
        assert_eq!(table(&rows(), now, false, Some(67)), TABLE);
    }

    #[test]
    fn narrow_table_drops_last_columns() {
        let now = Label::from_unix(NOW, 0);
        let first = |width| {
            let text = table(&rows(), now, false, Some(width));
            text.lines().next().unwrap().split_whitespace().count()
        };
        assert_eq!([first(80), first(60), first(50), first(10)], [8, 6, 5, 4]);
    }

    #[test]
    fn narrowest_table_cuts_names() {
        let now = Label::from_unix(NOW, 0);
        let rows = [row(b"a-very-long-name", false, 3, 7, b'u', "")];
        let lines = "SERVICE      STATE  PID  FOR\na-very-lon~  up       7   3s\n";
        assert_eq!(table(&rows, now, false, Some(28)), lines);
        let lines = "SERVICE   STATE  PID  FOR\na-very-~  up       7   3s\n";
        assert_eq!(table(&rows, now, false, Some(1)), lines);
        // One long name does not drop columns of all rows.
        let rows = [row(&[b'n'; 100], false, 3, 7, b'u', "")];
        let text = table(&rows, now, false, Some(80));
        let longest = text.lines().map(str::len).max();
        assert_eq!((longest, text.contains("RSS")), (Some(80), true), "{text}");
    }

    #[test]
    fn warning_and_critical_rows_have_colours() {
        let text = table(&rows(), Label::from_unix(NOW, 0), true, None);
        let colours = text.lines().map(|line| {
            let colour = line
                .strip_prefix("\x1b[")
                .and_then(|rest| rest.split_once('m'));
            assert_eq!(colour.is_some(), line.ends_with("\x1b[0m"));
            colour.map_or("", |(colour, _)| colour)
        });
        assert_eq!(colours.collect::<Vec<_>>(), ["1", "", "35", "1;31", "1;31"]);
    }

    #[test]
    fn unprintable_bytes_are_escaped() {
        assert_eq!(
            escape_for_terminal(b"a\x1b[31m\n\xff\xc3\xa4\xc2\x9b\xe2\x80\xae"),
            "a\\x1b[31m\\x0a\\xff\u{e4}\\xc2\\x9b\\xe2\\x80\\xae"
        );
    }

    #[test]
    fn durations_have_two_units() {
        let shown = [0, 59, 60, 3599, 3600, 86_399, 86_400, 360_000].map(duration);
        assert_eq!(
            shown,
            [
                "0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d00h", "4d04h"
            ]
        );
        assert_eq!(
            [0, 10_239_999, 10_240_000].map(kilobytes),
            ["0K", "9999K", "9M"]
        );
    }
}
