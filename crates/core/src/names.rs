//! The names in a service directory, each written once.

use std::ffi::{CStr, CString};

/// The program of the service, executable.
pub const RUN: &CStr = c"run";
/// The same as it is executed: `argv[0]` of the service.
pub const RUN_PROGRAM: &CStr = c"./run";
/// Its existence makes supervise start the service down.
pub const DOWN: &CStr = c"down";
/// The service directory of the logger.
pub const LOG: &CStr = c"log";
/// The directory that supervise keeps its files in, mode 0700.
pub const SUPERVISE: &CStr = c"supervise";
/// Locked (flock) for as long as supervise runs, mode 0600.
pub const LOCK: &CStr = c"supervise/lock";
/// The FIFO of one-byte commands, mode 0600.
pub const CONTROL: &CStr = c"supervise/control";
/// The FIFO that is held open for reading while supervise runs, mode 0600.
pub const OK: &CStr = c"supervise/ok";
/// The status record, mode 0644.
pub const STATUS: &CStr = c"supervise/status";
/// What `supervise -e` tells besides, in lines `key=value`.
pub const STATE: AtomicFile = AtomicFile {
    name: c"supervise/state",
    new: c"supervise/state.new",
};
/// The last deaths of the service, kept by `supervise -e`.
pub const DEATH_TALLY: AtomicFile = AtomicFile {
    name: c"supervise/death_tally",
    new: c"supervise/death_tally.new",
};
/// Locked by a run of the service that asks for it with [`LOCK_FD`].
pub const RUN_LOCK: &CStr = c"supervise/service-lock";

/// What `supervise -e` runs when the service starts or dies.
pub const NOTIFY: &CStr = c"notify";
/// The same as it is executed.
pub const NOTIFY_PROGRAM: &CStr = c"./notify";
/// Milliseconds that `supervise -e` gives [`FINISH`].
pub const TIMEOUT_FINISH: &CStr = c"timeout-finish";
/// The descriptor on which the service says that it is ready.
pub const NOTIFICATION_FD: &CStr = c"notification-fd";
/// Seconds from a death to the next start.
pub const RESTART_DELAY: &CStr = c"restart-delay";
/// Seconds up to which [`RESTART_DELAY`] grows.
pub const RESTART_DELAY_MAX: &CStr = c"restart-delay-max";
/// How many deaths in [`RESTART_LIMIT_INTERVAL`] are no failure yet.
pub const RESTART_LIMIT_COUNT: &CStr = c"restart-limit-count";
/// Seconds in which they are counted.
pub const RESTART_LIMIT_INTERVAL: &CStr = c"restart-limit-interval";
/// The signal that stops the service.
pub const DOWN_SIGNAL: &CStr = c"down-signal";
/// Milliseconds from that to KILL.
pub const TIMEOUT_KILL: &CStr = c"timeout-kill";
/// The descriptor on which the service inherits a lock on [`RUN_LOCK`].
pub const LOCK_FD: &CStr = c"lock-fd";
/// Its existence leaves the service in supervise's session.
pub const NO_SETSID: &CStr = c"no-setsid";

/// Its existence makes `svscan -e` end with the service.
pub const ESSENTIAL: &CStr = c"essential";
/// What runsv, and `supervise -e`, run after [`RUN`].
pub const FINISH: &CStr = c"finish";
/// The same as it is executed.
pub const FINISH_PROGRAM: &CStr = c"./finish";
/// Its existence makes runsv start the logger down.
pub const LOG_DOWN: &CStr = c"log/down";
/// The program that says by its exit code whether the service is available.
pub const CHECK: &CStr = c"check";
/// The same as its `argv[0]`.
pub const CHECK_PROGRAM: &CStr = c"./check";

/// A file that is replaced as a whole, mode 0644.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtomicFile {
    /// Its name.
    pub name: &'static CStr,
    /// What its next content is called until it is renamed.
    pub new: &'static CStr,
}

/// The files in `supervise` by which a service, or its logger, is met.
#[derive(Debug)]
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
    /// runsv's line about the service.
    pub stat: AtomicFile,
    /// The pid in decimal, kept by runsv.
    pub pid: AtomicFile,
}

/// Those of a service.
pub static SERVICE: SupervisePaths = SupervisePaths {
    supervise: SUPERVISE,
    lock: LOCK,
    control: CONTROL,
    ok: OK,
    status: AtomicFile {
        name: STATUS,
        new: c"supervise/status.new",
    },
    stat: AtomicFile {
        name: c"supervise/stat",
        new: c"supervise/stat.new",
    },
    pid: AtomicFile {
        name: c"supervise/pid",
        new: c"supervise/pid.new",
    },
};

/// Those of the logger in [`LOG`], seen from its service.
pub static LOGGER: SupervisePaths = SupervisePaths {
    supervise: c"log/supervise",
    lock: c"log/supervise/lock",
    control: c"log/supervise/control",
    ok: c"log/supervise/ok",
    status: AtomicFile {
        name: c"log/supervise/status",
        new: c"log/supervise/status.new",
    },
    stat: AtomicFile {
        name: c"log/supervise/stat",
        new: c"log/supervise/stat.new",
    },
    pid: AtomicFile {
        name: c"log/supervise/pid",
        new: c"log/supervise/pid.new",
    },
};

/// What a file of the logger is called from its service's directory.
#[must_use]
pub fn in_log(name: &CStr) -> CString {
    join(&[LOG.to_bytes(), b"/", name.to_bytes()])
}

/// The program that may stand in for what a letter asks for.
#[must_use]
pub fn control_program(letter: u8) -> CString {
    join(&[b"control/", &[letter]])
}

fn join(parts: &[&[u8]]) -> CString {
    // There is no NUL in any of them.
    CString::new(parts.concat()).unwrap_or_default()
}
