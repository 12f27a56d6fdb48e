//! Programs as process 1 of a container: the second table.
//!
//! Each life runs in a process namespace of its own. Services and process 1 write
//! letters to a FIFO, whose times count.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use testkit::kill;

use crate::Settings;
use crate::measure::{MEMORY, Place, memory_of};
use crate::report::{Figure, Result, Unit, median};

/// The columns, ours first.
pub(crate) const COLUMNS: [&str; 7] = [
    "svscan -e",
    "runsvdir",
    "runit",
    "s6",
    "supervisord",
    "tini",
    "dumb-init",
];

/// The text below the table.
pub(crate) const CAPTION: &str = "The first two columns are programs of daemontools-rs. Each process 1 \
    has five services with a logger each; tini and dumb-init have a single program, which they do not \
    restart. Memory is that of all processes except the services. The image contains the programs to \
    run, log and control services, with their shared libraries, and with the Python modules of \
    supervisord. No: not done; runit's runsvdir exits without SIGTERM to its services. s6 passes the \
    exit status on with two scripts.";

const TITLES: [&str; 7] = [
    "process 1: start, until the first service runs",
    "process 1: memory of all helpers, Private_Dirty",
    "process 1: memory of all helpers, Pss",
    "process 1: files in the image",
    "process 1: SIGTERM, until it has stopped services and exits",
    "process 1: orphans reaped within 0.1 s, of 100",
    "process 1: exit of the main service, until it exits with the same status",
];

const UNITS: [Unit; 7] = [
    Unit::Microseconds,
    Unit::Kilobytes,
    Unit::Kilobytes,
    Unit::Kilobytes,
    Unit::Microseconds,
    Unit::Processes,
    Unit::Microseconds,
];

/// At most, because the lives take long.
const ROUNDS: usize = 3;

const SERVICES: usize = 5;

/// More starts than lives, because their times vary most.
const STARTS: usize = 6;

/// The microseconds of a start that is not repeated.
const LONG_START: f64 = 300_000.0;

/// Ends at once after SIGTERM, and proves that it received the signal.
const SERVICE: &str = "#!/bin/sh
trap 'echo >received; exit' TERM
printf r >../../events
read -r line <>hold
";

/// Leaves a hundred processes to process 1.
const ORPHANS: &str = "#!/bin/sh
n=0
while [ $n -lt 100 ]; do
    (sh -c : &)
    n=$((n + 1))
done
sleep 0.1
printf o >../../events
read -r line <>hold
";

/// Exits on request.
const MAIN: &str = "#!/bin/sh
printf r >../../events
read -r line <>hold
exit 7
";

/// A program to run as process 1.
#[derive(Clone, Copy)]
enum Kind {
    Svscan,
    Runsvdir,
    S6,
    Supervisord,
    /// Runs a single program.
    Single(&'static str),
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Kind::Svscan => "svscan",
            Kind::Runsvdir => "runsvdir",
            Kind::S6 => "s6-svscan",
            Kind::Supervisord => "supervisord",
            Kind::Single(program) => program,
        }
    }

    /// The shell command that becomes process 1.
    fn command(self) -> String {
        match self {
            Kind::Svscan => "exec svscan -e scan".into(),
            Kind::Runsvdir => "exec runsvdir scan".into(),
            Kind::S6 => "exec s6-svscan scan".into(),
            Kind::Supervisord => "exec supervisord -c conf".into(),
            Kind::Single(program) => format!("cd scan/0; exec {program} -- ./run"),
        }
    }

    /// The logger of a service.
    fn logger(self) -> Option<&'static str> {
        match self {
            Kind::Svscan => Some("multilog t ./main"),
            Kind::Runsvdir => Some("svlogd -tt ./main"),
            Kind::S6 => Some("s6-log t ./main"),
            Kind::Supervisord | Kind::Single(_) => None,
        }
    }

    /// The programs in an image.
    fn image(self) -> &'static [&'static str] {
        match self {
            Kind::Svscan => &["svscan", "supervise", "multilog", "svc", "svstat"],
            Kind::Runsvdir => &["runsvdir", "runsv", "svlogd", "sv"],
            Kind::S6 => &["s6-svscan", "s6-supervise", "s6-log", "s6-svc", "s6-svstat"],
            Kind::Supervisord => &["supervisord", "supervisorctl"],
            Kind::Single("tini") => &["tini"],
            Kind::Single(_) => &["dumb-init"],
        }
    }
}

/// An installed contestant.
struct Init<'a> {
    column: &'static str,
    kind: Kind,
    /// The directory of its programs.
    directory: &'a Path,
}

/// Measures the installed contestants. Prints which ones are missing.
pub(crate) fn run(settings: &Settings, place: &Place) -> Vec<Result> {
    if !TITLES.iter().any(|title| title.contains(&settings.only)) {
        return Vec::new();
    }
    if !may_make_namespaces() {
        println!("left out: process 1, without permission to make a process namespace");
        return Vec::new();
    }
    let ours = settings.ours[0].1.as_path();
    let kinds = [
        (Kind::Svscan, ours, ""),
        (Kind::Runsvdir, ours, ""),
        (Kind::Runsvdir, settings.peers.as_path(), "runit"),
        (Kind::S6, settings.peers.as_path(), "s6"),
        (Kind::Supervisord, settings.peers.as_path(), "supervisor"),
        (Kind::Single("tini"), settings.peers.as_path(), "tini"),
        (
            Kind::Single("dumb-init"),
            settings.peers.as_path(),
            "dumb-init",
        ),
    ];
    let mut inits = Vec::new();
    for ((kind, directory, package), column) in kinds.into_iter().zip(COLUMNS) {
        if directory.join(kind.program()).exists() {
            inits.push(Init {
                column,
                kind,
                directory,
            });
        } else {
            println!(
                "not installed, left out of process 1: {package} (Debian's package of that name)"
            );
        }
    }
    let mut results: Vec<Result> = TITLES
        .into_iter()
        .zip(UNITS)
        .map(|(title, unit)| Result {
            title: title.to_owned(),
            unit,
            figures: inits
                .iter()
                .map(|init| Figure::empty(init.column))
                .collect(),
        })
        .collect();
    for round in 0..settings.rounds.min(ROUNDS) {
        for (n, init) in inits.iter().enumerate() {
            // A contestant that stays at the exit of its service takes long.
            let exits = results
                .last()
                .is_some_and(|result| !result.figures[n].values.is_empty());
            let values = init.measure(place, round == 0 || exits);
            for (result, value) in results.iter_mut().zip(values) {
                result.figures[n].values.extend(value);
            }
        }
    }
    results
}

fn may_make_namespaces() -> bool {
    let status = namespace().arg("true").stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs a command as process 1 of a process namespace, which ends with this command.
fn namespace() -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command
}

impl Init<'_> {
    /// A value for each title. None: the contestant does not do this. The last
    /// value needs `with_exit`.
    fn measure(&self, place: &Place, with_exit: bool) -> [Option<f64>; 7] {
        let (mut life, start) = self.begin(place, SERVICE, SERVICES);
        life.await_letters('r', self.services(SERVICES) - 1);
        // supervise waits a second after each start. Other helpers settle as well.
        std::thread::sleep(Duration::from_millis(1200));
        let helpers: Vec<u32> = life.processes().filter(|&pid| !is_service(pid)).collect();
        let [dirty, pss] = MEMORY.map(|kind| memory_of(kind, &helpers));
        let stop = life.stop(self.services(SERVICES));
        drop(life);
        let mut starts = vec![start];
        if start < LONG_START {
            starts.extend((0..STARTS).map(|_| self.begin(place, SERVICE, SERVICES).1));
        }
        [
            Some(median(starts)),
            Some(dirty),
            Some(pss),
            Some(self.image()),
            stop,
            Some(self.reaped(place)),
            if with_exit { self.exit(place) } else { None },
        ]
    }

    /// The number of services of a life.
    fn services(&self, services: usize) -> usize {
        match self.kind {
            Kind::Single(_) => 1,
            Kind::Svscan | Kind::Runsvdir | Kind::S6 | Kind::Supervisord => services,
        }
    }

    /// Starts process 1 with services. Returns the microseconds until the first
    /// letter of a service.
    fn begin(&self, place: &Place, run: &str, services: usize) -> (Life, f64) {
        let dir = place.fresh("container");
        let services = self.services(services);
        let mut conf = format!(
            "[supervisord]\nnodaemon=true\nuser=root\nlogfile=/dev/null\nlogfile_maxbytes=0\n\
             pidfile={}/pid\n",
            dir.display()
        );
        fs::create_dir(dir.join("scan")).unwrap();
        for n in 0..services {
            let service = dir.join(format!("scan/{n}"));
            fs::create_dir(&service).unwrap();
            write_script(&service.join("run"), run);
            fifo(&service.join("hold"));
            if let Some(logger) = self.kind.logger() {
                fs::create_dir_all(service.join("log/main")).unwrap();
                write_script(
                    &service.join("log/run"),
                    &format!("#!/bin/sh\nexec {logger}\n"),
                );
            }
            let service = service.display();
            write!(
                conf,
                "[program:s{n}]\ncommand={service}/run\ndirectory={service}\n\
                 autorestart=false\nstdout_logfile={service}/main\n"
            )
            .unwrap();
        }
        if run == MAIN {
            self.pass_exit_on(&dir);
        }
        fs::write(dir.join("conf"), conf).unwrap();
        let events = fifo(&dir.join("events"));
        let command = format!("printf s >events; {}", self.kind.command());
        let child = namespace()
            .args(["sh", "-c", &command])
            .current_dir(&dir)
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.directory.display()),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut life = Life { child, dir, events };
        life.await_letters('s', 1);
        let start = Instant::now();
        life.await_any();
        (life, start.elapsed().as_secs_f64() * 1e6)
    }

    /// Sets up service 0 as the main service, by the means of its family.
    fn pass_exit_on(&self, dir: &Path) {
        let service = dir.join("scan/0");
        match self.kind {
            Kind::Svscan => {
                fs::write(service.join("essential"), "").unwrap();
                write_script(&service.join("finish"), "#!/bin/sh\nexit 125\n");
            }
            Kind::S6 => {
                let finish = "#!/bin/sh\necho $1 >../code\nexec s6-svscanctl -t ..\n";
                write_script(&service.join("finish"), finish);
                let scanner = dir.join("scan/.s6-svscan");
                fs::create_dir(&scanner).unwrap();
                let finish = "#!/bin/sh\nread -r code <code\nexit $code\n";
                write_script(&scanner.join("finish"), finish);
            }
            Kind::Runsvdir | Kind::Supervisord | Kind::Single(_) => {}
        }
    }

    /// The number of reaped orphans, of a hundred.
    fn reaped(&self, place: &Place) -> f64 {
        let (life, _) = self.begin(place, ORPHANS, 1);
        100.0 - life.zombies() as f64
    }

    /// The microseconds from the exit of the main service to that of process 1.
    /// None: it stays for two seconds, or exits with another status.
    fn exit(&self, place: &Place) -> Option<f64> {
        let (mut life, _) = self.begin(place, MAIN, 1);
        let process_one = life.process_one();
        let start = Instant::now();
        fs::write(life.dir.join("scan/0/hold"), "\n").unwrap();
        let elapsed = await_end(process_one, start, Duration::from_secs(2))?;
        (life.child.wait().unwrap().code() == Some(7)).then_some(elapsed)
    }

    /// The size of the files that an image needs, in kilobytes.
    fn image(&self) -> f64 {
        let mut files = BTreeSet::new();
        for name in self.kind.image() {
            files.insert(fs::canonicalize(self.directory.join(name)).unwrap());
        }
        if let Kind::Supervisord = self.kind {
            files.extend(python_files());
        }
        let libraries: Vec<PathBuf> = files.iter().flat_map(|file| libraries(file)).collect();
        files.extend(libraries);
        let size = |file: &PathBuf| fs::metadata(file).unwrap().len();
        files.iter().map(size).sum::<u64>() as f64 / 1000.0
    }
}

/// Python, and the modules that supervisord and supervisorctl import.
fn python_files() -> Vec<PathBuf> {
    const IMPORTS: &str = "import sys
import supervisor.supervisord, supervisor.supervisorctl
print(sys.executable)
for module in list(sys.modules.values()):
    if getattr(module, '__file__', None): print(module.__file__)
";
    let output = Command::new("/usr/bin/python3")
        .args(["-c", IMPORTS])
        .output()
        .unwrap();
    assert!(output.status.success(), "python3: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|file| fs::canonicalize(file).unwrap())
        .collect()
}

/// The shared libraries of a file, with the dynamic linker. None for a script or a
/// static program.
fn libraries(file: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let paths = text
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'));
    paths.map(|path| fs::canonicalize(path).unwrap()).collect()
}

fn write_script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Makes a FIFO, open for both sides, so that no side blocks.
fn fifo(path: &Path) -> File {
    mkfifo(path, Mode::from_bits_truncate(0o600)).unwrap();
    File::options().read(true).write(true).open(path).unwrap()
}

/// Whether a process is a run script. Loggers execute another program.
fn is_service(pid: u32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end() == "run"
}

/// Waits until a process has been reaped. Returns the microseconds since `start`.
fn await_end(process: Pid, start: Instant, limit: Duration) -> Option<f64> {
    while kill(process, None).is_ok() {
        if start.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    Some(start.elapsed().as_secs_f64() * 1e6)
}

/// A process 1 with its services. Drop kills all of them.
struct Life {
    /// unshare, the parent of process 1.
    child: Child,
    dir: PathBuf,
    events: File,
}

impl Life {
    /// Waits for a letter.
    fn await_any(&mut self) -> char {
        let mut ready = [PollFd::new(self.events.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::from(20_000_u16);
        assert_eq!(
            poll(&mut ready, limit).unwrap(),
            1,
            "process 1 does not start its services"
        );
        let mut letter = [0];
        self.events.read_exact(&mut letter).unwrap();
        char::from(letter[0])
    }

    fn await_letters(&mut self, letter: char, number: usize) {
        for _ in 0..number {
            assert_eq!(self.await_any(), letter);
        }
    }

    fn process_one(&self) -> Pid {
        let pids = children(self.child.id());
        Pid::from_raw(pids[0].try_into().unwrap())
    }

    /// The processes of the namespace.
    fn processes(&self) -> impl Iterator<Item = u32> {
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = namespace(self.process_one().as_raw().unsigned_abs());
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(move |&pid| namespace(pid) == own)
    }

    /// The number of processes that process 1 has not reaped.
    fn zombies(&self) -> usize {
        let ended = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest.starts_with(" Z"))
        };
        let pids = children(self.process_one().as_raw().unsigned_abs());
        pids.iter().filter(|pid| ended(pid)).count()
    }

    /// The microseconds from SIGTERM to the exit of process 1. None: a service was
    /// killed without SIGTERM.
    fn stop(&mut self, services: usize) -> Option<f64> {
        let process_one = self.process_one();
        let start = Instant::now();
        kill(process_one, Signal::SIGTERM).unwrap();
        let elapsed = await_end(process_one, start, Duration::from_secs(20));
        let received = |n: usize| self.dir.join(format!("scan/{n}/received")).exists();
        elapsed.filter(|_| (0..services).all(received))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // After the end of process 1, which ends all others, unshare exits.
        for pid in children(self.child.id()) {
            let _ = kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}
