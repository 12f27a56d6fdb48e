//! chpst: run a program with a changed process state.

#![cfg_attr(not(test), no_main)]

mod called;
mod changes;

use std::ffi::{CStr, CString};

use chain::limits::SoftLimit;
use chain::lock::LockMode;
use cli::options::{flag, value};
use cli::text::write_stderr;
use cli::{Exit, Failure, Program, basename, text};
use daemontools_core::number::scan_decimal;

use changes::{Changes, LockSpec, Subdirectories, UserSpec};

pub(crate) static CHPST: Program = Program {
    name: "chpst",
    usage: " [-vVP012] [-u user[:group]] [-U user[:group]] [-b argv0] [-e dir] [-/ root] \
            [-n nice] [-l|-L lock] [-m n] [-d n] [-o n] [-p n] [-f n] [-c n] [-t n] prog",
    options: &[
        flag(b'P', "run in a new session and process group"),
        value(b'e', "dir", "set variables from the files of a directory"),
        value(b'/', "root", "change the root directory"),
        value(b'n', "inc", "add to the nice value"),
        value(b'U', "user", "set UID and GID to those of a user"),
        value(b'u', "user", "run as user, user:group… or :uid:gid…"),
        value(b'l', "lock", "hold a lock; wait while it is held"),
        value(b'L', "lock", "hold a lock; fail if it is held"),
        flag(b'0', "close standard input"),
        flag(b'1', "close standard output"),
        flag(b'2', "close standard error"),
        value(b'm', "bytes", "limit data, stack, locked and total memory"),
        value(b'd', "bytes", "limit the data segment"),
        value(b'o', "n", "limit open descriptors"),
        value(b'p', "n", "limit the processes of the user"),
        value(b'f', "bytes", "limit the size of output files"),
        value(b'c', "bytes", "limit the size of core files"),
        value(b'r', "bytes", "limit resident memory"),
        value(b't', "seconds", "limit CPU time"),
        value(b'b', "argv0", "argument 0 of the program"),
        flag(b'v', "warn about subdirectories of the -e directory"),
        flag(b'V', "show the version and the usage"),
    ],
};

/// The output of -V: the version of runit's chpst that this program follows.
const VERSION: &str = "$Id: f279d44141c981dd7535a12260efcf1ef7beed26 $\n";

unix::main!(CHPST.start(chpst));

/// Called by the name of a daemontools program, chpst makes the changes of that
/// program.
fn chpst(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let name = arguments.first().copied().unwrap_or_default();
    let called = basename(name.to_bytes());
    let changes = match called {
        b"envdir" => called::envdir(arguments),
        b"envuidgid" => called::envuidgid(arguments),
        b"pgrphack" => called::pgrphack(arguments),
        b"setlock" => called::setlock(arguments),
        b"setuidgid" => called::setuidgid(arguments),
        b"softlimit" => called::softlimit(arguments),
        _ => parse(arguments),
    };
    changes
        .map_err(|usage_error| usage_error.failure(called))?
        .apply_and_exec()
}

/// A usage error: the error line, which may be empty, and the program of the
/// usage line.
struct UsageError(Vec<u8>, &'static Program);

impl UsageError {
    fn of(program: &'static Program) -> Self {
        UsageError(Vec::new(), program)
    }

    /// The error line and `usage: CALLED …`, exit 100.
    fn failure(self, called: &[u8]) -> Failure {
        let UsageError(line, program) = self;
        Failure {
            exit: Exit::Permanent,
            message: text![line, "usage: ", called, program.usage, "\n\n"],
        }
    }
}

/// Parses the options. Changes begin only after all options are valid.
fn parse<'a>(arguments: &'a [&'static CStr]) -> Result<Changes<'a>, UsageError> {
    let usage_error = || UsageError::of(&CHPST);
    let mut changes = Changes::default();
    let mut options = CHPST.options(arguments);
    while let Some((letter, value)) = options
        .read()
        .map_err(|message| UsageError(message, &CHPST))?
    {
        match letter {
            b'u' => changes.user = Some(UserSpec::parse(value)),
            b'U' => changes.id_variables = Some(UserSpec::parse(value)),
            b'b' => changes.argv0 = CString::new(value).ok(),
            b'e' => changes.variables = Some((value, Subdirectories::Skipped)),
            b'/' => changes.root = Some(value),
            b'n' => changes.nice = increment(value).ok_or_else(usage_error)?,
            b'l' | b'L' if changes.lock.is_some() => return Err(usage_error()),
            b'l' => changes.lock = Some(LockSpec::required(value, LockMode::Wait)),
            b'L' => changes.lock = Some(LockSpec::required(value, LockMode::Try)),
            b'v' => changes.verbose = true,
            b'V' => {
                write_stderr(VERSION.as_bytes());
                return Err(usage_error());
            }
            b'P' => changes.session = true,
            b'0' => drop(changes.closed.insert(0, "stdin")),
            b'1' => drop(changes.closed.insert(1, "stdout")),
            b'2' => drop(changes.closed.insert(2, "stderr")),
            letter => changes.limit(
                letter,
                SoftLimit::parse_signed(value).ok_or_else(usage_error)?,
            ),
        }
    }
    changes.program = options.operands();
    if changes.program.is_empty() {
        Err(usage_error())
    } else {
        Ok(changes)
    }
}

/// Parses an increment of the nice value: an optional sign and digits. As in
/// runit, numbers wrap at 32 bits.
fn increment(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    };
    let (number, rest) = scan_decimal(digits);
    let [low @ .., _, _, _, _] = number.to_le_bytes();
    rest.is_empty()
        .then_some(i32::from_le_bytes(low).wrapping_mul(sign))
}
