//! A signal handler that writes the number of each signal to a pipe.

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use libc::c_int;
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::poll::skip_next_wait;
use crate::signals::SignalBits;

/// The pipe of each signal, by the number of the signal. The descriptors stay open.
static PIPES: [AtomicI32; 32] = [const { AtomicI32::new(NONE) }; 32];
const NONE: c_int = -1;

/// The signals whose numbers the handler could not write.
static MISSED: AtomicU32 = AtomicU32::new(0);

/// Whether the handler could not write the number of one of these signals since the
/// last call.
pub(crate) fn take_missed(signals: SignalBits) -> bool {
    MISSED.fetch_and(!signals, Ordering::Relaxed) & signals != 0
}

/// Catches `signals`, for the life of the process. Each arrival writes the number of
/// the signal, one byte, to `pipe`, whose writes must not block. Most interrupted
/// system calls restart (`SA_RESTART`). Errors: as sigaction(2).
pub(crate) fn catch(signals: &[Signal], pipe: OwnedFd) -> Result<(), Errno> {
    // A handler may run at any later time.
    let pipe = ManuallyDrop::new(pipe).as_raw_fd();
    for &signal in signals {
        let place = PIPES.get(signal as usize).ok_or(Errno::EINVAL)?;
        place.store(pipe, Ordering::Release);
        let handler = SigHandler::Handler(write_number);
        let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler is async-signal-safe.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// Async-signal-safe: uses atomic variables, calls write(2), and keeps errno.
///
/// The kernel needs a page for the write. Without memory, the program polls anew and
/// finds the signal in `MISSED`. If the pipe is full, it is readable already.
extern "C" fn write_number(signal: c_int) {
    let (Ok(index), Ok(number)) = (usize::try_from(signal), u8::try_from(signal)) else {
        return;
    };
    let pipe = PIPES
        .get(index)
        .map_or(NONE, |place| place.load(Ordering::Acquire));
    let error = Errno::last();
    // SAFETY: the pointer leads to one byte. The descriptor is never closed, and
    // write(2) rejects NONE.
    let written = unsafe { libc::write(pipe, (&raw const number).cast(), 1) };
    match Errno::result(written) {
        Ok(_) | Err(Errno::EAGAIN) => {}
        Err(_) => {
            MISSED.fetch_or(1 << signal, Ordering::Relaxed);
            skip_next_wait();
        }
    }
    error.set();
}
