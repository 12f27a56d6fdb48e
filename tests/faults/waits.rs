//! wait4(2), poll(2) and read(2) that fail once in the programs that wait for
//! children or commands.

use std::fs;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Running, SLEEPER, Sandbox, kill, ours};

use super::children;
use crate::compliance::boot::start_as_process_one;
use crate::compliance::multilog::calls::strace_works;

ours!(
    failed_wait_is_repeated_without_a_command,
    scanner_repeats_a_failed_wait,
    process_one_stops_all_despite_failures,
    svwait_repeats_a_failed_wait,
    processor_runs_once_after_a_failed_wait,
    failed_poll_delays_no_death,
    unreported_signal_delays_no_death,
    failed_read_loses_no_command,
    logger_obeys_signals_after_a_failed_poll,
);

/// Injects an error into calls of a process that runs. Returns the strace.
pub(super) fn inject(sandbox: &Sandbox, process: Pid, injection: &str, name: &str) -> Running {
    let options = format!("-qq -o {name} -e inject={injection} -p {process}");
    let strace = sandbox.start(sandbox.shell(&format!("exec strace {options}")));
    sandbox.wait_until("strace is attached", || {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        !status.contains("TracerPid:\t0\n")
    });
    strace
}

/// Waits until strace has injected an error, and ends it.
pub(super) fn detach(sandbox: &Sandbox, strace: Running, name: &str) {
    sandbox.wait_until(&format!("{name} shows an error"), || {
        let trace = fs::read_to_string(sandbox.path(name)).unwrap_or_default();
        trace.contains("(INJECTED)")
    });
    strace.signal(Signal::SIGTERM);
    let _ = strace.wait();
}

/// The first child other than `old`; waits for it.
fn next_child(sandbox: &Sandbox, parent: Pid, old: Option<Pid>, what: &str) -> Pid {
    let mut next = None;
    sandbox.wait_until(&format!("{what}: a child runs"), || {
        next = children(parent).into_iter().find(|pid| Some(*pid) != old);
        next.is_some()
    });
    next.unwrap()
}

/// Starts the commands, fails the first calls of each, kills a child, and waits for
/// the next one.
fn restarts_despite(sandbox: &Sandbox, commands: &[(&str, String)]) {
    if !strace_works(sandbox) {
        return;
    }
    let trials: Vec<_> = commands
        .iter()
        .enumerate()
        .map(|(n, (command, injection))| {
            let name = format!("trace{n}");
            sandbox.script(format!("{n}/s/run"), SLEEPER);
            let running = sandbox.start(sandbox.shell(&format!("cd {n}; exec {command}")));
            let old = next_child(sandbox, running.pid(), None, command);
            if command.ends_with(" s") {
                sandbox.service(&format!("{n}/s"));
            } else {
                sandbox.wait_until("the service is supervised", || {
                    sandbox.is_supervised(&format!("{n}/s"))
                });
            }
            let strace = inject(sandbox, running.pid(), injection, &name);
            kill(old, Signal::SIGKILL).unwrap();
            (
                format!("{command}: {injection}"),
                name,
                running,
                old,
                strace,
            )
        })
        .collect();
    for (what, name, running, old, strace) in trials {
        next_child(sandbox, running.pid(), Some(old), &what);
        detach(sandbox, strace, &name);
        running.kill();
    }
}

fn failed_wait_is_repeated_without_a_command(sandbox: &Sandbox) {
    let mut trials = Vec::new();
    for family in ["supervise s", "supervise -e s", "runsv s"] {
        for error in ["EIO", "EINTR", "EAGAIN", "ECHILD"] {
            trials.push((family, format!("wait4:error={error}:when=1")));
        }
    }
    restarts_despite(sandbox, &trials);
}

fn scanner_repeats_a_failed_wait(sandbox: &Sandbox) {
    let injection = || "wait4:error=EIO:when=1".to_owned();
    let commands = ["svscan", "svscan -e", "runsvdir ."];
    restarts_despite(sandbox, &commands.map(|command| (command, injection())));
}

/// wait4(2) fails twice during a shutdown, and the system has no memory. The memory
/// for the shutdown of 80 services exceeds a page.
fn process_one_stops_all_despite_failures(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    for (number, (command, services)) in [("svscan", 2), ("svscan -e", 2), ("runsvdir", 80)]
        .into_iter()
        .enumerate()
    {
        let scan = format!("scan{number}");
        let names: Vec<_> = (0..services).map(|n| format!("{scan}/{n}")).collect();
        for name in &names {
            sandbox.script(format!("{name}/run"), SLEEPER);
        }
        let Some(namespace) = start_as_process_one(sandbox, &format!("{command} {scan}")) else {
            return;
        };
        // As in the record of supervise and of runsv.
        let runs = |name: &String| {
            let record = fs::read(sandbox.path(format!("{name}/supervise/status")));
            record.is_ok_and(|record| record.get(12..16).is_some_and(|pid| pid != [0; 4]))
        };
        sandbox.wait_until("all services run", || names.iter().all(runs));
        let scanner = next_child(sandbox, namespace.pid(), None, command);
        let trace = format!("trace{number}");
        let injection = "wait4:error=EIO:when=1..2 -e inject=brk:retval=0 \
                         -e inject=mmap,mremap:error=ENOMEM";
        let strace = inject(sandbox, scanner, injection, &trace);
        kill(scanner, Signal::SIGTERM).unwrap();
        namespace.wait().exits(0);
        let _ = strace.wait();
        sandbox
            .sh(&format!("grep -q 'wait4.*INJECTED' {trace}"))
            .succeeds();
        assert!(!names.iter().any(runs), "{command}");
    }
}

fn failed_poll_delays_no_death(sandbox: &Sandbox) {
    let injection = || "/^p?poll$:error=ENOMEM:when=1..3".to_owned();
    let commands = [
        "supervise s",
        "supervise -e s",
        "runsv s",
        "svscan",
        "runsvdir .",
    ];
    restarts_despite(sandbox, &commands.map(|command| (command, injection())));
}

/// The handler of SIGCHLD cannot write to its pipe, in a supervisor that does not wait.
fn unreported_signal_delays_no_death(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    for (n, family) in ["supervise", "supervise -e", "runsv"].iter().enumerate() {
        let (dir, trace) = (format!("s{n}"), format!("trace{n}"));
        sandbox.script(format!("{dir}/run"), SLEEPER);
        let running = sandbox.start_supervisor(family, &dir);
        sandbox.service(&dir);
        let old = next_child(sandbox, running.pid(), None, family);
        // The child dies before the call returns.
        let injection = "write:error=ENOMEM:when=1 -e inject=kill:delay_exit=200000";
        let strace = inject(sandbox, running.pid(), injection, &trace);
        sandbox.sh(&format!("svc -k {dir}")).succeeds();
        next_child(sandbox, running.pid(), Some(old), family);
        detach(sandbox, strace, &trace);
        sandbox.sh(&format!("svc -dx {dir}")).succeeds();
        running.wait().exits(0);
    }
}

fn svwait_repeats_a_failed_wait(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    sandbox.script("s/run", SLEEPER);
    let supervise = sandbox.start_supervisor("supervise", "s");
    sandbox.service("s");
    let svwait = sandbox.start(sandbox.shell("exec svwait -u s -- sleep 1000"));
    let child = next_child(sandbox, svwait.pid(), None, "svwait");
    sandbox.wait_until("the program runs", || {
        fs::read(format!("/proc/{child}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep"))
    });
    let strace = inject(sandbox, svwait.pid(), "wait4:error=EIO:when=1", "trace");
    kill(child, Signal::SIGTERM).unwrap();
    svwait.wait().exits(128 + 15);
    let _ = strace.wait();
    sandbox.sh("grep -q INJECTED trace; svc -dx s").succeeds();
    supervise.wait().exits(0);
}

fn processor_runs_once_after_a_failed_wait(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    sandbox.script("processor", "#!/bin/sh\necho run >>\"$1\"\nexec cat\n");
    let processor = sandbox.path("processor").display().to_string();
    sandbox.sh("mkdir m v; seq -w 1 10000 >lines").succeeds();
    sandbox.write("v/config", format!("s40000\n!{processor} ../runs.v\n"));
    for (name, command) in [
        ("m", format!("multilog s40000 '!{processor} ../runs.m' ./m")),
        ("v", "svlogd ./v".to_owned()),
    ] {
        for call in ["wait4", "waitid"] {
            sandbox
                .sh(&format!("rm -f {name}/@* {name}/current runs.{name}"))
                .succeeds();
            let inject = format!("-e trace={call} -e inject={call}:error=EIO:when=1");
            let strace = format!("strace -qq -o trace {inject} {command}");
            sandbox
                .sh(&format!("{strace} <lines; grep -q INJECTED trace"))
                .exits(0);
            // 60000 bytes: one file is full.
            assert_eq!(
                sandbox.read(format!("runs.{name}")),
                b"run\n",
                "{command}: {call}"
            );
            sandbox
                .sh(&format!("cat {name}/@*.s {name}/current | cmp - lines"))
                .succeeds();
        }
    }
}

fn failed_read_loses_no_command(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    for (n, family) in ["supervise", "supervise -e", "runsv"].iter().enumerate() {
        for error in ["EIO", "EINTR"] {
            let dir = format!("{n}{error}");
            sandbox.script(format!("{dir}/run"), SLEEPER);
            let running = sandbox.start_supervisor(family, &dir);
            sandbox.service(&dir);
            // The reads of the pipe of SIGCHLD, of signals, and of control.
            let strace = inject(
                sandbox,
                running.pid(),
                &format!("read:error={error}:when=1..4"),
                &dir.replace('E', "trace"),
            );
            sandbox.sh(&format!("svc -d {dir}")).succeeds();
            sandbox.wait_until("the service is down", || children(running.pid()).is_empty());
            detach(sandbox, strace, &dir.replace('E', "trace"));
            sandbox.sh(&format!("svc -x {dir}")).succeeds();
            running.wait().exits(0);
        }
    }
}

fn logger_obeys_signals_after_a_failed_poll(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    sandbox.sh("mkfifo input").succeeds();
    for command in ["multilog ./m", "svlogd ./v"] {
        sandbox.sh("mkdir -p m v").succeeds();
        let inject = "-e trace=/^p?poll$ -e inject=/^p?poll$:error=ENOMEM:when=1..2";
        let script = format!("exec strace -D -qq -o trace {inject} {command} <>input");
        let logger = sandbox.start(sandbox.shell(&script));
        sandbox.wait_until("poll has failed", || {
            let trace = fs::read_to_string(sandbox.path("trace")).unwrap_or_default();
            trace.matches("(INJECTED)").count() == 2
        });
        logger.signal(Signal::SIGTERM);
        logger.wait().exits(0);
        fs::remove_file(sandbox.path("trace")).unwrap();
    }
}
