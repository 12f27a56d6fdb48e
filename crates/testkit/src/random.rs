//! Random cases: the same generated case on the reference and on ours, or a
//! case on ours alone.
//!
//! The cases follow from a seed, so that a failed case can be run again:
//! `DAEMONTOOLS_SEED` sets it, `DAEMONTOOLS_CASES` multiplies the number of
//! cases, and `DAEMONTOOLS_SECONDS` bounds the time of each test.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::subject::{beside, ours_beside, reference_is_here, say};
use crate::{Sandbox, Subject};

/// The two sides of a comparison, each in a sandbox of its own.
#[derive(Debug)]
pub struct Pair {
    /// With the reference programs.
    pub reference: Sandbox,
    /// With our programs.
    pub ours: Sandbox,
}

impl Pair {
    /// Does the same on both sides and asserts that the results are equal.
    #[track_caller]
    pub fn same<T: PartialEq + std::fmt::Debug>(&self, mut act: impl FnMut(&Sandbox) -> T) -> T {
        let (theirs, ours) = (act(&self.reference), act(&self.ours));
        assert!(theirs == ours, "reference: {theirs:#?}\nours: {ours:#?}");
        ours
    }
}

/// Runs `cases` random cases of a comparison called `name`. `built` is the
/// path of one of our programs.
///
/// # Panics
/// If a case panics, after printing its seed.
pub fn compare(
    name: &str,
    built: &str,
    cases: u64,
    mut case: impl FnMut(&mut fastrand::Rng, &Pair),
) {
    if !reference_is_here(name) {
        return;
    }
    let ours = ours_beside(built);
    let pair = Pair {
        reference: Sandbox::new(Subject::Reference, &ours),
        ours: Sandbox::new(Subject::Ours, &ours),
    };
    let seed = number("DAEMONTOOLS_SEED", 1);
    let cases = cases * number("DAEMONTOOLS_CASES", 1);
    let bound = Duration::from_secs(number("DAEMONTOOLS_SECONDS", 120));
    let start = Instant::now();
    let mut done = 0;
    while done < cases && start.elapsed() < bound {
        let seed = seed + done;
        let print_on_panic = PrintSeedOnPanic { name, seed };
        case(&mut fastrand::Rng::with_seed(seed), &pair);
        std::mem::forget(print_on_panic);
        done += 1;
    }
    say(&format!(
        "{name}: {done} random cases from seed {seed}, no difference"
    ));
}

/// Prints the seed of a case that panics.
struct PrintSeedOnPanic<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for PrintSeedOnPanic<'_> {
    fn drop(&mut self) {
        say(&format!(
            "{}: the case of DAEMONTOOLS_SEED={} differs",
            self.name, self.seed
        ));
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number: {value}"))
    })
}

/// Runs `cases` random cases of a test called `name` on our programs, each in a
/// sandbox of its own, `lanes` of them at a time. `built` is the path of one of
/// our programs. The cases after a failed one still run.
///
/// # Panics
/// If a case panics, with the seeds of all cases that did.
pub fn ours(
    name: &str,
    built: &str,
    cases: u64,
    lanes: usize,
    case: impl Fn(&mut fastrand::Rng, &Sandbox) + Sync,
) {
    run(name, &ours_beside(built), cases, lanes, case);
}

/// As [`ours`], on the programs that Cargo built, whichever `DAEMONTOOLS_OURS`
/// names: they are linked dynamically.
///
/// # Panics
/// As `ours`.
pub fn ours_as_built(
    name: &str,
    built: &str,
    cases: u64,
    lanes: usize,
    case: impl Fn(&mut fastrand::Rng, &Sandbox) + Sync,
) {
    run(name, &beside(built), cases, lanes, case);
}

fn run(
    name: &str,
    ours: &Path,
    cases: u64,
    lanes: usize,
    case: impl Fn(&mut fastrand::Rng, &Sandbox) + Sync,
) {
    let first = number("DAEMONTOOLS_SEED", 1);
    let cases = cases * number("DAEMONTOOLS_CASES", 1);
    let bound = Duration::from_secs(number("DAEMONTOOLS_SECONDS", 120));
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                while start.elapsed() < bound {
                    let seed = first + next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + cases {
                        return;
                    }
                    let run = || {
                        let sandbox = Sandbox::new(Subject::Ours, ours);
                        case(&mut fastrand::Rng::with_seed(seed), &sandbox);
                    };
                    if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(run)) {
                        // The harness shows captured output after the last case.
                        let text = panic.downcast_ref::<String>().map(String::as_str);
                        let literal = panic.downcast_ref::<&str>().copied();
                        say(text.or(literal).unwrap_or_default());
                        say(&format!(
                            "{name}: the case of DAEMONTOOLS_SEED={seed} fails"
                        ));
                        failed
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(seed);
                    }
                }
            });
        }
    });
    let done = next.into_inner().min(cases);
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    say(&format!(
        "{name}: {done} random cases from seed {first}, {} failed",
        failed.len()
    ));
    assert!(
        failed.is_empty(),
        "{name} fails with these seeds: {failed:?}"
    );
}
