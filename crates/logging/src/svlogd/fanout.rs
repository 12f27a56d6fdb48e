//! The log directories of svlogd: each filters lines by its own file `config`.

use std::ffi::CStr;
use std::net::{SocketAddrV4, UdpSocket};
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
use crate::shortage;
use crate::tai64::stamp::Stamper;
use crate::text_buffer::TextBuffer;

/// The lengths of the start of a line and of its reported part for which there is
/// room from the start, in bytes.
const FIRST_START: usize = 128;
const FIRST_SHORT: usize = 1536;

/// The memory that a configuration may need, in bytes.
const SETTINGS: usize = 64 * 1024;

/// The configuration file of a log directory.
const CONFIG: &CStr = c"config";

/// The log directories of a running svlogd.
#[derive(Debug)]
pub struct LogFanout<'a> {
    format: &'a LineFormat,
    paths: &'a [&'a CStr],
    ctx: Context<'a>,
    /// Whether to report in the order of the lines.
    in_order: bool,
    /// The log of each path, or None if the directory cannot be used.
    logs: Vec<Option<OpenLog<'a>>>,
    stamper: Stamper,
    /// The stamp of the held line: the time of its first byte.
    held_stamp: Option<[u8; TEXT]>,
    /// Stamped text. The field reuses the allocation.
    text: TextBuffer,
}

/// An open log directory.
#[derive(Debug)]
struct OpenLog<'a> {
    directory: LogDir<'a>,
    config: ConfigFile,
    socket: Option<UdpSocket>,
    buffers: Buffers,
    /// Whether the latest line is selected.
    selected: bool,
}

/// The buffers of a log directory, which outlive a reading of its configuration.
#[derive(Debug)]
struct Buffers {
    /// The selected text of the latest input.
    text: TextBuffer,
    /// The start of each line: the stamp and the prefix.
    start: Vec<u8>,
    /// The part of a line that is reported or sent.
    short: Vec<u8>,
}

/// Lines that share a stamp.
#[derive(Clone, Copy, Debug)]
struct StampedText<'a> {
    /// The lines without stamps, after replacement of characters.
    text: &'a [u8],
    /// Whether the text starts within a line with an already processed head.
    within_line: bool,
    /// The stamp, if lines have one.
    stamp: Option<[u8; TEXT]>,
    /// The text with the stamp before each line.
    stamped: &'a [u8],
}

impl<'a> LogFanout<'a> {
    /// The log directories `paths`, none open. With `in_order`, events are
    /// reported in the order of the lines.
    #[must_use]
    pub fn new(
        format: &'a LineFormat,
        paths: &'a [&'a CStr],
        in_order: bool,
        ctx: Context<'a>,
    ) -> Self {
        shortage::wait_from_now_on(ctx.report);
        LogFanout {
            format,
            paths,
            ctx,
            in_order,
            logs: paths.iter().map(|_| None).collect(),
            stamper: Stamper::default(),
            held_stamp: None,
            text: if format.timestamp.is_some() {
                TextBuffer::with_room()
            } else {
                TextBuffer::default()
            },
        }
    }

    /// Closes all directories and opens them again with their present
    /// configuration. Returns whether at least one is open.
    pub fn reopen(&mut self) -> bool {
        for (log, path) in self.logs.iter_mut().zip(self.paths) {
            shortage::wait_for_room(SETTINGS);
            let buffers = log.take().map(|log| {
                log.directory.close();
                log.buffers
            });
            *log = OpenLog::open(path, self.format, self.ctx, buffers);
        }
        self.logs.iter().any(Option::is_some)
    }

    /// Stamps each line with the time of its first byte and passes the lines
    /// to all directories.
    pub fn process(&mut self, batch: &Batch<'_>) {
        let now = self.format.timestamp.map(TimestampStyle::now);
        let in_order = self.in_order || self.logs.iter().flatten().any(OpenLog::has_alerts);
        let held = batch.reads.held > 0;
        let (mut rest, mut within_line) = (batch.text, batch.within_line);
        if held && now.is_some() {
            let (first, later) = split_line(rest);
            // A held line has no head in earlier batches.
            self.process_text(first, within_line, self.held_stamp);
            rest = later;
        }
        if in_order {
            for line in lines(rest) {
                self.process_text(line, within_line, now);
                within_line = false;
            }
        } else {
            self.process_text(rest, within_line, now);
        }
        if !held || !batch.text.is_empty() {
            self.held_stamp = now;
        }
    }

    fn process_text(&mut self, text: &[u8], within_line: bool, stamp: Option<[u8; TEXT]>) {
        if text.is_empty() {
            return;
        }
        let stamped = stamp.as_ref().map_or(text, |stamp| {
            self.text.clear();
            self.stamper.stamp(text, stamp, &mut self.text);
            self.text.text()
        });
        let stamped_text = StampedText {
            text,
            within_line,
            stamp,
            stamped,
        };
        // The alerts of all directories precede the first write.
        for log in self.logs.iter_mut().flatten() {
            log.filter(&stamped_text, self.format);
        }
        for log in self.logs.iter_mut().flatten() {
            log.append(&stamped_text);
        }
    }

    /// Closes each `current` that is not empty.
    pub fn rotate(&mut self) {
        self.directories().for_each(LogDir::rotate);
    }

    /// Closes each `current` that exceeds its age limit. Returns the time
    /// until the next one does.
    pub fn rotate_expired(&mut self) -> Option<Duration> {
        let remaining = self.directories().filter_map(LogDir::rotate_if_expired);
        remaining.min()
    }

    /// Collects the output of processors that have exited.
    pub fn collect_processors(&mut self) {
        self.directories().for_each(LogDir::collect_processor);
    }

    /// Finishes all directories.
    pub fn finish(&mut self) {
        self.directories().for_each(LogDir::finish);
    }

    fn directories(&mut self) -> impl Iterator<Item = &mut LogDir<'a>> {
        let logs = self.logs.iter_mut().flatten();
        logs.map(|log| &mut log.directory)
    }
}

impl<'a> OpenLog<'a> {
    /// Opens the directory and reads its configuration. Reports an error and
    /// returns None if the directory cannot be used.
    fn open(
        path: &'a CStr,
        format: &LineFormat,
        ctx: Context<'a>,
        buffers: Option<Buffers>,
    ) -> Option<Self> {
        let report = ctx.report;
        let reporter = LogReporter { path, report };
        let give_up = |error: StepError<'_>| {
            // runit reports the close with the name stored so far.
            let path = match error.step {
                LogStep::OpenDirectory => None,
                LogStep::ChdirToLogDir(_) | LogStep::Lock => Some(c""),
                _ => Some(path),
            };
            if let Some(path) = path {
                LogReporter { path, report }.event(LogEvent::Closed);
            }
            report(&LogReport::Error(error));
        };
        let locked = LockedLogDir::enter(LogPolicy::Svlogd, path, ctx)
            .map_err(give_up)
            .ok()?;
        let mut config = read_config(reporter);
        config.log_dir.slack = u64::try_from(format.head).unwrap_or(u64::MAX);
        let directory = locked.open(config.log_dir.clone()).map_err(give_up).ok()?;
        let socket = config.peer.map(|_| UdpSocket::bind(("0.0.0.0", 0)));
        let mut log = OpenLog {
            directory,
            config,
            socket: socket.and_then(Result::ok),
            buffers: buffers.unwrap_or_default(),
            selected: true,
        };
        if !log.is_unfiltered() {
            log.buffers.text.make_room();
        }
        Some(log)
    }

    /// Whether a rule may write lines to standard error.
    fn has_alerts(&self) -> bool {
        let mut rules = self.config.rules.iter();
        rules.any(|rule| rule.effect == RuleEffect::Alert(true))
    }

    /// Selects lines for [`OpenLog::append`], alerts and sends as configured.
    fn filter(&mut self, input: &StampedText<'_>, format: &LineFormat) {
        if self.is_unfiltered() {
            return;
        }
        let Buffers { text, start, short } = &mut self.buffers;
        start.clear();
        if let Some(stamp) = &input.stamp {
            shortage::extend(start, stamp);
            shortage::extend(start, b" ");
        }
        shortage::extend(start, &self.config.prefix);
        text.clear();
        let mut continues = input.within_line;
        for fragment in lines(input.text) {
            if !continues {
                let (head, is_cut) = format.head(fragment);
                let (selected, alerted) = self.config.evaluate(head);
                let end: &[u8] = if is_cut { b"...\n" } else { b"\n" };
                let is_sent = selected && (self.config.peer.is_some() || self.config.sent_only);
                if alerted || is_sent {
                    short.clear();
                    for part in [start, head, end] {
                        shortage::extend(short, part);
                    }
                }
                if alerted {
                    write_stderr(short);
                }
                if is_sent {
                    send(self.config.peer, self.socket.as_ref(), short, text);
                }
                self.selected = selected && !self.config.sent_only;
                if self.selected {
                    text.push(start);
                }
            }
            if self.selected {
                text.push_start(fragment, fragment.len());
            }
            continues = false;
        }
    }

    /// Appends the lines that [`OpenLog::filter`] selected.
    fn append(&mut self, input: &StampedText<'_>) {
        if self.is_unfiltered() {
            self.directory.append_lines(input.stamped);
        } else {
            self.directory.append_lines(self.buffers.text.text());
        }
    }

    /// Whether all lines are written, without a prefix.
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
}

impl Default for Buffers {
    fn default() -> Self {
        Buffers {
            text: TextBuffer::default(),
            start: Vec::with_capacity(FIRST_START),
            short: Vec::with_capacity(FIRST_SHORT),
        }
    }
}

/// Sends a line. On failure, appends a warning and the line to `text`.
fn send(
    peer: Option<SocketAddrV4>,
    socket: Option<&UdpSocket>,
    line: &[u8],
    text: &mut TextBuffer,
) {
    let Some(peer) = peer else {
        return;
    };
    let warning: &[u8] = match socket {
        None => b"warning: no udp socket available: ",
        Some(socket) => match socket.send_to(line, peer) {
            Ok(length) if length == line.len() => return,
            _ => b"warning: failure sending through udp: ",
        },
    };
    text.push(warning);
    text.push(line);
}

/// Reads `config` in the current directory. After a read error, which is
/// reported, the part read so far counts.
fn read_config(reporter: LogReporter<'_>) -> ConfigFile {
    let mut text = Vec::new();
    match open_read(CONFIG) {
        Err(Errno::ENOENT) => return ConfigFile::default(),
        Err(error) => {
            reporter.event(LogEvent::ConfigUnreadable(error));
            return ConfigFile::default();
        }
        Ok(file) => {
            let mut buffer = [0; 512];
            loop {
                match read(&file, &mut buffer) {
                    Ok(0) => break,
                    Ok(length) => {
                        shortage::extend(&mut text, buffer.get(..length).unwrap_or_default());
                    }
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
    ConfigFile::parse(&text, |warning| {
        reporter.event(LogEvent::ConfigWarning(&warning));
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Lines;
    use crate::scene::Scene;
    use daemontools_core::label::Label;

    const PLAIN: Option<TimestampStyle> = None;

    /// Passes reads to the directories `a` and `b` with these configurations.
    fn run(
        scene: &Scene,
        timestamp: Option<TimestampStyle>,
        configs: [&str; 2],
        reads: &[&[u8]],
    ) -> [String; 2] {
        let format = LineFormat::new(timestamp, 8, None, b"");
        for (directory, config) in ["a", "b"].into_iter().zip(configs) {
            scene.write(&format!("{directory}/config"), config, 0o644);
        }
        let paths = [c"a", c"b"];
        let mut fanout = LogFanout::new(&format, &paths, false, scene.context());
        assert!(fanout.reopen());
        let mut lines = Lines::with_head(8);
        for read in reads {
            lines.read_buffer()[..read.len()].copy_from_slice(read);
            fanout.process(&lines.batch(read.len(), Label::now));
        }
        fanout.finish();
        ["a/current", "b/current"].map(|name| std::fs::read_to_string(scene.path(name)).unwrap())
    }

    #[test]
    fn each_directory_filters_by_its_config() {
        let scene = Scene::new();
        let configs = ["-*\n+a*\n+long*\n", "pweb: \n-b*\n"];
        let reads = [
            &b"a\nb\nc\nlong and"[..],
            b" more\nb and more and",
            b" more\na\n",
        ];
        let [a, b] = run(&scene, PLAIN, configs, &reads);
        assert_eq!(a, "a\nlong and more\na\n");
        assert_eq!(b, "web: a\nweb: c\nweb: long and more\nweb: a\n");
        let reports = Scene::reports();
        let read = reports.iter().filter(|report| *report == "ConfigRead");
        assert_eq!(read.count(), 2);
    }

    #[test]
    fn unfiltered_directory_gets_all_lines() {
        let scene = Scene::new();
        let reads = [&b"a\nb"[..], b"c\n\n"];
        let [a, b] = run(&scene, PLAIN, ["", "e*\nE*\n"], &reads);
        assert_eq!([a, b], ["a\nbc\n\n"; 2]);
    }

    #[test]
    fn stamp_precedes_prefix_and_line() {
        let scene = Scene::new();
        let stamp = Some(TimestampStyle::Label);
        let reads = [&b"one\ntw"[..], b"o and more text", b" of it\nthree\n"];
        let [a, b] = run(&scene, stamp, ["", "pweb: \n"], &reads);
        let lines: Vec<_> = a.lines().map(|line| line.split_at(26)).collect();
        let texts: Vec<_> = lines.iter().map(|(_, text)| *text).collect();
        assert_eq!(texts, ["one", "two and more text of it", "three"]);
        let stamps: Vec<_> = lines.iter().map(|(stamp, _)| *stamp).collect();
        assert!(stamps.is_sorted() && stamps.iter().all(|stamp| stamp.starts_with('@')));
        // The line has the time of its first byte.
        assert_eq!(stamps[0], stamps[1]);
        let prefixed = lines
            .iter()
            .map(|(stamp, text)| [stamp, "web: ", text, "\n"].concat());
        let expected = prefixed.collect::<String>();
        assert_eq!(b, expected);
    }

    #[test]
    fn stamp_is_the_time_of_the_read_of_the_first_byte() {
        let scene = Scene::new();
        let style = TimestampStyle::Label;
        let format = LineFormat::new(Some(style), 8, None, b"");
        let mut fanout = LogFanout::new(&format, &[c"."], false, scene.context());
        assert!(fanout.reopen());
        let mut lines = Lines::with_head(8);
        let mut times = Vec::new();
        // Two reads end within the second line, and one begins the third line.
        for read in ["one\n", "t", "w", "o\nth", "ree\n"] {
            times.push(style.now());
            lines.read_buffer()[..read.len()].copy_from_slice(read.as_bytes());
            fanout.process(&lines.batch(read.len(), Label::now));
        }
        fanout.finish();
        let text = std::fs::read_to_string(scene.path("current")).unwrap();
        for ((line, read), text) in text.lines().zip([0, 1, 3]).zip(["one", "two", "three"]) {
            let (stamp, rest) = line.split_at(TEXT);
            assert_eq!(rest, " ".to_owned() + text);
            let stamp = stamp.as_bytes().try_into().unwrap();
            assert!((times[read]..=times[read + 1]).contains(&stamp), "{text}");
        }
    }

    #[test]
    fn selected_lines_are_sent_cut_to_their_head() {
        let receiver = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        receiver
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let port = receiver.local_addr().unwrap().port();
        let scene = Scene::new();
        let configs = [
            format!("-no*\nU127.0.0.1:{port}\n"),
            format!("-*\n+both\npweb: \nu127.0.0.1:{port}\n"),
        ];
        let configs = configs.each_ref().map(String::as_str);
        let [a, b] = run(&scene, PLAIN, configs, &[b"both\nno\nmore than 8 bytes\n"]);
        assert_eq!([&a[..], &b], ["", "web: both\n"]);
        let mut seen = [(); 3].map(|()| {
            let mut buffer = [0; 100];
            let length = receiver.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        });
        seen.sort();
        assert_eq!(seen, ["both\n", "more tha...\n", "web: both\n"]);
    }

    #[test]
    fn unusable_directory_is_left_out() {
        let scene = Scene::new();
        let format = LineFormat::new(PLAIN, 8, None, b"");
        let paths = [c"a", c"b"];
        let mut fanout = LogFanout::new(&format, &paths, true, scene.context());
        assert!(!fanout.reopen());
        assert_eq!(Scene::reports(), ["OpenDirectory"; 2]);
        scene.write("b/config", "t3600\n", 0o644);
        assert!(fanout.reopen());
        assert!(fanout.rotate_expired().is_some());
        let mut lines = Lines::with_head(8);
        lines.read_buffer()[..5].copy_from_slice(b"line\n");
        fanout.process(&lines.batch(5, Label::now));
        fanout.rotate();
        assert!(scene.files("b")[0].ends_with(".s \"line\\n\""));
        assert!(fanout.reopen());
        fanout.collect_processors();
        fanout.finish();
        assert!(scene.files("b")[1].starts_with("644 config"));
    }

    #[test]
    fn only_alert_rules_need_the_order_of_lines() {
        for (config, alerts) in [("", false), ("+a\n-b\nEa\n", false), ("-*\nea\n", true)] {
            let scene = Scene::new();
            scene.write("a/config", config, 0o644);
            let format = LineFormat::new(None, 8, None, b"");
            let log = OpenLog::open(c"a", &format, scene.context(), None).unwrap();
            assert_eq!(log.has_alerts(), alerts, "{config}");
        }
    }
}
