//! A service, or its logger: the machine, and the files in `supervise`.

use std::num::NonZeroI32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use daemontools_core::control::{Command, SignalTarget};
use daemontools_core::runsv::RunsvStatus;
use nix::unistd::read;
use unix::file_lock::FileLock;

use crate::directory::{AcquireError, ControlFifo, ReplaceError, SuperviseFiles};
use crate::machine::{Machine, Ruleset};
use crate::retry::{Attempt, Record};

/// The time between two reads of a `control` at its end: poll(2) would report
/// it as readable all the time.
const END_RECHECK: Duration = Duration::from_secs(1);

/// The limit on bytes of commands between two waits, so that a flood does not delay
/// the reaping of children. The bytes are on the stack of the loop.
pub(super) const MAX_COMMAND_BYTES: usize = 512;

/// Readers' view: the record, and whether supervision is to end.
pub(super) type View = (RunsvStatus, bool);

/// The changes that a family publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visible {
    /// Those of the record.
    Report,
    /// Also the request to end supervision. 0.76 then replaces the record by an
    /// equal one; runsv writes the request to `stat`.
    ExitRequest,
}

/// The file `pid` of runsv.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PidFile {
    Unknown,
    /// The file contains this pid, or is empty or missing.
    Contains(Option<NonZeroI32>),
}

pub(super) struct Service {
    // Dropped first. A reader that sees `ok` closed may start another supervise,
    // which needs the lock.
    _lock: FileLock,
    pub(super) machine: Machine,
    pub(super) files: SuperviseFiles,
    control: ControlFifo,
    /// Whether `control` is no FIFO, and at its end.
    control_ended: bool,
    record: Record<View>,
    pub(super) pid_file: PidFile,
    ok: Option<OwnedFd>,
}

impl Service {
    pub(super) fn new(
        files: SuperviseFiles,
        lock: FileLock,
        control: ControlFifo,
        machine: Machine,
    ) -> Self {
        Service {
            _lock: lock,
            machine,
            files,
            control,
            control_ended: false,
            record: Record::new(),
            pid_file: PidFile::Unknown,
            ok: None,
        }
    }

    /// Opens the FIFO `ok`: from now on, opening it for writing succeeds, which
    /// shows that the service is supervised.
    pub(super) fn open_ok(&mut self) -> Result<(), AcquireError> {
        self.ok = Some(self.files.open_fifo(self.files.names.ok)?);
        Ok(())
    }

    /// The view to write now, and the cause. None: readers see it, or the retry is
    /// not due.
    pub(super) fn next_write(&self, visible: Visible) -> Option<(Attempt, View)> {
        let exit_requested = match visible {
            Visible::Report => false,
            Visible::ExitRequest => self.machine.exit_requested(),
        };
        let view = (self.machine.report(), exit_requested);
        let attempt = self.record.next_attempt(&view, Instant::now())?;
        Some((attempt, view))
    }

    /// Records the result of an attempt to write a view.
    pub(super) fn record_write(&mut self, view: View, result: Result<(), ReplaceError>) {
        let result = self.files.write_result(result);
        self.record.record_attempt(view, result, Instant::now());
    }

    /// Records an event. Returns whether the record could not be written before.
    pub(super) fn record_event(&mut self) -> bool {
        self.record.record_event()
    }

    /// The next attempt to write the record, after a failure.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.record.next_deadline()
    }

    /// The descriptor to poll for commands, or the moment of the next read.
    pub(super) fn command_source(&self) -> (Option<BorrowedFd<'_>>, Option<Instant>) {
        if self.control_ended {
            (None, Some(Instant::now() + END_RECHECK))
        } else {
            (Some(self.control.reader.as_fd()), None)
        }
    }

    /// Reads bytes of commands into `buffer`, until it is full. Returns them for
    /// [`decode`].
    pub(super) fn read_commands<'a>(&mut self, buffer: &'a mut [u8]) -> &'a [u8] {
        let mut length = 0;
        self.control_ended = false;
        while let Some(rest @ [_, ..]) = buffer.get_mut(length..) {
            match read(&self.control.reader, rest) {
                Ok(0) => {
                    self.control_ended = true;
                    break;
                }
                Ok(more) => length += more,
                Err(_) => break,
            }
        }
        buffer.get(..length).unwrap_or_default()
    }
}

/// The commands of one read, each with the target of its signals. The letters `+`
/// and `=` choose the target for the rest of the read only, so that another writer
/// does not inherit it.
pub(super) fn decode(
    ruleset: Ruleset,
    bytes: &[u8],
) -> impl Iterator<Item = (Command, SignalTarget)> {
    let mut target = SignalTarget::Process;
    bytes
        .iter()
        .filter_map(move |&byte| match ruleset.decode(byte)? {
            Command::Target(chosen) => {
                target = chosen;
                None
            }
            command => Some((command, target)),
        })
}

#[cfg(test)]
mod tests {
    use daemontools_core::control::ServiceSignal;
    use daemontools_core::names;
    use daemontools_core::status::Want;
    use nix::errno::Errno;
    use unix::file;
    use unix::file_lock::WhenLocked;

    use super::*;
    use crate::Role;
    use crate::directory::MissingParents;
    use crate::machine::Moment;
    use crate::testing::{in_directory, write};
    use daemontools::supervise_dir::IN_SERVICE;

    /// A service in the current directory that is down.
    fn service() -> Service {
        let files = SuperviseFiles {
            names: &names::SERVICE,
            dir: IN_SERVICE.clone(),
        };
        let lock = files.lock(WhenLocked::Fail, MissingParents::Fail);
        let control = ControlFifo::open(&files).unwrap();
        let machine = Machine::new(Ruleset::Supervise, Want::Down, Moment::now());
        Service::new(files, lock.unwrap(), control, machine)
    }

    #[test]
    fn flood_of_commands_is_read_in_parts() {
        in_directory(|| {
            let mut service = service();
            let mut buffer = [0; MAX_COMMAND_BYTES];
            assert_eq!(service.read_commands(&mut buffer), b"");
            let control = file::open_write(names::CONTROL).unwrap();
            let flood: Vec<_> = (0..=255).cycle().take(5000).collect();
            assert_eq!(nix::unistd::write(&control, &flood), Ok(flood.len()));
            let mut parts = flood.chunks(MAX_COMMAND_BYTES);
            assert!(parts.all(|part| service.read_commands(&mut buffer) == part));
            assert_eq!(service.read_commands(&mut buffer), b"");
            let (descriptor, recheck) = service.command_source();
            assert!(descriptor.is_some() && recheck.is_none());
        });
    }

    #[test]
    fn control_at_its_end_is_read_again_later() {
        in_directory(|| {
            std::fs::create_dir("supervise").unwrap();
            write("supervise/control", b"dx");
            let mut service = service();
            assert_eq!(service.read_commands(&mut [0; 3]), b"dx");
            let before = Instant::now();
            let (descriptor, recheck) = service.command_source();
            let recheck = recheck.unwrap();
            assert!(descriptor.is_none() && recheck >= before + END_RECHECK);
            assert!(recheck <= Instant::now() + END_RECHECK);
        });
    }

    #[test]
    fn target_counts_until_the_end_of_the_read() {
        use SignalTarget::{Process, ProcessGroup};
        let decode = |ruleset, bytes: &[u8]| decode(ruleset, bytes).collect::<Vec<_>>();
        assert_eq!(
            decode(Ruleset::Supervise, b"t+hz=k"),
            [
                (Command::Terminate, Process),
                (Command::Send(ServiceSignal::Hangup), ProcessGroup),
                (Command::Kill, Process),
            ]
        );
        let of_runsv = decode(Ruleset::Runsv(Role::Service), b"+tw=");
        assert_eq!(of_runsv, [(Command::Terminate, Process)]);
    }

    #[test]
    fn request_to_exit_is_visible_on_demand() {
        in_directory(|| {
            let mut service = service();
            let (attempt, view) = service.next_write(Visible::ExitRequest).unwrap();
            assert_eq!(attempt, Attempt::Event);
            service.record_write(view, Ok(()));
            assert_eq!(service.next_write(Visible::ExitRequest), None);
            let _ = service.machine.apply_command(Command::Exit, Moment::now());
            assert_eq!(service.next_write(Visible::Report), None);
            let (_, (report, exit_requested)) = service.next_write(Visible::ExitRequest).unwrap();
            assert_eq!((report, exit_requested), (view.0, true));
            let failed = Err(ReplaceError::Open(names::STATE, Errno::ENOSPC));
            service.record_write((report, exit_requested), failed);
            assert_eq!(service.next_write(Visible::ExitRequest), None);
            assert!(service.next_retry().is_some());
            assert!(service.record_event());
            assert!(service.next_write(Visible::ExitRequest).is_some());
        });
    }

    #[test]
    fn open_ok_shows_a_running_supervise() {
        in_directory(|| {
            let mut service = service();
            let probe = || file::open_write(names::OK).map(drop);
            assert_eq!(probe(), Err(Errno::ENOENT));
            service.open_ok().unwrap();
            assert_eq!(probe(), Ok(()));
            drop(service);
            assert_eq!(probe(), Err(Errno::ENXIO));
        });
    }
}
