//! supervise -e: the program `check`, run at an interval while the service is up.

use std::fs;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgid};
use testkit::{SLEEPER, Sandbox, kill, ours};

use super::supervise_extended::{supervise, told, wait_for_another, wait_for_state};
use super::{wait_for_status, wait_until_asleep};

ours!(
    first_passed_check_makes_service_ready,
    notification_fd_takes_precedence_over_check,
    failing_check_is_only_reported_by_default,
    failures_in_a_row_restart_service_after_notify,
    failing_checks_reach_the_restart_limit,
    service_that_ignores_term_is_killed,
    hanging_check_is_killed_with_its_children,
    second_check_waits_for_the_first,
    paused_service_is_not_checked,
    stopping_service_is_not_checked,
    check_ends_with_its_run,
    check_ends_with_its_supervise,
    check_that_ends_supervise_stops_service,
    unusable_settings_disable_check,
    replaced_check_runs_next,
    vanished_check_is_reported_once,
    thousand_failures_leave_no_process_behind,
    check_without_interval_does_not_run,
    settings_of_check_are_ignored_without_e,
    check_has_empty_input_and_no_descriptors,
    logger_has_checks_of_its_own,
    sv_check_runs_check_of_runsv_service,
);

/// A service with this check, every 20 milliseconds.
fn service(sandbox: &Sandbox, check: &str) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/check", &format!("#!/bin/sh\n{check}\n"));
    sandbox.write("s/check-interval", "20\n");
}

fn lines(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let text = fs::read_to_string(sandbox.path(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn wait_for_lines(sandbox: &Sandbox, name: &str, least: usize) {
    sandbox.wait_until(&format!("{name} has {least} lines"), || {
        lines(sandbox, name).len() >= least
    });
}

#[track_caller]
fn wait_for_check(sandbox: &Sandbox, wanted: &str) {
    sandbox.wait_until(&format!("check={wanted}"), || {
        told(sandbox, "check") == wanted
    });
}

/// The process whose number a script has written to a file of the service.
fn process(sandbox: &Sandbox, name: &str) -> Pid {
    wait_for_lines(sandbox, name, 1);
    let line = lines(sandbox, name).pop().unwrap();
    Pid::from_raw(line.parse().unwrap())
}

/// Whether a process exists, and is no zombie.
fn runs(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn first_passed_check_makes_service_ready(sandbox: &Sandbox) {
    service(sandbox, "echo >>checks; test -e answers");
    let _supervise = supervise(sandbox);
    wait_for_lines(sandbox, "s/checks", 2);
    assert_eq!(told(sandbox, "state"), "starting");
    assert_eq!(sandbox.sh("svwait -U -t 10 s").code(), Some(99));
    assert_eq!(
        sandbox.sh("svstat s").masked(),
        "s: up (pid P) S seconds, check failing\n"
    );
    sandbox.write("s/answers", "");
    sandbox.sh("svwait -U s").succeeds();
    assert_eq!(told(sandbox, "state"), "ready");
    assert_eq!(told(sandbox, "check"), "ok");
    assert!(told(sandbox, "ready_since").starts_with('@'));
    assert_eq!(
        sandbox.sh("svstat s").masked(),
        "s: up (pid P) S seconds, ready\n"
    );
    // The record is that of 0.76.
    wait_for_status(sandbox, (true, 0, b'u'));
    assert_eq!(sandbox.read("s/supervise/status").len(), 18);
}

fn notification_fd_takes_precedence_over_check(sandbox: &Sandbox) {
    service(sandbox, "exit 0");
    sandbox.script(
        "s/run",
        "#!/bin/sh\nread line <go; echo >&3\nexec sleep 1000\n",
    );
    sandbox.write("s/notification-fd", "3");
    sandbox.sh("mkfifo s/go").succeeds();
    let _supervise = supervise(sandbox);
    wait_for_check(sandbox, "ok");
    assert_eq!(told(sandbox, "state"), "starting");
    sandbox.sh("echo >s/go; svwait -U s").succeeds();
}

fn failing_check_is_only_reported_by_default(sandbox: &Sandbox) {
    service(sandbox, "echo >>checks; test ! -e broken");
    sandbox.script("s/notify", "#!/bin/sh\necho \"$@\" >>told\n");
    let _supervise = supervise(sandbox);
    wait_for_state(sandbox, "ready");
    let pid = sandbox.service("s");
    sandbox.write("s/broken", "");
    wait_for_check(sandbox, "failing");
    sandbox.sh("svwait -u s").succeeds();
    assert_eq!(sandbox.sh("svwait -U -t 10 s").code(), Some(99));
    assert_eq!(
        sandbox.sh("svstat s").masked(),
        "s: up (pid P) S seconds, ready, check failing\n"
    );
    let checks = lines(sandbox, "s/checks").len();
    wait_for_lines(sandbox, "s/checks", checks + 3);
    sandbox.sh("rm s/broken; svwait -U s").succeeds();
    assert_eq!(sandbox.service("s"), pid);
    // `notify` receives changes, not every result. Its processes are not awaited.
    wait_for_lines(sandbox, "s/told", 4);
    let mut told = lines(sandbox, "s/told");
    told.sort();
    let word = |word: &str, number| format!("check {word} {pid} {number}");
    let (ok, failing) = (word("ok", 0), word("failing", 1));
    assert_eq!(told, [failing, ok.clone(), ok, format!("run start {pid}")]);
}

fn failures_in_a_row_restart_service_after_notify(sandbox: &Sandbox) {
    service(sandbox, "test ! -e broken");
    sandbox.script(
        "s/run",
        "#!/bin/sh\ntrap 'echo TERM >>signals; rm broken; exit' TERM\n>up\n\
         while :; do sleep 0.01; done\n",
    );
    sandbox.script("s/notify", "#!/bin/sh\necho \"$@\" >>told\n");
    sandbox.write("s/check-failures", "3");
    let _supervise = supervise(sandbox);
    wait_for_state(sandbox, "ready");
    sandbox.wait_until("the trap is set", || sandbox.exists("s/up"));
    let first = sandbox.service("s");
    sandbox.write("s/broken", "");
    wait_for_another(sandbox, first);
    wait_for_state(sandbox, "ready");
    assert_eq!(sandbox.read("s/signals"), b"TERM\n");
    let stop = format!("check stop {first} 3");
    sandbox.wait_until(&stop, || lines(sandbox, "s/told").contains(&stop));
    assert_eq!(told(sandbox, "exit_code"), "0");
}

fn failing_checks_reach_the_restart_limit(sandbox: &Sandbox) {
    service(sandbox, "exit 1");
    sandbox.write("s/check-failures", "1");
    sandbox.write("s/restart-limit-count", "1");
    sandbox.write("s/restart-limit-interval", "1000");
    let _supervise = supervise(sandbox);
    wait_for_state(sandbox, "failed");
    assert_eq!(told(sandbox, "restarts"), "1");
    assert_eq!(told(sandbox, "check"), "");
}

fn service_that_ignores_term_is_killed(sandbox: &Sandbox) {
    service(sandbox, "test ! -e deaf");
    sandbox.script("s/run", "#!/bin/sh\ntrap '' TERM\n>deaf\nexec sleep 1000\n");
    sandbox.write("s/check-failures", "2");
    sandbox.write("s/timeout-kill", "50");
    let _supervise = supervise(sandbox);
    wait_for_another(sandbox, sandbox.service("s"));
    assert_eq!(told(sandbox, "signal"), "9");
}

fn hanging_check_is_killed_with_its_children(sandbox: &Sandbox) {
    service(
        sandbox,
        "sleep 1000 & echo $! >child; echo $$ >leader; wait",
    );
    sandbox.write("s/check-timeout", "100");
    sandbox.write("s/check-failures", "1000");
    let _supervise = supervise(sandbox);
    let (leader, child) = (process(sandbox, "s/leader"), process(sandbox, "s/child"));
    assert_eq!(told(sandbox, "state"), "starting");
    sandbox.wait_until("both are killed", || !runs(leader) && !runs(child));
    sandbox.wait_until("a failure counts", || !told(sandbox, "check").is_empty());
}

fn second_check_waits_for_the_first(sandbox: &Sandbox) {
    service(sandbox, "echo $$ >>checks; read line <go");
    sandbox.write("s/check-timeout", "0");
    sandbox.sh("mkfifo s/go").succeeds();
    let supervise = supervise(sandbox);
    for number in 1..4 {
        wait_for_lines(sandbox, "s/checks", number);
        // Asleep: no deadline wakes it for another check.
        wait_until_asleep(sandbox, &supervise);
        assert_eq!(lines(sandbox, "s/checks").len(), number);
        sandbox.sh("echo >s/go").succeeds();
    }
}

fn paused_service_is_not_checked(sandbox: &Sandbox) {
    service(
        sandbox,
        "echo $$ >>checks; test ! -e hang || exec sleep 1000",
    );
    sandbox.write("s/check-failures", "1");
    sandbox.write("s/hang", "");
    let supervise = supervise(sandbox);
    let pid = sandbox.service("s");
    let check = process(sandbox, "s/checks");
    sandbox.sh("svc -p s").succeeds();
    wait_for_status(sandbox, (true, 1, b'u'));
    sandbox.wait_until("the check is killed", || !runs(check));
    wait_until_asleep(sandbox, &supervise);
    assert_eq!(lines(sandbox, "s/checks").len(), 1);
    assert_eq!(told(sandbox, "check"), "");
    sandbox.sh("rm s/hang; svc -c s; svwait -U s").succeeds();
    assert_eq!(sandbox.service("s"), pid);
}

fn stopping_service_is_not_checked(sandbox: &Sandbox) {
    service(sandbox, "echo $$ >>checks; exit 1");
    sandbox.script(
        "s/run",
        "#!/bin/sh\ntrap 'echo TERM >>signals' TERM\n>up\n\
         until test -e end; do sleep 0.01; done\n",
    );
    let supervise = supervise(sandbox);
    wait_for_lines(sandbox, "s/checks", 1);
    sandbox.wait_until("the trap is set", || sandbox.exists("s/up"));
    sandbox.sh("svc -d s").succeeds();
    wait_for_lines(sandbox, "s/signals", 1);
    wait_until_asleep(sandbox, &supervise);
    let checks = lines(sandbox, "s/checks").len();
    wait_until_asleep(sandbox, &supervise);
    assert_eq!(lines(sandbox, "s/checks").len(), checks);
    sandbox.sh(">s/end; svwait -D s").succeeds();
    // The check of the next run.
    sandbox.sh("rm s/end; svc -u s").succeeds();
    wait_for_lines(sandbox, "s/checks", checks + 1);
    sandbox.sh(">s/end").succeeds();
}

fn check_ends_with_its_run(sandbox: &Sandbox) {
    service(sandbox, "echo $$ >>checks; exec sleep 1000");
    sandbox.write("s/check-timeout", "0");
    let _supervise = supervise(sandbox);
    let first = process(sandbox, "s/checks");
    let service = sandbox.service("s");
    kill(service, Signal::SIGKILL).unwrap();
    sandbox.wait_until("the check is killed", || !runs(first));
    wait_for_lines(sandbox, "s/checks", 2);
    let second = process(sandbox, "s/checks");
    assert_ne!(first, second);
    sandbox.sh("svc -dx s; svwait -x s").succeeds();
    sandbox.wait_until("the check is killed", || !runs(second));
}

fn check_ends_with_its_supervise(sandbox: &Sandbox) {
    service(
        sandbox,
        "echo $$ >>checks; kill -KILL $PPID; exec sleep 1000",
    );
    sandbox.write("s/check-timeout", "0");
    // The check may end supervise before svok looks.
    let supervise = sandbox.start(sandbox.shell("exec supervise -e s"));
    let service = sandbox.service("s");
    let check = process(sandbox, "s/checks");
    sandbox.wait_until("the check is killed", || !runs(check));
    assert_eq!(supervise.wait().signal(), Some(9));
    kill(service, Signal::SIGKILL).unwrap();
}

fn check_that_ends_supervise_stops_service(sandbox: &Sandbox) {
    service(sandbox, "echo $$ >>checks; kill $PPID; exec sleep 1000");
    let supervise = sandbox.start(sandbox.shell("exec supervise -e s"));
    supervise.wait().is(0, "", "");
    let check = process(sandbox, "s/checks");
    sandbox.wait_until("the check is killed", || !runs(check));
    assert_eq!(told(sandbox, "state"), "down");
}

fn unusable_settings_disable_check(sandbox: &Sandbox) {
    let milliseconds = "a number of milliseconds from 0 to 4294967295";
    let failures = "a number from 0 to 10000";
    for (file, content, kind) in [
        ("check-interval", "soon", milliseconds),
        ("check-interval", "-1", milliseconds),
        ("check-timeout", "4294967296", milliseconds),
        ("check-timeout", "", milliseconds),
        ("check-failures", "many", failures),
        ("check-failures", "10001", failures),
    ] {
        service(sandbox, "echo $$ >>checks");
        sandbox.write(format!("s/{file}"), content);
        let supervise = supervise(sandbox);
        wait_for_status(sandbox, (true, 0, b'u'));
        wait_until_asleep(sandbox, &supervise);
        assert_eq!(told(sandbox, "state"), "up");
        sandbox.sh("svc -dx s").succeeds();
        let warning = format!("supervise: warning: s/{file} is not {kind}: ignored\n");
        supervise.wait().is(0, "", warning);
        sandbox.sh("rm s/check-*").succeeds();
    }
    for setup in [
        "rm s/check",
        "chmod -x s/check",
        "rm s/check; mkdir s/check",
    ] {
        service(sandbox, "echo $$ >>checks");
        sandbox.sh(setup).succeeds();
        let supervise = supervise(sandbox);
        wait_for_status(sandbox, (true, 0, b'u'));
        assert_eq!(told(sandbox, "state"), "up");
        sandbox.sh("svc -dx s").succeeds();
        let warning = "supervise: warning: s/check is not an executable file: ignored\n";
        supervise.wait().is(0, "", warning);
    }
    assert!(!sandbox.exists("s/checks"));
}

fn replaced_check_runs_next(sandbox: &Sandbox) {
    service(sandbox, "echo old >>checks; read line <go; exit 1");
    sandbox.sh("mkfifo s/go").succeeds();
    let _supervise = supervise(sandbox);
    wait_for_lines(sandbox, "s/checks", 1);
    sandbox.script("s/check.new", "#!/bin/sh\necho new >>checks\n");
    sandbox.sh("mv s/check.new s/check; echo >s/go").succeeds();
    wait_for_state(sandbox, "ready");
    assert_eq!(lines(sandbox, "s/checks")[..2], ["old", "new"]);
}

fn vanished_check_is_reported_once(sandbox: &Sandbox) {
    service(sandbox, "echo $$ >>checks");
    sandbox.write("s/check-failures", "1");
    let supervise = supervise(sandbox);
    wait_for_state(sandbox, "ready");
    let pid = sandbox.service("s");
    let message = |error| format!("supervise: warning: unable to start s/check: {error}\n");
    let (missing, denied) = (message("file does not exist"), message("access denied"));
    let wait_for = |text: &str| {
        sandbox.wait_until(text, || supervise.stderr() == text.as_bytes());
    };
    sandbox.sh("mv s/check s/hidden").succeeds();
    wait_for(&missing);
    sandbox.script("s/other", "#!/no/such/interpreter\n");
    sandbox
        .sh("chmod -x s/other; mv s/other s/check")
        .succeeds();
    wait_for(&format!("{missing}{denied}"));
    let checks = lines(sandbox, "s/checks").len();
    sandbox.sh("mv s/hidden s/check").succeeds();
    wait_for_lines(sandbox, "s/checks", checks + 1);
    sandbox.sh("mv s/check s/hidden").succeeds();
    wait_for(&format!("{missing}{denied}{missing}"));
    // No result: the service goes on.
    assert_eq!(sandbox.service("s"), pid);
    assert_eq!(told(sandbox, "check"), "ok");
}

fn thousand_failures_leave_no_process_behind(sandbox: &Sandbox) {
    service(sandbox, "echo >>checks; exit 1");
    sandbox.write("s/check-interval", "1");
    let supervise = supervise(sandbox);
    let pid = sandbox.service("s");
    let files = || {
        fs::read_dir(format!("/proc/{}/fd", supervise.pid()))
            .unwrap()
            .count()
    };
    wait_for_lines(sandbox, "s/checks", 1);
    let before = files();
    wait_for_lines(sandbox, "s/checks", 1000);
    wait_for_check(sandbox, "failing");
    assert_eq!(sandbox.service("s"), pid);
    assert_eq!(files(), before);
    sandbox.sh("svc -p s").succeeds();
    wait_for_status(sandbox, (true, 1, b'u'));
    wait_until_asleep(sandbox, &supervise);
    let children = format!("/proc/{0}/task/{0}/children", supervise.pid());
    let children = fs::read_to_string(children).unwrap();
    assert_eq!(children.trim(), pid.to_string());
}

fn check_without_interval_does_not_run(sandbox: &Sandbox) {
    for interval in ["", "0"] {
        service(sandbox, "echo >>checks; exit 1");
        if interval.is_empty() {
            sandbox.sh("rm s/check-interval").succeeds();
        } else {
            sandbox.write("s/check-interval", interval);
        }
        let supervise = supervise(sandbox);
        wait_for_status(sandbox, (true, 0, b'u'));
        wait_until_asleep(sandbox, &supervise);
        assert_eq!(told(sandbox, "state"), "up");
        assert_eq!(told(sandbox, "check"), "");
        assert!(!sandbox.exists("s/checks"));
        sandbox.sh("svc -dx s").succeeds();
        supervise.wait().is(0, "", "");
    }
}

fn settings_of_check_are_ignored_without_e(sandbox: &Sandbox) {
    service(sandbox, "echo >>checks; exit 1");
    sandbox.write("s/check-failures", "nonsense");
    let supervise = sandbox.start_supervisor("supervise", "s");
    wait_for_status(sandbox, (true, 0, b'u'));
    wait_until_asleep(sandbox, &supervise);
    assert!(!sandbox.exists("s/checks") && !sandbox.exists("s/supervise/state"));
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().is(0, "", "");
}

fn check_has_empty_input_and_no_descriptors(sandbox: &Sandbox) {
    service(
        sandbox,
        "test -e seen && exit\nreadlink /proc/self/fd/0 >input; ls /proc/self/fd >descriptors\n\
         echo $0 $# >arguments; pwd >directory; echo output; echo $$ >seen; exec sleep 1000",
    );
    sandbox.script(
        "s/run",
        "#!/bin/sh\nls /proc/self/fd >list; mv list expected; exec sleep 1000\n",
    );
    let supervise = supervise(sandbox);
    let check = process(sandbox, "s/seen");
    assert_eq!(getpgid(Some(check)), Ok(check));
    assert_eq!(sandbox.read("s/input"), b"/dev/null\n");
    assert_eq!(sandbox.read("s/arguments"), b"./check 0\n");
    let directory = format!("{}/s\n", sandbox.dir().display());
    assert_eq!(sandbox.read("s/directory"), directory.as_bytes());
    // The check has the descriptors that supervise inherited.
    let descriptors = sandbox.read("s/descriptors");
    sandbox.wait_until("run has its list", || sandbox.exists("s/expected"));
    assert_eq!(descriptors, sandbox.read("s/expected"));
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().is(0, "output\n", "");
}

fn logger_has_checks_of_its_own(sandbox: &Sandbox) {
    sandbox.script("scan/s/run", "#!/bin/sh\necho line\nexec sleep 1000\n");
    sandbox.script(
        "scan/s/log/run",
        "#!/bin/sh\nread line\necho $line >seen\nexec cat\n",
    );
    sandbox.script("scan/s/log/check", "#!/bin/sh\ncat >input\ntest -e seen\n");
    sandbox.write("scan/s/log/check-interval", "20");
    let svscan = sandbox.start(sandbox.shell("exec svscan -e scan"));
    sandbox
        .sh("cd scan; until svok s/log; do sleep 0.01; done; svwait -U s/log")
        .succeeds();
    // The check takes no line from the logger.
    assert_eq!(sandbox.read("scan/s/log/seen"), b"line\n");
    assert_eq!(sandbox.read("scan/s/log/input"), b"");
    svscan.signal(Signal::SIGTERM);
    svscan.wait().exits(0);
}

/// `sv check` of Debian and ours, on a service of our runsv: it runs `check`
/// itself, and runsv ignores the settings. The record of supervise is shorter
/// than that of runsv, in 0.76 too.
fn sv_check_runs_check_of_runsv_service(sandbox: &Sandbox) {
    service(sandbox, "echo $$ >>checks; test ! -e broken");
    let runsv = sandbox.start_supervisor("runsv", "s");
    wait_until_asleep(sandbox, &runsv);
    assert!(!sandbox.exists("s/checks"));
    let debian = std::path::Path::new("/usr/bin/sv").exists();
    let programs = ["sv"].into_iter().chain(debian.then_some("/usr/bin/sv"));
    for sv in programs {
        let before = lines(sandbox, "s/checks").len();
        let check = || sandbox.sh(&format!("SVDIR=. {sv} -w 1 check ./s"));
        check().exits(0);
        assert_eq!(lines(sandbox, "s/checks").len(), before + 1);
        sandbox.write("s/broken", "");
        check().exits(1);
        sandbox.sh("rm s/broken").succeeds();
    }
    sandbox.sh("sv force-shutdown ./s").exits(0);
    runsv.wait().exits(0);
    let supervise = supervise(sandbox);
    wait_for_state(sandbox, "ready");
    let programs = ["sv"].into_iter().chain(debian.then_some("/usr/bin/sv"));
    for sv in programs {
        let checked = sandbox.sh(&format!("SVDIR=. {sv} -w 1 check ./s"));
        assert!(checked.text().contains("bad format"), "{}", checked.text());
    }
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().exits(0);
}
