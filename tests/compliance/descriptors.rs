//! The descriptors that each program of a service inherits, as in the table of
//! service-directory(5).

use std::fs;

use nix::sys::signal::Signal;
use testkit::{Running, Sandbox, compliance, ours};

compliance!(
    run_inherits_descriptors_of_supervise,
    svscan_connects_service_and_logger,
    runsv_programs_inherit_descriptors_of_run,
    runsvdir_passes_its_descriptors_to_runsv,
    processor_of_multilog_has_log_and_state,
    processor_of_svlogd_has_log_and_state,
);

ours!(
    programs_beside_run_have_an_empty_input,
    readiness_and_lock_are_for_run_alone,
    logger_alone_reads_the_log,
);

/// The rows of the table: programs, descriptors 0 and 1, and further ones. The
/// tests below hold each row.
const TABLE: [[&str; 4]; 7] = [
    ["run", "inherited", "inherited", "notification-fd, lock-fd"],
    ["run, with a logger", "inherited", "pipe", "the same"],
    ["log/run", "pipe", "inherited", "the same"],
    [
        "start, stop, finish, check, notify",
        "/dev/null",
        "as run",
        "none",
    ],
    ["the same of log", "/dev/null", "as log/run", "none"],
    [
        "finish and control programs of runsv",
        "as run",
        "as run",
        "none",
    ],
    ["processor of a logger", "finished file", "old file", "4, 5"],
];

#[test]
fn the_manual_shows_the_table() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/service-directory.5");
    let page = fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once(".Ss Inherited descriptors\n").unwrap();
    let (table, _) = table.split_once(".El\n").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix(".It "));
    let plain = |row: &str| row.replace(['"'], "").replace(" Ta ", "\t");
    let rows: Vec<_> = rows.skip(1).map(plain).collect();
    let expected = TABLE.map(|row| row.join("\t"));
    assert_eq!(rows, expected);
}

/// A script that writes its descriptors to `lists/NAME`, and then executes the
/// rest of the script. The first list stays.
fn lister(sandbox: &Sandbox, name: &str, rest: &str) -> String {
    let root = sandbox.dir().canonicalize().unwrap();
    let root = root.display();
    // Meanwhile the shell of the script waits, and has no descriptor of its own
    // but that of the script, which is 10 or higher and closed at exec.
    format!(
        "#!/bin/sh\n\
        sh -c 'ls -l /proc/$PPID/fd >{root}/lists/{name}.$PPID'\n\
        ln {root}/lists/{name}.$$ {root}/lists/{name} 2>/dev/null\n\
        rm {root}/lists/{name}.$$\n{rest}\n"
    )
}

/// Writes listers: a path and the rest of its script. The name of each list is
/// the path with `-` for `/`.
fn write_listers(sandbox: &Sandbox, listers: &[(&str, &str)]) {
    fs::create_dir_all(sandbox.path("lists")).unwrap();
    for file in ["in", "out", "err", "seven"] {
        sandbox.write(file, "");
    }
    for (path, rest) in listers {
        let list = lister(sandbox, &path.replace('/', "-"), rest);
        sandbox.script(path, &list);
    }
}

/// Starts a program with a file on each of the descriptors 0, 1, 2 and 7.
fn start(sandbox: &Sandbox, line: &str) -> Running {
    let line = format!("exec {line} <in >out 2>err 7<seven");
    sandbox.start(sandbox.shell(&line))
}

/// Waits until a lister has run, and compares its descriptors, with names
/// relative to the sandbox.
#[track_caller]
fn assert_descriptors(sandbox: &Sandbox, list: &str, expected: &str) {
    let path = sandbox.path("lists").join(list);
    sandbox.wait_until(&format!("{list} has run"), || path.exists());
    let text = fs::read_to_string(path).unwrap();
    let root = sandbox.dir().canonicalize().unwrap();
    let root = format!("{}/", root.display());
    let mut descriptors = Vec::new();
    for line in text.lines() {
        // Such as `lr-x------ 1 user user 64 Nov 28 18:28 0 -> /dev/null`.
        let Some((mode, file)) = line.split_once(" -> ") else {
            continue;
        };
        let number: u8 = mode.rsplit(' ').next().unwrap().parse().unwrap();
        let file = file.strip_prefix(&root).unwrap_or(file);
        let file = if file.starts_with("pipe:") {
            "pipe"
        } else {
            file
        };
        if number < 10 {
            descriptors.push(format!("{number}={file}"));
        }
    }
    assert_eq!(descriptors.join(" "), expected, "{list}");
}

/// Sends commands in one write.
fn command(sandbox: &Sandbox, dir: &str, letters: &str) {
    let line = format!("printf {letters} >{dir}/supervise/control");
    sandbox.sh(&line).succeeds();
}

const STAY: &str = "exec sleep 1000";
const READ: &str = "exec cat >/dev/null";

fn run_inherits_descriptors_of_supervise(sandbox: &Sandbox) {
    write_listers(sandbox, &[("s/run", STAY)]);
    let _supervise = start(sandbox, "supervise s");
    assert_descriptors(sandbox, "s-run", "0=in 1=out 2=err 7=seven");
}

fn svscan_connects_service_and_logger(sandbox: &Sandbox) {
    let listers = [
        ("scan/s/run", STAY),
        ("scan/s/log/run", READ),
        ("scan/t/run", STAY),
    ];
    write_listers(sandbox, &listers);
    let _svscan = start(sandbox, "svscan scan");
    assert_descriptors(sandbox, "scan-t-run", "0=in 1=out 2=err 7=seven");
    assert_descriptors(sandbox, "scan-s-run", "0=in 1=pipe 2=err 7=seven");
    assert_descriptors(sandbox, "scan-s-log-run", "0=pipe 1=out 2=err 7=seven");
}

fn runsv_programs_inherit_descriptors_of_run(sandbox: &Sandbox) {
    let refuse = "exit 1";
    write_listers(
        sandbox,
        &[
            ("s/run", STAY),
            ("s/log/run", READ),
            ("s/finish", ""),
            ("s/control/u", refuse),
            ("s/control/t", refuse),
            ("s/control/c", refuse),
            ("s/control/x", refuse),
        ],
    );
    let runsv = start(sandbox, "runsv s");
    assert_descriptors(sandbox, "s-run", "0=in 1=pipe 2=err 7=seven");
    assert_descriptors(sandbox, "s-log-run", "0=pipe 1=out 2=err 7=seven");
    sandbox.service("s");
    command(sandbox, "s", "cx");
    for list in [
        "s-control-u",
        "s-control-c",
        "s-control-t",
        "s-control-x",
        "s-finish",
    ] {
        assert_descriptors(sandbox, list, "0=in 1=pipe 2=err 7=seven");
    }
    runsv.wait().is(0, "", "");
}

fn runsvdir_passes_its_descriptors_to_runsv(sandbox: &Sandbox) {
    write_listers(sandbox, &[("scan/s/run", STAY), ("scan/s/log/run", READ)]);
    // With a log in its arguments, runsvdir reads the standard error.
    for (log, stderr) in [("", "err"), ("log:", "pipe")] {
        let log = log.to_owned() + &".".repeat(9 * log.len());
        let runsvdir = start(sandbox, &format!("runsvdir scan {log}"));
        let wanted = format!("0=in 1=pipe 2={stderr} 7=seven");
        assert_descriptors(sandbox, "scan-s-run", &wanted);
        let wanted = format!("0=pipe 1=out 2={stderr} 7=seven");
        assert_descriptors(sandbox, "scan-s-log-run", &wanted);
        runsvdir.signal(Signal::SIGHUP);
        runsvdir.wait().exits(111);
        let is_over = || !sandbox.is_supervised("scan/s");
        sandbox.wait_until("runsv has exited", is_over);
        // A notify may still rename its list.
        sandbox.sh("rm -f lists/*").succeeds();
    }
}

fn processor_of_multilog_has_log_and_state(sandbox: &Sandbox) {
    write_listers(sandbox, &[("processor", "cat")]);
    let line = "yes | head -n 4000 | exec multilog s4096 !../processor ./main 2>err 7<seven";
    sandbox.sh(line).succeeds();
    let wanted = "0=main/previous 1=main/processed 2=err 4=main/state 5=main/newstate 7=seven";
    assert_descriptors(sandbox, "processor", wanted);
}

fn processor_of_svlogd_has_log_and_state(sandbox: &Sandbox) {
    write_listers(sandbox, &[("processor", "cat")]);
    sandbox.write("main/config", "s4096\n!../processor\n");
    let line = "yes | head -n 4000 | exec svlogd main 2>err 7<seven";
    sandbox.sh(line).succeeds();
    let list = fs::read_to_string(sandbox.path("lists/processor")).unwrap();
    let label = list
        .split_once("main/@")
        .unwrap()
        .1
        .split_once('.')
        .unwrap();
    let log = format!("main/@{}", label.0);
    let wanted = format!("0={log}.u 1={log}.t 2=err 4=main/state 5=main/newstate 7=seven");
    assert_descriptors(sandbox, "processor", &wanted);
}

/// All programs of a service under supervise -e.
const PROGRAMS: [(&str, &str); 6] = [
    ("s/run", STAY),
    ("s/start", ""),
    ("s/stop", ""),
    ("s/finish", ""),
    ("s/check", ""),
    ("s/notify", ""),
];

fn programs_beside_run_have_an_empty_input(sandbox: &Sandbox) {
    // The service may have no standard input: then supervise has none, either.
    for (input, wanted) in [("<in", "0=in "), ("<&-", "")] {
        write_listers(sandbox, &PROGRAMS);
        sandbox.write("s/check-interval", "10");
        let line = format!("exec supervise -e s {input} >out 2>err 7<seven");
        let supervise = sandbox.start(sandbox.shell(&line));
        let wanted = format!("{wanted}1=out 2=err 7=seven");
        assert_descriptors(sandbox, "s-run", &wanted);
        let empty = "0=/dev/null 1=out 2=err 7=seven";
        for list in ["s-start", "s-notify", "s-check"] {
            assert_descriptors(sandbox, list, empty);
        }
        command(sandbox, "s", "dx");
        for list in ["s-finish", "s-stop"] {
            assert_descriptors(sandbox, list, empty);
        }
        supervise.wait().is(0, "", "");
        // A notify may still rename its list.
        sandbox.sh("rm -f lists/*").succeeds();
    }
}

fn readiness_and_lock_are_for_run_alone(sandbox: &Sandbox) {
    write_listers(sandbox, &PROGRAMS);
    sandbox.write("s/check-interval", "10");
    sandbox.write("s/notification-fd", "5");
    sandbox.write("s/lock-fd", "6");
    let _supervise = start(sandbox, "supervise -e s");
    let wanted = "0=in 1=out 2=err 5=pipe 6=s/supervise/service-lock 7=seven";
    assert_descriptors(sandbox, "s-run", wanted);
    for list in ["s-start", "s-notify", "s-check", "s-finish", "s-stop"] {
        if list == "s-finish" {
            command(sandbox, "s", "d");
        }
        assert_descriptors(sandbox, list, "0=/dev/null 1=out 2=err 7=seven");
    }
}

fn logger_alone_reads_the_log(sandbox: &Sandbox) {
    let listers = [
        (
            "scan/s/run",
            "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo line; done; >done; exec sleep 1000",
        ),
        ("scan/s/finish", "cat"),
        ("scan/s/notify", "cat"),
        // The first logger reads nothing, so that it loses no line when it is killed.
        (
            "scan/s/log/run",
            "[ -e second ] && exec cat >>kept; >second; exec sleep 1000",
        ),
        ("scan/s/log/finish", "cat >>eaten"),
        ("scan/s/log/notify", "cat >>eaten"),
    ];
    write_listers(sandbox, &listers);
    let svscan = start(sandbox, "svscan -e scan");
    assert_descriptors(sandbox, "scan-s-run", "0=in 1=pipe 2=err 7=seven");
    assert_descriptors(sandbox, "scan-s-log-run", "0=pipe 1=out 2=err 7=seven");
    assert_descriptors(sandbox, "scan-s-notify", "0=/dev/null 1=pipe 2=err 7=seven");
    assert_descriptors(
        sandbox,
        "scan-s-log-notify",
        "0=/dev/null 1=out 2=err 7=seven",
    );
    sandbox.wait_until("all lines are written", || sandbox.exists("scan/s/done"));
    sandbox.wait_until("the next logger is a second one", || {
        sandbox.exists("scan/s/log/second")
    });
    // Between the two runs of the logger, the pipe has all lines for finish and notify.
    let logger = sandbox.service("scan/s/log");
    command(sandbox, "scan/s/log", "t");
    sandbox.wait_until("the logger is started again", || {
        sandbox.service("scan/s/log") != logger
    });
    svscan.signal(Signal::SIGTERM);
    svscan.wait().exits(0);
    assert_descriptors(sandbox, "scan-s-finish", "0=/dev/null 1=pipe 2=err 7=seven");
    assert_descriptors(
        sandbox,
        "scan-s-log-finish",
        "0=/dev/null 1=out 2=err 7=seven",
    );
    assert_eq!(
        sandbox.read("scan/s/log/kept"),
        "line\n".repeat(100).as_bytes()
    );
    assert_eq!(sandbox.read("scan/s/log/eaten"), b"");
}
