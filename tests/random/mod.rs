mod batch;
mod chpst;
mod control;
mod envdir;
mod exec;
mod multilog;
mod options;
mod readproctitle;
mod runsv;
mod sv;
mod svc;
mod svlogd;
mod svstat;
mod tai64n;
mod tai64nlocal;

use testkit::random::Pair;
use testkit::{Outcome, Sandbox};

/// How a run ended, and its output in a form that can be read.
fn ended(outcome: &Outcome) -> (std::process::ExitStatus, String, String) {
    let readable = |bytes: &[u8]| bytes.escape_ascii().to_string();
    (
        outcome.status,
        readable(&outcome.stdout),
        readable(&outcome.stderr),
    )
}

/// Runs a program with the same words on both sides and compares how it ends.
#[track_caller]
fn same_end(pair: &Pair, program: &str, words: &[impl AsRef<std::ffi::OsStr>]) {
    pair.same(|sandbox: &Sandbox| {
        let mut command = sandbox.command(program);
        command.args(words);
        ended(&sandbox.run(command))
    });
}
