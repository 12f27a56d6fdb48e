//! sv: control services monitored by runsv, and show their status.

#![cfg_attr(not(test), no_main)]

mod check;
pub(crate) mod command;
mod messages;
mod session;
mod status_line;

use std::ffi::CStr;
use std::time::Duration;

use cli::options::{flag, value};
use cli::{Exit, Failure, Program, basename, errno::errno_message, text};
use daemontools_core::number;
use unix::start;

use command::SvCommand;
use messages::ServiceResult;
use session::{OriginError, Services, control};

pub(crate) static SV: Program = Program {
    name: "sv",
    usage: "usage: sv [-v] [-w sec] command service ...\n",
    options: &[
        flag(b'v', "wait until the command is complete"),
        value(b'w', "sec", "as -v, for at most this time"),
        flag(b'V', "print version and usage"),
    ],
};

/// The output of -V: the version of runit's sv that this one is compatible with.
const VERSION: &str = "$Id: 900314260c6d52c986c5357673bea2f3bd3f4698 $\n";

/// The default of SVDIR. SERVICEDIR sets it at build time.
const SERVICES: &str = match option_env!("SERVICEDIR") {
    Some(services) => services,
    None => "/service",
};

/// The default of SVWAIT and -w, in seconds.
const WAIT: u64 = 7;

unix::main!(SV.start(main_or_script));

/// Runs sv. Under any other name sv is the init script of the service of that
/// name, with the exit codes of an LSB init script.
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
    let services = Services::in_directory(directory).map_err(origin_failure)?;
    let timeout = (command.waits || verbose).then(|| Duration::from_secs(seconds));
    let mut results = Vec::new();
    control(command, &services, &names, timeout, &mut |name, outcome| {
        results.push(messages::report(command, name, &outcome));
    })
    .map_err(origin_failure)?;
    Ok(Exit::Code(match (script, results.as_slice()) {
        (None, _) => count_failed(&results),
        (Some(_), [result]) => result.script_code,
        (Some(_), _) => 0,
    }))
}

/// The number of services that failed, at most 99.
fn count_failed(results: &[ServiceResult]) -> u8 {
    let failed = results.iter().filter(|result| result.failed);
    (1..=99).zip(failed).last().map_or(0, |(number, _)| number)
}

fn origin_failure(error: OriginError) -> Failure {
    let (problem, error) = match error {
        OriginError::Open(error) => ("unable to open current directory", error),
        OriginError::Return(error) => ("unable to change to original directory", error),
    };
    Failure {
        exit: Exit::Permanent,
        message: text!["fatal: ", problem, ": ", errno_message(error), "\n"],
    }
}

/// The failure of an init script: 2 for usage, 151 otherwise.
fn as_script(name: &[u8], failure: &Failure) -> Failure {
    let usage = text![SV.usage, "\n"];
    match failure.message.strip_suffix(usage.as_slice()) {
        Some(complaint) => Failure {
            exit: Exit::Code(2),
            message: text![complaint, "usage: ", name, " [-w sec] command\n\n"],
        },
        None => Failure {
            exit: Exit::Code(151),
            message: failure.message.clone(),
        },
    }
}
