//! Resource limits as 64-bit numbers, by getrlimit(2) and setrlimit(2).

use std::mem::MaybeUninit;

use libc::rlim_t;
use nix::errno::Errno;

/// A resource with a limit. nix does not know all that a system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resource(i32);

macro_rules! resources {
    ($($name:ident)*) => {
        #[allow(missing_docs)]
        impl Resource {
            $(pub const $name: Self = Resource(libc::$name as i32);)*
        }
    };
}

resources! {
    RLIMIT_CORE RLIMIT_CPU RLIMIT_DATA RLIMIT_FSIZE RLIMIT_MEMLOCK RLIMIT_NOFILE
    RLIMIT_NPROC RLIMIT_RSS RLIMIT_STACK
}

#[cfg(not(target_os = "openbsd"))]
resources!(RLIMIT_AS);

/// OpenBSD limits the data segment instead: its memory is private and writable.
#[cfg(target_os = "openbsd")]
impl Resource {
    /// As the data segment.
    pub const RLIMIT_AS: Self = Resource::RLIMIT_DATA;
}

/// The soft and the hard limit of a resource, in its unit. `u64::MAX` is no
/// limit. Errors: as getrlimit(2).
pub fn get(resource: Resource) -> Result<(u64, u64), Errno> {
    let mut limit = MaybeUninit::<libc::rlimit>::zeroed();
    // SAFETY: the second argument points to space for one limit.
    let result = unsafe { libc::getrlimit(resource.0, limit.as_mut_ptr()) };
    Errno::result(result)?;
    // SAFETY: both fields are integers, for which the zeros are valid as well.
    let limit = unsafe { limit.assume_init() };
    Ok((number(limit.rlim_cur), number(limit.rlim_max)))
}

/// Sets the soft and the hard limit of a resource, as in [`get`]. Errors: as
/// setrlimit(2).
pub fn set(resource: Resource, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit {
        rlim_cur: limit(soft),
        rlim_max: limit(hard),
    };
    // SAFETY: the second argument points to a limit.
    Errno::result(unsafe { libc::setrlimit(resource.0, &raw const limit) }).map(drop)
}

/// FreeBSD's type has a sign.
fn number(limit: rlim_t) -> u64 {
    if limit == libc::RLIM_INFINITY {
        return u64::MAX;
    }
    u64::try_from(limit).unwrap_or(u64::MAX)
}

fn limit(number: u64) -> rlim_t {
    rlim_t::try_from(number).map_or(libc::RLIM_INFINITY, |limit| limit.min(libc::RLIM_INFINITY))
}
