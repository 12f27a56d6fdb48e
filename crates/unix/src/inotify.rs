//! Notification of new, changed and removed files.
//!
//! Other systems have no inotify: [`Inotify::init`] then fails with EOPNOTSUPP, and
//! the caller looks at its files every five seconds.

pub use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
