//! The rows of the table: who does what, and how it is measured.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::Settings;
use crate::measure::{MEMORY, Place, memory, microseconds_beyond, seconds, write_log};
use crate::report::{Figure, LIMIT, Result, Unit};

/// The size of the log that goes through the log programs.
const MEGABYTES: usize = 128;

/// The same work for all contestants, ours first, and the rows of the table
/// that it makes: one for each value that is measured.
pub(crate) struct Work<'a> {
    titles: Vec<String>,
    unit: Unit,
    contestants: Vec<Contestant<'a>>,
}

/// A family's name, and what measures it once: a value for each row.
type Contestant<'a> = (&'static str, Box<dyn Fn() -> Vec<f64> + 'a>);

/// The commands that do the same work, each with its family.
type Commands<'c> = &'c [(Peer, &'c str)];

impl Work<'_> {
    /// Measures each contestant in turn, as often as asked.
    pub(crate) fn run(self, rounds: usize) -> Vec<Result> {
        let empty = |title| Result {
            title,
            unit: self.unit,
            figures: self.contestants.iter().map(Figure::of).collect(),
        };
        let mut results: Vec<Result> = self.titles.into_iter().map(empty).collect();
        for _ in 0..rounds {
            for (n, (_, measure)) in self.contestants.iter().enumerate() {
                for (result, value) in results.iter_mut().zip(measure()) {
                    result.figures[n].values.push(value);
                }
            }
        }
        results
    }
}

impl Figure {
    fn of((name, _): &Contestant) -> Figure {
        Figure {
            name,
            values: Vec::new(),
        }
    }
}

/// The families, by the name of a program that only they have.
#[derive(Clone, Copy)]
enum Peer {
    Ours,
    Daemontools,
    Runit,
    S6,
    /// No family, but what only copies: see [`LIMIT`].
    Cat,
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Peer::Ours => "daemontools-rs",
            Peer::Daemontools => "daemontools",
            Peer::Runit => "runit",
            Peer::S6 => "s6",
            Peer::Cat => LIMIT,
        }
    }
}

/// All that is measured, with those contestants that are installed.
pub(crate) fn all<'a>(settings: &'a Settings, place: &'a Place) -> Vec<Work<'a>> {
    let log = place.path("log");
    write_log(&log, MEGABYTES);
    let stamped = place.path("stamped");
    seconds(
        &program(settings, Peer::Ours, "tai64n"),
        &place.path("."),
        &log,
        &stamped,
    );
    let mut rows = logging(settings, place);
    rows.extend(chain(settings, place));
    rows.extend(waiting(settings, place));
    rows.push(sizes(settings));
    rows
}

/// The path of a program of a family.
fn program(settings: &Settings, peer: Peer, name: &str) -> String {
    let directory = match peer {
        Peer::Ours => &settings.ours,
        Peer::Daemontools | Peer::Runit | Peer::S6 => &settings.peers,
        Peer::Cat => Path::new("/bin"),
    };
    directory.join(name).display().to_string()
}

/// The contestants of a row whose programs are there: each a family and the
/// command that it does the work with, the program's name first.
fn present(settings: &Settings, commands: Commands) -> Vec<(Peer, String)> {
    let full = |&(peer, command): &(Peer, &str)| {
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        let path = program(settings, peer, name);
        Path::new(&path)
            .exists()
            .then(|| (peer, format!("{path} {rest}")))
    };
    commands.iter().filter_map(full).collect()
}

/// Logs and stamps: megabytes of input a second.
fn logging<'a>(settings: &'a Settings, place: &'a Place) -> Vec<Work<'a>> {
    use Peer::{Cat, Daemontools, Ours, Runit, S6};
    const PATTERNS: &str = "-* '+* error *' '-* from 192.0.2.1 *' '+* warn *'";
    let four = format!("multilog t {PATTERNS} s16777215 n20 ./d");
    let rows: [(&str, &str, Commands); 6] = [
        (
            "multilog t",
            "log",
            &[
                (Ours, "multilog t s16777215 n20 ./d"),
                (Daemontools, "multilog t s16777215 n20 ./d"),
                (Runit, "svlogd -t ./d"),
                (S6, "s6-log t s16777215 n20 ./d"),
                (Cat, "cat >d/current"),
            ],
        ),
        (
            "multilog t, from a pipe",
            "log",
            &[
                (Ours, "multilog t s16777215 n20 ./d"),
                (Daemontools, "multilog t s16777215 n20 ./d"),
                (Runit, "svlogd -t ./d"),
                (S6, "s6-log t s16777215 n20 ./d"),
                (Cat, "cat >d/current"),
            ],
        ),
        (
            "multilog without t",
            "log",
            &[
                (Ours, "multilog s16777215 n20 ./d"),
                (Daemontools, "multilog s16777215 n20 ./d"),
                (Runit, "svlogd ./d"),
                (S6, "s6-log s16777215 n20 ./d"),
                (Cat, "cat >d/current"),
            ],
        ),
        (
            "multilog t, four patterns",
            "log",
            &[(Ours, &four), (Daemontools, &four), (Cat, "cat >d/current")],
        ),
        (
            "tai64n, to /dev/null",
            "log",
            &[
                (Ours, "tai64n"),
                (Daemontools, "tai64n"),
                (S6, "s6-tai64n"),
                (Cat, "cat"),
            ],
        ),
        (
            "tai64nlocal, New York, to /dev/null",
            "stamped",
            &[
                (Ours, "tai64nlocal"),
                (Daemontools, "tai64nlocal"),
                (S6, "s6-tai64nlocal"),
                (Cat, "cat"),
            ],
        ),
    ];
    let row = |(title, input, commands): (&str, &str, Commands)| {
        let input = place.path(input);
        let megabytes = fs::metadata(&input).unwrap().len() as f64 / 1e6;
        let piped = title.ends_with("pipe");
        let contestants = present(settings, commands)
            .into_iter()
            .map(|(peer, command)| {
                let input = input.clone();
                let script = if piped {
                    format!("cat | {command}")
                } else {
                    format!("exec {command}")
                };
                let measure = move || {
                    let dir = place.fresh("work");
                    fs::create_dir(dir.join("d")).unwrap();
                    fs::write(dir.join("d/config"), "s16777215\nn20\n").unwrap();
                    let seconds = seconds(&script, &dir, &input, Path::new("/dev/null"));
                    vec![megabytes / seconds]
                };
                (peer.name(), Box::new(measure) as Box<dyn Fn() -> Vec<f64>>)
            });
        Work {
            titles: vec![title.to_owned()],
            unit: Unit::MegabytesASecond,
            contestants: contestants.collect(),
        }
    };
    rows.map(row).into_iter().collect()
}

/// What a program adds to an exec, in microseconds.
fn chain<'a>(settings: &'a Settings, place: &'a Place) -> Vec<Work<'a>> {
    use Peer::{Daemontools, Ours, Runit, S6};
    let dir = place.fresh("chain");
    fs::create_dir(dir.join("env")).unwrap();
    for (name, value) in [("NAME", "Fido\n"), ("ANIMAL", "dog\n"), ("EMPTY", "")] {
        fs::write(dir.join("env").join(name), value).unwrap();
    }
    let rows: [(&str, Commands); 7] = [
        (
            "envdir",
            &[
                (Ours, "envdir env"),
                (Daemontools, "envdir env"),
                (Runit, "chpst -e env"),
                (S6, "s6-envdir env"),
            ],
        ),
        (
            "softlimit",
            &[
                (Ours, "softlimit -o 100"),
                (Daemontools, "softlimit -o 100"),
                (Runit, "chpst -o 100"),
                (S6, "s6-softlimit -o 100"),
            ],
        ),
        (
            "setlock",
            &[
                (Ours, "setlock lock"),
                (Daemontools, "setlock lock"),
                (Runit, "chpst -L lock"),
                (S6, "s6-setlock lock"),
            ],
        ),
        (
            "setuidgid",
            &[
                (Ours, "setuidgid nobody"),
                (Daemontools, "setuidgid nobody"),
                (Runit, "chpst -u nobody"),
                (S6, "s6-setuidgid nobody"),
            ],
        ),
        (
            "envuidgid",
            &[
                (Ours, "envuidgid nobody"),
                (Daemontools, "envuidgid nobody"),
                (Runit, "chpst -U nobody"),
                (S6, "s6-envuidgid nobody"),
            ],
        ),
        (
            "pgrphack",
            &[
                (Ours, "pgrphack"),
                (Daemontools, "pgrphack"),
                (Runit, "chpst -P"),
                (S6, "s6-setsid"),
            ],
        ),
        (
            "fghack",
            &[(Ours, "fghack"), (Daemontools, "fghack"), (S6, "s6-fghack")],
        ),
    ];
    let row = |(title, commands): (&str, Commands)| {
        let contestants = present(settings, commands)
            .into_iter()
            .map(|(peer, command)| {
                let bare = vec!["/bin/true".to_owned()];
                let words: Vec<String> = command
                    .split_whitespace()
                    .map(str::to_owned)
                    .chain(bare.clone())
                    .collect();
                let dir = dir.clone();
                let measure = move || vec![microseconds_beyond(&bare, &words, &dir)];
                (peer.name(), Box::new(measure) as Box<dyn Fn() -> Vec<f64>>)
            });
        Work {
            titles: vec![format!("{title}, over a bare exec")],
            unit: Unit::Microseconds,
            contestants: contestants.collect(),
        }
    };
    let may_change_identity = nix::unistd::geteuid().is_root();
    rows.into_iter()
        .filter(|(title, _)| may_change_identity || *title != "setuidgid")
        .map(row)
        .collect()
}

/// Memory of programs that wait, in kilobytes.
fn waiting<'a>(settings: &'a Settings, place: &'a Place) -> Vec<Work<'a>> {
    use Peer::{Cat, Daemontools, Ours, Runit, S6};
    let rows: [(&str, usize, Commands); 4] = [
        (
            "supervise",
            1,
            &[
                (Ours, "supervise s0"),
                (Daemontools, "supervise s0"),
                (Runit, "runsv s0"),
                (S6, "s6-supervise s0"),
            ],
        ),
        (
            "svscan",
            1,
            &[
                (Ours, "svscan ."),
                (Daemontools, "svscan ."),
                (Runit, "runsvdir ."),
                (S6, "s6-svscan ."),
            ],
        ),
        (
            "multilog",
            1,
            &[
                (Ours, "multilog t ./s0"),
                (Daemontools, "multilog t ./s0"),
                (Runit, "svlogd -t ./s0"),
                (S6, "s6-log t ./s0"),
            ],
        ),
        (
            "svscan and the supervises of 20 services",
            20,
            &[
                (Ours, "svscan ."),
                (Daemontools, "svscan ."),
                (Runit, "runsvdir ."),
                (S6, "s6-svscan ."),
            ],
        ),
    ];
    let work = |(title, services, commands): (&str, usize, Commands)| {
        let contestants = present(settings, commands)
            .into_iter()
            .map(|(peer, command)| {
                let with: &[&str] = match services {
                    1 => &[],
                    _ => &["supervise", "runsv", "s6-supervise"],
                };
                let programs = match peer {
                    Ours => &settings.ours,
                    Daemontools | Runit | S6 | Cat => &settings.peers,
                };
                let path = format!("PATH={}:/bin", programs.display());
                let measure = move || {
                    let dir = place.fresh("waiting");
                    for n in 0..services {
                        service(&dir.join(format!("s{n}")));
                    }
                    let waits = |dir: &Path| {
                        let started = |n| dir.join(format!("s{n}/started")).exists();
                        (0..services).all(started) || dir.join("s0/current").exists()
                    };
                    memory(&format!("env {path} {command}"), &dir, with, waits)
                };
                (peer.name(), Box::new(measure) as Box<dyn Fn() -> Vec<f64>>)
            });
        let title = |kind: &&str| format!("{title}, waiting, {kind}");
        Work {
            titles: MEMORY.iter().map(title).collect(),
            unit: Unit::Kilobytes,
            contestants: contestants.collect(),
        }
    };
    rows.map(work).into_iter().collect()
}

/// A service that does nothing, once it has said that it is there.
fn service(dir: &Path) {
    fs::create_dir(dir).unwrap();
    let run = dir.join("run");
    fs::write(&run, "#!/bin/sh\n: >started\nexec sleep 1000\n").unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What the programs take on disk, in kilobytes: the largest of those that
/// are installed.
fn sizes(settings: &Settings) -> Work<'_> {
    use Peer::{Daemontools, Ours, Runit, S6};
    let families: [(Peer, &[&str]); 4] = [
        (Ours, &OURS),
        (Daemontools, &OURS),
        (Runit, &["runsv", "runsvdir", "sv", "chpst", "svlogd"]),
        (
            S6,
            &[
                "s6-supervise",
                "s6-svscan",
                "s6-log",
                "s6-svc",
                "s6-setuidgid",
            ],
        ),
    ];
    let contestants = families.into_iter().filter_map(|(peer, names)| {
        let sizes: Vec<f64> = names
            .iter()
            .filter_map(|name| fs::metadata(program(settings, peer, name)).ok())
            .map(|file| file.len() as f64 / 1000.0)
            .collect();
        let largest = sizes.iter().copied().reduce(f64::max)?;
        let measure = move || vec![largest];
        Some((peer.name(), Box::new(measure) as Box<dyn Fn() -> Vec<f64>>))
    });
    Work {
        titles: vec!["the largest program".to_owned()],
        unit: Unit::Kilobytes,
        contestants: contestants.collect(),
    }
}

/// The programs that daemontools has, too.
const OURS: [&str; 16] = [
    "envdir",
    "envuidgid",
    "fghack",
    "multilog",
    "pgrphack",
    "readproctitle",
    "setlock",
    "setuidgid",
    "softlimit",
    "supervise",
    "svc",
    "svok",
    "svscan",
    "svstat",
    "tai64n",
    "tai64nlocal",
];
