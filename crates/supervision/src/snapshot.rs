//! Looking at a service directory from outside. All names are relative to it:
//! it is the current directory.

use std::ffi::CStr;

use daemontools_core::names;
use daemontools_core::snapshot::{Record, ServiceSnapshot};
use daemontools_core::state::StateFile;
use daemontools_core::status::Status;
use nix::errno::Errno;

use unix::file::{open_read, open_write};

/// The longest `state` that is read; it has eight short lines.
const STATE: usize = 4096;

/// Why a service cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotError {
    /// The file that cannot be opened or read; empty: the directory itself.
    pub file: &'static CStr,
    /// Why not; None if it is no status record.
    pub error: Option<Errno>,
}

/// Looks at the service in the current directory. It waits for nothing,
/// whatever the files are.
///
/// # Errors
/// What cannot be read. What does not exist is no error.
pub fn read() -> Result<ServiceSnapshot, SnapshotError> {
    let blind = |file, error| SnapshotError { file, error };
    let supervised = match open_write(names::OK) {
        Ok(_) => true,
        Err(Errno::ENXIO | Errno::ENOENT | Errno::ENOTDIR) => false,
        Err(error) => return Err(blind(names::OK, Some(error))),
    };
    // The record is younger than `state`: see daemontools_core::state.
    let mut record = [0; Record::LONGEST];
    let record = match start_of(names::STATUS, &mut record) {
        Ok(record) => record,
        Err(Errno::ENOENT | Errno::ENOTDIR) => {
            return Ok(ServiceSnapshot {
                supervised,
                record: None,
            });
        }
        Err(error) => return Err(blind(names::STATUS, Some(error))),
    };
    let mut state = [0; STATE];
    let state = start_of(names::STATE.name, &mut state).ok();
    match Record::read(record, state) {
        Some(record) => Ok(ServiceSnapshot {
            supervised,
            record: Some(record),
        }),
        None => Err(blind(names::STATUS, None)),
    }
}

/// What supervise -e tells of the service in the current directory, if it is
/// told of the record.
#[must_use]
pub fn state(record: &Status) -> Option<StateFile> {
    let mut text = [0; STATE];
    let state = StateFile::read(start_of(names::STATE.name, &mut text).ok()?)?;
    state.belongs_to(record).then_some(state)
}

/// Reads what a file begins with, as much as there is room for.
fn start_of<'a>(file: &CStr, room: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    let length = nix::unistd::read(&open_read(file)?, room)?;
    Ok(room.get(..length).unwrap_or_default())
}
