//! The contract on disk: the names, FIFOs and file formats of a service
//! directory that daemontools 0.76, runit and s6 share.
//!
//! This crate does no I/O.

pub mod calendar;
pub mod control;
pub mod label;
pub mod names;
pub mod number;
pub mod runsv;
pub mod short_text;
pub mod state;
pub mod status;
pub mod status_line;
pub mod tally;
