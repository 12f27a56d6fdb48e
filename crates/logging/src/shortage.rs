//! Waiting for memory. A logger without memory waits, as on a full disk: its lines
//! stay where they are, and later lines stay in its input.

use std::sync::OnceLock;
use std::time::Duration;

use nix::errno::Errno;
use unix::memory::{has_room, try_reserve, try_zeroed};

use crate::event::{LogReporter, LogStep, ReportFn};
use crate::multilog::print::divide_unfinished_line;

/// The time between two attempts.
const RETRY: Duration = Duration::from_secs(1);

/// Receives the warning. Global, as the memory is.
static REPORT: OnceLock<ReportFn> = OnceLock::new();

/// From now on, this logger waits for memory, and reports that to `report`.
pub(crate) fn wait_from_now_on(report: ReportFn) {
    let _ = REPORT.set(report);
}

/// Repeats an attempt as long as it fails for want of memory. Warns once.
pub(crate) fn until_memory<T, E>(
    mut attempt: impl FnMut() -> Result<T, E>,
    errno: impl Fn(&E) -> Errno,
) -> Result<T, E> {
    let mut warned = false;
    loop {
        match (attempt(), REPORT.get()) {
            (Err(error), Some(&report)) if errno(&error) == Errno::ENOMEM => {
                divide_unfinished_line();
                if !warned {
                    let path = c"memory";
                    LogReporter { path, report }.warn(LogStep::Memory, Errno::ENOMEM);
                    warned = true;
                }
                std::thread::sleep(RETRY);
            }
            (result, _) => return result,
        }
    }
}

/// Waits until the system gives a block of this size, in bytes. Another program than
/// a logger does not wait.
pub(crate) fn wait_for_room(size: usize) {
    let attempt = || has_room(size).then_some(()).ok_or(Errno::ENOMEM);
    let _ = until_memory(attempt, |error| *error);
}

/// A vector of zeros, as of [`try_zeroed`]. Another program than a logger aborts
/// without memory.
pub(crate) fn zeroed(length: usize) -> Vec<u8> {
    let zeros = until_memory(|| try_zeroed(length), |error| *error);
    zeros.unwrap_or_else(|_| vec![0; length])
}

/// Reserves capacity for `additional` more elements. Another program than a logger
/// aborts without memory.
pub(crate) fn reserve<T>(vector: &mut Vec<T>, additional: usize) {
    if vector.capacity() - vector.len() < additional {
        grow(vector, additional);
    }
}

#[cold]
#[inline(never)]
fn grow<T>(vector: &mut Vec<T>, additional: usize) {
    let _ = until_memory(|| try_reserve(vector, additional), |error| *error);
}

/// Appends an element.
pub(crate) fn push<T>(vector: &mut Vec<T>, element: T) {
    reserve(vector, 1);
    vector.push(element);
}

/// Appends bytes.
pub(crate) fn extend(vector: &mut Vec<u8>, bytes: &[u8]) {
    reserve(vector, bytes.len());
    vector.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{Scene, report};

    #[test]
    fn want_of_memory_is_reported_once_and_waited_for() {
        let _scene = Scene::new();
        wait_from_now_on(report);
        let mut attempts = 0;
        let done = until_memory(
            || {
                attempts += 1;
                if attempts < 3 {
                    Err(Errno::ENOMEM)
                } else {
                    Ok(())
                }
            },
            |error| *error,
        );
        assert_eq!((done, attempts), (Ok(()), 3));
        assert_eq!(Scene::reports(), ["Memory"]);
        let failed: Result<(), _> = until_memory(|| Err(Errno::EIO), |error| *error);
        assert_eq!(failed, Err(Errno::EIO));
        assert!(Scene::reports().is_empty());
    }

    #[test]
    fn reserved_room_lasts_for_its_elements() {
        let mut vector = vec![0; 3];
        reserve(&mut vector, 100);
        let capacity = vector.capacity();
        assert!(capacity >= 103);
        extend(&mut vector, &[1; 100]);
        assert_eq!((vector.len(), vector.capacity()), (103, capacity));
        // Room that exists is used: nothing is allocated in the steady state.
        vector.clear();
        for _ in 0..capacity {
            push(&mut vector, 1);
        }
        assert_eq!((vector.len(), vector.capacity()), (capacity, capacity));
    }
}
