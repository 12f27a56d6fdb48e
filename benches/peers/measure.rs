//! What is measured: how fast input goes through a program, what a program
//! adds to an exec, and the memory of one that waits.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A directory for input and output, in memory if there is /dev/shm: a disk's
/// moods are not what is compared.
pub(crate) struct Place {
    root: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let mut builder = tempfile::Builder::new();
        builder.prefix("daemontools-bench");
        let root = builder
            .tempdir_in("/dev/shm")
            .or_else(|_| builder.tempdir())
            .unwrap();
        Place { root }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// An empty directory of this name.
    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir(&path).unwrap();
        path
    }
}

/// Seconds that a shell command takes, input and output being files.
pub(crate) fn seconds(script: &str, dir: &Path, input: &Path, output: &Path) -> f64 {
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(script)
        .current_dir(dir)
        .env("TZ", "America/New_York");
    command
        .stdin(File::open(input).unwrap())
        .stdout(File::create(output).unwrap());
    let start = Instant::now();
    let status = command.status().unwrap();
    let elapsed = start.elapsed().as_secs_f64();
    assert!(status.success(), "{script}: {status}");
    elapsed
}

/// Microseconds that it takes to run a command to its end.
pub(crate) fn spawn_microseconds(words: &[String], dir: &Path) -> f64 {
    const TIMES: u32 = 200;
    let start = Instant::now();
    for _ in 0..TIMES {
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .current_dir(dir)
            .stdin(Stdio::null());
        assert!(command.status().unwrap().success(), "{words:?}");
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
}

/// What a waiting process has in memory, in kilobytes.
#[derive(Clone, Copy)]
pub(crate) enum Memory {
    /// Pages that are its alone because it wrote to them.
    PrivateDirty,
    /// All its pages, shared ones divided among those that share them.
    Pss,
}

/// Kilobytes of a command once `waits` says that it has begun to wait.
pub(crate) fn memory(script: &str, dir: &Path, kind: Memory, waits: impl Fn(&Path) -> bool) -> f64 {
    // Pages of programs just written to disk count as dirty until they are
    // written out.
    nix::unistd::sync();
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(format!("exec {script}"))
        .current_dir(dir);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let tree = Tree {
        child: command.spawn().unwrap(),
        dir,
    };
    let start = Instant::now();
    while !waits(dir) {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{script} does not settle"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    settle(tree.child.id());
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", tree.child.id())).unwrap();
    let field = match kind {
        Memory::PrivateDirty => "Private_Dirty:",
        Memory::Pss => "Pss:",
    };
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Waits until a process has used no time for a while: it waits.
fn settle(pid: u32) {
    let used = || fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    let mut before = used();
    loop {
        std::thread::sleep(Duration::from_millis(1200));
        let now = used();
        if now == before {
            return;
        }
        before = now;
    }
}

/// A process and all that it started in a directory, killed when dropped.
struct Tree<'a> {
    child: Child,
    dir: &'a Path,
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        // The supervisor first, or it would start another service.
        let _ = self.child.kill();
        let _ = self.child.wait();
        loop {
            let left: Vec<i32> = fs::read_dir("/proc")
                .unwrap()
                .flatten()
                .filter(|entry| {
                    let cwd = fs::read_link(entry.path().join("cwd"));
                    cwd.is_ok_and(|cwd| cwd.starts_with(self.dir))
                })
                .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
                .collect();
            if left.is_empty() {
                return;
            }
            for pid in left {
                let pid = nix::unistd::Pid::from_raw(pid);
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        }
    }
}

/// Writes a log of 89-byte lines, `megabytes` of it.
pub(crate) fn write_log(path: &Path, megabytes: usize) {
    let mut file = std::io::BufWriter::new(File::create(path).unwrap());
    let lines = megabytes * 1_000_000 / 89;
    for n in 0..lines {
        let level = ["debug", "info ", "warn ", "error"][n * 7 % 13 % 4];
        let line = format!(
            "{level} request {n:09} from 192.0.2.{:03} served in {:04} ms",
            n % 250,
            n * 31 % 9000
        );
        writeln!(file, "{line:<88}").unwrap();
    }
    file.flush().unwrap();
}
