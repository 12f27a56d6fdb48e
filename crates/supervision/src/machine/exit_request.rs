//! Whether a command requested the exit of a run. Source: service-directory(5),
//! requested deaths.

use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use unix::wait::ExitStatus;

/// The time after a signal with several meanings within which every exit is the
/// effect of the signal.
const EFFECT_TIME: Duration = Duration::from_secs(5);

/// The request to exit that the commands of a run amount to.
#[derive(Clone, Copy, Debug)]
pub(super) enum ExitRequest {
    /// No signal was sent that can end a run.
    Absent,
    /// Signals were sent, which services use to exit, or to reload their
    /// configuration and the like.
    Signals {
        sent: SigSet,
        /// The moment of the last one.
        last: Instant,
    },
    /// A signal to exit was sent.
    Definite,
}

impl ExitRequest {
    /// The request after one more signal.
    pub(super) fn after(self, signal: Signal, down_signal: Signal, now: Instant) -> Self {
        let sent = match self {
            ExitRequest::Absent => None,
            ExitRequest::Signals { sent, .. } => Some(sent),
            ExitRequest::Definite => return self,
        };
        match Meaning::of(signal, down_signal) {
            Meaning::Exit => ExitRequest::Definite,
            Meaning::Several => {
                let mut sent = sent.unwrap_or_else(SigSet::empty);
                sent.add(signal);
                ExitRequest::Signals { sent, last: now }
            }
            // A stopped service receives its signals only when it continues.
            Meaning::Continue => sent.map_or(self, |sent| ExitRequest::Signals { sent, last: now }),
            Meaning::Stop => self,
        }
    }

    /// Whether an exit with this status fulfils the request.
    pub(super) fn covers(self, status: ExitStatus, now: Instant) -> bool {
        match self {
            ExitRequest::Absent => false,
            ExitRequest::Signals { sent, last } => {
                let killed_by = status.signal().map(i32::from);
                let mut killed = sent.iter().map(|signal| signal as i32);
                // A graceful exit may take hours, and a crash may follow hours
                // after a reload. The exit code tells them apart.
                killed.any(|signal| killed_by == Some(signal))
                    || status.code() == Some(0)
                    || now.saturating_duration_since(last) <= EFFECT_TIME
            }
            ExitRequest::Definite => true,
        }
    }
}

enum Meaning {
    Exit,
    Several,
    Stop,
    Continue,
}

impl Meaning {
    fn of(signal: Signal, down_signal: Signal) -> Self {
        let exits = [
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGKILL,
            down_signal,
        ];
        if exits.contains(&signal) {
            Meaning::Exit
        } else if signal == Signal::SIGCONT {
            Meaning::Continue
        } else if signal == Signal::SIGSTOP {
            Meaning::Stop
        } else {
            Meaning::Several
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXIT_0: ExitStatus = ExitStatus::from_raw(0);
    const EXIT_3: ExitStatus = ExitStatus::from_raw(3 << 8);

    const fn killed_by(signal: Signal) -> ExitStatus {
        ExitStatus::from_raw(signal as i32)
    }

    /// Whether signals, each sent at a second of the run, request an exit with
    /// this status at the last second. The down signal is USR1.
    fn covers(signals: &[(Signal, u64)], exit: (ExitStatus, u64)) -> bool {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let request = signals.iter().fold(ExitRequest::Absent, |request, sent| {
            request.after(sent.0, Signal::SIGUSR1, at(sent.1))
        });
        request.covers(exit.0, at(exit.1))
    }

    /// service-directory(5), requested deaths, from all signals at once.
    fn is_requested(signals: &[(Signal, u64)], (status, end): (ExitStatus, u64)) -> bool {
        use Signal::{SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1};
        let mut sent = signals.iter().enumerate();
        sent.any(|(index, &(signal, second))| {
            let later = signals.iter().skip(index);
            let resumed = later.filter(|(signal, _)| *signal == SIGCONT);
            let received = resumed.map(|(_, second)| *second).max().unwrap_or(second);
            match signal {
                SIGTERM | SIGINT | SIGKILL | SIGUSR1 => true,
                SIGSTOP | SIGCONT => false,
                _ => status == EXIT_0 || status == killed_by(signal) || end - received <= 5,
            }
        })
    }

    #[test]
    fn all_sequences_of_signals_match_the_manual() {
        use Signal::{SIGCONT, SIGHUP, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2};
        let signals = [SIGCONT, SIGHUP, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2];
        let exits = [EXIT_0, EXIT_3].into_iter().chain(signals.map(killed_by));
        let exits: Vec<_> = exits.collect();
        let mut sequences = vec![Vec::new()];
        let mut first = 0;
        for second in 0..4 {
            let last_ones = first..sequences.len();
            first = last_ones.end;
            for index in last_ones {
                for signal in signals {
                    let mut longer = sequences[index].clone();
                    longer.push((signal, second * 3));
                    sequences.push(longer);
                }
            }
        }
        for sequence in sequences {
            for &exit in &exits {
                for end in 9..16 {
                    let expected = is_requested(&sequence, (exit, end));
                    let covers = covers(&sequence, (exit, end));
                    assert_eq!(covers, expected, "{sequence:?} {exit:?} {end}");
                }
            }
        }
    }

    #[test]
    fn signal_to_exit_requests_every_later_exit() {
        use Signal::{SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1};
        for signal in [SIGTERM, SIGINT, SIGKILL, SIGUSR1] {
            for status in [EXIT_0, EXIT_3, killed_by(signal), killed_by(SIGHUP)] {
                assert!(covers(&[(signal, 0)], (status, 0)));
                assert!(covers(&[(signal, 0), (SIGHUP, 1)], (status, 9000)));
            }
        }
        assert!(!covers(&[], (EXIT_0, 0)));
    }

    #[test]
    fn other_signal_requests_only_its_own_effects() {
        use Signal::{SIGALRM, SIGHUP, SIGQUIT, SIGSEGV, SIGUSR2, SIGWINCH};
        for signal in [SIGALRM, SIGHUP, SIGQUIT, SIGUSR2, SIGWINCH] {
            let sent = [(signal, 1)];
            for (status, second, is_requested) in [
                (EXIT_3, 6, true),
                (EXIT_3, 7, false),
                (killed_by(SIGSEGV), 6, true),
                (killed_by(SIGSEGV), 7, false),
                (EXIT_0, 9000, true),
                (killed_by(signal), 9000, true),
            ] {
                assert_eq!(covers(&sent, (status, second)), is_requested);
            }
        }
        let two = [(SIGHUP, 1), (SIGUSR2, 2)];
        assert!(covers(&two, (killed_by(SIGHUP), 9000)));
        assert!(!covers(&two, (killed_by(SIGQUIT), 9000)));
    }

    #[test]
    fn stop_and_continue_request_no_exit() {
        use Signal::{SIGCONT, SIGHUP, SIGSTOP};
        assert!(!covers(&[(SIGSTOP, 0), (SIGCONT, 0)], (EXIT_0, 0)));
        // The service receives HUP at the second 100.
        let held_back = [(SIGSTOP, 0), (SIGHUP, 1), (SIGCONT, 100)];
        assert!(covers(&held_back, (EXIT_3, 105)));
        assert!(!covers(&held_back, (EXIT_3, 106)));
    }
}
