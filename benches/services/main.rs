//! Many services at once: how long they take to start, what they keep in
//! memory and what they cost when nothing happens, under our svscan and under
//! the peers' that are installed.
//!
//! `make bench-services` runs it. `BENCH_SERVICES` is how many services the
//! contestants take turns with, 1000 if nothing is said, which is the most
//! that daemontools and runit take; `BENCH_MANY` is how many with loggers ours
//! is given alone, 10000 if nothing is said. Ours needs a descriptor for each
//! of these, and the machine two processes for each, and one more for each
//! service; loggers stay down.
//!
//! The service is a small static program of ours that waits for its standard
//! input, the same for all. Memory is that of the supervises alone; CPU time
//! is that of the whole tree.

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

mod tree;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tree::Tree;

/// What keeps a directory of services.
struct Contestant {
    name: &'static str,
    /// Where its programs are.
    programs: PathBuf,
    /// What is run in the directory, with what it runs for each service.
    scanner: &'static str,
    supervisor: &'static str,
}

fn main() {
    let ours = std::env::var_os("DAEMONTOOLS_OURS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/programs"),
        PathBuf::from,
    );
    let service = ours.join("tai64n");
    let contestant = |name, programs: &Path, scanner, supervisor| Contestant {
        name,
        programs: programs.to_owned(),
        scanner,
        supervisor,
    };
    let peers = Path::new("/usr/bin");
    let mut contestants = vec![
        contestant("daemontools 0.76", peers, "svscan", "supervise"),
        contestant("ours", &ours, "svscan", "supervise"),
        contestant("runit", peers, "runsvdir", "runsv"),
    ];
    contestants.retain(|contestant| {
        let here = contestant.programs.join(contestant.scanner).exists();
        if !here {
            println!("not installed, left out: {}", contestant.name);
        }
        here
    });
    let number = |name: &str, otherwise| {
        std::env::var(name).map_or(otherwise, |value| value.parse().expect("a number"))
    };
    let (few, many) = (number("BENCH_SERVICES", 1000), number("BENCH_MANY", 10_000));
    let rounds = number("BENCH_ROUNDS", 3);
    for round in 1..=rounds {
        for contestant in &contestants {
            let quiet = Duration::from_secs(if round == rounds { 11 } else { 0 });
            measure(contestant, &service, few, false, quiet);
        }
    }
    if many > 0 {
        let ours = contestants
            .iter()
            .find(|contestant| contestant.name == "ours");
        measure(
            ours.expect("ours is built"),
            &service,
            many,
            true,
            Duration::from_secs(11),
        );
    }
}

/// Starts the services, waits until all are up, and says what it took.
fn measure(
    contestant: &Contestant,
    service: &Path,
    services: usize,
    with_loggers: bool,
    quiet: Duration,
) {
    let mut tree = Tree::plant(services, with_loggers, service);
    let elapsed = tree.start(&contestant.programs, contestant.scanner);
    let busy = tree.cpu();
    let (supervises, private, shared) = tree.memory(contestant.supervisor);
    let per = |duration: Duration| duration.as_secs_f64() * 1e6 / services as f64;
    println!(
        "{}: {services} services{} up in {:.2} s, {:.0} us each ({:.0} us of CPU); \
         {supervises} {} keep {:.1} KB each to themselves ({:.1} with their part of what is shared); \
         {} itself {:.0} KB",
        contestant.name,
        if with_loggers { " with loggers" } else { "" },
        elapsed.as_secs_f64(),
        per(elapsed),
        per(busy),
        contestant.supervisor,
        private,
        shared,
        contestant.scanner,
        tree.scanner_memory(),
    );
    if !quiet.is_zero() {
        let before = tree.cpu();
        std::thread::sleep(quiet);
        let used = tree.cpu().saturating_sub(before);
        println!(
            "{}: idle, they use {:.1} ms of CPU in {} s",
            contestant.name,
            used.as_secs_f64() * 1e3,
            quiet.as_secs()
        );
    }
    if with_loggers {
        println!(
            "{}: {} supervises run, each once",
            contestant.name,
            tree.memory(contestant.supervisor).0
        );
    }
}
