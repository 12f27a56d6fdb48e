//! The order of system calls in supervise, supervise -e and runsv, seen by
//! ptrace and strace.

use std::fs;

use nix::libc::{self, c_long};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use testkit::{Running, SLEEPER, Sandbox, kill, ours, skip};

use crate::compliance::multilog::calls::strace_works;

use super::{is_zombie, pid_of, record};

ours!(
    late_notification_before_exit_counts,
    exit_is_recorded_before_finish_starts,
    lock_is_released_before_ok_is_closed,
    exit_and_down_read_settings_once,
);

fn supervise(sandbox: &Sandbox) -> Running {
    sandbox.start_supervisor("supervise -e", "s")
}

/// The pid in the status record; 0 without a record.
fn recorded_pid(sandbox: &Sandbox) -> i32 {
    record(sandbox, "s").map_or(0, pid_of)
}

/// A process that stops at each system call.
struct Traced(Pid);

impl Traced {
    /// Returns None if processes cannot be traced.
    fn attach(pid: Pid) -> Option<Self> {
        ptrace::attach(pid).ok()?;
        waitpid(pid, None).unwrap();
        ptrace::setoptions(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD).unwrap();
        Some(Traced(pid))
    }

    /// Continues to the next entry to or return from a system call; returns the
    /// number of the call.
    fn next(&self) -> c_long {
        let mut signal = None;
        loop {
            ptrace::syscall(self.0, signal.take()).unwrap();
            match waitpid(self.0, None).unwrap() {
                WaitStatus::PtraceSyscall(_) => {
                    let number = ptrace::getregs(self.0).unwrap().orig_rax;
                    return c_long::try_from(number).unwrap_or(-1);
                }
                WaitStatus::Stopped(_, other) => signal = Some(other),
                other => panic!("{other:?}"),
            }
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None);
    }
}

fn late_notification_before_exit_counts(sandbox: &Sandbox) {
    // The first run exits without a notification. The second writes one and exits
    // at once.
    sandbox.script(
        "s/run",
        "#!/bin/sh\n[ -e go ] || exec mkfifo go\nread go <go\necho >&3\n",
    );
    sandbox.write("s/notification-fd", "3");
    sandbox.write("s/restart-delay", "1");
    sandbox.write("s/restart-delay-max", "60");
    let supervise = supervise(sandbox);
    sandbox.wait_until("run has started", || sandbox.exists("s/go"));
    let state = || fs::read_to_string(sandbox.path("s/supervise/state")).unwrap();
    sandbox.wait_until("run has restarted", || state().contains("\nrestarts=1\n"));
    let process = sandbox.service("s");
    let Some(traced) = Traced::attach(supervise.pid()) else {
        return skip(
            "late_notification_before_exit_counts",
            "nothing can be traced",
        );
    };
    fs::write(sandbox.path("s/supervise/control"), "c").unwrap();
    while traced.next() != libc::SYS_wait4 {}
    // supervise has read notifications and is about to reap children.
    fs::write(sandbox.path("s/go"), "\n").unwrap();
    sandbox.wait_until("run has exited", || is_zombie(process));
    drop(traced);
    sandbox.wait_until("supervise has recorded the exit", || {
        state().starts_with("state=delay\n")
    });
    let moment = |key| {
        let state = state();
        let line = state
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap();
        u64::from_str_radix(&line[2..17], 16).unwrap()
    };
    // The notification has reset the backoff to the first delay.
    assert!(moment("next_start=") - moment("since=") < 2, "{}", state());
}

fn exit_is_recorded_before_finish_starts(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    for program in ["notify", "finish"] {
        sandbox.script(format!("s/{program}"), "#!/bin/sh\necho >ran\n");
    }
    let supervise = supervise(sandbox);
    let process = sandbox.service("s");
    // The fork for this notify is not the one that the test waits for.
    sandbox.wait_until("notify has run after the start", || sandbox.exists("s/ran"));
    let Some(traced) = Traced::attach(supervise.pid()) else {
        return skip(
            "exit_is_recorded_before_finish_starts",
            "nothing can be traced",
        );
    };
    kill(process, Signal::SIGKILL).unwrap();
    let state = || fs::read_to_string(sandbox.path("s/supervise/state")).unwrap();
    let mut renames = 0;
    loop {
        match traced.next() {
            libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => renames += 1,
            libc::SYS_clone | libc::SYS_fork | libc::SYS_vfork => break,
            _ => {}
        }
        // Each call stops twice, at entry and return: after four stops, the
        // tally and the state are written and the status record is not.
        if renames == 4 {
            assert!(state().starts_with("state=finish\n"), "{}", state());
            assert_ne!(recorded_pid(sandbox), 0);
        }
    }
    assert_eq!((renames, recorded_pid(sandbox)), (6, 0));
}

/// The calls of a program from its start to its exit after `svc -dx s`, a line
/// each, with the paths of descriptors. None if strace does not work here.
fn traced_calls(sandbox: &Sandbox, calls: &str, program: &str) -> Option<Vec<String>> {
    if !strace_works(sandbox) {
        return None;
    }
    // With -D, the program itself is the child of this process.
    let running = sandbox.start(sandbox.shell(&format!(
        "exec strace -D -y -qq -o trace -e trace={calls} -e signal=none {program} s"
    )));
    sandbox.wait_until("supervise runs", || sandbox.is_supervised("s"));
    sandbox.service("s");
    sandbox.sh("svc -dx s").succeeds();
    running.wait().succeeds();
    sandbox.wait_until("strace has exited", || sandbox.processes().is_empty());
    let trace = fs::read_to_string(sandbox.path("trace")).unwrap();
    Some(trace.lines().map(str::to_owned).collect())
}

fn lock_is_released_before_ok_is_closed(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/log/run", "#!/bin/sh\nexec cat >kept\n");
    for program in ["supervise", "supervise -e", "runsv"] {
        let Some(calls) = traced_calls(sandbox, "flock,close", program) else {
            return;
        };
        for dir in if program == "runsv" {
            &["s", "s/log"][..]
        } else {
            &["s"]
        } {
            let last = |call: &str, file: &str| {
                let path = format!("/{dir}/supervise/{file}>");
                let matches = |line: &String| line.starts_with(call) && line.contains(&path);
                calls
                    .iter()
                    .rposition(matches)
                    .unwrap_or_else(|| panic!("no {call} {path}: {calls:?}"))
            };
            assert!(
                last("flock", "lock") < last("close", "ok"),
                "{program} {dir}: {calls:?}"
            );
        }
    }
}

fn exit_and_down_read_settings_once(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.write("s/down-signal", "TERM");
    let Some(calls) = traced_calls(sandbox, "open,openat", "supervise -e") else {
        return;
    };
    let reads = calls.iter().filter(|line| line.contains("down-signal"));
    // Once before the start, and once before the two commands.
    assert_eq!(reads.count(), 2, "{calls:?}");
}
