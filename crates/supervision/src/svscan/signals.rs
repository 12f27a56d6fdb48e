//! The signals of svscan, for process 1 and svscan -e.

use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use unix::cwd::Origin;
use unix::signals::{BlockedSignals, Sender};

use super::{Escalation, ExitReason, Mode, OnRemoved, ScanLoop, SvscanWarning};

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
        while let Some((signal, sender)) = self
            .signals
            .and_then(|source| source.signals.take_with_sender())
        {
            match (signal, sender) {
                (Signal::SIGALRM, _) => self.scan(OnRemoved::Keep),
                (Signal::SIGHUP, _) => self.scan(OnRemoved::Stop),
                (Signal::SIGINT, Sender::Kernel) => self.interrupt(),
                (Signal::SIGTERM | Signal::SIGINT, _) => self.request_stop(),
                // SIGPIPE; no other signal is blocked.
                _ => {}
            }
        }
    }

    /// Stops all services. Further requests change nothing: `finish` scripts that
    /// end the container send them, and process managers that signal each process.
    fn request_stop(&mut self) {
        if self.exit_reason.is_none() {
            self.stop_all(ExitReason::Requested);
        }
    }

    /// Stops all services on an interrupt from the terminal. The second interrupt
    /// and each one after it skip the current timeouts.
    fn interrupt(&mut self) {
        self.request_stop();
        self.interrupts += 1;
        match self.interrupts {
            0 | 1 => return,
            2 => (self.report)(SvscanWarning::Escalation(Escalation::KillServices)),
            3 => (self.report)(SvscanWarning::Escalation(Escalation::SkipFinish)),
            4.. => {}
        }
        let now = Instant::now();
        for shutdown in self.scanner.table.shutdowns_mut() {
            shutdown.stop.escalate(now);
        }
        self.foreign.clear();
    }
}
