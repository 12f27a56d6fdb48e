//! multilog, by its output and its files.

pub(crate) mod calls;
mod directory;
mod extended;
mod failures;
mod interop;
mod lines;
mod print;
mod processor;
mod script;
mod signals;
mod start;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Command;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use std::os::fd::AsFd;
use testkit::{Running, Sandbox};

/// Text in which every label reads `@LABEL`.
pub(crate) fn masked(bytes: impl AsRef<[u8]>) -> String {
    let mut rest = bytes.as_ref();
    let mut text = Vec::new();
    while let Some((&first, after)) = rest.split_first() {
        let is_label = first == b'@'
            && after.len() >= 24
            && after[..24]
                .iter()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if is_label {
            text.extend(b"@LABEL");
            rest = &after[24..];
        } else {
            text.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The files of a log directory, one a line: mode, size and name.
pub(crate) fn files(sandbox: &Sandbox, log: &str) -> String {
    let command = format!("find {log} -mindepth 1 -printf '%M %s %P\\n' | LC_ALL=C sort -k 3");
    masked(sandbox.sh(&command).stdout)
}

/// The contents of the files in a log directory: the old files from the oldest
/// on, then `current`.
pub(crate) fn contents(sandbox: &Sandbox, log: &str) -> Vec<Vec<u8>> {
    let mut names: Vec<_> = std::fs::read_dir(sandbox.path(log))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('@'))
        .collect();
    names.sort();
    names.push("current".to_owned());
    names
        .iter()
        .map(|name| sandbox.read(format!("{log}/{name}")))
        .collect()
}

/// The number of the files that [`contents`] reads. During a rotation, `current`
/// is missing for a moment.
pub(crate) fn count(sandbox: &Sandbox, log: &str) -> usize {
    let names = std::fs::read_dir(sandbox.path(log)).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name == "current" || name.as_encoded_bytes().starts_with(b"@"))
        .count()
}

/// The sizes of [`contents`].
pub(crate) fn sizes(sandbox: &Sandbox, log: &str) -> Vec<usize> {
    contents(sandbox, log).iter().map(Vec::len).collect()
}

/// A line of `length` bytes, its newline included.
pub(crate) fn line(length: usize) -> Vec<u8> {
    let mut line = vec![b'x'; length - 1];
    line.push(b'\n');
    line
}

/// A pipe to a program's standard input, whose reading end the test keeps.
pub(crate) struct Feed {
    reader: File,
    writer: Option<File>,
}

impl Feed {
    /// Starts a command that reads from a new pipe.
    pub(crate) fn start(sandbox: &Sandbox, mut command: Command) -> (Running, Feed) {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        command.stdin(reader.try_clone().unwrap());
        let feed = Feed {
            reader: File::from(reader),
            writer: Some(File::from(writer)),
        };
        (sandbox.start(command), feed)
    }

    /// Writes to the pipe.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let writer = self.writer.as_mut().expect("the input has not ended");
        writer.write_all(bytes.as_ref()).unwrap();
    }

    /// Ends the input.
    pub(crate) fn end(&mut self) {
        self.writer = None;
    }

    /// Waits until the program has read everything and waits for more.
    #[track_caller]
    pub(crate) fn settle(&self, sandbox: &Sandbox, program: &Running) {
        let stat = format!("/proc/{}/stat", program.pid());
        sandbox.wait_until("the program waits for input", || {
            let stat = std::fs::read_to_string(&stat).unwrap();
            self.is_empty() && stat.rsplit(')').next().unwrap().starts_with(" S ")
        });
    }

    /// Whether the program has read everything.
    pub(crate) fn is_empty(&self) -> bool {
        let mut reader = [PollFd::new(self.reader.as_fd(), PollFlags::POLLIN)];
        poll(&mut reader, PollTimeout::ZERO).unwrap() == 0
    }

    /// Ends the input and returns the bytes left in the pipe.
    pub(crate) fn left(mut self) -> Vec<u8> {
        self.end();
        // svlogd leaves the pipe non-blocking, and a child that another test
        // has just forked may still hold its writing end.
        fcntl(&self.reader, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        let mut left = Vec::new();
        self.reader.read_to_end(&mut left).unwrap();
        left
    }
}

/// Starts multilog and waits until it waits for input.
#[track_caller]
fn start(sandbox: &Sandbox, words: &[&str]) -> (Running, Feed) {
    let mut command = sandbox.command("multilog");
    command.args(words);
    let (running, feed) = Feed::start(sandbox, command);
    feed.settle(sandbox, &running);
    (running, feed)
}

/// A reading end whose writing end is open, does not wait and has nothing to
/// read; the second must be kept open.
pub(crate) fn nonblocking_pipe() -> (OwnedFd, OwnedFd) {
    pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap()
}
