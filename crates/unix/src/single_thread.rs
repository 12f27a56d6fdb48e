//! Tests that fork.

use std::process::Command;

/// Runs the calling test in a process of its own with one test at a time.
///
/// A lock that another thread holds during a fork stays locked in the child. The
/// programs have one thread, but the tests of one process run in several, and
/// clone(2) takes no care of the locks of malloc(3).
pub(crate) fn run_alone(test: impl FnOnce()) {
    const THREADS: &str = "RUST_TEST_THREADS";
    if std::env::var_os(THREADS).is_some_and(|threads| threads == "1") {
        return test();
    }
    let thread = std::thread::current();
    let name = thread.name().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(THREADS, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}{errors}"
    );
}
