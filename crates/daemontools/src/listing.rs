//! The services in a directory.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use daemontools_core::names;
use unix::file::{exists_in, status};

use crate::error::{Cause, Error, Operation};
use crate::service::Service;
use crate::supervise_dir::{OpenDir, SuperviseDirRule};

/// The services in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum ServiceListing {
    /// The directory is a scan directory. The names, sorted, of its directories
    /// and symbolic links, except those with a leading dot. Not all of them need
    /// be services.
    Scan(Vec<CString>),
    /// The directory is a service directory. Its name.
    Service(CString),
}

/// An open directory of services: a scan directory, or a service directory in its
/// place.
#[derive(Debug)]
pub struct ScanDir {
    directory: OpenDir,
    path: PathBuf,
    rule: SuperviseDirRule,
    listing: ServiceListing,
}

impl ScanDir {
    /// Opens and lists a directory. The environment variable `SUPERVISEDIR` has the
    /// rule.
    ///
    /// # Errors
    /// As open(2) and readdir(3); a `SUPERVISEDIR` that leads out of the service
    /// directories.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        ScanDir::open_with(SuperviseDirRule::read()?, path)
    }

    /// As [`ScanDir::open`], with a rule.
    ///
    /// # Errors
    /// As open(2) and readdir(3).
    pub fn open_with(rule: SuperviseDirRule, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed =
            |error| Error::of_directory(Operation::List, path, Cause::Os(unix::errno(&error)));
        let entries = std::fs::read_dir(path).map_err(failed)?;
        let directory = OpenDir::open_for_entries(path)
            .map_err(|error| Error::of_directory(Operation::Enter, path, Cause::Os(error)))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let may_be_a_service = entry
                .file_type()
                .is_ok_and(|kind| kind.is_dir() || kind.is_symlink());
            let name = entry.file_name().into_vec();
            if may_be_a_service && !name.starts_with(b".") {
                names.extend(CString::new(name));
            }
        }
        let mut scan_dir = ScanDir {
            directory,
            path: path.to_owned(),
            rule,
            listing: ServiceListing::Scan(Vec::new()),
        };
        // The logger is a part of the service.
        let mut others = names.iter().filter(|name| name.as_c_str() != names::LOG);
        let is_service = |name: &CStr| scan_dir.is_service(name);
        scan_dir.listing = if is_service(c".") && !others.any(|name| is_service(name)) {
            ServiceListing::Service(last_name(path))
        } else {
            names.sort_unstable();
            ServiceListing::Scan(names)
        };
        Ok(scan_dir)
    }

    /// The services.
    #[must_use]
    pub fn listing(&self) -> &ServiceListing {
        &self.listing
    }

    pub(crate) fn directory(&self) -> &OpenDir {
        &self.directory
    }

    /// Opens the directory of an entry; None if there is none, and so no service.
    ///
    /// # Errors
    /// As [`Service::open`].
    pub fn entry(&self, name: impl AsRef<OsStr>) -> Result<Option<Service>, Error> {
        let name = Path::new(name.as_ref());
        let path = match name.as_os_str().as_bytes() {
            b"." => self.path.clone(),
            _ => self.path.join(name),
        };
        Service::open_in(self.rule, self.directory.as_fd(), name, path)
    }

    /// Opens the services of the listing, in its order, and their loggers: each
    /// service precedes its logger. Entries that are no service directories, such as
    /// other directories, are left out.
    ///
    /// # Errors
    /// Each item is an error of its own, as of [`Service::open`].
    pub fn services(&self) -> impl Iterator<Item = Result<Service, Error>> {
        let names: Vec<&CStr> = match &self.listing {
            ServiceListing::Scan(names) => names.iter().map(CString::as_c_str).collect(),
            ServiceListing::Service(_) => vec![c"."],
        };
        let entry = |name: &CStr| self.entry(OsStr::from_bytes(name.to_bytes())).transpose();
        let with_logger = |service: Result<Service, Error>| {
            let logger = service.as_ref().ok().map(Service::logger);
            let logger = logger.and_then(Result::transpose);
            std::iter::once(service).chain(logger)
        };
        let is_service =
            |service: &Result<Service, Error>| service.as_ref().map_or(true, Service::exists);
        names
            .into_iter()
            .filter_map(entry)
            .flat_map(with_logger)
            .filter(is_service)
    }

    /// Whether an entry is a service directory. In a scan directory, services may
    /// have the names of the files of a service.
    fn is_service(&self, name: &CStr) -> bool {
        let entry = self.entry(OsStr::from_bytes(name.to_bytes()));
        entry.is_ok_and(|service| service.is_some_and(|service| service.exists()))
    }
}

impl Service {
    /// Whether the directory has `run`, or a supervise has run in it.
    #[must_use]
    pub fn exists(&self) -> bool {
        let type_of = |file: &CStr| {
            // A scan directory has neither file, and then needs no path in /proc.
            let exists = exists_in(self.files.service(), file);
            exists.is_ok_and(|exists| exists).then_some(())?;
            Some(status(&*self.files.reach(file)).ok()?.file_type())
        };
        type_of(names::RUN).is_some_and(|of_run| !of_run.is_dir())
            || type_of(&self.files.path(names::OK)).is_some_and(|of_ok| of_ok.is_fifo())
    }
}

/// The last name in a path. If the path ends with `.` or `..`, or has no name: the
/// name of the directory itself.
fn last_name(path: &Path) -> CString {
    let bytes = path.as_os_str().as_bytes();
    let is_name = |name: &&[u8]| !name.is_empty();
    let last = bytes.split(|&byte| byte == b'/').rfind(is_name);
    match last {
        Some(b"." | b"..") | None => {}
        Some(name) => return CString::new(name).unwrap_or_default(),
    }
    let path = path.canonicalize().ok();
    let name = path.as_deref().and_then(Path::file_name);
    let name = name.and_then(|name| CString::new(name.as_bytes()).ok());
    name.unwrap_or_else(|| c".".to_owned())
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;

    use super::*;
    use testkit::service_files::{Supervised, in_directory, write};

    fn open(path: &str) -> ScanDir {
        ScanDir::open_with(SuperviseDirRule::InService, path).unwrap()
    }

    fn list(path: &str) -> ServiceListing {
        open(path).listing().clone()
    }

    fn make(path: &str) {
        std::fs::create_dir_all(path).unwrap();
    }

    #[test]
    fn scan_directory_lists_directories_and_links() {
        in_directory(|| {
            make("scan/b");
            make("scan/.hidden");
            make("scan/c");
            write("scan/file", b"");
            std::os::unix::fs::symlink("/nowhere", "scan/a").unwrap();
            let names = [c"a", c"b", c"c"].map(CStr::to_owned).to_vec();
            assert_eq!(list("scan"), ServiceListing::Scan(names.clone()));
            // A scan directory may have a `run`, or be supervised itself.
            make("scan/b/supervise");
            write("scan/b/run", b"");
            write("scan/run", b"");
            assert_eq!(list("scan"), ServiceListing::Scan(names));
        });
    }

    #[test]
    fn service_directory_lists_itself() {
        in_directory(|| {
            make("web/log");
            make("web/data");
            write("web/log/run", b"");
            assert!(matches!(list("web"), ServiceListing::Scan(_)));
            write("web/run", b"");
            for path in ["web", "./web/", "web/.", "web/log/.."] {
                assert_eq!(list(path), ServiceListing::Service(c"web".to_owned()));
            }
            std::env::set_current_dir("web").unwrap();
            assert_eq!(list("."), ServiceListing::Service(c"web".to_owned()));
            assert_eq!(last_name(Path::new("/")), c".".to_owned());
            assert_eq!(last_name(Path::new("/a//b//")), c"b".to_owned());
        });
    }

    #[test]
    fn run_or_fifo_ok_makes_a_service() {
        in_directory(|| {
            let is_service = |name: &CStr| open(".").is_service(name);
            make("a/run");
            assert!(!is_service(c"a") && !is_service(c"missing"));
            make("b/supervise");
            write("b/supervise/ok", b"");
            assert!(!is_service(c"b"));
            drop(Supervised::new("c"));
            assert!(is_service(c"c"));
            make("d");
            write("d/run", b"");
            assert!(is_service(c"d"));
            nix::unistd::mkfifo("run", Mode::S_IRUSR).unwrap();
            assert!(is_service(c"."));
        });
    }

    #[test]
    fn entry_that_is_no_directory_is_no_service() {
        in_directory(|| {
            let here = open(".");
            let entered = |name: &str| here.entry(name).unwrap().is_some();
            write("file", b"");
            std::os::unix::fs::symlink("loop", "loop").unwrap();
            for name in ["file", "loop", "missing", ""] {
                assert!(!entered(name), "{name}");
            }
            make("a");
            assert!(entered("a"));
            assert!(here.entry(".").unwrap().is_some());
        });
    }

    #[test]
    fn logger_follows_its_service() {
        in_directory(|| {
            make("scan/web/log");
            make("scan/other");
            make("scan/db");
            for name in ["web", "web/log", "db"] {
                write(&format!("scan/{name}/run"), b"");
            }
            let paths = |path: &str| {
                let scan_dir = open(path);
                let services = scan_dir.services().map(|service| service.unwrap());
                services
                    .map(|service| service.path().to_owned())
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                paths("scan"),
                ["scan/db", "scan/web", "scan/web/log"].map(PathBuf::from)
            );
            assert_eq!(
                paths("scan/web"),
                ["scan/web", "scan/web/log"].map(PathBuf::from)
            );
        });
    }
}
