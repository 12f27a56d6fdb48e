//! Metrics in the text format of `OpenMetrics`, which Prometheus and the textfile
//! collector of its node exporter read.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use daemontools_core::label::Label;
use daemontools_core::state::StateFile;
use daemontools_core::status::Want;

use super::details::LogDirDetails;
use super::row::{Row, STATES};

/// The age in seconds up to which an exit is recent.
const RECENT: u64 = 3600;

/// A metric family: a name, a type, the unit in the name, a help text, and the
/// samples of a row.
struct Family {
    name: &'static str,
    kind: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    samples: fn(&Row, Label) -> Vec<Sample>,
}

/// A sample: a further label, if any, and the value.
struct Sample {
    label: Option<(&'static str, Vec<u8>)>,
    value: String,
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    samples: fn(&Row, Label) -> Vec<Sample>,
) -> Family {
    Family {
        name,
        kind: "gauge",
        unit: None,
        help,
        samples,
    }
}

impl Family {
    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }
}

/// All families, in order of output.
const FAMILIES: [Family; 17] = [
    gauge("supervise_up", "Whether the service runs.", |row, _| {
        flag(row.is_up())
    }),
    gauge(
        "supervise_supervised",
        "Whether a supervise or runsv runs.",
        |row, _| flag(row.known().map(|snapshot| snapshot.supervised)),
    ),
    gauge(
        "supervise_wanted_up",
        "Whether supervise restarts the service when it exits.",
        |row, _| flag(row.want().map(|want| want == Want::Up)),
    ),
    gauge(
        "supervise_normally_up",
        "Whether supervise starts the service by itself.",
        |row, _| flag(row.details.as_ref().and_then(|details| details.normally_up)),
    ),
    // A `StateSet` in the type that Prometheus' older text format, and so the
    // textfile collector, has for it.
    gauge(
        "supervise_state",
        "The state of the service: 1 for the current one.",
        states,
    ),
    gauge(
        "supervise_start_time_seconds",
        "The time of the last start, while the service runs.",
        |row, _| {
            let status = row.current().filter(|_| row.is_up() == Some(true));
            seconds(status.map(|record| record.status.since))
        },
    )
    .unit("seconds"),
    gauge(
        "supervise_ready_time_seconds",
        "The time at which the service became ready.",
        |row, _| seconds(state(row).and_then(|state| state.ready_since)),
    )
    .unit("seconds"),
    gauge(
        "supervise_next_start_time_seconds",
        "The time of the next start.",
        |row, _| seconds(state(row).and_then(|state| state.next_start)),
    )
    .unit("seconds"),
    Family {
        kind: "counter",
        ..gauge(
            "supervise_restarts",
            "Restarts since the start of supervise.",
            |row, _| number(state(row).and_then(|state| state.restarts)),
        )
    },
    gauge(
        "supervise_deaths_recent",
        "Exits in the last hour, at most 100.",
        recent_deaths,
    ),
    gauge(
        "supervise_last_exit_code",
        "The exit code of the last run, if it exited.",
        |row, _| number(state(row).and_then(|state| state.exit_code)),
    ),
    gauge(
        "supervise_last_signal",
        "The signal that killed the last run, if one did.",
        |row, _| number(state(row).and_then(|state| state.signal)),
    ),
    gauge(
        "supervise_private_memory_bytes",
        "Private memory of the process.",
        |row, _| number(row.memory.map(|memory| memory.private)),
    )
    .unit("bytes"),
    gauge(
        "supervise_resident_memory_bytes",
        "Resident memory of the process.",
        |row, _| number(row.memory.map(|memory| memory.resident)),
    )
    .unit("bytes"),
    gauge(
        "supervise_unreadable",
        "Whether the status cannot be read.",
        |row, _| flag(Some(row.snapshot.is_err())),
    ),
    gauge(
        "supervise_log_bytes",
        "The size of the log files in a directory of the logger.",
        |row, _| logs(row, |log| Some(log.bytes.to_string())),
    )
    .unit("bytes"),
    gauge(
        "supervise_log_last_write_time_seconds",
        "The time of the last write to the current log file.",
        |row, _| logs(row, |log| log.last_write.map(unix_seconds)),
    )
    .unit("seconds"),
];

/// The metrics of all rows. A family without samples is left out.
pub(crate) fn metrics(rows: &[Row], now: Label) -> String {
    let labels: Vec<_> = rows.iter().map(labels).collect();
    let mut text = String::new();
    for family in FAMILIES {
        let Family {
            name,
            kind,
            unit,
            help,
            samples,
        } = family;
        let suffix = if kind == "counter" { "_total" } else { "" };
        let mut lines = String::new();
        for (row, labels) in rows.iter().zip(&labels) {
            for Sample { label, value } in samples(row, now) {
                let _ = write!(lines, "{name}{suffix}{{{labels}");
                if let Some((label, value)) = label {
                    lines.push(',');
                    push_label(&mut lines, label, &value);
                }
                let _ = writeln!(lines, "}} {value}");
            }
        }
        if lines.is_empty() {
            continue;
        }
        let _ = writeln!(text, "# TYPE {name} {kind}");
        if let Some(unit) = unit {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(text, "# HELP {name} {help}");
        text.push_str(&lines);
    }
    text + "# EOF\n"
}

/// The labels of all samples of a row.
fn labels(row: &Row) -> String {
    let mut text = String::new();
    push_label(&mut text, "service", &row.name);
    let _ = write!(text, ",logger=\"{}\"", row.logger);
    text
}

/// Adds a label. Values that differ only in bytes that are not UTF-8 differ in a
/// second label, `NAME_hex`: Prometheus rejects equal samples.
fn push_label(text: &mut String, name: &str, value: &[u8]) {
    let _ = write!(text, "{name}=\"{}\"", escape(value));
    if std::str::from_utf8(value).is_err() {
        let _ = write!(text, ",{name}_hex=\"");
        for byte in value {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('"');
    }
}

/// The value of a label, with escapes for backslashes, quotes and newlines, the
/// only ones in `OpenMetrics`. Bytes that are not UTF-8 become U+FFFD.
fn escape(value: &[u8]) -> String {
    let value = String::from_utf8_lossy(value);
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text
}

fn number(value: Option<impl ToString>) -> Vec<Sample> {
    let sample = |value: String| Sample { label: None, value };
    value
        .map(|value| sample(value.to_string()))
        .into_iter()
        .collect()
}

fn flag(value: Option<bool>) -> Vec<Sample> {
    number(value.map(u8::from))
}

fn seconds(time: Option<Label>) -> Vec<Sample> {
    number(time.map(unix_seconds))
}

/// Unix time with nanoseconds.
fn unix_seconds(time: Label) -> String {
    format!("{}.{:09}", time.unix(), time.nanoseconds())
}

/// The state file of a running supervise -e.
fn state(row: &Row) -> Option<StateFile> {
    row.current()?.state_file
}

/// One sample for each state. The label has the name of the family, as in a
/// `StateSet`.
fn states(row: &Row, now: Label) -> Vec<Sample> {
    if row.current().is_none() {
        return Vec::new();
    }
    let (current, _) = row.state(now);
    let sample = |state: &str| Sample {
        label: Some(("supervise_state", state.into())),
        value: u8::from(state == current).to_string(),
    };
    STATES.into_iter().map(sample).collect()
}

fn recent_deaths(row: &Row, now: Label) -> Vec<Sample> {
    let deaths = row
        .details
        .as_ref()
        .and_then(|details| details.deaths.as_ref());
    // Without a state file, an earlier supervise wrote the tally.
    let deaths = deaths.filter(|_| state(row).is_some());
    number(deaths.map(|deaths| {
        let times = deaths.iter().map(|death| death.when);
        times
            .filter(|when| now.seconds_since(*when) <= RECENT)
            .count()
    }))
}

fn logs(row: &Row, value: impl Fn(&LogDirDetails) -> Option<String>) -> Vec<Sample> {
    let logs = row.details.iter().flat_map(|details| &details.logs);
    let sample = |log: &LogDirDetails| {
        Some(Sample {
            label: Some(("directory", log.path.as_os_str().as_bytes().to_vec())),
            value: value(log)?,
        })
    };
    logs.filter_map(sample).collect()
}
