//! A service directory, opened by a client.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use daemontools_core::control::Command;
use daemontools_core::names;
use daemontools_core::state::StateFile;
use daemontools_core::tally::DeathRecord;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;

use crate::client::{self, ClientError, WhenFull};
use crate::condition::WaitCondition;
use crate::error::{Cause, Error, Operation};
use crate::snapshot::ServiceSnapshot;
use crate::supervise_dir::{OpenDir, SuperviseDir, SuperviseDirRule};
use crate::wait::{ServiceWait, WaitMode, WaitOutcome};

/// An open service directory.
///
/// The directory stays the same one after a rename. A service needs one descriptor.
/// Its logger is another service, in the directory `log`.
#[derive(Clone, Debug)]
pub struct Service {
    path: PathBuf,
    rule: SuperviseDirRule,
    pub(crate) files: SuperviseDir,
}

impl Service {
    /// Opens a service directory. The environment variable `SUPERVISEDIR` decides
    /// where the files of its supervise are, as for the programs.
    ///
    /// # Errors
    /// As open(2) of the directory; a `SUPERVISEDIR` that leads out of the service
    /// directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Service::open_with(SuperviseDirRule::read()?, path)
    }

    /// As [`Service::open`], with a rule.
    ///
    /// # Errors
    /// As open(2) of the directory; as realpath(3) with an absolute rule; EINVAL with a
    /// rule that is that of no value of the variable.
    pub fn open_with(rule: SuperviseDirRule, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let directory = OpenDir::open(AT_FDCWD, path, path);
        Service::of_open(rule, directory, path.to_owned())
    }

    /// Opens an entry of a directory, which the process calls `path`. None: the entry is
    /// no directory.
    pub(crate) fn open_in(
        rule: SuperviseDirRule,
        parent: BorrowedFd<'_>,
        name: &Path,
        path: PathBuf,
    ) -> Result<Option<Self>, Error> {
        match OpenDir::open(parent, name, &path) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            directory => Service::of_open(rule, directory, path).map(Some),
        }
    }

    fn of_open(
        rule: SuperviseDirRule,
        directory: Result<OpenDir, Errno>,
        path: PathBuf,
    ) -> Result<Self, Error> {
        let failed = |operation| {
            let path = path.as_path();
            move |error| Error::of_directory(operation, path, Cause::Os(error))
        };
        let directory = directory.map_err(failed(Operation::Enter))?;
        let files = rule.of_open(directory, &path);
        let files = files.map_err(failed(Operation::Locate))?;
        Ok(Service { path, rule, files })
    }

    /// The path, as it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The place of the files of its supervise.
    #[must_use]
    pub fn supervise_dir(&self) -> &SuperviseDir {
        &self.files
    }

    /// Opens the logger of the service, in `log`; None without this directory.
    ///
    /// # Errors
    /// As [`Service::open`].
    pub fn logger(&self) -> Result<Option<Self>, Error> {
        let name = Path::new(OsStr::from_bytes(names::LOG.to_bytes()));
        Service::open_in(self.rule, self.files.service(), name, self.path.join(name))
    }

    /// Whether a supervise, or runsv, runs for the service: the answer of svok.
    ///
    /// # Errors
    /// As open(2) of `supervise/ok`, except ENOENT and ENXIO.
    pub fn is_supervised(&self) -> Result<bool, Error> {
        match client::probe(&self.files) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.errno, Errno::ENOENT | Errno::ENXIO) => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Reads the status, and whether a supervise runs. Never blocks. Without a running
    /// supervise, the record may be stale.
    ///
    /// # Errors
    /// As open(2) and read(2), except for files that do not exist; a record that is
    /// too short.
    pub fn snapshot(&self) -> Result<ServiceSnapshot, Error> {
        let snapshot = ServiceSnapshot::read(&self.files);
        snapshot.map_err(|error| Error::of_status(&self.path, &self.files, error))
    }

    /// Reads the bytes of the status record of a running supervise into `buffer`: 18
    /// of supervise, 20 of runsv. A failed read leaves the earlier content in
    /// `buffer`.
    ///
    /// # Errors
    /// As open(2) of `supervise/ok` and `supervise/status`, and read(2);
    /// [`Error::is_not_running`] without a running supervise.
    pub fn read_record<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8], Error> {
        // One descriptor at a time.
        let probed = client::probe(&self.files).map(drop);
        let record = probed.and_then(|()| client::read_status(&self.files, buffer));
        record.map_err(|error| self.failed(error))
    }

    /// Reads the file `state` of `supervise -e`; None without a valid one. A file
    /// older than the record is stale: [`StateFile::belongs_to`].
    ///
    /// # Errors
    /// As open(2) and read(2), except for a file that does not exist and for a
    /// directory.
    pub fn state_file(&self) -> Result<Option<StateFile>, Error> {
        client::read_state_file(&self.files).map_err(|error| self.failed(error))
    }

    /// Whether supervise starts the service by itself: there is no file `down`.
    ///
    /// # Errors
    /// As stat(2).
    pub fn is_normally_up(&self) -> Result<bool, Error> {
        client::is_normally_up(&self.files).map_err(|error| self.failed(error))
    }

    /// Reads the last exits of the service in order of time, up to 100, which `supervise
    /// -e` records. Without the file there are none.
    ///
    /// # Errors
    /// As open(2) and read(2); a file that contains more, or a part of a record.
    pub fn deaths(&self) -> Result<Vec<DeathRecord>, Error> {
        let deaths = client::read_deaths(&self.files).map_err(|error| {
            let (files, file) = (&self.files, names::DEATH_TALLY.name);
            match error {
                client::StatusError::Client(error) => self.failed(error),
                client::StatusError::Format => {
                    Error::of_file(Operation::Read, &self.path, files, file, Cause::Format)
                }
            }
        })?;
        Ok(deaths.deaths().collect())
    }

    /// Sends commands in one write(2), so that commands of other clients do not come
    /// in between. Blocks while the FIFO is full, as svc does.
    ///
    /// A supervise that exits before it reads raises SIGPIPE, unless the process
    /// ignores or blocks the signal. Programs with Rust's usual start ignore it.
    ///
    /// # Errors
    /// As open(2) of `supervise/control`, [`Error::is_not_running`] without a running
    /// supervise; as write(2), EPIPE if it exits in between.
    pub fn send(&self, commands: &[Command]) -> Result<(), Error> {
        let sent = client::send_commands(&self.files, &letters(commands), WhenFull::Block);
        sent.map_err(|error| self.failed(error))
    }

    /// Waits until the service reaches a condition. [`ServiceWait`] waits for several
    /// services. `timeout`: None waits without a limit.
    ///
    /// # Errors
    /// A directory that is no service, or that cannot be watched or read.
    pub fn wait(
        &self,
        condition: WaitCondition,
        timeout: Option<Duration>,
    ) -> Result<WaitOutcome<'_>, Error> {
        self.send_and_wait(&[], condition, timeout)
    }

    /// Sends commands, and waits until the service reaches a condition. Starts, exits
    /// and failures count from the moment before the commands, so that none is missed.
    /// After [`Command::Down`], a service counts as down only once supervise has read the
    /// command. Before, supervise may restart a service that has exited by itself.
    ///
    /// The timeout includes the time in which the FIFO of the supervisor is full; the
    /// commands are not sent if the FIFO stays full.
    ///
    /// # Errors
    /// As [`Service::send`] and [`Service::wait`].
    pub fn send_and_wait(
        &self,
        commands: &[Command],
        condition: WaitCondition,
        timeout: Option<Duration>,
    ) -> Result<WaitOutcome<'_>, Error> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut wait = ServiceWait::new([self], condition, WaitMode::All)?;
        if !commands.is_empty() {
            wait.observe()?;
            let sent = client::send_until(&self.files, &letters(commands), deadline);
            if !sent.map_err(|error| self.failed(error))? {
                return Ok(WaitOutcome::TimedOut);
            }
            let changes_want =
                |command: &&Command| matches!(command, Command::Up | Command::Down | Command::Once);
            if commands.iter().rfind(changes_want) == Some(&Command::Down) {
                wait.await_stop_command();
            }
        }
        wait.finish(deadline)
    }

    fn failed(&self, error: ClientError) -> Error {
        Error::of_client(&self.path, &self.files, error)
    }
}

fn letters(commands: &[Command]) -> Vec<u8> {
    commands.iter().map(|command| command.letter()).collect()
}
