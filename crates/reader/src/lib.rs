#![doc = include_str!("../README.md")]
//!
//! The files are those of multilog, svlogd and s6-log. Nothing here writes to a
//! log directory or locks it.
//!
//! # Rotation
//!
//! A reader may look at a log directory between any two of these calls, which
//! strace(1) shows for Debian's programs and for ours. C is the inode of the file
//! that rotates, P that of the processor's output.
//!
//! | multilog, s6-log | `current` | other names |
//! | --- | --- | --- |
//! | fsync(2) of `current` | C | |
//! | rename `current` to `previous` | missing | `previous` C |
//! | create `current` | new | `previous` C |
//! | link `previous` to `@L.s` | new | `previous` C, `@L.s` C |
//! | unlink `previous` | new | `@L.s` C |
//! | unlink the oldest files | new | |
//!
//! With a processor, before the link:
//!
//! | multilog, s6-log | names |
//! | --- | --- |
//! | create `processed`, mode 0644; append to it | `previous` C, `processed` P, incomplete |
//! | fsync and chmod `processed` to 0744 | `previous` C, `processed` P |
//! | unlink `previous` | `processed` P |
//! | link `processed` to `@L.s` | `processed` P, `@L.s` P |
//! | unlink `processed` | `@L.s` P |
//!
//! multilog writes nothing to `current` while its processor runs. A killed
//! multilog repeats the interrupted call at its next start, and first renames a
//! `current` without mode 0744 by a link to `@L.u`.
//!
//! | svlogd | `current` | other names |
//! | --- | --- | --- |
//! | fsync and chmod `current` | C | |
//! | rename `current` to `@L.s`, or with a processor to `@L.u` | missing | `@L.u` C |
//! | create `current` | new | `@L.u` C |
//! | create `@L.t`; append to it, while `current` grows | new | `@L.u` C, `@L.t` P, incomplete |
//! | rename `@L.t` to `@L.s` | new | `@L.u` C, `@L.s` P |
//! | unlink `@L.u` | new | `@L.s` P |
//!
//! From these tables follow the rules of a reader:
//!
//! - A file is finished once its inode has another name than `current`, or none.
//!   The writer may append between the reader's end of file and the rename;
//!   therefore, the reader first looks at the name and then reads to the end.
//! - Two names may have one inode. `processed` and `@L.t` count only through their
//!   later names, `@L.s` beside `@L.u` not at all if `@L.u` was read.
//! - P contains the lines of C. The label of multilog's P is made after the
//!   processor has exited, and no name connects C and P.
//! - An inode may come back as that of another file once the reader has closed
//!   the removed one. See [`Position::check`].
//! - The clock may step back: a later file may have an earlier label.
//!
//! While a follower runs, inotify reports all new names in order, also those of
//! files that are removed before the reader lists the directory
//! ([`NameFeed`](watch::NameFeed)). Each `current` gets one label. The n-th
//! `current` since the start of the watch therefore has the n-th new label, for any
//! clock and processor. A label without a file belongs to a removed file.
//!
//! Times are [`Label`](daemontools_core::label::Label)s, whose order is the
//! order of the merged lines.

mod backward;
mod compressed;
pub mod cursor;
pub mod directory_reader;
mod file_sequence;
pub mod follow;
mod held_file;
pub mod line;
mod line_buffer;
mod line_filter;
pub mod log_files;
pub mod merge;
mod passed_file;
pub mod pattern;
pub mod position;
pub mod printer;
pub mod render;
#[cfg(test)]
mod rotation_tests;
pub mod selection;
pub mod source;
pub mod sources;
mod spool;
pub mod stamp;
pub mod tail;
pub mod time_range;
pub mod time_spec;
pub mod warning;
pub mod watch;
mod window;

pub use cursor::{Cursor, CursorError};
pub use directory_reader::{DirectoryReader, Next, Start};
pub use line::LineRef;
pub use merge::{LastLine, Merge, MergeError, MergedLine};
pub use pattern::{Pattern, PatternError};
pub use position::{FileId, Position};
pub use printer::Printer;
pub use render::{LineStyle, Renderer, TextStyle};
pub use selection::Selection;
pub use source::Source;
pub use sources::{SourceKind, Sources};
pub use stamp::Stamp;
pub use tail::seek_last;
pub use time_range::TimeRange;
pub use time_spec::{RangeEnd, TIME_FORMS, parse_time};
pub use warning::ReadWarning;
