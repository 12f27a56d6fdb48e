//! supervise -e: the programs `start` and `stop` of daemontools-encore, which run
//! once around the runs of a service.

use std::fs;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, getsid};
use testkit::{SLEEPER, Sandbox, ours};

use super::supervise_extended::{kill_service, supervise, told, wait_for_another, wait_for_state};
use super::{wait_for_status, wait_until_asleep};

ours!(
    start_runs_before_first_run_but_no_restart,
    start_and_stop_have_surroundings_of_run,
    failed_start_is_failure_for_good,
    killed_start_is_failure_for_good,
    hanging_start_is_killed_with_its_children,
    down_during_start_ends_start_and_runs_stop,
    restart_during_start_begins_anew,
    exit_during_start_prevents_run,
    service_without_run_is_started,
    service_without_run_is_awaited_before_supervise,
    failed_start_without_run_is_not_started,
    exit_command_leaves_started_service_up,
    stop_runs_after_finish_of_last_run,
    stop_runs_once_for_each_period,
    stop_receives_signals_but_no_second_down,
    up_during_stop_starts_afterwards,
    stop_runs_before_supervise_exits,
    failed_service_runs_stop_at_down,
    files_without_execute_bit_are_ignored,
    unrunnable_start_is_reported_and_fails,
    notify_receives_events_of_all_scripts,
    start_and_stop_are_ignored_without_e,
    invalid_start_timeout_is_reported,
    svscan_stops_in_order_with_stop,
    hanging_scripts_do_not_block_shutdown,
    failed_start_of_essential_ends_svscan,
    start_of_logger_reads_no_line,
);

/// A service whose scripts write their names to `log`.
fn service(sandbox: &Sandbox) {
    sandbox.script("s/start", "#!/bin/sh\necho start >>log\n");
    sandbox.script("s/run", "#!/bin/sh\necho run >>log\nexec sleep 1000\n");
    sandbox.script("s/stop", "#!/bin/sh\necho stop >>log\n");
}

fn lines(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let text = fs::read_to_string(sandbox.path(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn wait_for_log(sandbox: &Sandbox, wanted: &str) {
    let last = std::cell::RefCell::new(String::new());
    sandbox.wait_until(&format!("the log is {wanted:?}"), || {
        let log = lines(sandbox, "s/log").join(" ");
        let done = log == wanted;
        last.replace(log);
        done
    });
}

/// The process whose number a script has written to a file of the service.
fn process(sandbox: &Sandbox, name: &str) -> Pid {
    sandbox.wait_until(name, || !lines(sandbox, name).is_empty());
    Pid::from_raw(lines(sandbox, name)[0].parse().unwrap())
}

fn runs(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn start_runs_before_first_run_but_no_restart(sandbox: &Sandbox) {
    service(sandbox);
    let supervise = supervise(sandbox);
    wait_for_log(sandbox, "start run");
    let first = kill_service(sandbox, Signal::SIGKILL);
    wait_for_another(sandbox, first);
    wait_for_log(sandbox, "start run run");
    sandbox.sh("svc -t s").succeeds();
    wait_for_log(sandbox, "start run run run");
    sandbox
        .sh("svwait -u s && svwait -D s -- svc -d s")
        .succeeds();
    wait_for_log(sandbox, "start run run run stop");
    assert_eq!(told(sandbox, "state"), "down");
    // `o` is a change from down to up, too.
    sandbox.sh("svc -o s").succeeds();
    wait_for_log(sandbox, "start run run run stop start run");
    kill_service(sandbox, Signal::SIGKILL);
    wait_for_log(sandbox, "start run run run stop start run stop");
    sandbox.sh("svc -x s").succeeds();
    supervise.wait().is(0, "", "");
    wait_for_log(sandbox, "start run run run stop start run stop");
}

fn start_and_stop_have_surroundings_of_run(sandbox: &Sandbox) {
    for name in ["start", "stop"] {
        let text = format!(
            "#!/bin/sh\necho {name} $0 $# $(readlink /proc/self/fd/0) >>seen\npwd >>seen\n\
             ls /proc/self/fd >{name}.fds\necho $$ >{name}.pid\n\
             echo output of {name}\nread line <go\nsvstat . >>seen\n",
        );
        sandbox.script(format!("s/{name}"), &text);
    }
    sandbox.script(
        "s/run",
        "#!/bin/sh\nls /proc/self/fd >run.fds\necho $$ >run.pid\nexec sleep 1000\n",
    );
    sandbox.sh("mkfifo s/go").succeeds();
    let supervise = supervise(sandbox);
    for (name, state) in [("start", "start"), ("stop", "stop")] {
        let pid = process(sandbox, &format!("s/{name}.pid"));
        wait_for_state(sandbox, state);
        assert_eq!(told(sandbox, "pid"), "");
        assert_eq!(getsid(Some(pid)), Ok(pid));
        // In the record of 0.76, the service is down.
        assert_eq!(sandbox.sh("svwait -u -t 10 s").code(), Some(99));
        assert_eq!(sandbox.sh("svwait -D -t 10 s").code(), Some(99));
        sandbox.sh("svwait -d s; echo >s/go").succeeds();
        if name == "start" {
            process(sandbox, "s/run.pid");
            sandbox.sh("svc -d s").succeeds();
        }
    }
    sandbox.sh("svwait -D s; svc -x s").succeeds();
    supervise
        .wait()
        .is(0, "output of start\noutput of stop\n", "");
    let directory = format!("{}/s", sandbox.dir().display());
    let seen: Vec<_> = sandbox
        .sh("cat s/seen")
        .masked()
        .lines()
        .map(str::to_owned)
        .collect();
    let expected = [
        "start ./start 0 /dev/null",
        &directory,
        ".: down S seconds, normally up, want up, starting",
        "stop ./stop 0 /dev/null",
        &directory,
        ".: down S seconds, normally up, stopping",
    ];
    assert_eq!(seen, expected);
    for name in ["start", "stop"] {
        let descriptors = sandbox.read(format!("s/{name}.fds"));
        assert_eq!(descriptors, sandbox.read("s/run.fds"), "{name}");
    }
}

fn failed_start_is_failure_for_good(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.script("s/start", "#!/bin/sh\necho start >>log\nexit $(cat code)\n");
    sandbox.write("s/code", "3");
    sandbox.write("s/down", "");
    let _supervise = supervise(sandbox);
    let failed = sandbox.sh("svwait -u s -- svc -u s");
    failed.is(1, "", "svwait: fatal: s has failed\n");
    assert_eq!(told(sandbox, "state"), "failed");
    assert_eq!(told(sandbox, "exit_code"), "3");
    wait_for_status(sandbox, (false, 0, b'd'));
    assert_eq!(
        sandbox.sh("svstat s").masked(),
        "s: down S seconds, failed\n"
    );
    // A later failure is another one.
    let failed = sandbox.sh("svwait -u s -- svc -u s");
    failed.is(1, "", "svwait: fatal: s has failed\n");
    wait_for_log(sandbox, "start start");
    sandbox.write("s/code", "0");
    sandbox.sh("svwait -u s -- svc -u s").succeeds();
    wait_for_log(sandbox, "start start start run");
}

fn killed_start_is_failure_for_good(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.script("s/start", "#!/bin/sh\necho start >>log\nkill -9 $$\n");
    let _supervise = supervise(sandbox);
    wait_for_state(sandbox, "failed");
    assert_eq!(told(sandbox, "signal"), "9");
    // As in daemontools-encore, `stop` follows only a command.
    wait_for_log(sandbox, "start");
    sandbox.sh("svc -d s").succeeds();
    wait_for_state(sandbox, "down");
    wait_for_log(sandbox, "start stop");
    sandbox.sh("svc -d s; svc -x s; svwait -x s").succeeds();
    wait_for_log(sandbox, "start stop");
}

fn hanging_start_is_killed_with_its_children(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.script(
        "s/start",
        "#!/bin/sh\ntrap '' TERM\nsleep 1000 & echo $! >child; echo $$ >leader\nwait\n",
    );
    sandbox.write("s/timeout-start", "2000");
    let _supervise = supervise(sandbox);
    let (leader, child) = (process(sandbox, "s/leader"), process(sandbox, "s/child"));
    wait_for_state(sandbox, "failed");
    sandbox.wait_until("both are killed", || !runs(leader) && !runs(child));
    assert_eq!(told(sandbox, "signal"), "9");
    assert!(!sandbox.exists("s/log"));
}

/// A service whose `start` blocks until the file `go` exists.
fn slow_start(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.script(
        "s/start",
        "#!/bin/sh\necho start >>log\nuntil test -e go; do sleep 0.01; done\n",
    );
}

fn down_during_start_ends_start_and_runs_stop(sandbox: &Sandbox) {
    slow_start(sandbox);
    // The stop signal is that of run.
    sandbox.write("s/down-signal", "WINCH");
    let supervise = supervise(sandbox);
    wait_for_log(sandbox, "start");
    sandbox.sh("svc -p s; svc -d s").succeeds();
    wait_for_state(sandbox, "down");
    wait_for_log(sandbox, "start stop");
    // A deaf one is killed after timeout-kill.
    sandbox.script(
        "s/start",
        "#!/bin/sh\ntrap '' TERM\necho start >>log\nwhile :; do sleep 0.01; done\n",
    );
    sandbox.write("s/timeout-kill", "50");
    sandbox.sh("svc -u s").succeeds();
    wait_for_log(sandbox, "start stop start");
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().is(0, "", "");
    wait_for_log(sandbox, "start stop start stop");
}

fn restart_during_start_begins_anew(sandbox: &Sandbox) {
    slow_start(sandbox);
    let _supervise = supervise(sandbox);
    wait_for_log(sandbox, "start");
    sandbox.sh("svc -du s").succeeds();
    wait_for_log(sandbox, "start stop start");
    // `t` alone makes `start` fail.
    sandbox.sh("svc -t s").succeeds();
    wait_for_state(sandbox, "failed");
    sandbox.write("s/go", "");
    sandbox.sh("svc -u s").succeeds();
    wait_for_log(sandbox, "start stop start start run");
}

fn exit_during_start_prevents_run(sandbox: &Sandbox) {
    slow_start(sandbox);
    let supervise = supervise(sandbox);
    wait_for_log(sandbox, "start");
    sandbox.sh("svc -x s; >s/go").succeeds();
    supervise.wait().is(0, "", "");
    wait_for_log(sandbox, "start stop");
}

fn service_without_run_is_started(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.sh("rm s/run").succeeds();
    let supervise = supervise(sandbox);
    wait_for_state(sandbox, "started");
    sandbox.sh("svwait -u s && svwait -U s").succeeds();
    assert_eq!(sandbox.sh("svwait -d -t 10 s").code(), Some(99));
    assert_eq!(told(sandbox, "restarts"), "0");
    // As in daemontools-encore, the record wants no start.
    wait_for_status(sandbox, (false, 0, 0));
    assert_eq!(
        sandbox.sh("svstat s").masked(),
        "s: down S seconds, normally up, started\n"
    );
    let row = sandbox.sh("svps s 2>/dev/null | tr -s ' ' | cut -d ' ' -f 2");
    row.prints("STATE\nstarted\n");
    // Neither command starts anything.
    sandbox.sh("svc -uot s").succeeds();
    sandbox.sh("svwait -D s -- svc -d s").succeeds();
    wait_for_log(sandbox, "start stop");
    sandbox.sh("svwait -r s -- svc -u s").succeeds();
    let restarted = sandbox.sh("svwait -R s -- svc -du s");
    restarted.succeeds();
    wait_for_log(sandbox, "start stop start stop start");
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().is(0, "", "");
    wait_for_log(sandbox, "start stop start stop start stop");
}

fn service_without_run_is_awaited_before_supervise(sandbox: &Sandbox) {
    sandbox.script("s/start", "#!/bin/sh\n");
    let wait = sandbox.start(sandbox.shell("exec svwait -u s"));
    wait_until_asleep(sandbox, &wait);
    let _supervise = supervise(sandbox);
    wait.wait().is(0, "", "");
}

fn failed_start_without_run_is_not_started(sandbox: &Sandbox) {
    sandbox.script("s/start", "#!/bin/sh\nexit 1\n");
    let started = supervise(sandbox);
    wait_for_state(sandbox, "failed");
    sandbox.sh("svc -x s").succeeds();
    started.wait().is(0, "", "");
    // If `start` is missing too, the exec of `run` fails.
    sandbox.sh("rm s/start").succeeds();
    let without = supervise(sandbox);
    sandbox.wait_until("run fails", || !without.stderr().is_empty());
    sandbox.sh("svc -dx s").succeeds();
    let outcome = without.wait();
    let message = "supervise: fatal: unable to start s/run: file does not exist\n";
    assert!(outcome.error_text().starts_with(message));
}

fn exit_command_leaves_started_service_up(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.sh("rm s/run").succeeds();
    let supervise = supervise(sandbox);
    wait_for_state(sandbox, "started");
    // As a service with `run`, it ends only at `d`.
    sandbox.sh("svc -x s; svc -o s; svwait -u s").succeeds();
    assert_eq!(told(sandbox, "state"), "started");
    supervise.signal(Signal::SIGTERM);
    supervise.wait().is(0, "", "");
    wait_for_log(sandbox, "start stop");
}

fn stop_runs_after_finish_of_last_run(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.script("s/finish", "#!/bin/sh\necho finish >>log\n");
    let _supervise = supervise(sandbox);
    wait_for_log(sandbox, "start run");
    kill_service(sandbox, Signal::SIGKILL);
    wait_for_log(sandbox, "start run finish run");
    sandbox.sh("svwait -D s -- svc -d s").succeeds();
    wait_for_log(sandbox, "start run finish run finish stop");
}

fn stop_runs_once_for_each_period(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.write("s/down", "");
    let supervise = supervise(sandbox);
    // Nothing ran before.
    sandbox.sh("svc -d s; svc -d s").succeeds();
    sandbox.sh("svwait -u s -- svc -u s").succeeds();
    wait_for_log(sandbox, "start run");
    sandbox
        .sh("svwait -D s -- svc -d s; svc -d s; svc -d s; svc -x s")
        .succeeds();
    supervise.wait().is(0, "", "");
    wait_for_log(sandbox, "start run stop");
}

fn stop_receives_signals_but_no_second_down(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.script(
        "s/stop",
        "#!/bin/sh\ntrap 'echo TERM >>log' TERM\ntrap 'echo HUP >>log' HUP\n>up\n\
         until test -e go; do sleep 0.01; done\n",
    );
    let supervise = supervise(sandbox);
    wait_for_log(sandbox, "start run");
    sandbox.sh("svc -d s").succeeds();
    sandbox.wait_until("stop runs", || sandbox.exists("s/up"));
    sandbox.sh("svc -d s; svc -dx s; svc -h s").succeeds();
    wait_for_log(sandbox, "start run HUP");
    // Nothing else ends a `stop` that hangs.
    sandbox.sh("svc -k s").succeeds();
    supervise.wait().is(0, "", "");
    assert_eq!(told(sandbox, "state"), "down");
}

fn up_during_stop_starts_afterwards(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.script("s/stop", "#!/bin/sh\n>up\nread line <go\necho stop >>log\n");
    sandbox.sh("mkfifo s/go").succeeds();
    let _supervise = supervise(sandbox);
    wait_for_log(sandbox, "start run");
    for (command, log) in [
        ("u", "start run stop start run"),
        ("o", "start run stop start run stop start run"),
    ] {
        sandbox.sh("svc -d s").succeeds();
        sandbox.wait_until("stop runs", || sandbox.exists("s/up"));
        sandbox
            .sh(&format!("rm s/up; svc -{command} s; echo >s/go"))
            .succeeds();
        wait_for_log(sandbox, log);
    }
    sandbox.sh("rm s/stop; svc -d s").succeeds();
}

fn stop_runs_before_supervise_exits(sandbox: &Sandbox) {
    for end in [
        "svc -dx s",
        "svc -x s; svc -t s",
        "kill $pid",
        "kill -HUP $pid; svc -k s",
    ] {
        service(sandbox);
        sandbox.write("s/log", "");
        let supervise = supervise(sandbox);
        wait_for_log(sandbox, "start run");
        sandbox
            .sh(&format!("pid={}; {end}", supervise.pid()))
            .succeeds();
        supervise.wait().is(0, "", "");
        wait_for_log(sandbox, "start run stop");
    }
    // Between two runs.
    sandbox.write("s/log", "");
    sandbox.write("s/restart-delay", "1000");
    let supervise = supervise(sandbox);
    wait_for_log(sandbox, "start run");
    kill_service(sandbox, Signal::SIGKILL);
    wait_for_state(sandbox, "delay");
    sandbox.sh("svc -x s").succeeds();
    supervise.wait().is(0, "", "");
    wait_for_log(sandbox, "start run stop");
}

fn failed_service_runs_stop_at_down(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.script("s/run", "#!/bin/sh\necho run >>log\nexit 1\n");
    sandbox.write("s/restart-limit-count", "1");
    sandbox.write("s/restart-limit-interval", "1000");
    let supervise = supervise(sandbox);
    wait_for_state(sandbox, "failed");
    wait_for_log(sandbox, "start run run");
    sandbox.sh("svc -u s").succeeds();
    wait_for_log(sandbox, "start run run start run run");
    wait_for_state(sandbox, "failed");
    sandbox.sh("svc -d s").succeeds();
    wait_for_state(sandbox, "down");
    sandbox.sh("svc -x s").succeeds();
    supervise.wait().is(0, "", "");
    wait_for_log(sandbox, "start run run start run run stop");
}

fn files_without_execute_bit_are_ignored(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.sh("chmod -x s/start s/stop").succeeds();
    let files = supervise(sandbox);
    wait_for_log(sandbox, "run");
    sandbox.sh("svc -dx s").succeeds();
    let warning =
        |file| format!("supervise: warning: s/{file} is not an executable file: ignored\n");
    let warnings = [warning("start"), warning("stop")].concat();
    files.wait().is(0, "", warnings);
    // Directories of these names belong to the service.
    sandbox
        .sh("cd s; rm start stop; mkdir start stop")
        .succeeds();
    let directories = supervise(sandbox);
    wait_for_log(sandbox, "run run");
    sandbox.sh("svc -dx s").succeeds();
    directories.wait().is(0, "", "");
}

fn unrunnable_start_is_reported_and_fails(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.script("s/start", "#!/no/such/interpreter\n");
    sandbox.script("s/stop", "#!/no/such/interpreter\n");
    let supervise = supervise(sandbox);
    wait_for_state(sandbox, "failed");
    assert_eq!(told(sandbox, "exit_code"), "111");
    sandbox.sh("svc -dx s").succeeds();
    let fatal = |file| format!("supervise: fatal: unable to start s/{file}: file does not exist\n");
    supervise
        .wait()
        .is(0, "", [fatal("start"), fatal("stop")].concat());
    assert!(!sandbox.exists("s/log"));
}

fn notify_receives_events_of_all_scripts(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.script("s/notify", "#!/bin/sh\necho \"$1 $2 $4\" >>told\n");
    sandbox.script("s/run", "#!/bin/sh\ntrap '' TERM\nsvc -dx .\nexit 1\n");
    let supervise = sandbox.start(sandbox.shell("exec supervise -e s"));
    supervise.wait().is(0, "", "");
    // The processes of notify are not awaited.
    sandbox.wait_until("six events", || lines(sandbox, "s/told").len() == 6);
    let mut events = lines(sandbox, "s/told");
    events.sort();
    // The events of the suite of daemontools-encore, whose fourth word at a start
    // is 0.
    let expected = [
        "run exit 1",
        "run start ",
        "start exit 0",
        "start start ",
        "stop exit 0",
        "stop start ",
    ];
    assert_eq!(events, expected);
}

fn start_and_stop_are_ignored_without_e(sandbox: &Sandbox) {
    service(sandbox);
    let supervise = sandbox.start_supervisor("supervise", "s");
    wait_for_log(sandbox, "run");
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().is(0, "", "");
    wait_for_log(sandbox, "run");
}

fn invalid_start_timeout_is_reported(sandbox: &Sandbox) {
    service(sandbox);
    sandbox.write("s/timeout-start", "soon");
    let supervise = supervise(sandbox);
    wait_for_log(sandbox, "start run");
    sandbox.sh("svc -dx s").succeeds();
    let kind = "a number of milliseconds from 0 to 4294967295";
    let warning = format!("supervise: warning: s/timeout-start is not {kind}: ignored\n");
    supervise.wait().is(0, "", warning);
}

fn svscan_stops_in_order_with_stop(sandbox: &Sandbox) {
    sandbox.script("scan/s/start", "#!/bin/sh\necho started\n");
    sandbox.script("scan/s/run", "#!/bin/sh\necho runs\nexec sleep 1000\n");
    sandbox.script("scan/s/stop", "#!/bin/sh\necho stopped\n");
    sandbox.script("scan/s/log/run", "#!/bin/sh\nexec cat >>lines\n");
    sandbox.script("scan/only/start", "#!/bin/sh\n");
    sandbox.script("scan/only/stop", "#!/bin/sh\n>stopped\n");
    let svscan = sandbox.start(sandbox.shell("exec svscan -e scan"));
    sandbox.wait_until("the services are up", || {
        sandbox.sh("svwait -U -t 1000 scan/s scan/only").code() == Some(0)
            && lines(sandbox, "scan/s/log/lines").len() == 2
    });
    svscan.signal(Signal::SIGTERM);
    svscan.wait().is(0, "", "");
    let lines = lines(sandbox, "scan/s/log/lines");
    assert_eq!(lines, ["started", "runs", "stopped"]);
    assert!(sandbox.exists("scan/only/stopped"));
}

fn hanging_scripts_do_not_block_shutdown(sandbox: &Sandbox) {
    let deaf = "#!/bin/sh\ntrap '' TERM\n>hangs\nwhile :; do sleep 0.01; done\n";
    sandbox.script("scan/a/start", deaf);
    sandbox.script("scan/b/run", SLEEPER);
    sandbox.script("scan/b/stop", deaf);
    sandbox
        .sh("for s in a b; do echo 100 >scan/$s/timeout-kill; done")
        .succeeds();
    let svscan = sandbox.start(sandbox.shell("exec svscan -e scan"));
    sandbox.wait_until("the services start", || {
        sandbox.exists("scan/a/hangs") && sandbox.sh("svwait -u -t 1000 scan/b").code() == Some(0)
    });
    svscan.signal(Signal::SIGTERM);
    svscan.wait().exits(0);
    assert!(sandbox.exists("scan/b/hangs"));
}

fn failed_start_of_essential_ends_svscan(sandbox: &Sandbox) {
    sandbox.script("scan/s/start", "#!/bin/sh\nexit 7\n");
    sandbox.script("scan/s/run", SLEEPER);
    sandbox.write("scan/s/essential", "");
    sandbox.script("scan/other/run", SLEEPER);
    let svscan = sandbox.start(sandbox.shell("exec svscan -e scan"));
    svscan.wait().exits(7);
}

fn start_of_logger_reads_no_line(sandbox: &Sandbox) {
    sandbox.script("scan/s/run", "#!/bin/sh\necho line\nexec sleep 1000\n");
    sandbox.script("scan/s/log/start", "#!/bin/sh\ncat >input\n");
    sandbox.script("scan/s/log/run", "#!/bin/sh\nexec cat >>lines\n");
    let svscan = sandbox.start(sandbox.shell("exec svscan -e scan"));
    sandbox.wait_until("the line arrives", || {
        lines(sandbox, "scan/s/log/lines") == ["line"]
    });
    assert_eq!(sandbox.read("scan/s/log/input"), b"");
    svscan.signal(Signal::SIGTERM);
    svscan.wait().exits(0);
}
