//! setlock: run a program while holding a lock.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use chain::Child;
use chain::lock::{LockError, LockMode, OPTIONS, take};
use cli::{Exit, Failure, Program, text};
use unix::start::environment;

pub(crate) static SETLOCK: Program = Program {
    name: "setlock",
    usage: "setlock: usage: setlock [ -nNxX ] file program [ arg ... ]",
    options: &OPTIONS,
};

unix::main!(SETLOCK.start(setlock));

fn setlock(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let mut mode = LockMode::Wait;
    let mut silent = false;
    let mut options = SETLOCK.options(arguments);
    while let Some((letter, _)) = options.next()? {
        match letter {
            b'n' => mode = LockMode::Try,
            b'N' => mode = LockMode::Wait,
            letter => silent = letter == b'x',
        }
    }
    let (file, child) = match *options.operands() {
        [file, ref child @ ..] if !child.is_empty() => (file, child),
        _ => return Err(SETLOCK.usage()),
    };
    // All messages below are printed while the file is open. If standard error
    // was closed, the file is descriptor 2, and 0.76 writes to the file.
    let lock = match take(file, mode) {
        Ok(lock) => lock,
        Err(_) if silent => return Ok(Exit::Success),
        Err(LockError::Open(error)) => {
            return Err(SETLOCK.fatal(text!["unable to open ", file], error));
        }
        Err(LockError::Lock(error, _open)) => {
            return Ok(SETLOCK.fatal(text!["unable to lock ", file], error).print());
        }
    };
    let exit = Child::new(&SETLOCK, child, &environment()).exec().print();
    drop(lock);
    Ok(exit)
}
