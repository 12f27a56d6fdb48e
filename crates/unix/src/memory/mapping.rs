//! Memory by mmap(2): whole pages of zeros, which take memory when they are used.

use std::num::NonZero;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Maps this many bytes. Errors: as mmap(2).
pub(super) fn map(size: usize) -> Result<NonNull<u8>, Errno> {
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let size = NonZero::new(size).ok_or(Errno::EINVAL)?;
    // SAFETY: a new mapping at an address that the system chooses.
    let memory = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_PRIVATE) };
    memory.map(NonNull::cast)
}

/// Changes the size of a mapping, which may move. Errors: as mremap(2); ENOMEM on
/// systems without it.
///
/// # Safety
/// [`map`] made the mapping with the old size. Without an error, only the returned
/// memory is used.
pub(super) unsafe fn remap(memory: *mut u8, old: usize, new: usize) -> Result<NonNull<u8>, Errno> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the caller's promise.
        let moved = unsafe { libc::mremap(memory.cast(), old, new, libc::MREMAP_MAYMOVE) };
        if moved == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        NonNull::new(moved.cast()).ok_or(Errno::ENOMEM)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (memory, old, new);
        Err(Errno::ENOMEM)
    }
}

/// Removes a mapping.
///
/// # Safety
/// [`map`] or [`remap`] made the mapping with this size. It is not used any more.
pub(super) unsafe fn unmap(memory: *mut u8, size: usize) {
    if let Some(memory) = NonNull::new(memory.cast()) {
        // SAFETY: the caller's promise.
        let _ = unsafe { munmap(memory, size) };
    }
}
