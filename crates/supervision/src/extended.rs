//! What supervise -e has besides: what a service asks for by files in its
//! directory, how it says that it is ready, who is told of its starts and
//! deaths, and the tally of these. All names are relative to the service
//! directory, which is the current directory.

use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, stderr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use daemontools_core::names;
use daemontools_core::number::parse_fixed_point;
use daemontools_core::tally::{self, Tally};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::stat::stat;
use nix::unistd::{Pid, getppid, pipe2, read, setsid};
use unix::descriptors::DescriptorLimit;
use unix::exec::PreparedExec;
use unix::file;
use unix::fork::fork;
use unix::wait::ExitStatus;

use crate::directory::{ReplaceTrouble, replace};
use crate::machine::{Backoff, Limit, Moment, Terms};

/// What went wrong; the service is supervised all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// This file could not be read, and counts as if it were not there.
    Read(&'static CStr, Errno),
    /// This file is not what it has to be, and counts as if it were not there.
    Meaning(&'static CStr, &'static str),
    /// There could be no pipe for the service to say that it is ready.
    Notification(Errno),
    /// In the new process: it could not have that descriptor.
    Descriptor(&'static CStr, Errno),
    /// In the new process: another run of the service holds the lock, and is
    /// waited for.
    Waiting,
    /// In the new process: the lock could not be had.
    Lock(Errno),
    /// There could be no process for `notify`.
    NotifyFork(Errno),
    /// In the new process: `notify` could not be executed.
    Notify(Errno),
}

/// A number in a file: what it counts, and how many of the unit of its range
/// make one.
struct Number {
    meaning: &'static str,
    range: std::ops::RangeInclusive<u64>,
    /// How many of its digits may stand after a point.
    decimals: usize,
}

/// The longest time, in milliseconds, as in s6: seven weeks.
const LONGEST: u64 = u32::MAX as u64;

const MILLISECONDS: Number = Number {
    meaning: "a number of milliseconds from 0 to 4294967295",
    range: 0..=LONGEST,
    decimals: 0,
};

const SECONDS: Number = Number {
    meaning: "a number of seconds from 0 to 4294967",
    range: 0..=4_294_967_000,
    decimals: 3,
};

const COUNT: Number = Number {
    meaning: "a number from 0 to 10000",
    range: 0..=10_000,
    decimals: 0,
};

const DESCRIPTOR: Number = Number {
    meaning: "the number of a descriptor from 1 to 65535",
    range: 1..=65_535,
    decimals: 0,
};

const ALLOWED: &str = "a descriptor that the limit on them allows";

const SIGNAL: &str = "the name or the number of a signal";

const STDERR_FILENO: RawFd = 2;

/// A file of settings has no more than this.
const ENOUGH: usize = 64;

/// What a service asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// What is for the machine.
    pub terms: Terms,
    /// The descriptor on which the service says that it is ready.
    notification: Option<RawFd>,
    /// The descriptor on which it inherits its lock.
    lock: Option<RawFd>,
    /// Whether it has no session of its own.
    no_session: bool,
}

impl Settings {
    /// Reads the files in the service directory.
    pub(crate) fn read(report: &impl Fn(Trouble)) -> Self {
        let number = |file, number: &Number| {
            let text = content(file, report)?;
            let value = number.value(&text);
            if value.is_none() {
                report(Trouble::Meaning(file, number.meaning));
            }
            value
        };
        let milliseconds = |file| number(file, &MILLISECONDS).map(Duration::from_millis);
        let seconds = |file| number(file, &SECONDS).map(Duration::from_millis);
        let descriptor = |file| {
            let number = number(file, &DESCRIPTOR)?;
            let limit = DescriptorLimit::read().soft_limit();
            if limit.is_some_and(|limit| number >= limit) {
                report(Trouble::Meaning(file, ALLOWED));
                return None;
            }
            RawFd::try_from(number).ok()
        };
        let notification = descriptor(names::NOTIFICATION_FD);
        let lock = descriptor(names::LOCK_FD);
        if lock.is_some() && lock == notification {
            let meaning = "another descriptor than that of notification-fd";
            report(Trouble::Meaning(names::LOCK_FD, meaning));
        }
        let down_signal = content(names::DOWN_SIGNAL, report).and_then(|text| {
            let signal = signal(&text);
            if signal.is_none() {
                report(Trouble::Meaning(names::DOWN_SIGNAL, SIGNAL));
            }
            signal
        });
        // It is for svscan, which leaves complaints to supervise.
        let _ = is_there(names::ESSENTIAL, report);
        let kill = milliseconds(names::TIMEOUT_KILL);
        let finish = milliseconds(names::TIMEOUT_FINISH).unwrap_or(Duration::from_secs(5));
        let terms = Terms {
            backoff: backoff(
                seconds(names::RESTART_DELAY),
                seconds(names::RESTART_DELAY_MAX),
                report,
            ),
            limit: limited(
                number(names::RESTART_LIMIT_COUNT, &COUNT),
                seconds(names::RESTART_LIMIT_INTERVAL),
            ),
            down_signal: down_signal.unwrap_or(Signal::SIGTERM),
            kill_after: kill.filter(|time| !time.is_zero()),
            finish_within: Some(finish).filter(|time| !time.is_zero()),
            exit_stops: implies_down(down_signal, kill),
            announces: notification.is_some(),
        };
        Settings {
            terms,
            notification,
            lock: lock.filter(|_| lock != notification),
            no_session: is_there(names::NO_SETSID, report),
        }
    }
}

/// One of the two is enough.
fn backoff(
    first: Option<Duration>,
    longest: Option<Duration>,
    report: &impl Fn(Trouble),
) -> Option<Backoff> {
    first.or(longest)?;
    let least = Duration::from_secs(1);
    let first = first.unwrap_or(least).max(least);
    if longest.is_some_and(|longest| longest < first) {
        let meaning = "a number of seconds that is not lower than restart-delay, or than 1";
        report(Trouble::Meaning(names::RESTART_DELAY_MAX, meaning));
    }
    let longest = longest.unwrap_or(first).max(first);
    Some(Backoff { first, longest })
}

/// What is not said is as with dinit: three deaths in ten seconds. 0 is no
/// limit.
fn limited(count: Option<u64>, interval: Option<Duration>) -> Option<Limit> {
    if count.is_none() && interval.is_none() {
        return None;
    }
    let count = usize::try_from(count.unwrap_or(3)).ok()?;
    let interval = interval.unwrap_or(Duration::from_secs(10));
    (count > 0 && !interval.is_zero()).then_some(Limit { count, interval })
}

/// The first line of a file, without white space around it; None if there is
/// no file.
fn content(file: &'static CStr, report: &impl Fn(Trouble)) -> Option<Vec<u8>> {
    let mut bytes = [0; ENOUGH];
    match file::open_read(file).and_then(|file| read(&file, &mut bytes)) {
        Ok(length) => {
            let text = bytes.get(..length).unwrap_or_default();
            let mut lines = text.split(|&byte| byte == b'\n');
            // Of a line that is longer than this, the rest could say anything:
            // what is empty means nothing.
            let line = lines.next().filter(|line| line.len() < ENOUGH);
            Some(line.unwrap_or_default().trim_ascii().to_vec())
        }
        Err(Errno::ENOENT) => None,
        Err(error) => {
            report(Trouble::Read(file, error));
            None
        }
    }
}

/// Whether the command `x` also stops the service in the current directory,
/// under supervise -e. Malformed files count as absent; supervise warns of them.
pub(crate) fn exit_implies_down() -> bool {
    let down_signal = content(names::DOWN_SIGNAL, &|_| ()).and_then(|text| signal(&text));
    implies_down(down_signal, kill_timeout())
}

/// A service that may need more than TERM to stop is stopped before its
/// supervise exits.
fn implies_down(down_signal: Option<Signal>, kill_timeout: Option<Duration>) -> bool {
    down_signal.is_some() || kill_timeout.is_some()
}

/// `timeout-kill` of the service in the current directory; zero disables the
/// kill. None if the file is absent or malformed, of which supervise warns.
pub(crate) fn kill_timeout() -> Option<Duration> {
    let text = content(names::TIMEOUT_KILL, &|_| ())?;
    MILLISECONDS.value(&text).map(Duration::from_millis)
}

fn is_there(file: &'static CStr, report: &impl Fn(Trouble)) -> bool {
    match stat(file) {
        Ok(_) => true,
        Err(Errno::ENOENT) => false,
        Err(error) => {
            report(Trouble::Read(file, error));
            false
        }
    }
}

/// Whether there is a program to run. One that cannot be looked at is run as
/// well, so that somebody says why it cannot be.
pub(crate) fn is_program(file: &CStr) -> bool {
    stat(file).map(drop) != Err(Errno::ENOENT)
}

impl Number {
    /// The number that a text is, in units of the last digit that it may
    /// have; more digits are cut off. None if it is none of the range.
    fn value(&self, text: &[u8]) -> Option<u64> {
        let value = parse_fixed_point(text, self.decimals)?;
        self.range.contains(&value).then_some(value)
    }
}

/// The signal of a name, with or without `SIG`, or of a number.
fn signal(text: &[u8]) -> Option<Signal> {
    let text = std::str::from_utf8(text).ok()?.to_ascii_uppercase();
    match text.parse::<i32>() {
        Ok(number) => Signal::try_from(number).ok(),
        Err(_) if text.starts_with("SIG") => text.parse().ok(),
        Err(_) => format!("SIG{text}").parse().ok(),
    }
}

/// What supervise -e keeps for a service.
#[derive(Debug)]
pub(crate) struct Extended {
    name: CString,
    settings: Settings,
    /// What was wrong with them when they were read last.
    wrong: Vec<Trouble>,
    /// Where the service says that it is ready.
    notification: Option<OwnedFd>,
    tally: Tally,
    /// What readers see in `state`.
    shown: Vec<u8>,
}

/// What a new run of the service is given.
#[derive(Debug)]
pub(crate) struct Gifts {
    /// The supervise that gives them.
    from: Pid,
    settings: Settings,
    notification: Option<OwnedFd>,
}

impl Extended {
    /// For the service that is called by this name.
    pub(crate) fn new(name: CString, report: &impl Fn(Trouble)) -> Self {
        let file = names::DEATH_TALLY.name;
        let tally = match last_records(file) {
            Ok(bytes) => Tally::read(bytes).unwrap_or_else(|| {
                report(Trouble::Meaning(file, "a tally of deaths"));
                Tally::default()
            }),
            Err(Errno::ENOENT) => Tally::default(),
            Err(error) => {
                report(Trouble::Read(file, error));
                Tally::default()
            }
        };
        Extended {
            name,
            settings: Settings::default(),
            wrong: Vec::new(),
            notification: None,
            tally,
            shown: Vec::new(),
        }
    }

    /// Reads what the service asks for, and prepares what its next run is
    /// given.
    pub(crate) fn prepare(&mut self, report: &impl Fn(Trouble)) -> (Terms, Gifts) {
        self.settings = self.read_settings(report);
        let settings = &mut self.settings;
        let notification = settings.notification.and_then(|_| {
            let pipe = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK);
            // What the service writes may wait; only reading must not.
            let (reader, writer) = pipe
                .and_then(|(reader, writer)| file::set_blocking(&writer).map(|()| (reader, writer)))
                .map_err(|error| report(Trouble::Notification(error)))
                .ok()?;
            self.notification = Some(reader);
            Some(writer)
        });
        // Who cannot be heard has nothing to say.
        settings.terms.announces = notification.is_some();
        let settings = *settings;
        (
            settings.terms,
            Gifts {
                from: Pid::this(),
                settings,
                notification,
            },
        )
    }

    /// Reads again what the service asks for, since it is to be stopped. How
    /// it says that it is ready does not change as long as it runs.
    pub(crate) fn read_again(&mut self, report: &impl Fn(Trouble)) -> Terms {
        let announces = self.settings.terms.announces;
        self.settings.terms = Terms {
            announces,
            ..self.read_settings(report).terms
        };
        self.settings.terms
    }

    /// Reads the settings, and says what is wrong with them if that is new.
    fn read_settings(&mut self, report: &impl Fn(Trouble)) -> Settings {
        let wrong = RefCell::new(Vec::new());
        let settings = Settings::read(&|trouble| wrong.borrow_mut().push(trouble));
        let wrong = wrong.into_inner();
        let new = |trouble: &&Trouble| !self.wrong.contains(trouble);
        wrong.iter().filter(new).copied().for_each(report);
        self.wrong = wrong;
        settings
    }

    /// Where the service says that it is ready, as long as it may.
    pub(crate) fn notification(&self) -> Option<BorrowedFd<'_>> {
        self.notification.as_ref().map(AsFd::as_fd)
    }

    /// Whether the service has said that it is ready. What it says besides is
    /// not listened to, but taken, so that it need not wait; of one who never
    /// stops, no more than a pipe holds.
    pub(crate) fn hear(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let mut ready = false;
        for _ in 0..16 {
            let Some(notification) = &self.notification else {
                break;
            };
            match read(notification, &mut bytes) {
                Ok(0) => self.notification = None,
                Ok(length) => ready |= bytes.iter().take(length).any(|&byte| byte == b'\n'),
                Err(_) => break,
            }
        }
        ready
    }

    /// What `finish` is told: the exit code or 256, the number of the signal
    /// or 0, the name of the service, and the process that it was.
    pub(crate) fn finish_arguments(&self, pid: Pid, end: ExitStatus) -> Vec<CString> {
        let code = end.code().unwrap_or(256).to_string();
        let signal = end.signal().unwrap_or(0).to_string();
        let mut words: Vec<_> = [code, signal, pid.to_string()].map(word).into();
        words.insert(2, self.name.clone());
        words
    }

    /// Shows what there is to tell in `state`, if it is anything new.
    ///
    /// # Errors
    /// Why it could not be shown.
    pub(crate) fn show(&mut self, state: &[u8]) -> Result<(), ReplaceTrouble> {
        if self.shown != state {
            replace(names::STATE, state)?;
            state.clone_into(&mut self.shown);
        }
        Ok(())
    }

    /// Keeps a death in the tally.
    ///
    /// # Errors
    /// Why it could not be kept on disk.
    pub(crate) fn mourn(&mut self, end: ExitStatus, now: Moment) -> Result<(), ReplaceTrouble> {
        self.notification = None;
        let code = end.code().and_then(|code| u8::try_from(code).ok());
        self.tally.add(tally::DeathRecord {
            when: now.label,
            code: code.unwrap_or(0),
            signal: end.signal().unwrap_or(0),
        });
        replace(names::DEATH_TALLY, self.tally.file())
    }
}

/// Runs `notify`, if it is there, and does not wait for it: told `start` and
/// the process, or `exit` or `killed`, the process and its code or signal.
pub(crate) fn notify(
    what: &str,
    pid: Pid,
    how: Option<i32>,
    environment: &[&CStr],
    report: &impl Fn(Trouble),
) {
    if !is_program(names::NOTIFY) {
        return;
    }
    let words = ["run".to_owned(), what.to_owned(), pid.to_string()];
    let words: Vec<_> = words
        .into_iter()
        .chain(how.map(|how| how.to_string()))
        .map(word)
        .collect();
    let arguments: Vec<_> = std::iter::once(names::NOTIFY_PROGRAM)
        .chain(words.iter().map(CString::as_c_str))
        .collect();
    let program = PreparedExec::search(None, &arguments, environment);
    let child = || {
        report(Trouble::Notify(program.exec()));
        111
    };
    if let Err(error) = fork(child) {
        report(Trouble::NotifyFork(error));
    }
}

/// The words for how a process ended, for `notify`.
pub(crate) fn ended(end: ExitStatus) -> (&'static str, Option<i32>) {
    match end.signal() {
        Some(signal) => ("killed", Some(signal.into())),
        None => ("exit", end.code()),
    }
}

impl Gifts {
    /// In the new process: takes what is given, in an order in which nothing
    /// displaces what is still needed.
    ///
    /// # Errors
    /// What could not be had.
    pub(crate) fn take(self, report: &impl Fn(Trouble)) -> Result<(), Trouble> {
        if !self.settings.no_session {
            // A new process leads no group, so that it can.
            let _ = setsid();
        }
        let Settings {
            notification, lock, ..
        } = self.settings;
        // Until it is had, nobody is ready, whoever hears what is said of it.
        let held = lock.map(|_| self.lock(notification, report)).transpose();
        let held = held.map_err(Trouble::Lock)?;
        if let (Some(writer), Some(number)) = (self.notification, notification) {
            file::move_to_fd(writer, number)
                .map_err(|error| Trouble::Descriptor(names::NOTIFICATION_FD, error))?;
        }
        if let (Some(held), Some(number)) = (held, lock) {
            file::move_to_fd(held, number)
                .map_err(|error| Trouble::Descriptor(names::LOCK_FD, error))?;
        }
        Ok(())
    }

    /// The lock, on a descriptor that has not this number.
    fn lock(&self, unlike: Option<RawFd>, report: &impl Fn(Trouble)) -> Result<OwnedFd, Errno> {
        let lock = file::open_append(names::RUN_LOCK, 0o600)?;
        let held = lock_alone(lock, self.from, report)?;
        if unlike == Some(held.as_raw_fd()) {
            return file::dup_min(&held, 0);
        }
        Ok(held)
    }

    /// In the new process, before it takes what is given: standard error, if
    /// something else will stand there, for what there is to say afterwards.
    pub(crate) fn keep_stderr(&self) -> Option<OwnedFd> {
        let Settings {
            notification, lock, ..
        } = self.settings;
        let numbers = [notification, lock];
        // Neither of them may displace it. Where there is no higher number, a
        // lower one is most likely neither of them.
        let higher = numbers
            .into_iter()
            .flatten()
            .max()
            .map_or(0, |number| number + 1);
        let copy = || file::dup_min(stderr(), higher).or_else(|_| file::dup_min(stderr(), 0));
        numbers
            .contains(&Some(STDERR_FILENO))
            .then(|| copy().ok())
            .flatten()
    }
}

/// Locks, and says so if another has to let go first. The lock lives as long
/// as a copy of the descriptor does.
fn lock_alone(file: OwnedFd, supervise: Pid, report: &impl Fn(Trouble)) -> Result<OwnedFd, Errno> {
    let held = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Err((file, Errno::EAGAIN)) => {
            report(Trouble::Waiting);
            // Who waits has copies of all that supervise holds, its own lock
            // too: it must not outlive it.
            set_pdeathsig(Signal::SIGKILL)?;
            if getppid() != supervise {
                return Err(Errno::ESRCH);
            }
            let held = Flock::lock(file, FlockArg::LockExclusive);
            set_pdeathsig(None)?;
            held
        }
        taken => taken,
    };
    let held = held.map_err(|(_, error)| error)?;
    let copy = file::dup_min(&*held, 0);
    // To drop it would unlock.
    std::mem::forget(held);
    copy
}

/// The end of a file of records, with as many of them as are kept, and what
/// is left over if they are not whole.
fn last_records(name: &CStr) -> Result<Vec<u8>, Errno> {
    let (record, kept) = (tally::LENGTH as u64, tally::KEPT as u64);
    let mut file = File::from(file::open_read(name)?);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::End(0))
        .and_then(|length| {
            let first = (length / record).saturating_sub(kept);
            file.seek(SeekFrom::Start(first * record))
        })
        .and_then(|_| file.take((kept + 1) * record).read_to_end(&mut bytes))
        .map_err(|error| unix::errno(&error))?;
    Ok(bytes)
}

fn word(text: String) -> CString {
    CString::new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_half_of_a_limit_is_enough() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let limit = |count, interval| {
            let interval = Duration::from_secs(interval);
            Some(Limit { count, interval })
        };
        assert_eq!(limited(None, None), None);
        assert_eq!(limited(Some(2), None), limit(2, 10));
        assert_eq!(limited(None, seconds(60)), limit(3, 60));
        assert_eq!(limited(Some(2), seconds(60)), limit(2, 60));
        assert_eq!(limited(Some(0), seconds(60)), None);
        assert_eq!(limited(Some(2), seconds(0)), None);
    }
}
