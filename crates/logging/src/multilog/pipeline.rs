//! The actions of a script, carried out for every line.

use std::ops::Range;
use std::time::Duration;

use cli::text;
use cli::text::write_stderr;

use crate::batch::{Batch, ReadEmulation};
use crate::directory::{Context, LockedLogDir, LogDir};
use crate::event::StepError;
use crate::multilog::pattern::StarPattern;
use crate::multilog::script::{Script, ScriptAction};
use crate::multilog::status_file::StatusFile;
use crate::policy::LogPolicy;

/// How much of a line an alert shows.
const ALERT: usize = 200;

/// Everything that a script writes to.
#[derive(Debug)]
pub struct Pipeline<'a> {
    stages: Vec<Stage<'a>>,
    /// Whether single lines matter, or all go everywhere.
    by_line: bool,
}

/// As in the script, with what is open.
#[derive(Debug)]
enum Stage<'a> {
    Deselect(StarPattern<'a>),
    Select(StarPattern<'a>),
    Alert,
    Status(StatusFile<'a>),
    /// Appends every line.
    AppendAll(LogDir<'a>),
    /// Appends the selected lines.
    AppendSelected(LogDir<'a>, Selection),
}

/// The selected lines of a batch.
#[derive(Debug, Default)]
struct Selection {
    text: Vec<u8>,
    /// Where it is in the text of the batch.
    runs: Vec<Range<usize>>,
    /// Whether the text begins within a line.
    within_line: bool,
    /// Whether the line that came last is selected.
    selected: bool,
    /// Up to here the batch was looked at for what is selected.
    taken: usize,
}

impl<'a> Pipeline<'a> {
    /// Opens all that a script names, from where it was started: status files
    /// first, then directories.
    ///
    /// # Errors
    /// The step that failed.
    pub fn open(script: &Script<'a>, ctx: Context<'a>) -> Result<Self, StepError<'a>> {
        let mut statuses = Vec::new();
        for action in &script.actions {
            if let ScriptAction::Status(name) = action {
                statuses.push(Stage::Status(StatusFile::open(
                    name, ctx.origin, ctx.report,
                )?));
            }
        }
        let mut statuses = statuses.into_iter();
        let mut stages = Vec::new();
        let mut all = true;
        for action in &script.actions {
            stages.extend(match action {
                ScriptAction::Deselect(pattern) => {
                    all = false;
                    Some(Stage::Deselect(pattern.clone()))
                }
                ScriptAction::Select(pattern) => Some(Stage::Select(pattern.clone())),
                ScriptAction::Alert => Some(Stage::Alert),
                ScriptAction::Status(_) => statuses.next(),
                ScriptAction::Append(name, terms) => {
                    let directory =
                        LockedLogDir::enter(LogPolicy::Multilog, name, ctx)?.open(terms.clone())?;
                    Some(if all {
                        Stage::AppendAll(directory)
                    } else {
                        Stage::AppendSelected(directory, Selection::default())
                    })
                }
            });
        }
        let by_line = stages.iter().any(|action| match action {
            Stage::Alert | Stage::Status(_) | Stage::AppendSelected(..) => true,
            Stage::Deselect(_) | Stage::Select(_) | Stage::AppendAll(_) => false,
        });
        Ok(Pipeline { stages, by_line })
    }

    /// Carries out the actions for a batch.
    pub fn process(&mut self, batch: &Batch<'_>) {
        if self.by_line {
            self.select(batch);
        }
        for action in &mut self.stages {
            match action {
                Stage::AppendAll(directory) => directory.append(batch),
                Stage::AppendSelected(directory, selection) => {
                    directory.append(&selection.batch(batch));
                }
                Stage::Deselect(_) | Stage::Select(_) | Stage::Alert | Stage::Status(_) => {}
            }
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

    /// Leaves everything finished.
    pub fn finish(&mut self) {
        self.directories().for_each(LogDir::finish);
    }

    fn select(&mut self, batch: &Batch<'_>) {
        self.selections()
            .for_each(|selection| selection.begin(batch));
        for fragment in batch.whole().fragments() {
            if !fragment.continues {
                self.filter(fragment.head(), batch.text, fragment.start);
            }
        }
        self.selections()
            .for_each(|selection| selection.take(batch.text, batch.text.len()));
    }

    /// Carries out the actions for the head of a line, which begins at `start`
    /// in `text`; what else there is of it follows where its head went.
    fn filter(&mut self, head: &[u8], text: &[u8], start: usize) {
        let mut selected = true;
        for action in &mut self.stages {
            match action {
                Stage::Deselect(pattern) if selected => selected = !pattern.matches(head),
                Stage::Select(pattern) if !selected => selected = pattern.matches(head),
                Stage::Alert if selected => alert(head),
                Stage::Status(status) if selected => status.show(head),
                Stage::AppendSelected(_, selection) => {
                    selection.set_selected(selected, text, start)
                }
                Stage::Deselect(_)
                | Stage::Select(_)
                | Stage::Alert
                | Stage::Status(_)
                | Stage::AppendAll(_) => {}
            }
        }
    }

    fn directories(&mut self) -> impl Iterator<Item = &mut LogDir<'a>> {
        self.stages.iter_mut().filter_map(|action| match action {
            Stage::AppendAll(directory) | Stage::AppendSelected(directory, _) => Some(directory),
            Stage::Deselect(_) | Stage::Select(_) | Stage::Alert | Stage::Status(_) => None,
        })
    }

    fn selections(&mut self) -> impl Iterator<Item = &mut Selection> {
        self.stages.iter_mut().filter_map(|action| match action {
            Stage::AppendSelected(_, selection) => Some(selection),
            _ => None,
        })
    }
}

impl Selection {
    fn begin(&mut self, batch: &Batch<'_>) {
        self.text.clear();
        self.runs.clear();
        self.taken = 0;
        self.within_line = batch.within_line && self.selected;
    }

    /// From `start` on, lines are selected or not.
    fn set_selected(&mut self, selected: bool, text: &[u8], start: usize) {
        if selected != self.selected {
            self.take(text, start);
            self.selected = selected;
        }
    }

    /// Takes what is selected up to `end`. Lines that are selected one after
    /// the other are taken together.
    fn take(&mut self, text: &[u8], end: usize) {
        if self.selected {
            let run = self.taken..end;
            let lines = text.get(run.clone()).unwrap_or_default();
            self.text.extend_from_slice(lines);
            self.runs.push(run);
        }
        self.taken = end;
    }

    /// What is selected of `batch`.
    fn batch<'b>(&'b self, batch: &Batch<'b>) -> Batch<'b> {
        Batch {
            text: &self.text,
            within_line: self.within_line,
            reads: ReadEmulation {
                selected: Some(&self.runs),
                ..batch.reads
            },
        }
    }
}

fn alert(head: &[u8]) {
    match head.split_at_checked(ALERT) {
        Some((beginning, [_, ..])) => write_stderr(&text![beginning, "...\n"]),
        _ => write_stderr(&text![head, "\n"]),
    }
}

#[cfg(test)]
mod tests {
    use daemontools_core::label::Label;

    use super::*;
    use crate::lines::Lines;
    use crate::multilog::original::Original;
    use crate::rotation::Rotation;

    fn select(selection: &mut Selection, batch: &Batch<'_>, selects: &dyn Fn(&[u8]) -> bool) {
        selection.begin(batch);
        for fragment in batch.whole().fragments() {
            if !fragment.continues {
                selection.set_selected(selects(fragment.head()), batch.text, fragment.start);
            }
        }
        selection.take(batch.text, batch.text.len());
    }

    /// A log directory without a system.
    struct Log {
        selection: Option<Selection>,
        rotation: Rotation,
        files: Vec<Vec<u8>>,
    }

    impl Log {
        fn take(&mut self, batch: &Batch<'_>, selects: &dyn Fn(&[u8]) -> bool) {
            let mut cuts = Vec::new();
            let text = if let Some(selection) = &mut self.selection {
                select(selection, batch, selects);
                let selected = selection.batch(batch);
                self.rotation.take(&selected, &mut cuts);
                selected.text
            } else {
                self.rotation.take(batch, &mut cuts);
                batch.text
            };
            let mut start = 0;
            for cut in cuts {
                self.files.last_mut().unwrap().extend(&text[start..cut]);
                self.files.push(Vec::new());
                start = cut;
            }
            self.files.last_mut().unwrap().extend(&text[start..]);
        }
    }

    #[test]
    fn what_is_selected_begins_within_a_line_if_that_line_is_selected() {
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

    /// Lines of lengths about which something changes; some are longer than
    /// all buffers.
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
    fn files_are_those_of_the_original() {
        let label = Label::from_unix(1_000_000_000, 0);
        let stamp = [&label.text()[..], b" "].concat();
        let mut random = fastrand::Rng::with_seed(1);
        let mut ended = 0;
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
            // By any byte of the head, so that all of it counts.
            let modulus = random.u32(1..4);
            let selects = |head: &[u8]| {
                let sum: u32 = head.iter().copied().map(u32::from).sum();
                modulus == 1 || sum % modulus == 0
            };

            let mut lines = Lines::new(stamped);
            let mut log = Log {
                selection: (modulus > 1 || random.bool()).then(Selection::default),
                rotation: Rotation::new(size, 2000, 0),
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
            let original = Original::new(stamp, &selects, size).of(&input, chunk);
            let lengths: Vec<_> = original.iter().map(Vec::len).collect();
            let seen: Vec<_> = log.files.iter().map(Vec::len).collect();
            assert_eq!(seen, lengths, "size {size}, chunks of {chunk}");
            assert!(log.files == original);
            ended += original.len() - 1;
        }
        assert!(ended > 300, "{ended} files ended");
    }
}
