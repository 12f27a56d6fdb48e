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

use crate::event::{LogEvent, LogReporter, LogStep, OnError, ProcessorPart};
use crate::names::{NEWSTATE, STATE, Suffix};
use crate::policy::LogPolicy;

/// The mode of what it has made.
const FINISHED: Mode = Mode::from_bits_truncate(0o744);

/// The processor of a log directory, which is the current directory whenever
/// it is started or waited for.
#[derive(Debug)]
pub(crate) struct Processor<'a> {
    pub(crate) policy: LogPolicy,
    pub(crate) reporter: LogReporter<'a>,
    pub(crate) command: CString,
    pub(crate) environment: &'a [&'a CStr],
    pub(crate) job: Option<Job>,
}

/// A processor at work.
#[derive(Debug)]
pub(crate) struct Job {
    pid: Pid,
    /// The file that it reads, and the one that it buffer.
    input: CString,
    output: CString,
}

impl Processor<'_> {
    /// Starts its work.
    pub(crate) fn start(&mut self, input: &CStr, output: &CStr) {
        self.job = Some(Job {
            pid: self.run(input, output),
            input: input.to_owned(),
            output: output.to_owned(),
        });
    }

    /// Whether it is at work.
    pub(crate) fn is_running(&self) -> bool {
        self.job.is_some()
    }

    /// Whether it was at work and has ended; how it did is seen when it is
    /// waited for.
    pub(crate) fn has_exited(&self) -> bool {
        let how = WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT | WaitPidFlag::WEXITED;
        self.job
            .as_ref()
            .is_some_and(|job| !matches!(waitid(Id::Pid(job.pid), how), Ok(WaitStatus::StillAlive)))
    }

    /// Waits until it exits 0, and runs it again as often as it does not.
    /// Then what it has made is finished, what it was made of is gone, and
    /// `newstate` is the state.
    pub(crate) fn finish(&mut self) {
        let Some(mut job) = self.job.take() else {
            return;
        };
        while !self.succeeds(&job) {
            job.pid = self.run(&job.input, &job.output);
        }
        let Job { input, output, .. } = &job;
        let made = match self.policy {
            LogPolicy::Multilog => {
                self.sync_and_chmod(output, Some(FINISHED));
                self.sync_and_chmod(NEWSTATE, None);
                self.reporter
                    .retry_until_ok(LogStep::Remove(input), || unlink(input.as_c_str()));
                output.clone()
            }
            LogPolicy::Svlogd => {
                let safe = Suffix::Safe.name(output.to_bytes());
                self.rename(output, &safe);
                self.reporter.retry_until_ok(LogStep::SetMode(&safe), || {
                    let follow = FchmodatFlags::FollowSymlink;
                    fchmodat(AT_FDCWD, safe.as_c_str(), FINISHED, follow)
                });
                if let Err(error) = unlink(input.as_c_str()) {
                    self.reporter.warn(LogStep::Remove(input), error);
                }
                safe
            }
        };
        self.rename(NEWSTATE, STATE);
        self.reporter.event(LogEvent::ProcessorDone(&made));
    }

    fn run(&self, input: &CStr, output: &CStr) -> Pid {
        let arguments = [c"sh", c"-c", self.command.as_c_str()];
        self.reporter.retry_until_ok(LogStep::Fork, || {
            let shell = PreparedExec::at(c"/bin/sh", &arguments, self.environment);
            let prepare = || {
                signals::reset(self.policy.signals());
                self.reporter.event(LogEvent::ProcessorStarted(input));
                self.set_descriptors(input, output)
            };
            Launch::new(shell).start_with(prepare, |error| {
                let (part, error) = match error {
                    LaunchError::Prepare(failed) => failed,
                    LaunchError::Descriptor(error)
                    | LaunchError::Chdir(error)
                    | LaunchError::Exec(error) => (ProcessorPart::Shell, error),
                };
                let step = LogStep::Run(&self.command, part);
                self.reporter.error(step, error, OnError::Exit);
            })
        })
    }

    /// In the child: gives the processor its files.
    fn set_descriptors(&self, input: &CStr, output: &CStr) -> Result<(), (ProcessorPart, Errno)> {
        let place = |part, opened: Result<_, Errno>, number| {
            let placed = opened.and_then(|opened| file::move_to_fd(opened, number));
            placed.map_err(|error| (part, error))
        };
        place(ProcessorPart::Input, file::open_read(input), 0)?;
        place(ProcessorPart::Output, file::open_truncate(output, 0o644), 1)?;
        let state = match (self.policy, file::open_read(STATE)) {
            (LogPolicy::Svlogd, Err(Errno::ENOENT)) => {
                let first = file::open_truncate(STATE, 0o644);
                first.map_err(|error| (ProcessorPart::FirstState, error))?;
                file::open_read(STATE)
            }
            (LogPolicy::Multilog | LogPolicy::Svlogd, state) => state,
        };
        place(ProcessorPart::State, state, 4)?;
        place(
            ProcessorPart::NewState,
            file::open_truncate(NEWSTATE, 0o644),
            5,
        )
    }

    /// Waits for its end; whether it exits 0.
    fn succeeds(&self, job: &Job) -> bool {
        let ended = loop {
            match waitpid(job.pid, None) {
                Err(Errno::EINTR) => {}
                ended => break ended,
            }
        };
        let trouble = match ended {
            Ok(WaitStatus::Exited(_, 0)) => return true,
            Ok(WaitStatus::Exited(..)) => None,
            // The signal has no errno, and 0.76 shows what errno happens to
            // be. EINVAL is nix's word for a real-time signal.
            Ok(_) | Err(Errno::EINVAL) => Some((LogStep::Crash, Errno::last())),
            Err(error) => Some((LogStep::Wait, error)),
        };
        match self.policy {
            LogPolicy::Multilog => {
                if let Some((step, error)) = trouble {
                    self.reporter.pause(step, error);
                }
                self.reporter.pause(LogStep::Failure, None);
            }
            LogPolicy::Svlogd => {
                match trouble {
                    Some((LogStep::Wait, error)) => self.reporter.warn(LogStep::Wait, error),
                    Some(_) | None => self.reporter.warn(LogStep::Failure, None),
                }
                let _ = unlink(job.output.as_c_str());
            }
        }
        false
    }

    /// Has a file safely on disk, and then gives it a mode.
    fn sync_and_chmod(&self, name: &CStr, mode: Option<Mode>) {
        let file = self
            .reporter
            .retry_until_ok(LogStep::Create(name), || file::open_append(name, 0o600));
        self.reporter
            .retry_until_ok(LogStep::Sync(name), || fsync(&file));
        if let Some(mode) = mode {
            self.reporter
                .retry_until_ok(LogStep::SetMode(name), || fchmod(&file, mode));
        }
    }

    fn rename(&self, from: &CStr, to: &CStr) {
        self.reporter.retry_until_ok(LogStep::Rename(from, to), || {
            renameat(AT_FDCWD, from, AT_FDCWD, to)
        });
    }
}
