//! Soft resource limits.

use cli::Opt;
use cli::options::value;
use daemontools_core::number::scan_decimal;
use nix::errno::Errno;
use unix::rlimit::{self, Resource};

/// The options of softlimit.
pub static OPTIONS: [Opt; 11] = [
    value(b'a', "allbytes", "total memory"),
    value(b'c', "corebytes", "core file size"),
    value(b'd', "databytes", "data segment size"),
    value(b'f', "filebytes", "output file size"),
    value(b'l', "lockbytes", "locked memory"),
    value(b'm', "membytes", "memory: sets -d, -s, -l and -a"),
    value(b'o', "openfiles", "open descriptors"),
    value(b'p', "processes", "processes of the user"),
    value(b'r', "residentbytes", "resident memory"),
    value(b's', "stackbytes", "stack size"),
    value(b't', "cpusecs", "seconds of CPU time"),
];

/// The resources of an option, in the order of their setrlimit(2) calls.
pub fn resources(letter: u8) -> &'static [Resource] {
    match letter {
        b'a' => &[Resource::RLIMIT_AS],
        b'c' => &[Resource::RLIMIT_CORE],
        b'd' => &[Resource::RLIMIT_DATA],
        b'f' => &[Resource::RLIMIT_FSIZE],
        b'l' => &[Resource::RLIMIT_MEMLOCK],
        b'm' => &[
            Resource::RLIMIT_DATA,
            Resource::RLIMIT_STACK,
            Resource::RLIMIT_MEMLOCK,
            Resource::RLIMIT_AS,
        ],
        b'o' => &[Resource::RLIMIT_NOFILE],
        b'p' => &[Resource::RLIMIT_NPROC],
        b'r' => &[Resource::RLIMIT_RSS],
        b's' => &[Resource::RLIMIT_STACK],
        b't' => &[Resource::RLIMIT_CPU],
        _ => &[],
    }
}

/// The soft limit to set, in the unit of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftLimit {
    /// The hard limit.
    Hard,
    /// This value, or the hard limit if that is lower.
    Value(u64),
    /// The current soft limit.
    Unchanged,
}

impl SoftLimit {
    /// Parses an argument of softlimit: `=`, which is the hard limit, or a
    /// number (see [`scan_decimal`]). None if text follows the digits.
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
    pub fn parse_signed(text: &[u8]) -> Option<SoftLimit> {
        const NEGATIVE: u64 = 1 << 63;
        let (number, rest) = scan_decimal(text);
        rest.is_empty().then_some(match number {
            u64::MAX => SoftLimit::Hard,
            NEGATIVE.. => SoftLimit::Unchanged,
            number => SoftLimit::Value(number),
        })
    }

    /// The number to set, given the current limits.
    fn resolve(self, soft: u64, hard: u64) -> u64 {
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

/// Sets the soft limit of a resource. The hard limit stays. Errors: as
/// getrlimit(2) and setrlimit(2).
pub fn set_soft(resource: Resource, limit: SoftLimit) -> Result<(), LimitError> {
    let (soft, hard) = rlimit::get(resource).map_err(LimitError::Get)?;
    rlimit::set(resource, limit.resolve(soft, hard), hard).map_err(LimitError::Set)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_option_has_a_resource_of_its_own() {
        let alone = OPTIONS.iter().filter(|option| option.letter != b'm');
        let seen: HashSet<_> = alone
            .map(|option| match resources(option.letter) {
                [resource] => *resource as i32,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(seen.len(), OPTIONS.len() - 1);
        assert!(resources(b'x').is_empty());
    }

    #[test]
    fn membytes_limits_all_kinds_of_memory() {
        let parts: Vec<_> = b"dsla".iter().copied().flat_map(resources).collect();
        let all: Vec<_> = resources(b'm').iter().collect();
        assert_eq!(all, parts);
    }

    #[test]
    fn softlimit_takes_equals_sign_or_number() {
        for (text, limit) in [
            ("=", Some(SoftLimit::Hard)),
            ("0", Some(SoftLimit::Value(0))),
            ("4096", Some(SoftLimit::Value(4096))),
            ("", Some(SoftLimit::Value(0))),
            ("4096x", None),
            ("==", None),
            ("-1", None),
        ] {
            assert_eq!(SoftLimit::parse(text.as_bytes()), limit, "{text}");
        }
    }

    #[test]
    fn highest_bit_is_a_sign_for_chpst() {
        for (text, limit) in [
            ("9223372036854775807", Some(SoftLimit::Value(u64::MAX >> 1))),
            ("9223372036854775808", Some(SoftLimit::Unchanged)),
            ("18446744073709551614", Some(SoftLimit::Unchanged)),
            ("18446744073709551615", Some(SoftLimit::Hard)),
            ("1", Some(SoftLimit::Value(1))),
            ("1x", None),
            ("=", None),
        ] {
            assert_eq!(SoftLimit::parse_signed(text.as_bytes()), limit, "{text}");
        }
    }

    #[test]
    fn soft_limit_stays_below_the_hard_one() {
        assert_eq!(SoftLimit::Hard.resolve(5, 9), 9);
        assert_eq!(SoftLimit::Unchanged.resolve(5, 9), 5);
        assert_eq!(SoftLimit::Value(7).resolve(5, 9), 7);
        assert_eq!(SoftLimit::Value(10).resolve(5, 9), 9);
    }

    #[test]
    fn hard_limit_is_kept() {
        let (_, hard) = rlimit::get(Resource::RLIMIT_CORE).unwrap();
        for soft in [1, 0] {
            set_soft(Resource::RLIMIT_CORE, SoftLimit::Value(soft)).unwrap();
            assert_eq!(
                rlimit::get(Resource::RLIMIT_CORE),
                Ok((soft.min(hard), hard))
            );
        }
    }
}
