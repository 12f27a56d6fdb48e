//! The command-line interface of 0.76: options, messages, errno texts and exit
//! codes. Output never panics.

pub mod diagnostics;
pub mod errno;
pub mod options;
pub mod program;
pub mod text;
pub mod title;

pub use diagnostics::Diagnostics;
pub use options::{Opt, Options, basename};
pub use program::{Exit, Failure, Program};
