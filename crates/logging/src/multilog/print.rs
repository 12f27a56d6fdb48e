//! The word `1`: whole lines on a standard output that other loggers share.
//!
//! Each write up to `ATOMIC` bytes is one write(2), which no other writer to a
//! pipe divides. Longer lines need several. All loggers therefore write under one
//! lock. A logger waits for a full pipe or a stopped terminal without the lock,
//! unless it is within a line of more than `ATOMIC` bytes.
//!
//! A line is held until its end. A line of more than `MAX_HELD` bytes would need
//! memory without limit. Such a line is written while it is read, under the lock.
//! Its input or a log directory may stall, and the other loggers must not: after
//! `STALL`, or before a pause, the line is divided in two.

use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use memchr::memrchr;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{isatty, write};
use unix::stdio::STDOUT;
use unix::{file, record_lock};

use crate::batch::split_line;
use crate::event::{LogReporter, LogStep, ReportFn};
use crate::multilog::prefix::PrefixedLines;
use crate::shortage;

/// The maximum size of an undivided write to a pipe, in bytes: `PIPE_BUF`.
const ATOMIC: usize = 4096;

/// The maximum length of a held line, in bytes.
const MAX_HELD: usize = 1024 * 1024;

/// The maximum time for the next `ATOMIC` bytes of a line that other loggers
/// wait for.
const STALL: Duration = Duration::from_secs(5);

/// Whether this process has the lock, within a line that it writes while it reads
/// the line. Global as standard output and the lock are.
static WITHIN_LINE: AtomicBool = AtomicBool::new(false);

/// Ends the unfinished line on standard output, if there is one, and releases the
/// lock. Log directories call this before they pause or wait for a processor.
pub(crate) fn divide_unfinished_line() {
    if WITHIN_LINE.swap(false, Ordering::Relaxed) {
        // The next write reports the error.
        let _ = write_some(STDOUT, b"\n");
        let _ = record_lock::unlock(STDOUT);
    }
}

/// A standard output that several loggers share.
#[derive(Debug)]
pub struct SharedOutput {
    descriptor: BorrowedFd<'static>,
    reporter: LogReporter<'static>,
    /// Whether the loggers exclude each other.
    locks: bool,
    /// The error after which nothing is written.
    closed: Option<Errno>,
    /// The line that is written while it is read. Divided unless [`WITHIN_LINE`].
    stream: Option<LineStream>,
}

/// A line that is written while it is read.
#[derive(Debug)]
struct LineStream {
    /// The number of the word `1`.
    word: usize,
    deadline: Instant,
    /// The number of bytes since the deadline was set.
    progress: usize,
}

/// The lines of one word `1`.
#[derive(Debug)]
pub(crate) struct PrintedLines<'a> {
    pub(crate) lines: PrefixedLines<'a>,
    /// The number of the word `1` in the script.
    word: usize,
    /// The start of an unfinished line.
    held: Vec<u8>,
    /// Whether the start of the unfinished line is written.
    is_streamed: bool,
}

impl SharedOutput {
    /// Examines standard output. The caller has opened no file, which could get the
    /// number of a closed descriptor.
    #[must_use]
    pub fn new(report: ReportFn) -> Self {
        let descriptor = STDOUT;
        let closed = match fcntl(descriptor, FcntlArg::F_GETFL).map(OFlag::from_bits_retain) {
            Ok(flags) if flags & OFlag::O_ACCMODE == OFlag::O_RDONLY => Some(Errno::EBADF),
            Ok(_) => None,
            Err(error) => Some(error),
        };
        // Any process of the system could keep a lock on /dev/null.
        let is_device = file::descriptor_status(descriptor)
            .is_ok_and(|status| status.file_type().is_char_device());
        SharedOutput {
            descriptor,
            reporter: LogReporter {
                path: c"standard output",
                report,
            },
            locks: !is_device || isatty(descriptor) == Ok(true),
            closed,
            stream: None,
        }
    }

    /// The error after which nothing is written.
    pub(crate) fn closed(&self) -> Option<Errno> {
        self.closed
    }

    /// Divides a line whose input has stalled. Returns the time until that; None if
    /// no line is written while it is read.
    pub(crate) fn divide_stalled(&mut self) -> Option<Duration> {
        let remaining = self
            .current_stream()?
            .deadline
            .saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            self.divide_line();
            return None;
        }
        Some(remaining)
    }

    /// Ends the written part of an unfinished line, if there is one.
    fn divide_line(&mut self) {
        self.stream = None;
        divide_unfinished_line();
    }

    /// The line that is written while it is read, unless it was divided.
    fn current_stream(&self) -> Option<&LineStream> {
        let within_line = WITHIN_LINE.load(Ordering::Relaxed);
        self.stream.as_ref().filter(|_| within_line)
    }

    /// Writes whole lines.
    fn put_lines(&mut self, lines: &[u8]) {
        if !lines.is_empty() {
            self.divide_line();
        }
        let mut rest = lines;
        while !rest.is_empty() && self.closed.is_none() {
            let (chunk, later) = split_chunk(rest);
            self.lock_for(chunk.len());
            self.write(chunk);
            self.unlock();
            rest = later;
        }
    }

    /// Starts a line of which the rest is not read yet.
    fn start_stream(&mut self, word: usize, start: &[u8]) {
        self.divide_line();
        self.lock_for(start.len());
        self.write(start);
        WITHIN_LINE.store(true, Ordering::Relaxed);
        self.stream = Some(LineStream {
            word,
            deadline: Instant::now() + STALL,
            progress: 0,
        });
    }

    /// Whether the line of this word is written while it is read.
    fn is_streaming(&self, word: usize) -> bool {
        self.current_stream()
            .is_some_and(|stream| stream.word == word)
    }

    /// Writes the next part of the line, perhaps its end.
    fn continue_stream(&mut self, part: &[u8]) {
        self.write(part);
        if part.ends_with(b"\n") {
            self.stream = None;
            WITHIN_LINE.store(false, Ordering::Relaxed);
            self.unlock();
        } else if let Some(stream) = &mut self.stream {
            stream.progress += part.len();
            if stream.progress >= ATOMIC {
                stream.deadline = Instant::now() + STALL;
                stream.progress = 0;
            }
        }
    }

    /// Locks the output for a write of `length` bytes. A write that no other writer
    /// divides does not block under the lock.
    fn lock_for(&mut self, length: usize) {
        self.lock();
        while length <= ATOMIC && !self.can_write(PollTimeout::ZERO) {
            self.unlock();
            self.can_write(PollTimeout::NONE);
            self.lock();
        }
    }

    fn lock(&mut self) {
        if !self.locks {
            return;
        }
        match record_lock::lock(self.descriptor) {
            Ok(()) => {}
            Err(error) => {
                self.locks = false;
                self.reporter.warn(LogStep::LockOutput, error);
            }
        }
    }

    fn unlock(&self) {
        if self.locks {
            let _ = record_lock::unlock(self.descriptor);
        }
    }

    /// Whether a write does not block, or fails.
    fn can_write(&self, timeout: PollTimeout) -> bool {
        can_write(self.descriptor, timeout)
    }

    /// Writes all of `bytes`. Retries until a full disk has space.
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.closed.is_none() {
            match write_some(self.descriptor, bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(
                    error @ (Errno::ENOSPC
                    | Errno::EDQUOT
                    | Errno::EFBIG
                    | Errno::ENOMEM
                    | Errno::ENOBUFS),
                ) => self.reporter.pause_locked(LogStep::Print, error),
                Err(error) => self.closed = Some(error),
            }
        }
    }

    /// Prints the lines of all words `1`. Returns whether the output got closed.
    pub(crate) fn print<'l, 'a: 'l>(
        &mut self,
        all: impl Iterator<Item = &'l mut PrintedLines<'a>>,
    ) -> bool {
        if self.closed.is_some() {
            return false;
        }
        for lines in all {
            lines.print(self);
        }
        if self.closed.is_some() {
            self.divide_line();
        }
        self.closed.is_some()
    }

    /// Warns that the output is closed.
    pub(crate) fn report_closed(&self) {
        if let Some(error) = self.closed {
            self.reporter.warn(LogStep::Print, error);
        }
    }
}

/// Writes some bytes, also to a descriptor that does not block.
fn write_some(descriptor: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        match write(descriptor, bytes) {
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                can_write(descriptor, PollTimeout::NONE);
            }
            done => return done,
        }
    }
}

fn can_write(descriptor: BorrowedFd<'_>, timeout: PollTimeout) -> bool {
    let mut output = [PollFd::new(descriptor, PollFlags::POLLOUT)];
    match poll(&mut output, timeout) {
        Ok(ready) => ready > 0,
        Err(Errno::EINTR) => false,
        // The write reports the cause.
        Err(_) => true,
    }
}

/// Splits off lines for one write up to `ATOMIC` bytes, or one longer line.
fn split_chunk(lines: &[u8]) -> (&[u8], &[u8]) {
    let start = lines.get(..ATOMIC).unwrap_or(lines);
    match memrchr(b'\n', start) {
        Some(newline) => lines.split_at_checked(newline + 1).unwrap_or((lines, b"")),
        None => split_line(lines),
    }
}

impl<'a> PrintedLines<'a> {
    pub(crate) fn new(lines: PrefixedLines<'a>, word: usize) -> Self {
        PrintedLines {
            lines,
            word,
            held: Vec::with_capacity(ATOMIC),
            is_streamed: false,
        }
    }

    /// Writes the lines of the batch that are finished.
    fn print(&mut self, output: &mut SharedOutput) {
        let mut rest = self.lines.text();
        if rest.is_empty() {
            return;
        }
        if self.is_streamed && output.is_streaming(self.word) {
            let (part, later) = split_line(rest);
            output.continue_stream(part);
            self.is_streamed = !part.ends_with(b"\n");
            rest = later;
        } else if self.is_streamed {
            // The line was divided. The rest becomes a line, unless it is empty.
            self.is_streamed = false;
            match rest.strip_prefix(b"\n") {
                Some(later) => rest = later,
                None => shortage::extend(&mut self.held, self.lines.prefix.text),
            }
        }
        let end = memrchr(b'\n', rest).map_or(0, |newline| newline + 1);
        let (mut whole, start) = rest.split_at_checked(end).unwrap_or_default();
        if !whole.is_empty() && !self.held.is_empty() {
            let (line_end, later) = split_line(whole);
            shortage::extend(&mut self.held, line_end);
            output.put_lines(&self.held);
            self.held.clear();
            whole = later;
        }
        output.put_lines(whole);
        shortage::extend(&mut self.held, start);
        if self.held.len() > MAX_HELD {
            output.start_stream(self.word, &self.held);
            self.held.clear();
            self.is_streamed = true;
        }
    }
}

#[cfg(test)]
impl SharedOutput {
    /// An output to a file.
    pub(crate) fn for_file(path: &std::path::Path, is_writable: bool) -> Self {
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).append(is_writable).open(path).unwrap();
        SharedOutput {
            descriptor: std::os::fd::AsFd::as_fd(Box::leak(Box::new(file))),
            reporter: LogReporter {
                path: c"standard output",
                report: crate::scene::report,
            },
            locks: false,
            closed: None,
            stream: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use daemontools_core::label::Label;

    use super::*;
    use crate::lines::Lines;
    use crate::multilog::prefix::Prefix;
    use crate::scene::Scene;

    /// A logger with one word `1` and the prefix `web: `.
    struct Logger {
        scene: Scene,
        output: SharedOutput,
        input: Lines,
        printed: PrintedLines<'static>,
    }

    impl Logger {
        fn new() -> Self {
            let scene = Scene::new();
            scene.write("output", "", 0o644);
            let prefix = Prefix {
                stamp: 0,
                text: b"web: ",
            };
            Logger {
                output: SharedOutput::for_file(&scene.path("output"), true),
                scene,
                input: Lines::new(false),
                printed: PrintedLines::new(PrefixedLines::new(prefix), 3),
            }
        }

        /// Reads the input, and returns the new bytes of the output.
        fn feed(&mut self, mut input: &[u8]) -> String {
            let before = self.written().len();
            while !input.is_empty() {
                let buffer = self.input.read_buffer();
                let length = buffer.len().min(input.len());
                let (read, rest) = input.split_at(length);
                buffer[..length].copy_from_slice(read);
                input = rest;
                let batch = self.input.batch(length, Label::now);
                let lines = &mut self.printed.lines;
                lines.start(&batch);
                for fragment in batch.fragments().filter(|line| !line.continues) {
                    lines.start_line(true, batch.text, fragment.start);
                }
                lines.copy_until(batch.text, batch.text.len());
                let closed = self.output.print([&mut self.printed].into_iter());
                assert!(!closed);
            }
            self.written().split_off(before)
        }

        fn written(&self) -> String {
            std::fs::read_to_string(self.scene.path("output")).unwrap()
        }
    }

    #[test]
    fn unfinished_line_is_held() {
        let mut logger = Logger::new();
        assert_eq!(logger.feed(b"a\nb"), "web: a\n");
        let long = "x".repeat(5000);
        assert_eq!(logger.feed(long.as_bytes()), "");
        let expected = format!("web: b{long}\nweb: c\n");
        assert!(logger.feed(b"\nc\n") == expected);
        assert_eq!(logger.feed(b"d\n"), "web: d\n");
    }

    #[test]
    fn line_beyond_the_limit_is_written_at_once() {
        let mut logger = Logger::new();
        assert_eq!(logger.feed(&vec![b'x'; MAX_HELD - 5]), "");
        assert!(logger.output.divide_stalled().is_none());
        assert_eq!(logger.feed(b"x").len(), MAX_HELD + 1);
        let stall = logger.output.divide_stalled().unwrap();
        assert!(stall <= STALL && stall > STALL / 2, "{stall:?}");
        assert!(logger.output.is_streaming(3) && !logger.output.is_streaming(0));
        assert_eq!(logger.feed(b"yy"), "yy");
        assert_eq!(logger.feed(b"z\na\nb"), "z\nweb: a\n");
        assert!(logger.output.divide_stalled().is_none());
        assert_eq!(logger.feed(b"\n"), "web: b\n");
    }

    #[test]
    fn divided_line_continues_as_a_line() {
        for (rest, written) in [
            (&b"rest\nnext\n"[..], "web: rest\nweb: next\n"),
            (b"\nnext\n", "web: next\n"),
        ] {
            let mut logger = Logger::new();
            logger.feed(&vec![b'x'; MAX_HELD]);
            let stream = logger.output.stream.as_mut().unwrap();
            stream.deadline = Instant::now();
            assert!(logger.output.divide_stalled().is_none());
            assert!(!logger.output.is_streaming(3));
            assert_eq!(logger.feed(rest), written);
        }
    }

    #[test]
    fn progress_of_a_line_extends_its_deadline() {
        let mut logger = Logger::new();
        logger.feed(&vec![b'x'; MAX_HELD]);
        let deadline = |logger: &Logger| logger.output.stream.as_ref().unwrap().deadline;
        let first = deadline(&logger);
        logger.feed(&[b'x'; ATOMIC / 2]);
        assert_eq!(deadline(&logger), first);
        logger.feed(&[b'x'; ATOMIC / 2]);
        assert!(deadline(&logger) > first);
        let second = deadline(&logger);
        logger.feed(&[b'x'; ATOMIC / 2]);
        assert_eq!(deadline(&logger), second);
        logger.feed(b"\n");
    }

    #[test]
    fn chunk_is_whole_lines_or_one_long_line() {
        let line = |length: usize| "x".repeat(length - 1) + "\n";
        for (lengths, chunk) in [
            (&[10, 20][..], 30),
            (&[4000, 96, 1], 4096),
            (&[4000, 97, 1], 4000),
            (&[4096, 1], 4096),
            (&[4097, 1], 4097),
            (&[9000, 10], 9000),
        ] {
            let lines: String = lengths.iter().map(|&length| line(length)).collect();
            let (first, rest) = split_chunk(lines.as_bytes());
            assert_eq!(first.len(), chunk, "{lengths:?}");
            assert_eq!(rest.len(), lines.len() - chunk);
        }
    }

    #[test]
    fn failed_output_is_closed() {
        let scene = Scene::new();
        scene.write("output", "", 0o644);
        let mut output = SharedOutput::for_file(&scene.path("output"), false);
        output.report_closed();
        assert!(Scene::reports().is_empty());
        output.put_lines(b"line\n");
        assert_eq!(output.closed(), Some(Errno::EBADF));
        output.report_closed();
        assert_eq!(Scene::reports(), ["Print"]);
        assert!(!output.print(std::iter::empty()));
    }
}
