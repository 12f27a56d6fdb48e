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

/// Those of the old files that must go when a file becomes one.
///
/// With multilog less than `files` are left: the oldest go by their labels,
/// and of one label those that come first. With svlogd there goes one, if
/// there are more than `files`, after all that dead processors left.
#[must_use]
pub fn surplus(policy: Policy, mut old: Vec<CString>, files: usize) -> Vec<CString> {
    match policy {
        Policy::Multilog => {
            old.sort_by(|one, other| label(one).cmp(label(other)));
            old.truncate((old.len() + 1).saturating_sub(files));
            old
        }
        Policy::Svlogd => {
            let (mut gone, old): (Vec<_>, _) = old
                .into_iter()
                .partition(|name| Code::of(name) == Some(Code::Made));
            let files = if files == 0 { usize::MAX } else { files };
            gone.extend(oldest_of_more_than(files, old));
            gone
        }
    }
}

/// The oldest of svlogd's old files, if there are more than `files`. What its
/// processor has not made, or not yet, does not count.
#[must_use]
pub fn oldest_of_more_than(files: usize, mut old: Vec<CString>) -> Option<CString> {
    old.retain(|name| match Code::of(name) {
        Some(Code::Made | Code::Unfinished) => false,
        Some(Code::Safe) | None => true,
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
        let old = old.map(|name| CString::new(*name).unwrap()).collect();
        surplus(policy, old, files)
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
}
