//! What svlogd says.

use std::ffi::CStr;
use std::time::Duration;

use cli::errno::errno_message;
use cli::text;
use cli::text::write_stderr;
use logging::event::{Event, News, Part, Purpose, Step, Then, Trouble};
use logging::names::{CURRENT, Code, NEWSTATE};
use logging::svlogd::config::Mistake;
use nix::sys::signal::Signal;

use super::SVLOGD;

/// How long svlogd waits before it tries again what the system refused.
const PAUSE: Duration = Duration::from_secs(3);

/// Says what -v makes it say, and what is worth it without.
pub(crate) fn tell_all(event: &Event<'_>) {
    match event {
        Event::News(place, news) => match news {
            News::Configured => inform(text!["read: ", place, "/config"]),
            News::New => inform(text!["new: ", place, "/current"]),
            News::Continued => inform(text!["append: ", place, "/current"]),
            News::Closed => inform(text!["close: ", place]),
            News::Renamed(name, size) => {
                let size = size.to_string();
                inform(text!["rename: ", place, "/current ", name, " ", size]);
            }
            News::Removed(name) => inform(text!["delete: ", place, "/", name]),
            News::Processing(name) => inform(text!["processing: ", place, "/", name]),
            News::Processed(name) => inform(text!["processed: ", place, "/", name]),
            News::NotConfigured(_) | News::Mistaken(_) | News::RemovedForRoom(_) => tell(event),
        },
        Event::Trouble(_) => tell(event),
    }
}

/// Says what went wrong, and waits before it is tried again.
pub(crate) fn tell(event: &Event<'_>) {
    match event {
        Event::News(place, News::NotConfigured(error)) => {
            SVLOGD.warn(text!["unable to read config: ", place], *error);
        }
        Event::News(_, News::Mistaken(Mistake::Address(address))) => {
            SVLOGD.warn_msg(text!["unable to scan ip address: ", address]);
        }
        Event::News(_, News::Mistaken(Mistake::Port(port))) => {
            SVLOGD.warn_msg(text!["unable to scan port number: ", port]);
        }
        Event::News(place, News::RemovedForRoom(name)) => {
            SVLOGD.warn_msg(text!["out of disk space, delete: ", place, "/", name]);
        }
        Event::News(..) => {}
        Event::Trouble(trouble) => match trouble.then {
            Then::On => SVLOGD.warn_msg(sentence(trouble)),
            Then::Exit => write_stderr(&SVLOGD.fatal_msg(sentence(trouble)).message),
            Then::Again => {
                write_stderr(&text!["svlogd: pausing: ", sentence(trouble), "\n"]);
                std::thread::sleep(PAUSE);
            }
        },
    }
}

/// Says what -v makes it say.
pub(crate) fn inform(what: impl AsRef<[u8]>) {
    write_stderr(&text!["svlogd: info: ", what.as_ref(), "\n"]);
}

pub(crate) fn received(signal: Signal) -> &'static str {
    match signal {
        Signal::SIGTERM => "sigterm received.",
        Signal::SIGALRM => "sigalarm received.",
        Signal::SIGHUP => "sighangup received.",
        _ => "sigchild received.",
    }
}

/// What was refused, and why.
fn sentence(trouble: &Trouble<'_>) -> Vec<u8> {
    let Trouble {
        place, step, error, ..
    } = trouble;
    let of_place = |what: &str| text![what, ": ", place];
    let of_file = |what: &str, file: &CStr| text![what, ": ", place, "/", file];
    let what = match *step {
        Step::SwitchBack => text!["unable to change to initial working directory"],
        Step::Switch(purpose) => text!["unable to change directory", wanted(purpose), ": ", place],
        Step::OpenToList(purpose) => {
            text!["unable to open directory", wanted(purpose), ": ", place]
        }
        Step::List(Purpose::MakeRoom) => {
            of_place("unable to read directory, want remove old logfile")
        }
        Step::List(_) => of_place("unable to read directory"),
        Step::OpenDirectory => of_place("unable to open log directory"),
        Step::Lock => of_place("unable to lock directory"),
        Step::Stat(_) => of_place("unable to stat current"),
        Step::Append(_) => of_place("unable to open current"),
        Step::Create(_) => of_place("unable to create new current"),
        Step::Write(_) => of_place("unable to write to current"),
        Step::Sync(_) => of_place("unable to fsync current logfile"),
        Step::SetMode(file) if file == CURRENT => of_place("unable to set mode of current"),
        Step::SetMode(_) => of_place("unable to set mode of processed"),
        Step::Rename(from, _) if from == CURRENT => of_place("unable to rename current"),
        Step::Rename(from, _) if from == NEWSTATE => of_place("unable to rename state"),
        Step::Rename(..) | Step::Link(_) => of_place("unable to rename processed"),
        Step::Remove(file) => match Code::of(file) {
            Some(Code::Made) => of_file("unable to unlink processor leftover", file),
            Some(Code::Unfinished) => of_file("unable to unlink", file),
            Some(Code::Safe | Code::Processed(_)) | None => {
                of_place("unable to unlink oldest logfile")
            }
        },
        Step::Fork => of_place("unable to fork for processor"),
        Step::Run(_, Part::Shell) => of_place("unable to run processor"),
        Step::Run(_, Part::Input) => of_place("unable to open input for processor"),
        Step::Run(_, Part::Output) => of_place("unable to open output for processor"),
        Step::Run(_, Part::FirstState) => of_place("unable to create empty state for processor"),
        Step::Run(_, Part::State) => of_place("unable to open state for processor"),
        Step::Run(_, Part::NewState) => of_place("unable to open newstate for processor"),
        Step::Wait => of_place("error waiting for processor"),
        Step::Crash | Step::Failure => of_place("processor failed, restart"),
        // svlogd has no status files.
        Step::CreateStatus | Step::RewindStatus | Step::WriteStatus => of_place("unable to write"),
    };
    let why = error.map_or(String::new(), |error| format!(": {}", errno_message(error)));
    text![what, why]
}

fn wanted(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Open => "",
        Purpose::Rotate => ", want rotate",
        Purpose::MakeRoom => ", want remove old logfile",
        Purpose::Process => ", want processor",
    }
}
