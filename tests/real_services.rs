//! nginx and redis-server, each with a multilog. Clients send requests while
//! the test restarts and kills the servers, their loggers and both supervises.
//! The logs then contain every line once, in order.
//!
//! The suite runs one round; `DAEMONTOOLS_MINUTES` repeats it for that many
//! minutes. Clients use Unix sockets.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Sandbox, compliance, kill};

use crate::faults::span;
use crate::walkthrough::parent;

compliance!(
    nginx_loses_no_line_of_its_access_log,
    redis_loses_no_line_of_its_log,
);

fn nginx_loses_no_line_of_its_access_log(sandbox: &Sandbox) {
    if let Some(nginx) = program("nginx", module_path!()) {
        let here = sandbox.dir().to_string_lossy().into_owned();
        sandbox.write("nginx.conf", NGINX_CONF.replace("HERE", &here));
        add(
            sandbox,
            &format!(
                "rm -f {here}/socket\nexec {} -e stderr -c {here}/nginx.conf",
                nginx.display()
            ),
        );
        Trial::new(sandbox, get).run();
    }
}

fn redis_loses_no_line_of_its_log(sandbox: &Sandbox) {
    if let Some(redis) = program("redis-server", module_path!()) {
        add(
            sandbox,
            &format!(
                "exec {} --port 0 --unixsocket {} --save '' --enable-debug-command yes",
                redis.display(),
                sandbox.path("socket").display()
            ),
        );
        let ended = Trial::new(sandbox, debug_log).run();

        // Each process logged its readiness, and its end unless it was killed.
        let lines_with = |pid: Pid, text: &str| {
            let start = format!("{pid}:M ");
            let found = |line: &&String| line.starts_with(&start) && line.contains(text);
            logged(sandbox).iter().filter(found).count()
        };
        let (last, _) = ended[ended.len() - 1];
        sandbox.wait_until("the last process has logged its end", || {
            logged(sandbox).last().is_some_and(|line| {
                line.starts_with(&format!("{last}:M ")) && line.contains(" bye bye")
            })
        });
        // In minutes, the system may reuse a pid.
        let ended_by = |pid, end: &[Signal]| {
            ended
                .iter()
                .filter(|(other, signal)| *other == pid && end.contains(signal))
                .count()
        };
        for &(pid, _) in &ended {
            let all = ended_by(pid, &[Signal::SIGTERM, Signal::SIGKILL]);
            assert_eq!(
                lines_with(pid, "now ready to accept connections"),
                all,
                "{pid}"
            );
            assert_eq!(
                lines_with(pid, " bye bye"),
                ended_by(pid, &[Signal::SIGTERM]),
                "{pid}"
            );
        }
    }
}

/// Logs each answer. nginx closes a connection after it has written the line:
/// `lingering_close` is off.
const NGINX_CONF: &str = "\
daemon off;
worker_processes 2;
pid HERE/nginx.pid;
events {}
http {
    log_format number 'number $arg_number';
    access_log /dev/stdout number;
    lingering_close off;
    client_body_temp_path HERE/nginx.tmp;
    proxy_temp_path HERE/nginx.tmp;
    fastcgi_temp_path HERE/nginx.tmp;
    uwsgi_temp_path HERE/nginx.tmp;
    scgi_temp_path HERE/nginx.tmp;
    server {
        listen unix:HERE/socket;
        location / { return 200 '$arg_number'; }
    }
}
";

/// Requests a number from nginx, which logs it. Returns whether the answer is
/// right.
fn get(socket: &mut UnixStream, number: u64) -> io::Result<bool> {
    write!(socket, "GET /?number={number} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("\r\n\r\n{number}")))
}

/// Requests that redis logs a number. Returns whether redis confirms.
fn debug_log(socket: &mut UnixStream, number: u64) -> io::Result<bool> {
    write!(socket, "DEBUG LOG \"number {number}\"\r\n")?;
    let mut answer = [0; 5];
    socket.read_exact(&mut answer)?;
    Ok(answer == *b"+OK\r\n")
}

/// Finds a service: unpacked by tests/services.sh, or installed.
pub(crate) fn program(name: &str, test: &str) -> Option<PathBuf> {
    let unpacked = concat!(env!("CARGO_MANIFEST_DIR"), "/target/services/bin");
    let found = [unpacked, "/usr/sbin", "/usr/bin"]
        .map(|directory| Path::new(directory).join(name))
        .into_iter()
        .find(|path| path.exists());
    if found.is_none() {
        testkit::skip(
            test,
            &format!("there is no {name}, which make check fetches"),
        );
    }
    found
}

/// A scan directory with a service and a logger that removes no file.
fn add(sandbox: &Sandbox, run: &str) {
    sandbox.script("scan/s/run", &format!("#!/bin/sh\nexec 2>&1\n{run}\n"));
    sandbox.script(
        "scan/s/log/run",
        "#!/bin/sh\nexec multilog t s16384 n1000000 ./main\n",
    );
}

/// The files of the log, in order, if they are all there.
fn log_files(sandbox: &Sandbox) -> io::Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(sandbox.path("scan/s/log/main"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    // A label sorts before `current`; the others are not of lines.
    files.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with('@') || name == "current"
    });
    files.sort();
    Ok(files)
}

/// The lines of the log, without their labels.
fn logged(sandbox: &Sandbox) -> Vec<String> {
    let mut text = String::new();
    for file in log_files(sandbox).unwrap_or_default() {
        // A file may get its final name between listing and reading.
        text += &fs::read_to_string(file).unwrap_or_default();
    }
    // multilog may have written only a part of the last line.
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    let unlabelled = |line: &str| match line.split_at_checked(26) {
        Some((label, rest)) if label.starts_with('@') && label.ends_with(' ') => rest.to_owned(),
        _ => panic!("a line without a label: {line:?}"),
    };
    text.lines().map(unlabelled).collect()
}

/// The numbers among the lines of the log.
fn numbers(sandbox: &Sandbox) -> Vec<u64> {
    let number = |line: &String| {
        let (_, number) = line.rsplit_once("number ")?;
        Some(
            number
                .parse()
                .unwrap_or_else(|_| panic!("a torn line: {line:?}")),
        )
    };
    logged(sandbox).iter().filter_map(number).collect()
}

/// A service under test: a thread sends requests, and another disturbs the
/// service.
struct Trial<'a> {
    sandbox: &'a Sandbox,
    request: fn(&mut UnixStream, u64) -> io::Result<bool>,
    /// The number of answered requests.
    answers: AtomicU64,
    /// Locked while a request is in flight.
    in_flight: Mutex<()>,
}

impl<'a> Trial<'a> {
    fn new(sandbox: &'a Sandbox, request: fn(&mut UnixStream, u64) -> io::Result<bool>) -> Self {
        Trial {
            sandbox,
            request,
            answers: AtomicU64::new(0),
            in_flight: Mutex::new(()),
        }
    }

    /// Runs the trial, asserts that each answered number was logged once, in
    /// order, and returns the processes of the service with the signals that
    /// ended them.
    fn run(&self) -> Vec<(Pid, Signal)> {
        let mut svscan = self.sandbox.command("svscan");
        svscan.arg("scan");
        let _svscan = self.sandbox.start(svscan);
        let end = Instant::now() + span(0);

        let mut ended = Vec::new();
        let answered = thread::scope(|scope| {
            // The thread ends when this function drops the sender.
            let (stop, stopped) = channel();
            let requests = scope.spawn(move || self.send_requests(&stopped));
            loop {
                self.round(&mut ended);
                if Instant::now() >= end {
                    break;
                }
            }
            drop(stop);
            requests.join().unwrap()
        });

        let last = answered.last();
        self.sandbox.wait_until("the last number is logged", || {
            numbers(self.sandbox).last() >= last
        });
        let mut logged = numbers(self.sandbox);
        let once: HashSet<u64> = logged.iter().copied().collect();
        assert_eq!(logged.len(), once.len(), "lines were logged twice");
        // A request that was cut off may have been logged or not.
        let answers: HashSet<u64> = answered.iter().copied().collect();
        logged.retain(|number| answers.contains(number));
        assert!(
            logged == answered,
            "{} answered, {} logged",
            answered.len(),
            logged.len()
        );

        let pid = self.pid("scan/s").unwrap();
        self.sandbox.sh("svc -d scan/s").succeeds();
        self.wait_for_end(pid);
        ended.push((pid, Signal::SIGTERM));
        ended
    }

    /// Sends one number after the other, about a thousand a second, until a
    /// stop message; returns the answered numbers.
    fn send_requests(&self, stopped: &Receiver<()>) -> Vec<u64> {
        let socket = self.sandbox.path("socket");
        let mut answered = Vec::new();
        let mut number = 0;
        while stopped.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
            let _in_flight = self
                .in_flight
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let Ok(mut socket) = UnixStream::connect(&socket) else {
                continue;
            };
            let _ = socket.set_read_timeout(Some(Duration::from_secs(5)));
            number += 1;
            if (self.request)(&mut socket, number).unwrap_or(false) {
                answered.push(number);
                self.answers.fetch_add(1, Ordering::Relaxed);
            }
        }
        answered
    }

    /// Restarts, kills and orphans the service and its logger once.
    fn round(&self, ended: &mut Vec<(Pid, Signal)>) {
        let sandbox = self.sandbox;
        self.wait_for_progress();

        ended.push((self.restart("scan/s"), Signal::SIGTERM));
        self.wait_for_progress();
        self.restart("scan/s/log");
        self.wait_for_progress();

        // Kills all processes of the service. The lock holds requests back: nginx
        // answers before it logs.
        let pid = self.pid("scan/s").unwrap();
        {
            let _quiet = self
                .in_flight
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let mut family = sandbox.processes();
            family.retain(|&child| child == pid || parent(child) == Some(pid));
            // The parent first: it would start other children.
            family.sort_by_key(|&process| process != pid);
            for process in family {
                let _ = kill(process, Signal::SIGKILL);
            }
        }
        ended.push((pid, Signal::SIGKILL));
        self.wait_for_other_pid("scan/s", pid);
        self.wait_for_progress();

        // The kill of their supervises orphans both until the test ends them.
        // Without the socket, the successor answers.
        let orphans = [self.pid("scan/s/log").unwrap(), self.pid("scan/s").unwrap()];
        fs::remove_file(sandbox.path("socket")).unwrap();
        for supervise in orphans.map(|orphan| parent(orphan).unwrap()) {
            kill(supervise, Signal::SIGKILL).unwrap();
        }
        self.wait_for_other_pid("scan/s", orphans[1]);
        self.wait_for_progress();
        // The logger first: it may exit only after one more line.
        for orphan in orphans {
            kill(orphan, Signal::SIGTERM).unwrap();
            self.wait_for_end(orphan);
        }
        ended.push((orphans[1], Signal::SIGTERM));
        // The orphan removed its successor's socket.
        ended.push((self.restart("scan/s"), Signal::SIGTERM));
        self.wait_for_progress();
    }

    /// Sends `svc -t` once the service handles SIGTERM; returns the old pid.
    fn restart(&self, service: &str) -> Pid {
        let pid = self.pid(service).unwrap();
        self.sandbox
            .wait_until(&format!("{pid} handles SIGTERM"), || {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                let masks = ["SigCgt:\t", "SigBlk:\t"].map(|field| {
                    let mask = status.lines().find_map(|line| line.strip_prefix(field));
                    mask.map_or(0, |mask| u64::from_str_radix(mask, 16).unwrap())
                });
                (masks[0] | masks[1]) & 1 << (Signal::SIGTERM as u32 - 1) != 0
            });
        self.sandbox.sh(&format!("svc -t {service}")).succeeds();
        self.wait_for_other_pid(service, pid);
        pid
    }

    fn pid(&self, service: &str) -> Option<Pid> {
        let line = self.sandbox.sh(&format!("svstat {service}")).text();
        let (_, pid) = line.split_once("(pid ")?;
        let (pid, _) = pid.split_once(')')?;
        pid.parse().ok().map(Pid::from_raw)
    }

    fn wait_for_other_pid(&self, service: &str, pid: Pid) {
        self.sandbox
            .wait_until(&format!("{service} has another pid than {pid}"), || {
                self.pid(service).is_some_and(|other| other != pid)
            });
    }

    fn wait_for_end(&self, pid: Pid) {
        // Not even a zombie has a directory.
        let cwd = format!("/proc/{pid}/cwd");
        self.sandbox
            .wait_until(&format!("{pid} has ended"), || fs::read_link(&cwd).is_err());
    }

    /// Waits until requests are answered and lines logged.
    fn wait_for_progress(&self) {
        let answers = || self.answers.load(Ordering::Relaxed);
        let before = answers();
        self.sandbox
            .wait_until("requests are answered", || answers() > before);
        let size = || {
            let files = log_files(self.sandbox).unwrap_or_default();
            files
                .iter()
                .filter_map(|file| Some(fs::metadata(file).ok()?.len()))
                .sum::<u64>()
        };
        let before = size();
        self.sandbox
            .wait_until("lines are logged", || size() > before);
    }
}
