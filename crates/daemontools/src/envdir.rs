//! Environment variables from the files of a directory, as envdir reads them.

use std::ffi::{CStr, CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::unistd::read as read_some;
use unix::file;

use crate::error::{Cause, Error, Operation};
use crate::supervise_dir::OpenDir;

/// The change of a variable that a file of an environment directory describes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvdirEdit {
    /// The name of the variable: that of the file, up to the first `=`.
    pub name: OsString,
    /// The new value; None removes the variable.
    pub value: Option<OsString>,
}

/// Reads an environment directory: an edit from each file, in directory order, except
/// names with a leading dot. The value is the first line without spaces and tabs at
/// its end, with newlines in place of NULs. An empty file removes the variable. As in
/// 0.76, a symbolic link without a target gives the value of the file before it.
///
/// # Errors
/// The first failure: a partial environment would be worse than none. A subdirectory
/// is an error.
pub fn read_envdir(path: impl AsRef<Path>) -> Result<Vec<EnvdirEdit>, Error> {
    let path = path.as_ref();
    let directory = OpenDir::open(AT_FDCWD, path, path)
        .map_err(|error| Error::of_directory(Operation::Enter, path, Cause::Os(error)))?;
    let edits = read_edits(Some(&directory), path, |_| false)?;
    let split = |edit: CString| {
        let mut name = edit.into_bytes();
        let end = name.iter().position(|&byte| byte == b'=');
        let value = end.map(|end| {
            let value = name.split_off(end);
            OsString::from_vec(value.into_iter().skip(1).collect())
        });
        let name = OsString::from_vec(name);
        EnvdirEdit { name, value }
    };
    Ok(edits.into_iter().map(split).collect())
}

/// Reads the current directory as [`read_envdir`], for a program that changes the
/// current directory: edits `NAME=value` or `NAME`. A subdirectory is an error unless
/// `skips` returns true for its name.
///
/// # Errors
/// As [`read_envdir`].
pub fn read_envdir_edits(skips: impl FnMut(&CStr) -> bool) -> Result<Vec<CString>, Error> {
    read_edits(None, Path::new("."), skips)
}

/// Reads the files of a directory, which the process calls `shown`; None: of the
/// current directory.
fn read_edits(
    directory: Option<&OpenDir>,
    shown: &Path,
    mut skips: impl FnMut(&CStr) -> bool,
) -> Result<Vec<CString>, Error> {
    let failed = |operation| {
        move |error| Error::of_directory(operation, shown, Cause::Os(unix::errno(&error)))
    };
    let path = directory.map_or(Path::new("."), OpenDir::path);
    let files = std::fs::read_dir(path).map_err(failed(Operation::Open))?;
    let mut edits = Vec::new();
    let mut text = Vec::new();
    for file in files {
        let file = file.map_err(failed(Operation::List))?;
        let name = CString::new(file.file_name().into_vec()).unwrap_or_default();
        if name.to_bytes().starts_with(b".") {
            continue;
        }
        match read_into(directory, &mut text, &name) {
            Ok(()) => edits.push(edit(&name, take_value(&mut text))),
            Err(Errno::EISDIR) if skips(&name) => {}
            Err(error) => return Err(Error::of_envdir(shown, &name, error)),
        }
    }
    Ok(edits)
}

/// Reads the first line of a file, with its newline, into `text`.
///
/// A missing file (removed meanwhile, or a dangling link) leaves `text`
/// unchanged. As in 0.76, the rest of the file is read as well, so that a read
/// error there is reported.
fn read_into(directory: Option<&OpenDir>, text: &mut Vec<u8>, name: &CStr) -> Result<(), Errno> {
    let opened = match directory {
        Some(directory) => file::open_read_in(directory.as_fd(), name),
        None => file::open_read(name),
    };
    let file = match opened {
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

    #[test]
    fn edit_has_name_and_value() {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in [("A", "1=2 \n"), ("B", ""), ("C=D", "x"), (".hidden", "x")] {
            std::fs::write(place.path().join(name), text).unwrap();
        }
        let mut edits = read_envdir(place.path()).unwrap();
        edits.sort_by(|a, b| a.name.cmp(&b.name));
        let edit = |name: &str, value: Option<&str>| EnvdirEdit {
            name: name.into(),
            value: value.map(OsString::from),
        };
        let expected = [
            edit("A", Some("1=2")),
            edit("B", None),
            edit("C", Some("D=x")),
        ];
        assert_eq!(edits, expected);
        let folder = place.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        let error = read_envdir(place.path()).unwrap_err();
        assert_eq!(
            (error.operation(), error.path()),
            (Operation::Read, &*folder)
        );
        let missing = read_envdir("/no/such/directory").unwrap_err();
        assert!(missing.is_missing());
    }
}
