//! The line that svstat prints for a service, after the name.

use std::fmt;

use crate::label::Label;
use crate::state::{ServiceState, StateFile};
use crate::status::{Status, Want};

/// `up (pid 123) 4 seconds, …` or `down 5 seconds, …`.
#[derive(Clone, Copy, Debug)]
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
                let pid = u32::from_ne_bytes(pid.as_raw().to_ne_bytes());
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
