//! setlock: run a program while holding a lock.

use std::ffi::CStr;
use std::process::ExitCode;

use chain::Child;
use chain::lock::{Error, Held, take};
use cli::{Exit, Failure, Opt, Program, text};
use unix::start::environment;

static SETLOCK: Program = Program {
    name: "setlock",
    usage: "setlock: usage: setlock [ -nNxX ] file program [ arg ... ]",
    options: &[
        Opt {
            letter: b'n',
            value: None,
            meaning: "fail if the lock is held",
        },
        Opt {
            letter: b'N',
            value: None,
            meaning: "wait while the lock is held (default)",
        },
        Opt {
            letter: b'x',
            value: None,
            meaning: "exit 0 silently if there is no lock to be had",
        },
        Opt {
            letter: b'X',
            value: None,
            meaning: "say why there is no lock to be had, and exit 111 (default)",
        },
    ],
};

fn main() -> ExitCode {
    SETLOCK.start(setlock)
}

fn setlock(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let mut held = Held::Wait;
    let mut silent = false;
    let mut options = SETLOCK.options(arguments);
    while let Some((letter, _)) = options.next()? {
        match letter {
            b'n' => held = Held::GiveUp,
            b'N' => held = Held::Wait,
            letter => silent = letter == b'x',
        }
    }
    let [file, ref child @ ..] = *options.operands() else {
        return Err(SETLOCK.usage());
    };
    if child.is_empty() {
        return Err(SETLOCK.usage());
    }
    let lock = take(file, held).map_err(|error| match error {
        _ if silent => Failure::silent(Exit::Success),
        Error::Open(error) => SETLOCK.fatal(text!["unable to open ", file], error),
        Error::Lock(error) => SETLOCK.fatal(text!["unable to lock ", file], error),
    })?;
    let failure = Child::new(&SETLOCK, child, &environment()).exec();
    // The message comes first: without stderr, the lock file may be in its
    // place, and the original writes there.
    let exit = failure.say();
    drop(lock);
    Ok(exit)
}
