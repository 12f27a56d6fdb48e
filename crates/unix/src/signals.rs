//! Signals as something that poll can wait for.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use libc::c_int;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd;

/// A pipe that becomes readable when one of its signals arrives.
///
/// The signals are caught and unblocked for as long as the process lives. A
/// program run by exec gets them back at their default action, as the system
/// does for every caught signal; their place in the signal mask is inherited
/// (unblocked).
#[derive(Debug)]
pub struct SignalPipe {
    reader: OwnedFd,
    inherited_mask: SigSet,
    inherited_ignored: Vec<Signal>,
}

impl SignalPipe {
    /// Catches `signals`.
    ///
    /// # Errors
    /// As pipe2(2), dup(2) and sigaction(2).
    pub fn catch(signals: &[Signal]) -> Result<Self, Errno> {
        let (reader, writer) = unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let inherited_mask = SigSet::thread_get_mask()?;
        let inherited_ignored = signals
            .iter()
            .copied()
            .filter(|&signal| is_ignored(signal as c_int))
            .collect();
        for &signal in signals {
            CAUGHT.fetch_or(1 << signal as c_int, Ordering::Relaxed);
            let writer = writer.try_clone().map_err(|error| crate::errno(&error))?;
            signal_hook::low_level::pipe::register(signal as c_int, writer)
                .map_err(|error| crate::errno(&error))?;
        }
        signals
            .iter()
            .copied()
            .collect::<SigSet>()
            .thread_unblock()?;
        Ok(SignalPipe {
            reader,
            inherited_mask,
            inherited_ignored,
        })
    }

    /// In a child that is to become another program: gives it the mask and
    /// the ignored signals that this process inherited.
    pub fn restore(&self) {
        for &signal in &self.inherited_ignored {
            // SAFETY: to ignore a signal runs no code of ours.
            let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) };
        }
        let _ = self.inherited_mask.thread_set_mask();
    }

    /// Forgets the signals that arrived so far, so that poll waits for the
    /// next one; whether there were any.
    #[expect(clippy::must_use_candidate, reason = "some only forget")]
    pub fn drain(&self) -> bool {
        let mut bytes = [0; 64];
        let mut any = false;
        while matches!(unistd::read(&self.reader, &mut bytes), Ok(1..)) {
            any = true;
        }
        any
    }
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// The signals that pipes catch, a bit each. None has a number above 31.
static CAUGHT: AtomicU32 = AtomicU32::new(0);

/// In a new process: gives what is caught its default action.
pub(crate) fn release_caught() {
    let caught = CAUGHT.load(Ordering::Relaxed);
    for signal in Signal::iterator().filter(|&signal| caught & (1 << signal as c_int) != 0) {
        // SAFETY: the default action runs no code of ours.
        let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
    }
}

/// Whether the process ignores a signal.
fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the third argument points to room for one sigaction.
    unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeroes is a valid sigaction, whether or not it was filled in.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Signals that wait until the program asks for them: they interrupt nothing,
/// and none is lost.
///
/// They are blocked for as long as the process lives, whatever their action
/// was. A child inherits that; see [`reset`].
#[derive(Debug)]
pub struct BlockedSignals {
    pending: SignalFd,
}

impl BlockedSignals {
    /// Holds `signals` from now on.
    ///
    /// # Errors
    /// As sigprocmask(2) and signalfd(2).
    pub fn block(signals: &[Signal]) -> Result<Self, Errno> {
        let signals: SigSet = signals.iter().copied().collect();
        signals.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let pending = SignalFd::with_flags(&signals, flags)?;
        Ok(BlockedSignals { pending })
    }

    /// As [`BlockedSignals::wait`], for a read that comes next.
    ///
    /// Input that is set not to wait (`O_NONBLOCK`) is not waited for: to read
    /// it tells at once what there is.
    #[must_use]
    pub fn before_reading(&self, input: BorrowedFd<'_>, timeout: Option<Duration>) -> Wakeup {
        let flags = fcntl(input, FcntlArg::F_GETFL).unwrap_or(0);
        if !OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK) {
            return self.wait(input, timeout);
        }
        match self.wait(input, Some(Duration::ZERO)) {
            Wakeup::Timeout => Wakeup::Input,
            arrived => arrived,
        }
    }

    /// Waits until `input` can be read, a blocked signal arrives, or the
    /// timeout passes, if there is one. Of signal and input, the
    /// signal is told; errno is then EINTR, as it is after a read that was
    /// interrupted.
    #[must_use]
    pub fn wait(&self, input: BorrowedFd<'_>, timeout: Option<Duration>) -> Wakeup {
        let timeout = timeout.map_or(PollTimeout::NONE, rounded_up);
        let mut either = [
            PollFd::new(self.pending.as_fd(), PollFlags::POLLIN),
            PollFd::new(input, PollFlags::POLLIN),
        ];
        // What else poll could complain of is left for the read to find.
        let ready = loop {
            match poll(&mut either, timeout) {
                Err(Errno::EINTR) => {}
                ready => break ready,
            }
        };
        let [signals, _] = either;
        if signals.any().unwrap_or(false) {
            if let Some(signal) = self.take() {
                Errno::EINTR.set();
                return Wakeup::Signal(signal);
            }
        }
        if ready == Ok(0) {
            Wakeup::Timeout
        } else {
            Wakeup::Input
        }
    }

    /// A held signal that has arrived. For who waits for more than one input:
    /// poll says when there is one.
    #[must_use]
    pub fn take(&self) -> Option<Signal> {
        let arrived = self.pending.read_signal().ok().flatten()?;
        Signal::try_from(i32::try_from(arrived.ssi_signo).ok()?).ok()
    }
}

impl AsFd for BlockedSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pending.as_fd()
    }
}

/// As milliseconds, of which the last has passed too.
fn rounded_up(timeout: Duration) -> PollTimeout {
    if timeout.is_zero() {
        return PollTimeout::ZERO;
    }
    let milliseconds = timeout.as_millis().saturating_add(1);
    PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
}

/// What a program that waits has to look after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakeup {
    /// A held signal.
    Signal(Signal),
    /// Input, or its end.
    Input,
    /// The timeout has passed.
    Timeout,
}

/// In a child that is to become another program: gives `signals` their
/// default action and lets them through.
pub fn reset(signals: &[Signal]) {
    for &signal in signals {
        // SAFETY: the default action runs no code of ours.
        let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
    }
    let signals: SigSet = signals.iter().copied().collect();
    let _ = signals.thread_unblock();
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nix::sys::signal::raise;

    use super::*;

    #[test]
    fn held_signals_come_before_input_and_once() {
        let signals = BlockedSignals::block(&[Signal::SIGUSR1, Signal::SIGUSR2]).unwrap();
        let (reader, writer) = unistd::pipe().unwrap();
        let arrived = || signals.before_reading(reader.as_fd(), None);
        unistd::write(&writer, b"x").unwrap();
        assert_eq!(arrived(), Wakeup::Input);
        raise(Signal::SIGUSR1).unwrap();
        assert_eq!(arrived(), Wakeup::Signal(Signal::SIGUSR1));
        assert_eq!(arrived(), Wakeup::Input);
    }

    #[test]
    fn timeout_ends_wait() {
        let signals = BlockedSignals::block(&[Signal::SIGURG]).unwrap();
        let (reader, _writer) = unistd::pipe().unwrap();
        for timeout in [Duration::ZERO, Duration::from_nanos(1)] {
            let arrived = signals.before_reading(reader.as_fd(), Some(timeout));
            assert_eq!(arrived, Wakeup::Timeout);
        }
    }

    #[test]
    fn input_that_does_not_wait_is_not_waited_for() {
        let signals = BlockedSignals::block(&[Signal::SIGWINCH]).unwrap();
        let (reader, _writer) = unistd::pipe2(OFlag::O_NONBLOCK).unwrap();
        for timeout in [None, Some(Duration::from_secs(3600))] {
            let arrived = signals.before_reading(reader.as_fd(), timeout);
            assert_eq!(arrived, Wakeup::Input);
        }
    }
}
