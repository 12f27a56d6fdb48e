#![doc = include_str!("../README.md")]
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
