//! What svlogd does otherwise than multilog.
//!
//! Both read lines, stamp and select them, append them to a directory whose
//! files end at line ends, and give old files to a processor. svlogd is told
//! how in a file in the directory; it names old files without a step between,
//! and does not wait for their processors.

pub mod config;
pub mod event;
pub mod keeper;
pub mod line;
pub mod pattern;
mod processing;

pub use config::Config;
pub use event::{Event, Weight};
pub use keeper::Keeper;
pub use line::{Form, Stamps};
