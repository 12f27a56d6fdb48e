//! supervise -e: the settings of a service directory, in files that 0.76
//! ignores. Each row of the table of settings has a test here.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use daemontools_core::label::Label;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgid, getsid};
use testkit::{Outcome, Running, SLEEPER, Sandbox, Subject, kill, theirs_on_ours};

use super::{supervise as supervise_as_ever, wait_for_status};

/// A service that notifies its readiness on descriptor 3.
const READY: &str = "#!/bin/sh\necho ready >&3\nexec sleep 1000\n";

theirs_on_ours!(
    service_without_settings_behaves_as_before,
    finish_receives_exit_status,
    unrunnable_service_exits_with_111,
    scripts_receive_name_of_directory,
    finish_exit_125_marks_permanent_failure,
    finish_is_killed_at_timeout,
    notify_runs_at_each_change_without_waiting,
    unrunnable_finish_is_reported,
    unrunnable_notify_is_reported,
    notification_makes_service_ready,
    notification_before_exit_counts,
    the_delay_doubles_up_to_its_cap,
    restart_limit_marks_service_failed,
    deaths_outside_interval_do_not_count,
    stop_signal_is_configurable,
    stop_signal_may_change_while_running,
    stop_timeout_kills_service,
    run_lock_waits_for_orphan,
    notification_leaves_the_lock_in_place,
    service_has_its_own_session,
    a_shell_can_source_the_state,
    the_last_deaths_are_kept,
    malformed_setting_is_reported_and_ignored,
    settings_are_ignored_without_e,
    stale_state_is_ignored,
    directory_moves_to_plain_supervise_and_back,
    command_line_is_that_of_supervise,
);

/// Starts supervise -e on the service directory `s` and waits until it runs.
pub(super) fn supervise(sandbox: &Sandbox) -> Running {
    sandbox.start_supervisor("supervise -e", "s")
}

/// The value of a key in `supervise/state`.
pub(super) fn told(sandbox: &Sandbox, key: &str) -> String {
    let text = fs::read_to_string(sandbox.path("s/supervise/state")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap().to_owned()
}

#[track_caller]
pub(super) fn wait_for_state(sandbox: &Sandbox, wanted: &str) {
    sandbox.wait_until(&format!("the state is {wanted}"), || {
        told(sandbox, "state") == wanted
    });
}

/// Our svstat appends further clauses for `s`, unlike the reference.
#[track_caller]
fn assert_svstat_says(sandbox: &Sandbox, plain: &str, more: &str) {
    let more = match sandbox.subject() {
        Subject::Ours | Subject::TheirsThenOurs => more,
        Subject::Reference | Subject::OursThenTheirs => "",
    };
    let line = format!("s: {plain}{more}\n");
    sandbox.wait_until(&line, || sandbox.sh("svstat s").masked() == line);
}

/// Waits until a file in the sandbox has the lines.
#[track_caller]
fn wait_for_lines(sandbox: &Sandbox, name: &str, wanted: &str) {
    let last = std::cell::RefCell::new(String::new());
    sandbox.wait_until(&format!("{name} is {wanted:?}"), || {
        let text = fs::read_to_string(sandbox.path(name)).unwrap_or_default();
        let done = text == wanted;
        last.replace(text);
        done
    });
}

/// Kills the process of the service.
pub(super) fn kill_service(sandbox: &Sandbox, signal: Signal) -> Pid {
    let process = sandbox.service("s");
    kill(process, signal).unwrap();
    process
}

/// Waits until the service runs as another process than that.
#[track_caller]
pub(super) fn wait_for_another(sandbox: &Sandbox, than: Pid) {
    sandbox.wait_until("the service is started again", || {
        sandbox.service("s") != than
    });
}

/// Seconds, the fraction of them included, in a label.
fn seconds(label: &str) -> f64 {
    let number = |digits: &str| f64::from(u32::from_str_radix(digits, 16).unwrap());
    // The seconds' upper half is the same in all labels of our time.
    number(&label[9..17]) + number(&label[17..25]) / 1e9
}

/// The seconds from the exit of the service to its next start. None if no start
/// is scheduled.
fn delay(sandbox: &Sandbox) -> Option<u32> {
    let state = fs::read_to_string(sandbox.path("s/supervise/state")).unwrap();
    let label = |key| {
        state
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap()
    };
    let (since, next) = (label("since="), label("next_start="));
    if next.is_empty() {
        return None;
    }
    let time = seconds(next) - seconds(since);
    // The delay begins when supervise reaps the service.
    let whole = (0..=9).find(|whole| (time - f64::from(*whole)).abs() < 1e-3);
    Some(whole.unwrap_or(u32::MAX))
}

/// Waits until the service was started so often, or more often.
#[track_caller]
fn wait_for_starts(sandbox: &Sandbox, least: usize) {
    sandbox.wait_until(&format!("it is started {least} times"), || {
        let starts = fs::read_to_string(sandbox.path("s/starts")).unwrap_or_default();
        starts.lines().count() >= least
    });
}

fn service_without_settings_behaves_as_before(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    assert_eq!(sandbox.sh("svstat s").masked(), "s: up (pid P) S seconds\n");
    let process = kill_service(sandbox, Signal::SIGKILL);
    wait_for_another(sandbox, process);
    sandbox.sh("svc -p s").succeeds();
    wait_for_status(sandbox, (true, 1, b'u'));
    // x alone stops nothing.
    let process = sandbox.service("s");
    sandbox.sh("svc -xc s").succeeds();
    wait_for_status(sandbox, (true, 0, b'u'));
    assert_eq!(sandbox.service("s"), process);
    sandbox.sh("svc -d s").succeeds();
    supervise.wait().is(0, "", "");
    let files = ["control", "death_tally", "lock", "ok", "state", "status"];
    let listing = sandbox.sh("ls s/supervise").text();
    assert_eq!(listing.lines().collect::<Vec<_>>(), files);
}

fn finish_receives_exit_status(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\n[ -e killed ] && exit 7\nexec sleep 1000\n",
    );
    sandbox.script("s/finish", "#!/bin/sh\necho \"$@\" >>told\n>killed\n");
    let _supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    let first = kill_service(sandbox, Signal::SIGUSR1);
    let line = format!("256 {} s {first}\n", Signal::SIGUSR1 as i32);
    sandbox.wait_until(&line, || {
        let told = fs::read_to_string(sandbox.path("s/told"));
        told.is_ok_and(|told| told.starts_with(&line))
    });
    sandbox.wait_until("the process exits", || {
        String::from_utf8(sandbox.read("s/told"))
            .unwrap()
            .lines()
            .count()
            > 1
    });
    let text = String::from_utf8(sandbox.read("s/told")).unwrap();
    let second = text.lines().nth(1).unwrap();
    assert!(second.starts_with("7 0 s "), "{second:?}");
    // No signals are for finish, and the service is down meanwhile.
    sandbox.write("s/timeout-finish", "0");
    sandbox.script(
        "s/finish",
        "#!/bin/sh\necho $$ >finishing\nexec sleep 1000\n",
    );
    let finishing = || fs::read_to_string(sandbox.path("s/finishing")).unwrap_or_default();
    sandbox.wait_until("finish runs", || finishing().ends_with('\n'));
    wait_for_state(sandbox, "finish");
    sandbox.sh("svc -tk s").succeeds();
    sandbox.sh("svc -x s").succeeds();
    wait_for_status(sandbox, (false, 0, b'u'));
    assert_eq!(told(sandbox, "pid"), "");
    kill(
        Pid::from_raw(finishing().trim().parse().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    sandbox.wait_until("supervise ends", || {
        sandbox.sh("svok s").code() == Some(100)
    });
}

fn unrunnable_service_exits_with_111(sandbox: &Sandbox) {
    sandbox.script("s/finish", "#!/bin/sh\necho $1 $2 $3 >told; exit 125\n");
    let supervise = supervise(sandbox);
    wait_for_state(sandbox, "failed");
    assert_eq!(sandbox.read("s/told"), b"111 0 s\n");
    assert_eq!(told(sandbox, "exit_code"), "111");
    sandbox.sh("svc -x s").succeeds();
    supervise.wait().is(
        0,
        "",
        "supervise: fatal: unable to start s/run: file does not exist\n",
    );
}

fn scripts_receive_name_of_directory(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\nexit 0\n");
    sandbox.script("s/finish", "#!/bin/sh\necho $3 >told; exit 125\n");
    sandbox.sh("ln -s ../s s/log").succeeds();
    sandbox.script("named/log/run", "#!/bin/sh\nexit 0\n");
    sandbox.script("named/log/finish", "#!/bin/sh\necho $3 >told; exit 125\n");
    for (start, told, name) in [
        ("exec supervise -e s/", "s/told", "s\n"),
        ("exec supervise -e ./s/log/", "s/told", "sandbox/log\n"),
        ("cd s; exec supervise -e .", "s/told", "s\n"),
        (
            "cd named; exec supervise -e log",
            "named/log/told",
            "named/log\n",
        ),
    ] {
        let dir = told.strip_suffix("/told").unwrap();
        sandbox.sh(&format!("rm -f {told}")).succeeds();
        let supervise = sandbox.start(sandbox.shell(start));
        let name = if name.starts_with("sandbox") {
            // The parent of the link's target.
            format!(
                "{}/log\n",
                sandbox.dir().file_name().unwrap().to_str().unwrap()
            )
        } else {
            name.to_owned()
        };
        wait_for_lines(sandbox, told, &name);
        sandbox.sh(&format!("svc -x {dir}")).succeeds();
        supervise.wait().is(0, "", "");
    }
}

fn finish_exit_125_marks_permanent_failure(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho start >>starts\nexit 3\n");
    sandbox.script("s/finish", "#!/bin/sh\nexit 125\n");
    let _supervise = supervise(sandbox);
    wait_for_state(sandbox, "failed");
    assert_eq!(told(sandbox, "exit_code"), "3");
    wait_for_status(sandbox, (false, 0, b'd'));
    assert_svstat_says(sandbox, "down S seconds, normally up", ", failed");
    assert_eq!(sandbox.read("s/starts"), b"start\n");
    // A command starts the failed service again.
    sandbox.script("s/finish", "#!/bin/sh\nexit 124\n");
    sandbox.sh("svc -u s").succeeds();
    wait_for_starts(sandbox, 3);
}

fn finish_is_killed_at_timeout(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho start >>starts\nexit 3\n");
    sandbox.script("s/finish", SLEEPER);
    sandbox.write("s/timeout-finish", "200\n");
    let _supervise = supervise(sandbox);
    wait_for_starts(sandbox, 2);
    sandbox.sh("rm s/timeout-finish").succeeds();
    // Default: five seconds. 0 disables the timeout.
    wait_for_starts(sandbox, 3);
    sandbox.write("s/timeout-finish", "0");
    wait_for_starts(sandbox, 4);
    wait_for_state(sandbox, "finish");
}

fn notify_runs_at_each_change_without_waiting(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\nread code <code\nexit $code\n");
    sandbox.sh("mkfifo s/code").succeeds();
    sandbox.script(
        "s/notify",
        "#!/bin/sh\necho \"$@\" >>told\nexec sleep 1000\n",
    );
    let _supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    let first = kill_service(sandbox, Signal::SIGKILL);
    wait_for_another(sandbox, first);
    let second = sandbox.service("s");
    sandbox.sh("echo 7 >s/code").succeeds();
    wait_for_another(sandbox, second);
    let third = sandbox.service("s");
    sandbox.sh("svc -d s").succeeds();
    // supervise does not wait for the previous notify, so the order may vary.
    let wanted = BTreeSet::from([
        format!("run start {first}"),
        format!("run killed {first} 9"),
        format!("run start {second}"),
        format!("run exit {second} 7"),
        format!("run start {third}"),
        format!("run killed {third} 15"),
    ]);
    let told = || fs::read_to_string(sandbox.path("s/told")).unwrap_or_default();
    sandbox.wait_until(&format!("told is {wanted:?}"), || {
        told().lines().map(str::to_owned).collect::<BTreeSet<_>>() == wanted
    });
}

fn unrunnable_finish_is_reported(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.sh("ln -s finish s/finish").succeeds();
    let supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().is(
        0,
        "",
        "supervise: fatal: unable to start s/finish: symbolic link loop\n",
    );
}

fn unrunnable_notify_is_reported(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.write("s/notify", "");
    let supervise = supervise(sandbox);
    let line = "supervise: fatal: unable to start s/notify: access denied\n";
    sandbox.wait_until("the report is written", || {
        supervise.stderr() == line.as_bytes()
    });
    wait_for_status(sandbox, (true, 0, b'u'));
}

fn notification_makes_service_ready(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\nprintf almost >&3\nread go <go\necho >&3\n\
        i=0; while [ $i -lt 9000 ]; do echo 0123456789; i=$((i+1)); done >&3\n>done\n\
        exec sleep 1000\n",
    );
    sandbox.sh("mkfifo s/go").succeeds();
    sandbox.write("s/notification-fd", "3\n");
    let _supervise = supervise(sandbox);
    wait_for_state(sandbox, "starting");
    assert_svstat_says(sandbox, "up (pid P) S seconds", "");
    assert_eq!(told(sandbox, "ready_since"), "");
    sandbox.sh("echo >s/go").succeeds();
    wait_for_state(sandbox, "ready");
    assert!(told(sandbox, "ready_since") > told(sandbox, "since"));
    assert_eq!(told(sandbox, "pid"), sandbox.service("s").to_string());
    assert_svstat_says(sandbox, "up (pid P) S seconds", ", ready");
    // Further output on the descriptor does not block the service.
    sandbox.wait_until("all output is written", || sandbox.exists("s/done"));
    let process = kill_service(sandbox, Signal::SIGKILL);
    wait_for_another(sandbox, process);
    wait_for_state(sandbox, "starting");
    // A closed descriptor is no notification.
    sandbox.script("s/run", "#!/bin/sh\nexec 3>&-\n>closed\nexec sleep 1000\n");
    kill_service(sandbox, Signal::SIGKILL);
    sandbox.wait_until("it is closed", || sandbox.exists("s/closed"));
    wait_for_state(sandbox, "starting");
}

fn notification_before_exit_counts(sandbox: &Sandbox) {
    // The service was ready, so the delay does not grow.
    sandbox.script("s/run", "#!/bin/sh\necho >&4\necho start >>starts\n");
    sandbox.write("s/notification-fd", "4");
    sandbox.write("s/restart-delay-max", "9");
    let _supervise = supervise(sandbox);
    sandbox.wait_until("the service is started repeatedly", || {
        // Before the first start there is nothing to wait for.
        assert!([None, Some(0), Some(1)].contains(&delay(sandbox)));
        fs::read_to_string(sandbox.path("s/starts")).is_ok_and(|starts| starts.lines().count() > 3)
    });
}

fn the_delay_doubles_up_to_its_cap(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\necho start >>starts\n[ ! -e stay ] || { : >stays; exec sleep 1000; }\n",
    );
    sandbox.write("s/restart-delay", "0.2");
    sandbox.write("s/restart-delay-max", "3");
    let _supervise = supervise(sandbox);
    // The delay is at least one second. A slow observer may miss the first
    // ones.
    let mut seen = Vec::new();
    sandbox.wait_until("the delay is at its cap", || {
        seen.extend(delay(sandbox));
        seen.last() == Some(&3)
    });
    // 0 is that of the first start.
    assert!(
        seen.is_sorted() && seen.iter().all(|delay| (0..=3).contains(delay)),
        "{seen:?}"
    );
    assert_svstat_says(
        sandbox,
        "down S seconds, normally up, want up",
        ", restarting in S seconds",
    );
    // A command starts the service at once and resets the delay.
    sandbox.sh("svc -u s").succeeds();
    sandbox.wait_until("it is again", || {
        delay(sandbox).is_some_and(|delay| delay < 3)
    });
    sandbox.write("s/stay", "");
    sandbox.sh("svc -u s").succeeds();
    sandbox.wait_until("it stays", || sandbox.path("s/stays").exists());
    wait_for_status(sandbox, (true, 0, b'u'));
    sandbox
        .sh("rm s/stay s/restart-delay-max; echo 2 >s/restart-delay")
        .succeeds();
    kill_service(sandbox, Signal::SIGKILL);
    sandbox.wait_until("the new delay holds", || delay(sandbox) == Some(2));
}

fn restart_limit_marks_service_failed(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho start >>starts\n");
    sandbox.write("s/restart-limit-count", "2");
    sandbox.write("s/restart-limit-interval", "100.5");
    let _supervise = supervise(sandbox);
    wait_for_state(sandbox, "failed");
    assert_eq!(sandbox.read("s/starts"), b"start\n".repeat(3));
    assert_eq!(told(sandbox, "restarts"), "2");
    wait_for_status(sandbox, (false, 0, b'd'));
    // A command resets the count of deaths.
    sandbox.sh("svc -u s").succeeds();
    wait_for_lines(sandbox, "s/starts", &"start\n".repeat(6));
    wait_for_state(sandbox, "failed");
    // 0 is no limit.
    sandbox.write("s/restart-limit-count", "0");
    sandbox.sh("svc -u s").succeeds();
    wait_for_starts(sandbox, 10);
}

fn deaths_outside_interval_do_not_count(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho start >>starts\n");
    sandbox.write("s/restart-limit-count", "1");
    sandbox.write("s/restart-limit-interval", "0.1");
    let _supervise = supervise(sandbox);
    wait_for_starts(sandbox, 4);
    // One of the two settings suffices: more than three deaths in a minute.
    sandbox
        .sh("rm s/restart-limit-count; echo 60 >s/restart-limit-interval")
        .succeeds();
    wait_for_state(sandbox, "failed");
}

fn stop_signal_is_configurable(sandbox: &Sandbox) {
    for (signal, command) in [("INT", "d"), ("sigusr2\n", "dx"), ("12", "x"), ("1", "d")] {
        sandbox.script(
            "s/run",
            "#!/usr/bin/perl\nfor my $s (qw(TERM HUP INT USR2)) { $SIG{$s} = sub {\
            open F, '>>told'; print F \"$s\\n\"; close F; $got = 1 } }\n\
            open F, '>there'; close F; select undef, undef, undef, 0.05 until $got;\n",
        );
        sandbox.write("s/down-signal", signal);
        sandbox.sh("rm -f s/told s/there").succeeds();
        let supervise = supervise(sandbox);
        sandbox.wait_until("it is there", || sandbox.exists("s/there"));
        sandbox.sh(&format!("svc -{command} s")).succeeds();
        if command == "d" {
            wait_for_status(sandbox, (false, 0, b'd'));
            sandbox.sh("svc -x s").succeeds();
        }
        supervise.wait().is(0, "", "");
        let name = match signal {
            "INT" => "INT\n",
            "1" => "HUP\n",
            _ => "USR2\n",
        };
        assert_eq!(String::from_utf8(sandbox.read("s/told")).unwrap(), name);
    }
}

fn stop_signal_may_change_while_running(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\ntrap '' TERM HUP\n>there\nwhile :; do sleep 1000; done\n",
    );
    sandbox.write("s/down-signal", "HUP");
    sandbox.write("s/timeout-kill", "soon");
    let supervise = supervise(sandbox);
    sandbox.wait_until("it is there", || sandbox.exists("s/there"));
    // supervise does not repeat the message about the setting.
    sandbox.sh("svc -d s").succeeds();
    wait_for_status(sandbox, (true, 0, b'd'));
    sandbox.sh("svc -u s").succeeds();
    wait_for_status(sandbox, (true, 0, b'u'));
    sandbox.write("s/down-signal", "USR1");
    sandbox.sh("svc -dx s").succeeds();
    let warning = "supervise: warning: s/timeout-kill is not a number of milliseconds from 0 \
        to 4294967295: ignored\n";
    supervise.wait().is(0, "", warning);
    assert_eq!(
        told(sandbox, "signal"),
        (Signal::SIGUSR1 as i32).to_string()
    );
}

fn stop_timeout_kills_service(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\ntrap '' TERM\n>there\nwhile :; do sleep 1000; done\n",
    );
    sandbox.write("s/timeout-kill", "300");
    let supervise = supervise(sandbox);
    sandbox.wait_until("it is there", || sandbox.exists("s/there"));
    let process = sandbox.service("s");
    // Not by TERM alone. One call sends all bytes before the timeout.
    sandbox.sh("svc -tdu s").succeeds();
    wait_for_status(sandbox, (true, 0, b'u'));
    assert_eq!(sandbox.service("s"), process);
    // 0 disables the timeout: the service ignored TERM all the time.
    sandbox.write("s/timeout-kill", "0");
    sandbox.sh("rm s/there; svc -k s").succeeds();
    wait_for_another(sandbox, process);
    sandbox.wait_until("it is there", || sandbox.exists("s/there"));
    let process = sandbox.service("s");
    sandbox.sh("svc -d s").succeeds();
    wait_for_status(sandbox, (true, 0, b'd'));
    sandbox.sh("svc -u s").succeeds();
    wait_for_status(sandbox, (true, 0, b'u'));
    assert_eq!(sandbox.service("s"), process);
    // With a kill timeout, x stops the service as well.
    sandbox.write("s/timeout-kill", "300");
    sandbox.sh("rm s/there; svc -k s").succeeds();
    sandbox.wait_until("it is there", || sandbox.exists("s/there"));
    sandbox.sh("svc -x s").succeeds();
    supervise.wait().is(0, "", "");
    assert_eq!(told(sandbox, "signal"), "9");
}

fn run_lock_waits_for_orphan(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho start >>starts\nexec sleep 1000\n");
    sandbox.write("s/lock-fd", "9");
    let first = supervise(sandbox);
    wait_for_lines(sandbox, "s/starts", "start\n");
    let orphan = sandbox.service("s");
    first.signal(Signal::SIGKILL);
    let _ = first.wait();
    let second = supervise(sandbox);
    let warning = "supervise: warning: waiting for what holds s/supervise/service-lock\n";
    sandbox.wait_until("it waits", || second.stderr() == warning.as_bytes());
    wait_for_status(sandbox, (true, 0, b'u'));
    assert_eq!(sandbox.read("s/starts"), b"start\n");
    kill(orphan, Signal::SIGKILL).unwrap();
    wait_for_lines(sandbox, "s/starts", "start\nstart\n");
    // The lock is on the descriptor that was asked for.
    let link = fs::read_link(format!("/proc/{}/fd/9", sandbox.service("s"))).unwrap();
    assert!(
        link.ends_with("s/supervise/service-lock"),
        "{}",
        link.display()
    );
}

fn notification_leaves_the_lock_in_place(sandbox: &Sandbox) {
    // One of the numbers is that of the lock before its move.
    let numbers = 3..=24;
    for n in numbers.clone() {
        let links = format!("readlink /proc/self/fd/{n} /proc/self/fd/30");
        let run = format!("#!/bin/sh\n{links} >new\nmv new links\nexec sleep 1000\n");
        sandbox.script(format!("scan/{n}/run"), &run);
        sandbox.write(format!("scan/{n}/notification-fd"), n.to_string());
        sandbox.write(format!("scan/{n}/lock-fd"), "30");
    }
    let _svscan = sandbox.start(sandbox.shell("exec svscan -e scan"));
    for n in numbers {
        let path = format!("scan/{n}/links");
        sandbox.wait_until(&path, || sandbox.exists(&path));
        let links = String::from_utf8(sandbox.read(&path)).unwrap();
        let is_right = links.starts_with("pipe:") && links.ends_with("/service-lock\n");
        assert!(is_right, "{n}: {links}");
    }
}

fn service_has_its_own_session(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let _supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    let session = |pid| (getsid(Some(pid)).unwrap(), getpgid(Some(pid)).unwrap());
    let process = sandbox.service("s");
    sandbox.wait_until("it has its session", || {
        session(process) == (process, process)
    });
    sandbox.write("s/no-setsid", "");
    kill_service(sandbox, Signal::SIGKILL);
    wait_for_another(sandbox, process);
    let process = sandbox.service("s");
    let runs = format!("/proc/{process}/comm");
    sandbox.wait_until("it runs", || {
        fs::read(&runs).is_ok_and(|name| name == b"sleep\n")
    });
    assert_ne!(session(process).0, process);
}

fn a_shell_can_source_the_state(sandbox: &Sandbox) {
    sandbox.script("s/run", READY);
    sandbox.write("s/notification-fd", "3");
    let _supervise = supervise(sandbox);
    wait_for_state(sandbox, "ready");
    let mode = fs::metadata(sandbox.path("s/supervise/state"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o644);
    let process = kill_service(sandbox, Signal::SIGKILL);
    wait_for_another(sandbox, process);
    wait_for_state(sandbox, "ready");
    let shown = sandbox.sh(
        ". s/supervise/state; echo $state $pid $restarts \"$exit_code\" $signal \"$next_start\"",
    );
    shown.prints(format!("ready {} 1  9 \n", sandbox.service("s")));
    let keys: Vec<_> = fs::read_to_string(sandbox.path("s/supervise/state"))
        .unwrap()
        .lines()
        .map(|line| line.split('=').next().unwrap().to_owned())
        .collect();
    let wanted = [
        "state",
        "pid",
        "since",
        "ready_since",
        "restarts",
        "exit_code",
        "signal",
        "next_start",
        "check",
    ];
    assert_eq!(keys, wanted);
    let (since, ready) = (told(sandbox, "since"), told(sandbox, "ready_since"));
    assert!(since.len() == 25 && ready.len() == 25 && since <= ready);
    // The state has the time of the record.
    let record = sandbox.read("s/supervise/status");
    let label = Label::unpack(record[..12].try_into().unwrap());
    assert_eq!(since.as_bytes(), label.text());
}

fn the_last_deaths_are_kept(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\necho start >>starts\nread code <code\nexit $code\n",
    );
    sandbox.sh("mkfifo s/code").succeeds();
    let supervise_once = supervise(sandbox);
    let first_process = sandbox.service("s");
    sandbox.sh("echo 7 >s/code").succeeds();
    sandbox.wait_until("it is kept", || sandbox.exists("s/supervise/death_tally"));
    let first = sandbox.read("s/supervise/death_tally");
    assert_eq!((first.len(), &first[12..]), (14, &[7, 0][..]));
    // Until its exec, the service holds the lock of supervise.
    wait_for_lines(sandbox, "s/starts", "start\nstart\n");
    wait_for_another(sandbox, first_process);
    supervise_once.signal(Signal::SIGKILL);
    let _ = supervise_once.wait();
    kill(sandbox.service("s"), Signal::SIGKILL).unwrap();
    // Another supervise takes the state over.
    sandbox.script("s/run", SLEEPER);
    let _supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    kill_service(sandbox, Signal::SIGKILL);
    sandbox.wait_until("it is kept", || {
        sandbox.read("s/supervise/death_tally").len() == 28
    });
    let both = sandbox.read("s/supervise/death_tally");
    assert_eq!((&both[..14], &both[26..]), (&first[..], &[0, 9][..]));
    if Path::new("/usr/bin/s6-svdt").exists() {
        let shown = sandbox.sh("/usr/bin/s6-svdt s").text();
        let deaths: Vec<_> = shown
            .lines()
            .map(|line| line.split_once(' ').unwrap().1)
            .collect();
        assert_eq!(deaths, ["exitcode 7", "signal SIGKILL"]);
    } else {
        testkit::skip(
            "the_last_deaths_are_kept",
            "s6-svdt is not there to read them",
        );
    }
}

/// Runs supervise by a script, waits for one start of the service and exits.
fn start_and_exit(sandbox: &Sandbox, script: &str) -> Outcome {
    sandbox.sh("rm -f s/starts").succeeds();
    let supervise = sandbox.start(sandbox.shell(script));
    wait_for_lines(sandbox, "s/starts", "start\n");
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait()
}

fn malformed_setting_is_reported_and_ignored(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho start >>starts\nexec sleep 1000\n");
    let milliseconds = "a number of milliseconds from 0 to 4294967295";
    let seconds = "a number of seconds from 0 to 4294967";
    let count = "a number from 0 to 10000";
    let descriptor = "the number of a descriptor from 1 to 65535";
    let signal = "the name or the number of a signal";
    let long = "1".repeat(100);
    let zeroes = "0".repeat(64) + "5";
    let bad = [
        ("notification-fd", "0", descriptor),
        ("notification-fd", "65536", descriptor),
        ("lock-fd", "-1", descriptor),
        ("lock-fd", "", descriptor),
        ("down-signal", "NONE", signal),
        ("down-signal", "\u{fe}\n", signal),
        ("down-signal", "0", signal),
        ("timeout-kill", "1.5", milliseconds),
        ("timeout-kill", &zeroes, milliseconds),
        ("timeout-finish", "4294967296", milliseconds),
        ("restart-delay", "soon", seconds),
        ("restart-delay", "1.", seconds),
        ("restart-delay", "4294967.1", seconds),
        (
            "restart-delay-max",
            "0.5",
            "a number of seconds that is not lower than restart-delay, or than 1",
        ),
        ("restart-limit-count", "10001", count),
        ("restart-limit-count", "+1", count),
        ("restart-limit-interval", &long, seconds),
    ];
    for (file, text, meaning) in bad {
        sandbox.write(format!("s/{file}"), text);
        let warning = format!("supervise: warning: s/{file} is not {meaning}: ignored\n");
        start_and_exit(sandbox, "exec supervise -e s").is(0, "", warning);
        sandbox.sh(&format!("rm s/{file}")).succeeds();
    }
    // The next number would be the first one that is too high.
    for (number, allowed) in [(63, true), (64, false)] {
        for file in ["lock-fd", "notification-fd"] {
            sandbox.write(format!("s/{file}"), number.to_string());
            let warning = format!(
                "supervise: warning: s/{file} is not a descriptor that the limit on them \
                    allows: ignored\n"
            );
            start_and_exit(sandbox, "ulimit -n 64; exec supervise -e s").is(
                0,
                "",
                if allowed { "" } else { &warning },
            );
            sandbox.sh(&format!("rm s/{file}")).succeeds();
        }
    }
    for (file, make) in [
        ("timeout-kill", "mkdir s/timeout-kill"),
        ("no-setsid", "ln -s no-setsid s/no-setsid"),
        ("essential", "ln -s essential s/essential"),
    ] {
        sandbox.sh(make).succeeds();
        let why = if make.starts_with("ln") {
            "symbolic link loop"
        } else {
            "is a directory"
        };
        start_and_exit(sandbox, "exec supervise -e s").is(
            0,
            "",
            format!("supervise: warning: unable to read s/{file}: {why}\n"),
        );
        sandbox.sh(&format!("rm -r s/{file}")).succeeds();
    }
    // A FIFO does not block; equal numbers count as one.
    sandbox
        .sh("mkfifo s/timeout-finish; echo 5 | tee s/lock-fd >s/notification-fd")
        .succeeds();
    sandbox.write("s/supervise/death_tally", "x");
    sandbox.sh("rm s/starts").succeeds();
    let supervise = supervise(sandbox);
    wait_for_lines(sandbox, "s/starts", "start\n");
    wait_for_state(sandbox, "starting");
    let link = fs::read_link(format!("/proc/{}/fd/5", sandbox.service("s"))).unwrap();
    assert!(
        link.to_str().unwrap().starts_with("pipe:"),
        "{}",
        link.display()
    );
    sandbox.sh("svc -dx s").succeeds();
    let warning =
        |file, meaning| format!("supervise: warning: s/{file} is not {meaning}: ignored\n");
    let warnings = [
        warning("supervise/death_tally", "a tally of deaths"),
        warning("lock-fd", "another descriptor than that of notification-fd"),
        warning("timeout-finish", milliseconds),
    ];
    supervise.wait().is(0, "", warnings.concat());
}

fn settings_are_ignored_without_e(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\necho start >>starts\n\
        [ -e /proc/self/fd/9 ] && echo nine >>starts\nexec sleep 1000\n",
    );
    for program in ["finish", "notify"] {
        sandbox.script(format!("s/{program}"), "#!/bin/sh\n>told\nexit 125\n");
    }
    for file in [
        "notification-fd",
        "restart-delay",
        "lock-fd",
        "timeout-kill",
        "down-signal",
    ] {
        sandbox.write(format!("s/{file}"), "9");
    }
    let supervise = supervise_as_ever(sandbox);
    wait_for_lines(sandbox, "s/starts", "start\n");
    let process = kill_service(sandbox, Signal::SIGKILL);
    wait_for_another(sandbox, process);
    wait_for_lines(sandbox, "s/starts", "start\nstart\n");
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().is(0, "", "");
    assert!(!sandbox.exists("s/told"));
    assert_eq!(
        sandbox.sh("ls s/supervise").text(),
        "control\nlock\nok\nstatus\n"
    );
}

fn stale_state_is_ignored(sandbox: &Sandbox) {
    sandbox.script("s/run", READY);
    sandbox.write("s/notification-fd", "3");
    let first = supervise(sandbox);
    wait_for_state(sandbox, "ready");
    sandbox.sh("svc -dx s").succeeds();
    let _ = first.wait();
    sandbox.script("s/run", SLEEPER);
    let before = sandbox.read("s/supervise/state");
    let _supervise = supervise_as_ever(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    assert_eq!(sandbox.read("s/supervise/state"), before);
    assert_eq!(sandbox.sh("svstat s").masked(), "s: up (pid P) S seconds\n");
}

fn directory_moves_to_plain_supervise_and_back(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\n[ -e /proc/self/fd/9 ] && echo >/proc/self/fd/9\nexec sleep 1000\n",
    );
    sandbox.script("s/finish", "#!/bin/sh\necho finish >>finished\n");
    sandbox.write("s/notification-fd", "9");
    sandbox.write("s/lock-fd", "8");
    let mut last = Vec::new();
    for deaths in 1..=2 {
        let extended = supervise(sandbox);
        wait_for_state(sandbox, "ready");
        sandbox.sh("svc -dx s").succeeds();
        extended.wait().is(0, "", "");
        let told = (
            sandbox.read("s/supervise/state"),
            sandbox.read("s/supervise/death_tally"),
        );
        assert_eq!(told.1.len(), 14 * deaths);
        assert!(told.1.starts_with(&last));
        last.clone_from(&told.1);
        // The files of supervise -e do not disturb 0.76.
        let of_old = sandbox.start(sandbox.shell("exec $THEN/supervise s"));
        wait_for_status(sandbox, (true, 0, b'u'));
        let process = kill_service(sandbox, Signal::SIGKILL);
        wait_for_another(sandbox, process);
        assert_eq!(sandbox.sh("svstat s").masked(), "s: up (pid P) S seconds\n");
        sandbox.sh("svc -dx s").succeeds();
        of_old.wait().is(0, "", "");
        assert_eq!(
            (
                sandbox.read("s/supervise/state"),
                sandbox.read("s/supervise/death_tally")
            ),
            told
        );
        assert_eq!(sandbox.read("s/finished"), b"finish\n".repeat(deaths));
    }
}

fn command_line_is_that_of_supervise(sandbox: &Sandbox) {
    let usage = "supervise: usage: supervise dir\n";
    for line in [
        "supervise",
        "supervise -x s",
        "supervise -e s s",
        "supervise s -e",
        "supervise -ee s",
    ] {
        sandbox.sh(line).is(100, "", usage);
    }
    sandbox.sh("supervise -e").is(
        111,
        "",
        "supervise: fatal: unable to chdir to -e: file does not exist\n",
    );
    sandbox.sh("supervise -e s").is(
        111,
        "",
        "supervise: fatal: unable to chdir to s: file does not exist\n",
    );
}
