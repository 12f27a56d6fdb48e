//! Supervision of one service, and of a directory of services.
//!
//! The state machines in [`machine`] and [`shutdown`] decide and do no I/O. The
//! loops in [`supervise`], [`svscan`] and [`runsvdir`] feed them events and
//! carry out their actions. [`directory`] makes the files of a running
//! supervise, and [`client`] uses them.

pub mod client;
pub mod directory;
pub mod extended;
pub mod machine;
pub mod pipe;
pub mod role;
pub mod runsvdir;
pub mod scan;
pub mod shutdown;
mod spawn;
pub mod supervise;
pub mod svscan;
pub mod table;
