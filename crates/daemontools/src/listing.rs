//! The services in a directory.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use daemontools_core::names;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::unistd::{fchdir, getcwd};
use unix::cwd::open_directory;
use unix::file::status;

use crate::supervise_dir::SuperviseDirRule;

/// The services in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceListing {
    /// The directory is a scan directory. The names, sorted, of its directories
    /// and symbolic links, except those with a leading dot. Not all of them need
    /// be services.
    Scan(Vec<CString>),
    /// The directory is a service directory. Its name.
    Service(CString),
}

impl ServiceListing {
    /// Lists a directory, which becomes the current one. Returns the listing and
    /// the directory for [`enter`]. Errors: as open(2), readdir(3) and
    /// fchdir(2).
    pub fn read(rule: SuperviseDirRule, path: &CStr) -> Result<(Self, OwnedFd), Errno> {
        let failed = |error| unix::errno(&error);
        let entries = std::fs::read_dir(OsStr::from_bytes(path.to_bytes())).map_err(failed)?;
        let directory = open_directory(AT_FDCWD, path)?;
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
        let is_service = |name: &CStr| is_service(rule, &directory, name);
        // The logger is a part of the service.
        let mut others = names.iter().filter(|name| name.as_c_str() != names::LOG);
        if is_service(c".") && !others.any(|name| is_service(name)) {
            return Ok((ServiceListing::Service(last_name(path)), directory));
        }
        names.sort_unstable();
        Ok((ServiceListing::Scan(names), directory))
    }
}

/// Whether an entry of a directory is a service directory: it has `run`, or a
/// supervise has run there. In a scan directory, services may have these names.
/// Leaves the directory as the current one.
pub fn is_service(rule: SuperviseDirRule, directory: impl AsFd, name: &CStr) -> bool {
    let type_of = |file: &CStr| Some(status(file).ok()?.file_type());
    let has_service_files = || {
        let files = rule.of_current().ok();
        type_of(names::RUN).is_some_and(|of_run| !of_run.is_dir())
            || files.is_some_and(|files| {
                type_of(&files.path(names::OK)).is_some_and(|of_ok| of_ok.is_fifo())
            })
    };
    let entered = enter(&directory, name).is_ok_and(|entered| entered.is_some());
    let is_service = entered && has_service_files();
    let _ = fchdir(directory);
    is_service
}

/// Enters a directory in another one; None if there is none, and so no service.
/// Errors: as open(2) and fchdir(2).
pub fn enter(parent: impl AsFd, name: &CStr) -> Result<Option<OwnedFd>, Errno> {
    let directory = open_directory(parent, name);
    let entered = directory.and_then(|directory| fchdir(&directory).map(|()| directory));
    match entered {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last name in the path of the current directory. If the path ends with
/// `.` or `..`, or has no name: the name of the directory itself.
pub fn last_name(path: &CStr) -> CString {
    let is_name = |name: &&[u8]| !name.is_empty();
    let last = path.to_bytes().split(|&byte| byte == b'/').rfind(is_name);
    match last {
        Some(b"." | b"..") | None => {}
        Some(name) => return CString::new(name).unwrap_or_default(),
    }
    let path = getcwd().ok();
    let name = path.as_deref().and_then(Path::file_name);
    let name = name.and_then(|name| CString::new(name.as_bytes()).ok());
    name.unwrap_or_else(|| c".".to_owned())
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;

    use super::*;
    use testkit::service_files::{Supervised, in_directory, write};

    fn list(path: &CStr) -> ServiceListing {
        let root = std::env::current_dir().unwrap();
        let (listing, _) = ServiceListing::read(SuperviseDirRule::InService, path).unwrap();
        std::env::set_current_dir(root).unwrap();
        listing
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
            assert_eq!(list(c"scan"), ServiceListing::Scan(names.clone()));
            // A scan directory may have a `run`, or be supervised itself.
            make("scan/b/supervise");
            write("scan/b/run", b"");
            write("scan/run", b"");
            assert_eq!(list(c"scan"), ServiceListing::Scan(names));
        });
    }

    #[test]
    fn service_directory_lists_itself() {
        in_directory(|| {
            make("web/log");
            make("web/data");
            write("web/log/run", b"");
            assert!(matches!(list(c"web"), ServiceListing::Scan(_)));
            write("web/run", b"");
            for path in [c"web", c"./web/", c"web/.", c"web/log/.."] {
                assert_eq!(list(path), ServiceListing::Service(c"web".to_owned()));
            }
            std::env::set_current_dir("web").unwrap();
            assert_eq!(list(c"."), ServiceListing::Service(c"web".to_owned()));
            assert_eq!(last_name(c"/"), c"web".to_owned());
            assert_eq!(last_name(c"/a//b//"), c"b".to_owned());
        });
    }

    #[test]
    fn run_or_fifo_ok_makes_a_service() {
        in_directory(|| {
            let is_service = |name: &CStr| {
                let here = open_directory(AT_FDCWD, c".").unwrap();
                is_service(SuperviseDirRule::InService, here, name)
            };
            let root = std::env::current_dir().unwrap();
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
            assert_eq!(std::env::current_dir().unwrap(), root);
        });
    }

    #[test]
    fn entry_that_is_no_directory_is_no_service() {
        in_directory(|| {
            let here = open_directory(AT_FDCWD, c".").unwrap();
            let entered = |name| enter(&here, name).map(|entered| entered.is_some());
            write("file", b"");
            std::os::unix::fs::symlink("loop", "loop").unwrap();
            for name in [c"file", c"loop", c"missing"] {
                assert_eq!(entered(name), Ok(false));
            }
            make("a");
            assert_eq!(entered(c"a"), Ok(true));
            let name = getcwd().unwrap();
            assert_eq!(name.file_name(), Some(OsStr::new("a")));
            assert_eq!(entered(c""), Ok(false));
        });
    }
}
