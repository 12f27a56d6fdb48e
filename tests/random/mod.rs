mod accounts;
mod batch;
mod chpst;
mod control;
mod envdir;
mod exec;
pub(crate) mod lives;
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

use testkit::Outcome;

/// The exit status of a run, and its output with escapes.
fn readable(outcome: &Outcome) -> (std::process::ExitStatus, String, String) {
    let escaped = |bytes: &[u8]| bytes.escape_ascii().to_string();
    (
        outcome.status,
        escaped(&outcome.stdout),
        escaped(&outcome.stderr),
    )
}
