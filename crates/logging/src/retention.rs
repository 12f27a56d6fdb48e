//! Which old files go.

use std::ffi::CString;

use daemontools_core::label::TEXT;

use crate::names::Suffix;
use crate::policy::LogPolicy;

/// Whether a name in a log directory is that of an old file: it begins with
/// `@` and is as long as a label at least; to svlogd, as long as a label, a dot
/// and a letter. What follows the label does not matter.
#[must_use]
pub fn is_old_file(policy: LogPolicy, name: &[u8]) -> bool {
    let long = match policy {
        LogPolicy::Multilog => name.len() >= TEXT,
        LogPolicy::Svlogd => name.len() == TEXT + 2,
    };
    long && name.starts_with(b"@")
}

/// An old file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldFile {
    /// Its name.
    pub name: CString,
    /// How many bytes it has; 0 if there is no limit for all of them.
    pub size: usize,
}

/// How much is kept: as in the directory's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many files.
    pub files: usize,
    /// How many bytes.
    pub bytes: Option<usize>,
}

/// What is to be done about old files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    /// They must go.
    pub remove: Vec<CString>,
    /// How many bytes `current` may then have before another one must.
    pub current_limit: usize,
}

/// What there is too much of when a file becomes an old one, and when
/// `current`, which has so many bytes, has become too large beside them.
///
/// With multilog less than `files` are left, and no more bytes than the limit
/// as long as there is an old file to remove: the oldest go by their labels,
/// and of one label those that come first. With svlogd there goes one, if
/// there are more than `files`, after all that dead processors left.
#[must_use]
pub fn excess(policy: LogPolicy, mut old: Vec<OldFile>, limits: Limits, current: usize) -> Excess {
    let Limits { files, bytes } = limits;
    match policy {
        LogPolicy::Multilog => {
            old.sort_by(|one, other| label(&one.name).cmp(label(&other.name)));
            let mut many = (old.len() + 1).saturating_sub(files);
            // The bytes are summed up from the newest file on.
            let mut left = bytes.unwrap_or(usize::MAX);
            for (older, file) in old.iter().enumerate().skip(many).rev() {
                let after = left.checked_sub(file.size);
                let Some(after) = after.filter(|after| *after >= current) else {
                    many = older + 1;
                    break;
                };
                left = after;
            }
            let current_limit = if old.len() > many { left } else { usize::MAX };
            old.truncate(many);
            let remove = old.into_iter().map(|file| file.name).collect();
            Excess {
                remove,
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
                current_limit: usize::MAX,
            }
        }
    }
}

/// The oldest of svlogd's old files, if there are more than `files`. What its
/// processor has not made, or not yet, does not count.
#[must_use]
pub fn oldest_if_more_than(files: usize, mut old: Vec<CString>) -> Option<CString> {
    old.retain(|name| match Suffix::of_name(name) {
        Some(Suffix::InProgress | Suffix::Unfinished) => false,
        Some(Suffix::Safe | Suffix::Processed(_)) | None => true,
    });
    let many = old.len() > files;
    old.into_iter().min().filter(|_| many)
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
        assert_eq!(current_limit, usize::MAX);
        remove
            .into_iter()
            .map(|name| name.into_string().unwrap())
            .collect()
    }

    #[test]
    fn the_oldest_go_until_there_is_room_for_current() {
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
    fn other_names_do_not_count() {
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
    fn what_follows_the_label_does_not_count() {
        let names = [
            "@400000000000000000000001.b",
            "@400000000000000000000001.a",
            "@400000000000000000000000.z",
        ];
        assert_eq!(excess_of(&names, 2), [names[2], names[0]]);
    }

    #[test]
    fn svlogd_removes_one_and_what_dead_processors_left() {
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

    /// Old files of these sizes, from the oldest on.
    fn of_sizes(sizes: &[usize]) -> Vec<OldFile> {
        let file = |(number, &size): (usize, &usize)| OldFile {
            name: CString::new(format!("@{number:024x}.s")).unwrap(),
            size,
        };
        sizes.iter().enumerate().map(file).collect()
    }

    #[test]
    fn the_oldest_go_until_all_have_no_more_bytes_than_they_may() {
        let sizes = [40, 30, 20, 10];
        for (files, bytes, current, removed, limit) in [
            (9, 100, 0, 0, 0),
            (9, 99, 0, 1, 39),
            (9, 100, 1, 1, 40),
            (9, 60, 0, 1, 0),
            (9, 59, 0, 2, 29),
            (9, 10, 0, 3, 0),
            (9, 100, 90, 3, 90),
            // There is nothing left to remove, however much `current` has.
            (9, 9, 0, 4, usize::MAX),
            (9, 100, 91, 4, usize::MAX),
            (9, 100, 500, 4, usize::MAX),
            // Who wants more remove has it so.
            (3, 99, 0, 2, 69),
            (3, 20, 0, 3, 10),
            (1, 1000, 0, 4, usize::MAX),
        ] {
            let limits = Limits {
                files,
                bytes: Some(bytes),
            };
            let old = of_sizes(&sizes);
            let excess = excess(LogPolicy::Multilog, old.clone(), limits, current);
            let case = format!("{limits:?}, current {current}");
            assert_eq!(excess.current_limit, limit, "{case}");
            let names = old[..removed].iter().map(|file| file.name.clone());
            assert_eq!(excess.remove, names.collect::<Vec<_>>(), "{case}");
        }
    }

    #[test]
    fn what_goes_is_what_a_naive_model_removes() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let sizes: Vec<_> = (0..random.usize(..8)).map(|_| random.usize(..50)).collect();
            let (files, bytes) = (random.usize(2..10), random.usize(..250));
            let current = random.usize(..100);
            let mut left = of_sizes(&sizes);
            let held = |left: &[OldFile]| left.iter().map(|file| file.size).sum::<usize>();
            while !left.is_empty() && (left.len() >= files || held(&left) + current > bytes) {
                left.remove(0);
            }
            let mut old = of_sizes(&sizes);
            random.shuffle(&mut old);
            let limits = Limits {
                files,
                bytes: Some(bytes),
            };
            let excess = excess(LogPolicy::Multilog, old.clone(), limits, current);
            old.retain(|file| !excess.remove.contains(&file.name));
            old.sort_by(|one, other| one.name.cmp(&other.name));
            assert_eq!(old, left, "{sizes:?} {limits:?} {current}");
            let current_limit = if left.is_empty() {
                usize::MAX
            } else {
                bytes - held(&left)
            };
            assert_eq!(
                excess.current_limit, current_limit,
                "{sizes:?} {limits:?} {current}"
            );
        }
    }
}
