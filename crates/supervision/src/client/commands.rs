//! Commands to a running supervise or runsv.

use daemontools_core::names;
use nix::unistd::write;
use unix::file;

use super::{ClientError, Operation};

/// The behaviour when the control FIFO is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Block until supervise has read earlier commands, as 0.76's svc does.
    Block,
    /// Fail with EAGAIN, as runit's sv does.
    Fail,
}

/// Writes the letters to `supervise/control`.
///
/// # Errors
/// As open(2): ENXIO if no supervise runs. As write(2): EPIPE if it exits in
/// between; the caller blocks or ignores SIGPIPE.
pub fn send_commands(letters: &[u8], when_full: WhenFull) -> Result<(), ClientError> {
    let open = || {
        let control = file::open_write(names::CONTROL)?;
        match when_full {
            WhenFull::Block => file::set_blocking(&control)?,
            WhenFull::Fail => {}
        }
        Ok(control)
    };
    let error = |operation| ClientError::new(operation, names::CONTROL);
    let control = open().map_err(error(Operation::Open))?;
    write(&control, letters)
        .map(drop)
        .map_err(error(Operation::Write))
}
