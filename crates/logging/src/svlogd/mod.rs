//! What svlogd does with lines before they are written.
//!
//! Like multilog it stamps and selects lines and appends them to log
//! directories. It is told how in a file in the directory, and it may write a
//! line with a prefix, tell of it, or send it elsewhere.

pub mod config;
pub mod fanout;
pub mod line_format;
pub mod pattern;

pub use config::{ConfigFile, LogConfigWarning};
pub use fanout::LogFanout;
pub use line_format::{LineFormat, TimestampStyle};
