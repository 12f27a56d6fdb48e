//! What multilog says.

use std::time::Duration;

use cli::errno::errno_message;
use cli::text::write_stderr;
use cli::{Exit, Failure, text};
use logging::event::{Event, Purpose, Step, Then, Trouble};
use logging::names::LONGEST_CODE;
use logging::script::{GREATEST_AGE, GREATEST_BYTES, Mistake, least_bytes};

use super::MULTILOG;

/// How long multilog waits before it tries again what the system refused.
const PAUSE: Duration = Duration::from_secs(5);

/// Why a script is refused.
pub(crate) fn wrong(mistake: Mistake<'_>) -> Failure {
    let what = match mistake {
        Mistake::Age(not) => text![format!("R takes 0 to {GREATEST_AGE} seconds, not "), not],
        Mistake::Bytes(not, size) => {
            let least = least_bytes(size);
            let range = format!("S takes {least} to {GREATEST_BYTES} bytes");
            text![range, format!(" for files of {size}, not "), not]
        }
        Mistake::Code(not) => {
            let range = format!("w takes 1 to {LONGEST_CODE} letters, digits, dots, ");
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
pub(crate) fn tell(event: &Event<'_>) {
    let trouble = match event {
        Event::News(..) => return,
        Event::Trouble(trouble) => trouble,
    };
    match trouble.then {
        Then::Again => {
            MULTILOG.warn_msg(sentence(trouble, ", pausing"));
            std::thread::sleep(PAUSE);
        }
        Then::On | Then::Exit => write_stderr(&MULTILOG.fatal_msg(sentence(trouble, "")).message),
    }
}

/// What was refused, and why.
pub(crate) fn sentence(trouble: &Trouble<'_>, then: &str) -> Vec<u8> {
    let Trouble {
        place, step, error, ..
    } = trouble;
    let what = match step {
        Step::SwitchBack => text!["unable to switch to starting directory"],
        Step::OpenDirectory | Step::Switch(Purpose::Open) => {
            text!["unable to open directory ", place]
        }
        Step::Switch(Purpose::Rotate | Purpose::MakeRoom | Purpose::Process) => {
            text!["unable to switch to ", place]
        }
        Step::Lock => text!["unable to lock directory ", place],
        Step::Stat(file) => text!["unable to stat ", place, "/", file],
        Step::Create(file) => text!["unable to create ", place, "/", file],
        Step::Append(file) => text!["unable to append to ", place, "/", file],
        Step::Write(file) => text!["unable to write to ", place, "/", file],
        Step::SetMode(file) => text!["unable to set mode of ", place, "/", file],
        Step::Sync(file) => text!["unable to write ", place, "/", file, " to disk"],
        Step::Rename(from, to) => {
            text![
                "unable to rename ",
                from,
                " to ",
                to,
                " in directory ",
                place
            ]
        }
        Step::Link(file) => text!["unable to link to ", place, "/", file],
        Step::Remove(file) => text!["unable to remove ", place, "/", file],
        Step::OpenToList(_) | Step::List(_) => text!["unable to read ", place],
        Step::Fork => text!["unable to fork for processor in ", place],
        Step::Run(command, _) => text!["unable to run ", command],
        Step::Wait => text!["wait failed for processor in ", place],
        Step::Crash => text!["processor crashed in ", place],
        Step::Failure => text!["processor failed in ", place],
        Step::CreateStatus => text!["unable to create ", place],
        Step::RewindStatus => text!["unable to move to beginning of ", place],
        Step::WriteStatus => text!["unable to write ", place],
    };
    let why = error.map_or(String::new(), |error| format!(": {}", errno_message(error)));
    text![what, then, why]
}
