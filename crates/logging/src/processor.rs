//! Processors: shell commands that finished files go through.

use std::ffi::CStr;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, renameat};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, fchmod};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{fsync, unlink};
use unix::exec::Program;
use unix::fork::fork;
use unix::{file, signals};

use crate::names::{NEWSTATE, PREVIOUS, PROCESSED, STATE};
use crate::trouble::{Step, Tell, Trouble, persist};

/// The signals that a program with processors may hold: a processor gets them
/// at their default action, and unblocked.
pub const SIGNALS: [Signal; 2] = [Signal::SIGTERM, Signal::SIGALRM];

/// What a child that could not become the processor exits with.
const UNABLE: i32 = 111;

/// A processor of a log directory.
#[derive(Debug)]
pub struct Processor<'a> {
    command: &'a CStr,
    shell: Program<'a>,
}

impl<'a> Processor<'a> {
    /// The processor `command`, with the environment that it is to have.
    #[must_use]
    pub fn new(command: &'a CStr, environment: &[&'a CStr]) -> Self {
        Processor {
            command,
            shell: Program::at(c"/bin/sh", &[c"sh", c"-c", command], environment),
        }
    }

    /// Runs it in the current directory, which is the log directory `place`,
    /// until it exits 0: then `processed` is safe and finished, `previous` is
    /// gone, and `newstate` is the state.
    pub(crate) fn process(&self, place: &CStr, tell: Tell) {
        while !self.run(place, tell) {
            tell(&Trouble {
                place,
                step: Step::Failure,
                error: None,
            });
        }
        secure(place, PROCESSED, Some(0o744), tell);
        secure(place, NEWSTATE, None, tell);
        persist(tell, place, Step::Remove(PREVIOUS), || unlink(PREVIOUS));
        persist(tell, place, Step::Rename(NEWSTATE, STATE), || {
            renameat(AT_FDCWD, NEWSTATE, AT_FDCWD, STATE)
        });
    }

    /// Whether it exits 0.
    fn run(&self, place: &CStr, tell: Tell) -> bool {
        let child = persist(tell, place, Step::Fork, || {
            fork(|| {
                signals::reset(&SIGNALS);
                let error = self.become_it();
                tell(&Trouble::new(place, Step::Run(self.command), error));
                UNABLE
            })
        });
        let ended = loop {
            match waitpid(child, None) {
                Err(Errno::EINTR) => {}
                ended => break ended,
            }
        };
        let (step, error) = match ended {
            Ok(WaitStatus::Exited(_, code)) => return code == 0,
            // The signal has no errno, and 0.76 shows what errno happens to
            // be. EINVAL is nix's word for a real-time signal.
            Ok(_) | Err(Errno::EINVAL) => (Step::Crash, Errno::last()),
            Err(error) => (Step::Wait, error),
        };
        tell(&Trouble::new(place, step, error));
        false
    }

    /// In the child: becomes the shell; returns why that failed.
    fn become_it(&self) -> Errno {
        let descriptors = || {
            file::place(file::open_read(PREVIOUS)?, 0)?;
            file::place(file::open_truncate(PROCESSED, 0o644)?, 1)?;
            file::place(file::open_read(STATE)?, 4)?;
            file::place(file::open_truncate(NEWSTATE, 0o644)?, 5)
        };
        match descriptors() {
            Ok(()) => self.shell.exec(),
            Err(error) => error,
        }
    }
}

/// Has a file safely on disk, and then gives it a mode.
fn secure(place: &CStr, name: &CStr, mode: Option<u32>, tell: Tell) {
    let file = persist(tell, place, Step::Create(name), || {
        file::open_append(name, 0o600)
    });
    persist(tell, place, Step::Sync(name), || fsync(&file));
    if let Some(mode) = mode.map(Mode::from_bits_truncate) {
        persist(tell, place, Step::SetMode(name), || fchmod(&file, mode));
    }
}
