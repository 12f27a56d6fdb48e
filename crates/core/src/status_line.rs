//! What svstat says about a service, after its name.

use std::fmt;

use crate::label::Label;
use crate::state::{ServiceState, StateFile};
use crate::status::{Status, Want};

/// `up (pid 123) 4 seconds, …` or `down 5 seconds, …`.
#[derive(Clone, Copy, Debug)]
pub struct StatusLine {
    /// The service's status record.
    pub status: Status,
    /// Whether the service directory lacks the file `down`.
    pub normally_up: bool,
    /// What supervise -e tells besides, of the same time.
    pub state: Option<StateFile>,
    /// The moment to count seconds from; a service that changed after it
    /// counts as changed now.
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
            // A pid is shown as the unsigned number that is on disk.
            Some(pid) => {
                let pid = u32::from_ne_bytes(pid.as_raw().to_ne_bytes());
                write!(f, "up (pid {pid}) {seconds} seconds")?;
            }
            None => write!(f, "down {seconds} seconds")?,
        }
        let up = status.pid.is_some();
        let clauses = [
            (up && !normally_up, ", normally down"),
            (!up && normally_up, ", normally up"),
            (up && status.paused, ", paused"),
            (!up && status.want == Want::Up, ", want up"),
            (up && status.want == Want::Down, ", want down"),
        ];
        clauses
            .iter()
            .filter(|(holds, _)| *holds)
            .try_for_each(|(_, clause)| f.write_str(clause))?;
        let Some(state) = state else { return Ok(()) };
        match (state.state, state.next_start) {
            (ServiceState::Ready, _) => f.write_str(", ready"),
            (ServiceState::Failed, _) => f.write_str(", failed"),
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
        }
    }
}

/// The number as 0.76 prints it: it computes in double precision, which shows
/// in numbers above 2^53, such as those of a record of noise.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the loss is what is asked for"
)]
fn rounded(seconds: u64) -> u64 {
    seconds as f64 as u64
}
