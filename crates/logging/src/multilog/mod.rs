//! multilog: a script of actions, its patterns, log directories and status files.

#[cfg(test)]
mod original;
pub mod pattern;
pub mod pipeline;
mod prefix;
pub mod print;
pub mod script;
pub mod status_file;

pub use pattern::StarPattern;
pub use pipeline::Pipeline;
pub use print::SharedOutput;
pub use script::{Script, ScriptAction, ScriptError};
