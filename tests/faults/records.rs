//! Records of supervise, supervise -e and runsv that cannot be written for a while:
//! full file systems, exhausted descriptors, missing permissions, I/O errors. The
//! programs write the records once the shortage ends, without a further event.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Running, Sandbox, compliance, is_root, kill, ours};

use crate::compliance::multilog::calls::strace_works;
use crate::processes::waits_without_timeout;

use super::{children, pid_of};

compliance!(record_errors_are_reported_per_event);

ours!(
    records_are_written_once_a_shortage_ends,
    retries_report_nothing_and_end,
    state_is_retried_without_its_record,
    removed_directory_is_not_retried,
);

const FAMILIES: [&str; 3] = ["supervise", "supervise -e", "runsv"];

/// Runs forever, with few descriptors: sh uses those from 10 on.
const RUN: &str = "#!/usr/bin/tail -f\n";

/// A shortage, which begins and ends while the supervisor runs. In the scripts, `$P`
/// is the supervisor, and `$S` the supervise directory.
struct Shortage {
    name: &'static str,
    /// The words before the command of the supervisor.
    setup: &'static str,
    begin: &'static str,
    end: &'static str,
    needs: Need,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Root,
    Strace,
}

/// Mounts a file system of its own for the supervise directory.
const MOUNT: &str = "unshare -m sh -c 'mkdir s/supervise && \
    mount -t tmpfs -o nr_inodes=20,mode=700 none s/supervise && exec \"$@\"' sh";

/// An error that strace injects into system calls of the supervisor.
const fn injected(name: &'static str, begin: &'static str) -> Shortage {
    Shortage {
        name,
        setup: "",
        begin,
        end: "kill $(cat strace); while grep -q 'TracerPid:.[1-9]' /proc/$P/status; do :; done",
        needs: Need::Strace,
    }
}

macro_rules! attach {
    ($inject:literal) => {
        concat!(
            "strace -qq -o trace ",
            $inject,
            " -p $P 2>strace.err & echo $! >strace; \
            until grep -q 'TracerPid:.[1-9]' /proc/$P/status; do kill -0 $!; done"
        )
    };
}

const SHORTAGES: [Shortage; 8] = [
    injected("EIO", attach!("-e inject=/^rename:error=EIO")),
    injected("EROFS", attach!("-e inject=/^rename:error=EROFS")),
    injected("ENFILE", attach!("-e 'inject=/^open(at)?$:error=ENFILE'")),
    injected(
        "ENOSPC",
        attach!(
            "-e inject=write:error=ENOSPC -P $PWD/s/supervise/status.new \
            -P $PWD/s/supervise/state.new -P $PWD/s/supervise/pid.new \
            -P $PWD/s/supervise/stat.new -P $PWD/s/supervise/death_tally.new"
        ),
    ),
    Shortage {
        name: "full",
        setup: MOUNT,
        begin: "cd $S; n=0; while touch filler.$n 2>/dev/null; do n=$((n + 1)); done",
        end: "rm $S/filler.*",
        needs: Need::Root,
    },
    Shortage {
        name: "permissions",
        setup: "setpriv --bounding-set=-dac_override --inh-caps=-dac_override",
        begin: "chmod 500 $S",
        end: "chmod 700 $S",
        needs: Need::Root,
    },
    Shortage {
        name: "descriptors",
        setup: "",
        // The next service inherits the limit, but not the descriptors.
        begin: "n=3; while [ -e /proc/$P/fd/$n ]; do n=$((n + 1)); done; \
            prlimit --pid $P --nofile=$n:",
        end: "prlimit --pid $P --nofile=100:",
        needs: Need::Nothing,
    },
    Shortage {
        name: "directory",
        setup: "",
        begin: "cd $S; for f in status pid state death_tally; do mkdir $f.new; done",
        end: "cd $S; rmdir *.new",
        needs: Need::Nothing,
    },
];

/// A supervisor of the service `DIR/s`.
struct Supervisor {
    family: &'static str,
    running: Running,
}

impl Supervisor {
    fn start(sandbox: &Sandbox, family: &'static str, setup: &str, dir: &str) -> Self {
        sandbox.script(format!("{dir}/s/run"), RUN);
        let script = format!("cd {dir}; exec {setup} {family} s");
        let running = sandbox.start(sandbox.shell(&script));
        let supervisor = Supervisor { family, running };
        sandbox.wait_until("the service runs", || {
            let service = supervisor.service();
            service.is_some() && supervisor.recorded() == service
        });
        supervisor
    }

    fn pid(&self) -> Pid {
        self.running.pid()
    }

    /// A file in the supervise directory, in the mount namespace of the supervisor.
    fn file(&self, name: &str) -> PathBuf {
        format!("/proc/{}/cwd/supervise/{name}", self.pid()).into()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    fn service(&self) -> Option<Pid> {
        children(self.pid()).first().copied()
    }

    /// The pid in `status`.
    fn recorded(&self) -> Option<Pid> {
        let record = fs::read(self.file("status")).ok()?;
        let record = record.get(..18)?.try_into().unwrap();
        Some(Pid::from_raw(pid_of(record))).filter(|pid| pid.as_raw() != 0)
    }

    /// Whether all files describe the service after one death.
    fn is_recorded(&self, service: Pid) -> bool {
        self.recorded() == Some(service)
            && match self.family {
                "supervise" => true,
                "runsv" => {
                    self.text("pid") == format!("{service}\n") && self.text("stat") == "run\n"
                }
                _ => {
                    let state = self.text("state");
                    let tally = fs::read(self.file("death_tally"));
                    state.contains(&format!("pid={service}\n"))
                        && tally.is_ok_and(|tally| tally.len() == 14)
                }
            }
    }

    fn run(&self, sandbox: &Sandbox, dir: &str, script: &str) {
        let pid = self.pid();
        let setup = format!("P={pid}; S=/proc/{pid}/cwd/supervise; cd {dir};");
        sandbox.sh(&format!("{setup} {script}")).succeeds();
    }

    /// Kills the service and waits for the next one.
    fn restart(&self, sandbox: &Sandbox) -> Pid {
        let old = self.service().unwrap();
        kill(old, Signal::SIGKILL).unwrap();
        let mut next = None;
        sandbox.wait_until("the service runs again", || {
            next = self.service().filter(|pid| *pid != old);
            next.is_some()
        });
        next.unwrap()
    }

    fn command(&self, letters: &str) {
        fs::write(self.file("control"), letters).unwrap();
    }

    fn stop(self) {
        self.command("dx");
        self.running.wait().exits(0);
    }

    /// The number of warnings of the supervisor.
    fn warnings(&self) -> usize {
        let text = String::from_utf8(self.running.stderr()).unwrap();
        text.matches(".new").count()
    }
}

fn records_are_written_once_a_shortage_ends(sandbox: &Sandbox) {
    let root = is_root("records_are_written_once_a_shortage_ends");
    let strace = strace_works(sandbox);
    let shortages = SHORTAGES.iter().filter(|shortage| match shortage.needs {
        Need::Nothing => true,
        Need::Root => root,
        Need::Strace => strace,
    });
    let trials: Vec<_> = shortages
        .flat_map(|shortage| FAMILIES.map(|family| (shortage, family)))
        .map(|(shortage, family)| {
            let dir = format!("{}-{family}", shortage.name).replace(' ', "");
            let supervisor = Supervisor::start(sandbox, family, shortage.setup, &dir);
            (shortage, dir, supervisor)
        })
        .collect();
    let restarted: Vec<_> = trials
        .iter()
        .map(|(shortage, dir, supervisor)| {
            let old = supervisor.service();
            supervisor.run(sandbox, dir, shortage.begin);
            let next = supervisor.restart(sandbox);
            sandbox.wait_until(&format!("{dir}: an error is reported"), || {
                supervisor.warnings() > 0
            });
            assert_eq!(supervisor.recorded(), old, "{dir}");
            supervisor.run(sandbox, dir, shortage.end);
            next
        })
        .collect();
    for ((_, dir, supervisor), service) in trials.into_iter().zip(restarted) {
        sandbox.wait_until(&format!("{dir}: the record is written"), || {
            supervisor.is_recorded(service)
        });
        supervisor.stop();
    }
}

/// The number of times that a process has waited.
fn waits(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

fn state_is_retried_without_its_record(sandbox: &Sandbox) {
    sandbox.script("s/run", RUN);
    sandbox.sh("mkdir -p s/supervise/state").succeeds();
    let supervise = sandbox.start_supervisor("supervise -e", "s");
    sandbox.service("s");
    sandbox.wait_until("the error is reported", || !supervise.stderr().is_empty());
    sandbox.sh("rmdir s/supervise/state").succeeds();
    sandbox.wait_for("cat s/supervise/state || :", |state| {
        state.contains("state=up\n")
    });
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().exits(0);
}

fn retries_report_nothing_and_end(sandbox: &Sandbox) {
    let [.., shortage] = &SHORTAGES;
    let trials = FAMILIES.map(|family| {
        let dir = family.replace(' ', "");
        let supervisor = Supervisor::start(sandbox, family, shortage.setup, &dir);
        sandbox.wait_until("the supervisor is idle", || {
            waits_without_timeout(supervisor.pid())
        });
        supervisor.run(sandbox, &dir, shortage.begin);
        let service = supervisor.restart(sandbox);
        sandbox.wait_until("the errors are reported, and a retry is due", || {
            let pid = supervisor.pid();
            let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
            supervisor.warnings() > 0 && call != "running\n" && !waits_without_timeout(pid)
        });
        let before = (supervisor.warnings(), waits(supervisor.pid()));
        (dir, supervisor, service, before)
    });
    for (dir, supervisor, service, (warnings, first)) in trials {
        sandbox.wait_until("the supervisor has retried twice", || {
            waits(supervisor.pid()) >= first + 2
        });
        assert_eq!(supervisor.warnings(), warnings, "{dir}");
        supervisor.run(sandbox, &dir, shortage.end);
        sandbox.wait_until("the record is written", || supervisor.is_recorded(service));
        sandbox.wait_until("the supervisor is idle", || {
            waits_without_timeout(supervisor.pid())
        });
        supervisor.stop();
    }
}

fn removed_directory_is_not_retried(sandbox: &Sandbox) {
    for family in FAMILIES {
        let dir = family.replace(' ', "");
        let supervisor = Supervisor::start(sandbox, family, "", &dir);
        let control = fs::File::options()
            .write(true)
            .open(supervisor.file("control"));
        let mut control = control.unwrap();
        sandbox.sh(&format!("rm -r {dir}")).succeeds();
        control.write_all(b"d").unwrap();
        sandbox.wait_until("the service is down, and no retry is due", || {
            supervisor.service().is_none() && waits_without_timeout(supervisor.pid())
        });
        assert!(supervisor.warnings() > 0);
        control.write_all(b"x").unwrap();
        supervisor.running.wait().exits(0);
    }
}

fn record_errors_are_reported_per_event(sandbox: &Sandbox) {
    const STUBBORN: &str =
        "#!/bin/sh\ntrap '' ALRM HUP INT TERM\n: >ready\nwhile :; do sleep 1000; done\n";
    sandbox.script("s/run", STUBBORN);
    let supervise = sandbox.start_supervisor("supervise", "s");
    sandbox.service("s");
    sandbox.wait_until("the shell ignores the signals", || {
        sandbox.exists("s/ready")
    });
    // After a start, 0.76 sleeps for a second in poll(2) and writes the record again.
    sandbox.wait_until("supervise waits for descriptors", || {
        let call = fs::read_to_string(format!("/proc/{}/syscall", supervise.pid())).unwrap();
        call.split(' ').nth(2).is_some_and(|number| number != "0x0")
    });
    sandbox.sh("mkdir s/supervise/status.new").succeeds();
    let line = "supervise: warning: unable to open s/supervise/status.new: is a directory\n";
    let mut expected = 0;
    for (letters, warnings) in [
        ("o", 1),
        ("u", 1),
        ("d", 1),
        ("ahit", 0),
        ("p", 1),
        ("p", 1),
        ("c", 1),
        ("zc", 1),
        ("dud", 3),
    ] {
        fs::write(sandbox.path("s/supervise/control"), letters).unwrap();
        expected += warnings;
        sandbox.wait_until(letters, || {
            supervise.stderr().len() >= expected * line.len()
        });
        assert_eq!(
            supervise.stderr(),
            line.repeat(expected).as_bytes(),
            "{letters}"
        );
    }
    sandbox
        .sh("rmdir s/supervise/status.new; svc -kx s")
        .succeeds();
    supervise.wait().exits(0);
}
