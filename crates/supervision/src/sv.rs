//! What sv does with its services: it asks them all, and waits until each has
//! done as it was asked.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use daemontools_core::label::Label;
use daemontools_core::names;
use daemontools_core::runsv::{LENGTH, Report, StatusLine};
use daemontools_core::sv::{Action, Completion, SvCommand};
use nix::errno::Errno;
use nix::sys::stat::stat;
use nix::unistd::{chdir, fchdir};
use unix::file;

use crate::client::{self, ChangeWatcher, CheckError, is_available};

/// The time between two looks at what cannot tell of its changes. The last
/// look at what is waited for comes that much after the time to wait.
const BETWEEN_LOOKS: Duration = Duration::from_millis(420);

/// What there is to say about a service.
#[derive(Debug)]
pub enum Answer {
    /// What it was asked to say: what it is at, and what its logger is at.
    Status(Description, Option<Logger>),
    /// It has done as it was asked.
    Done(Description),
    /// It has not done so in time, and was killed if that was ordered.
    Late(Description),
    /// It could not be asked.
    ServiceError(ServiceError),
}

/// A sentence, or why `down`, of which it would tell, could not be looked at.
pub type Description = Result<StatusLine, Errno>;

/// What a logger is at, as far as it can be known.
#[derive(Debug)]
pub enum Logger {
    /// Its directory could not be entered.
    Chdir(Errno),
    /// What it is at.
    Known(Description),
    /// Why nothing new is known, and what was known of the service before.
    Unknown(client::ClientError, Description),
}

/// Why a service could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceError {
    /// Its directory could not be entered.
    Chdir(Errno),
    /// Its runsv could not be met.
    Runsv(client::ClientError),
}

/// Why no service can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// The current directory could not be opened.
    Origin(Errno),
    /// There was no way back to it.
    Return(Errno),
}

/// Where sv looks for a service that is called by a name.
#[derive(Debug)]
pub struct Services {
    origin: OwnedFd,
    directory: CString,
}

impl Services {
    /// In `directory`, seen from the current one, as are services that are
    /// called by a path.
    ///
    /// # Errors
    /// [`OriginError::Origin`].
    pub fn in_directory(directory: &[u8]) -> Result<Self, OriginError> {
        Ok(Services {
            origin: file::open_read(c".").map_err(OriginError::Origin)?,
            directory: c_string(directory),
        })
    }

    /// Enters a service's directory.
    fn enter(&self, service: &[u8]) -> Result<(), Errno> {
        let is_path =
            service.starts_with(b".") || service.starts_with(b"/") || service.ends_with(b"/");
        if !is_path {
            chdir(self.directory.as_c_str())?;
        }
        chdir(c_string(service).as_c_str())
    }

    fn leave(&self) -> Result<(), OriginError> {
        fchdir(&self.origin).map_err(OriginError::Return)
    }
}

fn c_string(bytes: &[u8]) -> CString {
    // They come from the command line and the environment, without NULs.
    CString::new(bytes).unwrap_or_default()
}

/// Asks each service as ordered, and waits for `time`, if it is given, until
/// it has done so. `tell` is told of each service once, as soon as there is
/// something to say, if there is; `complain` of what is wrong with `check`.
///
/// # Errors
/// When it can go on with no service.
pub fn control<'a>(
    command: SvCommand,
    services: &Services,
    names: &[&'a [u8]],
    time: Option<Duration>,
    mut tell: impl FnMut(&'a [u8], Answer),
    complain: impl Fn(&[u8], CheckError),
) -> Result<(), OriginError> {
    let mut session = Session {
        command,
        asked: Label::now(),
        begun: Instant::now(),
        before: BTreeMap::new(),
        record: [0; LENGTH],
        news: ChangeWatcher::new(),
        must_poll: false,
    };
    let mut waiting = names.to_vec();
    // One round with all services that nothing was said of yet.
    let mut round = |waiting: &mut Vec<&'a [u8]>, act: &mut dyn FnMut(&[u8]) -> Option<Answer>| {
        let mut left = Vec::new();
        for &name in &*waiting {
            let answer = match services.enter(name) {
                Ok(()) => act(name),
                Err(error) => Some(Answer::ServiceError(ServiceError::Chdir(error))),
            };
            match answer {
                Some(answer) => tell(name, answer),
                None => left.push(name),
            }
            services.leave()?;
        }
        *waiting = left;
        Ok(())
    };
    round(&mut waiting, &mut |name| session.ask(name))?;
    let Some(time) = time else {
        return Ok(());
    };
    let until = Instant::now().checked_add(time.saturating_add(BETWEEN_LOOKS));
    while !waiting.is_empty() {
        session.must_poll = false;
        round(&mut waiting, &mut |name| {
            session.look(name, |trouble| complain(name, trouble))
        })?;
        let now = Instant::now();
        if until.is_some_and(|until| until <= now) {
            return round(&mut waiting, &mut |_| Some(session.give_up()));
        }
        let soon = session.must_poll.then(|| now + BETWEEN_LOOKS);
        if !waiting.is_empty() {
            session.news.wait(soon.into_iter().chain(until).min());
        }
    }
    Ok(())
}

struct Session {
    command: SvCommand,
    /// When the services were asked.
    asked: Label,
    begun: Instant,
    /// What each told when it was asked.
    before: BTreeMap<Vec<u8>, Report>,
    /// The last record that was read: what cannot be read shows as it.
    record: [u8; LENGTH],
    news: ChangeWatcher,
    /// Whether there is a service that cannot tell of its changes.
    must_poll: bool,
}

impl Session {
    /// Asks the service in the current directory. None if there is nothing to
    /// say yet.
    fn ask(&mut self, name: &[u8]) -> Option<Answer> {
        if self.command.action == Action::Check {
            return None;
        }
        let report = match client::report(&mut self.record) {
            Ok(report) => report,
            Err(trouble) => return Some(Answer::ServiceError(ServiceError::Runsv(trouble))),
        };
        self.before.insert(name.to_owned(), report);
        let letters = self.command.action.letters(&report);
        match self.command.action {
            Action::Status => Some(Answer::Status(describe(report), self.logger(report))),
            Action::Check => None,
            Action::Obey(_) if letters.is_empty() => None,
            Action::Obey(_) => {
                let trouble = client::tell(letters).err()?;
                Some(Answer::ServiceError(ServiceError::Runsv(trouble)))
            }
        }
    }

    /// What there is to say about the logger of the service, if it has one.
    fn logger(&mut self, before: Report) -> Option<Logger> {
        match chdir(names::LOG) {
            Ok(()) => {}
            Err(Errno::ENOENT) => return None,
            Err(error) => return Some(Logger::Chdir(error)),
        }
        Some(match client::report(&mut self.record) {
            Ok(report) => Logger::Known(describe(report)),
            Err(trouble) => {
                let known = Report::decode(&self.record).unwrap_or(before);
                Logger::Unknown(trouble, describe(known))
            }
        })
    }

    /// Whether the service has done as it was asked by now.
    fn look(&mut self, name: &[u8], complain: impl Fn(CheckError)) -> Option<Answer> {
        // What happens from here on is news.
        self.news.add();
        let report = match client::report(&mut self.record) {
            Ok(report) => report,
            Err(trouble) => return Some(Answer::ServiceError(ServiceError::Runsv(trouble))),
        };
        if self.is_too_early(name, &report) {
            self.must_poll = true;
            return None;
        }
        let done = match self.command.action.effect(&report, self.asked) {
            Completion::None => {
                self.must_poll |= !self.news.is_complete();
                false
            }
            Completion::Full => true,
            Completion::IfAvailable => {
                let available = is_available(complain);
                self.must_poll |= !available;
                available
            }
        };
        done.then(|| Answer::Done(describe(report)))
    }

    /// Whether runsv may not have had the time to obey: a service that was
    /// started in the very second in which it is told to restart would seem
    /// to have done so already.
    fn is_too_early(&self, name: &[u8], report: &Report) -> bool {
        report.status.pid.is_some()
            && self.command.action.ends_what_runs()
            && self.before.get(name) == Some(report)
            && self.begun.elapsed() < BETWEEN_LOOKS
    }

    fn give_up(&mut self) -> Answer {
        match client::report(&mut self.record) {
            Ok(report) => {
                if self.command.kills {
                    // What cannot be told has been told of all the same.
                    let _ = client::tell(b"k");
                }
                Answer::Late(describe(report))
            }
            Err(trouble) => Answer::ServiceError(ServiceError::Runsv(trouble)),
        }
    }
}

fn describe(report: Report) -> Description {
    let normally_up = match stat(names::DOWN) {
        Ok(_) => false,
        Err(Errno::ENOENT) => true,
        Err(error) => return Err(error),
    };
    Ok(StatusLine {
        report,
        normally_up,
        now: Label::now(),
    })
}
