//! Log directories, known by their files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use daemontools_core::label::{Label, TEXT};
use logging::names::{CURRENT, LOCK};
use nix::errno::Errno;
use unix::file::status;

/// The depth below `log` up to which log directories are found.
pub(super) const MAX_DEPTH: usize = 3;

/// Whether a directory is a log directory: it has `current`, an old file, or a
/// `lock` without the other files of a supervise directory. multilog, svlogd and
/// s6-log have these files. Errors: as stat(2) and readdir(3), except that a path
/// without a directory is no log directory.
pub(super) fn is_log_dir(path: &Path) -> Result<bool, Errno> {
    if has_current(path)? {
        return Ok(true);
    }
    match Content::read(path) {
        Ok(content) => Ok(content.is_log()),
        Err(error) => without_directory(error).map(|()| false),
    }
}

/// Whether a directory has a file `current`. Errors: as for [`is_log_dir`].
fn has_current(path: &Path) -> Result<bool, Errno> {
    match status(&path.join(OsStr::from_bytes(CURRENT.to_bytes()))) {
        Ok(status) => Ok(status.is_file()),
        Err(error) => without_directory(error).map(|()| false),
    }
}

/// Errors: all errors but those for a path that is no directory.
fn without_directory(error: Errno) -> Result<(), Errno> {
    match error {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP => Ok(()),
        error => Err(error),
    }
}

/// The entries of a directory that matter.
#[derive(Default)]
struct Content {
    /// `current`, or an old file.
    has_log_file: bool,
    has_lock: bool,
    /// `run` of a service, or `ok` of a supervise.
    has_other: bool,
    /// Directories and symbolic links, by name and whether the name is a link.
    below: Vec<(PathBuf, bool)>,
}

impl Content {
    /// Reads a directory. Errors: as open(2) and readdir(3).
    fn read(path: &Path) -> Result<Self, Errno> {
        let failed = |error| unix::errno(&error);
        let mut content = Content::default();
        for entry in path.read_dir().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let name = entry.file_name();
            match name.as_bytes() {
                b"ok" | b"run" => content.has_other = true,
                // The files of supervise may be unreadable, and are no log.
                b"supervise" => {}
                name if name.starts_with(b".") => {}
                _ if kind.is_dir() => content.below.push((entry.path(), false)),
                name if name == CURRENT.to_bytes() => content.has_log_file = true,
                name if name == LOCK.to_bytes() => content.has_lock = true,
                name if is_old_name(name) => content.has_log_file = true,
                _ if kind.is_symlink() => content.below.push((entry.path(), true)),
                _ => {}
            }
        }
        content.below.sort_unstable();
        Ok(content)
    }

    fn is_log(&self) -> bool {
        // A new directory has its lock alone, before the first line.
        self.has_log_file || self.has_lock && !self.has_other
    }
}

/// Whether a name is that of an old file: a label, a dot and a suffix.
fn is_old_name(name: &[u8]) -> bool {
    let digits = name.strip_prefix(b"@").unwrap_or_default();
    let (_, length) = Label::read(digits);
    length == TEXT - 1 && digits.get(length) == Some(&b'.')
}

/// The log directories below the directory of a logger, and itself if it is one.
/// A log directory below has no other one below itself. Symbolic links are
/// followed at the first level only. Adds directories that cannot be searched to
/// `unreadable`.
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
    let is_first = depth == MAX_DEPTH;
    // `log` itself is searched in any case.
    let content = match if is_first {
        Ok(false)
    } else {
        has_current(path)
    } {
        Ok(true) => return found.push(path.to_owned()),
        Ok(false) => Content::read(path),
        Err(error) => Err(error),
    };
    let content = match content {
        Ok(content) => content,
        Err(error) => {
            let error = without_directory(error).err();
            unreadable.extend(error.map(|error| (path.to_owned(), error)));
            return;
        }
    };
    if content.is_log() {
        found.push(path.to_owned());
        if !is_first {
            return;
        }
    }
    for (below, is_link) in content.below {
        if depth > 0 && (is_first || !is_link) {
            search(&below, depth - 1, found, unreadable);
        }
    }
}
