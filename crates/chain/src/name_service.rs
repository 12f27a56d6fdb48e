//! Accounts and groups by name, without the C library's name service, whose
//! modules a static program cannot load.
//!
//! `/etc/nsswitch.conf` decides the source. If `files` comes first, an entry of
//! `/etc/passwd` or `/etc/group` is final, and this module reads the file as
//! glibc does. All other lookups run getent(1), which uses the C library of the
//! system. On a system without getent, the files are the only source.

mod files;
mod getent;
mod nsswitch;

use std::ffi::CStr;
use std::ops::Range;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

use getent::Reply;
use nsswitch::Sources;

/// The user ID and the primary group ID of an account. None if the account does
/// not exist. Errors: a system call failed, or getent printed a malformed entry.
/// getent reports an outage of a name service as a missing account.
pub fn user(name: &CStr) -> Result<Option<(Uid, Gid)>, Errno> {
    PASSWD.find(name.to_bytes())
}

/// The group ID of a group. None if the group does not exist. Errors: see
/// [`user`].
pub fn group(name: &CStr) -> Result<Option<Gid>, Errno> {
    GROUP.find(name.to_bytes())
}

/// `primary` and the groups of which the account is a member, each once. Errors:
/// see [`user`].
pub fn groups(account: &CStr, primary: Gid) -> Result<Vec<Gid>, Errno> {
    let account = account.to_bytes();
    let listed = match nsswitch::sources(&["group", "initgroups"])? {
        Sources::Files => files::groups_with(account)?,
        Sources::FilesFirst | Sources::System => match getent::initgroups(account)? {
            Reply::NoGetent => files::groups_with(account)?,
            Reply::NotFound => Vec::new(),
            Reply::Found(groups) => groups,
        },
    };
    let mut groups = vec![primary];
    for group in listed {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Ok(groups)
}

/// A database of the name service.
struct Database<T> {
    /// The name in nsswitch.conf and for getent.
    name: &'static str,
    file: &'static str,
    /// The number of fields of a complete entry.
    fields: usize,
    /// The indexes of the fields that are numbers.
    numbers: Range<usize>,
    /// The IDs of an entry, from the text after the second field.
    ids: fn(&[u8]) -> Option<T>,
}

const PASSWD: Database<(Uid, Gid)> = Database {
    name: "passwd",
    file: "/etc/passwd",
    fields: 7,
    numbers: 2..4,
    ids: files::user_and_group_id,
};

const GROUP: Database<Gid> = Database {
    name: "group",
    file: files::GROUP_FILE,
    fields: 4,
    numbers: 2..3,
    ids: files::group_id,
};

impl<T> Database<T> {
    fn find(&self, name: &[u8]) -> Result<Option<T>, Errno> {
        match nsswitch::sources(&[self.name])? {
            Sources::Files => return self.find_in_file(name),
            Sources::FilesFirst => {
                if let Ok(Some(found)) = self.find_in_file(name) {
                    return Ok(Some(found));
                }
            }
            Sources::System => {}
        }
        match getent::entry(self, name)? {
            Reply::Found(found) => Ok(Some(found)),
            Reply::NotFound => Ok(None),
            Reply::NoGetent => self.find_in_file(name),
        }
    }

    /// The first complete entry of the name in the file.
    fn find_in_file(&self, name: &[u8]) -> Result<Option<T>, Errno> {
        files::find_line(files::open(self.file)?, |line| {
            let (found, rest) = files::entry(line)?;
            (found == name).then(|| (self.ids)(rest)).flatten()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each system has the account and the group root in its files.
    #[test]
    fn root_is_found_by_name() {
        let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
        assert_eq!(user(c"root"), Ok(Some((uid, gid))));
        assert_eq!(group(c"root"), Ok(Some(gid)));
        assert_eq!(PASSWD.find_in_file(b"root"), Ok(Some((uid, gid))));
        assert_eq!(GROUP.find_in_file(b"root"), Ok(Some(gid)));
    }

    #[test]
    fn unknown_names_are_not_found() {
        for name in [c"no-such-name", c"", c"roo", c"root:x"] {
            assert_eq!(user(name), Ok(None));
            assert_eq!(group(name), Ok(None));
        }
    }

    #[test]
    fn primary_group_comes_first_and_once() {
        let gid = Gid::from_raw(4_242_424);
        let groups = groups(c"root", gid).unwrap();
        assert_eq!(groups.first(), Some(&gid));
        let again = |group| groups.iter().filter(|&&other| other == group).count();
        assert!(groups.iter().all(|&group| again(group) == 1));
    }
}
