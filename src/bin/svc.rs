//! svc: control services monitored by supervise.

#![cfg_attr(not(test), no_main)]

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

use cli::options::{Opt, flag};
use cli::{Exit, Failure, Program, text};
use daemontools::{Command, Operation, Service, SignalTarget, SuperviseDirRule};
use daemontools_core::control::COMMANDS;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use unix::cwd::Origin;

pub(crate) static SVC: Program = Program {
    name: "svc",
    usage: "svc options: u up, d down, o once, x exit, p pause, c continue, h hup, a alarm, \
            i interrupt, t term, k kill",
    options: &OPTIONS,
};

/// One option for each command that supervise understands. The usage line
/// stays 0.76's.
static OPTIONS: [Opt; COMMANDS.len()] = options();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn options() -> [Opt; COMMANDS.len()] {
    let mut options = [flag(0, ""); COMMANDS.len()];
    let mut n = 0;
    while n < options.len() {
        options[n] = flag(COMMANDS[n].0, COMMANDS[n].1);
        n += 1;
    }
    options
}

unix::main!(SVC.start(svc));

fn svc(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let mut commands = Commands {
        all: Vec::new(),
        added: Vec::new(),
        target: SignalTarget::Process,
    };
    let mut options = SVC.options(arguments);
    while let Some((letter, _)) = options.next()? {
        commands.extend(Command::from_byte(letter));
    }
    let commands = commands.with_reset();
    // A supervise that exits early must not end svc before the next directory.
    let _ = SigSet::from(Signal::SIGPIPE).thread_block();
    let rule =
        SuperviseDirRule::from_environment().map_err(|error| SVC.fatal_msg(error.message()))?;
    // As 0.76, which returns to this directory, svc has to read it.
    Origin::open().map_err(|error| SVC.fatal("unable to open current directory", error))?;
    for dir in options.operands() {
        control(rule, dir, &commands);
    }
    Ok(Exit::Success)
}

/// The content of the control FIFO: the commands in the order of their options,
/// each once for each signal target.
struct Commands {
    all: Vec<Command>,
    added: Vec<(SignalTarget, Command)>,
    target: SignalTarget,
}

impl Extend<Command> for Commands {
    fn extend<I: IntoIterator<Item = Command>>(&mut self, commands: I) {
        for command in commands {
            let is_new = if let Command::Target(target) = command {
                std::mem::replace(&mut self.target, target) != target
            } else {
                let is_new = !self.added.contains(&(self.target, command));
                self.added.push((self.target, command));
                is_new
            };
            if is_new {
                self.all.push(command);
            }
        }
    }
}

impl Commands {
    /// All commands, with the target reset at the end: supervise may read the
    /// commands of the next svc together with these.
    fn with_reset(mut self) -> Vec<Command> {
        self.extend([Command::Target(SignalTarget::Process)]);
        self.all
    }
}

/// Sends the commands to the supervise of a service.
fn control(rule: SuperviseDirRule, dir: &CStr, commands: &[Command]) {
    let service = Service::open_with(rule, OsStr::from_bytes(dir.to_bytes()));
    let Err(error) = service.and_then(|service| service.send(commands)) else {
        return;
    };
    if error.is_not_running() {
        return SVC.warn_msg(text!["unable to control ", dir, ": supervise not running"]);
    }
    let problem = match error.operation() {
        Operation::Enter => "unable to chdir to ",
        Operation::Locate => "unable to find the path of ",
        Operation::Write => "error writing commands to ",
        _ => "unable to control ",
    };
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    SVC.warn(text![problem, dir], errno);
}
