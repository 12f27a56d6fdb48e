//! The rows of the table: who does what, and how it is measured.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::Settings;
use crate::measure::{Memory, Place, memory, seconds, spawn_microseconds, write_log};
use crate::report::{Figure, Result, Unit};

/// The size of the log that goes through the log programs.
const MEGABYTES: usize = 64;

/// One row: the same work for all contestants, ours first.
pub(crate) struct Row<'a> {
    title: String,
    unit: Unit,
    contestants: Vec<Contestant<'a>>,
}

/// A family's name, and what measures it once.
type Contestant<'a> = (&'static str, Box<dyn Fn() -> f64 + 'a>);

/// The commands that do the same work, each with its family.
type Commands<'c> = &'c [(Peer, &'c str)];

impl Row<'_> {
    /// Measures each contestant in turn, as often as asked.
    pub(crate) fn run(self, rounds: usize) -> Result {
        let mut figures: Vec<Figure> = self
            .contestants
            .iter()
            .map(|(name, _)| Figure {
                name,
                values: Vec::new(),
            })
            .collect();
        for _ in 0..rounds {
            for (figure, (_, measure)) in figures.iter_mut().zip(&self.contestants) {
                figure.values.push(measure());
            }
        }
        Result {
            title: self.title,
            unit: self.unit,
            figures,
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
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Peer::Ours => "daemontools-rs",
            Peer::Daemontools => "daemontools",
            Peer::Runit => "runit",
            Peer::S6 => "s6",
        }
    }
}

/// All rows whose programs are installed.
pub(crate) fn all<'a>(settings: &'a Settings, place: &'a Place) -> Vec<Row<'a>> {
    let log = place.path("log");
    write_log(&log, MEGABYTES);
    let stamped = place.path("stamped");
    seconds(
        &program(settings, Peer::Daemontools, "tai64n"),
        place.path(".").as_path(),
        &log,
        &stamped,
    );
    let mut rows = logging(settings, place);
    rows.extend(chain(settings, place));
    rows.extend(waiting(settings, place));
    rows
}

/// The path of a program of a family.
fn program(settings: &Settings, peer: Peer, name: &str) -> String {
    let directory = match peer {
        Peer::Ours => &settings.ours,
        Peer::Daemontools | Peer::Runit | Peer::S6 => &settings.peers,
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
fn logging<'a>(settings: &'a Settings, place: &'a Place) -> Vec<Row<'a>> {
    use Peer::{Daemontools, Ours, Runit, S6};
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
            ],
        ),
        (
            "multilog t, four patterns",
            "log",
            &[(Ours, &four), (Daemontools, &four)],
        ),
        (
            "tai64n",
            "log",
            &[(Ours, "tai64n"), (Daemontools, "tai64n"), (S6, "s6-tai64n")],
        ),
        (
            "tai64nlocal, America/New_York",
            "stamped",
            &[
                (Ours, "tai64nlocal"),
                (Daemontools, "tai64nlocal"),
                (S6, "s6-tai64nlocal"),
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
                    megabytes / seconds(&script, &dir, &input, &place.path("out"))
                };
                (peer.name(), Box::new(measure) as Box<dyn Fn() -> f64>)
            });
        Row {
            title: title.to_owned(),
            unit: Unit::MegabytesASecond,
            contestants: contestants.collect(),
        }
    };
    rows.map(row).into_iter().collect()
}

/// What a program adds to an exec, in microseconds.
fn chain<'a>(settings: &'a Settings, place: &'a Place) -> Vec<Row<'a>> {
    use Peer::{Daemontools, Ours, Runit, S6};
    let dir = place.fresh("chain");
    fs::create_dir(dir.join("env")).unwrap();
    for (name, value) in [("NAME", "Fido\n"), ("ANIMAL", "dog\n"), ("EMPTY", "")] {
        fs::write(dir.join("env").join(name), value).unwrap();
    }
    let rows: [(&str, Commands); 5] = [
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
                let measure =
                    move || spawn_microseconds(&words, &dir) - spawn_microseconds(&bare, &dir);
                (peer.name(), Box::new(measure) as Box<dyn Fn() -> f64>)
            });
        Row {
            title: format!("{title}, over a bare exec"),
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
fn waiting<'a>(settings: &'a Settings, place: &'a Place) -> Vec<Row<'a>> {
    use Peer::{Daemontools, Ours, Runit, S6};
    let rows: [(&str, Commands); 3] = [
        (
            "supervise",
            &[
                (Ours, "supervise s"),
                (Daemontools, "supervise s"),
                (Runit, "runsv s"),
                (S6, "s6-supervise s"),
            ],
        ),
        (
            "svscan",
            &[
                (Ours, "svscan ."),
                (Daemontools, "svscan ."),
                (Runit, "runsvdir ."),
                (S6, "s6-svscan ."),
            ],
        ),
        (
            "multilog",
            &[
                (Ours, "multilog t ./s"),
                (Daemontools, "multilog t ./s"),
                (Runit, "svlogd -t ./s"),
                (S6, "s6-log t ./s"),
            ],
        ),
    ];
    let path = format!(
        "PATH={}:{}:/bin",
        settings.ours.display(),
        settings.peers.display()
    );
    let peers_path = format!("PATH={}:/bin", settings.peers.display());
    let mut all = Vec::new();
    for (title, commands) in rows {
        for (kind, what) in [
            (Memory::PrivateDirty, "Private_Dirty"),
            (Memory::Pss, "Pss"),
        ] {
            let contestants = present(settings, commands)
                .into_iter()
                .map(|(peer, command)| {
                    let path = if matches!(peer, Ours) {
                        path.clone()
                    } else {
                        peers_path.clone()
                    };
                    let measure = move || {
                        let dir = place.fresh("waiting");
                        fs::create_dir(dir.join("s")).unwrap();
                        let run = dir.join("s/run");
                        fs::write(&run, "#!/bin/sh\n: >../started\nexec sleep 1000\n").unwrap();
                        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
                        let waits = |dir: &Path| {
                            dir.join("started").exists() || dir.join("s/current").exists()
                        };
                        memory(&format!("env {path} {command}"), &dir, kind, waits)
                    };
                    (peer.name(), Box::new(measure) as Box<dyn Fn() -> f64>)
                });
            all.push(Row {
                title: format!("{title} waiting, {what}"),
                unit: Unit::Kilobytes,
                contestants: contestants.collect(),
            });
        }
    }
    all
}
