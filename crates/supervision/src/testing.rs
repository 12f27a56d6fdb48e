//! Helpers of the unit tests.

use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Mutex, PoisonError};

use nix::sched::{CloneFlags, unshare};

/// Runs a test in a new directory as the current one. The directory is that of
/// this thread alone, because tests run in parallel. Where the system does not
/// allow this, such tests run one after another.
pub(crate) fn in_directory(test: impl FnOnce()) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = unshare(CloneFlags::CLONE_FS)
        .is_err()
        .then(|| ALONE.lock().unwrap_or_else(PoisonError::into_inner));
    let directory = tempfile::tempdir().unwrap();
    std::env::set_current_dir(directory.path()).unwrap();
    test();
    std::env::set_current_dir("/").unwrap();
}

/// Writes a file of the current directory.
pub(crate) fn write(name: &str, content: &[u8]) {
    fs::write(name, content).unwrap();
}

/// Sets the mode of a file.
pub(crate) fn set_mode(name: &str, mode: u32) {
    fs::set_permissions(name, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn remove(name: &CStr) {
    fs::remove_file(name.to_str().unwrap()).unwrap();
}
