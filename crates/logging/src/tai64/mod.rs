//! TAI64N labels at the start of lines: added, and converted to local time.

pub mod local;
pub mod stamp;

pub use local::{Localizer, TimeStyle};
pub use stamp::Stamper;
