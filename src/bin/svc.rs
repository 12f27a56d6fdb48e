//! svc: control services monitored by supervise.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::{Exit, Failure, Opt, Program, text};
use daemontools_core::control::{COMMANDS, Command, MORE_COMMANDS, SignalTarget};
use daemontools_core::names;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{chdir, fchdir, write};
use unix::file;

pub(crate) static SVC: Program = Program {
    name: "svc",
    usage: "svc options: u up, d down, o once, x exit, p pause, c continue, h hup, a alarm, \
            i interrupt, t term, k kill",
    options: &OPTIONS,
};

/// One option for each command that supervise understands. The usage line
/// stays 0.76's.
static OPTIONS: [Opt; COMMANDS.len() + MORE_COMMANDS.len()] = options();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn options() -> [Opt; COMMANDS.len() + MORE_COMMANDS.len()] {
    let mut options = [Opt {
        letter: 0,
        value: None,
        help: "",
    }; COMMANDS.len() + MORE_COMMANDS.len()];
    let mut n = 0;
    while n < options.len() {
        let (letter, help, _): (u8, &str, Command) = if n < COMMANDS.len() {
            COMMANDS[n]
        } else {
            MORE_COMMANDS[n - COMMANDS.len()]
        };
        (options[n].letter, options[n].help) = (letter, help);
        n += 1;
    }
    options
}

unix::main!(SVC.start(svc));

fn svc(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let mut letters = Letters::new();
    let mut options = SVC.options(arguments);
    while let Some((letter, _)) = options.next()? {
        letters.add(letter);
    }
    let letters = letters.all();
    // A supervise that ends before it is told keeps nobody from being told.
    let _ = SigSet::from(Signal::SIGPIPE).thread_block();
    let origin = file::open_read(c".")
        .map_err(|error| SVC.fatal("unable to open current directory", error))?;
    for dir in options.operands() {
        match chdir(*dir) {
            Ok(()) => control(dir, &letters),
            Err(error) => SVC.warn(text!["unable to chdir to ", dir], error),
        }
        fchdir(&origin).map_err(|error| SVC.fatal("unable to set directory", error))?;
    }
    Ok(Exit::Success)
}

/// What is written to the control FIFO: the letters in the order of their
/// options, each once to those whom it reaches.
struct Letters {
    bytes: Vec<u8>,
    added: Vec<(SignalTarget, u8)>,
    target: SignalTarget,
}

impl Letters {
    fn new() -> Self {
        Letters {
            bytes: Vec::new(),
            added: Vec::new(),
            target: SignalTarget::Process,
        }
    }

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

    /// All of them. Supervise may read those of the next svc together with
    /// them, so what `+` says is taken back.
    fn all(mut self) -> Vec<u8> {
        if let Some(back) = Command::Target(SignalTarget::Process).letter() {
            self.add(back);
        }
        self.bytes
    }
}

/// Writes the commands to the control FIFO of the current directory, called
/// `dir` in messages. It waits while the FIFO is full.
fn control(dir: &CStr, letters: &[u8]) {
    let opened =
        file::open_write(names::CONTROL).and_then(|fifo| file::set_blocking(&fifo).map(|()| fifo));
    match opened {
        Ok(fifo) => {
            if let Err(error) = write(&fifo, letters) {
                SVC.warn(text!["error writing commands to ", dir], error);
            }
        }
        Err(Errno::ENXIO) => {
            SVC.warn_msg(text!["unable to control ", dir, ": supervise not running"]);
        }
        Err(error) => SVC.warn(text!["unable to control ", dir], error),
    }
}
