//! Finds the log directories of an operand: a log directory, a service
//! directory or a scan directory.

mod log_dir;
mod logger;

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use daemontools_core::names;
use nix::errno::Errno;
use nix::unistd::Pid;

use self::log_dir::{MAX_DEPTH, is_log_dir, log_dirs_below};
use self::logger::{log_dirs_of_logger, log_dirs_of_process};
use crate::source::Source;
use daemontools::{Error, ScanDir, ServiceListing, SuperviseDirRule};

/// The kind of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A directory of multilog, svlogd or s6-log.
    LogDir,
    /// A directory with `run`, or in which a supervise has run.
    ServiceDir,
    /// Any other directory, which may have service directories in it.
    ScanDir,
}

/// The log directories of an operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The kind of the operand.
    pub kind: SourceKind,
    /// The log directories, sorted by service. May be empty.
    pub found: Vec<Source>,
    /// Directories that cannot be searched, and the errno of each.
    pub unreadable: Vec<(PathBuf, Errno)>,
    /// The directories where further log directories, or another directory of
    /// the same path, would appear. Some may not exist.
    pub places: Vec<PathBuf>,
}

/// A service, and the directories that its running logger has open.
struct Service {
    name: Vec<u8>,
    path: PathBuf,
    open: Vec<PathBuf>,
}

impl Sources {
    /// The log directories of an operand. Their paths begin with `path`, or are
    /// absolute if a running logger has them open.
    ///
    /// A running logger has the directories that it has open. /proc shows them to
    /// root and to the user of the logger. Other loggers have the directories
    /// below `log`, up to three levels deep. Errors: as open(2) and readdir(3) for the
    /// operand.
    pub fn find(rule: SuperviseDirRule, path: &CStr) -> Result<Self, Errno> {
        let directory = Path::new(OsStr::from_bytes(path.to_bytes()));
        if is_log_dir(directory)? {
            return Ok(Sources {
                kind: SourceKind::LogDir,
                found: vec![Source {
                    service: service_of_log_dir(directory),
                    path: directory.to_owned(),
                }],
                unreadable: Vec::new(),
                places: vec![parent(directory)],
            });
        }
        let (kind, services) = read_services(rule, directory)?;
        let mut sources = Sources {
            kind,
            found: Vec::new(),
            unreadable: Vec::new(),
            places: vec![parent(directory), directory.to_owned()],
        };
        for Service { name, path, open } in services {
            let log = path.join(LOG);
            let supervise = log.join(OsStr::from_bytes(names::SUPERVISE.to_bytes()));
            let log_dirs = match open.as_slice() {
                [] => log_dirs_below(&log, &mut sources.unreadable),
                [..] => open,
            };
            sources
                .places
                .extend(log_dirs.iter().map(|path| parent(path)));
            sources.places.extend([path, log, supervise]);
            let of_service = log_dirs.into_iter().map(|path| Source {
                service: name.clone(),
                path,
            });
            sources.found.extend(of_service);
        }
        Ok(sources)
    }
}

/// The log directories of one logger, which its process has open. Without such a
/// process, the result has the log directories below the service directory `log`,
/// as in [`Sources::find`]. Directories that cannot be searched are left out.
pub fn log_dirs(logger: Option<Pid>, log: &Path) -> Vec<PathBuf> {
    match logger.map_or_else(Vec::new, log_dirs_of_process) {
        none if none.is_empty() => log_dirs_below(log, &mut Vec::new()),
        open => open,
    }
}

/// The directory above a directory. The directory itself has the name `..` for it
/// if its path ends otherwise than with a name.
fn parent(path: &Path) -> PathBuf {
    match (path.file_name(), path.parent()) {
        (Some(_), Some(parent)) if parent.as_os_str().is_empty() => PathBuf::from("."),
        (Some(_), Some(parent)) => parent.to_owned(),
        _ => path.join(".."),
    }
}

/// [`names::LOG`] as a part of paths.
const LOG: &str = "log";

fn errno(error: &Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

/// The services of a directory and the open directories of their loggers.
fn read_services(
    rule: SuperviseDirRule,
    directory: &Path,
) -> Result<(SourceKind, Vec<Service>), Errno> {
    let scan_dir = ScanDir::open_with(rule, directory);
    let scan_dir = scan_dir.map_err(|error| errno(&error))?;
    let service = |name: &CStr, path: PathBuf, entry: &CStr| Service {
        name: name.to_bytes().to_owned(),
        path,
        open: log_dirs_of_logger(&scan_dir, entry),
    };
    Ok(match scan_dir.listing() {
        ServiceListing::Service(name) => {
            let service = service(name, directory.to_owned(), c".");
            (SourceKind::ServiceDir, vec![service])
        }
        ServiceListing::Scan(names) => {
            let path = |name: &CStr| directory.join(OsStr::from_bytes(name.to_bytes()));
            let services = names.iter().map(|name| service(name, path(name), name));
            (SourceKind::ScanDir, services.collect())
        }
    })
}

/// The name of the service of a log directory: `web` for `web/log/main` and
/// other directories below `log`; otherwise the name of the directory.
fn service_of_log_dir(path: &Path) -> Vec<u8> {
    // The path as given has the name of the service, even if `main` is a
    // symbolic link.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let normal = match absolute.components().next_back() {
        Some(std::path::Component::ParentDir) => absolute.canonicalize().unwrap_or(absolute),
        _ => absolute,
    };
    let is_log = |path: &&Path| {
        path.file_name() == Some(OsStr::new(LOG))
            && path.join(OsStr::from_bytes(names::RUN.to_bytes())).exists()
    };
    let log = normal.ancestors().take(1 + MAX_DEPTH).find(is_log);
    let name = log
        .and_then(Path::parent)
        .and_then(Path::file_name)
        .or(normal.file_name());
    name.map_or(b"/".to_vec(), |name| name.as_bytes().to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::fs::{create_dir_all, write};
    use std::os::unix::fs::symlink;

    use super::*;

    // `Sources::find` changes the current directory of the process, which all
    // tests share. The paths here are absolute.
    fn find(path: &Path) -> (SourceKind, Vec<(String, String)>) {
        let operand = CString::new(path.as_os_str().as_bytes()).unwrap();
        let sources = Sources::find(SuperviseDirRule::InService, &operand).unwrap();
        assert_eq!(sources.unreadable, []);
        let found = sources.found.into_iter().map(|source| {
            let below = source.path.strip_prefix(path).unwrap();
            (
                String::from_utf8(source.service).unwrap(),
                below.to_str().unwrap().to_owned(),
            )
        });
        (sources.kind, found.collect())
    }

    fn file(path: &Path) {
        create_dir_all(path.parent().unwrap()).unwrap();
        write(path, "").unwrap();
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(service, path): &(&str, &str)| ((*service).to_owned(), (*path).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn log_directories_are_known_by_their_files() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for name in [
            "multilog/current",
            "fresh/lock",
            "old/@400000004d52960a0ebe121c.s",
        ] {
            file(&path(name));
            let directory = path(name).parent().unwrap().to_owned();
            let name = directory.file_name().unwrap().to_str().unwrap();
            let wanted = (SourceKind::LogDir, pairs(&[(name, "")]));
            assert_eq!(find(&directory), wanted);
        }
        for name in [
            "supervise/lock",
            "supervise/ok",
            "other/@4000.s",
            "d/lock",
            "d/run",
        ] {
            file(&path(name));
        }
        for name in ["supervise", "other", "d"] {
            assert_ne!(find(&path(name)).0, SourceKind::LogDir, "{name}");
        }
    }

    #[test]
    fn loggers_have_the_directories_below_log() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for name in [
            "away/current",
            "web/run",
            "web/log/run",
            "web/log/main/current",
            "web/log/a/b/c/current",
            "web/log/a/b/c/d/current",
            "web/log/supervise/lock",
            "db/run",
            "db/log/run",
            "db/log/current",
            "none/run",
        ] {
            file(&path(name));
        }
        symlink(path("away"), path("web/log/link")).unwrap();
        symlink(path("web/log"), path("web/log/a/loop")).unwrap();
        let web = [
            ("web", "web/log/a/b/c"),
            ("web", "web/log/link"),
            ("web", "web/log/main"),
        ];
        let all = [&[("db", "db/log")][..], &web].concat();
        assert_eq!(find(place.path()), (SourceKind::ScanDir, pairs(&all)));
        let of_web = web.map(|(name, path)| (name, &path[4..]));
        assert_eq!(find(&path("web")), (SourceKind::ServiceDir, pairs(&of_web)));
        assert_eq!(find(&path("none")), (SourceKind::ServiceDir, pairs(&[])));
    }

    #[test]
    fn log_directory_has_the_name_of_its_service() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for name in ["web/log/run", "web/log/main/current", "var/log/db/current"] {
            file(&path(name));
        }
        let name = |name: &str| String::from_utf8(service_of_log_dir(&path(name))).unwrap();
        assert_eq!(name("web/log/main"), "web");
        assert_eq!(name("web/log/main/../main/."), "web");
        assert_eq!(name("web/log/main/.."), "web");
        assert_eq!(name("var/log/db/"), "db");
    }

    #[test]
    fn operand_that_is_no_directory_is_an_error() {
        let place = tempfile::tempdir().unwrap();
        file(&place.path().join("file"));
        let find = |name: &str| {
            let path = place.path().join(name);
            let operand = CString::new(path.as_os_str().as_bytes()).unwrap();
            Sources::find(SuperviseDirRule::InService, &operand).map(|sources| sources.kind)
        };
        assert_eq!(find("none"), Err(Errno::ENOENT));
        assert_eq!(find("file"), Err(Errno::ENOTDIR));
    }
}
