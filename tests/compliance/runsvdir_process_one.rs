//! runsvdir as process 1 of a container. runit's runsvdir exits at once, and the
//! kernel kills all services.

use nix::sys::signal::Signal;
use testkit::{Running, SLEEPER, Sandbox, Subject, compliance, ours, ours_on_theirs};

use super::boot::{ORPHANS, TALKATIVE, signal_inside, start_as_process_one, wait_for_watches};

compliance!(
    exit_codes_are_those_of_runit,
    interrupt_elsewhere_ends_runsvdir_alone,
);

// With our runsv, and with runit's.
ours_on_theirs!(
    services_stop_before_their_loggers,
    service_that_ignores_term_is_killed,
    endless_finish_ends_with_the_timeout,
    logger_has_a_timeout_of_its_own,
    end_of_killed_service_is_noticed_at_once,
    second_signal_kills_services,
    signals_of_finish_change_nothing,
    stopped_runsv_and_logger_continue,
    paused_logger_does_not_block_its_service,
    removed_service_is_waited_for,
    runsv_of_another_parent_is_waited_for,
);

ours!(
    bad_stop_timeouts_are_reported,
    title_shows_warnings_of_shutdown,
    orphans_are_reaped_at_once,
    orphans_are_reaped_during_shutdown,
    shutdown_removes_inotify_watches,
);

/// Ends half a second after SIGTERM, with a last line.
const POLITE: &str = "#!/bin/sh
trap 'sleep 0.5; echo last words; exit' TERM
echo first
while :; do sleep 0.1; done
";

/// Notes SIGTERM in the file `told`, and continues.
const STUBBORN: &str = "#!/bin/sh
trap 'echo >>told' TERM
echo >up
while :; do sleep 0.1; done
";

const LOGGER: &str = "#!/bin/sh\nexec multilog ./main\n";
const CURRENT: &str = "scan/a/log/main/current";

/// Starts runsvdir on `scan` as process 1. Each runsv is one of the first programs.
/// None, with a message, if the system does not permit a namespace.
fn start(sandbox: &Sandbox) -> Option<Running> {
    start_as_process_one(sandbox, "$THEN/runsvdir scan")
}

#[track_caller]
fn wait_for_file(sandbox: &Sandbox, file: &str) {
    sandbox.wait_until(&format!("{file} exists"), || sandbox.exists(file));
}

#[track_caller]
fn wait_for_first_line(sandbox: &Sandbox) {
    sandbox.wait_until("the first line is logged", || {
        std::fs::read(sandbox.path(CURRENT)).is_ok_and(|current| current == b"first\n")
    });
}

fn exit_codes_are_those_of_runit(sandbox: &Sandbox) {
    for (signal, code) in [("TERM", 0), ("HUP", 111)] {
        sandbox.script("scan/a/run", POLITE);
        sandbox.script("scan/a/log/run", LOGGER);
        let Some(unshare) = start(sandbox) else {
            return;
        };
        wait_for_first_line(sandbox);
        signal_inside(sandbox, &unshare, signal);
        unshare.wait().is(code, "", "");
        let logged: &[u8] = match sandbox.subject() {
            Subject::Reference => b"first\n",
            _ => b"first\nlast words\n",
        };
        assert_eq!(sandbox.read(CURRENT), logged, "{signal}");
        sandbox.sh("rm -r scan").succeeds();
    }
}

fn interrupt_elsewhere_ends_runsvdir_alone(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let runsvdir = sandbox.start(sandbox.shell("exec env --default-signal runsvdir scan"));
    let service = sandbox.service("scan/a");
    runsvdir.signal(Signal::SIGINT);
    assert_eq!(runsvdir.wait().signal(), Some(Signal::SIGINT as i32));
    assert!(sandbox.is_supervised("scan/a"));
    assert_eq!(sandbox.service("scan/a"), service);
    sandbox.sh("sv exit ./scan/a").succeeds();
    sandbox.wait_until("runsv has exited", || !sandbox.is_supervised("scan/a"));
}

fn services_stop_before_their_loggers(sandbox: &Sandbox) {
    for (signal, code) in [("TERM", 0), ("INT", 0), ("HUP", 111)] {
        sandbox.script("scan/a/run", POLITE);
        sandbox.script("scan/a/log/run", LOGGER);
        sandbox.script("scan/b/run", SLEEPER);
        sandbox.script("scan/down/run", SLEEPER);
        sandbox.write("scan/down/down", "");
        let Some(unshare) = start(sandbox) else {
            return;
        };
        wait_for_first_line(sandbox);
        sandbox.service("scan/b");
        sandbox.wait_until("the third has a runsv", || {
            sandbox.is_supervised("scan/down")
        });
        signal_inside(sandbox, &unshare, signal);
        unshare.wait().is(code, "", "");
        assert_eq!(sandbox.read(CURRENT), b"first\nlast words\n", "{signal}");
        for file in ["a", "a/log", "b", "down"] {
            let record = sandbox.read(format!("scan/{file}/supervise/status"));
            assert_eq!(record[12..16], [0; 4], "{file} is down");
        }
        // The mode shows that multilog has closed the file.
        sandbox
            .sh(&format!("test -x {CURRENT} && rm -r scan"))
            .succeeds();
    }
}

fn service_that_ignores_term_is_killed(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", STUBBORN);
    sandbox.write("scan/a/timeout-kill", "2500");
    let Some(unshare) = start(sandbox) else {
        return;
    };
    wait_for_file(sandbox, "scan/a/up");
    signal_inside(sandbox, &unshare, "TERM");
    let warning = "runsvdir scan: warning: unable to stop a: timed out\n";
    unshare.wait().is(0, "", warning);
    // runsv passes on each SIGTERM, so there is only one.
    let told = std::fs::read(sandbox.path("scan/a/told"));
    assert!(told.is_ok_and(|told| told == b"\n"));
}

fn endless_finish_ends_with_the_timeout(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/a/finish", "#!/bin/sh\necho >begun\nexec sleep 1000\n");
    sandbox.script("scan/a/log/run", LOGGER);
    sandbox.write("scan/a/timeout-kill", "2000");
    let Some(unshare) = start(sandbox) else {
        return;
    };
    sandbox.service("scan/a");
    sandbox.service("scan/a/log");
    signal_inside(sandbox, &unshare, "HUP");
    let outcome = unshare.wait();
    outcome.exits(111);
    let warning = "runsvdir scan: warning: unable to stop a: timed out\n";
    assert!(outcome.error_text().starts_with(warning), "{outcome:?}");
    assert!(sandbox.exists("scan/a/begun"));
    // multilog was not killed.
    sandbox.sh(&format!("test -x {CURRENT}")).succeeds();
}

/// The order of the warnings is that of the timeouts.
fn end_of_killed_service_is_noticed_at_once(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", STUBBORN);
    sandbox.script("scan/a/log/run", STUBBORN);
    sandbox.script("scan/b/run", STUBBORN);
    sandbox.write("scan/a/timeout-kill", "500");
    sandbox.write("scan/a/log/timeout-kill", "500");
    sandbox.write("scan/b/timeout-kill", "4500");
    let Some(unshare) = start(sandbox) else {
        return;
    };
    for file in ["scan/a/up", "scan/a/log/up", "scan/b/up"] {
        wait_for_file(sandbox, file);
    }
    signal_inside(sandbox, &unshare, "TERM");
    let warnings = "runsvdir scan: warning: unable to stop a: timed out
runsvdir scan: warning: unable to stop a/log: timed out
runsvdir scan: warning: unable to stop b: timed out
";
    unshare.wait().is(0, "", warnings);
}

fn logger_has_a_timeout_of_its_own(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/a/log/run", STUBBORN);
    sandbox.write("scan/a/timeout-kill", "0");
    sandbox.write("scan/a/log/timeout-kill", "500");
    let Some(unshare) = start(sandbox) else {
        return;
    };
    wait_for_file(sandbox, "scan/a/log/up");
    signal_inside(sandbox, &unshare, "TERM");
    let warning = "runsvdir scan: warning: unable to stop a/log: timed out\n";
    unshare.wait().is(0, "", warning);
}

fn second_signal_kills_services(sandbox: &Sandbox) {
    for (first, second, code) in [("TERM", "INT", 0), ("HUP", "TERM", 111)] {
        sandbox.script("scan/a/run", STUBBORN);
        sandbox.write("scan/a/timeout-kill", "0");
        let Some(unshare) = start(sandbox) else {
            return;
        };
        wait_for_file(sandbox, "scan/a/up");
        signal_inside(sandbox, &unshare, first);
        wait_for_file(sandbox, "scan/a/told");
        signal_inside(sandbox, &unshare, second);
        let warning = "runsvdir scan: warning: signaled again: killing all services\n";
        unshare.wait().is(code, "", warning);
        sandbox.sh("rm -r scan").succeeds();
    }
}

fn signals_of_finish_change_nothing(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", POLITE);
    sandbox.script("scan/a/log/run", LOGGER);
    // The end of b requests the shutdown. So does that of c, during the shutdown.
    sandbox.script(
        "scan/b/run",
        "#!/bin/sh\nuntil [ -e go ]; do sleep 0.1; done\n",
    );
    sandbox.script("scan/c/run", SLEEPER);
    for service in ["b", "c"] {
        let finish = "#!/bin/sh\nkill -TERM 1; kill -INT 1; kill -HUP 1\n";
        sandbox.script(format!("scan/{service}/finish"), finish);
    }
    let Some(unshare) = start(sandbox) else {
        return;
    };
    wait_for_first_line(sandbox);
    sandbox.service("scan/c");
    sandbox.write("scan/b/go", "");
    let outcome = unshare.wait();
    assert!(matches!(outcome.code(), Some(0 | 111)), "{outcome:?}");
    assert_eq!(outcome.error_text(), "");
    assert_eq!(sandbox.read(CURRENT), b"first\nlast words\n");
}

fn stopped_runsv_and_logger_continue(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", POLITE);
    sandbox.script("scan/a/log/run", LOGGER);
    let Some(unshare) = start(sandbox) else {
        return;
    };
    wait_for_first_line(sandbox);
    let wait_until_paused = |dir: &str| {
        sandbox.sh(&format!("sv pause ./{dir}")).exits(0);
        sandbox.wait_until(&format!("{dir} is paused"), || {
            sandbox.read(format!("{dir}/supervise/status"))[16] == 1
        });
    };
    wait_until_paused("scan/a/log");
    wait_until_paused("scan/a");
    let stop = format!(
        "kill -STOP $(ps -o pid= --ppid $(ps -o pid= --ppid {}))",
        unshare.pid()
    );
    sandbox.sh(&stop).succeeds();
    signal_inside(sandbox, &unshare, "TERM");
    unshare.wait().is(0, "", "");
    assert_eq!(sandbox.read(CURRENT), b"first\nlast words\n");
}

fn paused_logger_does_not_block_its_service(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", TALKATIVE);
    sandbox.script(
        "scan/a/log/run",
        "#!/bin/sh\nexec multilog s1000000 ./main\n",
    );
    sandbox.write("scan/a/timeout-kill", "0");
    let Some(unshare) = start(sandbox) else {
        return;
    };
    wait_for_first_line(sandbox);
    sandbox.sh("sv pause ./scan/a/log").exits(0);
    sandbox.wait_until("the logger is paused", || {
        sandbox.read("scan/a/log/supervise/status")[16] == 1
    });
    signal_inside(sandbox, &unshare, "TERM");
    unshare.wait().is(0, "", "");
    assert!(sandbox.read(CURRENT).ends_with(b"\n30000\n"));
}

fn removed_service_is_waited_for(sandbox: &Sandbox) {
    let here = sandbox.dir();
    let here = here.display();
    let service = format!(
        "#!/bin/sh\ntrap 'echo >{here}/told; sleep 1; echo >{here}/ended; exit' TERM
echo >{here}/up\nwhile :; do sleep 0.1; done\n"
    );
    for is_told in [false, true] {
        sandbox.script("scan/a/run", &service);
        let Some(unshare) = start(sandbox) else {
            return;
        };
        wait_for_file(sandbox, "up");
        // runsv may still make a file.
        sandbox
            .sh("until rm -rf scan/a 2>/dev/null; do :; done")
            .succeeds();
        if is_told {
            // The next scan stops the removed service.
            wait_for_file(sandbox, "told");
        }
        signal_inside(sandbox, &unshare, "TERM");
        unshare.wait().exits(0);
        sandbox.sh("rm up told ended").succeeds();
    }
}

fn runsv_of_another_parent_is_waited_for(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", POLITE);
    sandbox.script("scan/a/log/run", LOGGER);
    let runsv = sandbox.start_supervisor("runsv", "scan/a");
    let Some(unshare) = start(sandbox) else {
        return;
    };
    wait_for_first_line(sandbox);
    let locked = b"runsv a: fatal: unable to lock supervise/lock: temporary failure\n";
    sandbox.wait_until("another runsv has exited", || {
        unshare.stderr().starts_with(locked)
    });
    signal_inside(sandbox, &unshare, "TERM");
    unshare.wait().exits(0);
    assert_eq!(sandbox.read(CURRENT), b"first\nlast words\n");
    runsv.wait().exits(0);
}

fn bad_stop_timeouts_are_reported(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/a/log/run", LOGGER);
    sandbox.sh("mkdir scan/a/timeout-kill").succeeds();
    sandbox.write("scan/a/log/timeout-kill", "-1");
    let Some(unshare) = start(sandbox) else {
        return;
    };
    sandbox.service("scan/a");
    signal_inside(sandbox, &unshare, "TERM");
    let warnings = "runsvdir scan: warning: unable to read a/timeout-kill: is a directory\n\
                    runsvdir scan: warning: a/log/timeout-kill is not a number of milliseconds \
                    from 0 to 4294967295: ignored\n";
    unshare.wait().is(0, "", warnings);
}

fn title_shows_warnings_of_shutdown(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", STUBBORN);
    sandbox.write("scan/a/timeout-kill", "100");
    sandbox.script(
        "scan/b/run",
        "#!/bin/sh\ntrap 'until [ -e go ]; do sleep 0.1; done; exit' TERM\necho >up\n\
         while :; do sleep 0.1; done\n",
    );
    let log = format!("log: {}", ".".repeat(40));
    let Some(unshare) = start_as_process_one(sandbox, &format!("runsvdir -P scan '{log}'")) else {
        return;
    };
    wait_for_file(sandbox, "scan/a/up");
    wait_for_file(sandbox, "scan/b/up");
    signal_inside(sandbox, &unshare, "TERM");
    let title = format!("ps -ww -o args= --ppid {}", unshare.pid());
    sandbox.wait_for(&title, |title| {
        title.contains("warning: unable to stop a: timed out")
    });
    sandbox.write("scan/b/go", "");
    unshare.wait().is(0, "", "");
}

fn orphans_are_reaped_at_once(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", ORPHANS);
    let Some(_unshare) = start(sandbox) else {
        return;
    };
    wait_for_file(sandbox, "scan/a/reaped");
}

fn orphans_are_reaped_during_shutdown(sandbox: &Sandbox) {
    sandbox.script(
        "scan/a/run",
        "#!/bin/sh
trap 'echo >told' TERM
echo >up
until [ -e told ]; do sleep 0.1; done
orphan=$(sh -c 'sleep 0.02 >/dev/null & echo $!')
while kill -0 $orphan 2>/dev/null; do sleep 0.01; done
",
    );
    sandbox.write("scan/a/timeout-kill", "0");
    let Some(unshare) = start(sandbox) else {
        return;
    };
    wait_for_file(sandbox, "scan/a/up");
    signal_inside(sandbox, &unshare, "TERM");
    unshare.wait().is(0, "", "");
}

fn shutdown_removes_inotify_watches(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", STUBBORN);
    sandbox.write("scan/a/timeout-kill", "0");
    let Some(unshare) = start(sandbox) else {
        return;
    };
    wait_for_file(sandbox, "scan/a/up");
    let runsvdir = sandbox.sh(&format!("ps -o pid= --ppid {}", unshare.pid()));
    let runsvdir = runsvdir.text().trim().to_owned();
    wait_for_watches(sandbox, &runsvdir, true);
    signal_inside(sandbox, &unshare, "TERM");
    wait_for_file(sandbox, "scan/a/told");
    wait_for_watches(sandbox, &runsvdir, false);
    sandbox.sh("printf k >scan/a/supervise/control").succeeds();
    unshare.wait().is(0, "", "");
}
