//! svlogd: log directories, each with a file `config` of rules, prefix,
//! limits and network peer.

pub mod config;
pub mod fanout;
pub mod line_format;
pub mod pattern;

pub use config::{ConfigFile, LogConfigWarning};
pub use fanout::LogFanout;
pub use line_format::{LineFormat, TimestampStyle};
