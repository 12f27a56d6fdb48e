//! Scripts, lines, lengths of reads, and files left in the log directories.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fastrand::Rng;
use testkit::{Outcome, Sandbox, Subject, random};

use crate::faults::in_memory;

const LOGS: [&str; 2] = ["m", "n"];
const STATUS: &str = "status";
/// The size of 0.76's read buffer, in bytes.
const ORIGINAL_READ: usize = 1024;

#[test]
fn any_script_and_input_leaves_same_logs() {
    let memory = in_memory();
    random::compare("multilog", env!("CARGO_BIN_EXE_svok"), 4000, |rng, pair| {
        let rounds = 1 + usize::from(rng.u8(..3) == 0);
        let rounds: Vec<_> = (0..rounds).map(|_| Round::generate(rng)).collect();
        pair.same(|sandbox| {
            let dir = memory.path().join(format!("{:?}", sandbox.subject()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).unwrap();
            let run = |round: &Round| round.run(sandbox, &dir);
            rounds.iter().map(run).collect::<Vec<_>>()
        });
    });
}

/// `S`, `w`, and an `R` too long to take effect: ours keeps the files of the
/// reference without the oldest ones.
#[test]
fn new_words_keep_newest_files_of_reference() {
    let memory = in_memory();
    let built = env!("CARGO_BIN_EXE_svok");
    random::compare("multilog, new words", built, 400, |rng, pair| {
        let size = pick(rng, &[4096, 4500, 6001, 9000]);
        let bytes = if rng.u8(..8) == 0 {
            0
        } else {
            rng.usize(2 * size..8 * size)
        };
        let files = rng.usize(2..9);
        let code = pick(rng, &["s", "gz", "x-1.z"]);
        let processor = (rng.u8(..3) == 0).then_some("!cat");
        let mut words = [
            format!("s{size}"),
            format!("S{bytes}"),
            format!("n{files}"),
            format!("w{code}"),
            "R3600".into(),
        ];
        rng.shuffle(&mut words);
        let inputs: Vec<_> = (0..2).map(|_| input(rng, 60_000)).collect();
        let run = |sandbox: &Sandbox, words: &[String]| {
            let dir = memory.path().join(format!("{:?}", sandbox.subject()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).unwrap();
            for input in &inputs {
                let mut command = sandbox.command("multilog");
                command.args(words).args(processor).arg("./m");
                command.current_dir(&dir);
                let path = dir.join("input");
                fs::write(&path, input).unwrap();
                command.stdin(File::open(path).unwrap());
                sandbox.run(command).succeeds();
            }
            listing(&dir.join("m"), |text| text)
                .into_iter()
                .map_while(|entry| log_file(&entry))
                .collect::<Vec<_>>()
        };
        let mut expected = run(&pair.reference, &[format!("s{size}"), "n999".into()]);
        remove_oldest(&mut expected, files, bytes);
        if processor.is_some() {
            for (end, _) in &mut expected {
                if end == ".s" {
                    *end = format!(".{code}");
                }
            }
        }
        let seen = run(&pair.ours, &words);
        assert!(
            seen == expected,
            "{words:?} {processor:?}: {:?}, and not {:?}",
            shape(&seen),
            shape(&expected)
        );
    });
}

/// The suffix of an archived file, or `current`, and the text. None for other
/// files.
fn log_file(entry: &Entry) -> Option<(String, Vec<u8>)> {
    let end = match entry.name.strip_prefix('@') {
        Some(label) => label.get(24..)?,
        None if entry.name == "current" => "current",
        None => return None,
    };
    Some((end.to_owned(), entry.text.0.clone()))
}

/// Applies the limits `n` and `S` to the files in the order of their creation.
fn remove_oldest(all: &mut Vec<(String, Vec<u8>)>, files: usize, bytes: usize) {
    let bytes = if bytes == 0 { usize::MAX } else { bytes };
    let mut kept: Vec<(String, Vec<u8>)> = Vec::new();
    for file in all.drain(..) {
        let held = |kept: &[(String, Vec<u8>)]| kept.iter().map(|file| file.1.len()).sum::<usize>();
        // A file is archived after it has grown to its length.
        while !kept.is_empty() && held(&kept) + file.1.len() > bytes {
            kept.remove(0);
        }
        let archived = file.0 != "current";
        kept.push(file);
        while archived && kept.len() >= files {
            kept.remove(0);
        }
    }
    *all = kept;
}

/// Suffixes and lengths of files, for messages.
fn shape(files: &[(String, Vec<u8>)]) -> Vec<(&str, usize)> {
    let shape = |file| -> (&str, usize) {
        let (end, text): &(String, Vec<u8>) = file;
        (end, text.len())
    };
    files.iter().map(shape).collect()
}

/// A run of multilog, in the directory that earlier rounds left.
#[derive(Debug)]
struct Round {
    /// Changes to the files before the run, as by a crash or a user.
    changes: Vec<Change>,
    script: Vec<OsString>,
    input: Vec<u8>,
    /// The length of one read, in bytes. None: the input is a file. Lengths above
    /// 0.76's buffer are multiples of it, and 0.76 then reads a file.
    chunk: Option<usize>,
}

#[derive(Debug)]
enum Change {
    Remove(String),
    Write(String, u32, Vec<u8>),
    Mode(String, u32),
    Link(String, String),
}

/// The visible results of a round, without labels.
#[derive(PartialEq, Debug)]
struct Results {
    code: Option<i32>,
    stderr: Text,
    status: Option<Text>,
    logs: [Vec<Entry>; 2],
}

#[derive(PartialEq, Debug)]
pub(super) struct Entry {
    name: String,
    mode: u32,
    pub(super) text: Text,
}

/// A text. Messages show its length, a checksum and the beginning.
#[derive(PartialEq)]
pub(super) struct Text(pub(super) Vec<u8>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text(text) = self;
        let add = |sum: u32, byte: &u8| sum.wrapping_mul(31).wrapping_add((*byte).into());
        let sum = text.iter().fold(0, add);
        let beginning = text.get(..60).unwrap_or(text).escape_ascii();
        write!(f, "{} bytes, sum {sum:08x}: {beginning}", text.len())
    }
}

pub(super) fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())].clone()
}

impl Round {
    fn generate(rng: &mut Rng) -> Self {
        let changes = (0..rng.usize(..4)).map(|_| change(rng)).collect();
        let script = script(rng);
        let length = match rng.u8(..40) {
            0 => 300_000,
            1..6 => 40_000,
            _ => 6000,
        };
        let input = input(rng, length);
        let chunk = match rng.u8(..8) {
            0 if input.len() < 2000 => Some(1),
            1 => Some(rng.usize(20..=1024).max(input.len() / 400)),
            2 => Some(pick(rng, &[1000, 1023, 1024])),
            3 => Some(pick(rng, &[4096, 65_536])),
            _ => None,
        };
        let chunk = chunk.map(|chunk| match chunk {
            ..=ORIGINAL_READ => chunk,
            more => more.next_multiple_of(ORIGINAL_READ),
        });
        Round {
            changes,
            script,
            input,
            chunk,
        }
    }

    fn run(&self, sandbox: &Sandbox, dir: &Path) -> Results {
        for change in &self.changes {
            change.make(dir);
        }
        // Without the file state, multilog retries a processor forever.
        for log in LOGS {
            let state = dir.join(log).join("state");
            if dir.join(log).exists() && !state.exists() {
                fs::write(state, "").unwrap();
            }
        }
        let outcome = self.multilog(sandbox, dir);
        Results {
            code: outcome.code(),
            stderr: Text(without_labels(outcome.stderr)),
            status: fs::read(dir.join(STATUS))
                .ok()
                .map(without_labels)
                .map(Text),
            logs: LOGS.map(|log| listing(&dir.join(log), without_labels)),
        }
    }

    fn multilog(&self, sandbox: &Sandbox, dir: &Path) -> Outcome {
        let mut command = sandbox.command("multilog");
        command.args(&self.script).current_dir(dir);
        let longest = match sandbox.subject() {
            Subject::Ours => usize::MAX,
            _ => ORIGINAL_READ,
        };
        if let Some(chunk) = self.chunk.filter(|chunk| *chunk <= longest) {
            return sandbox.run_with_chunks(command, self.input.chunks(chunk));
        }
        let input = dir.join("input");
        fs::write(&input, &self.input).unwrap();
        command.stdin(File::open(input).unwrap());
        sandbox.run(command)
    }
}

/// The bytes with the digits of every label overwritten.
pub(super) fn without_labels(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut start = 0;
    while let Some(found) = bytes[start..].iter().position(|&byte| byte == b'@') {
        start += found + 1;
        let digits = bytes.get_mut(start..start + 24).unwrap_or_default();
        if digits.iter().all(u8::is_ascii_hexdigit) {
            digits.fill(b'#');
        }
    }
    bytes
}

/// The files of a log directory: archived files in their order, then the others.
pub(super) fn listing(log: &Path, mask: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<Entry> {
    let mut names: Vec<_> = match fs::read_dir(log) {
        Ok(entries) => entries.map(|entry| entry.unwrap().file_name()).collect(),
        Err(_) => return Vec::new(),
    };
    // A label may begin in the last archived file and end in `current`.
    names.sort_by_key(|name| {
        let archived = name.as_encoded_bytes().starts_with(b"@");
        (!archived, name != "current", name.clone())
    });
    let read = |name| fs::read(log.join(name)).unwrap();
    let texts: Vec<_> = names.iter().map(read).collect();
    let text = mask(texts.concat());
    let mut rest = text.as_slice();
    let mut entries = Vec::new();
    for (name, text) in names.into_iter().zip(texts) {
        let (text, after) = rest.split_at(text.len());
        // A file may begin within a label whose beginning is gone.
        let mut text = mask(text.to_vec());
        let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let cut = digits.count().min(24);
        text[..cut].fill(b'#');
        let metadata = fs::metadata(log.join(&name)).unwrap();
        entries.push(Entry {
            name: String::from_utf8(without_labels(name.into_vec())).unwrap(),
            mode: metadata.permissions().mode(),
            text: Text(text),
        });
        rest = after;
    }
    entries
}

impl Change {
    fn make(&self, dir: &Path) {
        match self {
            Change::Remove(name) => {
                let _ = fs::remove_file(dir.join(name));
            }
            Change::Write(name, mode, text) => {
                let path = dir.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, text).unwrap();
                fs::set_permissions(path, Permissions::from_mode(*mode)).unwrap();
            }
            Change::Mode(name, mode) => {
                let _ = fs::set_permissions(dir.join(name), Permissions::from_mode(*mode));
            }
            Change::Link(from, to) => {
                let _ = fs::hard_link(dir.join(from), dir.join(to));
            }
        }
    }
}

fn change(rng: &mut Rng) -> Change {
    let log = pick(rng, &LOGS);
    let file = |name: &str| format!("{log}/{name}");
    let name = pick(
        rng,
        &[
            "current",
            "current",
            "previous",
            "processed",
            "state",
            "newstate",
        ],
    );
    let mode = pick(rng, &[0o644, 0o744, 0o600, 0o700, 0o755, 0o666]);
    match rng.u8(..8) {
        0 => Change::Remove(file(name)),
        1..=3 => Change::Mode(file("current"), mode),
        4 | 5 => {
            let length = pick(rng, &[0, 1, 5, 100, 2095, 2096, 2097, 4090, 4096, 5000]);
            let text = (0..length).map(|_| rng.u8(b'a'..=b'c')).collect();
            Change::Write(file(name), mode, text)
        }
        6 => {
            let second = rng.u8(..);
            let end = pick(rng, &[".s", ".u", "", ".s.gz"]);
            Change::Write(
                file(&format!("@40000000000000000000000{:x}{end}", second & 15)),
                mode,
                vec![second],
            )
        }
        _ => {
            let old = file(&format!("@4000000000000000000000{:02x}.s", rng.u8(..)));
            Change::Link(file(name), old)
        }
    }
}

fn script(rng: &mut Rng) -> Vec<OsString> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut logs: Vec<&[u8]> = vec![b"./m", b"./n"];
    rng.shuffle(&mut logs);
    let stamped = rng.u8(..3) == 0;
    if stamped {
        words.push(b"t".to_vec());
    }
    if rng.u8(..2) == 0 {
        words.push(format!("s{}", pick(rng, &[0, 4096, 4097, 4200, 5000, 6001, 8192])).into());
    }
    if rng.u8(..2) == 0 {
        words.push(format!("n{}", rng.u8(..7)).into());
    }
    for _ in 0..rng.usize(..6) {
        match rng.u8(..12) {
            0..=3 => {
                let sign = pick(rng, b"+-");
                // Patterns must not depend on labels, which differ between the sides.
                let label: &[u8] = if stamped { b"@* " } else { b"" };
                words.push([&[sign], label, &pattern(rng)[..]].concat());
            }
            4 => words.push(b"-*".to_vec()),
            5 => words.push(b"e".to_vec()),
            6 => words.push(b"=status".to_vec()),
            7 => words.push(pick(rng, &[&b"x"[..], b"", b"t", b"7"]).to_vec()),
            8 if rng.u8(..6) == 0 => words.push(
                pick(
                    rng,
                    &[
                        "!cat",
                        "!tr a b; cat <&4 >&5; echo x >&5",
                        "!wc -c",
                        "!cat >&5",
                    ],
                )
                .into(),
            ),
            _ => words.extend(logs.pop().map(<[u8]>::to_vec)),
        }
    }
    words.extend(logs.pop().map(<[u8]>::to_vec));
    words.into_iter().map(OsString::from_vec).collect()
}

fn pattern(rng: &mut Rng) -> Vec<u8> {
    let length = rng.usize(..6);
    (0..length).map(|_| pick(rng, b"**abc@ 0\xff")).collect()
}

/// Lines of a few bytes, or of lengths near the limits of buffers and options.
pub(super) fn input(rng: &mut Rng, length: usize) -> Vec<u8> {
    let mut input = Vec::new();
    let critical = rng.bool();
    let goal = rng.usize(..=length);
    while input.len() < goal {
        let length = if goal > 100_000 && rng.u8(..100) == 0 {
            // Longer than all buffers.
            150_000
        } else if critical {
            pick(
                rng,
                &[
                    0, 1, 88, 199, 200, 201, 485, 511, 512, 513, 973, 974, 999, 1000, 1001, 1024,
                    2096, 3000, 4096, 5000,
                ],
            )
        } else {
            rng.usize(..12)
        };
        let filling = pick(rng, b"abc");
        let start = input.len();
        input.resize(start + length, filling);
        for _ in 0..rng.usize(..4) {
            let at = rng.usize(start..=input.len());
            if let Some(byte) = input.get_mut(at) {
                *byte = pick(rng, b"abc* \0\xff@");
            }
        }
        input.push(b'\n');
    }
    if rng.bool() {
        input.pop();
    }
    input
}
