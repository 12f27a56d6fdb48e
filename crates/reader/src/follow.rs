//! Further lines of log directories, as soon as they are written.
//!
//! The order of the calls leaves no gap: a log directory is first watched, then
//! listed and read. A wakeup names the log directories that have changed; only
//! their readers read. While nothing is written, the process sleeps in poll(2).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use daemontools::supervise_dir::SuperviseDirRule;
use daemontools_core::label::Label;
use nix::errno::Errno;
use unix::file::{creation_time, status};

use crate::cursor::{self, Cursor};
use crate::directory_reader::{DirectoryReader, Start};
use crate::line::LineRef;
use crate::merge::{LastLine, Merge, MergedLine, buffer_size};
use crate::position::{FileId, Position};
use crate::selection::Selection;
use crate::source::Source;
use crate::sources::Sources;
use crate::tail::seek_last;
use crate::warning::ReadWarning;
use crate::watch::{LogId, LogWatcher};

/// After a change in a place, the pauses before further searches: a logger opens
/// a log directory elsewhere without an event in a place.
const SEARCH_AGAIN: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
];

/// The number of lines between two looks for changes of other log directories,
/// while one has many lines.
const LINES_BETWEEN_LOOKS: u32 = 1000;

/// The log directories of the operands, also later ones.
#[derive(Debug)]
pub struct Follow {
    rule: SuperviseDirRule,
    operands: Vec<&'static CStr>,
    selection: Selection,
    cursor: Option<Cursor>,
    watcher: LogWatcher,
    merge: Merge,
    /// By the number of the reader. None: no longer followed.
    logs: Vec<Option<FollowedLog>>,
    /// The places in removed log directories, which may come back.
    released: HashMap<PathBuf, (DirectoryId, Position)>,
    /// The log directories that the caller does not know.
    new: VecDeque<LogId>,
    /// The times of further searches, from the next one on.
    searches: VecDeque<Instant>,
    /// The lines until the next look for changes.
    lines_left: u32,
    /// The log directories whose places in the cursor are outdated.
    advanced: BTreeSet<LogId>,
    /// Whether a log directory may have been removed.
    may_release: bool,
}

/// A log directory that is followed.
#[derive(Debug)]
struct FollowedLog {
    source: Source,
    /// The path in a cursor.
    key: PathBuf,
    /// The inode of the directory; None: the path has no directory.
    directory: Option<DirectoryId>,
}

impl FollowedLog {
    fn new(source: Source) -> Self {
        FollowedLog {
            key: cursor::key(&source.path),
            directory: directory_id(&source.path),
            source,
        }
    }
}

/// The identity of a directory. A new directory may get the inode of a removed one,
/// but has another creation time, if the file system records it.
type DirectoryId = (FileId, Option<SystemTime>);

fn directory_id(path: &Path) -> Option<DirectoryId> {
    let status = status(path).ok().filter(std::fs::Metadata::is_dir)?;
    let id = FileId {
        device: status.dev(),
        inode: status.ino(),
    };
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    Some((id, creation_time(&path)))
}

/// The next event of the log directories.
#[derive(Debug)]
pub enum Followed<'a> {
    /// A line, or a piece of one, which the next piece follows.
    Line {
        /// The log directory.
        source: &'a Source,
        /// The line.
        line: LineRef<'a>,
        /// The time of the line, or of the last stamp before. None: there is none.
        time: Option<Label>,
    },
    /// A log directory that has come later. Its lines follow.
    New(&'a Source),
    /// A log directory cannot be read. Others are followed, and this one is read
    /// again after its next change.
    Unreadable(&'a Source, Errno),
    /// No further line exists. The caller writes its output and calls
    /// [`Follow::wait`].
    AtEnd,
}

impl Follow {
    /// Watches the places where log directories of the operands appear. The
    /// caller finds the log directories afterwards. Operands that cannot be
    /// searched are watched as far as possible.
    pub fn new(rule: SuperviseDirRule, operands: &[&'static CStr], selection: Selection) -> Self {
        let mut follow = Follow {
            rule,
            operands: operands.to_vec(),
            selection,
            cursor: None,
            watcher: LogWatcher::default(),
            merge: Merge::new(Vec::new(), LastLine::Awaited),
            logs: Vec::new(),
            released: HashMap::new(),
            new: VecDeque::new(),
            searches: VecDeque::new(),
            lines_left: 0,
            advanced: BTreeSet::new(),
            may_release: false,
        };
        follow.find();
        follow
    }

    /// Follows log directories from the starts of their readers on, which have not
    /// read yet, or from the `last` lines of all of them on. The places of the
    /// cursor are those of the readers.
    ///
    /// Returns the log directories that could not be read, as
    /// [`Followed::Unreadable`].
    pub fn start(
        &mut self,
        opened: Vec<(Source, DirectoryReader)>,
        last: Option<u64>,
        cursor: Option<Cursor>,
    ) -> Vec<(&Source, Errno)> {
        self.cursor = cursor;
        let (sources, mut readers): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        for (id, source) in sources.into_iter().enumerate() {
            self.watcher.watch_log(id, &source.path);
            self.logs.push(Some(FollowedLog::new(source)));
        }
        // The search for the last lines may suspend the readers, and a feed begins
        // with an open file.
        for (id, reader) in readers.iter_mut().enumerate() {
            reader.attach(self.watcher.feed(id));
        }
        let errors = last.map(|last| seek_last(&mut readers, last, LastLine::Awaited));
        self.merge = Merge::new(readers, LastLine::Awaited);
        let errors = errors.unwrap_or_default().into_iter();
        let of_log = |(id, error)| {
            let log: Option<&FollowedLog> = self.logs.get::<usize>(id)?.as_ref();
            Some((&log?.source, unix::errno(&error)))
        };
        errors.filter_map(of_log).collect()
    }

    /// The next event. A line without a newline is returned once it is complete.
    pub fn next_event(&mut self) -> Followed<'_> {
        if let Some(left) = self.lines_left.checked_sub(1) {
            self.lines_left = left;
        } else {
            self.lines_left = LINES_BETWEEN_LOOKS;
            self.take_changes();
        }
        if let Some(log) = self.new.pop_front().and_then(|id| self.logs.get(id)) {
            // A log directory may be removed before its first line.
            return log
                .as_ref()
                .map_or(Followed::AtEnd, |log| Followed::New(&log.source));
        }
        let log = |id: LogId| self.logs.get(id).and_then(Option::as_ref);
        match self.merge.next_line() {
            Ok(MergedLine::Line { reader, line, time }) => match log(reader) {
                Some(FollowedLog { source, .. }) => {
                    if self.cursor.is_some() {
                        self.advanced.insert(reader);
                    }
                    Followed::Line { source, line, time }
                }
                None => Followed::AtEnd,
            },
            Ok(MergedLine::AtEnd) => Followed::AtEnd,
            Err(failed) => match log(failed.reader) {
                Some(log) => Followed::Unreadable(&log.source, unix::errno(&failed.error)),
                None => Followed::AtEnd,
            },
        }
    }

    /// The warnings since the last call.
    pub fn take_warnings(&mut self) -> Vec<(&[u8], ReadWarning)> {
        let mut warnings = Vec::new();
        for (id, log) in self.logs.iter().enumerate() {
            if let (Some(log), Some(reader)) = (log, self.merge.reader_mut(id)) {
                let of_log = reader.take_warnings().into_iter();
                warnings.extend(of_log.map(|warning| (&log.source.service[..], warning)));
            }
        }
        warnings
    }

    /// The cursor, if there is one, with the places after the last lines of
    /// [`Follow::next_event`]. The caller first writes these lines, then saves the
    /// cursor.
    pub fn cursor(&mut self) -> Option<&mut Cursor> {
        let cursor = self.cursor.as_mut()?;
        for id in std::mem::take(&mut self.advanced) {
            let position = self.merge.reader(id).and_then(DirectoryReader::position);
            if let (Some(Some(log)), Some(position)) = (self.logs.get(id), position) {
                cursor.set(&log.key, position);
            }
        }
        Some(cursor)
    }

    /// Blocks until a log directory changes, or until the reader of `output` has
    /// closed it. Returns whether `output` still has a reader.
    pub fn wait(&mut self, output: BorrowedFd<'_>) -> bool {
        if std::mem::take(&mut self.may_release) {
            self.release_removed();
        }
        self.lines_left = 0;
        self.watcher.wait(output, self.searches.front().copied())
    }

    fn add(&mut self, log: FollowedLog, mut reader: DirectoryReader) {
        reader.set_selection(&self.selection);
        let id = self.logs.len();
        self.watcher.watch_log(id, &log.source.path);
        reader.attach(self.watcher.feed(id));
        self.merge.add(reader);
        self.logs.push(Some(log));
    }

    /// Wakes the readers of the changed log directories, and searches for others.
    fn take_changes(&mut self) {
        let changes = self.watcher.take();
        if changes.any_log {
            self.merge.wake_all();
        } else {
            for id in &changes.logs {
                self.merge.wake(*id);
            }
        }
        let now = Instant::now();
        if changes.places {
            self.may_release = true;
            self.searches = SEARCH_AGAIN.iter().map(|pause| now + *pause).collect();
            self.search();
        }
        if self.searches.front().is_some_and(|search| *search <= now) {
            self.searches.pop_front();
            self.search();
        }
    }

    /// Watches the places, and finds the log directories.
    fn find(&mut self) -> Vec<Source> {
        let mut found = Vec::new();
        for operand in &self.operands {
            if let Ok(sources) = Sources::find(self.rule, operand) {
                for place in &sources.places {
                    self.watcher.watch_place(place);
                }
                found.extend(sources.found);
            }
        }
        found
    }

    /// Follows the log directories that have appeared.
    fn search(&mut self) {
        // The second search finds the log directories that appeared before the watch
        // of a new place.
        let _ = self.find();
        let found = self.find();
        for (id, log) in self.logs.iter_mut().enumerate() {
            let Some(log) = log else { continue };
            let directory = directory_id(&log.source.path);
            if directory.is_some() && directory != log.directory {
                // The reader continues in the new directory.
                log.directory = directory;
                self.watcher.watch_log(id, &log.source.path);
                self.merge.wake(id);
            }
        }
        for source in found {
            let log = FollowedLog::new(source);
            let mut known = self.logs.iter().flatten();
            if known.any(|known| known.key == log.key || known.source.path == log.source.path) {
                continue;
            }
            let kept = self
                .cursor
                .as_ref()
                .and_then(|cursor| cursor.position(&log.key));
            let released = self.released.remove(&log.key);
            let released = released.filter(|(directory, _)| Some(*directory) == log.directory);
            let start = match (
                released.map(|(_, position)| position).or(kept),
                self.selection.range.since,
            ) {
                (Some(position), _) => Start::At(position),
                (None, Some(since)) => Start::Since(since),
                (None, None) => Start::Oldest,
            };
            let buffer = buffer_size(self.logs.len());
            // A directory that cannot be opened is found again by a later search.
            if let Ok(reader) = DirectoryReader::with_buffer(&log.source, start, buffer) {
                self.new.push_back(self.logs.len());
                self.add(log, reader);
            }
        }
    }

    /// Ends the following of removed log directories, whose readers are at their
    /// ends.
    fn release_removed(&mut self) {
        for (id, log) in self.logs.iter_mut().enumerate() {
            let is_removed = |log: &mut FollowedLog| directory_id(&log.source.path).is_none();
            let Some(log) = log.take_if(is_removed) else {
                continue;
            };
            self.watcher.forget_log(id);
            let reader = self.merge.remove(id);
            let position = reader.and_then(|reader| reader.position());
            if let (Some(directory), Some(position)) = (log.directory, position) {
                self.released.insert(log.key, (directory, position));
            }
        }
    }
}
