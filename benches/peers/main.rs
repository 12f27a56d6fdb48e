//! Compares daemontools-rs with its peers in one run on one machine.
//!
//! `make bench` runs it. The contestants of a row take turns. The results are
//! the median over the rounds and the median of the ratios within each round,
//! because the speed of shared machines drifts.

#![allow(missing_docs, reason = "nobody calls a benchmark")]
#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark that cannot run says so and ends, and its figures have few digits"
)]

mod container;
mod log_data;
mod logs;
mod measure;
mod report;
mod rows;

use std::path::{Path, PathBuf};

/// The options of the benchmark.
struct Settings {
    /// Our builds, at least one, each with the directory of its programs. The
    /// ratios of the table are those of the first.
    ours: Vec<(Build, PathBuf)>,
    /// The directory of the peers' programs.
    peers: PathBuf,
    /// The number of rounds.
    rounds: usize,
    /// A filter: words in the titles of the measured rows.
    only: String,
    /// The project directory for README.md and benches/, which are written
    /// after a run without a filter.
    project: PathBuf,
}

impl Settings {
    fn from_environment() -> Self {
        let path = |name: &str, otherwise: PathBuf| {
            std::env::var_os(name).map_or(otherwise, PathBuf::from)
        };
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let ours = [("BENCH_MUSL", Build::Musl), ("BENCH_GLIBC", Build::Glibc)]
            .into_iter()
            .filter_map(|(name, build)| {
                let directory = std::env::var_os(name).filter(|value| !value.is_empty())?;
                Some((build, PathBuf::from(directory)))
            })
            .collect();
        let rounds = std::env::var("BENCH_ROUNDS").map_or(5, |rounds| {
            rounds.parse().expect("BENCH_ROUNDS is a number")
        });
        Settings {
            ours,
            peers: path("DAEMONTOOLS_REFERENCE", "/usr/bin".into()),
            rounds,
            only: std::env::var("BENCH_ROWS").unwrap_or_default(),
            project,
        }
    }
}

/// The C library of one of our builds.
#[derive(Clone, Copy)]
enum Build {
    Musl,
    Glibc,
}

fn main() {
    let settings = Settings::from_environment();
    assert!(
        !settings.ours.is_empty(),
        "BENCH_MUSL and BENCH_GLIBC name no programs of ours"
    );
    for (program, package) in [
        ("supervise", "daemontools"),
        ("runsv", "runit"),
        ("s6-log", "s6"),
    ] {
        if !settings.peers.join(program).exists() {
            println!("not installed, left out: {package} (Debian's package of that name)");
        }
    }
    let place = measure::Place::new();
    let results: Vec<report::Result> = rows::all(&settings, &place)
        .into_iter()
        .filter(|work| work.is_about(&settings.only))
        .flat_map(|work| work.run(settings.rounds))
        .inspect(|result| print!("{}", report::line(result)))
        .collect();
    let process_one = container::run(&settings, &place);
    for result in &process_one {
        print!("{}", report::line(result));
    }
    let logs = logs::run(&settings, &place);
    for result in &logs {
        print!("{}", report::line(result));
    }
    if settings.only.is_empty() {
        let others = [
            report::Table {
                heading: "As process 1 of a container",
                results: &process_one,
                columns: &container::COLUMNS,
                caption: container::CAPTION,
            },
            report::Table {
                heading: "svlog, and the commands that people use to read logs",
                results: &logs,
                columns: &logs::COLUMNS,
                caption: logs::CAPTION,
            },
        ];
        report::write(&settings.project, &results, &others);
    }
}
