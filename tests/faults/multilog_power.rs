//! Power loss after each system call of multilog. strace records the calls, and
//! the model in `power.rs` gives each directory that a disk may then hold.
//! Debian's multilog and ours recover from each of them: the results are equal,
//! and all fsynced data is present, once and in order.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use testkit::{Sandbox, Subject, say};

use super::in_memory;
use super::power::{Call, Directory, Journal, Wreck, joined};
use crate::compliance::multilog::calls::strace_works;
use crate::compliance::multilog::masked;

/// A run of multilog to record: the files before the run, and the arguments.
struct Work {
    name: &'static str,
    before: &'static [(&'static str, u32, &'static str)],
    script: &'static str,
    new: New,
}

/// The feature of the script that 0.76 lacks and ignores.
#[derive(Clone, Copy, PartialEq)]
enum New {
    Nothing,
    /// `wgz`: names of processed files end in `.gz`. There is no other effect.
    Code,
    /// `R`: an old `current` is rotated in addition.
    Age,
}

const PROCESSOR: &str = "s4096 n100 '!tr a-z A-Z; tr x x <&4 >&5; echo more >&5' ./m";

const CODED: &str = "s4096 n100 wgz '!tr a-z A-Z; tr x x <&4 >&5; echo more >&5' ./m";

const WORKS: &[Work] = &[
    Work {
        name: "rotations in a new directory",
        before: &[],
        script: "s4096 n100 ./m",
        new: New::Nothing,
    },
    Work {
        name: "rotations after a clean exit, with removal of old files",
        before: &[
            ("current", 0o744, "old line\n"),
            ("state", 0o644, ""),
            ("lock", 0o600, ""),
        ],
        script: "s4096 n2 ./m",
        new: New::Nothing,
    },
    Work {
        name: "a processor with a state",
        before: &[
            ("current", 0o744, "old line\n"),
            ("state", 0o644, "s\n"),
            ("lock", 0o600, ""),
        ],
        script: PROCESSOR,
        new: New::Nothing,
    },
    Work {
        name: "recovery from an unfinished current",
        before: &[
            ("current", 0o644, "old line\nunf\n"),
            ("state", 0o644, ""),
            ("lock", 0o600, ""),
        ],
        script: "s4096 n100 ./m",
        new: New::Nothing,
    },
    Work {
        name: "recovery from an unfinished processed",
        before: &[
            ("previous", 0o744, "previous line\n"),
            ("processed", 0o644, "PREV"),
            ("newstate", 0o644, "half"),
            ("current", 0o644, "old line\n"),
            ("state", 0o644, "s\n"),
            ("lock", 0o600, ""),
        ],
        script: PROCESSOR,
        new: New::Nothing,
    },
    Work {
        name: "recovery from a finished processed",
        before: &[
            ("previous", 0o744, "previous line\n"),
            ("processed", 0o744, "PREVIOUS LINE\n"),
            ("newstate", 0o644, "more\n"),
            ("current", 0o644, "old line\n"),
            ("state", 0o644, "s\n"),
            ("lock", 0o600, ""),
        ],
        script: PROCESSOR,
        new: New::Nothing,
    },
    Work {
        name: "a processor with another suffix",
        before: &[
            ("current", 0o744, "old line\n"),
            ("state", 0o644, "s\n"),
            ("lock", 0o600, ""),
        ],
        script: CODED,
        new: New::Code,
    },
    Work {
        name: "recovery from a finished processed with another suffix",
        before: &[
            ("previous", 0o744, "previous line\n"),
            ("processed", 0o744, "PREVIOUS LINE\n"),
            ("newstate", 0o644, "more\n"),
            ("current", 0o644, "old line\n"),
            ("state", 0o644, "s\n"),
            ("lock", 0o600, ""),
        ],
        script: CODED,
        new: New::Code,
    },
    Work {
        name: "a current that is too old at start",
        before: &[
            ("current", 0o744, "@400000003b9aca0a000001f4 old line\n"),
            ("state", 0o644, ""),
            ("lock", 0o600, ""),
        ],
        script: "R86400 s4096 n100 ./m",
        new: New::Age,
    },
];

/// The input, one chunk for each read: whole lines, and no more than 0.76 reads
/// at once.
fn chunks() -> Vec<Vec<u8>> {
    let line = |n: usize| format!("{n:04} {}\n", "abcdefghi".repeat(27));
    let chunk = |n: usize| {
        (4 * n..4 * n + 4)
            .map(line)
            .collect::<String>()
            .into_bytes()
    };
    (0..7).map(chunk).collect()
}

/// The input of the recovering multilog.
const AFTER: &str = "after\n";

impl Work {
    /// The complete text of the log, in order.
    fn text(&self) -> Vec<u8> {
        let before = |name: &str| {
            let file = self.before.iter().find(|file| file.0 == name);
            file.map_or("", |file| file.2)
        };
        let before = [before("previous"), before("current")].concat();
        [before.into_bytes(), chunks().concat()].concat()
    }

    fn wreck(&self) -> Wreck {
        Directory::new(Journal::Kept, self.before)
            .wrecks()
            .pop_first()
            .unwrap()
    }

    /// Records the system calls of `$FIRST/multilog` or `$THEN/multilog`.
    fn record(&self, sandbox: &Sandbox, whose: &str) -> Vec<Call> {
        let place = in_memory();
        make(&self.wreck(), place.path());
        let mut command = sandbox.shell(&format!(
            "exec strace -f -y -qq -s 70000 -o trace -e trace=\
            ?open,openat,?creat,write,?pwrite64,?writev,?copy_file_range,?sendfile,?splice,fsync,fdatasync,\
            ?rename,?renameat,renameat2,?chmod,fchmod,fchmodat,?link,linkat,?unlink,unlinkat,ftruncate \
            -e signal=none -e status=successful \"${whose}/multilog\" {}",
            self.script
        ));
        command.current_dir(place.path());
        let chunks = chunks();
        let outcome = sandbox.run_with_chunks(command, chunks.iter().map(Vec::as_slice));
        outcome.succeeds();
        let trace = fs::read_to_string(place.path().join("trace")).unwrap();
        let mut known: Vec<String> = self.before.iter().map(|file| file.0.to_owned()).collect();
        let log = format!("{}/m/", fs::canonicalize(&place).unwrap().display());
        let calls = trace
            .lines()
            .filter_map(|line| call(line, &log, &mut known))
            .collect();
        joined(calls)
    }
}

/// Parses a line of strace as a call on a file in the directory `log`. `known`
/// lists the files there.
fn call(line: &str, log: &str, known: &mut Vec<String>) -> Option<Call> {
    assert!(!line.contains("unfinished"), "{line}");
    let (_, line) = line.split_once(' ').unwrap();
    let (name, rest) = line.trim_start().split_once('(').unwrap();
    let (arguments, result) = rest.rsplit_once(" = ").unwrap();
    let arguments = arguments.trim_end().strip_suffix(')').unwrap();
    // multilog works in the log directory: its arguments are names, in quotes.
    let quoted: Vec<_> = arguments.split('"').skip(1).step_by(2).collect();
    let opened = |shown: &str| {
        let (_, path) = shown.split_once('<')?;
        let name = path.split('>').next()?.strip_prefix(log)?;
        (!name.contains(" (deleted)")).then(|| name.to_owned())
    };
    let descriptor = || opened(arguments);
    let mode = || {
        let (_, mode) = arguments.rsplit_once(", 0").unwrap();
        u32::from_str_radix(mode, 8).unwrap()
    };
    let call = match name {
        "open" | "openat" | "creat" => {
            let file = opened(result)?;
            if known.contains(&file) || file.is_empty() {
                return None;
            }
            Call::Make(file, mode() & !0o022)
        }
        "write" => {
            let text = quoted[0].replace("\\n", "\n");
            assert!(!text.contains('\\'), "{text}");
            Call::Write(descriptor()?, text.into_bytes())
        }
        "fsync" | "fdatasync" => Call::Sync(descriptor()?),
        "fchmod" => Call::Mode(descriptor()?, mode()),
        "chmod" | "fchmodat" => Call::Mode(quoted[0].to_owned(), mode()),
        "rename" | "renameat" | "renameat2" => {
            Call::Rename(quoted[0].to_owned(), quoted[1].to_owned())
        }
        "link" | "linkat" => Call::Link(quoted[0].to_owned(), quoted[1].to_owned()),
        "unlink" | "unlinkat" => Call::Unlink(quoted[0].to_owned()),
        _ => panic!("the model does not know {line}"),
    };
    match &call {
        Call::Make(name, _) | Call::Link(_, name) => known.push(name.clone()),
        Call::Unlink(name) => known.retain(|file| file != name),
        Call::Rename(from, to) => {
            known.retain(|file| file != from && file != to);
            known.push(to.clone());
        }
        Call::Write(..) | Call::Sync(_) | Call::Mode(..) => {}
    }
    Some(call)
}

/// Makes the files of a wreck in `place/m`.
fn make(wreck: &Wreck, place: &Path) {
    if wreck.is_empty() {
        return;
    }
    let place = place.join("m");
    fs::create_dir(&place).unwrap();
    let mut made: BTreeMap<usize, &String> = BTreeMap::new();
    for (name, (file, mode, text)) in wreck {
        let path = place.join(name);
        if let Some(other) = made.insert(*file, name) {
            fs::hard_link(place.join(other), path).unwrap();
        } else {
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
        }
    }
}

/// The files in a log directory, old files first: name, mode and text.
fn found(place: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut names: Vec<_> = fs::read_dir(place.join("m"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let file = |name: String| {
        let path = place.join("m").join(&name);
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        (masked(name), mode, fs::read(path).unwrap())
    };
    names.into_iter().map(file).collect()
}

/// The text of the log, in lower case as before the processor, without the
/// input of the recovery.
fn text(found: &[(String, u32, Vec<u8>)]) -> Vec<u8> {
    let logs = found
        .iter()
        .filter(|(name, ..)| name.starts_with('@') || name == "current");
    let text = logs
        .flat_map(|(.., text)| text.to_ascii_lowercase())
        .collect::<Vec<_>>();
    text.strip_suffix(AFTER.as_bytes()).unwrap().to_vec()
}

/// The offset in `text` at which `part` ends. Numbered lines make it unique.
fn end(text: &[u8], part: &[u8]) -> usize {
    let part = part.to_ascii_lowercase();
    let place = text
        .windows(part.len().max(1))
        .position(|window| window == part);
    place.map_or(0, |start| start + part.len())
}

/// The name that a file would have without `w`.
fn uncoded(name: &str) -> String {
    name.replace("@LABEL.gz", "@LABEL.s")
}

/// The calls with labels masked.
fn shown(calls: &[Call]) -> Vec<String> {
    let shown = |call: &Call| match call {
        Call::Write(name, text) => format!("write {} bytes to {name}", text.len()),
        call => uncoded(&masked(format!("{call:?}"))),
    };
    calls.iter().map(shown).collect()
}

#[test]
fn fsynced_data_survives_power_loss() {
    fn check(sandbox: &Sandbox) {
        if !strace_works(sandbox) {
            return;
        }
        for work in WORKS {
            for journal in [Journal::Kept, Journal::Inodes, Journal::None] {
                lose_power(sandbox, work, journal);
            }
        }
    }
    let built = env!("CARGO_BIN_EXE_svok");
    testkit::run(Subject::TheirsThenOurs, built, module_path!(), check);
}

/// The calls without each fsync of a file whose mode the call before has changed. Ours
/// has it after a processor: otherwise lines would be lost with [`Journal::Inodes`].
fn without_second_sync(calls: &[Call]) -> Vec<Call> {
    let is_second = |number: usize| match (&calls[..number].last(), &calls[number]) {
        (Some(Call::Mode(name, _)), Call::Sync(synced)) => name == synced,
        _ => false,
    };
    let kept = (0..calls.len()).filter(|number| !is_second(*number));
    kept.map(|number| calls[number].clone()).collect()
}

/// Records both programs, and lets both recover from each possible wreck of
/// ours.
fn lose_power(sandbox: &Sandbox, work: &Work, journal: Journal) {
    let calls = work.record(sandbox, "FIRST");
    let ours = work.record(sandbox, "THEN");
    let alike = shown(&calls) == shown(&without_second_sync(&ours));
    assert_eq!(alike, work.new != New::Age, "{}", work.name);

    // Each wreck, with the offset in the text up to which data is safe in it.
    let whole = work.text();
    let mut wrecks: BTreeMap<Wreck, usize> = BTreeMap::new();
    let mut directory = Directory::new(journal, work.before);
    let mut cuts = 0;
    for number in 0..=ours.len() {
        if let Some(last) = number.checked_sub(1) {
            directory.call(&ours[last]);
        }
        for wreck in directory.wrecks() {
            cuts += 1;
            let ends = directory.safe_texts(&wreck).map(|text| end(&whole, text));
            let safe = ends.max().unwrap_or(0);
            let known = wrecks.entry(wreck).or_default();
            *known = safe.max(*known);
        }
    }

    let place = in_memory();
    for (number, wreck) in wrecks.keys().enumerate() {
        for whose in ["FIRST", "THEN"] {
            let place = place.path().join(format!("{whose}{number}"));
            fs::create_dir(&place).unwrap();
            make(wreck, &place);
        }
    }
    fs::write(place.path().join("after"), AFTER).unwrap();
    let mut command = sandbox.shell(
        "for place in FIRST*; do cd $place; $FIRST/multilog n100 $WORD ./m <../after || exit; cd ..; done
        for place in THEN*; do cd $place; $THEN/multilog n100 $WORD ./m <../after || exit; cd ..; done",
    );
    command.env("WORD", if work.new == New::Code { "wgz" } else { "" });
    command.current_dir(place.path());
    sandbox.run(command).succeeds();

    let mut states = BTreeMap::new();
    for (number, (wreck, safe)) in wrecks.iter().enumerate() {
        let [mut theirs, mut ours] =
            ["FIRST", "THEN"].map(|whose| found(&place.path().join(format!("{whose}{number}"))));
        if work.new == New::Code {
            // A file has the suffix if and only if it is complete output of the
            // processor.
            for (name, mode, text) in ours.iter().filter(|file| file.0.starts_with('@')) {
                let made = *mode == 0o744
                    && text.ends_with(b"\n")
                    && !text.iter().any(u8::is_ascii_lowercase);
                let end = if made { ".gz" } else { ".u" };
                assert!(name.ends_with(end), "{}: {wreck:?}", work.name);
            }
            for (name, ..) in theirs.iter_mut().chain(&mut ours) {
                *name = uncoded(name);
            }
        }
        assert!(theirs == ours, "{}: {wreck:?}", work.name);
        let text = text(&ours);
        let start = if work.script.contains(" n2 ") {
            end(&whole, &text) - text.len()
        } else {
            0
        };
        assert!(
            whole[start..].starts_with(&text) && start + text.len() >= *safe,
            "{}: {safe} bytes were safe, {} are there: {wreck:?}",
            work.name,
            text.len()
        );
        let names: Vec<_> = ours
            .iter()
            .map(|(name, mode, _)| format!("{name} {mode:o}"))
            .collect();
        *states.entry(names.join(", ")).or_insert(0) += 1;
    }
    let seen = if alike { "the same from both" } else { "ours" };
    say(&format!(
        "{}, journal {journal:?}: {} calls, {seen}; {cuts} cuts, {} directories, both recover to \
         the same {} states; no fsynced data is missing",
        work.name,
        ours.len(),
        wrecks.len(),
        states.len(),
    ));
}
