//! Properties of a service that only the metrics show.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use daemontools::{DeathRecord, Label, Service};
use nix::unistd::Pid;
use reader::log_files::FilePlace;
use reader::sources::log_dirs;

/// The properties of a service or logger. None: unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Details {
    /// Whether supervise starts the service by itself.
    pub(crate) normally_up: Option<bool>,
    /// The last exits, of supervise -e.
    pub(crate) deaths: Option<Vec<DeathRecord>>,
    /// The log directories of a logger.
    pub(crate) logs: Vec<LogDirDetails>,
}

/// A log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogDirDetails {
    /// The absolute path.
    pub(crate) path: PathBuf,
    /// The size of all log files in bytes.
    pub(crate) bytes: u64,
    /// The time of the last write to `current`.
    pub(crate) last_write: Option<Label>,
}

impl Details {
    /// Reads the properties of a service.
    pub(crate) fn of_service(service: &Service) -> Self {
        Details {
            normally_up: service.is_normally_up().ok(),
            deaths: service.deaths().ok(),
            logs: Vec::new(),
        }
    }

    /// As [`Details::of_service`], of a logger with the process `pid`, if it runs.
    pub(crate) fn of_logger(logger: &Service, pid: Option<i32>) -> Self {
        let paths = log_dirs(pid.map(Pid::from_raw), logger.path());
        let paths = paths.into_iter();
        let absolute = paths.filter_map(|path| path.canonicalize().ok());
        Details {
            logs: absolute.filter_map(read_directory).collect(),
            ..Details::of_service(logger)
        }
    }
}

/// The properties of a log directory; None if it cannot be read.
fn read_directory(path: PathBuf) -> Option<LogDirDetails> {
    let mut bytes: u64 = 0;
    let mut last_write = None;
    for entry in fs::read_dir(&path).ok()?.flatten() {
        let place = FilePlace::of_name(entry.file_name().as_bytes());
        let Some(place) = place else { continue };
        // A rotation may remove the file.
        let Ok(status) = entry.metadata() else {
            continue;
        };
        bytes = bytes.saturating_add(status.size());
        if place == FilePlace::Current {
            let nanoseconds = u32::try_from(status.mtime_nsec()).unwrap_or_default();
            last_write = Label::from_unix_nanoseconds(status.mtime(), nanoseconds);
        }
    }
    Some(LogDirDetails {
        path,
        bytes,
        last_write,
    })
}
