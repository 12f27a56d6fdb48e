mod boot;
pub(crate) mod chain;
mod chpst;
mod differences;
mod envdir;
mod envuidgid;
mod exec;
mod fghack;
mod filters;
pub(crate) mod multilog;
mod pgrphack;
mod readproctitle;
mod runit_differences;
mod runsv;
mod runsvchdir;
mod runsvdir;
mod setlock;
mod setuidgid;
mod softlimit;
mod supervise;
mod supervise_extended;
pub(crate) mod sv;
mod svc;
mod svlogd;
mod svok;
mod svps;
mod svscan;
mod svscan_extended;
mod svscanboot;
mod svstat;
mod svwait;
mod tai64n;
mod tai64nlocal;

use testkit::{Running, Sandbox};

/// A run script that stays up.
const SLEEPER: &str = "#!/bin/sh\nexec sleep 1000\n";

/// Starts supervise on the service directory `s` and waits until it runs.
fn supervise(sandbox: &Sandbox) -> Running {
    let running = sandbox.start(sandbox.shell("exec supervise s"));
    sandbox.wait_until("supervise runs", || sandbox.sh("svok s").code() == Some(0));
    running
}

/// What the status record of `s` says, the label left out: whether there is a
/// pid, paused, and want.
fn status(sandbox: &Sandbox) -> (bool, u8, u8) {
    let record = sandbox.read("s/supervise/status");
    assert_eq!(record.len(), 18);
    (record[12..16] != [0; 4], record[16], record[17])
}

/// Waits until the status record of `s` is as given.
#[track_caller]
fn wait_for_status(sandbox: &Sandbox, wanted: (bool, u8, u8)) {
    let last = std::cell::Cell::new(None);
    sandbox.wait_until(&format!("the status is {wanted:?}"), || {
        last.set(Some(status(sandbox)));
        last.get() == Some(wanted)
    });
}

/// Waits until a process sleeps whenever it is looked at: one that looks again
/// and again does not.
#[track_caller]
fn wait_until_it_rests(sandbox: &Sandbox, process: &Running) {
    let mut asleep = 0;
    sandbox.wait_until("it rests", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
        let sleeps =
            status.contains("\nState:\tS") && status.contains("\nShdPnd:\t0000000000000000\n");
        asleep = if sleeps { asleep + 1 } else { 0 };
        asleep == 20
    });
}

/// Whether the tests may act as another user; if not, `test` is skipped.
fn may_change_identity(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        testkit::skip(test, "only root may act as another user");
    }
    root
}
