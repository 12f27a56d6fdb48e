//! The messages of svlogd.

use std::ffi::CStr;
use std::time::Duration;

use cli::errno::errno_message;
use cli::text;
use cli::text::write_stderr;
use logging::event::{LogEvent, LogReport, LogStep, OnError, ProcessorPart, Purpose, StepError};
use logging::names::{CURRENT, NEWSTATE, Suffix};
use logging::svlogd::LogConfigWarning;
use nix::sys::signal::Signal;

use super::SVLOGD;

/// The time between retries of a failed step.
const PAUSE: Duration = Duration::from_secs(3);

/// Reports all events and errors, for -v.
pub(crate) fn report_verbose(event: &LogReport<'_>) {
    match event {
        LogReport::Event(path, log_event) => match log_event {
            LogEvent::ConfigRead => inform(text!["read: ", path, "/config"]),
            LogEvent::Created => inform(text!["new: ", path, "/current"]),
            LogEvent::Resumed => inform(text!["append: ", path, "/current"]),
            LogEvent::Closed => inform(text!["close: ", path]),
            LogEvent::Renamed(name, size) => {
                let size = size.to_string();
                inform(text!["rename: ", path, "/current ", name, " ", size]);
            }
            LogEvent::Removed(name) => inform(text!["delete: ", path, "/", name]),
            LogEvent::ProcessorStarted(name) => inform(text!["processing: ", path, "/", name]),
            LogEvent::ProcessorDone(name) => inform(text!["processed: ", path, "/", name]),
            LogEvent::ConfigUnreadable(_)
            | LogEvent::ConfigWarning(_)
            | LogEvent::RemovedForSpace(_) => report(event),
        },
        LogReport::Error(_) => report(event),
    }
}

/// Reports errors and warnings, and sleeps before a retry.
pub(crate) fn report(event: &LogReport<'_>) {
    match event {
        LogReport::Event(path, LogEvent::ConfigUnreadable(error)) => {
            SVLOGD.warn(text!["unable to read config: ", path], *error);
        }
        LogReport::Event(_, LogEvent::ConfigWarning(LogConfigWarning::Address(address))) => {
            SVLOGD.warn_msg(text!["unable to scan ip address: ", address]);
        }
        LogReport::Event(_, LogEvent::ConfigWarning(LogConfigWarning::Port(port))) => {
            SVLOGD.warn_msg(text!["unable to scan port number: ", port]);
        }
        LogReport::Event(path, LogEvent::RemovedForSpace(name)) => {
            SVLOGD.warn_msg(text!["out of disk space, delete: ", path, "/", name]);
        }
        LogReport::Event(..) => {}
        LogReport::Error(error) => match error.on_error {
            OnError::Continue => SVLOGD.warn_msg(error_message(error)),
            OnError::Exit => write_stderr(&SVLOGD.fatal_msg(error_message(error)).message),
            OnError::Retry => {
                write_stderr(&text!["svlogd: pausing: ", error_message(error), "\n"]);
                std::thread::sleep(PAUSE);
            }
        },
    }
}

/// Writes a message that only -v enables.
pub(crate) fn inform(message: impl AsRef<[u8]>) {
    write_stderr(&text!["svlogd: info: ", message.as_ref(), "\n"]);
}

pub(crate) fn signal_message(signal: Signal) -> &'static str {
    match signal {
        Signal::SIGTERM => "sigterm received.",
        Signal::SIGALRM => "sigalarm received.",
        Signal::SIGHUP => "sighangup received.",
        _ => "sigchild received.",
    }
}

/// The failed step and the errno.
fn error_message(error: &StepError<'_>) -> Vec<u8> {
    let StepError {
        path, step, error, ..
    } = error;
    let of_dir = |message: &str| text![message, ": ", path];
    let of_file = |message: &str, file: &CStr| text![message, ": ", path, "/", file];
    let message = match *step {
        LogStep::ChdirToOrigin => text!["unable to change to initial working directory"],
        LogStep::ChdirToLogDir(purpose) => {
            text!["unable to change directory", want(purpose), ": ", path]
        }
        LogStep::OpenToList(purpose) => {
            text!["unable to open directory", want(purpose), ": ", path]
        }
        LogStep::List(Purpose::FreeSpace) => {
            of_dir("unable to read directory, want remove old logfile")
        }
        LogStep::List(_) => of_dir("unable to read directory"),
        LogStep::OpenDirectory => of_dir("unable to open log directory"),
        LogStep::Lock => of_dir("unable to lock directory"),
        LogStep::Stat(_) => of_dir("unable to stat current"),
        LogStep::Append(_) => of_dir("unable to open current"),
        LogStep::Create(_) => of_dir("unable to create new current"),
        LogStep::Write(_) => of_dir("unable to write to current"),
        LogStep::Sync(file) if file == CURRENT => of_dir("unable to fsync current logfile"),
        // runit does not fsync this file.
        LogStep::Sync(_) => of_dir("unable to fsync processed"),
        LogStep::SetMode(file) if file == CURRENT => of_dir("unable to set mode of current"),
        LogStep::SetMode(_) => of_dir("unable to set mode of processed"),
        LogStep::Rename(from, _) if from == CURRENT => of_dir("unable to rename current"),
        LogStep::Rename(from, _) if from == NEWSTATE => of_dir("unable to rename state"),
        LogStep::Rename(..) | LogStep::Link(_) => of_dir("unable to rename processed"),
        LogStep::Remove(file) => match Suffix::of_name(file) {
            Some(Suffix::InProgress) => of_file("unable to unlink processor leftover", file),
            Some(Suffix::Unfinished) => of_file("unable to unlink", file),
            Some(Suffix::Safe | Suffix::Processed(_)) | None => {
                of_dir("unable to unlink oldest logfile")
            }
        },
        LogStep::Fork => of_dir("unable to fork for processor"),
        LogStep::Run(_, ProcessorPart::Shell) => of_dir("unable to run processor"),
        LogStep::Run(_, ProcessorPart::Input) => of_dir("unable to open input for processor"),
        LogStep::Run(_, ProcessorPart::Output) => of_dir("unable to open output for processor"),
        LogStep::Run(_, ProcessorPart::FirstState) => {
            of_dir("unable to create empty state for processor")
        }
        LogStep::Run(_, ProcessorPart::State) => of_dir("unable to open state for processor"),
        LogStep::Run(_, ProcessorPart::NewState) => of_dir("unable to open newstate for processor"),
        LogStep::Wait => of_dir("error waiting for processor"),
        LogStep::Crash | LogStep::Failure => of_dir("processor failed, restart"),
        LogStep::Memory => text!["unable to allocate memory, waiting"],
        // svlogd has no status files, and prints no lines.
        LogStep::CreateStatus
        | LogStep::RewindStatus
        | LogStep::WriteStatus
        | LogStep::Print
        | LogStep::LockOutput => of_dir("unable to write"),
    };
    let reason = error.map_or(String::new(), |error| format!(": {}", errno_message(error)));
    text![message, reason]
}

fn want(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Open => "",
        Purpose::Rotate => ", want rotate",
        Purpose::FreeSpace => ", want remove old logfile",
        Purpose::Process => ", want processor",
    }
}
