//! svps: show the services of a directory, and their loggers.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;
use std::io::IsTerminal;

use cli::errno::errno_message;
use cli::text::print;
use cli::{Exit, Failure, Opt, Program, text};
use daemontools_core::label::Label;
use daemontools_core::overview::{escape_for_terminal, json, table};
use supervision::overview::overview;
use supervision::snapshot::SnapshotError;
use unix::stdio::STDOUT;
use unix::{start, terminal};

pub(crate) static SVPS: Program = Program {
    name: "svps",
    usage: "svps: usage: svps [-j] [scandir]",
    options: &[Opt {
        letter: b'j',
        value: None,
        help: "as JSON",
    }],
};

unix::main!(SVPS.start(svps));

fn svps(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let mut as_json = false;
    let mut options = SVPS.options(arguments);
    while options.next()?.is_some() {
        as_json = true;
    }
    let scanned = match *options.operands() {
        [] => c".",
        [scanned] => scanned,
        _ => return Err(SVPS.usage()),
    };
    let rows = overview(scanned, |name, SnapshotError { file, error }| {
        let why = error.map_or("bad format", errno_message);
        let beside = if file.is_empty() { "" } else { "/" };
        let name = escape_for_terminal(name.to_bytes());
        SVPS.warn_msg(text!["unable to read ", name, beside, file, ": ", why]);
    })
    .map_err(|error| SVPS.fatal(text!["unable to read ", scanned], error))?;
    let now = Label::now();
    let shown = if as_json {
        json(&rows, now)
    } else {
        table(&rows, now, colours(), terminal::columns(STDOUT))
    };
    print(shown.as_bytes()).map_err(|error| SVPS.fatal("unable to write output", error))?;
    Ok(Exit::Success)
}

/// Whether to use colours: on a terminal that has them, unless `NO_COLOR` says
/// otherwise.
fn colours() -> bool {
    STDOUT.is_terminal()
        && start::variable(b"NO_COLOR").is_none_or(<[u8]>::is_empty)
        && start::variable(b"TERM") != Some(b"dumb")
}
