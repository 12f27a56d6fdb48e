//! Pipes with flags.

pub use nix::unistd::pipe2;
