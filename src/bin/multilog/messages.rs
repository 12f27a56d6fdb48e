//! What multilog says.

use std::time::Duration;

use cli::errno::errno_message;
use cli::text::write_stderr;
use cli::{Exit, Failure, text};
use logging::event::{LogReport, LogStep, OnError, Purpose, StepError};
use logging::multilog::script::{MAX_AGE, MAX_BYTES, ScriptError, min_bytes};
use logging::names::MAX_SUFFIX_LEN;

use super::MULTILOG;

/// How long multilog waits before it tries again what the system refused.
const PAUSE: Duration = Duration::from_secs(5);

/// Why a script is refused.
pub(crate) fn wrong(mistake: ScriptError<'_>) -> Failure {
    let what = match mistake {
        ScriptError::Age(not) => text![format!("R takes 0 to {MAX_AGE} seconds, not "), not],
        ScriptError::Bytes(not, size) => {
            let least = min_bytes(size);
            let range = format!("S takes {least} to {MAX_BYTES} bytes");
            text![range, format!(" for files of {size}, not "), not]
        }
        ScriptError::Suffix(not) => {
            let range = format!("w takes 1 to {MAX_SUFFIX_LEN} letters, digits, dots, ");
            text![
                range,
                "hyphens and underscores, and neither u nor t, not ",
                not
            ]
        }
    };
    Failure {
        exit: Exit::Permanent,
        ..MULTILOG.fatal_msg(what)
    }
}

/// Says what the system refused, and waits before it is tried again.
pub(crate) fn report(event: &LogReport<'_>) {
    let trouble = match event {
        LogReport::Event(..) => return,
        LogReport::Error(trouble) => trouble,
    };
    match trouble.then {
        OnError::Retry => {
            MULTILOG.warn_msg(sentence(trouble, ", pausing"));
            std::thread::sleep(PAUSE);
        }
        OnError::Continue | OnError::Exit => {
            write_stderr(&MULTILOG.fatal_msg(sentence(trouble, "")).message)
        }
    }
}

/// What was refused, and why.
pub(crate) fn sentence(trouble: &StepError<'_>, then: &str) -> Vec<u8> {
    let StepError {
        place, step, error, ..
    } = trouble;
    let what = match step {
        LogStep::ChdirToOrigin => text!["unable to switch to starting directory"],
        LogStep::OpenDirectory | LogStep::ChdirToLogDir(Purpose::Open) => {
            text!["unable to open directory ", place]
        }
        LogStep::ChdirToLogDir(Purpose::Rotate | Purpose::FreeSpace | Purpose::Process) => {
            text!["unable to switch to ", place]
        }
        LogStep::Lock => text!["unable to lock directory ", place],
        LogStep::Stat(file) => text!["unable to stat ", place, "/", file],
        LogStep::Create(file) => text!["unable to create ", place, "/", file],
        LogStep::Append(file) => text!["unable to append to ", place, "/", file],
        LogStep::Write(file) => text!["unable to write to ", place, "/", file],
        LogStep::SetMode(file) => text!["unable to set mode of ", place, "/", file],
        LogStep::Sync(file) => text!["unable to write ", place, "/", file, " to disk"],
        LogStep::Rename(from, to) => {
            text![
                "unable to rename ",
                from,
                " to ",
                to,
                " in directory ",
                place
            ]
        }
        LogStep::Link(file) => text!["unable to link to ", place, "/", file],
        LogStep::Remove(file) => text!["unable to remove ", place, "/", file],
        LogStep::OpenToList(_) | LogStep::List(_) => text!["unable to read ", place],
        LogStep::Fork => text!["unable to fork for processor in ", place],
        LogStep::Run(command, _) => text!["unable to run ", command],
        LogStep::Wait => text!["wait failed for processor in ", place],
        LogStep::Crash => text!["processor crashed in ", place],
        LogStep::Failure => text!["processor failed in ", place],
        LogStep::CreateStatus => text!["unable to create ", place],
        LogStep::RewindStatus => text!["unable to move to beginning of ", place],
        LogStep::WriteStatus => text!["unable to write ", place],
    };
    let why = error.map_or(String::new(), |error| format!(": {}", errno_message(error)));
    text![what, then, why]
}
