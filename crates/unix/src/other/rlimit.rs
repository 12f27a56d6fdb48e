//! Resource limits as 64-bit numbers, by getrlimit(2) and setrlimit(2).

use libc::rlim_t;
use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// The soft and the hard limit of a resource, in its unit. `u64::MAX` is no
/// limit. Errors: as getrlimit(2).
pub fn get(resource: Resource) -> Result<(u64, u64), Errno> {
    let (soft, hard) = getrlimit(resource)?;
    Ok((number(soft), number(hard)))
}

/// Sets the soft and the hard limit of a resource, as in [`get`]. Errors: as
/// setrlimit(2).
pub fn set(resource: Resource, soft: u64, hard: u64) -> Result<(), Errno> {
    setrlimit(resource, limit(soft), limit(hard))
}

/// FreeBSD's type has a sign.
#[allow(clippy::unnecessary_fallible_conversions, reason = "the types differ")]
fn number(limit: rlim_t) -> u64 {
    if limit == RLIM_INFINITY {
        return u64::MAX;
    }
    u64::try_from(limit).unwrap_or(u64::MAX)
}

#[allow(clippy::unnecessary_fallible_conversions, reason = "the types differ")]
fn limit(number: u64) -> rlim_t {
    rlim_t::try_from(number).map_or(RLIM_INFINITY, |limit| limit.min(RLIM_INFINITY))
}
