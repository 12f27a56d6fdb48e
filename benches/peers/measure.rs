//! Measures throughput, time added to an exec, and the memory of idle
//! programs.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::kill;
use unix::signals::SignalPipe;

use crate::report::median;

/// A directory for input and output; in /dev/shm if that exists, to exclude
/// the disk from the comparison.
pub(crate) struct Place {
    root: tempfile::TempDir,
    disk: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let mut builder = tempfile::Builder::new();
        builder.prefix("daemontools-bench");
        let root = builder
            .tempdir_in("/dev/shm")
            .or_else(|_| builder.tempdir())
            .unwrap();
        // The directory is also removed after an interrupt. Child processes inherit
        // blocked signals, but not caught ones.
        let signals = TERMINATION.map(|signal| (signal, SignalPipe::catch(&[signal]).unwrap()));
        let disk = builder.tempdir().unwrap();
        let paths = [root.path().to_owned(), disk.path().to_owned()];
        std::thread::spawn(move || {
            let signal = first(&signals);
            for path in paths {
                kill_below(&path);
                let _ = fs::remove_dir_all(&path);
                kill_below(&path);
            }
            std::process::exit(128 + signal as i32);
        });
        Place { root, disk }
    }

    /// A directory in the temporary directory of the system.
    pub(crate) fn disk(&self) -> &Path {
        self.disk.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Creates an empty directory with this name.
    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir(&path).unwrap();
        path
    }
}

/// The time of a shell command with files as input and output, in seconds.
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

/// The time of a command minus that of `bare`, in microseconds. The two take
/// turns; the medians count.
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

/// The memory of an idle process, in kilobytes: pages that only this process
/// wrote to, and all pages, with shared pages divided among their users.
pub(crate) const MEMORY: [&str; 2] = ["Private_Dirty", "Pss"];

/// Starts a command and waits until `waits` returns true: it is idle.
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

/// The median time of each of `commands`, in microseconds, while the processes
/// of `script` are idle. The commands take turns, `times` rounds, with a `pause`
/// after each.
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

/// The processes whose memory counts.
#[derive(Clone, Copy)]
pub(crate) enum Counted {
    /// The command and its child processes, in sum.
    Sum,
    /// The child processes alone, on average.
    EachChild,
}

/// The memory of each kind of [`MEMORY`], in kilobytes, of an idle command and
/// of its child processes with a name in `with`. `waits` returns true once
/// they are idle.
pub(crate) fn memory(
    script: &str,
    dir: &Path,
    with: &[&str],
    counting: Counted,
    waits: impl Fn(&Path) -> bool,
) -> Vec<f64> {
    // Pages of new program files count as dirty until they are written to disk.
    nix::unistd::sync();
    let tree = started(script, dir, waits);
    let pid = tree.child.id();
    let mut counted = vec![pid];
    counted.extend(below(dir).into_iter().filter(|&other| {
        let name = fs::read_to_string(format!("/proc/{other}/comm")).unwrap_or_default();
        other != pid && with.contains(&name.trim_end())
    }));
    settle(&counted);
    let divisor = match counting {
        Counted::Sum => 1.0,
        Counted::EachChild => {
            counted.remove(0);
            counted.len() as f64
        }
    };
    MEMORY
        .map(|kind| memory_of(kind, &counted) / divisor)
        .to_vec()
}

/// The memory of this kind of some processes in sum, in kilobytes.
pub(crate) fn memory_of(kind: &str, pids: &[u32]) -> f64 {
    let kilobytes = |pid: &u32| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let rest = rollup
            .lines()
            .find_map(|line| line.strip_prefix(kind)?.strip_prefix(':'))
            .unwrap();
        rest.trim().trim_end_matches(" kB").parse::<f64>().unwrap()
    };
    pids.iter().map(kilobytes).sum()
}

/// Waits until processes use no more CPU time: they are idle.
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

/// The processor time of a command in a second without work, in microseconds.
pub(crate) fn idle_microseconds(script: &str, dir: &Path) -> f64 {
    let tree = started(script, dir, |_| true);
    // The time of all threads, in nanoseconds.
    let used = || -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", tree.child.id())).unwrap();
        let of_task = |task: fs::DirEntry| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        tasks.flatten().filter_map(of_task).sum()
    };
    // A command that never settles is measured as well.
    let mut before = 0;
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(200));
        let now = used();
        if now == std::mem::replace(&mut before, now) {
            break;
        }
    }
    let before = used();
    std::thread::sleep(Duration::from_secs(1));
    (used() - before) as f64 / 1e3
}

/// A process and its children in a directory. Drop kills them.
struct Tree<'a> {
    child: Child,
    dir: &'a Path,
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        // The supervisor first, because it restarts services.
        let _ = self.child.kill();
        let _ = self.child.wait();
        kill_below(self.dir);
    }
}

/// The processes with a working directory in or below this one.
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

/// Kills processes until none is left.
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

const TERMINATION: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

/// Waits for the first of these signals.
fn first(signals: &[(Signal, SignalPipe)]) -> Signal {
    loop {
        let mut pipes: Vec<_> = signals
            .iter()
            .map(|(_, pipe)| PollFd::new(pipe.as_fd(), PollFlags::POLLIN))
            .collect();
        let _ = poll(&mut pipes, PollTimeout::NONE);
        for (pipe, (signal, _)) in pipes.iter().zip(signals) {
            if pipe.any() == Some(true) {
                return *signal;
            }
        }
    }
}

/// Writes a log of 89-byte lines, `megabytes` long.
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
