//! What is measured: how fast input goes through a program, what a program
//! adds to an exec, and the memory of one that waits.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use testkit::kill;

use crate::report::median;

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
        // Nothing stays when the benchmark is interrupted, either. (The
        // processes that it starts have no signals blocked: std sees to that.)
        let signals = hold_signals();
        let path = root.path().to_owned();
        std::thread::spawn(move || {
            let signal = signals.wait().unwrap();
            kill_below(&path);
            let _ = fs::remove_dir_all(&path);
            kill_below(&path);
            std::process::exit(128 + signal as i32);
        });
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

/// Microseconds that a command takes beyond what `bare` takes, both from start
/// to end: the two take turns, and the medians count.
pub(crate) fn microseconds_beyond(bare: &[String], words: &[String], dir: &Path) -> f64 {
    const TIMES: usize = 150;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..TIMES {
        for (times, words) in times.iter_mut().zip([bare, words]) {
            let mut command = Command::new(&words[0]);
            command
                .args(&words[1..])
                .current_dir(dir)
                .stdin(Stdio::null());
            let start = Instant::now();
            let status = command.status().unwrap();
            times.push(start.elapsed().as_secs_f64() * 1e6);
            assert!(status.success(), "{words:?}: {status}");
        }
    }
    let [bare, words] = times.map(median);
    words - bare
}

/// What a waiting process has in memory, in kilobytes: pages that are its
/// alone because it wrote to them, and all its pages, shared ones divided
/// among those that share them.
pub(crate) const MEMORY: [&str; 2] = ["Private_Dirty", "Pss"];

/// Starts a command and waits until `waits` says that it has begun to wait.
fn started<'a>(script: &str, dir: &'a Path, waits: impl Fn(&Path) -> bool) -> Tree<'a> {
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(format!("exec {script}"))
        .current_dir(dir)
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
    tree
}

/// Median microseconds from each of `commands` to its end, while what `script`
/// started waits: they take turns, so many `times`, with a `pause` after each.
pub(crate) fn microseconds_beside(
    script: &str,
    dir: &Path,
    waits: impl Fn(&Path) -> bool,
    commands: &[Vec<String>],
    (times, pause): (usize, Duration),
) -> Vec<f64> {
    let _tree = started(script, dir, waits);
    let mut took = vec![Vec::new(); commands.len()];
    for _ in 0..times {
        for (took, words) in took.iter_mut().zip(commands) {
            std::thread::sleep(pause);
            let mut command = Command::new(&words[0]);
            command
                .args(&words[1..])
                .current_dir(dir)
                .stdout(Stdio::null());
            let start = Instant::now();
            let status = command.status().unwrap();
            took.push(start.elapsed().as_secs_f64() * 1e6);
            assert!(status.success(), "{words:?}: {status}");
        }
    }
    took.into_iter().map(median).collect()
}

/// Kilobytes of each kind of [`MEMORY`] of a command, once `waits` says that
/// it has begun to wait: of itself, and of the processes that it started
/// called one of `with`.
pub(crate) fn memory(
    script: &str,
    dir: &Path,
    with: &[&str],
    waits: impl Fn(&Path) -> bool,
) -> Vec<f64> {
    // Pages of programs just written to disk count as dirty until they are
    // written out.
    nix::unistd::sync();
    let tree = started(script, dir, waits);
    let pid = tree.child.id();
    let mut counted = vec![pid];
    counted.extend(below(dir).into_iter().filter(|&other| {
        let name = fs::read_to_string(format!("/proc/{other}/comm")).unwrap_or_default();
        other != pid && with.contains(&name.trim_end())
    }));
    settle(&counted);
    let kilobytes = |kind: &&str| {
        let sum = counted.iter().map(|pid| {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
            let rest = rollup
                .lines()
                .find_map(|line| line.strip_prefix(kind)?.strip_prefix(':'))
                .unwrap();
            rest.trim().trim_end_matches(" kB").parse::<f64>().unwrap()
        });
        sum.sum()
    };
    MEMORY.iter().map(kilobytes).collect()
}

/// Waits until processes have used no time for a while: they wait.
fn settle(pids: &[u32]) {
    let used = || -> Vec<String> {
        pids.iter()
            .map(|pid| fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap())
            .collect()
    };
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
        kill_below(self.dir);
    }
}

/// The processes whose directory is this one or one in it.
fn below(dir: &Path) -> Vec<u32> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            let cwd = fs::read_link(entry.path().join("cwd"));
            cwd.is_ok_and(|cwd| cwd.starts_with(dir))
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Kills them until none is left.
fn kill_below(dir: &Path) {
    loop {
        let left = below(dir);
        if left.is_empty() {
            return;
        }
        for pid in left {
            let _ = kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Blocks the signals that end a program, for [`Place`] to wait for them.
fn hold_signals() -> SigSet {
    let signals: SigSet = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM]
        .into_iter()
        .collect();
    signals.thread_block().unwrap();
    signals
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
