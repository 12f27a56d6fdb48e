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

mod measure;
mod report;
mod rows;

use std::path::{Path, PathBuf};

/// The options of the benchmark.
struct Settings {
    /// The directory of our programs, as built by `make`.
    ours: PathBuf,
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
        let rounds = std::env::var("BENCH_ROUNDS").map_or(5, |rounds| {
            rounds.parse().expect("BENCH_ROUNDS is a number")
        });
        Settings {
            ours: path("DAEMONTOOLS_OURS", project.join("target/programs")),
            peers: path("DAEMONTOOLS_REFERENCE", "/usr/bin".into()),
            rounds,
            only: std::env::var("BENCH_ROWS").unwrap_or_default(),
            project,
        }
    }
}

fn main() {
    let settings = Settings::from_environment();
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
    if settings.only.is_empty() {
        report::write(&settings.project, &results);
    }
}
