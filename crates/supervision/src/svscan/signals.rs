//! The signals of svscan, for process 1 and svscan -e.

use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use unix::cwd::Origin;
use unix::signals::BlockedSignals;

use super::{ExitReason, Mode, OnRemoved, ScanLoop};

/// The signals that svscan handles, and the scan directory.
#[derive(Debug)]
pub struct SignalSource {
    pub(super) signals: BlockedSignals,
    /// The scan directory.
    pub(super) root: Origin,
}

impl SignalSource {
    /// Blocks SIGTERM and SIGINT, with [`Mode::Extended`] also SIGHUP and
    /// SIGALRM, and opens the current directory.
    ///
    /// # Errors
    /// As signalfd(2) and open(2).
    pub fn new(mode: Mode) -> Result<Self, Errno> {
        // SIGPIPE comes from writing to a supervise that exits; it is ignored.
        let mut signals = vec![Signal::SIGTERM, Signal::SIGINT, Signal::SIGPIPE];
        match mode {
            Mode::Plain => {}
            Mode::Extended => signals.extend([Signal::SIGHUP, Signal::SIGALRM]),
        }
        Ok(SignalSource {
            signals: BlockedSignals::block(&signals)?,
            root: Origin::open_path()?,
        })
    }
}

impl ScanLoop<'_> {
    pub(super) fn handle_signals(&mut self) {
        while let Some(signal) = self
            .signals
            .and_then(|source| source.signals.take_pending())
        {
            match signal {
                Signal::SIGALRM => self.scan(OnRemoved::Keep),
                Signal::SIGHUP => self.scan(OnRemoved::Stop),
                Signal::SIGTERM | Signal::SIGINT => self.request_stop(),
                // SIGPIPE; no other signal is blocked.
                _ => {}
            }
        }
    }

    /// Stops all services. The second request and each one after it skip the
    /// current timeouts.
    fn request_stop(&mut self) {
        self.stop_requests += 1;
        if self.exit_reason.is_none() {
            self.stop_all(ExitReason::Requested);
        } else if self.stop_requests > 1 {
            let now = Instant::now();
            for shutdown in self.shutdowns.values_mut() {
                shutdown.stop.escalate(now);
            }
            self.foreign.clear();
        }
    }
}
