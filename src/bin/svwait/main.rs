//! svwait: wait until services are up, down, restarted, or no longer
//! supervised.

#![cfg_attr(not(test), no_main)]

mod command;

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use cli::errno::errno_message;
use cli::options::{flag, value};
use cli::{Exit, Failure, Program, text};
use daemontools::{
    Error, Operation, Service, ServiceWait, SuperviseDirRule, WaitCondition, WaitMode, WaitOutcome,
};
use daemontools_core::number;
use nix::errno::Errno;
use unix::descriptors::DescriptorLimit;

use command::Command;

pub(crate) static SVWAIT: Program = Program {
    name: "svwait",
    usage: "svwait: usage: svwait [-uUdDrRxaoV] [-t ms] dir ... [-- program ...]",
    options: &[
        flag(b'u', "wait until up"),
        flag(b'U', "wait until up and ready"),
        flag(b'd', "wait until down"),
        flag(b'D', "wait until down and finished"),
        flag(b'r', "wait until restarted"),
        flag(b'R', "wait until restarted and ready"),
        flag(b'x', "wait until supervise has exited"),
        flag(b'a', "wait for all services"),
        flag(b'o', "wait for one service"),
        flag(b'V', "print the version"),
        value(b't', "ms", "timeout in milliseconds; 0 disables it"),
    ],
};

/// The maximum of -t in milliseconds: 49 days.
const MAX_TIMEOUT: u64 = u32::MAX as u64;
/// The exit code after a permanent failure, as of s6-svwait.
const SERVICE_FAILED: Exit = Exit::Code(1);
/// The exit code after the timeout, as of s6-svwait.
const TIMED_OUT: Exit = Exit::Code(99);
/// The exit code after the end of a supervise, as of s6-svwait.
const SUPERVISE_EXITED: Exit = Exit::Code(102);

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
            b'V' => return SVWAIT.print_version(),
            _ => milliseconds = parse_timeout(value)?,
        }
    }
    let (dirs, argv) = split(options.operands()).ok_or_else(|| SVWAIT.usage())?;
    let rule =
        SuperviseDirRule::from_environment().map_err(|error| SVWAIT.fatal_msg(error.message()))?;
    let deadline = match milliseconds {
        0 => None,
        limit => Instant::now().checked_add(Duration::from_millis(limit)),
    };
    let command = argv.map(Command::new).transpose()?;
    // Each service needs a descriptor.
    DescriptorLimit::read().raise();
    let services = dirs
        .iter()
        .map(|dir| Service::open_with(rule, OsStr::from_bytes(dir.to_bytes())));
    let services = services
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failure(&error))?;
    let mut wait = ServiceWait::new(&services, condition, mode).map_err(|error| failure(&error))?;
    if let Some(command) = &command {
        wait.observe().map_err(|error| failure(&error))?;
        match command.run(&mut wait, deadline)? {
            Exit::Success => {}
            exit => return Ok(exit),
        }
    }
    match wait.finish(deadline).map_err(|error| failure(&error))? {
        WaitOutcome::Reached => Ok(Exit::Success),
        WaitOutcome::TimedOut => Err(timed_out()),
        WaitOutcome::Failed(dir) => {
            let dir = dir.as_os_str().as_bytes();
            Err(fatal(SERVICE_FAILED, text![dir, " has failed"]))
        }
        WaitOutcome::Unreachable(dir) => Err(fatal(
            SUPERVISE_EXITED,
            text!["supervise of ", dir.as_os_str().as_bytes(), " has ended"],
        )),
    }
}

/// Directories and the words of a program.
type Operands<'a> = (&'a [&'static CStr], Option<&'a [&'static CStr]>);

/// Splits the operands at the first `--`. None without a directory, or without
/// a program after `--`.
fn split<'a>(operands: &'a [&'static CStr]) -> Option<Operands<'a>> {
    let mut parts = operands.splitn(2, |word| *word == c"--");
    let dirs = parts.next().filter(|dirs| !dirs.is_empty())?;
    match parts.next() {
        Some([]) => None,
        argv => Some((dirs, argv)),
    }
}

/// The value of -t.
fn parse_timeout(value: &[u8]) -> Result<u64, Failure> {
    let milliseconds =
        number::parse_decimal(value).filter(|milliseconds| *milliseconds <= MAX_TIMEOUT);
    milliseconds.ok_or_else(|| {
        let range = format!("-t takes 0 to {MAX_TIMEOUT} milliseconds, not ");
        fatal(Exit::Permanent, text![range, value])
    })
}

fn fatal(exit: Exit, problem: impl AsRef<[u8]>) -> Failure {
    Failure {
        exit,
        ..SVWAIT.fatal_msg(problem)
    }
}

fn timed_out() -> Failure {
    fatal(TIMED_OUT, "timed out")
}

fn failure(error: &Error) -> Failure {
    let path = error.path().as_os_str().as_bytes();
    let errno = error.raw_os_error().map(Errno::from_raw);
    let cause = errno.map_or("bad format", errno_message);
    let problem = match (error.operation(), errno) {
        (Operation::Enter, _) => text!["unable to chdir to ", path],
        (Operation::Locate, _) => text!["unable to find the path of ", path],
        // The usual messages of these two errno values are about files and disks.
        (Operation::Notify, Some(Errno::EMFILE)) => {
            return SVWAIT.fatal_msg(
                "unable to watch anything: \
                 too few descriptors, or fs.inotify.max_user_instances is too low",
            );
        }
        (Operation::Watch, Some(Errno::ENOSPC)) => {
            let cause = ": fs.inotify.max_user_watches is too low";
            return SVWAIT.fatal_msg(text!["unable to watch ", path, cause]);
        }
        (Operation::Notify, _) => text!["unable to watch anything"],
        (Operation::Watch, _) => text!["unable to watch ", path],
        _ if error.is_no_service() => {
            return SVWAIT.fatal_msg(text![path, " is not a service: it has no run"]);
        }
        _ => text!["unable to read ", path],
    };
    SVWAIT.fatal_msg(text![problem, ": ", cause])
}
