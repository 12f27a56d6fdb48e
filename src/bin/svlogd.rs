//! svlogd: read lines from standard input and keep them in log directories,
//! each as the file `config` in it says.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use cli::errno::wording;
use cli::number::scan;
use cli::options::{alone, with};
use cli::text::complain;
use cli::{Exit, Failure, Program, text};
use logging::batch::Batch;
use logging::lines::Lines;
use logging::stamp::Stamper;
use logging::svlogd::config::Mistake;
use logging::svlogd::event::What;
use logging::svlogd::keeper::{Passage, SIGNALS, Surroundings};
use logging::svlogd::{Event, Form, Keeper, Stamps, Weight};
use nix::errno::Errno;
use nix::poll::PollTimeout;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::read;
use unix::signals::{Arrived, HeldSignals};
use unix::stdio::STDIN;
use unix::{file, start};

pub(crate) static SVLOGD: Program = Program {
    name: "svlogd",
    usage: " [-ttv] [-r c] [-R abc] [-l len] [-b buflen] dir ...",
    options: &[
        alone(b't', "a label before each line; -tt, -ttt: a date"),
        with(b'r', "c", "replace unprintable characters with this one"),
        with(b'R', "abc", "replace these characters too"),
        with(
            b'l',
            "len",
            "how much of a line is matched, alerted of and sent",
        ),
        with(
            b'b',
            "buflen",
            "the buffer's size, which must be more than that",
        ),
        alone(b'v', "say what is done"),
        alone(b'V', "show the version, and how svlogd is used"),
    ],
};

/// What -V shows: the version of runit's svlogd that this one is like.
const VERSION: &str = "$Id: 5e55a90e0a1b35ec47fed3021453c50675ea1117 $\n";

/// How long svlogd waits before it tries again what the system refused.
const PAUSE: Duration = Duration::from_secs(3);

unix::main!(SVLOGD.start(svlogd));

fn svlogd(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let (form, verbose, places) = read_arguments(arguments)?;
    umask(Mode::from_bits_truncate(0o022));
    let origin = file::open_read(c".")
        .map_err(|error| SVLOGD.fatal("unable to open current working directory", error))?;
    let signals = HeldSignals::hold(&SIGNALS)
        .map_err(|error| SVLOGD.fatal("unable to hold signals", error))?;
    let environment = start::environment();
    let say = |event: &Event<'_>| say(event, verbose);
    let around = Surroundings {
        origin: origin.as_fd(),
        environment: &environment,
        say: &say,
    };
    let note = |what: &str| {
        if verbose {
            complain(&text!["svlogd: info: ", what, "\n"]);
        }
    };

    // None is a directory that cannot be had.
    let mut keepers: Vec<_> = places.iter().map(|_| None).collect();
    reopen(&mut keepers, places, form.head, around)?;
    let (mut lines, mut column) = (Lines::with_head(form.head), 0);
    let (mut stamper, mut output) = (Stamper::default(), Vec::new());
    let mut pass = |keepers: &mut Vec<Option<Keeper<'_>>>, batch: &Batch<'_>| {
        let stamp = form.stamps.map(Stamps::now);
        // What is said is said in the order of the lines.
        let one_by_one = verbose || keepers.iter().flatten().any(Keeper::alerts);
        for part in batch.parts(one_by_one) {
            let text = stamp.as_ref().map_or(part.text, |stamp| {
                output.clear();
                stamper.stamp(part.text, stamp, &mut output);
                &output
            });
            let passage = Passage {
                text: part.text,
                within_line: part.within_line,
                stamp,
                stamped: text,
            };
            for keeper in keepers.iter_mut().flatten() {
                keeper.look_at(&passage, &form, complain);
            }
            for keeper in keepers.iter_mut().flatten() {
                keeper.write_down(&passage);
            }
        }
    };

    // TERM ends the input with the line that is being read. To leave what
    // follows to the next svlogd, it is read byte by byte from then on.
    let mut ending = false;
    while !(ending && lines.is_between()) {
        match signals.wait(STDIN, patience(&keepers)) {
            Arrived::Signal(Signal::SIGTERM) => {
                note("sigterm received.");
                ending = true;
            }
            Arrived::Signal(Signal::SIGALRM) => {
                note("sigalarm received.");
                keepers.iter_mut().flatten().for_each(Keeper::rotate);
            }
            Arrived::Signal(Signal::SIGHUP) => {
                note("sighangup received.");
                reopen(&mut keepers, places, form.head, around)?;
            }
            Arrived::Signal(_) => {
                note("sigchild received.");
                keepers
                    .iter_mut()
                    .flatten()
                    .for_each(Keeper::look_at_processor);
            }
            Arrived::Nothing => {}
            Arrived::Input => {
                let room = lines.room();
                let length = if ending { 1 } else { room.len() };
                match read(STDIN, room.get_mut(..length).unwrap_or_default()) {
                    Ok(0) => break,
                    Ok(length) => {
                        form.replace(room.get_mut(..length).unwrap_or_default(), &mut column);
                        let batch = lines.batch(length, daemontools_core::label::Label::now);
                        pass(&mut keepers, &batch);
                    }
                    Err(Errno::EINTR | Errno::EAGAIN) => {}
                    Err(error) => {
                        SVLOGD.warn("unable to read standard input", error);
                        break;
                    }
                }
            }
        }
        let now = Instant::now();
        for keeper in keepers.iter_mut().flatten() {
            keeper.look_at_age(now);
        }
    }
    // As in runit, a short line that does not end is not written.
    if lines.is_within_line() {
        if let Some(last) = lines.end(daemontools_core::label::Label::now) {
            pass(&mut keepers, &last);
        }
    }
    keepers.into_iter().flatten().for_each(Keeper::close);
    Ok(Exit::Success)
}

/// Closes each directory and opens it again, as its configuration then says.
fn reopen<'a>(
    keepers: &mut [Option<Keeper<'a>>],
    places: &[&'a CStr],
    head: usize,
    around: Surroundings<'a>,
) -> Result<(), Failure> {
    for (keeper, place) in keepers.iter_mut().zip(places) {
        if let Some(keeper) = keeper.take() {
            keeper.close();
        }
        *keeper = Keeper::open(place, head, around);
    }
    if keepers.iter().all(Option::is_none) {
        return Err(SVLOGD.refuse("no functional log directories."));
    }
    Ok(())
}

/// How long to wait for input before a file is too old.
fn patience(keepers: &[Option<Keeper<'_>>]) -> PollTimeout {
    let now = Instant::now();
    let least = keepers
        .iter()
        .flatten()
        .filter_map(|keeper| keeper.patience(now))
        .min();
    least.map_or(PollTimeout::NONE, |patience| {
        // Rounded up, so that it is too old then.
        let milliseconds = patience.as_millis().saturating_add(1);
        PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
    })
}

/// The options and the directories.
fn read_arguments<'a>(
    arguments: &'a [&'static CStr],
) -> Result<(Form, bool, &'a [&'static CStr]), Failure> {
    let called = arguments.first().copied().unwrap_or_default();
    let usage = |complaint: Vec<u8>| Failure {
        exit: Exit::Failed,
        message: text![complaint, "usage: ", called, SVLOGD.usage, "\n\n"],
    };
    let (mut stamps, mut verbose, mut length, mut buffer) = (None, false, 1000, 1024);
    let (mut by, mut also) = (None, &b""[..]);
    let mut options = SVLOGD.options(arguments);
    while let Some((letter, value)) = options.read().map_err(usage)? {
        let number = || usize::try_from(scan(value).0).unwrap_or(usize::MAX);
        match letter {
            b'R' => {
                also = value;
                by = by.or(Some(b'_'));
            }
            b'r' => match value {
                [one] => by = Some(*one),
                _ => return Err(usage(Vec::new())),
            },
            b'l' => length = Some(number()).filter(|number| *number > 0).unwrap_or(1000),
            b'b' => buffer = Some(number()).filter(|number| *number > 0).unwrap_or(1024),
            b't' => {
                stamps = Some(match stamps {
                    None => Stamps::Label,
                    Some(Stamps::Label) => Stamps::Date,
                    Some(Stamps::Date | Stamps::Iso) => Stamps::Iso,
                });
            }
            b'v' => verbose = true,
            _ => {
                complain(VERSION.as_bytes());
                return Err(usage(Vec::new()));
            }
        }
    }
    let places = options.operands();
    if places.is_empty() || buffer <= length {
        return Err(usage(Vec::new()));
    }
    Ok((Form::new(stamps, length, by, also), verbose, places))
}

/// Says what happens, and waits before what was refused is tried again.
fn say(event: &Event<'_>, verbose: bool) {
    let weight = match event.weight {
        Weight::Info if !verbose => return,
        Weight::Info => "info",
        Weight::Warning => "warning",
        Weight::Pausing => "pausing",
    };
    let why = event
        .error
        .map_or(String::new(), |error| format!(": {}", wording(error)));
    complain(&text!["svlogd: ", weight, ": ", sentence(event), why, "\n"]);
    if event.weight == Weight::Pausing {
        std::thread::sleep(PAUSE);
    }
}

fn sentence(event: &Event<'_>) -> Vec<u8> {
    let place = event.place;
    let of_place = |what: &str| text![what, ": ", place];
    let of_file = |what: &str, file: &CStr| text![what, ": ", place, "/", file];
    match event.what {
        What::Read => of_file("read", c"config"),
        What::New => of_file("new", c"current"),
        What::Append => of_file("append", c"current"),
        What::Close => of_place("close"),
        What::Rename(name, size) => {
            text![
                of_file("rename", c"current"),
                " ",
                name,
                " ",
                size.to_string()
            ]
        }
        What::Delete(name) => of_file("delete", name),
        What::Processing(name) => of_file("processing", name),
        What::Processed(name) => of_file("processed", name),
        What::OpenDirectory => of_place("unable to open log directory"),
        What::ChangeDirectory => of_place("unable to change directory"),
        What::LockDirectory => of_place("unable to lock directory"),
        What::ReadConfig => of_place("unable to read config"),
        What::Mistake(Mistake::Address(address)) => text!["unable to scan ip address: ", address],
        What::Mistake(Mistake::Port(port)) => text!["unable to scan port number: ", port],
        What::StatCurrent => of_place("unable to stat current"),
        What::OpenCurrent => of_place("unable to open current"),
        What::SetModeOfCurrent => of_place("unable to set mode of current"),
        What::ChangeToInitial => text!["unable to change to initial working directory"],
        What::ChangeToRotate => of_place("unable to change directory, want rotate"),
        What::SyncCurrent => of_place("unable to fsync current logfile"),
        What::RenameCurrent => of_place("unable to rename current"),
        What::CreateNewCurrent => of_place("unable to create new current"),
        What::ChangeToRemove => of_place("unable to change directory, want remove old logfile"),
        What::OpenToRotate => of_place("unable to open directory, want rotate"),
        What::OpenToRemove => of_place("unable to open directory, want remove old logfile"),
        What::ReadToRemove => of_place("unable to read directory, want remove old logfile"),
        What::ReadDirectory => of_place("unable to read directory"),
        What::UnlinkLeftover(name) => of_file("unable to unlink processor leftover", name),
        What::UnlinkOldest(_) => of_place("unable to unlink oldest logfile"),
        What::DiskFullDelete(name) => of_file("out of disk space, delete", name),
        What::WriteToCurrent => of_place("unable to write to current"),
        What::Fork => of_place("unable to fork for processor"),
        What::RunProcessor => of_place("unable to run processor"),
        What::OpenInput => of_place("unable to open input for processor"),
        What::OpenOutput => of_place("unable to open output for processor"),
        What::CreateState => of_place("unable to create empty state for processor"),
        What::OpenState => of_place("unable to open state for processor"),
        What::OpenNewState => of_place("unable to open newstate for processor"),
        What::WaitForProcessor => of_place("error waiting for processor"),
        What::ChangeForProcessor => of_place("unable to change directory, want processor"),
        What::ProcessorFailed => of_place("processor failed, restart"),
        What::RenameProcessed => of_place("unable to rename processed"),
        What::SetModeOfProcessed => of_place("unable to set mode of processed"),
        What::Unlink(name) => of_file("unable to unlink", name),
        What::RenameState => of_place("unable to rename state"),
    }
}
