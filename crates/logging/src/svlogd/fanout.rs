//! The log directories of svlogd, and what becomes of lines in each.

use std::ffi::CStr;
use std::net::UdpSocket;
use std::time::Duration;

use cli::text::write_stderr;
use daemontools_core::label::TEXT;
use nix::errno::Errno;
use nix::unistd::read;
use unix::file::open_read;

use super::config::{ConfigFile, RuleEffect};
use super::line_format::{LineFormat, TimestampStyle};
use crate::batch::{Batch, lines, split_line};
use crate::directory::{Context, LockedLogDir, LogDir};
use crate::event::{LogEvent, LogReport, LogReporter, LogStep, StepError};
use crate::policy::LogPolicy;
use crate::tai64::stamp::Stamper;

/// The file that says how the directory is logs.
const CONFIG: &CStr = c"config";

/// Every log directory that svlogd was told of.
#[derive(Debug)]
pub struct LogFanout<'a> {
    format: &'a LineFormat,
    places: &'a [&'a CStr],
    ctx: Context<'a>,
    /// Whether what is told is to be in the order of the lines.
    in_order: bool,
    /// None is one that cannot be had.
    logs: Vec<Option<OpenLog<'a>>>,
    stamper: Stamper,
    /// When the line that is held back began to be read.
    held_stamp: Option<[u8; TEXT]>,
    /// Stamped text; logs for its memory.
    text: Vec<u8>,
}

/// A log directory.
#[derive(Debug)]
struct OpenLog<'a> {
    directory: LogDir<'a>,
    config: ConfigFile,
    socket: Option<UdpSocket>,
    /// What goes to `current` of the lines that are read.
    text: Vec<u8>,
    /// Whether the line that came last goes there.
    written: bool,
}

/// Lines, and what stands before each.
#[derive(Clone, Copy, Debug)]
struct StampedText<'a> {
    /// As read, and replaced.
    text: &'a [u8],
    /// Whether the text begins within a line, whose head came before.
    within_line: bool,
    /// The stamp, if lines have one.
    stamp: Option<[u8; TEXT]>,
    /// All of the text with the stamp before each line.
    stamped: &'a [u8],
}

impl<'a> LogFanout<'a> {
    /// The directories `places`, none of which is open yet. With `in_order`,
    /// what is told of them is told in the order of the lines.
    #[must_use]
    pub fn new(
        format: &'a LineFormat,
        places: &'a [&'a CStr],
        in_order: bool,
        ctx: Context<'a>,
    ) -> Self {
        LogFanout {
            format,
            places,
            ctx,
            in_order,
            logs: places.iter().map(|_| None).collect(),
            stamper: Stamper::default(),
            held_stamp: None,
            text: Vec::new(),
        }
    }

    /// Closes each directory and opens it again, as its configuration then
    /// says; whether any can be had.
    pub fn reopen(&mut self) -> bool {
        for (log, place) in self.logs.iter_mut().zip(self.places) {
            if let Some(log) = log.take() {
                log.directory.close();
            }
            *log = OpenLog::open(place, self.format.head, self.ctx);
        }
        self.logs.iter().any(Option::is_some)
    }

    /// TimestampStyle lines with the moment in which their first byte was read, and
    /// passes them to each directory.
    pub fn process(&mut self, batch: &Batch<'_>) {
        let now = self.format.stamps.map(TimestampStyle::now);
        let in_order = self.in_order || self.logs.iter().flatten().any(OpenLog::alerts);
        let mut held = batch.reads.held > 0;
        for part in batch.parts(in_order) {
            let (mut text, mut within_line) = (part.text, part.within_line);
            if std::mem::take(&mut held) && now.is_some() {
                let (first, rest) = split_line(text);
                self.process_text(first, within_line, self.held_stamp);
                (text, within_line) = (rest, false);
            }
            if !text.is_empty() {
                self.process_text(text, within_line, now);
            }
        }
        if batch.reads.held == 0 || !batch.text.is_empty() {
            self.held_stamp = now;
        }
    }

    fn process_text(&mut self, text: &[u8], within_line: bool, stamp: Option<[u8; TEXT]>) {
        let stamped = stamp.as_ref().map_or(text, |stamp| {
            self.text.clear();
            self.stamper.stamp(text, stamp, &mut self.text);
            &self.text
        });
        let stamped_text = StampedText {
            text,
            within_line,
            stamp,
            stamped,
        };
        // All of them report of a line before one writes it.
        for log in self.logs.iter_mut().flatten() {
            log.filter(&stamped_text, self.format);
        }
        for log in self.logs.iter_mut().flatten() {
            log.append(&stamped_text);
        }
    }

    /// Closes every file that is not empty.
    pub fn rotate(&mut self) {
        self.directories().for_each(LogDir::rotate);
    }

    /// Closes every file that is too old; how long until the next one is.
    pub fn rotate_expired(&mut self) -> Option<Duration> {
        let ages = self.directories().filter_map(LogDir::rotate_if_expired);
        ages.min()
    }

    /// Takes what processors that have ended have made.
    pub fn collect_processors(&mut self) {
        self.directories().for_each(LogDir::collect_processor);
    }

    /// Leaves everything finished.
    pub fn finish(&mut self) {
        self.directories().for_each(LogDir::finish);
    }

    fn directories(&mut self) -> impl Iterator<Item = &mut LogDir<'a>> {
        let logs = self.logs.iter_mut().flatten();
        logs.map(|log| &mut log.directory)
    }
}

impl<'a> OpenLog<'a> {
    /// Opens the directory and reads how it is logs. None, once it was said
    /// why, if there is no such directory to be had.
    fn open(place: &'a CStr, head: usize, ctx: Context<'a>) -> Option<Self> {
        let report = ctx.report;
        let reporter = LogReporter { place, report };
        let give_up = |trouble: StepError<'_>| {
            // runit closes it by the name that it has for it so far.
            let place = match trouble.step {
                LogStep::OpenDirectory => None,
                LogStep::ChdirToLogDir(_) | LogStep::Lock => Some(c""),
                _ => Some(place),
            };
            if let Some(place) = place {
                LogReporter { place, report }.event(LogEvent::Closed);
            }
            report(&LogReport::Error(trouble));
        };
        let here = LockedLogDir::enter(LogPolicy::Svlogd, place, ctx)
            .map_err(give_up)
            .ok()?;
        let mut config = read_config(reporter);
        config.log_dir.slack = head;
        let directory = here.open(config.log_dir.clone()).map_err(give_up).ok()?;
        let socket = config.peer.map(|_| UdpSocket::bind(("0.0.0.0", 0)));
        Some(OpenLog {
            directory,
            config,
            socket: socket.and_then(Result::ok),
            text: Vec::new(),
            written: true,
        })
    }

    /// Whether lines may be told of here.
    fn alerts(&self) -> bool {
        let mut rules = self.config.rules.iter();
        rules.any(|rule| rule.effect == RuleEffect::Alert(true))
    }

    /// Looks at lines, tells of those that are to be told of and sends those
    /// that are to be sent. They are written by [`OpenLog::append`].
    fn filter(&mut self, stamped_text: &StampedText<'_>, format: &LineFormat) {
        if self.is_unfiltered() {
            return;
        }
        let prefix = &self.config.prefix;
        let mut before = stamped_text
            .stamp
            .map_or(Vec::new(), |stamp| stamp.to_vec());
        if !before.is_empty() {
            before.push(b' ');
        }
        before.extend_from_slice(prefix);
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let mut continues = stamped_text.within_line;
        for fragment in lines(stamped_text.text) {
            if !continues {
                let (head, longer) = format.head(fragment);
                let (written, alerted) = self.config.filter(head);
                let end: &[u8] = if longer { b"...\n" } else { b"\n" };
                let short = || [&before, head, end].concat();
                if alerted {
                    write_stderr(&short());
                }
                if written && (self.config.peer.is_some() || self.config.sent_only) {
                    self.send(&short(), &mut text);
                }
                self.written = written && !self.config.sent_only;
                if self.written {
                    text.extend_from_slice(&before);
                }
            }
            if self.written {
                text.extend_from_slice(fragment);
            }
            continues = false;
        }
        self.text = text;
    }

    /// BufferEmulation the lines that were looked at, as far as they go here.
    fn append(&mut self, stamped_text: &StampedText<'_>) {
        if self.is_unfiltered() {
            self.directory.append_lines(stamped_text.stamped);
        } else {
            self.directory.append_lines(&self.text);
        }
    }

    /// Whether all lines are written here as they are written elsewhere.
    fn is_unfiltered(&self) -> bool {
        let ConfigFile {
            rules,
            prefix,
            peer,
            sent_only,
            ..
        } = &self.config;
        rules.is_empty() && prefix.is_empty() && peer.is_none() && !sent_only
    }

    /// Sends a line, and writes to the directory what is wrong with that.
    fn send(&self, line: &[u8], text: &mut Vec<u8>) {
        let Some(peer) = self.config.peer else {
            return;
        };
        let wrong: &[u8] = match &self.socket {
            None => b"warning: no udp socket available: ",
            Some(socket) => match socket.send_to(line, peer) {
                Ok(length) if length == line.len() => return,
                _ => b"warning: failure sending through udp: ",
            },
        };
        text.extend_from_slice(wrong);
        text.extend_from_slice(line);
    }
}

/// Reads the configuration in the current directory. What cannot be read is
/// said, and counts as far as it was read.
fn read_config(reporter: LogReporter<'_>) -> ConfigFile {
    let mut text = Vec::new();
    match open_read(CONFIG) {
        Err(Errno::ENOENT) => return ConfigFile::default(),
        Err(error) => {
            reporter.event(LogEvent::ConfigUnreadable(error));
            return ConfigFile::default();
        }
        Ok(file) => {
            let mut buffer = [0; 4096];
            loop {
                match read(&file, &mut buffer) {
                    Ok(0) => break,
                    Ok(length) => text.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                    Err(Errno::EINTR) => {}
                    Err(error) => {
                        reporter.event(LogEvent::ConfigUnreadable(error));
                        break;
                    }
                }
            }
        }
    }
    reporter.event(LogEvent::ConfigRead);
    ConfigFile::parse(&text, |mistake| {
        reporter.event(LogEvent::ConfigWarning(&mistake))
    })
}
