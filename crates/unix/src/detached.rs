//! A process beside this one, which the next program of this process does not see.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::unistd::setsid;

use crate::fork::{fork, fork_silent};
use crate::system::close_range;
use crate::wait::{ExitStatus, wait_for};

/// Runs `child` in a new process, which exits with the returned code, and which has
/// only the descriptors `keep`.
///
/// The process leads a session of its own, in the root directory. Its parent has
/// ended, so that this process has no further child, receives no SIGCHLD, and the
/// next program that it executes waits for no unknown child.
///
/// Errors: as fork(2).
pub fn start_detached(keep: &[BorrowedFd<'_>], child: impl FnOnce() -> i32) -> Result<(), Errno> {
    let middle = fork_silent(|| {
        let started = fork(|| {
            let _ = setsid();
            let _ = nix::unistd::chdir(c"/");
            close_except(keep);
            child()
        });
        started.map_or_else(|error| error as i32, |_| 0)
    })?;
    match wait_for(middle).and_then(ExitStatus::code) {
        Some(0) => Ok(()),
        Some(errno) => Err(Errno::from_raw(errno)),
        None => Err(Errno::EIO),
    }
}

/// In a new process that neither executes a program nor drops an owner: closes all
/// descriptors but `keep`.
fn close_except(keep: &[BorrowedFd<'_>]) {
    let mut kept: Vec<RawFd> = keep.iter().map(AsRawFd::as_raw_fd).collect();
    kept.sort_unstable();
    let mut first: RawFd = 0;
    let mut is_closed = true;
    for &number in kept.iter().chain([&RawFd::MAX]) {
        if first < number {
            let last = (number - 1).unsigned_abs();
            is_closed &= close_range(first.unsigned_abs(), last).is_ok();
        }
        first = number.saturating_add(1);
    }
    if is_closed {
        return;
    }
    // Linux before 5.9. The list itself has a descriptor, which is closed already.
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let numbers: Vec<RawFd> = numbers.collect();
    for number in numbers.into_iter().filter(|number| !kept.contains(number)) {
        // SAFETY: no owner of a closed descriptor is dropped.
        unsafe { libc::close(number) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;

    use nix::fcntl::OFlag;
    use nix::unistd::{getpid, getppid, getsid, pipe2, write};

    use super::*;
    use crate::single_thread::run_alone;

    #[test]
    fn detached_process_has_kept_descriptors_only() {
        run_alone(|| {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
            let caller = getpid();
            let file = File::open("/").unwrap();
            start_detached(&[writer.as_fd()], || {
                let leads = getsid(None) == Ok(getpid()) && getppid() != caller;
                let numbers = std::fs::read_dir("/proc/self/fd").unwrap().count();
                let text = format!("{leads} {numbers} {}", file.metadata().is_err());
                write(&writer, text.as_bytes()).map_or(1, |_| 0)
            })
            .unwrap();
            drop(writer);
            let mut text = String::new();
            File::from(reader).read_to_string(&mut text).unwrap();
            // The pipe, and the list.
            assert_eq!(text, "true 2 true");
        });
    }
}
