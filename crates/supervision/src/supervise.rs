//! The loop of supervise: it waits, tells the machine what happened, and does
//! what the machine says.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use daemontools_core::control::Command;
use daemontools_core::names;
use daemontools_core::status::{Status, Want};
use nix::errno::Errno;
use nix::sys::signal::kill;
use unix::exec::Program;
use unix::fork::fork;
use unix::signals::SignalPipe;

use crate::directory::{Control, Lock, Obstacle, Presence, StatusTrouble, write_status};
use crate::machine::{Machine, Moment};
use crate::wait::{reap, wait};

/// What went wrong while supervising; none of it ends supervision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The status record could not be replaced.
    Status(StatusTrouble),
    /// There could be no process for the service.
    Fork(Errno),
    /// In the new process: the service's program could not be executed.
    Start(Errno),
}

/// Supervises the service in the current directory until it is told to exit.
/// `children` is to tell of SIGCHLD; `report` puts trouble into words.
///
/// # Errors
/// What could not be had at the start; the service was not started then.
pub fn supervise(
    children: &SignalPipe,
    want: Want,
    report: impl Fn(Trouble),
) -> Result<(), Obstacle> {
    let _lock = Lock::take()?;
    let control = Control::open()?;
    let machine = Machine::new(want, Moment::now());
    let environment = unix::start::environment();
    let run = Program::search(None, &[names::RUN_PROGRAM], &environment);
    let mut supervisor = Supervisor {
        machine,
        run,
        shown: None,
        report,
    };
    // The record is there before `ok` says that it can be read.
    supervisor.show();
    let _presence = Presence::announce()?;
    let mut commands = Commands::Expected;
    loop {
        supervisor.start_if_due();
        supervisor.show();
        if supervisor.machine.is_over() {
            return Ok(());
        }
        let start = supervisor.machine.start_due();
        match commands {
            Commands::Expected => wait(&[children.as_fd(), control.as_fd()], start),
            Commands::Ended => {
                let soon = Instant::now() + BETWEEN_LOOKS;
                wait(
                    &[children.as_fd()],
                    Some(start.map_or(soon, |start| start.min(soon))),
                );
            }
        }
        children.drain();
        supervisor.reap();
        commands = supervisor.obey(&control);
    }
}

/// Whether poll can tell when the next command comes.
#[derive(Clone, Copy)]
enum Commands {
    Expected,
    /// `control` is no FIFO but something that ends: poll would always call
    /// it readable, so it is looked at from time to time.
    Ended,
}

/// The time between two looks at a `control` that is no FIFO.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// At most this many bytes of commands are obeyed before children are looked
/// after again, however fast they come.
const BURST: usize = 4096;

struct Supervisor<'a, R> {
    machine: Machine,
    run: Program<'a>,
    /// The record that readers see.
    shown: Option<Status>,
    report: R,
}

impl<R: Fn(Trouble)> Supervisor<'_, R> {
    fn start_if_due(&mut self) {
        let due = self.machine.start_due();
        if due.is_none_or(|due| due > Instant::now()) {
            return;
        }
        let child = || {
            (self.report)(Trouble::Start(self.run.exec()));
            111
        };
        match fork(child) {
            Ok(pid) => self.machine.started(pid, Moment::now()),
            Err(error) => {
                (self.report)(Trouble::Fork(error));
                self.machine.not_started(Moment::now());
            }
        }
    }

    /// Writes the status record if it tells anything new.
    fn show(&mut self) {
        let status = self.machine.status();
        if self.shown != Some(status) {
            match write_status(&status) {
                Ok(()) => self.shown = Some(status),
                Err(trouble) => (self.report)(Trouble::Status(trouble)),
            }
        }
    }

    fn reap(&mut self) {
        reap(|pid, _| self.machine.died(pid, Moment::now()));
    }

    /// Obeys the commands that have come, in their order.
    fn obey(&mut self, control: &Control) -> Commands {
        let mut bytes = [0; 64];
        let mut obeyed = 0;
        while obeyed < BURST {
            match control.read(&mut bytes) {
                Ok(0) => return Commands::Ended,
                Ok(length) => {
                    let bytes = bytes.iter().take(length);
                    bytes
                        .filter_map(|&byte| Command::from_byte(byte))
                        .for_each(|command| {
                            self.command(command);
                        });
                    obeyed += length;
                }
                Err(_) => break,
            }
        }
        Commands::Expected
    }

    fn command(&mut self, command: Command) {
        let signals = self.machine.command(command, Moment::now());
        if let Some(pid) = self.machine.pid() {
            for &signal in signals {
                // It may have ended already; reaping will tell.
                let _ = kill(pid, signal);
            }
        }
        self.start_if_due();
    }
}
