//! The supervise directory of a service: the directory of the lock, the FIFOs,
//! the status and all other files of supervise or runsv. This module alone
//! decides where it is.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use daemontools_core::names;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::unistd::{AccessFlags, access, getcwd};
use unix::cwd::open_directory;
use unix::file;
use unix::start;

use crate::error::{Cause, Error, Operation};

/// The rule for the supervise directories of all services. The environment
/// variable `SUPERVISEDIR` changes it, as in daemontools-encore. runit's programs
/// know [`IN_SERVICE`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum SuperviseDirRule {
    /// [`IN_SERVICE`]: the variable is unset or empty.
    InService,
    /// The variable is relative: a path in the service directory, without `..`.
    Relative(&'static [u8]),
    /// The variable is absolute: a directory with one entry for each service.
    Central(&'static [u8]),
}

impl SuperviseDirRule {
    /// Reads the variable, once in the life of the process.
    ///
    /// # Errors
    /// A relative value with a component `..`: the services of a scan directory
    /// would share one supervise directory.
    pub fn from_environment() -> Result<Self, SuperviseDirError> {
        let path = if start::has_arguments() {
            start::variable(b"SUPERVISEDIR").unwrap_or_default()
        } else {
            of_process()
        };
        SuperviseDirRule::of_value(path).ok_or(SuperviseDirError { path })
    }

    /// As [`SuperviseDirRule::from_environment`].
    pub(crate) fn read() -> Result<Self, Error> {
        SuperviseDirRule::from_environment().map_err(|error| {
            let path = Path::new(OsStr::from_bytes(error.path));
            Error::of_directory(Operation::Environment, path, Cause::LeadsOut)
        })
    }

    /// The rule of a value of the variable; None if the value leads out of the
    /// service directory.
    fn of_value(path: &'static [u8]) -> Option<Self> {
        if path.is_empty() {
            Some(SuperviseDirRule::InService)
        } else if path.starts_with(b"/") {
            Some(SuperviseDirRule::Central(path))
        } else {
            let leads_out = path.split(|&byte| byte == b'/').any(|name| name == b"..");
            (!leads_out).then_some(SuperviseDirRule::Relative(path))
        }
    }

    /// The supervise directory of the service in the current directory.
    ///
    /// # Errors
    /// As getcwd(3).
    pub fn of_current(self) -> io::Result<SuperviseDir> {
        let path = || Ok(getcwd()?.into_os_string().into_vec());
        self.of_service(None, path).map_err(io::Error::from)
    }

    /// The supervise directory of a service. `path` is its path without links.
    fn of_service(
        self,
        service: Option<Arc<OpenDir>>,
        path: impl FnOnce() -> Result<Vec<u8>, Errno>,
    ) -> Result<SuperviseDir, Errno> {
        let path = match self {
            SuperviseDirRule::InService => None,
            // A rule of another program can be that of no value: an empty path would
            // lead to the root directory.
            SuperviseDirRule::Relative(value) | SuperviseDirRule::Central(value)
                if SuperviseDirRule::of_value(value) != Some(self) =>
            {
                return Err(Errno::EINVAL);
            }
            SuperviseDirRule::Relative(path) => Some(path.to_vec()),
            SuperviseDirRule::Central(above) => Some(central_path(above, &path()?)),
        };
        let path = path.map(CString::new).transpose();
        Ok(SuperviseDir {
            service,
            path: path.map_err(|_| Errno::EINVAL)?,
            kept: Vec::new(),
        })
    }

    /// The supervise directory of an open service directory, which the process calls
    /// `path`. Errors: as realpath(3).
    pub(crate) fn of_open(self, service: OpenDir, path: &Path) -> Result<SuperviseDir, Errno> {
        let canonical = || {
            let path = path.canonicalize().map_err(|error| unix::errno(&error))?;
            Ok(path.into_os_string().into_vec())
        };
        self.of_service(Some(Arc::new(service)), canonical)
    }
}

/// The variable of a process with Rust's usual start. Read once.
fn of_process() -> &'static [u8] {
    static VALUE: OnceLock<Vec<u8>> = OnceLock::new();
    VALUE.get_or_init(|| {
        let value = std::env::var_os("SUPERVISEDIR");
        value.map(OsString::into_vec).unwrap_or_default()
    })
}

/// A value of `SUPERVISEDIR` that leads out of the service directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuperviseDirError {
    path: &'static [u8],
}

impl SuperviseDirError {
    /// The message, which ends with the value.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let error = "SUPERVISEDIR leads out of the service directory: ";
        [error.as_bytes(), self.path].concat()
    }
}

/// `SUPERVISEDIR leads out of the service directory: ../state`.
impl fmt::Display for SuperviseDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.message()))
    }
}

impl std::error::Error for SuperviseDirError {}

/// The path of the supervise directory of a service in `above`, as in
/// daemontools-encore: each slash in the path of the service, except the first,
/// becomes a colon.
fn central_path(above: &[u8], service: &[u8]) -> Vec<u8> {
    let service = service.strip_prefix(b"/").unwrap_or(service);
    let colons = service
        .iter()
        .map(|&byte| if byte == b'/' { b':' } else { byte });
    [above, b"/"].concat().into_iter().chain(colons).collect()
}

/// A directory, open.
#[derive(Debug)]
pub(crate) struct OpenDir {
    directory: OwnedFd,
    /// The path as the process calls the directory.
    path: PathBuf,
    /// The path for calls that take no descriptor.
    reached: OnceLock<PathBuf>,
}

impl OpenDir {
    /// Opens a directory in another one, which the process calls `path`. Errors: as
    /// openat(2), EACCES without the permission to enter the directory.
    pub(crate) fn open(parent: BorrowedFd<'_>, name: &Path, path: &Path) -> Result<Self, Errno> {
        let bytes = name.as_os_str().as_bytes();
        // The name "." in the directory calls for the permission to enter it.
        let inside = if bytes.is_empty() {
            bytes.to_vec()
        } else {
            [bytes, b"/."].concat()
        };
        let directory = match open_directory(parent, inside.as_slice()) {
            // Without these two bytes, the path may be short enough.
            Err(Errno::ENAMETOOLONG) => open_directory(open_directory(parent, bytes)?, c"."),
            directory => directory,
        };
        Ok(OpenDir::of_descriptor(directory?, path))
    }

    /// Opens a directory, for its entries. Errors: as openat(2).
    pub(crate) fn open_for_entries(path: &Path) -> Result<Self, Errno> {
        let directory = open_directory(AT_FDCWD, path)?;
        Ok(OpenDir::of_descriptor(directory, path))
    }

    fn of_descriptor(directory: OwnedFd, path: &Path) -> Self {
        OpenDir {
            directory,
            path: path.to_owned(),
            reached: OnceLock::new(),
        }
    }

    /// The path for calls that take no descriptor: that of the descriptor in /proc,
    /// which stays valid after a rename.
    pub(crate) fn path(&self) -> &Path {
        self.reached.get_or_init(|| {
            let own = PathBuf::from(format!("/proc/self/fd/{}", self.directory.as_raw_fd()));
            let is_known = access(&own, AccessFlags::F_OK).is_ok();
            if is_known { own } else { self.path.clone() }
        })
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// The path of a relative path in the directory, for calls that take no
    /// descriptor.
    pub(crate) fn reach(&self, path: &CStr) -> CString {
        let bytes = [self.path().as_os_str().as_bytes(), b"/", path.to_bytes()].concat();
        CString::new(bytes).unwrap_or_default()
    }
}

/// The supervise directory of a service, or of its logger. A relative path
/// starts at the service directory.
#[derive(Clone, Debug)]
pub struct SuperviseDir {
    /// The service directory. None: the current directory.
    service: Option<Arc<OpenDir>>,
    /// None: `supervise`.
    path: Option<CString>,
    /// The paths of files, made in advance.
    kept: Vec<(&'static CStr, CString)>,
}

/// The directory `supervise` in the service directory, as in 0.76 and runit. The
/// service directory is the current one.
pub static IN_SERVICE: SuperviseDir = SuperviseDir {
    service: None,
    path: None,
    kept: Vec::new(),
};

impl SuperviseDir {
    /// The service directory.
    pub(crate) fn service(&self) -> BorrowedFd<'_> {
        self.service
            .as_ref()
            .map_or(AT_FDCWD, |service| service.as_fd())
    }

    /// The directory `supervise` of the same service, which s6 uses in any case.
    pub(crate) fn in_service(&self) -> Self {
        SuperviseDir {
            service: self.service.clone(),
            path: None,
            kept: Vec::new(),
        }
    }

    /// The path of the service directory for calls that take no descriptor.
    pub(crate) fn service_path(&self) -> &Path {
        let service = self.service.as_ref();
        service.map_or(Path::new("."), |service| service.path())
    }

    /// A path that starts at the service directory, for calls that take no descriptor.
    pub(crate) fn reach<'a>(&self, path: &'a CStr) -> Cow<'a, CStr> {
        match &self.service {
            Some(service) if !path.to_bytes().starts_with(b"/") => Cow::Owned(service.reach(path)),
            Some(_) | None => Cow::Borrowed(path),
        }
    }

    pub(crate) fn open_read(&self, name: &'static CStr) -> Result<OwnedFd, Errno> {
        let path = self.path(name);
        match &self.service {
            Some(service) => file::open_read_in(service.as_fd(), &path),
            None => file::open_read(&*path),
        }
    }

    pub(crate) fn open_write(&self, name: &'static CStr) -> Result<OwnedFd, Errno> {
        let path = self.path(name);
        match &self.service {
            Some(service) => file::open_write_in(service.as_fd(), &path),
            None => file::open_write(&*path),
        }
    }

    /// Whether the directory is another one than [`IN_SERVICE`].
    pub fn is_moved(&self) -> bool {
        self.path.is_some()
    }

    /// Makes the paths of all files of supervise in advance, for a program that must
    /// not allocate memory later.
    pub fn keep_paths(&mut self) {
        if self.is_moved() {
            let paths = names::SUPERVISE_FILES.map(|name| (name, self.path(name).into_owned()));
            self.kept = paths.into();
        }
    }

    /// Whether the path of the directory starts at the service directory.
    pub fn is_in_service(&self) -> bool {
        let path = self.path.as_ref();
        path.is_none_or(|path| !path.to_bytes().starts_with(b"/"))
    }

    /// The path of a file that [`names`] lists in [`names::SUPERVISE`], or of the
    /// supervise directory itself. Other names, such as those of
    /// [`names::LOGGER`], stay as they are.
    #[must_use]
    pub fn path(&self, name: &'static CStr) -> Cow<'_, CStr> {
        if let Some((_, path)) = self.kept.iter().find(|(kept, _)| *kept == name) {
            return Cow::Borrowed(path);
        }
        let moved = self.path.as_ref().and_then(|path| {
            let rest = name.to_bytes().strip_prefix(names::SUPERVISE.to_bytes())?;
            let is_inside = rest.is_empty() || rest.starts_with(b"/");
            is_inside.then(|| CString::new([path.to_bytes(), rest].concat()).unwrap_or_default())
        });
        moved.map_or(Cow::Borrowed(name), Cow::Owned)
    }

    /// The name of a file of the service in messages. `service` is the service
    /// directory as the user calls it.
    #[must_use]
    pub fn display(&self, service: &CStr, name: &'static CStr) -> Vec<u8> {
        self.display_bytes(service.to_bytes(), name)
    }

    pub(crate) fn display_bytes(&self, service: &[u8], name: &'static CStr) -> Vec<u8> {
        let path = self.path(name);
        if path.to_bytes().starts_with(b"/") {
            path.to_bytes().to_vec()
        } else if path.is_empty() {
            service.to_vec()
        } else {
            [service, b"/", path.to_bytes()].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::service_files::in_directory;

    fn at(path: &CStr) -> SuperviseDir {
        SuperviseDir {
            service: None,
            path: Some(path.to_owned()),
            kept: Vec::new(),
        }
    }

    #[test]
    fn value_is_a_rule_unless_it_leads_out() {
        let rule = SuperviseDirRule::of_value;
        assert_eq!(rule(b""), Some(SuperviseDirRule::InService));
        for path in [&b"/run/svc"[..], b"/", b"/run/../svc"] {
            assert_eq!(rule(path), Some(SuperviseDirRule::Central(path)));
        }
        for path in [&b".state"[..], b"a/b", b"..a", b"a..", b"./a"] {
            assert_eq!(rule(path), Some(SuperviseDirRule::Relative(path)));
        }
        for path in [&b".."[..], b"../a", b"a/..", b"a/../b"] {
            assert_eq!(rule(path), None);
        }
    }

    #[test]
    fn rule_of_no_value_is_refused() {
        in_directory(|| {
            for rule in [
                SuperviseDirRule::Relative(b""),
                SuperviseDirRule::Relative(b"/run"),
                SuperviseDirRule::Relative(b"a/../.."),
                SuperviseDirRule::Relative(b"a\0b"),
                SuperviseDirRule::Central(b""),
                SuperviseDirRule::Central(b"run"),
                SuperviseDirRule::Central(b"/run\0"),
            ] {
                let error = crate::Service::open_with(rule, ".").unwrap_err();
                assert_eq!(error.raw_os_error(), Some(Errno::EINVAL as i32));
                assert_eq!(error.operation(), Operation::Locate);
                assert!(rule.of_current().is_err());
            }
        });
    }

    #[test]
    fn rules_but_the_first_move_the_directory() {
        in_directory(|| {
            let in_service = SuperviseDirRule::InService.of_current().unwrap();
            assert!(!in_service.is_moved());
            let relative = SuperviseDirRule::Relative(b".state").of_current().unwrap();
            assert_eq!(
                (relative.is_moved(), &*relative.path(names::OK)),
                (true, c".state/ok")
            );
            let central = SuperviseDirRule::Central(b"/run/svc").of_current().unwrap();
            let here = getcwd().unwrap().into_os_string().into_vec();
            let expected = CString::new(central_path(b"/run/svc", &here)).unwrap();
            assert_eq!((central.is_moved(), central.path), (true, Some(expected)));
        });
    }

    #[test]
    fn central_path_replaces_each_slash_but_the_first() {
        let path = |above: &str, service: &str| {
            String::from_utf8(central_path(above.as_bytes(), service.as_bytes())).unwrap()
        };
        assert_eq!(path("/run/svc", "/etc/sv/web"), "/run/svc/etc:sv:web");
        assert_eq!(path("/run/svc/", "/web/log"), "/run/svc//web:log");
        assert_eq!(path("/run", "/a:b/c\nd"), "/run/a:b:c\nd");
        assert_eq!(path("/run", "/"), "/run/");
    }

    #[test]
    fn files_of_supervise_alone_move() {
        let moved = at(c"/run/svc/web");
        let mut kept = moved.clone();
        kept.keep_paths();
        for (name, path) in [
            (names::SUPERVISE, c"/run/svc/web"),
            (names::LOCK, c"/run/svc/web/lock"),
            (names::STATE.new, c"/run/svc/web/state.new"),
            (names::RUN, c"run"),
            (names::LOGGER.lock, c"log/supervise/lock"),
            (c"supervised", c"supervised"),
        ] {
            assert_eq!(*moved.path(name), *path);
            assert_eq!(*kept.path(name), *path);
            assert_eq!(*IN_SERVICE.path(name), *name);
        }
    }

    #[test]
    fn relative_paths_begin_with_the_service() {
        for (dir, name, shown) in [
            (&IN_SERVICE, names::LOCK, "web/supervise/lock"),
            (&at(c".state"), names::LOCK, "web/.state/lock"),
            (&at(c"/run/web"), names::LOCK, "/run/web/lock"),
            (&at(c"/run/web"), names::NOTIFY, "web/notify"),
            (&at(c"/run/web"), c"", "web"),
        ] {
            assert_eq!(dir.display(c"web", name), shown.as_bytes());
        }
    }
}
