//! The choice of old files to remove.

use std::ffi::CString;

use daemontools_core::label::TEXT;

use crate::names::Suffix;
use crate::policy::LogPolicy;

/// Whether a name in a log directory belongs to an old file. multilog: `@`
/// and at least the length of a label. svlogd: `@` and the length of a label,
/// a dot and a letter.
#[must_use]
pub fn is_old_file(policy: LogPolicy, name: &[u8]) -> bool {
    let has_length = match policy {
        LogPolicy::Multilog => name.len() >= TEXT,
        LogPolicy::Svlogd => name.len() == TEXT + 2,
    };
    has_length && name.starts_with(b"@")
}

/// An old file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldFile {
    /// The name.
    pub name: CString,
    /// The size in bytes; 0 without a limit for the total.
    pub size: u64,
}

/// The limits of a log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// As [`LogDirConfig::files`](crate::policy::LogDirConfig::files).
    pub files: usize,
    /// As [`LogDirConfig::bytes`](crate::policy::LogDirConfig::bytes).
    pub bytes: Option<u64>,
}

/// The old files above the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    /// The files to remove.
    pub remove: Vec<CString>,
    /// The size of `current`, in bytes, above which another file must be
    /// removed.
    pub current_limit: u64,
}

/// The old files to remove. The file `current` has `current` bytes.
///
/// multilog: the oldest files by label, and of one label the first listed,
/// until fewer than `files` are left and the total is within `bytes`, or until
/// no old file is left. svlogd: all leftovers of processors and the
/// oldest file if there are more than `files`.
#[must_use]
pub fn excess(policy: LogPolicy, mut old: Vec<OldFile>, limits: Limits, current: u64) -> Excess {
    let Limits { files, bytes } = limits;
    match policy {
        LogPolicy::Multilog => {
            old.sort_by(|one, other| label(&one.name).cmp(label(&other.name)));
            let mut count = (old.len() + 1).saturating_sub(files);
            // The sum starts at the newest file.
            let mut remaining = bytes.unwrap_or(u64::MAX);
            for (older, file) in old.iter().enumerate().skip(count).rev() {
                let after = remaining.checked_sub(file.size);
                let Some(after) = after.filter(|after| *after >= current) else {
                    count = older + 1;
                    break;
                };
                remaining = after;
            }
            let current_limit = if old.len() > count {
                remaining
            } else {
                u64::MAX
            };
            old.truncate(count);
            Excess {
                remove: old.into_iter().map(|file| file.name).collect(),
                current_limit,
            }
        }
        LogPolicy::Svlogd => {
            let names = old.into_iter().map(|file| file.name);
            let (mut remove, old): (Vec<_>, _) =
                names.partition(|name| Suffix::of_name(name) == Some(Suffix::InProgress));
            let files = if files == 0 { usize::MAX } else { files };
            remove.extend(oldest_if_more_than(files, old));
            Excess {
                remove,
                current_limit: u64::MAX,
            }
        }
    }
}

/// The oldest of svlogd's old files, if there are more than `files`. Files
/// with a pending or running processor do not count.
#[must_use]
pub fn oldest_if_more_than(files: usize, mut old: Vec<CString>) -> Option<CString> {
    old.retain(|name| match Suffix::of_name(name) {
        Some(Suffix::InProgress | Suffix::Unfinished) => false,
        Some(Suffix::Safe | Suffix::Processed(_)) | None => true,
    });
    let exceeded = old.len() > files;
    old.into_iter().min().filter(|_| exceeded)
}

fn label(name: &CString) -> &[u8] {
    name.to_bytes().get(..TEXT).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excess_of(names: &[&str], files: usize) -> Vec<String> {
        excess_by(LogPolicy::Multilog, names, files)
    }

    fn excess_by(policy: LogPolicy, names: &[&str], files: usize) -> Vec<String> {
        let old = names
            .iter()
            .filter(|name| is_old_file(policy, name.as_bytes()));
        let old = old.map(|name| OldFile {
            name: CString::new(*name).unwrap(),
            size: 0,
        });
        let limits = Limits { files, bytes: None };
        let Excess {
            remove,
            current_limit,
        } = excess(policy, old.collect(), limits, 0);
        assert_eq!(current_limit, u64::MAX);
        remove
            .into_iter()
            .map(|name| name.into_string().unwrap())
            .collect()
    }

    #[test]
    fn oldest_files_go_until_current_fits() {
        let names = [
            "@400000000000000000000003.s",
            "@400000000000000000000001.s",
            "@400000000000000000000002.u",
        ];
        assert_eq!(excess_of(&names, 4), [""; 0]);
        assert_eq!(excess_of(&names, 3), [names[1]]);
        assert_eq!(excess_of(&names, 2), [names[1], names[2]]);
        assert_eq!(excess_of(&[], 2), [""; 0]);
    }

    #[test]
    fn other_names_are_not_old_files() {
        let names = [
            "current",
            "@",
            "@40000000000000000000000",
            "lock",
            ".",
            "..",
        ];
        assert_eq!(excess_of(&names, 0), [""; 0]);
        assert!(is_old_file(
            LogPolicy::Multilog,
            b"@400000000000000000000000"
        ));
        assert!(is_old_file(
            LogPolicy::Multilog,
            b"@zzzzzzzzzzzzzzzzzzzzzzzz and more"
        ));
    }

    #[test]
    fn suffix_does_not_affect_the_order() {
        let names = [
            "@400000000000000000000001.b",
            "@400000000000000000000001.a",
            "@400000000000000000000000.z",
        ];
        assert_eq!(excess_of(&names, 2), [names[2], names[0]]);
    }

    #[test]
    fn svlogd_removes_one_file_and_leftovers() {
        let names = [
            "@400000000000000000000003.s",
            "@400000000000000000000005.t",
            "@400000000000000000000002.x",
            "@400000000000000000000001.u",
            "@400000000000000000000000",
            "@400000000000000000000000.ss",
            "@400000000000000000000004.t",
        ];
        for (files, oldest) in [(0, None), (1, Some(names[2])), (2, None)] {
            let expected = [Some(names[1]), Some(names[6]), oldest];
            let expected: Vec<_> = expected.into_iter().flatten().collect();
            assert_eq!(excess_by(LogPolicy::Svlogd, &names, files), expected);
        }
    }

    /// Old files of these sizes, oldest first.
    fn files_of_sizes(sizes: &[u64]) -> Vec<OldFile> {
        let file = |(number, &size): (usize, &u64)| OldFile {
            name: CString::new(format!("@{number:024x}.s")).unwrap(),
            size,
        };
        sizes.iter().enumerate().map(file).collect()
    }

    #[test]
    fn oldest_files_go_until_total_is_within_limit() {
        let sizes = [40, 30, 20, 10];
        for (files, bytes, current, removed, limit) in [
            (9, 100, 0, 0, 0),
            (9, 99, 0, 1, 39),
            (9, 100, 1, 1, 40),
            (9, 60, 0, 1, 0),
            (9, 59, 0, 2, 29),
            (9, 10, 0, 3, 0),
            (9, 100, 90, 3, 90),
            // `current` alone exceeds the limit, and no old file is left.
            (9, 9, 0, 4, u64::MAX),
            (9, 100, 91, 4, u64::MAX),
            (9, 100, 500, 4, u64::MAX),
            // The stricter of the two limits counts.
            (3, 99, 0, 2, 69),
            (3, 20, 0, 3, 10),
            (1, 1000, 0, 4, u64::MAX),
        ] {
            let limits = Limits {
                files,
                bytes: Some(bytes),
            };
            let old = files_of_sizes(&sizes);
            let excess = excess(LogPolicy::Multilog, old.clone(), limits, current);
            let case = format!("{limits:?}, current {current}");
            assert_eq!(excess.current_limit, limit, "{case}");
            let names = old[..removed].iter().map(|file| file.name.clone());
            assert_eq!(excess.remove, names.collect::<Vec<_>>(), "{case}");
        }
    }

    #[test]
    fn removed_files_match_a_naive_model() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let sizes: Vec<_> = (0..random.usize(..8)).map(|_| random.u64(..50)).collect();
            let (files, bytes) = (random.usize(1..10), random.u64(..250));
            let current = random.u64(..100);
            let mut left = files_of_sizes(&sizes);
            let total = |left: &[OldFile]| left.iter().map(|file| file.size).sum::<u64>();
            while !left.is_empty() && (left.len() >= files || total(&left) + current > bytes) {
                left.remove(0);
            }
            let mut old = files_of_sizes(&sizes);
            random.shuffle(&mut old);
            let limits = Limits {
                files,
                bytes: Some(bytes),
            };
            let excess = excess(LogPolicy::Multilog, old.clone(), limits, current);
            assert!(excess.remove.is_sorted());
            old.retain(|file| !excess.remove.contains(&file.name));
            old.sort_by(|one, other| one.name.cmp(&other.name));
            assert_eq!(old, left, "{sizes:?} {limits:?} {current}");
            let current_limit = if left.is_empty() {
                u64::MAX
            } else {
                bytes - total(&left)
            };
            assert_eq!(
                excess.current_limit, current_limit,
                "{sizes:?} {limits:?} {current}"
            );
        }
    }
}
