//! Whom a program runs as.

use std::ffi::CStr;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, getgrouplist, setgid, setgroups, setuid};

/// An account of the system's name service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its user ID.
    pub uid: Uid,
    /// Its primary group ID.
    pub gid: Gid,
}

impl Account {
    /// Looks an account up. None if there is none of that name, or if the
    /// name service does not answer: like the original, callers make no
    /// difference.
    #[must_use]
    pub fn find(name: &CStr) -> Option<Account> {
        let (uid, gid) = unix::account::find(name)?;
        Some(Account { uid, gid })
    }
}

/// User, group and supplementary groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Real, effective and saved user ID.
    pub uid: Uid,
    /// Real, effective and saved group ID.
    pub gid: Gid,
    /// Supplementary group IDs.
    pub groups: Vec<Gid>,
}

/// Which part of an identity could not be assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The group or the supplementary groups.
    Group(Errno),
    /// The user.
    User(Errno),
}

impl Identity {
    /// The account's user and group alone: its group is the only
    /// supplementary one too.
    #[must_use]
    pub fn alone(account: Account) -> Identity {
        Identity {
            uid: account.uid,
            gid: account.gid,
            groups: vec![account.gid],
        }
    }

    /// The account, called `name`, with all groups that it is a member of.
    ///
    /// # Errors
    /// As getgrouplist(3).
    pub fn with_groups(account: Account, name: &CStr) -> Result<Identity, Errno> {
        Ok(Identity {
            uid: account.uid,
            gid: account.gid,
            groups: getgrouplist(name, account.gid)?,
        })
    }

    /// The identity written `:uid[:gid…]` in decimal, the first gid being the
    /// group and all of them the supplementary groups. Without a gid the
    /// group has the user's number. None for anything else.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Identity> {
        let ids = text.strip_prefix(b":")?.split(|&byte| byte == b':');
        let mut ids = ids.map(parse_id);
        let uid = ids.next()??;
        let groups: Option<Vec<_>> = ids.map(|id| id.map(Gid::from_raw)).collect();
        let groups = match groups? {
            none if none.is_empty() => vec![Gid::from_raw(uid)],
            groups => groups,
        };
        Some(Identity {
            uid: Uid::from_raw(uid),
            gid: *groups.first()?,
            groups,
        })
    }

    /// Becomes this identity, groups first and user last, for good.
    ///
    /// # Errors
    /// What could not be set; what came before it is set.
    pub fn assume(&self) -> Result<(), Error> {
        setgroups(&self.groups).map_err(Error::Group)?;
        setgid(self.gid).map_err(Error::Group)?;
        setuid(self.uid).map_err(Error::User)
    }
}

/// A user or group ID: decimal digits only, and not the number that the
/// system calls take for "unchanged".
fn parse_id(digits: &[u8]) -> Option<u32> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let id = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (all_digits && id != u32::MAX).then_some(id)
}

#[cfg(test)]
mod tests {
    use nix::unistd::{Gid, Uid};

    use super::Identity;

    #[test]
    fn an_identity_can_be_written_in_numbers() {
        let written = |uid, groups: &[u32]| {
            let groups: Vec<_> = groups.iter().copied().map(Gid::from_raw).collect();
            Some(Identity {
                uid: Uid::from_raw(uid),
                gid: groups[0],
                groups,
            })
        };
        assert_eq!(Identity::parse(b":1000"), written(1000, &[1000]));
        assert_eq!(Identity::parse(b":1000:5"), written(1000, &[5]));
        assert_eq!(Identity::parse(b":0:7:5:7"), written(0, &[7, 5, 7]));
        assert_eq!(
            Identity::parse(b":4294967294:00"),
            written(u32::MAX - 1, &[0])
        );
    }

    #[test]
    fn anything_else_is_no_identity() {
        for text in [
            "",
            ":",
            "1000",
            "::5",
            ":1000:",
            ":1000::5",
            ":1000:x",
            ":x",
            ":+1",
            ":-1",
            ": 1",
            ":1 ",
            ":4294967295",
            ":4294967296",
            ":1:4294967295",
            ":0x1",
            "nobody:1",
        ] {
            assert_eq!(Identity::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
