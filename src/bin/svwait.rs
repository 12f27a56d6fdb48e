//! svwait: wait until services are up, down, restarted, or no longer
//! supervised.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;
use std::time::{Duration, Instant};

use cli::errno::errno_message;
use cli::options::{flag, value};
use cli::{Exit, Failure, Program, text};
use daemontools_core::number;
use daemontools_core::snapshot::WaitCondition;
use nix::errno::Errno;
use supervision::snapshot::SnapshotError;
use supervision::watch::{WaitMode, WaitOutcome, WatchError, wait};

pub(crate) static SVWAIT: Program = Program {
    name: "svwait",
    usage: "svwait: usage: svwait [-uUdDrRxao] [-t ms] dir ...",
    options: &[
        flag(b'u', "until up"),
        flag(b'U', "until up and ready"),
        flag(b'd', "until down"),
        flag(b'D', "until down and cleaned up"),
        flag(b'r', "until started anew"),
        flag(b'R', "until started anew and ready"),
        flag(b'x', "until supervise has exited"),
        flag(b'a', "wait for all"),
        flag(b'o', "wait for one"),
        value(b't', "ms", "timeout in milliseconds"),
    ],
};

/// The longest wait, in milliseconds, that can be asked for: some 49 days.
const LONGEST: u64 = u32::MAX as u64;
/// The exit code when the time is up.
const TIMED_OUT: Exit = Exit::Code(99);
/// The exit code when a supervise has died.
const DIED: Exit = Exit::Code(102);

unix::main!(SVWAIT.start(svwait));

fn svwait(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let mut condition = WaitCondition::Up;
    let mut mode = WaitMode::All;
    let mut milliseconds = 0;
    let mut options = SVWAIT.options(arguments);
    while let Some((letter, value)) = options.next()? {
        match letter {
            b'u' => condition = WaitCondition::Up,
            b'U' => condition = WaitCondition::UpAndReady,
            b'd' => condition = WaitCondition::Down,
            b'D' => condition = WaitCondition::DownAndFinished,
            b'r' => condition = WaitCondition::Restarted,
            b'R' => condition = WaitCondition::RestartedAndReady,
            b'x' => condition = WaitCondition::Gone,
            b'a' => mode = WaitMode::All,
            b'o' => mode = WaitMode::One,
            _ => milliseconds = limit(value)?,
        }
    }
    if options.operands().is_empty() {
        return Err(SVWAIT.usage());
    }
    let until = match milliseconds {
        0 => None,
        some => Instant::now().checked_add(Duration::from_millis(some)),
    };
    match wait(options.operands(), condition, mode, until).map_err(refuse)? {
        WaitOutcome::Reached => Ok(Exit::Success),
        WaitOutcome::TimedOut => Err(end(TIMED_OUT, "timed out")),
        WaitOutcome::Died(dir) => Err(end(DIED, text!["supervise of ", dir, " has ended"])),
    }
}

/// The value of `-t`; 0 is no limit.
fn limit(value: &[u8]) -> Result<u64, Failure> {
    let milliseconds = number::parse_decimal(value).filter(|milliseconds| *milliseconds <= LONGEST);
    milliseconds.ok_or_else(|| {
        let range = format!("-t takes 0 to {LONGEST} milliseconds, not ");
        end(Exit::Permanent, text![range, value])
    })
}

fn end(exit: Exit, what: impl AsRef<[u8]>) -> Failure {
    Failure {
        exit,
        ..SVWAIT.fatal_msg(what)
    }
}

/// Why there can be no wait.
fn refuse(hindrance: WatchError<'_>) -> Failure {
    match hindrance {
        WatchError::Chdir(dir, error) => SVWAIT.fatal(text!["unable to chdir to ", dir], error),
        WatchError::NoService(dir) => {
            SVWAIT.fatal_msg(text![dir, " is not a service: it has no run"])
        }
        // The system's words are about files and disks.
        WatchError::Inotify(Errno::EMFILE) => SVWAIT.fatal_msg(
            "unable to watch anything: \
             too few descriptors, or fs.inotify.max_user_instances is too low",
        ),
        WatchError::Inotify(error) => SVWAIT.fatal("unable to watch anything", error),
        WatchError::Watch(dir, Errno::ENOSPC) => SVWAIT.fatal_msg(text![
            "unable to watch ",
            dir,
            ": fs.inotify.max_user_watches is too low"
        ]),
        WatchError::Watch(dir, error) => SVWAIT.fatal(text!["unable to watch ", dir], error),
        WatchError::Read(dir, SnapshotError { file, error }) => {
            let why = error.map_or("bad format", errno_message);
            SVWAIT.fatal_msg(text!["unable to read ", dir, "/", file, ": ", why])
        }
    }
}
