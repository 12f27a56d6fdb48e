//! The status files: the record, and the `state` of `supervise -e`.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read;

use daemontools_core::names;
use daemontools_core::runsv::{self, RunsvStatus};
use daemontools_core::state::StateFile;
use daemontools_core::tally::{KEPT, LENGTH, Tally};
use nix::errno::Errno;
use nix::unistd::read;
use unix::file::exists_in;

use crate::client::{ClientError, StatusError, probe};
use crate::error::Operation;
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
/// As [`probe`](crate::client::probe()) and [`read_status`]; a record that is too short.
pub fn read_runsv_status(buffer: &mut [u8; runsv::LENGTH]) -> Result<RunsvStatus, StatusError> {
    probe(&IN_SERVICE)?;
    RunsvStatus::decode(read_status(&IN_SERVICE, buffer)?).ok_or(StatusError::Format)
}

/// Reads the file `state`; None without a valid one. A file older than the
/// status record is stale.
///
/// # Errors
/// As open(2) and read(2), except for a file that does not exist and for a directory.
/// After such an error, a service would look ready before its time.
pub fn read_state_file(dir: &SuperviseDir) -> Result<Option<StateFile>, ClientError> {
    // A few short lines.
    let mut buffer = [0; 1024];
    match read_start(dir, names::STATE.name, &mut buffer) {
        Ok(text) => Ok(StateFile::read(text)),
        Err(error) => match error.errno {
            Errno::ENOENT | Errno::ENOTDIR | Errno::EISDIR => Ok(None),
            _ => Err(error),
        },
    }
}

fn read_start<'a>(
    dir: &SuperviseDir,
    file: &'static CStr,
    buffer: &'a mut [u8],
) -> Result<&'a [u8], ClientError> {
    let error = |operation| ClientError::new(operation, file);
    let opened = dir.open_read(file).map_err(error(Operation::Open))?;
    let length = read(&opened, buffer).map_err(error(Operation::Read))?;
    Ok(buffer.get(..length).unwrap_or_default())
}

/// Whether supervise starts the service by itself: there is no file `down`.
///
/// # Errors
/// As stat(2).
pub fn is_normally_up(dir: &SuperviseDir) -> Result<bool, ClientError> {
    exists_in(dir.service(), names::DOWN)
        .map(|is_down| !is_down)
        .map_err(ClientError::new(Operation::Find, names::DOWN))
}

/// Reads the last exits. Without the file, which the first exit makes, there are
/// none. A longer file is not read: its writer is not supervise -e.
///
/// # Errors
/// As open(2) and read(2); a file of another length than that of whole records.
pub fn read_deaths(dir: &SuperviseDir) -> Result<Tally, StatusError> {
    let name = names::DEATH_TALLY.name;
    let file = match dir.open_read(name) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT) => return Ok(Tally::default()),
        Err(error) => return Err(ClientError::new(Operation::Open, name)(error).into()),
    };
    let mut records = Vec::with_capacity(KEPT * LENGTH);
    // One byte more shows a longer file.
    let limit = (KEPT * LENGTH + 1) as u64;
    match file.take(limit).read_to_end(&mut records) {
        Ok(length) if length <= KEPT * LENGTH => Tally::read(records).ok_or(StatusError::Format),
        Ok(_) => Err(StatusError::Format),
        Err(error) => Err(ClientError::new(Operation::Read, name)(unix::errno(&error)).into()),
    }
}

#[cfg(test)]
mod tests {
    use daemontools_core::state::ServiceState;
    use daemontools_core::status::Want;

    use super::*;
    use testkit::service_files::{Supervised, in_directory, write, write_status};

    #[test]
    fn files_are_read_up_to_the_size_of_the_buffer() {
        in_directory(|| {
            let _supervised = Supervised::new(".");
            let mut buffer = [7; 4];
            let missing = read_status(&IN_SERVICE, &mut buffer).unwrap_err();
            assert_eq!(
                (missing.operation, missing.errno),
                (Operation::Open, Errno::ENOENT)
            );
            assert_eq!(buffer, [7; 4]);
            write("supervise/status", b"ab");
            assert_eq!(read_status(&IN_SERVICE, &mut buffer), Ok(&b"ab"[..]));
            write("supervise/status", b"abcdef");
            assert_eq!(read_status(&IN_SERVICE, &mut buffer), Ok(&b"abcd"[..]));
            let read = || read_state_file(&IN_SERVICE).unwrap();
            assert_eq!(read(), None);
            write("supervise/state", b"state=ready\n");
            assert_eq!(read().unwrap().state, ServiceState::Ready);
            std::fs::remove_file("supervise/state").unwrap();
            std::fs::create_dir("supervise/state").unwrap();
            assert_eq!(read(), None);
            std::fs::remove_dir("supervise/state").unwrap();
            std::os::unix::fs::symlink("state", "supervise/state").unwrap();
            let failed = read_state_file(&IN_SERVICE).unwrap_err();
            assert_eq!(failed.errno, Errno::ELOOP);
        });
    }

    #[test]
    fn status_of_runsv_needs_a_reader_and_20_bytes() {
        in_directory(|| {
            let mut buffer = [0; runsv::LENGTH];
            let supervised = Supervised::new(".");
            write_status(".", 7, Want::Up);
            assert_eq!(read_runsv_status(&mut buffer), Err(StatusError::Format));
            let mut record = std::fs::read("supervise/status").unwrap();
            record.extend([1, 2]);
            write("supervise/status", &record);
            let status = read_runsv_status(&mut buffer).unwrap();
            assert_eq!(status.state, Some(ServiceState::Finish));
            assert!(status.got_term);
            drop(supervised);
            assert!(read_runsv_status(&mut buffer).unwrap_err().is_not_running());
        });
    }

    #[test]
    fn file_down_shows_service_normally_down() {
        in_directory(|| {
            assert_eq!(is_normally_up(&IN_SERVICE), Ok(true));
            write("down", b"");
            assert_eq!(is_normally_up(&IN_SERVICE), Ok(false));
            std::fs::remove_file("down").unwrap();
            std::os::unix::fs::symlink("down", "down").unwrap();
            let looped = is_normally_up(&IN_SERVICE).unwrap_err();
            assert_eq!(
                (looped.operation, looped.errno),
                (Operation::Find, Errno::ELOOP)
            );
        });
    }
}
