//! System calls that fail for a while in programs beside the retries of records and
//! waits: locks, scripts that are looked for, `state` of supervise -e, memory at the
//! start.

use nix::sys::signal::Signal;
use testkit::{Running, SLEEPER, Sandbox, kill, ours};

use super::waits::{detach, inject};
use super::{children, pid_of, record};
use crate::compliance::multilog::calls::strace_works;

ours!(
    failed_unlock_ends_no_program,
    unreadable_state_is_reported,
    absent_start_is_sought_again,
    start_is_executed_again,
    command_ends_pause_before_finish,
    logger_without_memory_at_start_warns,
    program_without_memory_for_its_reserve_warns,
);

const STAT: &str = "'/^(statx|(new)?fstatat(64)?|stat(64)?)$:error=ENOMEM'";

fn wait_for_message(sandbox: &Sandbox, program: &Running, message: &str) {
    sandbox.wait_until("the error is reported", || {
        String::from_utf8_lossy(&program.stderr()).contains(message)
    });
}

fn failed_unlock_ends_no_program(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    // Only an unlock can fail after the start.
    sandbox.sh("mkfifo input; mkdir v").succeeds();
    let svlogd = sandbox.start(sandbox.shell("exec svlogd ./v <>input"));
    sandbox.wait_until("svlogd has started", || sandbox.exists("v/current"));
    let strace = inject(sandbox, svlogd.pid(), "flock:error=ENOLCK:when=1", "trace");
    svlogd.signal(Signal::SIGHUP);
    sandbox.sh("echo line >input").succeeds();
    sandbox.wait_for("cat v/current", |lines| lines == "line\n");
    detach(sandbox, strace, "trace");
    svlogd.signal(Signal::SIGTERM);
    svlogd.wait().exits(0);
    for (n, family) in ["supervise", "supervise -e", "runsv"].iter().enumerate() {
        let dir = format!("s{n}");
        sandbox.script(format!("{dir}/run"), SLEEPER);
        let running = sandbox.start_supervisor(family, &dir);
        sandbox.service(&dir);
        let trace = format!("trace{n}");
        let strace = inject(sandbox, running.pid(), "flock:error=EIO", &trace);
        sandbox.sh(&format!("svc -dx {dir}")).succeeds();
        running.wait().exits(0);
        let _ = strace.wait();
        sandbox.sh(&format!("grep -q INJECTED {trace}")).succeeds();
    }
    let strace = "strace -qq -o trace -e inject=flock:error=ENOLCK:when=2";
    for command in ["setlock lock ./none", "chpst -l lock ./none"] {
        sandbox.sh(&format!("exec {strace} {command}")).exits(111);
        sandbox
            .sh("grep -q INJECTED trace || ! grep -q LOCK_UN trace")
            .succeeds();
    }
}

fn unreadable_state_is_reported(sandbox: &Sandbox) {
    sandbox.script("scan/s/run", SLEEPER);
    sandbox.write("scan/s/notification-fd", "3\n");
    let supervise = sandbox.start_supervisor("supervise -e", "scan/s");
    sandbox.service("scan/s");
    sandbox.wait_until("the service is starting", || {
        sandbox.exists("scan/s/supervise/state")
            && sandbox
                .read("scan/s/supervise/state")
                .starts_with(b"state=starting\n")
    });
    sandbox
        .sh("cd scan/s/supervise; rm state; ln -s state state")
        .succeeds();
    let error = "symbolic link loop\n";
    let svstat = sandbox.sh("svstat scan/s");
    svstat.exits(0);
    let line = format!("scan/s: unable to open supervise/state: {error}");
    assert_eq!(String::from_utf8_lossy(&svstat.stdout), line);
    for command in ["svwait -U scan/s", "svps scan", "svps -j scan"] {
        let outcome = sandbox.sh(command);
        outcome.exits(111);
        let message = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert!(
            message.ends_with(&format!("s/supervise/state: {error}")),
            "{message}"
        );
    }
    sandbox.sh("svc -dx scan/s").succeeds();
    supervise.wait().exits(0);
}

fn absent_start_is_sought_again(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    sandbox.script("s/run", SLEEPER);
    sandbox.sh("touch s/down").succeeds();
    let supervise = sandbox.start_supervisor("supervise -e", "s");
    let strace = inject(sandbox, supervise.pid(), STAT, "trace");
    sandbox.sh("svc -u s").succeeds();
    let warning = "supervise: warning: unable to read s/start: out of memory\n";
    wait_for_message(sandbox, &supervise, warning);
    detach(sandbox, strace, "trace");
    sandbox.service("s");
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().exits(0);
}

fn start_is_executed_again(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/start", "#!/bin/sh\necho start >>../starts\n");
    sandbox.sh("touch s/down").succeeds();
    let supervise = sandbox.start_supervisor("supervise -e", "s");
    let injection = "execve:error=ENOMEM -f";
    let strace = inject(sandbox, supervise.pid(), injection, "trace");
    sandbox.sh("svc -u s").succeeds();
    let message = "supervise: fatal: unable to start s/start: out of memory\n";
    wait_for_message(sandbox, &supervise, message);
    detach(sandbox, strace, "trace");
    sandbox.service("s");
    assert_eq!(sandbox.read("starts"), b"start\n");
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().exits(0);
}

fn command_ends_pause_before_finish(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/finish", "#!/bin/sh\necho finish >>../finishes\n");
    let supervise = sandbox.start_supervisor("supervise -e", "s");
    sandbox.service("s");
    for (finishes, letter) in [(1, "u"), (2, "d")] {
        let trace = format!("trace{finishes}");
        let injection = "'/^(v?fork|clone3?)$:error=EAGAIN'";
        let strace = inject(sandbox, supervise.pid(), injection, &trace);
        kill(children(supervise.pid())[0], Signal::SIGKILL).unwrap();
        sandbox.wait_until("the error is reported", || {
            let messages = String::from_utf8(supervise.stderr()).unwrap();
            messages.matches("unable to fork for s, sleeping").count() == finishes
        });
        detach(sandbox, strace, &trace);
        sandbox.sh(&format!("svc -{letter} s")).succeeds();
        sandbox.wait_until("finish has run", || {
            sandbox.exists("finishes") && sandbox.read("finishes").len() == 7 * finishes
        });
        if letter == "u" {
            sandbox.wait_until("the service runs", || {
                record(sandbox, "s").is_some_and(|record| pid_of(record) != 0)
            });
        }
    }
    sandbox.sh("svc -x s").succeeds();
    supervise.wait().exits(0);
}

fn logger_without_memory_at_start_warns(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    sandbox.sh("mkdir m v; seq 1000 >lines").succeeds();
    for (dir, command) in [("m", "multilog ./m"), ("v", "svlogd ./v")] {
        // The calls of the loader and the runtime succeed.
        let script = format!(
            "strace -qq -o calls -e trace=mmap,brk,signalfd4 {command} </dev/null; \
             m=$(sed /signalfd4/q calls | grep -c ^mmap); \
             b=$(sed /signalfd4/q calls | grep -c ^brk); \
             exec strace -qq -o trace -e inject=mmap:error=ENOMEM:when=$((m+1))..$((m+4)) \
             -e inject=brk:retval=0:when=$((b+1))..$((b+4)) {command} <lines"
        );
        let outcome = sandbox.sh(&script);
        outcome.exits(0);
        let name = command.split(' ').next().unwrap();
        let warning = format!("{name}: warning: unable to allocate memory, waiting: out of memory");
        let messages = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert!(messages.contains(&warning), "{messages}");
        sandbox.sh(&format!("cmp lines {dir}/current")).succeeds();
    }
}

fn program_without_memory_for_its_reserve_warns(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    for command in [
        "multilog ./no/where",
        "svlogd ./nowhere",
        "supervise nowhere",
        "svscan nowhere",
        "runsv nowhere",
        "runsvdir",
        "readproctitle short",
    ] {
        let outcome = sandbox.sh(&format!(
            "strace -qq -o calls -e trace=mmap {command} </dev/null 2>expected; \
             first=$(grep -n 'mmap(NULL, 65[0-9]*, PROT_READ|PROT_WRITE,' calls | cut -d: -f1); \
             exec strace -qq -o trace -e inject=mmap:error=ENOMEM:when=$first..$((first+2)) \
             {command} </dev/null"
        ));
        let name = command.split(' ').next().unwrap();
        let warning = format!("{name}: warning: unable to allocate memory, waiting: out of memory");
        let expected = sandbox.read("expected");
        let expected = String::from_utf8_lossy(&expected);
        let messages = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert_eq!(messages, format!("{warning}\n{expected}"), "{command}");
    }
}
