//! A reader beside a simulated logger.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// A log directory with a logger that renames as multilog or svlogd does.
struct Logger {
    directory: TempDir,
    current: File,
    /// The next label, in microseconds.
    clock: u32,
    /// The steps of a rotation that were not taken yet.
    rotation: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Rename(String, String),
    Link(String, String),
    Remove(String),
    /// A processor that writes the same lines to another file, or some of them.
    Copy(String, String, bool),
    Finish(String),
    CreateCurrent,
}

impl Logger {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let current = File::create(directory.path().join("current")).unwrap();
        let (clock, rotation) = (0, Vec::new());
        Logger {
            directory,
            current,
            clock,
            rotation,
        }
    }

    fn source(&self) -> Source {
        Source {
            service: b"web".to_vec(),
            path: self.directory.path().to_owned(),
        }
    }

    fn label(&mut self) -> String {
        self.clock += 1;
        let label = Label::from_unix(1_000_000_000, self.clock);
        String::from_utf8(label.text().to_vec()).unwrap()
    }

    fn write(&mut self, text: &str) {
        self.current.write_all(text.as_bytes()).unwrap();
    }

    fn steps(&mut self, kind: u32) -> Vec<Step> {
        let name = |name: &str| name.to_owned();
        let label = self.label();
        let [s, u, t] = ["s", "u", "t"].map(|suffix| format!("{label}.{suffix}"));
        let rename = Step::Rename;
        let mut steps = match kind {
            0 => vec![
                rename(name("current"), name("previous")),
                Step::CreateCurrent,
                Step::Link(name("previous"), s),
                Step::Remove(name("previous")),
            ],
            1 | 2 => vec![
                rename(name("current"), name("previous")),
                Step::CreateCurrent,
                Step::Copy(name("previous"), name("processed"), kind == 2),
                Step::Finish(name("processed")),
                Step::Remove(name("previous")),
                Step::Link(name("processed"), s),
                Step::Remove(name("processed")),
            ],
            3 => vec![rename(name("current"), s), Step::CreateCurrent],
            _ => vec![
                rename(name("current"), u.clone()),
                Step::CreateCurrent,
                Step::Copy(u.clone(), t.clone(), false),
                rename(t, s),
                Step::Remove(u),
            ],
        };
        steps.reverse();
        steps
    }

    /// Takes a step of the rotation.
    fn step(&mut self) {
        let path = |name: &str| self.directory.path().join(name);
        match self.rotation.pop() {
            None => {}
            Some(Step::Rename(from, to)) => fs::rename(path(&from), path(&to)).unwrap(),
            Some(Step::Link(from, to)) => fs::hard_link(path(&from), path(&to)).unwrap(),
            Some(Step::Remove(name)) => fs::remove_file(path(&name)).unwrap(),
            Some(Step::Copy(from, to, is_lossy)) => {
                let text = fs::read_to_string(path(&from)).unwrap();
                let is_kept = |line: &&str| !is_lossy || !line.contains('7');
                let kept: String = text.split_inclusive('\n').filter(is_kept).collect();
                fs::write(path(&to), kept).unwrap();
            }
            Some(Step::Finish(name)) => {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(path(&name), fs::Permissions::from_mode(0o744)).unwrap();
            }
            Some(Step::CreateCurrent) => self.current = File::create(path("current")).unwrap(),
        }
    }

    fn can_write(&self) -> bool {
        let is_missing = |step: &Step| matches!(step, Step::CreateCurrent);
        !self.rotation.iter().any(is_missing)
    }

    fn rotate(&mut self, kind: u32) {
        self.rotation = self.steps(kind);
        while !self.rotation.is_empty() {
            self.step();
        }
    }
}

/// The complete lines that are there now.
fn read(reader: &mut DirectoryReader) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    while let Next::Line(piece) = reader.next_line().unwrap() {
        assert_eq!(piece.is_start, line.is_empty());
        line.extend_from_slice(piece.text);
        if piece.is_end {
            lines.push(String::from_utf8(std::mem::take(&mut line)).unwrap());
        }
    }
    lines
}

fn open(logger: &Logger) -> DirectoryReader {
    DirectoryReader::open(&logger.source(), Start::Oldest).unwrap()
}

#[test]
fn lines_of_all_files_come_in_order() {
    let mut logger = Logger::new();
    for kind in 0..5 {
        logger.write(&format!("{kind} a\n{kind} b\n"));
        logger.rotate(kind);
    }
    logger.write("last\npartial");
    let mut reader = open(&logger);
    let mut expected: Vec<_> = (0..5)
        .flat_map(|kind| [format!("{kind} a"), format!("{kind} b")])
        .collect();
    expected.push("last".to_owned());
    assert_eq!(read(&mut reader), expected);
    let rest = reader.take_rest().unwrap();
    assert_eq!(
        (rest.text, rest.is_start, rest.is_end),
        (&b"partial"[..], true, true)
    );
    assert_eq!(reader.take_rest(), None);
    logger.write(" line\n");
    let Next::Line(rest) = reader.next_line().unwrap() else {
        panic!("no line");
    };
    assert_eq!(
        (rest.text, rest.is_start, rest.is_end),
        (&b" line"[..], false, true)
    );
}

#[test]
fn line_across_files_is_one_line() {
    let mut logger = Logger::new();
    let stamp = "@400000003b9aca0a000001f4";
    logger.write(&format!("{stamp} start "));
    logger.rotate(0);
    logger.write("middle ");
    logger.rotate(3);
    logger.write(&format!("end of a line that was cut twice\n{stamp} cut"));
    logger.rotate(0);
    logger.write(&format!("{stamp} next\n"));
    let mut reader = open(&logger);
    let expected = [
        format!("{stamp} start middle end of a line that was cut twice"),
        format!("{stamp} cut"),
        format!("{stamp} next"),
    ];
    assert_eq!(read(&mut reader), expected);
}

#[test]
fn long_line_comes_in_pieces() {
    let mut logger = Logger::new();
    let long = "x".repeat(1 << 20);
    logger.write(&format!("first\n@400000003b9aca0a000001f4 {long}"));
    logger.rotate(0);
    logger.write(&format!("{long}\nlast\n"));
    let mut reader = DirectoryReader::with_buffer(&logger.source(), Start::Oldest, 4096).unwrap();
    let (mut pieces, mut bytes, mut stamps) = (0, 0, 0);
    while let Next::Line(line) = reader.next_line().unwrap() {
        assert!(line.text.len() <= 4096);
        (pieces, bytes) = (pieces + 1, bytes + line.text.len());
        stamps += usize::from(line.stamp.is_some());
    }
    assert!(pieces > 500);
    assert_eq!((bytes, stamps), (5 + 26 + (2 << 20) + 4, 1));
}

#[test]
fn truncated_current_is_read_from_its_start() {
    let mut logger = Logger::new();
    let mut reader = open(&logger);
    logger.write("one\ntwo\n");
    assert_eq!(read(&mut reader), ["one", "two"]);
    logger.current.set_len(0).unwrap();
    logger.current = OpenOptions::new()
        .append(true)
        .open(logger.directory.path().join("current"))
        .unwrap();
    logger.write("3\n");
    assert_eq!(read(&mut reader), ["3"]);
}

#[test]
fn removed_files_are_counted() {
    let mut logger = Logger::new();
    let mut reader = open(&logger);
    let mut watcher = crate::watch::LogWatcher::default();
    watcher.watch_log(0, logger.directory.path());
    reader.attach(watcher.feed(0));
    logger.write("one\n");
    assert_eq!(read(&mut reader), ["one"]);
    let remove_oldest = |path: &Path| {
        let files = crate::log_files::list(path).unwrap();
        fs::remove_file(path.join(&files[0].name)).unwrap();
    };
    logger.rotate(0);
    for number in 0..4 {
        logger.write(&format!("{number}\n"));
        logger.rotate(0);
    }
    for _ in 0..3 {
        remove_oldest(logger.directory.path());
    }
    // The first of them was read.
    assert_eq!(read(&mut reader), ["2", "3"]);
    assert_eq!(reader.take_warnings(), [ReadWarning::Gone(2)]);
    assert_eq!(reader.take_warnings(), []);
}

/// A reader that is polled, suspended and replaced at random returns each line
/// once, in order.
#[test]
fn random_rotations_lose_and_repeat_nothing() {
    let mut random = fastrand::Rng::with_seed(16);
    for case in 0..400 {
        let mut logger = Logger::new();
        let kinds = [0, 1, 2, 3, 4];
        let kind = kinds[random.usize(..kinds.len())];
        let has_stamps = kind == 2 || random.bool();
        let mut reader = open(&logger);
        let (mut expected, mut seen, mut log) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..random.u32(..60) {
            for _ in 0..random.usize(..3) {
                let line = if has_stamps {
                    format!("{} {case} {number}", logger.label())
                } else {
                    format!("{case} {number}")
                };
                if logger.can_write() {
                    let line = if random.u8(..20) == 0 {
                        line + &"x".repeat(9000)
                    } else {
                        line
                    };
                    logger.write(&format!("{line}\n"));
                    expected.push(line);
                }
            }
            match random.u8(..8) {
                0 | 1 if logger.rotation.is_empty() => {
                    logger.rotation = logger.steps(kind);
                    log.push(format!("{number} rotate"));
                }
                2..5 => {
                    log.push(format!("{number} step {:?}", logger.rotation.last()));
                    logger.step();
                }
                5 => {
                    reader.suspend();
                    log.push(format!("{number} suspend"));
                }
                6 if random.bool() => {
                    let start = reader.position().map_or(Start::Oldest, Start::At);
                    log.push(format!("{number} {start:?}"));
                    let buffer = random.usize(100..9000);
                    reader = DirectoryReader::with_buffer(&logger.source(), start, buffer).unwrap();
                }
                _ => {
                    seen.extend(read(&mut reader));
                    log.push(format!("{number} read, now {}", seen.len()));
                }
            }
        }
        while !logger.rotation.is_empty() {
            logger.step();
        }
        seen.extend(read(&mut reader));
        if kind == 2 {
            // The processor removes lines, before or after they are read.
            expected.retain(|line| !line.contains('7') || seen.contains(line));
        }
        assert!(
            seen == expected,
            "{case}, kind {kind}:\n{}\n{seen:#?}\n{expected:#?}",
            log.join("\n")
        );
        // A processor may remove all lines of a file, which then looks removed.
        if kind != 2 {
            assert_eq!(
                reader.take_warnings(),
                [],
                "{case}, kind {kind}:\n{}",
                log.join("\n")
            );
        }
    }
}
