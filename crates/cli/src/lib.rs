#![doc = include_str!("../README.md")]

pub mod diagnostics;
pub mod display;
pub mod errno;
pub mod json;
pub mod options;
pub mod program;
pub mod text;
pub mod title;

pub use diagnostics::Diagnostics;
pub use options::{Opt, Options, basename};
pub use program::{Exit, Failure, Program};
