//! A reader between any two calls of a rotation.
//!
//! A script repeats the calls of a logger on a log directory. A schedule lets the
//! reader run at some of the moments between them. With any schedule, the reader
//! returns each line once and in order, except lines of files that the logger
//! removed before.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use daemontools_core::label::Label;
use fastrand::Rng;

use crate::directory_reader::{DirectoryReader, Next, Start};
use crate::source::Source;
use crate::warning::ReadWarning;
use crate::watch::LogWatcher;

/// The first second of the loggers' clock.
const START: i64 = 1_700_000_000;

/// One or a few calls of a logger.
#[derive(Clone, Copy, Debug)]
enum Call {
    /// Appends this many lines to `current`.
    Append(u32),
    /// Appends the start of a line to `current`, and later its end.
    AppendHalf,
    /// Appends the rest of the line, if there is one.
    AppendRest,
    /// Appends the start of a line that the logger never finishes.
    AppendCut,
    Rename(Name, Name),
    Create,
    Link(Name, Name),
    Unlink(Name),
    /// Creates `Name` with the first half of the finished file.
    ProcessHalf(Name),
    /// Completes `Name` by the processor's output.
    ProcessRest(Name),
    /// Removes the oldest file if there are more than this many.
    Retain(usize),
    /// Sets the clock back by this many seconds.
    StepBack(i64),
}
use Call::{
    Append, AppendCut, AppendHalf, AppendRest, Create, Link, ProcessHalf, ProcessRest, Rename,
    Retain, StepBack, Unlink,
};

/// A name in the log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Current,
    Previous,
    Processed,
    /// The label of the present rotation with this suffix.
    Old(&'static str),
}
use Name::{Current, Old, Previous, Processed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Logger {
    Multilog,
    MultilogProcessor,
    Svlogd,
    SvlogdProcessor,
}

impl Logger {
    const ALL: [Logger; 4] = [
        Logger::Multilog,
        Logger::MultilogProcessor,
        Logger::Svlogd,
        Logger::SvlogdProcessor,
    ];

    /// The calls of one rotation.
    fn rotation(self) -> Vec<Call> {
        match self {
            Logger::Multilog => vec![
                Rename(Current, Previous),
                Create,
                Link(Previous, Old("s")),
                Unlink(Previous),
            ],
            Logger::MultilogProcessor => vec![
                Rename(Current, Previous),
                Create,
                ProcessHalf(Processed),
                ProcessRest(Processed),
                Unlink(Previous),
                Link(Processed, Old("s")),
                Unlink(Processed),
            ],
            Logger::Svlogd => vec![Rename(Current, Old("s")), Create],
            Logger::SvlogdProcessor => vec![
                Rename(Current, Old("u")),
                Create,
                Append(1),
                ProcessHalf(Old("t")),
                Append(1),
                ProcessRest(Old("t")),
                Rename(Old("t"), Old("s")),
                Unlink(Old("u")),
            ],
        }
    }

    /// Rotations among lines. Files above `files` are removed.
    fn script(self, rotations: usize, files: usize) -> Vec<Call> {
        let mut calls = vec![Create, Append(2)];
        for _ in 0..rotations {
            calls.extend([Append(1), AppendHalf, AppendRest, Append(1)]);
            calls.extend(self.rotation());
            calls.push(Retain(files));
        }
        calls.push(Append(2));
        calls
    }
}

/// The output of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Processor {
    /// `cat`.
    Copy,
    /// `grep -v`: removes lines, also the first ones. See [`is_kept`].
    Filter,
}

#[derive(Clone, Copy, Debug)]
struct Form {
    stamped: bool,
    processor: Processor,
}

/// A log directory, and all lines that were written to it.
struct World {
    directory: tempfile::TempDir,
    form: Form,
    current: Option<File>,
    /// The clock in microseconds since START.
    clock: i64,
    label: Label,
    /// The number of lines.
    lines: u32,
    /// The numbers of the lines in each inode that was removed for good.
    removed: Vec<Vec<u32>>,
    rest: Option<Vec<u8>>,
}

impl World {
    fn new(form: Form) -> Self {
        World {
            directory: tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .unwrap(),
            form,
            current: None,
            clock: 0,
            label: Label::from_unix(START, 0),
            lines: 0,
            removed: Vec::new(),
            rest: None,
        }
    }

    fn source(&self) -> Source {
        Source {
            service: b"web".to_vec(),
            path: self.directory.path().to_owned(),
        }
    }

    fn now(&mut self) -> Label {
        self.clock += 1000;
        let (seconds, micros) = (
            self.clock.div_euclid(1_000_000),
            self.clock.rem_euclid(1_000_000),
        );
        Label::from_unix(START + seconds, u32::try_from(micros).unwrap())
    }

    fn path(&self, name: Name) -> PathBuf {
        let label = String::from_utf8(self.label.text().to_vec()).unwrap();
        let name = match name {
            Current => "current".to_owned(),
            Previous => "previous".to_owned(),
            Processed => "processed".to_owned(),
            Old(suffix) => format!("{label}.{suffix}"),
        };
        self.directory.path().join(name)
    }

    fn line(&mut self) -> Vec<u8> {
        let stamp = self.now().text();
        let number = self.lines;
        self.lines += 1;
        let line = format!("line {number}\n").into_bytes();
        if self.form.stamped {
            [&stamp[..], b" ", &line].concat()
        } else {
            line
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        self.current.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// The processor's input and output.
    fn process(&self) -> Vec<u8> {
        let input = [Previous, Old("u")].map(|name| fs::read(self.path(name)));
        let input = input.into_iter().find_map(Result::ok).unwrap();
        match self.form.processor {
            Processor::Copy => input,
            Processor::Filter => {
                let lines = input.split_inclusive(|byte| *byte == b'\n');
                let is_kept = |line: &&[u8]| {
                    let line = std::str::from_utf8(line).unwrap();
                    number(line.trim_end()).is_none_or(is_kept)
                };
                lines.filter(is_kept).flatten().copied().collect()
            }
        }
    }

    fn call(&mut self, call: Call) {
        match call {
            Append(count) => {
                for _ in 0..count {
                    let line = self.line();
                    self.append(&line);
                }
            }
            AppendHalf => {
                let line = self.line();
                let (half, rest) = line.split_at(line.len() - 3);
                self.append(half);
                self.rest = Some(rest.to_vec());
            }
            AppendRest => {
                if let Some(rest) = self.rest.take() {
                    self.append(&rest);
                }
            }
            AppendCut => {
                let line = self.line();
                self.append(line.strip_suffix(b"\n").unwrap());
            }
            Rename(from, to) => {
                if from == Current {
                    self.label = self.now();
                    let finished = fs::Permissions::from_mode(0o744);
                    fs::set_permissions(self.path(from), finished).unwrap();
                }
                fs::rename(self.path(from), self.path(to)).unwrap();
            }
            Create => {
                let file = File::options()
                    .append(true)
                    .create_new(true)
                    .open(self.path(Current));
                self.current = Some(file.unwrap());
                let unfinished = fs::Permissions::from_mode(0o644);
                fs::set_permissions(self.path(Current), unfinished).unwrap();
            }
            Link(from, to) => {
                self.label = self.now();
                fs::hard_link(self.path(from), self.path(to)).unwrap();
            }
            Unlink(name) => fs::remove_file(self.path(name)).unwrap(),
            ProcessHalf(name) => {
                let output = self.process();
                fs::write(self.path(name), &output[..output.len() / 2]).unwrap();
            }
            ProcessRest(name) => {
                let output = self.process();
                fs::write(self.path(name), output).unwrap();
                let finished = fs::Permissions::from_mode(0o744);
                fs::set_permissions(self.path(name), finished).unwrap();
            }
            Retain(files) => self.retain(files),
            StepBack(seconds) => self.clock -= seconds * 1_000_000,
        }
    }

    fn retain(&mut self, files: usize) {
        let mut names: Vec<_> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with('@'))
            .collect();
        names.sort();
        while names.len() > files {
            let path = self.directory.path().join(names.remove(0));
            let content = fs::read_to_string(&path).unwrap();
            self.removed
                .push(content.lines().filter_map(number).collect());
            assert_eq!(path.metadata().unwrap().nlink(), 1);
            fs::remove_file(path).unwrap();
        }
    }
}

/// Whether the filter keeps a line.
fn is_kept(number: u32) -> bool {
    number % 5 > 1
}

/// The number of a line.
fn number(line: &str) -> Option<u32> {
    line.rsplit_once("line ")?.1.parse().ok()
}

/// How the reader goes on at each of its moments.
#[derive(Clone, Copy, Debug)]
enum Mode {
    /// One reader all the time.
    Held,
    /// As `Held`, and a watch reports all names to the reader.
    Watched,
    /// As `Held`, and the reader closes its file after each moment.
    Suspended,
    /// Both.
    WatchedSuspended,
    /// A new reader at the old one's position, as after a kill with a cursor.
    Reopened,
}

/// The numbers of the lines that a reader returned, and the files that it missed.
struct Read {
    numbers: Vec<u32>,
    gone: u64,
    reader: Option<DirectoryReader>,
    watcher: LogWatcher,
    /// The number of files that were removed before the first moment.
    removed: Option<usize>,
}

impl Read {
    fn open(&mut self, source: &Source, mode: Mode, start: Start) -> DirectoryReader {
        let mut reader = DirectoryReader::open(source, start).unwrap();
        match mode {
            Mode::Held | Mode::Suspended => {}
            Mode::Watched | Mode::WatchedSuspended | Mode::Reopened => {
                self.watcher = LogWatcher::default();
                self.watcher.watch_log(0, &source.path);
                reader.attach(self.watcher.feed(0));
            }
        }
        reader
    }

    /// Reads up to `limit` lines.
    fn run(&mut self, world: &World, mode: Mode, limit: usize) {
        let source = world.source();
        let old = self.reader.take();
        self.removed.get_or_insert(world.removed.len());
        let mut reader = match (old, mode) {
            (None, _) => self.open(&source, mode, Start::Oldest),
            (Some(reader), Mode::Reopened) => {
                let start = reader.position().map_or(Start::Oldest, Start::At);
                drop(reader);
                self.open(&source, mode, start)
            }
            (Some(reader), _) => reader,
        };
        for _ in 0..limit {
            match reader.next_line().unwrap() {
                Next::Line(line) => {
                    assert!(line.is_start && line.is_end, "{line:?}");
                    let text = std::str::from_utf8(line.text).unwrap();
                    self.numbers.extend(number(text));
                }
                Next::AtEnd => break,
            }
        }
        for warning in reader.take_warnings() {
            match warning {
                ReadWarning::Gone(count) => self.gone += count,
                other => panic!("{other:?}"),
            }
        }
        if matches!(mode, Mode::Suspended | Mode::WatchedSuspended) {
            reader.suspend();
        }
        self.reader = Some(reader);
    }
}

/// Runs a script; `reads` decides how many lines the reader reads before each
/// call. Then all lines are read.
fn run(script: &[Call], form: Form, mode: Mode, mut reads: impl FnMut(usize) -> usize) {
    let mut world = World::new(form);
    let mut read = Read {
        numbers: Vec::new(),
        gone: 0,
        reader: None,
        watcher: LogWatcher::default(),
        removed: None,
    };
    let mut schedule = Vec::new();
    for (moment, call) in script.iter().enumerate() {
        let limit = if moment == 0 { 0 } else { reads(moment) };
        schedule.push(limit);
        if limit > 0 {
            read.run(&world, mode, limit);
        }
        world.call(*call);
    }
    read.run(&world, mode, usize::MAX);
    let context = || {
        format!(
            "{script:?}\n{form:?} {mode:?} {schedule:?}\nread {:?}",
            read.numbers
        )
    };
    let mut numbers = read.numbers.clone();
    // A reader that starts after a step of the clock cannot tell the order of the
    // files by their names.
    let step = script.iter().position(|call| matches!(call, StepBack(_)));
    let start = schedule.iter().position(|limit| *limit > 0);
    if step.is_some_and(|step| start.is_none_or(|start| start > step)) {
        numbers.sort_unstable();
    }
    let is_ordered = numbers.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(is_ordered, "lines out of order or doubled\n{}", context());
    let have: BTreeSet<u32> = read.numbers.iter().copied().collect();
    let missing: BTreeSet<u32> = (0..world.lines)
        .filter(|line| !have.contains(line))
        .collect();
    let removed: BTreeSet<u32> = world.removed.iter().flatten().copied().collect();
    let is_filtered = |line: &&u32| form.processor == Processor::Filter && !is_kept(**line);
    let lost = missing.difference(&removed);
    let lost: Vec<_> = lost.filter(|line| !is_filtered(line)).collect();
    assert!(lost.is_empty(), "lost {lost:?}\n{}", context());
    let gone = read.gone;
    // Only a watch knows of files that came and went between two moments.
    if matches!(mode, Mode::Watched | Mode::WatchedSuspended) {
        let is_gone = |file: &&Vec<u32>| file.iter().any(|line| missing.contains(line));
        let removed = world.removed.iter().skip(read.removed.unwrap());
        let files = removed.filter(is_gone).count() as u64;
        // The reader of a file that was removed while it was closed does not know
        // whether it had read all of it.
        let is_exact = matches!(mode, Mode::Watched);
        let is_counted = gone == files || !is_exact && gone > files;
        assert!(
            is_counted,
            "{gone} gone, missing {missing:?}\n{}",
            context()
        );
    }
}

/// Each pair of moments, and random schedules.
fn run_all(script: &[Call], form: Form) {
    let modes = [
        Mode::Held,
        Mode::Watched,
        Mode::Suspended,
        Mode::WatchedSuspended,
        Mode::Reopened,
    ];
    for mode in modes {
        // Without a watch, the names do not tell the order of the files.
        let has_step = script.iter().any(|call| matches!(call, StepBack(_)));
        if has_step && !matches!(mode, Mode::Watched | Mode::WatchedSuspended) {
            continue;
        }
        for first in (1..=script.len()).step_by(3) {
            for second in (first..=script.len()).step_by(17) {
                run(script, form, mode, |moment| {
                    if moment == first || moment == second {
                        usize::MAX
                    } else {
                        0
                    }
                });
            }
        }
        for seed in 0..6 {
            let mut rng = Rng::with_seed(seed);
            let rate = rng.f64();
            run(script, form, mode, |_| {
                if rng.f64() < rate {
                    *rng.choice(&[1, 1, 2, 3, usize::MAX]).unwrap()
                } else {
                    0
                }
            });
        }
    }
}

const FORMS: [Form; 2] = [
    Form {
        stamped: true,
        processor: Processor::Copy,
    },
    Form {
        stamped: false,
        processor: Processor::Copy,
    },
];

#[test]
fn each_line_is_read_once_at_any_moment() {
    for logger in Logger::ALL {
        for form in FORMS {
            run_all(&logger.script(2, 100), form);
        }
    }
}

#[test]
fn removed_files_cost_only_their_lines() {
    for logger in Logger::ALL {
        for form in FORMS {
            for files in [1, 2] {
                run_all(&logger.script(4, files), form);
            }
        }
    }
}

#[test]
fn clock_that_steps_back_loses_no_line() {
    for logger in Logger::ALL {
        for form in FORMS {
            let script = logger.script(3, 100);
            for at in [3, script.len() / 2] {
                let mut script = script.clone();
                script.insert(at, StepBack(5));
                run_all(&script, form);
            }
        }
    }
}

#[test]
fn cut_line_at_the_end_of_a_file_is_read() {
    for logger in Logger::ALL {
        for form in FORMS {
            // A killed logger leaves a cut line, and the next one starts a file.
            // Without stamps, the line could go on in the next file.
            if !form.stamped {
                continue;
            }
            let mut script = vec![Create, Append(2), AppendCut];
            script.extend(logger.rotation());
            script.push(Append(1));
            run_all(&script, form);
        }
    }
}
