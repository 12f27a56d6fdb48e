//! What the programs change that end by running another: the environment,
//! who they are, their limits, a lock.
//!
//! Each module is one kind of change and knows nothing of the others, so that
//! a program may make any of them, in the order that it documents.

pub mod child;
pub mod envdir;
pub mod environment;
pub mod identity;
pub mod limits;
pub mod lock;

pub use child::Child;
pub use environment::Environment;
