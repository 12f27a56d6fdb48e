//! A directory whose files are environment variables.

use std::ffi::{CStr, CString};

use nix::NixPath;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{chdir, fchdir, read as read_some};
use unix::file;

/// What could not be done with a directory of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvdirError {
    /// To open the current directory, in order to come back to it.
    Origin(Errno),
    /// To change to the directory.
    Enter(Errno),
    /// To open the directory in order to list it.
    Open(Errno),
    /// To list the directory.
    List(Errno),
    /// To open or read a file of this name.
    Read(CString, Errno),
    /// To come back.
    Return(Errno),
}

/// Reads the edits that a directory stands for, one of each file whose name
/// does not begin with a dot, in the order of the directory. Of a directory
/// among them, `skips` says whether it is none of them; else it is a file that
/// cannot be read.
///
/// # Errors
/// The first failure, whatever it is: with half of its variables a program
/// would run in an environment that nobody meant.
pub fn read<P: NixPath + ?Sized>(
    directory: &P,
    skips: impl FnMut(&CStr) -> bool,
) -> Result<Vec<CString>, EnvdirError> {
    let origin = file::open_read(c".").map_err(EnvdirError::Origin)?;
    chdir(directory).map_err(EnvdirError::Enter)?;
    let edits = read_here(skips)?;
    fchdir(&origin).map_err(EnvdirError::Return)?;
    Ok(edits)
}

fn read_here(mut skips: impl FnMut(&CStr) -> bool) -> Result<Vec<CString>, EnvdirError> {
    let how = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut directory = Dir::open(c".", how, Mode::empty()).map_err(EnvdirError::Open)?;
    let mut edits = Vec::new();
    let mut text = Vec::new();
    for file in directory.iter() {
        let file = file.map_err(EnvdirError::List)?;
        let name = file.file_name();
        if name.to_bytes().starts_with(b".") {
            continue;
        }
        match read_into(&mut text, name) {
            Ok(()) => edits.push(edit(name, take_value(&mut text))),
            Err(Errno::EISDIR) if skips(name) => {}
            Err(error) => return Err(EnvdirError::Read(name.to_owned(), error)),
        }
    }
    Ok(edits)
}

/// Reads the first line of a file, its newline included, into `text`.
///
/// A file that does not exist (it was removed just now, or is a dangling
/// link) changes nothing. Everything is read, as 0.76 does: a file whose
/// second line cannot be read is as unreadable as any.
fn read_into(text: &mut Vec<u8>, name: &CStr) -> Result<(), Errno> {
    let file = match file::open_read(name) {
        Err(Errno::ENOENT) => return Ok(()),
        opened => opened?,
    };
    text.clear();
    let mut buffer = [0; 4096];
    let mut ended = false;
    loop {
        let some = match read_some(&file, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => buffer.get(..length).unwrap_or_default(),
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error),
        };
        for part in some.split_inclusive(|&byte| byte == b'\n') {
            if !ended {
                text.try_reserve(part.len()).map_err(|_| Errno::ENOMEM)?;
                text.extend_from_slice(part);
                ended = part.ends_with(b"\n");
            }
        }
    }
}

/// The value that a file's text stands for: its first line without the spaces
/// and tabs at its end, each NUL made a newline. None if there is no text:
/// that removes the variable.
///
/// The value and a NUL stay behind, and are the next file's text if that file
/// does not exist. Nobody can have meant that, but so it is in 0.76: a
/// dangling link stands for the file before it in the directory, with and
/// without a newline in turn.
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

/// The edit (see [`Environment::edit`]) that a file stands for.
///
/// [`Environment::edit`]: crate::Environment::edit
fn edit(name: &CStr, value: Option<&[u8]>) -> CString {
    let name = name.to_bytes();
    let edit = match value {
        Some(value) => [name, b"=", value].concat(),
        None => name.to_vec(),
    };
    // There is no NUL left in the value to refuse.
    CString::new(edit).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{edit, take_value};

    fn value(text: &[u8]) -> String {
        let mut text = text.to_vec();
        let value = take_value(&mut text).expect("there is text");
        value.escape_ascii().to_string()
    }

    #[test]
    fn the_first_line_is_the_value() {
        assert_eq!(value(b"a b\n"), "a b");
        assert_eq!(value(b"a b\nsecond"), "a b");
        assert_eq!(value(b"a b"), "a b");
        assert_eq!(value(b"\n"), "");
    }

    #[test]
    fn trailing_spaces_and_tabs_are_removed() {
        assert_eq!(value(b" a \t \n"), " a");
        assert_eq!(value(b" \t"), "");
        assert_eq!(value(b"a \r\n"), "a \\r");
    }

    #[test]
    fn a_nul_becomes_a_newline_after_that() {
        assert_eq!(value(b"a\0b"), "a\\nb");
        assert_eq!(value(b"a \0 \n"), "a \\n");
    }

    #[test]
    fn what_stays_behind_is_the_next_text() {
        let mut text = b"a\nsecond".to_vec();
        let values: Vec<_> = (0..4)
            .map(|_| take_value(&mut text).map(<[u8]>::to_vec))
            .collect();
        let values: Vec<_> = values.iter().map(Option::as_deref).collect();
        assert_eq!(
            values,
            [Some(&b"a"[..]), Some(b"a\n"), Some(b"a"), Some(b"a\n")]
        );
    }

    #[test]
    fn no_text_is_no_value() {
        let mut nothing = Vec::new();
        assert_eq!(take_value(&mut nothing), None);
        assert_eq!(take_value(&mut nothing), None);
    }

    #[test]
    fn an_edit_has_an_equals_sign_if_there_is_a_value() {
        assert_eq!(edit(c"V", Some(b"x")).as_c_str(), c"V=x");
        assert_eq!(edit(c"V=W", Some(b"")).as_c_str(), c"V=W=");
        assert_eq!(edit(c"V", None).as_c_str(), c"V");
    }
}
