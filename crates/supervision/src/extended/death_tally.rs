//! The file `death_tally`: the last deaths of the service.

use std::ffi::CStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use daemontools_core::names;
use daemontools_core::tally::{KEPT, LENGTH, Tally};
use nix::errno::Errno;
use unix::file;

use super::config::ConfigWarning;

/// Reads the file. If that fails, the tally is empty.
pub(super) fn read() -> (Tally, Option<ConfigWarning>) {
    let file = names::DEATH_TALLY.name;
    let warning = match last_records(file).map(Tally::read) {
        Ok(Some(tally)) => return (tally, None),
        Ok(None) => Some(ConfigWarning::Malformed(file, "a tally of deaths")),
        Err(Errno::ENOENT) => None,
        Err(error) => Some(ConfigWarning::Read(file, error)),
    };
    (Tally::default(), warning)
}

/// The records at the end of a file that count, and the incomplete one after
/// them, if any.
fn last_records(name: &CStr) -> Result<Vec<u8>, Errno> {
    let (record, kept) = (LENGTH as u64, KEPT as u64);
    let mut file = File::from(file::open_read(name)?);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::End(0))
        .and_then(|length| {
            let first = (length / record).saturating_sub(kept);
            file.seek(SeekFrom::Start(first * record))
        })
        .and_then(|_| file.take((kept + 1) * record).read_to_end(&mut bytes))
        .map_err(|error| unix::errno(&error))?;
    Ok(bytes)
}
