//! The file names in a service directory.

use std::ffi::{CStr, CString};

/// The program of the service.
pub const RUN: &CStr = c"run";
/// [`RUN`] as executed, and as `argv[0]`.
pub const RUN_PROGRAM: &CStr = c"./run";
/// If the file exists, supervise does not start the service by itself.
pub const DOWN: &CStr = c"down";
/// The service directory of the logger.
pub const LOG: &CStr = c"log";
/// The directory of the files of supervise, mode 0700.
pub const SUPERVISE: &CStr = c"supervise";
/// The file with a lock, flock(2), while supervise runs, mode 0600.
pub const LOCK: &CStr = c"supervise/lock";
/// The FIFO of one-byte commands, mode 0600.
pub const CONTROL: &CStr = c"supervise/control";
/// The FIFO that a running supervise has open for reading, mode 0600.
pub const OK: &CStr = c"supervise/ok";
/// The status record, mode 0644.
pub const STATUS: &CStr = c"supervise/status";
/// The state file of `supervise -e`; see [`crate::state`].
pub const STATE: AtomicFile = AtomicFile::new(c"supervise/state", c"supervise/state.new");
/// The last exits, written by `supervise -e`; see [`crate::tally`].
pub const DEATH_TALLY: AtomicFile =
    AtomicFile::new(c"supervise/death_tally", c"supervise/death_tally.new");
/// The file with the lock of a service that uses [`LOCK_FD`].
pub const RUN_LOCK: &CStr = c"supervise/service-lock";

/// The program that `supervise -e` runs before the first [`RUN`].
pub const START: &CStr = c"start";
/// [`START`] as executed, and as `argv[0]`.
pub const START_PROGRAM: &CStr = c"./start";
/// The timeout of [`START`] in milliseconds. Default: 0, which disables it.
pub const TIMEOUT_START: &CStr = c"timeout-start";
/// The program that `supervise -e` runs after the last [`RUN`].
pub const STOP: &CStr = c"stop";
/// [`STOP`] as executed, and as `argv[0]`.
pub const STOP_PROGRAM: &CStr = c"./stop";
/// The program that `supervise -e` runs after a start and after an exit.
pub const NOTIFY: &CStr = c"notify";
/// [`NOTIFY`] as executed, and as `argv[0]`.
pub const NOTIFY_PROGRAM: &CStr = c"./notify";
/// The timeout of [`FINISH`] under `supervise -e` in milliseconds. Default: 5000.
/// 0 disables the limit.
pub const TIMEOUT_FINISH: &CStr = c"timeout-finish";
/// The descriptor on which the service reports readiness with a newline.
pub const NOTIFICATION_FD: &CStr = c"notification-fd";
/// Seconds from an exit to the next start. Default and minimum: 1, where the
/// default counts from the last start.
pub const RESTART_DELAY: &CStr = c"restart-delay";
/// The limit in seconds up to which [`RESTART_DELAY`] doubles. Default: no growth.
pub const RESTART_DELAY_MAX: &CStr = c"restart-delay-max";
/// More exits than this in [`RESTART_LIMIT_INTERVAL`] are a permanent failure.
/// Default: 3 with an interval, else no limit. 0 disables the limit.
pub const RESTART_LIMIT_COUNT: &CStr = c"restart-limit-count";
/// The interval of [`RESTART_LIMIT_COUNT`] in seconds. Default: 10 with a count,
/// else no limit. 0 disables the limit.
pub const RESTART_LIMIT_INTERVAL: &CStr = c"restart-limit-interval";
/// The signal that stops the service. Default: TERM.
pub const DOWN_SIGNAL: &CStr = c"down-signal";
/// Milliseconds from [`DOWN_SIGNAL`] to KILL. Default: 0, which disables KILL.
pub const TIMEOUT_KILL: &CStr = c"timeout-kill";
/// The descriptor on which the service inherits a lock on [`RUN_LOCK`].
pub const LOCK_FD: &CStr = c"lock-fd";
/// The group that may send commands to `supervise -e`.
pub const CONTROL_GROUP: &CStr = c"control-group";
/// The group that may read the status of `supervise -e`. Default: [`CONTROL_GROUP`].
pub const STATUS_GROUP: &CStr = c"status-group";
/// If the file exists, the service stays in the session of supervise.
pub const NO_SETSID: &CStr = c"no-setsid";

/// If the file exists, `svscan -e` exits after the service.
pub const ESSENTIAL: &CStr = c"essential";
/// The program that runsv and `supervise -e` run after an exit of [`RUN`].
pub const FINISH: &CStr = c"finish";
/// [`FINISH`] as executed, and as `argv[0]`.
pub const FINISH_PROGRAM: &CStr = c"./finish";
/// If the file exists, runsv does not start the logger by itself.
pub const LOG_DOWN: &CStr = c"log/down";
/// The program that exits with 0 if the service is available. `supervise -e` runs
/// it if [`CHECK_INTERVAL`] exists.
pub const CHECK: &CStr = c"check";
/// [`CHECK`] as executed by supervise, and as `argv[0]`.
pub const CHECK_PROGRAM: &CStr = c"./check";
/// Milliseconds from a start or the end of a check to the next [`CHECK`] under
/// `supervise -e`. Default: 0, which disables it.
pub const CHECK_INTERVAL: &CStr = c"check-interval";
/// The timeout of [`CHECK`] in milliseconds. Default: 5000. 0 disables the limit.
pub const CHECK_TIMEOUT: &CStr = c"check-timeout";
/// The number of failures of [`CHECK`] in a row that stop the service. Default: 0,
/// which stops it never.
pub const CHECK_FAILURES: &CStr = c"check-failures";

/// A file that rename(2) replaces, mode 0644.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub struct AtomicFile {
    /// The name.
    pub name: &'static CStr,
    /// The name of the next content before the rename.
    pub new: &'static CStr,
}

impl AtomicFile {
    const fn new(name: &'static CStr, new: &'static CStr) -> Self {
        AtomicFile { name, new }
    }
}

/// The files in `supervise` of a service or of its logger.
#[derive(Debug)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub struct SupervisePaths {
    /// [`SUPERVISE`].
    pub supervise: &'static CStr,
    /// [`LOCK`].
    pub lock: &'static CStr,
    /// [`CONTROL`].
    pub control: &'static CStr,
    /// [`OK`].
    pub ok: &'static CStr,
    /// [`STATUS`].
    pub status: AtomicFile,
    /// The line of runsv for the service.
    pub stat: AtomicFile,
    /// The pid in decimal, of runsv.
    pub pid: AtomicFile,
}

/// The files of a service.
pub static SERVICE: SupervisePaths = SupervisePaths {
    supervise: SUPERVISE,
    lock: LOCK,
    control: CONTROL,
    ok: OK,
    status: AtomicFile::new(STATUS, c"supervise/status.new"),
    stat: AtomicFile::new(c"supervise/stat", c"supervise/stat.new"),
    pid: AtomicFile::new(c"supervise/pid", c"supervise/pid.new"),
};

/// The files of supervise in [`SUPERVISE`].
pub const SUPERVISE_FILES: [&CStr; 11] = [
    SUPERVISE,
    LOCK,
    CONTROL,
    OK,
    SERVICE.status.name,
    SERVICE.status.new,
    STATE.name,
    STATE.new,
    DEATH_TALLY.name,
    DEATH_TALLY.new,
    RUN_LOCK,
];

/// The files of the logger in [`LOG`], relative to the service directory.
pub static LOGGER: SupervisePaths = SupervisePaths {
    supervise: c"log/supervise",
    lock: c"log/supervise/lock",
    control: c"log/supervise/control",
    ok: c"log/supervise/ok",
    status: AtomicFile::new(c"log/supervise/status", c"log/supervise/status.new"),
    stat: AtomicFile::new(c"log/supervise/stat", c"log/supervise/stat.new"),
    pid: AtomicFile::new(c"log/supervise/pid", c"log/supervise/pid.new"),
};

/// The path of a file of the logger, relative to the service directory.
pub fn in_log(name: &CStr) -> CString {
    join(&[LOG.to_bytes(), b"/", name.to_bytes()])
}

/// The program that runsv runs in place of the command of this letter, with a NUL.
pub const fn control_program(letter: u8) -> [u8; 10] {
    let mut path = *b"control/?\0";
    path[8] = letter;
    path
}

fn join(parts: &[&[u8]]) -> CString {
    // No part contains a NUL.
    CString::new(parts.concat()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_in_the_service_directory() {
        assert_eq!(in_log(c"run").as_c_str(), c"log/run");
        assert_eq!(&control_program(b't'), b"control/t\0");
    }
}
