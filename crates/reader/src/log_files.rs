//! The files of a log directory in the order of their lines.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use daemontools_core::label::{Label, PACKED};
use logging::names::{CURRENT, PREVIOUS, PROCESSED, Suffix};
use nix::errno::Errno;
use unix::directory::read_entries;
use unix::file::{is_executable_by_owner, open_read, status};

/// The place of a file among the files of its log directory. The order is that
/// of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilePlace {
    /// `@LABEL.SUFFIX`: all lines are at most as late as the label.
    Old(Label),
    /// `previous`, or `processed` without `previous`: the last `current`, before
    /// it gets its label.
    Previous,
    /// `current`.
    Current,
}

impl FilePlace {
    /// The label in the name of an old file.
    pub fn label(self) -> Option<Label> {
        match self {
            FilePlace::Old(label) => Some(label),
            FilePlace::Previous | FilePlace::Current => None,
        }
    }

    /// The place of the file with this name; None for a file without lines.
    ///
    /// svlogd's unfinished output of a processor, `@LABEL.t`, repeats the lines
    /// of `@LABEL.u`, which is removed later.
    pub fn of_name(name: &[u8]) -> Option<Self> {
        if name == CURRENT.to_bytes() {
            return Some(FilePlace::Current);
        }
        if name == PREVIOUS.to_bytes() || name == PROCESSED.to_bytes() {
            return Some(FilePlace::Previous);
        }
        let digits = name.strip_prefix(b"@")?;
        let (label, length) = Label::read(digits);
        let suffix = digits.get(length..).unwrap_or_default();
        let is_old = length == 2 * PACKED
            && (suffix.is_empty() || suffix.starts_with(b"."))
            && suffix.strip_prefix(b".") != Some(Suffix::InProgress.bytes());
        is_old.then_some(FilePlace::Old(label))
    }
}

/// A file in a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// The place in the order.
    pub place: FilePlace,
    /// The name.
    pub name: OsString,
    /// The inode, as the directory names it.
    pub inode: u64,
}

impl LogFile {
    /// `current`, without a listing.
    pub(crate) fn current() -> Self {
        LogFile {
            place: FilePlace::Current,
            name: OsString::from_vec(CURRENT.to_bytes().to_vec()),
            inode: 0,
        }
    }

    /// Orders by place. Of several files with one label, the unprocessed one is
    /// the first, since it has all lines.
    fn compare(&self, other: &LogFile) -> Ordering {
        let key = |file: &LogFile| {
            let name = file.name.as_encoded_bytes();
            let rank = if name.ends_with(b".u") || name == PREVIOUS.to_bytes() {
                0
            } else if name.ends_with(b".s") {
                1
            } else {
                2
            };
            (file.place, rank)
        };
        (key(self), &self.name).cmp(&(key(other), &other.name))
    }
}

/// The number of listings of a directory that changes between system calls.
const LISTINGS: usize = 5;

/// The files of the log directory at `path`, in the order of their lines. Each
/// line stands in one of them, also while a logger renames files and while a
/// processor is running. Errors: as open(2) and getdents64(2).
pub fn list(path: &Path) -> io::Result<Vec<LogFile>> {
    let (mut files, mut is_snapshot) = list_once(path)?;
    // A directory of thousands of files may change between the calls, and a
    // renamed file may then be missing.
    for _ in 1..LISTINGS {
        if is_snapshot {
            break;
        }
        let earlier = std::mem::take(&mut files);
        (files, is_snapshot) = list_once(path)?;
        is_snapshot |= earlier == files;
    }
    Ok(files)
}

/// The files, and whether they are a consistent snapshot.
fn list_once(path: &Path) -> io::Result<(Vec<LogFile>, bool)> {
    let directory = open_read(path)?;
    let mut files = Vec::new();
    let is_snapshot = read_entries(directory.as_fd(), |inode, name| {
        if let Some(place) = FilePlace::of_name(name) {
            let name = OsString::from_vec(name.to_owned());
            files.push(LogFile { place, name, inode });
        }
    })?;
    files.sort_by(LogFile::compare);
    // A processed file has the label of its source in svlogd's directory.
    files.dedup_by(|second, first| {
        second.place == first.place && second.place.label().is_some() || second.inode == first.inode
    });
    drop_processed(path, &mut files);
    Ok((files, is_snapshot))
}

/// Keeps one of `previous`, `processed` and their old file. multilog links
/// `previous` to its label before it removes the name, and finishes `processed`
/// before it removes `previous`.
fn drop_processed(path: &Path, files: &mut Vec<LogFile>) {
    if files.iter().all(|file| file.place != FilePlace::Previous) {
        return;
    }
    // Not only the last one: the clock may have stepped back.
    let is_old = |file: &&LogFile| file.place.label().is_some();
    let old: BTreeSet<_> = files.iter().filter(is_old).map(|file| file.inode).collect();
    let has_previous = files
        .iter()
        .any(|file| file.name == *PREVIOUS.to_string_lossy());
    files.retain(|file| {
        if file.place != FilePlace::Previous {
            return true;
        }
        let is_processed = file.name == *PROCESSED.to_string_lossy();
        // A missing one was finished, and has got its label meanwhile: the reader
        // does not find the file either, and lists the directory again.
        let is_finished = || match status(&path.join(&file.name)) {
            Ok(status) => is_executable_by_owner(&status),
            Err(error) => error == Errno::ENOENT,
        };
        !old.contains(&file.inode) && (!is_processed || (!has_previous && is_finished()))
    });
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const FIRST: &str = "@400000003b9aca0a000001f4";
    const SECOND: &str = "@400000003b9aca0b000001f4";

    /// The names of the listed files, in order.
    fn listed(names: &[&str]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let finished = directory.path().join("processed");
        if finished.exists() && !names.contains(&"unfinished") {
            fs::set_permissions(finished, Permissions::from_mode(0o744)).unwrap();
        }
        let files = list(directory.path()).unwrap();
        let names = files.into_iter().map(|file| file.name.into_string());
        names.map(Result::unwrap).collect()
    }

    #[test]
    fn files_are_in_the_order_of_their_lines() {
        let (first, second) = (format!("{FIRST}.s"), format!("{SECOND}.u"));
        let names = [
            "lock", "current", "state", "config", &second, "previous", &first,
        ];
        assert_eq!(listed(&names), [&first, &second, "previous", "current"]);
        assert_eq!(
            listed(&[FIRST, "@1.s", "@x", "current.gz", "newstate"]),
            [FIRST]
        );
        let gz = format!("{FIRST}.tar.gz");
        assert_eq!(listed(&[&gz, "current"]), [gz.as_str(), "current"]);
    }

    #[test]
    fn lines_of_a_processor_are_listed_once() {
        let [u, t, s, gz] = ["u", "t", "s", "gz"].map(|suffix| format!("{FIRST}.{suffix}"));
        assert_eq!(listed(&[&u, &t]), [u.as_str()]);
        assert_eq!(listed(&[&s, &u]), [u.as_str()]);
        assert_eq!(listed(&[&gz, &s]), [s.as_str()]);
        assert_eq!(listed(&["previous", "processed"]), ["previous"]);
        assert_eq!(listed(&["processed", "current"]), ["processed", "current"]);
        assert!(listed(&["processed", "unfinished"]).is_empty());
    }

    #[test]
    fn previous_with_a_label_is_listed_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("previous"), "").unwrap();
        fs::write(path("current"), "").unwrap();
        fs::hard_link(path("previous"), path(&format!("{FIRST}.s"))).unwrap();
        let names: Vec<_> = list(directory.path())
            .unwrap()
            .into_iter()
            .map(|file| file.name)
            .collect();
        assert_eq!(names, [format!("{FIRST}.s").as_str(), "current"]);
    }
}
