//! TAI64N labels at the start of lines: added, and converted to local time.

pub mod civil;
pub mod local;
pub mod stamp;
pub mod zone;

pub use civil::Civil;
pub use local::{Calendar, LabelClock, Localizer, TimeStyle};
pub use stamp::Stamper;
pub use zone::LocalZone;
