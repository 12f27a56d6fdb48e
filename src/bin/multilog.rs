//! multilog: read lines from standard input and append selected lines to any
//! number of logs.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;
use std::os::fd::AsFd;
use std::time::Duration;

use cli::errno::wording;
use cli::text::complain;
use cli::{Exit, Failure, Program, text};
use daemontools_core::label::Label;
use logging::directory::Surroundings;
use logging::event::{Event, Purpose, Step, Then, Trouble};
use logging::lines::Lines;
use logging::logs::Logs;
use logging::policy::Policy;
use logging::script::Script;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::read;
use unix::signals::{Arrived, HeldSignals};
use unix::stdio::STDIN;
use unix::{file, start};

pub(crate) static MULTILOG: Program = Program {
    name: "multilog",
    usage: "multilog: usage: multilog script",
    options: &[],
};

/// How long multilog waits before it tries again what the system refused.
const PAUSE: Duration = Duration::from_secs(5);

unix::main!(MULTILOG.start(multilog));

fn multilog(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    // Some troubles have no errno of their own and show the last one.
    Errno::clear();
    umask(Mode::from_bits_truncate(0o022));
    let origin = file::open_read(c".")
        .map_err(|error| MULTILOG.fatal("unable to switch to current directory", error))?;
    let signals = HeldSignals::hold(Policy::Multilog.signals())
        .map_err(|error| MULTILOG.fatal("unable to hold signals", error))?;
    let script = Script::parse(arguments.get(1..).unwrap_or_default());
    let environment = start::environment();
    let around = Surroundings {
        origin: origin.as_fd(),
        environment: &environment,
        tell,
    };
    let mut logs =
        Logs::open(&script, around).map_err(|trouble| MULTILOG.refuse(sentence(&trouble, "")))?;
    let mut lines = Lines::new(script.stamped);

    // TERM ends the input with the line that is being read. To leave what
    // follows to the next multilog, it is read byte by byte from then on.
    let mut ending = false;
    while !(ending && lines.is_between()) {
        match signals.before_reading(STDIN, None) {
            Arrived::Signal(Signal::SIGALRM) => logs.rotate(),
            Arrived::Signal(_) => ending = true,
            Arrived::Nothing => {}
            Arrived::Input => {
                let room = lines.room();
                let length = if ending { 1 } else { room.len() };
                match read(STDIN, room.get_mut(..length).unwrap_or_default()) {
                    Ok(0) => break,
                    Ok(length) => logs.pass(&lines.batch(length, Label::now)),
                    Err(Errno::EINTR) => {}
                    // As in 0.76, what cannot be read has ended.
                    Err(_) => break,
                }
            }
        }
    }
    if let Some(last) = lines.end(Label::now) {
        logs.pass(&last);
    }
    logs.finish();
    Ok(Exit::Success)
}

/// Says what the system refused, and waits before it is tried again.
fn tell(event: &Event<'_>) {
    let trouble = match event {
        Event::News(..) => return,
        Event::Trouble(trouble) => trouble,
    };
    match trouble.then {
        Then::Again => {
            MULTILOG.remark(sentence(trouble, ", pausing"));
            std::thread::sleep(PAUSE);
        }
        Then::On | Then::Exit => complain(&MULTILOG.refuse(sentence(trouble, "")).message),
    }
}

/// What was refused, and why.
fn sentence(trouble: &Trouble<'_>, then: &str) -> Vec<u8> {
    let Trouble {
        place, step, error, ..
    } = trouble;
    let what = match step {
        Step::SwitchBack => text!["unable to switch to starting directory"],
        Step::OpenDirectory | Step::Switch(Purpose::Open) => {
            text!["unable to open directory ", place]
        }
        Step::Switch(Purpose::Rotate | Purpose::MakeRoom | Purpose::Process) => {
            text!["unable to switch to ", place]
        }
        Step::Lock => text!["unable to lock directory ", place],
        Step::Stat(file) => text!["unable to stat ", place, "/", file],
        Step::Create(file) => text!["unable to create ", place, "/", file],
        Step::Append(file) => text!["unable to append to ", place, "/", file],
        Step::Write(file) => text!["unable to write to ", place, "/", file],
        Step::SetMode(file) => text!["unable to set mode of ", place, "/", file],
        Step::Sync(file) => text!["unable to write ", place, "/", file, " to disk"],
        Step::Rename(from, to) => {
            text![
                "unable to rename ",
                from,
                " to ",
                to,
                " in directory ",
                place
            ]
        }
        Step::Link(file) => text!["unable to link to ", place, "/", file],
        Step::Remove(file) => text!["unable to remove ", place, "/", file],
        Step::OpenToList(_) | Step::List(_) => text!["unable to read ", place],
        Step::Fork => text!["unable to fork for processor in ", place],
        Step::Run(command, _) => text!["unable to run ", command],
        Step::Wait => text!["wait failed for processor in ", place],
        Step::Crash => text!["processor crashed in ", place],
        Step::Failure => text!["processor failed in ", place],
        Step::CreateStatus => text!["unable to create ", place],
        Step::RewindStatus => text!["unable to move to beginning of ", place],
        Step::WriteStatus => text!["unable to write ", place],
    };
    let why = error.map_or(String::new(), |error| format!(": {}", wording(error)));
    text![what, then, why]
}
