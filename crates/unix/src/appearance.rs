//! Watches for a path that may not exist yet.

use std::collections::VecDeque;
use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::readlink;

use crate::file;

/// The maximum number of symbolic links on the way to a path, as in the kernel.
pub const MAX_LINKS: usize = 40;

/// A file to watch.
#[derive(Clone, Copy, Debug)]
pub enum Watched<'a> {
    /// The path itself.
    Path(&'a CStr),
    /// A directory in which a name on the way to the path may appear.
    Above(&'a Path),
}

/// Watches a path with `watch`, which returns whether the watch exists. While the
/// path does not exist, watches the directories in which the missing name may
/// appear, and those of the links on the way. Their events call for another call.
/// A relative path starts at `base`.
pub fn watch_path<E>(
    base: &Path,
    path: &CStr,
    mut watch: impl FnMut(Watched<'_>) -> Result<bool, E>,
) -> Result<(), E> {
    let mut watched = None;
    while !watch(Watched::Path(path))? {
        let directories = directories_above(base, Path::new(OsStr::from_bytes(path.to_bytes())));
        // A directory that appeared before the watch above it has changed the
        // list.
        if watched.as_ref() == Some(&directories) {
            break;
        }
        for directory in &directories {
            watch(Watched::Above(directory))?;
        }
        watched = Some(directories);
    }
    Ok(())
}

/// The directories of all links on the way to a path, and the one that lacks the
/// first missing name.
fn directories_above(base: &Path, path: &Path) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let mut names = names_of(path);
    let mut current = base.to_owned();
    while let Some(name) = names.pop_front() {
        let next = current.join(&name);
        match readlink(&next) {
            Ok(target) if directories.len() < MAX_LINKS => {
                directories.push(current.clone());
                let mut through = names_of(Path::new(&target));
                through.append(&mut names);
                names = through;
            }
            Ok(_) => break,
            Err(_) if file::link_status(&next).is_ok() => current = next,
            Err(_) => {
                directories.push(current);
                break;
            }
        }
    }
    directories
}

/// The names in a path. The root is a name, which replaces the names before.
fn names_of(path: &Path) -> VecDeque<OsString> {
    path.components()
        .map(Component::as_os_str)
        .map(OsStr::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_and_first_missing_name_are_found() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("web")).unwrap();
        std::fs::create_dir_all(at("run/there")).unwrap();
        symlink("../run/svc/web", at("web/far")).unwrap();
        symlink(at("web/far"), at("run/twice")).unwrap();
        symlink("loop", at("loop")).unwrap();
        let above = |name: &str| directories_above(Path::new("."), &at(name));
        assert_eq!(above("web/supervise"), [at("web")]);
        assert_eq!(above("run/a/b/c"), [at("run")]);
        assert_eq!(above("run/there"), [] as [PathBuf; 0]);
        assert_eq!(above("web/far"), [at("web"), at("web/../run")]);
        assert_eq!(above("run/twice"), [at("run"), at("web"), at("web/../run")]);
        assert_eq!(above("loop").len(), MAX_LINKS);
        assert_eq!(
            directories_above(Path::new("."), Path::new("no/such")),
            [PathBuf::from(".")]
        );
    }

    #[test]
    fn path_that_appears_during_watch_is_watched() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let name = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
        let mut above = Vec::new();
        let watched = watch_path(Path::new("."), &name, |watched| match watched {
            Watched::Path(_) => Ok(path.exists()),
            Watched::Above(directory) => {
                above.push(directory.to_owned());
                // The first directory appears too early for its event.
                let _ = std::fs::create_dir(root.path().join("a"));
                Ok::<_, ()>(true)
            }
        });
        assert_eq!(watched, Ok(()));
        assert_eq!(above, [root.path().to_owned(), root.path().join("a")]);
    }
}
