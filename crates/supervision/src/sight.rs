//! Looking at a service directory from outside. All names are relative to it:
//! it is the current directory.

use std::os::fd::OwnedFd;

use daemontools_core::names;
use daemontools_core::sight::{Record, Sight};
use daemontools_core::state::State;
use daemontools_core::status::Status;
use nix::errno::Errno;
use nix::unistd::read;
use unix::file::{open_read, open_write};

/// The longest `state` that is read; it has eight short lines.
const STATE: usize = 4096;

/// Why a service cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blindness {
    /// `supervise/ok` cannot be opened.
    Ok(Errno),
    /// `supervise/status` cannot be opened or read.
    Status(Errno),
    /// `supervise/status` is no status record.
    Format,
}

/// Looks at the service in the current directory. If it is supervised, the
/// descriptor is its `ok`: it shows an error to poll once supervise has ended.
///
/// # Errors
/// What cannot be read. What does not exist is no error.
pub fn look() -> Result<(Sight, Option<OwnedFd>), Blindness> {
    let ok = match open_write(names::OK) {
        Ok(ok) => Some(ok),
        Err(Errno::ENXIO | Errno::ENOENT | Errno::ENOTDIR) => None,
        Err(error) => return Err(Blindness::Ok(error)),
    };
    // The record is younger than `state`: see daemontools_core::state.
    let mut record = [0; Record::LONGEST];
    let record = match open_read(names::STATUS) {
        Ok(status) => {
            let length = read(&status, &mut record).map_err(Blindness::Status)?;
            record.get(..length)
        }
        Err(Errno::ENOENT | Errno::ENOTDIR) => None,
        Err(error) => return Err(Blindness::Status(error)),
    };
    let mut state = [0; STATE];
    let state = read_state(&mut state);
    let record = match record {
        Some(record) => Some(Record::read(record, state).ok_or(Blindness::Format)?),
        None => None,
    };
    let supervised = ok.is_some();
    Ok((Sight { supervised, record }, ok))
}

/// What supervise -e tells of the service in the current directory, if it is
/// told of the record.
#[must_use]
pub fn state(record: &Status) -> Option<State> {
    let mut text = [0; STATE];
    let state = State::read(read_state(&mut text)?)?;
    state.belongs_to(record).then_some(state)
}

/// The file `state`, if there is one.
fn read_state(text: &mut [u8; STATE]) -> Option<&[u8]> {
    let file = open_read(names::STATE.name).ok()?;
    let length = read(&file, text).ok()?;
    text.get(..length)
}
