//! The types of inotify without inotify: nothing can be watched.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::NixPath;
use nix::errno::Errno;

/// Events, and options of a watch. A set of flags, which no kernel reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddWatchFlags(u32);

/// Options of a descriptor. A set of flags, which no kernel reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitFlags(u32);

macro_rules! flags {
    ($type:ident: $($name:ident = $bit:literal,)*) => {
        #[allow(missing_docs)]
        impl $type {
            $(pub const $name: Self = $type(1 << $bit);)*

            /// The flags of both sets.
            #[must_use]
            pub const fn union(self, other: Self) -> Self {
                $type(self.0 | other.0)
            }

            /// Whether all flags of the other set are in this one.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether the sets have a flag in common.
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// The set of these bits.
            pub const fn from_bits_retain(bits: u32) -> Self {
                $type(bits)
            }
        }

        impl std::ops::BitOr for $type {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }
    };
}

flags!(AddWatchFlags:
    IN_MODIFY = 1,
    IN_ATTRIB = 2,
    IN_CLOSE_WRITE = 3,
    IN_CLOSE_NOWRITE = 4,
    IN_MOVED_FROM = 6,
    IN_MOVED_TO = 7,
    IN_CREATE = 8,
    IN_DELETE = 9,
    IN_DELETE_SELF = 10,
    IN_MOVE_SELF = 11,
    IN_Q_OVERFLOW = 14,
    IN_IGNORED = 15,
    IN_ONLYDIR = 24,
    IN_DONT_FOLLOW = 25,
    IN_EXCL_UNLINK = 26,
    IN_ONESHOT = 31,
);

flags!(InitFlags:
    IN_NONBLOCK = 11,
    IN_CLOEXEC = 19,
);

/// No value exists.
#[derive(Clone, Debug)]
pub enum Inotify {}

/// No value exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchDescriptor {}

/// An event.
#[derive(Clone, Debug)]
pub struct InotifyEvent {
    /// The watch.
    pub wd: WatchDescriptor,
    /// The events.
    pub mask: AddWatchFlags,
    /// The two halves of a rename have the same number.
    pub cookie: u32,
    /// The name in the watched directory.
    pub name: Option<OsString>,
}

impl Inotify {
    /// Errors: EOPNOTSUPP.
    pub fn init(_flags: InitFlags) -> Result<Self, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Adds a watch.
    pub fn add_watch<P: NixPath + ?Sized>(
        &self,
        _path: &P,
        _events: AddWatchFlags,
    ) -> Result<WatchDescriptor, Errno> {
        match *self {}
    }

    /// Removes a watch.
    pub fn rm_watch(&self, watch: WatchDescriptor) -> Result<(), Errno> {
        match watch {}
    }

    /// Removes events from the queue.
    pub fn read_events(&self) -> Result<Vec<InotifyEvent>, Errno> {
        match *self {}
    }
}

impl WatchDescriptor {
    /// The number of the watch.
    pub fn as_raw(&self) -> i32 {
        match *self {}
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}

/// Without notification, all file systems are silent.
pub fn is_silent(_path: &Path) -> bool {
    true
}
