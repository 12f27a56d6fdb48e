//! How the programs talk: the original's options, messages, errno wording and
//! exit codes, and output that never panics.

pub mod diagnostics;
pub mod errno;
pub mod options;
pub mod program;
pub mod text;
pub mod title;

pub use diagnostics::Diagnostics;
pub use options::{Opt, Options, basename};
pub use program::{Exit, Failure, Program};
