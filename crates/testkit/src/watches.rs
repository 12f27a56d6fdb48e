use std::os::fd::{AsFd, AsRawFd};

/// The number of watches that the kernel has for an inotify descriptor.
pub fn kernel_watches(inotify: &impl AsFd) -> usize {
    let number = inotify.as_fd().as_raw_fd();
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
    info.lines()
        .filter(|line| line.starts_with("inotify wd:"))
        .count()
}
