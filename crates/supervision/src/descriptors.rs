//! How many descriptors this process may have.

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// The limit on descriptors that this process was started with. Its children
/// get that back, while it may itself take as many as it is allowed to.
pub(crate) struct DescriptorLimit(Option<(rlim_t, rlim_t)>);

impl DescriptorLimit {
    pub(crate) fn new() -> Self {
        DescriptorLimit(getrlimit(Resource::RLIMIT_NOFILE).ok())
    }

    /// All descriptors have lower numbers than this; None if that is not known.
    pub(crate) fn numbers(&self) -> Option<u64> {
        self.0.map(|(soft, _)| soft)
    }

    pub(crate) fn raise(&self) {
        if let Some((_, hard)) = self.0 {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
    }

    pub(crate) fn restore(&self) {
        if let Some((soft, hard)) = self.0 {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
        }
    }
}
