//! "An introduction to daemontools", a chapter after the other.

use std::os::unix::process::CommandExt;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, geteuid};
use testkit::{Running, Scene, interop, kill, killpg};

use super::{awaited, log, machine, number_after, pid, shown, terminal, tree, typed};

/// A program that runs until SIGTERM.
const SLEEPER: &str = "#!/bin/sh\nexec sleep 1000\n";

/// The introduction's logger.
const LOGGER: &str = "#!/bin/sh\nmkdir -p ./main\nexec multilog t ./main\n";

/// A service in /etc/sv, with a logger, linked for svscan.
fn add(scene: &Scene, name: &str, run: &str) {
    scene.script(format!("etc/sv/{name}/run"), run);
    scene.script(format!("etc/sv/{name}/log/run"), LOGGER);
    typed(scene, &format!("ln -s /etc/sv/{name} /etc/service/")).succeeds();
}

/// Presses Ctrl-C until what runs in the foreground has ended.
fn interrupt(scene: &Scene, mut foreground: Running) {
    let group = foreground.pid();
    scene.wait_until("Ctrl-C has ended it", || {
        let _ = killpg(group, Signal::SIGINT);
        !foreground.runs()
    });
}

fn is_root(test: &str) -> bool {
    if !geteuid().is_root() {
        testkit::skip(test, "only root can change accounts");
    }
    geteuid().is_root()
}

fn lives(process: i32) -> bool {
    kill(Pid::from_raw(process), None).is_ok()
}

// "supervise" and friends
interop! {
    fn a_system_set_up_with_a_few_services(scene: &Scene) {
        scene.script("etc/service/dnscache/run", SLEEPER);
        scene.script("etc/service/dnscache/log/run", LOGGER);
        scene.script("etc/service/battery-monitor/run", SLEEPER);
        scene.script("etc/service/battery-monitor/log/run", LOGGER);
        scene.script("etc/service/forge-irc/run", SLEEPER);
        scene.write("etc/service/forge-irc/down", "");
        let svscan = machine(scene);
        let wanted = "svscan /etc/service\n\
            \x20 supervise battery-monitor\n    sleep 1000\n\
            \x20 supervise dnscache\n    sleep 1000\n\
            \x20 supervise forge-irc\n\
            \x20 supervise log\n    multilog t ./main\n\
            \x20 supervise log\n    multilog t ./main\n";
        scene.wait_until("all is up", || tree(scene, svscan.pid()) == wanted);
        awaited(scene, "svstat /etc/service/*",
            "/etc/service/battery-monitor: up (pid N) N seconds\n\
             /etc/service/dnscache: up (pid N) N seconds\n\
             /etc/service/forge-irc: down N seconds\n");
    }

    fn controlling_services(scene: &Scene) {
        scene.script("etc/dnscache/run", SLEEPER);
        scene.script("etc/dnscache/log/run", LOGGER);
        scene.sh("mkdir -p etc/service; ln -s ../dnscache etc/service").succeeds();
        let _svscan = machine(scene);
        awaited(scene, "svstat /etc/dnscache", "/etc/dnscache: up (pid N) N seconds\n");
        awaited(scene, "cd /etc/dnscache
                        svstat . log",
            ".: up (pid N) N seconds\nlog: up (pid N) N seconds\n");

        let pids = || (pid(scene, "/etc/dnscache"), pid(scene, "/etc/dnscache/log"));
        let (service, logger) = pids();
        typed(scene, "svc -t /etc/dnscache").succeeds();
        scene.wait_until("the service is another", || ![None, service].contains(&pids().0));
        assert_eq!(pids().1, logger);

        let service = pids().0;
        typed(scene, "cd /etc/dnscache
                      svc -t . log").succeeds();
        scene.wait_until("both are others", || {
            let (other, another) = pids();
            ![None, service].contains(&other) && ![None, logger].contains(&another)
        });
    }
}

// Cookbook
interop! {
    fn adding_a_service_and_removing_it(scene: &Scene) {
        let svscan = machine(scene);
        typed(scene, "
            mkdir /etc/sv/showdate
            cd /etc/sv/showdate

            cat <<EOF >./run
            #!/bin/bash
            while true ; do date ; sleep 5 ; done
            EOF

            chmod +x ./run
        ").succeeds();

        let mut run = terminal(scene, "cd /etc/sv/showdate; ./run");
        run.process_group(0);
        let run = scene.start(run);
        scene.wait_until("a date is shown", || run.stdout().ends_with(b"\n"));
        interrupt(scene, run);

        typed(scene, "
            cd /etc/sv/showdate
            mkdir log
            cd log

            cat <<EOF >./run
            #!/bin/sh
            mkdir -p ./main
            exec multilog t ./main
            EOF

            chmod +x ./run
            echo test | ./run
        ").succeeds();
        let kept = typed(scene, "cd /etc/sv/showdate/log; tai64nlocal < ./main/current");
        assert_eq!(shown(scene, &kept.stdout), "N-N-N N:N:N.N test\n");

        typed(scene, "
            cd /etc/sv/showdate/log
            cd .. # to go back up to the service directory
            ln -s $PWD /etc/service/
        ").succeeds();
        awaited(scene, "cd /etc/sv/showdate; svstat . log",
            ".: up (pid N) N seconds\nlog: up (pid N) N seconds\n");

        let mut tail = terminal(scene, "
            cd /etc/sv/showdate
            tail -F log/main/current | tai64nlocal
        ");
        tail.process_group(0);
        let tail = scene.start(tail);
        scene.wait_until("tail shows the test, and then dates", || {
            let lines = shown(scene, &tail.stdout());
            let mut lines = lines.lines();
            lines.next() == Some("N-N-N N:N:N.N test")
                && lines.next().is_some_and(|line| {
                    line.starts_with("N-N-N N:N:N.N ") && line.contains(" N:N:N ")
                })
        });
        interrupt(scene, tail);

        // It stays up.
        let first = pid(scene, "/etc/sv/showdate");
        scene.wait_until("two seconds have passed", || {
            number_after(")", &typed(scene, "svstat /etc/sv/showdate").text()) >= Some(2)
        });
        assert_eq!(pid(scene, "/etc/sv/showdate"), first);

        // Removing it.
        typed(scene, "rm /etc/service/showdate").succeeds();
        typed(scene, "
            cd /etc/sv/showdate
            svc -dx .
            while svok . ; do sleep 1 ; done
            svc -dx ./log
            while svok ./log ; do sleep 1 ; done
        ").succeeds();
        let svstat = typed(scene, "cd /etc/sv/showdate; svstat . log");
        svstat.prints(".: supervise not running\nlog: supervise not running\n");
        typed(scene, "
            cd
            rm -rf /etc/sv/showdate
        ").succeeds();
        assert_eq!(tree(scene, svscan.pid()), "svscan /etc/service\n");
        assert_eq!((svscan.stdout(), svscan.stderr()), (vec![], vec![]));
    }

    fn a_service_that_keeps_crashing_is_stopped_mended_and_started(scene: &Scene) {
        scene.sh("mkdir -p etc/service").succeeds();
        add(scene, "crashing", "#!/bin/sh\necho starting\nexit 1\n");
        let _svscan = machine(scene);
        scene.wait_until("it has been started twice", || {
            log(scene, "/etc/sv/crashing/log/main/current") == "starting\nstarting\n"
        });
        typed(scene, "cd /etc/sv/crashing; svc -d .").succeeds();
        awaited(scene, "cd /etc/sv/crashing; svstat .", ".: down N seconds, normally up\n");
        scene.script("etc/sv/crashing/run", SLEEPER);
        typed(scene, "cd /etc/sv/crashing; svc -u .").succeeds();
        awaited(scene, "cd /etc/sv/crashing; svstat .", ".: up (pid N) N seconds\n");
    }
}

// Dos and don'ts
interop! {
    fn with_exec_svc_reaches_the_program_and_without_it_the_shell(scene: &Scene) {
        scene.sh("mkdir -p etc/service").succeeds();
        scene.script("program", "#!/bin/sh\necho $$ > program.pid\nexec sleep 1000\n");
        add(scene, "do", "#!/bin/sh\nexec ../../../program\n");
        add(scene, "dont", "#!/bin/sh\n../../../program\necho the program has ended\n");
        let _svscan = machine(scene);
        let program = |service: &str| {
            let file = format!("etc/sv/{service}/program.pid");
            scene.wait_until("the program runs", || {
                scene.exists(&file) && scene.read(&file).ends_with(b"\n")
            });
            String::from_utf8(scene.read(&file)).unwrap().trim_end().parse().unwrap()
        };
        let (done, not_done) = (program("do"), program("dont"));
        assert_eq!(pid(scene, "/etc/sv/do"), Some(done));
        assert_ne!(pid(scene, "/etc/sv/dont"), Some(not_done));
        typed(scene, "svc -d /etc/sv/do /etc/sv/dont").succeeds();
        awaited(scene, "svstat /etc/sv/do /etc/sv/dont",
            "/etc/sv/do: down N seconds, normally up\n\
             /etc/sv/dont: down N seconds, normally up\n");
        assert!(!lives(done));
        assert!(lives(not_done));
    }

    fn what_goes_to_stderr_is_logged_after_exec_2_1_and_otherwise_svscans(scene: &Scene) {
        scene.sh("mkdir -p etc/service").succeeds();
        add(scene, "do", "#!/bin/sh\nexec 2>&1\necho out\necho error >&2\nexec sleep 1000\n");
        add(scene, "dont", "#!/bin/sh\necho out\necho lost error >&2\nexec sleep 1000\n");
        let svscan = machine(scene);
        scene.wait_until("both are logged", || {
            log(scene, "/etc/sv/do/log/main/current") == "out\nerror\n"
                && log(scene, "/etc/sv/dont/log/main/current") == "out\n"
        });
        scene.wait_until("one has complained", || svscan.stderr() == b"lost error\n");
    }

    fn echo_starting_shows_each_run_in_the_log(scene: &Scene) {
        scene.sh("mkdir -p etc/service").succeeds();
        add(scene, "again", "#!/bin/sh\necho starting\nexec sleep 1000\n");
        let _svscan = machine(scene);
        for runs in 1..=3 {
            scene.wait_until("this run is logged", || {
                log(scene, "/etc/sv/again/log/main/current") == "starting\n".repeat(runs)
            });
            typed(scene, "svc -t /etc/sv/again").succeeds();
        }
    }
}

// multilog and tai64nlocal
interop! {
    fn multilog_stamps_each_line_and_tai64nlocal_reads_the_stamps(scene: &Scene) {
        scene.sh("echo test | multilog t s1000000 n10 ./main").succeeds();
        let kept = scene.read("main/current");
        assert_eq!((kept[0], kept.len(), &kept[25..]), (b'@', 31, &b" test\n"[..]));
        let local = shown(scene, &scene.sh("tai64nlocal < main/current").stdout);
        assert_eq!(local, "N-N-N N:N:N.N test\n");
        scene
            .sh("echo '@400000004d52960a0ebe121c test' | TZ=UTC tai64nlocal")
            .prints("2011-02-09 13:26:24.247337500 test\n");
    }

    fn multilog_keeps_one_log_of_everything_and_another_of_errors(scene: &Scene) {
        scene
            .feed(
                "starting\nERROR no disk\ndone\n",
                "multilog ./everything '-*' '+ERROR*' ./errors",
            )
            .succeeds();
        assert_eq!(scene.read("everything/current"), b"starting\nERROR no disk\ndone\n");
        assert_eq!(scene.read("errors/current"), b"ERROR no disk\n");
    }
}

// envdir, setuidgid and softlimit
interop! {
    fn envdir_sets_variables_from_files(scene: &Scene) {
        typed(scene, "
            mkdir env
            echo Fido > env/NAME
            echo dog > env/ANIMAL
            envdir ./env bash -c 'echo My $ANIMAL is called $NAME'
        ").prints("My dog is called Fido\n");
    }

    fn setuidgid_changes_uid_and_gid(scene: &Scene) {
        if is_root(module_path!()) {
            typed(scene, "setuidgid daemon id")
                .prints("uid=1(daemon) gid=1(daemon) groups=1(daemon)\n");
        }
    }

    fn softlimit_keeps_a_leaky_program_under_50000000_bytes(scene: &Scene) {
        scene.script("bin/leakyprogram",
            "#!/bin/sh\nexec dd if=/dev/zero of=/dev/null status=none count=1 bs=$1\n");
        let limited = "PATH=$PWD/bin:$PATH; softlimit -m 50000000 leakyprogram ";
        scene.sh(&format!("{limited} 1000000")).succeeds();
        let refused = scene.sh(&format!("{limited} 60000000"));
        assert_eq!(refused.code(), Some(1), "{refused:?}");
        assert!(refused.error_text().contains("memory exhausted"), "{refused:?}");
    }
}

// Stitching it all together
interop! {
    fn a_service_for_activemq(scene: &Scene) {
        if !is_root(module_path!()) {
            return;
        }
        // Every Debian has these accounts; the document's are activemq and
        // actmqlog.
        typed(scene, r#"
            mkdir -p /etc/service /etc/sv/activemq-service/env /etc/sv/activemq-service/log
            cd /etc/sv/activemq-service
            echo /usr/local/apache-activemq-5.2 > env/ACTIVEMQ_BASE
            echo /usr/java/jdk1.5.0_15 > env/JAVA_HOME
            echo daemon > env/USER

            cat <<'EOF' >./run
            #!/bin/sh
            echo starting
            exec 2>&1 \
                    envdir ./env \
                    sh -c '
                            set -e
                            cd "$ACTIVEMQ_BASE"
                            exec setuidgid "$USER" \
                                    softlimit -m 8000000000 \
                                    ./bin/activemq
                    '
            EOF

            cat <<'EOF' >./log/run
            #!/bin/sh
            exec setuidgid nobody \
                    multilog t s1000000 n30 ./main
            EOF

            chmod +x ./run ./log/run
            mkdir log/main
            chown nobody log/main
            ln -s $PWD /etc/service/
        "#).succeeds();
        scene.script("usr/local/apache-activemq-5.2/bin/activemq",
            "#!/bin/sh\n\
             echo $$ $(id -un) in $PWD, Java in $JAVA_HOME, $(ulimit -v) kilobytes >&2\n\
             exec sleep 1000\n");
        typed(scene, "
            cd /etc/sv/activemq-service
            grep ^ env/*
        ").prints(format!("env/ACTIVEMQ_BASE:{}/usr/local/apache-activemq-5.2\n\
            env/JAVA_HOME:/usr/java/jdk1.5.0_15\nenv/USER:daemon\n", scene.dir().display()));

        let _svscan = machine(scene);
        let current = "/etc/sv/activemq-service/log/main/current";
        scene.wait_until("it is up and has spoken", || log(scene, current).lines().count() == 2);
        let process = pid(scene, "/etc/sv/activemq-service").unwrap();
        let base = scene.path("usr/local/apache-activemq-5.2");
        assert_eq!(log(scene, current), format!(
            "starting\n{process} daemon in {}, Java in /usr/java/jdk1.5.0_15, 7812500 kilobytes\n",
            base.display()));
        scene.sh("stat -c '%U %a' etc/sv/activemq-service/log/main/current").prints("nobody 644\n");

        typed(scene, "svc -d /etc/sv/activemq-service").succeeds();
        awaited(scene, "svstat /etc/sv/activemq-service",
            "/etc/sv/activemq-service: down N seconds, normally up\n");
        assert!(!lives(process));
    }
}
