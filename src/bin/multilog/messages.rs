//! The messages of multilog.

use std::time::Duration;

use cli::errno::errno_message;
use cli::text::write_stderr;
use cli::{Exit, Failure, text};
use logging::event::{LogReport, LogStep, OnError, Purpose, StepError};
use logging::multilog::script::{MAX_AGE, MAX_BYTES, ScriptError, min_bytes};
use logging::names::MAX_SUFFIX_LEN;

use super::MULTILOG;

/// The time between retries of a failed step.
const PAUSE: Duration = Duration::from_secs(5);

/// The step that failed when the word `1` cannot print.
pub(crate) const WRITE_OUTPUT: &str = "unable to write to standard output";

/// The error message for an invalid script.
pub(crate) fn script_failure(error: ScriptError<'_>) -> Failure {
    let message = match error {
        ScriptError::Age(value) => text![format!("R takes 0 to {MAX_AGE} seconds, not "), value],
        ScriptError::Bytes(value, size) => {
            let least = min_bytes(size);
            let range = format!("S takes {least} to {MAX_BYTES} bytes");
            text![range, format!(" for files of {size}, not "), value]
        }
        ScriptError::Suffix(value) => {
            let range = format!("w takes 1 to {MAX_SUFFIX_LEN} letters, digits, dots, ");
            text![
                range,
                "hyphens and underscores, and neither u nor t, not ",
                value
            ]
        }
        ScriptError::Prefix => text!["p takes a prefix without newlines"],
    };
    Failure {
        exit: Exit::Permanent,
        ..MULTILOG.fatal_msg(message)
    }
}

/// Reports an error, and sleeps before a retry.
pub(crate) fn report(event: &LogReport<'_>) {
    let error = match event {
        LogReport::Event(..) => return,
        LogReport::Error(error) => error,
    };
    match error.on_error {
        OnError::Retry => {
            MULTILOG.warn_msg(error_message(error, ", pausing"));
            std::thread::sleep(PAUSE);
        }
        OnError::Continue => MULTILOG.warn_msg(error_message(error, "")),
        OnError::Exit => {
            write_stderr(&MULTILOG.fatal_msg(error_message(error, "")).message);
        }
    }
}

/// The failed step, the reaction `then`, and the errno.
pub(crate) fn error_message(error: &StepError<'_>, then: &str) -> Vec<u8> {
    let StepError {
        path, step, error, ..
    } = error;
    let message = match step {
        LogStep::ChdirToOrigin => text!["unable to switch to starting directory"],
        LogStep::OpenDirectory | LogStep::ChdirToLogDir(Purpose::Open) => {
            text!["unable to open directory ", path]
        }
        LogStep::ChdirToLogDir(Purpose::Rotate | Purpose::FreeSpace | Purpose::Process) => {
            text!["unable to switch to ", path]
        }
        LogStep::Lock => text!["unable to lock directory ", path],
        LogStep::Stat(file) => text!["unable to stat ", path, "/", file],
        LogStep::Create(file) => text!["unable to create ", path, "/", file],
        LogStep::Append(file) => text!["unable to append to ", path, "/", file],
        LogStep::Write(file) => text!["unable to write to ", path, "/", file],
        LogStep::SetMode(file) => text!["unable to set mode of ", path, "/", file],
        LogStep::Sync(file) => text!["unable to write ", path, "/", file, " to disk"],
        LogStep::Rename(from, to) => {
            text![
                "unable to rename ",
                from,
                " to ",
                to,
                " in directory ",
                path
            ]
        }
        LogStep::Link(file) => text!["unable to link to ", path, "/", file],
        LogStep::Remove(file) => text!["unable to remove ", path, "/", file],
        LogStep::OpenToList(_) | LogStep::List(_) => text!["unable to read ", path],
        LogStep::Fork => text!["unable to fork for processor in ", path],
        LogStep::Run(command, _) => text!["unable to run ", command],
        LogStep::Wait => text!["wait failed for processor in ", path],
        LogStep::Crash => text!["processor crashed in ", path],
        LogStep::Failure => text!["processor failed in ", path],
        LogStep::CreateStatus => text!["unable to create ", path],
        LogStep::RewindStatus => text!["unable to move to beginning of ", path],
        LogStep::WriteStatus => text!["unable to write ", path],
        LogStep::Print => text![WRITE_OUTPUT],
        LogStep::Memory => text!["unable to allocate memory, waiting"],
        LogStep::LockOutput => text!["unable to lock ", path, " against other loggers"],
    };
    let reason = error.map_or(String::new(), |error| format!(": {}", errno_message(error)));
    text![message, then, reason]
}
