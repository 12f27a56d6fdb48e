//! The time stamp at the start of a line.

use daemontools_core::label::Label;

/// The time stamp at the start of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The time. A stamp without nanoseconds has zeroes for them.
    pub time: Label,
    /// The length of the stamp's text in bytes, without the space that follows.
    pub len: usize,
}
