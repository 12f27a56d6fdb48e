//! A processor that works in the background.

use std::ffi::{CStr, CString};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, renameat};
use nix::sys::signal::Signal;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, unlink};
use unix::exec::Program;
use unix::fork::fork;
use unix::{file, signals};

use super::event::{Voice, Weight, What};
use crate::names::{NEWSTATE, STATE};

/// The signals that svlogd holds, and that a processor gets at their default
/// action.
pub const SIGNALS: [Signal; 4] = [
    Signal::SIGTERM,
    Signal::SIGALRM,
    Signal::SIGHUP,
    Signal::SIGCHLD,
];

/// A processor at work on an old file of a log directory.
#[derive(Debug)]
pub(crate) struct Processing {
    pid: Pid,
    /// The old file while it is unprocessed, `.u`; what the processor makes of
    /// it, `.t`; and what it is in the end, `.s`.
    unprocessed: CString,
    made: CString,
    safe: CString,
}

impl Processing {
    /// Has `command` process `@LABEL.u` in the current directory.
    pub(crate) fn start(
        command: &CStr,
        label: &[u8],
        environment: &[&CStr],
        voice: Voice<'_>,
    ) -> Self {
        let name = |end: &[u8]| CString::new([label, end].concat()).unwrap_or_default();
        let mut processing = Processing {
            pid: Pid::from_raw(0),
            unprocessed: name(b".u"),
            made: name(b".t"),
            safe: name(b".s"),
        };
        processing.run(command, environment, voice);
        processing
    }

    fn run(&mut self, command: &CStr, environment: &[&CStr], voice: Voice<'_>) {
        let shell = Program::at(c"/bin/sh", &[c"sh", c"-c", command], environment);
        self.pid = voice.persist(What::Fork, || {
            fork(|| {
                signals::reset(&SIGNALS);
                voice.info(What::Processing(&self.unprocessed));
                match self.place_descriptors() {
                    Ok(()) => voice.warn(What::RunProcessor, shell.exec()),
                    Err((what, error)) => voice.warn(what, error),
                }
                UNABLE
            })
        });
    }

    /// In the child: gives the processor its files.
    fn place_descriptors(&self) -> Result<(), (What<'static>, Errno)> {
        let place = |what, opened: Result<_, Errno>, number| {
            let placed = opened.and_then(|opened| file::place(opened, number));
            placed.map_err(|error| (what, error))
        };
        place(
            What::OpenInput,
            file::open_read(self.unprocessed.as_c_str()),
            0,
        )?;
        place(
            What::OpenOutput,
            file::open_truncate(self.made.as_c_str(), 0o644),
            1,
        )?;
        let state = match file::open_read(STATE) {
            Err(Errno::ENOENT) => {
                let made = file::open_truncate(STATE, 0o644);
                made.map_err(|error| (What::CreateState, error))?;
                file::open_read(STATE)
            }
            state => state,
        };
        place(What::OpenState, state, 4)?;
        place(What::OpenNewState, file::open_truncate(NEWSTATE, 0o644), 5)
    }

    /// Whether the processor has ended; if so, how is asked of
    /// [`Processing::wait`].
    pub(crate) fn has_ended(&self) -> bool {
        let how = WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT | WaitPidFlag::WEXITED;
        let child = nix::sys::wait::Id::Pid(self.pid);
        !matches!(
            nix::sys::wait::waitid(child, how),
            Ok(WaitStatus::StillAlive)
        )
    }

    /// Waits until the processor has done its work, in the log directory,
    /// which is the current one; it is run again as often as it fails.
    pub(crate) fn wait(mut self, command: &CStr, environment: &[&CStr], voice: Voice<'_>) {
        loop {
            let ended = loop {
                match waitpid(self.pid, None) {
                    Err(Errno::EINTR) => {}
                    ended => break ended,
                }
            };
            match ended {
                Ok(WaitStatus::Exited(_, 0)) => break,
                Ok(_) | Err(Errno::EINVAL) => {
                    voice.event(Weight::Warning, What::ProcessorFailed, None);
                }
                Err(error) => voice.warn(What::WaitForProcessor, error),
            }
            let _ = unlink(self.made.as_c_str());
            self.run(command, environment, voice);
        }
        let rename = |what, from: &CStr, to: &CStr| {
            voice.persist(what, || renameat(AT_FDCWD, from, AT_FDCWD, to));
        };
        rename(What::RenameProcessed, &self.made, &self.safe);
        voice.persist(What::SetModeOfProcessed, || {
            let mode = Mode::from_bits_truncate(0o744);
            fchmodat(
                AT_FDCWD,
                self.safe.as_c_str(),
                mode,
                FchmodatFlags::FollowSymlink,
            )
        });
        if let Err(error) = unlink(self.unprocessed.as_c_str()) {
            voice.warn(What::Unlink(&self.unprocessed), error);
        }
        rename(What::RenameState, NEWSTATE, STATE);
        voice.info(What::Processed(&self.safe));
    }
}

/// What a child that could not become the processor exits with.
const UNABLE: i32 = 111;
