//! The files of a log directory, one after another, while a logger rotates them.
//!
//! The order is that of the labels, except that a file whose label appears later
//! is a later file: the clock may have stepped back. Therefore, the sequence
//! remembers the labels that it has read, not the last one.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use daemontools_core::label::Label;
use nix::errno::Errno;
use unix::file::status;

use crate::held_file::HeldFile;
use crate::log_files::{self, FilePlace, LogFile};
use crate::passed_file::PassedFile;
use crate::position::{FileId, Position, check};
use crate::warning::ReadWarning;
use crate::watch::NameFeed;

pub(crate) use resume::Resumed;

mod resume;
mod watched;

/// The number of old files that one listing schedules. Bounds the memory for
/// directories with thousands of files.
const QUEUE: usize = 64;

/// The files of a log directory, and the one that is being read.
#[derive(Debug)]
pub(crate) struct FileSequence {
    path: PathBuf,
    pub(crate) held: Option<HeldFile>,
    /// The labels of the existing old files that were read or precede the start.
    done: BTreeSet<Label>,
    /// The known labels of the old files that were not read.
    unread: BTreeSet<Label>,
    /// The unread labels from the watch, in its order: the clock may step back.
    arrived: Vec<Label>,
    /// Files to read next.
    queue: VecDeque<LogFile>,
    /// The time before the listing of these files.
    listed: SystemTime,
    /// Files that were read before they had a label, from the oldest on.
    passed: Vec<PassedFile>,
    /// Whether the held file is `current`, and all old files of the first listing
    /// are earlier.
    is_unlisted: bool,
    /// Files that were opened with another inode than listed. overlayfs may list
    /// the inodes of its layers.
    mismatches: u32,
    gone: u64,
    /// A file other than an old one that could not be opened.
    unreadable: Option<LogFile>,
    warnings: Vec<ReadWarning>,
    /// The names that a watch reports; None: there is no watch.
    feed: Option<NameFeed>,
    /// Whether the watch will report the label of the held file.
    is_held_watched: bool,
    /// The last labels that the watch has reported: svlogd gives one label to two
    /// names.
    reported: VecDeque<Label>,
}

/// The number of listings until no name appears meanwhile.
const LISTINGS: usize = 5;

/// The number of mismatches that a logger cannot cause by renames alone, unless it
/// renames in each moment between two system calls.
const MAX_MISMATCHES: u32 = 8;

/// The state at the end of the held file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndOfFile {
    /// The file has got a new name, and perhaps more bytes: read again.
    ReadAgain,
    /// The file was cut; its next byte is the first.
    Truncated,
    /// The held file is the next one.
    NextFile,
    /// Nothing more is there now.
    Nothing,
}

impl FileSequence {
    /// The files of a directory from the oldest on.
    pub(crate) fn new(path: &Path) -> Self {
        FileSequence {
            path: path.to_owned(),
            held: None,
            done: BTreeSet::new(),
            unread: BTreeSet::new(),
            arrived: Vec::new(),
            queue: VecDeque::new(),
            listed: SystemTime::UNIX_EPOCH,
            passed: Vec::new(),
            is_unlisted: false,
            mismatches: 0,
            gone: 0,
            unreadable: None,
            warnings: Vec::new(),
            feed: None,
            is_held_watched: false,
            reported: VecDeque::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The label of the old file before the held one.
    pub(crate) fn previous_label(&self) -> Option<Label> {
        match self.held.as_ref()?.place {
            FilePlace::Old(label) => self.done.range(..label).next_back(),
            FilePlace::Previous | FilePlace::Current => self.done.last(),
        }
        .copied()
    }

    /// The warnings since the last call.
    pub(crate) fn take_warnings(&mut self) -> Vec<ReadWarning> {
        let mut warnings = std::mem::take(&mut self.warnings);
        if self.gone > 0 {
            warnings.push(ReadWarning::Gone(std::mem::take(&mut self.gone)));
        }
        warnings
    }

    /// Adds a warning. A file that was read twice, for the last lines, has one.
    pub(crate) fn warn(&mut self, warning: ReadWarning) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Starts before the file at `index` of `files`, the directory's listing.
    /// `last` is the time of the start. A file without a label is passed.
    pub(crate) fn start_before(&mut self, files: &[LogFile], index: usize, last: Option<Label>) {
        let earlier = files.iter().take(index);
        self.done = earlier
            .clone()
            .filter_map(|file| file.place.label())
            .collect();
        let passed = earlier.filter(|file| file.place == FilePlace::Previous);
        let passed = passed.map(|file| PassedFile::whole(&self.path, file, last));
        self.passed = passed.flat_map(Result::into_iter).collect();
    }

    /// Called at the end of the held file. `last` is the time of its last line.
    /// Errors: as open(2) of the directory.
    pub(crate) fn at_end(&mut self, last: Option<Label>) -> io::Result<EndOfFile> {
        if let Some(held) = self.held.as_mut().filter(|held| !held.is_finished) {
            let current = status(&self.path.join(&held.name)).ok();
            if current.is_some_and(|current| held.is_same(&current)) {
                return Ok(if held.is_truncated() {
                    held.offset = 0;
                    EndOfFile::Truncated
                } else {
                    EndOfFile::Nothing
                });
            }
            held.is_finished = true;
            return Ok(EndOfFile::ReadAgain);
        }
        if self.held.as_ref().is_some_and(HeldFile::is_damaged) {
            if let Some(held) = self.held.take() {
                self.warn(ReadWarning::Damaged { file: held.name });
            }
        }
        Ok(if self.advance(last)? {
            EndOfFile::NextFile
        } else {
            EndOfFile::Nothing
        })
    }

    /// Holds the next file. Returns whether there is one.
    fn advance(&mut self, last: Option<Label>) -> io::Result<bool> {
        loop {
            if self.queue.is_empty() {
                self.refresh(last)?;
            }
            let Some(file) = self.queue.pop_front() else {
                return Ok(false);
            };
            match HeldFile::open(&self.path, &file) {
                Ok(next)
                    if next.id.inode == file.inode && self.is_still_listed(&file, &next)? =>
                {
                    if self.mismatches < MAX_MISMATCHES {
                        self.mismatches = 0;
                    }
                    self.pass(last);
                    self.done.extend(file.place.label());
                    if let Some(label) = file.place.label() {
                        self.unread.remove(&label);
                    }
                    self.held = Some(next);
                    self.is_held_watched = self.feed.is_some();
                    return Ok(true);
                }
                // The file was renamed since the listing.
                Ok(_) => {
                    self.mismatches += 1;
                    self.queue.clear();
                }
                Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => {
                    self.queue.clear();
                }
                Err(error) => {
                    let is_waiting = !self.skip_unreadable(file, &error);
                    if is_waiting {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Whether an opened file is the listed one. A file without a label may have
    /// been processed and removed since the listing, and a later one has its name
    /// and its inode; then a new label exists.
    fn is_still_listed(&self, file: &LogFile, opened: &HeldFile) -> io::Result<bool> {
        if file.place.label().is_some() || opened.is_unchanged_since(self.listed) {
            return Ok(true);
        }
        let files = self.list_once()?;
        let mut labels = files.iter().filter_map(|file| file.place.label());
        Ok(labels.all(|label| self.done.contains(&label) || self.unread.contains(&label)))
    }

    /// Warns of a file that cannot be opened. Returns whether a later file may be
    /// read.
    fn skip_unreadable(&mut self, file: LogFile, error: &io::Error) -> bool {
        if self.unreadable.as_ref() == Some(&file) {
            return false;
        }
        self.warn(ReadWarning::of_error(file.name.clone(), error));
        let Some(label) = file.place.label() else {
            self.unreadable = Some(file);
            return false;
        };
        self.done.insert(label);
        self.unread.remove(&label);
        true
    }

    /// Remembers the held file if its label is unknown.
    fn pass(&mut self, last: Option<Label>) {
        let Some(mut held) = self.held.take() else {
            return;
        };
        if held.place.label().is_none() {
            let end = held.offset;
            self.passed.extend(held.seek(end).map(|before| PassedFile {
                id: held.id,
                end,
                check: check(&before),
                first: held.first,
                last,
                is_watched: self.is_held_watched,
            }));
        }
    }

    /// Lists the directory: finds the held file and the passed files under
    /// their new names, counts the removed files and schedules the next ones.
    fn refresh(&mut self, last: Option<Label>) -> io::Result<()> {
        self.listed = SystemTime::now();
        let files = self.list()?;
        let held = self.find_held(&files);
        if std::mem::take(&mut self.is_unlisted) {
            let index = held.unwrap_or_else(|| index_after(&files, last));
            self.start_before(&files, index, last);
        }
        if held.is_none() {
            self.pass(last);
        }
        let removed = self.find_passed(&files, held);
        self.count_gone(&files, removed);
        let is_next = |file: &&LogFile| match file.place {
            FilePlace::Old(label) => !self.done.contains(&label),
            FilePlace::Previous | FilePlace::Current => {
                let known = self.passed.iter().map(|passed| passed.id);
                let mut known = known.chain(self.held.as_ref().map(|held| held.id));
                !known.any(|id| id.inode == file.inode)
            }
        };
        let mut next: Vec<_> = files.iter().filter(is_next).collect();
        // A stable sort. Old files that the watch has not reported are earlier, or
        // appeared during the listing.
        let last_arrived = self.arrived.iter().max();
        next.sort_by_key(|file| match file.place {
            FilePlace::Old(label) => match self.arrived.iter().position(|other| *other == label) {
                Some(index) => index + 1,
                None if last_arrived.is_some_and(|last| label > *last) => usize::MAX - 1,
                None => 0,
            },
            FilePlace::Previous | FilePlace::Current => usize::MAX,
        });
        for file in next.into_iter().take(QUEUE) {
            // Only the first of the files may still be renamed.
            let is_old = file.place.label().is_some();
            if is_old || self.queue.is_empty() {
                self.queue.push_back(file.clone());
            }
            if !is_old {
                break;
            }
        }
        Ok(())
    }

    /// The files, after all labels that the watch has reported of them.
    fn list(&mut self) -> io::Result<Vec<LogFile>> {
        self.take_reported();
        let mut files = self.list_once()?;
        for _ in 1..LISTINGS {
            if !self.take_reported() {
                break;
            }
            files = self.list_once()?;
        }
        Ok(files)
    }

    /// A directory that was removed has no files.
    fn list_once(&self) -> io::Result<Vec<LogFile>> {
        let mut files = match log_files::list(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            files => files?,
        };
        if self.mismatches >= MAX_MISMATCHES {
            for file in &mut files {
                let status = status(&self.path.join(&file.name));
                file.inode = status.map_or(0, |status| status.ino());
            }
        }
        Ok(files)
    }

    /// The index of the held file, whose name and place are updated.
    fn find_held(&mut self, files: &[LogFile]) -> Option<usize> {
        let held = self.held.as_mut()?;
        let index = files.iter().position(|file| file.inode == held.id.inode)?;
        let file = files.get(index)?;
        held.name.clone_from(&file.name);
        held.place = file.place;
        self.done.extend(file.place.label());
        Some(index)
    }

    /// Marks the old files that were read before they had a label. Returns the
    /// number of removed ones.
    fn find_passed(&mut self, files: &[LogFile], held: Option<usize>) -> usize {
        let mut removed = 0;
        for passed in std::mem::take(&mut self.passed) {
            let by_inode = files.iter().find(|file| file.inode == passed.id.inode);
            let is_same = |file: &&LogFile| passed.is_same(&self.path, file);
            match by_inode.filter(is_same).map(|file| file.place) {
                Some(FilePlace::Old(label)) => drop(self.done.insert(label)),
                Some(FilePlace::Previous) => self.passed.push(passed),
                // Its label is not reported yet.
                Some(FilePlace::Current) | None if passed.is_watched => {
                    let processed = files.iter().find(|file| file.place == FilePlace::Previous);
                    let inode = processed.map_or(0, |file| file.inode);
                    let id = FileId { inode, ..passed.id };
                    self.passed
                        .extend(processed.map(|_| PassedFile { id, ..passed }));
                }
                Some(FilePlace::Current) | None => match self.find_copy(&passed, files, held) {
                    Some(Some(label)) => drop(self.done.insert(label)),
                    // A finished `processed` gets its label next.
                    Some(None) => {
                        let processed = files.iter().find(|file| file.place == FilePlace::Previous);
                        let inode = processed.map_or(0, |file| file.inode);
                        let id = FileId { inode, ..passed.id };
                        self.passed.push(PassedFile { id, ..passed });
                    }
                    None => removed += 1,
                },
            }
        }
        removed
    }

    /// The label of the processed copy of a file; `Some(None)` if the copy is
    /// `processed`.
    #[expect(
        clippy::option_option,
        reason = "the outer one is the absence of a copy"
    )]
    fn find_copy(
        &self,
        passed: &PassedFile,
        files: &[LogFile],
        held: Option<usize>,
    ) -> Option<Option<Label>> {
        let before_held = files.get(..held.unwrap_or(files.len())).unwrap_or_default();
        let is_candidate = |file: &&LogFile| match file.place {
            FilePlace::Old(label) => !self.done.contains(&label),
            FilePlace::Previous => file.name.as_encoded_bytes() == b"processed",
            FilePlace::Current => false,
        };
        let mut candidates = before_held.iter().filter(is_candidate);
        if held.is_some() && candidates.clone().count() == 1 {
            // The held file is the next one, so nothing else can be between.
            return candidates.next().map(|file| file.place.label());
        }
        let copy = candidates.find(|file| passed.is_copy(&self.path, file));
        copy.map(|file| file.place.label())
    }

    /// Counts the unread files that no longer exist. `read` of the missing labels
    /// may be those of files that were read.
    fn count_gone(&mut self, files: &[LogFile], read: usize) {
        let labels: BTreeSet<_> = files.iter().filter_map(|file| file.place.label()).collect();
        let is_missing = |label: &&Label| !labels.contains(label) && !self.done.contains(label);
        let missing = self.unread.iter().filter(is_missing).count();
        self.gone += crate::held_file::to_u64(missing.saturating_sub(read));
        self.done.retain(|label| labels.contains(label));
        self.unread = labels.difference(&self.done).copied().collect();
        self.arrived.retain(|label| self.unread.contains(label));
    }

    /// Holds a file of `files`, the directory's listing, from an offset on. With
    /// None, the directory was not listed: the file is `current`, and all others
    /// are earlier. Returns the bytes before the offset. Errors: as open(2) and
    /// read(2); ENOENT if the file has got another name.
    pub(crate) fn start_at(
        &mut self,
        files: Option<&[LogFile]>,
        file: &LogFile,
        id: FileId,
        offset: u64,
    ) -> io::Result<Vec<u8>> {
        let mut opened = HeldFile::open(&self.path, file)?;
        if opened.id != id {
            return Err(Errno::ENOENT.into());
        }
        let before = opened.seek(offset)?;
        match files {
            Some(files) => {
                let index = files.iter().position(|other| other.name == file.name);
                self.start_before(files, index.unwrap_or_default(), None);
            }
            None => self.is_unlisted = true,
        }
        self.done.extend(file.place.label());
        self.held = Some(opened);
        self.watch_held();
        self.queue.clear();
        Ok(before)
    }

    /// Holds the file of a position, suspended.
    pub(crate) fn hold_position(&mut self, position: &Position) {
        self.held = Some(HeldFile::suspended(position));
    }
}

/// The index of the first file that has lines after a time, by its label.
fn index_after(files: &[LogFile], time: Option<Label>) -> usize {
    let is_late = |file: &LogFile| match (file.place, time) {
        (FilePlace::Old(label), Some(time)) => label > time,
        (FilePlace::Old(_) | FilePlace::Previous | FilePlace::Current, _) => true,
    };
    files.iter().position(is_late).unwrap_or(files.len())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn later_file_with_the_same_name_and_inode_waits() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["previous", "current"] {
            fs::write(path(name), "second\n").unwrap();
            let mut files = FileSequence::new(directory.path());
            files.refresh(None).unwrap();
            // A processor copies the file, and a later one gets its inode.
            let old = path("@400000003b9aca0a000001f4.s");
            fs::copy(path(name), &old).unwrap();
            fs::write(path(name), "third\n").unwrap();
            for wanted in [&b"second\n"[..], b"third\n"] {
                assert!(files.advance(None).unwrap());
                let mut line = [0; 7];
                let length = files.held.as_mut().unwrap().read(&mut line).unwrap();
                assert_eq!(&line[..length], wanted);
            }
            fs::remove_file(old).unwrap();
            fs::remove_file(path(name)).unwrap();
        }
    }
}
