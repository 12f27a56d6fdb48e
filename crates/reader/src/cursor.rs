//! The cursor file: the place in each log directory up to which a reader has
//! printed.
//!
//! The file is text. A line for each log directory contains the absolute path
//! with `\xHH` for bytes outside of graphic ASCII, device, inode, label, offset,
//! time, time of the file's first line, and check of the [`Position`]; `-` stands
//! for None:
//!
//! ```text
//! svlog cursor 1
//! /log/main 64768 393241 - 91274 @400000006b0b4bfb0a6f6cc4 - af63dc4c8601ec8c
//! end 2b0d4f6f6a1c7e55
//! ```
//!
//! The last line contains a checksum of the lines above. A file that was cut or
//! altered is an error, because an ignored cursor would repeat or lose lines.
//! [`Cursor::save`] replaces the file by a synced one, so that the old or the
//! new file exists after a crash.
//!
//! Lines of log directories that this reader does not read stay in the file: a
//! service may come back. A cursor without any of the requested directories is
//! probably the cursor of another command, and [`Cursor::check_directories`]
//! rejects it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use daemontools_core::label::{Label, TEXT};
use nix::errno::Errno;
use unix::file::{open_read, open_truncate};

use crate::position::{FileId, Position, fnv1a};

/// The first line. The number changes with the format.
const HEADER: &[u8] = b"svlog cursor 1\n";
/// The start of the last line.
const END: &[u8] = b"end ";
/// The mode of the file, before the umask.
const MODE: u32 = 0o644;
/// The maximum size of a cursor file: 64 MiB. A larger file is no cursor.
const MAX_SIZE: u64 = 64 << 20;

/// The places in all log directories of a cursor file.
#[derive(Debug)]
pub struct Cursor {
    file: PathBuf,
    /// By path.
    places: BTreeMap<PathBuf, Position>,
    /// Whether [`Cursor::save`] writes the file: initially, and once `places`
    /// differs from the file.
    is_changed: bool,
}

/// The failure to read or to write a cursor file.
#[derive(Debug, PartialEq, Eq)]
pub enum CursorError {
    /// The file cannot be read.
    Read(Errno),
    /// A new file cannot be written, synced or renamed.
    Write(Errno),
    /// The file does not start as a cursor does.
    NoCursor,
    /// The file was cut or altered.
    Damaged,
    /// The cursor has places, but none in the requested log directories. The
    /// path is one of its log directories.
    Foreign(PathBuf),
}

impl fmt::Display for CursorError {
    /// The cause, without the name of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CursorError::Read(error) | CursorError::Write(error) => f.write_str(error.desc()),
            CursorError::NoCursor => f.write_str("not a cursor of svlog"),
            CursorError::Damaged => f.write_str("damaged; remove it to start without a cursor"),
            CursorError::Foreign(path) => {
                write!(
                    f,
                    "belongs to other directories, such as {}",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for CursorError {}

impl Cursor {
    /// Reads a cursor file. A missing file is a cursor without places. Errors: as
    /// open(2) and read(2); a file that is no intact cursor.
    pub fn load(file: &Path) -> Result<Self, CursorError> {
        let places = match open_read(file) {
            Ok(descriptor) => {
                let mut content = Vec::new();
                let read = File::from(descriptor)
                    .take(MAX_SIZE)
                    .read_to_end(&mut content);
                read.map_err(|error| CursorError::Read(unix::errno(&error)))?;
                parse(&content)?
            }
            Err(Errno::ENOENT) => BTreeMap::new(),
            Err(error) => return Err(CursorError::Read(error)),
        };
        Ok(Cursor {
            file: file.to_owned(),
            places,
            is_changed: true,
        })
    }

    /// Errors: the cursor has places, but none in these log directories, which
    /// are [`key`]s.
    pub fn check_directories(&self, keys: &[PathBuf]) -> Result<(), CursorError> {
        let is_known = keys.iter().any(|key| self.position(key).is_some());
        match self.places.keys().next() {
            Some(other) if !is_known && !keys.is_empty() => {
                Err(CursorError::Foreign(other.clone()))
            }
            _ => Ok(()),
        }
    }

    /// The place in the log directory with this [`key`]. None: the cursor has
    /// none.
    pub fn position(&self, key: &Path) -> Option<Position> {
        self.places.get(key).copied()
    }

    /// Sets the place in the log directory with this [`key`].
    pub fn set(&mut self, key: &Path, position: Position) {
        let place = self.places.get_mut(key);
        self.is_changed |= place.as_deref() != Some(&position);
        match place {
            Some(place) => *place = position,
            None => drop(self.places.insert(key.to_owned(), position)),
        }
    }

    /// Whether [`Cursor::save`] has to write the file.
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Writes the file anew if a place has changed: writes and syncs
    /// `FILE.new`, and renames it to the file.
    ///
    /// The caller first writes all lines before these places. The first call
    /// always writes; a caller that saves before its first line detects an
    /// unusable file before it repeats lines. Errors: as open(2), write(2),
    /// fsync(2) and rename(2).
    pub fn save(&mut self) -> Result<(), CursorError> {
        if !self.is_changed {
            return Ok(());
        }
        self.write()
            .map_err(|error| CursorError::Write(unix::errno(&error)))?;
        self.is_changed = false;
        Ok(())
    }

    fn write(&self) -> io::Result<()> {
        let mut new = self.file.clone().into_os_string();
        new.push(".new");
        let mut file = File::from(open_truncate(new.as_os_str(), MODE)?);
        file.write_all(&format(&self.places))?;
        file.sync_all()?;
        fs::rename(new, &self.file)
    }
}

/// The path by which a cursor finds a log directory, also from another working
/// directory and through another symbolic link. A removed directory has no such
/// path; a reader therefore keeps the key.
pub fn key(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn format(places: &BTreeMap<PathBuf, Position>) -> Vec<u8> {
    let mut text = HEADER.to_vec();
    for (path, position) in places {
        text.extend(escape(path.as_os_str()).as_bytes());
        let Position {
            file: FileId { device, inode },
            label,
            offset,
            time,
            first,
            check,
        } = position;
        let [label, time, first] = [label, time, first].map(|time| label_text(*time));
        let numbers = format!(" {device} {inode} {label} {offset} {time} {first} {check:016x}\n");
        text.extend(numbers.as_bytes());
    }
    let sum = format!("{:016x}\n", fnv1a(&text));
    text.extend(END);
    text.extend(sum.as_bytes());
    text
}

fn parse(content: &[u8]) -> Result<BTreeMap<PathBuf, Position>, CursorError> {
    let places = content.strip_prefix(HEADER).ok_or(CursorError::NoCursor)?;
    parse_places(content, places).ok_or(CursorError::Damaged)
}

/// None: the file was cut or altered.
fn parse_places(content: &[u8], places: &[u8]) -> Option<BTreeMap<PathBuf, Position>> {
    // The last line has a constant length: its start, 16 digits and a newline.
    let last = END.len() + 16 + 1;
    let (summed, end) = content.split_at_checked(content.len().checked_sub(last)?)?;
    let sum = end.strip_prefix(END)?.strip_suffix(b"\n")?;
    if u64::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()? != fnv1a(summed) {
        return None;
    }
    let places = places.get(..places.len().checked_sub(last)?)?;
    let lines = places.split_inclusive(|byte| *byte == b'\n');
    lines
        .map(|line| parse_place(std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?))
        .collect()
}

fn parse_place(line: &str) -> Option<(PathBuf, Position)> {
    let mut words = line.split(' ');
    let path = unescape(words.next()?)?;
    let position = Position {
        file: FileId {
            device: words.next()?.parse().ok()?,
            inode: words.next()?.parse().ok()?,
        },
        label: parse_label(words.next()?)?,
        offset: words.next()?.parse().ok()?,
        time: parse_label(words.next()?)?,
        first: parse_label(words.next()?)?,
        check: u64::from_str_radix(words.next()?, 16).ok()?,
    };
    let is_end = words.next().is_none();
    is_end.then_some((path.into(), position))
}

fn label_text(label: Option<Label>) -> String {
    label.map_or_else(
        || "-".to_owned(),
        |label| String::from_utf8_lossy(&label.text()).into_owned(),
    )
}

/// None: the word is neither a label nor `-`.
#[expect(clippy::option_option, reason = "the outer one is the error")]
fn parse_label(word: &str) -> Option<Option<Label>> {
    if word == "-" {
        return Some(None);
    }
    let digits = word.as_bytes().strip_prefix(b"@")?;
    let (label, used) = Label::read(digits);
    let is_label = used == digits.len() && used == TEXT - 1;
    is_label.then_some(Some(label))
}

/// Replaces all but graphic ASCII, and the backslash, by `\xHH`.
fn escape(path: &OsStr) -> String {
    let mut text = String::new();
    for &byte in path.as_bytes() {
        if byte.is_ascii_graphic() && byte != b'\\' {
            text.push(char::from(byte));
        } else {
            // A String accepts all text.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// None: a backslash does not start a `\xHH`.
fn unescape(text: &str) -> Option<OsString> {
    let mut parts = text.split("\\x");
    let mut path = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        path.push(u8::from_str_radix(digits, 16).ok()?);
        path.extend(rest.as_bytes());
    }
    Some(OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(inode: u64) -> Position {
        Position {
            file: FileId {
                device: 64768,
                inode,
            },
            label: None,
            offset: 1 << 40,
            time: Some(Label::from_unix(1_297_257_984, 247_337)),
            first: None,
            check: 0x12,
        }
    }

    #[test]
    fn places_survive_a_round_trip() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cursor");
        let odd = directory
            .path()
            .join(OsStr::from_bytes(b"a b\n\\x41\xff\xc3\xbc"));
        fs::create_dir(&odd).unwrap();
        let (odd, gone) = (key(&odd), PathBuf::from("/nonexistent"));
        let mut cursor = Cursor::load(&file).unwrap();
        assert_eq!(cursor.position(&odd), None);
        cursor.save().unwrap();
        assert_eq!(fs::read(&file).unwrap(), format(&BTreeMap::new()));
        cursor.set(&odd, position(7));
        let old = Position {
            label: Some(Label::from_unix(10, 0)),
            time: None,
            ..position(8)
        };
        cursor.set(&gone, old);
        cursor.save().unwrap();
        let mut cursor = Cursor::load(&file).unwrap();
        assert_eq!(cursor.position(&odd), Some(position(7)));
        assert_eq!(cursor.position(&gone), Some(old));
        cursor.save().unwrap();
        // Unchanged places cause no write.
        fs::remove_file(&file).unwrap();
        cursor.set(&odd, position(7));
        cursor.save().unwrap();
        assert!(!file.exists());
        cursor.set(&odd, position(9));
        cursor.save().unwrap();
        assert!(file.exists());
        assert!(!directory.path().join("cursor.new").exists());
    }

    #[test]
    fn link_and_relative_path_find_their_directory() {
        let directory = tempfile::tempdir().unwrap();
        let main = directory.path().join("main");
        fs::create_dir(&main).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&main, &link).unwrap();
        let mut cursor = Cursor::load(&directory.path().join("cursor")).unwrap();
        cursor.set(&key(&main.join("../main/.")), position(7));
        assert_eq!(cursor.position(&key(&link)), Some(position(7)));
    }

    #[test]
    fn cut_or_altered_cursor_is_an_error() {
        let places = BTreeMap::from([
            (PathBuf::from("/a"), position(1)),
            (PathBuf::from("/b"), position(2)),
        ]);
        let intact = format(&places);
        assert_eq!(parse(&intact), Ok(places));
        for len in 0..intact.len() {
            let error = if len < HEADER.len() {
                CursorError::NoCursor
            } else {
                CursorError::Damaged
            };
            assert_eq!(parse(&intact[..len]), Err(error), "{len}");
        }
        for at in 0..intact.len() {
            let mut altered = intact.clone();
            altered[at] ^= 1;
            assert!(parse(&altered).is_err(), "{at}");
        }
        let twice = [&intact[..], &intact[HEADER.len()..]].concat();
        assert_eq!(parse(&twice), Err(CursorError::Damaged));
        assert_eq!(parse(b"root:x:0:0\n"), Err(CursorError::NoCursor));
    }

    #[test]
    fn wrong_place_with_a_checksum_is_an_error() {
        for place in [
            "/a 1 2 - 3 -",
            "/a 1 2 - 3 - 4 5",
            "/a 1 2 @12 3 - 4",
            "/a 1 2 @400000004d52960a0ebe121g 3 - 4",
            "/a 1 2 - -3 - 4",
            "/\\x4 1 2 - 3 - 4",
            "/\\xgg 1 2 - 3 - 4",
            "",
        ] {
            let mut text = [HEADER, place.as_bytes(), b"\n"].concat();
            let end = format!("end {:016x}\n", fnv1a(&text));
            text.extend(end.as_bytes());
            assert_eq!(parse(&text), Err(CursorError::Damaged), "{place}");
        }
    }

    #[test]
    fn cursor_of_other_directories_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(&path).unwrap();
            key(&path)
        };
        let (ours, new, other) = (path("ours"), path("new"), path("other"));
        let mut cursor = Cursor::load(&directory.path().join("cursor")).unwrap();
        assert_eq!(
            cursor.check_directories(std::slice::from_ref(&ours)),
            Ok(())
        );
        cursor.set(&ours, position(1));
        assert_eq!(cursor.check_directories(&[new, ours.clone()]), Ok(()));
        assert_eq!(cursor.check_directories(&[]), Ok(()));
        assert_eq!(
            cursor.check_directories(&[other]),
            Err(CursorError::Foreign(ours))
        );
    }

    #[test]
    fn unusable_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let loaded = Cursor::load(directory.path()).map(drop);
        assert_eq!(loaded, Err(CursorError::Read(Errno::EISDIR)));
        let below = directory.path().join("missing/cursor");
        let mut cursor = Cursor::load(&below).unwrap();
        cursor.set(&key(directory.path()), position(1));
        assert_eq!(cursor.save(), Err(CursorError::Write(Errno::ENOENT)));
        // The failed save is repeated.
        fs::create_dir(directory.path().join("missing")).unwrap();
        assert_eq!(cursor.save(), Ok(()));
    }
}
