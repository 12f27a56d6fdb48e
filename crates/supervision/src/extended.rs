//! supervise -e, the part that supervise without -e lacks: settings, readiness, the
//! lock of a run, the tally of exits, `finish` and `notify`. File names are
//! relative to the service directory, which is the current directory.

mod check;
mod child_setup;
pub(crate) mod config;
mod exit_signals;
mod start_stop;

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use daemontools_core::control::{Command, SignalTarget};
use daemontools_core::names::{self, AtomicFile};
use daemontools_core::state::StateFile;
use daemontools_core::tally::{DeathRecord, KEPT, LENGTH, Tally};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{Pid, pipe2, read};
use unix::exec::{NumberArgument, PreparedExec};
use unix::file;
use unix::launch::{Launch, LaunchError};
use unix::stdio::{STDERR, detach_stdin};

use crate::directory::{ReplaceError, is_removed, replace};
use crate::machine::{Machine, Moment, RunExit, Script};
use crate::permissions::PermissionsError;
use crate::retry::{Record, Retry, WriteResult};
use crate::supervise_dir::SuperviseDir;

use child_setup::ChildSetup;
use config::Config;
pub use config::ConfigWarning;
pub(crate) use exit_signals::ExitSignal;
pub use exit_signals::ExitSignals;
use start_stop::notify_word;

/// A failure of supervise that does not end it. Those marked `child` occur in
/// the new process, which then exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuperviseWarning {
    /// A published file could not be replaced.
    Replace(ReplaceError),
    /// fork(2) failed for `run` or `finish`.
    Fork(Errno),
    /// Child: this program could not be executed.
    Exec(&'static CStr, Errno),
    /// -e: a file of settings counts as absent.
    Config(ConfigWarning),
    /// -e: no pipe could be made for `notification-fd`.
    NotificationPipe(Errno),
    /// Child, -e: the number in this file could not be given to a descriptor.
    Descriptor(&'static CStr, Errno),
    /// Child, -e: a process of an earlier run holds the lock; the child waits.
    LockHeld,
    /// Child, -e: the lock could not be acquired.
    Lock(Errno),
    /// -e: permissions could not be set.
    Permissions(PermissionsError),
    /// -e: fork(2) failed for `notify`.
    NotifyFork(Errno),
    /// -e: `check` could not be started.
    Check(Errno),
}

/// The maximum number of warnings in one reading of the settings: two for each of
/// their files.
const MAX_WARNINGS: usize = 40;

/// The maximum number of errors in replacing files that are not repeated.
const MAX_FAILURES: usize = 16;

/// The state of supervise -e besides its machine.
pub(crate) struct Extended<'a> {
    /// The name of the service, for `finish`.
    name: CString,
    dir: SuperviseDir,
    pub(crate) signals: ExitSignals,
    config: Config,
    /// The warnings of the last reading, which are not repeated.
    known_warnings: Vec<ConfigWarning>,
    /// The memory for those of the next reading.
    spare_warnings: Vec<ConfigWarning>,
    /// The errors in replacing files, each since the last success.
    known_failures: Vec<ReplaceError>,
    /// The last error in starting `check`, since the last success.
    check_error: Option<Errno>,
    /// The pipe on which `run` reports its readiness, until `run` exits or closes
    /// its end.
    pub(crate) readiness: Option<OwnedFd>,
    tally: Tally,
    /// Due when `death_tally` could not be written.
    tally_retry: Retry,
    /// The file `state`.
    state: Record<StateFile>,
    warn: &'a dyn Fn(SuperviseWarning),
}

impl<'a> Extended<'a> {
    pub(crate) fn new(
        name: CString,
        dir: SuperviseDir,
        signals: ExitSignals,
        warn: &'a dyn Fn(SuperviseWarning),
    ) -> Self {
        let (tally, warning) = read_tally(&dir);
        if let Some(warning) = warning {
            warn(SuperviseWarning::Config(warning));
        }
        Extended {
            name,
            dir,
            signals,
            config: Config::default(),
            known_warnings: Vec::with_capacity(MAX_WARNINGS),
            spare_warnings: Vec::with_capacity(MAX_WARNINGS),
            known_failures: Vec::with_capacity(MAX_FAILURES),
            check_error: None,
            readiness: None,
            tally,
            tally_retry: Retry::default(),
            state: Record::new(),
            warn,
        }
    }

    pub(crate) fn warn(&self, warning: SuperviseWarning) {
        (self.warn)(warning);
    }

    /// Records the result of replacing a file. The same error is reported again
    /// only after a success: a removed directory would cause it at each event.
    pub(crate) fn record_replace(&mut self, file: AtomicFile, result: Result<(), ReplaceError>) {
        match result {
            Ok(()) => self.known_failures.retain(|error| error.file() != file),
            Err(error) if self.known_failures.contains(&error) => {}
            Err(error) => {
                if self.known_failures.len() == MAX_FAILURES {
                    self.known_failures.remove(0);
                }
                self.known_failures.push(error);
                self.warn(SuperviseWarning::Replace(error));
            }
        }
    }

    /// Reads the settings, and reports new warnings.
    fn read_config(&mut self) -> Config {
        let spare = std::mem::take(&mut self.spare_warnings);
        let (config, warnings) = Config::read(spare);
        for warning in &warnings {
            if !self.known_warnings.contains(warning) {
                self.warn(SuperviseWarning::Config(*warning));
            }
        }
        self.spare_warnings = std::mem::replace(&mut self.known_warnings, warnings);
        config
    }

    /// Starts `run` with the current settings.
    pub(crate) fn launch_run(&mut self, machine: &mut Machine) -> Result<Pid, Errno> {
        self.config = self.read_config();
        let notification = self.config.notification_fd.and_then(|number| {
            let pipe = readiness_pipe()
                .map_err(|error| self.warn(SuperviseWarning::NotificationPipe(error)));
            let (reader, writer) = pipe.ok()?;
            self.readiness = Some(reader);
            Some((writer, number))
        });
        // Without a pipe, readiness cannot be reported.
        let check = self.config.restart.check;
        self.config.restart.expects_readiness =
            notification.is_some() || check.is_some_and(|check| check.reports_readiness);
        machine.set_config(self.config.restart);
        let setup = ChildSetup {
            supervise: Pid::this(),
            notification,
            lock: self.config.lock_fd,
        };
        let program = PreparedExec::inheriting(&[names::RUN_PROGRAM]);
        let launch = Launch {
            session: !self.config.no_setsid,
            ..Launch::new(program)
        };
        let saved_stderr = Cell::new(None::<OwnedFd>);
        let prepare = || {
            self.signals.restore();
            saved_stderr.set(setup.save_stderr());
            setup.apply(&self.dir, || self.warn(SuperviseWarning::LockHeld))
        };
        launch.start_with(prepare, |error| {
            if let Some(stderr) = saved_stderr.take() {
                let _ = file::dup_to(stderr.as_fd(), STDERR);
            }
            self.warn(match error {
                LaunchError::Prepare(warning) => warning,
                LaunchError::Descriptor(error)
                | LaunchError::Chdir(error)
                | LaunchError::Exec(error) => SuperviseWarning::Exec(names::RUN_PROGRAM, error),
            });
        })
    }

    /// Starts `finish` as `./finish CODE SIGNAL NAME PID`. CODE is 256 after a
    /// signal, SIGNAL is 0 after an exit, as in s6.
    pub(crate) fn launch_finish(&self, RunExit { pid, status }: RunExit) -> Result<Pid, Errno> {
        let code = NumberArgument::new(status.code().unwrap_or(256));
        let signal = NumberArgument::new(status.signal().unwrap_or(0));
        let pid = NumberArgument::new(pid.as_raw());
        let [code, signal, pid] = [&code, &signal, &pid].map(NumberArgument::as_c_str);
        let program = PreparedExec::inheriting(&[
            names::FINISH_PROGRAM,
            code,
            signal,
            self.name.as_c_str(),
            pid,
        ]);
        self.launch_beside_run(program, names::FINISH_PROGRAM, false)
    }

    /// Starts another program than `run`, without the standard input of `run`: the
    /// input of a logger is the log, of which no other program may read a line.
    fn launch_beside_run(
        &self,
        program: PreparedExec<'_>,
        name: &'static CStr,
        session: bool,
    ) -> Result<Pid, Errno> {
        let launch = Launch {
            session,
            ..Launch::new(program)
        };
        let prepare = || {
            self.signals.restore();
            detach_stdin();
            Ok(())
        };
        launch.start_with(prepare, |error: LaunchError| {
            self.warn(SuperviseWarning::Exec(name, error.errno()));
        })
    }

    /// Runs `notify`, if there is one, as `./notify run start PID`; does not wait
    /// for it. The first word is the name of the script.
    pub(crate) fn on_start(&self, script: Script, pid: Pid) {
        if let Some(word) = notify_word(script) {
            self.notify(word, c"start", pid, None);
        }
    }

    fn notify(&self, script: &CStr, event: &CStr, pid: Pid, number: Option<i64>) {
        if !config::program_exists(names::NOTIFY) {
            return;
        }
        let pid = NumberArgument::new(pid.as_raw());
        let number = number.map(NumberArgument::new);
        let words = [names::NOTIFY_PROGRAM, script, event, pid.as_c_str()];
        let program = match &number {
            None => PreparedExec::inheriting(&words),
            Some(number) => {
                let [notify, script, event, pid] = words;
                PreparedExec::inheriting(&[notify, script, event, pid, number.as_c_str()])
            }
        };
        if let Err(error) = self.launch_beside_run(program, names::NOTIFY_PROGRAM, false) {
            self.warn(SuperviseWarning::NotifyFork(error));
        }
    }

    /// Records an exit of `run`.
    pub(crate) fn record_run_exit(&mut self, RunExit { status, .. }: RunExit, now: Moment) {
        self.readiness = None;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        self.tally.add(DeathRecord {
            when: now.label,
            code: code.unwrap_or(0),
            signal: status.signal().unwrap_or(0),
        });
        self.write_tally();
    }

    fn write_tally(&mut self) {
        let replaced = replace(&self.dir, names::DEATH_TALLY, self.tally.file());
        self.record_replace(names::DEATH_TALLY, replaced);
        match self.dir.write_result(replaced) {
            WriteResult::Written | WriteResult::Lost => self.tally_retry.cancel(),
            WriteResult::Failed => self.tally_retry.schedule(Instant::now()),
        }
    }

    /// Writes `death_tally`, if an earlier attempt failed and the retry is due.
    pub(crate) fn retry_tally(&mut self) {
        if self.tally_retry.is_due(Instant::now()) {
            self.write_tally();
        }
    }

    /// The next attempt to write `state` or `death_tally`, after a failure.
    pub(crate) fn next_retry(&self) -> Option<Instant> {
        let tally = self.tally_retry.next_deadline();
        tally.into_iter().chain(self.state.next_deadline()).min()
    }

    /// Runs `notify` as `./notify run exit PID CODE` or `./notify run killed PID
    /// SIGNAL`. The first word is the name of the script.
    pub(crate) fn notify_exit(&self, script: Script, RunExit { pid, status }: RunExit) {
        let (event, number) = match status.signal() {
            Some(signal) => (c"killed", Some(signal.into())),
            None => (c"exit", status.code().map(i64::from)),
        };
        if let Some(word) = notify_word(script) {
            self.notify(word, event, pid, number);
        }
    }

    /// Reads the settings again before the commands of one read that stop the
    /// service. The descriptor for readiness stays that of the current run.
    pub(crate) fn before_commands(
        &mut self,
        machine: &mut Machine,
        commands: &[(Command, SignalTarget)],
    ) {
        let stops = |(command, _): &_| matches!(command, Command::Down | Command::Exit);
        // A removed directory has no files; the last settings remain.
        if commands.iter().any(stops) && !is_removed() {
            let expects_readiness = self.config.restart.expects_readiness;
            self.config.restart = self.read_config().restart;
            self.config.restart.expects_readiness = expects_readiness;
            machine.set_config(self.config.restart);
        }
    }

    /// Records a newline of the service as readiness, as in s6. Other bytes are
    /// discarded, so that the service does not block: at most as many as a pipe
    /// holds, so that a flood does not block supervise.
    pub(crate) fn read_notification(&mut self, machine: &mut Machine) {
        // Small: the buffer is a part of the stack of the loop.
        let mut bytes = [0; 256];
        let mut ready = false;
        for _ in 0..256 {
            let Some(reader) = &self.readiness else {
                break;
            };
            match read(reader, &mut bytes) {
                Ok(0) => self.readiness = None,
                Ok(length) => ready |= bytes.iter().take(length).any(|&byte| byte == b'\n'),
                Err(_) => break,
            }
        }
        if ready {
            machine.record_readiness(Moment::now());
        }
    }

    pub(crate) fn publish_state(&mut self, machine: &Machine) {
        let state = machine.state_file();
        let now = Instant::now();
        if self.state.next_attempt(&state, now).is_some() {
            let replaced = replace(&self.dir, names::STATE, &state.text());
            self.record_replace(names::STATE, replaced);
            let result = self.dir.write_result(replaced);
            self.state.record_attempt(state, result, now);
        }
    }
}

/// A pipe for readiness: the ends for reading and for writing.
fn readiness_pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    // Only supervise must not block.
    file::set_blocking(&writer)?;
    Ok((reader, writer))
}

/// Reads the file `death_tally`. If that fails, the tally is empty.
fn read_tally(dir: &SuperviseDir) -> (Tally, Option<ConfigWarning>) {
    let file = names::DEATH_TALLY.name;
    let warning = match last_records(&dir.path(file)).map(Tally::read) {
        Ok(Some(tally)) => return (tally, None),
        Ok(None) => Some(ConfigWarning::Malformed(file, "a tally of deaths")),
        Err(Errno::ENOENT) => None,
        Err(error) => Some(ConfigWarning::Read(file, error)),
    };
    (Tally::default(), warning)
}

/// The records at the end of a file that count, and the incomplete one after
/// them, if any.
fn last_records(name: &CStr) -> Result<Vec<u8>, Errno> {
    let (record, kept) = (LENGTH as u64, KEPT as u64);
    let mut file = File::from(file::open_read(name)?);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::End(0))
        .and_then(|length| {
            let first = (length / record).saturating_sub(kept);
            file.seek(SeekFrom::Start(first * record))
        })
        .and_then(|_| file.take((kept + 1) * record).read_to_end(&mut bytes))
        .map_err(|error| unix::errno(&error))?;
    Ok(bytes)
}
