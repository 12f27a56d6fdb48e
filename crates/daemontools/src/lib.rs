#![doc = include_str!("../README.md")]
// Each public type, also of the modules for supervisors, may grow in a minor version.
#![cfg_attr(
    not(feature = "exhaustive"),
    warn(clippy::exhaustive_enums, clippy::exhaustive_structs)
)]

pub mod client;
mod condition;
mod envdir;
mod error;
mod listing;
mod readiness;
mod s6;
mod service;
mod service_watches;
mod snapshot;
mod status;
pub mod supervise_dir;
mod wait;

pub use condition::WaitCondition;
pub use daemontools_core::control::{Command, ServiceSignal, SignalTarget};
pub use daemontools_core::label::Label;
pub use daemontools_core::s6::S6Status;
pub use daemontools_core::state::{CheckResult, ServiceState, StateFile};
pub use daemontools_core::status::{Status, Want};
pub use daemontools_core::tally::DeathRecord;
pub use envdir::{EnvdirEdit, read_envdir};
pub use error::{Error, Operation};
pub use listing::{ScanDir, ServiceListing};
pub use readiness::report_ready;
pub use s6::S6Snapshot;
pub use service::Service;
pub use service_watches::{ChangedServices, ServiceWatches};
pub use snapshot::{ServiceSnapshot, StatusRecord};
pub use supervise_dir::SuperviseDirRule;
pub use wait::{ServiceWait, WaitMode, WaitOutcome};
