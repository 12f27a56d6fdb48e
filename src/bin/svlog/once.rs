//! Prints the lines that are there.

use std::collections::VecDeque;

use cli::{Failure, text};
use reader::directory_reader::{DirectoryReader, Start};
use reader::merge::{LastLine, Merge, MergedLine, buffer_size};
use reader::{LineRef, Printer, Source, Stamp};

use super::arguments::Arguments;
use super::places::Places;
use super::warnings::warn;
use super::{SVLOG, unwritten};

/// Prints the selected lines of all sources. Returns whether all files could be
/// read.
pub(crate) fn print(
    sources: &[Source],
    arguments: &Arguments<'_>,
    printer: &mut Printer,
) -> Result<bool, Failure> {
    let mut places = Places::load(arguments.cursor.as_deref(), sources)?;
    let mut is_complete = true;
    let mut readers = Vec::new();
    let mut opened = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let start = match (places.get(number), arguments.selection.range.since) {
            (Some(position), _) => Start::At(position),
            (None, Some(since)) => Start::Since(since),
            (None, None) => Start::Oldest,
        };
        match DirectoryReader::with_buffer(source, start, buffer_size(sources.len())) {
            Ok(mut reader) => {
                reader.set_selection(&arguments.selection);
                readers.push(reader);
                opened.push((number, source));
            }
            Err(error) => {
                SVLOG.warn(unreadable(source), unix::errno(&error));
                is_complete = false;
            }
        }
    }
    let mut merge = Merge::new(readers, LastLine::IsLine);
    let mut kept = arguments.last.map(LastLines::new);
    loop {
        let (reader, line) = match merge.next_line() {
            Ok(MergedLine::Line { reader, line, .. }) => (reader, line),
            Ok(MergedLine::AtEnd) => break,
            Err(failed) => {
                if let Some((_, source)) = opened.get(failed.reader) {
                    SVLOG.warn(unreadable(source), unix::errno(&failed.error));
                }
                is_complete = false;
                continue;
            }
        };
        let Some((_, source)) = opened.get(reader) else {
            continue;
        };
        match &mut kept {
            Some(kept) => kept.push(&source.service, &line),
            None => printer.print(&source.service, &line).map_err(unwritten)?,
        }
    }
    for (service, piece) in kept.iter().flat_map(|kept| &kept.pieces) {
        printer.print(service, &piece.line()).map_err(unwritten)?;
    }
    printer.flush().map_err(unwritten)?;
    for (reader, (number, source)) in opened.iter().enumerate() {
        let Some(reader) = merge.reader_mut(reader) else {
            continue;
        };
        for warning in reader.take_warnings() {
            is_complete &= !warn(&source.service, &warning);
        }
        if let Some(position) = reader.position() {
            places.set(*number, position);
        }
    }
    places.save()?;
    Ok(is_complete)
}

fn unreadable(source: &Source) -> Vec<u8> {
    text!["unable to read ", *source.path.as_os_str()]
}

/// A line, or a piece of one.
struct Piece {
    text: Vec<u8>,
    stamp: Option<Stamp>,
    is_start: bool,
    is_end: bool,
}

impl Piece {
    fn line(&self) -> LineRef<'_> {
        LineRef {
            text: &self.text,
            stamp: self.stamp,
            is_start: self.is_start,
            is_end: self.is_end,
        }
    }
}

/// The last lines.
struct LastLines<'a> {
    count: u64,
    max: u64,
    pieces: VecDeque<(&'a [u8], Piece)>,
}

impl<'a> LastLines<'a> {
    fn new(max: u64) -> Self {
        LastLines {
            count: 0,
            max,
            pieces: VecDeque::new(),
        }
    }

    /// Adds a line or a piece, and removes the first line of too many.
    fn push(&mut self, service: &'a [u8], line: &LineRef<'_>) {
        self.count += u64::from(line.is_start);
        let piece = Piece {
            text: line.text.to_owned(),
            stamp: line.stamp,
            is_start: line.is_start,
            is_end: line.is_end,
        };
        self.pieces.push_back((service, piece));
        while self.count > self.max {
            self.pieces.pop_front();
            while self
                .pieces
                .front()
                .is_some_and(|(_, piece)| !piece.is_start)
            {
                self.pieces.pop_front();
            }
            self.count -= 1;
        }
    }
}
