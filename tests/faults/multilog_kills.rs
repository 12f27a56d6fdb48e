//! Killed and terminated loggers: one multilog after another reads the same
//! pipe, and a signal ends each at work. With the mixed subjects, Debian's and
//! ours take turns.
//!
//! The test knows to the byte which input each logger has read, and compares
//! the log with this input. SIGKILL loses at most the bytes of one read.
//! SIGTERM loses nothing.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal::{self, SIGKILL, SIGTERM};
use nix::unistd::pipe2;
use testkit::{Running, Sandbox, Subject, interop, say};

use super::{in_memory, span};

interop!(
    killed_loggers_lose_at_most_one_read,
    terminated_loggers_lose_nothing,
);

fn killed_loggers_lose_at_most_one_read(sandbox: &Sandbox) {
    for script in [
        "s32768 n1000000 ./m",
        "t s32768 n1000000 ./m",
        "s32768 n1000000 '!cat' ./m",
    ] {
        Trial::new(sandbox, script).killed();
    }
}

fn terminated_loggers_lose_nothing(sandbox: &Sandbox) {
    for script in ["s32768 n1000000 ./m", "t s32768 n1000000 '!cat' ./m"] {
        Trial::new(sandbox, script).terminated();
    }
}

/// The error of a logger while a child of a killed logger holds the lock: the
/// child has not yet executed the processor. Under supervise, the logger would
/// be restarted.
const LOCKED: &[u8] = b"multilog: fatal: unable to lock directory ./m: temporary failure\n";
/// A label and the space after it.
const STAMP: usize = 26;
/// The bytes that multilog buffers of an incomplete line.
const HELD: usize = 1000;
/// The most bytes that one read of 0.76 returns.
const ORIGINAL_READ: usize = 1024;
/// The capacity of the pipe. One read of ours returns up to this many bytes.
const PIPE: usize = 65_536;

/// A stream of generated lines, written to a pipe.
struct Stream {
    rng: Rng,
    reader: File,
    writer: Option<File>,
    /// The bytes generated so far.
    made: Vec<u8>,
    lines: usize,
    /// The number of bytes written to the pipe and not taken back.
    sent: usize,
}

impl Stream {
    fn new() -> Self {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        Stream {
            rng: Rng::with_seed(1),
            reader: reader.into(),
            writer: Some(writer.into()),
            made: Vec::new(),
            lines: 0,
            sent: 0,
        }
    }

    /// Makes a line of 0 to 5000 bytes. The line begins with its number, cut to
    /// the length of the line.
    fn make(&mut self) {
        let most = *self.rng.choice(&[10, 100, 2000, 5000]).unwrap();
        let length = self.rng.usize(..=most);
        let number = format!("{} ", self.lines);
        let line = number.bytes().chain(std::iter::repeat(b'x'));
        self.made.extend(line.take(length).chain([b'\n']));
        self.lines += 1;
    }

    /// Writes up to `goal` as much as the pipe has room for. Waits a millisecond
    /// if the pipe is full.
    fn send(&mut self, goal: usize) {
        while self.made.len() < goal {
            self.make();
        }
        let writer = self.writer.as_mut().unwrap();
        match writer.write(&self.made[self.sent..goal]) {
            Ok(written) => self.sent += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut room = [PollFd::new(writer.as_fd(), PollFlags::POLLOUT)];
                poll(&mut room, PollTimeout::from(1_u8)).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Takes the unread bytes out of the pipe. The bytes that remain counted in
    /// `sent` have been read by a logger.
    fn take_back(&mut self) {
        let mut buffer = vec![0; PIPE];
        loop {
            let mut more = [PollFd::new(self.reader.as_fd(), PollFlags::POLLIN)];
            if poll(&mut more, PollTimeout::ZERO).unwrap() == 0 {
                return;
            }
            self.sent -= self.reader.read(&mut buffer).unwrap();
        }
    }

    /// Writes all generated lines and closes the pipe.
    fn end(&mut self) {
        while self.sent < self.made.len() {
            self.send(self.made.len());
        }
        self.writer = None;
    }
}

/// The bytes that one logger read from the stream and wrote to the log.
struct Run {
    read: std::ops::Range<usize>,
    written: usize,
}

struct Trial<'a> {
    sandbox: &'a Sandbox,
    script: &'a str,
    place: tempfile::TempDir,
    stream: Stream,
    /// The sizes of the old files seen so far.
    old: HashMap<String, usize>,
    runs: Vec<Run>,
    started: usize,
    locked_out: usize,
}

impl<'a> Trial<'a> {
    fn new(sandbox: &'a Sandbox, script: &'a str) -> Self {
        Trial {
            sandbox,
            script,
            place: in_memory(),
            stream: Stream::new(),
            old: HashMap::new(),
            runs: Vec::new(),
            started: 0,
            locked_out: 0,
        }
    }

    fn start(&mut self) -> Running {
        let whose = ["FIRST", "THEN"][self.started % 2];
        self.started += 1;
        let mut command = self
            .sandbox
            .shell(&format!("exec ${whose}/multilog {}", self.script));
        command
            .current_dir(self.place.path())
            .stdin(self.stream.reader.try_clone().unwrap());
        self.sandbox.start(command)
    }

    /// Starts a logger, writes input and sends the signal after a random delay.
    fn disturb(&mut self, signal: Signal) -> Running {
        let goal = self.stream.sent + self.stream.rng.usize(..3 * PIPE);
        let mut running = self.start();
        while self.stream.sent < goal {
            self.stream.send(goal);
            if !running.runs() {
                running.wait().is(111, "", LOCKED);
                self.locked_out += 1;
                running = self.start();
            }
        }
        let delay = Duration::from_micros(self.stream.rng.u64(..500));
        let delayed = Instant::now();
        while delayed.elapsed() < delay {
            std::hint::spin_loop();
        }
        running.signal(signal);
        running
    }

    /// Closes the input and runs a last logger on the rest.
    fn end(&mut self) {
        let orphans = || !self.sandbox.processes().is_empty();
        self.sandbox
            .wait_until("all processes have exited", || !orphans());
        let last = self.start();
        self.stream.end();
        last.wait().succeeds();
    }

    fn killed(mut self) {
        let start = Instant::now();
        let mut from = 0;
        let mut written = 0;
        while start.elapsed() < span(700) || self.runs.len() < 20 {
            let outcome = self.disturb(SIGKILL).wait();
            assert!(
                outcome.signal() == Some(SIGKILL as i32) || outcome.stderr == LOCKED,
                "{outcome:?}"
            );
            self.stream.take_back();
            let logged = self.logged();
            self.runs.push(Run {
                read: from..self.stream.sent,
                written: logged - written,
            });
            (from, written) = (self.stream.sent, logged);
        }
        self.end();
        let logged = self.logged();
        self.runs.push(Run {
            read: from..self.stream.sent,
            written: logged - written,
        });

        let text = self.text();
        assert_eq!(text.len(), logged);
        let mut rest = text.as_slice();
        let (mut lost, mut greatest, mut losing, mut lines) = (0, 0, 0, 0);
        for run in &self.runs {
            let (output, after) = rest.split_at(run.written);
            rest = after;
            let output = if self.script.starts_with('t') {
                unstamped(output)
            } else {
                output.to_owned()
            };
            let read = &self.stream.made[run.read.clone()];
            let (kept, missing) = read.split_at(output.len());
            assert!(output == kept, "the log differs from the input");
            lost += missing.len();
            greatest = greatest.max(missing.len());
            losing += usize::from(!missing.is_empty());
            lines += missing.split(|&byte| byte == b'\n').count() - 1;
        }
        let read = match self.sandbox.subject() {
            Subject::Reference => ORIGINAL_READ,
            _ => PIPE,
        };
        assert!(greatest <= read + HELD, "{greatest} bytes lost at once");
        say(&format!(
            "multilog {}, {:?}: killed {} times ({} found the lock held), {} lines of {} bytes written; {losing} kills lost {lines} lines, \
             {lost} bytes, at most {greatest} bytes each; {}",
            self.script,
            self.sandbox.subject(),
            self.runs.len() - 1,
            self.locked_out,
            self.stream.lines,
            self.stream.made.len(),
            self.files(),
        ));
    }

    fn terminated(mut self) {
        let start = Instant::now();
        let (mut restarts, mut early) = (0, 0);
        while start.elapsed() < span(700) || restarts < 60 {
            let mut running = self.disturb(SIGTERM);
            // The logger exits only at the end of a line: feed it byte by byte.
            while running.runs() {
                let more = self.stream.sent + 1;
                self.stream.send(more);
            }
            let outcome = running.wait();
            if outcome.signal() == Some(SIGTERM as i32) {
                // The logger had neither installed its handler nor read input.
                early += 1;
            } else {
                outcome.succeeds();
            }
            restarts += 1;
        }
        self.end();
        let mut text = self.text();
        if self.script.starts_with('t') {
            text = unstamped(&text);
        }
        assert!(text == self.stream.made, "the log differs from the input");
        say(&format!(
            "multilog {}, {:?}: terminated {restarts} times ({early} before the handler was installed), {} lines of \
             {} bytes written, none lost; {}",
            self.script,
            self.sandbox.subject(),
            self.stream.lines,
            self.stream.made.len(),
            self.files(),
        ));
    }

    /// The number of bytes in the log, by multilog's rule of recovery: a finished
    /// `processed` counts in place of `previous`.
    fn logged(&mut self) -> usize {
        let place = self.place.path().join("m");
        let Ok(entries) = fs::read_dir(&place) else {
            return 0;
        };
        for entry in entries {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with('@') {
                let size = || fs::metadata(place.join(&name)).unwrap().len();
                self.old
                    .entry(name.clone())
                    .or_insert_with(|| usize::try_from(size()).unwrap());
            }
        }
        let finished = |name: &str| {
            fs::metadata(place.join(name)).is_ok_and(|file| file.permissions().mode() & 0o100 != 0)
        };
        // A file with two links already counts as an old file.
        let unnamed = |name: &str| {
            fs::metadata(place.join(name))
                .ok()
                .filter(|file| file.nlink() == 1)
                .map_or(0, |file| usize::try_from(file.len()).unwrap())
        };
        let pending = unnamed(if finished("processed") {
            "processed"
        } else {
            "previous"
        });
        let current = unnamed("current");
        self.old.values().sum::<usize>() + pending + current
    }

    /// The names of the old files, in order, then `current`. After a clean exit,
    /// the directory holds no other log files.
    fn names(&self) -> Vec<String> {
        let place = self.place.path().join("m");
        let mut names: Vec<_> = fs::read_dir(place)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "lock" && name != "state")
            .collect();
        names.sort();
        assert_eq!(names.last().unwrap(), "current");
        let sound = |name: &String| matches!(name.split_once('.'), Some((_, "s" | "u")));
        assert!(names[..names.len() - 1].iter().all(sound), "{names:?}");
        names
    }

    fn text(&self) -> Vec<u8> {
        let place = self.place.path().join("m");
        let read = |name| fs::read(place.join(name)).unwrap();
        self.names().iter().flat_map(read).collect()
    }

    fn files(&self) -> String {
        let names = self.names();
        let safe = |name: &&String| matches!(name.split_once('.'), Some((_, "s")));
        let safe = names.iter().filter(safe).count();
        format!("{safe} files .s and {} .u", names.len() - 1 - safe)
    }
}

/// Lines without their stamps. The stamp of the last line may be cut.
fn unstamped(text: &[u8]) -> Vec<u8> {
    let unstamp = |line: &[u8]| {
        let (stamp, rest) = line.split_at(STAMP.min(line.len()));
        assert!(stamp.starts_with(b"@4"), "{}", stamp.escape_ascii());
        assert!(rest.is_empty() || stamp.ends_with(b" "));
        rest.to_owned()
    };
    text.split_inclusive(|&byte| byte == b'\n')
        .flat_map(unstamp)
        .collect()
}
