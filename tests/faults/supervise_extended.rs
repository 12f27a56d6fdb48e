//! supervise -e with misbehaving services, exhausted descriptors, unwritable
//! files, and stopped or leftover processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Running, SLEEPER, Sandbox, kill, ours};

use super::{children, descriptors, is_zombie, record, steady};

ours!(
    notification_flood_does_not_block_commands,
    children_have_only_their_descriptors,
    restarts_leave_no_descriptors_and_zombies,
    descriptor_limit_refuses_start_or_runs,
    messages_do_not_count_as_notification,
    unwritable_state_does_not_stop_supervise,
    longer_tally_keeps_its_last_deaths,
    run_lock_waiter_ends_with_its_supervise,
    stopped_finish_is_killed_at_timeout,
    default_finish_timeout_is_five_seconds,
    paused_service_is_killed_at_timeout,
    exit_is_recorded_before_notify_runs,
    finish_and_notify_have_signals_of_run,
    signals_reach_the_whole_group,
    leftover_process_cannot_notify_for_next_run,
);

fn supervise(sandbox: &Sandbox, dir: &str) -> Running {
    sandbox.start_supervisor("supervise -e", dir)
}

/// The standard error of supervise and its children so far.
fn error_text(supervise: &Running) -> String {
    String::from_utf8(supervise.stderr()).unwrap()
}

#[track_caller]
fn wait_for_stage(sandbox: &Sandbox, dir: &str, wanted: &str) {
    let wanted = format!("state={wanted}\n");
    sandbox.wait_until(&format!("{dir} has the state {wanted:?}"), || {
        let state = fs::read_to_string(sandbox.path(format!("{dir}/supervise/state")));
        state.is_ok_and(|state| state.starts_with(&wanted))
    });
}

/// The number of lines in `s/starts`: each run appends one.
fn starts(sandbox: &Sandbox) -> usize {
    let starts = fs::read_to_string(sandbox.path("s/starts"));
    starts.unwrap_or_default().lines().count()
}

/// The open descriptors of a process with the names of their files; pipes
/// without their numbers.
fn open_files(process: Pid) -> BTreeMap<i32, String> {
    let entries = fs::read_dir(format!("/proc/{process}/fd")).into_iter();
    let entries = entries.flatten().flatten().filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let link = fs::read_link(entry.path()).ok()?;
        let name = link.file_name()?.to_str()?.to_owned();
        Some((
            number,
            if name.starts_with("pipe:") {
                "pipe".to_owned()
            } else {
                name
            },
        ))
    });
    entries.collect()
}

fn notification_flood_does_not_block_commands(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\nexec cat /dev/zero >&3\n");
    sandbox.write("s/notification-fd", "3");
    let supervise = supervise(sandbox, "s");
    wait_for_stage(sandbox, "s", "starting");
    // Endless bytes without a newline.
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().is(0, "", "");
    wait_for_stage(sandbox, "s", "down");
}

fn children_have_only_their_descriptors(sandbox: &Sandbox) {
    const NUMBERS: i32 = 30;
    // Each number that supervise may use itself. The lock of one service has the
    // number of the next one's notification pipe.
    let lock_of = |number| if number == NUMBERS { 1 } else { number + 1 };
    for number in 1..=NUMBERS {
        let dir = format!("s{number}");
        sandbox.script(
            format!("{dir}/run"),
            &format!("#!/bin/sh\necho >/proc/self/fd/{number}\nexec sleep 1000\n"),
        );
        for program in ["notify", "finish"] {
            sandbox.script(
                format!("{dir}/{program}"),
                &format!("#!/bin/sh\necho $$ >{program}ing\nexec sleep 1000\n"),
            );
        }
        sandbox.write(format!("{dir}/notification-fd"), number.to_string());
        sandbox.write(format!("{dir}/lock-fd"), lock_of(number).to_string());
        // finish must run until the test has examined it.
        sandbox.write(format!("{dir}/timeout-finish"), "0");
    }
    let _all: Vec<_> = (1..=NUMBERS)
        .map(|number| sandbox.start(sandbox.shell(&format!("exec supervise -e s{number}"))))
        .collect();
    // A process with only the descriptors inherited from the test run.
    let other = sandbox.start(sandbox.shell("exec sleep 1000"));
    // A program that is still loading has its libraries open.
    let runs = |pid: Pid| {
        let waits = fs::read_to_string(format!("/proc/{pid}/wchan"));
        waits.is_ok_and(|waits| waits.contains("nanosleep"))
    };
    sandbox.wait_until("the program sleeps", || runs(other.pid()));
    let inherited = open_files(other.pid());
    for number in 1..=NUMBERS {
        let dir = format!("s{number}");
        sandbox.wait_until("the state file exists", || {
            sandbox.exists(format!("{dir}/supervise/state"))
        });
        wait_for_stage(sandbox, &dir, "ready");
        let run = sandbox.service(&dir);
        let mut wanted: BTreeSet<_> = inherited.keys().copied().collect();
        wanted.extend([number, lock_of(number)]);
        sandbox.wait_until("the program sleeps", || runs(run));
        let has = open_files(run);
        assert_eq!(
            has.keys().copied().collect::<BTreeSet<_>>(),
            wanted,
            "{has:?}"
        );
        assert_eq!(
            (&*has[&number], &*has[&lock_of(number)]),
            ("pipe", "service-lock")
        );
    }
    for number in 1..=NUMBERS {
        kill(sandbox.service(&format!("s{number}")), Signal::SIGKILL).unwrap();
    }
    for number in 1..=NUMBERS {
        let dir = format!("s{number}");
        for program in ["notify", "finish"] {
            let text = || {
                fs::read_to_string(sandbox.path(format!("{dir}/{program}ing"))).unwrap_or_default()
            };
            sandbox.wait_until("notify and finish have started", || text().ends_with('\n'));
            let process = Pid::from_raw(text().trim().parse().unwrap());
            sandbox.wait_until("the program sleeps", || runs(process));
            assert!(
                open_files(process).keys().eq(inherited.keys()),
                "{program}: {:?}",
                open_files(process)
            );
        }
    }
}

fn restarts_leave_no_descriptors_and_zombies(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho >&3\necho start >>starts\n");
    sandbox.write("s/notification-fd", "3");
    sandbox.write("s/lock-fd", "4");
    for program in ["notify", "finish"] {
        sandbox.script(format!("s/{program}"), "#!/bin/sh\nexit 0\n");
    }
    let supervise = supervise(sandbox, "s");
    // No restart falls between the reads while the service is down.
    let stopped = || {
        sandbox.sh("svc -d s").succeeds();
        wait_for_stage(sandbox, "s", "down");
        sandbox.wait_until("the record is written and all children are reaped", || {
            let want = record(sandbox, "s").map(|record| record[17]);
            want == Some(b'd') && children(supervise.pid()).is_empty()
        });
        // The record is there before supervise closes its file.
        steady(sandbox, || descriptors(supervise.pid()))
    };
    sandbox.wait_until("run has started", || starts(sandbox) >= 1);
    let (before, first) = (stopped(), starts(sandbox));
    sandbox.sh("svc -u s").succeeds();
    sandbox.wait_until("run has restarted twice", || starts(sandbox) >= first + 3);
    assert_eq!(stopped(), before);
}

fn descriptor_limit_refuses_start_or_runs(sandbox: &Sandbox) {
    let limits = 7..=20;
    sandbox.sh("mkfifo fifo").succeeds();
    let start = |limit| {
        fs::create_dir(sandbox.path(format!("s{limit}"))).unwrap();
        // A program that opens no file and stays up.
        symlink("/bin/cat", sandbox.path(format!("s{limit}/run"))).unwrap();
        sandbox.write(format!("s{limit}/notification-fd"), "1");
        sandbox.start(sandbox.shell(&format!(
            "exec <>fifo; ulimit -n {limit}; exec supervise -e s{limit}"
        )))
    };
    let all: Vec<_> = limits.clone().map(start).collect();
    let (mut refused, mut warned) = (0, 0);
    for (limit, mut supervise) in limits.clone().zip(all) {
        let dir = format!("s{limit}");
        let runs = |supervise: &Running| {
            let name = |pid: &Pid| fs::read(format!("/proc/{pid}/comm"));
            let names = children(supervise.pid());
            names
                .iter()
                .any(|pid| name(pid).is_ok_and(|name| name == b"run\n"))
        };
        sandbox.wait_until("supervise has exited or run has started", || {
            runs(&supervise) || !supervise.runs()
        });
        if !runs(&supervise) {
            refused += 1;
            assert_eq!(supervise.wait().code(), Some(111));
        } else if error_text(&supervise).contains("unable to create pipe for") {
            warned += 1;
            let warning = format!(
                "supervise: warning: unable to create pipe for {dir}/notification-fd: \
                process cannot open more files\n"
            );
            assert_eq!(error_text(&supervise), warning);
            // Without a pipe, the service counts as up at once.
            wait_for_stage(sandbox, &dir, "up");
        } else if error_text(&supervise).is_empty() {
            wait_for_stage(sandbox, &dir, "starting");
        }
    }
    assert!(refused > 0 && warned > 0 && refused + warned < limits.count());
}

fn messages_do_not_count_as_notification(sandbox: &Sandbox) {
    // Notifications come on descriptor 2, the standard error.
    sandbox.write("s/notification-fd", "2");
    sandbox.write("s/restart-limit-count", "1");
    let supervise_once = supervise(sandbox, "s");
    wait_for_stage(sandbox, "s", "failed");
    sandbox.sh("svc -x s").succeeds();
    let line = "supervise: fatal: unable to start s/run: file does not exist\n";
    supervise_once.wait().is(0, "", line.repeat(2));
    // supervise saves its standard error on another descriptor: no number of
    // the notification descriptor may receive messages there.
    sandbox.write("s/lock-fd", "2");
    for number in 3..20 {
        sandbox.write("s/notification-fd", number.to_string());
        let supervise_once = supervise(sandbox, "s");
        sandbox.wait_until("supervise has printed an error", || {
            !supervise_once.stderr().is_empty()
        });
        sandbox.sh("svc -dx s").succeeds();
        let text = supervise_once.wait().error_text();
        assert!(text.starts_with(line), "{number}: {text}");
    }
    sandbox.write("s/notification-fd", "2");
    sandbox.script("s/run", SLEEPER);
    sandbox.write("s/lock-fd", "9");
    let first = supervise(sandbox, "s");
    wait_for_stage(sandbox, "s", "starting");
    let orphan = sandbox.service("s");
    first.kill();
    // Until its exec, the child of the killed supervise holds the lock.
    sandbox.wait_until("no supervise runs", || !sandbox.is_supervised("s"));
    let second = supervise(sandbox, "s");
    sandbox.wait_until("supervise waits for the run lock", || {
        error_text(&second).ends_with("s/supervise/service-lock\n")
    });
    sandbox.sh("svc -p s").succeeds();
    sandbox.wait_until("supervise has obeyed the pause", || {
        record(sandbox, "s").is_some_and(|record| record[16] == 1)
    });
    wait_for_stage(sandbox, "s", "starting");
    kill(orphan, Signal::SIGKILL).unwrap();
}

fn unwritable_state_does_not_stop_supervise(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/finish", "#!/bin/sh\n>finished\n");
    fs::create_dir_all(sandbox.path("s/supervise")).unwrap();
    for file in ["state", "death_tally"] {
        symlink("/dev/full", sandbox.path(format!("s/supervise/{file}.new"))).unwrap();
    }
    let supervise = supervise(sandbox, "s");
    let first = sandbox.service("s");
    kill(first, Signal::SIGKILL).unwrap();
    sandbox.wait_until("run has restarted", || sandbox.service("s") != first);
    assert!(sandbox.exists("s/finished"));
    let full = |file| {
        format!("supervise: warning: unable to write s/supervise/{file}.new: out of disk space\n")
    };
    let lines: BTreeSet<_> = error_text(&supervise)
        .split_inclusive('\n')
        .map(str::to_owned)
        .collect();
    assert_eq!(lines, BTreeSet::from([full("state"), full("death_tally")]));
    // Once writes succeed, the tally holds both deaths.
    sandbox.sh("rm s/supervise/*.new").succeeds();
    kill(sandbox.service("s"), Signal::SIGTERM).unwrap();
    sandbox.wait_until("the tally exists", || {
        sandbox.exists("s/supervise/death_tally")
    });
    assert_eq!(sandbox.read("s/supervise/death_tally").len(), 28);
    // A directory in place of the state file is not replaced.
    sandbox.sh("until rm -f s/supervise/state && mkdir s/supervise/state 2>/dev/null; do :; done; svc -dx s").succeeds();
    let last =
        "supervise: warning: unable to rename s/supervise/state.new to state: is a directory\n";
    assert!(supervise.wait().error_text().ends_with(last));
}

fn longer_tally_keeps_its_last_deaths(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let tally: Vec<u8> = (0..700_000_u32)
        .flat_map(|number| {
            let mut record = [0; 14];
            record[8..12].copy_from_slice(&number.to_be_bytes());
            record
        })
        .collect();
    sandbox.write("s/supervise/death_tally", &tally);
    let supervise_once = supervise(sandbox, "s");
    sandbox.service("s");
    sandbox.sh("svc -dx s").succeeds();
    supervise_once.wait().is(0, "", "");
    let kept = sandbox.read("s/supervise/death_tally");
    assert_eq!(kept.len(), 1400);
    assert_eq!(kept[..1386], tally[tally.len() - 1386..]);
    assert_eq!(kept[1398..], [0, 15]);
    for (make, warning) in [
        (
            "head -c 13 /dev/zero >s/supervise/death_tally",
            "s/supervise/death_tally is not a tally of deaths: ignored\n",
        ),
        (
            "mkfifo s/supervise/death_tally",
            "unable to read s/supervise/death_tally: unseekable descriptor\n",
        ),
    ] {
        sandbox
            .sh(&format!("rm s/supervise/death_tally; {make}"))
            .succeeds();
        let supervise = supervise(sandbox, "s");
        sandbox.service("s");
        sandbox.sh("svc -dx s").succeeds();
        supervise
            .wait()
            .is(0, "", format!("supervise: warning: {warning}"));
        assert_eq!(sandbox.read("s/supervise/death_tally").len(), 14);
    }
}

fn run_lock_waiter_ends_with_its_supervise(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho start >>starts\nexec sleep 1000\n");
    sandbox.write("s/lock-fd", "9");
    let first = supervise(sandbox, "s");
    sandbox.wait_until("run has started", || sandbox.exists("s/starts"));
    let orphan = sandbox.service("s");
    first.kill();
    let warning = "supervise: warning: waiting for what holds s/supervise/service-lock\n";
    for _ in 0..2 {
        // No process of the previous supervise holds the directory.
        let next = supervise(sandbox, "s");
        sandbox.wait_until("supervise waits for the run lock", || {
            next.stderr() == warning.as_bytes()
        });
        next.kill();
        sandbox.wait_until("no supervise runs", || !sandbox.is_supervised("s"));
    }
    let next = supervise(sandbox, "s");
    sandbox.wait_until("supervise waits for the run lock", || {
        next.stderr() == warning.as_bytes()
    });
    kill(orphan, Signal::SIGKILL).unwrap();
    sandbox.wait_until("run has restarted", || starts(sandbox) == 2);
    // The waiter has become the service, and outlives its supervise.
    next.kill();
    let last = supervise(sandbox, "s");
    sandbox.wait_until("supervise waits for the run lock", || {
        last.stderr() == warning.as_bytes()
    });
    assert_eq!(starts(sandbox), 2);
}

fn stopped_finish_is_killed_at_timeout(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho start >>starts\n");
    sandbox.script("s/finish", "#!/bin/sh\nkill -STOP $$\n");
    sandbox.write("s/timeout-finish", "100");
    let supervise = supervise(sandbox, "s");
    sandbox.wait_until("run has restarted", || starts(sandbox) == 2);
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().is(0, "", "");
}

fn default_finish_timeout_is_five_seconds(sandbox: &Sandbox) {
    let all = [
        ("four", Some("4000")),
        ("five", None),
        ("six", Some("6000")),
    ];
    let _all = all.map(|(dir, limit)| {
        sandbox.script(
            format!("{dir}/run"),
            &format!("#!/bin/sh\n[ -e been ] && echo {dir} >>../again\n>been\n"),
        );
        sandbox.script(format!("{dir}/finish"), SLEEPER);
        if let Some(limit) = limit {
            sandbox.write(format!("{dir}/timeout-finish"), limit);
        }
        sandbox.start(sandbox.shell(&format!("exec supervise -e {dir}")))
    });
    let again = || fs::read_to_string(sandbox.path("again")).unwrap_or_default();
    sandbox.wait_until("each run has restarted", || {
        again().lines().count() == all.len()
    });
    assert_eq!(again(), "four\nfive\nsix\n");
}

fn paused_service_is_killed_at_timeout(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\ntrap '' TERM\n>there\nwhile :; do sleep 1000; done\n",
    );
    sandbox.write("s/timeout-kill", "100");
    let supervise = supervise(sandbox, "s");
    sandbox.wait_until("run ignores TERM", || sandbox.exists("s/there"));
    let process = sandbox.service("s");
    sandbox.sh("svc -d s").succeeds();
    kill(process, Signal::SIGSTOP).unwrap();
    sandbox.sh("svc -xp s").succeeds();
    supervise.wait().is(0, "", "");
}

fn exit_is_recorded_before_notify_runs(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/finish", "#!/bin/sh\n{ grep -v since= supervise/state; svstat .; wc -c <supervise/death_tally; } >seen.new\n\
        mv seen.new seen\nexec sleep 1000\n");
    sandbox.script("s/notify", "#!/bin/sh\n[ $2 = start ] || { grep state= supervise/state >noticed.new; mv noticed.new noticed; }\n");
    let _supervise = supervise(sandbox, "s");
    kill(sandbox.service("s"), Signal::SIGKILL).unwrap();
    sandbox.wait_until("notify and finish have run", || {
        sandbox.exists("s/seen") && sandbox.exists("s/noticed")
    });
    let seen = String::from_utf8(sandbox.read("s/seen")).unwrap();
    let (state, more) = seen.split_once(".: ").unwrap();
    assert_eq!(
        state,
        "state=finish\npid=\nrestarts=0\nexit_code=\nsignal=9\nnext_start=\ncheck=\n"
    );
    assert!(
        more.starts_with("down ") && more.ends_with(" seconds, normally up, want up\n14\n"),
        "{more}"
    );
    assert_eq!(sandbox.read("s/noticed"), b"state=finish\n");
}

fn finish_and_notify_have_signals_of_run(sandbox: &Sandbox) {
    let programs = ["run", "finish", "notify"];
    for program in programs {
        sandbox.script(format!("s/{program}"), &format!("#!/bin/sh\n\
            [ -e {program}.saw ] || {{ grep -E '^Sig(Blk|Ign)' /proc/self/status >{program}.new; mv {program}.new {program}.saw; }}\n\
            [ {program} != run ] || exec sleep 1000\n"));
    }
    let _supervise =
        sandbox.start(sandbox.shell("trap '' PIPE HUP USR1 CHLD; exec supervise -e s"));
    sandbox.wait_until("run and notify have recorded their signals", || {
        sandbox.exists("s/run.saw") && sandbox.exists("s/notify.saw")
    });
    kill(sandbox.service("s"), Signal::SIGKILL).unwrap();
    sandbox.wait_until("finish has recorded its signals", || {
        sandbox.exists("s/finish.saw")
    });
    for program in programs {
        assert_eq!(
            sandbox.read(format!("s/{program}.saw")),
            sandbox.read("s/run.saw"),
            "{program}"
        );
    }
    let ignored = String::from_utf8(sandbox.read("s/run.saw")).unwrap();
    assert!(
        ignored.starts_with("SigBlk:\t0000000000000000\n"),
        "{ignored}"
    );
}

fn signals_reach_the_whole_group(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\nfor i in 1 2 3; do sleep 1000 & echo $!; done >children\n>there\nwait\n",
    );
    let supervise = supervise(sandbox, "s");
    sandbox.wait_until("run has started its children", || sandbox.exists("s/there"));
    let children = String::from_utf8(sandbox.read("s/children")).unwrap();
    let group: Vec<_> = children
        .lines()
        .map(|line| Pid::from_raw(line.parse().unwrap()))
        .collect();
    assert!(group.iter().all(|&pid| kill(pid, None).is_ok()));
    sandbox.sh("svc -+kdx s").succeeds();
    supervise.wait().is(0, "", "");
    let gone = |pid: &Pid| kill(*pid, None).is_err() || is_zombie(*pid);
    sandbox.wait_until("the whole group has exited", || group.iter().all(gone));
}

fn leftover_process_cannot_notify_for_next_run(sandbox: &Sandbox) {
    // The first run exits and leaves a child, which writes a notification later.
    sandbox.script(
        "s/run",
        "#!/bin/sh\n[ -e second ] && exec sleep 1000\n>second\n\
        (trap '' PIPE; until [ -e speak ]; do sleep 0.05; done; echo >&3; >spoken) &\n",
    );
    sandbox.write("s/notification-fd", "3");
    let _supervise = supervise(sandbox, "s");
    sandbox.wait_until("the first run has started", || sandbox.exists("s/second"));
    wait_for_stage(sandbox, "s", "delay");
    wait_for_stage(sandbox, "s", "starting");
    sandbox.write("s/speak", "");
    sandbox.wait_until("the leftover child has written", || {
        sandbox.exists("s/spoken")
    });
    sandbox.sh("svc -p s").succeeds();
    sandbox.wait_until("supervise has obeyed the pause", || {
        record(sandbox, "s").is_some_and(|record| record[16] == 1)
    });
    wait_for_stage(sandbox, "s", "starting");
}
