//! A log directory and the name of its service.

use std::path::PathBuf;

/// A log directory and the name of its service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The name before each line. Two directories may have the same name.
    pub service: Vec<u8>,
    /// The log directory.
    pub path: PathBuf,
}
