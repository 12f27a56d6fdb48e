//! A directory for the log directories of a unit test.

use std::cell::RefCell;
use std::ffi::CStr;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use daemontools_core::label::TEXT;
use tempfile::TempDir;

use crate::directory::{Context, LockedLogDir, LogDir};
use crate::event::{LogReport, OnError};
use crate::policy::{LogDirConfig, LogPolicy};

/// All threads of the tests share the current directory.
static CURRENT_DIRECTORY: Mutex<()> = Mutex::new(());

thread_local! {
    static REPORTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A temporary directory, which is the current directory until a log directory is
/// entered.
pub(crate) struct Scene {
    place: TempDir,
    origin: File,
    _lock: MutexGuard<'static, ()>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let lock = CURRENT_DIRECTORY.lock();
        REPORTS.take();
        let place = tempfile::tempdir().unwrap();
        std::env::set_current_dir(&place).unwrap();
        Scene {
            origin: File::open(place.path()).unwrap(),
            place,
            _lock: lock.unwrap_or_else(PoisonError::into_inner),
        }
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            origin: self.origin.as_fd(),
            environment: &[],
            report,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Writes a file. A finished one is executable.
    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Opens a log directory.
    pub(crate) fn open(
        &self,
        policy: LogPolicy,
        name: &'static CStr,
        config: LogDirConfig,
    ) -> LogDir<'_> {
        let context = self.context();
        let locked = LockedLogDir::enter(policy, name, context).unwrap();
        locked.open(config).unwrap()
    }

    /// The files of a log directory but the lock: mode, name and text. An old file has
    /// its suffix as its name, in the order of the labels.
    pub(crate) fn files(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "lock")
            .collect();
        names.sort();
        let shown = names.iter().map(|name| {
            let path = self.path(directory).join(name);
            let mode = fs::metadata(&path).unwrap().mode() & 0o777;
            let text = fs::read_to_string(path).unwrap();
            let name = if name.starts_with('@') {
                &name[TEXT..]
            } else {
                name
            };
            format!("{mode:o} {name} {text:?}")
        });
        shown.collect()
    }

    /// The reports since the last call: the kind of an event, or the step of an error.
    pub(crate) fn reports() -> Vec<String> {
        REPORTS.take()
    }
}

pub(crate) fn report(report: &LogReport<'_>) {
    let text = match report {
        LogReport::Event(_, event) => {
            let text = format!("{event:?}");
            text.split('(').next().unwrap_or_default().to_owned()
        }
        LogReport::Error(error) => {
            assert!(error.on_error != OnError::Retry, "{error:?}");
            format!("{:?}", error.step)
        }
    };
    REPORTS.with_borrow_mut(|reports| reports.push(text));
}
