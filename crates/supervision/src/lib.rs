//! Supervision: what keeps one service running, and what keeps a directory of
//! them supervised.
//!
//! [`machine`], [`table`] and [`stop`] decide and do no I/O; [`supervise`],
//! [`svscan`] and [`runsvdir`] are the small loops that ask them and do as they
//! say. [`directory`] holds
//! the files that other programs meet a supervise by.

pub mod client;
pub mod directory;
pub mod extended;
pub mod machine;
pub mod overview;
pub mod pipe;
pub mod role;
pub mod runsvdir;
pub mod scan;
pub mod shutdown;
pub mod snapshot;
pub mod supervise;
pub mod sv;
pub mod svscan;
pub mod table;
pub mod watch;
