//! Patterns, log directories, rotation and processors; labels put before
//! lines and turned into local time.

pub mod local;
pub mod stamp;
