//! multilog: append selected lines of standard input to log directories.

#![cfg_attr(not(test), no_main)]

mod messages;

use std::ffi::CStr;
use std::os::fd::AsFd;

use cli::{Exit, Failure, Program};
use daemontools_core::label::Label;
use logging::directory::Context;
use logging::lines::Lines;
use logging::multilog::Pipeline;
use logging::multilog::{Script, SharedOutput};
use logging::policy::LogPolicy;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::read;
use unix::signals::{BlockedSignals, Wakeup, ignore};
use unix::stdio::STDIN;
use unix::{file, start};

use messages::{WRITE_OUTPUT, error_message, report, script_failure};

pub(crate) static MULTILOG: Program = Program {
    name: "multilog",
    usage: "multilog: usage: multilog script",
    options: &[],
};

unix::main_with_reserve!(MULTILOG.name, MULTILOG.start(multilog));

fn multilog(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    // As in 0.76, messages of errors without an errno show the last one.
    Errno::clear();
    umask(Mode::from_bits_truncate(0o022));
    let script = Script::parse(arguments.get(1..).unwrap_or_default());
    let prints = script.as_ref().is_ok_and(Script::prints);
    let output = prints.then(|| {
        // After EPIPE, the log directories go on.
        ignore(Signal::SIGPIPE);
        SharedOutput::new(report)
    });
    let origin = file::open_read(c".")
        .map_err(|error| MULTILOG.fatal("unable to switch to current directory", error))?;
    let signals = BlockedSignals::block(LogPolicy::Multilog.signals())
        .map_err(|error| MULTILOG.fatal("unable to hold signals", error))?;
    let script = script.map_err(script_failure)?;
    let environment = start::environment();
    let ctx = Context {
        origin: origin.as_fd(),
        environment: &environment,
        report,
    };
    let mut pipeline = Pipeline::open(&script, ctx, output)
        .map_err(|error| MULTILOG.fatal_msg(error_message(&error, "")))?;
    let mut lines = Lines::new(script.stamped);

    // After TERM, multilog reads single bytes up to the end of the line, and
    // leaves the rest of the input to the next multilog.
    let mut ending = false;
    while !(ending && lines.is_at_line_start()) {
        if let Some(error) = pipeline.output_error() {
            return Err(MULTILOG.fatal(WRITE_OUTPUT, error));
        }
        match signals.before_reading(STDIN, pipeline.handle_expired()) {
            Wakeup::Signal(Signal::SIGALRM) => pipeline.rotate(),
            Wakeup::Signal(_) => ending = true,
            Wakeup::Timeout => {}
            Wakeup::Input => {
                let buffer = lines.read_buffer();
                let length = if ending { 1 } else { buffer.len() };
                match read(STDIN, buffer.get_mut(..length).unwrap_or_default()) {
                    Ok(0) => break,
                    Ok(length) => pipeline.process(&lines.batch(length, Label::now)),
                    Err(Errno::EINTR) => {}
                    // As in 0.76, a read error counts as the end of input.
                    Err(_) => break,
                }
            }
        }
    }
    if let Some(last) = lines.finish(Label::now) {
        pipeline.process(&last);
    }
    pipeline.finish();
    match pipeline.output_error() {
        Some(error) => Err(MULTILOG.fatal(WRITE_OUTPUT, error)),
        None => Ok(Exit::Success),
    }
}
