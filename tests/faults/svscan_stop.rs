//! Shutdown by svscan -e with stopped, unreachable, killed or foreign supervises,
//! moved or removed directories, and signals at any time.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use nix::sys::signal::Signal;
use testkit::{Outcome, Running, SLEEPER, Sandbox, kill, ours, say};

use super::children;

/// A service that writes a last line when it receives SIGTERM.
const POLITE: &str = "#!/bin/sh
trap 'echo last words; exit' TERM
echo first
echo >up
while :; do sleep 0.02; done
";

const KEEPER: &str = "#!/bin/sh\nexec cat >>kept\n";

ours!(
    two_hundred_services_end_at_once,
    stopped_supervise_with_full_fifo_is_resumed,
    unreachable_service_ends_at_once,
    removed_directory_ends_service_at_hup,
    replaced_directory_leaves_new_service_alone,
    stubborn_unreachable_service_is_killed,
    removed_directory_keeps_its_down_signal,
    warnings_of_removed_directory_are_few,
    stopped_supervise_and_logger_lose_nothing,
    stopped_logger_and_full_pipe_block_no_service,
    stop_starts_no_new_service,
    default_stop_timeout_is_ten_seconds,
    foreign_proc_pids_are_not_killed,
    killed_supervise_is_not_awaited,
    moved_directories_are_stopped,
    logger_of_moved_service_reads_pipe_to_end,
    directory_may_be_removed_during_stop,
    term_during_start_stops_services,
    services_of_earlier_svscan_are_stopped,
    malformed_timeout_kill_counts_as_absent,
);

/// Makes services with loggers.
fn make(sandbox: &Sandbox, names: &[&str]) {
    for name in names {
        sandbox.script(format!("scan/{name}/run"), POLITE);
        sandbox.script(format!("scan/{name}/log/run"), KEEPER);
        sandbox.write(format!("scan/{name}/timeout-kill"), "2000");
    }
}

/// Starts svscan -e on the directory `scan`.
fn svscan(sandbox: &Sandbox) -> Running {
    sandbox.start(sandbox.shell("exec svscan -e scan"))
}

/// Starts svscan -e by a command, and waits until its services and loggers are
/// up.
fn start(sandbox: &Sandbox, names: &[&str], command: &str) -> Running {
    let svscan = sandbox.start(sandbox.shell(command));
    for name in names {
        let up = format!("scan/{name}/up");
        sandbox.wait_until("the service is up", || sandbox.exists(&up));
        sandbox.service(&format!("scan/{name}/log"));
    }
    svscan
}

/// Makes services with loggers, and starts svscan -e on them.
fn up(sandbox: &Sandbox, names: &[&str]) -> Running {
    make(sandbox, names);
    start(sandbox, names, "exec svscan -e scan")
}

/// The supervise of a service, a child of svscan.
fn supervise(sandbox: &Sandbox, svscan: &Running, dir: &str) -> nix::unistd::Pid {
    let service = sandbox.service(dir);
    let supervises = children(svscan.pid());
    let mut supervises = supervises.into_iter();
    supervises
        .find(|&pid| children(pid).contains(&service))
        .unwrap()
}

/// Stops svscan and asserts that it exits with 0 and that no process is left.
#[track_caller]
fn stop(sandbox: &Sandbox, svscan: Running) -> Outcome {
    svscan.signal(Signal::SIGTERM);
    let outcome = svscan.wait();
    outcome.exits(0);
    assert!(sandbox.processes().is_empty(), "{outcome:?}");
    outcome
}

/// Waits until svscan has found the locks of a service and its logger held.
#[track_caller]
fn wait_for_held_locks(sandbox: &Sandbox, svscan: &Running) {
    sandbox.wait_until("both locks are held", || {
        let text = String::from_utf8(svscan.stderr()).unwrap();
        text.matches("supervise: fatal: unable to acquire").count() >= 2
    });
}

/// Stops svscan, which waits for foreign supervises until they close `ok`: they
/// exit a moment later.
#[track_caller]
fn stop_with_foreign(sandbox: &Sandbox, svscan: Running) {
    svscan.signal(Signal::SIGTERM);
    svscan.wait().exits(0);
    wait_for_foreign(sandbox);
}

#[track_caller]
fn wait_for_foreign(sandbox: &Sandbox) {
    sandbox.wait_until("the foreign supervises have exited", || {
        sandbox.processes().is_empty()
    });
}

#[track_caller]
fn assert_all_is_kept(sandbox: &Sandbox, name: &str) {
    let kept = sandbox.read(format!("scan/{name}/log/kept"));
    assert_eq!(kept, b"first\nlast words\n", "{name}");
}

/// The warning of svscan before it kills a supervise.
fn unable_to_stop(service: &str) -> String {
    format!("svscan: warning: unable to stop {service}: timed out\n")
}

/// The record of a logger does not show that a signal stopped it.
fn stopped_logger_and_full_pipe_block_no_service(sandbox: &Sandbox) {
    for (sender, pause) in [("svc", "svc -p scan/a/log"), ("kill", "kill -STOP $logger")] {
        make(sandbox, &["a"]);
        sandbox.script(
            "scan/a/run",
            "#!/bin/sh\ntrap 'head -c 200000 /dev/zero; exit' TERM\necho >up\nwhile :; do sleep 0.02; done\n",
        );
        // No limit.
        sandbox.write("scan/a/timeout-kill", "0");
        sandbox.write("scan/a/log/timeout-kill", "0");
        let svscan = start(sandbox, &["a"], "exec svscan -e scan");
        let logger = sandbox.service("scan/a/log");
        sandbox.sh(&format!("logger={logger}; {pause}")).succeeds();
        let state = format!("ps -o state= {logger}");
        sandbox.wait_for(&state, |state| state == "T\n");
        stop(sandbox, svscan).succeeds();
        assert_eq!(sandbox.read("scan/a/log/kept").len(), 200_000, "{sender}");
        sandbox.sh("rm -r scan").succeeds();
    }
}

fn stopped_supervise_with_full_fifo_is_resumed(sandbox: &Sandbox) {
    let svscan = up(sandbox, &["a"]);
    for dir in ["scan/a", "scan/a/log"] {
        kill(supervise(sandbox, &svscan, dir), Signal::SIGSTOP).unwrap();
        // Fill the FIFO with bytes that supervise ignores.
        let fifo = fs::OpenOptions::new()
            .write(true)
            .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open(sandbox.path(format!("{dir}/supervise/control")));
        let mut fifo = fifo.unwrap();
        while fifo.write(&[b'.'; 4096]).is_ok() {}
        while fifo.write(b".").is_ok() {}
    }
    stop(sandbox, svscan).succeeds();
    assert_all_is_kept(sandbox, "a");
}

/// The ways in which a directory or its FIFO becomes unusable.
const UNREACHABLE: [&str; 6] = [
    "rm scan/a/supervise/control scan/a/log/supervise/control",
    "rm -r scan/a/supervise scan/a/log/supervise",
    "rm -r scan/a",
    "mv scan/a/log/supervise scan/a/log/old; mv scan/a/supervise scan/a/old; \
        mkfifo control; mkdir -p scan/a/supervise scan/a/log/supervise; \
        cp -a control scan/a/supervise; mv control scan/a/log/supervise",
    "mv scan/a away",
    "mv scan/a away; mkdir -p scan/a/log",
];

/// Makes a service and a logger that keep files beside the scan directory, and
/// never exceed a timeout.
fn make_recorded(sandbox: &Sandbox) {
    let here = sandbox.dir();
    let here = here.display();
    sandbox.script("scan/a/run", &POLITE.replace(">up", &format!(">{here}/up")));
    sandbox.script(
        "scan/a/log/run",
        &format!("#!/bin/sh\nexec cat >>{here}/kept\n"),
    );
    for dir in ["scan/a", "scan/a/log"] {
        sandbox.write(format!("{dir}/timeout-kill"), "0");
    }
}

#[track_caller]
fn wait_until_recorded(sandbox: &Sandbox) {
    sandbox.wait_until("the first line is kept", || {
        sandbox.exists("kept") && sandbox.read("kept") == b"first\n"
    });
    sandbox.wait_until("the service is up", || sandbox.exists("up"));
    sandbox.service("scan/a");
    sandbox.service("scan/a/log");
}

fn unreachable_service_ends_at_once(sandbox: &Sandbox) {
    for damage in UNREACHABLE {
        make_recorded(sandbox);
        let svscan = svscan(sandbox);
        wait_until_recorded(sandbox);
        sandbox.sh(damage).succeeds();
        let outcome = stop(sandbox, svscan);
        let warnings = outcome.error_text();
        assert!(!warnings.contains("svscan: "), "{damage}: {warnings}");
        // A logger that ends before its supervise has the signal starts again.
        let starts_again = warnings.contains("unable to start log/run");
        assert!(!starts_again, "{damage}: {warnings}");
        assert_eq!(sandbox.read("kept"), b"first\nlast words\n", "{damage}");
        sandbox.sh("rm -rf scan away up kept").succeeds();
    }
}

fn removed_directory_ends_service_at_hup(sandbox: &Sandbox) {
    for damage in [
        "rm -r scan/a",
        "mv scan/a away",
        "mv scan/a away; cp -r away scan/a",
    ] {
        make_recorded(sandbox);
        let svscan = svscan(sandbox);
        wait_until_recorded(sandbox);
        let service = sandbox.service("scan/a");
        sandbox.sh(damage).succeeds();
        svscan.signal(Signal::SIGHUP);
        sandbox.wait_until("the service has ended", || kill(service, None).is_err());
        sandbox.wait_until("its last line is kept", || {
            String::from_utf8_lossy(&sandbox.read("kept")).contains("last words\n")
        });
        stop(sandbox, svscan).exits(0);
        sandbox.sh("rm -rf scan away up kept").succeeds();
    }
}

fn replaced_directory_leaves_new_service_alone(sandbox: &Sandbox) {
    make_recorded(sandbox);
    let svscan = svscan(sandbox);
    wait_until_recorded(sandbox);
    let old = sandbox.service("scan/a");
    // The new service of that name is supervised, too.
    sandbox.script("new/run", SLEEPER);
    sandbox.sh("mv scan/a away; mv new scan/a").succeeds();
    svscan.signal(Signal::SIGHUP);
    sandbox.wait_until("the old service has ended", || kill(old, None).is_err());
    let new = sandbox.service("scan/a");
    svscan.signal(Signal::SIGHUP);
    svscan.signal(Signal::SIGALRM);
    let supervise = supervise(sandbox, &svscan, "scan/a");
    assert_eq!(children(supervise), [new]);
    stop(sandbox, svscan).succeeds();
}

fn removed_directory_keeps_its_down_signal(sandbox: &Sandbox) {
    let here = sandbox.dir();
    sandbox.script(
        "scan/a/run",
        &format!(
            "#!/bin/sh\nfor s in INT TERM; do trap \"echo $s >{0}/got; exit\" $s; done\n\
            : >{0}/up\nwhile :; do sleep 0.02; done\n",
            here.display()
        ),
    );
    sandbox.write("scan/a/down-signal", "INT");
    let svscan = svscan(sandbox);
    sandbox.wait_until("the service is up", || sandbox.exists("up"));
    sandbox.sh("rm -r scan/a").succeeds();
    stop(sandbox, svscan).exits(0);
    assert_eq!(sandbox.read("got"), b"INT\n");
}

fn stubborn_unreachable_service_is_killed(sandbox: &Sandbox) {
    make_recorded(sandbox);
    sandbox.sh("rm scan/a/timeout-kill").succeeds();
    let here = sandbox.dir();
    sandbox.script(
        "scan/a/run",
        &format!(
            "#!/bin/sh\ntrap 'echo last words' TERM\necho first\necho >{}/up\n\
            while :; do sleep 0.02; done\n",
            here.display()
        ),
    );
    let svscan = svscan(sandbox);
    wait_until_recorded(sandbox);
    sandbox.sh("rm -r scan/a").succeeds();
    svscan.signal(Signal::SIGTERM);
    let outcome = svscan.wait();
    outcome.exits(0);
    let warnings = outcome.error_text();
    let of_svscan: Vec<_> = warnings
        .split_inclusive('\n')
        .filter(|line| line.starts_with("svscan: "))
        .collect();
    assert_eq!(of_svscan, [unable_to_stop("a")]);
    assert_eq!(sandbox.read("kept"), b"first\nlast words\n");
}

fn warnings_of_removed_directory_are_few(sandbox: &Sandbox) {
    let here = sandbox.dir();
    let here = here.display();
    sandbox.script(
        "scan/a/run",
        &format!(
            "#!/bin/sh\ntrap 'echo >>{here}/hups' HUP\ntrap exit TERM\necho >up\nwhile :; do sleep 0.02; done\n"
        ),
    );
    let svscan = svscan(sandbox);
    sandbox.wait_until("the service is up", || sandbox.exists("scan/a/up"));
    let control = fs::OpenOptions::new()
        .write(true)
        .open(sandbox.path("scan/a/supervise/control"));
    let mut control = control.unwrap();
    sandbox.sh("rm -r scan/a").succeeds();
    for hups in 1..20 {
        // Each of the two commands changes the record.
        let commands = if hups % 2 == 1 { b"oh" } else { b"uh" };
        control.write_all(commands).unwrap();
        sandbox.wait_until("the service has the signal", || {
            sandbox.exists("hups") && sandbox.read("hups").len() >= hups
        });
    }
    let outcome = stop(sandbox, svscan);
    let warnings = outcome.error_text();
    let mut lines: Vec<_> = warnings.lines().collect();
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert!(all == lines.len() && all <= 3, "{warnings}");
}

fn stopped_supervise_and_logger_lose_nothing(sandbox: &Sandbox) {
    for directory_stays in [true, false] {
        make_recorded(sandbox);
        let svscan = svscan(sandbox);
        wait_until_recorded(sandbox);
        for dir in ["scan/a", "scan/a/log"] {
            let supervise = supervise(sandbox, &svscan, dir);
            for pid in [supervise, sandbox.service(dir)] {
                kill(pid, Signal::SIGSTOP).unwrap();
            }
        }
        if !directory_stays {
            sandbox.sh("rm -r scan/a").succeeds();
        }
        stop(sandbox, svscan).exits(0);
        assert_eq!(sandbox.read("kept"), b"first\nlast words\n");
        sandbox.sh("rm -rf scan up kept").succeeds();
    }
}

fn stop_starts_no_new_service(sandbox: &Sandbox) {
    make(sandbox, &["a"]);
    let wait = "echo >stopping; until [ -e go ]; do sleep 0.02; done; ";
    sandbox.script(
        "scan/a/run",
        &POLITE.replace("trap '", &format!("trap '{wait}")),
    );
    sandbox.write("scan/a/timeout-kill", "0");
    let svscan = start(sandbox, &["a"], "exec svscan -e scan");
    svscan.signal(Signal::SIGTERM);
    sandbox.wait_until("the service has received TERM", || {
        sandbox.exists("scan/a/stopping")
    });
    sandbox.script("new/run", "#!/bin/sh\n");
    sandbox.sh("ln -s ../new scan/link; mv new scan").succeeds();
    for signal in [Signal::SIGHUP, Signal::SIGALRM] {
        svscan.signal(signal);
    }
    let status = format!("/proc/{}/status", svscan.pid());
    sandbox.wait_until("svscan has received the signals", || {
        let status = fs::read_to_string(&status).unwrap();
        status.contains("\nShdPnd:\t0000000000000000\n")
    });
    sandbox.write("scan/a/go", "");
    let outcome = svscan.wait();
    outcome.succeeds();
    assert!(!sandbox.exists("scan/new/supervise"));
    assert_all_is_kept(sandbox, "a");
}

fn default_stop_timeout_is_ten_seconds(sandbox: &Sandbox) {
    // A busy machine may be late by some seconds.
    for (name, limit) in [
        ("six", Some("6000")),
        ("ten", None),
        ("fourteen", Some("14000")),
    ] {
        sandbox.script(
            format!("scan/{name}/run"),
            "#!/bin/sh\ntrap '' TERM\necho >up\nwhile :; do sleep 1000; done\n",
        );
        sandbox.script(
            format!("scan/{name}/finish"),
            "#!/bin/sh\necho $3 >>../../ended\n",
        );
        if let Some(limit) = limit {
            sandbox.write(format!("scan/{name}/timeout-kill"), limit);
        }
    }
    let svscan = svscan(sandbox);
    for name in ["six", "ten", "fourteen"] {
        sandbox.wait_until("the service is up", || {
            sandbox.exists(format!("scan/{name}/up"))
        });
    }
    svscan.signal(Signal::SIGTERM);
    assert_eq!(svscan.wait().code(), Some(0));
    assert_eq!(sandbox.read("ended"), b"six\nten\nfourteen\n");
}

/// Makes a /proc that belongs to another process and lists every pid as a child
/// of every pid.
const FOREIGN_PROC: &str = "mount -t tmpfs none /proc || exit 99
all=$(seq 2 1000)
for pid in $all; do echo /proc/$pid/task/$pid; done | xargs mkdir -p
for pid in $all; do echo $all >/proc/$pid/task/$pid/children; done
ln -s 1001 /proc/self
";

fn foreign_proc_pids_are_not_killed(sandbox: &Sandbox) {
    let namespace = "unshare --mount --pid --fork --kill-child sh";
    sandbox.write("start", format!("{FOREIGN_PROC}exec $@"));
    if sandbox.sh(&format!("{namespace} start true")).code() != Some(0) {
        return say("skipped, not permitted to make a process namespace: a foreign /proc");
    }
    make(sandbox, &["a", "b"]);
    sandbox.sh("rm scan/a/timeout-kill").succeeds();
    sandbox.write("scan/a/log/timeout-kill", "200");
    sandbox.script(
        "scan/a/run",
        "#!/bin/sh\ntrap '' TERM\necho first\necho >up\nwhile :; do sleep 0.02; done\n",
    );
    // The service of b exits after the supervise of a is killed.
    let wait = "until setlock -n ../a/supervise/lock true; do sleep 0.02; done 2>/dev/null";
    sandbox.script(
        "scan/b/run",
        &POLITE.replace("trap '", &format!("trap '{wait}; ")),
    );
    sandbox.write("scan/b/timeout-kill", "0");
    let unshare = start(
        sandbox,
        &["a", "b"],
        &format!("exec {namespace} start svscan -e scan"),
    );
    sandbox.sh("rm scan/a/supervise/control").succeeds();
    kill(children(unshare.pid())[0], Signal::SIGTERM).unwrap();
    let outcome = unshare.wait();
    outcome.exits(0);
    assert!(
        outcome.error_text().contains(&unable_to_stop("a")),
        "{outcome:?}"
    );
    assert_all_is_kept(sandbox, "b");
}

fn killed_supervise_is_not_awaited(sandbox: &Sandbox) {
    let svscan = up(sandbox, &["a", "b"]);
    // The orphaned service holds the pipe: the logger runs into its timeout.
    sandbox.write("scan/a/log/timeout-kill", "200");
    kill(supervise(sandbox, &svscan, "scan/a"), Signal::SIGKILL).unwrap();
    kill(supervise(sandbox, &svscan, "scan/b/log"), Signal::SIGKILL).unwrap();
    svscan.signal(Signal::SIGTERM);
    let outcome = svscan.wait();
    outcome.exits(0);
    // svscan does not wait for the orphaned logger of b.
    sandbox.wait_until("the orphaned logger has written the last line", || {
        sandbox.read("scan/b/log/kept") == b"first\nlast words\n"
    });
}

fn moved_directories_are_stopped(sandbox: &Sandbox) {
    sandbox.write("elsewhere/left", "");
    let svscan = up(sandbox, &["a", "b"]);
    sandbox
        .sh("mv scan/a scan/.a; mv scan/b elsewhere")
        .succeeds();
    stop(sandbox, svscan).succeeds();
    sandbox
        .sh("mv elsewhere/b scan; mv scan/.a scan/a")
        .succeeds();
    assert_all_is_kept(sandbox, "a");
    assert_all_is_kept(sandbox, "b");
}

fn logger_of_moved_service_reads_pipe_to_end(sandbox: &Sandbox) {
    sandbox.write("elsewhere/left", "");
    let svscan = up(sandbox, &["a", "b", "c"]);
    // A logger that is killed between its read and its write loses the line.
    sandbox.wait_for("cat scan/?/log/kept || :", |kept| {
        kept == "first\nfirst\nfirst\n"
    });
    // The loggers are down, and that of c has no supervise.
    sandbox
        .sh("svc -d scan/a/log scan/b/log; svc -dx scan/c/log")
        .succeeds();
    sandbox.wait_for("svstat scan/?/log", |text| !text.contains("log: up"));
    sandbox
        .sh("mv scan/a scan/.a; mv scan/b elsewhere; mv scan/c scan/.c")
        .succeeds();
    stop(sandbox, svscan).succeeds();
    sandbox
        .sh("mv scan/.a scan/a; mv elsewhere/b scan; mv scan/.c scan/c")
        .succeeds();
    for name in ["a", "b", "c"] {
        assert_all_is_kept(sandbox, name);
    }
}

fn directory_may_be_removed_during_stop(sandbox: &Sandbox) {
    // The service exits once its directory is removed.
    let run = "#!/bin/sh\ntrap 'echo >stopping; while [ -e ../a ]; do sleep 0.02; done; exit' TERM\n\
        echo >up\nwhile :; do sleep 0.02; done\n";
    sandbox.script("scan/a/run", run);
    sandbox.script("scan/a/log/run", KEEPER);
    let svscan = svscan(sandbox);
    sandbox.wait_until("the service is up", || sandbox.exists("scan/a/up"));
    // The logger's supervise has made its files.
    sandbox.service("scan/a/log");
    svscan.signal(Signal::SIGTERM);
    sandbox.wait_until("the service has received TERM", || {
        sandbox.exists("scan/a/stopping")
    });
    sandbox.sh("rm -r scan/a").succeeds();
    let outcome = svscan.wait();
    outcome.exits(0);
    let warnings = outcome.error_text();
    assert!(!warnings.contains("svscan: "), "{outcome:?}");
    assert!(sandbox.processes().is_empty());
}

fn two_hundred_services_end_at_once(sandbox: &Sandbox) {
    const SERVICES: usize = 200;
    for n in 0..SERVICES {
        sandbox.script(
            format!("scan/{n}/run"),
            "#!/bin/sh\necho first\nexec sleep 1000\n",
        );
        sandbox.script(format!("scan/{n}/log/run"), KEEPER);
    }
    let svscan = svscan(sandbox);
    for n in 0..SERVICES {
        let kept = sandbox.path(format!("scan/{n}/log/kept"));
        sandbox.wait_until("the first line is logged", || {
            fs::read(&kept).is_ok_and(|kept| kept == b"first\n")
        });
    }
    let start = std::time::Instant::now();
    stop(sandbox, svscan).succeeds();
    say(&format!(
        "Ours: {SERVICES} services with loggers stopped in {:?}",
        start.elapsed()
    ));
}

fn term_during_start_stops_services(sandbox: &Sandbox) {
    for n in 0..40 {
        sandbox.script(format!("scan/{n}/run"), SLEEPER);
        sandbox.script(format!("scan/{n}/log/run"), KEEPER);
    }
    for services in [0, 1, 20, 60] {
        let svscan = svscan(sandbox);
        // Before svscan blocks its signals, TERM would kill the process.
        let mask = format!("grep -h ^SigBlk /proc/{}/status", svscan.pid());
        sandbox.wait_for(&mask, |mask| !mask.ends_with("0000\n"));
        sandbox.wait_until("some supervises have started", || {
            children(svscan.pid()).len() >= services
        });
        stop(sandbox, svscan).succeeds();
    }
}

fn services_of_earlier_svscan_are_stopped(sandbox: &Sandbox) {
    make(sandbox, &["a"]);
    // svscan waits for the service.
    let slow = POLITE.replace("exit'", "sleep 0.5; echo >ended; exit'");
    sandbox.script("scan/a/run", &slow);
    let first = start(sandbox, &["a"], "exec svscan -e scan");
    first.kill();
    let second = svscan(sandbox);
    wait_for_held_locks(sandbox, &second);
    second.signal(Signal::SIGTERM);
    second.wait().exits(0);
    assert!(sandbox.exists("scan/a/ended"));
    wait_for_foreign(sandbox);
    assert_all_is_kept(sandbox, "a");
}

fn malformed_timeout_kill_counts_as_absent(sandbox: &Sandbox) {
    make(sandbox, &["a"]);
    sandbox.write("scan/a/log/timeout-kill", "soon");
    let first = start(sandbox, &["a"], "exec svscan -e scan");
    first.kill();
    let second = svscan(sandbox);
    wait_for_held_locks(sandbox, &second);
    // With a valid file, svscan would send no `x` to the foreign supervise
    // of the logger: the logger could be stopped before it has read all.
    stop_with_foreign(sandbox, second);
    assert_all_is_kept(sandbox, "a");
}
