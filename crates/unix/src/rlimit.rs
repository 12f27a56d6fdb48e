//! Resource limits as 64-bit numbers.
//!
//! getrlimit(2) and setrlimit(2) of a 32-bit glibc, and so of nix, have 32-bit
//! numbers: a limit of 4 GiB or more would be lowered.

use nix::errno::Errno;

pub use nix::sys::resource::Resource;

/// The kernel's `struct rlimit64`. `u64::MAX` is no limit.
#[repr(C)]
struct SoftAndHard {
    soft: u64,
    hard: u64,
}

/// The soft and the hard limit of a resource, in its unit. `u64::MAX` is no
/// limit. Errors: as getrlimit(2).
pub fn get(resource: Resource) -> Result<(u64, u64), Errno> {
    let mut limit = SoftAndHard { soft: 0, hard: 0 };
    prlimit(resource, None, Some(&mut limit))?;
    Ok((limit.soft, limit.hard))
}

/// Sets the soft and the hard limit of a resource, as in [`get`]. Errors: as
/// setrlimit(2).
pub fn set(resource: Resource, soft: u64, hard: u64) -> Result<(), Errno> {
    prlimit(resource, Some(&SoftAndHard { soft, hard }), None)
}

fn prlimit(
    resource: Resource,
    new: Option<&SoftAndHard>,
    old: Option<&mut SoftAndHard>,
) -> Result<(), Errno> {
    let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
    let old = old.map_or(std::ptr::null_mut(), std::ptr::from_mut);
    // The C libraries number the resources with different types.
    let resource = resource as libc::c_int;
    // SAFETY: process 0 is this one. Both pointers are null or point to a limit.
    let result = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, new, old) };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_keeps_more_than_32_bits() {
        let core = Resource::RLIMIT_CORE;
        let (soft, hard) = get(core).unwrap();
        let large = hard.min(5 << 32 | 1);
        set(core, large, hard).unwrap();
        assert_eq!(get(core), Ok((large, hard)));
        set(core, soft, hard).unwrap();
        assert_eq!(set(core, 2, 1), Err(Errno::EINVAL));
    }
}
