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
use nix::unistd::{Pid, read};
use unix::exec::{NumberArgument, PreparedExec};
use unix::file;
use unix::launch::{Launch, LaunchError};
use unix::pipe::pipe2;
use unix::stdio::{STDERR, detach_stdin};

use crate::directory::{ReplaceError, is_removed, replace, write_result};
use crate::machine::{Machine, Moment, RunExit, Script};
use crate::permissions::PermissionsError;
use crate::retry::{Record, Retry, WriteResult};

use child_setup::ChildSetup;
use config::Config;
pub use config::ConfigWarning;
use daemontools::supervise_dir::SuperviseDir;
pub(crate) use exit_signals::ExitSignal;
pub use exit_signals::ExitSignals;
pub(crate) use start_stop::StartError;
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
        self.launch_beside_run(Launch::new(program), names::FINISH_PROGRAM, |_| ())
    }

    /// Starts another program than `run`, without the standard input of `run`: the
    /// input of a logger is the log, of which no other program may read a line.
    /// Calls `on_error` in the new process.
    fn launch_beside_run(
        &self,
        launch: Launch<'_>,
        name: &'static CStr,
        on_error: impl FnOnce(Errno),
    ) -> Result<Pid, Errno> {
        let prepare = || {
            self.signals.restore();
            detach_stdin();
            Ok(())
        };
        launch.start_with(prepare, |error: LaunchError| {
            self.warn(SuperviseWarning::Exec(name, error.errno()));
            on_error(error.errno());
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
        let launch = Launch::new(program);
        if let Err(error) = self.launch_beside_run(launch, names::NOTIFY_PROGRAM, |_| ()) {
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
        match write_result(&self.dir, replaced) {
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
        mut commands: impl Iterator<Item = (Command, SignalTarget)>,
    ) {
        let stops = |(command, _)| matches!(command, Command::Down | Command::Exit);
        // A removed directory has no files; the last settings remain.
        if commands.any(stops) && !is_removed() {
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
            let result = write_result(&self.dir, replaced);
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs::{create_dir, read as read_file, remove_dir, remove_file};
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use daemontools_core::state::ServiceState;
    use daemontools_core::status::Want;
    use nix::unistd::write as write_to;
    use unix::wait::ExitStatus;

    use super::*;
    use crate::machine::Ruleset;
    use crate::testing::{in_directory, write};
    use daemontools::supervise_dir::IN_SERVICE;

    const RUN: Pid = Pid::from_raw(7);

    /// Runs a test with the extension of a service, and the warnings.
    fn with_extended(test: impl FnOnce(&mut Extended<'_>, &dyn Fn() -> Vec<SuperviseWarning>)) {
        let warnings = RefCell::new(Vec::new());
        let warn = |warning| warnings.borrow_mut().push(warning);
        let signals = ExitSignals::new().unwrap();
        let mut extended = Extended::new(c"web".to_owned(), IN_SERVICE.clone(), signals, &warn);
        test(&mut extended, &|| warnings.take());
    }

    fn death(code: u8) -> DeathRecord {
        DeathRecord {
            when: Moment::now().label,
            code,
            signal: 0,
        }
    }

    #[test]
    fn tally_is_read_from_the_end_of_its_file() {
        in_directory(|| {
            create_dir("supervise").unwrap();
            assert_eq!(read_tally(&IN_SERVICE), (Tally::default(), None));
            for (exits, extra) in [(1, 0), (100, 0), (101, 0), (250, 0), (0, 3), (130, 1)] {
                let mut all = Vec::new();
                for code in 0..exits {
                    let mut one = Tally::default();
                    one.add(death(code));
                    all.extend_from_slice(one.file());
                }
                let whole = all.len();
                all.extend(std::iter::repeat_n(1, extra));
                write("supervise/death_tally", &all);
                let (tally, warning) = read_tally(&IN_SERVICE);
                if extra == 0 {
                    let expected = &all[whole.saturating_sub(KEPT * LENGTH)..];
                    assert_eq!((tally.file(), warning), (expected, None));
                } else {
                    let file = names::DEATH_TALLY.name;
                    let malformed = ConfigWarning::Malformed(file, "a tally of deaths");
                    assert_eq!((tally, warning), (Tally::default(), Some(malformed)));
                }
            }
            remove_file("supervise/death_tally").unwrap();
            create_dir("supervise/death_tally").unwrap();
            let (tally, warning) = read_tally(&IN_SERVICE);
            assert_eq!(tally, Tally::default());
            let file = names::DEATH_TALLY.name;
            assert_eq!(warning, Some(ConfigWarning::Read(file, Errno::EISDIR)));
            with_extended(|_, warnings| {
                let warning = ConfigWarning::Read(file, Errno::EISDIR);
                assert_eq!(warnings(), [SuperviseWarning::Config(warning)]);
            });
        });
    }

    #[test]
    fn exits_are_added_to_the_tally() {
        in_directory(|| {
            create_dir("supervise").unwrap();
            with_extended(|extended, warnings| {
                let exit = |raw| RunExit {
                    pid: RUN,
                    status: ExitStatus::from_raw(raw),
                };
                extended.readiness = Some(readiness_pipe().unwrap().0);
                extended.record_run_exit(exit(3 << 8), Moment::now());
                assert!(extended.readiness.is_none());
                extended.record_run_exit(exit(9), Moment::now());
                let tally = Tally::read(read_file("supervise/death_tally").unwrap()).unwrap();
                let ends = tally.deaths().map(|death| (death.code, death.signal));
                assert!(ends.eq([(3, 0), (0, 9)]));
                assert_eq!((warnings(), extended.next_retry()), (vec![], None));
                // The file cannot be replaced for a while.
                create_dir("supervise/death_tally.new").unwrap();
                extended.record_run_exit(exit(0), Moment::now());
                let error = ReplaceError::Open(names::DEATH_TALLY, Errno::EISDIR);
                assert_eq!(warnings(), [SuperviseWarning::Replace(error)]);
                assert!(extended.next_retry().is_some());
                extended.record_run_exit(exit(0), Moment::now());
                assert_eq!(warnings(), []);
                remove_dir("supervise/death_tally.new").unwrap();
                extended.retry_tally();
                assert!(extended.next_retry().is_some(), "too early");
                let past = Instant::now().checked_sub(Duration::from_secs(5));
                extended.tally_retry.schedule(past.unwrap());
                extended.retry_tally();
                assert_eq!(extended.next_retry(), None);
                let length = read_file("supervise/death_tally").unwrap().len();
                assert_eq!(length, 4 * LENGTH);
            });
        });
    }

    #[test]
    fn error_is_repeated_after_a_success() {
        in_directory(|| {
            with_extended(|extended, warnings| {
                let full = Err(ReplaceError::Write(names::STATE, Errno::ENOSPC));
                let other = Err(ReplaceError::Write(names::DEATH_TALLY, Errno::ENOSPC));
                for (file, result, is_reported) in [
                    (names::STATE, full, true),
                    (names::STATE, full, false),
                    (names::DEATH_TALLY, other, true),
                    (names::DEATH_TALLY, Ok(()), false),
                    (names::STATE, full, false),
                    (names::DEATH_TALLY, other, true),
                    (names::STATE, Ok(()), false),
                    (names::STATE, full, true),
                ] {
                    extended.record_replace(file, result);
                    assert_eq!(!warnings().is_empty(), is_reported, "{file:?} {result:?}");
                }
            });
        });
    }

    #[test]
    fn known_warnings_of_settings_are_not_repeated() {
        in_directory(|| {
            with_extended(|extended, warnings| {
                let count = |extended: &mut Extended<'_>| {
                    let _ = extended.read_config();
                    warnings().len()
                };
                write("timeout-kill", b"x");
                assert_eq!((count(extended), count(extended)), (1, 0));
                write("lock-fd", b"x");
                assert_eq!((count(extended), count(extended)), (1, 0));
                write("lock-fd", b"3");
                assert_eq!(count(extended), 0);
                write("lock-fd", b"x");
                assert_eq!(count(extended), 1);
            });
        });
    }

    #[test]
    fn commands_that_stop_read_the_settings_again() {
        in_directory(|| {
            with_extended(|extended, warnings| {
                let now = Moment::now();
                let mut machine = Machine::new(Ruleset::Extended, Want::Up, now);
                machine.record_start(Script::Run, RUN, now);
                write("timeout-kill", b"5000");
                write("notification-fd", b"3");
                let target = SignalTarget::Process;
                let others = [(Command::Up, target), (Command::Terminate, target)];
                extended.before_commands(&mut machine, others.into_iter());
                assert!(!extended.config.restart.exit_implies_down);
                for command in [Command::Down, Command::Exit] {
                    extended.config = Config::default();
                    let commands = [(Command::Up, target), (command, target)];
                    extended.before_commands(&mut machine, commands.into_iter());
                    assert!(extended.config.restart.exit_implies_down);
                    // The pipe of this run is missing.
                    assert!(!extended.config.restart.expects_readiness);
                }
                let steps = machine.apply_command(Command::Exit, now).count();
                assert_eq!((steps, machine.is_stopping()), (2, true));
                // The last settings of a removed directory remain.
                create_dir("gone").unwrap();
                std::env::set_current_dir("gone").unwrap();
                remove_dir("../gone").unwrap();
                extended.before_commands(&mut machine, [(Command::Down, target)].into_iter());
                assert!(extended.config.restart.exit_implies_down);
                assert_eq!(warnings(), []);
            });
        });
    }

    #[test]
    fn newline_reports_readiness() {
        in_directory(|| {
            with_extended(|extended, _| {
                let now = Moment::now();
                let mut machine = Machine::new(Ruleset::Extended, Want::Up, now);
                write("notification-fd", b"3");
                machine.set_config(extended.read_config().restart);
                machine.record_start(Script::Run, RUN, now);
                extended.read_notification(&mut machine);
                let (reader, writer) = readiness_pipe().unwrap();
                extended.readiness = Some(reader);
                let mut state = |extended: &mut Extended<'_>| {
                    extended.read_notification(&mut machine);
                    machine.state_file().state
                };
                assert_eq!(state(extended), ServiceState::Starting);
                write_to(&writer, &[b'x'; 300]).unwrap();
                assert_eq!(state(extended), ServiceState::Starting);
                assert!(extended.readiness.is_some());
                write_to(&writer, b"still\nnot").unwrap();
                assert_eq!(state(extended), ServiceState::Ready);
                drop(writer);
                assert_eq!(state(extended), ServiceState::Ready);
                assert!(extended.readiness.is_none());
            });
        });
    }

    #[test]
    fn changed_state_alone_is_published() {
        in_directory(|| {
            create_dir("supervise").unwrap();
            with_extended(|extended, warnings| {
                let now = Moment::now();
                let mut machine = Machine::new(Ruleset::Extended, Want::Down, now);
                extended.publish_state(&machine);
                let published = || read_file("supervise/state").unwrap();
                assert!(published().starts_with(b"state=down\n"));
                remove_file("supervise/state").unwrap();
                extended.publish_state(&machine);
                assert!(read_file("supervise/state").is_err());
                machine.record_start(Script::Run, RUN, now);
                extended.publish_state(&machine);
                assert!(published().starts_with(b"state=up\n"));
                // A failure is repeated at once by the next event, and reported once.
                create_dir("supervise/state.new").unwrap();
                machine.record_exit(RUN, ExitStatus::from_raw(0), false, now);
                extended.publish_state(&machine);
                assert_eq!(warnings().len(), 1);
                assert!(extended.next_retry().is_some());
            });
        });
    }

    #[test]
    fn scripts_count_as_the_manual_says() {
        in_directory(|| {
            with_extended(|extended, warnings| {
                let status = ExitStatus::from_raw(0);
                let finish = Script::Finish(RunExit { pid: RUN, status });
                for (script, name) in [
                    (Script::Run, "run"),
                    (finish, "finish"),
                    (Script::Check, "check"),
                    (Script::Start, "start"),
                    (Script::Stop, "stop"),
                ] {
                    let is_optional = matches!(script, Script::Start | Script::Stop);
                    assert_eq!(extended.has_script(script), Ok(false));
                    write(name, b"");
                    assert_eq!(extended.has_script(script), Ok(!is_optional));
                    assert_eq!(warnings().len(), usize::from(is_optional));
                    crate::testing::set_mode(name, 0o100);
                    assert_eq!(extended.has_script(script), Ok(true));
                    remove_file(name).unwrap();
                    create_dir(name).unwrap();
                    assert_eq!(extended.has_script(script), Ok(!is_optional));
                    remove_dir(name).unwrap();
                    symlink(name, name).unwrap();
                    assert_eq!(extended.has_script(script), Ok(true));
                    assert_eq!(warnings(), []);
                }
            });
        });
    }

    #[test]
    fn starts_and_exits_of_three_scripts_are_events() {
        let words = |script| notify_word(script).map(CStr::to_bytes);
        assert_eq!(words(Script::Run), Some(&b"run"[..]));
        assert_eq!(words(Script::Start), Some(&b"start"[..]));
        assert_eq!(words(Script::Stop), Some(&b"stop"[..]));
        assert_eq!(words(Script::Check), None);
    }
}
