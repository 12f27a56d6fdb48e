//! The actions of a script as stages that process each line.

use std::ops::Range;
use std::time::Duration;

use cli::text::write_stderr;
use daemontools_core::short_text::ShortText;
use nix::errno::Errno;

use crate::batch::{Batch, ReadEmulation};
use crate::directory::{Context, LockedLogDir, LogDir};
use crate::event::StepError;
use crate::multilog::pattern::StarPattern;
use crate::multilog::prefix::{Prefix, PrefixedLines};
use crate::multilog::print::{PrintedLines, SharedOutput};
use crate::multilog::script::{Script, ScriptAction};
use crate::multilog::status_file::StatusFile;
use crate::policy::LogPolicy;
use crate::shortage;
use crate::tai64::stamp::STAMP;
use crate::text_buffer::TextBuffer;

/// The number of selected ranges of a batch for which there is room from the start.
const FIRST_RUNS: usize = 64;

/// The maximum number of bytes of a line in an alert.
const ALERT: usize = 200;

/// The actions of a script with their open files.
#[derive(Debug)]
pub struct Pipeline<'a> {
    stages: Vec<Stage<'a>>,
    /// Whether a stage depends on single lines.
    by_line: bool,
    /// Standard output, if a stage prints to it.
    output: Option<SharedOutput>,
    /// Whether there is no other destination.
    only_prints: bool,
}

/// As [`ScriptAction`], with open files.
#[derive(Debug)]
enum Stage<'a> {
    Deselect(StarPattern<'a>),
    Select(StarPattern<'a>),
    Alert(Prefix<'a>),
    Status(StatusFile<'a>, Prefix<'a>),
    /// Appends every line, without a prefix.
    AppendAll(LogDir<'a>),
    /// Appends the selected lines, without a prefix.
    AppendSelected(LogDir<'a>, Selection),
    /// Appends the selected lines, with a prefix.
    AppendPrefixed(LogDir<'a>, PrefixedLines<'a>),
    Print(PrintedLines<'a>),
}

/// The lines of a batch that are selected for one log directory.
#[derive(Debug, Default)]
struct Selection {
    text: TextBuffer,
    /// The ranges of the selected text in the batch.
    runs: Vec<Range<usize>>,
    /// Whether the text starts within a line.
    within_line: bool,
    /// Whether the latest line is selected.
    selected: bool,
    /// The end of the examined part of the batch.
    examined: usize,
}

impl<'a> Pipeline<'a> {
    /// Opens the files of a script, relative to the starting directory: first
    /// all status files, then all log directories. The action `1` needs `output`.
    ///
    /// # Errors
    /// The step that failed.
    pub fn open(
        script: &Script<'a>,
        ctx: Context<'a>,
        output: Option<SharedOutput>,
    ) -> Result<Self, StepError<'a>> {
        shortage::wait_from_now_on(ctx.report);
        let mut statuses = Vec::new();
        for action in &script.actions {
            if let ScriptAction::Status(name) = action {
                statuses.push(StatusFile::open(name, ctx.origin, ctx.report)?);
            }
        }
        let mut statuses = statuses.into_iter();
        let mut prefix = Prefix {
            stamp: if script.stamped { STAMP } else { 0 },
            text: b"",
        };
        let mut stages = Vec::with_capacity(script.actions.len());
        let mut all = true;
        for action in &script.actions {
            stages.extend(match action {
                ScriptAction::Deselect(pattern) => {
                    all = false;
                    Some(Stage::Deselect(pattern.clone()))
                }
                ScriptAction::Select(pattern) => Some(Stage::Select(pattern.clone())),
                ScriptAction::Alert => Some(Stage::Alert(prefix)),
                ScriptAction::Status(_) => {
                    statuses.next().map(|status| Stage::Status(status, prefix))
                }
                ScriptAction::Prefix(text) => {
                    prefix.text = text;
                    None
                }
                ScriptAction::Print => {
                    let lines = PrefixedLines::new(prefix);
                    Some(Stage::Print(PrintedLines::new(lines, stages.len())))
                }
                ScriptAction::Append(name, config) => {
                    let directory = LockedLogDir::enter(LogPolicy::Multilog, name, ctx)?
                        .open(config.clone())?;
                    Some(if !prefix.text.is_empty() {
                        Stage::AppendPrefixed(directory, PrefixedLines::new(prefix))
                    } else if all {
                        Stage::AppendAll(directory)
                    } else {
                        Stage::AppendSelected(directory, Selection::new())
                    })
                }
            });
        }
        let by_line = stages.iter().any(|stage| match stage {
            Stage::Alert(_)
            | Stage::Status(..)
            | Stage::AppendSelected(..)
            | Stage::AppendPrefixed(..)
            | Stage::Print(_) => true,
            Stage::Deselect(_) | Stage::Select(_) | Stage::AppendAll(_) => false,
        });
        let only_prints = script.only_prints();
        if let Some(output) = output.as_ref().filter(|_| !only_prints) {
            output.report_closed();
        }
        Ok(Pipeline {
            stages,
            by_line,
            output,
            only_prints,
        })
    }

    /// Passes a batch through all stages.
    pub fn process(&mut self, batch: &Batch<'_>) {
        if self.by_line {
            self.select(batch);
        }
        for stage in &mut self.stages {
            match stage {
                Stage::AppendAll(directory) => directory.append(batch),
                Stage::AppendSelected(directory, selection) => {
                    directory.append(&selection.batch(batch));
                }
                Stage::AppendPrefixed(directory, lines) => directory.append(&lines.batch()),
                Stage::Deselect(_)
                | Stage::Select(_)
                | Stage::Alert(_)
                | Stage::Status(..)
                | Stage::Print(_) => {}
            }
        }
        if self.output.is_some() {
            self.print();
        }
    }

    /// Prints lines to standard output. A blocked output delays no log directory,
    /// which already has the lines.
    #[cold]
    fn print(&mut self) {
        let Some(output) = &mut self.output else {
            return;
        };
        let printed = self.stages.iter_mut().filter_map(|stage| match stage {
            Stage::Print(lines) => Some(lines),
            _ => None,
        });
        if output.print(printed) && !self.only_prints {
            output.report_closed();
        }
    }

    /// The error that closed standard output, if the script has no other
    /// destination.
    #[must_use]
    pub fn output_error(&self) -> Option<Errno> {
        let output = self.output.as_ref().filter(|_| self.only_prints);
        output.and_then(SharedOutput::closed)
    }

    /// Closes each `current` that is not empty.
    pub fn rotate(&mut self) {
        self.directories().for_each(LogDir::rotate);
    }

    /// Closes each `current` that exceeds its age limit, and divides a stalled line
    /// on standard output. Returns the time until the next one does.
    pub fn handle_expired(&mut self) -> Option<Duration> {
        let remaining = self.directories().filter_map(LogDir::rotate_if_expired);
        let remaining = remaining.min();
        match &mut self.output {
            None => remaining,
            Some(output) => remaining.into_iter().chain(output.divide_stalled()).min(),
        }
    }

    /// Finishes all log directories.
    pub fn finish(&mut self) {
        self.directories().for_each(LogDir::finish);
    }

    fn select(&mut self, batch: &Batch<'_>) {
        for stage in &mut self.stages {
            match stage {
                Stage::AppendSelected(_, selection) => selection.start(batch),
                Stage::AppendPrefixed(_, lines) | Stage::Print(PrintedLines { lines, .. }) => {
                    lines.start(batch);
                }
                _ => {}
            }
        }
        for fragment in batch.fragments() {
            if !fragment.continues {
                self.filter(fragment.head(), batch.text, fragment.start);
            }
        }
        let (text, end) = (batch.text, batch.text.len());
        for stage in &mut self.stages {
            match stage {
                Stage::AppendSelected(_, selection) => selection.copy_until(text, end),
                Stage::AppendPrefixed(_, lines) | Stage::Print(PrintedLines { lines, .. }) => {
                    lines.copy_until(text, end);
                }
                _ => {}
            }
        }
    }

    /// Passes the head of the line at offset `start` of `text` through all
    /// stages. The rest of the line shares the selection of its head.
    fn filter(&mut self, head: &[u8], text: &[u8], start: usize) {
        let mut selected = true;
        for stage in &mut self.stages {
            match stage {
                Stage::Deselect(pattern) if selected => selected = !pattern.matches(head),
                Stage::Select(pattern) if !selected => selected = pattern.matches(head),
                Stage::Alert(prefix) if selected => alert(&prefix.insert(head)),
                Stage::Status(status, prefix) if selected => status.set(&prefix.insert(head)),
                Stage::AppendSelected(_, selection) => {
                    selection.set_selected(selected, text, start);
                }
                Stage::AppendPrefixed(_, lines) | Stage::Print(PrintedLines { lines, .. }) => {
                    lines.start_line(selected, text, start);
                }
                Stage::Deselect(_)
                | Stage::Select(_)
                | Stage::Alert(_)
                | Stage::Status(..)
                | Stage::AppendAll(_) => {}
            }
        }
    }

    fn directories(&mut self) -> impl Iterator<Item = &mut LogDir<'a>> {
        self.stages.iter_mut().filter_map(|stage| match stage {
            Stage::AppendAll(directory)
            | Stage::AppendSelected(directory, _)
            | Stage::AppendPrefixed(directory, _) => Some(directory),
            Stage::Deselect(_)
            | Stage::Select(_)
            | Stage::Alert(_)
            | Stage::Status(..)
            | Stage::Print(_) => None,
        })
    }
}

impl Selection {
    fn new() -> Self {
        Selection {
            text: TextBuffer::with_room(),
            runs: Vec::with_capacity(FIRST_RUNS),
            ..Selection::default()
        }
    }

    fn start(&mut self, batch: &Batch<'_>) {
        self.text.clear();
        self.runs.clear();
        self.examined = 0;
        self.within_line = batch.within_line && self.selected;
    }

    /// Sets whether the text from `start` on is selected.
    fn set_selected(&mut self, selected: bool, text: &[u8], start: usize) {
        if selected != self.selected {
            self.copy_until(text, start);
            self.selected = selected;
        }
    }

    /// Copies the selected text before `end`, adjacent lines in one step.
    fn copy_until(&mut self, text: &[u8], end: usize) {
        if self.selected {
            let run = self.examined..end;
            let lines = text.get(self.examined..).unwrap_or_default();
            self.text.push_start(lines, run.len());
            shortage::push(&mut self.runs, run);
        }
        self.examined = end;
    }

    /// The selected part of `batch`.
    fn batch<'b>(&'b self, batch: &Batch<'b>) -> Batch<'b> {
        Batch {
            text: self.text.text(),
            within_line: self.within_line,
            reads: ReadEmulation {
                selected: Some(&self.runs),
                ..batch.reads
            },
        }
    }
}

/// Writes the start of a line, which is in parts, to standard error.
fn alert(head: &[&[u8]]) {
    let mut message = ShortText::<{ ALERT + 4 }>::new();
    let mut room = ALERT;
    for part in head {
        let part = part.get(..room).unwrap_or(part);
        message.push(part);
        room -= part.len();
    }
    let is_cut = head.iter().map(|part| part.len()).sum::<usize>() > ALERT;
    message.push(if is_cut { b"...\n" } else { b"\n" });
    write_stderr(&message);
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use daemontools_core::label::Label;

    use super::*;
    use crate::lines::Lines;
    use crate::multilog::original::Original;
    use crate::rotation::Rotation;
    use crate::scene::Scene;

    fn select(selection: &mut Selection, batch: &Batch<'_>, selects: &dyn Fn(&[u8]) -> bool) {
        selection.start(batch);
        for fragment in batch.fragments() {
            if !fragment.continues {
                selection.set_selected(selects(fragment.head()), batch.text, fragment.start);
            }
        }
        selection.copy_until(batch.text, batch.text.len());
    }

    /// The files of a log directory in memory.
    struct Log {
        selection: Option<Selection>,
        rotation: Rotation,
        files: Vec<Vec<u8>>,
    }

    impl Log {
        fn take(&mut self, batch: &Batch<'_>, selects: &dyn Fn(&[u8]) -> bool) {
            let mut points = Vec::new();
            let text = if let Some(selection) = &mut self.selection {
                select(selection, batch, selects);
                let selected = selection.batch(batch);
                self.rotation.split_points(&selected, &mut points);
                selected.text
            } else {
                self.rotation.split_points(batch, &mut points);
                batch.text
            };
            let mut start = 0;
            for point in points {
                self.files.last_mut().unwrap().extend(&text[start..point]);
                self.files.push(Vec::new());
                start = point;
            }
            self.files.last_mut().unwrap().extend(&text[start..]);
        }
    }

    #[test]
    fn selection_continues_a_selected_line() {
        for selected in [false, true] {
            let mut lines = Lines::new(false);
            let mut selection = Selection::default();
            let mut seen = Vec::new();
            for read in [&[b'x'; 1500][..], b"rest\nnext\n"] {
                lines.read_buffer()[..read.len()].copy_from_slice(read);
                let batch = lines.batch(read.len(), Label::now);
                select(&mut selection, &batch, &|head| selected || head == b"next");
                let batch = selection.batch(&batch);
                seen.push((batch.text.len(), batch.within_line));
            }
            let expected = if selected {
                [(1500, false), (10, true)]
            } else {
                [(0, false), (5, false)]
            };
            assert_eq!(seen, expected);
        }
    }

    /// Lines with lengths next to the sizes of buffers and reads, some longer
    /// than all of them.
    fn input(random: &mut fastrand::Rng, length: usize) -> Vec<u8> {
        let lengths: &[usize] = random
            .choice([
                &[0, 1, 9, 99, 199][..],
                &[88],
                &[510, 511, 512, 513, 599],
                &[972, 973, 974, 998, 999, 1000, 1001, 1002],
                &[1999, 2094, 2095, 2096, 4094, 4095, 4096, 8999],
                &[0, 1, 10, 100, 511, 1000, 3000],
                &[20, 300, 550, 700, 1500],
                &[0, 88, 88, 88, 88, 88, 150_000],
            ])
            .unwrap();
        let mut input = Vec::new();
        while input.len() < length {
            let length = *random.choice(lengths).unwrap();
            input.extend(std::iter::repeat_n(
                *random.choice(b"abc\0").unwrap(),
                length,
            ));
            input.push(b'\n');
        }
        input.truncate(input.len() - random.usize(0..3));
        input
    }

    #[test]
    fn files_match_those_of_the_original() {
        let label = Label::from_unix(1_000_000_000, 0);
        let stamp = [&label.text()[..], b" "].concat();
        let mut random = fastrand::Rng::with_seed(1);
        let mut closed = 0;
        for _ in 0..200 {
            let stamped = random.bool();
            let size = match random.u8(..3) {
                0 => random.usize(4096..8192),
                1 => random.usize(4096..100_000),
                _ => 16_777_215,
            };
            let (chunk, length) = random
                .choice([
                    (1, 5000),
                    (100, 20_000),
                    (1000, 20_000),
                    (1024, 30_000),
                    (4096, 60_000),
                    (65_536, 200_000),
                ])
                .unwrap();
            let input = input(&mut random, length);
            // Each byte of the head affects the selection.
            let modulus = random.u32(1..4);
            let selects = |head: &[u8]| {
                let sum: u32 = head.iter().copied().map(u32::from).sum();
                modulus == 1 || sum % modulus == 0
            };

            let mut lines = Lines::new(stamped);
            let mut log = Log {
                selection: (modulus > 1 || random.bool()).then(Selection::default),
                rotation: Rotation::new(size.try_into().unwrap(), 2000, 0),
                files: vec![Vec::new()],
            };
            for read in input.chunks(chunk) {
                lines.read_buffer()[..read.len()].copy_from_slice(read);
                log.take(&lines.batch(read.len(), || label), &selects);
            }
            if let Some(batch) = lines.finish(|| label) {
                log.take(&batch, &selects);
            }

            let stamp = if stamped { &stamp[..] } else { b"" };
            let original = Original::new(stamp, &selects, size).run(&input, chunk);
            let lengths: Vec<_> = original.iter().map(Vec::len).collect();
            let seen: Vec<_> = log.files.iter().map(Vec::len).collect();
            assert_eq!(seen, lengths, "size {size}, chunks of {chunk}");
            assert!(log.files == original);
            closed += original.len() - 1;
        }
        assert!(closed > 300, "{closed} files closed");
    }

    /// Passes reads through the actions of a script in an empty directory.
    fn run<'a>(
        scene: &'a Scene,
        words: &[&'a CStr],
        output: Option<SharedOutput>,
        reads: &[&[u8]],
    ) -> Pipeline<'a> {
        let script = Script::parse(words).unwrap();
        let mut pipeline = Pipeline::open(&script, scene.context(), output).unwrap();
        let mut lines = Lines::new(script.stamped);
        let now = || Label::from_unix(1_000_000_000, 0);
        for read in reads {
            lines.read_buffer()[..read.len()].copy_from_slice(read);
            pipeline.process(&lines.batch(read.len(), now));
        }
        pipeline
    }

    fn text(scene: &Scene, name: &str) -> String {
        std::fs::read_to_string(scene.path(name)).unwrap()
    }

    #[test]
    fn directory_gets_lines_selected_before_it() {
        let scene = Scene::new();
        let words = [
            c"./all",
            c"-b*",
            c"./some",
            c"+bb*",
            c"-a",
            c"./more",
            c"=one",
            c"pweb: ",
            c"./web",
            c"=two",
            c"p",
            c"-*",
            c"=nothing",
            c"./none",
        ];
        let mut pipeline = run(&scene, &words, None, &[b"a\nb\nc", b"\nbb\nbc\nd\nb"]);
        for (directory, expected) in [
            ("all", "a\nb\nc\nbb\nbc\nd\n"),
            ("some", "a\nc\nd\n"),
            ("more", "c\nbb\nd\n"),
            ("web", "web: c\nweb: bb\nweb: d\n"),
            ("none", ""),
        ] {
            let seen = text(&scene, &format!("{directory}/current"));
            assert_eq!(seen, expected, "{directory}");
        }
        for (status, line) in [("one", "d"), ("two", "web: d")] {
            let record = text(&scene, status);
            assert_eq!((record.trim_end(), record.len()), (line, 1001));
        }
        assert_eq!(text(&scene, "nothing"), "");
        assert_eq!(pipeline.handle_expired(), None);
        assert_eq!(pipeline.output_error(), None);
        pipeline.finish();
        for directory in ["all", "some", "more", "web", "none"] {
            assert!(scene.files(directory)[0].starts_with("744 current"));
        }
    }

    #[test]
    fn rest_of_a_long_line_shares_its_selection() {
        let scene = Scene::new();
        let words = [c"t", c"-*", c"+* y*", c"./plain", c"pweb: ", c"./web"];
        let long = |first: u8| [&[first][..], &[b'z'; 1500]].concat();
        let (dropped, kept) = (long(b'x'), long(b'y'));
        let reads = [&dropped[..], b"y\n", &kept, b"x\ny\n"];
        run(&scene, &words, None, &reads);
        let label = String::from_utf8(Label::from_unix(1_000_000_000, 0).text().into()).unwrap();
        let kept = String::from_utf8(kept).unwrap();
        let expected = format!("{label} {kept}x\n{label} y\n");
        assert!(text(&scene, "plain/current") == expected);
        let expected = format!("{label} web: {kept}x\n{label} web: y\n");
        assert!(text(&scene, "web/current") == expected);
    }

    #[test]
    fn alarm_closes_each_file_with_lines() {
        let scene = Scene::new();
        let words = [c"R3600", c"./all", c"-*", c"./none"];
        let mut pipeline = run(&scene, &words, None, &[b"line\n"]);
        assert!(pipeline.handle_expired().is_some());
        pipeline.rotate();
        assert!(scene.files("all")[0].ends_with(".s \"line\\n\""));
        assert_eq!(scene.files("none"), ["644 current \"\"", "644 state \"\""]);
        assert_eq!(pipeline.handle_expired(), None);
    }

    #[test]
    fn selected_lines_are_printed_with_their_prefix() {
        let scene = Scene::new();
        scene.write("output", "", 0o644);
        let output = SharedOutput::for_file(&scene.path("output"), true);
        let words = [c"-b*", c"1", c"pweb: ", c"1", c"./log"];
        run(&scene, &words, Some(output), &[b"a\nb\nc\n"]);
        assert_eq!(text(&scene, "output"), "a\nc\nweb: a\nweb: c\n");
        assert_eq!(text(&scene, "log/current"), "web: a\nweb: c\n");
    }

    #[test]
    fn closed_output_matters_without_directories() {
        for (words, error) in [(&[c"1"][..], Some(Errno::EBADF)), (&[c"1", c"./log"], None)] {
            let scene = Scene::new();
            scene.write("output", "", 0o644);
            let output = SharedOutput::for_file(&scene.path("output"), false);
            let pipeline = run(&scene, words, Some(output), &[b"a\n", b"b\n"]);
            assert_eq!(pipeline.output_error(), error);
            let printed = Scene::reports().into_iter().filter(|step| step == "Print");
            assert_eq!(printed.count(), usize::from(error.is_none()));
        }
    }
}
