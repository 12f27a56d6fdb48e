//! Environment variables from the files of a directory.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStringExt;

use nix::NixPath;
use nix::errno::Errno;
use nix::unistd::{chdir, read as read_some};
use unix::cwd::Origin;
use unix::file;

/// The failed operation of [`read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvdirError {
    /// Opening the current directory, for the way back.
    Origin(Errno),
    /// Changing to the directory.
    Enter(Errno),
    /// Opening the directory.
    Open(Errno),
    /// Listing the directory.
    List(Errno),
    /// Opening or reading the file of this name.
    Read(CString, Errno),
    /// Changing back to the previous directory.
    Return(Errno),
}

/// Reads one edit (see [`Environment::edit`]) from each file, in directory
/// order, except names with a leading dot. A subdirectory is an error unless
/// `skips` returns true for its name. Errors: the first failure. A partial
/// environment would be worse than none.
///
/// [`Environment::edit`]: crate::Environment::edit
pub fn read<P: NixPath + ?Sized>(
    directory: &P,
    skips: impl FnMut(&CStr) -> bool,
) -> Result<Vec<CString>, EnvdirError> {
    let origin = Origin::open().map_err(EnvdirError::Origin)?;
    chdir(directory).map_err(EnvdirError::Enter)?;
    let edits = read_here(skips)?;
    origin.enter().map_err(EnvdirError::Return)?;
    Ok(edits)
}

fn read_here(mut skips: impl FnMut(&CStr) -> bool) -> Result<Vec<CString>, EnvdirError> {
    let directory =
        std::fs::read_dir(".").map_err(|error| EnvdirError::Open(unix::errno(&error)))?;
    let mut edits = Vec::new();
    let mut text = Vec::new();
    for file in directory {
        let file = file.map_err(|error| EnvdirError::List(unix::errno(&error)))?;
        let name = CString::new(file.file_name().into_vec()).unwrap_or_default();
        if name.to_bytes().starts_with(b".") {
            continue;
        }
        match read_into(&mut text, &name) {
            Ok(()) => edits.push(edit(&name, take_value(&mut text))),
            Err(Errno::EISDIR) if skips(&name) => {}
            Err(error) => return Err(EnvdirError::Read(name, error)),
        }
    }
    Ok(edits)
}

/// Reads the first line of a file, with its newline, into `text`.
///
/// A missing file (removed meanwhile, or a dangling link) leaves `text`
/// unchanged. As in 0.76, the rest of the file is read as well, so that a read
/// error there is reported.
fn read_into(text: &mut Vec<u8>, name: &CStr) -> Result<(), Errno> {
    let file = match file::open_read(name) {
        Err(Errno::ENOENT) => return Ok(()),
        opened => opened?,
    };
    text.clear();
    let mut buffer = [0; 4096];
    let mut line_complete = false;
    loop {
        let chunk = match read_some(&file, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => buffer.get(..length).unwrap_or_default(),
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error),
        };
        for part in chunk.split_inclusive(|&byte| byte == b'\n') {
            if !line_complete {
                text.try_reserve(part.len()).map_err(|_| Errno::ENOMEM)?;
                text.extend_from_slice(part);
                line_complete = part.ends_with(b"\n");
            }
        }
    }
}

/// The value of a file's text: the first line without trailing spaces and tabs,
/// with newlines in place of NULs. None for an empty text, which removes the
/// variable.
///
/// The value and a NUL stay in `text`, and become the text of the next file if
/// that file is missing. This is a bug of 0.76 that we keep: a dangling link
/// gets the value of the previous file, with a newline added and removed in
/// turn.
fn take_value(text: &mut Vec<u8>) -> Option<&[u8]> {
    if text.is_empty() {
        return None;
    }
    let end = text.iter().position(|&byte| byte == b'\n');
    text.truncate(end.unwrap_or(text.len()));
    while let Some(b' ' | b'\t') = text.last() {
        text.pop();
    }
    for byte in text.iter_mut() {
        if *byte == 0 {
            *byte = b'\n';
        }
    }
    text.push(0);
    text.split_last().map(|(_, value)| value)
}

/// The edit of a file.
fn edit(name: &CStr, value: Option<&[u8]>) -> CString {
    let name = name.to_bytes();
    let edit = match value {
        Some(value) => [name, b"=", value].concat(),
        None => name.to_vec(),
    };
    // The value has no NUL left.
    CString::new(edit).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        edit(c"NAME", take_value(&mut text)).into_bytes()
    }

    #[test]
    fn value_is_the_first_line_without_end_spaces() {
        for (text, edit) in [
            (&b"value"[..], &b"NAME=value"[..]),
            (b"value\nmore", b"NAME=value"),
            (b" a b \t \n", b"NAME= a b"),
            (b"\n", b"NAME="),
            (b" \t", b"NAME="),
            (b"a\0b\0", b"NAME=a\nb\n"),
        ] {
            assert_eq!(variable(text), edit);
        }
    }

    #[test]
    fn empty_file_removes_the_variable() {
        assert_eq!(variable(b""), b"NAME");
    }

    #[test]
    fn missing_file_gets_the_previous_value() {
        let mut text = b"value\n".to_vec();
        for value in ["value", "value\n", "value\n\n"] {
            let value = value.trim_end_matches('\n').len();
            let seen = take_value(&mut text).unwrap();
            assert_eq!(&seen[..value], b"value");
            assert!(seen[value..].iter().all(|&byte| byte == b'\n'));
        }
    }

    /// The edits of a directory with these files, sorted.
    fn edits(
        files: &[(&str, &str)],
        skips: impl FnMut(&CStr) -> bool,
    ) -> Result<Vec<CString>, EnvdirError> {
        let place = tempfile::tempdir().unwrap();
        let before = std::env::current_dir().unwrap();
        for (name, text) in files {
            std::fs::write(place.path().join(name), text).unwrap();
        }
        std::fs::create_dir(place.path().join("folder")).unwrap();
        let edits = read(place.path(), skips);
        std::env::set_current_dir(before).unwrap();
        edits.map(|mut edits| {
            edits.sort();
            edits
        })
    }

    /// The only test of this crate that changes the current directory.
    #[test]
    fn each_visible_file_is_an_edit() {
        let long = "x".repeat(10_000);
        let files = [
            ("A", "one\ntwo\n"),
            ("B", ""),
            ("C", "no newline"),
            ("LONG", &long),
            (".hidden", "x"),
        ];
        let edits_of_files = edits(&files, |name| name == c"folder").unwrap();
        let long = CString::new(format!("LONG={long}")).unwrap();
        let expected = [c"A=one", c"B", c"C=no newline", &long].map(CString::from);
        assert_eq!(edits_of_files, expected);
        let error = edits(&files, |_| false).unwrap_err();
        let folder = c"folder".to_owned();
        assert_eq!(error, EnvdirError::Read(folder, Errno::EISDIR));
        let missing = read(c"/no/such/directory", |_| true);
        assert_eq!(missing, Err(EnvdirError::Enter(Errno::ENOENT)));
    }
}
