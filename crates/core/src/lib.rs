#![doc = include_str!("../README.md")]
// The crate daemontools exports some of these types, which may grow in a minor version.
#![cfg_attr(
    not(feature = "exhaustive"),
    warn(clippy::exhaustive_enums, clippy::exhaustive_structs)
)]

pub mod calendar;
pub mod control;
pub mod label;
pub mod names;
pub mod number;
pub mod runsv;
pub mod s6;
pub mod short_text;
pub mod state;
pub mod status;
pub mod status_line;
pub mod tally;
