//! `vm-load FILES PLACE...`: writes numbered lines to the log directories below each
//! place `/mnt/DISK`, after it has listed and recovered the files that the last cut left. It
//! uses processors if the name of the disk ends in `-cat`.
//! The environment gives the number of the boot (`round`), `seed`, and `last` to end
//! after the recovery. FILES is the number of old files that a directory keeps.
//!
//! Lines on standard output, for vm-judge:
//!
//! - `F DISK DIRECTORY PHASE NAME MODE SIZE BAD SPANS`: a file, with the lines in it.
//!   PHASE is `cut`, or `after` for the state after the recovery. BAD is the number of
//!   bytes before and behind the end of the last whole line that belong to none.
//! - `A DISK DIRECTORY NUMBER`: the lines of this boot up to this number are safe.
//! - `W DISK DIRECTORY NUMBER`: lines that were written to the program, now and then.
//! - `C`: the files of phase `cut` are listed. `B`: the load begins. `E`: end.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use daemontools_vm::{Dice, Numbered, Spans};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, pipe2};
use testkit::kill;

/// The size of a log file in bytes.
const SIZE: &str = "s100000";

/// A program with its options.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Multilog,
    MultilogProcessor,
    Svlogd,
    SvlogdProcessor,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Multilog, "multilog"),
    (Kind::MultilogProcessor, "multilog-cat"),
    (Kind::Svlogd, "svlogd"),
    (Kind::SvlogdProcessor, "svlogd-cat"),
];

/// A log directory.
#[derive(Clone)]
struct Log {
    kind: Kind,
    /// For the lines of output: `DISK DIRECTORY`.
    title: String,
    path: PathBuf,
    /// The directory of the program.
    programs: &'static str,
    files: String,
    /// Whether fsync has no effect in the program.
    is_control: bool,
    seed: u64,
    round: u64,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let files = arguments.next().expect("the number of files");
    let variable = |name| std::env::var(name).unwrap_or_default();
    let round = variable("round").parse().expect("round");
    let seed: u64 = variable("seed").parse().expect("seed");
    let mut logs = Vec::new();
    for place in arguments {
        let of_disk = |kind: &(Kind, &str)| kind.1.ends_with("-cat") == place.ends_with("-cat");
        for (number, (kind, name)) in (0_u64..).zip(KINDS.into_iter().filter(of_disk)) {
            for (whose, programs) in [
                ("ours", "/ours"),
                ("debian", "/debian"),
                ("control", "/debian"),
            ] {
                if whose == "control" && kind != Kind::Multilog {
                    continue;
                }
                let directory = format!("{name}.{whose}");
                logs.push(Log {
                    kind,
                    title: format!("{} {directory}", place.rsplit('/').next().unwrap()),
                    path: Path::new(&place).join(directory),
                    programs,
                    files: files.clone(),
                    is_control: whose == "control",
                    // The same for both programs.
                    seed: seed ^ (round << 32) ^ number,
                    round,
                });
            }
        }
    }

    for log in &logs {
        if round == 0 {
            log.create();
        } else {
            log.list("cut");
        }
    }
    if round == 0 {
        nix::unistd::sync();
    }
    println!("C");
    for log in &logs {
        let mut child = log.start(Stdio::null());
        assert!(child.wait().unwrap().success(), "{}", log.title);
        log.list("after");
    }
    if !variable("last").is_empty() {
        println!("E");
        return;
    }
    println!("B");
    for log in &logs {
        let log = log.clone();
        thread::spawn(move || log.feed());
    }
    watch(&logs);
}

impl Log {
    /// svlogd wants a directory with its configuration.
    fn create(&self) {
        let processor = match self.kind {
            Kind::Multilog | Kind::MultilogProcessor => return,
            Kind::Svlogd => "",
            Kind::SvlogdProcessor => "!cat\n",
        };
        fs::create_dir(&self.path).unwrap();
        let config = format!("{SIZE}\nn{}\n{processor}", self.files);
        fs::write(self.path.join("config"), config).unwrap();
    }

    fn start(&self, input: impl Into<Stdio>) -> Child {
        let program = match self.kind {
            Kind::Multilog | Kind::MultilogProcessor => "multilog",
            Kind::Svlogd | Kind::SvlogdProcessor => "svlogd",
        };
        let mut command = Command::new(format!("{}/{program}", self.programs));
        let files = format!("n{}", self.files);
        match self.kind {
            Kind::Multilog => command.args(["t", SIZE, &files]),
            Kind::MultilogProcessor => command.args(["t", SIZE, &files, "!cat"]),
            Kind::Svlogd | Kind::SvlogdProcessor => &mut command,
        };
        if self.is_control {
            command.env("LD_PRELOAD", "/lib/nosync.so");
        }
        command.arg(&self.path).stdin(input).spawn().unwrap()
    }

    /// Prints the files and the lines in them.
    fn list(&self, phase: &str) {
        let Ok(entries) = fs::read_dir(&self.path) else {
            println!("F {} {phase} . 0 0 0 0 -", self.title);
            return;
        };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for name in names {
            let path = self.path.join(&name);
            let mut text = Vec::new();
            File::open(&path).unwrap().read_to_end(&mut text).unwrap();
            let (spans, torn, tail) = lines(&text);
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
            let name = name.to_string_lossy();
            let size = text.len();
            println!(
                "F {} {phase} {name} {mode:o} {size} {torn} {tail} {spans}",
                self.title
            );
        }
    }

    /// Writes lines in bursts, with pauses, rotations and restarts, for ever.
    fn feed(&self) {
        let mut dice = Dice::new(self.seed);
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut writer = File::from(writer);
        let input = |reader: &OwnedFd| Stdio::from(reader.try_clone().unwrap());
        let mut child = self.start(input(&reader));
        let mut number = 0;
        let mut text = Vec::new();
        for burst in 0_u64.. {
            text.clear();
            for _ in 0..=dice.below(400) {
                let round = self.round;
                Numbered { round, number }.write(&mut text);
                number += 1;
            }
            writer.write_all(&text).unwrap();
            if burst % 16 == 0 {
                println!("W {} {number}", self.title);
            }
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
            match dice.below(60) {
                0 => {
                    kill(pid, Signal::SIGTERM).unwrap();
                    child.wait().unwrap();
                    // The rest of the lines is in the pipe.
                    self.acknowledge(&self.path.join("current"));
                    child = self.start(input(&reader));
                }
                1 => kill(pid, Signal::SIGALRM).unwrap(),
                2..50 => thread::sleep(Duration::from_micros(dice.below(400_000))),
                _ => {}
            }
        }
    }

    /// Prints that the last line of a file is safe, if it is of this boot.
    fn acknowledge(&self, path: &Path) {
        let last = last_line(path).filter(|line| line.round == self.round);
        if let Some(Numbered { number, .. }) = last {
            println!("A {} {number}", self.title);
        }
    }

    /// The newest old file whose lines are all safe.
    fn newest(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(&self.path).ok()?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        // svlogd's input of a processor ends in .u. Its output is not there yet.
        let is_old = |name: &String| name.starts_with('@') && !name.ends_with(".t");
        names.filter(is_old).max().map(|name| self.path.join(name))
    }
}

/// Looks for new files that are finished, for ever.
fn watch(logs: &[Log]) {
    let mut seen: Vec<_> = logs.iter().map(Log::newest).collect();
    let mut previous: Vec<_> = logs.iter().map(|_| None).collect();
    loop {
        for (log, (seen, previous)) in logs.iter().zip(seen.iter_mut().zip(&mut previous)) {
            let newest = log.newest();
            if newest != *seen {
                newest.iter().for_each(|path| log.acknowledge(path));
                *seen = newest;
            }
            // The input of multilog's processor.
            let path = log.path.join("previous");
            let last = last_line(&path).filter(|line| line.round == log.round);
            if last.is_some() && last != *previous {
                log.acknowledge(&path);
                *previous = last;
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The lines of a text, the number of bytes outside of lines before the end of the last
/// whole line, and behind it.
fn lines(text: &[u8]) -> (Spans, usize, usize) {
    let (mut spans, mut torn, mut tail) = (Spans::default(), 0, 0);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let whole = line.strip_suffix(b"\n").and_then(Numbered::parse);
        match whole {
            Some(Numbered { round, number }) => {
                torn += std::mem::take(&mut tail);
                spans.add((round, number, number));
            }
            None => tail += line.len(),
        }
    }
    (spans, torn, tail)
}

/// The last line of a file that exists and ends in a whole line.
fn last_line(path: &Path) -> Option<Numbered> {
    let mut file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(400))).ok()?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).ok()?;
    let line = text
        .strip_suffix(b"\n")?
        .rsplit(|byte| *byte == b'\n')
        .next()?;
    Numbered::parse(line)
}
