use nix::sys::signal::Signal;
use testkit::{Scene, compliance, interop};

use super::{SLEEPER, may_change_identity, status, supervise, wait_for_status};

/// A run script that records each of its starts, as nanoseconds, and dies.
const DIES: &str = "#!/bin/sh\ndate +%s%N >>starts\n";

/// The moments recorded by [`DIES`], in nanoseconds.
fn starts(scene: &Scene) -> Vec<u64> {
    let text = std::fs::read_to_string(scene.path("s/starts")).unwrap_or_default();
    // A line that is being written has no newline yet.
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n')?.parse().ok())
        .collect()
}

/// A run script that tells what it was given, in the file `out`, and stays.
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

/// What the probe in `s` tells when it is launched without supervise.
pub(super) fn probe_alone(scene: &Scene, launch: &str) -> String {
    scene.script("s/run", PROBE);
    let mut command = scene.shell(&format!("{launch} ./run"));
    command.current_dir(scene.path("s"));
    let probe = scene.start(command);
    let told = probed(scene);
    probe.signal(Signal::SIGKILL);
    probe.wait();
    // The shell tells its children where it is.
    told.replace(
        &format!("PWD={}/s", scene.dir().display()),
        &format!("PWD={}", scene.dir().display()),
    )
}

/// What the probe in `s` tells, once it does.
pub(super) fn probed(scene: &Scene) -> String {
    scene.wait_until("the service tells", || scene.exists("s/out"));
    let told = scene.read("s/out");
    std::fs::remove_file(scene.path("s/out")).unwrap();
    String::from_utf8(told).unwrap()
}

compliance! {
    fn usage_is_for_anything_but_one_argument(scene: &Scene) {
        for words in ["", " a b", " -- a"] {
            scene.sh(&format!("supervise{words}")).is(100, "", "supervise: usage: supervise dir\n");
        }
    }

    fn a_missing_directory_is_fatal(scene: &Scene) {
        scene.sh("supervise nope").is(111, "", "supervise: fatal: unable to chdir to nope: file does not exist\n");
        scene.sh("supervise --").is(111, "", "supervise: fatal: unable to chdir to --: file does not exist\n");
        scene.sh("supervise ''").is(111, "", "supervise: fatal: unable to chdir to : file does not exist\n");
    }

    fn down_must_be_known(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        scene.sh("ln -s down s/down");
        scene.sh("supervise s").is(111, "", "supervise: fatal: unable to stat s/down: symbolic link loop\n");
        assert!(!scene.exists("s/supervise"));
    }

    fn what_stands_in_the_way_is_told(scene: &Scene) {
        let cases = [
            (": >s/supervise", "acquire s/supervise/lock: not a directory"),
            ("ln -s /nonexistent/a s/supervise", "acquire s/supervise/lock: file does not exist"),
            ("ln -s supervise s/supervise", "acquire s/supervise/lock: symbolic link loop"),
            ("mkdir -p s/supervise/lock", "acquire s/supervise/lock: is a directory"),
            ("mkdir -p s/supervise/control", "write s/supervise/control: is a directory"),
        ];
        for (prepare, complaint) in cases {
            scene.sh(&format!("rm -rf s; mkdir s; {prepare}")).succeeds();
            scene.sh("supervise s").is(111, "", format!("supervise: fatal: unable to {complaint}\n"));
        }
    }

    fn missing_rights_are_told(scene: &Scene) {
        if !may_change_identity("missing_rights_are_told") {
            return;
        }
        scene.script("s/run", SLEEPER);
        let as_nobody = "exec setpriv --reuid 65534 --clear-groups supervise s";
        scene.sh(as_nobody).is(111, "", "supervise: fatal: unable to acquire s/supervise/lock: file does not exist\n");
        scene.sh("mkdir -m 700 s/supervise");
        scene.sh(as_nobody).is(111, "", "supervise: fatal: unable to acquire s/supervise/lock: access denied\n");
        scene.sh("chown 65534 s/supervise; mkfifo -m 0 s/supervise/control");
        scene.sh(as_nobody).is(111, "", "supervise: fatal: unable to read s/supervise/control: access denied\n");
        scene.sh("chown 65534 s/supervise/control; chmod 400 s/supervise/control");
        scene.sh(as_nobody).is(111, "", "supervise: fatal: unable to write s/supervise/control: access denied\n");
        scene.sh("chmod 600 s/supervise/control; mkfifo -m 0 s/supervise/ok");
        scene.sh(as_nobody).is(111, "", "supervise: fatal: unable to read s/supervise/ok: access denied\n");
        scene.sh("chmod 0 s");
        scene.sh(as_nobody).is(111, "", "supervise: fatal: unable to chdir to s: access denied\n");
    }

    fn no_descriptors_no_supervise(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        let outcome = scene.sh("ulimit -n 4; exec supervise s");
        outcome.is(111, "", "supervise: fatal: unable to create pipe for s: process cannot open more files\n");
    }

    fn its_files_have_their_names_and_modes(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        let _supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
        assert_eq!(
            scene.listing("s"),
            format!(
                "drwx------ {me} supervise\n-rwxr-xr-x {me} 26 run\nprw------- {me} 0 supervise/control\n\
                 -rw------- {me} 0 supervise/lock\nprw------- {me} 0 supervise/ok\n\
                 -rw-r--r-- {me} 18 supervise/status\n"
            )
        );
    }

    fn the_umask_applies(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        let _supervise = scene.start(scene.shell("umask 077; exec supervise s"));
        scene.wait_until("it runs", || scene.sh("svok s").code() == Some(0));
        scene.sh("stat -c '%a %n' s/supervise/status s/supervise/ok").prints("600 s/supervise/status\n600 s/supervise/ok\n");
    }

    fn a_link_to_nothing_becomes_a_directory(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        scene.sh("ln -s ../elsewhere s/supervise");
        let _supervise = supervise(scene);
        scene.sh("stat -c '%a %F' elsewhere; ls elsewhere").prints("700 directory\ncontrol\nlock\nok\nstatus\n");
    }

    fn down_is_obeyed_at_the_start(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        scene.write("s/down", "");
        let _supervise = supervise(scene);
        assert_eq!(status(scene), (false, 0, b'd'));
        scene.sh("svc -u s");
        wait_for_status(scene, (true, 0, b'u'));
    }

    fn the_status_record_is_to_the_byte(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let _supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        let record = scene.read("s/supervise/status");
        let seconds = u64::from_be_bytes(record[..8].try_into().unwrap()) - (1 << 62) - 10;
        assert!((before..=before + 60).contains(&seconds), "{seconds} is not now, {before}");
        let nanoseconds = u32::from_be_bytes(record[8..12].try_into().unwrap());
        assert_eq!(nanoseconds % 1000, 500);
        let running = format!("/proc/{}/cmdline", scene.service("s"));
        scene.wait_until("the pid is that of the service", || {
            std::fs::read(&running).unwrap() == b"sleep\x001000\0"
        });
    }

    fn each_command_has_its_effect(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        let supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        for (command, state) in [
            ("p", (true, 1, b'u')), ("c", (true, 0, b'u')), ("o", (true, 0, 0)), ("p", (true, 1, 0)),
            ("d", (false, 0, b'd')), ("o", (true, 0, 0)), ("u", (true, 0, b'u')), ("p", (true, 1, b'u')),
            ("u", (true, 1, b'u')), ("d", (false, 0, b'd')), ("p", (false, 0, b'd')), ("u", (true, 0, b'u')),
            ("o", (true, 0, 0)), ("t", (false, 0, 0)), ("u", (true, 0, b'u')),
        ] {
            scene.sh(&format!("svc -{command} s")).succeeds();
            wait_for_status(scene, state);
        }
        scene.sh("svc -x s").succeeds();
        scene.sh("svc -t s").succeeds();
        supervise.wait().succeeds();
        assert_eq!(status(scene), (false, 0, b'u'));
    }

    fn exit_does_not_stop_the_service_and_prevents_a_restart(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho start >>starts\nexec sleep 1000\n");
        let mut supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        let service = scene.service("s");
        scene.sh("svc -x s; svc -pc s").succeeds();
        scene.wait_until("the commands are read", || scene.sh("svstat s").masked() == "s: up (pid P) S seconds\n");
        assert!(supervise.runs());
        assert_eq!(scene.service("s"), service);
        scene.sh("svc -ut s").succeeds();
        supervise.wait().succeeds();
        assert_eq!(scene.read("s/starts"), b"start\n");
    }

    fn unknown_bytes_are_ignored(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        let _supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        scene.sh("perl -e 'print map { chr } grep { chr !~ /[udopchaitkxq12w+=]/ } 0..255' >s/supervise/control").succeeds();
        scene.sh("svc -p s");
        wait_for_status(scene, (true, 1, b'u'));
    }

    fn signals_to_supervise_leave_the_service(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGPIPE, Signal::SIGALRM] {
            let supervise = supervise(scene);
            wait_for_status(scene, (true, 0, b'u'));
            supervise.signal(signal);
            assert_eq!(supervise.wait().signal(), Some(signal as i32));
            testkit::kill(scene.service("s"), Signal::SIGKILL).unwrap();
        }
    }

    fn the_child_gets_what_supervise_inherited(scene: &Scene) {
        let launch = "umask 027; exec env -i B=1 PATH=\"$PATH\" A=2 perl -MPOSIX -e '$SIG{HUP} = \"IGNORE\"; \
            sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGCHLD, SIGUSR2, SIGTERM)); exec @ARGV' ";
        let direct = probe_alone(scene, launch);
        assert!(direct.contains("SigBlk:\t0000000000014800\n"), "{direct}");
        let supervise = scene.start(scene.shell(&format!("{launch} supervise s")));
        // SIGCHLD alone is changed: it is unblocked.
        assert_eq!(probed(scene), direct.replace("SigBlk:\t0000000000014800", "SigBlk:\t0000000000004800"));
        let ids = |pid| scene.sh(&format!("ps -o pgid=,sid= {pid}")).text();
        assert_eq!(ids(scene.service("s")), ids(supervise.pid()));
        let parent = scene.sh(&format!("ps -o ppid= {}", scene.service("s"))).text();
        assert_eq!(parent.trim(), supervise.pid().to_string());
    }

    fn an_ignored_sigchld_does_not_blind_it(scene: &Scene) {
        let launch = "exec perl -e '$SIG{CHLD} = \"IGNORE\"; exec @ARGV' ";
        let direct = probe_alone(scene, launch);
        let ignored = |text: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
            u64::from_str_radix(line, 16).unwrap()
        };
        let _supervise = scene.start(scene.shell(&format!("{launch} supervise s")));
        assert_eq!(ignored(&probed(scene)), ignored(&direct) & !(1 << 16));
        wait_for_status(scene, (true, 0, b'u'));
        scene.sh("svc -d s");
        wait_for_status(scene, (false, 0, b'd'));
    }

    fn standard_descriptors_pass_through(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho out; echo err >&2; cat; exec sleep 1000\n");
        scene.write("input", "in\n");
        let supervise = scene.start(scene.shell("exec supervise s <input"));
        scene.wait_until("it wrote", || supervise.stdout() == b"out\nin\n");
        assert_eq!(supervise.stderr(), b"err\n");
    }

    fn closed_descriptors_stay_closed(scene: &Scene) {
        for closing in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
            let launch = format!("exec {closing}; exec ");
            let direct = probe_alone(scene, &launch);
            let supervise = scene.start(scene.shell(&format!("{launch} supervise s")));
            assert_eq!(probed(scene), direct, "{closing}");
            scene.sh("svc -dx s");
            supervise.wait();
        }
    }

    fn a_run_that_cannot_be_executed_is_told_once_a_second(scene: &Scene) {
        let told = |complaint: &str| {
            let supervise = supervise(scene);
            let line = format!("supervise: fatal: unable to start s/run: {complaint}\n");
            scene.wait_until(&line, || supervise.stderr() == line.repeat(2).as_bytes());
            scene.sh("svc -dx s");
            let stderr = supervise.wait().error_text();
            assert_eq!(stderr.replace(&line, ""), "");
        };
        scene.sh("mkdir s");
        told("file does not exist");
        scene.write("s/run", SLEEPER);
        scene.mode("s/run", 0o644);
        told("access denied");
        scene.script("s/run", "echo no interpreter\n");
        told("exec format error");
        scene.script("s/run", "#!/nonexistent\n");
        told("file does not exist");
        scene.sh("rm s/run; mkdir s/run");
        told("access denied");
    }

    fn a_service_that_dies_at_once_restarts_once_a_second(scene: &Scene) {
        scene.script("s/run", DIES);
        let _supervise = supervise(scene);
        scene.wait_until("it started four times", || starts(scene).len() >= 4);
        let starts = starts(scene);
        for pair in starts.windows(2) {
            let gap = pair[1] - pair[0];
            // The first moment is taken by date(1), which has to start, too.
            assert!((800_000_000..4_000_000_000).contains(&gap), "{starts:?}");
        }
    }

    fn a_service_that_ran_longer_restarts_at_once(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\ndate +%s%N >>starts\nsleep 1.2\ndate +%s%N >>ends\n");
        let _supervise = supervise(scene);
        scene.wait_until("it started three times", || starts(scene).len() >= 3);
        let ends = String::from_utf8(scene.read("s/ends")).unwrap();
        let ends: Vec<u64> = ends.lines().map(|line| line.parse().unwrap()).collect();
        // It is restarted in milliseconds; where the machine is busy, once in
        // three times is proof enough.
        let gaps: Vec<u64> = starts(scene)[1..].iter().zip(ends).map(|(start, end)| start - end).collect();
        assert!(gaps.iter().any(|gap| *gap < 500_000_000), "{gaps:?}");
    }

    fn a_death_after_once_is_not_followed_by_a_start(scene: &Scene) {
        scene.script("s/run", DIES);
        scene.write("s/down", "");
        let _supervise = supervise(scene);
        scene.sh("svc -o s");
        scene.wait_until("it ran", || starts(scene).len() == 1);
        wait_for_status(scene, (false, 0, 0));
        scene.sh("svc -o s");
        scene.wait_until("it ran again", || starts(scene).len() == 2);
        wait_for_status(scene, (false, 0, 0));
        assert_eq!(scene.sh("svstat s").masked(), "s: down S seconds\n");
    }

    fn a_status_that_cannot_be_written_is_a_warning(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        scene.sh("mkdir -p s/supervise/status.new");
        let first = supervise(scene);
        let line = b"supervise: warning: unable to open s/supervise/status.new: is a directory\n";
        scene.wait_until("it warns", || first.stderr().starts_with(line));
        scene.sh("svc -dx s");
        first.wait();
        scene.sh("rm -rf s/supervise; mkdir -p s/supervise/status/full");
        let second = scene.start(scene.shell("exec supervise s"));
        scene.wait_until("it runs", || scene.sh("svok s").code() == Some(0));
        let line = b"supervise: warning: unable to rename s/supervise/status.new to status: is a directory\n";
        scene.wait_until("it warns", || second.stderr().starts_with(line));
        scene.sh("rm -rf s/supervise/status; svc -p s");
        scene.wait_until("the status is back", || scene.exists("s/supervise/status"));
        wait_for_status(scene, (true, 1, b'u'));
    }

    fn a_failing_fork_is_a_warning(scene: &Scene) {
        if !may_change_identity("a_failing_fork_is_a_warning") {
            return;
        }
        scene.script("s/run", SLEEPER);
        scene.sh("chown -R 65533 s");
        let supervise = scene.start(scene.shell("exec setpriv --reuid 65533 --clear-groups prlimit --nproc=0 supervise s"));
        scene.wait_until("it warns", || !supervise.stderr().is_empty());
        assert_eq!(supervise.stderr().escape_ascii().to_string(),
            "supervise: warning: unable to fork for s, sleeping 60 seconds: temporary failure\\n");
        assert_eq!(status(scene), (false, 0, b'u'));
    }

    fn control_may_be_an_ordinary_file(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        scene.sh("mkdir -p s/supervise; : >s/supervise/control");
        let supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        scene.sh("svc -dx s").succeeds();
        supervise.wait().succeeds();
    }
}

interop! {
    fn only_one_runs_in_a_directory(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        let first = scene.start(scene.shell("exec \"$FIRST/supervise\" s"));
        scene.wait_until("supervise runs", || scene.sh("svok s").code() == Some(0));
        scene.sh("\"$THEN/supervise\" s").is(111, "", "supervise: fatal: unable to acquire s/supervise/lock: temporary failure\n");
        scene.sh("svc -dx s");
        first.wait().succeeds();
    }

    fn another_takes_the_directory_over(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        let first = scene.start(scene.shell("exec \"$FIRST/supervise\" s"));
        scene.wait_until("supervise runs", || scene.sh("svok s").code() == Some(0));
        wait_for_status(scene, (true, 0, b'u'));
        let orphan = scene.service("s");
        first.signal(Signal::SIGKILL);
        first.wait();
        // Its service may still be on its way to exec, and hold what closes
        // then.
        scene.wait_until("it is gone", || scene.sh("svok s").code() == Some(100));
        let second = scene.start(scene.shell("exec \"$THEN/supervise\" s"));
        scene.wait_until("supervise runs", || scene.sh("svok s").code() == Some(0));
        scene.wait_until("it has its own service", || scene.service("s") != orphan);
        scene.sh("svc -dx s");
        second.wait().succeeds();
    }

    fn a_killed_service_is_restarted(scene: &Scene) {
        scene.script("s/run", SLEEPER);
        let _supervise = supervise(scene);
        wait_for_status(scene, (true, 0, b'u'));
        for _ in 0..2 {
            let before = scene.service("s");
            testkit::kill(before, Signal::SIGKILL).unwrap();
            scene.wait_until("it has another pid", || scene.service("s") != before);
        }
    }
}
