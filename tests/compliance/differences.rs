//! Default behaviour in which ours improves on daemontools 0.76. Each test
//! shows both sides, and a row of COMPATIBILITY.md names the test.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{SLEEPER, Sandbox, Subject, compliance, kill};

use super::chain::injected;
use super::{reuse_inode, status, supervise};

compliance!(
    svscan_accepts_any_number_of_services,
    svscan_starts_a_new_link_at_once,
    svscan_replaces_killed_supervise_at_once,
    svscan_delays_restart_after_requested_exit,
    svscan_starts_new_directory_at_next_scan,
    svscan_gives_reused_inode_its_own_logger,
    svscan_does_not_block_on_full_stderr,
    svscan_and_supervise_survive_closed_stderr,
    supervise_records_exit_in_first_second,
    supervise_obeys_in_the_first_second,
    supervise_obeys_while_fork_fails,
    multilog_takes_next_free_label_at_once,
    clients_stay_in_their_directory,
);

/// Selects the value that a test expects of the subject.
fn reference_or_ours<T>(sandbox: &Sandbox, reference: T, ours: T) -> T {
    match sandbox.subject() {
        Subject::Reference => reference,
        Subject::Ours => ours,
        mixed => panic!("a difference is not shown by {mixed:?}"),
    }
}

fn svscan_accepts_any_number_of_services(sandbox: &Sandbox) {
    const MANY: usize = 1003;
    for n in 0..MANY {
        std::fs::create_dir_all(sandbox.path(format!("scan/{n}"))).unwrap();
    }
    sandbox.script("bin2/supervise", "#!/bin/sh\necho $1 >>../started\n");
    let svscan = sandbox.start(sandbox.shell("PATH=$PWD/bin2:$PATH; exec svscan scan"));
    let refused = || {
        let stderr = String::from_utf8(svscan.stderr()).unwrap();
        stderr
            .lines()
            .filter(|line| line.ends_with(": running too many services"))
            .count()
    };
    let started = || {
        let lines = std::fs::read_to_string(sandbox.path("started")).unwrap_or_default();
        lines
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    let (reference, ours) = (1000, MANY);
    let expected = reference_or_ours(sandbox, reference, ours);
    sandbox.wait_until("the services are started", || started() == expected);
    sandbox.wait_until("the others are refused", || refused() >= MANY - expected);
    assert_eq!(svscan.stderr().is_empty(), expected == MANY);
}

fn svscan_starts_a_new_link_at_once(sandbox: &Sandbox) {
    sandbox.script("link/run", SLEEPER);
    sandbox.script("scan/first/run", SLEEPER);
    let _svscan = sandbox.start(sandbox.shell("exec svscan scan"));
    sandbox.wait_until("it looks", || sandbox.is_supervised("scan/first"));
    let mut n = 0;
    let mut wait_for_link = || {
        n += 1;
        sandbox
            .sh(&format!("cp -r link link{n}; ln -s ../link{n} scan"))
            .succeeds();
        let start = Instant::now();
        sandbox.wait_until("it runs", || {
            sandbox.sh(&format!("svok link{n}")).code() == Some(0)
        });
        start.elapsed()
    };
    if sandbox.subject() == Subject::Reference {
        // svscan has just scanned; the next scan follows after five seconds.
        assert!(wait_for_link() > Duration::from_secs(2));
    } else {
        sandbox.wait_until("a link runs within 0.1 s", || {
            wait_for_link() < Duration::from_millis(100)
        });
    }
}

fn svscan_replaces_killed_supervise_at_once(sandbox: &Sandbox) {
    sandbox.script(
        "bin2/supervise",
        "#!/bin/sh\necho $$ >>../started.$1\nexec sleep 1000\n",
    );
    sandbox.sh("mkdir -p scan/a").succeeds();
    let _svscan = sandbox.start(sandbox.shell("PATH=$PWD/bin2:$PATH; exec svscan scan"));
    let pids = |name: &str| -> Vec<i32> {
        let lines =
            std::fs::read_to_string(sandbox.path(format!("started.{name}"))).unwrap_or_default();
        lines
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n')?.parse().ok())
            .collect()
    };
    let wait_for_look = |name: &str| {
        sandbox.sh(&format!("mkdir scan/{name}")).succeeds();
        sandbox.wait_until("it looks", || !pids(name).is_empty());
    };
    let kill_and_wait = || {
        let before = pids("a");
        kill(Pid::from_raw(before[before.len() - 1]), Signal::SIGKILL).unwrap();
        let start = Instant::now();
        sandbox.wait_until("it is replaced", || pids("a").len() > before.len());
        start.elapsed()
    };
    // A supervise younger than five seconds is replaced at the next scan.
    sandbox.wait_until("it starts", || !pids("a").is_empty());
    assert!(kill_and_wait() > Duration::from_secs(2));
    wait_for_look("b");
    wait_for_look("c");
    let elapsed = kill_and_wait();
    if sandbox.subject() == Subject::Reference {
        assert!(elapsed > Duration::from_secs(2), "{elapsed:?}");
    } else {
        assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    }
}

fn svscan_delays_restart_after_requested_exit(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let svscan = sandbox.start(sandbox.shell("exec svscan scan"));
    for name in ["b", "c"] {
        sandbox.script(format!("scan/{name}/run"), SLEEPER);
        sandbox.wait_until("it looks", || {
            sandbox.sh(&format!("svok scan/{name}")).code() == Some(0)
        });
        // svscan has just scanned: the script has until the next scan.
        sandbox
            .sh(&format!(
                "svc -dx scan/{name}; while svok scan/{name}; do sleep 0.01; \
            done; rm -r scan/{name}"
            ))
            .succeeds();
    }
    sandbox.script("scan/d/run", SLEEPER);
    sandbox.wait_until("the next scan is over", || sandbox.is_supervised("scan/d"));
    assert_eq!(svscan.stderr(), b"");
    assert!(!sandbox.exists("scan/b") && !sandbox.exists("scan/c"));
}

fn svscan_starts_new_directory_at_next_scan(sandbox: &Sandbox) {
    sandbox.script("scan/first/run", SLEEPER);
    let svscan = sandbox.start(sandbox.shell("exec svscan scan"));
    sandbox.wait_until("it looks", || sandbox.is_supervised("scan/first"));
    sandbox.sh("mkdir scan/a").succeeds();
    // An immediate start would find neither log nor run.
    sandbox.script("scan/a/log/run", SLEEPER);
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.wait_until("it runs with its logger", || {
        sandbox.sh("svok scan/a && svok scan/a/log").code() == Some(0)
    });
    assert_eq!(svscan.stderr(), b"");
}

/// Replaces a service that has ended by one whose directory has the same inode. Returns
/// whether the new service writes into a pipe. None if no directory received the inode.
fn replace_service(sandbox: &Sandbox, number: usize, loggers: [bool; 2]) -> Option<bool> {
    const LOGGER: &str = "#!/bin/sh\nexec cat >/dev/null\n";
    let [old, new] = ["old", "new"].map(|name| format!("{name}{number}"));
    let link = |name: &str| {
        sandbox.sh(&format!("ln -s ../{name} scan")).succeeds();
    };
    sandbox.script(format!("{old}/run"), SLEEPER);
    if loggers[0] {
        sandbox.script(format!("{old}/log/run"), LOGGER);
    }
    let inode = std::fs::metadata(sandbox.path(&old)).unwrap().ino();
    link(&old);
    sandbox.wait_until("the first service is supervised", || {
        sandbox.is_supervised(&old) && (!loggers[0] || sandbox.is_supervised(&format!("{old}/log")))
    });
    sandbox
        .sh(&format!(
            "rm scan/{old}; for s in {old} {old}/log; do svc -dx $s; \
             while svok $s; do sleep 0.01; done; done 2>/dev/null; rm -r {old}"
        ))
        .succeeds();
    if !reuse_inode(sandbox, inode, &new) {
        return None;
    }
    sandbox.script(
        format!("{new}/run"),
        "#!/bin/sh\n[ -p /dev/fd/1 ] && echo pipe >out || echo other >out\n\
         mv out kind\nexec sleep 1000\n",
    );
    if loggers[1] {
        sandbox.script(format!("{new}/log/run"), LOGGER);
    }
    link(&new);
    let kind = format!("{new}/kind");
    sandbox.wait_until("the second service runs", || sandbox.exists(&kind));
    let kind = sandbox.read(&kind);
    sandbox.sh(&format!("rm scan/{new}")).succeeds();
    Some(kind == b"pipe\n")
}

fn svscan_gives_reused_inode_its_own_logger(sandbox: &Sandbox) {
    std::fs::create_dir(sandbox.path("scan")).unwrap();
    let options = reference_or_ours(sandbox, &[""][..], &["", "-e"]);
    let mut number = 0;
    for option in options {
        let svscan = sandbox.start(sandbox.shell(&format!("exec svscan {option} scan")));
        for loggers in [[false, true], [true, false]] {
            let mut is_right = || {
                number += 1;
                Some(replace_service(sandbox, number, loggers)? == loggers[1])
            };
            if sandbox.subject() == Subject::Ours {
                for _ in 0..3 {
                    assert_ne!(is_right(), Some(false), "svscan {option}: {loggers:?}");
                }
            } else {
                // A scan between the two services hides the difference.
                sandbox.wait_until("a service has the pipe of another one", || {
                    is_right() != Some(true)
                });
            }
        }
        svscan.kill();
    }
}

fn svscan_does_not_block_on_full_stderr(sandbox: &Sandbox) {
    // Each scan writes a warning and finds a new service.
    sandbox
        .sh("mkdir scan; ln -s nowhere scan/broken; mkfifo full")
        .succeeds();
    let svscan = sandbox.start(sandbox.shell(
        "exec 3<>full; perl -e '
            use Fcntl; fcntl STDOUT, F_SETFL, O_NONBLOCK; \
            1 while syswrite STDOUT, \"x\" x 4096; fcntl STDOUT, F_SETFL, 0' >&3
            >filled; exec svscan scan 2>&3",
    ));
    sandbox.wait_until("it cannot complain", || sandbox.exists("filled"));
    if sandbox.subject() == Subject::Reference {
        let waits = || {
            sandbox
                .sh(&format!("cat /proc/{}/wchan", svscan.pid()))
                .text()
                .contains("pipe_write")
        };
        let writes = || {
            sandbox
                .sh(&format!("cat /proc/{}/syscall", svscan.pid()))
                .text()
                .starts_with("1 0x2 ")
        };
        sandbox.wait_until("it waits for a reader", || waits() || writes());
        return;
    }
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.wait_until("it goes on", || sandbox.is_supervised("scan/a"));
}

fn svscan_and_supervise_survive_closed_stderr(sandbox: &Sandbox) {
    sandbox
        .sh("mkdir scan; ln -s nowhere scan/broken; mkdir -p s/supervise/status.new; mkfifo end")
        .succeeds();
    sandbox.script("s/run", SLEEPER);
    let svscan = sandbox.start(sandbox.shell("exec 3<>end; exec svscan scan 2>end 3<&-"));
    let supervise =
        sandbox.start(sandbox.shell("mkfifo end2; exec 3<>end2; exec supervise s 2>end2 3<&-"));
    if sandbox.subject() == Subject::Reference {
        assert_eq!(svscan.wait().signal(), Some(Signal::SIGPIPE as i32));
        assert_eq!(supervise.wait().signal(), Some(Signal::SIGPIPE as i32));
        return;
    }
    // The second of two new services comes at a later look.
    for name in ["a", "b"] {
        sandbox.script(format!("scan/{name}/run"), SLEEPER);
        sandbox.wait_until("svscan has scanned", || {
            sandbox.sh(&format!("svok scan/{name}")).code() == Some(0)
        });
    }
    sandbox.sh("svok s && svc -dx s").succeeds();
    supervise.wait().succeeds();
}

fn supervise_records_exit_in_first_second(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho start >>starts\n");
    let _supervise = supervise(sandbox);
    let starts = || std::fs::read(sandbox.path("s/starts")).map_or(0, |starts| starts.len() / 6);
    let is_zombie = |pid| {
        let state = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        state.contains("State:\tZ")
    };
    sandbox.wait_until("the death shows", || match sandbox.subject() {
        Subject::Reference => is_zombie(sandbox.service("s")),
        _ => starts() == 1 && status(sandbox) == (false, 0, b'u'),
    });
    sandbox.wait_until("the service is restarted", || starts() >= 2);
}

fn supervise_obeys_in_the_first_second(sandbox: &Sandbox) {
    // The process lives until HUP, and prints its lifetime in milliseconds.
    sandbox.script(
        "s/run",
        "#!/usr/bin/perl\nuse Time::HiRes 'time'; my $start = time;\n\
        $SIG{HUP} = sub { open O, '>', 'lived.new'; printf O '%d', 1000 * (time - $start); \
        close O; \
        rename 'lived.new', 'lived'; exit };\nopen O, '>', 'ready'; close O; sleep 1000;\n",
    );
    sandbox.write("s/down", "");
    let _supervise = supervise(sandbox);
    let lived = || -> u32 {
        sandbox.sh("rm -f s/ready s/lived; svc -o s").succeeds();
        sandbox.wait_until("it runs", || sandbox.exists("s/ready"));
        sandbox.sh("svc -h s").succeeds();
        sandbox.wait_until("it is hung up", || sandbox.exists("s/lived"));
        sandbox.wait_until("the process ends", || status(sandbox) == (false, 0, 0));
        String::from_utf8(sandbox.read("s/lived"))
            .unwrap()
            .parse()
            .unwrap()
    };
    if sandbox.subject() == Subject::Reference {
        // The start of perl is not part of the lifetime.
        let lived = lived();
        assert!(lived > 700, "{lived} ms");
    } else {
        // A busy machine may need several attempts.
        sandbox.wait_until("it obeys at once", || lived() < 500);
    }
}

fn supervise_obeys_while_fork_fails(sandbox: &Sandbox) {
    if !testkit::is_root("supervise_obeys_while_fork_fails") {
        return;
    }
    sandbox.script("s/run", SLEEPER);
    sandbox.sh("chown -R 65532 s").succeeds();
    let supervise = sandbox.start(
        sandbox.shell("exec setpriv --reuid 65532 --clear-groups prlimit --nproc=0 supervise s"),
    );
    sandbox.wait_until("the warning is written", || !supervise.stderr().is_empty());
    sandbox.sh("svc -dx s").succeeds();
    if sandbox.subject() == Subject::Reference {
        // The reference sleeps: poll has a timeout of a minute and no descriptor.
        let call = || {
            sandbox
                .sh(&format!("cat /proc/{}/syscall", supervise.pid()))
                .text()
        };
        sandbox.wait_until("it sleeps", || {
            // restart_syscall(2), 219, continues a poll that was interrupted.
            let call = call();
            let words: Vec<_> = call.split(' ').collect();
            let timeout = match words[..] {
                ["7" | "219", _, "0x0", timeout, ..] => timeout.trim_start_matches("0x"),
                _ => return false,
            };
            let timeout = u32::from_str_radix(timeout, 16).unwrap();
            // The time since the warning is subtracted.
            (50_000..=60_020).contains(&timeout)
        });
        return;
    }
    supervise.wait().is(
        0,
        "",
        "supervise: warning: unable to fork for s, sleeping 60 seconds: temporary failure\n",
    );
}

fn multilog_takes_next_free_label_at_once(sandbox: &Sandbox) {
    // strace reports once that another file changed in the same microsecond.
    let strace =
        "strace -qq -o /dev/null -e trace=link,linkat -e inject=link,linkat:error=EEXIST:when=1";
    if sandbox.sh(&format!("{strace} true")).code() != Some(0) {
        return testkit::skip("two files of one microsecond", "strace cannot be used");
    }
    let input = [vec![b'x'; 3000], b"\nlast\n".to_vec()].concat();
    let outcome = sandbox.feed(&input, &format!("exec {strace} multilog s4096 ./m"));
    let said = outcome.error_text();
    if sandbox.subject() == Subject::Reference {
        assert!(
            said.starts_with("multilog: warning: unable to link to ./m/@"),
            "{said}"
        );
        assert!(
            said.ends_with(".s, pausing: file already exists\n"),
            "{said}"
        );
    } else {
        outcome.succeeds();
    }
    sandbox.sh("cat m/@*.s m/current").prints(input);
}

fn clients_stay_in_their_directory(sandbox: &Sandbox) {
    sandbox.sh("mkdir a b").succeeds();
    let Some(strace) = injected("fchdir", "EIO", "1+") else {
        return;
    };
    let missing = "unable to open supervise/ok: file does not exist\n";
    let fatal = "svstat: fatal: unable to set directory: input/output error\n";
    let (code, lines, error) = reference_or_ours(
        sandbox,
        (111, String::new(), fatal),
        (0, format!("a: {missing}b: {missing}"), ""),
    );
    sandbox
        .sh(&format!("exec {strace} svstat a b"))
        .is(code, lines, error);
    let warning = |dir| format!("svc: warning: unable to control {dir}: file does not exist\n");
    let fatal = "svc: fatal: unable to set directory: input/output error\n";
    let (code, errors) = reference_or_ours(
        sandbox,
        (111, warning("a") + fatal),
        (0, warning("a") + &warning("b")),
    );
    sandbox
        .sh(&format!("exec {strace} svc -u a b"))
        .is(code, "", errors);
}
