use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Running, SLEEPER, Sandbox, compliance, interop, kill, ours};

use super::boot::wait_for_watches;
use super::{reuse_inode, wait_until_asleep};

compliance!(
    missing_directory_argument_prints_usage,
    only_the_first_word_may_be_an_option,
    each_directory_is_a_service,
    services_are_added_and_removed,
    renamed_link_is_the_same_service,
    directory_may_be_a_switched_link,
    removed_directory_leaves_services_running,
    unreadable_directory_is_a_warning,
    missing_runsv_is_reported,
    runsv_that_exits_is_replaced,
    missing_directory_is_retried_each_second,
    runsvdir_sleeps_while_directory_is_missing,
    p_gives_each_runsv_its_own_session,
    hup_ends_the_services_and_term_leaves_them,
    alrm_scans_and_writes_note,
    unwritable_note_is_reported,
    next_scan_follows_a_change_after_a_second,
    next_scan_follows_no_change_after_five_seconds,
    failed_fork_is_retried_each_second,
    title_shows_standard_error,
    title_has_seven_characters_or_more,
    title_has_no_dot_between_messages,
);

ours!(directory_in_reused_inode_is_watched);

interop!(sv_finds_services_by_name);

/// Starts runsvdir on the directory `scan`.
fn runsvdir(sandbox: &Sandbox) -> Running {
    sandbox.start(sandbox.shell("exec runsvdir scan"))
}

/// The arguments of a process as ps sees them.
fn title(running: &Running) -> Vec<u8> {
    std::fs::read(format!("/proc/{}/cmdline", running.pid())).unwrap()
}

#[track_caller]
fn wait_until_supervised(sandbox: &Sandbox, service: &str) {
    sandbox.wait_until(&format!("{service} is supervised"), || {
        sandbox.sh(&format!("svok {service}")).code() == Some(0)
    });
}

#[track_caller]
fn wait_until_left(sandbox: &Sandbox, service: &str) {
    sandbox.wait_until(&format!("{service} is not supervised"), || {
        sandbox.sh(&format!("svok {service}")).code() == Some(100)
    });
}

/// A field of ps for the parent of the service in a directory, once the parent
/// is a runsv.
fn runsv(sandbox: &Sandbox, dir: &str, field: &str) -> i32 {
    let mut told = None;
    sandbox.wait_until(&format!("{dir} has a runsv"), || {
        let parent = sandbox
            .sh(&format!("ps -o ppid= {}", sandbox.service(dir)))
            .text();
        let parent = parent.trim();
        if parent.is_empty() {
            return false;
        }
        let line = sandbox.sh(&format!("ps -o {field}=,comm= {parent}")).text();
        told = line
            .trim()
            .strip_suffix("runsv")
            .and_then(|field| field.trim().parse().ok());
        told.is_some()
    });
    told.unwrap()
}

fn missing_directory_argument_prints_usage(sandbox: &Sandbox) {
    for words in ["", " -P", " -Px", " --", " --x"] {
        sandbox
            .sh(&format!("runsvdir{words}"))
            .is(1, "", "usage: runsvdir [-P] dir\n\n");
    }
}

fn only_the_first_word_may_be_an_option(sandbox: &Sandbox) {
    for (words, directory) in [
        ("-x", "-x"),
        ("-", "-"),
        ("-P -P", "-P"),
        ("-- --", "--"),
        ("nope", "nope"),
    ] {
        let running = sandbox.start(sandbox.shell(&format!("exec runsvdir {words}")));
        let line = format!(
            "runsvdir {directory}: warning: unable to stat {directory}: file does not exist\n"
        );
        sandbox.wait_until(&line, || running.stderr().starts_with(line.as_bytes()));
    }
}

fn each_directory_is_a_service(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/a/log/run", SLEEPER);
    sandbox.script("scan/.hidden/run", SLEEPER);
    sandbox.script("elsewhere/run", SLEEPER);
    sandbox.write("scan/file", "");
    sandbox
        .sh("ln -s ../elsewhere scan/link; ln -s ../elsewhere scan/again; ln -s nowhere scan/n")
        .succeeds();
    let runsvdir = runsvdir(sandbox);
    for name in ["scan/a", "scan/a/log", "elsewhere"] {
        wait_until_supervised(sandbox, name);
    }
    assert!(!sandbox.exists("scan/.hidden/supervise"));
    let line = "runsvdir scan: warning: unable to stat n: file does not exist\n";
    sandbox.wait_until("the warning is written", || !runsvdir.stderr().is_empty());
    // A second runsv would have complained of the lock.
    assert_eq!(
        String::from_utf8(runsvdir.stderr())
            .unwrap()
            .replace(line, ""),
        ""
    );
}

fn services_are_added_and_removed(sandbox: &Sandbox) {
    sandbox.script("a/run", SLEEPER);
    sandbox.script("scan/b/run", SLEEPER);
    sandbox.sh("ln -s ../a scan/a").succeeds();
    let runsvdir = runsvdir(sandbox);
    wait_until_supervised(sandbox, "a");
    wait_until_supervised(sandbox, "scan/b");
    sandbox.sh("rm scan/a; mv scan/b b").succeeds();
    wait_until_left(sandbox, "a");
    wait_until_left(sandbox, "b");
    assert_eq!(sandbox.read("a/supervise/stat"), b"down\n");
    sandbox.sh("ln -s ../a scan/c; mv b scan/d").succeeds();
    wait_until_supervised(sandbox, "a");
    wait_until_supervised(sandbox, "scan/d");
    assert_eq!(runsvdir.stderr(), b"");
}

fn renamed_link_is_the_same_service(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let _runsvdir = runsvdir(sandbox);
    wait_until_supervised(sandbox, "scan/a");
    let before = sandbox.service("scan/a");
    sandbox.script("new/run", SLEEPER);
    sandbox.sh("mv scan/a scan/b; mv new scan").succeeds();
    wait_until_supervised(sandbox, "scan/new");
    assert_eq!(sandbox.service("scan/b"), before);
}

fn directory_may_be_a_switched_link(sandbox: &Sandbox) {
    sandbox.script("one/a/run", SLEEPER);
    sandbox.script("two/b/run", SLEEPER);
    sandbox.sh("ln -s one scan").succeeds();
    let _runsvdir = runsvdir(sandbox);
    wait_until_supervised(sandbox, "one/a");
    sandbox.sh("ln -s two new; mv -T new scan").succeeds();
    wait_until_supervised(sandbox, "two/b");
    wait_until_left(sandbox, "one/a");
}

fn removed_directory_leaves_services_running(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let runsvdir = runsvdir(sandbox);
    wait_until_supervised(sandbox, "scan/a");
    sandbox.sh("mv scan away").succeeds();
    let line = b"runsvdir scan: warning: unable to stat scan: file does not exist\n";
    sandbox.wait_until("the warning is written", || {
        runsvdir.stderr().starts_with(line)
    });
    sandbox.sh("svok away/a").succeeds();
}

fn unreadable_directory_is_a_warning(sandbox: &Sandbox) {
    sandbox.write("scan", "");
    let warns = |script: &str, warning: &str| {
        let running = sandbox.start(sandbox.shell(script));
        let line = format!("runsvdir scan: warning: unable to {warning}\n");
        sandbox.wait_until(&line, || running.stderr().starts_with(line.as_bytes()));
    };
    warns(
        "exec runsvdir scan",
        "change directory to scan: not a directory",
    );
    sandbox.sh("rm scan; ln -s scan scan").succeeds();
    warns("exec runsvdir scan", "stat scan: symbolic link loop");
    if testkit::is_root("unreadable_directory_is_a_warning") {
        sandbox.sh("rm scan; mkdir -m 711 scan").succeeds();
        let nobody = "exec setpriv --reuid 65534 --clear-groups runsvdir scan";
        warns(nobody, "open directory scan: access denied");
        sandbox.sh("chmod 700 scan").succeeds();
        warns(nobody, "change directory to scan: access denied");
        sandbox.sh("mkdir scan/a; chown -R 65533 scan").succeeds();
        warns(
            "exec setpriv --reuid 65533 --clear-groups prlimit --nproc=0 runsvdir scan",
            "fork for a: temporary failure",
        );
    }
}

fn missing_runsv_is_reported(sandbox: &Sandbox) {
    sandbox.sh("mkdir -p scan/a").succeeds();
    let running = sandbox.start(sandbox.shell("exec env PATH=/nonexistent $FIRST/runsvdir scan"));
    let line = b"runsvdir scan: fatal: unable to start runsv a: file does not exist\n";
    sandbox.wait_until("the message is written", || {
        running.stderr().starts_with(line)
    });
}

fn runsv_that_exits_is_replaced(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let _runsvdir = runsvdir(sandbox);
    let first = runsv(sandbox, "scan/a", "pid");
    sandbox.sh("sv exit ./scan/a").succeeds();
    sandbox.wait_until("there is another", || {
        !sandbox.processes().contains(&Pid::from_raw(first))
    });
    let second = runsv(sandbox, "scan/a", "pid");
    assert_ne!(first, second);
    let orphan = sandbox.service("scan/a");
    kill(Pid::from_raw(second), Signal::SIGKILL).unwrap();
    kill(orphan, Signal::SIGKILL).unwrap();
    sandbox.wait_until("there is one more", || sandbox.service("scan/a") != orphan);
    wait_until_supervised(sandbox, "scan/a");
}

fn missing_directory_is_retried_each_second(sandbox: &Sandbox) {
    // Not each five seconds, as later on.
    let mut late = sandbox.start(sandbox.shell("exec sleep 9"));
    let runsvdir = sandbox.start(sandbox.shell("exec runsvdir scan"));
    let line = "runsvdir scan: warning: unable to stat scan: file does not exist\n";
    sandbox.wait_until("three scans are over", || {
        runsvdir.stderr().len() >= 3 * line.len()
    });
    assert!(late.runs());
    assert!(
        String::from_utf8(runsvdir.stderr())
            .unwrap()
            .starts_with(line)
    );
    sandbox.script("scan/a/run", SLEEPER);
    wait_until_supervised(sandbox, "scan/a");
}

fn runsvdir_sleeps_while_directory_is_missing(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let runsvdir = runsvdir(sandbox);
    let runsv = runsv(sandbox, "scan/a", "pid");
    sandbox.sh("mv scan away; mkdir away/b").succeeds();
    wait_until_asleep(sandbox, &runsvdir);
    // runsvdir reaps its children meanwhile.
    kill(Pid::from_raw(runsv), Signal::SIGKILL).unwrap();
    sandbox.wait_until("it is gone", || kill(Pid::from_raw(runsv), None).is_err());
    // runsvdir finds the directory again by its name.
    sandbox.sh("mv away scan").succeeds();
    wait_until_supervised(sandbox, "scan/b");
    wait_until_supervised(sandbox, "scan/a");
    wait_until_asleep(sandbox, &runsvdir);
}

fn directory_in_reused_inode_is_watched(sandbox: &Sandbox) {
    fs::create_dir(sandbox.path("scan")).unwrap();
    let runsvdir = runsvdir(sandbox);
    let pid = runsvdir.pid().to_string();
    wait_for_watches(sandbox, &pid, true);
    // runsvdir notices no moment without the directory.
    runsvdir.signal(Signal::SIGSTOP);
    let inode = fs::metadata(sandbox.path("scan")).unwrap().ino();
    fs::remove_dir(sandbox.path("scan")).unwrap();
    if reuse_inode(sandbox, inode, "scan") {
        wait_for_watches(sandbox, &pid, false);
        runsvdir.signal(Signal::SIGCONT);
        wait_for_watches(sandbox, &pid, true);
    }
}

fn p_gives_each_runsv_its_own_session(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let mut sessions = Vec::new();
    for option in ["", "-P"] {
        let running = sandbox.start(sandbox.shell(&format!("exec runsvdir {option} scan")));
        wait_until_supervised(sandbox, "scan/a");
        sessions.push(runsv(sandbox, "scan/a", "sid") == runsv(sandbox, "scan/a", "pid"));
        running.signal(Signal::SIGHUP);
        running.wait().is(111, "", "");
        wait_until_left(sandbox, "scan/a");
    }
    assert_eq!(sessions, [false, true]);
}

fn hup_ends_the_services_and_term_leaves_them(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/b/run", SLEEPER);
    let first = runsvdir(sandbox);
    for name in ["scan/a", "scan/b"] {
        sandbox.service(name);
    }
    first.signal(Signal::SIGTERM);
    first.wait().succeeds();
    for name in ["scan/a", "scan/b"] {
        sandbox.sh(&format!("svok {name}")).succeeds();
        sandbox.sh(&format!("sv exit ./{name}")).succeeds();
        wait_until_left(sandbox, name);
    }
    let second = runsvdir(sandbox);
    for name in ["scan/a", "scan/b"] {
        wait_until_supervised(sandbox, name);
    }
    second.signal(Signal::SIGHUP);
    second.wait().is(111, "", "");
    for name in ["scan/a", "scan/b"] {
        wait_until_left(sandbox, name);
        assert_eq!(sandbox.read(format!("{name}/supervise/stat")), b"down\n");
    }
}

fn alrm_scans_and_writes_note(sandbox: &Sandbox) {
    sandbox.sh("mkdir scan; ln -s nowhere scan/n").succeeds();
    let runsvdir = runsvdir(sandbox);
    let line = "runsvdir scan: warning: unable to stat n: file does not exist\n";
    sandbox.wait_until("it looks", || !runsvdir.stderr().is_empty());
    assert!(!sandbox.exists("scan/.forced-rescan"));
    runsvdir.signal(Signal::SIGALRM);
    sandbox.wait_until("it leaves a note", || {
        sandbox.exists("scan/.forced-rescan") && sandbox.read("scan/.forced-rescan").len() == 25
    });
    let note = String::from_utf8(sandbox.read("scan/.forced-rescan")).unwrap();
    assert!(note.starts_with("@4000000"), "{note}");
    assert_eq!(sandbox.sh("stat -c %a scan/.forced-rescan").text(), "644\n");
    sandbox.wait_until("it looks again", || {
        runsvdir.stderr().starts_with(line.repeat(2).as_bytes())
    });
}

fn unwritable_note_is_reported(sandbox: &Sandbox) {
    sandbox
        .sh("mkdir -p scan/.forced-rescan; ln -s nowhere scan/n")
        .succeeds();
    let runsvdir = runsvdir(sandbox);
    sandbox.wait_until("it looks", || !runsvdir.stderr().is_empty());
    runsvdir.signal(Signal::SIGALRM);
    let told = || String::from_utf8(runsvdir.stderr()).unwrap();
    let words = "runsvdir scan: warning: failed to open./.forced-rescan@4000000";
    sandbox.wait_until("the message is written", || told().contains(words));
}

/// Starts runsvdir with a title of 30 letters, and waits until a dot is the last of
/// them, since a message may come before it.
fn start_with_title(sandbox: &Sandbox) -> Running {
    let command = format!("exec runsvdir scan 'log: {}'", "-".repeat(30));
    let running = sandbox.start(sandbox.shell(&command));
    sandbox.wait_until("a dot is shown", || title(&running).ends_with(b"-.\0"));
    running
}

fn title_shows_standard_error(sandbox: &Sandbox) {
    sandbox.script(
        "scan/a/run",
        "#!/bin/sh\nuntil [ -e go ]; do sleep 0.02; done\necho out; echo a long complaint >&2\n\
         exec sleep 1000\n",
    );
    let running = start_with_title(sandbox);
    sandbox.write("scan/a/go", "");
    let shown = format!(
        "runsvdir\0scan\0log: {}.a long complaint\n\0",
        "-".repeat(12)
    );
    sandbox.wait_until(&shown, || title(&running) == shown.as_bytes());
    sandbox.wait_until("the service has its output", || {
        running.stdout() == b"out\n"
    });
    sandbox.sh("ln -s nowhere scan/n").succeeds();
    let shown = "runsvdir\0scan\0log: o stat n: file does not exist\n\0";
    sandbox.wait_until(shown, || title(&running) == shown.as_bytes());
    assert_eq!(running.stderr(), b"");
}

fn title_has_seven_characters_or_more(sandbox: &Sandbox) {
    sandbox.sh("mkdir scan").succeeds();
    for word in ["short.", ""] {
        let running = sandbox.start(sandbox.shell(&format!("exec runsvdir scan '{word}'")));
        let lines = b"runsvdir scan: warning: log must have at least seven characters.\n\
            runsvdir scan: warning: log service disabled.\n";
        sandbox.wait_until("the warning is written", || running.stderr() == lines);
    }
    let running = sandbox.start(sandbox.shell("exec runsvdir -P scan 1234567 another"));
    // A dot is put in at once, and every fifteen minutes.
    let shown = b"runsvdir\0-P\0scan\x00123457.\0another\0";
    sandbox.wait_until("there is a dot", || title(&running) == shown);
}

fn title_has_no_dot_between_messages(sandbox: &Sandbox) {
    sandbox.script(
        "scan/a/run",
        "#!/bin/sh\nuntil [ -e one ]; do sleep 0.02; done\necho first >&2\n\
         until [ -e two ]; do sleep 0.02; done\necho second >&2\nexec sleep 1000\n",
    );
    let running = start_with_title(sandbox);
    let shown = || String::from_utf8(title(&running)).unwrap();
    sandbox.write("scan/a/one", "");
    sandbox.wait_until("one message is shown", || shown().contains("first\n"));
    sandbox.write("scan/a/two", "");
    sandbox.wait_until("both are shown", || shown().contains("second\n"));
    assert!(shown().contains("first\nsecond\n"), "{}", shown());
}

fn sv_finds_services_by_name(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let _runsvdir = runsvdir(sandbox);
    wait_until_supervised(sandbox, "scan/a");
    sandbox.service("scan/a");
    sandbox.sh("SVDIR=scan sv -w 30 down a").code();
    let told = sandbox.sh("SVDIR=$PWD/scan sv status a").text();
    assert!(
        told.starts_with("down: a: ") && told.ends_with("s, normally up\n"),
        "{told}"
    );
}

/// Starts a command under strace, which writes the calls to the file `trace`.
fn traced(sandbox: &Sandbox, command: &str) -> Running {
    let calls = "?poll,?ppoll,kill,getdents64,clone,?clone3,?fork,?vfork";
    sandbox.start(sandbox.shell(&format!(
        "exec strace -D -qq -o trace -e trace={calls} -e signal=ALRM {command}"
    )))
}

/// The calls in `trace` as letters: C creates a process, D ends the reading of a
/// directory, K is kill(2), A is SIGALRM; S and L wait for a second at most, or
/// longer.
fn calls(sandbox: &Sandbox) -> String {
    let trace = std::fs::read_to_string(sandbox.path("trace")).unwrap_or_default();
    trace.lines().filter_map(call).collect()
}

fn call(line: &str) -> Option<char> {
    let (name, rest) = line.split_once('(').unwrap_or((line, ""));
    match name {
        "poll" | "ppoll" => match timeout(rest)? {
            0 => None,
            1..=1100 => Some('S'),
            _ => Some('L'),
        },
        "getdents64" => line.ends_with("= 0").then_some('D'),
        "kill" => Some('K'),
        "clone" | "clone3" | "fork" | "vfork" => Some('C'),
        _ => line.starts_with("--- SIGALRM").then_some('A'),
    }
}

/// The timeout of poll(2) or ppoll(2) in milliseconds. The call may still wait.
fn timeout(arguments: &str) -> Option<u64> {
    let arguments = arguments.split(')').next()?;
    let number = |name: &str| {
        let digits = arguments.split(name).nth(1)?;
        let end = digits.find(|letter: char| !letter.is_ascii_digit());
        digits
            .get(..end.unwrap_or(digits.len()))?
            .parse::<u64>()
            .ok()
    };
    match number("tv_sec=") {
        Some(seconds) => Some(seconds * 1000 + number("tv_nsec=")? / 1_000_000),
        None => arguments.rsplit(", ").next()?.parse().ok(),
    }
}

/// Waits until the waits after the last of these calls, without repetitions,
/// are `expected`.
#[track_caller]
fn wait_for_waits(sandbox: &Sandbox, call: char, nth: usize, expected: &str) {
    sandbox.wait_until(&format!("{expected} follows {call} {nth}"), || {
        let calls = calls(sandbox);
        let Some((position, _)) = calls.match_indices(call).nth(nth) else {
            return false;
        };
        let mut waits: Vec<_> = calls[position..]
            .chars()
            .filter(|c| "SL".contains(*c))
            .collect();
        waits.dedup();
        let waits = String::from_iter(waits);
        assert!(
            expected.starts_with(&waits),
            "{waits} after {call} {nth}: {calls}"
        );
        waits == expected
    });
}

fn next_scan_follows_a_change_after_a_second(sandbox: &Sandbox) {
    for (action, call, nth) in [
        ("true", 'C', 0),
        ("mkdir scan/b", 'C', 1),
        ("mv scan/a away", 'K', 0),
        ("mkdir -p new/b; mv scan away; mv new scan", 'K', 0),
    ] {
        sandbox.script("scan/a/run", SLEEPER);
        sandbox.sh("touch -d '1 hour ago' scan").succeeds();
        let runsvdir = traced(sandbox, "runsvdir scan");
        wait_for_waits(sandbox, 'C', 0, "SL");
        sandbox.sh(action).succeeds();
        wait_for_waits(sandbox, call, nth, "SL");
        runsvdir.signal(Signal::SIGHUP);
        runsvdir.wait().exits(111);
        sandbox.wait_until("all have ended", || sandbox.processes().is_empty());
        sandbox.sh("rm -rf scan away trace").succeeds();
    }
}

fn next_scan_follows_no_change_after_five_seconds(sandbox: &Sandbox) {
    sandbox
        .sh("mkdir scan; touch -d '1 hour ago' scan")
        .succeeds();
    let empty = traced(sandbox, "runsvdir scan");
    wait_for_waits(sandbox, 'D', 0, "L");
    empty.signal(Signal::SIGHUP);
    empty.wait().exits(111);
    for (action, call, nth) in [
        // The third directory reading; ours does not read an unchanged directory.
        ("touch scan", 'D', None),
        ("sv exit ./scan/a", 'C', Some(1)),
        (
            "kill -ALRM $(ps -o ppid= $(ps -o ppid= $(cat scan/a/supervise/pid)))",
            'A',
            Some(0),
        ),
    ] {
        sandbox.script("scan/a/run", SLEEPER);
        sandbox.sh("touch -d '1 hour ago' scan").succeeds();
        let runsvdir = traced(sandbox, "runsvdir scan");
        wait_for_waits(sandbox, 'C', 0, "SL");
        sandbox.service("scan/a");
        let nth = nth.unwrap_or_else(|| calls(sandbox).matches(call).count());
        sandbox.sh(action).succeeds();
        wait_for_waits(sandbox, call, nth, "L");
        // A runsv that receives TERM before it has a handler leaves its service.
        sandbox.service("scan/a");
        runsvdir.signal(Signal::SIGHUP);
        runsvdir.wait().exits(111);
        sandbox.wait_until("all have ended", || sandbox.processes().is_empty());
        sandbox.sh("rm -rf scan trace").succeeds();
    }
    // A directory that was scanned once and is missing now.
    sandbox
        .sh("mkdir scan; touch -d '1 hour ago' scan")
        .succeeds();
    let runsvdir = traced(sandbox, "runsvdir scan");
    wait_for_waits(sandbox, 'D', 0, "L");
    sandbox.sh("mv scan away").succeeds();
    let line = "runsvdir scan: warning: unable to stat scan: file does not exist\n";
    sandbox.wait_until("two scans have failed", || {
        runsvdir.stderr().len() >= 2 * line.len()
    });
    wait_for_waits(sandbox, 'D', 0, "L");
}

fn failed_fork_is_retried_each_second(sandbox: &Sandbox) {
    if !testkit::is_root("failed_fork_is_retried_each_second") {
        return;
    }
    sandbox
        .sh("mkdir -p scan/a; touch -d '1 hour ago' scan; chown -R 65533 .")
        .succeeds();
    let limited = "setpriv --reuid 65533 --clear-groups prlimit --nproc=0 runsvdir scan";
    let runsvdir = traced(sandbox, limited);
    sandbox.wait_until("three forks, a second apart", || {
        let calls: String = calls(sandbox).chars().filter(|call| *call != 'D').collect();
        assert!(
            "CSCSCSCS".starts_with(calls.get(..8).unwrap_or(&calls)),
            "{calls}"
        );
        calls.starts_with("CSCSC")
    });
    runsvdir.signal(Signal::SIGTERM);
    runsvdir.wait().exits(0);
}
