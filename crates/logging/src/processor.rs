//! Processors: shell commands that filter closed files.
//!
//! multilog waits for its processor. svlogd's processor runs in the
//! background.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, fsync, unlink};
use unix::exec::PreparedExec;
use unix::launch::{Launch, LaunchError};
use unix::wait::has_ended;
use unix::{file, signals};

use crate::archive::rename;
use crate::event::{LogEvent, LogReporter, LogStep, OnError, ProcessorPart};
use crate::multilog::print::divide_unfinished_line;
use crate::names::{FINISHED, NEWSTATE, STATE, Suffix};
use crate::policy::LogPolicy;

/// The time between two attempts of svlogd to wait for its processor. multilog
/// pauses as after all of its errors.
const WAIT_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The processor of a log directory. All methods expect it to be the current
/// directory.
#[derive(Debug)]
pub(crate) struct Processor<'a> {
    pub(crate) policy: LogPolicy,
    pub(crate) reporter: LogReporter<'a>,
    pub(crate) command: CString,
    pub(crate) environment: &'a [&'a CStr],
    pub(crate) job: Option<Job>,
}

/// A running processor.
#[derive(Debug)]
pub(crate) struct Job {
    pid: Pid,
    /// The files on standard input and standard output.
    input: CString,
    output: CString,
}

impl Processor<'_> {
    /// Starts the processor.
    pub(crate) fn start(&mut self, input: &CStr, output: &CStr) {
        self.job = Some(Job {
            pid: self.run(input, output),
            input: input.to_owned(),
            output: output.to_owned(),
        });
    }

    /// Whether a processor was started and not yet waited for.
    pub(crate) fn is_running(&self) -> bool {
        self.job.is_some()
    }

    /// Whether a started processor has exited. The exit status stays
    /// available for [`Processor::finish`].
    pub(crate) fn has_exited(&self) -> bool {
        let ended = |job: &Job| has_ended(job.pid);
        self.job.as_ref().is_some_and(|job| {
            // No second SIGCHLD follows an error. If the error lasts, the caller
            // waits for the processor.
            let ended = ended(job).or_else(|_| ended(job));
            !matches!(ended, Ok(false))
        })
    }

    /// Waits for the processor, and runs it again until it exits 0. Then
    /// finishes its output, removes its input and renames `newstate` to
    /// `state`.
    pub(crate) fn finish(&mut self) {
        if !self.has_exited() {
            divide_unfinished_line();
        }
        let Some(mut job) = self.job.take() else {
            return;
        };
        while !self.succeeds(&job) {
            job.pid = self.run(&job.input, &job.output);
        }
        let Job { input, output, .. } = &job;
        let processed = match self.policy {
            LogPolicy::Multilog => {
                self.sync_and_chmod(output, Some(FINISHED));
                self.sync_and_chmod(NEWSTATE, None);
                self.reporter
                    .retry_until_ok(LogStep::Remove(input), || unlink(input.as_c_str()));
                output.clone()
            }
            LogPolicy::Svlogd => {
                let safe = Suffix::Safe.name(output.to_bytes());
                // The rename reports a missing output.
                let file = file::open_read(output.as_c_str()).ok();
                if let Some(file) = &file {
                    self.sync(output, file);
                }
                rename(self.reporter, output, &safe);
                self.reporter.retry_until_ok(LogStep::SetMode(&safe), || {
                    let follow = FchmodatFlags::FollowSymlink;
                    fchmodat(AT_FDCWD, safe.as_c_str(), FINISHED, follow)
                });
                // Before the input goes: a later writer removes an output without a name.
                if let Some(file) = &file {
                    self.sync(&safe, file);
                }
                if let Err(error) = unlink(input.as_c_str()) {
                    self.reporter.warn(LogStep::Remove(input), error);
                }
                safe
            }
        };
        rename(self.reporter, NEWSTATE, STATE);
        self.reporter.event(LogEvent::ProcessorDone(&processed));
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

    /// In the child: opens the files of the processor.
    fn set_descriptors(&self, input: &CStr, output: &CStr) -> Result<(), (ProcessorPart, Errno)> {
        let set = |part, opened: Result<_, Errno>, number| {
            let moved = opened.and_then(|opened| file::move_to_fd(opened, number));
            moved.map_err(|error| (part, error))
        };
        set(ProcessorPart::Input, file::open_read(input), 0)?;
        set(ProcessorPart::Output, file::open_truncate(output, 0o644), 1)?;
        let state = match (self.policy, file::open_read(STATE)) {
            (LogPolicy::Svlogd, Err(Errno::ENOENT)) => {
                let first = file::open_truncate(STATE, 0o644);
                first.map_err(|error| (ProcessorPart::FirstState, error))?;
                file::open_read(STATE)
            }
            (LogPolicy::Multilog | LogPolicy::Svlogd, state) => state,
        };
        set(ProcessorPart::State, state, 4)?;
        set(
            ProcessorPart::NewState,
            file::open_truncate(NEWSTATE, 0o644),
            5,
        )
    }

    /// Waits for the processor. Returns whether it exited 0.
    fn succeeds(&self, job: &Job) -> bool {
        let status = loop {
            match waitpid(job.pid, None) {
                Err(Errno::EINTR) => {}
                // The processor may still run: a second one would write to the same
                // files.
                Err(error) if error != Errno::ECHILD && error != Errno::EINVAL => {
                    self.pause_wait(error);
                }
                status => break status,
            }
        };
        let failure = match status {
            Ok(WaitStatus::Exited(_, 0)) => return true,
            Ok(WaitStatus::Exited(..)) => None,
            // As in 0.76, the report of a crash shows the last errno. nix
            // returns EINVAL for a real-time signal.
            Ok(_) | Err(Errno::EINVAL) => Some((LogStep::Crash, Errno::last())),
            Err(error) => Some((LogStep::Wait, error)),
        };
        match self.policy {
            LogPolicy::Multilog => {
                if let Some((step, error)) = failure {
                    self.reporter.pause(step, error);
                }
                self.reporter.pause(LogStep::Failure, None);
            }
            LogPolicy::Svlogd => {
                match failure {
                    Some((LogStep::Wait, error)) => self.reporter.warn(LogStep::Wait, error),
                    Some(_) | None => self.reporter.warn(LogStep::Failure, None),
                }
                let _ = unlink(job.output.as_c_str());
            }
        }
        false
    }

    /// Reports that waiting failed, and pauses.
    fn pause_wait(&self, error: Errno) {
        match self.policy {
            LogPolicy::Multilog => self.reporter.pause(LogStep::Wait, error),
            LogPolicy::Svlogd => {
                self.reporter.warn(LogStep::Wait, error);
                std::thread::sleep(WAIT_RETRY_INTERVAL);
            }
        }
    }

    /// Syncs a file to disk, then sets its mode, and syncs this as well: btrfs can
    /// keep the removal of the input and lose an earlier change of a mode, and the
    /// recovery removes an unfinished `processed`.
    fn sync_and_chmod(&self, name: &CStr, mode: Option<Mode>) {
        let file = self
            .reporter
            .retry_until_ok(LogStep::Create(name), || file::open_append(name, 0o600));
        self.sync(name, &file);
        if let Some(mode) = mode {
            self.reporter
                .retry_until_ok(LogStep::SetMode(name), || fchmod(&file, mode));
            self.sync(name, &file);
        }
    }

    fn sync(&self, name: &CStr, file: &OwnedFd) {
        self.reporter
            .retry_until_ok(LogStep::Sync(name), || fsync(file));
    }
}
