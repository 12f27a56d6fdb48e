//! The loop of runsvdir: it keeps a runsv running for each service of a
//! directory, and ends that of a service that is gone.
//!
//! Every five seconds it looks whether the directory has changed, or is
//! another one by now, and only then reads it. In between it starts a symbolic
//! link that is new, as svscan does.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use daemontools_core::control::SignalTarget;
use daemontools_core::label::Label;
use daemontools_core::title::ScrollingTitle;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::stat::stat;
use nix::unistd::{chdir, fchdir, read, write};
use unix::file;
use unix::signals::SignalPipe;

use crate::process::send;
use crate::scan::{BETWEEN_LOOKS, Rules, Scanner, Watch};
use crate::table::Identity;
use crate::wait::wait;

/// What could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble<'a> {
    /// The directory could not be looked at.
    Stat(Errno),
    /// The directory could not be entered.
    Enter(Errno),
    /// That it was looked at could not be written down; at this moment.
    Note(Label),
    /// One of its services.
    Service(crate::scan::Trouble<'a>, Errno),
}

/// What runsvdir is told by.
#[derive(Debug)]
pub struct Signals {
    /// SIGCHLD.
    pub children: SignalPipe,
    /// SIGTERM.
    pub terminate: SignalPipe,
    /// SIGHUP.
    pub hang_up: SignalPipe,
    /// SIGALRM.
    pub look: SignalPipe,
}

/// How runsvdir ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to leave, and left the services as they are.
    Terminated,
    /// It was told to end them, and has told them.
    HungUp,
}

/// Where complaints are shown.
#[derive(Debug)]
pub struct Log {
    /// The pipe that they come from; it is not waited for.
    pub pipe: OwnedFd,
    /// Where they are shown.
    pub title: ScrollingTitle<'static>,
}

/// A dot is put into the log so often, so that what is old goes away.
const BETWEEN_DOTS: Duration = Duration::from_secs(15 * 60);

/// What is written when runsvdir was told to look: a label.
const NOTE: &CStr = c"./.forced-rescan";

/// Keeps the services of `directory` until it is told to end. `report` puts
/// trouble into words.
///
/// # Errors
/// The current directory could not be opened.
pub fn runsvdir(
    directory: &CStr,
    sessions: bool,
    signals: &Signals,
    mut log: Option<Log>,
    report: impl Fn(Trouble),
) -> Result<End, Errno> {
    let rules = Rules {
        program: c"runsv",
        option: None,
        loggers: false,
        sessions,
    };
    let report = &report;
    let of_service =
        |trouble: crate::scan::Trouble, error| report(Trouble::Service(trouble, error));
    let mut scanner = Scanner::new(rules, &signals.children, of_service);
    let mut place = Place {
        name: directory,
        origin: file::open_read(c".")?,
        seen: None,
        watched: None,
        watch: None,
    };
    let mut next_dot = Instant::now();
    let mut next_look = Instant::now();
    // Until the directory is there.
    let mut between_looks = Duration::from_secs(1);
    let mut forced = false;
    loop {
        if forced || next_look <= Instant::now() {
            let looked = place.within(|place, state| {
                place.look(&mut scanner, state, forced);
                if forced {
                    note(report);
                }
            });
            match looked {
                Ok(()) => between_looks = BETWEEN_LOOKS,
                Err(trouble) => report(trouble),
            }
            next_look = Instant::now() + between_looks;
        }
        if let Some(log) = &mut log {
            if next_dot <= Instant::now() {
                log.title.push(b".");
                next_dot += BETWEEN_DOTS;
            }
            log.show();
        }
        let mut descriptors = vec![
            signals.children.as_fd(),
            signals.terminate.as_fd(),
            signals.hang_up.as_fd(),
            signals.look.as_fd(),
        ];
        descriptors.extend(place.watch.as_ref().map(|watch| watch.0.as_fd()));
        descriptors.extend(log.as_ref().map(|log| log.pipe.as_fd()));
        wait(&descriptors, Some(next_look));
        if signals.hang_up.drain() {
            for runsv in scanner.table.processes() {
                // One that has ended already has nothing to be told.
                send(runsv, Signal::SIGTERM, SignalTarget::Process);
            }
            return Ok(End::HungUp);
        }
        if signals.terminate.drain() {
            return Ok(End::Terminated);
        }
        forced = signals.look.drain();
        signals.children.drain();
        let lost = scanner.bury();
        let entered = place.within(|place, _| {
            scanner.replace(lost);
            scanner.see_new_links(place.watch.as_ref());
        });
        if entered.is_err() {
            // The next look will tell. News from where the name does not lead
            // is not waited for.
            place.unwatch();
        }
    }
}

/// Writes down that the current directory was looked at because somebody asked
/// for it.
fn note(report: impl Fn(Trouble)) {
    let now = Label::now();
    let noted = file::open_truncate(NOTE, 0o644).and_then(|note| write(&note, &now.text()));
    if noted.is_err() {
        report(Trouble::Note(now));
    }
}

impl Log {
    /// Shows the complaints that have come.
    fn show(&mut self) {
        let mut bytes = [0; 256];
        while let Ok(length @ 1..) = read(&self.pipe, &mut bytes) {
            self.title.push(bytes.get(..length).unwrap_or_default());
        }
    }
}

/// A directory, and when it was changed, in seconds and nanoseconds.
type State = (Identity, i64, i64);

/// The directory of the services, by its name: it may be a link, and lead to
/// another one later.
struct Place<'a> {
    name: &'a CStr,
    origin: OwnedFd,
    /// As it was last read; None if it may have changed since.
    seen: Option<State>,
    /// Which directory it is that is watched.
    watched: Option<Identity>,
    watch: Option<Watch>,
}

impl Place<'_> {
    /// Acts in the directory.
    fn within(&mut self, act: impl FnOnce(&mut Self, State)) -> Result<(), Trouble<'static>> {
        let status = stat(self.name).map_err(Trouble::Stat)?;
        chdir(self.name).map_err(Trouble::Enter)?;
        let state = (Identity::of(&status), status.st_mtime, status.st_mtime_nsec);
        act(self, state);
        fchdir(&self.origin).map_err(Trouble::Enter)
    }

    fn unwatch(&mut self) {
        (self.watch, self.watched) = (None, None);
    }

    /// Looks at the directory, which is the current one and in this state, and
    /// reads it if it has changed.
    fn look(
        &mut self,
        scanner: &mut Scanner<impl Fn(crate::scan::Trouble, Errno)>,
        state: State,
        forced: bool,
    ) {
        let (identity, changed, _) = state;
        if self.watched != Some(identity) {
            self.watch = Watch::new();
            self.watched = Some(identity);
        }
        if self.seen == Some(state) && !forced {
            scanner.start_all_missing();
            return;
        }
        if scanner.look() {
            for runsv in scanner.table.dismiss() {
                send(runsv, Signal::SIGTERM, SignalTarget::Process);
            }
        }
        // The clock of a file system is a coarse one: what changes in the
        // same moment again does not show.
        let settled = changed.saturating_add(1) < Label::now().unix();
        self.seen = settled.then_some(state);
    }
}
