//! Environment variables from the files of a directory.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;

use daemontools::client::read_envdir_edits;
use daemontools::{Error, Operation};
use nix::NixPath;
use nix::errno::Errno;
use nix::unistd::chdir;
use unix::cwd::Origin;

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
    let edits = read_envdir_edits(skips).map_err(failure)?;
    origin.enter().map_err(EnvdirError::Return)?;
    Ok(edits)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failure(error: Error) -> EnvdirError {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    match error.operation() {
        Operation::Open => EnvdirError::Open(errno),
        Operation::List => EnvdirError::List(errno),
        _ => {
            let file = error.file().as_os_str().as_bytes();
            EnvdirError::Read(CString::new(file).unwrap_or_default(), errno)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
