//! svc: control services monitored by supervise.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::options::{Opt, flag};
use cli::{Exit, Failure, Program, text};
use daemontools::supervise_dir::SuperviseDirRule;
use daemontools::{Operation, WhenFull, send_commands};
use daemontools_core::control::{COMMANDS, Command, SignalTarget};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::chdir;
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
    let mut letters = Letters {
        bytes: Vec::new(),
        added: Vec::new(),
        target: SignalTarget::Process,
    };
    let mut options = SVC.options(arguments);
    while let Some((letter, _)) = options.next()? {
        letters.add(letter);
    }
    let letters = letters.all();
    // A supervise that exits early must not end svc before the next directory.
    let _ = SigSet::from(Signal::SIGPIPE).thread_block();
    let rule =
        SuperviseDirRule::from_environment().map_err(|error| SVC.fatal_msg(error.message()))?;
    let origin =
        Origin::open().map_err(|error| SVC.fatal("unable to open current directory", error))?;
    for dir in options.operands() {
        match chdir(*dir) {
            Ok(()) => control(rule, dir, &letters),
            Err(error) => SVC.warn(text!["unable to chdir to ", dir], error),
        }
        let returned = origin.enter();
        returned.map_err(|error| SVC.fatal("unable to set directory", error))?;
    }
    Ok(Exit::Success)
}

/// The content of the control FIFO: the letters in the order of their options,
/// each once for each signal target.
struct Letters {
    bytes: Vec<u8>,
    added: Vec<(SignalTarget, u8)>,
    target: SignalTarget,
}

impl Letters {
    fn add(&mut self, letter: u8) {
        let is_new = if let Some(Command::Target(target)) = Command::from_byte(letter) {
            std::mem::replace(&mut self.target, target) != target
        } else {
            let is_new = !self.added.contains(&(self.target, letter));
            self.added.push((self.target, letter));
            is_new
        };
        if is_new {
            self.bytes.push(letter);
        }
    }

    /// All letters, with the target reset at the end: supervise may read the
    /// letters of the next svc together with these.
    fn all(mut self) -> Vec<u8> {
        self.add(Command::Target(SignalTarget::Process).letter());
        self.bytes
    }
}

/// Sends the letters to the supervise of the current directory, which messages
/// call `dir`.
fn control(rule: SuperviseDirRule, dir: &CStr, letters: &[u8]) {
    let files = match rule.of_current() {
        Ok(files) => files,
        Err(error) => return SVC.warn(text!["unable to find the path of ", dir], error),
    };
    match send_commands(&files, letters, WhenFull::Block) {
        Ok(()) => {}
        Err(error) if error.is_not_running() => {
            SVC.warn_msg(text!["unable to control ", dir, ": supervise not running"]);
        }
        Err(error) => {
            let problem = match error.operation {
                Operation::Write => "error writing commands to ",
                Operation::Open | Operation::Read => "unable to control ",
            };
            SVC.warn(text![problem, dir], error.errno);
        }
    }
}
