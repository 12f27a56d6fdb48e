//! Helpers of the unit tests.

use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;

pub(crate) use testkit::service_files::{Supervised, in_directory, write, write_status};

/// Sets the mode of a file.
pub(crate) fn set_mode(name: &str, mode: u32) {
    fs::set_permissions(name, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn remove(name: &CStr) {
    fs::remove_file(name.to_str().unwrap()).unwrap();
}
