use nix::sys::signal::Signal;
use testkit::{Running, SLEEPER, Sandbox, compliance, interop};

use super::{status, supervise, wait_for_status};

/// A run script that records each of its starts, as nanoseconds, and dies.
const DIES: &str = "#!/bin/sh\ndate +%s%N >>starts\n";

compliance!(
    wrong_argument_count_prints_usage,
    a_missing_directory_is_fatal,
    unreadable_down_is_fatal,
    obstructing_file_is_reported,
    missing_permissions_are_reported,
    descriptor_exhaustion_is_fatal,
    supervise_files_have_documented_modes,
    the_umask_applies,
    dangling_supervise_link_becomes_directory,
    down_file_prevents_start,
    status_record_has_documented_bytes,
    each_command_has_its_effect,
    exit_keeps_service_and_prevents_restart,
    unknown_bytes_are_ignored,
    signals_to_supervise_do_not_stop_service,
    child_inherits_from_supervise,
    inherited_ignored_sigchld_is_reset,
    standard_descriptors_pass_through,
    closed_descriptors_stay_closed,
    unrunnable_run_is_reported_once_a_second,
    short_lived_service_restarts_once_a_second,
    longer_lived_service_restarts_at_once,
    once_does_not_restart_service,
    unwritable_status_is_a_warning,
    partly_written_status_is_never_shown,
    a_failing_fork_is_a_warning,
    control_may_be_an_ordinary_file,
);

interop!(
    second_copy_in_directory_is_fatal,
    directory_moves_to_other_implementation,
    a_killed_service_is_restarted,
);

/// The moments recorded by [`DIES`], in nanoseconds.
fn starts(sandbox: &Sandbox) -> Vec<u64> {
    let text = std::fs::read_to_string(sandbox.path("s/starts")).unwrap_or_default();
    // A line that is being written has no newline yet.
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n')?.parse().ok())
        .collect()
}

/// A run script that writes its inherited state to the file `out`, and stays
/// up.
const PROBE: &str = r#"#!/usr/bin/perl
use Cwd;
opendir my $fds, "/proc/self/fd";
my @fds = sort { $a <=> $b } grep /\d/, readdir $fds;
open my $status, "<", "/proc/self/status";
my @signals = grep /^Sig(Blk|Ign|Cgt)/, <$status>;
open my $environ, "<", "/proc/self/environ";
my $environment = <$environ>;
open my $out, ">", "out.new";
printf $out "cwd %s\nargv %s\numask %o\nfds @fds\n%s%s\n", getcwd, "$0 @ARGV", umask, join("", @signals),
    $environment =~ s/\0/\n/gr;
close $out;
rename "out.new", "out";
sleep 1000;
"#;

/// The report of the probe in `s`, started without supervise.
pub(super) fn probe_alone(sandbox: &Sandbox, launch: &str) -> String {
    sandbox.script("s/run", PROBE);
    let mut command = sandbox.shell(&format!("{launch} ./run"));
    command.current_dir(sandbox.path("s"));
    let probe = sandbox.start(command);
    let told = probed(sandbox);
    probe.kill();
    // The shell exports its directory to its children.
    told.replace(
        &format!("PWD={}/s", sandbox.dir().display()),
        &format!("PWD={}", sandbox.dir().display()),
    )
}

/// Waits for the report of the probe in `s`.
pub(super) fn probed(sandbox: &Sandbox) -> String {
    sandbox.wait_until("the service tells", || sandbox.exists("s/out"));
    let told = sandbox.read("s/out");
    std::fs::remove_file(sandbox.path("s/out")).unwrap();
    String::from_utf8(told).unwrap()
}

fn wrong_argument_count_prints_usage(sandbox: &Sandbox) {
    for words in ["", " a b", " -- a"] {
        sandbox
            .sh(&format!("supervise{words}"))
            .is(100, "", "supervise: usage: supervise dir\n");
    }
}

fn a_missing_directory_is_fatal(sandbox: &Sandbox) {
    sandbox.sh("supervise nope").is(
        111,
        "",
        "supervise: fatal: unable to chdir to nope: file does not exist\n",
    );
    sandbox.sh("supervise --").is(
        111,
        "",
        "supervise: fatal: unable to chdir to --: file does not exist\n",
    );
    sandbox.sh("supervise ''").is(
        111,
        "",
        "supervise: fatal: unable to chdir to : file does not exist\n",
    );
}

fn unreadable_down_is_fatal(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.sh("ln -s down s/down").succeeds();
    sandbox.sh("supervise s").is(
        111,
        "",
        "supervise: fatal: unable to stat s/down: symbolic link loop\n",
    );
    assert!(!sandbox.exists("s/supervise"));
}

fn obstructing_file_is_reported(sandbox: &Sandbox) {
    let cases = [
        (
            ": >s/supervise",
            "acquire s/supervise/lock: not a directory",
        ),
        (
            "ln -s /nonexistent/a s/supervise",
            "acquire s/supervise/lock: file does not exist",
        ),
        (
            "ln -s supervise s/supervise",
            "acquire s/supervise/lock: symbolic link loop",
        ),
        (
            "mkdir -p s/supervise/lock",
            "acquire s/supervise/lock: is a directory",
        ),
        (
            "mkdir -p s/supervise/control",
            "write s/supervise/control: is a directory",
        ),
    ];
    for (prepare, complaint) in cases {
        sandbox
            .sh(&format!("rm -rf s; mkdir s; {prepare}"))
            .succeeds();
        sandbox.sh("supervise s").is(
            111,
            "",
            format!("supervise: fatal: unable to {complaint}\n"),
        );
    }
}

fn missing_permissions_are_reported(sandbox: &Sandbox) {
    if !testkit::is_root("missing_permissions_are_reported") {
        return;
    }
    sandbox.script("s/run", SLEEPER);
    let as_nobody = "exec setpriv --reuid 65534 --clear-groups supervise s";
    sandbox.sh(as_nobody).is(
        111,
        "",
        "supervise: fatal: unable to acquire s/supervise/lock: file does not exist\n",
    );
    sandbox.sh("mkdir -m 700 s/supervise").succeeds();
    sandbox.sh(as_nobody).is(
        111,
        "",
        "supervise: fatal: unable to acquire s/supervise/lock: access denied\n",
    );
    sandbox
        .sh("chown 65534 s/supervise; mkfifo -m 0 s/supervise/control")
        .succeeds();
    sandbox.sh(as_nobody).is(
        111,
        "",
        "supervise: fatal: unable to read s/supervise/control: access denied\n",
    );
    sandbox
        .sh("chown 65534 s/supervise/control; chmod 400 s/supervise/control")
        .succeeds();
    sandbox.sh(as_nobody).is(
        111,
        "",
        "supervise: fatal: unable to write s/supervise/control: access denied\n",
    );
    sandbox
        .sh("chmod 600 s/supervise/control; mkfifo -m 0 s/supervise/ok")
        .succeeds();
    sandbox.sh(as_nobody).is(
        111,
        "",
        "supervise: fatal: unable to read s/supervise/ok: access denied\n",
    );
    sandbox.sh("chmod 0 s").succeeds();
    sandbox.sh(as_nobody).is(
        111,
        "",
        "supervise: fatal: unable to chdir to s: access denied\n",
    );
}

fn descriptor_exhaustion_is_fatal(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let outcome = sandbox.sh("ulimit -n 4; exec supervise s");
    outcome.is(
        111,
        "",
        "supervise: fatal: unable to create pipe for s: process cannot open more files\n",
    );
}

fn supervise_files_have_documented_modes(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let _supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .unwrap()
        .unwrap()
        .name;
    assert_eq!(
        sandbox.listing("s"),
        format!(
            "drwx------ {me} supervise\n-rwxr-xr-x {me} 26 run\n\
                prw------- {me} 0 supervise/control\n\
             -rw------- {me} 0 supervise/lock\nprw------- {me} 0 supervise/ok\n\
             -rw-r--r-- {me} 18 supervise/status\n"
        )
    );
}

fn the_umask_applies(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let _supervise = sandbox.start(sandbox.shell("umask 077; exec supervise s"));
    sandbox.wait_until("it runs", || sandbox.is_supervised("s"));
    sandbox
        .sh("stat -c '%a %n' s/supervise/status s/supervise/ok")
        .prints("600 s/supervise/status\n600 s/supervise/ok\n");
}

fn dangling_supervise_link_becomes_directory(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.sh("ln -s ../elsewhere s/supervise").succeeds();
    let _supervise = supervise(sandbox);
    // The record of the start is complete: status.new is gone.
    wait_for_status(sandbox, (true, 0, b'u'));
    sandbox
        .sh("stat -c '%a %F' elsewhere; ls elsewhere")
        .prints("700 directory\ncontrol\nlock\nok\nstatus\n");
}

fn down_file_prevents_start(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.write("s/down", "");
    let _supervise = supervise(sandbox);
    assert_eq!(status(sandbox), (false, 0, b'd'));
    sandbox.sh("svc -u s").succeeds();
    wait_for_status(sandbox, (true, 0, b'u'));
}

fn status_record_has_documented_bytes(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let _supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    let record = sandbox.read("s/supervise/status");
    let seconds = u64::from_be_bytes(record[..8].try_into().unwrap()) - (1 << 62) - 10;
    assert!(
        (before..=before + 60).contains(&seconds),
        "{seconds} is not now, {before}"
    );
    let nanoseconds = u32::from_be_bytes(record[8..12].try_into().unwrap());
    assert_eq!(nanoseconds % 1000, 500);
    let running = format!("/proc/{}/cmdline", sandbox.service("s"));
    sandbox.wait_until("the pid is that of the service", || {
        std::fs::read(&running).unwrap() == b"sleep\x001000\0"
    });
}

fn each_command_has_its_effect(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    for (command, state) in [
        ("p", (true, 1, b'u')),
        ("c", (true, 0, b'u')),
        ("o", (true, 0, 0)),
        ("p", (true, 1, 0)),
        ("d", (false, 0, b'd')),
        ("o", (true, 0, 0)),
        ("u", (true, 0, b'u')),
        ("p", (true, 1, b'u')),
        ("u", (true, 1, b'u')),
        ("d", (false, 0, b'd')),
        ("p", (false, 0, b'd')),
        ("u", (true, 0, b'u')),
        ("o", (true, 0, 0)),
        ("t", (false, 0, 0)),
        ("u", (true, 0, b'u')),
    ] {
        sandbox.sh(&format!("svc -{command} s")).succeeds();
        wait_for_status(sandbox, state);
    }
    sandbox.sh("svc -x s").succeeds();
    sandbox.sh("svc -t s").succeeds();
    supervise.wait().succeeds();
    assert_eq!(status(sandbox), (false, 0, b'u'));
}

fn exit_keeps_service_and_prevents_restart(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho start >>starts\nexec sleep 1000\n");
    let mut supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    let service = sandbox.service("s");
    sandbox.sh("svc -x s; svc -p s").succeeds();
    wait_for_status(sandbox, (true, 1, b'u'));
    sandbox.sh("svc -c s").succeeds();
    wait_for_status(sandbox, (true, 0, b'u'));
    assert!(supervise.runs());
    assert_eq!(sandbox.service("s"), service);
    sandbox.sh("svc -ut s").succeeds();
    supervise.wait().succeeds();
    assert_eq!(sandbox.read("s/starts"), b"start\n");
}

fn unknown_bytes_are_ignored(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let _supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    sandbox
        .sh(
            "perl -e 'print map { chr } grep { chr !~ /[udopchaitkxq12w+=]/ } 0..255' \
        >s/supervise/control",
        )
        .succeeds();
    sandbox.sh("svc -p s").succeeds();
    wait_for_status(sandbox, (true, 1, b'u'));
}

fn signals_to_supervise_do_not_stop_service(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    for signal in [
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGUSR1,
        Signal::SIGPIPE,
        Signal::SIGALRM,
    ] {
        let supervise = supervise(sandbox);
        wait_for_status(sandbox, (true, 0, b'u'));
        supervise.signal(signal);
        assert_eq!(supervise.wait().signal(), Some(signal as i32));
        testkit::kill(sandbox.service("s"), Signal::SIGKILL).unwrap();
        // Until its exec, the service holds the lock of supervise.
        sandbox.wait_until("the lock is free", || {
            sandbox.sh("svok s").code() == Some(100)
        });
    }
}

fn child_inherits_from_supervise(sandbox: &Sandbox) {
    let launch = "umask 027; exec env -i B=1 PATH=\"$PATH\" A=2 perl -MPOSIX -e '$SIG{HUP} \
        = \"IGNORE\"; \
        sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGCHLD, SIGUSR2, SIGTERM)); exec @ARGV' ";
    let direct = probe_alone(sandbox, launch);
    assert!(direct.contains("SigBlk:\t0000000000014800\n"), "{direct}");
    let supervise = sandbox.start(sandbox.shell(&format!("{launch} supervise s")));
    // supervise unblocks SIGCHLD and changes no other signal.
    assert_eq!(
        probed(sandbox),
        direct.replace("SigBlk:\t0000000000014800", "SigBlk:\t0000000000004800")
    );
    let ids = |pid| sandbox.sh(&format!("ps -o pgid=,sid= {pid}")).text();
    assert_eq!(ids(sandbox.service("s")), ids(supervise.pid()));
    let parent = sandbox
        .sh(&format!("ps -o ppid= {}", sandbox.service("s")))
        .text();
    assert_eq!(parent.trim(), supervise.pid().to_string());
}

fn inherited_ignored_sigchld_is_reset(sandbox: &Sandbox) {
    let launch = "exec perl -e '$SIG{CHLD} = \"IGNORE\"; exec @ARGV' ";
    let direct = probe_alone(sandbox, launch);
    let ignored = |text: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:\t"))
            .unwrap();
        u64::from_str_radix(line, 16).unwrap()
    };
    let _supervise = sandbox.start(sandbox.shell(&format!("{launch} supervise s")));
    assert_eq!(ignored(&probed(sandbox)), ignored(&direct) & !(1 << 16));
    wait_for_status(sandbox, (true, 0, b'u'));
    sandbox.sh("svc -d s").succeeds();
    wait_for_status(sandbox, (false, 0, b'd'));
}

fn standard_descriptors_pass_through(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\necho out; echo err >&2; cat; exec sleep 1000\n",
    );
    sandbox.write("input", "in\n");
    let supervise = sandbox.start(sandbox.shell("exec supervise s <input"));
    sandbox.wait_until("it wrote", || supervise.stdout() == b"out\nin\n");
    assert_eq!(supervise.stderr(), b"err\n");
}

fn closed_descriptors_stay_closed(sandbox: &Sandbox) {
    for closing in [
        "<&-",
        ">&-",
        "2>&-",
        "<&- >&-",
        "<&- 2>&-",
        ">&- 2>&-",
        "<&- >&- 2>&-",
    ] {
        let launch = format!("exec {closing}; exec ");
        let direct = probe_alone(sandbox, &launch);
        let supervise = sandbox.start(sandbox.shell(&format!("{launch} supervise s")));
        assert_eq!(probed(sandbox), direct, "{closing}");
        sandbox.sh("svc -dx s").succeeds();
        supervise.wait().exits(0);
    }
}

fn unrunnable_run_is_reported_once_a_second(sandbox: &Sandbox) {
    let told = |complaint: &str| {
        let supervise = supervise(sandbox);
        let line = format!("supervise: fatal: unable to start s/run: {complaint}\n");
        sandbox.wait_until(&line, || {
            supervise.stderr().starts_with(line.repeat(2).as_bytes())
        });
        sandbox.sh("svc -dx s").succeeds();
        let stderr = supervise.wait().error_text();
        assert_eq!(stderr.replace(&line, ""), "");
    };
    sandbox.sh("mkdir s").succeeds();
    told("file does not exist");
    sandbox.write("s/run", SLEEPER);
    sandbox.mode("s/run", 0o644);
    told("access denied");
    sandbox.script("s/run", "echo no interpreter\n");
    told("exec format error");
    sandbox.script("s/run", "#!/nonexistent\n");
    told("file does not exist");
    sandbox.sh("rm s/run; mkdir s/run").succeeds();
    told("access denied");
}

fn short_lived_service_restarts_once_a_second(sandbox: &Sandbox) {
    sandbox.script("s/run", DIES);
    let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let _supervise = supervise(sandbox);
    sandbox.wait_until("the service has started four times", || {
        starts(sandbox).len() >= 4
    });
    let starts = starts(sandbox);
    // On a busy machine, date(1) may record any start late.
    for (earliest, start) in (0..).step_by(800_000_000).zip(&starts) {
        assert!(u128::from(*start) >= before + earliest, "{starts:?}");
    }
    let mut gaps = starts.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(gaps.any(|gap| gap < 4_000_000_000), "{starts:?}");
}

fn longer_lived_service_restarts_at_once(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\ndate +%s%N >>starts\nsleep 1.2\ndate +%s%N >>ends\n",
    );
    let _supervise = supervise(sandbox);
    sandbox.wait_until("the service has started three times", || {
        starts(sandbox).len() >= 3
    });
    let ends = String::from_utf8(sandbox.read("s/ends")).unwrap();
    let ends: Vec<u64> = ends.lines().map(|line| line.parse().unwrap()).collect();
    // The restart takes milliseconds. On a busy machine, one short gap in three
    // suffices.
    let gaps: Vec<u64> = starts(sandbox)[1..]
        .iter()
        .zip(ends)
        .map(|(start, end)| start - end)
        .collect();
    assert!(gaps.iter().any(|gap| *gap < 500_000_000), "{gaps:?}");
}

fn once_does_not_restart_service(sandbox: &Sandbox) {
    sandbox.script("s/run", DIES);
    sandbox.write("s/down", "");
    let _supervise = supervise(sandbox);
    sandbox.sh("svc -o s").succeeds();
    sandbox.wait_until("it ran", || starts(sandbox).len() == 1);
    wait_for_status(sandbox, (false, 0, 0));
    sandbox.sh("svc -o s").succeeds();
    sandbox.wait_until("it ran again", || starts(sandbox).len() == 2);
    // The record may not show the second start yet.
    sandbox.wait_until("svstat shows it down", || {
        sandbox.sh("svstat s").masked() == "s: down S seconds\n"
    });
    wait_for_status(sandbox, (false, 0, 0));
}

fn unwritable_status_is_a_warning(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.sh("mkdir -p s/supervise/status.new").succeeds();
    let first = supervise(sandbox);
    let line = b"supervise: warning: unable to open s/supervise/status.new: is a directory\n";
    sandbox.wait_until("the warning is written", || {
        first.stderr().starts_with(line)
    });
    sandbox.sh("svc -dx s").succeeds();
    first.wait().exits(0);
    sandbox
        .sh("rm -rf s/supervise; mkdir -p s/supervise/status/full")
        .succeeds();
    let second = sandbox.start_supervisor("supervise", "s");
    let line =
        b"supervise: warning: unable to rename s/supervise/status.new to status: is a directory\n";
    sandbox.wait_until("the warning is written", || {
        second.stderr().starts_with(line)
    });
    sandbox.sh("rm -rf s/supervise/status; svc -p s").succeeds();
    sandbox.wait_until("the status is back", || {
        sandbox.exists("s/supervise/status")
    });
    wait_for_status(sandbox, (true, 1, b'u'));
}

fn partly_written_status_is_never_shown(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let line = b"supervise: warning: unable to write s/supervise/status.new: partial write\n";
    let running = supervise_with_short_files(sandbox, "supervise", line);
    assert!(!sandbox.exists("s/supervise/status"));
    sandbox.sh("svc -dx s").succeeds();
    running.wait().exits(0);
}

/// Starts a supervisor of `s` whose files may have ten bytes, half a status record, and
/// waits for its first warning.
pub(super) fn supervise_with_short_files(
    sandbox: &Sandbox,
    supervisor: &str,
    warning: &[u8],
) -> Running {
    // The limit counts for standard error as well, if that is a file.
    let script =
        format!("mkfifo errors; cat errors >read & exec softlimit -f 10 {supervisor} s 2>errors");
    let running = sandbox.start(sandbox.shell(&script));
    sandbox.wait_until("the warning is written", || {
        sandbox.exists("read") && sandbox.read("read").starts_with(warning)
    });
    running
}

fn a_failing_fork_is_a_warning(sandbox: &Sandbox) {
    if !testkit::is_root("a_failing_fork_is_a_warning") {
        return;
    }
    sandbox.script("s/run", SLEEPER);
    sandbox.sh("chown -R 65533 s").succeeds();
    let supervise = sandbox.start(
        sandbox.shell("exec setpriv --reuid 65533 --clear-groups prlimit --nproc=0 supervise s"),
    );
    sandbox.wait_until("the warning is written", || !supervise.stderr().is_empty());
    assert_eq!(
        supervise.stderr().escape_ascii().to_string(),
        "supervise: warning: unable to fork for s, sleeping 60 seconds: temporary failure\\n"
    );
    assert_eq!(status(sandbox), (false, 0, b'u'));
}

fn control_may_be_an_ordinary_file(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox
        .sh("mkdir -p s/supervise; : >s/supervise/control")
        .succeeds();
    let supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().succeeds();
}

fn second_copy_in_directory_is_fatal(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let first = sandbox.start(sandbox.shell("exec \"$FIRST/supervise\" s"));
    sandbox.wait_until("supervise runs", || sandbox.is_supervised("s"));
    sandbox.sh("\"$THEN/supervise\" s").is(
        111,
        "",
        "supervise: fatal: unable to acquire s/supervise/lock: temporary failure\n",
    );
    sandbox.sh("svc -dx s").succeeds();
    first.wait().succeeds();
}

fn directory_moves_to_other_implementation(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let first = sandbox.start(sandbox.shell("exec \"$FIRST/supervise\" s"));
    sandbox.wait_until("supervise runs", || sandbox.is_supervised("s"));
    wait_for_status(sandbox, (true, 0, b'u'));
    let orphan = sandbox.service("s");
    first.kill();
    // Until its exec, the service may hold descriptors of supervise.
    sandbox.wait_until("it is gone", || sandbox.sh("svok s").code() == Some(100));
    let second = sandbox.start(sandbox.shell("exec \"$THEN/supervise\" s"));
    sandbox.wait_until("supervise runs", || sandbox.is_supervised("s"));
    sandbox.wait_until("it has its own service", || sandbox.service("s") != orphan);
    sandbox.sh("svc -dx s").succeeds();
    second.wait().succeeds();
}

fn a_killed_service_is_restarted(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let _supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    for _ in 0..2 {
        let before = sandbox.service("s");
        testkit::kill(before, Signal::SIGKILL).unwrap();
        sandbox.wait_until("the service has another pid", || {
            sandbox.service("s") != before
        });
    }
}
