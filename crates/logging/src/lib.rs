//! Logs: lines in, files out.
//!
//! | module | what it knows |
//! | --- | --- |
//! | [`script`] | the words of multilog's command line |
//! | [`pattern`] | which lines a pattern matches |
//! | [`lines`] | how reads become lines, and their stamps |
//! | [`batch`] | what one read made ready to be written |
//! | [`extent`] | where a file ends and the next begins |
//! | [`old`] | which old files go |
//! | [`local`], [`stamp`] | labels before lines; as local time |
//! | [`recovery`] | what becomes of the files found at start |
//! | [`logs`] | the actions of a script, carried out for every line |
//! | `age`, [`directory`], [`status`] | the files themselves |
//! | [`policy`] | by which rules: multilog's or svlogd's |
//! | [`svlogd`] | what svlogd does with lines before they are written |
//! | [`event`] | what happens, and what the system may refuse |
//!
//! All up to `recovery` decide and do no I/O.

mod age;
pub mod batch;
pub mod directory;
pub mod event;
pub mod extent;
pub mod lines;
pub mod local;
pub mod logs;
pub mod names;
pub mod old;
#[cfg(test)]
mod original;
pub mod pattern;
pub mod policy;
mod processor;
pub mod recovery;
pub mod script;
mod shelf;
pub mod stamp;
pub mod status;
pub mod svlogd;
