//! The nice value of the process.

use nix::errno::Errno;

/// Adds to the nice value, within its range.
///
/// # Errors
/// As nice(3).
pub fn nice(increment: i32) -> Result<(), Errno> {
    Errno::clear();
    // SAFETY: nice takes no pointer.
    let value = unsafe { libc::nice(increment) };
    // -1 is also a valid nice value.
    match Errno::last_raw() {
        0 => Ok(()),
        error if value == -1 => Err(Errno::from_raw(error)),
        _ => Ok(()),
    }
}
