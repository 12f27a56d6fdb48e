#![doc = include_str!("../README.md")]

pub mod appearance;
#[cfg_attr(not(target_os = "linux"), path = "other/clone.rs")]
mod clone;
pub mod cwd;
pub mod descriptors;
pub mod detached;
#[cfg_attr(not(target_os = "linux"), path = "other/directory.rs")]
pub mod directory;
pub mod exec;
pub mod file;
pub mod file_lock;
pub mod filter;
mod fork;
#[cfg_attr(not(target_os = "linux"), path = "other/ids.rs")]
pub mod ids;
#[cfg_attr(not(target_os = "linux"), path = "other/inotify.rs")]
pub mod inotify;
pub mod launch;
pub mod memory;
#[cfg_attr(not(target_os = "linux"), path = "other/notify_socket.rs")]
pub mod notify_socket;
pub mod output;
pub mod path;
#[cfg_attr(not(target_os = "linux"), path = "other/pending.rs")]
mod pending;
#[cfg_attr(not(target_os = "linux"), path = "other/pipe.rs")]
pub mod pipe;
pub mod poll;
pub mod process;
pub mod rare_error;
pub mod record_lock;
#[cfg_attr(not(target_os = "linux"), path = "other/rlimit.rs")]
pub mod rlimit;
#[cfg_attr(not(target_os = "linux"), path = "other/signal_mask.rs")]
mod signal_mask;
pub mod signals;
#[cfg(test)]
mod single_thread;
pub mod start;
pub mod stdio;
#[cfg_attr(not(target_os = "linux"), path = "other/system.rs")]
mod system;
#[cfg_attr(not(target_os = "linux"), path = "other/unread.rs")]
pub mod unread;
pub mod wait;
pub mod watch;

pub use nix::errno::Errno;

/// The errno inside an error of the standard library. The few errors without
/// one, such as a NUL byte in a path, are malformed arguments: EINVAL.
pub fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)
}
