//! Boot, restart and shutdown: the calls of an init system on svscan.

use testkit::{Running, SLEEPER, Sandbox, compliance, interop, ours, ours_on_theirs, say};

interop!(services_survive_restart_of_svscan);

compliance!(
    process_one_reaps_orphans,
    process_one_ends_all_services_at_term,
);

ours_on_theirs!(
    stop_script_ends_services_before_loggers,
    stop_script_without_svscan_ends_services,
);

ours!(
    stop_script_ends_extended_svscan,
    stop_script_kills_what_does_not_end,
    power_service_switches_off_last,
    process_one_reports_bad_stop_timeouts,
    process_one_continues_logger_before_its_service_stops,
);

/// The script by which the boot files stop services, for those in `scan`.
fn stop_script() -> String {
    include_str!("../../packaging/boot/svscanboot-stop")
        .replace("@SERVICEPATH@", "$THEN:$PATH")
        .replace("@SERVICEDIR@", "scan")
}

fn stop(sandbox: &Sandbox) {
    sandbox.script("stop", &stop_script());
    sandbox.sh("./stop").prints("");
}

/// The beginning of svstat's line for `scan/a`, up to the pid of a service that
/// is up.
fn up(sandbox: &Sandbox) -> Option<String> {
    let says = sandbox.sh("svstat scan/a").text();
    Some(
        says.strip_prefix("scan/a: up (pid ")?
            .split_once(')')?
            .0
            .to_owned(),
    )
}

fn services_survive_restart_of_svscan(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let svscan = sandbox.start(sandbox.shell("exec svscan scan"));
    sandbox.wait_until("the service is up", || up(sandbox).is_some());
    let service = up(sandbox);
    svscan.kill();

    let again = sandbox.start(sandbox.shell("PATH=$THEN:$PATH exec svscan scan"));
    let held = b"supervise: fatal: unable to acquire a/supervise/lock: temporary failure\n";
    sandbox.wait_until("it has tried to start another", || {
        again.stderr().starts_with(held)
    });
    assert_eq!(up(sandbox), service);

    // The old supervise obeys. After its exit the new svscan starts another.
    sandbox.sh("svc -t scan/a").succeeds();
    sandbox.wait_until("the service has restarted", || {
        up(sandbox).is_some_and(|pid| Some(pid) != service)
    });
    sandbox.sh("svc -dx scan/a").succeeds();
    sandbox.wait_until("the new svscan has a supervise", || {
        let child = format!("ps -o args= --ppid {}", again.pid());
        sandbox.sh(&child).text() == "supervise a\n" && up(sandbox).is_some()
    });
}

/// Starts svscan on a service with a logger, and one without. Waits until both write.
fn start_scan(sandbox: &Sandbox, options: &str) -> Running {
    sandbox.script("scan/a/run", TALKATIVE);
    sandbox.script(
        "scan/a/log/run",
        "#!/bin/sh\nexec multilog s1000000 ./main\n",
    );
    sandbox.script("scan/b/run", SLEEPER);
    let svscan = sandbox.start(sandbox.shell(&format!("exec svscan {options} scan")));
    sandbox.wait_until("all are up", || {
        sandbox.exists(CURRENT)
            && sandbox.read(CURRENT) == b"first\n"
            && sandbox.is_supervised("scan/b")
    });
    svscan
}

/// The log of [`start_scan`].
const CURRENT: &str = "scan/a/log/main/current";

/// Checks that all supervises have exited, and that the logger has read all lines.
fn assert_stopped(sandbox: &Sandbox) {
    for dir in ["scan/a", "scan/a/log", "scan/b"] {
        assert!(!sandbox.is_supervised(dir), "{dir}");
    }
    assert!(sandbox.read(CURRENT).ends_with(b"\n30000\n"));
    // multilog gives a closed file this mode.
    sandbox.sh(&format!("test -x {CURRENT}")).succeeds();
}

fn stop_script_ends_services_before_loggers(sandbox: &Sandbox) {
    let svscan = start_scan(sandbox, "");
    // The pipe fills up until the logger continues.
    sandbox.sh("svc -p scan/a/log").succeeds();
    sandbox.wait_until("the logger is paused", || {
        sandbox.read("scan/a/log/supervise/status")[16] == 1
    });
    stop(sandbox);
    assert_stopped(sandbox);
    assert_eq!(svscan.wait().signal(), Some(15));
}

fn stop_script_without_svscan_ends_services(sandbox: &Sandbox) {
    start_scan(sandbox, "").kill();
    stop(sandbox);
    assert_stopped(sandbox);
    // Without services, there is nothing to do.
    stop(sandbox);
}

fn stop_script_ends_extended_svscan(sandbox: &Sandbox) {
    let svscan = start_scan(sandbox, "-e");
    stop(sandbox);
    assert_stopped(sandbox);
    svscan.wait().succeeds();
}

fn stop_script_kills_what_does_not_end(sandbox: &Sandbox) {
    // A child of the service keeps the pipe open, so that the logger does not end.
    sandbox.script(
        "scan/a/run",
        "#!/bin/sh\ntrap : TERM\nsleep 1000 & echo $! >child\necho first\n\
            while :; do sleep 0.1; done\n",
    );
    sandbox.script("scan/a/log/run", "#!/bin/sh\nexec multilog ./main\n");
    let svscan = sandbox.start(sandbox.shell("exec svscan scan"));
    sandbox.wait_until("the service writes", || {
        sandbox.exists(CURRENT) && sandbox.read(CURRENT) == b"first\n"
    });
    let script = stop_script()
        .replace("-t 60000", "-t 500")
        .replace("-t 10000", "-t 500");
    sandbox.script("stop", &script);
    let timed_out = "svwait: fatal: timed out\n";
    sandbox
        .sh("./stop")
        .is(99, "", format!("{timed_out}{timed_out}"));
    assert!(!sandbox.is_supervised("scan/a"));
    assert!(sandbox.is_supervised("scan/a/log"));
    assert_eq!(svscan.wait().signal(), Some(15));
    sandbox.sh("kill $(cat scan/a/child)").succeeds();
    sandbox.wait_until("the logger has ended", || {
        !sandbox.is_supervised("scan/a/log")
    });
}

/// The service that switches a machine off. Here, its keys go to a file.
fn power_service_switches_off_last(sandbox: &Sandbox) {
    let script = include_str!("../../packaging/boot/power.run")
        .replace(">/proc/sysrq-trigger", ">>../keys.new")
        .replace("sleep infinity\n}", "mv ../keys.new ../keys\n    exit\n}");
    for options in ["", "-e"] {
        sandbox.script("scan/power/run", &script);
        sandbox.write("scan/power/timeout-kill", "0");
        sandbox.script("scan/a/run", TALKATIVE);
        sandbox.script(
            "scan/a/log/run",
            "#!/bin/sh\nexec multilog s1000000 ./main\n",
        );
        let Some(unshare) = process_one(sandbox, options) else {
            return;
        };
        sandbox.wait_until("all are up", || {
            sandbox.exists(CURRENT)
                && sandbox.read(CURRENT) == b"first\n"
                && sandbox.sh("svstat scan/power").text().contains(": up ")
        });
        signal_inside(sandbox, &unshare, "TERM");
        unshare.wait().succeeds();
        assert_eq!(sandbox.read("keys"), b"u\no\n", "{options}");
        sandbox
            .sh(&format!("test {CURRENT} -ot keys && test -x {CURRENT}"))
            .succeeds();
        assert!(sandbox.read(CURRENT).ends_with(b"\n30000\n"));
        sandbox.sh("rm -r scan keys").succeeds();
    }
}

/// Starts svscan on `scan` as process 1, as [`start_as_process_one`].
pub(super) fn process_one(sandbox: &Sandbox, options: &str) -> Option<Running> {
    start_as_process_one(sandbox, &format!("svscan {options} scan"))
}

/// Starts a command as process 1 of a pid namespace. None, with a message, if the
/// system does not permit a namespace.
pub(crate) fn start_as_process_one(sandbox: &Sandbox, command: &str) -> Option<Running> {
    let namespace = "unshare --mount --pid --fork --kill-child --mount-proc";
    if sandbox.sh(&format!("{namespace} true")).code() != Some(0) {
        say(&format!(
            "skipped, not permitted to make a process namespace: {command}"
        ));
        return None;
    }
    Some(sandbox.start(sandbox.shell(&format!("exec {namespace} {command}"))))
}

/// Makes orphans that end at once, each when the one before has been reaped.
pub(super) const ORPHANS: &str = "#!/bin/sh
for n in 0 1 2 3 4 5 6 7 8 9 a b c d e f; do
    orphan=$(sh -c 'true >/dev/null & echo $!')
    while kill -0 $orphan 2>/dev/null; do sleep 0.01; done
done
echo >reaped
exec sleep 1000
";

/// Makes orphans that end at once, many a second.
const MANY_ORPHANS: &str = "#!/bin/sh
while :; do sh -c 'true &'; sleep 0.1; done
";

fn process_one_reaps_orphans(sandbox: &Sandbox) {
    let theirs = sandbox.subject() == testkit::Subject::Reference;
    sandbox.script("scan/a/run", if theirs { MANY_ORPHANS } else { ORPHANS });
    let Some(unshare) = process_one(sandbox, "") else {
        return;
    };
    if theirs {
        // Zombies stay until the next scan, at most five seconds.
        let zombies = || {
            let svscan = format!("ps -o pid= --ppid {}", unshare.pid());
            let children = format!("ps -o stat= --ppid $({svscan})");
            sandbox
                .sh(&children)
                .text()
                .lines()
                .filter(|state| state.starts_with('Z'))
                .count()
        };
        sandbox.wait_until("ten wait to be reaped", || zombies() > 10);
        sandbox.wait_until("the zombies have been reaped", || zombies() < 10);
    } else {
        // Reaping one orphan a scan would exceed the time limit of the test.
        sandbox.wait_until("all are reaped", || sandbox.exists("scan/a/reaped"));
    }
}

fn process_one_ends_all_services_at_term(sandbox: &Sandbox) {
    if sandbox.subject() == testkit::Subject::Reference {
        return cannot_be_ended_by_term(sandbox);
    }
    for signal in ["TERM", "INT"] {
        sandbox.script(
            "scan/a/run",
            "#!/bin/sh\ntrap 'echo last words; exit' TERM\necho first\n\
            while :; do sleep 0.1; done\n",
        );
        sandbox.script("scan/a/log/run", "#!/bin/sh\nexec multilog ./main\n");
        let Some(unshare) = process_one(sandbox, "") else {
            return;
        };
        let current = "scan/a/log/main/current";
        sandbox.wait_until("it speaks", || {
            sandbox.exists(current) && sandbox.read(current) == b"first\n"
        });
        signal_inside(sandbox, &unshare, signal);
        // Process 1 ends last, after all processes in its namespace.
        unshare.wait().succeeds();
        assert_eq!(sandbox.read(current), b"first\nlast words\n");
        for dir in ["scan/a", "scan/a/log"] {
            let record = sandbox.read(format!("{dir}/supervise/status"));
            assert_eq!(record[12..16], [0; 4], "{dir} is down");
        }
        sandbox
            .sh("test -x scan/a/log/main/current && rm -r scan")
            .succeeds();
    }
}

fn process_one_reports_bad_stop_timeouts(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/a/log/run", "#!/bin/sh\nexec multilog ./main\n");
    sandbox.write("scan/a/timeout-kill", "ten seconds");
    sandbox.sh("mkdir scan/a/log/timeout-kill").succeeds();
    let Some(unshare) = process_one(sandbox, "") else {
        return;
    };
    sandbox.wait_until("the service is up", || up(sandbox).is_some());
    signal_inside(sandbox, &unshare, "TERM");
    let warnings = "svscan: warning: a/timeout-kill is not a number of milliseconds from 0 to \
                    4294967295: ignored\n\
                    svscan: warning: unable to read a/log/timeout-kill: is a directory\n";
    unshare.wait().is(0, "", warnings);
}

/// Ends at SIGTERM after more lines than a pipe holds.
pub(super) const TALKATIVE: &str = "#!/bin/sh
trap 'seq 30000; exit' TERM
echo first
while :; do sleep 0.1; done
";

fn process_one_continues_logger_before_its_service_stops(sandbox: &Sandbox) {
    for option in ["", "-e"] {
        sandbox.script("scan/a/run", TALKATIVE);
        sandbox.script(
            "scan/a/log/run",
            "#!/bin/sh\nexec multilog s1000000 ./main\n",
        );
        sandbox.write("scan/a/timeout-kill", "0");
        let Some(unshare) = process_one(sandbox, option) else {
            return;
        };
        let current = "scan/a/log/main/current";
        sandbox.wait_until("it speaks", || {
            sandbox.exists(current) && sandbox.read(current) == b"first\n"
        });
        sandbox.sh("svc -p scan/a/log").succeeds();
        sandbox.wait_until("the logger is paused", || {
            sandbox.read("scan/a/log/supervise/status")[16] == 1
        });
        signal_inside(sandbox, &unshare, "TERM");
        unshare.wait().succeeds();
        assert!(sandbox.read(current).ends_with(b"\n30000\n"), "{option}");
        sandbox.sh("rm -r scan").succeeds();
    }
}

/// Sends process 1 a signal from outside.
pub(super) fn signal_inside(sandbox: &Sandbox, unshare: &Running, name: &str) {
    let svscan = format!("ps -o pid= --ppid {}", unshare.pid());
    sandbox.sh(&format!("kill -{name} $({svscan})")).succeeds();
}

/// Waits until a scanner has inotify watches, or none. Watches delay its exit.
#[track_caller]
pub(super) fn wait_for_watches(sandbox: &Sandbox, scanner: &str, some: bool) {
    let count = format!("cat /proc/{scanner}/fdinfo/* 2>/dev/null | grep -c '^inotify wd'");
    sandbox.wait_until(&format!("{scanner} has watches: {some}"), || {
        (sandbox.sh(&count).text() != "0\n") == some
    });
}

/// svscan of 0.76 ignores TERM as process 1.
fn cannot_be_ended_by_term(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let Some(unshare) = process_one(sandbox, "") else {
        return;
    };
    sandbox.wait_until("the service is up", || up(sandbox).is_some());
    signal_inside(sandbox, &unshare, "TERM");
    signal_inside(sandbox, &unshare, "INT");
    sandbox.script("scan/b/run", SLEEPER);
    sandbox.wait_until("it starts another service", || {
        sandbox.is_supervised("scan/b")
    });

    // The namespace ends with process 1.
    signal_inside(sandbox, &unshare, "KILL");
    let _ = unshare.wait();
    sandbox.wait_until("all have ended", || sandbox.processes().is_empty());
}

/// The documents quote the lines that packaging/boot ships.
#[test]
fn documents_quote_shipped_boot_lines() {
    let boot = include_str!("../../doc/boot.md");
    for file in [
        include_str!("../../packaging/boot/inittab"),
        include_str!("../../packaging/boot/rc.local"),
    ] {
        let line = file.lines().last().unwrap();
        assert!(boot.contains(&format!("\n    {line}\n")), "{line}");
    }
}
