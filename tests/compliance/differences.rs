//! What ours does better by default: each test shows what the reference does
//! and what ours does, and is named in COMPATIBILITY.md.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Scene, Subject, compliance, kill};

use super::{SLEEPER, may_change_identity, status, supervise};

/// What a test of a difference expects of the subject.
fn reference_or_ours<T>(scene: &Scene, reference: T, ours: T) -> T {
    match scene.subject() {
        Subject::Reference => reference,
        Subject::Ours => ours,
        mixed => panic!("a difference is not shown by {mixed:?}"),
    }
}

compliance! {
    fn svscan_takes_any_number_of_services(scene: &Scene) {
        const MANY: usize = 1003;
        for n in 0..MANY {
            std::fs::create_dir_all(scene.path(format!("scan/{n}"))).unwrap();
        }
        scene.script("bin2/supervise", "#!/bin/sh\necho $1 >>../started\n");
        let svscan = scene.start(scene.shell("PATH=$PWD/bin2:$PATH; exec svscan scan"));
        let refused = || {
            let stderr = String::from_utf8(svscan.stderr()).unwrap();
            stderr.lines().filter(|line| line.ends_with(": running too many services")).count()
        };
        let started = || {
            let lines = std::fs::read_to_string(scene.path("started")).unwrap_or_default();
            lines.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect::<std::collections::BTreeSet<_>>().len()
        };
        let (reference, ours) = (1000, MANY);
        let expected = reference_or_ours(scene, reference, ours);
        scene.wait_until("the services are started", || started() == expected);
        scene.wait_until("the others are refused", || refused() >= MANY - expected);
        assert_eq!(svscan.stderr().is_empty(), expected == MANY);
    }

    fn svscan_starts_a_new_link_at_once(scene: &Scene) {
        scene.script("link/run", SLEEPER);
        scene.script("scan/first/run", SLEEPER);
        let _svscan = scene.start(scene.shell("exec svscan scan"));
        scene.wait_until("it looks", || scene.sh("svok scan/first").code() == Some(0));
        let mut n = 0;
        let mut wait_for_link = || {
            n += 1;
            scene.sh(&format!("cp -r link link{n}; ln -s ../link{n} scan")).succeeds();
            let start = Instant::now();
            scene.wait_until("it runs", || scene.sh(&format!("svok link{n}")).code() == Some(0));
            start.elapsed()
        };
        if scene.subject() == Subject::Reference {
            // It has just looked; the next look comes after five seconds.
            assert!(wait_for_link() > Duration::from_secs(2));
        } else {
            scene.wait_until("a link runs within 0.1 s", || wait_for_link() < Duration::from_millis(100));
        }
    }

    fn svscan_replaces_a_lost_supervise_at_once(scene: &Scene) {
        scene.script("bin2/supervise", "#!/bin/sh\necho $$ >>../started.$1\nexec sleep 1000\n");
        scene.sh("mkdir -p scan/a");
        let _svscan = scene.start(scene.shell("PATH=$PWD/bin2:$PATH; exec svscan scan"));
        let pids = |name: &str| -> Vec<i32> {
            let lines = std::fs::read_to_string(scene.path(format!("started.{name}"))).unwrap_or_default();
            lines.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')?.parse().ok()).collect()
        };
        let wait_for_look = |name: &str| {
            scene.sh(&format!("mkdir scan/{name}"));
            scene.wait_until("it looks", || !pids(name).is_empty());
        };
        let kill_and_wait = || {
            let before = pids("a");
            kill(Pid::from_raw(before[before.len() - 1]), Signal::SIGKILL).unwrap();
            let start = Instant::now();
            scene.wait_until("it is replaced", || pids("a").len() > before.len());
            start.elapsed()
        };
        // Younger than five seconds, it waits for the next look.
        scene.wait_until("it starts", || !pids("a").is_empty());
        assert!(kill_and_wait() > Duration::from_secs(2));
        wait_for_look("b");
        wait_for_look("c");
        let elapsed = kill_and_wait();
        if scene.subject() == Subject::Reference {
            assert!(elapsed > Duration::from_secs(2), "{elapsed:?}");
        } else {
            assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
        }
    }

    fn svscan_leaves_time_to_remove_what_was_told_to_exit(scene: &Scene) {
        scene.script("scan/a/run", SLEEPER);
        let svscan = scene.start(scene.shell("exec svscan scan"));
        for name in ["b", "c"] {
            scene.script(format!("scan/{name}/run"), SLEEPER);
            scene.wait_until("it looks", || scene.sh(&format!("svok scan/{name}")).code() == Some(0));
            // It has just looked: the script has until the next look.
            scene.sh(&format!("svc -dx scan/{name}; while svok scan/{name}; do sleep 0.01; done; rm -r scan/{name}")).succeeds();
        }
        scene.script("scan/d/run", SLEEPER);
        scene.wait_until("it looks again", || scene.sh("svok scan/d").code() == Some(0));
        assert_eq!(svscan.stderr(), b"");
        assert!(!scene.exists("scan/b") && !scene.exists("scan/c"));
    }

    fn svscan_leaves_a_new_directory_until_the_next_look(scene: &Scene) {
        scene.script("scan/first/run", SLEEPER);
        let svscan = scene.start(scene.shell("exec svscan scan"));
        scene.wait_until("it looks", || scene.sh("svok scan/first").code() == Some(0));
        scene.sh("mkdir scan/a");
        // Were it started now, it would have no logger and no run.
        scene.script("scan/a/log/run", SLEEPER);
        scene.script("scan/a/run", SLEEPER);
        scene.wait_until("it runs with its logger", || scene.sh("svok scan/a && svok scan/a/log").code() == Some(0));
        assert_eq!(svscan.stderr(), b"");
    }

    fn svscan_does_not_wait_for_who_reads_its_complaints(scene: &Scene) {
        // It has something to complain of at each look, and a new service.
        scene.sh("mkdir scan; ln -s nowhere scan/broken; mkfifo full").succeeds();
        let svscan = scene.start(scene.shell("exec 3<>full; perl -e '
            use Fcntl; fcntl STDOUT, F_SETFL, O_NONBLOCK; 1 while syswrite STDOUT, \"x\" x 4096; fcntl STDOUT, F_SETFL, 0' >&3
            >filled; exec svscan scan 2>&3"));
        scene.wait_until("it cannot complain", || scene.exists("filled"));
        if scene.subject() == Subject::Reference {
            let waits = || scene.sh(&format!("cat /proc/{}/wchan", svscan.pid())).text().contains("pipe_write");
            let writes = || scene.sh(&format!("cat /proc/{}/syscall", svscan.pid())).text().starts_with("1 0x2 ");
            scene.wait_until("it waits for a reader", || waits() || writes());
            return;
        }
        scene.script("scan/a/run", SLEEPER);
        scene.wait_until("it goes on", || scene.sh("svok scan/a").code() == Some(0));
    }

    fn svscan_and_supervise_outlive_who_read_their_complaints(scene: &Scene) {
        scene.sh("mkdir scan; ln -s nowhere scan/broken; mkdir -p s/supervise/status.new; mkfifo end").succeeds();
        scene.script("s/run", SLEEPER);
        let svscan = scene.start(scene.shell("exec 3<>end; exec svscan scan 2>end 3<&-"));
        let supervise = scene.start(scene.shell("mkfifo end2; exec 3<>end2; exec supervise s 2>end2 3<&-"));
        if scene.subject() == Subject::Reference {
            assert_eq!(svscan.wait().signal(), Some(Signal::SIGPIPE as i32));
            assert_eq!(supervise.wait().signal(), Some(Signal::SIGPIPE as i32));
            return;
        }
        // The second of two new services comes at a later look.
        for name in ["a", "b"] {
            scene.script(format!("scan/{name}/run"), SLEEPER);
            scene.wait_until("svscan looks", || scene.sh(&format!("svok scan/{name}")).code() == Some(0));
        }
        scene.sh("svok s && svc -dx s").succeeds();
        supervise.wait().succeeds();
    }

    fn supervise_sees_a_death_in_the_first_second(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho start >>starts\n");
        let _supervise = supervise(scene);
        let starts = || std::fs::read(scene.path("s/starts")).map_or(0, |starts| starts.len() / 6);
        let is_zombie = |pid| {
            let state = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            state.contains("State:\tZ")
        };
        scene.wait_until("the death shows", || match scene.subject() {
            Subject::Reference => is_zombie(scene.service("s")),
            _ => starts() == 1 && status(scene) == (false, 0, b'u'),
        });
        scene.wait_until("it is restarted all the same", || starts() >= 2);
    }

    fn supervise_obeys_in_the_first_second(scene: &Scene) {
        // It lives until it is hung up, and tells for how many milliseconds.
        scene.script("s/run", "#!/usr/bin/perl\nuse Time::HiRes 'time'; my $start = time;\n\
            $SIG{HUP} = sub { open O, '>', 'lived.new'; printf O '%d', 1000 * (time - $start); close O; \
            rename 'lived.new', 'lived'; exit };\nopen O, '>', 'ready'; close O; sleep 1000;\n");
        scene.write("s/down", "");
        let _supervise = supervise(scene);
        let lived = || -> u32 {
            scene.sh("rm -f s/ready s/lived; svc -o s").succeeds();
            scene.wait_until("it runs", || scene.exists("s/ready"));
            scene.sh("svc -h s").succeeds();
            scene.wait_until("it is hung up", || scene.exists("s/lived"));
            scene.wait_until("it ends", || status(scene) == (false, 0, 0));
            String::from_utf8(scene.read("s/lived")).unwrap().parse().unwrap()
        };
        if scene.subject() == Subject::Reference {
            // What perl takes to start is not counted.
            let lived = lived();
            assert!(lived > 700, "{lived} ms");
        } else {
            // On a busy machine it may take several tries to be that quick.
            scene.wait_until("it obeys at once", || lived() < 500);
        }
    }

    fn supervise_obeys_while_no_process_can_be_had(scene: &Scene) {
        if !may_change_identity("supervise_obeys_while_no_process_can_be_had") {
            return;
        }
        scene.script("s/run", SLEEPER);
        scene.sh("chown -R 65532 s").succeeds();
        let supervise = scene.start(scene.shell("exec setpriv --reuid 65532 --clear-groups prlimit --nproc=0 supervise s"));
        scene.wait_until("it warns", || !supervise.stderr().is_empty());
        scene.sh("svc -dx s").succeeds();
        if scene.subject() == Subject::Reference {
            // It sleeps: poll with a minute, and without a descriptor.
            let call = || scene.sh(&format!("cat /proc/{}/syscall", supervise.pid())).text();
            scene.wait_until("it sleeps", || {
                let (call, sleeps) = (call(), ["7", "0x0", "0xea74"]);
                let words: Vec<_> = call.split(' ').collect();
                matches!(words[..], [number, _, descriptors, timeout, ..]
                    if [number, descriptors, timeout] == sleeps)
            });
            return;
        }
        supervise.wait().is(0, "",
            "supervise: warning: unable to fork for s, sleeping 60 seconds: temporary failure\n");
    }

    fn multilog_takes_the_next_free_label_at_once(scene: &Scene) {
        // strace says, once, that another file ended in the same microsecond.
        let strace = "strace -qq -o /dev/null -e trace=link,linkat -e inject=link,linkat:error=EEXIST:when=1";
        if scene.sh(&format!("{strace} true")).code() != Some(0) {
            return testkit::skip("two files of one microsecond", "strace cannot be used");
        }
        let input = [vec![b'x'; 3000], b"\nlast\n".to_vec()].concat();
        let outcome = scene.feed(&input, &format!("exec {strace} multilog s4096 ./m"));
        let said = outcome.error_text();
        if scene.subject() == Subject::Reference {
            assert!(said.starts_with("multilog: warning: unable to link to ./m/@"), "{said}");
            assert!(said.ends_with(".s, pausing: file already exists\n"), "{said}");
        } else {
            outcome.succeeds();
        }
        scene.sh("cat m/@*.s m/current").prints(input);
    }
}
