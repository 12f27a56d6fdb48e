//! svps: show the services of a directory and their loggers.

#![cfg_attr(not(test), no_main)]

mod json;
mod row;
mod services;
mod table;

use std::ffi::CStr;

use cli::display::{Charset, escape, has_colours};
use cli::errno::errno_message;
use cli::options::flag;
use cli::text::print;
use cli::{Exit, Failure, Program, text};
use daemontools_core::label::Label;
use supervision::supervise_dir::SuperviseDirRule;
use unix::stdio::{STDERR, STDOUT, columns};

use json::json;
use services::{Services, read_services};
use table::{Output, table};

pub(crate) static SVPS: Program = Program {
    name: "svps",
    usage: "svps: usage: svps [-j] [scandir]",
    options: &[flag(b'j', "print JSON")],
};

unix::main!(SVPS.start(svps));

fn svps(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let mut as_json = false;
    let mut options = SVPS.options(arguments);
    while options.next()?.is_some() {
        as_json = true;
    }
    let scandir = match *options.operands() {
        [] => c".",
        [scandir] => scandir,
        _ => return Err(SVPS.usage()),
    };
    let rule = SuperviseDirRule::from_environment(&SVPS)?;
    let on_stderr = Charset::of_output(STDERR);
    let mut report = |file: &[u8], errno: Option<_>| {
        let cause = errno.map_or("bad format", errno_message);
        let file = escape(file, on_stderr);
        SVPS.warn_msg(text!["unable to read ", file, ": ", cause]);
    };
    let found = read_services(rule, scandir, &mut report)
        .map_err(|error| SVPS.fatal(text!["unable to read ", scandir], error))?;
    let rows = match found {
        Services::Scanned(rows) => rows,
        Services::Single(rows) => {
            let name = escape(scandir.to_bytes(), on_stderr);
            SVPS.warn_msg(text![name, " is a service directory, not a scan directory"]);
            rows
        }
    };
    let now = Label::now();
    let output = if as_json {
        json(&rows, now)
    } else {
        let output = Output {
            colours: has_colours(STDOUT),
            charset: Charset::of_output(STDOUT),
            width: columns(STDOUT),
        };
        table(&rows, now, output)
    };
    print(output.as_bytes()).map_err(|error| SVPS.fatal("unable to write output", error))?;
    Ok(Exit::Success)
}
