//! Log directories.
//!
//! A file that is written is not executable, one that is finished is: that is
//! how the next writer knows a crash. A finished `current` becomes `previous`
//! and, through the processor, `processed`; with that it gets its label.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, stat};
use nix::unistd::{fchdir, fsync, mkdir, unlink, write};
use unix::file::{open_append, open_read, open_truncate};

use crate::batch::Batch;
use crate::extent::Extent;
use crate::names::{CURRENT, Code, LOCK, PREVIOUS, PROCESSED, STATE};
use crate::processor::Processor;
use crate::recovery::{FORGET_STATE, Found, Repair, repairs};
use crate::script::Terms;
use crate::shelf::Shelf;
use crate::trouble::{Step, Tell, Trouble};

/// The mode of a file that is written.
const UNFINISHED: Mode = Mode::from_bits_truncate(0o644);
/// The mode of a file that is finished.
const FINISHED: Mode = Mode::from_bits_truncate(0o744);

/// An open and locked log directory.
#[derive(Debug)]
pub struct Directory<'a> {
    descriptor: OwnedFd,
    current: OwnedFd,
    extent: Extent,
    /// Where the next batch is cut; kept for its memory.
    cuts: Vec<usize>,
    processor: Option<Processor<'a>>,
    shelf: Shelf<'a>,
}

impl<'a> Directory<'a> {
    /// Opens the log directory `place`, whose name is relative to `origin`,
    /// and goes on where its last writer ended. One that does not exist is
    /// made, with mode 0700. `environment` is for its processor.
    ///
    /// # Errors
    /// The step that failed. Only what is done about a crash is told to
    /// `tell` and tried again.
    pub fn open(
        place: &'a CStr,
        terms: &Terms<'a>,
        origin: BorrowedFd<'_>,
        environment: &[&'a CStr],
        tell: Tell,
    ) -> Result<Self, Trouble<'a>> {
        let trouble = |step| move |error| Trouble::new(place, step, error);
        fchdir(origin).map_err(trouble(Step::SwitchBack))?;
        // If it cannot be made it must be there.
        let _ = mkdir(place, Mode::S_IRWXU);
        let descriptor = open_read(place).map_err(trouble(Step::OpenDirectory))?;
        fchdir(&descriptor).map_err(trouble(Step::OpenDirectory))?;
        lock().map_err(trouble(Step::Lock))?;

        let shelf = Shelf {
            place,
            files: terms.files,
            tell,
        };
        let (written, opening) = match found(CURRENT).map_err(trouble(Step::Stat(CURRENT)))? {
            Found::Finished(size) => (size, Step::Append(CURRENT)),
            Found::Unfinished | Found::Nothing => {
                for repair in FORGET_STATE {
                    repair.make(&shelf);
                }
                let processed = found(PROCESSED).map_err(trouble(Step::Stat(PROCESSED)))?;
                for repair in repairs(processed) {
                    repair.make(&shelf);
                }
                open_truncate(STATE, 0o644).map_err(trouble(Step::Write(STATE)))?;
                (0, Step::Write(CURRENT))
            }
        };
        let current = open_append(CURRENT, 0o600).map_err(trouble(opening))?;
        fchmod(&current, UNFINISHED).map_err(trouble(Step::SetMode(CURRENT)))?;
        Ok(Directory {
            descriptor,
            current,
            extent: Extent::new(terms.size, written),
            cuts: Vec::new(),
            processor: terms
                .processor
                .map(|command| Processor::new(command, environment)),
            shelf,
        })
    }

    /// Appends a batch, closing `current` wherever it is full.
    pub fn append(&mut self, batch: &Batch<'_>) {
        let mut cuts = std::mem::take(&mut self.cuts);
        self.extent.take(batch, &mut cuts);
        let mut rest = batch.text;
        let mut start = 0;
        for cut in cuts.drain(..) {
            let (before, after) = rest.split_at_checked(cut - start).unwrap_or((rest, b""));
            self.write(before);
            self.close_current();
            (rest, start) = (after, cut);
        }
        self.write(rest);
        self.cuts = cuts;
    }

    /// Closes `current` unless it is empty.
    pub fn rotate(&mut self) {
        if !self.extent.is_empty() {
            self.close_current();
            self.extent.close();
        }
    }

    /// Leaves the directory finished, for the next writer to go on.
    pub fn finish(&mut self) {
        self.persist(Step::Sync(CURRENT), || fsync(&self.current));
        self.persist(Step::SetMode(CURRENT), || fchmod(&self.current, FINISHED));
    }

    fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let written =
                self.persist(Step::Write(CURRENT), || match write(&self.current, bytes) {
                    Ok(0) => Err(Errno::last()),
                    other => other,
                });
            bytes = bytes.get(written..).unwrap_or_default();
        }
    }

    /// Makes `current` an old file, and a new `current`.
    fn close_current(&mut self) {
        self.persist(Step::Switch, || fchdir(&self.descriptor));
        self.persist(Step::Sync(CURRENT), || fsync(&self.current));
        self.persist(Step::Rename(CURRENT, PREVIOUS), || {
            renameat(AT_FDCWD, CURRENT, AT_FDCWD, PREVIOUS)
        });
        self.current = self.persist(Step::Create(CURRENT), || open_append(CURRENT, 0o600));
        self.persist(Step::SetMode(CURRENT), || fchmod(&self.current, UNFINISHED));
        self.persist(Step::SetMode(PREVIOUS), || {
            fchmodat(AT_FDCWD, PREVIOUS, FINISHED, FchmodatFlags::FollowSymlink)
        });
        match &self.processor {
            None => self.shelf.keep(PREVIOUS, Code::Safe),
            Some(processor) => {
                processor.process(self.shelf.place, self.shelf.tell);
                self.shelf.keep(PROCESSED, Code::Safe);
            }
        }
    }

    fn persist<T>(&self, step: Step<'_>, attempt: impl FnMut() -> Result<T, Errno>) -> T {
        self.shelf.persist(step, attempt)
    }
}

impl Repair {
    /// Repairs the current directory, whose old files are `old`.
    fn make(self, old: &Shelf<'_>) {
        match self {
            Repair::Forget(file) => {
                let _ = unlink(file);
            }
            Repair::Keep(file, code) => old.keep(file, code),
        }
    }
}

/// Locks the current directory against other writers, for as long as the
/// program lives.
fn lock() -> Result<(), Errno> {
    let file = open_append(LOCK, 0o600)?;
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error)?;
    std::mem::forget(lock);
    Ok(())
}

/// What is known of a file in the current directory.
fn found(file: &CStr) -> Result<Found, Errno> {
    match stat(file) {
        Ok(stat) if Mode::from_bits_truncate(stat.st_mode).contains(Mode::S_IXUSR) => {
            Ok(Found::Finished(usize::try_from(stat.st_size).unwrap_or(0)))
        }
        Ok(_) => Ok(Found::Unfinished),
        Err(Errno::ENOENT) => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}
