//! What the programs ask of Linux that needs unsafe code, and nothing else.
//!
//! Everything that nix or std offer safely is called there, by whoever needs
//! it. This crate is the only one of the workspace that may say `unsafe`.

pub mod account;
pub mod descriptors;
pub mod exec;
pub mod file;
pub mod fork;
pub mod launch;
pub mod localtime;
pub mod poll;
pub mod priority;
pub mod process;
pub mod signals;
pub mod start;
pub mod stdio;
pub mod terminal;
pub mod wait;

pub use nix::errno::Errno;

/// The errno inside an error of the standard library.
///
/// The few errors that std makes up itself (a NUL byte in a path) carry
/// none; they can only come from a malformed argument and read as EINVAL.
#[must_use]
pub fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)
}
