//! The on-disk contract of daemontools: what supervise, svc and svstat of any
//! maker agree on when they meet in a service directory.
//!
//! Nothing here does I/O.

pub mod control;
pub mod label;
pub mod names;
pub mod number;
pub mod runsv;
pub mod state;
pub mod status;
pub mod status_line;
pub mod tally;
