//! A temporary directory with programs on PATH, and the processes of one test.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::{Outcome, Subject, kill, programs};

/// How long anything may take before the test fails instead of hanging.
const DEADLINE: Duration = Duration::from_secs(60);

/// The clients of the table in lib.rs.
const CLIENTS: [&str; 8] = [
    "sv",
    "svc",
    "svlog",
    "svok",
    "svps",
    "svstat",
    "svwait",
    "tai64nlocal",
];

/// The only program that is a script. Cargo does not build it; `make install`
/// does.
const SCRIPT: &str = "svscanboot";

/// A run script of a service that stays up.
pub const SLEEPER: &str = "#!/bin/sh\nexec sleep 1000\n";

/// The environment variable that marks the processes of a sandbox.
const MARK: &str = "DAEMONTOOLS_SANDBOX";

/// Writers of executable files share this lock, and a starting process takes it
/// alone. Until its exec, a forked child holds the descriptors of its parent,
/// and a file that is open for writing cannot be executed (ETXTBSY).
static WRITING: RwLock<()> = RwLock::new(());

/// The directory and the processes of one test. Dropping a sandbox kills its
/// processes, each by pid, and removes its directory.
#[derive(Debug)]
pub struct Sandbox {
    subject: Subject,
    root: tempfile::TempDir,
    first: PathBuf,
    then: PathBuf,
}

impl Sandbox {
    pub(crate) fn new(subject: Subject, ours: &Path) -> Self {
        let root = tempfile::Builder::new()
            .prefix("sandbox")
            .tempdir()
            .expect("a temporary directory");
        // Programs that change identity must be able to come here.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (first, then) = subject.directories(ours);
        let sandbox = Sandbox {
            subject,
            root,
            first,
            then,
        };
        fs::create_dir(sandbox.bin()).unwrap();
        fs::create_dir(sandbox.dir()).unwrap();
        fs::set_permissions(sandbox.dir(), fs::Permissions::from_mode(0o755)).unwrap();
        for program in programs().iter().filter(|name| *name != SCRIPT) {
            let from = if CLIENTS.contains(&program.as_str()) {
                &sandbox.then
            } else {
                &sandbox.first
            };
            // Debian installs the programs for root in sbin.
            let beside = from.join("../sbin").join(program);
            let from = from.join(program);
            let from = if from.exists() { from } else { beside };
            let to = sandbox.bin().join(program);
            if from.exists() {
                symlink(from, to).unwrap();
            } else {
                // Without this, PATH would lead on to another's program.
                fs::write(
                    &to,
                    "#!/bin/sh\necho this program is not built >&2; exit 126\n",
                )
                .unwrap();
                fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        sandbox
    }

    /// The programs that the sandbox runs.
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// The working directory of everything that is run.
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("here")
    }

    /// The directory of the programs, first in PATH.
    pub fn bin(&self) -> PathBuf {
        self.root.path().join("bin")
    }

    /// A path in the working directory.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir().join(name)
    }

    /// Copies a program to a directory that other users may enter.
    pub fn copy_program(&self, program: &str, to: &Path) {
        let _writing = WRITING.read().unwrap_or_else(PoisonError::into_inner);
        fs::copy(self.bin().join(program), to).unwrap();
    }

    /// Writes a file, and the directories above it.
    pub fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _writing = WRITING.read().unwrap_or_else(PoisonError::into_inner);
        fs::write(path, bytes).unwrap();
    }

    /// Writes an executable file, and the directories above it. The new file
    /// replaces an existing one, because a running script cannot be written to.
    pub fn script(&self, name: impl AsRef<Path>, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _writing = WRITING.read().unwrap_or_else(PoisonError::into_inner);
        let mut file = tempfile::NamedTempFile::new_in(self.root.path()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o755)).unwrap();
        file.persist(path).unwrap();
    }

    /// Sets the mode of a file or directory.
    pub fn mode(&self, name: impl AsRef<Path>, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Reads a file.
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Whether a name exists in the working directory.
    pub fn exists(&self, name: impl AsRef<Path>) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// The files below a directory, one a line: mode (as in `ls -l`), owner,
    /// size and name; sizes of directories are left out.
    pub fn listing(&self, name: &str) -> String {
        let command = format!(
            "find {name} -mindepth 1 '(' -type d -printf '%M %u %P\\n' ')' -o -printf '%M %u %s %P\\n' \
             | LC_ALL=C sort -k 4"
        );
        self.sh(&command).text()
    }

    /// A command on PATH that the sandbox's other settings apply to: to be
    /// given arguments and run by [`Sandbox::run`] or [`Sandbox::start`].
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let bin = self.bin();
        let path = format!(
            "{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            bin.display()
        );
        let program = program.as_ref();
        let mut command = if bin.join(program).exists() {
            let mut command = Command::new(bin.join(program));
            command.arg0(program);
            command
        } else {
            Command::new(program)
        };
        command
            .current_dir(self.dir())
            .env_clear()
            .env("PATH", path)
            .env("FIRST", &self.first)
            .env("THEN", &self.then)
            .env(MARK, self.root.path())
            .stdin(Stdio::null());
        command
    }

    /// The command `sh -c SCRIPT`. Its variables `$FIRST` and `$THEN` are the
    /// directories of the first programs and of the clients.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = self.command("/bin/sh");
        command.arg("-c").arg(script);
        command
    }

    /// Runs a shell script to its end.
    #[track_caller]
    pub fn sh(&self, script: &str) -> Outcome {
        self.run(self.shell(script))
    }

    /// Runs a shell script to its end, with `input` on its standard input.
    #[track_caller]
    pub fn feed(&self, input: impl AsRef<[u8]>, script: &str) -> Outcome {
        let mut file = tempfile::tempfile_in(self.root.path()).unwrap();
        file.write_all(input.as_ref()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let mut command = self.shell(script);
        command.stdin(file);
        self.run(command)
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn run(&self, command: Command) -> Outcome {
        self.start(command).wait()
    }

    /// Runs a command to its end; each read of its standard input returns one
    /// of `chunks`. A chunk must not be empty or longer than the program's
    /// read.
    #[track_caller]
    pub fn run_with_chunks<'a>(
        &self,
        mut command: Command,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> Outcome {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        sender.set_write_timeout(Some(DEADLINE)).unwrap();
        command.stdin(OwnedFd::from(receiver));
        let running = self.start(command);
        // An empty datagram is read as the end of input.
        for chunk in chunks.into_iter().chain([&b""[..]]) {
            let sent = loop {
                match sender.send(chunk) {
                    // With a timeout, the system does not go on by itself.
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    sent => break sent,
                }
            };
            if let Err(error) = sent {
                // The caller's assertions judge a program that ended early.
                let ended = [ErrorKind::BrokenPipe, ErrorKind::ConnectionRefused];
                assert!(ended.contains(&error.kind()), "{}: {error}", running.what);
                break;
            }
        }
        running.wait()
    }

    /// Starts a command, its output going to files.
    #[track_caller]
    pub fn start(&self, mut command: Command) -> Running {
        let what = format!("{command:?}");
        let output = |name| {
            tempfile::Builder::new()
                .prefix(name)
                .tempfile_in(self.root.path())
                .unwrap()
                .into_parts()
        };
        let ((stdout, stdout_path), (stderr, stderr_path)) = (output("out"), output("err"));
        let alone = WRITING.write().unwrap_or_else(PoisonError::into_inner);
        let child = command
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        drop(alone);
        Running {
            what,
            child,
            stdout: stdout_path,
            stderr: stderr_path,
        }
    }

    /// Waits until a condition holds. Fails after 60 seconds and names the
    /// condition, `what`.
    #[track_caller]
    pub fn wait_until(&self, what: &str, condition: impl FnMut() -> bool) {
        wait_until(what, condition);
    }

    /// Repeats a script until its standard output is as expected; returns this output.
    #[track_caller]
    pub fn wait_for(&self, script: &str, mut wanted: impl FnMut(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let text = self.sh(script).text();
            if wanted(&text) {
                return text;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "timed out: {script} prints {text}"
            );
            pause(PAUSE);
        }
    }

    /// Whether supervise or runsv runs in a service directory.
    #[track_caller]
    pub fn is_supervised(&self, dir: &str) -> bool {
        self.sh(&format!("svok {dir}")).code() == Some(0)
    }

    /// Starts a supervisor, such as `supervise -e`, in a service directory and
    /// waits until it has opened its FIFOs.
    #[track_caller]
    pub fn start_supervisor(&self, command: &str, dir: &str) -> Running {
        let running = self.start(self.shell(&format!("exec {command} {dir}")));
        self.wait_until(&format!("{command} runs in {dir}"), || {
            self.is_supervised(dir)
        });
        running
    }

    /// The process that the status record of a service directory names; waits
    /// until it names one.
    #[track_caller]
    pub fn service(&self, dir: &str) -> Pid {
        let mut process = 0;
        self.wait_until(&format!("{dir} has a process"), || {
            let record = fs::read(self.path(format!("{dir}/supervise/status")));
            let record = record.unwrap_or_default();
            process = match record.get(12..16) {
                Some(pid) => i32::from_le_bytes(pid.try_into().unwrap()),
                None => 0,
            };
            process != 0
        });
        Pid::from_raw(process)
    }

    /// The pids of the processes started in the sandbox that still run.
    pub fn processes(&self) -> Vec<Pid> {
        let mark = format!("{MARK}={}", self.root.path().display());
        let belongs = |process: &Path| {
            let marked = fs::read(process.join("environ")).is_ok_and(|environ| {
                environ
                    .split(|&byte| byte == 0)
                    .any(|e| e == mark.as_bytes())
            });
            marked
                || fs::read_link(process.join("cwd"))
                    .is_ok_and(|cwd| cwd.starts_with(self.root.path()))
        };
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                belongs(&entry.path()).then(|| Pid::from_raw(pid))
            })
            .collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let start = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            if start.elapsed() > DEADLINE {
                assert!(
                    std::thread::panicking(),
                    "processes outlive the test: {left:?}"
                );
                return;
            }
            for pid in left {
                let _ = kill(pid, Signal::SIGKILL);
            }
            pause(PAUSE);
        }
    }
}

/// A process in the background.
#[derive(Debug)]
pub struct Running {
    what: String,
    child: Child,
    stdout: tempfile::TempPath,
    stderr: tempfile::TempPath,
}

impl Running {
    /// The process ID.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Kills the process and waits for its end.
    #[track_caller]
    pub fn kill(self) {
        self.signal(Signal::SIGKILL);
        let outcome = self.wait();
        assert_eq!(
            outcome.signal(),
            Some(Signal::SIGKILL as i32),
            "{outcome:?}"
        );
    }

    /// Whether the process still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The exit code, once the process has ended. None after a signal.
    pub fn code(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap()?.code()
    }

    /// The standard output so far.
    pub fn stdout(&self) -> Vec<u8> {
        fs::read(&self.stdout).unwrap()
    }

    /// The standard error so far.
    pub fn stderr(&self) -> Vec<u8> {
        fs::read(&self.stderr).unwrap()
    }

    /// Waits for the end of the process. Fails after 60 seconds.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > DEADLINE {
                let _ = self.child.kill();
                panic!(
                    "{} does not end; stderr: {}",
                    self.what,
                    self.stderr().escape_ascii()
                );
            }
            // Most commands take a few milliseconds: look often at first.
            pause((start.elapsed() / 8).clamp(Duration::from_micros(100), PAUSE));
        };
        let (stdout, stderr) = (self.stdout(), self.stderr());
        let outcome = Outcome {
            what: std::mem::take(&mut self.what),
            status,
            stdout,
            stderr,
        };
        outcome.assert_no_panic();
        outcome
    }
}

const PAUSE: Duration = Duration::from_millis(5);

fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Pauses for a random time of at most `longest`, so that the next event of a random
/// test comes at any moment. For all other tests: [`Sandbox::wait_until`].
pub fn pause_at_random(random: &mut fastrand::Rng, longest: Duration) {
    pause(longest.mul_f64(random.f64()));
}

/// Waits until a condition holds, for at most `limit`. Returns whether it holds.
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > limit {
            return false;
        }
        pause(PAUSE);
    }
    true
}

#[track_caller]
fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    let holds = holds_within(DEADLINE, condition);
    assert!(holds, "timed out waiting until {what}");
}
