//! The claims of doc/migration.md about supervisord, s6-overlay, Procfiles and
//! cron that its typed examples do not show.

use std::env;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use testkit::{Running, SLEEPER, Sandbox, compliance, is_root, ours, say, skip};

compliance!(
    exported_procfile_runs_under_runsvdir,
    honcho_and_foreman_export_run_under_runsvdir,
    shell_command_in_procfile_needs_sh_c,
);

ours!(
    exported_procfile_runs_under_svscan_e,
    finish_kills_the_process_group,
    expected_exit_code_stops_restarts,
    restart_of_expected_exit_needs_up,
    startretries_of_three_allow_four_starts,
    with_contenv_script_is_an_interpreter,
    init_script_runs_cont_finish_after_services,
    service_directory_behaves_as_under_s6,
    snooze_runs_its_job_at_alarm,
);

/// Starts svscan -e in the directory `service`.
fn svscan(sandbox: &Sandbox) -> Running {
    sandbox.start(sandbox.shell("exec svscan -e service"))
}

/// The path of a program in the caller's PATH.
fn installed(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|path| path.exists())
}

/// A service directory in the form of honcho's export of a process type.
fn export_of_honcho(sandbox: &Sandbox, name: &str, command: &str) {
    let here = sandbox.dir();
    let here = here.display();
    sandbox.script(
        format!("service/shop-{name}/run"),
        &format!(
            "#!/bin/sh\nexec 2>&1\nENVDIR=$PWD/env\ncd {here}\n\
             exec chpst -u daemon -e \"$ENVDIR\" \\\n  {command}\n"
        ),
    );
    sandbox.script(
        format!("service/shop-{name}/log/run"),
        &format!(
            "#!/bin/sh\nset -e\n\nLOG={here}/log/{name}\n\nif [ ! -d \"$LOG\" ]; then\n    \
             mkdir -p -m 2750 \"$LOG\"\n    chown daemon \"$LOG\"\nfi\n\n\
             exec chpst -u daemon svlogd \"$LOG\"\n"
        ),
    );
    sandbox.write(format!("service/shop-{name}/env/PORT"), "5000");
    sandbox.write(format!("service/shop-{name}/env/GREETING"), "hello there");
}

/// A service directory in the form of foreman's export of a process type.
fn export_of_foreman(sandbox: &Sandbox, name: &str, command: &str) {
    let here = sandbox.dir();
    let here = here.display();
    sandbox.script(
        format!("service/shop-{name}/run"),
        &format!(
            "#!/bin/sh\ncd {here}\nexec 2>&1\n\
             exec chpst -u daemon -e {here}/service/shop-{name}/env {command}\n"
        ),
    );
    sandbox.script(
        format!("service/shop-{name}/log/run"),
        &format!(
            "#!/bin/sh\nset -e\n\nLOG={here}/log/{name}\n\n\
             test -d \"$LOG\" || mkdir -p -m 2750 \"$LOG\" && chown daemon \"$LOG\"\n\
             exec chpst -u daemon svlogd \"$LOG\"\n"
        ),
    );
    sandbox.write(format!("service/shop-{name}/env/PORT"), "5100\n");
    sandbox.write(format!("service/shop-{name}/env/GREETING"), "hello there\n");
}

const GREETS: &str = r#"sh -c 'echo "$(id -un) on $PORT: $GREETING"; exec sleep 1000'"#;

/// Whether the tests can use the account of the exports and chpst.
fn can_run_exports(sandbox: &Sandbox, test: &str) -> bool {
    if sandbox.sh("command -v chpst svlogd >found").code() != Some(0) {
        skip(test, "runit is not installed");
        return false;
    }
    is_root(test)
}

#[track_caller]
fn wait_for_greetings(sandbox: &Sandbox) {
    sandbox.wait_for("cat log/web-1/current log/worker-1/current", |text| {
        text == "daemon on 5000: hello there\ndaemon on 5100: hello there\n"
    });
}

fn exported_procfile_runs_under_runsvdir(sandbox: &Sandbox) {
    if !can_run_exports(sandbox, "exported Procfile") {
        return;
    }
    export_of_honcho(sandbox, "web-1", GREETS);
    export_of_foreman(sandbox, "worker-1", GREETS);
    let runsvdir = sandbox.start(sandbox.shell("exec runsvdir service"));
    wait_for_greetings(sandbox);
    runsvdir.signal(Signal::SIGHUP);
    assert_eq!(runsvdir.wait().code(), Some(111));
    for service in ["web-1", "worker-1"] {
        sandbox.wait_until("runsv has exited", || {
            !sandbox.is_supervised(&format!("service/shop-{service}"))
        });
    }
}

fn exported_procfile_runs_under_svscan_e(sandbox: &Sandbox) {
    if !can_run_exports(sandbox, "exported Procfile") {
        return;
    }
    export_of_honcho(sandbox, "web-1", GREETS);
    export_of_foreman(sandbox, "worker-1", GREETS);
    let svscan = svscan(sandbox);
    wait_for_greetings(sandbox);
    svscan.signal(Signal::SIGTERM);
    svscan.wait().is(0, "", "");
}

fn honcho_and_foreman_export_run_under_runsvdir(sandbox: &Sandbox) {
    if !can_run_exports(sandbox, "export of honcho and foreman") {
        return;
    }
    sandbox.write(
        "app/Procfile",
        "web: sh -c 'echo \"$(id -un) on $PORT: $GREETING\"; exec sleep 1000'\n",
    );
    sandbox.write("app/.env", "GREETING=\"hello there\"\n");
    for (exporter, number) in [("honcho", "-c"), ("foreman", "-m")] {
        let Some(program) = installed(exporter) else {
            say(&format!("skipped, {exporter} is not installed: its export"));
            continue;
        };
        let here = sandbox.dir();
        let here = here.display();
        sandbox
            .sh(&format!(
                "cd app && {} export runit {here}/{exporter} -a shop -u daemon \
                 -l {here}/log-{exporter} {number} web=2 >{here}/said 2>&1",
                program.display()
            ))
            .succeeds();
        let runsvdir = sandbox.start(sandbox.shell(&format!("exec runsvdir {exporter}")));
        for (process, port) in [("web-1", 5000), ("web-2", 5001)] {
            sandbox.wait_for(&format!("cat log-{exporter}/{process}/current"), |text| {
                text == format!("daemon on {port}: hello there\n")
            });
        }
        runsvdir.signal(Signal::SIGHUP);
        assert_eq!(runsvdir.wait().code(), Some(111));
        for process in ["web-1", "web-2"] {
            sandbox.wait_until("runsv has exited", || {
                !sandbox.is_supervised(&format!("{exporter}/shop-{process}"))
            });
        }
    }
}

fn shell_command_in_procfile_needs_sh_c(sandbox: &Sandbox) {
    if !can_run_exports(sandbox, "commands of a Procfile") {
        return;
    }
    sandbox.script("builtin", "#!/bin/sh\nexec chpst -u daemon exec true\n");
    let builtin = sandbox.sh("./builtin");
    assert_ne!(builtin.code(), Some(0));
    assert!(builtin.error_text().contains("unable to run: exec"));
    sandbox.write("env/PORT", "5000");
    sandbox.script("bare", "#!/bin/sh\nexec chpst -e env echo \"port $PORT\"\n");
    sandbox.sh("./bare").prints("port \n");
    sandbox.script(
        "quoted",
        "#!/bin/sh\nexec chpst -e env sh -c 'echo \"port $PORT\"'\n",
    );
    sandbox.sh("./quoted").prints("port 5000\n");
}

fn finish_kills_the_process_group(sandbox: &Sandbox) {
    sandbox.script(
        "service/pool/run",
        "#!/bin/sh\nsh -c 'trap \"\" TERM; echo $$ >child; exec sleep 1000' &\n\
         while [ ! -s child ]; do sleep 0.1; done\ntouch begun\nexec sleep 1000\n",
    );
    sandbox.script(
        "service/pool/finish",
        "#!/bin/sh\nkill -s KILL -- \"-$4\" 2> /dev/null\n",
    );
    let svscan = svscan(sandbox);
    sandbox.wait_until("the child runs", || sandbox.exists("service/pool/begun"));
    sandbox
        .sh("svwait -D service/pool -- svc -d service/pool")
        .succeeds();
    sandbox.wait_until("the child has ended", || {
        sandbox.sh("kill -0 $(cat service/pool/child)").code() != Some(0)
    });
    svscan.signal(Signal::SIGTERM);
    svscan.wait().is(0, "", "");
}

/// The `finish` of `autorestart=unexpected` with `exitcodes=0,2`.
const EXPECTED_EXITS: &str = "#!/bin/sh\ncase $1 in 0|2) exit 125;; esac\n";

fn expected_exit_code_stops_restarts(sandbox: &Sandbox) {
    sandbox.script(
        "service/job/run",
        "#!/bin/sh\necho start >>starts\n[ $(wc -l <starts) = 2 ] || exit 3\nexit 2\n",
    );
    sandbox.script("service/job/finish", EXPECTED_EXITS);
    let svscan = svscan(sandbox);
    sandbox.wait_for("svstat service/job", |text| text.contains(", failed"));
    sandbox
        .sh("cat service/job/starts")
        .prints("start\nstart\n");
    svscan.signal(Signal::SIGTERM);
    svscan.wait().is(0, "", "");
}

fn restart_of_expected_exit_needs_up(sandbox: &Sandbox) {
    sandbox.script(
        "service/web/run",
        "#!/bin/sh\ntrap exit TERM\necho >ready\nwhile :; do sleep 0.1; done\n",
    );
    sandbox.script("service/web/finish", EXPECTED_EXITS);
    let svscan = svscan(sandbox);
    sandbox.wait_until("the service runs", || sandbox.exists("service/web/ready"));
    sandbox
        .sh("svwait -R service/web -- svc -t service/web")
        .exits(1);
    sandbox
        .sh("rm service/web/ready; svc -u service/web")
        .succeeds();
    sandbox.wait_until("the service runs", || sandbox.exists("service/web/ready"));
    sandbox
        .sh("svwait -D service/web -- svc -d service/web && svc -u service/web && svwait -u service/web")
        .succeeds();
    svscan.signal(Signal::SIGTERM);
    svscan.wait().exits(0);
}

fn startretries_of_three_allow_four_starts(sandbox: &Sandbox) {
    sandbox.script(
        "service/web/run",
        "#!/bin/sh\necho start >>starts\nexit 1\n",
    );
    sandbox.write("service/web/restart-limit-count", "3\n");
    sandbox.write("service/web/restart-limit-interval", "600\n");
    let svscan = svscan(sandbox);
    sandbox.wait_for("svstat service/web", |text| text.contains(", failed"));
    sandbox
        .sh("cat service/web/starts")
        .prints("start\n".repeat(4));
    svscan.signal(Signal::SIGTERM);
    svscan.wait().is(0, "", "");
}

fn with_contenv_script_is_an_interpreter(sandbox: &Sandbox) {
    sandbox.script("with-contenv", "#!/bin/sh\nexec \"$@\"\n");
    sandbox.script(
        "service/web/run",
        &format!(
            "#!{}/with-contenv sh\necho \"the greeting is $GREETING\"\nexec sleep 1000\n",
            sandbox.dir().display()
        ),
    );
    let svscan = sandbox.start(sandbox.shell("GREETING=hello exec svscan -e service >output"));
    sandbox.wait_for("cat output", |text| text == "the greeting is hello\n");
    svscan.signal(Signal::SIGTERM);
    svscan.wait().is(0, "", "");
}

/// The here-document that the page types into the file `init` in the section
/// about s6-overlay.
fn init_of_page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("doc/migration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("\n## From s6-overlay\n").unwrap();
    let (_, text) = section.split_once("$ cat > init <<'END'\n").unwrap();
    let (text, _) = text.split_once("    END\n").unwrap();
    text.lines().fold(String::new(), |script, line| {
        script + line.strip_prefix("    ").unwrap() + "\n"
    })
}

fn init_script_runs_cont_finish_after_services(sandbox: &Sandbox) {
    if sandbox.sh("env --default-signal=INT true").code() != Some(0) {
        return skip("init script", "env has no --default-signal");
    }
    sandbox.script("init", &init_of_page());
    sandbox.script("etc/cont-init.d/10", "#!/bin/sh\necho begin\n");
    sandbox.script("etc/cont-finish.d/10", "#!/bin/sh\necho end\n");
    sandbox.script(
        "etc/services.d/web/run",
        "#!/bin/sh\ntrap 'sleep 0.2; echo service ends; exit' TERM\n\
         case $(grep SigIgn /proc/self/status) in\n*[0189]) echo INT and QUIT act;;\nesac\n\
         : >ready\nwhile :; do sleep 0.1; done\n",
    );
    let init = sandbox.start(sandbox.shell("exec ./init"));
    sandbox.wait_until("the service runs", || {
        sandbox.exists("etc/services.d/web/ready")
    });
    init.signal(Signal::SIGTERM);
    init.wait()
        .is(0, "begin\nINT and QUIT act\nservice ends\nend\n", "");
}

fn service_directory_behaves_as_under_s6(sandbox: &Sandbox) {
    if !Path::new("/usr/bin/s6-svscan").exists() {
        return skip("services.d under s6", "s6 is not installed");
    }
    let mut logs = Vec::new();
    for family in ["s6-", ""] {
        let dir = format!("{family}services.d");
        sandbox.script(
            format!("{dir}/db/run"),
            "#!/bin/sh\necho up >>said\necho >&3\nexec sleep 1000\n",
        );
        sandbox.write(format!("{dir}/db/notification-fd"), "3\n");
        sandbox.write(format!("{dir}/db/down-signal"), "HUP\n");
        sandbox.script(
            format!("{dir}/db/finish"),
            "#!/bin/sh\necho \"finish $1 $2 $3\" >>said\n",
        );
        sandbox.script(format!("{dir}/manual/run"), SLEEPER);
        sandbox.write(format!("{dir}/manual/down"), "");
        let scanner = match family {
            "" => format!("exec svscan -e {dir}"),
            _ => format!("exec s6-svscan {dir}"),
        };
        let scanner = sandbox.start(sandbox.shell(&scanner));
        sandbox.wait_until("the service is ready", || {
            let wait = match family {
                "" => format!("svwait -U -t 1000 {dir}/db"),
                _ => format!("s6-svwait -U -t 1000 {dir}/db"),
            };
            sandbox.sh(&wait).code() == Some(0)
        });
        scanner.signal(Signal::SIGTERM);
        assert_eq!(scanner.wait().code(), Some(0));
        logs.push(sandbox.sh(&format!("cat {dir}/db/said")).text());
    }
    assert_eq!(logs, ["up\nfinish 256 1 db\n", "up\nfinish 256 1 db\n"]);
}

fn snooze_runs_its_job_at_alarm(sandbox: &Sandbox) {
    let Some(snooze) = installed("snooze") else {
        return skip("a job of snooze", "snooze is not installed");
    };
    sandbox.script(
        "job/run",
        &format!(
            "#!/bin/sh\nexec {} -H 3 -M 30 sh -c 'exit 3'\n",
            snooze.display()
        ),
    );
    let supervise = sandbox.start_supervisor("supervise -e", "job");
    // An alarm before snooze has its handler kills snooze, and run starts again. A
    // second alarm would kill the job.
    let mut alarmed = None;
    sandbox.wait_until("the job has run", || {
        let process = sandbox.service("job");
        if alarmed.replace(process) != Some(process) {
            sandbox.sh("svc -a job").succeeds();
        }
        let state = sandbox.sh("grep exit_code= job/supervise/state").text();
        state == "exit_code=3\n"
    });
    sandbox.sh("svc -dx job").succeeds();
    supervise.wait().exits(0);
}
