//! svps: show the services of a directory and their loggers.

#![cfg_attr(not(test), no_main)]

mod details;
mod health;
mod json;
mod metrics;
mod row;
mod screen;
mod services;
mod table;
mod terminal;
mod watch;

use std::ffi::CStr;
use std::time::Duration;

use cli::display::{Charset, escape, has_colours};
use cli::options::{flag, value};
use cli::text::print;
use cli::{Exit, Failure, Program, text};
use daemontools_core::label::Label;
use daemontools_core::number::parse_decimal;
use unix::stdio::{STDERR, STDOUT, columns};

use daemontools::supervise_dir::SuperviseDirRule;
use health::Report;
use json::json;
use metrics::metrics;
use row::UnreadableFile;
use services::{Services, read_services};
use table::{Output, table};
use watch::watch;

pub(crate) static SVPS: Program = Program {
    name: "svps",
    usage: "svps: usage: svps [-jmwV] [-c seconds] [scandir]",
    options: &[
        flag(b'j', "print JSON"),
        flag(b'm', "print metrics"),
        flag(b'w', "show the table on a terminal, kept up to date"),
        flag(b'V', "print the version"),
        value(b'c', "seconds", "check the services, for a monitor"),
    ],
};

unix::main!(SVPS.start(svps));

/// The time between two refreshes of times and memory with -w.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// The maximum of this time, in seconds: a day.
const MAX_INTERVAL: u64 = 86_400;

/// The form of the output.
#[derive(Clone, Copy)]
enum Form {
    Table,
    Json,
    Metrics,
    Watch,
    /// One line for a monitor. A service that is up for fewer seconds may flap.
    Check(u64),
}

fn svps(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let mut form = Form::Table;
    let mut options = SVPS.options(arguments);
    while let Some((letter, value)) = options.next()? {
        form = match letter {
            b'j' => Form::Json,
            b'm' => Form::Metrics,
            b'w' => Form::Watch,
            b'V' => return SVPS.print_version(),
            _ => Form::Check(parse_decimal(value).ok_or_else(|| SVPS.usage())?),
        };
    }
    let mut operands = options.operands();
    let mut interval = DEFAULT_INTERVAL;
    if let (Form::Watch, [seconds, others @ ..]) = (form, operands) {
        if let Some(seconds) = parse_decimal(seconds.to_bytes()) {
            interval = Duration::from_secs(seconds.clamp(1, MAX_INTERVAL));
            operands = others;
        }
    }
    let scandir = match *operands {
        [] => c".",
        [scandir] => scandir,
        _ => return Err(SVPS.usage()),
    };
    let rule =
        SuperviseDirRule::from_environment().map_err(|error| SVPS.fatal_msg(error.message()))?;
    match form {
        Form::Check(min_uptime) => return check(rule, scandir, min_uptime),
        Form::Watch => return watch(rule, scandir, interval),
        Form::Table | Form::Json | Form::Metrics => {}
    }
    let found = read_services(rule, scandir, matches!(form, Form::Metrics))
        .map_err(|error| SVPS.fatal(text!["unable to read ", scandir], error))?;
    let on_stderr = Charset::of_output(STDERR);
    if let Services::Single(_) = found {
        let name = escape(scandir.to_bytes(), on_stderr);
        SVPS.warn_msg(text![name, " is a service directory, not a scan directory"]);
    }
    let rows = found.rows();
    let unreadable = rows.iter().filter_map(|row| row.snapshot.as_ref().err());
    let mut exit = Exit::Success;
    for file in unreadable {
        SVPS.warn_msg(file.message(on_stderr));
        exit = Exit::Temporary;
    }
    let now = Label::now();
    let output = match form {
        Form::Json => json(&rows, now),
        Form::Metrics => metrics(&rows, now),
        Form::Table | Form::Watch | Form::Check(_) => {
            let output = Output {
                colours: has_colours(STDOUT),
                charset: Charset::of_output(STDOUT),
                width: columns(STDOUT),
            };
            table(&rows, now, output)
        }
    };
    write_output(&output)?;
    Ok(exit)
}

/// Prints one line, and exits with the status of a monitoring plugin.
fn check(rule: SuperviseDirRule, scandir: &CStr, min_uptime: u64) -> Result<Exit, Failure> {
    let report = match read_services(rule, scandir, false) {
        Ok(found) => Report::of_rows(&found.rows(), Label::now(), min_uptime),
        Err(errno) => Report::of_unreadable(&UnreadableFile {
            name: scandir.to_bytes().to_owned(),
            errno: Some(errno),
        }),
    };
    write_output(&report.line())?;
    Ok(Exit::Code(report.exit_code()))
}

fn write_output(output: &str) -> Result<(), Failure> {
    print(output.as_bytes()).map_err(|error| SVPS.fatal("unable to write output", error))
}
