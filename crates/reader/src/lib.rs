//! Log readers: the lines of log directories, merged by time.
//!
//! The files are those of multilog, svlogd and s6-log. Nothing here writes to a
//! log directory or locks it.
//!
//! Times are [`Label`](daemontools_core::label::Label)s, whose order is the
//! order of the merged lines.

pub mod line;
pub mod position;
pub mod source;
pub mod stamp;
pub mod time_range;
pub mod warning;

pub use line::LineRef;
pub use position::{FileId, Position};
pub use source::Source;
pub use stamp::Stamp;
pub use time_range::TimeRange;
pub use warning::ReadWarning;
