//! The place after a line in a log directory.

use daemontools_core::label::Label;

/// The identity of a file, which a rename keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
}

/// The place after the last line that a reader returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The file.
    pub file: FileId,
    /// The label in the file's name. None: the file is `current`, or between
    /// `current` and its old name.
    pub label: Option<Label>,
    /// The number of bytes before the place; of a compressed file, the number of
    /// uncompressed bytes.
    pub offset: u64,
    /// The time of the last line with a stamp. None: no line had one.
    pub time: Option<Label>,
}
