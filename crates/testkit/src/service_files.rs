//! Service directories of unit tests, without a supervise.

use std::fs;
use std::num::NonZeroI32;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use daemontools_core::label::Label;
use daemontools_core::status::{Status, Want};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// Runs a test in a new directory as the current one. The directory is that of
/// this thread alone, because tests run in parallel. Where the system does not
/// allow this, such tests run one after another.
pub fn in_directory(test: impl FnOnce()) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = unshare(CloneFlags::CLONE_FS)
        .is_err()
        .then(|| ALONE.lock().unwrap_or_else(PoisonError::into_inner));
    let directory = tempfile::tempdir().unwrap();
    std::env::set_current_dir(directory.path()).unwrap();
    test();
    std::env::set_current_dir("/").unwrap();
}

/// Writes a file of the current directory.
pub fn write(name: &str, content: &[u8]) {
    fs::write(name, content).unwrap();
}

/// The files of a supervise directory, as a running supervise has them. Dropped,
/// supervise has exited.
#[derive(Debug)]
pub struct Supervised {
    _ok: OwnedFd,
    /// The control FIFO, open for reading.
    pub control: OwnedFd,
}

impl Supervised {
    /// Makes the files below this service directory.
    pub fn new(service: &str) -> Self {
        let supervise = format!("{service}/supervise");
        fs::create_dir_all(&supervise).unwrap();
        let open = |name| {
            let path = format!("{supervise}/{name}");
            match mkfifo(path.as_str(), Mode::S_IRUSR | Mode::S_IWUSR) {
                Ok(()) | Err(Errno::EEXIST) => open_fifo(&path),
                Err(error) => panic!("{error}"),
            }
        };
        Supervised {
            _ok: open("ok"),
            control: open("control"),
        }
    }
}

/// Replaces the status record of a service, as supervise does.
pub fn write_status(service: &str, pid: i32, want: Want) {
    let status = Status {
        since: Label::from_unix(1000, 0),
        pid: NonZeroI32::new(pid),
        paused: false,
        want,
    };
    let path = format!("{service}/supervise/status");
    let new = format!("{path}.new");
    fs::write(&new, status.encode()).unwrap();
    fs::rename(new, path).unwrap();
}

fn open_fifo(path: &str) -> OwnedFd {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty()).unwrap()
}
