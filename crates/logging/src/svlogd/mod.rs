//! What svlogd does with lines before they are written.
//!
//! Like multilog it stamps and selects lines and appends them to log
//! directories. It is told how in a file in the directory, and it may write a
//! line with a prefix, tell of it, or send it elsewhere.

pub mod config;
pub mod line;
pub mod logs;
pub mod pattern;

pub use config::Config;
pub use line::{Form, Stamps};
pub use logs::Logs;
