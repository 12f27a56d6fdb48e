//! multilog: read lines from standard input and append selected lines to any
//! number of logs.

#![cfg_attr(not(test), no_main)]

mod messages;

use std::ffi::CStr;
use std::os::fd::AsFd;

use cli::{Exit, Failure, Program};
use daemontools_core::label::Label;
use logging::directory::Context;
use logging::lines::Lines;
use logging::multilog::Pipeline;
use logging::multilog::Script;
use logging::policy::LogPolicy;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::read;
use unix::signals::{BlockedSignals, Wakeup};
use unix::stdio::STDIN;
use unix::{file, start};

use messages::{report, sentence, wrong};

pub(crate) static MULTILOG: Program = Program {
    name: "multilog",
    usage: "multilog: usage: multilog script",
    options: &[],
};

unix::main!(MULTILOG.start(multilog));

fn multilog(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    // Some troubles have no errno of their own and show the last one.
    Errno::clear();
    umask(Mode::from_bits_truncate(0o022));
    let origin = file::open_read(c".")
        .map_err(|error| MULTILOG.fatal("unable to switch to current directory", error))?;
    let signals = BlockedSignals::block(LogPolicy::Multilog.signals())
        .map_err(|error| MULTILOG.fatal("unable to hold signals", error))?;
    let script = Script::parse(arguments.get(1..).unwrap_or_default()).map_err(wrong)?;
    let environment = start::environment();
    let ctx = Context {
        origin: origin.as_fd(),
        environment: &environment,
        report,
    };
    let mut logs = Pipeline::open(&script, ctx)
        .map_err(|trouble| MULTILOG.fatal_msg(sentence(&trouble, "")))?;
    let mut lines = Lines::new(script.stamped);

    // TERM ends the input with the line that is being read. To leave what
    // follows to the next multilog, it is read byte by byte from then on.
    let mut ending = false;
    while !(ending && lines.is_at_line_start()) {
        match signals.before_reading(STDIN, logs.rotate_expired()) {
            Wakeup::Signal(Signal::SIGALRM) => logs.rotate(),
            Wakeup::Signal(_) => ending = true,
            Wakeup::Timeout => {}
            Wakeup::Input => {
                let room = lines.read_buffer();
                let length = if ending { 1 } else { room.len() };
                match read(STDIN, room.get_mut(..length).unwrap_or_default()) {
                    Ok(0) => break,
                    Ok(length) => logs.process(&lines.batch(length, Label::now)),
                    Err(Errno::EINTR) => {}
                    // As in 0.76, what cannot be read has ended.
                    Err(_) => break,
                }
            }
        }
    }
    if let Some(last) = lines.finish(Label::now) {
        logs.process(&last);
    }
    logs.finish();
    Ok(Exit::Success)
}
