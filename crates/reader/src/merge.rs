//! The lines of several log directories in one sequence.
//!
//! The order is that of the times. Lines of the same time are in the order of
//! their readers. Lines of one log directory never change their order: a line
//! without a stamp, or with an earlier one than the line before, follows the line
//! before. The result is that of a stable sort by the latest time so far.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use daemontools_core::label::Label;

use crate::directory_reader::DirectoryReader;
use crate::line::LineRef;

/// The number of readers that keep their descriptors. With more readers, each one
/// opens its file for one read at a time, so that the limit of 64 descriptors
/// suffices for thousands.
pub(crate) const MAX_OPEN: usize = 32;
/// The memory for the buffers of all readers, in bytes.
const BUFFERS: usize = 16 << 20;
/// The limits of the buffer of one reader, in bytes.
const MIN_BUFFER: usize = 8 << 10;
const MAX_BUFFER: usize = 256 << 10;

/// The size of the buffer for each of a number of readers, in bytes.
pub fn buffer_size(readers: usize) -> usize {
    (BUFFERS / readers.max(1)).clamp(MIN_BUFFER, MAX_BUFFER)
}

/// The end of a log directory's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLine {
    /// A last line without a newline is a line.
    IsLine,
    /// A last line without a newline is not returned before its end.
    Awaited,
}

/// Merges the lines of several readers.
#[derive(Debug)]
pub struct Merge {
    /// By number. A removed reader leaves its number unused.
    readers: Vec<Option<DirectoryReader>>,
    last_line: LastLine,
    /// The readers that may have a line and are in no other list, in reverse order.
    awake: Vec<usize>,
    /// The times of the readers with a loaded line.
    heads: BinaryHeap<Reverse<(Option<Label>, usize)>>,
    /// The reader of the last line.
    latest: Option<usize>,
}

/// The next line of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergedLine<'a> {
    /// A line, or a piece of one, which the next piece follows.
    Line {
        /// The number of the reader.
        reader: usize,
        /// The line.
        line: LineRef<'a>,
        /// The time of the line, or of the last stamp before. None: there is none.
        time: Option<Label>,
    },
    /// No reader has a line now. [`Merge::wake`] makes the merge look again.
    AtEnd,
}

/// The failure to read a log directory. Its reader is asleep until
/// [`Merge::wake`]; the others go on.
#[derive(Debug)]
pub struct MergeError {
    /// The number of the reader.
    pub reader: usize,
    /// The error of open(2) or read(2).
    pub error: io::Error,
}

impl Merge {
    /// Merges the lines of readers, which are numbered from 0.
    pub fn new(readers: Vec<DirectoryReader>, last_line: LastLine) -> Self {
        Merge {
            awake: (0..readers.len()).rev().collect(),
            readers: readers.into_iter().map(Some).collect(),
            last_line,
            heads: BinaryHeap::new(),
            latest: None,
        }
    }

    /// Adds a reader; its number.
    pub fn add(&mut self, reader: DirectoryReader) -> usize {
        let number = self.readers.len();
        self.readers.push(Some(reader));
        self.awake.insert(0, number);
        number
    }

    /// Removes a reader. A line that was read and not returned is lost.
    pub fn remove(&mut self, reader: usize) -> Option<DirectoryReader> {
        self.heads.retain(|Reverse((_, other))| *other != reader);
        self.awake.retain(|other| *other != reader);
        self.latest = self.latest.filter(|latest| *latest != reader);
        self.readers.get_mut(reader)?.take()
    }

    /// The reader with this number.
    pub fn reader(&self, reader: usize) -> Option<&DirectoryReader> {
        self.readers.get(reader)?.as_ref()
    }

    /// As [`Merge::reader`], for changes other than reading.
    pub fn reader_mut(&mut self, reader: usize) -> Option<&mut DirectoryReader> {
        self.readers.get_mut(reader)?.as_mut()
    }

    /// Looks for new lines of a reader that was at its end.
    pub fn wake(&mut self, reader: usize) {
        let is_head = self.heads.iter().any(|Reverse((_, head))| *head == reader);
        if !is_head && self.latest != Some(reader) && !self.awake.contains(&reader) {
            self.awake.push(reader);
        }
    }

    /// Looks for new lines of all readers.
    pub fn wake_all(&mut self) {
        let heads = self.heads.iter().map(|Reverse((_, reader))| *reader);
        let mut is_busy = vec![false; self.readers.len()];
        for reader in heads.chain(self.latest) {
            if let Some(is_busy) = is_busy.get_mut(reader) {
                *is_busy = true;
            }
        }
        let is_awake = |reader: &usize| is_busy.get(*reader) == Some(&false);
        self.awake = (0..self.readers.len()).rev().filter(is_awake).collect();
    }

    /// The next line. Errors: as [`DirectoryReader::next_line`].
    pub fn next_line(&mut self) -> Result<MergedLine<'_>, MergeError> {
        while let Some(reader) = self.awake.pop() {
            if let Some(time) = self.load(reader)? {
                self.heads.push(Reverse((time, reader)));
            }
        }
        if let Some(reader) = self.latest {
            // A long line is not interrupted, even if its end is not there yet.
            let is_inside = self
                .reader(reader)
                .is_some_and(DirectoryReader::is_inside_line);
            match self.load(reader) {
                Ok(Some(time)) => {
                    let next = self.heads.peek_mut().filter(|next| next.0 < (time, reader));
                    let Some(mut next) = next.filter(|_| !is_inside) else {
                        return Ok(self.take(reader));
                    };
                    // Faster than a push and a pop.
                    let Reverse((_, first)) =
                        std::mem::replace(&mut *next, Reverse((time, reader)));
                    drop(next);
                    self.latest = Some(first);
                    return Ok(self.take(first));
                }
                Ok(None) if is_inside => return Ok(MergedLine::AtEnd),
                Ok(None) => {}
                Err(error) => {
                    self.latest = None;
                    return Err(error);
                }
            }
        }
        self.latest = self.heads.pop().map(|Reverse((_, reader))| reader);
        Ok(match self.latest {
            Some(reader) => self.take(reader),
            None => MergedLine::AtEnd,
        })
    }

    /// Loads the next line of a reader; its time. None: there is no line.
    #[expect(
        clippy::option_option,
        reason = "the outer one is the absence of a line"
    )]
    fn load(&mut self, number: usize) -> Result<Option<Option<Label>>, MergeError> {
        let is_many = self.readers.len() > MAX_OPEN;
        let Some(reader) = self.readers.get_mut(number).and_then(Option::as_mut) else {
            return Ok(None);
        };
        let loaded = reader.load();
        let has_line = matches!(loaded, Ok(true))
            || matches!(loaded, Ok(false))
                && self.last_line == LastLine::IsLine
                && reader.load_rest();
        if is_many && !reader.is_suspended() {
            reader.suspend();
        }
        loaded.map_err(|error| MergeError {
            reader: number,
            error,
        })?;
        Ok(has_line.then(|| reader.merge_time()))
    }

    fn take(&mut self, number: usize) -> MergedLine<'_> {
        let Some(reader) = self.readers.get_mut(number).and_then(Option::as_mut) else {
            return MergedLine::AtEnd;
        };
        let time = reader.time();
        match reader.take() {
            Some(line) => MergedLine::Line {
                reader: number,
                line,
                time,
            },
            None => MergedLine::AtEnd,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;
    use crate::directory_reader::Start;
    use crate::pattern::Pattern;
    use crate::selection::Selection;
    use crate::source::Source;
    use crate::tail::seek_last;
    use crate::time_range::TimeRange;

    /// A log directory and its lines: the latest time so far, and the text.
    struct Log {
        directory: TempDir,
        lines: Vec<(Option<Label>, String)>,
    }

    impl Log {
        /// A log of random files. A step back of the clock is rare.
        fn random(random: &mut fastrand::Rng, number: usize) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let (mut lines, mut seconds, mut latest) = (Vec::new(), 0_i64, None);
            let mut last = 0;
            let files = random.u32(..5);
            for file in 0..=files {
                let mut text = String::new();
                for line in 0..random.usize(..30) {
                    seconds += i64::from(random.u8(..3));
                    if random.u8(..40) == 0 {
                        seconds -= 5;
                    }
                    let time = Label::from_unix(1_000_000_000 + seconds, 0);
                    let message = format!("{number} {}", random.u8(..9));
                    let line = if line > 0 && random.u8(..5) == 0 {
                        message
                    } else {
                        latest = latest.max(Some(time));
                        let stamp = time.text();
                        format!("{} {message}", String::from_utf8_lossy(&stamp))
                    };
                    text.extend([&line, "\n"]);
                    lines.push((latest, line));
                }
                // A label is later than those before.
                last = last.max(seconds);
                let label = Label::from_unix(1_000_000_000 + last, 900_000 + file);
                let label = String::from_utf8(label.text().to_vec()).unwrap();
                let name = if file < files {
                    format!("{label}.s")
                } else {
                    "current".to_owned()
                };
                let path = directory.path().join(name);
                fs::write(&path, text).unwrap();
                if file < files && random.u8(..8) == 0 {
                    compress(&path);
                }
            }
            Log { directory, lines }
        }

        fn reader(&self, start: Start, buffer: usize) -> DirectoryReader {
            let source = Source {
                service: Vec::new(),
                path: self.directory.path().to_owned(),
            };
            DirectoryReader::with_buffer(&source, start, buffer).unwrap()
        }
    }

    /// Compresses a file as a processor does, if gzip is installed.
    fn compress(path: &Path) {
        let compressed = path.with_extension("new");
        let output = fs::File::create(&compressed).unwrap();
        let input = fs::File::open(path).unwrap();
        let mut gzip = Command::new("gzip");
        if gzip.stdin(input).stdout(output).status().is_ok() {
            fs::rename(compressed, path).unwrap();
        } else {
            fs::remove_file(compressed).unwrap();
        }
    }

    fn read(merge: &mut Merge) -> Vec<String> {
        let mut lines = Vec::new();
        while let MergedLine::Line { line, .. } = merge.next_line().unwrap() {
            lines.push(String::from_utf8(line.text.to_vec()).unwrap());
        }
        lines
    }

    /// All lines, in order.
    fn sorted(logs: &[Log]) -> Vec<(Option<Label>, String)> {
        let mut lines: Vec<_> = logs.iter().flat_map(|log| log.lines.clone()).collect();
        lines.sort_by_key(|(time, _)| *time);
        lines
    }

    #[test]
    fn merge_is_a_stable_sort() {
        let mut random = fastrand::Rng::with_seed(16);
        for _ in 0..30 {
            let count = random.usize(1..50);
            let logs: Vec<_> = (0..count)
                .map(|number| Log::random(&mut random, number))
                .collect();
            let buffer = random.usize(..300);
            let readers = logs.iter().map(|log| log.reader(Start::Oldest, buffer));
            let mut merge = Merge::new(readers.collect(), LastLine::IsLine);
            let expected: Vec<_> = sorted(&logs).into_iter().map(|(_, line)| line).collect();
            assert_eq!(read(&mut merge), expected);
        }
    }

    #[test]
    fn last_lines_are_the_end_of_the_merge() {
        let mut random = fastrand::Rng::with_seed(18);
        for case in 0..40 {
            let count = random.usize(1..12);
            let mut logs: Vec<_> = (0..count)
                .map(|number| Log::random(&mut random, number))
                .collect();
            // Steps of the clock change the order of lines before the last ones.
            let has_steps = |log: &Log| {
                log.lines.iter().any(|(latest, line)| {
                    let stamp = crate::stamp::Stamp::parse(line.as_bytes());
                    stamp.is_some_and(|stamp| Some(stamp.time) != *latest)
                })
            };
            logs.retain(|log| !has_steps(log));
            let pattern = random.bool();
            let pattern = pattern.then(|| Pattern::new(b"[0-4]$", false).unwrap());
            let selection = Selection::new(TimeRange::default(), pattern.clone());
            let last = random.usize(..40);
            for last_line in [LastLine::IsLine, LastLine::Awaited] {
                let readers = logs.iter().map(|log| {
                    let mut reader = log.reader(Start::Oldest, 300);
                    reader.set_selection(&selection);
                    reader
                });
                let mut readers: Vec<_> = readers.collect();
                assert!(seek_last(&mut readers, last as u64, last_line).is_empty());
                let mut merge = Merge::new(readers, last_line);
                let mut expected: Vec<_> =
                    sorted(&logs).into_iter().map(|(_, line)| line).collect();
                expected
                    .retain(|line| pattern.is_none() || line.ends_with(['0', '1', '2', '3', '4']));
                let skipped = expected.len().saturating_sub(last);
                assert_eq!(read(&mut merge), expected[skipped..], "{case}");
            }
        }
    }

    #[test]
    fn range_and_pattern_select_lines_of_a_merge() {
        let mut random = fastrand::Rng::with_seed(17);
        for _ in 0..40 {
            let count = random.usize(1..8);
            let logs: Vec<_> = (0..count)
                .map(|number| Log::random(&mut random, number))
                .collect();
            let since = Label::from_unix(1_000_000_000 + random.i64(..200), 0);
            let until = Label::from_unix(1_000_000_000 + random.i64(..200), 0);
            let (pattern, inverts) = (random.bool(), random.bool());
            let range = TimeRange {
                since: Some(since),
                until: random.bool().then_some(until),
            };
            let selection = Selection::new(
                range,
                pattern.then(|| Pattern::new(b"[357]$", inverts).unwrap()),
            );
            let readers = logs.iter().map(|log| {
                let mut reader = log.reader(Start::Since(since), 300);
                reader.set_selection(&selection);
                reader
            });
            let mut merge = Merge::new(readers.collect(), LastLine::IsLine);
            // The time of a line in the range is its own, or that of the line before.
            let mut expected = Vec::new();
            for log in &logs {
                let mut own = None;
                for (time, line) in &log.lines {
                    own = crate::stamp::Stamp::parse(line.as_bytes())
                        .map(|stamp| stamp.time)
                        .or(own);
                    let is_match = line.ends_with(['3', '5', '7']) != inverts;
                    if own.is_some_and(|own| range.contains(own)) && (!pattern || is_match) {
                        expected.push((*time, line.clone()));
                    }
                }
            }
            // Lines before the start do not count for the order.
            let mut seen = read(&mut merge);
            let mut expected: Vec<_> = expected.into_iter().map(|(_, line)| line).collect();
            seen.sort();
            expected.sort();
            assert_eq!(seen, expected);
        }
    }
}
