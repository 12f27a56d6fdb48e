//! svlogd: append lines of standard input to log directories, each with its
//! own file `config`.

#![cfg_attr(not(test), no_main)]

mod messages;

use std::ffi::CStr;
use std::os::fd::AsFd;

use cli::options::{flag, value};
use cli::text::write_stderr;
use cli::{Exit, Failure, Program, text};
use daemontools_core::label::Label;
use daemontools_core::number::scan_decimal;
use logging::directory::Context;
use logging::event::ReportFn;
use logging::lines::Lines;
use logging::policy::LogPolicy;
use logging::svlogd::{LineFormat, LogFanout, TimestampStyle};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::read;
use unix::signals::{BlockedSignals, Wakeup};
use unix::stdio::STDIN;
use unix::{file, start};

use messages::{inform, report, report_verbose, signal_message};

pub(crate) static SVLOGD: Program = Program {
    name: "svlogd",
    usage: " [-ttv] [-r c] [-R abc] [-l len] [-b buflen] dir ...",
    options: &[
        flag(b't', "add a label to each line; -tt, -ttt: a date"),
        value(b'r', "c", "replace unprintable characters with this one"),
        value(b'R', "abc", "replace these characters too"),
        value(
            b'l',
            "len",
            "length of the part of a line that is matched, reported and sent",
        ),
        value(b'b', "buflen", "buffer size, greater than len"),
        flag(b'v', "report all events"),
        flag(b'V', "print the version and the usage"),
    ],
};

/// The output of -V: the version of runit's svlogd.
const VERSION: &str = "$Id: 5e55a90e0a1b35ec47fed3021453c50675ea1117 $\n";

/// The maximum of -l, in bytes.
const MAX_HEAD: usize = 64 << 20;

unix::main_with_reserve!(SVLOGD.name, SVLOGD.start(svlogd));

fn svlogd(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let (format, verbose, paths) = read_arguments(arguments)?;
    umask(Mode::from_bits_truncate(0o022));
    let origin = file::open_read(c".")
        .map_err(|error| SVLOGD.fatal("unable to open current working directory", error))?;
    let signals = BlockedSignals::block(LogPolicy::Svlogd.signals())
        .map_err(|error| SVLOGD.fatal("unable to hold signals", error))?;
    let report: ReportFn = if verbose { report_verbose } else { report };
    let ctx = Context {
        origin: origin.as_fd(),
        environment: &start::environment(),
        report,
    };
    let mut logs = LogFanout::new(&format, paths, verbose, ctx);
    reopen(&mut logs)?;
    let (mut lines, mut column) = (Lines::with_head(format.head), 0);

    // After TERM, svlogd reads single bytes up to the end of the line, and
    // leaves the rest of the input to the next svlogd.
    let mut ending = false;
    while !(ending && lines.is_at_line_start()) {
        let wakeup = signals.wait(STDIN, logs.rotate_expired());
        if let (Wakeup::Signal(signal), true) = (&wakeup, verbose) {
            inform(signal_message(*signal));
        }
        match wakeup {
            Wakeup::Signal(Signal::SIGTERM) => ending = true,
            Wakeup::Signal(Signal::SIGALRM) => logs.rotate(),
            Wakeup::Signal(Signal::SIGHUP) => reopen(&mut logs)?,
            Wakeup::Signal(_) => logs.collect_processors(),
            Wakeup::Timeout => {}
            Wakeup::Input => {
                let buffer = lines.read_buffer();
                let length = if ending { 1 } else { buffer.len() };
                match read(STDIN, buffer.get_mut(..length).unwrap_or_default()) {
                    Ok(0) => break,
                    Ok(length) => {
                        format.replace(buffer.get_mut(..length).unwrap_or_default(), &mut column);
                        logs.process(&lines.batch(length, Label::now));
                    }
                    Err(Errno::EINTR | Errno::EAGAIN) => {}
                    Err(error) => {
                        SVLOGD.warn("unable to read standard input", error);
                        break;
                    }
                }
            }
        }
    }
    // As in runit, an unfinished short line is dropped.
    if lines.is_within_line() {
        if let Some(last) = lines.finish(Label::now) {
            logs.process(&last);
        }
    }
    logs.finish();
    Ok(Exit::Success)
}

fn reopen(logs: &mut LogFanout<'_>) -> Result<(), Failure> {
    if logs.reopen() {
        return Ok(());
    }
    Err(SVLOGD.fatal_msg("no functional log directories."))
}

/// Parses the options and the names of the directories.
fn read_arguments<'a>(
    arguments: &'a [&'static CStr],
) -> Result<(LineFormat, bool, &'a [&'static CStr]), Failure> {
    let called = arguments.first().copied().unwrap_or_default();
    let usage = |error: Vec<u8>| Failure {
        exit: Exit::Temporary,
        message: text![error, "usage: ", called, SVLOGD.usage, "\n\n"],
    };
    let (mut timestamp, mut verbose, mut length, mut buffer) = (None, false, 1000, 1024);
    let (mut replacement, mut also) = (None, &b""[..]);
    let mut options = SVLOGD.options(arguments);
    while let Some((letter, value)) = options.read().map_err(usage)? {
        let number = || {
            let number = usize::try_from(scan_decimal(value).0).unwrap_or(usize::MAX);
            Some(number).filter(|number| *number > 0)
        };
        match letter {
            b'R' => {
                also = value;
                replacement = replacement.or(Some(b'_'));
            }
            b'r' => match value {
                [byte] => replacement = Some(*byte),
                _ => return Err(usage(Vec::new())),
            },
            b'l' => length = number().unwrap_or(1000),
            b'b' => buffer = number().unwrap_or(1024),
            b't' => {
                timestamp = Some(match timestamp {
                    None => TimestampStyle::Label,
                    Some(TimestampStyle::Label) => TimestampStyle::Date,
                    Some(TimestampStyle::Date | TimestampStyle::Iso) => TimestampStyle::Iso,
                });
            }
            b'v' => verbose = true,
            _ => {
                write_stderr(VERSION.as_bytes());
                return Err(usage(Vec::new()));
            }
        }
    }
    let paths = options.operands();
    if paths.is_empty() || buffer <= length {
        return Err(usage(Vec::new()));
    }
    let length = length.min(MAX_HEAD);
    Ok((
        LineFormat::new(timestamp, length, replacement, also),
        verbose,
        paths,
    ))
}
