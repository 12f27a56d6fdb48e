//! svc: control services monitored by supervise.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use cli::{Exit, Failure, Opt, Program, text};
use daemontools_core::control::{COMMANDS, Command};
use daemontools_core::names;
use nix::errno::Errno;
use nix::unistd::{chdir, fchdir, write};
use unix::file;

pub(crate) static SVC: Program = Program {
    name: "svc",
    usage: "svc options: u up, d down, o once, x exit, p pause, c continue, h hup, a alarm, \
            i interrupt, t term, k kill",
    options: &OPTIONS,
};

/// One option for each command that supervise understands.
static OPTIONS: [Opt; COMMANDS.len()] = options(COMMANDS);

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn options<const N: usize>(commands: [(u8, &'static str, Command); N]) -> [Opt; N] {
    let mut options = [Opt {
        letter: 0,
        value: None,
        meaning: "",
    }; N];
    let mut n = 0;
    while n < N {
        (options[n].letter, options[n].meaning, _) = commands[n];
        n += 1;
    }
    options
}

unix::main!(SVC.start(svc));

fn svc(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let mut letters = Vec::new();
    let mut options = SVC.options(arguments);
    while let Some((letter, _)) = options.next()? {
        if !letters.contains(&letter) {
            letters.push(letter);
        }
    }
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

/// Writes the commands to the control FIFO of the current directory, called
/// `dir` in messages. It waits while the FIFO is full.
fn control(dir: &CStr, letters: &[u8]) {
    let sent = file::open_write(names::CONTROL).and_then(|fifo| {
        file::set_blocking(&fifo)?;
        write(&fifo, letters)
    });
    match sent {
        Ok(_) => {}
        Err(Errno::ENXIO) => {
            SVC.remark(text!["unable to control ", dir, ": supervise not running"]);
        }
        Err(error) => SVC.warn(text!["unable to control ", dir], error),
    }
}
