//! A log directory as svlogd keeps it.

use std::ffi::{CStr, CString};
use std::net::UdpSocket;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use daemontools_core::label::{Label, TEXT};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, renameat};
use nix::sys::stat::{Mode, fchmod, stat};
use nix::unistd::{fchdir, fsync, read, unlink, write};
use unix::file::{open_append, open_read};

use super::config::{Config, Verdict};
use super::event::{Say, Voice, Weight, What};
use super::line::Form;
use super::processing::Processing;
pub use super::processing::SIGNALS;
use crate::batch::lines;
use crate::extent::Extent;
use crate::names::{CURRENT, LOCK};

/// The file that says how the directory is kept.
const CONFIG: &CStr = c"config";
/// The length of an old file's name: a label, a dot and a letter.
const OLD: usize = TEXT + 2;
/// The mode of a file that is written.
const UNFINISHED: Mode = Mode::from_bits_truncate(0o644);
/// The mode of a file that is finished.
const FINISHED: Mode = Mode::from_bits_truncate(0o744);

/// What does not change from one directory to the next.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Where svlogd was started.
    pub origin: BorrowedFd<'a>,
    /// For processors.
    pub environment: &'a [&'a CStr],
    /// Who hears of it all.
    pub say: Say<'a>,
}

/// An open and locked log directory.
pub struct Keeper<'a> {
    around: Surroundings<'a>,
    voice: Voice<'a>,
    directory: OwnedFd,
    _lock: Flock<OwnedFd>,
    config: Config,
    current: OwnedFd,
    extent: Extent,
    /// Where the next text is cut; kept for its memory.
    cuts: Vec<usize>,
    /// When `current` is too old.
    due: Option<Instant>,
    processing: Option<Processing>,
    socket: Option<UdpSocket>,
    /// What goes to `current` of the lines that are read.
    text: Vec<u8>,
    /// Whether the line that came last goes there.
    written: bool,
}

/// Lines, and what stands before each.
#[derive(Clone, Copy, Debug)]
pub struct Passage<'a> {
    /// As read, and replaced.
    pub text: &'a [u8],
    /// Whether the text begins within a line, whose head came before.
    pub within_line: bool,
    /// The stamp, if lines have one.
    pub stamp: Option<[u8; TEXT]>,
    /// All of the text with the stamp before each line.
    pub stamped: &'a [u8],
}

impl<'a> Keeper<'a> {
    /// Opens the directory and reads how it is kept. None, once it was said
    /// why, if there is no such directory to be had.
    #[must_use]
    pub fn open(place: &'a CStr, slack: usize, around: Surroundings<'a>) -> Option<Self> {
        let voice = Voice {
            place,
            say: around.say,
        };
        let directory = open_read(place)
            .map_err(|error| voice.warn(What::OpenDirectory, error))
            .ok()?;
        fchdir(&directory)
            .map_err(|error| voice.give_up(c"", What::ChangeDirectory, error))
            .ok()?;
        let keeper = Keeper::open_here(directory, voice, slack, around);
        to_origin(around, voice);
        keeper
    }

    fn open_here(
        directory: OwnedFd,
        voice: Voice<'a>,
        slack: usize,
        around: Surroundings<'a>,
    ) -> Option<Self> {
        let lock = lock()
            .map_err(|error| voice.give_up(c"", What::LockDirectory, error))
            .ok()?;
        let config = read_config(voice);
        let written = found(voice, config.files)
            .map_err(|error| voice.give_up(voice.place, What::StatCurrent, error))
            .ok()?;
        let current = voice.persist(What::OpenCurrent, || open_append(CURRENT, 0o600));
        voice.persist(What::SetModeOfCurrent, || fchmod(&current, UNFINISHED));
        voice.info(written.map_or(What::New, |_| What::Append));
        let mut keeper = Keeper {
            around,
            voice,
            directory,
            _lock: lock,
            extent: Extent::of_lines(config.size, slack, written.unwrap_or(0)),
            socket: socket(&config),
            config,
            current,
            cuts: Vec::new(),
            due: None,
            processing: None,
            text: Vec::new(),
            written: true,
        };
        keeper.wait_for_age();
        Some(keeper)
    }

    /// Whether lines may be told of here.
    #[must_use]
    pub fn alerts(&self) -> bool {
        let mut rules = self.config.rules.iter();
        rules.any(|rule| rule.verdict == Verdict::Alerted(true))
    }

    /// Looks at lines, tells of those that are to be told of and sends those
    /// that are to be sent. They are written by [`Keeper::write_down`].
    pub fn look_at(&mut self, passage: &Passage<'_>, form: &Form, alert: impl Fn(&[u8])) {
        if self.takes_all() {
            return;
        }
        let prefix = &self.config.prefix;
        let mut before = passage.stamp.map_or(Vec::new(), |stamp| stamp.to_vec());
        if !before.is_empty() {
            before.push(b' ');
        }
        before.extend_from_slice(prefix);
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let mut continues = passage.within_line;
        for piece in lines(passage.text) {
            if !continues {
                let (head, longer) = form.head(piece);
                let (written, alerted) = self.config.judge(head);
                let end: &[u8] = if longer { b"...\n" } else { b"\n" };
                let short = || [&before, head, end].concat();
                if alerted {
                    alert(&short());
                }
                if written && (self.config.peer.is_some() || self.config.sent_only) {
                    self.send(&short(), &mut text);
                }
                self.written = written && !self.config.sent_only;
                if self.written {
                    text.extend_from_slice(&before);
                }
            }
            if self.written {
                text.extend_from_slice(piece);
            }
            continues = false;
        }
        self.text = text;
    }

    /// Writes the lines that were looked at, as far as they go here.
    pub fn write_down(&mut self, passage: &Passage<'_>) {
        if self.takes_all() {
            self.append(passage.stamped);
        } else {
            let text = std::mem::take(&mut self.text);
            self.append(&text);
            self.text = text;
        }
    }

    /// Whether all lines are written here as they are written elsewhere.
    fn takes_all(&self) -> bool {
        let Config {
            rules,
            prefix,
            peer,
            sent_only,
            ..
        } = &self.config;
        rules.is_empty() && prefix.is_empty() && peer.is_none() && !sent_only
    }

    /// Sends a line, and writes to the directory what is wrong with that.
    fn send(&self, line: &[u8], text: &mut Vec<u8>) {
        let (Some(peer), false) = (self.config.peer, self.socket.is_none()) else {
            if self.config.peer.is_some() {
                text.extend_from_slice(b"warning: no udp socket available: ");
                text.extend_from_slice(line);
            }
            return;
        };
        let sent = self
            .socket
            .as_ref()
            .map(|socket| socket.send_to(line, peer));
        if !matches!(sent, Some(Ok(length)) if length == line.len()) {
            text.extend_from_slice(b"warning: failure sending through udp: ");
            text.extend_from_slice(line);
        }
    }

    /// Appends text, closing `current` wherever it is full.
    fn append(&mut self, text: &[u8]) {
        let mut cuts = std::mem::take(&mut self.cuts);
        self.extent.take_lines(text, &mut cuts);
        let (mut rest, mut start) = (text, 0);
        for cut in cuts.drain(..) {
            let (before, after) = rest.split_at_checked(cut - start).unwrap_or((rest, b""));
            self.write(before);
            self.close_current();
            (rest, start) = (after, cut);
        }
        self.write(rest);
        self.cuts = cuts;
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match write(&self.current, bytes) {
                Ok(0) => self.voice.pause(What::WriteToCurrent, Errno::last()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                Err(Errno::ENOSPC) if self.make_room() => {}
                Err(error) => self.voice.pause(What::WriteToCurrent, error),
            }
        }
    }

    /// Removes the oldest old file, if there are more than must be kept while
    /// the disk is full; whether there is room now.
    fn make_room(&self) -> bool {
        self.voice
            .persist(What::ChangeToRemove, || fchdir(&self.directory));
        let old = match old_files() {
            Ok(old) => old,
            Err((opening, error)) => {
                let what = if opening {
                    What::OpenToRemove
                } else {
                    What::ReadToRemove
                };
                self.voice.warn(what, error);
                Vec::new()
            }
        };
        let mut safe = old;
        safe.retain(|name| !matches!(ends(name), b't' | b'u'));
        safe.sort();
        let Config { files, floor, .. } = self.config;
        let oldest = safe.first().filter(|_| floor < files && safe.len() > floor);
        let room = oldest.is_some_and(|oldest| {
            self.voice
                .event(Weight::Warning, What::DiskFullDelete(oldest), None);
            match unlink(oldest.as_c_str()) {
                Ok(()) => true,
                Err(error) => {
                    self.voice.warn(What::UnlinkOldest(oldest), error);
                    false
                }
            }
        });
        to_origin(self.around, self.voice);
        room
    }

    /// Closes `current` unless it is empty.
    pub fn rotate(&mut self) {
        if !self.extent.is_empty() {
            self.close_current();
            self.extent.close();
        }
    }

    /// How long until `current` is too old.
    #[must_use]
    pub fn patience(&self, now: Instant) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(now))
    }

    /// Closes `current` if it is too old.
    pub fn look_at_age(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.rotate();
            self.wait_for_age();
        }
    }

    fn wait_for_age(&mut self) {
        let age = Some(self.config.age).filter(|age| *age > 0);
        self.due = age.and_then(|age| Instant::now().checked_add(Duration::from_secs(age)));
    }

    /// Looks whether the processor has ended.
    pub fn look_at_processor(&mut self) {
        if self.processing.as_ref().is_some_and(Processing::has_ended) {
            self.end_processing();
        }
    }

    /// Waits for the processor, if one is at work.
    pub fn end_processing(&mut self) {
        let (Some(processing), Some(command)) = (self.processing.take(), &self.config.processor)
        else {
            return;
        };
        self.voice
            .persist(What::ChangeForProcessor, || fchdir(&self.directory));
        processing.wait(command, self.around.environment, self.voice);
        to_origin(self.around, self.voice);
    }

    /// Leaves the directory finished, for the next writer to go on.
    pub fn close(mut self) {
        self.end_processing();
        self.voice.info(What::Close);
        self.finish_current();
    }

    fn finish_current(&self) {
        self.voice
            .persist(What::SyncCurrent, || fsync(&self.current));
        self.voice
            .persist(What::SetModeOfCurrent, || fchmod(&self.current, FINISHED));
    }

    /// Makes `current` an old file, and a new `current`.
    fn close_current(&mut self) {
        self.end_processing();
        self.voice
            .persist(What::ChangeToRotate, || fchdir(&self.directory));
        let end = if self.config.processor.is_some() {
            b".u"
        } else {
            b".s"
        };
        let (label, name) = free_name(end);
        self.finish_current();
        let size = stat(CURRENT).map_or(0, |stat| stat.st_size);
        self.voice
            .info(What::Rename(&name, usize::try_from(size).unwrap_or(0)));
        self.voice.persist(What::RenameCurrent, || {
            renameat(AT_FDCWD, CURRENT, AT_FDCWD, name.as_c_str())
        });
        self.current = self
            .voice
            .persist(What::CreateNewCurrent, || open_append(CURRENT, 0o600));
        self.voice
            .persist(What::SetModeOfCurrent, || fchmod(&self.current, UNFINISHED));
        remove_oldest(self.voice, self.config.files);
        if let Some(command) = &self.config.processor {
            let environment = self.around.environment;
            self.processing = Some(Processing::start(command, &label, environment, self.voice));
        }
        self.wait_for_age();
        to_origin(self.around, self.voice);
    }
}

fn to_origin(around: Surroundings<'_>, voice: Voice<'_>) {
    voice.persist(What::ChangeToInitial, || fchdir(around.origin));
}

/// Locks the current directory against other writers.
fn lock() -> Result<Flock<OwnedFd>, Errno> {
    let file = open_append(LOCK, 0o600)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error)
}

fn socket(config: &Config) -> Option<UdpSocket> {
    config.peer?;
    UdpSocket::bind(("0.0.0.0", 0)).ok()
}

/// Reads the configuration in the current directory. What cannot be read is
/// said, and counts as far as it was read.
fn read_config(voice: Voice<'_>) -> Config {
    let mut text = Vec::new();
    match open_read(CONFIG) {
        Err(Errno::ENOENT) => return Config::default(),
        Err(error) => {
            voice.warn(What::ReadConfig, error);
            return Config::default();
        }
        Ok(file) => {
            let mut buffer = [0; 4096];
            loop {
                match read(&file, &mut buffer) {
                    Ok(0) => break,
                    Ok(length) => text.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                    Err(Errno::EINTR) => {}
                    Err(error) => {
                        voice.warn(What::ReadConfig, error);
                        break;
                    }
                }
            }
        }
    }
    voice.info(What::Read);
    Config::parse(&text, |mistake| {
        voice.event(Weight::Warning, What::Mistake(&mistake), None);
    })
}

/// How much is in `current`, if it is to be continued. What a crash left of it
/// becomes an old file.
fn found(voice: Voice<'_>, files: usize) -> Result<Option<usize>, Errno> {
    match stat(CURRENT) {
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error),
        Ok(stat) => {
            let finished = Mode::from_bits_truncate(stat.st_mode).contains(Mode::S_IXUSR);
            if finished || stat.st_size == 0 {
                return Ok(Some(usize::try_from(stat.st_size).unwrap_or(0)));
            }
            let (_, name) = free_name(b".u");
            voice.persist(What::RenameCurrent, || {
                renameat(AT_FDCWD, CURRENT, AT_FDCWD, name.as_c_str())
            });
            remove_oldest(voice, files);
            Ok(None)
        }
    }
}

/// The first label from now on of which there is no file with this end, and
/// that file's name.
fn free_name(end: &[u8]) -> ([u8; TEXT], CString) {
    let mut label = Label::now();
    loop {
        let text = label.text();
        let name = CString::new([&text, end].concat()).unwrap_or_default();
        if stat(name.as_c_str()) == Err(Errno::ENOENT) {
            return (text, name);
        }
        label = label.next();
    }
}

/// The old files in the current directory; of an error, whether it was in
/// opening it.
fn old_files() -> Result<Vec<CString>, (bool, Errno)> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut directory = Dir::open(c".", flags, Mode::empty()).map_err(|error| (true, error))?;
    let mut old = Vec::new();
    for entry in directory.iter() {
        let entry = entry.map_err(|error| (false, error))?;
        let name = entry.file_name();
        if name.to_bytes().len() == OLD && name.to_bytes().starts_with(b"@") {
            old.push(name.to_owned());
        }
    }
    Ok(old)
}

/// The letter that ends an old file's name.
fn ends(name: &CString) -> u8 {
    name.as_bytes().last().copied().unwrap_or_default()
}

/// Removes what dead processors left, and the oldest old file if there are
/// more than `files`; what no processor has seen does not count.
fn remove_oldest(voice: Voice<'_>, files: usize) {
    let mut old = match old_files() {
        Ok(old) => old,
        Err((opening, error)) => {
            let what = if opening {
                What::OpenToRotate
            } else {
                What::ReadDirectory
            };
            return voice.warn(what, error);
        }
    };
    for left in old.iter().filter(|name| ends(name) == b't') {
        if let Err(error) = unlink(left.as_c_str()) {
            voice.warn(What::UnlinkLeftover(left), error);
        }
    }
    old.retain(|name| !matches!(ends(name), b't' | b'u'));
    old.sort();
    if let Some(oldest) = old.first().filter(|_| files > 0 && old.len() > files) {
        voice.info(What::Delete(oldest));
        if let Err(error) = unlink(oldest.as_c_str()) {
            voice.warn(What::UnlinkOldest(oldest), error);
        }
    }
}
