//! The line that svstat prints for a service, after the name.

use std::fmt;

use crate::label::Label;
use crate::state::{ServiceState, StateFile};
use crate::status::{Status, Want};

/// `up (pid 123) 4 seconds, …` or `down 5 seconds, …`.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub struct StatusLine {
    /// The status record.
    pub status: Status,
    /// Whether the service directory lacks the file `down`.
    pub normally_up: bool,
    /// The state file that belongs to the record.
    pub state: Option<StateFile>,
    /// The current time. A later change counts as 0 seconds old.
    pub now: Label,
}

impl fmt::Display for StatusLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StatusLine {
            status,
            normally_up,
            state,
            now,
        } = *self;
        let seconds = rounded(now.seconds_since(status.since));
        match status.pid {
            // 0.76 prints the pid as an unsigned number.
            Some(pid) => {
                let pid = u32::from_ne_bytes(pid.get().to_ne_bytes());
                write!(f, "up (pid {pid}) {seconds} seconds")?;
            }
            None => write!(f, "down {seconds} seconds")?,
        }
        write_clauses(f, &status, normally_up)?;
        let Some(state) = state else { return Ok(()) };
        match (state.state, state.next_start) {
            (ServiceState::Ready, _) => f.write_str(", ready"),
            (ServiceState::Failed, _) => f.write_str(", failed"),
            // The words of daemontools-encore.
            (ServiceState::Start, _) => f.write_str(", starting"),
            (ServiceState::Started, _) => f.write_str(", started"),
            (ServiceState::Stop, _) => f.write_str(", stopping"),
            (ServiceState::Delay, Some(start)) => {
                write!(f, ", restarting in {} seconds", start.seconds_since(now))
            }
            (
                ServiceState::Delay
                | ServiceState::Down
                | ServiceState::Starting
                | ServiceState::Up
                | ServiceState::Finish,
                _,
            ) => Ok(()),
        }?;
        if state.fails_check() {
            f.write_str(", check failing")?;
        }
        Ok(())
    }
}

/// Writes the clauses that svstat and sv share, each after a comma. Errors: as
/// [`fmt::Write`].
pub fn write_clauses(f: &mut impl fmt::Write, status: &Status, normally_up: bool) -> fmt::Result {
    let up = status.pid.is_some();
    let clauses = [
        (up && !normally_up, ", normally down"),
        (!up && normally_up, ", normally up"),
        (up && status.paused, ", paused"),
        (!up && status.want == Want::Up, ", want up"),
        (up && status.want == Want::Down, ", want down"),
    ];
    let mut printed = clauses.iter().filter(|(holds, _)| *holds);
    printed.try_for_each(|(_, clause)| f.write_str(clause))
}

/// Rounds as 0.76, which computes in double precision. Numbers above 2^53 differ;
/// an invalid record has them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "0.76 has the same loss"
)]
fn rounded(seconds: u64) -> u64 {
    seconds as f64 as u64
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroI32;

    use super::*;

    fn line(pid: i32, paused: bool, want: Want, normally_up: bool, state: &str) -> String {
        let status = Status {
            since: Label::from_unix(100, 999_999),
            pid: NonZeroI32::new(pid),
            paused,
            want,
        };
        StatusLine {
            status,
            normally_up,
            state: StateFile::read(state.as_bytes()),
            now: Label::from_unix(104, 0),
        }
        .to_string()
    }

    #[test]
    fn line_names_state_and_age() {
        for (expected, pid, want, normally_up) in [
            ("up (pid 7) 4 seconds", 7, Want::Up, true),
            ("up (pid 4294967289) 4 seconds", -7, Want::Once, true),
            ("up (pid 7) 4 seconds, normally down", 7, Want::Up, false),
            ("up (pid 7) 4 seconds, want down", 7, Want::Down, true),
            ("down 4 seconds", 0, Want::Down, false),
            ("down 4 seconds, normally up", 0, Want::Down, true),
            ("down 4 seconds, want up", 0, Want::Up, false),
            ("down 4 seconds, normally up", 0, Want::Once, true),
        ] {
            assert_eq!(line(pid, false, want, normally_up, ""), expected);
        }
    }

    #[test]
    fn only_a_running_service_is_paused() {
        let down = line(0, true, Want::Down, false, "");
        assert_eq!(down, "down 4 seconds");
        let up = line(7, true, Want::Down, false, "");
        assert_eq!(up, "up (pid 7) 4 seconds, normally down, paused, want down");
    }

    #[test]
    fn state_file_adds_a_clause() {
        for (state, clause) in [
            ("ready", ", ready"),
            ("failed", ", failed"),
            ("start", ", starting"),
            ("started", ", started"),
            ("stop", ", stopping"),
            ("up", ""),
            ("up\ncheck=failing", ", check failing"),
            ("ready\ncheck=2", ", ready, check failing"),
            ("delay", ""),
        ] {
            let line = line(7, false, Want::Up, true, &format!("state={state}\n"));
            assert_eq!(line, format!("up (pid 7) 4 seconds{clause}"));
        }
        let next_start = String::from_utf8(Label::from_unix(110, 0).text().to_vec()).unwrap();
        let delay = format!("state=delay\nnext_start={next_start}\n");
        let line = line(0, false, Want::Up, true, &delay);
        assert_eq!(
            line,
            "down 4 seconds, normally up, want up, restarting in 6 seconds"
        );
    }

    #[test]
    fn seconds_have_double_precision() {
        assert_eq!(rounded(1 << 53), 1 << 53);
        assert_eq!(rounded((1 << 53) + 1), 1 << 53);
        assert_eq!(rounded(u64::MAX), u64::MAX);
    }
}
