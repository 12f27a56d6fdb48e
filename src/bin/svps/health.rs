//! The check for monitors: one line and an exit status, as of a plugin of Nagios.

use std::fmt::Write;

use cli::display::{Charset, escape};
use daemontools_core::label::Label;
use daemontools_core::state::{CheckResult, ServiceState};

use super::row::{Row, UnreadableFile};

/// The result for a service, from good to bad. A known failure outweighs a service
/// that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    /// As wanted.
    Ok,
    /// Flapping, or waiting for a start, for readiness or for `svc -c`.
    Warning,
    /// Not readable.
    Unknown,
    /// Failed, failing its check, down though wanted up, or without a supervise.
    Critical,
}

impl Health {
    /// The word and the exit status of a plugin.
    fn word(self) -> (&'static str, u8) {
        match self {
            Health::Ok => ("OK", 0),
            Health::Warning => ("WARNING", 1),
            Health::Critical => ("CRITICAL", 2),
            Health::Unknown => ("UNKNOWN", 3),
        }
    }
}

/// The result for all services.
pub(crate) struct Report {
    /// The problems, each with its text, the worst first.
    problems: Vec<(Health, String)>,
    /// The number of services and loggers without a problem.
    well: usize,
}

impl Report {
    /// The report on these rows. A service that is up for less than `min_uptime`
    /// seconds, though perhaps not in its first run, may flap.
    pub(crate) fn of_rows(rows: &[Row], now: Label, min_uptime: u64) -> Self {
        let mut problems: Vec<_> = rows
            .iter()
            .filter_map(|row| problem(row, now, min_uptime))
            .collect();
        let well = rows.len() - problems.len();
        problems.sort_by_key(|(health, _)| std::cmp::Reverse(*health));
        Report { problems, well }
    }

    /// The report on a directory that cannot be read.
    pub(crate) fn of_unreadable(file: &UnreadableFile) -> Self {
        let problems = vec![(Health::Unknown, reason(file))];
        Report { problems, well: 0 }
    }

    fn worst(&self) -> Health {
        self.problems
            .first()
            .map_or(Health::Ok, |(health, _)| *health)
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.worst().word().1
    }

    /// The line. Each problem after the first of its kind stands without the word
    /// of the kind.
    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        let mut last = None;
        for (health, text) in &self.problems {
            let (word, _) = health.word();
            let separator = match last {
                None => format!("{word}: "),
                Some(last) if last == *health => ", ".to_owned(),
                Some(_) => format!("; {word}: "),
            };
            last = Some(*health);
            let _ = write!(line, "{separator}{text}");
        }
        let well = self.well;
        // Writing to a String cannot fail.
        let _ = match (last, well) {
            (None, _) => write!(line, "OK: {well} well"),
            (Some(_), 0) => Ok(()),
            (Some(_), _) => write!(line, "; {well} well"),
        };
        line + "\n"
    }
}

/// The problem of a service, if there is one.
fn problem(row: &Row, now: Label, min_uptime: u64) -> Option<(Health, String)> {
    if let Err(file) = &row.snapshot {
        return Some((Health::Unknown, reason(file)));
    }
    let name = display_name(&row.name);
    let name = if row.logger { name + "/log" } else { name };
    let (health, text) = state_problem(row, now, min_uptime)?;
    Some((health, format!("{name} {text}")))
}

fn state_problem(row: &Row, now: Label, min_uptime: u64) -> Option<(Health, String)> {
    let Some(record) = row.current() else {
        let supervised = row.known().is_some_and(|snapshot| snapshot.supervised);
        return Some(if supervised {
            // supervise has just begun, and writes the record soon.
            (Health::Warning, "has no status yet".to_owned())
        } else {
            (Health::Critical, "is not supervised".to_owned())
        });
    };
    if record.status.paused {
        return Some((Health::Warning, "is paused".to_owned()));
    }
    if row.check().is_some_and(CheckResult::is_failure) {
        return Some((Health::Critical, "fails its check".to_owned()));
    }
    match (record.state(), record.state_file) {
        (ServiceState::Down | ServiceState::Started, _) => None,
        (ServiceState::Starting, _) => Some((Health::Warning, "is up but not ready".to_owned())),
        (ServiceState::Up | ServiceState::Ready, _) => {
            let seconds = row.seconds(now).unwrap_or_default();
            let text = || (Health::Warning, format!("is up for only {seconds} s"));
            row.may_flap(now, min_uptime).then(text)
        }
        (ServiceState::Finish, _) => Some((Health::Warning, "runs finish".to_owned())),
        (ServiceState::Start, _) => Some((Health::Warning, "runs start".to_owned())),
        (ServiceState::Stop, _) => Some((Health::Warning, "runs stop".to_owned())),
        (ServiceState::Delay, Some(state)) => {
            let start = state.next_start.map(|start| start.seconds_since(now));
            let text = match start {
                Some(seconds) => format!("restarts in {seconds} s"),
                None => "waits for its restart".to_owned(),
            };
            Some((Health::Warning, text))
        }
        (ServiceState::Delay, None) => Some((Health::Critical, "is down, want up".to_owned())),
        (ServiceState::Failed, _) => Some((Health::Critical, "has failed".to_owned())),
    }
}

/// A name for one line of a plugin, in which `|` begins other data.
fn display_name(name: &[u8]) -> String {
    escape(name, Charset::Unicode).replace('|', "\\x7c")
}

fn reason(file: &UnreadableFile) -> String {
    let message = file.message(Charset::Unicode);
    String::from_utf8_lossy(&message).replace('|', "\\x7c")
}
