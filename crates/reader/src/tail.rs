//! The last lines of several log directories together.
//!
//! Each log directory is read backwards, and only as far as its lines are later
//! than the lines of other directories. The files are read a second time,
//! forwards, by the readers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use daemontools_core::label::Label;

use crate::backward::{Backward, LineStart};
use crate::directory_reader::DirectoryReader;
use crate::line_filter::CLOCK_STEP;
use crate::log_files::LogFile;
use crate::merge::{LastLine, MAX_OPEN};
use crate::selection::Selection;
use crate::stamp::Stamp;
use crate::warning::ReadWarning;

/// The number of times that a directory is read again if its files change.
const ATTEMPTS: usize = 100;

/// The order of a line in the merge: its time, its reader, and the number of
/// lines of this reader after it.
type Rank = (Option<Label>, usize, Reverse<usize>);

/// The last lines of all readers so far.
struct LastLines {
    count: usize,
    /// The first line is on top.
    ranks: BinaryHeap<Reverse<Rank>>,
    /// The starts of these lines by reader, from the last one on.
    starts: Vec<Vec<LineStart>>,
}

/// The result for one reader.
struct Tail {
    files: Option<Vec<LogFile>>,
    end: Option<LineStart>,
    /// The files that are later than the first line, and could not be read.
    warnings: Vec<ReadWarning>,
}

/// Moves each reader forward, so that together they return only the last `count`
/// of their selected lines, and further lines that are written meanwhile. With
/// [`LastLine::Awaited`], an unfinished last line does not count, and readers
/// without such lines continue at the end of their directories.
///
/// Returns the errors by reader: as open(2) and read(2). Such a reader stays at its
/// start.
pub fn seek_last(
    readers: &mut [DirectoryReader],
    count: u64,
    last_line: LastLine,
) -> Vec<(usize, io::Error)> {
    let mut lines = LastLines {
        count: usize::try_from(count).unwrap_or(usize::MAX),
        ranks: BinaryHeap::new(),
        starts: vec![Vec::new(); readers.len()],
    };
    let mut errors = Vec::new();
    let mut tails = Vec::new();
    for (number, reader) in readers.iter().enumerate() {
        let tail = lines.add_with_retries(number, reader, last_line);
        tails.push(tail.map_err(|error| errors.push((number, error))).ok());
    }
    let is_many = readers.len() > MAX_OPEN;
    for (number, (reader, tail)) in readers.iter_mut().zip(tails).enumerate() {
        let Some(mut tail) = tail else {
            continue;
        };
        for _ in 0..ATTEMPTS {
            let starts = lines.starts.get(number).map_or(&[][..], Vec::as_slice);
            match start(reader, &tail, starts.last(), last_line) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // A rotation: find the same number of lines again.
                    let mut again = LastLines {
                        count: starts.len(),
                        ranks: BinaryHeap::new(),
                        starts: vec![Vec::new()],
                    };
                    match again.add_with_retries(0, reader, last_line) {
                        Ok(found) => tail = found,
                        Err(error) => {
                            errors.push((number, error));
                            break;
                        }
                    }
                    if let (Some(starts), Some(again)) =
                        (lines.starts.get_mut(number), again.starts.pop())
                    {
                        *starts = again;
                    }
                }
                Err(error) => {
                    errors.push((number, error));
                    break;
                }
                Ok(()) => break,
            }
        }
        reader.warn(tail.warnings);
        if is_many {
            reader.suspend();
        }
    }
    errors
}

/// Moves a reader to its first line, or to the end.
fn start(
    reader: &mut DirectoryReader,
    tail: &Tail,
    first: Option<&LineStart>,
    last_line: LastLine,
) -> io::Result<()> {
    if first.is_none() && last_line == LastLine::IsLine {
        reader.end();
        return Ok(());
    }
    let files = tail.files.as_deref();
    match (first.or(tail.end.as_ref()), files) {
        (Some(line), Some(files)) => match line.find_file(files) {
            Some(file) => reader.start_at(Some(files), file, line),
            None => Err(io::ErrorKind::NotFound.into()),
        },
        (Some(line), None) => reader.start_at(None, &LogFile::current(), line),
        (None, files) => {
            let files = files.unwrap_or_default();
            reader.start_before(files, files.len());
            Ok(())
        }
    }
}

impl LastLines {
    fn add_with_retries(
        &mut self,
        number: usize,
        reader: &DirectoryReader,
        last_line: LastLine,
    ) -> io::Result<Tail> {
        for _ in 1..ATTEMPTS {
            match self.add(number, reader, last_line) {
                // A rotation.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => return result,
            }
        }
        self.add(number, reader, last_line)
    }

    /// Adds the last lines of a reader. After an error, nothing was added.
    fn add(
        &mut self,
        number: usize,
        reader: &DirectoryReader,
        last_line: LastLine,
    ) -> io::Result<Tail> {
        let selection = reader.selection();
        let mut backward = Backward::new(reader.path(), |stamp: Option<Stamp>, text: &[u8]| {
            is_match(selection, stamp, text)
        })?;
        let end = backward.end(last_line == LastLine::IsLine)?;
        // The lines with their times in the merge, and the lines after the stamp
        // that is not reached yet.
        let (mut found, mut pending) = (Vec::new(), Vec::new());
        while found.len() < self.count {
            let Some(line) = backward.next_line()? else {
                found.extend(pending.drain(..).map(|line| (None, line)));
                break;
            };
            let is_enough = found.len() + pending.len() >= self.count;
            pending.extend(Some(line).filter(|line| line.is_match && !is_enough));
            let Some(stamp) = line.stamp else {
                // The lines of a log without stamps have the time of a file.
                if is_enough && !backward.has_stamps()? {
                    let time = backward.previous_label()?;
                    found.extend(pending.drain(..).map(|line| (time, line)));
                }
                continue;
            };
            let time = Some(stamp.time);
            let range = selection.range;
            let is_early = |since: Label| stamp.time < since.before(CLOCK_STEP);
            if range.since.is_some_and(is_early) || self.is_early(time, number, found.len()) {
                break;
            }
            if range.contains(stamp.time) {
                let lines = pending.drain(..);
                found.extend(lines.map(|line| (time, LineStart { time, ..line })));
            }
            pending.clear();
        }
        for (sequence, (time, line)) in found.into_iter().enumerate() {
            if self.is_early(time, number, sequence) {
                break;
            }
            self.push((time, number, Reverse(sequence)), line);
        }
        let (files, warnings) = backward.into_files();
        Ok(Tail {
            files,
            end,
            warnings,
        })
    }

    /// Whether a line is before all lines that are needed.
    fn is_early(&self, time: Option<Label>, number: usize, sequence: usize) -> bool {
        let rank = (time, number, Reverse(sequence));
        let first = self.ranks.peek();
        self.ranks.len() >= self.count && first.is_none_or(|Reverse(first)| rank <= *first)
    }

    fn push(&mut self, rank: Rank, line: LineStart) {
        let (_, number, _) = rank;
        self.ranks.push(Reverse(rank));
        if let Some(starts) = self.starts.get_mut(number) {
            starts.push(line);
        }
        if self.ranks.len() > self.count {
            if let Some(Reverse((_, dropped, _))) = self.ranks.pop() {
                self.starts.get_mut(dropped).and_then(Vec::pop);
            }
        }
    }
}

fn is_match(selection: &Selection, stamp: Option<Stamp>, text: &[u8]) -> bool {
    let pattern = selection.pattern.as_ref();
    pattern.is_none_or(|pattern| pattern.selects(crate::line_filter::message(stamp, text)))
}
