//! The descriptors that a run inherits: for its readiness and for its lock.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use daemontools::supervise_dir::SuperviseDir;
use daemontools_core::names;
use nix::errno::Errno;
use nix::unistd::{Pid, getppid};
use unix::file;
use unix::file_lock::{FileLock, WhenLocked};
use unix::process::end_with_parent;
use unix::stdio::STDERR;

use super::SuperviseWarning;

/// The setup of the new process, between fork and exec.
pub(super) struct ChildSetup {
    /// The parent.
    pub(super) supervise: Pid,
    /// The pipe for readiness, and its number in the run.
    pub(super) notification: Option<(OwnedFd, RawFd)>,
    /// The number of the lock in the run.
    pub(super) lock: Option<RawFd>,
}

impl ChildSetup {
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
    pub(super) fn apply(
        self,
        dir: &SuperviseDir,
        on_wait: impl FnOnce(),
    ) -> Result<(), SuperviseWarning> {
        let mut run_lock = None;
        if let Some(number) = self.lock {
            let lock = acquire_run_lock(dir, self.supervise, on_wait).and_then(|lock| match &self
                .notification
            {
                Some((_, number)) if *number == lock.as_raw_fd() => file::dup_min(&lock, 0),
                Some(_) | None => Ok(lock),
            });
            run_lock = Some((lock.map_err(SuperviseWarning::Lock)?, number));
        }
        let descriptors = [
            (names::NOTIFICATION_FD, self.notification),
            (names::LOCK_FD, run_lock),
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

/// Acquires the lock that a run inherits, as in s6: the next run waits until all
/// processes of the last one have released it. Calls `on_wait` before it blocks.
/// The lock lives as long as a copy of the descriptor.
/// Returns ESRCH if `supervise`, the parent, has exited.
fn acquire_run_lock(
    dir: &SuperviseDir,
    supervise: Pid,
    on_wait: impl FnOnce(),
) -> Result<OwnedFd, Errno> {
    let file = file::open_append(&*dir.path(names::RUN_LOCK), 0o600)?;
    let lock = match FileLock::lock(file, WhenLocked::Fail) {
        Err((file, Errno::EAGAIN)) => {
            on_wait();
            // This process has copies of all descriptors of supervise, its lock
            // included, and must not outlive it.
            end_with_parent(true)?;
            if getppid() != supervise {
                return Err(Errno::ESRCH);
            }
            let lock = FileLock::lock(file, WhenLocked::Wait);
            end_with_parent(false)?;
            lock
        }
        result => result,
    };
    let lock = lock.map_err(|(_, error)| error)?;
    let copy = file::dup_min(&*lock, 0);
    // Dropped, it would release the lock.
    std::mem::forget(lock);
    copy
}

#[cfg(test)]
mod tests {
    use nix::unistd::pipe;

    use super::*;
    use crate::testing::in_directory;
    use daemontools::supervise_dir::IN_SERVICE;

    fn setup(notification: Option<RawFd>, lock: Option<RawFd>) -> ChildSetup {
        ChildSetup {
            supervise: getppid(),
            notification: notification.map(|number| (pipe().unwrap().1, number)),
            lock,
        }
    }

    #[test]
    fn stderr_is_saved_above_the_numbers_that_replace_it() {
        let saved = |notification, lock| setup(notification, lock).save_stderr();
        assert!(saved(None, None).is_none());
        assert!(saved(Some(3), Some(1)).is_none());
        assert!(saved(Some(2), None).unwrap().as_raw_fd() > 2);
        assert!(saved(None, Some(2)).unwrap().as_raw_fd() > 2);
        assert!(saved(Some(2), Some(700)).unwrap().as_raw_fd() > 700);
        assert!(saved(Some(701), Some(2)).unwrap().as_raw_fd() > 701);
    }

    #[test]
    fn lock_of_a_run_is_not_released_before_exec() {
        in_directory(|| {
            std::fs::create_dir("supervise").unwrap();
            let unexpected = || panic!("the lock is free");
            let lock = acquire_run_lock(&IN_SERVICE, getppid(), unexpected).unwrap();
            drop(lock);
            let open = || file::open_append(names::RUN_LOCK, 0o600).unwrap();
            assert!(FileLock::lock(open(), WhenLocked::Fail).is_err());
            // Another parent than supervise: supervise has exited.
            let mut waits = 0;
            let orphan = acquire_run_lock(&IN_SERVICE, Pid::from_raw(1 << 22), || waits += 1);
            assert_eq!((orphan.err(), waits), (Some(Errno::ESRCH), 1));
            end_with_parent(false).unwrap();
        });
    }
}
