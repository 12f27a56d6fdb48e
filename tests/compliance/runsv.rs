use nix::sys::signal::Signal;
use testkit::{Running, SLEEPER, Sandbox, compliance, interop, kill, ours};

use super::supervise::{probe_alone, probed, supervise_with_short_files};
use super::wait_until_asleep;

// runit does not read the commands of an ending logger.
ours!(up_command_does_not_restart_ending_logger);

compliance!(
    wrong_argument_count_prints_usage,
    a_missing_directory_is_fatal,
    obstructing_file_is_reported,
    missing_permissions_are_reported,
    descriptor_exhaustion_is_fatal,
    supervise_files_have_documented_modes,
    dangling_supervise_link_becomes_directory,
    down_file_prevents_start,
    unreadable_down_and_log_count_as_absent,
    status_record_has_documented_bytes,
    label_is_time_of_start_and_of_down,
    each_command_has_its_effect,
    each_letter_sends_its_signal,
    pending_exit_can_be_cancelled,
    term_is_a_command_to_exit,
    other_signals_do_not_stop_the_service,
    finish_receives_exit_status,
    unrunnable_run_is_reported_and_finished,
    unopenable_finish_counts_as_absent,
    finish_gets_no_signals,
    kill_during_finish_lets_runsv_exit,
    short_lived_service_restarts_after_a_second,
    the_umask_applies,
    control_programs_replace_signals,
    failing_control_program_lets_signal_pass,
    non_executable_control_program_is_skipped,
    control_program_may_stop_service_itself,
    run_finish_and_control_write_to_logger,
    logger_starts_first_and_stays,
    no_line_is_lost_while_logger_is_down,
    runsv_sleeps_while_logger_ends,
    the_logger_has_its_own_control,
    exit_lets_logger_read_to_end_of_input,
    exit_waits_for_logger_in_restart_delay,
    exit_does_not_wait_for_logger_that_is_down,
    unrunnable_logger_is_reported,
    unwritable_file_is_a_warning,
    partly_written_record_is_never_shown,
    a_failing_fork_is_a_warning,
    service_inherits_from_runsv,
);

interop!(
    second_copy_in_directory_is_fatal,
    directory_moves_to_other_implementation,
    svc_and_svstat_work_on_runsv,
);

/// The state of a service as runsv writes it: pid present, paused, want, got
/// TERM, activity; and the line of `stat`.
type Told = (bool, u8, char, u8, u8, String);

/// Reads the state of a service from the files of runsv, without the label.
fn told(sandbox: &Sandbox, service: &str) -> Told {
    let record = sandbox.read(format!("{service}/supervise/status"));
    assert_eq!(record.len(), 20);
    let line = String::from_utf8(sandbox.read(format!("{service}/supervise/stat"))).unwrap();
    (
        record[12..16] != [0; 4],
        record[16],
        char::from(record[17]),
        record[18],
        record[19],
        line,
    )
}

/// Waits for a state of a service: the bytes of the record after the pid, and
/// the line without its newline.
#[track_caller]
pub(super) fn wait_for(sandbox: &Sandbox, service: &str, bytes: (u8, char, u8, u8), line: &str) {
    let (paused, want, term, activity) = bytes;
    let wanted = (
        activity != 0,
        paused,
        want,
        term,
        activity,
        format!("{line}\n"),
    );
    let mut last = None;
    sandbox.wait_until(&format!("{service} is {wanted:?}"), || {
        let there = sandbox.exists(format!("{service}/supervise/status"));
        last = there.then(|| told(sandbox, service));
        last.as_ref() == Some(&wanted)
    });
}

/// Waits until a service is up.
#[track_caller]
pub(super) fn wait_until_up(sandbox: &Sandbox, service: &str) {
    wait_for(sandbox, service, (0, 'u', 0, 1), "run");
}

/// Starts runsv on the service directory `s` and waits until it is there.
pub(super) fn runsv(sandbox: &Sandbox) -> Running {
    sandbox.start_supervisor("runsv", "s")
}

/// Sends letters to a service.
#[track_caller]
fn send(sandbox: &Sandbox, service: &str, letters: &str) {
    let script = format!("printf {letters} >{service}/supervise/control");
    sandbox.sh(&script).succeeds();
}

/// Waits until the file `s/trace` has these words, or lines.
#[track_caller]
fn wait_for_trace(sandbox: &Sandbox, wanted: &str) {
    let wanted: Vec<_> = wanted.split_whitespace().collect();
    let script = "cat s/trace 2>/dev/null";
    sandbox.wait_for(script, |trace| {
        trace.split_whitespace().eq(wanted.iter().copied())
    });
}

/// A service, a logger or a `finish` that appends its arguments and signals to
/// the file `trace`.
fn recorder(name: &str) -> String {
    let signals = "HUP ALRM INT QUIT USR1 USR2 TERM CONT";
    format!(
        "#!/usr/bin/perl\nmy $dir = -d 'log' ? '.' : -e '../log' ? '..' : '.';\n\
         sub trace {{ open my $f, '>>', \"$dir/trace\"; print $f \"@_\\n\"; close $f }}\n\
         $SIG{{$_}} = sub {{ trace($_[0]) }} for qw({signals});\n\
         trace('{name}', @ARGV);\nsleep 1000 while 1;\n"
    )
}

/// A program in `control` that leaves its name in the trace.
fn control(sandbox: &Sandbox, letters: &str, code: i32) {
    for letter in letters.chars() {
        let script = format!("#!/bin/sh\necho \"$0\" >>trace\nexit {code}\n");
        sandbox.script(format!("s/control/{letter}"), &script);
    }
}

/// A logger that appends its input to the file `kept`.
const LOGGER: &str = "#!/bin/sh\nexec cat >>kept\n";

const ALL: &str = "pchaiq12tkoudx";

fn wrong_argument_count_prints_usage(sandbox: &Sandbox) {
    for words in ["", " a b", " -- a"] {
        sandbox
            .sh(&format!("runsv{words}"))
            .is(1, "", "usage: runsv dir\n\n");
    }
}

fn a_missing_directory_is_fatal(sandbox: &Sandbox) {
    for word in ["nope", "--", "-x", ""] {
        sandbox.sh(&format!("runsv '{word}'")).is(
            111,
            "",
            format!("runsv {word}: fatal: unable to change to directory: file does not exist\n"),
        );
    }
}

fn obstructing_file_is_reported(sandbox: &Sandbox) {
    let cases = [
        (
            "mkdir -p s/supervise/lock",
            "unable to open supervise/lock: is a directory",
        ),
        (
            ": >s/supervise",
            "unable to open supervise/lock: not a directory",
        ),
        (
            "ln -s supervise s/supervise",
            "unable to open supervise/lock: symbolic link loop",
        ),
        (
            "ln -s /nonexistent/a s/supervise",
            "unable to open supervise/lock: file does not exist",
        ),
        (
            "mkdir s/log; ln -s /nonexistent/a s/log/supervise",
            "unable to open log/supervise/lock: file does not exist",
        ),
        (
            "mkdir s/log; : >s/log/supervise",
            "unable to open log/supervise/lock: not a directory",
        ),
        (
            "mkdir -p s/log/supervise/lock",
            "unable to open log/supervise/lock: is a directory",
        ),
        (
            "mkdir -p s/supervise/control",
            "supervise/control exists but is not a fifo",
        ),
        (
            "mkdir s/supervise; : >s/supervise/control",
            "supervise/control exists but is not a fifo",
        ),
        (
            "mkdir s/supervise; ln -s control s/supervise/control",
            "unable to stat supervise/control: symbolic link loop",
        ),
        (
            "mkdir s/supervise; ln -s nowhere s/supervise/control",
            "unable to stat supervise/control: file does not exist",
        ),
    ];
    for (prepare, complaint) in cases {
        sandbox
            .sh(&format!("rm -rf s; mkdir s; {prepare}"))
            .succeeds();
        sandbox
            .sh("runsv s")
            .is(111, "", format!("runsv s: fatal: {complaint}\n"));
    }
}

fn missing_permissions_are_reported(sandbox: &Sandbox) {
    if !testkit::is_root("missing_permissions_are_reported") {
        return;
    }
    sandbox.script("s/run", SLEEPER);
    let denied = |prepare: &str, complaint: &str| {
        sandbox.sh(prepare).succeeds();
        let outcome = sandbox.sh("exec setpriv --reuid 65534 --clear-groups runsv s");
        outcome.is(111, "", format!("runsv s: fatal: unable to {complaint}\n"));
    };
    denied(":", "open supervise/lock: file does not exist");
    denied(
        "mkdir -m 700 s/supervise",
        "open supervise/lock: access denied",
    );
    denied(
        "chown 65534 s/supervise; mkfifo -m 0 s/supervise/control",
        "open supervise/control: access denied",
    );
    denied(
        "chown 65534 s/supervise/control; chmod 400 s/supervise/control",
        "open supervise/control: access denied",
    );
    denied(
        "chmod 600 s/supervise/control; mkfifo -m 0 s/supervise/ok",
        "read supervise/ok: access denied",
    );
    denied(
        "rm s/supervise/ok; mkdir -m 0 s/log",
        "readlink ./log/supervise: access denied",
    );
    denied(
        "chmod 755 s/log",
        "open log/supervise/lock: file does not exist",
    );
    denied("chmod 0 s", "change to directory: access denied");
}

fn descriptor_exhaustion_is_fatal(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.sh("ulimit -n 4; exec runsv s").is(
        111,
        "",
        "runsv s: fatal: unable to create selfpipe: process cannot open more files\n",
    );
}

fn supervise_files_have_documented_modes(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/log/run", LOGGER);
    let _runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    wait_until_up(sandbox, "s/log");
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .unwrap()
        .unwrap()
        .name;
    for (service, others) in [("s", 1), ("s/log", 0)] {
        let pid = sandbox.service(service).to_string();
        assert_eq!(
            sandbox.read(format!("{service}/supervise/pid")),
            format!("{pid}\n").as_bytes()
        );
        let listing = sandbox.listing(&format!("{service}/supervise"));
        assert_eq!(
            listing,
            format!(
                "prw------- {me} 0 control\n-rw------- {me} 0 lock\nprw------- {me} 0 ok\n\
                 -rw-r--r-- {me} {} pid\n-rw-r--r-- {me} 4 stat\n-rw-r--r-- {me} 20 status\n",
                pid.len() + 1,
            )
        );
        let directories = sandbox.sh(&format!(
            "find {service} -mindepth 1 -type d -printf '%M %f\\n' | grep -c supervise"
        ));
        directories.prints(format!("{}\n", others + 1));
    }
}

fn dangling_supervise_link_becomes_directory(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/log/run", LOGGER);
    sandbox
        .sh("ln -s ../elsewhere s/supervise; ln -s ../../elsewhere.log s/log/supervise")
        .succeeds();
    let _runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    wait_until_up(sandbox, "s/log");
    sandbox
        .sh("stat -c '%a %F' elsewhere elsewhere.log")
        .prints("700 directory\n700 directory\n");
    sandbox
        .sh("ls elsewhere")
        .prints("control\nlock\nok\npid\nstat\nstatus\n");
}

fn down_file_prevents_start(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/log/run", LOGGER);
    sandbox.write("s/down", "");
    sandbox.write("s/log/down", "");
    let _runsv = runsv(sandbox);
    wait_for(sandbox, "s", (0, 'd', 0, 0), "down");
    wait_for(sandbox, "s/log", (0, 'd', 0, 0), "down");
    assert_eq!(sandbox.read("s/supervise/pid"), b"");
    assert!(!sandbox.exists("s/log/supervise/pid"));
    send(sandbox, "s", "u");
    wait_until_up(sandbox, "s");
    wait_for(sandbox, "s/log", (0, 'd', 0, 0), "down");
    send(sandbox, "s/log", "u");
    wait_until_up(sandbox, "s/log");
}

fn unreadable_down_and_log_count_as_absent(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.sh("ln -s down s/down; ln -s log s/log").succeeds();
    let first = runsv(sandbox);
    wait_until_up(sandbox, "s");
    assert_eq!(
        first.stderr(),
        b"runsv s: warning: unable to stat() ./log: : symbolic link loop\n"
    );
    send(sandbox, "s", "x");
    first.wait().exits(0);
    sandbox.sh("rm s/log; : >s/log").succeeds();
    let second = runsv(sandbox);
    wait_until_up(sandbox, "s");
    assert_eq!(
        second.stderr(),
        b"runsv s: warning: ./log: not a directory.\n"
    );
}

fn status_record_has_documented_bytes(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let _runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    let record = sandbox.read("s/supervise/status");
    let seconds = u64::from_be_bytes(record[..8].try_into().unwrap()) - (1 << 62) - 10;
    assert!(
        (before..=before + 60).contains(&seconds),
        "{seconds} is not now, {before}"
    );
    assert_eq!(
        u32::from_be_bytes(record[8..12].try_into().unwrap()) % 1000,
        500
    );
    let running = format!("/proc/{}/cmdline", sandbox.service("s"));
    sandbox.wait_until("the pid is that of the service", || {
        std::fs::read(&running).unwrap() == b"sleep\x001000\0"
    });
}

fn label_is_time_of_start_and_of_down(sandbox: &Sandbox) {
    let label = || sandbox.read("s/supervise/status")[..12].to_vec();
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/finish", SLEEPER);
    let _runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    let started = label();
    send(sandbox, "s", "d");
    wait_for(sandbox, "s", (0, 'd', 0, 2), "finish, want down");
    // The start of finish does not change the label.
    assert_eq!(label(), started);
    kill(sandbox.service("s"), Signal::SIGKILL).unwrap();
    wait_for(sandbox, "s", (0, 'd', 0, 0), "down");
    assert!(label() > started);
}

fn each_command_has_its_effect(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    for (letter, bytes, line) in [
        ("p", (1, 'u', 0, 1), "run, paused"),
        ("c", (0, 'u', 0, 1), "run"),
        ("o", (0, 'd', 0, 1), "run, want down"),
        ("u", (0, 'u', 0, 1), "run"),
        ("p", (1, 'u', 0, 1), "run, paused"),
        ("d", (1, 'd', 0, 0), "down, paused"),
        ("p", (1, 'd', 0, 0), "down, paused"),
        ("c", (0, 'd', 0, 0), "down"),
        ("o", (0, 'd', 0, 1), "run, want down"),
        ("u", (0, 'u', 0, 1), "run"),
        ("o", (0, 'd', 0, 1), "run, want down"),
        ("k", (0, 'd', 0, 0), "down"),
    ] {
        send(sandbox, "s", letter);
        wait_for(sandbox, "s", bytes, line);
    }
    send(sandbox, "s", "x");
    runsv.wait().succeeds();
    assert_eq!(told(sandbox, "s").5, "down\n");
}

fn each_letter_sends_its_signal(sandbox: &Sandbox) {
    sandbox.script("s/run", &recorder("run"));
    let _runsv = runsv(sandbox);
    wait_for_trace(sandbox, "run");
    let mut trace = String::from("run");
    for (letter, signals) in [
        ("h", "HUP"),
        ("a", "ALRM"),
        ("i", "INT"),
        ("q", "QUIT"),
        ("1", "USR1"),
        ("2", "USR2"),
        ("c", "CONT"),
        ("t", "TERM"),
        ("o", ""),
        ("u", ""),
        ("z", ""),
        ("w", ""),
    ] {
        send(sandbox, "s", letter);
        trace = format!("{trace} {signals}");
        wait_for_trace(sandbox, &trace);
    }
    wait_for(sandbox, "s", (0, 'u', 1, 1), "run, got TERM");
    send(sandbox, "s", "d");
    wait_for(sandbox, "s", (0, 'd', 1, 1), "run, got TERM, want down");
    send(sandbox, "s", "x");
    wait_for(sandbox, "s", (0, 'd', 1, 1), "run, got TERM, want exit");
    send(sandbox, "s", "u");
    wait_for(sandbox, "s", (0, 'u', 1, 1), "run, got TERM");
    send(sandbox, "s", "p");
    wait_for(sandbox, "s", (1, 'u', 1, 1), "run, paused, got TERM");
    send(sandbox, "s", "k");
    wait_for(sandbox, "s", (0, 'u', 0, 1), "run");
}

fn pending_exit_can_be_cancelled(sandbox: &Sandbox) {
    sandbox.script("s/run", &recorder("run"));
    let mut runsv = runsv(sandbox);
    wait_for_trace(sandbox, "run");
    for (letter, line) in [
        ("d", "run, got TERM, want down"),
        ("o", "run, got TERM, want down"),
    ] {
        send(sandbox, "s", "x");
        wait_for(sandbox, "s", (0, 'd', 1, 1), "run, got TERM, want exit");
        send(sandbox, "s", letter);
        wait_for(sandbox, "s", (0, 'd', 1, 1), line);
    }
    send(sandbox, "s", "k");
    wait_for(sandbox, "s", (0, 'd', 0, 0), "down");
    assert!(runsv.runs());
}

fn term_is_a_command_to_exit(sandbox: &Sandbox) {
    sandbox.script("s/run", &recorder("run"));
    let runsv = runsv(sandbox);
    wait_for_trace(sandbox, "run");
    runsv.signal(Signal::SIGTERM);
    wait_for(sandbox, "s", (0, 'd', 1, 1), "run, got TERM, want exit");
    send(sandbox, "s", "k");
    runsv.wait().succeeds();
}

fn other_signals_do_not_stop_the_service(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGUSR1,
        Signal::SIGPIPE,
        Signal::SIGALRM,
    ] {
        let runsv = runsv(sandbox);
        wait_until_up(sandbox, "s");
        runsv.signal(signal);
        assert_eq!(runsv.wait().signal(), Some(signal as i32));
        kill(sandbox.service("s"), Signal::SIGKILL).unwrap();
        // Until its exec, the service holds the lock of runsv.
        sandbox.wait_until("the lock is free", || {
            sandbox.sh("svok s").code() == Some(100)
        });
    }
}

fn finish_receives_exit_status(sandbox: &Sandbox) {
    for (ending, arguments) in [
        ("exit 0", "0 0"),
        ("exit 3", "3 0"),
        ("exit 255", "255 0"),
        ("kill -TERM $$", "-1 15"),
        ("kill -KILL $$", "-1 9"),
        ("kill -40 $$", "-1 40"),
        ("exec /nonexistent", "127 0"),
    ] {
        sandbox.sh("rm -rf s").succeeds();
        sandbox.script(
            "s/run",
            &format!("#!/bin/sh\necho run $# >>trace\n{ending}\n"),
        );
        sandbox.script("s/finish", "#!/bin/sh\necho \"$0\" $* >>trace\n");
        sandbox.write("s/down", "");
        let runsv = runsv(sandbox);
        send(sandbox, "s", "o");
        wait_for_trace(sandbox, &format!("run 0 ./finish {arguments}"));
        send(sandbox, "s", "x");
        runsv.wait().exits(0);
    }
}

fn unrunnable_run_is_reported_and_finished(sandbox: &Sandbox) {
    let check = |prepare: &str, complaint: &str| {
        sandbox
            .sh(&format!("rm -rf s; mkdir s; {prepare}"))
            .succeeds();
        sandbox.write("s/down", "");
        let runsv = runsv(sandbox);
        send(sandbox, "s", "o");
        let line = format!("runsv s: fatal: unable to start {complaint}\n");
        sandbox.wait_until(&line, || runsv.stderr() == line.as_bytes());
        send(sandbox, "s", "x");
        runsv.wait().exits(0);
    };
    let finish = "printf '#!/bin/sh\\necho $* >>trace\\n' >s/finish; chmod 755 s/finish";
    check(finish, "./run: file does not exist");
    assert_eq!(sandbox.read("s/trace"), b"111 0\n");
    check(": >s/run", "./run: access denied");
    check(
        ": >s/run; echo >s/run; chmod 755 s/run",
        "./run: exec format error",
    );
    check(
        "printf '#!/bin/sh\\n' >s/run; chmod 755 s/run; : >s/finish",
        "./finish: access denied",
    );
}

fn unopenable_finish_counts_as_absent(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.sh("ln -s finish s/finish").succeeds();
    let runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    send(sandbox, "s", "d");
    wait_for(sandbox, "s", (0, 'd', 0, 0), "down");
    assert_eq!(runsv.stderr(), b"");
}

fn finish_gets_no_signals(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/finish", &recorder("finish"));
    let _runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    send(sandbox, "s", "t");
    wait_for_trace(sandbox, "finish -1 15");
    send(sandbox, "s", "haiq12tc");
    for (letter, bytes, line) in [
        ("p", (1, 'u', 0, 2), "finish, paused"),
        ("c", (0, 'u', 0, 2), "finish"),
        ("o", (0, 'd', 0, 2), "finish, want down"),
        ("u", (0, 'u', 0, 2), "finish"),
        ("d", (0, 'd', 0, 2), "finish, want down"),
        ("x", (0, 'd', 0, 2), "finish, want exit"),
        ("d", (0, 'd', 0, 2), "finish, want down"),
    ] {
        send(sandbox, "s", letter);
        wait_for(sandbox, "s", bytes, line);
    }
    wait_for_trace(sandbox, "finish -1 15");
    // A signal from elsewhere would have been seen.
    kill(sandbox.service("s"), Signal::SIGHUP).unwrap();
    wait_for_trace(sandbox, "finish -1 15 HUP");
    kill(sandbox.service("s"), Signal::SIGKILL).unwrap();
    wait_for(sandbox, "s", (0, 'd', 0, 0), "down");
}

fn kill_during_finish_lets_runsv_exit(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/finish", &recorder("finish"));
    let runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    send(sandbox, "s", "x");
    wait_for_trace(sandbox, "finish -1 15");
    wait_for(sandbox, "s", (0, 'd', 0, 2), "finish, want exit");
    let finish = sandbox.service("s");
    send(sandbox, "s", "k");
    runsv.wait().succeeds();
    kill(finish, Signal::SIGHUP).unwrap();
    wait_for_trace(sandbox, "finish -1 15 HUP");
}

fn short_lived_service_restarts_after_a_second(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\ndate +%s%N >>starts\n");
    sandbox.script("s/finish", "#!/bin/sh\ndate +%s%N >>ends\n");
    let _runsv = runsv(sandbox);
    let moments = |name: &str| -> Vec<u64> {
        let text = std::fs::read_to_string(sandbox.path(name)).unwrap_or_default();
        text.split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n')?.parse().ok())
            .collect()
    };
    sandbox.wait_until("the service has started three times", || {
        moments("s/starts").len() >= 3
    });
    // The second is counted from the end of finish.
    for (start, end) in moments("s/starts")[1..].iter().zip(moments("s/ends")) {
        assert!(start - end > 900_000_000, "{start} {end}");
    }
}

fn the_umask_applies(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let _runsv = sandbox.start(sandbox.shell("umask 077; exec runsv s"));
    sandbox.wait_until("it runs", || sandbox.is_supervised("s"));
    wait_until_up(sandbox, "s");
    sandbox
        .sh("stat -c '%a %n' s/supervise/status s/supervise/stat s/supervise/pid")
        .prints("600 s/supervise/status\n600 s/supervise/stat\n600 s/supervise/pid\n");
}

fn control_programs_replace_signals(sandbox: &Sandbox) {
    sandbox.script("s/run", &recorder("run"));
    control(sandbox, ALL, 0);
    let _runsv = runsv(sandbox);
    let mut trace = String::from("control/u run");
    wait_for_trace(sandbox, &trace);
    for (letter, traced) in [
        ("p", "control/p"),
        ("c", "control/c"),
        ("h", "control/h"),
        ("a", "control/a"),
        ("i", "control/i"),
        ("q", "control/q"),
        ("1", "control/1"),
        ("2", "control/2"),
        ("t", "control/t"),
        ("o", ""),
        ("u", ""),
        ("k", "control/k"),
    ] {
        send(sandbox, "s", letter);
        trace = format!("{trace} {traced}");
        wait_for_trace(sandbox, &trace);
    }
    wait_until_up(sandbox, "s");
}

fn failing_control_program_lets_signal_pass(sandbox: &Sandbox) {
    sandbox.script("s/run", &recorder("run"));
    control(sandbox, ALL, 1);
    let _runsv = runsv(sandbox);
    let mut trace = String::from("control/u run");
    wait_for_trace(sandbox, &trace);
    for (letter, traced) in [
        ("c", "control/c CONT"),
        ("h", "control/h HUP"),
        ("a", "control/a ALRM"),
        ("i", "control/i INT"),
        ("q", "control/q QUIT"),
        ("1", "control/1 USR1"),
        ("2", "control/2 USR2"),
        ("t", "control/t TERM"),
    ] {
        send(sandbox, "s", letter);
        trace = format!("{trace} {traced}");
        wait_for_trace(sandbox, &trace);
    }
    wait_for(sandbox, "s", (0, 'u', 1, 1), "run, got TERM");
    send(sandbox, "s", "p");
    wait_for(sandbox, "s", (1, 'u', 1, 1), "run, paused, got TERM");
    send(sandbox, "s", "k");
    wait_for_trace(
        sandbox,
        &format!("{trace} control/p control/k control/u run"),
    );
}

fn non_executable_control_program_is_skipped(sandbox: &Sandbox) {
    sandbox.script("s/run", &recorder("run"));
    control(sandbox, "h", 0);
    sandbox.mode("s/control/h", 0o644);
    let runsv = runsv(sandbox);
    wait_for_trace(sandbox, "run");
    send(sandbox, "s", "h");
    wait_for_trace(sandbox, "run HUP");
    sandbox.script("s/control/h", "no interpreter\n");
    send(sandbox, "s", "h");
    wait_for_trace(sandbox, "run HUP HUP");
    // The message does not name the program.
    assert_eq!(
        runsv.stderr(),
        b"runsv s: fatal: unable to run control/?: exec format error\n"
    );
    sandbox.sh("rm s/control/h; ln -s h s/control/h").succeeds();
    send(sandbox, "s", "h");
    wait_for_trace(sandbox, "run HUP HUP HUP");
    let stderr = String::from_utf8(runsv.stderr()).unwrap();
    assert!(
        stderr.ends_with("runsv s: warning: unable to stat control/h: symbolic link loop\n"),
        "{stderr}"
    );
}

fn control_program_may_stop_service_itself(sandbox: &Sandbox) {
    // The program for t replaces TERM, and CONT follows in any case; d or x
    // comes last.
    sandbox.script("s/run", &recorder("run"));
    control(sandbox, "dx", 1);
    sandbox.script(
        "s/control/t",
        "#!/bin/sh\necho \"$0\" >>trace\ncat supervise/stat >>trace\n",
    );
    let runsv = runsv(sandbox);
    wait_for_trace(sandbox, "run");
    // CONT may arrive before or after the next signal.
    let sorted = || {
        let trace = String::from_utf8(sandbox.read("s/trace")).unwrap();
        let mut lines: Vec<_> = trace.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    send(sandbox, "s", "d");
    let seen = ["CONT", "control/d", "control/t", "run", "run, want down"];
    sandbox.wait_until("it is asked to stay down", || sorted() == seen);
    sandbox.write("s/trace", "");
    send(sandbox, "s", "t");
    let seen = ["CONT", "control/d", "control/t", "run, want down"];
    sandbox.wait_until("it is asked again", || sorted() == seen);
    sandbox.write("s/trace", "");
    send(sandbox, "s", "x");
    let seen = ["CONT", "control/t", "control/x", "run, want exit"];
    sandbox.wait_until("it is asked to exit", || sorted() == seen);
    kill(sandbox.service("s"), Signal::SIGKILL).unwrap();
    runsv.wait().succeeds();
}

fn run_finish_and_control_write_to_logger(sandbox: &Sandbox) {
    let says = |name: &str| format!("#!/bin/sh\necho {name} out; echo {name} err >&2\n");
    sandbox.script("s/run", &(says("run") + "exec sleep 1000\n"));
    sandbox.script("s/finish", &says("finish"));
    sandbox.script("s/control/h", &says("control"));
    sandbox.script(
        "s/log/run",
        &format!(
            "#!/bin/sh\necho log out; echo log err >&2\n{}",
            &LOGGER[10..]
        ),
    );
    let runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    sandbox.wait_until("run has written both lines", || {
        String::from_utf8_lossy(&runsv.stderr()).contains("run err\n")
    });
    send(sandbox, "s", "h");
    send(sandbox, "s", "x");
    let outcome = runsv.wait();
    assert_eq!(
        sandbox.read("s/log/kept"),
        b"run out\ncontrol out\nfinish out\n"
    );
    assert_eq!(outcome.stdout, b"log out\n");
    let mut lines: Vec<_> = outcome.stderr.split(|&byte| byte == b'\n').collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            &b""[..],
            b"control err",
            b"finish err",
            b"log err",
            b"run err"
        ]
    );
}

fn logger_starts_first_and_stays(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\ncat log/supervise/stat\nexec sleep 1000\n",
    );
    sandbox.script("s/log/run", LOGGER);
    let _runsv = runsv(sandbox);
    sandbox.wait_until("the service tells", || {
        sandbox.exists("s/log/kept") && sandbox.read("s/log/kept") == b"run\n"
    });
    let logger = sandbox.service("s/log");
    send(sandbox, "s", "k");
    sandbox.wait_until("the output appears again", || {
        sandbox.read("s/log/kept") == b"run\nrun\n"
    });
    assert_eq!(sandbox.service("s/log"), logger);
}

fn no_line_is_lost_while_logger_is_down(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\nwhile :; do n=$((n + 1)); echo $n; sleep 0.01; done\n",
    );
    sandbox.script("s/log/run", LOGGER);
    let runsv = runsv(sandbox);
    let kept = || {
        String::from_utf8(std::fs::read(sandbox.path("s/log/kept")).unwrap_or_default()).unwrap()
    };
    sandbox.wait_until("there is a log", || kept().lines().count() > 3);
    // With the service stopped, the logger holds no unwritten line when it is
    // killed.
    send(sandbox, "s", "p");
    wait_for(sandbox, "s", (1, 'u', 0, 1), "run, paused");
    let is_in_state = |service: &str, state: &str| {
        let status = format!("/proc/{}/status", sandbox.service(service));
        std::fs::read_to_string(status).is_ok_and(|status| status.contains(state))
    };
    sandbox.wait_until("the logger waits for input", || {
        is_in_state("s", "State:\tT") && is_in_state("s/log", "State:\tS")
    });
    send(sandbox, "s/log", "d");
    wait_for(sandbox, "s/log", (0, 'd', 0, 0), "down");
    let before = kept().lines().count();
    send(sandbox, "s", "c");
    send(sandbox, "s/log", "u");
    sandbox.wait_until("the log grows", || kept().lines().count() > before + 3);
    send(sandbox, "s", "x");
    runsv.wait().exits(0);
    let kept = kept();
    let numbers: Vec<usize> = kept.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len()), "{kept}");
}

fn runsv_sleeps_while_logger_ends(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/log/run", SLEEPER);
    let runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    runsv.signal(Signal::SIGTERM);
    wait_for(sandbox, "s", (0, 'd', 0, 0), "down");
    wait_for(sandbox, "s/log", (0, 'd', 0, 1), "run, want exit");
    runsv.signal(Signal::SIGTERM);
    wait_until_asleep(sandbox, &runsv);
    kill(sandbox.service("s/log"), Signal::SIGKILL).unwrap();
    runsv.wait().succeeds();
}

fn the_logger_has_its_own_control(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/log/run", &recorder("log"));
    // runsv ignores finish and the programs in control for loggers.
    sandbox.script("s/log/finish", "#!/bin/sh\necho finish >>../trace\n");
    sandbox.script("s/log/control/h", "#!/bin/sh\necho control >>../trace\n");
    sandbox.script("s/control/h", "#!/bin/sh\necho control >>trace\n");
    let _runsv = runsv(sandbox);
    let mut trace = String::from("log");
    wait_for_trace(sandbox, &trace);
    for (letter, signals) in [
        ("h", "HUP"),
        ("a", "ALRM"),
        ("i", "INT"),
        ("q", "QUIT"),
        ("1", "USR1"),
        ("2", "USR2"),
        ("c", "CONT"),
        ("t", "TERM"),
        ("x", ""),
    ] {
        send(sandbox, "s/log", letter);
        trace = format!("{trace} {signals}");
        wait_for_trace(sandbox, &trace);
    }
    wait_for(sandbox, "s/log", (0, 'u', 1, 1), "run, got TERM");
    send(sandbox, "s/log", "p");
    wait_for(sandbox, "s/log", (1, 'u', 1, 1), "run, paused, got TERM");
    send(sandbox, "s/log", "o");
    wait_for(
        sandbox,
        "s/log",
        (1, 'd', 1, 1),
        "run, paused, got TERM, want down",
    );
    send(sandbox, "s/log", "k");
    wait_for(sandbox, "s/log", (1, 'd', 0, 0), "down, paused");
    wait_for_trace(sandbox, &trace);
    wait_until_up(sandbox, "s");
}

fn exit_lets_logger_read_to_end_of_input(sandbox: &Sandbox) {
    sandbox.script("s/run", &recorder("run"));
    sandbox.script(
        "s/log/run",
        "#!/bin/sh\ncat >kept\necho end >>kept\nuntil [ -e go ]; do sleep 0.02; done\n",
    );
    let runsv = runsv(sandbox);
    wait_for_trace(sandbox, "run");
    send(sandbox, "s", "x");
    wait_for(sandbox, "s", (0, 'd', 1, 1), "run, got TERM, want exit");
    wait_until_up(sandbox, "s/log");
    send(sandbox, "s", "k");
    wait_for(sandbox, "s", (0, 'd', 0, 0), "down");
    wait_for(sandbox, "s/log", (0, 'd', 0, 1), "run, want exit");
    sandbox.wait_until("it is at its end", || {
        std::fs::read(sandbox.path("s/log/kept")).is_ok_and(|kept| kept == b"end\n")
    });
    sandbox.write("s/log/go", "");
    runsv.wait().succeeds();
    assert_eq!(told(sandbox, "s/log").5, "down\n");
}

fn exit_waits_for_logger_in_restart_delay(sandbox: &Sandbox) {
    let run = "#!/bin/sh\necho one\n: >written\nexec sleep 1000\n";
    sandbox.script("s/run", run);
    // The first logger leaves the line in the pipe.
    let log = "#!/bin/sh\n[ -e died ] && exec cat >kept\n\
        until [ -e ../written ]; do sleep 0.01; done\n: >died\n";
    sandbox.script("s/log/run", log);
    let runsv = sandbox.start(sandbox.shell("exec runsv s"));
    sandbox.wait_until("the logger has died", || {
        let pid = || sandbox.read("s/log/supervise/pid");
        sandbox.exists("s/log/died") && (pid().is_empty() || sandbox.exists("s/log/kept"))
    });
    runsv.signal(Signal::SIGTERM);
    runsv.wait().succeeds();
    assert_eq!(sandbox.read("s/log/kept"), b"one\n");
}

fn up_command_does_not_restart_ending_logger(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let log = "#!/bin/sh\ncat\n: >ended\nuntil [ -e go ]; do sleep 0.02; done\n";
    sandbox.script("s/log/run", log);
    let runsv = sandbox.start_supervisor("runsv", "s");
    sandbox.service("s");
    runsv.signal(Signal::SIGTERM);
    sandbox.wait_until("the logger ends", || sandbox.exists("s/log/ended"));
    sandbox.sh("svc -u s/log").succeeds();
    sandbox.wait_until("the logger is wanted up", || {
        sandbox.read("s/log/supervise/status")[17] == b'u'
    });
    sandbox.write("s/log/go", "");
    runsv.wait().succeeds();
}

fn exit_does_not_wait_for_logger_that_is_down(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/log/run", LOGGER);
    sandbox.write("s/log/down", "");
    let runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    send(sandbox, "s", "x");
    runsv.wait().succeeds();
    assert_eq!(told(sandbox, "s/log").5, "down\n");
}

fn unrunnable_logger_is_reported(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.sh("mkdir s/log").succeeds();
    let runsv = runsv(sandbox);
    let line = b"runsv s: fatal: unable to start log/./run: file does not exist\n";
    sandbox.wait_until("the warning is written", || {
        runsv.stderr().starts_with(line)
    });
    wait_until_up(sandbox, "s");
}

fn unwritable_file_is_a_warning(sandbox: &Sandbox) {
    for (prepare, complaint) in [
        ("s/supervise/status.new", "open supervise/status.new"),
        ("s/supervise/stat.new", "open supervise/stat.new"),
        ("s/supervise/pid.new", "open supervise/pid.new"),
        (
            "s/supervise/status/full",
            "rename status.new to supervise/status",
        ),
        ("s/supervise/stat/full", "rename stat.new to supervise/stat"),
        ("s/supervise/pid/full", "rename pid.new to supervise/pid"),
    ] {
        sandbox
            .sh(&format!("rm -rf s; mkdir -p {prepare}"))
            .succeeds();
        sandbox.script("s/run", SLEEPER);
        let running = runsv(sandbox);
        let line = format!("runsv s: warning: unable to {complaint}: is a directory\n");
        sandbox.wait_until(&line, || running.stderr().starts_with(line.as_bytes()));
        send(sandbox, "s", "x");
        running.wait().exits(0);
    }
}

fn partly_written_record_is_never_shown(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let line = b"runsv s: warning: unable to write supervise/status.new: partial write.\n";
    let running = supervise_with_short_files(sandbox, "runsv", line);
    assert!(!sandbox.exists("s/supervise/status"));
    // runit dies of SIGXFSZ when `stat` exceeds the limit.
    running.kill();
}

fn a_failing_fork_is_a_warning(sandbox: &Sandbox) {
    if !testkit::is_root("a_failing_fork_is_a_warning") {
        return;
    }
    sandbox.script("s/run", SLEEPER);
    sandbox.sh("chown -R 65533 s").succeeds();
    let runsv = sandbox.start(
        sandbox.shell("exec setpriv --reuid 65533 --clear-groups prlimit --nproc=0 runsv s"),
    );
    sandbox.wait_until("the warning is written", || !runsv.stderr().is_empty());
    assert_eq!(
        runsv.stderr().escape_ascii().to_string(),
        "runsv s: warning: unable to fork, sleeping: temporary failure\\n"
    );
    wait_for(sandbox, "s", (0, 'u', 0, 0), "down");
}

fn service_inherits_from_runsv(sandbox: &Sandbox) {
    let launch = "umask 027; exec env -i B=1 PATH=\"$PATH\" A=2 perl -MPOSIX -e '$SIG{HUP} = \
        $SIG{TERM} = \"IGNORE\"; \
        sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGCHLD, SIGUSR2, SIGTERM)); exec @ARGV' ";
    let direct = probe_alone(sandbox, launch);
    assert!(
        direct.contains("SigBlk:\t0000000000014800\n") && direct.contains("4081\nSigCgt"),
        "{direct}"
    );
    let _runsv = sandbox.start(sandbox.shell(&format!("{launch} runsv s")));
    // TERM and CHLD are let through, and have their default action.
    let wanted = direct.replace("SigBlk:\t0000000000014800", "SigBlk:\t0000000000000800");
    assert_eq!(
        probed(sandbox),
        wanted.replace("4081\nSigCgt", "0081\nSigCgt")
    );
}

fn second_copy_in_directory_is_fatal(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let first = sandbox.start(sandbox.shell("exec \"$FIRST/runsv\" s"));
    sandbox.wait_until("runsv runs", || sandbox.is_supervised("s"));
    sandbox.sh("\"$THEN/runsv\" s").is(
        111,
        "",
        "runsv s: fatal: unable to lock supervise/lock: temporary failure\n",
    );
    sandbox.sh("\"$THEN/supervise\" s").is(
        111,
        "",
        "supervise: fatal: unable to acquire s/supervise/lock: temporary failure\n",
    );
    sandbox.sh("sv exit ./s").succeeds();
    first.wait().succeeds();
}

fn directory_moves_to_other_implementation(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/log/run", LOGGER);
    let first = sandbox.start(sandbox.shell("exec \"$FIRST/runsv\" s"));
    sandbox.wait_until("runsv runs", || sandbox.is_supervised("s"));
    wait_until_up(sandbox, "s");
    let orphan = sandbox.service("s");
    first.kill();
    // Until its exec, a child holds the descriptors of runsv.
    sandbox.wait_until("ok has no reader", || {
        sandbox.sh("svok s").code() == Some(100)
    });
    let second = sandbox.start(sandbox.shell("exec \"$THEN/runsv\" s"));
    sandbox.wait_until("it has its own service", || sandbox.service("s") != orphan);
    kill(orphan, Signal::SIGKILL).unwrap();
    wait_until_up(sandbox, "s");
    sandbox.sh("sv exit ./s").succeeds();
    second.wait().succeeds();
}

fn svc_and_svstat_work_on_runsv(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    assert_eq!(sandbox.sh("svstat s").masked(), "s: up (pid P) S seconds\n");
    sandbox.sh("svc -p s").succeeds();
    wait_for(sandbox, "s", (1, 'u', 0, 1), "run, paused");
    assert_eq!(
        sandbox.sh("svstat s").masked(),
        "s: up (pid P) S seconds, paused\n"
    );
    sandbox.sh("svc -d s").succeeds();
    wait_for(sandbox, "s", (1, 'd', 0, 0), "down, paused");
    assert_eq!(
        sandbox.sh("svstat s").masked(),
        "s: down S seconds, normally up\n"
    );
    sandbox.sh("svc -o s").succeeds();
    wait_for(sandbox, "s", (0, 'd', 0, 1), "run, want down");
    assert_eq!(
        sandbox.sh("svstat s").masked(),
        "s: up (pid P) S seconds, want down\n"
    );
    sandbox.sh("svc -dx s").succeeds();
    runsv.wait().succeeds();
    sandbox.sh("svstat s").prints("s: supervise not running\n");
}
