//! Log directories, known by their files.

use std::ffi::OsStr;
use std::fs::FileType;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use daemontools_core::label::{Label, TEXT};
use logging::names::{CURRENT, LOCK};
use nix::errno::Errno;
use unix::file::status;

/// The depth below `log` up to which log directories are found.
pub(super) const MAX_DEPTH: usize = 3;

/// The usual directory of supervise.
const SUPERVISE: &str = "supervise";

/// Whether a directory is a log directory: it has `current`, an old file, or a
/// `lock` without the other files of a supervise directory. multilog, svlogd and
/// s6-log have these files. Errors: as stat(2) and readdir(3), except that a path
/// without a directory is no log directory.
pub(super) fn is_log_dir(path: &Path) -> Result<bool, Errno> {
    let is_file = |name: &OsStr| match status(&path.join(name)) {
        Ok(status) => Ok(status.is_file()),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(false),
        Err(error) => Err(error),
    };
    if is_file(OsStr::from_bytes(CURRENT.to_bytes()))? {
        return Ok(true);
    }
    let Ok(entries) = path.read_dir() else {
        return Ok(false);
    };
    let has_old_file = entries
        .flatten()
        .any(|entry| is_old_name(entry.file_name().as_bytes()));
    if has_old_file {
        return Ok(true);
    }
    // A new directory, before the first line. The lock of supervise has `ok`
    // beside it, and that of a service is not called `lock` alone.
    let has_other = ["ok", "run"].map(|name| path.join(name).exists());
    Ok(is_file(OsStr::from_bytes(LOCK.to_bytes()))? && has_other == [false; 2])
}

/// Whether a name is that of an old file: a label, a dot and a suffix.
fn is_old_name(name: &[u8]) -> bool {
    let digits = name.strip_prefix(b"@").unwrap_or_default();
    let (_, length) = Label::read(digits);
    length == TEXT - 1 && digits.get(length) == Some(&b'.')
}

/// The log directories below the directory of a logger, and itself if it is one.
/// Symbolic links are followed at the first level only. Adds directories that
/// cannot be searched to `unreadable`.
pub(super) fn log_dirs_below(log: &Path, unreadable: &mut Vec<(PathBuf, Errno)>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    search(log, MAX_DEPTH, &mut found, unreadable);
    found
}

fn search(
    path: &Path,
    depth: usize,
    found: &mut Vec<PathBuf>,
    unreadable: &mut Vec<(PathBuf, Errno)>,
) {
    match is_log_dir(path) {
        Ok(true) => found.push(path.to_owned()),
        Ok(false) => {}
        Err(error) => {
            unreadable.push((path.to_owned(), error));
            return;
        }
    }
    if depth == 0 {
        return;
    }
    let entries = match path.read_dir() {
        Ok(entries) => entries,
        Err(error) => {
            match unix::errno(&error) {
                Errno::ENOENT | Errno::ENOTDIR => {}
                error => unreadable.push((path.to_owned(), error)),
            }
            return;
        }
    };
    let mut below: Vec<_> = entries
        .flatten()
        .filter(|entry| {
            let is_link = |kind: FileType| kind.is_symlink() && depth == MAX_DEPTH;
            let kind = entry.file_type();
            kind.is_ok_and(|kind| kind.is_dir() || is_link(kind))
        })
        .map(|entry| entry.file_name())
        // The files of supervise may be unreadable, and contain no log.
        .filter(|name| name != SUPERVISE && !name.as_bytes().starts_with(b"."))
        .map(|name| path.join(name))
        .collect();
    below.sort_unstable();
    for path in below {
        search(&path, depth - 1, found, unreadable);
    }
}
