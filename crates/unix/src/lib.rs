#![doc = include_str!("../README.md")]

pub mod appearance;
pub mod cwd;
pub mod descriptors;
pub mod detached;
pub mod directory;
pub mod exec;
pub mod file;
pub mod filter;
mod fork;
pub mod launch;
pub mod memory;
pub mod notify_socket;
pub mod output;
pub mod path;
pub mod poll;
pub mod process;
pub mod record_lock;
pub mod rlimit;
mod signal_mask;
pub mod signals;
#[cfg(test)]
mod single_thread;
pub mod start;
pub mod stdio;
pub mod wait;
pub mod watch;

pub use nix::errno::Errno;

/// The errno inside an error of the standard library. The few errors without
/// one, such as a NUL byte in a path, are malformed arguments: EINVAL.
pub fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)
}
