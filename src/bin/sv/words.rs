//! What sv says about its services.

use cli::text::{print, write_stderr};
use cli::{errno::errno_message, text};
use daemontools_core::names;
use daemontools_core::sv::{Action, SvCommand};
use nix::errno::Errno;
use supervision::client::{self, CheckError};
use supervision::sv::{Answer, Description, Logger, ServiceError};

/// What is known of a service in the end, as exit codes tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether it counts as one that failed.
    pub(crate) failed: bool,
    /// The exit code of its init script.
    pub(crate) script: u8,
}

impl Outcome {
    const GOOD: Outcome = Outcome {
        failed: false,
        script: 0,
    };
    const FAILED: Outcome = Outcome {
        failed: true,
        script: 1,
    };
    /// It may be supervised, and does not tell what it is at.
    const UNKNOWN: Outcome = Outcome {
        failed: true,
        script: 4,
    };
}

/// Says what there is to say about a service.
pub(crate) fn say(command: SvCommand, name: &[u8], answer: &Answer) -> Outcome {
    let (line, outcome) = match answer {
        Answer::Status(service, logger) => say_status(name, service, logger.as_ref()),
        Answer::Done(service) => {
            let line = text!["ok: ", sentence(name, name, service), "\n"];
            (line, Outcome::GOOD)
        }
        Answer::Late(service) => {
            let prefix = if command.kills { "kill: " } else { "timeout: " };
            let line = text![prefix, sentence(name, name, service), "\n"];
            (line, Outcome::FAILED)
        }
        Answer::ServiceError(ServiceError::Runsv(client::ClientError::NotRunning))
            if command.action.is_exit() =>
        {
            (text!["ok: ", name, ": runsv not running\n"], Outcome::GOOD)
        }
        Answer::ServiceError(trouble) => {
            let outcome = match (trouble, command.action) {
                (
                    ServiceError::Chdir(_) | ServiceError::Runsv(client::ClientError::NotRunning),
                    _,
                ) => Outcome::FAILED,
                (ServiceError::Runsv(_), Action::Status) => Outcome::UNKNOWN,
                (ServiceError::Runsv(_), Action::Check | Action::Obey(_)) => Outcome::FAILED,
            };
            (complaint(name, *trouble), outcome)
        }
    };
    // Nobody could be told that this cannot be read.
    let _ = print(&line);
    outcome
}

/// Says what a service and its logger are at. What is said last is what the
/// exit code of an init script is about.
fn say_status(name: &[u8], service: &Description, logger: Option<&Logger>) -> (Vec<u8>, Outcome) {
    let path = text![name, "/", names::LOG];
    let (trouble, about_logger) = match logger {
        None => (None, None),
        Some(Logger::Chdir(error)) => {
            let what = text!["unable to change directory: ", errno_message(*error)];
            (Some(text!["warning: ", path, ": ", what, "\n"]), None)
        }
        Some(Logger::Known(known)) => (None, Some(known)),
        Some(Logger::Unknown(trouble, known)) => {
            let stands_in = (*trouble != client::ClientError::NotRunning).then_some(known);
            (
                Some(complaint(&path, ServiceError::Runsv(*trouble))),
                stands_in,
            )
        }
    };
    let mut line = sentence(name, name, service);
    if logger.is_some() {
        line.extend_from_slice(b"; ");
    }
    let failed = trouble.is_some();
    line.extend(trouble.into_iter().flatten());
    if let Some(known) = about_logger {
        line.extend(sentence(names::LOG.to_bytes(), name, known));
    }
    if !line.ends_with(b"\n") {
        line.push(b'\n');
    }
    let script = match about_logger.unwrap_or(service) {
        Ok(said) if said.report.status.pid.is_none() => 3,
        Ok(_) => 0,
        Err(_) => 4,
    };
    (line, Outcome { failed, script })
}

/// What keeps a service from being asked.
fn complaint(name: &[u8], trouble: ServiceError) -> Vec<u8> {
    let (prefix, what) = match trouble {
        ServiceError::Chdir(error) => (
            "fail: ",
            text![
                "unable to change to service directory: ",
                errno_message(error)
            ],
        ),
        ServiceError::Runsv(client::ClientError::NotRunning) => {
            ("fail: ", text!["runsv not running"])
        }
        ServiceError::Runsv(client::ClientError::Open(file, error)) => (
            "warning: ",
            text!["unable to open ", file, ": ", errno_message(error)],
        ),
        ServiceError::Runsv(client::ClientError::Read(error)) => (
            "warning: ",
            text!["unable to read ", names::STATUS, ": ", errno_message(error)],
        ),
        ServiceError::Runsv(client::ClientError::Format) => (
            "warning: ",
            text!["unable to read ", names::STATUS, ": bad format"],
        ),
        ServiceError::Runsv(client::ClientError::Write(error)) => (
            "warning: ",
            text![
                "unable to write to ",
                names::CONTROL,
                ": ",
                errno_message(error)
            ],
        ),
    };
    text![prefix, name, ": ", what, "\n"]
}

/// `run: NAME: (pid 7) 4s, …`; nothing of a service in whose `directory` the
/// file `down` cannot be looked for.
fn sentence(name: &[u8], directory: &[u8], described: &Description) -> Vec<u8> {
    match described {
        Ok(sentence) => text![sentence.before_name(), name, sentence.after_name()],
        Err(error) => {
            warn(
                &text!["unable to stat ", directory, "/", names::DOWN],
                *error,
            );
            Vec::new()
        }
    }
}

pub(crate) fn complain_of_check(name: &[u8], trouble: CheckError) {
    let (doing, error) = match trouble {
        CheckError::Stat(error) => ("unable to stat ", error),
        CheckError::Fork(error) => ("unable to fork for ", error),
        CheckError::Run(error) => ("unable to run ", error),
    };
    warn(&text![doing, name, "/", names::CHECK], error);
}

fn warn(what: &[u8], error: Errno) {
    write_stderr(&text!["warning: ", what, ": ", errno_message(error), "\n"]);
}
