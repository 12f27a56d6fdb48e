//! The log directories of svlogd, and what becomes of lines in each.

use std::ffi::CStr;
use std::net::UdpSocket;
use std::time::Duration;

use cli::text::write_stderr;
use daemontools_core::label::TEXT;
use nix::errno::Errno;
use nix::unistd::read;
use unix::file::open_read;

use super::config::{Config, Verdict};
use super::line::{Form, Stamps};
use crate::batch::{Batch, lines, split_line};
use crate::directory::{Directory, Place, Surroundings};
use crate::event::{Event, News, Step, Trouble, Voice};
use crate::policy::Policy;
use crate::stamp::Stamper;

/// The file that says how the directory is kept.
const CONFIG: &CStr = c"config";

/// Every log directory that svlogd was told of.
#[derive(Debug)]
pub struct Logs<'a> {
    form: &'a Form,
    places: &'a [&'a CStr],
    around: Surroundings<'a>,
    /// Whether what is told is to be in the order of the lines.
    in_order: bool,
    /// None is one that cannot be had.
    kept: Vec<Option<Log<'a>>>,
    stamper: Stamper,
    /// When the line that is held back began to be read.
    began: Option<[u8; TEXT]>,
    /// Stamped text; kept for its memory.
    text: Vec<u8>,
}

/// A log directory.
#[derive(Debug)]
struct Log<'a> {
    directory: Directory<'a>,
    config: Config,
    socket: Option<UdpSocket>,
    /// What goes to `current` of the lines that are read.
    text: Vec<u8>,
    /// Whether the line that came last goes there.
    written: bool,
}

/// Lines, and what stands before each.
#[derive(Clone, Copy, Debug)]
struct Passage<'a> {
    /// As read, and replaced.
    text: &'a [u8],
    /// Whether the text begins within a line, whose head came before.
    within_line: bool,
    /// The stamp, if lines have one.
    stamp: Option<[u8; TEXT]>,
    /// All of the text with the stamp before each line.
    stamped: &'a [u8],
}

impl<'a> Logs<'a> {
    /// The directories `places`, none of which is open yet. With `in_order`,
    /// what is told of them is told in the order of the lines.
    #[must_use]
    pub fn new(
        form: &'a Form,
        places: &'a [&'a CStr],
        in_order: bool,
        around: Surroundings<'a>,
    ) -> Self {
        Logs {
            form,
            places,
            around,
            in_order,
            kept: places.iter().map(|_| None).collect(),
            stamper: Stamper::default(),
            began: None,
            text: Vec::new(),
        }
    }

    /// Closes each directory and opens it again, as its configuration then
    /// says; whether any can be had.
    pub fn reopen(&mut self) -> bool {
        for (log, place) in self.kept.iter_mut().zip(self.places) {
            if let Some(log) = log.take() {
                log.directory.close();
            }
            *log = Log::open(place, self.form.head, self.around);
        }
        self.kept.iter().any(Option::is_some)
    }

    /// Stamps lines with the moment in which their first byte was read, and
    /// passes them to each directory.
    pub fn pass(&mut self, batch: &Batch<'_>) {
        let now = self.form.stamps.map(Stamps::now);
        let in_order = self.in_order || self.kept.iter().flatten().any(Log::alerts);
        let mut held = batch.reads.held > 0;
        for part in batch.parts(in_order) {
            let (mut text, mut within_line) = (part.text, part.within_line);
            if std::mem::take(&mut held) && now.is_some() {
                let (first, rest) = split_line(text);
                self.pass_lines(first, within_line, self.began);
                (text, within_line) = (rest, false);
            }
            if !text.is_empty() {
                self.pass_lines(text, within_line, now);
            }
        }
        if batch.reads.held == 0 || !batch.text.is_empty() {
            self.began = now;
        }
    }

    fn pass_lines(&mut self, text: &[u8], within_line: bool, stamp: Option<[u8; TEXT]>) {
        let stamped = stamp.as_ref().map_or(text, |stamp| {
            self.text.clear();
            self.stamper.stamp(text, stamp, &mut self.text);
            &self.text
        });
        let passage = Passage {
            text,
            within_line,
            stamp,
            stamped,
        };
        // All of them tell of a line before one writes it.
        for log in self.kept.iter_mut().flatten() {
            log.look_at(&passage, self.form);
        }
        for log in self.kept.iter_mut().flatten() {
            log.write_down(&passage);
        }
    }

    /// Closes every file that is not empty.
    pub fn rotate(&mut self) {
        self.directories().for_each(Directory::rotate);
    }

    /// Closes every file that is too old; how long until the next one is.
    pub fn look_at_ages(&mut self) -> Option<Duration> {
        let ages = self.directories().filter_map(Directory::look_at_age);
        ages.min()
    }

    /// Takes what processors that have ended have made.
    pub fn look_at_processors(&mut self) {
        self.directories().for_each(Directory::look_at_processor);
    }

    /// Leaves everything finished.
    pub fn finish(&mut self) {
        self.directories().for_each(Directory::finish);
    }

    fn directories(&mut self) -> impl Iterator<Item = &mut Directory<'a>> {
        let kept = self.kept.iter_mut().flatten();
        kept.map(|log| &mut log.directory)
    }
}

impl<'a> Log<'a> {
    /// Opens the directory and reads how it is kept. None, once it was said
    /// why, if there is no such directory to be had.
    fn open(place: &'a CStr, head: usize, around: Surroundings<'a>) -> Option<Self> {
        let tell = around.tell;
        let voice = Voice { place, tell };
        let give_up = |trouble: Trouble<'_>| {
            // runit closes it by the name that it has for it so far.
            let place = match trouble.step {
                Step::OpenDirectory => None,
                Step::Switch(_) | Step::Lock => Some(c""),
                _ => Some(place),
            };
            if let Some(place) = place {
                Voice { place, tell }.news(News::Closed);
            }
            tell(&Event::Trouble(trouble));
        };
        let here = Place::enter(Policy::Svlogd, place, around)
            .map_err(give_up)
            .ok()?;
        let mut config = read_config(voice);
        config.terms.slack = head;
        let directory = here.open(config.terms.clone()).map_err(give_up).ok()?;
        let socket = config.peer.map(|_| UdpSocket::bind(("0.0.0.0", 0)));
        Some(Log {
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
        rules.any(|rule| rule.verdict == Verdict::Alerted(true))
    }

    /// Looks at lines, tells of those that are to be told of and sends those
    /// that are to be sent. They are written by [`Log::write_down`].
    fn look_at(&mut self, passage: &Passage<'_>, form: &Form) {
        if self.takes_all() {
            return;
        }
        let prefix = &self.config.prefix;
        let mut before = passage.stamp.map_or(Vec::new(), |stamp| stamp.to_vec());
        if !before.is_empty() {
            before.push(b' ');
        }
        before.extend_from_slice(prefix);
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let mut continues = passage.within_line;
        for piece in lines(passage.text) {
            if !continues {
                let (head, longer) = form.head(piece);
                let (written, alerted) = self.config.judge(head);
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
                text.extend_from_slice(piece);
            }
            continues = false;
        }
        self.text = text;
    }

    /// Writes the lines that were looked at, as far as they go here.
    fn write_down(&mut self, passage: &Passage<'_>) {
        if self.takes_all() {
            self.directory.append_lines(passage.stamped);
        } else {
            self.directory.append_lines(&self.text);
        }
    }

    /// Whether all lines are written here as they are written elsewhere.
    fn takes_all(&self) -> bool {
        let Config {
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
fn read_config(voice: Voice<'_>) -> Config {
    let mut text = Vec::new();
    match open_read(CONFIG) {
        Err(Errno::ENOENT) => return Config::default(),
        Err(error) => {
            voice.news(News::NotConfigured(error));
            return Config::default();
        }
        Ok(file) => {
            let mut buffer = [0; 4096];
            loop {
                match read(&file, &mut buffer) {
                    Ok(0) => break,
                    Ok(length) => text.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                    Err(Errno::EINTR) => {}
                    Err(error) => {
                        voice.news(News::NotConfigured(error));
                        break;
                    }
                }
            }
        }
    }
    voice.news(News::Configured);
    Config::parse(&text, |mistake| voice.news(News::Mistaken(&mistake)))
}
