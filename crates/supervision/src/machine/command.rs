//! The commands: how they change a service, and the steps that the caller takes.

use daemontools_core::control::{Command, ServiceSignal};
use daemontools_core::status::Want;
use nix::sys::signal::Signal;

use super::MIN_RESTART_INTERVAL;
use super::{Cleanup, Delayed, Down, Failed, Finish, Machine, Moment, Outside, Ruleset};
use super::{StartStop, Up};
use crate::Role;

/// A step of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandStep {
    /// Sends a signal to the service.
    Signal(Signal),
    /// Runs the program `control/LETTER`. Unless there is one and it exits 0,
    /// sends the signal, if any.
    Program {
        letter: u8,
        /// The signal that the program replaces.
        otherwise: Option<Signal>,
    },
}

/// The steps of a command, in order.
type Steps = [Option<CommandStep>; 3];

const NO_STEPS: Steps = [None; 3];

impl Machine {
    /// Changes the state by a command; returns the steps for the caller to
    /// take. There are none unless `run`, `start` or `stop` runs, as in
    /// daemontools-encore; a `stop` that runs is not stopped.
    pub(crate) fn apply_command(
        &mut self,
        command: Command,
        now: Moment,
    ) -> impl Iterator<Item = CommandStep> + use<> {
        let steps = match self.ruleset {
            Ruleset::Supervise | Ruleset::Extended => self.apply_supervise_command(command, now),
            Ruleset::Runsv(role) => self.apply_runsv_command(role, command, now),
        };
        let is_end = matches!(command, Command::Down | Command::Exit);
        let steps = match self.state {
            StartStop(Outside::Stopping(..)) if is_end => NO_STEPS,
            Up(_) | StartStop(Outside::Starting { .. } | Outside::Stopping(..)) => steps,
            Down | Delayed(_) | Finish(..) | StartStop(_) | Failed => NO_STEPS,
        };
        steps.into_iter().flatten()
    }

    fn apply_supervise_command(&mut self, command: Command, now: Moment) -> Steps {
        let send = |signal| [Some(CommandStep::Signal(signal)), None, None];
        match command {
            Command::Up => self.start_on_command(Want::Up, now),
            Command::Once => self.start_on_command(Want::Once, now),
            Command::Exit => {
                self.exit_requested = true;
                if self.config.exit_implies_down && self.want != Want::Down {
                    self.apply_supervise_command(Command::Down, now)
                } else {
                    self.end_fork_pause(now);
                    self.leave_outside(false, now);
                    NO_STEPS
                }
            }
            Command::Down => {
                (self.want, self.paused) = (Want::Down, false);
                self.end_fork_pause(now);
                let mut down_signal = self.config.down_signal;
                match &mut self.state {
                    Up(run) => {
                        let timeout = self.config.kill_timeout.map(|time| now.instant + time);
                        run.child.kill_at = run.child.kill_at.or(timeout);
                    }
                    // The stop signal is that of `run`.
                    StartStop(_) => down_signal = Signal::SIGTERM,
                    Down | Delayed(_) | Finish(..) | Failed => {}
                }
                self.leave_outside(true, now);
                self.cancel_start();
                let signals = [down_signal, Signal::SIGCONT];
                let [stop, resume] = signals.map(CommandStep::Signal);
                [Some(stop), Some(resume), None]
            }
            Command::Pause => {
                self.paused = self.run_pid().is_some();
                self.pause_checks(now);
                send(Signal::SIGSTOP)
            }
            Command::Continue => {
                self.paused = false;
                self.resume_checks(now);
                send(Signal::SIGCONT)
            }
            Command::Terminate => send(Signal::SIGTERM),
            Command::Kill => send(Signal::SIGKILL),
            Command::Send(signal) => send(signal_of(signal)),
            // The caller, which sends the signals, keeps their target.
            Command::Target(_) => NO_STEPS,
        }
    }

    /// `u` or `o`: under supervise -e, the command clears the restart history
    /// and cancels a pending KILL.
    fn start_on_command(&mut self, want: Want, now: Moment) -> Steps {
        self.want = want;
        match self.ruleset {
            Ruleset::Supervise | Ruleset::Runsv(_) => {}
            Ruleset::Extended => self.reset_backoff(now),
        }
        self.schedule_start(now);
        match &mut self.state {
            Finish(_, start_pending) => *start_pending = true,
            StartStop(outside) => outside.record_start_command(),
            Down | Delayed(_) | Up(_) | Failed => {}
        }
        NO_STEPS
    }

    fn reset_backoff(&mut self, now: Moment) {
        self.history.reset();
        let earliest = self.last_start.map(|start| start + MIN_RESTART_INTERVAL);
        self.not_before = earliest.unwrap_or(now.instant);
        match &mut self.state {
            Delayed(_) | Failed => self.state = Down,
            Up(run) => run.child.kill_at = None,
            StartStop(Outside::Ready(moment)) => *moment = now.instant.min(*moment),
            Down | Finish(..) | StartStop(_) => {}
        }
        self.end_fork_pause(now);
    }

    /// Ends the pause after a failed fork for `finish` or `stop`, which precede each
    /// other step.
    fn end_fork_pause(&mut self, now: Moment) {
        match &mut self.state {
            Finish(Cleanup::Due(moment, _), _) | StartStop(Outside::StopDue(moment, _)) => {
                *moment = now.instant.min(*moment);
            }
            Down | Delayed(_) | Up(_) | Finish(..) | StartStop(_) | Failed => {}
        }
    }

    fn cancel_start(&mut self) {
        match self.state {
            Delayed(_) => self.state = Down,
            Down | Up(_) | Finish(..) | StartStop(_) | Failed => {}
        }
    }

    fn apply_runsv_command(&mut self, role: Role, command: Command, now: Moment) -> Steps {
        let send = |signal| [step(role, command, Some(signal)), None, None];
        match command {
            Command::Up | Command::Once => {
                let stays_up = command == Command::Up;
                self.want = if stays_up { Want::Up } else { Want::Down };
                self.exit_requested = false;
                self.schedule_start(now);
                NO_STEPS
            }
            Command::Down => {
                (self.want, self.exit_requested) = (Want::Down, false);
                self.cancel_start();
                self.steps_to_stop(role)
            }
            Command::Exit => match role {
                Role::Service => {
                    self.request_exit();
                    self.cancel_start();
                    self.steps_to_stop(role)
                }
                Role::Logger => NO_STEPS,
            },
            Command::Terminate => self.steps_to_stop(role),
            Command::Kill => {
                if let Finish(Cleanup::Running(child), pending) = self.state {
                    self.state = Finish(Cleanup::GivenUp(child), pending);
                }
                send(Signal::SIGKILL)
            }
            Command::Pause => {
                self.paused = true;
                send(Signal::SIGSTOP)
            }
            Command::Continue => {
                self.paused = false;
                send(Signal::SIGCONT)
            }
            Command::Send(signal) => send(signal_of(signal)),
            Command::Target(_) => NO_STEPS,
        }
    }

    /// How runsv stops a service: TERM and, unless it is wanted up, CONT and
    /// the program for `d` or `x`.
    fn steps_to_stop(&self, role: Role) -> Steps {
        let terminate = step(role, Command::Terminate, Some(Signal::SIGTERM));
        let stay_down = match self.want {
            Want::Up => return [terminate, None, None],
            Want::Down | Want::Once if self.exit_requested => Command::Exit,
            Want::Down | Want::Once => Command::Down,
        };
        let resume = CommandStep::Signal(Signal::SIGCONT);
        [terminate, Some(resume), step(role, stay_down, None)]
    }
}

fn signal_of(signal: ServiceSignal) -> Signal {
    match signal {
        ServiceSignal::Hangup => Signal::SIGHUP,
        ServiceSignal::Alarm => Signal::SIGALRM,
        ServiceSignal::Interrupt => Signal::SIGINT,
        ServiceSignal::Quit => Signal::SIGQUIT,
        ServiceSignal::User1 => Signal::SIGUSR1,
        ServiceSignal::User2 => Signal::SIGUSR2,
        ServiceSignal::WindowChange => Signal::SIGWINCH,
    }
}

/// A step of runsv: only the service has programs in `control`.
fn step(role: Role, command: Command, signal: Option<Signal>) -> Option<CommandStep> {
    match role {
        Role::Service => Some(CommandStep::Program {
            letter: command.letter(),
            otherwise: signal,
        }),
        Role::Logger => signal.map(CommandStep::Signal),
    }
}
