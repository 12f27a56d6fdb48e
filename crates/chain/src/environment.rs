//! The environment of a program, with edits in the order of 0.76.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use nix::unistd::{Gid, Uid};

/// The entries of an environment, in order.
///
/// Entries are bytes. Malformed entries (without `=`, or with an empty name) and
/// duplicates are inherited unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment<'a> {
    entries: Vec<Cow<'a, CStr>>,
}

impl Environment<'static> {
    /// The environment of this process.
    pub fn inherited() -> Self {
        let entries = unix::start::environment();
        let entries = entries.into_iter().map(Cow::Borrowed).collect();
        Environment { entries }
    }
}

impl Environment<'_> {
    /// Sets a variable for `NAME=value`; removes the variable for `NAME` without
    /// `=`. The name ends at the first `=`.
    ///
    /// As in 0.76, the last entry replaces the first entry of that name, and the
    /// new value is appended. Further entries of that name stay.
    pub fn edit(&mut self, edit: CString) {
        let bytes = edit.to_bytes();
        let (name, sets) = match bytes.iter().position(|&byte| byte == b'=') {
            Some(length) => (bytes.get(..length).unwrap_or_default(), true),
            None => (bytes, false),
        };
        let index = self.entries.iter().position(|entry| {
            let rest = entry.to_bytes().strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(b"="))
        });
        if let Some(index) = index {
            self.entries.swap_remove(index);
        }
        if sets {
            self.entries.push(Cow::Owned(edit));
        }
    }

    /// Sets GID and UID, as envuidgid does.
    pub fn set_uid_gid(&mut self, uid: Uid, gid: Gid) {
        for (name, id) in [("GID", gid.as_raw()), ("UID", uid.as_raw())] {
            // Neither the name nor the number has a NUL.
            self.edit(CString::new(format!("{name}={id}")).unwrap_or_default());
        }
    }

    /// All entries, in order.
    pub fn entries(&self) -> Vec<&CStr> {
        self.entries.iter().map(AsRef::as_ref).collect()
    }
}

impl Extend<CString> for Environment<'_> {
    /// Applies the edits in order.
    fn extend<I: IntoIterator<Item = CString>>(&mut self, edits: I) {
        for edit in edits {
            self.edit(edit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_edited(entries: &[&CStr], edits: &[&CStr], expected: &[&CStr]) {
        let entries = entries.iter().copied().map(Cow::Borrowed).collect();
        let mut environment = Environment { entries };
        environment.extend(edits.iter().copied().map(CString::from));
        assert_eq!(environment.entries(), expected);
    }

    #[test]
    fn last_entry_takes_the_place_of_the_old() {
        let entries = [c"A=1", c"B=2", c"C=3"];
        assert_edited(&entries, &[c"A=4=5"], &[c"C=3", c"B=2", c"A=4=5"]);
        assert_edited(&entries, &[c"A"], &[c"C=3", c"B=2"]);
        assert_edited(&entries, &[c"C"], &[c"A=1", c"B=2"]);
        assert_edited(&entries, &[c"D="], &[c"A=1", c"B=2", c"C=3", c"D="]);
    }

    #[test]
    fn only_the_whole_name_is_the_variable() {
        let entries = [c"AB=1", c"A", c"=x", c"A=2", c"A=3"];
        assert_edited(&entries, &[c"A"], &[c"AB=1", c"A", c"=x", c"A=3"]);
        assert_edited(&entries, &[c"X"], &entries);
    }

    #[test]
    fn edits_apply_in_order() {
        assert_edited(&[], &[c"A=1", c"B=2", c"A"], &[c"B=2"]);
    }

    #[test]
    fn gid_precedes_uid() {
        let mut environment = Environment::default();
        environment.set_uid_gid(Uid::from_raw(7), Gid::from_raw(8));
        assert_eq!(environment.entries(), [c"GID=8", c"UID=7"]);
    }
}
