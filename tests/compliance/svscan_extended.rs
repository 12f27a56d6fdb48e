//! svscan -e, and svscan as process 1: signals and shutdown. The reference
//! offers neither.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Outcome, Running, SLEEPER, Sandbox, compliance, kill, ours};

use super::boot::{process_one, signal_inside, wait_for_watches};

/// A service that appends its end to the file `said` beside the scan directory,
/// and writes last words to its logger.
const POLITE: &str = "#!/bin/sh
trap 'echo last words; echo service >>../../said; exit' TERM
echo first
echo >up
while :; do sleep 0.02; done
";

/// A logger that appends its end to the same file.
const KEEPER: &str = "#!/bin/sh
cat >>kept
echo logger >>../../../said
";

/// A service that ignores TERM.
const STUBBORN: &str = "#!/bin/sh
trap 'echo >told' TERM
echo >up
while :; do sleep 0.02; done
";

/// A service that numbers its lines, and writes many more after TERM.
const COUNTING: &str = r#"#!/usr/bin/perl
my ($n, $told) = (0, 0);
$SIG{TERM} = sub { $told = 1 };
$| = 1;
until ($told) { $n++; print "$n\n"; open my $up, ">", "up" if $n == 100; }
$| = 0;
print ++$n, "\n" for 1 .. 30_000;
close STDOUT;
open my $last, ">", "last";
print $last $n;
"#;

/// A slow logger.
const SLOW: &str = r#"#!/usr/bin/perl
use Time::HiRes "sleep";
open my $kept, ">>", "kept";
while (sysread STDIN, my $bytes, 4096) { sleep 0.001; syswrite $kept, $bytes }
"#;

ours!(
    services_and_loggers_run_under_supervise_e,
    e_is_an_option_in_first_place_only,
    term_stops_services_before_loggers,
    each_logger_ends_after_its_service,
    slow_logger_receives_every_line,
    logger_killed_during_stop_is_replaced,
    next_logger_reads_unread_lines,
    slow_service_is_killed_at_timeout,
    repeated_term_changes_nothing,
    second_interrupt_typed_kills_and_warns,
    essential_service_may_be_renamed,
    paused_processes_continue_at_the_end,
    service_in_finish_is_not_killed,
    hup_stops_removed_services_only,
    entry_restored_during_stop_restarts_at_once,
    alrm_scans_at_once,
    essential_exit_stops_all_with_its_code,
    essential_restart_stops_nothing,
    ignored_signals_pass_to_services,
    process_one_exits_with_essential_code,
    process_one_reaps_while_stopping,
    shutdown_removes_inotify_watches,
);

compliance!(without_e_signals_end_svscan_alone);

fn svscan(sandbox: &Sandbox) -> Running {
    sandbox.start(sandbox.shell("exec svscan -e scan"))
}

/// Waits until each file exists: services create them once they are up.
#[track_caller]
fn wait_for_files(sandbox: &Sandbox, files: &[&str]) {
    for file in files {
        sandbox.wait_until(&format!("{file} is there"), || sandbox.exists(file));
    }
}

fn text(sandbox: &Sandbox, file: &str) -> String {
    String::from_utf8(fs::read(sandbox.path(file)).unwrap_or_default()).unwrap()
}

/// Waits for the end of svscan, after which nothing may be left of the tree. Only
/// the `sleep 0.02` of a killed service may end later.
#[track_caller]
fn ends(sandbox: &Sandbox, svscan: Running) -> Outcome {
    let outcome = svscan.wait();
    let name = |pid| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let mut left: Vec<_> = sandbox.processes().into_iter().map(name).collect();
    left.retain(|name| !["", "sleep\n"].contains(&name.as_str()));
    assert!(left.is_empty(), "{outcome:?}: {left:?} are left");
    sandbox.wait_until("nothing is left", || sandbox.processes().is_empty());
    outcome
}

/// The pid of the supervise of a service, from its record.
fn supervise_of(sandbox: &Sandbox, dir: &str) -> Pid {
    let mut supervise = None;
    sandbox.wait_until(&format!("{dir} is up"), || {
        let parent = format!("ps -o ppid= {}", sandbox.service(dir));
        supervise = sandbox
            .sh(&parent)
            .text()
            .trim()
            .parse()
            .ok()
            .map(Pid::from_raw);
        supervise.is_some()
    });
    supervise.unwrap()
}

/// Asserts that the logger of `scan/a` has kept every line, in order.
#[track_caller]
fn assert_all_is_kept(sandbox: &Sandbox) {
    let last: usize = text(sandbox, "scan/a/last").parse().unwrap();
    let kept = text(sandbox, "scan/a/log/kept");
    let mut expected = String::new();
    for n in 1..=last {
        writeln!(expected, "{n}").unwrap();
    }
    assert!(kept == expected, "{} lines of {last}", kept.lines().count());
}

fn services_and_loggers_run_under_supervise_e(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/a/log/run", SLEEPER);
    let svscan = svscan(sandbox);
    let children = format!("ps -o args= --ppid {} | sort", svscan.pid());
    sandbox.wait_for(&children, |args| {
        args == "supervise -e a\nsupervise -e log\n"
    });
    // Signals typed to interrupt svscan do not reach the services.
    let sessions = format!(
        "ps -o sid= --ppid {0} | awk '$1 != '\"$(ps -o sid= {0})\"' {{ others++ }} END {{ print others + 0 }}'",
        svscan.pid()
    );
    sandbox.wait_for(&sessions, |others| others == "2\n");
}

fn e_is_an_option_in_first_place_only(sandbox: &Sandbox) {
    for (words, dir) in [
        ("-e nope", "nope"),
        ("-e -e", "-e"),
        ("-ee", "-ee"),
        ("-- -e", "--"),
        ("-e -- scan", "--"),
    ] {
        let message = format!("svscan: fatal: unable to chdir to {dir}: file does not exist\n");
        sandbox.sh(&format!("svscan {words}")).is(111, "", message);
    }
    sandbox.script("scan/a/run", POLITE);
    let svscan = sandbox.start(sandbox.shell("cd scan; exec svscan -e"));
    wait_for_files(sandbox, &["scan/a/up"]);
    svscan.signal(Signal::SIGTERM);
    ends(sandbox, svscan).prints("first\nlast words\n");
}

fn term_stops_services_before_loggers(sandbox: &Sandbox) {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        for name in ["a", "b", "c"] {
            sandbox.script(format!("scan/{name}/run"), POLITE);
            sandbox.script(format!("scan/{name}/log/run"), KEEPER);
        }
        sandbox.script("scan/alone/run", POLITE);
        sandbox.script("scan/down/run", SLEEPER);
        sandbox.write("scan/down/down", "");
        let svscan = svscan(sandbox);
        wait_for_files(
            sandbox,
            &["scan/a/up", "scan/b/up", "scan/c/up", "scan/alone/up"],
        );
        svscan.signal(signal);
        ends(sandbox, svscan).prints("first\nlast words\n");
        for name in ["a", "b", "c"] {
            assert_eq!(
                text(sandbox, &format!("scan/{name}/log/kept")),
                "first\nlast words\n"
            );
        }
        let said = text(sandbox, "said");
        let mut lines: Vec<_> = said.lines().collect();
        // How often each was started and ended.
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "logger", "logger", "logger", "service", "service", "service", "service"
            ]
        );
        assert!(said.starts_with("service\n"), "{said}");
        sandbox.sh("rm -r scan said").succeeds();
    }
}

fn each_logger_ends_after_its_service(sandbox: &Sandbox) {
    sandbox.script(
        "scan/a/run",
        "#!/bin/sh\ntrap 'until [ -s ../../said ]; do sleep 0.02; done; echo a >>../../said; exit' TERM\n\
        echo >up\nwhile :; do sleep 0.02; done\n",
    );
    sandbox.script("scan/a/log/run", KEEPER);
    sandbox.script("scan/b/run", POLITE);
    let svscan = svscan(sandbox);
    wait_for_files(sandbox, &["scan/a/up", "scan/b/up"]);
    svscan.signal(Signal::SIGTERM);
    ends(sandbox, svscan).prints("first\nlast words\n");
    assert_eq!(text(sandbox, "said"), "service\na\nlogger\n");
}

fn slow_logger_receives_every_line(sandbox: &Sandbox) {
    for files in ["", "timeout-kill", "down-signal"] {
        sandbox.script("scan/a/run", COUNTING);
        sandbox.script("scan/a/log/run", SLOW);
        // Either file makes supervise -e stop the logger on x.
        match files {
            "timeout-kill" => sandbox.write("scan/a/log/timeout-kill", "60000\n"),
            "down-signal" => sandbox.write("scan/a/log/down-signal", "TERM\n"),
            _ => {}
        }
        let svscan = svscan(sandbox);
        wait_for_files(sandbox, &["scan/a/up"]);
        svscan.signal(Signal::SIGTERM);
        ends(sandbox, svscan).succeeds();
        assert_all_is_kept(sandbox);
        sandbox.sh("rm -r scan").succeeds();
    }
}

fn logger_killed_during_stop_is_replaced(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", COUNTING);
    // The first logger reads nothing.
    sandbox.script(
        "scan/a/log/run",
        "#!/bin/sh\n[ -e second ] && exec cat >kept\necho $$ >second\nexec sleep 1000\n",
    );
    let svscan = svscan(sandbox);
    wait_for_files(sandbox, &["scan/a/log/second"]);
    // The service writes as much as a pipe holds.
    let logger = supervise_of(sandbox, "scan/a/log");
    svscan.signal(Signal::SIGTERM);
    sandbox.wait_until("the service is told", || {
        text(sandbox, "scan/a/supervise/state").contains("\npid=")
            && fs::read(sandbox.path("scan/a/supervise/status")).unwrap()[17] == b'd'
    });
    let pid = text(sandbox, "scan/a/log/second").trim().parse().unwrap();
    kill(logger, Signal::SIGKILL).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    ends(sandbox, svscan).succeeds();
    assert_all_is_kept(sandbox);
}

fn next_logger_reads_unread_lines(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", POLITE);
    // The logger ends after the first line and leaves the rest unread.
    sandbox.script(
        "scan/a/log/run",
        "#!/bin/sh\nread line; echo $line >>kept; sleep 0.05\n",
    );
    sandbox.write("scan/a/log/restart-delay", "100");
    let svscan = svscan(sandbox);
    wait_for_files(sandbox, &["scan/a/up", "scan/a/log/kept"]);
    svscan.signal(Signal::SIGTERM);
    ends(sandbox, svscan).succeeds();
    assert_eq!(text(sandbox, "scan/a/log/kept"), "first\nlast words\n");
}

fn slow_service_is_killed_at_timeout(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", STUBBORN);
    // The trap of the shell needs time on a busy machine.
    sandbox.write("scan/a/timeout-kill", "1000\n");
    // An orphan of the service holds the pipe to the logger.
    sandbox.script(
        "scan/b/run",
        "#!/bin/sh\nsetsid sh -c 'trap \"\" TERM; exec sleep 1000' &\necho >up\nexec sleep 1000\n",
    );
    sandbox.script("scan/b/log/run", "#!/bin/sh\necho >up\ncat >kept\n");
    sandbox.write("scan/b/log/timeout-kill", "200");
    let svscan = svscan(sandbox);
    wait_for_files(sandbox, &["scan/a/up", "scan/b/up", "scan/b/log/up"]);
    svscan.signal(Signal::SIGTERM);
    let outcome = svscan.wait();
    outcome.exits(0);
    assert!(sandbox.exists("scan/a/told"));
    let complaints = outcome.error_text();
    assert!(
        complaints.contains("svscan: warning: unable to stop b/log: timed out\n"),
        "{complaints}"
    );
}

/// Starts svscan -e on a terminal, with messages in the file `err`.
fn svscan_on_terminal(sandbox: &Sandbox) -> Running {
    let svscan = "echo $$ >pid; exec svscan -e scan 2>err";
    sandbox.start(sandbox.shell(&format!(
        "mkfifo keys; exec script -qec '{svscan}' /dev/null <>keys"
    )))
}

/// Types the interrupt character.
fn interrupt(sandbox: &Sandbox) {
    sandbox.sh("printf '\\003' >keys").succeeds();
}

fn repeated_term_changes_nothing(sandbox: &Sandbox) {
    sandbox.script(
        "scan/a/run",
        "#!/bin/sh\ntrap 'echo >>told; until [ -e go ]; do sleep 0.02; done; echo saved >said; exit' TERM\n\
        echo >up\nwhile :; do sleep 0.02; done\n",
    );
    sandbox.script("scan/b/run", POLITE);
    // This service ends the container when it ends.
    sandbox.script(
        "scan/b/finish",
        "#!/bin/sh\nkill -TERM $SVSCAN; kill -INT $SVSCAN\n",
    );
    sandbox.write("scan/a/timeout-kill", "0");
    let svscan = sandbox.start(sandbox.shell("export SVSCAN=$$; exec svscan -e scan"));
    wait_for_files(sandbox, &["scan/a/up", "scan/b/up"]);
    svscan.signal(Signal::SIGTERM);
    wait_for_files(sandbox, &["scan/a/told"]);
    sandbox.wait_until("b has ended", || !sandbox.is_supervised("scan/b"));
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGTERM,
    ] {
        svscan.signal(signal);
        wait_until_taken(sandbox, svscan.pid());
    }
    sandbox.write("scan/a/go", "");
    ends(sandbox, svscan).prints("first\nlast words\n");
    assert_eq!(text(sandbox, "scan/a/said"), "saved\n");
    assert_eq!(text(sandbox, "scan/a/told"), "\n");
}

/// Waits until a process has no pending signal.
#[track_caller]
fn wait_until_taken(sandbox: &Sandbox, pid: Pid) {
    let status = format!("/proc/{pid}/status");
    sandbox.wait_until("the signal is taken", || {
        let status = fs::read_to_string(&status).unwrap_or_default();
        !status.contains("ShdPnd:") || status.contains("\nShdPnd:\t0000000000000000\n")
    });
}

fn second_interrupt_typed_kills_and_warns(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", STUBBORN);
    sandbox.script(
        "scan/a/log/run",
        "#!/bin/sh\ntrap '' TERM\ncat >kept\nexec sleep 1000\n",
    );
    sandbox.script(
        "scan/a/finish",
        "#!/bin/sh\necho >finishing\nexec sleep 1000\n",
    );
    for file in ["timeout-kill", "timeout-finish", "log/timeout-kill"] {
        sandbox.write(format!("scan/a/{file}"), "0");
    }
    let script = svscan_on_terminal(sandbox);
    wait_for_files(sandbox, &["scan/a/up"]);
    interrupt(sandbox);
    wait_for_files(sandbox, &["scan/a/told"]);
    assert_eq!(text(sandbox, "err"), "");
    interrupt(sandbox);
    wait_for_files(sandbox, &["scan/a/finishing"]);
    let kills = "svscan: warning: interrupted again: killing all services\n";
    assert_eq!(text(sandbox, "err"), kills);
    interrupt(sandbox);
    ends(sandbox, script).exits(0);
    let skips = "svscan: warning: interrupted again: not waiting for finish\n";
    assert_eq!(text(sandbox, "err"), format!("{kills}{skips}"));
}

fn service_in_finish_is_not_killed(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", "#!/bin/sh\necho >up\nexec sleep 1000\n");
    sandbox.script(
        "scan/a/finish",
        "#!/bin/sh\nsleep 0.5\necho clean >../../said\n",
    );
    sandbox.write("scan/a/timeout-kill", "100");
    let svscan = svscan(sandbox);
    wait_for_files(sandbox, &["scan/a/up"]);
    svscan.signal(Signal::SIGTERM);
    assert_eq!(ends(sandbox, svscan).code(), Some(0));
    assert_eq!(text(sandbox, "said"), "clean\n");
}

fn hup_stops_removed_services_only(sandbox: &Sandbox) {
    for name in ["a", "b"] {
        sandbox.script(
            format!("{name}/run"),
            POLITE.replace("../../", "../").as_str(),
        );
        sandbox.script(
            format!("{name}/log/run"),
            KEEPER.replace("../../../", "../../").as_str(),
        );
    }
    sandbox.sh("mkdir scan; ln -s ../a ../b scan").succeeds();
    let svscan = svscan(sandbox);
    wait_for_files(sandbox, &["a/up", "b/up"]);
    let other = supervise_of(sandbox, "b");
    sandbox.sh("rm scan/a").succeeds();
    svscan.signal(Signal::SIGHUP);
    sandbox.wait_until("both have ended", || {
        sandbox.sh("svok a || svok a/log").code() == Some(100)
    });
    assert_eq!(text(sandbox, "said"), "service\nlogger\n");
    assert_eq!(text(sandbox, "a/log/kept"), "first\nlast words\n");
    assert_eq!(supervise_of(sandbox, "b"), other);
    // The service may return.
    sandbox.sh("rm a/up; ln -s ../a scan").succeeds();
    wait_for_files(sandbox, &["a/up"]);
    assert_eq!(svscan.stderr(), b"");
}

fn entry_restored_during_stop_restarts_at_once(sandbox: &Sandbox) {
    sandbox.script(
        "a/run",
        "#!/bin/sh\ntrap 'echo >told; while ! [ -e go ]; do sleep 0.02; \
        done; exit' TERM\necho $$ >up\nwhile :; do sleep 0.02; done\n",
    );
    sandbox.sh("mkdir scan; ln -s ../a scan").succeeds();
    let svscan = svscan(sandbox);
    wait_for_files(sandbox, &["a/up"]);
    sandbox.wait_until(
        "three times take less time than there is between two looks",
        || {
            let start = Instant::now();
            for _ in 0..3 {
                sandbox.sh("rm scan/a").succeeds();
                svscan.signal(Signal::SIGHUP);
                wait_for_files(sandbox, &["a/told"]);
                sandbox
                    .sh("ln -s ../a scan; rm a/up; touch a/go")
                    .succeeds();
                wait_for_files(sandbox, &["a/up"]);
                sandbox.sh("rm a/told a/go").succeeds();
            }
            start.elapsed() < Duration::from_secs(4)
        },
    );
}

fn alrm_scans_at_once(sandbox: &Sandbox) {
    sandbox.script("template/run", "#!/bin/sh\necho >up\nexec sleep 1000\n");
    sandbox.sh("mkdir scan; cp -r template scan/0").succeeds();
    let svscan = svscan(sandbox);
    wait_for_files(sandbox, &["scan/0/up"]);
    let mut n = 0;
    sandbox.wait_until(
        "five looks take less time than there is between two",
        || {
            let start = Instant::now();
            for _ in 0..5 {
                n += 1;
                sandbox
                    .sh(&format!("cp -r template new; mv new scan/{n}"))
                    .succeeds();
                svscan.signal(Signal::SIGALRM);
                wait_for_files(sandbox, &[&format!("scan/{n}/up")]);
            }
            start.elapsed() < Duration::from_secs(4)
        },
    );
}

fn essential_exit_stops_all_with_its_code(sandbox: &Sandbox) {
    for (run, code) in [
        ("exit 7", 7),
        ("exit 0", 0),
        ("kill -KILL $$", 137),
        ("kill -TERM $$", 143),
    ] {
        for how in ["limit", "finish", "once"] {
            sandbox.script(
                "scan/main/run",
                &format!("#!/bin/sh\nwhile ! [ -e ../a/up ]; do sleep 0.02; done\n{run}\n"),
            );
            sandbox.write("scan/main/essential", "");
            match how {
                "limit" => sandbox.write("scan/main/restart-limit-count", "1"),
                "finish" => sandbox.script("scan/main/finish", "#!/bin/sh\nexit 125\n"),
                _ => sandbox.write("scan/main/down", ""),
            }
            sandbox.script("scan/a/run", POLITE);
            sandbox.script("scan/a/log/run", KEEPER);
            let svscan = svscan(sandbox);
            if how == "once" {
                sandbox.wait_until("it can be told", || sandbox.is_supervised("scan/main"));
                sandbox.sh("svc -o scan/main").succeeds();
            }
            let outcome = ends(sandbox, svscan);
            outcome.is(code, "", "");
            assert_eq!(text(sandbox, "scan/a/log/kept"), "first\nlast words\n");
            assert_eq!(text(sandbox, "said"), "service\nlogger\n");
            sandbox.sh("rm -r scan said").succeeds();
        }
    }
}

fn shutdown_removes_inotify_watches(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", STUBBORN);
    sandbox.write("scan/a/timeout-kill", "0");
    sandbox.write("scan/a/essential", "");
    let svscan = svscan(sandbox);
    wait_for_files(sandbox, &["scan/a/up"]);
    let pid = svscan.pid().to_string();
    wait_for_watches(sandbox, &pid, true);
    svscan.signal(Signal::SIGTERM);
    wait_for_files(sandbox, &["scan/a/told"]);
    wait_for_watches(sandbox, &pid, false);
    sandbox.sh("svc -k scan/a").succeeds();
    ends(sandbox, svscan).is(0, "", "");
}

fn essential_restart_stops_nothing(sandbox: &Sandbox) {
    sandbox.script(
        "scan/main/run",
        "#!/bin/sh\necho >>runs\n[ $(wc -l <runs) -lt 3 ] || exec sleep 1000\n",
    );
    sandbox.write("scan/main/essential", "");
    // A service stopped by a command has not failed.
    sandbox.script(
        "scan/main/finish",
        "#!/bin/sh\n[ $(wc -l <runs) -lt 3 ] || exit 125\n",
    );
    // The service had failed under another supervise.
    sandbox.write(
        "scan/main/supervise/state",
        "state=failed\nexit_code=9\nsince=@400000004d52960a0ebe121c\n",
    );
    let svscan = svscan(sandbox);
    sandbox.wait_until("the service is up again", || {
        text(sandbox, "scan/main/runs").len() == 3
    });
    sandbox.sh("svc -d scan/main").succeeds();
    sandbox.wait_until("the service is down", || {
        text(sandbox, "scan/main/supervise/state").starts_with("state=down\n")
    });
    // A scan proves that svscan has not begun to stop.
    sandbox.script("scan/b/run", POLITE);
    svscan.signal(Signal::SIGALRM);
    wait_for_files(sandbox, &["scan/b/up"]);
    svscan.signal(Signal::SIGTERM);
    ends(sandbox, svscan).prints("first\nlast words\n");
}

fn essential_service_may_be_renamed(sandbox: &Sandbox) {
    for away in ["scan/b", "away"] {
        sandbox.script(
            "scan/a/run",
            "#!/bin/sh\necho >up\nuntil [ -e end ]; do sleep 0.02; done\nexit 7\n",
        );
        sandbox.script("scan/a/finish", "#!/bin/sh\nexit 125\n");
        sandbox.write("scan/a/essential", "");
        let svscan = svscan(sandbox);
        wait_for_files(sandbox, &["scan/a/up"]);
        sandbox.sh(&format!("mv scan/a {away}")).succeeds();
        svscan.signal(Signal::SIGALRM);
        wait_until_taken(sandbox, svscan.pid());
        sandbox.write(format!("{away}/end"), "");
        ends(sandbox, svscan).is(7, "", "");
        sandbox.sh(&format!("rm -r {away}")).succeeds();
    }
}

fn paused_processes_continue_at_the_end(sandbox: &Sandbox) {
    for (how, pause) in [
        ("svc", "svc -p scan/a scan/a/log scan/b"),
        (
            "kill",
            "kill -STOP $(svstat scan/a scan/a/log scan/b | sed 's/.*pid \\([0-9]*\\).*/\\1/')",
        ),
    ] {
        sandbox.script("scan/a/run", POLITE);
        sandbox.script("scan/a/log/run", "#!/bin/sh\necho >up\nexec cat >>kept\n");
        sandbox.script("scan/b/run", POLITE);
        // A finish that somebody stops, without a timeout.
        sandbox.script("scan/b/finish", "#!/bin/sh\nkill -STOP $$\necho >done\n");
        sandbox.write("scan/b/timeout-finish", "0");
        for dir in ["a", "a/log", "b"] {
            sandbox.write(format!("scan/{dir}/timeout-kill"), "0");
        }
        let svscan = svscan(sandbox);
        wait_for_files(sandbox, &["scan/a/up", "scan/a/log/up", "scan/b/up"]);
        let pids: Vec<_> = ["scan/a", "scan/a/log", "scan/b"]
            .map(|dir| sandbox.service(dir))
            .into();
        sandbox.sh(pause).succeeds();
        for pid in pids {
            let state = format!("ps -o state= {pid}");
            sandbox.wait_for(&state, |state| state == "T\n");
        }
        svscan.signal(Signal::SIGTERM);
        ends(sandbox, svscan).prints("first\nlast words\n");
        assert_eq!(
            text(sandbox, "scan/a/log/kept"),
            "first\nlast words\n",
            "{how}"
        );
        assert!(sandbox.exists("scan/b/done"), "{how}");
        sandbox.sh("rm -r scan said").succeeds();
    }
}

fn ignored_signals_pass_to_services(sandbox: &Sandbox) {
    sandbox.script(
        "scan/a/run",
        "#!/bin/sh\ngrep -h ^Sig[BI] /proc/self/status >masks\necho >up\nexec sleep 1000\n",
    );
    let svscan = sandbox.start(sandbox.shell("trap '' HUP INT; exec svscan -e scan"));
    wait_for_files(sandbox, &["scan/a/up"]);
    let masks = text(sandbox, "scan/a/masks");
    assert_eq!(
        masks,
        sandbox
            .sh("trap '' HUP INT; grep -h ^Sig[BI] /proc/self/status")
            .text()
    );
    svscan.signal(Signal::SIGINT);
    ends(sandbox, svscan).succeeds();
}

fn process_one_exits_with_essential_code(sandbox: &Sandbox) {
    sandbox.script("scan/main/run", "#!/bin/sh\nexit 9\n");
    sandbox.script("scan/main/finish", "#!/bin/sh\nexit 125\n");
    sandbox.write("scan/main/essential", "");
    sandbox.script("scan/a/run", POLITE);
    sandbox.script("scan/a/log/run", KEEPER);
    let Some(unshare) = process_one(sandbox, "-e") else {
        return;
    };
    ends(sandbox, unshare).is(9, "", "");
}

fn process_one_reaps_while_stopping(sandbox: &Sandbox) {
    sandbox.script(
        "scan/a/run",
        "#!/bin/sh
trap 'echo >told' TERM
echo >up
while :; do
    orphan=$(sh -c 'sleep 0.02 >/dev/null & echo $!')
    while kill -0 $orphan 2>/dev/null; do sleep 0.01; done
    [ -e told ] && echo >reaped
done
",
    );
    sandbox.write("scan/a/timeout-kill", "2000");
    let Some(unshare) = process_one(sandbox, "") else {
        return;
    };
    wait_for_files(sandbox, &["scan/a/up"]);
    signal_inside(sandbox, &unshare, "TERM");
    ends(sandbox, unshare).is(0, "", "svscan: warning: unable to stop a: timed out\n");
    assert!(sandbox.exists("scan/a/reaped"));
}

fn without_e_signals_end_svscan_alone(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.write("scan/a/essential", "");
    for signal in [
        Signal::SIGHUP,
        Signal::SIGALRM,
        Signal::SIGINT,
        Signal::SIGTERM,
    ] {
        let svscan = sandbox.start(sandbox.shell("exec env --default-signal svscan scan"));
        sandbox.wait_until("it runs", || sandbox.is_supervised("scan/a"));
        svscan.signal(signal);
        assert_eq!(svscan.wait().signal(), Some(signal as i32));
        sandbox.sh("svok scan/a && svc -dx scan/a").succeeds();
        sandbox.wait_until("supervise ends", || {
            sandbox.sh("svok scan/a").code() == Some(100)
        });
    }
}
