//! Processors: shell commands that finished files go through.
//!
//! multilog waits for its processor, and what that makes is a file of its own
//! until it is safely on disk. svlogd's works in the background.

use std::ffi::{CStr, CString};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, fsync, unlink};
use unix::exec::PreparedExec;
use unix::launch::{Launch, LaunchError};
use unix::{file, signals};

use crate::event::{News, Part, Step, Then, Voice};
use crate::names::{Code, NEWSTATE, STATE};
use crate::policy::Policy;

/// The mode of what it has made.
const FINISHED: Mode = Mode::from_bits_truncate(0o744);

/// The processor of a log directory, which is the current directory whenever
/// it is started or waited for.
#[derive(Debug)]
pub(crate) struct Processor<'a> {
    pub(crate) policy: Policy,
    pub(crate) voice: Voice<'a>,
    pub(crate) command: CString,
    pub(crate) environment: &'a [&'a CStr],
    pub(crate) work: Option<Work>,
}

/// A processor at work.
#[derive(Debug)]
pub(crate) struct Work {
    pid: Pid,
    /// The file that it reads, and the one that it writes.
    input: CString,
    output: CString,
}

impl Processor<'_> {
    /// Starts its work.
    pub(crate) fn start(&mut self, input: &CStr, output: &CStr) {
        self.work = Some(Work {
            pid: self.run(input, output),
            input: input.to_owned(),
            output: output.to_owned(),
        });
    }

    /// Whether it is at work.
    pub(crate) fn works(&self) -> bool {
        self.work.is_some()
    }

    /// Whether it was at work and has ended; how it did is seen when it is
    /// waited for.
    pub(crate) fn has_ended(&self) -> bool {
        let how = WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT | WaitPidFlag::WEXITED;
        self.work.as_ref().is_some_and(|work| {
            !matches!(waitid(Id::Pid(work.pid), how), Ok(WaitStatus::StillAlive))
        })
    }

    /// Waits until it exits 0, and runs it again as often as it does not.
    /// Then what it has made is finished, what it was made of is gone, and
    /// `newstate` is the state.
    pub(crate) fn finish(&mut self) {
        let Some(mut work) = self.work.take() else {
            return;
        };
        while !self.succeeds(&work) {
            work.pid = self.run(&work.input, &work.output);
        }
        let Work { input, output, .. } = &work;
        let made = match self.policy {
            Policy::Multilog => {
                self.secure(output, Some(FINISHED));
                self.secure(NEWSTATE, None);
                self.voice
                    .persist(Step::Remove(input), || unlink(input.as_c_str()));
                output.clone()
            }
            Policy::Svlogd => {
                let safe = Code::Safe.name(output.to_bytes());
                self.rename(output, &safe);
                self.voice.persist(Step::SetMode(&safe), || {
                    let follow = FchmodatFlags::FollowSymlink;
                    fchmodat(AT_FDCWD, safe.as_c_str(), FINISHED, follow)
                });
                if let Err(error) = unlink(input.as_c_str()) {
                    self.voice.warn(Step::Remove(input), error);
                }
                safe
            }
        };
        self.rename(NEWSTATE, STATE);
        self.voice.news(News::Processed(&made));
    }

    fn run(&self, input: &CStr, output: &CStr) -> Pid {
        let arguments = [c"sh", c"-c", self.command.as_c_str()];
        self.voice.persist(Step::Fork, || {
            let shell = PreparedExec::at(c"/bin/sh", &arguments, self.environment);
            let prepare = || {
                signals::reset(self.policy.signals());
                self.voice.news(News::Processing(input));
                self.place_descriptors(input, output)
            };
            Launch::new(shell).start_with(prepare, |error| {
                let (part, error) = match error {
                    LaunchError::Prepare(failed) => failed,
                    LaunchError::Descriptor(error)
                    | LaunchError::Chdir(error)
                    | LaunchError::Exec(error) => (Part::Shell, error),
                };
                let step = Step::Run(&self.command, part);
                self.voice.trouble(step, error, Then::Exit);
            })
        })
    }

    /// In the child: gives the processor its files.
    fn place_descriptors(&self, input: &CStr, output: &CStr) -> Result<(), (Part, Errno)> {
        let place = |part, opened: Result<_, Errno>, number| {
            let placed = opened.and_then(|opened| file::move_to_fd(opened, number));
            placed.map_err(|error| (part, error))
        };
        place(Part::Input, file::open_read(input), 0)?;
        place(Part::Output, file::open_truncate(output, 0o644), 1)?;
        let state = match (self.policy, file::open_read(STATE)) {
            (Policy::Svlogd, Err(Errno::ENOENT)) => {
                let first = file::open_truncate(STATE, 0o644);
                first.map_err(|error| (Part::FirstState, error))?;
                file::open_read(STATE)
            }
            (Policy::Multilog | Policy::Svlogd, state) => state,
        };
        place(Part::State, state, 4)?;
        place(Part::NewState, file::open_truncate(NEWSTATE, 0o644), 5)
    }

    /// Waits for its end; whether it exits 0.
    fn succeeds(&self, work: &Work) -> bool {
        let ended = loop {
            match waitpid(work.pid, None) {
                Err(Errno::EINTR) => {}
                ended => break ended,
            }
        };
        let trouble = match ended {
            Ok(WaitStatus::Exited(_, 0)) => return true,
            Ok(WaitStatus::Exited(..)) => None,
            // The signal has no errno, and 0.76 shows what errno happens to
            // be. EINVAL is nix's word for a real-time signal.
            Ok(_) | Err(Errno::EINVAL) => Some((Step::Crash, Errno::last())),
            Err(error) => Some((Step::Wait, error)),
        };
        match self.policy {
            Policy::Multilog => {
                if let Some((step, error)) = trouble {
                    self.voice.pause(step, error);
                }
                self.voice.pause(Step::Failure, None);
            }
            Policy::Svlogd => {
                match trouble {
                    Some((Step::Wait, error)) => self.voice.warn(Step::Wait, error),
                    Some(_) | None => self.voice.warn(Step::Failure, None),
                }
                let _ = unlink(work.output.as_c_str());
            }
        }
        false
    }

    /// Has a file safely on disk, and then gives it a mode.
    fn secure(&self, name: &CStr, mode: Option<Mode>) {
        let file = self
            .voice
            .persist(Step::Create(name), || file::open_append(name, 0o600));
        self.voice.persist(Step::Sync(name), || fsync(&file));
        if let Some(mode) = mode {
            self.voice
                .persist(Step::SetMode(name), || fchmod(&file, mode));
        }
    }

    fn rename(&self, from: &CStr, to: &CStr) {
        self.voice.persist(Step::Rename(from, to), || {
            renameat(AT_FDCWD, from, AT_FDCWD, to)
        });
    }
}
