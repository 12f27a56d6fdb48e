#![doc = include_str!("../README.md")]
//!
//! The state machines in `machine` and `shutdown` decide and do no I/O. The
//! loops in [`supervise`], [`svscan`] and [`runsvdir`] feed them events and
//! carry out their actions. [`daemontools::supervise_dir`] decides where the files of a
//! running supervise are, [`directory`] makes them, and the crate `daemontools` uses
//! them.

pub mod change_watcher;
pub mod directory;
mod extended;
mod machine;
pub mod permissions;
pub mod pipe;
pub mod retry;
pub mod runsvdir;
mod scan;
mod scan_warning;
mod shutdown;
mod sorted_map;
mod spawn;
mod stop_service;
pub mod supervise;
pub mod svscan;
mod table;
#[cfg(test)]
mod testing;

pub use scan_warning::ScanWarning;

/// A process of a service with a logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The service, which writes to the pipe.
    Service,
    /// Its logger, which reads from it.
    Logger,
}
