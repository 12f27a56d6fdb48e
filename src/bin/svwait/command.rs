//! The program that svwait runs once it watches the services.

use std::ffi::CStr;
use std::os::fd::AsFd;
use std::time::Instant;

use chain::Child;
use cli::{Exit, Failure, text};
use daemontools::ServiceWait;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use supervision::retry::Reaper;
use unix::descriptors::DescriptorLimit;
use unix::signals::SignalPipe;
use unix::start::environment;
use unix::wait::ExitStatus;

use super::{SVWAIT, fatal, timed_out};

/// A program with the limit on descriptors that svwait inherited, and itself
/// changes.
pub(crate) struct Command<'a> {
    argv: &'a [&'static CStr],
    limit: DescriptorLimit,
    /// Reports the end of a child, of an inherited one too. The handler writes to
    /// the pipe for the life of the process, so that the pipe stays open.
    children: &'static SignalPipe,
}

impl<'a> Command<'a> {
    /// The program that `argv` names. Failure: SIGCHLD cannot be caught.
    pub(crate) fn new(argv: &'a [&'static CStr]) -> Result<Self, Failure> {
        let limit = DescriptorLimit::read();
        limit.raise();
        let children = SignalPipe::catch(&[Signal::SIGCHLD])
            .map_err(|error| SVWAIT.fatal("unable to catch SIGCHLD", error))?;
        Ok(Command {
            argv,
            limit,
            children: Box::leak(Box::new(children)),
        })
    }

    /// Runs the program to its end while `wait` notes exits: the exit code.
    /// Failure: the deadline passed, and the program still runs; the program
    /// was killed, or could not be started.
    pub(crate) fn run(
        &self,
        wait: &mut ServiceWait<'_>,
        deadline: Option<Instant>,
    ) -> Result<Exit, Failure> {
        let program = Child::new(&SVWAIT, self.argv, &environment()).start(|| {
            self.children.restore();
            self.limit.restore();
        });
        let program = program.map_err(|error| SVWAIT.fatal("unable to fork", error))?;
        let mut reaper = Reaper::default();
        loop {
            self.children.drain();
            if let Some(status) = exit_status(program, &mut reaper) {
                return exit(self.argv, status);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(timed_out());
            }
            let next = deadline.into_iter().chain(reaper.next_deadline()).min();
            wait.note_exits(self.children.as_fd(), next);
        }
    }
}

/// The exit status of the program; None while the program runs. Other children
/// were inherited across exec.
fn exit_status(program: Pid, reaper: &mut Reaper) -> Option<ExitStatus> {
    std::iter::from_fn(|| reaper.reap(|| true))
        .find(|(pid, _)| *pid == program)
        .map(|(_, status)| status)
}

/// The exit code of svwait: that of the program, or 128 plus the number of the
/// signal that killed the program, as in a shell.
fn exit(argv: &[&CStr], status: ExitStatus) -> Result<Exit, Failure> {
    let low_byte = |code: i32| u8::try_from(code).unwrap_or(u8::MAX);
    let Some(signal) = status.signal() else {
        return match status.code().map(low_byte) {
            Some(0) => Ok(Exit::Success),
            code => Ok(Exit::Code(code.unwrap_or(u8::MAX))),
        };
    };
    let name = argv.first().copied().unwrap_or_default();
    let problem = text![name, format!(" was killed by signal {signal}")];
    Err(fatal(Exit::Code(128 + signal), problem))
}
