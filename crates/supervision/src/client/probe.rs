//! The FIFO `ok`, which only a running supervise or runsv has open for reading.

use std::os::fd::OwnedFd;

use daemontools_core::names;
use unix::file;

use super::{ClientError, Operation};

/// Opens `ok` for writing. A poll of the descriptor reports `POLLERR` once
/// supervise exits.
///
/// # Errors
/// As open(2): ENXIO if no supervise runs, ENOENT if none ever ran.
pub fn probe() -> Result<OwnedFd, ClientError> {
    file::open_write(names::OK).map_err(ClientError::new(Operation::Open, names::OK))
}
