//! The descriptors that a run gets: of its readiness, and of its lock.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use daemontools_core::names;
use nix::unistd::Pid;
use unix::file;
use unix::stdio::STDERR;

use super::{SuperviseWarning, run_lock};

/// The setup of the new process, between fork and exec.
#[derive(Debug)]
pub(super) struct ChildSetup {
    supervise: Pid,
    /// The pipe for readiness, and its number in the run.
    notification: Option<(OwnedFd, RawFd)>,
    /// The number of the lock in the run.
    lock: Option<RawFd>,
}

impl ChildSetup {
    pub(super) fn new(notification: Option<(OwnedFd, RawFd)>, lock: Option<RawFd>) -> Self {
        ChildSetup {
            supervise: Pid::this(),
            notification,
            lock,
        }
    }

    /// A copy of standard error for later messages, if the setup gives its
    /// number to another descriptor.
    pub(super) fn save_stderr(&self) -> Option<OwnedFd> {
        let notification = self.notification.as_ref().map(|(_, number)| *number);
        let numbers = [notification, self.lock];
        if !numbers.contains(&Some(STDERR.as_raw_fd())) {
            return None;
        }
        // The setup must not replace the copy either. If no higher number is
        // free, a lower one is probably safe.
        let higher = numbers.into_iter().flatten().max()? + 1;
        let copy = file::dup_min(STDERR, higher).or_else(|_| file::dup_min(STDERR, 0));
        copy.ok()
    }

    /// Acquires the lock and moves the descriptors, in an order in which none
    /// replaces another. `on_wait` runs before the lock blocks.
    ///
    /// # Errors
    /// [`SuperviseWarning::Lock`] and [`SuperviseWarning::Descriptor`].
    pub(super) fn apply(self, on_wait: impl FnOnce()) -> Result<(), SuperviseWarning> {
        let mut held = None;
        if let Some(number) = self.lock {
            let lock = run_lock::acquire(self.supervise, on_wait).and_then(|lock| {
                match &self.notification {
                    Some((_, taken)) if *taken == lock.as_raw_fd() => file::dup_min(&lock, 0),
                    Some(_) | None => Ok(lock),
                }
            });
            held = Some((lock.map_err(SuperviseWarning::Lock)?, number));
        }
        let descriptors = [
            (names::NOTIFICATION_FD, self.notification),
            (names::LOCK_FD, held),
        ];
        for (file, descriptor) in descriptors {
            if let Some((descriptor, number)) = descriptor {
                file::move_to_fd(descriptor, number)
                    .map_err(|error| SuperviseWarning::Descriptor(file, error))?;
            }
        }
        Ok(())
    }
}
