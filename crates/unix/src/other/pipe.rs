//! Pipes with flags, where pipe2(2) may be missing.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::unistd::pipe;

/// A pipe: reader and writer. `O_CLOEXEC` and `O_NONBLOCK` are possible flags. macOS
/// has no pipe2(2), and the programs have one thread. Errors: as pipe(2) and fcntl(2).
pub fn pipe2(flags: OFlag) -> Result<(OwnedFd, OwnedFd), Errno> {
    let (reader, writer) = pipe()?;
    for end in [&reader, &writer] {
        if flags.contains(OFlag::O_CLOEXEC) {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        let present = OFlag::from_bits_retain(fcntl(end, FcntlArg::F_GETFL)?);
        let wanted = present | (flags & OFlag::O_NONBLOCK);
        fcntl(end, FcntlArg::F_SETFL(wanted))?;
    }
    Ok((reader, writer))
}
