#![doc = include_str!("../README.md")]

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
