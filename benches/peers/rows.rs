//! The rows of the table: the commands of each contestant and their measurement.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use daemontools_benches::Tree;

use crate::Settings;
use crate::measure::{
    Counted, MEMORY, Place, memory, microseconds_beside, microseconds_beyond, seconds, write_log,
};
use crate::report::{Figure, LIMIT, Result, Unit, column};

/// The size of the input of log programs, in megabytes.
const MEGABYTES: usize = 128;

/// A task for all contestants, ours first, and its rows of the table: one for
/// each measured value.
pub(crate) struct Work<'a> {
    titles: Vec<String>,
    unit: Unit,
    contestants: Vec<Contestant<'a>>,
}

/// The name of a family and its measurement, which returns a value for each row.
type Contestant<'a> = (&'static str, Box<dyn Fn() -> Vec<f64> + 'a>);

/// The commands for a task, each with its family.
type Commands<'c> = &'c [(Peer, &'c str)];

impl Work<'_> {
    /// Whether a title contains these words.
    pub(crate) fn is_about(&self, words: &str) -> bool {
        self.titles.iter().any(|title| title.contains(words))
    }

    /// Measures each contestant in turn, as often as requested.
    pub(crate) fn run(self, rounds: usize) -> Vec<Result> {
        let empty = |title| Result {
            title,
            unit: self.unit,
            figures: self
                .contestants
                .iter()
                .map(|(name, _)| Figure::empty(name))
                .collect(),
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

/// The families, by the name of a program that is theirs alone.
#[derive(Clone, Copy)]
enum Peer {
    /// All our builds.
    Ours,
    Daemontools,
    Runit,
    S6,
    /// No family, but the least possible work: see [`LIMIT`].
    Limit,
}

/// The columns and directories of a family's programs: one for each of our
/// builds, one for each peer.
fn programs(settings: &Settings, peer: Peer) -> Vec<(&'static str, &Path)> {
    let theirs = settings.peers.as_path();
    match peer {
        Peer::Ours => {
            let builds = settings.ours.iter();
            builds
                .map(|(build, programs)| (column(*build), programs.as_path()))
                .collect()
        }
        Peer::Daemontools => vec![("daemontools", theirs)],
        Peer::Runit => vec![("runit", theirs)],
        Peer::S6 => vec![("s6", theirs)],
        Peer::Limit => vec![(LIMIT, Path::new("/bin"))],
    }
}

/// The tasks, with the installed contestants.
pub(crate) fn all<'a>(settings: &'a Settings, place: &'a Place) -> Vec<Work<'a>> {
    let log = place.path("log");
    write_log(&log, MEGABYTES);
    let stamped = place.path("stamped");
    seconds(
        &settings.ours[0].1.join("tai64n").display().to_string(),
        &place.path("."),
        &log,
        &stamped,
    );
    let mut rows = logging(settings, place);
    rows.extend(chain(settings, place));
    rows.extend(waiting(settings, place));
    rows.extend(control(settings, place));
    rows.push(start(settings, place));
    rows.extend(sizes(settings));
    rows
}

/// An installed contestant of a row.
#[derive(Clone)]
struct Entry<'a> {
    /// The column of its figures.
    column: &'static str,
    /// The directory of its programs.
    directory: &'a Path,
    /// Its command, with the path of the program first.
    command: String,
}

/// The installed contestants of a row. The command of each begins with the name
/// of the program.
fn present<'a>(settings: &'a Settings, commands: Commands) -> Vec<Entry<'a>> {
    let full = |&(peer, command): &(Peer, &str)| {
        let command = command.to_owned();
        let entry = move |(column, directory): (&'static str, &'a Path)| {
            let (name, rest) = command.split_once(' ').unwrap_or((&command, ""));
            let path = directory.join(name);
            path.exists().then(|| Entry {
                column,
                directory,
                command: format!("{} {rest}", path.display()),
            })
        };
        programs(settings, peer).into_iter().filter_map(entry)
    };
    commands.iter().flat_map(full).collect()
}

/// Commands that write labelled lines to a log directory.
const LABELLED: Commands = &[
    (Peer::Ours, "multilog t s16777215 n20 ./d"),
    (Peer::Daemontools, "multilog t s16777215 n20 ./d"),
    (Peer::Runit, "svlogd -t ./d"),
    (Peer::S6, "s6-log t s16777215 n20 ./d"),
    (Peer::Limit, "cat >d/current"),
];

/// Throughput of log programs, in megabytes of input per second.
fn logging<'a>(settings: &'a Settings, place: &'a Place) -> Vec<Work<'a>> {
    use Peer::{Daemontools, Limit, Ours, Runit, S6};
    const PATTERNS: &str = "'-*' '+*error*' '+*timeout*' '-*404*'";
    let four = format!("multilog t {PATTERNS} s16777215 n20 ./d");
    let rows: [(&str, &str, Commands); 7] = [
        ("multilog t", "log", LABELLED),
        ("multilog t, from a pipe", "log", LABELLED),
        (
            "multilog without t",
            "log",
            &[
                (Ours, "multilog s16777215 n20 ./d"),
                (Daemontools, "multilog s16777215 n20 ./d"),
                (Runit, "svlogd ./d"),
                (S6, "s6-log s16777215 n20 ./d"),
                (Limit, "cat >d/current"),
            ],
        ),
        (
            "multilog t, four patterns",
            "log",
            &[
                (Ours, &four),
                (Daemontools, &four),
                (Limit, "cat >d/current"),
            ],
        ),
        (
            "svlogd -t, beside multilog t",
            "log",
            &[
                (Ours, "svlogd -t ./d"),
                (Daemontools, "multilog t s16777215 n20 ./d"),
                (Runit, "svlogd -t ./d"),
                (S6, "s6-log t s16777215 n20 ./d"),
                (Limit, "cat >d/current"),
            ],
        ),
        (
            "tai64n, to /dev/null",
            "log",
            &[
                (Ours, "tai64n"),
                (Daemontools, "tai64n"),
                (S6, "s6-tai64n"),
                (Limit, "cat"),
            ],
        ),
        (
            "tai64nlocal, New York, to /dev/null",
            "stamped",
            &[
                (Ours, "tai64nlocal"),
                (Daemontools, "tai64nlocal"),
                (S6, "s6-tai64nlocal"),
                (Limit, "cat"),
            ],
        ),
    ];
    let row = |(title, input, commands): (&str, &str, Commands)| {
        let input = place.path(input);
        let megabytes = fs::metadata(&input).unwrap().len() as f64 / 1e6;
        let piped = title.ends_with("pipe");
        let contestants = present(settings, commands).into_iter().map(|entry| {
            let input = input.clone();
            let command = entry.command;
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
            (entry.column, Box::new(measure) as Box<dyn Fn() -> Vec<f64>>)
        });
        Work {
            titles: vec![title.to_owned()],
            unit: Unit::MegabytesASecond,
            contestants: contestants.collect(),
        }
    };
    rows.map(row).into_iter().collect()
}

/// runit's equivalents of the chain programs.
const CHPST: [(&str, Commands); 3] = [
    (
        "chpst -e, beside envdir",
        &[
            (Peer::Ours, "chpst -e env"),
            (Peer::Daemontools, "envdir env"),
            (Peer::Runit, "chpst -e env"),
        ],
    ),
    (
        "chpst -L, beside setlock",
        &[
            (Peer::Ours, "chpst -L lock"),
            (Peer::Daemontools, "setlock lock"),
            (Peer::Runit, "chpst -L lock"),
        ],
    ),
    (
        "chpst -U, beside envuidgid",
        &[
            (Peer::Ours, "chpst -U nobody"),
            (Peer::Daemontools, "envuidgid nobody"),
            (Peer::Runit, "chpst -U nobody"),
        ],
    ),
];

/// The time that a program adds to an exec, in microseconds.
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
    let empty = empty_program(place);
    let row = |(title, commands): (&str, Commands)| {
        let contestants = present(settings, commands)
            .into_iter()
            .chain(empty.clone())
            .map(|entry| {
                let bare = vec!["/bin/true".to_owned()];
                let words: Vec<String> = entry
                    .command
                    .split_whitespace()
                    .map(str::to_owned)
                    .chain(bare.clone())
                    .collect();
                let dir = dir.clone();
                let measure = move || vec![microseconds_beyond(&bare, &words, &dir)];
                (entry.column, Box::new(measure) as Box<dyn Fn() -> Vec<f64>>)
            });
        Work {
            titles: vec![format!("{title}, over a bare exec")],
            unit: Unit::Microseconds,
            contestants: contestants.collect(),
        }
    };
    let may_change_identity = nix::unistd::geteuid().is_root();
    rows.into_iter()
        .chain(CHPST)
        .filter(|(title, _)| may_change_identity || *title != "setuidgid")
        .map(row)
        .collect()
}

/// The limit of a start: see empty.S. None, and a message, where the C compiler
/// cannot build it.
fn empty_program(place: &Place) -> Option<Entry<'static>> {
    let (source, program) = (place.path("empty.S"), place.path("empty"));
    fs::write(&source, include_str!("empty.S")).unwrap();
    let built = Command::new("cc")
        .args(["-nostdlib", "-static", "-o"])
        .args([&program, &source])
        .status();
    if !built.is_ok_and(|status| status.success()) {
        println!("left out: the empty program, which cc cannot build");
        return None;
    }
    Some(Entry {
        column: LIMIT,
        directory: Path::new("/"),
        command: program.display().to_string(),
    })
}

/// The scanners, which start a supervisor for each service of a directory.
const SCANNERS: Commands = &[
    (Peer::Ours, "svscan ."),
    (Peer::Daemontools, "svscan ."),
    (Peer::Runit, "runsvdir ."),
    (Peer::S6, "s6-svscan ."),
];

/// The row that counts the supervisors without their scanner.
const EACH_OF_TEN: &str = "each of ten supervises";

/// The memory of idle programs, in kilobytes.
fn waiting<'a>(settings: &'a Settings, place: &'a Place) -> Vec<Work<'a>> {
    use Peer::{Daemontools, Ours, Runit, S6};
    let rows: [(&str, usize, Commands); 7] = [
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
        ("runsv", 1, &[(Ours, "runsv s0"), (Runit, "runsv s0")]),
        (
            "runsvdir",
            1,
            &[(Ours, "runsvdir ."), (Runit, "runsvdir .")],
        ),
        ("svscan and the supervises of 20 services", 20, SCANNERS),
        (EACH_OF_TEN, 10, SCANNERS),
    ];
    let work = |(title, services, commands): (&str, usize, Commands)| {
        let contestants = present(settings, commands).into_iter().map(|entry| {
            let with: &[&str] = match services {
                1 => &[],
                _ => &["supervise", "runsv", "s6-supervise"],
            };
            let counted = if title == EACH_OF_TEN {
                Counted::EachChild
            } else {
                Counted::Sum
            };
            let path = format!("PATH={}:/bin", entry.directory.display());
            let command = entry.command;
            let measure = move || {
                let dir = place.fresh("waiting");
                for n in 0..services {
                    service(&dir.join(format!("s{n}")));
                }
                let waits = |dir: &Path| {
                    let started = |n| dir.join(format!("s{n}/started")).exists();
                    (0..services).all(started) || dir.join("s0/current").exists()
                };
                memory(&format!("env {path} {command}"), &dir, with, counted, waits)
            };
            (entry.column, Box::new(measure) as Box<dyn Fn() -> Vec<f64>>)
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

/// The time until a command returns, in microseconds.
fn control<'a>(settings: &'a Settings, place: &'a Place) -> Vec<Work<'a>> {
    use Peer::{Daemontools, Ours, Runit};
    const MANY: usize = 100;
    let names: Vec<_> = (0..MANY).map(|n| format!("./s{n}")).collect();
    let status = format!("sv status {}", names.join(" "));
    let svstat = format!("svstat {}", names.join(" "));
    // A service that ran for less than a second restarts only after the second
    // is over, which would add to the time of the command.
    let calm = Duration::from_millis(1100);
    let work = |titles: &[&str], services: usize, turns, contestants: &[(Peer, &str, &[&str])]| {
        let contestants = contestants
            .iter()
            .flat_map(|&(peer, supervisor, commands)| {
                let supervisors = present(settings, &[(peer, supervisor)]);
                supervisors.into_iter().map(move |entry| (entry, commands))
            })
            .map(|(entry, commands)| {
                let directory = entry.directory.display();
                let script = format!("env PATH={directory}:/bin {}.", entry.command);
                let words = |command: &&str| {
                    format!("{directory}/{command}")
                        .split_whitespace()
                        .map(str::to_owned)
                        .collect()
                };
                let commands: Vec<Vec<String>> = commands.iter().map(words).collect();
                let measure = move || {
                    let dir = place.fresh("control");
                    for n in 0..services {
                        service(&dir.join(format!("s{n}")));
                    }
                    let waits = |dir: &Path| {
                        (0..services).all(|n| dir.join(format!("s{n}/started")).exists())
                    };
                    microseconds_beside(&script, &dir, waits, &commands, turns)
                };
                (entry.column, Box::new(measure) as Box<dyn Fn() -> Vec<f64>>)
            })
            .collect();
        Work {
            titles: titles.iter().map(|&title| title.to_owned()).collect(),
            unit: Unit::Microseconds,
            contestants,
        }
    };
    vec![
        work(
            &["sv status of 100 services, beside svstat"],
            MANY,
            (50, Duration::from_millis(10)),
            &[
                (Ours, "runsvdir", &[&status]),
                (Daemontools, "svscan", &[&svstat]),
                (Runit, "runsvdir", &[&status]),
            ],
        ),
        work(
            &["sv stop, until it returns", "sv start, until it returns"],
            1,
            (5, calm),
            &[
                (Ours, "runsvdir", &["sv stop ./s0", "sv start ./s0"]),
                (Runit, "runsvdir", &["sv stop ./s0", "sv start ./s0"]),
            ],
        ),
    ]
}

/// A service that reports its start and then does nothing.
fn service(dir: &Path) {
    fs::create_dir(dir).unwrap();
    let run = dir.join("run");
    fs::write(&run, "#!/bin/sh\n: >started\nexec sleep 1000\n").unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The time from the start of a scanner until 1000 services are up, for each
/// service, in microseconds.
fn start<'a>(settings: &'a Settings, place: &'a Place) -> Work<'a> {
    use Peer::{Daemontools, Ours, Runit};
    const SERVICES: usize = 1000;
    let scanners: Commands = &[
        (Ours, "svscan"),
        (Daemontools, "svscan"),
        (Runit, "runsvdir"),
    ];
    let service = settings.ours[0].1.join("tai64n");
    let contestants = present(settings, scanners).into_iter().map(|entry| {
        let service = service.clone();
        let measure = move || {
            let mut tree = Tree::plant(place.disk(), SERVICES, false, &service);
            let time = tree.start(entry.directory, entry.command.trim_end());
            vec![time.as_secs_f64() * 1e6 / SERVICES as f64]
        };
        (entry.column, Box::new(measure) as Box<dyn Fn() -> Vec<f64>>)
    });
    Work {
        titles: vec![format!("start of {SERVICES} services, each")],
        unit: Unit::Microseconds,
        contestants: contestants.collect(),
    }
}

/// The size of the largest installed program, and of all programs that a family
/// installs, in kilobytes.
fn sizes(settings: &Settings) -> Vec<Work<'_>> {
    use Peer::{Daemontools, Ours, Runit, S6};
    let size = |directory: &Path, name: &str| {
        let file = fs::metadata(directory.join(name)).ok()?;
        Some(file.len() as f64 / 1000.0)
    };
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
    let largest = families.into_iter().flat_map(|(peer, names)| {
        let family = programs(settings, peer).into_iter();
        family.filter_map(move |(column, directory)| {
            let sizes = names.iter().filter_map(|name| size(directory, name));
            let largest = sizes.reduce(f64::max)?;
            let measure = move || vec![largest];
            Some((column, Box::new(measure) as Box<dyn Fn() -> Vec<f64>>))
        })
    });
    let all = programs(settings, Ours)
        .into_iter()
        .map(|(column, directory)| {
            let sizes = testkit::programs();
            let sum: f64 = sizes.iter().filter_map(|name| size(directory, name)).sum();
            let measure = move || vec![sum];
            (column, Box::new(measure) as Box<dyn Fn() -> Vec<f64>>)
        });
    let work = |title: &str, contestants| Work {
        titles: vec![title.to_owned()],
        unit: Unit::Kilobytes,
        contestants,
    };
    vec![
        work("the largest program", largest.collect()),
        work("all our programs", all.collect()),
    ]
}

/// The programs that daemontools also has.
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
