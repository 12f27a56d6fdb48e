//! The messages of sv, and the exit codes that belong to them.

use cli::text::{print, write_stderr};
use cli::{errno::errno_message, text};
use daemontools::Operation;
use daemontools::client::StatusError;
use daemontools_core::names;
use nix::errno::Errno;

use super::command::{SvAction, SvCommand};
use super::session::{Description, LoggerStatus, ServiceError, ServiceOutcome};

/// The part of a service in the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServiceResult {
    /// Whether the service counts as failed.
    pub(crate) failed: bool,
    /// The exit code of sv as an init script.
    pub(crate) script_code: u8,
}

const SUCCEEDED: ServiceResult = result(false, 0);
const FAILED: ServiceResult = result(true, 1);
/// The status cannot be read, though runsv may run.
const UNKNOWN: ServiceResult = result(true, 4);

const fn result(failed: bool, script_code: u8) -> ServiceResult {
    ServiceResult {
        failed,
        script_code,
    }
}

/// Prints the line for a service.
pub(crate) fn report(command: SvCommand, name: &[u8], outcome: &ServiceOutcome) -> ServiceResult {
    let (line, result) = match outcome {
        ServiceOutcome::Status(service, logger) => status(name, service, logger.as_ref()),
        ServiceOutcome::Done(service) => {
            let line = text!["ok: ", status_line(name, name, service), "\n"];
            (line, SUCCEEDED)
        }
        ServiceOutcome::TimedOut(service) => {
            let prefix = if command.kills { "kill: " } else { "timeout: " };
            let line = text![prefix, status_line(name, name, service), "\n"];
            (line, FAILED)
        }
        ServiceOutcome::Failed(ServiceError::Client(error))
            if error.is_not_running() && command.action.is_exit() =>
        {
            (text!["ok: ", name, ": runsv not running\n"], SUCCEEDED)
        }
        ServiceOutcome::Failed(error) => {
            let result = match (error, command.action) {
                (ServiceError::Client(error), SvAction::Status) if !error.is_not_running() => {
                    UNKNOWN
                }
                (ServiceError::Client(_) | ServiceError::Chdir(_), _) => FAILED,
            };
            (failure(name, *error), result)
        }
    };
    // A closed standard output leaves the exit code as it is.
    let _ = print(&line);
    result
}

/// The line of `status`. The exit code of an init script is that of the logger,
/// if its status is known.
fn status(
    name: &[u8],
    service: &Description,
    logger: Option<&LoggerStatus>,
) -> (Vec<u8>, ServiceResult) {
    let path = text![name, "/", names::LOG];
    let (error, logger_status) = match logger {
        None => (None, None),
        Some(LoggerStatus::Chdir(error)) => {
            let problem = text!["unable to change directory: ", errno_message(*error)];
            (Some(text!["warning: ", path, ": ", problem, "\n"]), None)
        }
        Some(LoggerStatus::Known(status)) => (None, Some(status)),
        Some(LoggerStatus::Unknown(error, last)) => {
            let shown = (!error.is_not_running()).then_some(last);
            (Some(failure(&path, ServiceError::Client(*error))), shown)
        }
    };
    let mut line = status_line(name, name, service);
    if logger.is_some() {
        line.extend_from_slice(b"; ");
    }
    let failed = error.is_some();
    line.extend(error.into_iter().flatten());
    if let Some(status) = logger_status {
        line.extend(status_line(names::LOG.to_bytes(), name, status));
    }
    if !line.ends_with(b"\n") {
        line.push(b'\n');
    }
    let script_code = match logger_status.unwrap_or(service) {
        Ok(line) if line.report.status.pid.is_none() => 3,
        Ok(_) => 0,
        Err(_) => 4,
    };
    (line, result(failed, script_code))
}

/// The line for a service that cannot be controlled.
fn failure(name: &[u8], error: ServiceError) -> Vec<u8> {
    let (prefix, problem) = match error {
        ServiceError::Chdir(error) => {
            let problem = "unable to change to service directory: ";
            ("fail: ", text![problem, errno_message(error)])
        }
        ServiceError::Client(error) if error.is_not_running() => {
            ("fail: ", text!["runsv not running"])
        }
        ServiceError::Client(StatusError::Format) => {
            let problem = text!["unable to read ", names::STATUS, ": bad format"];
            ("warning: ", problem)
        }
        ServiceError::Client(StatusError::Client(error)) => {
            let verb = match error.operation {
                Operation::Read => "read ",
                Operation::Write => "write to ",
                _ => "open ",
            };
            let cause = errno_message(Errno::from_raw(error.raw_os_error()));
            let problem = text!["unable to ", verb, error.file, ": ", cause];
            ("warning: ", problem)
        }
    };
    text![prefix, name, ": ", problem, "\n"]
}

/// The status line; empty if stat(2) of `down` in `directory` failed.
fn status_line(name: &[u8], directory: &[u8], description: &Description) -> Vec<u8> {
    match description {
        Ok(line) => line.named(name),
        Err(error) => {
            let file = text!["unable to stat ", directory, "/", names::DOWN];
            warn(&file, *error);
            Vec::new()
        }
    }
}

/// Warns that a step with the program `check` failed.
pub(crate) fn warn_check(problem: &str, name: &[u8], error: Errno) {
    warn(&text![problem, name, "/", names::CHECK], error);
}

fn warn(problem: &[u8], error: Errno) {
    write_stderr(&text![
        "warning: ",
        problem,
        ": ",
        errno_message(error),
        "\n"
    ]);
}
