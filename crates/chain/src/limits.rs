//! Soft resource limits.

use cli::Opt;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// What limits memory as a whole, in the order in which it is set.
const MEMORY: [Resource; 4] = [
    Resource::RLIMIT_DATA,
    Resource::RLIMIT_STACK,
    Resource::RLIMIT_MEMLOCK,
    Resource::RLIMIT_AS,
];

/// Each option, and the resources that it limits, in the order in which they
/// are set.
const LIMITS: [(Opt, &[Resource]); 11] = [
    (
        option(b'a', "allbytes", "memory in all"),
        &[Resource::RLIMIT_AS],
    ),
    (
        option(b'c', "corebytes", "core file"),
        &[Resource::RLIMIT_CORE],
    ),
    (
        option(b'd', "databytes", "data segment"),
        &[Resource::RLIMIT_DATA],
    ),
    (
        option(b'f', "filebytes", "each output file"),
        &[Resource::RLIMIT_FSIZE],
    ),
    (
        option(b'l', "lockbytes", "locked memory"),
        &[Resource::RLIMIT_MEMLOCK],
    ),
    (
        option(b'm', "membytes", "-d, -s, -l and -a at once"),
        &MEMORY,
    ),
    (
        option(b'o', "openfiles", "open descriptors"),
        &[Resource::RLIMIT_NOFILE],
    ),
    (
        option(b'p', "processes", "processes of the user"),
        &[Resource::RLIMIT_NPROC],
    ),
    (
        option(b'r', "residentbytes", "resident memory"),
        &[Resource::RLIMIT_RSS],
    ),
    (
        option(b's', "stackbytes", "stack"),
        &[Resource::RLIMIT_STACK],
    ),
    (
        option(b't', "cpusecs", "seconds of CPU time"),
        &[Resource::RLIMIT_CPU],
    ),
];

const fn option(letter: u8, value: &'static str, help: &'static str) -> Opt {
    Opt {
        letter,
        value: Some(value),
        help,
    }
}

/// The options of softlimit.
pub static OPTIONS: [Opt; LIMITS.len()] = options(LIMITS);

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn options<const N: usize>(limits: [(Opt, &[Resource]); N]) -> [Opt; N] {
    let mut options = [limits[0].0; N];
    let mut n = 1;
    while n < N {
        options[n] = limits[n].0;
        n += 1;
    }
    options
}

/// The resources that an option of softlimit limits, in the order in which
/// they are set.
#[must_use]
pub fn resources(letter: u8) -> &'static [Resource] {
    let option = LIMITS.iter().find(|(option, _)| option.letter == letter);
    option.map_or(&[], |(_, resources)| resources)
}

/// How far a soft limit is to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftLimit {
    /// To the hard limit.
    Hard,
    /// To this value in the unit of the resource, or to the hard limit if
    /// that is lower.
    Value(rlim_t),
    /// Not at all.
    Unchanged,
}

impl SoftLimit {
    /// Reads `=` or a number. None if anything follows the number's digits.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<SoftLimit> {
        if text == b"=" {
            return Some(SoftLimit::Hard);
        }
        let (value, rest) = daemontools_core::number::scan_decimal(text);
        rest.is_empty().then_some(SoftLimit::Value(value))
    }

    /// Reads a number with a sign in its highest bit, as chpst does: -1 is the
    /// hard limit, and what is below that is none. None if anything follows
    /// the number's digits.
    #[must_use]
    pub fn parse_signed(text: &[u8]) -> Option<SoftLimit> {
        const NEGATIVE: rlim_t = 1 << (rlim_t::BITS - 1);
        let (value, rest) = daemontools_core::number::scan_decimal(text);
        rest.is_empty().then_some(match value {
            rlim_t::MAX => SoftLimit::Hard,
            NEGATIVE.. => SoftLimit::Unchanged,
            value => SoftLimit::Value(value),
        })
    }

    /// The soft limit that it means with these limits.
    fn below(self, soft: rlim_t, hard: rlim_t) -> rlim_t {
        match self {
            SoftLimit::Hard => hard,
            SoftLimit::Value(value) => value.min(hard),
            SoftLimit::Unchanged => soft,
        }
    }
}

/// What could not be done with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// To look at it.
    Get(Errno),
    /// To set it.
    Set(Errno),
}

/// Sets the soft limit of a resource. The hard limit stays.
///
/// # Errors
/// As getrlimit(2) and setrlimit(2).
pub fn set_soft(resource: Resource, bound: SoftLimit) -> Result<(), LimitError> {
    let (soft, hard) = getrlimit(resource).map_err(LimitError::Get)?;
    setrlimit(resource, bound.below(soft, hard), hard).map_err(LimitError::Set)
}

#[cfg(test)]
mod tests {
    use super::SoftLimit;

    #[test]
    fn a_bound_is_a_number_or_an_equals_sign() {
        assert_eq!(SoftLimit::parse(b"250"), Some(SoftLimit::Value(250)));
        assert_eq!(SoftLimit::parse(b""), Some(SoftLimit::Value(0)));
        assert_eq!(
            SoftLimit::parse(b"18446744073709551618"),
            Some(SoftLimit::Value(2))
        );
        assert_eq!(SoftLimit::parse(b"="), Some(SoftLimit::Hard));
    }

    #[test]
    fn nothing_may_follow_it() {
        for text in [
            "5x", "5 ", " 5", "+5", "-1", "==", "=5", "5=", "0=", "00=", "k",
        ] {
            assert_eq!(SoftLimit::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn the_hard_limit_is_the_highest() {
        assert_eq!(SoftLimit::Hard.below(1, 7), 7);
        assert_eq!(SoftLimit::Value(6).below(1, 7), 6);
        assert_eq!(SoftLimit::Value(8).below(1, 7), 7);
        assert_eq!(SoftLimit::Unchanged.below(1, 7), 1);
    }
}
