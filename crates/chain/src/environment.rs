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
    #[must_use]
    pub fn inherited() -> Self {
        unix::start::environment().into_iter().collect()
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
    #[must_use]
    pub fn entries(&self) -> Vec<&CStr> {
        self.entries.iter().map(AsRef::as_ref).collect()
    }
}

impl<'a> FromIterator<&'a CStr> for Environment<'a> {
    fn from_iter<I: IntoIterator<Item = &'a CStr>>(entries: I) -> Self {
        let entries = entries.into_iter().map(Cow::Borrowed).collect();
        Environment { entries }
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
    use std::ffi::CStr;

    use super::Environment;

    fn edited(before: &[&'static CStr], edits: &[&CStr]) -> Vec<String> {
        let mut environment: Environment = before.iter().copied().collect();
        environment.extend(edits.iter().map(|&edit| edit.to_owned()));
        let entries = environment.entries();
        entries
            .iter()
            .map(|entry| entry.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn new_variable_comes_last() {
        assert_eq!(edited(&[c"A=1", c"B=2"], &[c"C=3"]), ["A=1", "B=2", "C=3"]);
        assert_eq!(edited(&[], &[c"C="]), ["C="]);
    }

    #[test]
    fn last_entry_replaces_removed_entry() {
        let before = [c"A=1", c"B=2", c"C=3"];
        assert_eq!(edited(&before, &[c"A"]), ["C=3", "B=2"]);
        assert_eq!(edited(&before, &[c"C"]), ["A=1", "B=2"]);
        assert_eq!(edited(&before, &[c"A=9"]), ["C=3", "B=2", "A=9"]);
        assert_eq!(edited(&[c"A=1"], &[c"A"]), [""; 0]);
    }

    #[test]
    fn only_first_duplicate_is_removed() {
        let before = [c"A=1", c"B=2", c"A=3", c"A=4"];
        assert_eq!(edited(&before, &[c"A"]), ["A=4", "B=2", "A=3"]);
        assert_eq!(edited(&before, &[c"A", c"A", c"A"]), ["B=2"]);
    }

    #[test]
    fn names_end_at_first_equals_sign() {
        let before = [c"AB=1", c"A", c"a=2", c"A=3=4", c"=5"];
        assert_eq!(edited(&before, &[c"A"]), ["AB=1", "A", "a=2", "=5"]);
        assert_eq!(
            edited(&before, &[c"A=x=y"]),
            ["AB=1", "A", "a=2", "=5", "A=x=y"]
        );
        assert_eq!(
            edited(&before, &[c"=6"]),
            ["AB=1", "A", "a=2", "A=3=4", "=6"]
        );
        assert_eq!(edited(&before, &[c""]), ["AB=1", "A", "a=2", "A=3=4"]);
    }
}
