//! svlog beside the commands that people use to read logs: the last table.
//!
//! The contestants of a row print the same lines; the benchmark compares their
//! number.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use daemontools_core::label::Label;

use crate::log_data::{
    JOURNAL_REMOTE, START, available, compress, is_installed, log, old_name, service, write_journal,
};
use crate::measure::{Place, idle_microseconds, seconds};
use crate::report::{Figure, LIMIT, Result, Unit};
use crate::{Build, Settings};

/// The columns, ours first.
pub(crate) const COLUMNS: [&str; 9] = [
    OURS[0], OURS[1], COREUTILS, SORTED, LOCAL, GREP, RIPGREP, JOURNAL, LIMIT,
];

const OURS: [&str; 2] = ["svlog, musl", "svlog, glibc"];
const COREUTILS: &str = "coreutils";
const SORTED: &str = "sort -m";
const LOCAL: &str = "tai64nlocal, grep";
const GREP: &str = "grep";
const RIPGREP: &str = "ripgrep";
const JOURNAL: &str = "journalctl";

/// The text below the table.
pub(crate) const CAPTION: &str = "coreutils is `cat | sort`, with `tail` for the last lines and with \
    `zcat` for compressed files; while the services are idle, it is `tail -F`. All programs run in \
    the locale C, in which sort and grep are fast. ripgrep reads the files in order, as svlog does. \
    systemd-journal-remote wrote the journal. In the row of 10 GB, most files are links to two \
    files; the times of tai64nlocal and of the limit are those of 25 of the 1000 files, multiplied \
    by 40. The throughput of tai64nlocal is that of an eighth of the files of a large log. The limit \
    is cat.";

/// The rows, grouped by their logs. The titles go on with the size.
const GROUPS: [(&[&str], Group); 5] = [
    (&[LAST, ALL, SMALL_GREP], thousand_services),
    (&[HOUR], hour),
    (&[LARGE_GREP], large_grep),
    (&[MERGE, COMPRESSED], merge),
    (&[IDLE], idle),
];

const LAST: &str = "logs: last 10 lines of 1000 services";
const ALL: &str = "logs: all lines of 1000 services";
const SMALL_GREP: &str = "logs: grep in 1000 services";
const HOUR: &str = "logs: an hour of 10 GB in 1000 files";
const LARGE_GREP: &str = "logs: grep";
const MERGE: &str = "logs: merge of 100 services";
const COMPRESSED: &str = "logs: merge of 100 services, compressed";
const IDLE: &str = "logs: processor time per second, following 100 idle services";

type Group = fn(&Settings, &Path) -> Vec<Row>;

/// At most, because some commands take long.
const ROUNDS: usize = 3;

/// 2026-08-30 12:00 in New York.
const NOON: i64 = 1_788_105_600;

/// The pattern of the rows with grep. It selects one line in 360.
const PATTERN: &str = "error.*served in 89[0-9][0-9] ms";

/// The current files of services with one log file each.
const CURRENT: &str = "scan/*/log/main/current";

/// The commands for the same lines.
struct Row {
    title: String,
    kind: Kind,
    contestants: Vec<Contestant>,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Throughput, for an input of this many megabytes.
    Throughput(f64),
    /// The time until the command exits.
    Time,
    /// The processor time of an idle second.
    Idle,
}

struct Contestant {
    column: &'static str,
    /// A shell command.
    command: String,
    /// The command reads one of this many equal parts of the input.
    parts: u32,
}

/// Measures the installed contestants. Prints the missing ones.
pub(crate) fn run(settings: &Settings, place: &Place) -> Vec<Result> {
    let mut results = Vec::new();
    let mut is_first = true;
    for (titles, group) in GROUPS {
        if !titles.iter().any(|title| title.contains(&settings.only)) {
            continue;
        }
        if std::mem::take(&mut is_first) {
            print_missing();
        }
        let dir = place.fresh("logs");
        for row in group(settings, &dir) {
            if row.title.contains(&settings.only) {
                results.push(row.run(settings.rounds.min(ROUNDS), &dir));
            }
        }
        fs::remove_dir_all(dir).unwrap();
    }
    results
}

fn print_missing() {
    for (program, package) in [
        ("rg", "ripgrep"),
        ("journalctl", "systemd"),
        (JOURNAL_REMOTE, "systemd-journal-remote"),
    ] {
        if !is_installed(program) {
            println!("not installed, left out of logs: {package} (Debian's package of that name)");
        }
    }
}

impl Row {
    fn new(title: impl Into<String>, kind: Kind) -> Self {
        Row {
            title: title.into(),
            kind,
            contestants: Vec::new(),
        }
    }

    /// Adds our builds; `arguments` are those of svlog.
    fn svlog(mut self, settings: &Settings, arguments: &str) -> Self {
        for (build, directory) in &settings.ours {
            let column = match build {
                Build::Musl => OURS[0],
                Build::Glibc => OURS[1],
            };
            let program = directory.join("svlog");
            self = self.command(column, format!("exec {} {arguments}", program.display()));
        }
        self
    }

    /// Adds the peer's tai64nlocal, between a command and grep.
    fn local(self, settings: &Settings, input: &str, pattern: &str, parts: u32) -> Self {
        let program = settings.peers.join("tai64nlocal");
        if !program.exists() {
            return self;
        }
        let program = program.display();
        self.part(
            LOCAL,
            format!("{input} | {program} | grep '{pattern}'"),
            parts,
        )
    }

    /// Adds a command of installed programs.
    fn command(self, column: &'static str, command: impl Into<String>) -> Self {
        self.part(column, command, 1)
    }

    /// Adds a command that reads a part of the input.
    fn part(mut self, column: &'static str, command: impl Into<String>, parts: u32) -> Self {
        let is_present = match column {
            RIPGREP => is_installed("rg"),
            JOURNAL => is_installed("journalctl") && is_installed(JOURNAL_REMOTE),
            _ => true,
        };
        if is_present {
            self.contestants.push(Contestant {
                column,
                command: format!("export LC_ALL=C; {}", command.into()),
                parts,
            });
        }
        self
    }

    /// Measures each contestant in turn.
    fn run(self, rounds: usize, dir: &Path) -> Result {
        let empty = |contestant: &Contestant| Figure::empty(contestant.column);
        let mut figures: Vec<Figure> = self.contestants.iter().map(empty).collect();
        for round in 0..rounds {
            let mut lines = Vec::new();
            for (contestant, figure) in self.contestants.iter().zip(&mut figures) {
                figure.values.push(contestant.measure(self.kind, dir));
                if round == 0 && contestant.column != LIMIT {
                    lines.push((contestant.column, contestant.lines(self.kind, dir)));
                }
            }
            let is_same = lines.windows(2).all(|two| two[0].1 == two[1].1);
            assert!(is_same, "{}: lines: {lines:?}", self.title);
        }
        Result {
            title: self.title,
            unit: match self.kind {
                Kind::Throughput(_) => Unit::MegabytesASecond,
                Kind::Time | Kind::Idle => Unit::Microseconds,
            },
            figures,
        }
    }
}

impl Contestant {
    fn measure(&self, kind: Kind, dir: &Path) -> f64 {
        let command = &self.command;
        let seconds = || seconds(command, dir, Path::new("/dev/null"), &dir.join("out"));
        match kind {
            Kind::Throughput(megabytes) => megabytes / f64::from(self.parts) / seconds(),
            Kind::Time => seconds() * f64::from(self.parts) * 1e6,
            Kind::Idle => idle_microseconds(command, dir),
        }
    }

    /// The number of printed lines, for all parts.
    fn lines(&self, kind: Kind, dir: &Path) -> u32 {
        let parts = match kind {
            Kind::Throughput(_) => self.parts,
            // The lines of the hour are in one part.
            Kind::Time => 1,
            Kind::Idle => return 0,
        };
        let mut count = Command::new("wc");
        count.args(["-l", "out"]).current_dir(dir);
        let output = String::from_utf8(count.output().unwrap().stdout).unwrap();
        let number = output.split(' ').next().unwrap();
        parts * number.parse::<u32>().unwrap()
    }
}

/// The last lines, all lines and some lines of many small logs.
fn thousand_services(settings: &Settings, dir: &Path) -> Vec<Row> {
    const LINES: usize = 200;
    let mut megabytes = 0.0;
    for n in 0..1000 {
        let text = log(START, 1000, LINES, n);
        megabytes += text.len() as f64 / 1e6;
        fs::write(service(dir, n).join("current"), text).unwrap();
    }
    let has_journal = write_journal(dir, 1000, LINES);
    let journal = |row: Row, options: &str| {
        if !has_journal {
            return row;
        }
        row.command(
            JOURNAL,
            format!("exec journalctl -q --no-pager -o short-precise --file s.journal {options}"),
        )
    };
    let throughput = Kind::Throughput(megabytes);
    let last = Row::new(LAST, Kind::Time)
        .svlog(settings, "-n 10 scan")
        .command(COREUTILS, format!("cat {CURRENT} | sort | tail"));
    let all = Row::new(format!("{ALL}, {megabytes:.0} MB"), throughput)
        .svlog(settings, "scan")
        .command(COREUTILS, format!("cat {CURRENT} | sort"))
        .command(SORTED, format!("exec sort -m --batch-size=1001 {CURRENT}"))
        .command(LIMIT, format!("exec cat {CURRENT}"));
    let grep = Row::new(format!("{SMALL_GREP}, {megabytes:.0} MB"), throughput)
        .svlog(settings, &format!("-g '{PATTERN}' scan"))
        .local(settings, &format!("cat {CURRENT}"), PATTERN, 1)
        .command(GREP, format!("exec grep -h '{PATTERN}' {CURRENT}"))
        .command(RIPGREP, format!("exec rg -IN --sort path '{PATTERN}' scan"))
        .command(LIMIT, format!("exec cat {CURRENT}"));
    vec![
        journal(last, "-n 10"),
        journal(all, ""),
        journal(grep, &format!("-g '{PATTERN}'")),
    ]
}

/// A year in files of 8 hours and 45 minutes.
fn hour(settings: &Settings, dir: &Path) -> Vec<Row> {
    const SECONDS: i64 = 31_500;
    const LINES: usize = 87_000;
    const FILES: i64 = 1000;
    let main = service(dir, 0);
    let noon = (NOON - START) / SECONDS;
    let others = [START - 2 * SECONDS, START - SECONDS].map(|first| {
        let path = dir.join(first.to_string());
        fs::write(&path, log(first, SECONDS, LINES, 0)).unwrap();
        path
    });
    let mut part = String::new();
    for n in 0..FILES {
        let first = START + n * SECONDS;
        let path = main.join(old_name(first + SECONDS));
        if (noon - 1..=noon + 1).contains(&n) {
            fs::write(&path, log(first, SECONDS, LINES, 0)).unwrap();
        } else {
            // Two of them, because neighbours with one inode are one file.
            fs::hard_link(&others[usize::from(n % 2 == 0)], &path).unwrap();
        }
        if (noon - 12..noon + 13).contains(&n) {
            writeln!(part, "{}", path.display()).unwrap();
        }
    }
    fs::write(main.join("current"), "").unwrap();
    fs::write(dir.join("part"), part).unwrap();
    let row = Row::new(HOUR, Kind::Time)
        .svlog(
            settings,
            "-s '2026-08-30 12:00' -u '2026-08-30 12:59:59.999999999' scan/0/log/main",
        )
        .local(settings, "cat $(cat part)", "^2026-08-30 12:", 40)
        .part(LIMIT, "exec cat $(cat part)", 40);
    vec![row]
}

/// A large log in files of 16 MB.
fn large_grep(settings: &Settings, dir: &Path) -> Vec<Row> {
    const SECONDS: i64 = 136;
    const A_SECOND: usize = 1000;
    const LINES: usize = 136 * A_SECOND;
    let main = service(dir, 0);
    let mut text = log(START, SECONDS, LINES, 0);
    let line = text.len() / LINES;
    // As many as the file system has space for, with the output, up to a gigabyte.
    let files = (available(dir) / 2 / text.len()).clamp(8, 64) / 8 * 8;
    let (mut part, mut first) = (String::new(), START);
    for n in 0..files {
        for (second, lines) in (first..).zip(text.chunks_mut(line * A_SECOND)) {
            let label = Label::from_unix(second, 0).text();
            for line in lines.chunks_mut(line) {
                line[..17].copy_from_slice(&label[..17]);
            }
        }
        first += SECONDS;
        let path = main.join(old_name(first));
        fs::write(&path, &text).unwrap();
        if n < files / 8 {
            writeln!(part, "{}", path.display()).unwrap();
        }
    }
    fs::write(main.join("current"), "").unwrap();
    fs::write(dir.join("part"), part).unwrap();
    let megabytes = (files * text.len()) as f64 / 1e6;
    let row = Row::new(
        format!("{LARGE_GREP} of {megabytes:.0} MB in {files} files"),
        Kind::Throughput(megabytes),
    )
    .svlog(settings, &format!("-g '{PATTERN}' scan/0/log/main"))
    .local(settings, "cat $(cat part)", PATTERN, 8)
    .command(GREP, format!("exec grep -h '{PATTERN}' scan/0/log/main/@*"))
    .command(
        RIPGREP,
        format!("exec rg -IN --sort path '{PATTERN}' scan/0/log/main"),
    )
    .command(LIMIT, "exec cat scan/0/log/main/@*");
    vec![row]
}

/// Services with two old files each, then the same with compressed old files.
fn merge(settings: &Settings, dir: &Path) -> Vec<Row> {
    const SECONDS: i64 = 1000;
    const LINES: usize = 3000;
    let mut megabytes = 0.0;
    for n in 0..100 {
        let (main, packed) = (service(dir, n), dir.join(format!("packed/{n}/log/main")));
        fs::create_dir_all(&packed).unwrap();
        for file in 0..3 {
            let first = START + file * SECONDS;
            let text = log(first, SECONDS, LINES, n);
            megabytes += text.len() as f64 / 1e6;
            let name = match file {
                2 => "current".to_owned(),
                _ => old_name(first + SECONDS),
            };
            fs::write(main.join(&name), &text).unwrap();
            if file == 2 {
                fs::write(packed.join(&name), &text).unwrap();
            } else {
                compress(&main.join(&name), &packed.join(&name));
            }
        }
    }
    let throughput = Kind::Throughput(megabytes);
    let merge = Row::new(format!("{MERGE}, {megabytes:.0} MB"), throughput)
        .svlog(settings, "scan")
        .command(COREUTILS, "cat scan/*/log/main/[@c]* | sort")
        .command(
            SORTED,
            "exec sort -m --batch-size=301 scan/*/log/main/[@c]*",
        )
        .command(LIMIT, "exec cat scan/*/log/main/[@c]*");
    let compressed = Row::new(format!("{COMPRESSED}, {megabytes:.0} MB"), throughput)
        .svlog(settings, "packed")
        .command(
            COREUTILS,
            "{ cat packed/*/log/main/@* | zcat; cat packed/*/log/main/current; } | sort",
        )
        .command(
            LIMIT,
            "cat packed/*/log/main/@* | zcat; exec cat packed/*/log/main/current",
        );
    vec![merge, compressed]
}

/// Services that write nothing.
fn idle(settings: &Settings, dir: &Path) -> Vec<Row> {
    const LINES: usize = 10;
    for n in 0..100 {
        fs::write(service(dir, n).join("current"), log(START, 10, LINES, n)).unwrap();
    }
    let row = Row::new(IDLE, Kind::Idle)
        .svlog(settings, "-f -n 0 scan")
        .command(COREUTILS, format!("exec tail -q -n 0 -F {CURRENT}"));
    if !write_journal(dir, 100, LINES) {
        return vec![row];
    }
    vec![row.command(
        JOURNAL,
        "exec journalctl -q --no-pager -f -n 0 --file s.journal",
    )]
}
