//! The changes of process state that the chain programs make before they execute
//! another program: environment, user and groups, limits, a lock.
//!
//! The modules are independent, so that each program applies its changes in its
//! documented order.

pub mod child;
pub mod envdir;
pub mod environment;
pub mod identity;
pub mod limits;
pub mod lock;
pub mod name_service;

pub use child::Child;
pub use environment::Environment;
