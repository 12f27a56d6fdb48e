//! sv: control services monitored by runsv, and say what they are at.

#![cfg_attr(not(test), no_main)]

mod words;

use std::ffi::CStr;
use std::time::Duration;

use cli::options::{flag, value};
use cli::{Exit, Failure, Program, basename, errno::errno_message, text};
use daemontools_core::number;
use daemontools_core::sv::SvCommand;
use supervision::sv::{OriginError, Services, control};
use unix::start;

use words::{Outcome, complain_of_check, say};

pub(crate) static SV: Program = Program {
    name: "sv",
    usage: "usage: sv [-v] [-w sec] command service ...\n",
    options: &[
        flag(b'v', "wait for the command to take effect, and tell"),
        value(b'w', "sec", "the same, for so many seconds"),
        flag(b'V', "show the version, and how sv is used"),
    ],
};

/// What -V shows: the version of runit's sv that this one is like.
const VERSION: &str = "$Id: 900314260c6d52c986c5357673bea2f3bd3f4698 $\n";

/// Where services are that are called by their names, unless SVDIR says where:
/// chosen when sv is built.
const SERVICES: &str = match option_env!("SERVICEDIR") {
    Some(services) => services,
    None => "/service",
};

/// How many seconds to wait, unless SVWAIT or -w says how many.
const WAIT: u64 = 7;

unix::main!(SV.start(main_or_script));

/// By any other name than sv it is the init script of the service that has
/// this name, with the exit codes of such.
fn main_or_script(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let called = arguments.first().map_or(&b"sv"[..], |word| word.to_bytes());
    match basename(called) {
        b"sv" => sv(arguments, None),
        name => sv(arguments, Some(name)).map_err(|failure| as_script(name, &failure)),
    }
}

fn sv(arguments: &[&'static CStr], script: Option<&[u8]>) -> Result<Exit, Failure> {
    let mut seconds = start::variable(b"SVWAIT").map_or(WAIT, |text| number::scan_decimal(text).0);
    let mut verbose = false;
    let mut options = SV.options(arguments);
    while let Some((letter, value)) = options.next()? {
        verbose = true;
        match letter {
            b'w' => (seconds, _) = number::scan_decimal(value),
            b'V' => {
                let usage = SV.usage();
                let message = text![VERSION, usage.message];
                return Err(Failure { message, ..usage });
            }
            _ => {}
        }
    }
    let [word, names @ ..] = options.operands() else {
        return Err(SV.usage());
    };
    let command = SvCommand::from_word(word.to_bytes()).ok_or_else(|| SV.usage())?;
    let names: Vec<_> = match script {
        Some(name) => vec![name],
        None => names.iter().map(|name| name.to_bytes()).collect(),
    };
    if names.is_empty() {
        return Err(SV.usage());
    }
    let directory = start::variable(b"SVDIR").unwrap_or(SERVICES.as_bytes());
    let services = Services::in_directory(directory).map_err(lost)?;
    let time = (command.waits || verbose).then(|| Duration::from_secs(seconds));
    let mut outcomes = Vec::new();
    control(
        command,
        &services,
        &names,
        time,
        |name, answer| outcomes.push(say(command, name, &answer)),
        complain_of_check,
    )
    .map_err(lost)?;
    Ok(Exit::Code(match (script, outcomes.as_slice()) {
        (None, _) => failures(&outcomes),
        (Some(_), [outcome]) => outcome.script,
        (Some(_), _) => 0,
    }))
}

/// How many services failed, as far as an exit code tells.
fn failures(outcomes: &[Outcome]) -> u8 {
    let failures = outcomes.iter().filter(|outcome| outcome.failed);
    (1..=99)
        .zip(failures)
        .last()
        .map_or(0, |(number, _)| number)
}

/// Why no service can be asked.
fn lost(lost: OriginError) -> Failure {
    let (what, error) = match lost {
        OriginError::Origin(error) => ("unable to open current directory", error),
        OriginError::Return(error) => ("unable to change to original directory", error),
    };
    let message = text!["fatal: ", what, ": ", errno_message(error), "\n"];
    Failure {
        exit: Exit::Permanent,
        message,
    }
}

/// A failure as an init script has it.
fn as_script(name: &[u8], failure: &Failure) -> Failure {
    let usage = text![SV.usage, "\n"];
    let usage_of_script = text!["usage: ", name, " [-w sec] command\n\n"];
    match failure.message.strip_suffix(usage.as_slice()) {
        Some(complaint) => Failure {
            exit: Exit::Code(2),
            message: text![complaint, usage_of_script],
        },
        None => Failure {
            exit: Exit::Code(151),
            message: failure.message.clone(),
        },
    }
}
