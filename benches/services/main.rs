//! Many services at once: start time, memory and idle CPU time under our svscan
//! and under the scanners of installed peers.
//!
//! `make bench-services` runs it. `BENCH_SERVICES` is the number of services
//! for each contestant. Default: 1000, the maximum of daemontools and runit.
//! `BENCH_MANY` is the number of services with loggers for our svscan alone.
//! Default: 10000. Each of these needs a file descriptor of svscan and three
//! processes; loggers stay down.
//!
//! The service is a small static program that blocks on standard input, the
//! same for all contestants. Memory counts the supervise processes only, CPU
//! time the whole tree.

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

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemontools_benches::Tree;

/// A scanner of a directory of services.
struct Contestant {
    name: &'static str,
    /// The directory of its programs.
    programs: PathBuf,
    /// The scanner, and the supervisor that it starts for each service.
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

/// Starts the services, waits until all are up, and prints the costs.
fn measure(
    contestant: &Contestant,
    service: &Path,
    services: usize,
    with_loggers: bool,
    quiet: Duration,
) {
    let mut tree = Tree::plant(&std::env::temp_dir(), services, with_loggers, service);
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
