//! The users that may control a service and look at its status: modes and owners of
//! the supervise directory and of the FIFOs in it.
//!
//! supervise writes its files anew, with mode 0644, at each change. Therefore, the
//! mode of the supervise directory protects them. svstat opens `ok` for writing, and
//! svc opens `control`; both need the directory.

use std::ffi::CStr;
use std::fs::Metadata;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use daemontools::supervise_dir::SuperviseDir;
use daemontools_core::names;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::unistd::{Gid, Uid};
use unix::cwd::open_directory;
use unix::file::descriptor_status;
use unix::unread::{change_mode, change_owner, open};

/// The user and the groups with permissions. The owner of the supervise directory
/// always has all of them, and all other users have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// The user that may control the service, and the user's primary group, which
    /// may look if there is no other group. Default: the owner of the directory.
    pub user: Option<(Uid, Option<Gid>)>,
    /// The group that may control the service.
    pub control: Option<Gid>,
    /// The group that may look at the status. Default: the group of `control`. With
    /// both, only users in this group reach the FIFO of the other one.
    pub status: Option<Gid>,
}

/// A file whose permissions could not be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermissionsError {
    /// The file.
    pub file: &'static CStr,
    /// The reason.
    pub cause: PermissionsErrorCause,
}

/// The reason of a [`PermissionsError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionsErrorCause {
    /// The file is a symbolic link, which is not followed.
    Link,
    /// The file is no FIFO.
    NoFifo,
    /// A system call failed.
    Os(Errno),
}

/// The treatment of a supervise directory that is a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryLink {
    /// The target is set: the caller trusts the service directory, as supervise
    /// does.
    Follow,
    /// An error: the owner of the service directory could name any directory.
    Refuse,
}

impl Permissions {
    /// Sets the permissions of the supervise directory. Symbolic links in it are
    /// never followed. Equal permissions are not set again. Errors: the first file
    /// that could not be set; earlier files keep their new permissions.
    pub fn apply(&self, dir: &SuperviseDir, link: DirectoryLink) -> Result<(), PermissionsError> {
        let path = dir.path(names::SUPERVISE);
        let directory = match link {
            DirectoryLink::Follow => open_directory(AT_FDCWD, &*path),
            DirectoryLink::Refuse => open(AT_FDCWD, &path),
        };
        let directory = directory.map_err(os(names::SUPERVISE))?;
        let status = check(names::SUPERVISE, directory.as_fd(), Metadata::is_dir)
            .map_err(|cause| error(names::SUPERVISE, cause))?;
        let owner = self.user.map(|(uid, _)| uid);
        let owner = owner.unwrap_or_else(|| Uid::from_raw(status.uid()));
        let lookers = self.status.or(self.control);
        for (file, name, group) in [
            (names::CONTROL, c"control", self.control),
            (names::OK, c"ok", lookers),
        ] {
            let fifo = open(&directory, name).map_err(os(file))?;
            let is_fifo = |status: &Metadata| status.file_type().is_fifo();
            let status = check(file, fifo.as_fd(), is_fifo).map_err(|cause| error(file, cause))?;
            let mode = if group.is_some() { 0o620 } else { 0o600 };
            set(fifo.as_fd(), &status, owner, group, mode).map_err(os(file))?;
        }
        let group = lookers.or(self.user.and_then(|(_, primary)| primary));
        let mode = if group.is_some() { 0o710 } else { 0o700 };
        let owner = Uid::from_raw(status.uid());
        set(directory.as_fd(), &status, owner, group, mode).map_err(os(names::SUPERVISE))
    }
}

fn error(file: &'static CStr, cause: PermissionsErrorCause) -> PermissionsError {
    PermissionsError { file, cause }
}

fn os(file: &'static CStr) -> impl Fn(Errno) -> PermissionsError {
    move |errno| error(file, PermissionsErrorCause::Os(errno))
}

/// The status of an open file of the expected type.
fn check(
    file: &'static CStr,
    opened: BorrowedFd<'_>,
    is_expected: impl Fn(&Metadata) -> bool,
) -> Result<Metadata, PermissionsErrorCause> {
    let status = descriptor_status(opened).map_err(PermissionsErrorCause::Os)?;
    if status.is_symlink() {
        Err(PermissionsErrorCause::Link)
    } else if is_expected(&status) {
        Ok(status)
    } else if file == names::SUPERVISE {
        Err(PermissionsErrorCause::Os(Errno::ENOTDIR))
    } else {
        Err(PermissionsErrorCause::NoFifo)
    }
}

/// Sets owner, group and mode of an open file. Default group: the present one.
/// While the owner changes, the mode gives no permission to a group.
fn set(
    file: BorrowedFd<'_>,
    status: &Metadata,
    owner: Uid,
    group: Option<Gid>,
    mode: u32,
) -> Result<(), Errno> {
    let group = group.unwrap_or_else(|| Gid::from_raw(status.gid()));
    let has_owners = (status.uid(), status.gid()) == (owner.as_raw(), group.as_raw());
    let has_mode = |mode| status.mode() & 0o7777 == mode;
    if !has_owners {
        let private = mode & 0o700;
        if !has_mode(private) {
            change_mode(file, private)?;
        }
        change_owner(file, owner, group)?;
    }
    if has_owners && has_mode(mode) {
        Ok(())
    } else {
        change_mode(file, mode)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, metadata, remove_file};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::testing::{Supervised, in_directory, set_mode, write};
    use daemontools::supervise_dir::IN_SERVICE;

    const FILES: [&str; 3] = ["supervise", "supervise/control", "supervise/ok"];

    /// The modes of the directory and of the FIFOs.
    fn modes() -> [u32; 3] {
        FILES.map(|file| metadata(file).unwrap().permissions().mode() & 0o7777)
    }

    #[expect(clippy::unnecessary_wraps, reason = "a field of `Permissions`")]
    fn own_group() -> Option<Gid> {
        Some(nix::unistd::getegid())
    }

    fn apply(permissions: &Permissions) -> Result<(), PermissionsError> {
        permissions.apply(&IN_SERVICE, DirectoryLink::Follow)
    }

    #[test]
    fn groups_reach_the_fifos_for_their_purpose() {
        in_directory(|| {
            let _supervised = Supervised::new(".");
            let none = Permissions::default();
            let control = Permissions {
                control: own_group(),
                ..none
            };
            let status = Permissions {
                status: own_group(),
                ..none
            };
            let user = Permissions {
                user: Some((nix::unistd::geteuid(), own_group())),
                ..none
            };
            for (permissions, expected) in [
                (none, [0o700, 0o600, 0o600]),
                (control, [0o710, 0o620, 0o620]),
                (none, [0o700, 0o600, 0o600]),
                (status, [0o710, 0o600, 0o620]),
                (user, [0o710, 0o600, 0o600]),
            ] {
                assert_eq!(apply(&permissions), Ok(()));
                assert_eq!(modes(), expected, "{permissions:?}");
            }
            // Bits for other users are removed.
            for file in FILES {
                set_mode(file, 0o1777);
            }
            assert_eq!(apply(&none), Ok(()));
            assert_eq!(modes(), [0o700, 0o600, 0o600]);
        });
    }

    #[expect(clippy::print_stderr, reason = "a skipped test reports its reason")]
    #[test]
    fn owner_changes_with_the_user() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("owner_changes_with_the_user: skipped, needs root");
            return;
        }
        in_directory(|| {
            let _supervised = Supervised::new(".");
            let permissions = Permissions {
                user: Some((Uid::from_raw(65_534), Some(Gid::from_raw(7)))),
                control: Some(Gid::from_raw(8)),
                status: Some(Gid::from_raw(9)),
            };
            assert_eq!(apply(&permissions), Ok(()));
            let owners = FILES.map(|file| {
                let status = metadata(file).unwrap();
                (status.uid(), status.gid())
            });
            assert_eq!(owners, [(0, 9), (65_534, 8), (65_534, 9)]);
            assert_eq!(modes(), [0o710, 0o620, 0o620]);
            // Equal permissions are not set again: the time of change stays.
            let changed = || {
                FILES.map(|file| {
                    let status = metadata(file).unwrap();
                    (status.ctime(), status.ctime_nsec())
                })
            };
            let before = changed();
            assert_eq!(apply(&permissions), Ok(()));
            assert_eq!(changed(), before);
        });
    }

    #[expect(clippy::print_stderr, reason = "a skipped test reports its reason")]
    #[test]
    fn group_gets_nothing_before_its_owner_is_set() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("group_gets_nothing_before_its_owner_is_set: skipped, needs root");
            return;
        }
        in_directory(|| {
            let _supervised = Supervised::new(".");
            let user = Uid::from_raw(65_534);
            set_mode(".", 0o755);
            for file in FILES {
                std::os::unix::fs::chown(file, Some(65_534), Some(65_534)).unwrap();
                set_mode(file, 0o770);
            }
            let permissions = Permissions {
                user: Some((user, None)),
                control: Some(Gid::from_raw(8)),
                status: Some(Gid::from_raw(8)),
            };
            // This thread alone has the rights of a user who is not in the group.
            nix::unistd::setfsuid(user);
            let refused = apply(&permissions);
            nix::unistd::setfsuid(Uid::from_raw(0));
            assert_eq!(refused, Err(os(names::CONTROL)(Errno::EPERM)));
            assert_eq!(modes(), [0o770, 0o600, 0o770]);
        });
    }

    #[test]
    fn links_and_other_types_are_refused() {
        in_directory(|| {
            let permissions = Permissions::default();
            let missing = apply(&permissions).unwrap_err();
            assert_eq!(missing, os(names::SUPERVISE)(Errno::ENOENT));
            write("supervise", b"");
            let file = apply(&permissions).unwrap_err();
            assert_eq!(file, os(names::SUPERVISE)(Errno::ENOTDIR));
            remove_file("supervise").unwrap();
            drop(Supervised::new("real"));
            symlink("real/supervise", "supervise").unwrap();
            let refused = permissions.apply(&IN_SERVICE, DirectoryLink::Refuse);
            let link = |file| error(file, PermissionsErrorCause::Link);
            assert_eq!(refused, Err(link(names::SUPERVISE)));
            assert_eq!(apply(&permissions), Ok(()));
            for (name, file) in [("control", names::CONTROL), ("ok", names::OK)] {
                let path = format!("supervise/{name}");
                std::fs::rename(&path, "fifo").unwrap();
                let absent = apply(&permissions).unwrap_err();
                assert_eq!(absent, os(file)(Errno::ENOENT));
                symlink("../../fifo", &path).unwrap();
                assert_eq!(apply(&permissions), Err(link(file)));
                remove_file(&path).unwrap();
                create_dir(&path).unwrap();
                let directory = error(file, PermissionsErrorCause::NoFifo);
                assert_eq!(apply(&permissions), Err(directory));
                std::fs::remove_dir(&path).unwrap();
                std::fs::rename("fifo", &path).unwrap();
            }
            let refused = permissions.apply(&IN_SERVICE, DirectoryLink::Refuse);
            assert_eq!(refused, Err(link(names::SUPERVISE)));
        });
    }
}
