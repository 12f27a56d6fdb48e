//! The status record of s6-supervise in s6 2.11: 35 bytes, numbers big-endian.
//!
//! | bytes | content |
//! | --- | --- |
//! | 0–11 | label of the start or exit of `run` |
//! | 12–23 | label of the last report of readiness, or of the end of `finish` |
//! | 24–31 | the pid of `run` or `finish`; 0 while neither runs |
//! | 32–33 | the wait status of the last exit of `run`; 0 before the first one |
//! | 34 | the sum of 1 paused, 2 `finish` runs, 4 wanted up, 8 bytes 12–23 are valid |
//!
//! The labels of s6 count leap seconds, and those of daemontools do not.

use std::num::NonZeroI32;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::label::{Label, PACKED};
use crate::state::ServiceState;

/// Length of the record in bytes.
pub const LENGTH: usize = 2 * PACKED + 8 + 2 + 1;

/// The leap seconds from 1972 to 2017, the last one to date.
const LEAP_SECONDS: Duration = Duration::from_secs(27);

const PAUSED: u8 = 1;
const FINISHING: u8 = 2;
const WANTED_UP: u8 = 4;
const READY: u8 = 8;

/// The status of a service of s6-supervise. The labels are those of daemontools,
/// without leap seconds. Labels before 2017, of a wrong clock, are up to 27 seconds
/// too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct S6Status {
    /// The time of the last start or exit of `run`.
    pub since: Label,
    /// The process of `run` or `finish`; None while neither runs.
    pub pid: Option<NonZeroI32>,
    /// Whether the service is paused.
    pub paused: bool,
    /// Whether s6-supervise restarts the service.
    pub wanted_up: bool,
    /// Whether the process is that of `finish`.
    pub finishing: bool,
    /// The time of the report of readiness; None while the service is down or has not
    /// reported any.
    pub ready_since: Option<Label>,
    /// The last exit of `run`. None: the record does not show one. Of a service that is
    /// up, the record does not show an exit with code 0 either.
    pub last_exit: Option<ExitStatus>,
}

impl S6Status {
    /// Decodes a record. None: the record is that of another program or version, which
    /// has another length.
    pub fn decode(record: &[u8]) -> Option<Self> {
        let (since, rest) = record.split_first_chunk::<PACKED>()?;
        let (changed, rest) = rest.split_first_chunk::<PACKED>()?;
        let (pid, rest) = rest.split_first_chunk::<8>()?;
        let &[high, low, flags] = rest else {
            return None;
        };
        let pid = NonZeroI32::new(i32::try_from(u64::from_be_bytes(*pid)).ok()?);
        let has = |flag| flags & flag != 0;
        let is_up = pid.is_some() && !has(FINISHING);
        // Before the first start, both labels are the same.
        let has_ended = has(FINISHING) || (pid.is_none() && since != changed);
        let wait_status = u16::from_be_bytes([high, low]);
        let label = |packed: &[u8; PACKED]| Label::unpack(*packed).before(LEAP_SECONDS);
        Some(S6Status {
            since: label(since),
            pid,
            paused: has(PAUSED),
            wanted_up: has(WANTED_UP),
            finishing: has(FINISHING),
            ready_since: (is_up && has(READY)).then(|| label(changed)),
            last_exit: (wait_status != 0 || has_ended)
                .then(|| ExitStatus::from_raw(i32::from(wait_status))),
        })
    }

    /// The state. A service that has not reported readiness is
    /// [`Up`](ServiceState::Up): the record does not show whether it will. A service
    /// that has failed permanently is [`Down`](ServiceState::Down).
    pub fn state(&self) -> ServiceState {
        match (self.pid, self.wanted_up) {
            (Some(_), _) if self.finishing => ServiceState::Finish,
            (Some(_), _) if self.ready_since.is_some() => ServiceState::Ready,
            (Some(_), _) => ServiceState::Up,
            (None, true) => ServiceState::Delay,
            (None, false) => ServiceState::Down,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of s6 2.11: the labels 2 seconds apart, and the rest.
    fn record(rest: [u8; 11]) -> Vec<u8> {
        let label = |second| [0x40, 0, 0, 0, 0x6b, 0x0b, 0xce, second, 0x20, 0, 0, 0];
        [&label(0x11)[..], &label(0x13), &rest].concat()
    }

    fn status(rest: [u8; 11]) -> S6Status {
        S6Status::decode(&record(rest)).unwrap()
    }

    #[test]
    fn each_field_is_decoded() {
        let paused = status([0, 0, 0, 0, 0, 0, 0x71, 0x4f, 0, 0, 13]);
        assert_eq!(paused.pid, NonZeroI32::new(29007));
        // date -d 2026-11-29T07:02:04Z +%s
        assert_eq!(paused.since.unix(), 1_795_935_724);
        assert_eq!(paused.since.nanoseconds(), 0x2000_0000);
        assert_eq!(paused.ready_since.map(Label::unix), Some(1_795_935_726));
        assert!(paused.paused && paused.wanted_up && !paused.finishing);
        assert_eq!(paused.last_exit, None);
        assert_eq!(paused.state(), ServiceState::Ready);
        let once = status([0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0]);
        assert_eq!(once.pid, NonZeroI32::new(i32::MAX));
        assert_eq!(once.ready_since, None);
        assert!(!once.paused && !once.wanted_up && !once.finishing);
        assert_eq!(once.state(), ServiceState::Up);
    }

    #[test]
    fn exit_has_a_code_or_a_signal() {
        let finish = status([0, 0, 0, 0, 0, 0, 1, 2, 7, 0, 6]);
        let exit = finish.last_exit.unwrap();
        assert_eq!((exit.code(), exit.signal()), (Some(7), None));
        assert!(finish.finishing && finish.ready_since.is_none());
        assert_eq!(finish.state(), ServiceState::Finish);
        // TERM, and a later start.
        let again = status([0, 0, 0, 0, 0, 0, 1, 2, 0, 15, 4]);
        let exit = again.last_exit.unwrap();
        assert_eq!((exit.code(), exit.signal()), (None, Some(15)));
        // SEGV with a core.
        let core = status([0, 0, 0, 0, 0, 0, 0, 0, 0, 139, 12]);
        let exit = core.last_exit.unwrap();
        assert!(exit.signal() == Some(11) && exit.core_dumped());
        assert_eq!(core.state(), ServiceState::Delay);
    }

    #[test]
    fn code_0_counts_only_after_an_exit() {
        let ended = status([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8]);
        assert_eq!(ended.last_exit.and_then(|exit| exit.code()), Some(0));
        assert_eq!(ended.ready_since, None);
        assert_eq!(ended.state(), ServiceState::Down);
        let finish = status([0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 2]);
        assert!(finish.last_exit.is_some_and(|exit| exit.success()));
        // Before the first start.
        let mut never = record([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8]);
        never.copy_within(..PACKED, PACKED);
        assert_eq!(S6Status::decode(&never).unwrap().last_exit, None);
    }

    #[test]
    fn records_of_others_are_rejected() {
        let valid = record([0; 11]);
        for length in [0, 18, 20, LENGTH - 1] {
            assert_eq!(S6Status::decode(&valid[..length]), None);
        }
        assert_eq!(S6Status::decode(&[&valid[..], &[0; 8]].concat()), None);
        let no_pid = record([0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 4]);
        assert_eq!(S6Status::decode(&no_pid), None);
    }
}
