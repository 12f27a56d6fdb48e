//! The two processes of a service with a logger.

/// A process of a service with a logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The service, which writes to the pipe.
    Service,
    /// Its logger, which reads from it.
    Logger,
}
