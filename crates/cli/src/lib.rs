//! How the programs talk: the original's options, messages, errno wording and
//! exit codes, and output that never panics.

pub mod errno;
pub mod number;
pub mod options;
pub mod program;
pub mod text;
pub mod voice;

pub use options::{Opt, Options, last_element};
pub use program::{Exit, Failure, Program};
pub use voice::Voice;
