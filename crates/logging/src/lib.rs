#![doc = include_str!("../README.md")]
//!
//! A line passes the modules in this order:
//!
//! | module | task |
//! | --- | --- |
//! | [`lines`] | assembles lines from reads and adds labels |
//! | [`multilog`], [`svlogd`] | select the lines of each log directory |
//! | [`rotation`] | splits text at the ends of files |
//! | [`directory`] | appends to `current`, closes and renames it |
//! | `processor` | runs a shell command on a closed file |
//! | `archive`, [`retention`] | name old files and remove the oldest |
//!
//! [`batch`] is the text between these modules, [`recovery`] repairs a
//! directory after a crash, `timer` limits the age of `current`, [`policy`]
//! holds the differences between multilog and svlogd, and [`event`] the
//! notices and errors for a program to report. [`tai64`] serves tai64n and
//! tai64nlocal.
//!
//! [`text_buffer`] copies short lines without the C library.
//!
//! Without I/O: batch, lines, recovery, retention, rotation.

mod archive;
pub mod batch;
pub mod directory;
pub mod event;
pub mod lines;
pub mod multilog;
pub mod names;
pub mod policy;
mod processor;
pub mod recovery;
pub mod retention;
pub mod rotation;
#[cfg(test)]
mod scene;
mod search;
mod shortage;
pub mod svlogd;
pub mod tai64;
pub mod text_buffer;
mod timer;
