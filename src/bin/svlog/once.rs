//! Prints the lines that are there.

use std::path::{Path, PathBuf};

use cli::Failure;
use reader::directory_reader::{DirectoryReader, Start};
use reader::merge::{LastLine, Merge, MergedLine, buffer_size};
use reader::tail::seek_last;
use reader::{Cursor, Printer, Source, cursor};

use super::arguments::Arguments;
use super::unwritten;
use super::warnings::{unusable_cursor, warn, warn_unreadable};

/// Prints the selected lines of all sources. Returns whether all files could be
/// read.
pub(crate) fn print(
    sources: &[Source],
    arguments: &Arguments<'_>,
    printer: &mut Printer,
) -> Result<bool, Failure> {
    let mut cursor = None;
    let mut keys = Vec::new();
    if let Some(file) = &arguments.cursor {
        keys.extend(sources.iter().map(|source| cursor::key(&source.path)));
        cursor = Some(load(file, &keys)?);
    }
    let (opened, mut is_complete) = open(sources, &keys, arguments, cursor.as_ref());
    let (opened, mut readers): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
    let mut report = |number: usize, error: &std::io::Error| {
        if let Some(source) = opened.get(number) {
            warn_unreadable(&source.path, unix::errno(error));
        }
        is_complete = false;
    };
    let failed = match arguments.last {
        Some(last) => seek_last(&mut readers, last, LastLine::IsLine),
        None => Vec::new(),
    };
    let mut merge = Merge::new(readers, LastLine::IsLine);
    for (number, error) in failed {
        report(number, &error);
        merge.remove(number);
    }
    loop {
        match merge.next_line() {
            Ok(MergedLine::Line { reader, line, .. }) => {
                if let Some(source) = opened.get(reader) {
                    printer.print(&source.service, &line).map_err(unwritten)?;
                }
                if cursor.is_some() && printer.is_flushed() {
                    save(&opened, &merge, cursor.as_mut(), arguments, printer)?;
                }
            }
            Ok(MergedLine::AtEnd) => break,
            Err(failed) => report(failed.reader, &failed.error),
        }
    }
    printer.flush().map_err(unwritten)?;
    for (number, source) in opened.iter().enumerate() {
        let Some(reader) = merge.reader_mut(number) else {
            continue;
        };
        for warning in reader.take_warnings() {
            is_complete &= !warn(&source.service, &warning);
        }
    }
    save(&opened, &merge, cursor.as_mut(), arguments, printer)?;
    Ok(is_complete)
}

/// Saves the places after the lines so far, which are written.
fn save(
    opened: &[Source],
    merge: &Merge,
    cursor: Option<&mut Cursor>,
    arguments: &Arguments<'_>,
    printer: &Printer,
) -> Result<(), Failure> {
    let (Some(cursor), Some(file)) = (cursor, &arguments.cursor) else {
        return Ok(());
    };
    for (number, source) in opened.iter().enumerate() {
        let reader = merge.reader(number);
        if let Some(position) = reader.and_then(DirectoryReader::position) {
            cursor.set(&cursor::key(&source.path), position);
        }
    }
    save_cursor(cursor, file, printer)
}

/// Saves the places of a cursor, after the lines before them are safe.
pub(crate) fn save_cursor(
    cursor: &mut Cursor,
    file: &Path,
    printer: &Printer,
) -> Result<(), Failure> {
    if cursor.is_changed() {
        printer.sync().map_err(unwritten)?;
    }
    let saved = cursor.save();
    saved.map_err(|error| unusable_cursor(file, &error))
}

/// Opens the log directories at their starts: the place in the cursor, or the
/// first time of the range. `keys` are those of the sources, with a cursor. Returns
/// whether all could be opened.
pub(crate) fn open(
    sources: &[Source],
    keys: &[PathBuf],
    arguments: &Arguments<'_>,
    cursor: Option<&Cursor>,
) -> (Vec<(Source, DirectoryReader)>, bool) {
    let mut is_complete = true;
    let mut opened = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let position = cursor.and_then(|cursor| cursor.position(keys.get(number)?));
        let start = match (position, arguments.selection.range.since) {
            (Some(position), _) => Start::At(position),
            (None, Some(since)) => Start::Since(since),
            (None, None) => Start::Oldest,
        };
        match DirectoryReader::with_buffer(source, start, buffer_size(sources.len())) {
            Ok(mut reader) => {
                reader.set_selection(&arguments.selection);
                opened.push((source.clone(), reader));
            }
            Err(error) => {
                warn_unreadable(&source.path, unix::errno(&error));
                is_complete = false;
            }
        }
    }
    (opened, is_complete)
}

/// Reads the cursor file, and writes it, which detects an unusable file before
/// the first line is printed.
pub(crate) fn load(file: &Path, keys: &[PathBuf]) -> Result<Cursor, Failure> {
    let loaded = Cursor::load(file).and_then(|mut cursor| {
        cursor.check_directories(keys)?;
        cursor.save()?;
        Ok(cursor)
    });
    loaded.map_err(|error| unusable_cursor(file, &error))
}
