//! Which old files go.

use std::ffi::CString;

use daemontools_core::label::TEXT;

use crate::names::Code;
use crate::policy::Policy;

/// Whether a name in a log directory is that of an old file: it begins with
/// `@` and is as long as a label at least; to svlogd, as long as a label, a dot
/// and a letter. What follows the label does not matter.
#[must_use]
pub fn is_old(policy: Policy, name: &[u8]) -> bool {
    let long = match policy {
        Policy::Multilog => name.len() >= TEXT,
        Policy::Svlogd => name.len() == TEXT + 2,
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
pub struct Bounds {
    /// How many files.
    pub files: usize,
    /// How many bytes.
    pub bytes: Option<usize>,
}

/// What is to be done about old files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surplus {
    /// They must go.
    pub gone: Vec<CString>,
    /// How many bytes `current` may then have before another one must.
    pub room: usize,
}

/// What there is too much of when a file becomes an old one, and when
/// `current`, which has so many bytes, has become too large beside them.
///
/// With multilog less than `files` are left, and no more bytes than the limit
/// as long as there is an old file to remove: the oldest go by their labels,
/// and of one label those that come first. With svlogd there goes one, if
/// there are more than `files`, after all that dead processors left.
#[must_use]
pub fn surplus(policy: Policy, mut old: Vec<OldFile>, bounds: Bounds, current: usize) -> Surplus {
    let Bounds { files, bytes } = bounds;
    match policy {
        Policy::Multilog => {
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
            let room = if old.len() > many { left } else { usize::MAX };
            old.truncate(many);
            let gone = old.into_iter().map(|file| file.name).collect();
            Surplus { gone, room }
        }
        Policy::Svlogd => {
            let names = old.into_iter().map(|file| file.name);
            let (mut gone, old): (Vec<_>, _) =
                names.partition(|name| Code::of(name) == Some(Code::Made));
            let files = if files == 0 { usize::MAX } else { files };
            gone.extend(oldest_of_more_than(files, old));
            Surplus {
                gone,
                room: usize::MAX,
            }
        }
    }
}

/// The oldest of svlogd's old files, if there are more than `files`. What its
/// processor has not made, or not yet, does not count.
#[must_use]
pub fn oldest_of_more_than(files: usize, mut old: Vec<CString>) -> Option<CString> {
    old.retain(|name| match Code::of(name) {
        Some(Code::Made | Code::Unfinished) => false,
        Some(Code::Safe | Code::Processed(_)) | None => true,
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

    fn surplus_of(names: &[&str], files: usize) -> Vec<String> {
        surplus_by(Policy::Multilog, names, files)
    }

    fn surplus_by(policy: Policy, names: &[&str], files: usize) -> Vec<String> {
        let old = names.iter().filter(|name| is_old(policy, name.as_bytes()));
        let old = old.map(|name| OldFile {
            name: CString::new(*name).unwrap(),
            size: 0,
        });
        let bounds = Bounds { files, bytes: None };
        let Surplus { gone, room } = surplus(policy, old.collect(), bounds, 0);
        assert_eq!(room, usize::MAX);
        gone.into_iter()
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
        assert_eq!(surplus_of(&names, 4), [""; 0]);
        assert_eq!(surplus_of(&names, 3), [names[1]]);
        assert_eq!(surplus_of(&names, 2), [names[1], names[2]]);
        assert_eq!(surplus_of(&[], 2), [""; 0]);
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
        assert_eq!(surplus_of(&names, 0), [""; 0]);
        assert!(is_old(Policy::Multilog, b"@400000000000000000000000"));
        assert!(is_old(
            Policy::Multilog,
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
        assert_eq!(surplus_of(&names, 2), [names[2], names[0]]);
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
            let gone = [Some(names[1]), Some(names[6]), oldest];
            let gone: Vec<_> = gone.into_iter().flatten().collect();
            assert_eq!(surplus_by(Policy::Svlogd, &names, files), gone);
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
        for (files, bytes, current, gone, room) in [
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
            // Who wants more gone has it so.
            (3, 99, 0, 2, 69),
            (3, 20, 0, 3, 10),
            (1, 1000, 0, 4, usize::MAX),
        ] {
            let bounds = Bounds {
                files,
                bytes: Some(bytes),
            };
            let old = of_sizes(&sizes);
            let surplus = surplus(Policy::Multilog, old.clone(), bounds, current);
            let case = format!("{bounds:?}, current {current}");
            assert_eq!(surplus.room, room, "{case}");
            let names = old[..gone].iter().map(|file| file.name.clone());
            assert_eq!(surplus.gone, names.collect::<Vec<_>>(), "{case}");
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
            let bounds = Bounds {
                files,
                bytes: Some(bytes),
            };
            let surplus = surplus(Policy::Multilog, old.clone(), bounds, current);
            old.retain(|file| !surplus.gone.contains(&file.name));
            old.sort_by(|one, other| one.name.cmp(&other.name));
            assert_eq!(old, left, "{sizes:?} {bounds:?} {current}");
            let room = if left.is_empty() {
                usize::MAX
            } else {
                bytes - held(&left)
            };
            assert_eq!(surplus.room, room, "{sizes:?} {bounds:?} {current}");
        }
    }
}
