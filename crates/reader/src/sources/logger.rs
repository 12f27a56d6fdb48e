//! The log directories of a running logger.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use daemontools::ScanDir;
use daemontools_core::status::{self, Status};
use logging::names::{CURRENT, LOCK};
use nix::unistd::Pid;
use unix::process::{children, proc_path};

use super::log_dir::is_log_dir;

/// The number of generations of processes below a logger that are searched: a
/// run script that does not exec its logger is the parent of the logger.
const MAX_GENERATIONS: usize = 4;

/// The log directories that the logger of a service has open, sorted. Empty: no
/// logger runs, or /proc does not show its files to this user.
pub(super) fn log_dirs_of_logger(scan_dir: &ScanDir, service: &CStr) -> Vec<PathBuf> {
    let pid = logger_pid(scan_dir, service);
    pid.map_or_else(Vec::new, log_dirs_of_process)
}

/// The log directories that a logger has open, sorted: those of its process, or
/// of the first generation below it that has any. Empty: /proc does not show its
/// files to this user.
pub(super) fn log_dirs_of_process(pid: Pid) -> Vec<PathBuf> {
    let mut generation = vec![pid];
    for _ in 0..MAX_GENERATIONS {
        let mut found: Vec<_> = generation
            .iter()
            .flat_map(|pid| open_log_dirs(*pid))
            .collect();
        if !found.is_empty() {
            found.sort_unstable();
            found.dedup();
            return found;
        }
        generation = generation.into_iter().flat_map(children).collect();
    }
    Vec::new()
}

/// The process of the logger; None if no supervise runs there.
fn logger_pid(scan_dir: &ScanDir, service: &CStr) -> Option<Pid> {
    let service = scan_dir.entry(OsStr::from_bytes(service.to_bytes()));
    let logger = service.ok()??.logger().ok()??;
    let mut record = [0; status::LENGTH];
    let status = Status::decode(logger.read_record(&mut record).ok()?)?;
    status.pid.map(|pid| Pid::from_raw(pid.get()))
}

/// The log directories of the open files of a process. A logger keeps `lock` and
/// `current` open.
fn open_log_dirs(pid: Pid) -> Vec<PathBuf> {
    let descriptors =
        proc_path(pid, "fd").and_then(|path| Path::new(path.as_str()).read_dir().ok());
    let open_files = descriptors
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|descriptor| descriptor.path().read_link().ok());
    let is_log_file = |path: &PathBuf| {
        let name = path.file_name().map(OsStrExt::as_bytes);
        [CURRENT, LOCK]
            .iter()
            .any(|file| name == Some(file.to_bytes()))
    };
    let mut directories: Vec<_> = open_files
        .filter(is_log_file)
        .filter_map(|path| path.parent().map(Path::to_owned))
        .collect();
    directories.dedup();
    directories.retain(|path| is_log_dir(path) == Ok(true));
    directories
}
