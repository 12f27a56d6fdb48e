//! Whom a program runs as.

use std::ffi::{CStr, CString};

use daemontools_core::number::{parse_decimal, scan_decimal};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, getgrouplist, setgid, setgroups, setuid};
use unix::account;

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
        Account::look_up(name).ok()
    }

    /// Looks an account up.
    ///
    /// # Errors
    /// There is none of that name, or the name service does not answer.
    pub fn look_up(name: &CStr) -> Result<Account, LookupError> {
        let (uid, gid) = found(account::user(name))?;
        Ok(Account { uid, gid })
    }
}

/// Why a name was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// Nobody has it.
    Unknown,
    /// The name service did not answer.
    Os(Errno),
}

fn found<T>(answer: Result<Option<T>, Errno>) -> Result<T, LookupError> {
    answer.map_err(LookupError::Os)?.ok_or(LookupError::Unknown)
}

/// How many groups chpst takes.
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

/// Which part of an identity could not be assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// The supplementary groups.
    Groups(Errno),
    /// The group.
    Group(Errno),
    /// The user.
    User(Errno),
}

impl Identity {
    /// The account's user and group alone: its group is the only
    /// supplementary one too.
    #[must_use]
    pub fn primary_group_only(account: Account) -> Identity {
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

    /// The identity that chpst is told as `user[:group…]`, the first group
    /// being the group and all of them the supplementary groups. Groups after
    /// the 60th are not looked at.
    ///
    /// # Errors
    /// The first name that was not found.
    pub fn named(text: &[u8]) -> Result<Identity, LookupError> {
        // A part of an argument has no NUL in it.
        let names = text.split(|&byte| byte == b':');
        let mut names = names.map(|name| CString::new(name).unwrap_or_default());
        let account = Account::look_up(&names.next().unwrap_or_default())?;
        let groups = names.take(GROUPS).map(|name| found(account::group(&name)));
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

    /// The identity that chpst is told as `uid:gid[:gid…]`, with at most 60
    /// groups and perhaps a colon after the last of so many. No digits are 0,
    /// and numbers wrap at 32 bits.
    #[must_use]
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

    /// Becomes this identity, groups first and user last, for good.
    ///
    /// # Errors
    /// What could not be set; what came before it is set.
    pub fn apply(&self) -> Result<(), ApplyError> {
        setgroups(&self.groups).map_err(ApplyError::Groups)?;
        setgid(self.gid).map_err(ApplyError::Group)?;
        setuid(self.uid).map_err(ApplyError::User)
    }
}

/// The ID that leading digits make, cut to its 32 bits, and what follows.
fn scan_id(text: &[u8]) -> (u32, &[u8]) {
    let (number, rest) = scan_decimal(text);
    (
        u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default(),
        rest,
    )
}

/// A user or group ID in decimal. None for the number that the system calls
/// read as "unchanged".
fn parse_id(digits: &[u8]) -> Option<u32> {
    let id = u32::try_from(parse_decimal(digits)?).ok()?;
    (id != u32::MAX).then_some(id)
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
    fn what_chpst_takes_may_lack_digits_but_not_the_group() {
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
