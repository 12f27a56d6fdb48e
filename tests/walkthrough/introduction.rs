//! "An introduction to daemontools", chapter by chapter.

use std::os::unix::process::CommandExt;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Running, SLEEPER, Sandbox, interop, kill, killpg};

use super::{awaited, log, machine, number_after, pid, shown, terminal, tree, typed};

/// The introduction's logger.
const LOGGER: &str = "#!/bin/sh\nmkdir -p ./main\nexec multilog t ./main\n";

interop!(
    svscan_starts_each_service_and_logger,
    svc_restarts_a_service_and_its_logger,
    service_is_added_and_removed,
    crashing_service_is_stopped_and_repaired,
    svc_signals_program_only_with_exec,
    stderr_is_logged_only_after_exec_2_1,
    echo_starting_shows_each_run_in_the_log,
    tai64nlocal_reads_stamps_of_multilog,
    multilog_splits_errors_into_second_log,
    envdir_sets_variables_from_files,
    setuidgid_changes_uid_and_gid,
    softlimit_bounds_a_leaky_program,
    activemq_service_runs_as_its_user,
);

/// Makes a service in /etc/sv, with a logger and a link for svscan.
fn add(sandbox: &Sandbox, name: &str, run: &str) {
    sandbox.script(format!("etc/sv/{name}/run"), run);
    sandbox.script(format!("etc/sv/{name}/log/run"), LOGGER);
    typed(sandbox, &format!("ln -s /etc/sv/{name} /etc/service/")).succeeds();
}

/// Presses Ctrl-C until the foreground process has ended.
fn interrupt(sandbox: &Sandbox, mut foreground: Running) {
    let group = foreground.pid();
    sandbox.wait_until("Ctrl-C has ended the foreground process", || {
        let _ = killpg(group, Signal::SIGINT);
        !foreground.runs()
    });
}

fn exists(process: Pid) -> bool {
    kill(process, None).is_ok()
}

// "supervise" and friends
fn svscan_starts_each_service_and_logger(sandbox: &Sandbox) {
    sandbox.script("etc/service/dnscache/run", SLEEPER);
    sandbox.script("etc/service/dnscache/log/run", LOGGER);
    sandbox.script("etc/service/battery-monitor/run", SLEEPER);
    sandbox.script("etc/service/battery-monitor/log/run", LOGGER);
    sandbox.script("etc/service/forge-irc/run", SLEEPER);
    sandbox.write("etc/service/forge-irc/down", "");
    let svscan = machine(sandbox);
    let wanted = "svscan /etc/service\n\
        \x20 supervise battery-monitor\n    sleep 1000\n\
        \x20 supervise dnscache\n    sleep 1000\n\
        \x20 supervise forge-irc\n\
        \x20 supervise log\n    multilog t ./main\n\
        \x20 supervise log\n    multilog t ./main\n";
    sandbox.wait_until("all is up", || tree(sandbox, svscan.pid()) == wanted);
    awaited(
        sandbox,
        "svstat /etc/service/*",
        "/etc/service/battery-monitor: up (pid N) N seconds\n\
         /etc/service/dnscache: up (pid N) N seconds\n\
         /etc/service/forge-irc: down N seconds\n",
    );
}

fn svc_restarts_a_service_and_its_logger(sandbox: &Sandbox) {
    sandbox.script("etc/dnscache/run", SLEEPER);
    sandbox.script("etc/dnscache/log/run", LOGGER);
    sandbox
        .sh("mkdir -p etc/service; ln -s ../dnscache etc/service")
        .succeeds();
    let _svscan = machine(sandbox);
    awaited(
        sandbox,
        "svstat /etc/dnscache",
        "/etc/dnscache: up (pid N) N seconds\n",
    );
    awaited(
        sandbox,
        "cd /etc/dnscache
                        svstat . log",
        ".: up (pid N) N seconds\nlog: up (pid N) N seconds\n",
    );

    let pids = || {
        (
            pid(sandbox, "/etc/dnscache"),
            pid(sandbox, "/etc/dnscache/log"),
        )
    };
    let (service, logger) = pids();
    typed(sandbox, "svc -t /etc/dnscache").succeeds();
    sandbox.wait_until("the service has another pid", || {
        ![None, service].contains(&pids().0)
    });
    assert_eq!(pids().1, logger);

    let service = pids().0;
    typed(
        sandbox,
        "cd /etc/dnscache
                      svc -t . log",
    )
    .succeeds();
    sandbox.wait_until("both have other pids", || {
        let (new_service, new_logger) = pids();
        ![None, service].contains(&new_service) && ![None, logger].contains(&new_logger)
    });
}

// Cookbook
fn service_is_added_and_removed(sandbox: &Sandbox) {
    let svscan = machine(sandbox);
    typed(
        sandbox,
        "
            mkdir /etc/sv/showdate
            cd /etc/sv/showdate

            cat <<EOF >./run
            #!/bin/bash
            while true ; do date ; sleep 5 ; done
            EOF

            chmod +x ./run
        ",
    )
    .succeeds();

    let mut run = terminal(sandbox, "cd /etc/sv/showdate; ./run");
    run.process_group(0);
    let run = sandbox.start(run);
    sandbox.wait_until("a date is shown", || run.stdout().ends_with(b"\n"));
    interrupt(sandbox, run);

    typed(
        sandbox,
        "
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
        ",
    )
    .succeeds();
    let kept = typed(
        sandbox,
        "cd /etc/sv/showdate/log; tai64nlocal < ./main/current",
    );
    assert_eq!(shown(sandbox, &kept.stdout), "N-N-N N:N:N.N test\n");

    typed(
        sandbox,
        "
            cd /etc/sv/showdate/log
            cd .. # to go back up to the service directory
            ln -s $PWD /etc/service/
        ",
    )
    .succeeds();
    awaited(
        sandbox,
        "cd /etc/sv/showdate; svstat . log",
        ".: up (pid N) N seconds\nlog: up (pid N) N seconds\n",
    );

    let mut tail = terminal(
        sandbox,
        "
            cd /etc/sv/showdate
            tail -F log/main/current | tai64nlocal
        ",
    );
    tail.process_group(0);
    let tail = sandbox.start(tail);
    sandbox.wait_until("tail shows the test, and then dates", || {
        let lines = shown(sandbox, &tail.stdout());
        let mut lines = lines.lines();
        lines.next() == Some("N-N-N N:N:N.N test")
            && lines
                .next()
                .is_some_and(|line| line.starts_with("N-N-N N:N:N.N ") && line.contains(" N:N:N "))
    });
    interrupt(sandbox, tail);

    // The service stays up.
    let first = pid(sandbox, "/etc/sv/showdate");
    sandbox.wait_until("two seconds have passed", || {
        number_after(")", &typed(sandbox, "svstat /etc/sv/showdate").text()) >= Some(2)
    });
    assert_eq!(pid(sandbox, "/etc/sv/showdate"), first);

    remove_showdate(sandbox);
    // A supervise closes `ok` a moment before it exits.
    sandbox.wait_until("svscan has no children", || {
        tree(sandbox, svscan.pid()) == "svscan /etc/service\n"
    });
    assert_eq!((svscan.stdout(), svscan.stderr()), (vec![], vec![]));
}

fn remove_showdate(sandbox: &Sandbox) {
    typed(sandbox, "rm /etc/service/showdate").succeeds();
    typed(
        sandbox,
        "
            cd /etc/sv/showdate
            svc -dx .
            while svok . ; do sleep 1 ; done
            svc -dx ./log
            while svok ./log ; do sleep 1 ; done
        ",
    )
    .succeeds();
    let svstat = typed(sandbox, "cd /etc/sv/showdate; svstat . log");
    svstat.prints(".: supervise not running\nlog: supervise not running\n");
    typed(
        sandbox,
        "
            cd
            rm -rf /etc/sv/showdate
        ",
    )
    .succeeds();
}

fn crashing_service_is_stopped_and_repaired(sandbox: &Sandbox) {
    sandbox.sh("mkdir -p etc/service").succeeds();
    add(sandbox, "crashing", "#!/bin/sh\necho starting\nexit 1\n");
    let _svscan = machine(sandbox);
    sandbox.wait_until("the service has started twice", || {
        log(sandbox, "/etc/sv/crashing/log/main/current").starts_with("starting\nstarting\n")
    });
    typed(sandbox, "cd /etc/sv/crashing; svc -d .").succeeds();
    awaited(
        sandbox,
        "cd /etc/sv/crashing; svstat .",
        ".: down N seconds, normally up\n",
    );
    sandbox.script("etc/sv/crashing/run", SLEEPER);
    typed(sandbox, "cd /etc/sv/crashing; svc -u .").succeeds();
    awaited(
        sandbox,
        "cd /etc/sv/crashing; svstat .",
        ".: up (pid N) N seconds\n",
    );
}

// Dos and don'ts
fn svc_signals_program_only_with_exec(sandbox: &Sandbox) {
    sandbox.sh("mkdir -p etc/service").succeeds();
    sandbox.script(
        "program",
        "#!/bin/sh\necho $$ > program.pid\nexec sleep 1000\n",
    );
    add(sandbox, "do", "#!/bin/sh\nexec ../../../program\n");
    add(
        sandbox,
        "dont",
        "#!/bin/sh\n../../../program\necho the program has ended\n",
    );
    let _svscan = machine(sandbox);
    let program = |service: &str| {
        let file = format!("etc/sv/{service}/program.pid");
        sandbox.wait_until("the program runs", || {
            sandbox.exists(&file) && sandbox.read(&file).ends_with(b"\n")
        });
        let pid = String::from_utf8(sandbox.read(&file)).unwrap();
        Pid::from_raw(pid.trim_end().parse().unwrap())
    };
    let (with_exec, without_exec) = (program("do"), program("dont"));
    assert_eq!(sandbox.service("etc/sv/do"), with_exec);
    assert_ne!(sandbox.service("etc/sv/dont"), without_exec);
    typed(sandbox, "svc -d /etc/sv/do /etc/sv/dont").succeeds();
    awaited(
        sandbox,
        "svstat /etc/sv/do /etc/sv/dont",
        "/etc/sv/do: down N seconds, normally up\n\
         /etc/sv/dont: down N seconds, normally up\n",
    );
    assert!(!exists(with_exec));
    assert!(exists(without_exec));
}

fn stderr_is_logged_only_after_exec_2_1(sandbox: &Sandbox) {
    sandbox.sh("mkdir -p etc/service").succeeds();
    add(
        sandbox,
        "do",
        "#!/bin/sh\nexec 2>&1\necho out\necho error >&2\nexec sleep 1000\n",
    );
    add(
        sandbox,
        "dont",
        "#!/bin/sh\necho out\necho lost error >&2\nexec sleep 1000\n",
    );
    let svscan = machine(sandbox);
    sandbox.wait_until("both are logged", || {
        log(sandbox, "/etc/sv/do/log/main/current") == "out\nerror\n"
            && log(sandbox, "/etc/sv/dont/log/main/current") == "out\n"
    });
    sandbox.wait_until("svscan shows the lost line", || {
        svscan.stderr() == b"lost error\n"
    });
}

fn echo_starting_shows_each_run_in_the_log(sandbox: &Sandbox) {
    sandbox.sh("mkdir -p etc/service").succeeds();
    add(
        sandbox,
        "again",
        "#!/bin/sh\necho starting\nexec sleep 1000\n",
    );
    let _svscan = machine(sandbox);
    for runs in 1..=3 {
        sandbox.wait_until("this run is logged", || {
            log(sandbox, "/etc/sv/again/log/main/current") == "starting\n".repeat(runs)
        });
        typed(sandbox, "svc -t /etc/sv/again").succeeds();
    }
}

// multilog and tai64nlocal
fn tai64nlocal_reads_stamps_of_multilog(sandbox: &Sandbox) {
    sandbox
        .sh("echo test | multilog t s1000000 n10 ./main")
        .succeeds();
    let kept = sandbox.read("main/current");
    assert_eq!(
        (kept[0], kept.len(), &kept[25..]),
        (b'@', 31, &b" test\n"[..])
    );
    let local = shown(sandbox, &sandbox.sh("tai64nlocal < main/current").stdout);
    assert_eq!(local, "N-N-N N:N:N.N test\n");
    sandbox
        .sh("echo '@400000004d52960a0ebe121c test' | TZ=UTC tai64nlocal")
        .prints("2011-02-09 13:26:24.247337500 test\n");
}

fn multilog_splits_errors_into_second_log(sandbox: &Sandbox) {
    sandbox
        .feed(
            "starting\nERROR no disk\ndone\n",
            "multilog ./everything '-*' '+ERROR*' ./errors",
        )
        .succeeds();
    assert_eq!(
        sandbox.read("everything/current"),
        b"starting\nERROR no disk\ndone\n"
    );
    assert_eq!(sandbox.read("errors/current"), b"ERROR no disk\n");
}

// envdir, setuidgid and softlimit
fn envdir_sets_variables_from_files(sandbox: &Sandbox) {
    typed(
        sandbox,
        "
            mkdir env
            echo Fido > env/NAME
            echo dog > env/ANIMAL
            envdir ./env bash -c 'echo My $ANIMAL is called $NAME'
        ",
    )
    .prints("My dog is called Fido\n");
}

fn setuidgid_changes_uid_and_gid(sandbox: &Sandbox) {
    if testkit::is_root(module_path!()) {
        typed(sandbox, "setuidgid daemon id")
            .prints("uid=1(daemon) gid=1(daemon) groups=1(daemon)\n");
    }
}

fn softlimit_bounds_a_leaky_program(sandbox: &Sandbox) {
    sandbox.script(
        "bin/leakyprogram",
        "#!/bin/sh\nexec dd if=/dev/zero of=/dev/null status=none count=1 bs=$1\n",
    );
    let limited = "PATH=$PWD/bin:$PATH; softlimit -m 50000000 leakyprogram ";
    sandbox.sh(&format!("{limited} 1000000")).succeeds();
    let refused = sandbox.sh(&format!("{limited} 60000000"));
    refused.exits(1);
    assert!(
        refused.error_text().contains("memory exhausted"),
        "{refused:?}"
    );
}

// Stitching it all together
fn activemq_service_runs_as_its_user(sandbox: &Sandbox) {
    if !testkit::is_root(module_path!()) {
        return;
    }
    // Accounts of every Debian system replace activemq and actmqlog.
    typed(
        sandbox,
        r#"
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
        "#,
    )
    .succeeds();
    sandbox.script(
        "usr/local/apache-activemq-5.2/bin/activemq",
        "#!/bin/sh\n\
         echo $$ $(id -un) in $PWD, Java in $JAVA_HOME, $(ulimit -v) kilobytes >&2\n\
         exec sleep 1000\n",
    );
    typed(
        sandbox,
        "
            cd /etc/sv/activemq-service
            grep ^ env/*
        ",
    )
    .prints(format!(
        "env/ACTIVEMQ_BASE:{}/usr/local/apache-activemq-5.2\n\
        env/JAVA_HOME:/usr/java/jdk1.5.0_15\nenv/USER:daemon\n",
        sandbox.dir().display()
    ));

    let _svscan = machine(sandbox);
    let current = "/etc/sv/activemq-service/log/main/current";
    sandbox.wait_until("the service has logged two lines", || {
        log(sandbox, current).lines().count() == 2
    });
    let process = sandbox.service("etc/sv/activemq-service");
    let base = sandbox.path("usr/local/apache-activemq-5.2");
    assert_eq!(
        log(sandbox, current),
        format!(
            "starting\n{process} daemon in {}, Java in /usr/java/jdk1.5.0_15, 7812500 kilobytes\n",
            base.display()
        )
    );
    sandbox
        .sh("stat -c '%U %a' etc/sv/activemq-service/log/main/current")
        .prints("nobody 644\n");

    typed(sandbox, "svc -d /etc/sv/activemq-service").succeeds();
    awaited(
        sandbox,
        "svstat /etc/sv/activemq-service",
        "/etc/sv/activemq-service: down N seconds, normally up\n",
    );
    assert!(!exists(process));
}
