//! Prints the present and the future lines.

use std::time::{Duration, Instant};

use cli::{Exit, Failure};
use reader::follow::{Follow, Followed};
use reader::{Printer, Source, cursor};
use unix::stdio::STDOUT;

use super::arguments::Arguments;
use super::once::{self, load, open};
use super::unwritten;
use super::warnings::{warn, warn_unreadable};

/// The pause between two writes of the cursor file while lines come one by one:
/// each write syncs the file.
const CURSOR_PAUSE: Duration = Duration::from_millis(100);

/// Prints the lines of all sources, which were found after `follow` watched their
/// places, until the reader of the output closes it.
pub(crate) fn print(
    mut follow: Follow,
    sources: &[Source],
    arguments: &Arguments<'_>,
    printer: &mut Printer,
) -> Result<Exit, Failure> {
    let mut cursor = None;
    let mut keys = Vec::new();
    if let Some(file) = &arguments.cursor {
        keys.extend(sources.iter().map(|source| cursor::key(&source.path)));
        cursor = Some(load(file, &keys)?);
    }
    let (opened, _) = open(sources, &keys, arguments, cursor.as_ref());
    for (source, error) in follow.start(opened, arguments.last, cursor) {
        warn_unreadable(&source.path, error);
    }
    let mut last_saved = Instant::now();
    loop {
        match follow.next_event() {
            Followed::Line { source, line, .. } => {
                printer.print(&source.service, &line).map_err(unwritten)?;
                if !printer.is_flushed() {
                    continue;
                }
                // A kill after the cursor is saved would hide the warnings.
                print_warnings(&mut follow);
                save_cursor(&mut follow, arguments, printer)?;
            }
            Followed::New(source) => printer.add_service(&source.service),
            Followed::Unreadable(source, error) => warn_unreadable(&source.path, error),
            Followed::AtEnd => {
                printer.flush().map_err(unwritten)?;
                print_warnings(&mut follow);
                save_cursor(&mut follow, arguments, printer)?;
                if !follow.wait(STDOUT) {
                    return Ok(Exit::Success);
                }
                if arguments.cursor.is_some() {
                    // Lines that come meanwhile share one write.
                    std::thread::sleep(CURSOR_PAUSE.saturating_sub(last_saved.elapsed()));
                    last_saved = Instant::now();
                }
            }
        }
    }
}

fn print_warnings(follow: &mut Follow) {
    for (service, warning) in follow.take_warnings() {
        warn(service, &warning);
    }
}

fn save_cursor(
    follow: &mut Follow,
    arguments: &Arguments<'_>,
    printer: &Printer,
) -> Result<(), Failure> {
    match (follow.cursor(), &arguments.cursor) {
        (Some(cursor), Some(file)) => once::save_cursor(cursor, file, printer),
        _ => Ok(()),
    }
}
