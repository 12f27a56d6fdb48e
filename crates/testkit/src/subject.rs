//! Which programs a test runs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::Sandbox;

/// The programs that create state, and the clients that use this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Debian's programs alone.
    Reference,
    /// This project's programs alone.
    Ours,
    /// The reference creates state, our clients use it.
    TheirsThenOurs,
    /// Ours create state, the clients of the reference use it.
    OursThenTheirs,
}

impl Subject {
    /// The directories of the first programs and of the clients.
    pub(crate) fn directories(self, ours: &Path) -> (PathBuf, PathBuf) {
        let (ours, theirs) = (ours.to_owned(), reference());
        match self {
            Subject::Reference => (theirs.clone(), theirs),
            Subject::Ours => (ours.clone(), ours),
            Subject::TheirsThenOurs => (theirs, ours),
            Subject::OursThenTheirs => (ours, theirs),
        }
    }
}

/// Where the reference programs are: `DAEMONTOOLS_REFERENCE`, else /usr/bin.
fn reference() -> PathBuf {
    std::env::var_os("DAEMONTOOLS_REFERENCE").map_or_else(|| "/usr/bin".into(), Into::into)
}

/// Where this project's programs are: `DAEMONTOOLS_OURS`, else the directory
/// that `built`, one of them, was built into.
pub(crate) fn ours_beside(built: &str) -> PathBuf {
    std::env::var_os("DAEMONTOOLS_OURS").map_or_else(|| beside(built), Into::into)
}

pub(crate) fn beside(built: &str) -> PathBuf {
    let directory = Path::new(built).parent();
    directory.expect("a program has a directory").to_owned()
}

/// Whether the reference is installed; if not, `test` is skipped.
pub(crate) fn reference_is_here(test: &str) -> bool {
    let programs = ["supervise", "runsv"];
    let here = programs
        .iter()
        .all(|program| reference().join(program).exists());
    if !here {
        skip(test, "the reference programs are not installed");
    }
    here
}

/// Prints that a test is skipped, and the reason.
///
/// # Panics
/// In CI (`CI=true`), which promises all that the tests need.
pub fn skip(test: &str, why: &str) {
    say(&format!("skipped, {why}: {test}"));
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "CI=true, and {why}"
    );
}

/// Whether the tests run as root; if not, `test` is skipped.
pub fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip(test, "only root may change users, limits and mounts");
    }
    root
}

/// Prints a line to the terminal: the test harness captures `println!`.
pub fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Runs `check` in a sandbox with the programs that Cargo built, whichever
/// `DAEMONTOOLS_OURS` names: they are linked dynamically. `built` is the path of one
/// of them.
pub fn run_built(built: &str, check: impl FnOnce(&Sandbox)) {
    check(&Sandbox::new(Subject::Ours, &beside(built)));
}

/// Prints once in a test run that some cases lack a requirement.
pub fn say_once(once: &'static Once, line: &str) {
    once.call_once(|| say(line));
}

/// Runs `check` on a subject, in a sandbox of its own. `built` is the path of
/// one of the programs built by Cargo.
pub fn run(subject: Subject, built: &str, test: &str, check: fn(&Sandbox)) {
    if subject == Subject::Ours || reference_is_here(test) {
        check(&Sandbox::new(subject, &ours_beside(built)));
    }
}
