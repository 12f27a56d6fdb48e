//! Options, configurations and lines for svlogd, and files left in its log
//! directories.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fastrand::Rng;
use testkit::{Sandbox, random};

use super::multilog::{Entry, Text, input, listing, pick, without_labels};
use crate::faults::in_memory;

const LOGS: [&str; 2] = ["m", "n"];

#[test]
fn any_config_and_input_leaves_same_logs() {
    let memory = in_memory();
    random::compare("svlogd", env!("CARGO_BIN_EXE_svok"), 1500, |rng, pair| {
        let rounds = 1 + usize::from(rng.u8(..3) == 0);
        // Processors exit in any order, so that -v is left out beside them.
        let processors = rng.u8(..8) == 0;
        let rounds: Vec<_> = (0..rounds)
            .map(|_| Round::generate(rng, processors))
            .collect();
        pair.same(|sandbox| {
            let dir = memory.path().join(format!("{:?}", sandbox.subject()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).unwrap();
            for log in LOGS {
                fs::create_dir(dir.join(log)).unwrap();
            }
            let run = |round: &Round| round.run(sandbox, &dir);
            rounds.iter().map(run).collect::<Vec<_>>()
        });
    });
}

/// `+` needs lines sorted by length: runit compares the character after `+`
/// with the byte beyond the end of the line, a remainder of longer lines.
#[test]
fn patterns_select_lines_as_reference() {
    let memory = in_memory();
    random::compare(
        "svlogd, patterns",
        env!("CARGO_BIN_EXE_svok"),
        500,
        |rng, pair| {
            let mut config = b"-*\n".to_vec();
            for _ in 0..rng.usize(1..4) {
                let length = rng.usize(..7);
                config.push(pick(rng, b"+-"));
                config.extend((0..length).map(|_| pick(rng, b"*+abc")));
                config.push(b'\n');
            }
            let mut lines: Vec<Vec<u8>> = (0..100)
                .map(|_| {
                    (0..rng.usize(..7))
                        .map(|_| pick(rng, b"*+aabbcc"))
                        .collect()
                })
                .collect();
            lines.sort_by_key(Vec::len);
            let lines = [lines.join(&b'\n'), b"\n".to_vec()].concat();
            pair.same(|sandbox| {
                let dir = memory.path().join(format!("{:?}", sandbox.subject()));
                let _ = fs::remove_dir_all(&dir);
                fs::create_dir_all(dir.join("m")).unwrap();
                fs::write(dir.join("m/config"), &config).unwrap();
                let mut command = sandbox.command("svlogd");
                let input = dir.join("input");
                fs::write(&input, &lines).unwrap();
                command
                    .arg("m")
                    .current_dir(&dir)
                    .stdin(File::open(input).unwrap());
                sandbox.run(command).succeeds();
                fs::read(dir.join("m/current")).unwrap()
            });
        },
    );
}

/// A run of svlogd, in the directories that earlier rounds left.
#[derive(Debug)]
struct Round {
    /// Files written before the run, with their modes.
    files: Vec<(String, u32, Vec<u8>)>,
    words: Vec<OsString>,
    input: Vec<u8>,
}

#[derive(PartialEq, Debug)]
struct Results {
    code: Option<i32>,
    stderr: Text,
    logs: [Vec<Entry>; 2],
}

impl Round {
    fn generate(rng: &mut Rng, processors: bool) -> Self {
        let mut files: Vec<_> = (0..rng.usize(..3)).map(|_| file(rng)).collect();
        for log in LOGS {
            if rng.u8(..4) > 0 {
                let text = config(rng, processors);
                files.push((format!("{log}/config"), 0o644, text));
            }
        }
        let long = rng.u8(..8) == 0;
        Round {
            files,
            words: words(rng, processors),
            input: input(rng, if long { 40_000 } else { 6000 }),
        }
    }

    fn run(&self, sandbox: &Sandbox, dir: &Path) -> Results {
        for (name, mode, text) in &self.files {
            let path = dir.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, Permissions::from_mode(*mode)).unwrap();
        }
        let input = dir.join("input");
        fs::write(&input, &self.input).unwrap();
        let mut command = sandbox.command("svlogd");
        command
            .args(&self.words)
            .current_dir(dir)
            .stdin(File::open(input).unwrap());
        let outcome = sandbox.run(command);
        Results {
            code: outcome.code(),
            stderr: Text(self.sorted_messages(undated(outcome.stderr))),
            logs: LOGS.map(|log| listing(&dir.join(log), undated)),
        }
    }
}

impl Round {
    /// The messages of -v, sorted by directory: in a long line, the order of two
    /// directories depends on the lengths of the reads.
    fn sorted_messages(&self, stderr: Vec<u8>) -> Vec<u8> {
        if !self.words.iter().any(|word| word == "-v") {
            return stderr;
        }
        let mut lines: Vec<_> = stderr.split_inclusive(|&byte| byte == b'\n').collect();
        let of = |line: &[u8], log: &[u8]| line.windows(4).any(|seen| &seen[..3] == log);
        lines.sort_by_key(|line| (of(line, b" m/"), of(line, b" n/")));
        lines.concat()
    }
}

/// The bytes with the digits of every label and date overwritten, also of a date
/// cut off at the beginning or end.
fn undated(bytes: Vec<u8>) -> Vec<u8> {
    const FORM: &[u8; 26] = b"0000-00-00_00:00:00.00000 ";
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'_' => matches!(byte, b'_' | b'T'),
        form => byte == form,
    };
    let mut bytes = without_labels(bytes);
    let length = bytes.len();
    let mut mask = |start: usize, form: &[u8]| {
        let date = bytes.get_mut(start..start + form.len()).unwrap_or_default();
        let found = !date.is_empty() && date.iter().zip(form).all(fits);
        if found {
            for byte in date.iter_mut().filter(|byte| byte.is_ascii_digit()) {
                *byte = b'#';
            }
        }
        found
    };
    for start in 0..length {
        mask(start, FORM);
    }
    let _ = (1..FORM.len() - 1).any(|cut| mask(0, &FORM[cut..]));
    let _ = (1..FORM.len() - 1).any(|cut| {
        let (begun, _) = FORM.split_at(FORM.len() - cut);
        length >= begun.len() && mask(length - begun.len(), begun)
    });
    bytes
}

fn file(rng: &mut Rng) -> (String, u32, Vec<u8>) {
    let log = pick(rng, &LOGS);
    let mode = pick(rng, &[0o644, 0o744, 0o600, 0o755]);
    let length = pick(rng, &[0, 1, 5, 100, 999, 1000, 1001, 3000]);
    let text = (0..length).map(|_| rng.u8(b'a'..=b'c')).collect();
    let name = match rng.u8(..4) {
        0 | 1 => "current".to_owned(),
        2 => pick(rng, &["state", "newstate", "previous", "@x"]).to_owned(),
        _ => {
            let end = pick(rng, &[".s", ".u", ".t", ".x", "", ".ss"]);
            format!("@40000000000000000000000{:x}{end}", rng.u8(..16))
        }
    };
    (format!("{log}/{name}"), mode, text)
}

fn config(rng: &mut Rng, processors: bool) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..rng.usize(..6) {
        let number = pick(rng, &["", "0", "1", "2", "3", "5", "7x", "+1"]);
        let line: Vec<u8> = match rng.u8(..16) {
            0..=2 => {
                let size = pick(
                    rng,
                    &["0", "500", "1000", "1001", "1500", "2k", "3000", "5k", "1m"],
                );
                format!("s{size}").into()
            }
            3 | 4 => format!("n{number}").into(),
            5 => format!("N{number}").into(),
            6 => format!("p{}", pick(rng, &["", "pre: ", "x", "\t"])).into(),
            7 => pick(
                rng,
                &[
                    "",
                    "#x",
                    "zzz",
                    " s5",
                    "t",
                    "t0",
                    "t5m",
                    "u1.2",
                    "u1.2.3.4:x",
                ],
            )
            .into(),
            8 if processors => pick(rng, &["!", "!cat", "!tr a b; cat <&4 >&5; echo x >&5"]).into(),
            9 => b"-*".to_vec(),
            _ => {
                let sign = pick(rng, b"+-+-eE");
                let length = rng.usize(..6);
                let pattern = (0..length).map(|_| pick(rng, b"**abc@ _.\xff"));
                std::iter::once(sign).chain(pattern).collect()
            }
        };
        text.extend(line);
        text.push(b'\n');
    }
    if rng.u8(..4) == 0 {
        text.pop();
    }
    text
}

fn words(rng: &mut Rng, processors: bool) -> Vec<OsString> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    for _ in 0..rng.usize(..4) {
        match rng.u8(..10) {
            0 | 1 => words.push(pick(rng, &["-t", "-t", "-tt", "-ttt", "-tttt"]).into()),
            2 => words.push(pick(rng, &["-r.", "-ra", "-r", "-rab", "-r\t"]).into()),
            3 => words.push(pick(rng, &["-Rab", "-R\t", "-R "]).into()),
            4 | 5 => {
                words.push(pick(rng, &["-l5", "-l0", "-l999", "-l2000", "-lx", "-l9x"]).into());
            }
            6 | 7 => words.push(pick(rng, &["-b2048", "-b0", "-b1001", "-b5000", "-b20"]).into()),
            8 if !processors => words.push(b"-v".to_vec()),
            _ => words.push(pick(rng, &["--", "-vV", "-z", "-t"]).into()),
        }
    }
    for log in LOGS {
        if rng.u8(..4) > 0 {
            words.push(log.into());
        }
    }
    if rng.u8(..16) == 0 {
        words.push(pick(rng, &["nope", "", "input", "m"]).into());
    }
    words.into_iter().map(OsString::from_vec).collect()
}
