//! Which old files go.

use std::ffi::CString;

use daemontools_core::label::TEXT;

/// Whether a name in a log directory is that of an old file: it begins with
/// `@` and is as long as a label at least. What follows does not matter.
#[must_use]
pub fn is_old(name: &[u8]) -> bool {
    name.len() >= TEXT && name.starts_with(b"@")
}

/// Those of the old files that must go so that less than `files` are left:
/// the oldest by their labels, and of one label those that come first.
#[must_use]
pub fn surplus(mut old: Vec<CString>, files: usize) -> Vec<CString> {
    old.sort_by(|one, other| label(one).cmp(label(other)));
    old.truncate((old.len() + 1).saturating_sub(files));
    old
}

fn label(name: &CString) -> &[u8] {
    name.to_bytes().get(..TEXT).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surplus_of(names: &[&str], files: usize) -> Vec<String> {
        let old = names.iter().filter(|name| is_old(name.as_bytes()));
        let old = old.map(|name| CString::new(*name).unwrap()).collect();
        surplus(old, files)
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
        assert!(is_old(b"@400000000000000000000000"));
        assert!(is_old(b"@zzzzzzzzzzzzzzzzzzzzzzzz and more"));
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
}
