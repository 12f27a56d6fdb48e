use std::fmt::Write;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use testkit::{Outcome, SLEEPER, Sandbox, compliance, interop};

use super::runsv::{runsv, wait_for, wait_until_up};
use super::{supervise, wait_for_status};

const VERSION: &str = "$Id: 900314260c6d52c986c5357673bea2f3bd3f4698 $\n";

compliance!(
    usage,
    more_services_than_descriptors_are_accepted,
    unreachable_services_are_reported_and_counted,
    the_record_must_be_whole,
    status_line_has_every_clause,
    unreadable_down_counts_as_absent,
    status_includes_logger,
    names_and_paths,
    words_send_their_letters,
    command_is_not_sent_in_wanted_state,
    full_fifo_does_not_block,
    wait_timeout_is_reported,
    exit_succeeds_without_runsv,
    check_says_whether_the_service_is_available,
    unrunnable_check_is_a_warning,
    other_program_name_acts_as_init_script,
    init_script_status_code_follows_logger,
    closed_output_is_not_a_failure,
    unopenable_current_directory_is_fatal,
);

interop!(
    commands_control_a_running_service,
    wait_includes_finish_and_logger,
    force_commands_kill_after_timeout,
    record_of_supervise_is_refused,
);

/// A status record of runsv, made without a runsv.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    pub(crate) pid: u32,
    pub(crate) want: u8,
    pub(crate) paused: u8,
    pub(crate) got_term: u8,
    pub(crate) activity: u8,
}

/// A service that runs, and is to.
pub(crate) const RUNS: Record = Record {
    pid: 77,
    want: b'u',
    paused: 0,
    got_term: 0,
    activity: 1,
};

const DOWN: Record = Record {
    pid: 0,
    activity: 0,
    ..RUNS
};

impl Record {
    /// The bytes on disk; the label is one of the future, so that no seconds
    /// pass.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0x4f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(self.pid.to_le_bytes());
        bytes.extend([self.paused, self.want, self.got_term, self.activity]);
        bytes
    }
}

/// The FIFOs of a service without a runsv, held open as runsv does.
pub(crate) struct Held {
    _ok: std::os::fd::OwnedFd,
    control: std::os::fd::OwnedFd,
}

impl Held {
    /// Takes and returns the bytes sent to the service.
    pub(crate) fn letters(&self) -> String {
        let mut letters = [0; 64];
        let length = nix::unistd::read(&self.control, &mut letters).unwrap_or(0);
        String::from_utf8_lossy(&letters[..length]).into_owned()
    }
}

/// Creates a service with this record and the FIFOs of a running runsv.
pub(crate) fn pretend(sandbox: &Sandbox, service: &str, record: Record) -> Held {
    sandbox.write(format!("{service}/supervise/status"), record.bytes());
    let hold = |name: &str| {
        let fifo = sandbox.path(format!("{service}/supervise/{name}"));
        let _ = nix::unistd::mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR);
        open(
            &fifo,
            OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .unwrap()
    };
    Held {
        _ok: hold("ok"),
        control: hold("control"),
    }
}

/// The commands of an init script.
pub(crate) const INIT_WORDS: [&str; 11] = [
    "start",
    "stop",
    "restart",
    "reload",
    "shutdown",
    "check",
    "try-restart",
    "force-stop",
    "force-reload",
    "force-restart",
    "force-shutdown",
];

const USAGE: &str = "usage: sv [-v] [-w sec] command service ...\n\n";

/// Standard output with the pids and seconds of sv masked.
fn masked(outcome: &Outcome) -> String {
    let text = outcome.text();
    let mut masked = String::new();
    let mut digits = String::new();
    for character in text.chars().chain(['\n']) {
        match character {
            '0'..='9' => digits.push(character),
            's' | ')' if !digits.is_empty() => {
                digits.clear();
                masked.push('N');
                masked.push(character);
            }
            other => {
                masked.push_str(&std::mem::take(&mut digits));
                masked.push(other);
            }
        }
    }
    masked.pop();
    masked
}

/// Asserts the exit code of a script of sv, and its output with pids and
/// seconds masked.
#[track_caller]
fn says(sandbox: &Sandbox, script: &str, code: i32, wanted: &str) {
    let outcome = sandbox.sh(script);
    assert_eq!(
        (
            outcome.code(),
            masked(&outcome).as_str(),
            outcome.error_text().as_str()
        ),
        (Some(code), wanted, ""),
        "{script}"
    );
}

fn usage(sandbox: &Sandbox) {
    for words in [
        "",
        "status",
        "foo",
        "foo ./s",
        "'' ./s",
        "-v",
        "-w 1",
        "-w status",
        "-w 1 status",
        "reloa ./s",
        "force-x ./s",
        "force ./s",
        "restartx ./s",
        "log ./s",
    ] {
        sandbox.sh(&format!("sv {words}")).is(100, "", USAGE);
    }
    sandbox
        .sh("sv -x status s")
        .is(100, "", format!("sv: illegal option -- x\n{USAGE}"));
    sandbox.sh("sv -w").is(
        100,
        "",
        format!("sv: option requires an argument -- w\n{USAGE}"),
    );
    for words in ["-V", "-V -x", "-vV status s", "-w 1 -V status s"] {
        sandbox
            .sh(&format!("sv {words}"))
            .is(100, "", format!("{VERSION}{USAGE}"));
    }
    sandbox.sh("ln -s $THEN/sv zz; ./zz -V").is(
        2,
        "",
        format!("{VERSION}usage: zz [-w sec] command\n\n"),
    );
}

fn more_services_than_descriptors_are_accepted(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let _runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    let names: Vec<_> = (0..60).map(|n| format!("./l{n}")).collect();
    sandbox
        .sh(&format!(
            "for l in {}; do ln -s s $l; done",
            names.join(" ")
        ))
        .succeeds();
    let outcome = sandbox.sh(&format!(
        "ulimit -n 12; exec sv -w 60 stop {}",
        names.join(" ")
    ));
    assert_eq!(
        (outcome.code(), outcome.error_text().as_str()),
        (Some(0), ""),
        "{outcome:?}"
    );
    assert_eq!(
        outcome.text().matches("ok: down: ./l").count(),
        names.len(),
        "{outcome:?}"
    );
}

fn unreachable_services_are_reported_and_counted(sandbox: &Sandbox) {
    sandbox.write("file", "");
    sandbox
        .sh(
            "ln -s loop loop; mkdir s; mkdir -p no/supervise; mkfifo no/supervise/ok; \
        mkdir -p d/supervise/ok",
        )
        .succeeds();
    let told = "fail: ./nope: unable to change to service directory: file does not exist\n\
        fail: ./file: unable to change to service directory: not a directory\n\
        fail: ./loop: unable to change to service directory: symbolic link loop\n\
        warning: ./s: unable to open supervise/ok: file does not exist\n\
        fail: ./no: runsv not running\n\
        warning: ./d: unable to open supervise/ok: is a directory\n";
    for word in ["status", "up", "-v hup", "start", "-w 0 force-stop"] {
        sandbox
            .sh(&format!("sv {word} ./nope ./file ./loop ./s ./no ./d"))
            .is(6, told, "");
    }
    let many = sandbox.sh("sv status $(yes ./nope | head -150)");
    assert_eq!((many.code(), many.text().lines().count()), (Some(99), 150));
}

fn the_record_must_be_whole(sandbox: &Sandbox) {
    let _held = pretend(sandbox, "s", RUNS);
    sandbox
        .sh("sv status ./s")
        .prints("run: ./s: (pid 77) 0s\n");
    sandbox
        .sh("printf xxxx >>s/supervise/status; sv status ./s")
        .prints("run: ./s: (pid 77) 0s\n");
    for length in [0, 18, 19] {
        sandbox.write("s/supervise/status", &RUNS.bytes()[..length]);
        for word in ["status", "up"] {
            sandbox.sh(&format!("sv {word} ./s")).is(
                1,
                "warning: ./s: unable to read supervise/status: bad format\n",
                "",
            );
        }
    }
    sandbox.sh("rm s/supervise/status; sv status ./s").is(
        1,
        "warning: ./s: unable to open supervise/status: file does not exist\n",
        "",
    );
}

fn status_line_has_every_clause(sandbox: &Sandbox) {
    let _held = pretend(sandbox, "s", RUNS);
    let say = |record: Record| {
        sandbox.write("s/supervise/status", record.bytes());
        let outcome = sandbox.sh("sv status ./s");
        assert_eq!(
            (outcome.code(), outcome.error_text()),
            (Some(0), String::new())
        );
        outcome.text()
    };
    assert_eq!(say(RUNS), "run: ./s: (pid 77) 0s\n");
    assert_eq!(
        say(Record {
            activity: 2,
            ..RUNS
        }),
        "finish: ./s: (pid 77) 0s\n"
    );
    assert_eq!(
        say(Record {
            activity: 7,
            ..RUNS
        }),
        "./s: (pid 77) 0s\n"
    );
    assert_eq!(
        say(Record {
            pid: u32::MAX,
            ..RUNS
        }),
        "run: ./s: (pid 18446744073709551615) 0s\n"
    );
    assert_eq!(
        say(Record {
            paused: 1,
            want: b'd',
            got_term: 1,
            ..RUNS
        }),
        "run: ./s: (pid 77) 0s, paused, want down, got TERM\n"
    );
    assert_eq!(
        say(Record {
            pid: 0,
            activity: 2,
            want: b'd',
            paused: 1,
            got_term: 1
        }),
        "finish: ./s: (pid 0) 0s, normally up\n"
    );
    assert_eq!(say(DOWN), "down: ./s: 0s, normally up, want up\n");
    assert_eq!(
        say(Record {
            want: b'd',
            paused: 1,
            ..DOWN
        }),
        "down: ./s: 0s, normally up\n"
    );
    sandbox.write("s/down", "");
    assert_eq!(say(DOWN), "down: ./s: 0s, want up\n");
    assert_eq!(say(RUNS), "run: ./s: (pid 77) 0s, normally down\n");
    assert_eq!(
        say(Record { paused: 1, ..RUNS }),
        "run: ./s: (pid 77) 0s, normally down, paused\n"
    );
}

fn unreadable_down_counts_as_absent(sandbox: &Sandbox) {
    let _held = pretend(sandbox, "s", RUNS);
    sandbox.sh("ln -s down s/down").succeeds();
    sandbox.sh("sv status ./s").is(
        0,
        "\n",
        "warning: unable to stat ./s/down: symbolic link loop\n",
    );
    sandbox.sh("sv -v hup ./s").is(
        0,
        "ok: \n",
        "warning: unable to stat ./s/down: symbolic link loop\n",
    );
}

fn status_includes_logger(sandbox: &Sandbox) {
    let _held = pretend(sandbox, "s", RUNS);
    let logger = pretend(sandbox, "s/log", Record { pid: 78, ..RUNS });
    sandbox
        .sh("sv status ./s")
        .prints("run: ./s: (pid 77) 0s; run: log: (pid 78) 0s\n");
    sandbox
        .sh("sv -v hup ./s")
        .prints("ok: run: ./s: (pid 77) 0s\n");
    sandbox
        .sh("sv status ./s/log")
        .prints("run: ./s/log: (pid 78) 0s\n");
    sandbox.write("s/log/down", "");
    sandbox
        .sh("sv status ./s")
        .prints("run: ./s: (pid 77) 0s; run: log: (pid 78) 0s, normally down\n");
    sandbox
        .sh("rm s/log/down; ln -s down s/log/down")
        .succeeds();
    sandbox.sh("sv status ./s").is(
        0,
        "run: ./s: (pid 77) 0s; \n",
        "warning: unable to stat ./s/down: symbolic link loop\n",
    );
    sandbox.sh("rm s/log/down").succeeds();
    // An unreadable record shows as the record before.
    let told = |script: &str, told: &str| {
        sandbox
            .sh(script)
            .is(1, format!("run: ./s: (pid 77) 0s; {told}"), "");
    };
    told(
        "printf x >s/log/supervise/status; sv status ./s",
        "warning: ./s/log: unable to read supervise/status: bad format\nrun: log: (pid 77) 0s\n",
    );
    told(
        "rm s/log/supervise/status; sv status ./s",
        "warning: ./s/log: unable to open supervise/status: file does not exist\n\
            run: log: (pid 77) 0s\n",
    );
    drop(logger);
    // Until its exec, a child of another test may hold the descriptor.
    let gone = || {
        sandbox
            .sh("sv status ./s/log")
            .text()
            .ends_with("runsv not running\n")
    };
    sandbox.wait_until("nobody holds it", gone);
    told("sv status ./s", "fail: ./s/log: runsv not running\n");
    told(
        "rm -r s/log/supervise; sv status ./s",
        "warning: ./s/log: unable to open supervise/ok: file does not exist\n\
            run: log: (pid 77) 0s\n",
    );
    told(
        "rmdir s/log; : >s/log; sv status ./s",
        "warning: ./s/log: unable to change directory: not a directory\n",
    );
    told(
        "rm s/log; ln -s log s/log; sv status ./s",
        "warning: ./s/log: unable to change directory: symbolic link loop\n",
    );
}

fn names_and_paths(sandbox: &Sandbox) {
    let _held = [
        pretend(sandbox, "a", RUNS),
        pretend(sandbox, "sv/a", DOWN),
        pretend(sandbox, "sv/b", RUNS),
    ];
    let run = |name: &str| format!("run: {name}: (pid 77) 0s\n");
    let nope = |name: &str| {
        format!("fail: {name}: unable to change to service directory: file does not exist\n")
    };
    let down = "down: a: 0s, normally up, want up\n";
    sandbox
        .sh("SVDIR=sv sv status a b a/ ./a sv/b sv/b/ c ''")
        .is(
            3,
            [
                down,
                &run("b"),
                &run("a/"),
                &run("./a"),
                &nope("sv/b"),
                &run("sv/b/"),
                &nope("c"),
                &nope(""),
            ]
            .concat(),
            "",
        );
    sandbox.sh("SVDIR=$PWD/sv/ sv status a").prints(down);
    sandbox.sh("SVDIR=. sv status a .").is(
        1,
        run("a") + "warning: .: unable to open supervise/ok: file does not exist\n",
        "",
    );
    sandbox
        .sh("SVDIR=/nonexistent sv status a ./a")
        .is(1, nope("a") + &run("./a"), "");
    sandbox.sh("SVDIR= sv status a").is(1, nope("a"), "");
    sandbox.sh("cd sv/b; sv status . ../a").is(
        0,
        "run: .: (pid 77) 0s\ndown: ../a: 0s, normally up, want up\n",
        "",
    );
}

fn words_send_their_letters(sandbox: &Sandbox) {
    let held = pretend(sandbox, "s", Record { want: 0, ..RUNS });
    let mut sent = String::new();
    for word in [
        "up",
        "uzz",
        "down",
        "d",
        "once",
        "ok",
        "pause",
        "p",
        "cont",
        "c",
        "checkx",
        "hup",
        "alarm",
        "a",
        "interrupt",
        "i",
        "quit",
        "q",
        "1",
        "1x",
        "2",
        "term",
        "t",
        "try",
        "kill",
        "k",
        "exit",
        "e",
        "x",
        "status",
        "s",
        "stat",
        "startx",
        "shutdow",
    ] {
        sandbox.sh(&format!("sv {word} ./s >/dev/null")).succeeds();
        writeln!(sent, "{word} {}", held.letters()).unwrap();
    }
    assert_eq!(
        sent,
        "up u\nuzz u\ndown d\nd d\nonce o\nok o\npause p\np p\ncont c\nc c\ncheckx c\nhup h\n\
            alarm a\na a\ninterrupt i\ni i\n\
         quit q\nq q\n1 1\n1x 1\n2 2\nterm t\nt t\ntry t\nkill k\nk k\nexit x\ne x\nx x\n\
         status \ns \nstat \nstartx \nshutdow \n"
    );
    let mut sent = String::new();
    for word in INIT_WORDS {
        let code = sandbox
            .sh(&format!("sv -w 0 {word} ./s >/dev/null"))
            .code()
            .unwrap();
        writeln!(sent, "{word} {} {code}", held.letters()).unwrap();
    }
    assert_eq!(
        sent,
        "start u 0\nstop d 1\nrestart tcu 0\nreload h 0\nshutdown x 1\ncheck  0\ntry-restart tc 0\n\
         force-stop dk 1\nforce-reload tc 0\nforce-restart tcu 0\nforce-shutdown xk 1\n"
    );
}

fn command_is_not_sent_in_wanted_state(sandbox: &Sandbox) {
    for (word, record, letters) in [
        ("up", RUNS, ""),
        ("up", DOWN, ""),
        ("up", Record { want: b'd', ..RUNS }, "u"),
        ("down", RUNS, "d"),
        ("down", Record { want: b'd', ..RUNS }, "d"),
        (
            "down",
            Record {
                want: b'd',
                got_term: 1,
                ..RUNS
            },
            "",
        ),
        ("once", Record { want: b'd', ..RUNS }, "o"),
        ("restart", RUNS, "tcu"),
    ] {
        let held = pretend(sandbox, "s", record);
        sandbox.sh(&format!("sv -w 0 {word} ./s >/dev/null")).code();
        assert_eq!(held.letters(), letters, "{word}");
    }
}

fn full_fifo_does_not_block(sandbox: &Sandbox) {
    let held = pretend(sandbox, "s", RUNS);
    while nix::unistd::write(&held.control, &[b'z'; 4096]).is_ok() {}
    sandbox.sh("sv hup ./s").is(
        1,
        "warning: ./s: unable to write to supervise/control: temporary failure\n",
        "",
    );
    sandbox.sh("rm s/supervise/control; sv hup ./s").is(
        1,
        "warning: ./s: unable to open supervise/control: file does not exist\n",
        "",
    );
    sandbox.sh("mkfifo s/supervise/control; sv hup ./s").is(
        1,
        "fail: ./s: runsv not running\n",
        "",
    );
}

fn wait_timeout_is_reported(sandbox: &Sandbox) {
    let a = pretend(sandbox, "a", RUNS);
    let b = pretend(sandbox, "b", DOWN);
    let down = "down: ./b: 0s, normally up, want up\n";
    sandbox.sh("sv -w 0 start ./a ./nope ./b").is(
        2,
        format!(
            "fail: ./nope: unable to change to service directory: file does not exist\n\
            ok: run: ./a: (pid 77) 0s\ntimeout: {down}"
        ),
        "",
    );
    sandbox.sh("SVWAIT=0 sv force-restart ./a ./b").is(
        1,
        format!("ok: run: ./a: (pid 77) 0s\nkill: {down}"),
        "",
    );
    assert_eq!(
        (a.letters(), b.letters()),
        ("tcu".to_owned(), "tcuk".to_owned())
    );
    sandbox
        .sh("SVWAIT=1000 sv -w0x start ./b")
        .is(1, format!("timeout: {down}"), "");
    sandbox
        .sh("SVWAIT=x sv start ./b")
        .is(1, format!("timeout: {down}"), "");
    sandbox
        .sh("SVWAIT=1 sv -v up ./b")
        .is(1, format!("timeout: {down}"), "");
}

fn exit_succeeds_without_runsv(sandbox: &Sandbox) {
    sandbox
        .sh("mkdir -p s/supervise; mkfifo s/supervise/ok")
        .succeeds();
    for word in ["exit", "-v exit", "shutdown", "force-shutdown"] {
        sandbox
            .sh(&format!("sv {word} ./s"))
            .prints("ok: ./s: runsv not running\n");
    }
    for word in ["up", "stop", "force-stop", "check", "status", "-v kill"] {
        sandbox
            .sh(&format!("sv {word} ./s"))
            .is(1, "fail: ./s: runsv not running\n", "");
    }
}

fn check_says_whether_the_service_is_available(sandbox: &Sandbox) {
    let _held = pretend(sandbox, "s", RUNS);
    let check = |code: i32| {
        sandbox.script(
            "s/check",
            &format!(
                "#!/bin/sh\necho \"$0\" >>ran\necho $(pwd -P) >>ran\necho err >&2\nexit {code}\n"
            ),
        );
    };
    check(0);
    for word in [
        "check",
        "start",
        "restart",
        "-v up",
        "-v term",
        "-v kill",
        "try-restart",
    ] {
        let outcome = sandbox.sh(&format!("sv {word} ./s"));
        assert_eq!(
            (outcome.code(), outcome.text().as_str()),
            (Some(0), "ok: run: ./s: (pid 77) 0s\n"),
            "{word}"
        );
        assert!(outcome.error_text().starts_with("err\n"));
    }
    let here = sandbox.path("s").canonicalize().unwrap();
    let ran = String::from_utf8(sandbox.read("s/ran")).unwrap();
    assert!(
        ran.starts_with(&format!("./check\n{}\n", here.display()))
            || ran.starts_with(&format!("check\n{}\n", here.display())),
        "{ran}"
    );
    check(3);
    for word in ["check", "start", "restart"] {
        let outcome = sandbox.sh(&format!("sv -w 0 {word} ./s 2>/dev/null"));
        outcome.is(1, "timeout: run: ./s: (pid 77) 0s\n", "");
    }
    sandbox.sh("rm s/ran").succeeds();
    for word in [
        "stop", "-v once", "-v cont", "reload", "status", "up", "term",
    ] {
        sandbox.sh(&format!("sv -w 0 {word} ./s")).code();
    }
    // Only -w makes a difference for the last two.
    assert!(sandbox.exists("s/ran"));
    sandbox
        .sh("rm s/ran; sv up ./s; sv hup ./s; sv -w 0 stop ./s")
        .code();
    assert!(!sandbox.exists("s/ran"));
    sandbox.write("s/supervise/status", DOWN.bytes());
    sandbox
        .sh("sv check ./s")
        .prints("ok: down: ./s: 0s, normally up, want up\n");
    assert!(!sandbox.exists("s/ran"));
}

fn unrunnable_check_is_a_warning(sandbox: &Sandbox) {
    let _held = pretend(sandbox, "s", RUNS);
    let ok = "ok: run: ./s: (pid 77) 0s\n";
    sandbox.script("s/check", "no interpreter\n");
    sandbox.sh("sv check ./s").is(
        0,
        ok,
        "warning: unable to run ./s/check: exec format error\n",
    );
    sandbox.mode("s/check", 0o644);
    sandbox
        .sh("sv check ./s")
        .is(0, ok, "warning: unable to run ./s/check: access denied\n");
    sandbox.script("s/check", "#!/bin/sh\nkill -9 $$\n");
    sandbox.sh("sv check ./s").prints(ok);
    sandbox.script(
        "s/check",
        "#!/bin/sh\necho lost 2>/dev/null && exit 1\nexit 0\n",
    );
    sandbox.sh("sv check ./s").prints(ok);
    sandbox.sh("rm s/check; ln -s check s/check").succeeds();
    let outcome = sandbox.sh("sv -w 0 check ./s");
    assert_eq!(
        (outcome.code(), outcome.text().as_str()),
        (Some(1), "timeout: run: ./s: (pid 77) 0s\n")
    );
    assert!(
        outcome
            .error_text()
            .starts_with("warning: unable to stat ./s/check: symbolic link loop\n")
    );
}

fn other_program_name_acts_as_init_script(sandbox: &Sandbox) {
    let _held = [
        pretend(sandbox, "sv/up", RUNS),
        pretend(sandbox, "sv/dn", DOWN),
    ];
    sandbox
        .sh(
            "mkdir -p init.d sv/no/supervise sv/none; mkfifo sv/no/supervise/ok; \
        for name in up dn no none nope; do ln -s $THEN/sv init.d/$name; done",
        )
        .succeeds();
    let script = |words: &str, code: i32, stdout: &str| {
        sandbox
            .sh(&format!("export SVDIR=sv SVWAIT=0; init.d/{words}"))
            .is(code, stdout, "");
    };
    script("up status", 0, "run: up: (pid 77) 0s\n");
    script("up start", 0, "ok: run: up: (pid 77) 0s\n");
    script("up stop", 1, "timeout: run: up: (pid 77) 0s\n");
    script("up restart", 0, "ok: run: up: (pid 77) 0s\n");
    script("up reload", 0, "ok: run: up: (pid 77) 0s\n");
    script("up hup", 0, "");
    script("up force-stop", 1, "kill: run: up: (pid 77) 0s\n");
    script("up status dn", 0, "run: up: (pid 77) 0s\n");
    script("up -w 0 stop", 1, "timeout: run: up: (pid 77) 0s\n");
    script("dn status", 3, "down: dn: 0s, normally up, want up\n");
    script("dn stop", 0, "ok: down: dn: 0s, normally up, want up\n");
    script(
        "dn start",
        1,
        "timeout: down: dn: 0s, normally up, want up\n",
    );
    script("no status", 1, "fail: no: runsv not running\n");
    script("no start", 1, "fail: no: runsv not running\n");
    script("no shutdown", 0, "ok: no: runsv not running\n");
    script(
        "none status",
        4,
        "warning: none: unable to open supervise/ok: file does not exist\n",
    );
    script(
        "none start",
        1,
        "warning: none: unable to open supervise/ok: file does not exist\n",
    );
    script(
        "nope status",
        1,
        "fail: nope: unable to change to service directory: file does not exist\n",
    );
    let usage = "usage: up [-w sec] command\n\n";
    for words in ["", " foo", " -v"] {
        sandbox.sh(&format!("init.d/up{words}")).is(2, "", usage);
    }
    sandbox
        .sh("init.d/up -x status")
        .is(2, "", format!("up: illegal option -- x\n{usage}"));
}

fn init_script_status_code_follows_logger(sandbox: &Sandbox) {
    let _held = pretend(sandbox, "sv/up", RUNS);
    let logger = pretend(sandbox, "sv/up/log", DOWN);
    sandbox
        .sh("mkdir init.d; ln -s $THEN/sv init.d/up")
        .succeeds();
    let code = |prepare: &str| {
        sandbox
            .sh(&format!(
                "{prepare}; SVDIR=sv init.d/up status >/dev/null 2>&1"
            ))
            .code()
    };
    assert_eq!(code(":"), Some(3));
    sandbox.write("sv/up/log/supervise/status", RUNS.bytes());
    assert_eq!(code(":"), Some(0));
    assert_eq!(code("ln -s down sv/up/log/down"), Some(4));
    assert_eq!(
        code("rm sv/up/log/down sv/up/log/supervise/status"),
        Some(0)
    );
    drop(logger);
    assert_eq!(code(":"), Some(0));
}

fn closed_output_is_not_a_failure(sandbox: &Sandbox) {
    let _held = pretend(sandbox, "s", RUNS);
    sandbox.sh("sv status ./s >/dev/full").succeeds();
    sandbox.sh("sv status ./s >&-").succeeds();
}

fn unopenable_current_directory_is_fatal(sandbox: &Sandbox) {
    if !testkit::is_root("unopenable_current_directory_is_fatal") {
        return;
    }
    sandbox
        .sh("mkdir s; chmod 711 s; ln -s $THEN/sv zz")
        .succeeds();
    let nobody = "cd s && exec setpriv --reuid 65534 --clear-groups";
    let fatal = "fatal: unable to open current directory: access denied\n";
    sandbox
        .sh(&format!("{nobody} sv status x"))
        .is(100, "", fatal);
    sandbox
        .sh(&format!("{nobody} ../zz status"))
        .is(151, "", fatal);
}

fn commands_control_a_running_service(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    says(sandbox, "sv status ./s", 0, "run: ./s: (pid N) Ns\n");
    says(sandbox, "sv up ./s", 0, "");
    says(
        sandbox,
        "sv -w 60 pause ./s",
        0,
        "ok: run: ./s: (pid N) Ns, paused\n",
    );
    says(
        sandbox,
        "sv -w 60 cont ./s",
        0,
        "ok: run: ./s: (pid N) Ns\n",
    );
    says(
        sandbox,
        "sv -w 60 once ./s",
        0,
        "ok: run: ./s: (pid N) Ns, want down\n",
    );
    // A service that runs fulfils `up` at once: sv may read the record before or
    // after runsv has changed it.
    let outcome = sandbox.sh("sv -w 60 up ./s");
    let line = masked(&outcome).replace(", want down\n", "\n");
    assert_eq!(line, "ok: run: ./s: (pid N) Ns\n");
    assert_eq!(
        (outcome.code(), outcome.error_text()),
        (Some(0), String::new())
    );
    wait_until_up(sandbox, "s");
    says(
        sandbox,
        "sv -w 60 stop ./s",
        0,
        "ok: down: ./s: Ns, normally up\n",
    );
    says(
        sandbox,
        "sv -w 60 start ./s",
        0,
        "ok: run: ./s: (pid N) Ns\n",
    );
    let before = sandbox.service("s");
    // Only the second of the start counts: one may see the old service.
    sandbox.wait_until("a second has passed", || !masked_is_new(sandbox));
    says(
        sandbox,
        "sv -w 60 restart ./s",
        0,
        "ok: run: ./s: (pid N) Ns\n",
    );
    assert_ne!(sandbox.service("s"), before);
    says(
        sandbox,
        "sv -w 60 force-stop ./s",
        0,
        "ok: down: ./s: Ns, normally up\n",
    );
    says(
        sandbox,
        "sv -w 60 shutdown ./s",
        0,
        "ok: ./s: runsv not running\n",
    );
    runsv.wait().succeeds();
    says(
        sandbox,
        "sv status ./s",
        1,
        "fail: ./s: runsv not running\n",
    );
}

fn wait_includes_finish_and_logger(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/finish", "#!/bin/sh\nsleep 0.7\n");
    sandbox.script("s/log/run", "#!/bin/sh\ncat\nsleep 0.7\n");
    let runsv = runsv(sandbox);
    wait_until_up(sandbox, "s");
    says(
        sandbox,
        "sv -w 60 stop ./s; sv status ./s",
        0,
        "ok: down: ./s: Ns, normally up\ndown: ./s: Ns, normally up; run: log: (pid N) Ns\n",
    );
    says(
        sandbox,
        "sv -w 60 shutdown ./s",
        0,
        "ok: ./s: runsv not running\n",
    );
    runsv.wait().succeeds();
}

fn force_commands_kill_after_timeout(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\ntrap '' TERM\necho >ready\nwhile :; do sleep 0.1; done\n",
    );
    let runsv = runsv(sandbox);
    sandbox.wait_until("the service ignores TERM", || sandbox.exists("s/ready"));
    wait_until_up(sandbox, "s");
    says(
        sandbox,
        "sv -w 3 stop ./s",
        1,
        "timeout: run: ./s: (pid N) Ns, want down, got TERM\n",
    );
    says(
        sandbox,
        "sv -w 3 force-stop ./s",
        1,
        "kill: run: ./s: (pid N) Ns, want down, got TERM\n",
    );
    wait_for(sandbox, "s", (0, 'd', 0, 0), "down");
    sandbox.sh("sv exit ./s").succeeds();
    runsv.wait().succeeds();
}

fn record_of_supervise_is_refused(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let _supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    says(
        sandbox,
        "sv status ./s",
        1,
        "warning: ./s: unable to read supervise/status: bad format\n",
    );
}

/// Whether sv reports an age of 0 seconds.
fn masked_is_new(sandbox: &Sandbox) -> bool {
    sandbox.sh("sv status ./s").text().ends_with(") 0s\n")
}
