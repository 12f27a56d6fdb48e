use super::wait_until_asleep;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Running, SLEEPER, Sandbox, compliance, interop, kill};

compliance!(
    a_missing_directory_is_fatal,
    current_directory_is_the_default,
    further_arguments_are_ignored,
    non_service_entries_are_skipped,
    unreadable_entry_is_a_warning,
    unreadable_scan_directory_is_a_warning,
    missing_supervise_is_a_warning,
    process_and_descriptor_limits_are_warnings,
    supervise_inherits_from_svscan,
    svscan_sleeps_between_scans,
    log_is_looked_up_at_first_scan_only,
    removed_entry_is_dropped_and_may_return,
    two_links_to_a_directory_are_one_service,
    killed_svscan_leaves_services_running,
);

interop!(
    a_service_and_its_logger_are_joined,
    restart_of_service_or_logger_loses_no_line,
    dead_service_keeps_the_lines_of_its_pipe,
    supervise_that_exits_is_restarted,
);

/// Starts svscan on the directory `scan`.
fn svscan(sandbox: &Sandbox) -> Running {
    sandbox.start(sandbox.shell("exec svscan scan"))
}

/// How many lines of complaint there are so far.
fn lines(running: &Running) -> usize {
    String::from_utf8_lossy(&running.stderr()).lines().count()
}

/// Waits until supervise runs in each of the directories.
#[track_caller]
fn wait_for_services(sandbox: &Sandbox, names: &[&str]) {
    for name in names {
        sandbox.wait_until(&format!("{name} is supervised"), || {
            sandbox.sh(&format!("svok {name}")).code() == Some(0)
        });
    }
}

/// The pid of the supervise of a directory: the parent of its service.
fn supervise_pid(sandbox: &Sandbox, dir: &str) -> Pid {
    let mut supervise = None;
    sandbox.wait_until(&format!("{dir} is supervised and up"), || {
        let parent = sandbox
            .sh(&format!("ps -o ppid=,comm= {}", sandbox.service(dir)))
            .text();
        supervise = parent
            .split_whitespace()
            .next()
            .and_then(|parent| parent.parse().ok());
        // The orphan of a killed supervise has another parent.
        supervise.is_some_and(|pid| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline"));
            command.is_ok_and(|command| command.starts_with(b"supervise\0"))
        })
    });
    Pid::from_raw(supervise.unwrap())
}

/// Waits until a process has a state of /proc/PID/stat: `T` stopped, `S`
/// asleep.
fn wait_for_state(sandbox: &Sandbox, pid: Pid, state: char) {
    sandbox.wait_until(&format!("{pid} is in state {state}"), || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains(&format!("State:\t{state}"))
    });
}

/// A service that numbers its lines, and a logger that keeps them.
fn counting_service(sandbox: &Sandbox, dir: &str) {
    sandbox.script(
        format!("{dir}/run"),
        "#!/bin/sh\nwhile :; do n=$((n + 1)); echo line $$ $n; sleep 0.01; done\n",
    );
    sandbox.script(format!("{dir}/log/run"), "#!/bin/sh\nexec cat >>kept\n");
}

/// A substitute for supervise that writes its arguments and inherited state to
/// the file `$OUT.ARGUMENT`.
const TELLING: &str = r#"#!/usr/bin/perl
use Cwd;
my @fds = map { readlink "/proc/self/fd/$_" } 0 .. 9;
# perl holds this script open.
@fds = map { s/^pipe:.*/pipe/r } map { s/.*sandbox.*/file/r } grep { defined && !/bin2/ } @fds;
open my $out, ">", "$ENV{OUT}.new.$ARGV[0]";
print $out "$0 @ARGV\n", getcwd, "\n", map({ "$_ $fds[$_]\n" } 0 .. $#fds), sprintf("umask %o\n", umask);
close $out;
rename "$ENV{OUT}.new.$ARGV[0]", "$ENV{OUT}.$ARGV[0]";
sleep 1000;
"#;

/// The complete lines in the log of `scan/a`.
fn kept(sandbox: &Sandbox) -> String {
    let kept = String::from_utf8(sandbox.read("scan/a/log/kept")).unwrap();
    let end = kept.rfind('\n').map_or(0, |newline| newline + 1);
    kept[..end].to_owned()
}

fn a_missing_directory_is_fatal(sandbox: &Sandbox) {
    sandbox.sh("svscan nope").is(
        111,
        "",
        "svscan: fatal: unable to chdir to nope: file does not exist\n",
    );
    sandbox.sh("svscan -x y").is(
        111,
        "",
        "svscan: fatal: unable to chdir to -x: file does not exist\n",
    );
}

fn current_directory_is_the_default(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let _svscan = sandbox.start(sandbox.shell("exec svscan"));
    wait_for_services(sandbox, &["s"]);
}

fn further_arguments_are_ignored(sandbox: &Sandbox) {
    sandbox.script("scan/s/run", SLEEPER);
    let _svscan = sandbox.start(sandbox.shell("exec svscan scan nope"));
    wait_for_services(sandbox, &["scan/s"]);
}

fn non_service_entries_are_skipped(sandbox: &Sandbox) {
    sandbox.script("scan/.hidden/run", SLEEPER);
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("elsewhere/run", SLEEPER);
    sandbox.write("scan/file", "");
    sandbox.sh("ln -s ../elsewhere scan/link").succeeds();
    let svscan = svscan(sandbox);
    wait_for_services(sandbox, &["scan/a", "scan/link"]);
    assert!(!sandbox.exists("scan/.hidden/supervise"));
    assert_eq!(svscan.stderr(), b"");
}

fn unreadable_entry_is_a_warning(sandbox: &Sandbox) {
    sandbox
        .sh("mkdir -p scan/c; ln -s log scan/c/log; ln -s nowhere scan/d; ln -s e scan/e")
        .succeeds();
    let svscan = svscan(sandbox);
    sandbox.wait_until("the warning is written", || lines(&svscan) >= 3);
    let stderr = String::from_utf8(svscan.stderr()).unwrap();
    let mut lines: Vec<_> = stderr.lines().take(3).collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "svscan: warning: unable to stat c/log: symbolic link loop",
            "svscan: warning: unable to stat d: file does not exist",
            "svscan: warning: unable to stat e: symbolic link loop",
        ]
    );
}

fn unreadable_scan_directory_is_a_warning(sandbox: &Sandbox) {
    if !testkit::is_root("unreadable_scan_directory_is_a_warning") {
        return;
    }
    sandbox.sh("mkdir -m 711 scan").succeeds();
    let svscan =
        sandbox.start(sandbox.shell("exec setpriv --reuid 65534 --clear-groups svscan scan"));
    let warning = "svscan: warning: unable to read directory: access denied\n";
    sandbox.wait_until("the warning is written", || {
        svscan.stderr().starts_with(warning.as_bytes())
    });
}

fn missing_supervise_is_a_warning(sandbox: &Sandbox) {
    sandbox.sh("mkdir -p scan/a/log").succeeds();
    let svscan = sandbox.start(sandbox.shell("exec env PATH=/nonexistent $FIRST/svscan scan"));
    sandbox.wait_until("the warning is written", || lines(&svscan) >= 2);
    let stderr = String::from_utf8(svscan.stderr()).unwrap();
    let mut lines: Vec<_> = stderr.lines().take(2).collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "svscan: warning: unable to start supervise a/log: file does not exist",
            "svscan: warning: unable to start supervise a: file does not exist",
        ]
    );
}

fn process_and_descriptor_limits_are_warnings(sandbox: &Sandbox) {
    if !testkit::is_root("process_and_descriptor_limits_are_warnings") {
        return;
    }
    sandbox
        .sh("mkdir -p scan/a/log; chown -R 65533 scan")
        .succeeds();
    let none = sandbox.start(
        sandbox.shell("exec setpriv --reuid 65533 --clear-groups prlimit --nproc=0 svscan scan"),
    );
    let warning = "svscan: warning: unable to fork for a: temporary failure\n";
    sandbox.wait_until("the warning is written", || {
        none.stderr().starts_with(warning.as_bytes())
    });
    for n in 0..12 {
        sandbox.sh(&format!("mkdir -p many/{n:02}/log")).succeeds();
    }
    let full =
        sandbox.start(sandbox.shell("PATH=$PWD/nothing; ulimit -n 20; exec $FIRST/svscan many"));
    sandbox.wait_until("the warning is written", || {
        let complaints = String::from_utf8(full.stderr()).unwrap();
        complaints.lines().any(|line| {
            let name = line.strip_prefix("svscan: warning: unable to create pipe for ");
            name.is_some_and(|name| name.ends_with(": process cannot open more files"))
        })
    });
}

fn supervise_inherits_from_svscan(sandbox: &Sandbox) {
    sandbox.sh("mkdir -p scan/a/log").succeeds();
    sandbox.script("bin2/supervise", TELLING);
    // The shell closes descriptors that it does not know.
    let _svscan = sandbox.start(sandbox.shell(
        "umask 027; export OUT=$PWD/out; PATH=$PWD/bin2:$PATH; \
         exec perl -MPOSIX -e 'POSIX::close $_ for 3 .. 1023; exec qw(svscan scan)'",
    ));
    let told = |name: &str| {
        sandbox.wait_until("supervise tells", || sandbox.exists(name));
        String::from_utf8(sandbox.read(name)).unwrap()
    };
    let scan = sandbox.path("scan").canonicalize().unwrap();
    let program = sandbox.path("bin2/supervise");
    let (program, scan) = (program.display(), scan.display());
    assert_eq!(
        told("out.a"),
        format!("{program} a\n{scan}\n0 /dev/null\n1 pipe\n2 file\numask 27\n")
    );
    assert_eq!(
        told("out.log"),
        format!("{program} log\n{scan}/a\n0 pipe\n1 file\n2 file\numask 27\n")
    );
}

fn log_is_looked_up_at_first_scan_only(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/dead/run", SLEEPER);
    let _svscan = svscan(sandbox);
    wait_for_services(sandbox, &["scan/a", "scan/dead"]);
    sandbox.script("scan/a/log/run", SLEEPER);
    sandbox.script("scan/dead/log/run", SLEEPER);
    sandbox.sh("svc -dx scan/dead").succeeds();
    sandbox.wait_until("supervise ends", || {
        sandbox.sh("svok scan/dead").code() == Some(100)
    });
    // By the time a later service runs, another look has passed.
    sandbox.script("scan/b/run", SLEEPER);
    wait_for_services(sandbox, &["scan/dead", "scan/b"]);
    sandbox.service("scan/b");
    sandbox.sh("svok scan/a/log").is(100, "", "");
    sandbox.sh("svok scan/dead/log").is(100, "", "");
}

fn removed_entry_is_dropped_and_may_return(sandbox: &Sandbox) {
    sandbox.script("a/run", SLEEPER);
    sandbox.sh("mkdir scan; ln -s ../a scan/a").succeeds();
    let svscan = svscan(sandbox);
    wait_for_services(sandbox, &["a"]);
    sandbox.sh("rm scan/a; svc -dx a").succeeds();
    sandbox.wait_until("supervise ends", || {
        sandbox.sh("svok a").code() == Some(100)
    });
    sandbox.script("scan/b/run", SLEEPER);
    wait_for_services(sandbox, &["scan/b"]);
    sandbox.sh("svok a").is(100, "", "");
    sandbox.script("a/log/run", SLEEPER);
    sandbox.sh("ln -s ../a scan/c").succeeds();
    wait_for_services(sandbox, &["a", "a/log"]);
    assert_eq!(svscan.stderr(), b"");
}

fn two_links_to_a_directory_are_one_service(sandbox: &Sandbox) {
    sandbox.script("a/run", SLEEPER);
    sandbox
        .sh("mkdir scan; ln -s ../a scan/one; ln -s ../a scan/two")
        .succeeds();
    let svscan = svscan(sandbox);
    wait_for_services(sandbox, &["a"]);
    sandbox.script("scan/b/run", SLEEPER);
    wait_for_services(sandbox, &["scan/b"]);
    // A second supervise would have complained about the lock.
    assert_eq!(svscan.stderr(), b"");
}

fn killed_svscan_leaves_services_running(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let svscan = svscan(sandbox);
    let service = sandbox.service("scan/a");
    svscan.signal(Signal::SIGTERM);
    assert_eq!(svscan.wait().signal(), Some(Signal::SIGTERM as i32));
    sandbox.sh("svok scan/a").succeeds();
    assert_eq!(sandbox.service("scan/a"), service);
}

fn svscan_sleeps_between_scans(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let svscan = svscan(sandbox);
    wait_for_services(sandbox, &["scan/a"]);
    wait_until_asleep(sandbox, &svscan);
}

fn a_service_and_its_logger_are_joined(sandbox: &Sandbox) {
    counting_service(sandbox, "scan/a");
    let _svscan = svscan(sandbox);
    wait_for_services(sandbox, &["scan/a", "scan/a/log"]);
    sandbox.wait_until("lines are logged", || {
        sandbox.exists("scan/a/log/kept") && sandbox.read("scan/a/log/kept").len() > 100
    });
}

fn dead_service_keeps_the_lines_of_its_pipe(sandbox: &Sandbox) {
    sandbox.script(
        "scan/a/run",
        "#!/bin/sh\necho line\necho >>runs\nexec sleep 1000\n",
    );
    sandbox.script("scan/a/log/run", "#!/bin/sh\nexec cat >>kept\n");
    let _svscan = svscan(sandbox);
    let lines = |file: &str, count| {
        sandbox.wait_for(&format!("wc -l <scan/a/{file} 2>/dev/null || :"), |text| {
            text.trim() == count
        });
    };
    lines("log/kept", "1");
    sandbox.service("scan/a/log");
    sandbox.sh("svc -dx scan/a/log").succeeds();
    sandbox.wait_until("the logger's supervise ends", || {
        sandbox.sh("svok scan/a/log").code() == Some(100)
    });
    sandbox.sh("svc -t scan/a").succeeds();
    lines("runs", "2");
    sandbox.sh("svc -dx scan/a").succeeds();
    lines("log/kept", "3");
}

fn restart_of_service_or_logger_loses_no_line(sandbox: &Sandbox) {
    counting_service(sandbox, "scan/a");
    let _svscan = svscan(sandbox);
    wait_for_services(sandbox, &["scan/a", "scan/a/log"]);
    let mut services = vec![sandbox.service("scan/a")];
    for victim in [
        sandbox.service("scan/a/log"),
        supervise_pid(sandbox, "scan/a/log"),
        sandbox.service("scan/a"),
    ] {
        // A killed logger loses the bytes that it has read but not written.
        // The test kills while the logger waits for input: only the pipe is
        // under test.
        let writer = sandbox.service("scan/a");
        kill(writer, Signal::SIGSTOP).unwrap();
        wait_for_state(sandbox, writer, 'T');
        wait_for_state(sandbox, sandbox.service("scan/a/log"), 'S');
        kill(victim, Signal::SIGKILL).unwrap();
        sandbox.wait_until("it is replaced", || {
            let pids = [
                sandbox.service("scan/a"),
                sandbox.service("scan/a/log"),
                supervise_pid(sandbox, "scan/a/log"),
            ];
            sandbox.is_supervised("scan/a/log") && !pids.contains(&victim)
        });
        // The writer continues only now: a dying logger may still read lines.
        // The writer may have been the victim itself.
        let _ = kill(writer, Signal::SIGCONT);
        services.push(sandbox.service("scan/a"));
    }
    services.dedup();
    let last = format!("line {} 50\n", services.last().unwrap());
    sandbox.wait_until("the last one's lines are logged", || {
        kept(sandbox).contains(&last)
    });
    for pid in services {
        // An orphan beside its successor may leave lines out of order,
        // and be late with one that it has read.
        sandbox.wait_until(&format!("every line of {pid} is there, once"), || {
            let kept = kept(sandbox);
            let numbers = kept
                .lines()
                .filter_map(|line| line.strip_prefix(&format!("line {pid} ")));
            let mut numbers: Vec<u32> = numbers.map(|number| number.parse().unwrap()).collect();
            numbers.sort_unstable();
            !numbers.is_empty()
                && (1..)
                    .zip(numbers)
                    .all(|(expected, number)| number == expected)
        });
    }
}

fn supervise_that_exits_is_restarted(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.write("scan/a/down", "");
    let svscan = svscan(sandbox);
    wait_for_services(sandbox, &["scan/a"]);
    let children = format!("ps -o pid= --ppid {}", svscan.pid());
    let supervise = sandbox.sh(&children).text();
    sandbox.sh("svc -x scan/a").succeeds();
    sandbox.wait_for(&children, |pids| !["", &supervise].contains(&pids));
    wait_for_services(sandbox, &["scan/a"]);
}
