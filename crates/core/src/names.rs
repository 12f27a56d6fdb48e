//! The names in a service directory, each written once.

use std::ffi::CStr;

/// The program of the service, executable.
pub const RUN: &CStr = c"run";
/// The same as it is executed: `argv[0]` of the service.
pub const RUN_PROGRAM: &CStr = c"./run";
/// Its existence makes supervise start the service down.
pub const DOWN: &CStr = c"down";
/// The service directory of the logger.
pub const LOG: &CStr = c"log";
/// The directory that supervise keeps its files in, mode 0700.
pub const SUPERVISE: &CStr = c"supervise";
/// Locked (flock) for as long as supervise runs, mode 0600.
pub const LOCK: &CStr = c"supervise/lock";
/// The FIFO of one-byte commands, mode 0600.
pub const CONTROL: &CStr = c"supervise/control";
/// The FIFO that is held open for reading while supervise runs, mode 0600.
pub const OK: &CStr = c"supervise/ok";
/// The 18-byte status record, mode 0644.
pub const STATUS: &CStr = c"supervise/status";
/// The next status record, until it is renamed to [`STATUS`].
pub const STATUS_NEW: &CStr = c"supervise/status.new";
