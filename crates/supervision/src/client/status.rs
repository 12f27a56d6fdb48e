//! The status files: the record, and the `state` of `supervise -e`.

use std::ffi::CStr;

use daemontools_core::names;
use daemontools_core::runsv::{LENGTH, RunsvStatus};
use daemontools_core::state::StateFile;
use nix::errno::Errno;
use nix::unistd::read;
use unix::file;

use super::{ClientError, Operation, StatusError, probe};
use crate::supervise_dir::{IN_SERVICE, SuperviseDir};

/// Reads the status record into `buffer`. A failed read leaves the earlier
/// content in `buffer`, which svstat and sv then show.
///
/// # Errors
/// As open(2) and read(2).
pub fn read_status<'a>(dir: &SuperviseDir, buffer: &'a mut [u8]) -> Result<&'a [u8], ClientError> {
    read_start(dir, names::STATUS, buffer)
}

/// Reads the status of a running runsv into `buffer`, as [`read_status`]. runit's
/// programs know one supervise directory, [`IN_SERVICE`].
///
/// # Errors
/// As [`probe`](super::probe()) and [`read_status`]; a record that is too short.
pub fn read_runsv_status(buffer: &mut [u8; LENGTH]) -> Result<RunsvStatus, StatusError> {
    probe(&IN_SERVICE)?;
    RunsvStatus::decode(read_status(&IN_SERVICE, buffer)?).ok_or(StatusError::Format)
}

/// Reads the file `state`; None without a valid one. A file older than the
/// status record is stale.
#[must_use]
pub fn read_state_file(dir: &SuperviseDir) -> Option<StateFile> {
    // A few short lines.
    let mut buffer = [0; 1024];
    StateFile::read(read_start(dir, names::STATE.name, &mut buffer).ok()?)
}

fn read_start<'a>(
    dir: &SuperviseDir,
    file: &'static CStr,
    buffer: &'a mut [u8],
) -> Result<&'a [u8], ClientError> {
    let error = |operation| ClientError::new(operation, file);
    let opened = file::open_read(&*dir.path(file)).map_err(error(Operation::Open))?;
    let length = read(&opened, buffer).map_err(error(Operation::Read))?;
    Ok(buffer.get(..length).unwrap_or_default())
}

/// Whether supervise starts the service by itself: there is no file `down`.
///
/// # Errors
/// As stat(2).
pub fn is_normally_up() -> Result<bool, Errno> {
    match file::status(names::DOWN) {
        Ok(_) => Ok(false),
        Err(Errno::ENOENT) => Ok(true),
        Err(error) => Err(error),
    }
}
