//! The user and the groups of a program.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};

use daemontools_core::number::{parse_decimal, scan_decimal};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setgid, setuid};
use unix::ids::{self, getgroups, setgroups};

use crate::name_service;

/// An account of the name service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user ID.
    pub uid: Uid,
    /// The primary group ID.
    pub gid: Gid,
}

impl Account {
    /// As [`Account::look_up`], with None for both errors, which 0.76 does not
    /// distinguish.
    pub fn find(name: &CStr) -> Option<Account> {
        Account::look_up(name).ok()
    }

    /// Looks up an account by name. Errors: the account does not exist, or the
    /// name service failed.
    pub fn look_up(name: &CStr) -> Result<Account, LookupError> {
        let (uid, gid) = required(name_service::user(name))?;
        Ok(Account { uid, gid })
    }
}

/// The failure of a name lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// The name does not exist.
    Unknown,
    /// The name service failed.
    Os(Errno),
}

fn required<T>(found: Result<Option<T>, Errno>) -> Result<T, LookupError> {
    found.map_err(LookupError::Os)?.ok_or(LookupError::Unknown)
}

/// The maximum number of groups of chpst.
const GROUPS: usize = 60;

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

/// The failed system call of [`Identity::apply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// setgroups(2).
    Groups(Errno),
    /// setgid(2).
    Group(Errno),
    /// setuid(2).
    User(Errno),
}

impl Identity {
    /// The account's user and primary group, which is the only supplementary
    /// group as well.
    pub fn primary_group_only(account: Account) -> Identity {
        Identity {
            uid: account.uid,
            gid: account.gid,
            groups: vec![account.gid],
        }
    }

    /// The account of this name with all groups of which it is a member.
    /// Errors: as [`name_service::groups`].
    pub fn with_groups(account: Account, name: &CStr) -> Result<Identity, Errno> {
        Ok(Identity {
            uid: account.uid,
            gid: account.gid,
            groups: name_service::groups(name, account.gid)?,
        })
    }

    /// Parses `:uid[:gid…]` of setuidgid, in decimal. The first gid is the group,
    /// and all are supplementary groups. Default gid: the uid. None for any
    /// other text.
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

    /// Parses `user[:group…]` of chpst. The first group is the group, and all are
    /// supplementary groups. Default group: the user's primary group. As in
    /// runit, groups after the 60th are ignored. Errors: the failure of the
    /// first name that cannot be looked up.
    pub fn named(text: &[u8]) -> Result<Identity, LookupError> {
        // A part of an argument has no NUL.
        let names = text.split(|&byte| byte == b':');
        let mut names = names.map(|name| CString::new(name).unwrap_or_default());
        let account = Account::look_up(&names.next().unwrap_or_default())?;
        let groups = names
            .take(GROUPS)
            .map(|name| required(name_service::group(&name)));
        let groups: Vec<Gid> = groups.collect::<Result<_, _>>()?;
        Ok(match groups.first() {
            Some(&gid) => Identity {
                uid: account.uid,
                gid,
                groups,
            },
            None => Identity::primary_group_only(account),
        })
    }

    /// Parses `uid:gid[:gid…]` of chpst, with at most 60 groups; a colon may
    /// follow the 60th. As in runit, no digits read as 0, and numbers wrap at 32
    /// bits. None for any other text.
    pub fn numbered(text: &[u8]) -> Option<Identity> {
        let (uid, mut rest) = scan_id(text);
        let mut groups = Vec::new();
        while let [b':', after @ ..] = rest {
            if groups.len() == GROUPS {
                break;
            }
            let (gid, after) = scan_id(after);
            groups.push(Gid::from_raw(gid));
            rest = after;
        }
        (rest.is_empty() || rest == b":").then_some(())?;
        Some(Identity {
            uid: Uid::from_raw(uid),
            gid: *groups.first()?,
            groups,
        })
    }

    /// Sets the supplementary groups, the group and the user of this process, in
    /// this order. Errors: the first failed call. Earlier calls keep their
    /// effect.
    ///
    /// A process that may not set its groups, and already has exactly this
    /// identity, keeps it without an error, unlike in 0.76 and runit.
    pub fn apply(&self) -> Result<(), ApplyError> {
        match setgroups(&self.groups) {
            Err(Errno::EPERM) if self.is_current() => return Ok(()),
            result => result.map_err(ApplyError::Groups)?,
        }
        setgid(self.gid).map_err(ApplyError::Group)?;
        setuid(self.uid).map_err(ApplyError::User)
    }

    /// Whether this process has this identity: real, effective and saved user and
    /// group IDs, and the set of supplementary groups.
    fn is_current(&self) -> bool {
        let has_user = ids::users() == Ok([self.uid; 3]);
        let has_group = ids::groups() == Ok([self.gid; 3]);
        let set = |groups: &[Gid]| {
            groups
                .iter()
                .map(|gid| gid.as_raw())
                .collect::<BTreeSet<_>>()
        };
        let has_groups = || getgroups().is_ok_and(|groups| set(&groups) == set(&self.groups));
        has_user && has_group && has_groups()
    }
}

/// The ID of the leading digits, truncated to 32 bits, and the rest.
fn scan_id(text: &[u8]) -> (u32, &[u8]) {
    let (number, rest) = scan_decimal(text);
    (
        u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default(),
        rest,
    )
}

/// The user ID of an account, and its primary group. A number without an account
/// has none. Errors: the account does not exist, or the name service failed.
pub fn user_id(name: &[u8]) -> Result<(Uid, Option<Gid>), LookupError> {
    let found = name_service::user(&CString::new(name).unwrap_or_default());
    match found.map_err(LookupError::Os)? {
        Some((uid, gid)) => Ok((uid, Some(gid))),
        None => parse_id(name)
            .map(|uid| (Uid::from_raw(uid), None))
            .ok_or(LookupError::Unknown),
    }
}

/// The group ID of a group's name, or of a number without such a name. Errors: the
/// group does not exist, or the name service failed.
pub fn group_id(name: &[u8]) -> Result<Gid, LookupError> {
    let found = name_service::group(&CString::new(name).unwrap_or_default());
    found
        .map_err(LookupError::Os)?
        .or_else(|| parse_id(name).map(Gid::from_raw))
        .ok_or(LookupError::Unknown)
}

/// A user or group ID in decimal. None for the number that the system calls
/// read as "unchanged".
fn parse_id(digits: &[u8]) -> Option<u32> {
    let id = u32::try_from(parse_decimal(digits)?).ok()?;
    (id != u32::MAX).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn current_identity_needs_all_ids() {
        let [_, uid, _] = ids::users().unwrap();
        let [_, gid, _] = ids::groups().unwrap();
        let current = Identity {
            uid,
            gid,
            groups: getgroups().unwrap(),
        };
        assert!(current.is_current());
        let mut twice = current.clone();
        twice.groups.extend(current.groups.clone());
        assert!(twice.is_current());
        let other = 4_242_424;
        let (uid, gid) = (Uid::from_raw(other), Gid::from_raw(other));
        let groups = [&current.groups[..], &[gid]].concat();
        for different in [
            Identity {
                uid,
                ..current.clone()
            },
            Identity {
                gid,
                ..current.clone()
            },
            Identity { groups, ..current },
        ] {
            assert!(!different.is_current(), "{different:?}");
        }
    }

    #[test]
    fn names_of_root_are_looked_up() {
        let root = Account {
            uid: Uid::from_raw(0),
            gid: Gid::from_raw(0),
        };
        assert_eq!(Account::find(c"root"), Some(root));
        assert_eq!(Account::find(c"no:account"), None);
        let identity = Identity::named(b"root:root:root").unwrap();
        assert_eq!((identity.uid, identity.gid), (root.uid, root.gid));
        assert_eq!(identity.groups, [root.gid; 2]);
        let identity = Identity::named(b"root").unwrap();
        assert_eq!(identity, Identity::primary_group_only(root));
        assert_eq!(
            Identity::named(b"root:no\ngroup"),
            Err(LookupError::Unknown)
        );
    }

    #[test]
    fn setuidgid_accepts_uid_and_gids() {
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
    fn chpst_requires_group_but_not_digits() {
        let seen = |text: &[u8]| {
            let identity = Identity::numbered(text)?;
            let groups = identity.groups.iter().map(|gid| gid.as_raw());
            Some((identity.uid.as_raw(), groups.collect::<Vec<_>>()))
        };
        assert_eq!(seen(b"5:7"), Some((5, vec![7])));
        assert_eq!(seen(b"5:7:8:"), Some((5, vec![7, 8, 0])));
        assert_eq!(seen(b":"), Some((0, vec![0])));
        assert_eq!(seen(b"4294967301:4294967295"), Some((5, vec![u32::MAX])));
        for text in ["", "5", "5x:7", "5:7x", "x", "-1:5"] {
            assert_eq!(seen(text.as_bytes()), None, "{text}");
        }
        let sixty = format!("1{}", ":2".repeat(60));
        for end in ["", ":"] {
            let text = format!("{sixty}{end}");
            assert_eq!(seen(text.as_bytes()), Some((1, vec![2; 60])));
        }
        for end in [":2", "::"] {
            assert_eq!(seen(format!("{sixty}{end}").as_bytes()), None);
        }
    }
}
