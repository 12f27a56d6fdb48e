//! Log directories.
//!
//! A file that is written is not executable, one that is finished is: that is
//! how the next writer knows a crash. With multilog a finished `current`
//! becomes `previous` and, through the processor, `processed`; with that it
//! gets its label. With svlogd it has its label at once.

use std::ffi::CStr;
use std::mem::ManuallyDrop;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, stat};
use nix::unistd::{fchdir, fsync, mkdir, unlink, write};
use unix::file::{open_append, open_read, open_truncate};

use crate::age::{Age, since_first_line};
use crate::batch::Batch;
use crate::event::{News, Purpose, Step, Tell, Trouble, Voice};
use crate::extent::Extent;
use crate::names::{CURRENT, Code, LOCK, PREVIOUS, PROCESSED, STATE};
use crate::old::Bounds;
use crate::policy::{Policy, Terms};
use crate::processor::Processor;
use crate::recovery::{FORGET_STATE, Found, Repair, continued, repairs};
use crate::shelf::{Shelf, free_name};

/// The mode of a file that is written.
const UNFINISHED: Mode = Mode::from_bits_truncate(0o644);
/// The mode of a file that is finished.
const FINISHED: Mode = Mode::from_bits_truncate(0o744);

/// What does not change from one log directory to the next.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Where the program was started: names are relative to it.
    pub origin: BorrowedFd<'a>,
    /// For processors.
    pub environment: &'a [&'a CStr],
    /// Who hears of it all.
    pub tell: Tell,
}

/// A log directory that is the current one, is locked, and is not written to
/// yet.
#[derive(Debug)]
pub struct Place<'a> {
    policy: Policy,
    environment: &'a [&'a CStr],
    voice: Voice<'a>,
    descriptor: OwnedFd,
    lock: Flock<OwnedFd>,
}

/// An open and locked log directory.
#[derive(Debug)]
pub struct Directory<'a> {
    policy: Policy,
    voice: Voice<'a>,
    descriptor: OwnedFd,
    /// Held until the directory is closed, or the program ends.
    lock: ManuallyDrop<Flock<OwnedFd>>,
    current: OwnedFd,
    extent: Extent,
    /// Where the next text is cut; kept for its memory.
    cuts: Vec<usize>,
    age: Age,
    processor: Option<Processor<'a>>,
    /// The code of what it makes.
    code: Vec<u8>,
    shelf: Shelf<'a>,
}

impl<'a> Place<'a> {
    /// Goes to the log directory `name` and locks it. For multilog one that
    /// does not exist is made, with mode 0700.
    ///
    /// # Errors
    /// The step that failed.
    pub fn enter(
        policy: Policy,
        name: &'a CStr,
        around: Surroundings<'a>,
    ) -> Result<Self, Trouble<'a>> {
        let voice = Voice {
            place: name,
            tell: around.tell,
        };
        let trouble = |step| move |error| Trouble::new(name, step, error);
        at_start(policy, voice, Step::SwitchBack, || fchdir(around.origin))?;
        match policy {
            Policy::Multilog => {
                // If it cannot be made it must be there.
                let _ = mkdir(name, Mode::S_IRWXU);
            }
            Policy::Svlogd => {}
        }
        let descriptor = open_read(name).map_err(trouble(Step::OpenDirectory))?;
        fchdir(&descriptor).map_err(trouble(Step::Switch(Purpose::Open)))?;
        let lock = lock().map_err(trouble(Step::Lock))?;
        Ok(Place {
            policy,
            environment: around.environment,
            voice,
            descriptor,
            lock,
        })
    }

    /// Goes on where the last writer ended. What is done about a crash is
    /// tried until it is done.
    ///
    /// # Errors
    /// The step that failed.
    pub fn open(self, terms: Terms) -> Result<Directory<'a>, Trouble<'a>> {
        let Place { policy, voice, .. } = self;
        let mut old = Shelf {
            policy,
            voice,
            bounds: Bounds {
                files: terms.files,
                bytes: terms.bytes,
            },
            floor: terms.floor,
            room: usize::MAX,
        };
        let written = recover(&mut old, Code::Processed(&terms.code))?;
        let opening = match (policy, written) {
            (Policy::Multilog, None) => Step::Write(CURRENT),
            (Policy::Multilog, Some(_)) | (Policy::Svlogd, _) => Step::Append(CURRENT),
        };
        let current = at_start(policy, voice, opening, || open_append(CURRENT, 0o600))?;
        at_start(policy, voice, Step::SetMode(CURRENT), || {
            fchmod(&current, UNFINISHED)
        })?;
        voice.news(written.map_or(News::New, |_| News::Continued));
        if terms.bytes.is_some() {
            old.remove_surplus(written.unwrap_or(0));
        }
        let mut directory = Directory {
            policy,
            voice,
            descriptor: self.descriptor,
            lock: ManuallyDrop::new(self.lock),
            current,
            extent: Extent::new(terms.size, terms.slack, written.unwrap_or(0)),
            cuts: Vec::new(),
            age: Age::new(terms.age),
            processor: terms.processor.map(|command| Processor {
                policy,
                voice,
                command,
                environment: self.environment,
                work: None,
            }),
            code: terms.code,
            shelf: old,
        };
        directory.watch_age(|| match policy {
            Policy::Multilog => since_first_line(CURRENT),
            Policy::Svlogd => Duration::ZERO,
        });
        Ok(directory)
    }
}

impl Directory<'_> {
    /// Appends a batch, closing `current` wherever multilog does.
    pub fn append(&mut self, batch: &Batch<'_>) {
        let mut cuts = std::mem::take(&mut self.cuts);
        self.extent.take(batch, &mut cuts);
        self.put(batch.text, cuts);
    }

    /// Appends text, closing `current` wherever svlogd does.
    pub fn append_lines(&mut self, text: &[u8]) {
        let mut cuts = std::mem::take(&mut self.cuts);
        self.extent.take_lines(text, &mut cuts);
        self.put(text, cuts);
    }

    fn put(&mut self, text: &[u8], mut cuts: Vec<usize>) {
        let (mut rest, mut start) = (text, 0);
        for cut in cuts.drain(..) {
            let (before, after) = rest.split_at_checked(cut - start).unwrap_or((rest, b""));
            self.write(before);
            self.close_current();
            (rest, start) = (after, cut);
        }
        self.write(rest);
        self.cuts = cuts;
        self.watch_age(Duration::default);
        if self.extent.written() > self.shelf.room {
            self.switch(Purpose::MakeRoom);
            self.shelf.remove_surplus(self.extent.written());
        }
    }

    /// Closes `current` unless it is empty.
    pub fn rotate(&mut self) {
        if !self.extent.is_empty() {
            self.extent.close();
            self.close_current();
        }
    }

    /// Closes `current` if it is too old; how long until it is, if it grows
    /// older.
    pub fn look_at_age(&mut self) -> Option<Duration> {
        let left = self.age.left()?;
        if !left.is_zero() {
            return Some(left);
        }
        self.rotate();
        self.age.end();
        self.watch_age(Duration::default);
        self.age.left()
    }

    /// Sees to it that `current` grows older: svlogd's does so from the moment
    /// that it is made, multilog's from its first line on.
    fn watch_age(&mut self, already: impl FnOnce() -> Duration) {
        let grows = match self.policy {
            Policy::Multilog => !self.extent.is_empty(),
            Policy::Svlogd => true,
        };
        if grows {
            self.age.begin(already);
        }
    }

    /// Takes what the processor has made, if it has ended.
    pub fn look_at_processor(&mut self) {
        if self.processor.as_ref().is_some_and(Processor::has_ended) {
            self.end_processing();
        }
    }

    /// Waits for the processor, if it is at work.
    fn end_processing(&mut self) {
        if self.processor.as_ref().is_some_and(Processor::works) {
            self.switch(Purpose::Process);
            self.processor.iter_mut().for_each(Processor::finish);
        }
    }

    /// Leaves the directory finished, for the next writer to go on.
    pub fn finish(&mut self) {
        self.end_processing();
        self.voice.news(News::Closed);
        self.sync_current();
        self.set_mode_of_current(FINISHED);
    }

    /// Leaves the directory finished, and for others to lock.
    pub fn close(mut self) {
        self.finish();
        drop(ManuallyDrop::into_inner(self.lock));
    }

    fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let error = match write(&self.current, bytes) {
                Ok(0) => Errno::last(),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    continue;
                }
                Err(error) => error,
            };
            if !self.overcomes(error) {
                self.voice.pause(Step::Write(CURRENT), error);
            }
        }
    }

    /// Whether writing goes on at once after an error.
    fn overcomes(&self, error: Errno) -> bool {
        match (self.policy, error) {
            (Policy::Svlogd, Errno::EINTR) => true,
            (Policy::Svlogd, Errno::ENOSPC) => {
                self.switch(Purpose::MakeRoom);
                self.shelf.make_room()
            }
            (Policy::Multilog | Policy::Svlogd, _) => false,
        }
    }

    /// Makes `current` an old file, and a new `current`.
    fn close_current(&mut self) {
        self.end_processing();
        self.switch(Purpose::Rotate);
        match self.policy {
            Policy::Multilog => {
                self.sync_current();
                self.shelf.rename(CURRENT, PREVIOUS);
                self.create_current();
                self.voice.persist(Step::SetMode(PREVIOUS), || {
                    fchmodat(AT_FDCWD, PREVIOUS, FINISHED, FchmodatFlags::FollowSymlink)
                });
                match &mut self.processor {
                    None => self.shelf.keep(PREVIOUS, Code::Safe),
                    Some(processor) => {
                        processor.start(PREVIOUS, PROCESSED);
                        processor.finish();
                        self.shelf.keep(PROCESSED, Code::Processed(&self.code));
                    }
                }
            }
            Policy::Svlogd => {
                let name = free_name(match self.processor {
                    None => Code::Safe,
                    Some(_) => Code::Unfinished,
                });
                self.sync_current();
                self.set_mode_of_current(FINISHED);
                let size = stat(CURRENT).map_or(0, |stat| size(stat.st_size));
                self.voice.news(News::Renamed(&name, size));
                self.shelf.rename(CURRENT, &name);
                self.create_current();
                self.shelf.remove_surplus(0);
                if let Some(processor) = &mut self.processor {
                    processor.start(&name, &Code::Made.name(name.to_bytes()));
                }
            }
        }
        self.age.end();
        self.watch_age(Duration::default);
    }

    fn switch(&self, purpose: Purpose) {
        self.voice
            .persist(Step::Switch(purpose), || fchdir(&self.descriptor));
    }

    fn create_current(&mut self) {
        self.current = self
            .voice
            .persist(Step::Create(CURRENT), || open_append(CURRENT, 0o600));
        self.set_mode_of_current(UNFINISHED);
    }

    fn sync_current(&self) {
        self.voice
            .persist(Step::Sync(CURRENT), || fsync(&self.current));
    }

    fn set_mode_of_current(&self, mode: Mode) {
        self.voice
            .persist(Step::SetMode(CURRENT), || fchmod(&self.current, mode));
    }
}

/// Takes a step in opening a directory: for multilog its failure is the end,
/// svlogd tries until it succeeds.
fn at_start<'a, T>(
    policy: Policy,
    voice: Voice<'a>,
    step: Step<'a>,
    mut attempt: impl FnMut() -> Result<T, Errno>,
) -> Result<T, Trouble<'a>> {
    match policy {
        Policy::Multilog => attempt().map_err(|error| Trouble::new(voice.place, step, error)),
        Policy::Svlogd => Ok(voice.persist(step, attempt)),
    }
}

/// Does what is to be done about a crash in the current directory, where
/// processors make files of a code; how much is in `current`, if it is
/// continued.
fn recover<'a>(shelf: &mut Shelf<'a>, made: Code<'_>) -> Result<Option<usize>, Trouble<'a>> {
    let place = shelf.voice.place;
    let trouble = |step| move |error| Trouble::new(place, step, error);
    let current = found(CURRENT).map_err(trouble(Step::Stat(CURRENT)))?;
    let written = continued(shelf.policy, current);
    match (shelf.policy, written, current) {
        (_, Some(_), _) | (Policy::Svlogd, None, Found::Nothing) => {}
        (Policy::Multilog, None, _) => {
            for repair in FORGET_STATE {
                repair.make(shelf);
            }
            let processed = found(PROCESSED).map_err(trouble(Step::Stat(PROCESSED)))?;
            for repair in repairs(processed, made) {
                repair.make(shelf);
            }
            open_truncate(STATE, 0o644).map_err(trouble(Step::Write(STATE)))?;
        }
        (Policy::Svlogd, None, _) => shelf.keep(CURRENT, Code::Unfinished),
    }
    Ok(written)
}

impl Repair<'_> {
    /// Repairs the current directory, whose old files are `old`.
    fn make(self, old: &mut Shelf<'_>) {
        match self {
            Repair::Forget(file) => {
                let _ = unlink(file);
            }
            Repair::Keep(file, code) => old.keep(file, code),
        }
    }
}

/// Locks the current directory against other writers.
fn lock() -> Result<Flock<OwnedFd>, Errno> {
    let file = open_append(LOCK, 0o600)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error)
}

/// What is known of a file in the current directory.
fn found(file: &CStr) -> Result<Found, Errno> {
    match stat(file) {
        Ok(stat) if Mode::from_bits_truncate(stat.st_mode).contains(Mode::S_IXUSR) => {
            Ok(Found::Finished(size(stat.st_size)))
        }
        Ok(stat) => Ok(Found::Unfinished(size(stat.st_size))),
        Err(Errno::ENOENT) => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

fn size(size: i64) -> usize {
    usize::try_from(size).unwrap_or(0)
}
