//! Signals as descriptors that poll(2) can wait for.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use libc::c_int;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, Signal};
use nix::unistd;

use crate::pending::PendingSignals;
use crate::pipe::pipe2;
use crate::poll::{rounded_up, skip_next_wait};
use crate::signal_mask::SignalMask;

/// A pipe that becomes readable when one of its signals arrives.
///
/// The signals stay caught and unblocked for the life of the process. exec
/// resets them to the default action, as every caught signal; the program
/// inherits them unblocked. See [`SignalPipe::restore`].
#[derive(Debug)]
pub struct SignalPipe {
    /// Never closed: a signal that arrives while the process exits would write to
    /// a pipe without a reader, and SIGPIPE would change the exit status.
    reader: ManuallyDrop<OwnedFd>,
    /// Whether the pipe lacks a signal, since its handler could not write.
    missed: Arc<AtomicBool>,
    inherited: InheritedSignals,
}

impl SignalPipe {
    /// Catches `signals`. Errors: as pipe2(2), dup(2) and sigaction(2).
    pub fn catch(signals: &[Signal]) -> Result<Self, Errno> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let inherited = InheritedSignals::read(signals)?;
        let missed = Arc::new(AtomicBool::new(false));
        for &signal in signals {
            note_changed(signal);
            let writer = writer.try_clone().map_err(|error| crate::errno(&error))?;
            let missed = Arc::clone(&missed);
            let handler = move || report_signal(&writer, &missed);
            // SAFETY: the handler only calls write(2) and sets atomic variables.
            unsafe { signal_hook::low_level::register(signal as c_int, handler) }
                .map_err(|error| crate::errno(&error))?;
        }
        signals
            .iter()
            .copied()
            .collect::<SigSet>()
            .thread_unblock()?;
        Ok(SignalPipe {
            reader: ManuallyDrop::new(reader),
            missed,
            inherited,
        })
    }

    /// In a child before exec: restores the signal mask and the ignored signals
    /// that this process inherited.
    pub fn restore(&self) {
        self.inherited.restore();
    }

    /// Empties the pipe, so that poll(2) waits for the next signal. Returns
    /// whether a signal had arrived.
    pub fn drain(&self) -> bool {
        let mut bytes = [0; 64];
        let mut any = self.missed.swap(false, Ordering::Relaxed);
        while matches!(unistd::read(&*self.reader, &mut bytes), Ok(1..)) {
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

/// The signal mask, and the ignored ones of some signals, before they are caught.
#[derive(Debug)]
pub(crate) struct InheritedSignals {
    mask: SignalMask,
    ignored: Vec<Signal>,
}

impl InheritedSignals {
    /// Errors: as sigprocmask(2).
    pub(crate) fn read(signals: &[Signal]) -> Result<Self, Errno> {
        let signals = signals.iter().copied();
        Ok(InheritedSignals {
            mask: SignalMask::current()?,
            ignored: signals.filter(|&signal| is_ignored(signal)).collect(),
        })
    }

    /// In a child before exec: sets this mask, and ignores these signals.
    pub(crate) fn restore(&self) {
        for &signal in &self.ignored {
            // SAFETY: SIG_IGN runs no handler.
            let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) };
        }
        self.mask.restore();
    }
}

/// In the handler of a signal: writes to the pipe.
///
/// The kernel needs a page for the write. Without memory, the program polls anew and
/// finds the signal in `missed`. If the pipe is full, it is readable already.
fn report_signal(writer: &OwnedFd, missed: &AtomicBool) {
    let errno = Errno::last();
    match unistd::write(writer, b"X") {
        Ok(_) | Err(Errno::EAGAIN) => {}
        Err(_) => {
            missed.store(true, Ordering::Relaxed);
            skip_next_wait();
        }
    }
    errno.set();
}

/// The signals of all pipes and those of [`ignore`], one bit each. Their numbers
/// are below 32.
static CHANGED: AtomicU32 = AtomicU32::new(0);

/// Adds to the signals that [`reset_changed`] resets.
pub(crate) fn note_changed(signal: Signal) {
    CHANGED.fetch_or(1 << signal as c_int, Ordering::Relaxed);
}

/// In a new process: resets the signals of all pipes and those of [`ignore`] to
/// their default action.
pub(crate) fn reset_changed() {
    let changed = CHANGED.load(Ordering::Relaxed);
    let is_changed = |signal: &Signal| changed & (1 << *signal as c_int) != 0;
    Signal::iterator().filter(is_changed).for_each(set_default);
}

/// Ignores a signal in this process alone. Its children get the inherited action.
pub fn ignore(signal: Signal) {
    if !is_ignored(signal) {
        note_changed(signal);
        // SAFETY: SIG_IGN runs no handler.
        let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) };
    }
}

/// Whether the process ignores a signal.
pub fn is_ignored(signal: Signal) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the third argument points to space for one sigaction.
    unsafe { libc::sigaction(signal as c_int, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeroes is a valid sigaction, filled in or not.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// The interval between two polls that fail.
const POLL_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The maximum number of failed polls in one wait: 5 seconds.
const MAX_POLL_FAILURES: usize = 50;

/// Signals that stay pending until the program reads them, and so interrupt no
/// system call.
///
/// The signals are blocked for the life of the process. Children inherit the
/// mask; see [`reset`] and [`BlockedSignals::restore`].
#[derive(Debug)]
pub struct BlockedSignals(PendingSignals);

impl BlockedSignals {
    /// Blocks `signals`. Errors: as sigprocmask(2) and signalfd(2).
    pub fn block(signals: &[Signal]) -> Result<Self, Errno> {
        PendingSignals::new(signals).map(BlockedSignals)
    }

    /// In a child before exec: restores the signal mask from before
    /// [`BlockedSignals::block`].
    pub fn restore(&self) {
        self.0.restore();
    }

    /// As [`BlockedSignals::wait`], before a read. Returns at once if `input` is
    /// `O_NONBLOCK`, since the read does not block either.
    pub fn before_reading(&self, input: BorrowedFd<'_>, timeout: Option<Duration>) -> Wakeup {
        let flags = fcntl(input, FcntlArg::F_GETFL).unwrap_or(0);
        if !OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK) {
            return self.wait(input, timeout);
        }
        match self.wait(input, Some(Duration::ZERO)) {
            Wakeup::Timeout => Wakeup::Input,
            wakeup => wakeup,
        }
    }

    /// Blocks until `input` can be read, a signal arrives, or the timeout passes.
    /// Default for None: no timeout. A signal takes precedence over input and
    /// sets errno to EINTR, as an interrupted read does.
    pub fn wait(&self, input: BorrowedFd<'_>, timeout: Option<Duration>) -> Wakeup {
        let timeout = timeout.map_or(PollTimeout::NONE, rounded_up);
        let mut either = [
            PollFd::new(self.0.as_fd(), PollFlags::POLLIN),
            PollFd::new(input, PollFlags::POLLIN),
        ];
        // After a read in place of a failed poll, no signal would arrive until the
        // next input. If poll never works, the read reports the cause.
        let mut failures = 0;
        let ready = loop {
            match poll(&mut either, timeout) {
                Err(Errno::EINTR) => {}
                Err(_) if failures < MAX_POLL_FAILURES => {
                    failures += 1;
                    std::thread::sleep(POLL_RETRY_INTERVAL);
                }
                ready => break ready,
            }
        };
        let [signals, _] = either;
        if signals.any().unwrap_or(false) {
            if let Some(signal) = self.take_pending() {
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

    /// One pending signal, for callers that poll more than one input. None if no
    /// signal is pending.
    pub fn take_pending(&self) -> Option<Signal> {
        self.take_with_sender().map(|(signal, _)| signal)
    }

    /// As [`BlockedSignals::take_pending`], with the sender.
    pub fn take_with_sender(&self) -> Option<(Signal, Sender)> {
        self.0.take()
    }
}

impl AsFd for BlockedSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The sender of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The kernel, which sends SIGINT for the interrupt character of a terminal.
    Kernel,
    /// A process outside the PID namespace of the receiver, which shows no PID for
    /// it.
    Outside,
    /// A process in the PID namespace, by kill(2) and the like.
    Process,
}

/// The reason why [`BlockedSignals::wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakeup {
    /// A blocked signal is pending.
    Signal(Signal),
    /// Input, end of file or an error can be read.
    Input,
    /// The timeout has passed.
    Timeout,
}

/// In a child before exec: resets `signals` to their default action and
/// unblocks them.
pub fn reset(signals: &[Signal]) {
    signals.iter().copied().for_each(set_default);
    let signals: SigSet = signals.iter().copied().collect();
    let _ = signals.thread_unblock();
}

pub(crate) fn set_default(signal: Signal) {
    // SAFETY: SIG_DFL runs no handler.
    let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use nix::sys::signal::raise;

    use super::*;

    #[test]
    fn blocked_signal_precedes_input_once() {
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
    fn dropped_signal_pipe_keeps_its_reader() {
        let pipe = SignalPipe::catch(&[Signal::SIGIO]).unwrap();
        let path = format!("/proc/self/fd/{}", pipe.as_fd().as_raw_fd());
        let target = std::fs::read_link(&path).unwrap();
        drop(pipe);
        assert_eq!(std::fs::read_link(&path).unwrap(), target);
    }

    #[test]
    fn unwritten_signal_is_drained_once() {
        let pipe = SignalPipe::catch(&[Signal::SIGTTOU]).unwrap();
        let full = std::fs::File::options().write(true).open("/dev/full");
        let Ok(full) = full else {
            return;
        };
        Errno::EBUSY.set();
        report_signal(&full.into(), &pipe.missed);
        assert_eq!(Errno::last(), Errno::EBUSY);
        assert!(pipe.drain() && !pipe.drain());
        raise(Signal::SIGTTOU).unwrap();
        assert!(pipe.drain() && !pipe.drain());
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
    fn nonblocking_input_is_not_waited_for() {
        let signals = BlockedSignals::block(&[Signal::SIGWINCH]).unwrap();
        let (reader, _writer) = unistd::pipe2(OFlag::O_NONBLOCK).unwrap();
        for timeout in [None, Some(Duration::from_secs(3600))] {
            let arrived = signals.before_reading(reader.as_fd(), timeout);
            assert_eq!(arrived, Wakeup::Input);
        }
    }
}
