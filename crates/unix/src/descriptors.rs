//! The descriptor table: its limit, and a slot that new processes inherit.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::file::dup_min;
use crate::rlimit;
use crate::system::dup3;

/// The `RLIMIT_NOFILE` with which this process was started.
///
/// The process may raise its own soft limit; children get the inherited limit
/// back from [`DescriptorLimit::restore`].
#[derive(Debug)]
pub struct DescriptorLimit(Option<(u64, u64)>);

impl DescriptorLimit {
    /// Reads the limit of this process.
    pub fn read() -> Self {
        DescriptorLimit(rlimit::get(rlimit::Resource::RLIMIT_NOFILE).ok())
    }

    /// The soft limit: all descriptors have lower numbers. None if unknown.
    pub fn soft_limit(&self) -> Option<u64> {
        self.0.map(|(soft, _)| soft)
    }

    /// Raises the soft limit to the hard limit. Errors are ignored.
    pub fn raise(&self) {
        if let Some((_, hard)) = self.0 {
            let _ = rlimit::set(rlimit::Resource::RLIMIT_NOFILE, hard, hard);
        }
    }

    /// Sets the inherited soft limit again. Errors are ignored.
    pub fn restore(&self) {
        if let Some((soft, hard)) = self.0 {
            let _ = rlimit::set(rlimit::Resource::RLIMIT_NOFILE, soft, hard);
        }
    }
}

/// A descriptor number above all inherited ones and below all opened later.
///
/// A child that copies only the descriptors up to this one (see
/// [`Launch::copies_below`](crate::launch::Launch::copies_below)) finds its end
/// of a pipe here.
#[derive(Debug)]
pub struct FdSlot {
    descriptor: OwnedFd,
}

impl FdSlot {
    /// Reserves the number, with `idle` as its first content. Make the slot
    /// before the descriptors that children must not copy. None without /proc,
    /// which lists the inherited descriptors.
    pub fn new(idle: impl AsFd) -> Option<Self> {
        let numbers = std::fs::read_dir("/proc/self/fd").ok()?;
        let numbers = numbers.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let highest: RawFd = numbers.max()?;
        let descriptor = dup_min(idle, highest + 1).ok()?;
        Some(FdSlot { descriptor })
    }

    /// Replaces the content of the slot. Errors: as dup3(2).
    pub fn put(&mut self, descriptor: impl AsFd) -> Result<(), Errno> {
        dup3(descriptor, &mut self.descriptor, OFlag::O_CLOEXEC)
    }

    /// The first number above the slot.
    pub fn end(&self) -> RawFd {
        self.descriptor.as_raw_fd() + 1
    }
}

impl AsFd for FdSlot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
