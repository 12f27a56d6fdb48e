//! Soft resource limits.

use cli::Opt;
use cli::options::value;
use daemontools_core::number::scan_decimal;
use nix::errno::Errno;
use nix::sys::resource::Resource::{
    self, RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_MEMLOCK,
    RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RSS, RLIMIT_STACK,
};
use nix::sys::resource::{getrlimit, rlim_t, setrlimit};

/// The resources of `-m`, in the order of their setrlimit(2) calls.
const MEMORY: [Resource; 4] = [RLIMIT_DATA, RLIMIT_STACK, RLIMIT_MEMLOCK, RLIMIT_AS];

/// Each option with its resources, in the order of their setrlimit(2) calls.
const LIMITS: [(Opt, &[Resource]); 11] = [
    (value(b'a', "allbytes", "total memory"), &[RLIMIT_AS]),
    (value(b'c', "corebytes", "core file size"), &[RLIMIT_CORE]),
    (
        value(b'd', "databytes", "data segment size"),
        &[RLIMIT_DATA],
    ),
    (
        value(b'f', "filebytes", "output file size"),
        &[RLIMIT_FSIZE],
    ),
    (value(b'l', "lockbytes", "locked memory"), &[RLIMIT_MEMLOCK]),
    (
        value(b'm', "membytes", "memory: sets -d, -s, -l and -a"),
        &MEMORY,
    ),
    (
        value(b'o', "openfiles", "open descriptors"),
        &[RLIMIT_NOFILE],
    ),
    (
        value(b'p', "processes", "processes of the user"),
        &[RLIMIT_NPROC],
    ),
    (
        value(b'r', "residentbytes", "resident memory"),
        &[RLIMIT_RSS],
    ),
    (value(b's', "stackbytes", "stack size"), &[RLIMIT_STACK]),
    (value(b't', "cpusecs", "seconds of CPU time"), &[RLIMIT_CPU]),
];

/// The options of softlimit.
pub static OPTIONS: [Opt; LIMITS.len()] = options(LIMITS);

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn options<const N: usize>(limits: [(Opt, &[Resource]); N]) -> [Opt; N] {
    let mut options = [limits[0].0; N];
    let mut n = 1;
    while n < N {
        options[n] = limits[n].0;
        n += 1;
    }
    options
}

/// The resources of an option of softlimit, in the order of their setrlimit(2)
/// calls.
#[must_use]
pub fn resources(letter: u8) -> &'static [Resource] {
    let option = LIMITS.iter().find(|(option, _)| option.letter == letter);
    option.map_or(&[], |(_, resources)| resources)
}

/// The soft limit to set, in the unit of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftLimit {
    /// The hard limit.
    Hard,
    /// This value, or the hard limit if that is lower.
    Value(rlim_t),
    /// The current soft limit.
    Unchanged,
}

impl SoftLimit {
    /// Parses an argument of softlimit: `=`, which is the hard limit, or a
    /// number (see [`scan_decimal`]). None if text follows the digits.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<SoftLimit> {
        if text == b"=" {
            return Some(SoftLimit::Hard);
        }
        let (number, rest) = scan_decimal(text);
        rest.is_empty().then_some(SoftLimit::Value(number))
    }

    /// Parses an argument of chpst, a number whose highest bit is a sign. -1 is
    /// the hard limit; lower numbers leave the limit unchanged. None if text
    /// follows the digits.
    #[must_use]
    pub fn parse_signed(text: &[u8]) -> Option<SoftLimit> {
        const NEGATIVE: rlim_t = 1 << (rlim_t::BITS - 1);
        let (number, rest) = scan_decimal(text);
        rest.is_empty().then_some(match number {
            rlim_t::MAX => SoftLimit::Hard,
            NEGATIVE.. => SoftLimit::Unchanged,
            number => SoftLimit::Value(number),
        })
    }

    /// The number to set, given the current limits.
    fn resolve(self, soft: rlim_t, hard: rlim_t) -> rlim_t {
        match self {
            SoftLimit::Hard => hard,
            SoftLimit::Value(number) => number.min(hard),
            SoftLimit::Unchanged => soft,
        }
    }
}

/// The failed system call of [`set_soft`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// getrlimit(2).
    Get(Errno),
    /// setrlimit(2).
    Set(Errno),
}

/// Sets the soft limit of a resource. The hard limit stays.
///
/// # Errors
/// As getrlimit(2) and setrlimit(2).
pub fn set_soft(resource: Resource, limit: SoftLimit) -> Result<(), LimitError> {
    let (soft, hard) = getrlimit(resource).map_err(LimitError::Get)?;
    setrlimit(resource, limit.resolve(soft, hard), hard).map_err(LimitError::Set)
}

#[cfg(test)]
mod tests {
    use super::SoftLimit;

    #[test]
    fn limit_is_number_or_equals_sign() {
        assert_eq!(SoftLimit::parse(b"250"), Some(SoftLimit::Value(250)));
        assert_eq!(SoftLimit::parse(b""), Some(SoftLimit::Value(0)));
        assert_eq!(
            SoftLimit::parse(b"18446744073709551618"),
            Some(SoftLimit::Value(2))
        );
        assert_eq!(SoftLimit::parse(b"="), Some(SoftLimit::Hard));
    }

    #[test]
    fn text_after_limit_is_rejected() {
        for text in [
            "5x", "5 ", " 5", "+5", "-1", "==", "=5", "5=", "0=", "00=", "k",
        ] {
            assert_eq!(SoftLimit::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn hard_limit_caps_value() {
        assert_eq!(SoftLimit::Hard.resolve(1, 7), 7);
        assert_eq!(SoftLimit::Value(6).resolve(1, 7), 6);
        assert_eq!(SoftLimit::Value(8).resolve(1, 7), 7);
        assert_eq!(SoftLimit::Unchanged.resolve(1, 7), 1);
    }
}
