//! Notification of new, changed and removed files.
//!
//! Other systems have no inotify: [`Inotify::init`] then fails with EOPNOTSUPP, and
//! the caller looks at its files every few seconds.

use std::path::Path;

use nix::sys::statfs::{FsType, statfs};

pub use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

/// File systems whose changes on another machine or in another process cause no
/// event: NFS, SMB 1, CIFS, SMB 2, FUSE, 9P, AFS, Ceph, Coda.
const SILENT: [i128; 9] = [
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x6573_5546,
    0x0102_1997,
    0x5346_414f,
    0x00c3_6400,
    0x7375_7245,
];

/// Whether the file system of a path may report no change. False if the path cannot
/// be read.
pub fn is_silent(path: &Path) -> bool {
    statfs(path).is_ok_and(|status| {
        let FsType(number) = status.filesystem_type();
        // The type has 32 bits, and a sign on some machines.
        SILENT.contains(&(i128::from(number) & 0xffff_ffff))
    })
}
