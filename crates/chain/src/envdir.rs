//! A directory whose files are environment variables.

use std::ffi::{CStr, CString};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{chdir, fchdir, read as read_some};
use unix::file;

/// What could not be done with a directory of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// To open the current directory, in order to come back to it.
    Origin(Errno),
    /// To change to the directory.
    Enter(Errno),
    /// To list the directory.
    List(Errno),
    /// To open or read a file of this name.
    Read(CString, Errno),
    /// To come back.
    Return(Errno),
}

/// Reads the edits that a directory stands for, one of each file whose name
/// does not begin with a dot, in the order of the directory.
///
/// # Errors
/// The first failure, whatever it is: with half of its variables a program
/// would run in an environment that nobody meant.
pub fn read(directory: &CStr) -> Result<Vec<CString>, Error> {
    let origin = file::open_read(c".").map_err(Error::Origin)?;
    chdir(directory).map_err(Error::Enter)?;
    let edits = read_here()?;
    fchdir(&origin).map_err(Error::Return)?;
    Ok(edits)
}

fn read_here() -> Result<Vec<CString>, Error> {
    let how = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut directory = Dir::open(c".", how, Mode::empty()).map_err(Error::List)?;
    let mut edits = Vec::new();
    for file in directory.iter() {
        let file = file.map_err(Error::List)?;
        let name = file.file_name();
        if name.to_bytes().starts_with(b".") {
            continue;
        }
        let first_line = contents(name).map_err(|error| Error::Read(name.to_owned(), error))?;
        edits.push(edit(name, first_line));
    }
    Ok(edits)
}

/// The first line of a file, without its newline. None if the file is empty,
/// or is gone since the directory was read.
///
/// Everything is read, as 0.76 does: a file whose second line cannot be read
/// is as unreadable as any.
fn contents(name: &CStr) -> Result<Option<Vec<u8>>, Errno> {
    let file = match file::open_read(name) {
        Err(Errno::ENOENT) => return Ok(None),
        opened => opened?,
    };
    let mut buffer = [0; 4096];
    let mut line: Option<Vec<u8>> = None;
    let mut ended = false;
    loop {
        let some = match read_some(&file, &mut buffer) {
            Ok(0) => return Ok(line),
            Ok(length) => buffer.get(..length).unwrap_or_default(),
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error),
        };
        let line = line.get_or_insert_default();
        if !ended {
            let end = some.iter().position(|&byte| byte == b'\n');
            ended = end.is_some();
            let some = some.get(..end.unwrap_or(some.len())).unwrap_or_default();
            line.try_reserve(some.len()).map_err(|_| Errno::ENOMEM)?;
            line.extend_from_slice(some);
        }
    }
}

/// The edit (see [`Environment::edit`]) that a file stands for: without a
/// first line it removes the variable, otherwise it sets it to that line
/// without the spaces and tabs at its end, each NUL made a newline.
///
/// [`Environment::edit`]: crate::Environment::edit
fn edit(name: &CStr, first_line: Option<Vec<u8>>) -> CString {
    let mut edit = name.to_bytes().to_vec();
    if let Some(mut value) = first_line {
        while let Some(b' ' | b'\t') = value.last() {
            value.pop();
        }
        for byte in &mut value {
            if *byte == 0 {
                *byte = b'\n';
            }
        }
        edit.push(b'=');
        edit.append(&mut value);
    }
    // There is no NUL left to refuse.
    CString::new(edit).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::edit;

    fn set(line: &[u8]) -> String {
        let edit = edit(c"V", Some(line.to_vec()));
        edit.to_bytes().escape_ascii().to_string()
    }

    #[test]
    fn the_first_line_is_the_value() {
        assert_eq!(set(b"a b"), "V=a b");
        assert_eq!(set(b""), "V=");
    }

    #[test]
    fn trailing_spaces_and_tabs_are_removed() {
        assert_eq!(set(b" a \t "), "V= a");
        assert_eq!(set(b" \t"), "V=");
        assert_eq!(set(b"a \r"), "V=a \\r");
    }

    #[test]
    fn a_nul_becomes_a_newline_after_that() {
        assert_eq!(set(b"a\0b"), "V=a\\nb");
        assert_eq!(set(b"a \0 "), "V=a \\n");
    }

    #[test]
    fn no_line_removes_the_variable() {
        assert_eq!(edit(c"V", None).as_c_str(), c"V");
        assert_eq!(edit(c"V=W", None).as_c_str(), c"V=W");
    }
}
