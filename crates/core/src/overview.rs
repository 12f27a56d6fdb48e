//! What svps shows: a row for each service, as a table or as JSON.

use std::fmt::Write;

use nix::sys::signal::Signal;

use crate::label::Label;
use crate::sight::Sight;
use crate::state::Stage;
use crate::status::Want;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What is in memory and not of a file.
    pub private: u64,
    /// All that is in memory.
    pub resident: u64,
}

/// A service, or the logger of the one in the row before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The name in the directory that svscan looks at; that of the service for
    /// its logger too.
    pub name: Vec<u8>,
    /// Whether it is the logger.
    pub logger: bool,
    /// What was seen; None if it could not be looked at.
    pub sight: Option<Sight>,
    /// The memory of its process.
    pub memory: Option<Memory>,
}

/// How much a row should stand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Calm,
    Restless,
    Bad,
}

/// A service that has run for fewer seconds may be one that ends and is
/// started again and again.
const SETTLED: u64 = 10;

/// The columns, and whether they are set to the right. In a narrow terminal
/// the last ones are left out.
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

/// The columns that are always shown.
const ESSENTIAL: usize = 4;

impl Row {
    fn state(&self) -> &'static str {
        let Some(sight) = self.sight else {
            return "unknown";
        };
        match (sight.supervised, sight.record) {
            (false, _) => "unsupervised",
            (true, None) => "unknown",
            (true, Some(record)) if record.status.paused => "paused",
            (true, Some(record)) => match record.stage() {
                Stage::Down => "down",
                Stage::Starting => "starting",
                Stage::Up => "up",
                Stage::Ready => "ready",
                Stage::Finish => "finish",
                Stage::Delay => "restarting",
                Stage::Failed => "failed",
            },
        }
    }

    /// Whole seconds since the last change of the pid.
    fn seconds(&self, now: Label) -> Option<u64> {
        let record = self.sight.filter(|sight| sight.supervised)?.record?;
        Some(now.seconds_since(record.status.since))
    }

    /// The process, as long as somebody knows that it is the service's.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        let record = self.sight.filter(|sight| sight.supervised)?.record?;
        record.status.pid.map(nix::unistd::Pid::as_raw)
    }

    fn mood(&self, now: Label) -> Mood {
        match self.state() {
            "failed" | "restarting" | "unknown" | "unsupervised" => Mood::Bad,
            "up" | "ready" if self.seconds(now).is_some_and(|age| age < SETTLED) => Mood::Restless,
            "paused" | "starting" | "finish" => Mood::Restless,
            _ => Mood::Calm,
        }
    }

    fn cells(&self, now: Label) -> [String; COLUMNS.len()] {
        let state = self.sight.and_then(|sight| sight.record?.state);
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let signal = state.and_then(|state| state.signal).map(signal_name);
        let code = state.and_then(|state| state.exit_code);
        let name = if self.logger {
            "  log".to_owned()
        } else {
            shown(&self.name)
        };
        [
            name,
            self.state().to_owned(),
            or_dash(self.pid().map(|pid| pid.to_string())),
            or_dash(self.seconds(now).map(duration)),
            or_dash(
                state
                    .and_then(|state| state.restarts)
                    .map(|number| number.to_string()),
            ),
            or_dash(signal.or(code.map(|code| code.to_string()))),
            or_dash(self.memory.map(|memory| kilobytes(memory.private))),
            or_dash(self.memory.map(|memory| kilobytes(memory.resident))),
        ]
    }
}

/// The table. With `colours`, what is restless or bad stands out; it is made to
/// fit `width` columns, if that is given, as far as the essential goes.
#[must_use]
pub fn table(rows: &[Row], now: Label, colours: bool, width: Option<usize>) -> String {
    let titles = COLUMNS.map(|(title, _)| title.to_owned());
    let cells: Vec<_> = rows
        .iter()
        .map(|row| (row.cells(now), row.mood(now)))
        .collect();
    let mut widths = COLUMNS.map(|_| 0);
    for row in cells.iter().map(|(row, _)| row).chain([&titles]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut number = COLUMNS.len();
    let wide = |number: usize| widths.iter().take(number).sum::<usize>() + 2 * (number - 1);
    while number > ESSENTIAL && width.is_some_and(|width| wide(number) > width) {
        number -= 1;
    }
    let mut text = String::new();
    let mut line = |cells: &[String; COLUMNS.len()], on: &str| {
        let mut padded = String::new();
        let columns = cells.iter().zip(&widths).zip(COLUMNS).take(number);
        for ((cell, &width), (_, right)) in columns {
            let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (before, after) = if right {
                (gap, String::new())
            } else {
                (String::new(), gap)
            };
            padded += &[&before, cell.as_str(), &after, "  "].concat();
        }
        let off = if on.is_empty() { "" } else { "\x1b[0m" };
        let _ = writeln!(text, "{on}{}{off}", padded.trim_end());
    };
    // Of the sixteen colours these are read on dark and on light ground; what
    // is bad is bold as well.
    line(&titles, if colours { "\x1b[1m" } else { "" });
    for (cells, mood) in &cells {
        line(
            cells,
            match mood {
                _ if !colours => "",
                Mood::Calm => "",
                Mood::Restless => "\x1b[33m",
                Mood::Bad => "\x1b[1;31m",
            },
        );
    }
    text
}

/// One object for each row, on a line of its own.
#[must_use]
pub fn json(rows: &[Row], now: Label) -> String {
    rows.iter().map(|row| object(row, now) + "\n").collect()
}

fn object(row: &Row, now: Label) -> String {
    let record = row.sight.and_then(|sight| sight.record);
    let state = record.and_then(|record| record.state);
    let null_or = |number: Option<String>| number.unwrap_or_else(|| "null".to_owned());
    let whole = if row.logger {
        [row.name.as_slice(), b"/log"].concat()
    } else {
        row.name.clone()
    };
    let mut fields = vec![("name", string(&String::from_utf8_lossy(&whole)))];
    if std::str::from_utf8(&whole).is_err() {
        let hexadecimal: Vec<_> = whole.iter().map(|byte| format!("{byte:02x}")).collect();
        let hexadecimal = hexadecimal.concat();
        fields.push(("name_hex", string(&hexadecimal)));
    }
    let want = record.map(|record| match record.status.want {
        Want::Up => "\"up\"".to_owned(),
        Want::Down => "\"down\"".to_owned(),
        Want::Once => "\"once\"".to_owned(),
    });
    let supervised = row.sight.map(|sight| sight.supervised.to_string());
    let unix = |label: Label| label.unix().to_string();
    fields.extend([
        ("logger", row.logger.to_string()),
        ("supervised", null_or(supervised)),
        ("state", string(row.state())),
        ("want", null_or(want)),
        ("pid", null_or(row.pid().map(|pid| pid.to_string()))),
        (
            "since",
            null_or(record.map(|record| unix(record.status.since))),
        ),
        (
            "seconds",
            null_or(row.seconds(now).map(|number| number.to_string())),
        ),
        (
            "ready_since",
            null_or(state.and_then(|state| state.ready_since).map(unix)),
        ),
        (
            "next_start",
            null_or(state.and_then(|state| state.next_start).map(unix)),
        ),
        (
            "restarts",
            null_or(
                state
                    .and_then(|state| state.restarts)
                    .map(|n| n.to_string()),
            ),
        ),
        (
            "exit_code",
            null_or(
                state
                    .and_then(|state| state.exit_code)
                    .map(|n| n.to_string()),
            ),
        ),
        (
            "signal",
            null_or(state.and_then(|state| state.signal).map(|n| n.to_string())),
        ),
        (
            "private_bytes",
            null_or(row.memory.map(|memory| memory.private.to_string())),
        ),
        (
            "rss_bytes",
            null_or(row.memory.map(|memory| memory.resident.to_string())),
        ),
    ]);
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(key, value)| format!("\"{key}\":{value}"))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// A string of JSON. What would end it, or is a control character, is escaped.
fn string(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

/// A name as it can be shown on a terminal: what is not text, or a control
/// character, as `\xNN`.
fn shown(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                escape(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(character);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
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

/// Two units at most: `9s`, `5m09s`, `2h05m`, `3d04h`.
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

/// Whole kilobytes, or megabytes from ten thousand of them on.
fn kilobytes(bytes: u64) -> String {
    match bytes / 1024 {
        few @ 0..10_000 => format!("{few}K"),
        many => format!("{}M", many / 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sight::Record;

    const NOW: i64 = 1_000_000_000;

    fn row(name: &[u8], logger: bool, age: i64, pid: i32, want: u8, state: &str) -> Row {
        let since = Label::from_unix(NOW - age, 0);
        let record = [&since.pack()[..], &pid.to_le_bytes(), &[0, want]].concat();
        let label = String::from_utf8(since.text().to_vec()).unwrap();
        let state = format!("since={label}\n{state}");
        let record = Record::read(&record, Some(state.as_bytes()));
        let memory = (pid != 0).then_some(Memory {
            private: 4096 * 13,
            resident: 20 << 20,
        });
        Row {
            name: name.to_owned(),
            logger,
            sight: Some(Sight {
                supervised: true,
                record,
            }),
            memory,
        }
    }

    fn rows() -> Vec<Row> {
        let mut gone = row(b"gone", false, 5, 9, b'u', "");
        gone.sight = gone.sight.map(|sight| Sight {
            supervised: false,
            ..sight
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

    const PLAIN: &str = "\
SERVICE  STATE         PID    FOR  RESTARTS  EXIT     PRIVATE  RSS
web      ready          17  1d03h         2  SIGKILL      52K  20M
  log    up             18     3s         -  -            52K  20M
moody    restarting      -     1s        31  111            -    -
gone     unsupervised    -      -         -  -              -    -
";

    #[test]
    fn the_table_has_a_row_for_each_service() {
        let now = Label::from_unix(NOW, 0);
        assert_eq!(table(&rows(), now, false, None), PLAIN);
        assert_eq!(table(&rows(), now, false, Some(67)), PLAIN);
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_the_right() {
        let now = Label::from_unix(NOW, 0);
        let first = |width| {
            let text = table(&rows(), now, false, Some(width));
            text.lines().next().unwrap().split_whitespace().count()
        };
        assert_eq!([first(80), first(60), first(50), first(10)], [8, 6, 5, 4]);
    }

    #[test]
    fn what_flaps_or_failed_stands_out() {
        let text = table(&rows(), Label::from_unix(NOW, 0), true, None);
        let colours = text.lines().map(|line| {
            let colour = line
                .strip_prefix("\x1b[")
                .and_then(|rest| rest.split_once('m'));
            assert_eq!(colour.is_some(), line.ends_with("\x1b[0m"));
            colour.map_or("", |(colour, _)| colour)
        });
        assert_eq!(colours.collect::<Vec<_>>(), ["1", "", "33", "1;31", "1;31"]);
    }

    #[test]
    fn names_of_any_bytes_can_be_shown() {
        assert_eq!(
            shown(b"a\x1b[31m\n\xff\xc3\xa4\xc2\x9b"),
            "a\\x1b[31m\\x0a\\xff\u{e4}\\xc2\\x9b"
        );
    }

    #[test]
    fn json_is_one_object_a_line() {
        let now = Label::from_unix(NOW, 0);
        let row = |name: &[u8]| row(name, false, 3, 0, b'd', "state=failed\nexit_code=1\n");
        let rest = "\"logger\":false,\"supervised\":true,\"state\":\"failed\",\"want\":\"down\",\
            \"pid\":null,\"since\":999999997,\"seconds\":3,\"ready_since\":null,\"next_start\":null,\
            \"restarts\":null,\"exit_code\":1,\"signal\":null,\"private_bytes\":null,\"rss_bytes\":null}\n";
        assert_eq!(
            json(&[row(b"a\"\\\n\x7f"), row(b"\xffb")], now),
            format!(
                "{{\"name\":\"a\\\"\\\\\\u000a\\u007f\",{rest}{{\"name\":\"\u{fffd}b\",\"name_hex\":\"ff62\",{rest}"
            )
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
