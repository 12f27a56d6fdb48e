//! A temporary directory of services, and the processes of its scanner.

#![allow(
    clippy::cast_precision_loss,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a benchmark that cannot run says so and ends, and its figures have few digits"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::kill;

/// Drop kills all processes, by their pids.
pub struct Tree {
    root: tempfile::TempDir,
    services: usize,
    with_loggers: bool,
    scanner: Option<Child>,
}

impl Tree {
    /// Creates the service directories below `above`; each service runs `program`.
    pub fn plant(above: &Path, services: usize, with_loggers: bool, program: &Path) -> Self {
        let root = tempfile::tempdir_in(above).unwrap();
        for n in 0..services {
            let service = root.path().join(format!("scan/{n}"));
            fs::create_dir_all(&service).unwrap();
            symlink(program, service.join("run")).unwrap();
            if with_loggers {
                fs::create_dir(service.join("log")).unwrap();
                symlink(program, service.join("log/run")).unwrap();
                fs::write(service.join("log/down"), "").unwrap();
            }
        }
        Tree {
            root,
            services,
            with_loggers,
            scanner: None,
        }
    }

    fn scan(&self) -> PathBuf {
        self.root.path().join("scan")
    }

    /// Runs a scanner and returns the time until each service is up.
    pub fn start(&mut self, programs: &Path, scanner: &str) -> Duration {
        let start = Instant::now();
        let child = Command::new(programs.join(scanner))
            .arg(self.scan())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
            // The services block on this pipe, which stays open without data.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.scanner = Some(child);
        for n in 0..self.services {
            let service = self.scan().join(n.to_string());
            wait_for(&service, |record| {
                record.get(12..16).is_some_and(|pid| pid != [0; 4])
            });
            if self.with_loggers {
                wait_for(&service.join("log"), |record| record.len() == 18);
            }
        }
        start.elapsed()
    }

    fn processes(&self) -> Vec<PathBuf> {
        let root = self.root.path();
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .filter(|process| {
                fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(root))
            })
            .collect()
    }

    /// The CPU time that the tree has used.
    pub fn cpu(&self) -> Duration {
        let used = |process: &PathBuf| -> Option<u64> {
            let times = fs::read_to_string(process.join("schedstat")).ok()?;
            times.split(' ').next()?.parse().ok()
        };
        Duration::from_nanos(self.processes().iter().filter_map(used).sum())
    }

    /// The number of processes with this name, and their average memory in KB:
    /// private, and with a share of shared pages.
    pub fn memory(&self, name: &str) -> (usize, f64, f64) {
        let command = format!("{name}\n");
        let processes = self.processes();
        let named: Vec<_> = processes
            .iter()
            .filter(|process| {
                fs::read_to_string(process.join("comm")).is_ok_and(|comm| comm == command)
            })
            .collect();
        let mean = |fields: &[&str]| {
            let sum: u64 = named.iter().map(|process| kilobytes(process, fields)).sum();
            sum as f64 / named.len() as f64
        };
        let private = mean(&["Private_Clean:", "Private_Dirty:"]);
        (named.len(), private, mean(&["Pss:"]))
    }

    /// The private memory of the scanner, in KB.
    pub fn scanner_memory(&self) -> f64 {
        let pid = self.scanner.as_ref().unwrap().id();
        let process = PathBuf::from(format!("/proc/{pid}"));
        // Private_* includes the pages of its program, which nothing else shares.
        kilobytes(&process, &["Anonymous:"]) as f64
    }
}

/// Waits until the status record of a service has the wanted state.
fn wait_for(service: &Path, wanted: impl Fn(&[u8]) -> bool) {
    let status = service.join("supervise/status");
    while !fs::read(&status).is_ok_and(|record| wanted(&record)) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The sum of some fields of the `smaps_rollup` of a process.
fn kilobytes(process: &Path, fields: &[&str]) -> u64 {
    let memory = fs::read_to_string(process.join("smaps_rollup")).unwrap_or_default();
    let lines = memory.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter(|(field, _)| fields.contains(field))
        .filter_map(|(_, size)| size.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .sum()
}

impl Drop for Tree {
    fn drop(&mut self) {
        // The scanner first, because it restarts the others.
        if let Some(scanner) = &mut self.scanner {
            let _ = scanner.kill();
            let _ = scanner.wait();
        }
        loop {
            let left = self.processes();
            for process in &left {
                let pid = process
                    .file_name()
                    .and_then(|name| name.to_str()?.parse().ok());
                if let Some(pid) = pid {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
            if left.is_empty() {
                return;
            }
        }
    }
}
