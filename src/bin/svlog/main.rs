//! svlog: read the logs of services, merged by time.

#![cfg_attr(not(test), no_main)]

mod arguments;
mod follow;
mod once;
mod sources;
mod warnings;

use std::ffi::CStr;
use std::io::IsTerminal;

use cli::display::{Charset, has_colours};
use cli::options::{flag, value};
use cli::{Exit, Failure, Program};
use logging::tai64::LocalZone;
use nix::errno::Errno;
use reader::follow::Follow;
use reader::{Printer, Renderer, TextStyle};
use unix::start;
use unix::stdio::{STDOUT, columns};

use arguments::Arguments;
use daemontools::supervise_dir::SuperviseDirRule;
use sources::AllSources;

pub(crate) static SVLOG: Program = Program {
    name: "svlog",
    usage: "svlog: usage: svlog [-f] [-n lines] [-s since] [-u until] \
        [-g pattern] [-v] [-l | -U | -r | -j] [-c cursor] [-V] where ...",
    options: &[
        flag(b'f', "print further lines as they come"),
        value(b'n', "lines", "print the last lines only"),
        value(b's', "since", "begin with this time"),
        value(b'u', "until", "end with this time"),
        value(b'g', "pattern", "print lines that match"),
        flag(b'v', "print lines that do not match"),
        flag(b'l', "local time"),
        flag(b'U', "UTC"),
        flag(b'r', "lines as they are"),
        flag(b'j', "print JSON"),
        value(b'c', "cursor", "continue after the place in this file"),
        flag(b'V', "print the version"),
    ],
};

/// The exit code if no line matches, as of grep.
const NOTHING_SELECTED: Exit = Exit::Code(1);

unix::main!(SVLOG.start(svlog));

fn svlog(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let mut zone = LocalZone::new(start::variable(b"TZ"), start::variable(b"TZDIR"));
    zone.refresh();
    let Some(arguments) = Arguments::parse(arguments, &zone)? else {
        return SVLOG.print_version();
    };
    let rule =
        SuperviseDirRule::from_environment().map_err(|error| SVLOG.fatal_msg(error.message()))?;
    // The search after the watch misses nothing that appears meanwhile.
    let follow = arguments
        .follows
        .then(|| Follow::new(rule, arguments.operands, arguments.selection.clone()));
    let sources = AllSources::find(rule, arguments.operands, arguments.follows)?;
    let text = TextStyle {
        has_names: sources.has_names,
        has_colours: has_colours(STDOUT),
        columns: columns(STDOUT),
        terminal: STDOUT.is_terminal().then(|| Charset::of_output(STDOUT)),
    };
    let mut printer = Printer::new(Renderer::new(arguments.style, text, zone));
    for source in &sources.found {
        printer.add_service(&source.service);
    }
    if let Some(follow) = follow {
        return follow::print(follow, &sources.found, &arguments, &mut printer);
    }
    let is_complete = once::print(&sources.found, &arguments, &mut printer)?;
    Ok(if !(is_complete && sources.is_complete) {
        Exit::Temporary
    } else if arguments.selection.pattern.is_some() && !printer.has_printed() {
        NOTHING_SELECTED
    } else {
        Exit::Success
    })
}

/// The failure to write the output. A closed pipe needs no message: its reader
/// has exited.
fn unwritten(error: Errno) -> Failure {
    let failure = SVLOG.fatal("unable to write output", error);
    match error {
        Errno::EPIPE => Failure {
            message: Vec::new(),
            ..failure
        },
        _ => failure,
    }
}
