mod accounts;
pub(crate) mod boot;
pub(crate) mod chain;
mod chpst;
mod descriptors;
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
mod runsvdir_process_one;
mod sdnotify;
mod setlock;
mod setuidgid;
mod softlimit;
mod stopped;
mod supervise;
mod supervise_check;
mod supervise_dir;
mod supervise_extended;
mod supervise_requests;
mod supervise_signals;
mod supervise_start;
pub(crate) mod sv;
mod svc;
mod svlog;
mod svlog_follow;
mod svlog_read;
mod svlogd;
mod svok;
mod svperms;
mod svps;
mod svps_health;
mod svps_watch;
mod svscan;
mod svscan_extended;
mod svscanboot;
mod svstat;
mod svwait;
mod svwait_program;
mod tai64n;
mod tai64nlocal;

use std::fs;
use std::os::unix::fs::MetadataExt;

use testkit::{Running, Sandbox, say};

/// Starts supervise on the service directory `s` and waits until it runs.
pub(crate) fn supervise(sandbox: &Sandbox) -> Running {
    sandbox.start_supervisor("supervise", "s")
}

/// The status record of `s` without its label: whether there is a pid, paused,
/// and want. None if there is no complete record.
fn try_status(sandbox: &Sandbox) -> Option<(bool, u8, u8)> {
    let record = std::fs::read(sandbox.path("s/supervise/status")).ok()?;
    let record = <[u8; 18]>::try_from(record).ok()?;
    Some((record[12..16] != [0; 4], record[16], record[17]))
}

/// Makes a directory with the inode of a removed one. Returns false, after a message, if
/// the file system gives that inode to none of many new directories.
fn reuse_inode(sandbox: &Sandbox, inode: u64, name: &str) -> bool {
    let path = |number| sandbox.path(format!("{name}.{number}"));
    let is_made = (0..100).any(|number| {
        let path = path(number);
        fs::create_dir(&path).unwrap();
        let is_same = fs::metadata(&path).unwrap().ino() == inode;
        if is_same {
            fs::rename(&path, sandbox.path(name)).unwrap();
        }
        is_same
    });
    if !is_made {
        say("not tested, the file system has not reused an inode");
    }
    is_made
}

/// As [`try_status`], of a service that has a record.
fn status(sandbox: &Sandbox) -> (bool, u8, u8) {
    try_status(sandbox).expect("a status record of 18 bytes")
}

/// Waits until the status record of `s` is as given.
#[track_caller]
pub(crate) fn wait_for_status(sandbox: &Sandbox, wanted: (bool, u8, u8)) {
    sandbox.wait_until(&format!("the status is {wanted:?}"), || {
        try_status(sandbox) == Some(wanted)
    });
}

/// Waits until a process sleeps in 20 checks in a row. A polling process fails
/// this.
#[track_caller]
fn wait_until_asleep(sandbox: &Sandbox, process: &Running) {
    let mut asleep = 0;
    sandbox.wait_until("the process sleeps", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
        let sleeps =
            status.contains("\nState:\tS") && status.contains("\nShdPnd:\t0000000000000000\n");
        asleep = if sleeps { asleep + 1 } else { 0 };
        asleep == 20
    });
}
