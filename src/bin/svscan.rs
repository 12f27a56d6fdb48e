//! svscan: start and monitor a collection of services.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::options::flag;
use cli::{Exit, Failure, Program, text};
use daemontools::supervise_dir::SuperviseDirRule;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, chdir, getpid};
use supervision::Role;
use supervision::ScanWarning;
use supervision::directory::prepare_central;
use supervision::svscan::{
    Escalation, ExitReason, Mode, SignalSource, SvscanWarning, svscan as run,
};
use unix::memory;
use unix::signals::SignalPipe;

pub(crate) static SVSCAN: Program = Program {
    name: "svscan",
    // Never printed: svscan takes any other argument as a directory.
    usage: "svscan: usage: svscan [-e] [directory]",
    options: &[flag(
        b'e',
        "extended: run supervise -e for each service, handle signals",
    )],
};

unix::main_with_reserve!(SVSCAN.name, {
    memory::extend_heap();
    SVSCAN.start(svscan)
});

fn svscan(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let children = SignalPipe::catch(&[Signal::SIGCHLD])
        .map_err(|error| SVSCAN.fatal("unable to create pipe", error))?;
    let (mode, operands) = match arguments {
        [_, option, operands @ ..] if *option == c"-e" => (Mode::Extended, operands),
        [_, operands @ ..] => (Mode::Plain, operands),
        [] => (Mode::Plain, arguments),
    };
    let rule =
        SuperviseDirRule::from_environment().map_err(|error| SVSCAN.fatal_msg(error.message()))?;
    if let [dir, ..] = *operands {
        chdir(dir).map_err(|error| SVSCAN.fatal(text!["unable to chdir to ", dir], error))?;
    }
    prepare_central(rule, &SVSCAN)?;
    let handles_signals = match mode {
        Mode::Extended => true,
        // Process 1 exits only on request.
        Mode::Plain => getpid() == Pid::from_raw(1),
    };
    let signals = handles_signals
        .then(|| SignalSource::new(mode))
        .transpose()
        .map_err(|error| SVSCAN.fatal("unable to hold signals", error))?;
    Ok(
        match run(mode, rule, &children, signals.as_ref(), &report) {
            ExitReason::Requested => Exit::Success,
            ExitReason::Essential(code) => Exit::Code(code),
        },
    )
}

fn report(warning: SvscanWarning<'_>) {
    match warning {
        SvscanWarning::Scan(warning, error) => report_failure(warning, error),
        SvscanWarning::StopTimeout(name, role, warning) => {
            let file = |file: &CStr| text![name, suffix(role), "/", file];
            SVSCAN.try_warn_msg(warning.message(file));
        }
        SvscanWarning::Escalation(escalation) => SVSCAN.try_warn_msg(match escalation {
            Escalation::KillServices => "interrupted again: killing all services",
            Escalation::SkipFinish => "interrupted again: not waiting for finish",
        }),
    }
}

fn report_failure(warning: ScanWarning<'_>, error: Errno) {
    let operation = match warning {
        ScanWarning::ReadDirectory => text!["read directory"],
        ScanWarning::Memory(name) => text!["add ", name],
        ScanWarning::Stat(name) => text!["stat ", name],
        ScanWarning::Pipe(name) => text!["create pipe for ", name],
        ScanWarning::Fork(name, role) => text!["fork for ", name, suffix(role)],
        ScanWarning::Chdir(name) => text!["switch to ", name],
        ScanWarning::Exec(name, role) => text!["start supervise ", name, suffix(role)],
        ScanWarning::Stop(name, role) => text!["stop ", name, suffix(role)],
    };
    SVSCAN.try_warn(text!["unable to ", operation], error);
}

/// The suffix of the service's name.
fn suffix(role: Role) -> &'static str {
    match role {
        Role::Service => "",
        Role::Logger => "/log",
    }
}
