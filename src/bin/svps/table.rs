//! Table output.

use std::fmt::Write;

use cli::display::{Charset, escape, shorten, width};
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

/// The width to which a name may be cut for another column.
const SHORT_NAME: usize = 24;

/// The width to which a name may be cut for a required column.
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

/// The properties of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Whether rows have colours.
    pub(crate) colours: bool,
    /// The characters that the output shows.
    pub(crate) charset: Charset,
    /// The width in columns of a terminal. Default: no limit.
    pub(crate) width: Option<usize>,
}

/// The table. It fits the width of the output, unless the required columns are
/// wider.
pub(crate) fn table(rows: &[Row], now: Label, output: Output) -> String {
    let titles = COLUMNS.map(|(title, _)| title.to_owned());
    let mut lines = vec![(titles, BOLD)];
    lines.extend(
        rows.iter()
            .map(|row| (cells(row, now, output.charset), colour(row.state(now).1))),
    );
    let number = fit_columns(&mut lines, output.width.unwrap_or(usize::MAX));
    let widths = widths(&lines);
    let mut text = String::new();
    for (cells, colour) in &lines {
        let mut line = String::new();
        for ((cell, (_, right)), widest) in cells.iter().zip(COLUMNS).zip(widths).take(number) {
            let padding = " ".repeat(widest.saturating_sub(width(cell)));
            line.extend(if right {
                [&padding, cell, "  "]
            } else {
                [cell, &padding, "  "]
            });
        }
        let (on, off) = match *colour {
            colour if output.colours && !colour.is_empty() => (colour, PLAIN),
            _ => ("", ""),
        };
        let _ = writeln!(text, "{on}{}{off}", line.trim_end());
    }
    text
}

/// A line of the table, and its escape sequence.
type Line = ([String; COLUMNS.len()], &'static str);

/// Cuts the names to fit `width`; the number of columns that fit.
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

/// The widths of the columns.
fn widths(lines: &[Line]) -> [usize; COLUMNS.len()] {
    let mut widths = [0; COLUMNS.len()];
    for (cells, _) in lines {
        for (widest, cell) in widths.iter_mut().zip(cells) {
            *widest = width(cell).max(*widest);
        }
    }
    widths
}

fn cells(row: &Row, now: Label, charset: Charset) -> [String; COLUMNS.len()] {
    let state = row.record().and_then(|record| record.state_file);
    let signal = state.and_then(|state| state.signal).map(signal_name);
    let code = state.and_then(|state| state.exit_code);
    let name = if row.logger {
        "  log".to_owned()
    } else {
        escape(&row.name, charset)
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
    use daemontools::ServiceSnapshot;

    fn rows() -> Vec<Row> {
        let mut gone = row(b"gone", false, 5, 9, b'u', "");
        gone.snapshot = gone
            .snapshot
            .map(|snapshot| ServiceSnapshot::new(false, snapshot.record));
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

    fn plain(rows: &[Row], width: Option<usize>) -> String {
        let output = Output {
            colours: false,
            charset: Charset::Unicode,
            width,
        };
        table(rows, Label::from_unix(NOW, 0), output)
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
        assert_eq!(plain(&rows(), None), TABLE);
        assert_eq!(plain(&rows(), Some(67)), TABLE);
    }

    #[test]
    fn narrow_table_drops_last_columns() {
        let first = |width| {
            let text = plain(&rows(), Some(width));
            text.lines().next().unwrap().split_whitespace().count()
        };
        assert_eq!([first(80), first(60), first(50), first(10)], [8, 6, 5, 4]);
    }

    #[test]
    fn narrowest_table_cuts_names() {
        let rows = [row(b"a-very-long-name", false, 3, 7, b'u', "")];
        let lines = "SERVICE      STATE  PID  FOR\na-very-lon~  up       7   3s\n";
        assert_eq!(plain(&rows, Some(28)), lines);
        let lines = "SERVICE   STATE  PID  FOR\na-very-~  up       7   3s\n";
        assert_eq!(plain(&rows, Some(1)), lines);
        // One long name does not drop columns of all rows.
        let rows = [row(&[b'n'; 100], false, 3, 7, b'u', "")];
        let text = plain(&rows, Some(80));
        let longest = text.lines().map(str::len).max();
        assert_eq!((longest, text.contains("RSS")), (Some(80), true), "{text}");
    }

    /// The columns of a terminal before a word, in each line that has it.
    fn starts_of(word: &str, text: &str) -> Vec<usize> {
        let before = |line: &str| line.find(word).map(|at| width(&line[..at]));
        text.lines().filter_map(before).collect()
    }

    #[test]
    fn columns_are_those_of_a_terminal() {
        let names = [
            "web",
            "日本語",
            "e\u{301}te\u{301}",
            "ログ収集サーバ",
            "📦",
            "한",
        ];
        let rows = names.map(|name| row(name.as_bytes(), false, 3, 7, b'u', ""));
        assert_eq!(starts_of(" up ", &plain(&rows, None)), [15; 6]);
        let text = plain(&rows, Some(36));
        assert_eq!(starts_of(" up ", &text), [15; 6], "{text}");
        let text = plain(&rows, Some(27));
        assert_eq!(starts_of(" up ", &text), [10; 6], "{text}");
        assert!(text.contains("\nログ収集~  up"), "{text}");
        let text = plain(&rows, Some(1));
        assert_eq!(starts_of(" up ", &text), [8; 6], "{text}");
        assert!(text.contains("\nログ収~  up"), "{text}");
    }

    #[test]
    fn warning_and_critical_rows_have_colours() {
        let output = Output {
            colours: true,
            charset: Charset::Unicode,
            width: None,
        };
        let text = table(&rows(), Label::from_unix(NOW, 0), output);
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
