//! supervise -e: what a service directory may ask for, by files that 0.76
//! ignores. Each line of its table has a test here.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use daemontools_core::label::Label;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgid, getsid};
use testkit::{Running, Scene, Subject, kill, ours_is_met};

use super::{SLEEPER, supervise as supervise_as_ever, wait_for_status};

/// A service that says on the descriptor 3 that it is ready.
const READY: &str = "#!/bin/sh\necho ready >&3\nexec sleep 1000\n";

/// Starts supervise -e on the service directory `s` and waits until it runs.
fn supervise(scene: &Scene) -> Running {
    let running = scene.start(scene.shell("exec supervise -e s"));
    scene.wait_until("supervise runs", || scene.sh("svok s").code() == Some(0));
    running
}

/// What `state` tells by a key.
fn told(scene: &Scene, key: &str) -> String {
    let text = fs::read_to_string(scene.path("s/supervise/state")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap().to_owned()
}

#[track_caller]
fn wait_for_state(scene: &Scene, wanted: &str) {
    scene.wait_until(&format!("the state is {wanted}"), || {
        told(scene, "state") == wanted
    });
}

/// Our svstat says more of `s` than the reference does.
#[track_caller]
fn assert_svstat_says(scene: &Scene, plain: &str, more: &str) {
    let more = match scene.subject() {
        Subject::Ours | Subject::TheirsThenOurs => more,
        Subject::Reference | Subject::OursThenTheirs => "",
    };
    assert_eq!(scene.sh("svstat s").masked(), format!("s: {plain}{more}\n"));
}

/// Waits until a file in the scene has the lines.
#[track_caller]
fn wait_for_lines(scene: &Scene, name: &str, wanted: &str) {
    let last = std::cell::RefCell::new(String::new());
    scene.wait_until(&format!("{name} is {wanted:?}"), || {
        let text = fs::read_to_string(scene.path(name)).unwrap_or_default();
        let done = text == wanted;
        last.replace(text);
        done
    });
}

/// Kills the process of the service.
fn kill_service(scene: &Scene, signal: Signal) -> Pid {
    let process = scene.service("s");
    kill(process, signal).unwrap();
    process
}

/// Waits until the service runs as another process than that.
#[track_caller]
fn wait_for_another(scene: &Scene, than: Pid) {
    scene.wait_until("it is started again", || scene.service("s") != than);
}

/// Seconds, the fraction of them included, in a label.
fn seconds(label: &str) -> f64 {
    let number = |digits: &str| f64::from(u32::from_str_radix(digits, 16).unwrap());
    // The seconds' upper half is the same in all labels of our time.
    number(&label[9..17]) + number(&label[17..25]) / 1e9
}

/// How many seconds after its death the service is to be started; None if it
/// is not waiting for that.
fn delay(scene: &Scene) -> Option<u32> {
    let state = fs::read_to_string(scene.path("s/supervise/state")).unwrap();
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
    // It is counted from the moment when the death is seen.
    let whole = (0..=9).find(|whole| (time - f64::from(*whole)).abs() < 1e-3);
    Some(whole.unwrap_or(u32::MAX))
}

/// Waits until the service was started so often, or more often.
#[track_caller]
fn wait_for_starts(scene: &Scene, least: usize) {
    scene.wait_until(&format!("it is started {least} times"), || {
        let starts = fs::read_to_string(scene.path("s/starts")).unwrap_or_default();
        starts.lines().count() >= least
    });
}

ours_is_met! {
    fn without_files_a_service_lives_as_ever(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        let supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        assert_eq!(scene.sh("svstat s").masked(), "s: up (pid P) S seconds\n");
        let process = kill_service(scene, Signal::SIGKILL);
        wait_for_another(scene, process);
        scene.sh("svc -p s");
        wait_for_status(scene, (true, 1, b'u'));
        // x alone stops nothing.
        let process = scene.service("s");
        scene.sh("svc -xc s");
        wait_for_status(scene, (true, 0, b'u'));
        assert_eq!(scene.service("s"), process);
        scene.sh("svc -d s");
        supervise.wait().is(0, "", "");
        let files = ["control", "death_tally", "lock", "ok", "state", "status"];
        let listing = scene.sh("ls s/supervise").text();
        assert_eq!(listing.lines().collect::<Vec<_>>(), files);
    }

    fn finish_is_told_of_the_death(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\n[ -e killed ] && exit 7\nexec sleep 1000\n");
        scene.script("s/finish", "#!/bin/sh\necho \"$@\" >>told\n>killed\n");
        let _supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        let first = kill_service(scene, Signal::SIGUSR1);
        wait_for_lines(scene, "s/told", &format!("256 {} s {first}\n", Signal::SIGUSR1 as i32));
        scene.wait_until("it exits", || String::from_utf8(scene.read("s/told")).unwrap().lines().count() > 1);
        let text = String::from_utf8(scene.read("s/told")).unwrap();
        let second = text.lines().nth(1).unwrap();
        assert!(second.starts_with("7 0 s "), "{second:?}");
        // No signals are for finish, and the service is down meanwhile.
        scene.script("s/finish", "#!/bin/sh\necho $$ >finishing\nexec sleep 1000\n");
        let finishing = || fs::read_to_string(scene.path("s/finishing")).unwrap_or_default();
        scene.wait_until("finish runs", || finishing().ends_with('\n'));
        wait_for_state(scene, "finish");
        scene.sh("svc -tk s");
        scene.sh("svc -x s");
        wait_for_status(scene, (false, 0, b'u'));
        assert_eq!(told(scene, "pid"), "");
        kill(Pid::from_raw(finishing().trim().parse().unwrap()), Signal::SIGTERM).unwrap();
        scene.wait_until("supervise ends", || scene.sh("svok s").code() == Some(100));
    }

    fn a_service_that_cannot_be_run_dies_with_111(scene: &Scene) {
        scene.script("s/finish", "#!/bin/sh\necho $1 $2 $3 >told; exit 125\n");
        let supervise = supervise(scene);
        wait_for_state(scene, "failed");
        assert_eq!(scene.read("s/told"), b"111 0 s\n");
        assert_eq!(told(scene, "exit_code"), "111");
        scene.sh("svc -x s");
        supervise.wait().is(0, "", "supervise: fatal: unable to start s/run: file does not exist\n");
    }

    fn the_name_is_the_directorys(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\nexit 0\n");
        scene.script("s/finish", "#!/bin/sh\necho $3 >told; exit 125\n");
        scene.sh("ln -s ../s s/log");
        scene.script("named/log/run", "#!/bin/sh\nexit 0\n");
        scene.script("named/log/finish", "#!/bin/sh\necho $3 >told; exit 125\n");
        for (start, told, name) in [
            ("exec supervise -e s/", "s/told", "s\n"),
            ("exec supervise -e ./s/log/", "s/told", "scene/log\n"),
            ("cd s; exec supervise -e .", "s/told", "s\n"),
            ("cd named; exec supervise -e log", "named/log/told", "named/log\n"),
        ] {
            let dir = told.strip_suffix("/told").unwrap();
            scene.sh(&format!("rm -f {told}"));
            let supervise = scene.start(scene.shell(start));
            let name = if name.starts_with("scene") {
                // Where it really is.
                format!("{}/log\n", scene.dir().file_name().unwrap().to_str().unwrap())
            } else {
                name.to_owned()
            };
            wait_for_lines(scene, told, &name);
            scene.sh(&format!("svc -x {dir}")).succeeds();
            supervise.wait().is(0, "", "");
        }
    }

    fn finish_may_say_that_the_service_has_failed_for_good(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho start >>starts\nexit 3\n");
        scene.script("s/finish", "#!/bin/sh\nexit 125\n");
        let _supervise = supervise(scene);
        wait_for_state(scene, "failed");
        assert_eq!(told(scene, "exit_code"), "3");
        wait_for_status(scene, (false, 0, b'd'));
        assert_svstat_says(scene, "down S seconds, normally up", ", failed");
        assert_eq!(scene.read("s/starts"), b"start\n");
        // Told to, it is tried again.
        scene.script("s/finish", "#!/bin/sh\nexit 124\n");
        scene.sh("svc -u s");
        wait_for_starts(scene, 3);
    }

    fn finish_is_killed_when_its_time_is_over(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho start >>starts\nexit 3\n");
        scene.script("s/finish", "#!/bin/sh\nexec sleep 1000\n");
        scene.write("s/timeout-finish", "200\n");
        let _supervise = supervise(scene);
        wait_for_starts(scene, 2);
        scene.sh("rm s/timeout-finish");
        // By default it has five seconds; 0 is for ever.
        wait_for_starts(scene, 3);
        scene.write("s/timeout-finish", "0");
        wait_for_starts(scene, 4);
        wait_for_state(scene, "finish");
    }

    fn notify_is_run_at_each_start_and_death_and_not_awaited(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\nread code <code\nexit $code\n");
        scene.sh("mkfifo s/code");
        scene.script("s/notify", "#!/bin/sh\necho \"$@\" >>told\nexec sleep 1000\n");
        let _supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        let first = kill_service(scene, Signal::SIGKILL);
        wait_for_another(scene, first);
        let second = scene.service("s");
        scene.sh("echo 7 >s/code");
        wait_for_another(scene, second);
        let third = scene.service("s");
        scene.sh("svc -d s");
        // Nobody waits for the one before, so that they may come in any order.
        let wanted = BTreeSet::from([
            format!("run start {first}"),
            format!("run killed {first} 9"),
            format!("run start {second}"),
            format!("run exit {second} 7"),
            format!("run start {third}"),
            format!("run killed {third} 15"),
        ]);
        let told = || fs::read_to_string(scene.path("s/told")).unwrap_or_default();
        scene.wait_until(&format!("told is {wanted:?}"), || {
            told().lines().map(str::to_owned).collect::<BTreeSet<_>>() == wanted
        });
    }

    fn a_finish_that_cannot_be_run_is_reported(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        scene.sh("ln -s finish s/finish").succeeds();
        let supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        scene.sh("svc -dx s");
        supervise.wait().is(0, "", "supervise: fatal: unable to start s/finish: symbolic link loop\n");
    }

    fn a_notify_that_cannot_be_run_is_reported(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        scene.write("s/notify", "");
        let supervise = supervise(scene);
        let line = "supervise: fatal: unable to start s/notify: access denied\n";
        scene.wait_until("it is reported", || supervise.stderr() == line.as_bytes());
        wait_for_status(scene, (true, 0, b'u'));
    }

    fn a_service_may_say_that_it_is_ready(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\nprintf almost >&3\nread go <go\necho >&3\n\
            i=0; while [ $i -lt 9000 ]; do echo 0123456789; i=$((i+1)); done >&3\n>done\nexec sleep 1000\n");
        scene.sh("mkfifo s/go");
        scene.write("s/notification-fd", "3\n");
        let _supervise = supervise(scene);
        wait_for_state(scene, "starting");
        assert_eq!(scene.sh("svstat s").masked(), "s: up (pid P) S seconds\n");
        assert_eq!(told(scene, "ready_since"), "");
        scene.sh("echo >s/go");
        wait_for_state(scene, "ready");
        assert!(told(scene, "ready_since") > told(scene, "since"));
        assert_eq!(told(scene, "pid"), scene.service("s").to_string());
        assert_svstat_says(scene, "up (pid P) S seconds", ", ready");
        // What else it says there keeps it waiting for nobody.
        scene.wait_until("all is said", || scene.exists("s/done"));
        let process = kill_service(scene, Signal::SIGKILL);
        wait_for_another(scene, process);
        wait_for_state(scene, "starting");
        // Who closes the descriptor has not said so.
        scene.script("s/run", "#!/bin/sh\nexec 3>&-\n>closed\nexec sleep 1000\n");
        kill_service(scene, Signal::SIGKILL);
        scene.wait_until("it is closed", || scene.exists("s/closed"));
        wait_for_state(scene, "starting");
    }

    fn readiness_is_heard_of_one_who_dies_at_once(scene: &Scene) {
        // It was ready, so that the delay does not grow.
        scene.script("s/run", "#!/bin/sh\necho >&4\necho start >>starts\n");
        scene.write("s/notification-fd", "4");
        scene.write("s/restart-delay-max", "9");
        let _supervise = supervise(scene);
        scene.wait_until("it is started again and again", || {
            // Before the first start there is nothing to wait for.
            assert!([None, Some(0), Some(1)].contains(&delay(scene)));
            fs::read_to_string(scene.path("s/starts")).is_ok_and(|starts| starts.lines().count() > 3)
        });
    }

    fn the_delay_doubles_up_to_its_cap(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho start >>starts\n[ -e stay ] && exec sleep 1000\n");
        scene.write("s/restart-delay", "0.2");
        scene.write("s/restart-delay-max", "3");
        let _supervise = supervise(scene);
        // Never under one second. Who looks on may miss the first ones.
        let mut seen = Vec::new();
        scene.wait_until("the delay is at its cap", || {
            seen.extend(delay(scene));
            seen.last() == Some(&3)
        });
        // 0 is that of the first start.
        assert!(seen.is_sorted() && seen.iter().all(|delay| (0..=3).contains(delay)), "{seen:?}");
        assert_svstat_says(scene, "down S seconds, normally up, want up", ", restarting in S seconds");
        // Told to, it is started at once, and begins with the first delay.
        scene.sh("svc -u s");
        scene.wait_until("it is again", || delay(scene).is_some_and(|delay| delay < 3));
        scene.write("s/stay", "");
        scene.sh("svc -u s");
        wait_for_status(scene, (true, 0, b'u'));
        scene.sh("rm s/stay s/restart-delay-max; echo 2 >s/restart-delay");
        kill_service(scene, Signal::SIGKILL);
        scene.wait_until("the new delay holds", || delay(scene) == Some(2));
    }

    fn who_dies_too_often_has_failed(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho start >>starts\n");
        scene.write("s/restart-limit-count", "2");
        scene.write("s/restart-limit-interval", "100.5");
        let _supervise = supervise(scene);
        wait_for_state(scene, "failed");
        assert_eq!(scene.read("s/starts"), b"start\n".repeat(3));
        assert_eq!(told(scene, "restarts"), "2");
        wait_for_status(scene, (false, 0, b'd'));
        // Told to, it has all its deaths before it again.
        scene.sh("svc -u s");
        wait_for_lines(scene, "s/starts", &"start\n".repeat(6));
        wait_for_state(scene, "failed");
        // 0 is no limit.
        scene.write("s/restart-limit-count", "0");
        scene.sh("svc -u s");
        wait_for_starts(scene, 10);
    }

    fn deaths_that_are_long_ago_do_not_count(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho start >>starts\n");
        scene.write("s/restart-limit-count", "1");
        scene.write("s/restart-limit-interval", "0.5");
        let _supervise = supervise(scene);
        wait_for_starts(scene, 4);
        // One of the two is enough: more than three in a minute.
        scene.sh("rm s/restart-limit-count; echo 60 >s/restart-limit-interval");
        wait_for_state(scene, "failed");
    }

    fn another_signal_may_stop_it(scene: &Scene) {
        for (signal, command) in [("INT", "d"), ("sigusr2\n", "dx"), ("12", "x"), ("1", "d")] {
            scene.script("s/run", "#!/usr/bin/perl\nfor my $s (qw(TERM HUP INT USR2)) { $SIG{$s} = sub {\
                open F, '>>told'; print F \"$s\\n\"; close F; $got = 1 } }\n\
                open F, '>there'; close F; select undef, undef, undef, 0.05 until $got;\n");
            scene.write("s/down-signal", signal);
            scene.sh("rm -f s/told s/there");
            let supervise = supervise(scene);
            scene.wait_until("it is there", || scene.exists("s/there"));
            scene.sh(&format!("svc -{command} s"));
            if command == "d" {
                wait_for_status(scene, (false, 0, b'd'));
                scene.sh("svc -x s");
            }
            supervise.wait().is(0, "", "");
            let name = match signal { "INT" => "INT\n", "1" => "HUP\n", _ => "USR2\n" };
            assert_eq!(String::from_utf8(scene.read("s/told")).unwrap(), name);
        }
    }

    fn what_is_to_stop_it_may_change_while_it_runs(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\ntrap '' TERM HUP\n>there\nwhile :; do sleep 1000; done\n");
        scene.write("s/down-signal", "HUP");
        scene.write("s/timeout-kill", "soon");
        let supervise = supervise(scene);
        scene.wait_until("it is there", || scene.exists("s/there"));
        // What is wrong with it is not said again.
        scene.sh("svc -d s; svc -u s");
        wait_for_status(scene, (true, 0, b'u'));
        scene.write("s/down-signal", "USR1");
        scene.sh("svc -dx s");
        let warning = "supervise: warning: s/timeout-kill is not a number of milliseconds from 0 to 4294967295: ignored\n";
        supervise.wait().is(0, "", warning);
        assert_eq!(told(scene, "signal"), (Signal::SIGUSR1 as i32).to_string());
    }

    fn who_does_not_stop_is_killed(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\ntrap '' TERM\n>there\nwhile :; do sleep 1000; done\n");
        scene.write("s/timeout-kill", "300");
        let supervise = supervise(scene);
        scene.wait_until("it is there", || scene.exists("s/there"));
        let process = scene.service("s");
        // Not by TERM alone.
        scene.sh("svc -t s; svc -d s; svc -u s");
        wait_for_status(scene, (true, 0, b'u'));
        assert_eq!(scene.service("s"), process);
        // 0 is never: told to stay, it was there all the time.
        scene.write("s/timeout-kill", "0");
        scene.sh("rm s/there; svc -k s");
        wait_for_another(scene, process);
        scene.wait_until("it is there", || scene.exists("s/there"));
        let process = scene.service("s");
        scene.sh("svc -d s");
        wait_for_status(scene, (true, 0, b'd'));
        scene.sh("svc -u s");
        wait_for_status(scene, (true, 0, b'u'));
        assert_eq!(scene.service("s"), process);
        // Who may be killed is stopped by x as well.
        scene.write("s/timeout-kill", "300");
        scene.sh("rm s/there; svc -k s");
        scene.wait_until("it is there", || scene.exists("s/there"));
        scene.sh("svc -x s");
        supervise.wait().is(0, "", "");
        assert_eq!(told(scene, "signal"), "9");
    }

    fn a_second_copy_waits_for_an_orphan(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho start >>starts\nexec sleep 1000\n");
        scene.write("s/lock-fd", "9");
        let first = supervise(scene);
        wait_for_lines(scene, "s/starts", "start\n");
        let orphan = scene.service("s");
        first.signal(Signal::SIGKILL);
        let _ = first.wait();
        let second = supervise(scene);
        let warning = "supervise: warning: waiting for what holds s/supervise/service-lock\n";
        scene.wait_until("it waits", || second.stderr() == warning.as_bytes());
        wait_for_status(scene, (true, 0, b'u'));
        assert_eq!(scene.read("s/starts"), b"start\n");
        kill(orphan, Signal::SIGKILL).unwrap();
        wait_for_lines(scene, "s/starts", "start\nstart\n");
        // The lock is on the descriptor that was asked for.
        let link = fs::read_link(format!("/proc/{}/fd/9", scene.service("s"))).unwrap();
        assert!(link.ends_with("s/supervise/service-lock"), "{}", link.display());
    }

    fn a_service_has_a_session_of_its_own(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        let _supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        let session = |pid| (getsid(Some(pid)).unwrap(), getpgid(Some(pid)).unwrap());
        let process = scene.service("s");
        scene.wait_until("it has its session", || session(process) == (process, process));
        scene.write("s/no-setsid", "");
        kill_service(scene, Signal::SIGKILL);
        wait_for_another(scene, process);
        let process = scene.service("s");
        let runs = format!("/proc/{process}/comm");
        scene.wait_until("it runs", || fs::read(&runs).is_ok_and(|name| name == b"sleep\n"));
        assert_ne!(session(process).0, process);
    }

    fn a_shell_can_source_the_state(scene: &Scene) {
        scene.script("s/run", READY);
        scene.write("s/notification-fd", "3");
        let _supervise = supervise(scene);
        wait_for_state(scene, "ready");
        let mode = fs::metadata(scene.path("s/supervise/state")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o644);
        let process = kill_service(scene, Signal::SIGKILL);
        wait_for_another(scene, process);
        wait_for_state(scene, "ready");
        let shown = scene.sh(". s/supervise/state; echo $state $pid $restarts \"$exit_code\" $signal \"$next_start\"");
        shown.prints(format!("ready {} 1  9 \n", scene.service("s")));
        let keys: Vec<_> = fs::read_to_string(scene.path("s/supervise/state")).unwrap()
            .lines().map(|line| line.split('=').next().unwrap().to_owned()).collect();
        let wanted = ["state", "pid", "since", "ready_since", "restarts", "exit_code", "signal", "next_start"];
        assert_eq!(keys, wanted);
        let (since, ready) = (told(scene, "since"), told(scene, "ready_since"));
        assert!(since.len() == 25 && ready.len() == 25 && since <= ready);
        // It is of the time of the record.
        let record = scene.read("s/supervise/status");
        let label = Label::unpack(record[..12].try_into().unwrap());
        assert_eq!(since.as_bytes(), label.text());
    }

    fn the_last_deaths_are_kept(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho start >>starts\nread code <code\nexit $code\n");
        scene.sh("mkfifo s/code");
        let supervise_once = supervise(scene);
        let first_process = scene.service("s");
        scene.sh("echo 7 >s/code");
        scene.wait_until("it is kept", || scene.exists("s/supervise/death_tally"));
        let first = scene.read("s/supervise/death_tally");
        assert_eq!((first.len(), &first[12..]), (14, &[7, 0][..]));
        // Until it has become its program, it holds what supervise had locked.
        wait_for_lines(scene, "s/starts", "start\nstart\n");
        wait_for_another(scene, first_process);
        supervise_once.signal(Signal::SIGKILL);
        let _ = supervise_once.wait();
        kill(scene.service("s"), Signal::SIGKILL).unwrap();
        // Another supervise goes on with it.
        scene.script("s/run", SLEEPER);
        let _supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        kill_service(scene, Signal::SIGKILL);
        scene.wait_until("it is kept", || scene.read("s/supervise/death_tally").len() == 28);
        let both = scene.read("s/supervise/death_tally");
        assert_eq!((&both[..14], &both[26..]), (&first[..], &[0, 9][..]));
        if Path::new("/usr/bin/s6-svdt").exists() {
            let shown = scene.sh("/usr/bin/s6-svdt s").text();
            let deaths: Vec<_> = shown.lines().map(|line| line.split_once(' ').unwrap().1).collect();
            assert_eq!(deaths, ["exitcode 7", "signal SIGKILL"]);
        } else {
            testkit::skip("the_last_deaths_are_kept", "s6-svdt is not there to read them");
        }
    }

    fn what_cannot_be_understood_is_named_and_ignored(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho start >>starts\nexec sleep 1000\n");
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
            ("restart-delay-max", "0.5", "a number of seconds that is not lower than restart-delay, or than 1"),
            ("restart-limit-count", "10001", count),
            ("restart-limit-count", "+1", count),
            ("restart-limit-interval", &long, seconds),
        ];
        for (file, text, meaning) in bad {
            scene.write(format!("s/{file}"), text);
            scene.sh("rm -f s/starts");
            let supervise = supervise(scene);
            let warning = format!("supervise: warning: s/{file} is not {meaning}: ignored\n");
            wait_for_lines(scene, "s/starts", "start\n");
            scene.sh("svc -dx s");
            supervise.wait().is(0, "", warning);
            scene.sh(&format!("rm s/{file}"));
        }
        // The next number would be the first one that is too high.
        for (number, allowed) in [(63, true), (64, false)] {
            for file in ["lock-fd", "notification-fd"] {
                scene.write(format!("s/{file}"), number.to_string());
                scene.sh("rm -f s/starts");
                let supervise = scene.start(scene.shell("ulimit -n 64; exec supervise -e s"));
                wait_for_lines(scene, "s/starts", "start\n");
                scene.sh("svc -dx s");
                let warning = format!("supervise: warning: s/{file} is not a descriptor that the limit on them allows: ignored\n");
                supervise.wait().is(0, "", if allowed { "" } else { &warning });
                scene.sh(&format!("rm s/{file}"));
            }
        }
        for (file, make) in [
            ("timeout-kill", "mkdir s/timeout-kill"),
            ("no-setsid", "ln -s no-setsid s/no-setsid"),
            ("essential", "ln -s essential s/essential"),
        ] {
            scene.sh(&format!("{make}; rm -f s/starts")).succeeds();
            let supervise = supervise(scene);
            wait_for_lines(scene, "s/starts", "start\n");
            scene.sh(&format!("svc -dx s; rm -r s/{file}"));
            let why = if make.starts_with("ln") { "symbolic link loop" } else { "is a directory" };
            supervise.wait().is(0, "", format!("supervise: warning: unable to read s/{file}: {why}\n"));
        }
        // A FIFO keeps nobody waiting; two that are the same are one.
        scene.sh("mkfifo s/timeout-finish; echo 5 | tee s/lock-fd >s/notification-fd").succeeds();
        scene.write("s/supervise/death_tally", "x");
        scene.sh("rm s/starts");
        let supervise = supervise(scene);
        wait_for_lines(scene, "s/starts", "start\n");
        wait_for_state(scene, "starting");
        let link = fs::read_link(format!("/proc/{}/fd/5", scene.service("s"))).unwrap();
        assert!(link.to_str().unwrap().starts_with("pipe:"), "{}", link.display());
        scene.sh("svc -dx s");
        let warning = |file, meaning| format!("supervise: warning: s/{file} is not {meaning}: ignored\n");
        let warnings = [
            warning("supervise/death_tally", "a tally of deaths"),
            warning("lock-fd", "another descriptor than that of notification-fd"),
            warning("timeout-finish", milliseconds),
        ];
        supervise.wait().is(0, "", warnings.concat());
    }

    fn without_e_none_of_it_is_looked_at(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho start >>starts\n[ -e /proc/self/fd/9 ] && echo nine >>starts\nexec sleep 1000\n");
        for program in ["finish", "notify"] {
            scene.script(format!("s/{program}"), "#!/bin/sh\n>told\nexit 125\n");
        }
        for file in ["notification-fd", "restart-delay", "lock-fd", "timeout-kill", "down-signal"] {
            scene.write(format!("s/{file}"), "9");
        }
        let supervise = supervise_as_ever(scene);
        wait_for_lines(scene, "s/starts", "start\n");
        let process = kill_service(scene, Signal::SIGKILL);
        wait_for_another(scene, process);
        wait_for_lines(scene, "s/starts", "start\nstart\n");
        scene.sh("svc -dx s");
        supervise.wait().is(0, "", "");
        assert!(!scene.exists("s/told"));
        assert_eq!(scene.sh("ls s/supervise").text(), "control\nlock\nok\nstatus\n");
    }

    fn an_old_state_is_not_believed(scene: &Scene) {
        scene.script("s/run", READY);
        scene.write("s/notification-fd", "3");
        let first = supervise(scene);
        wait_for_state(scene, "ready");
        scene.sh("svc -dx s");
        let _ = first.wait();
        scene.script("s/run", SLEEPER);
        let before = scene.read("s/supervise/state");
        let _supervise = supervise_as_ever(scene);
        wait_for_status(scene, (true, 0, b'u'));
        assert_eq!(scene.read("s/supervise/state"), before);
        assert_eq!(scene.sh("svstat s").masked(), "s: up (pid P) S seconds\n");
    }

    fn a_directory_goes_to_supervise_of_old_and_back(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\n[ -e /proc/self/fd/9 ] && echo >/proc/self/fd/9\nexec sleep 1000\n");
        scene.script("s/finish", "#!/bin/sh\necho finish >>finished\n");
        scene.write("s/notification-fd", "9");
        scene.write("s/lock-fd", "8");
        let mut last = Vec::new();
        for deaths in 1..=2 {
            let extended = supervise(scene);
            wait_for_state(scene, "ready");
            scene.sh("svc -dx s");
            extended.wait().is(0, "", "");
            let told = (scene.read("s/supervise/state"), scene.read("s/supervise/death_tally"));
            assert_eq!(told.1.len(), 14 * deaths);
            assert!(told.1.starts_with(&last));
            last.clone_from(&told.1);
            // What it leaves behind is in nobody's way.
            let of_old = scene.start(scene.shell("exec $THEN/supervise s"));
            wait_for_status(scene, (true, 0, b'u'));
            let process = kill_service(scene, Signal::SIGKILL);
            wait_for_another(scene, process);
            assert_eq!(scene.sh("svstat s").masked(), "s: up (pid P) S seconds\n");
            scene.sh("svc -dx s");
            of_old.wait().is(0, "", "");
            assert_eq!((scene.read("s/supervise/state"), scene.read("s/supervise/death_tally")), told);
            assert_eq!(scene.read("s/finished"), b"finish\n".repeat(deaths));
        }
    }

    fn the_command_line_is_that_of_old(scene: &Scene) {
        let usage = "supervise: usage: supervise dir\n";
        for line in ["supervise", "supervise -x s", "supervise -e s s", "supervise s -e", "supervise -ee s"] {
            scene.sh(line).is(100, "", usage);
        }
        scene.sh("supervise -e").is(111, "", "supervise: fatal: unable to chdir to -e: file does not exist\n");
        scene.sh("supervise -e s").is(111, "", "supervise: fatal: unable to chdir to s: file does not exist\n");
    }
}
