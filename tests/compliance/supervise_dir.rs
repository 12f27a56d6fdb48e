//! The supervise directory in another place: by `SUPERVISEDIR`, as in
//! daemontools-encore, or by a link. The reference does not know the variable.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::{Running, SLEEPER, Sandbox, compliance, ours};

ours!(
    absolute_variable_names_one_entry_per_service,
    relative_variable_names_entry_of_service,
    svscan_and_clients_use_the_variable,
    svscan_stops_services_by_the_variable,
    renamed_service_keeps_its_directory,
    services_of_one_name_exclude_each_other,
    unusable_variable_is_one_fatal_message,
    variable_with_dot_dot_is_refused,
    empty_variable_counts_as_unset,
    unusual_names_are_used_as_they_are,
    too_long_name_is_reported,
    removed_working_directory_is_reported,
    svwait_follows_missing_parents,
    essential_is_noticed_behind_missing_parents,
    link_parents_are_made_with_e,
    any_uid_runs_on_read_only_root,
);

compliance!(runit_ignores_the_variable);

/// A service that prints a line and is ready at once.
const READY: &str = "#!/bin/sh
echo line
echo >&3
exec 3>&-
exec sleep 1000
";

/// The script after `export SUPERVISEDIR`.
fn with(variable: &str, script: &str) -> String {
    format!("export SUPERVISEDIR=\"{variable}\"; {script}")
}

/// The sandbox's path as a part of a name in a central directory.
fn mangled(sandbox: &Sandbox) -> String {
    let root = fs::canonicalize(sandbox.path(".")).unwrap();
    root.to_str().unwrap()[1..].replace('/', ":")
}

/// Starts a program with the variable. It runs once `dir` is supervised.
fn start(sandbox: &Sandbox, variable: &str, command: &str, dir: &str) -> Running {
    let running = sandbox.start(sandbox.shell(&with(variable, &format!("exec {command}"))));
    sandbox.wait_until("supervise runs", || {
        sandbox.sh(&with(variable, &format!("svok {dir}"))).code() == Some(0)
    });
    running
}

fn permissions(sandbox: &Sandbox, name: &str) -> u32 {
    let status = fs::metadata(sandbox.path(name)).unwrap();
    status.permissions().mode() & 0o7777
}

fn absolute_variable_names_one_entry_per_service(sandbox: &Sandbox) {
    sandbox.script("sv/s/run", SLEEPER);
    // The name is that of the directory, not of the link.
    sandbox.sh("ln -s sv/s link").succeeds();
    let variable = "$PWD/run/a/svc";
    let supervise = start(sandbox, variable, "supervise -e link", "sv/s");
    let entry = format!("run/a/svc/{}:sv:s", mangled(sandbox));
    for (name, mode) in [("run/a", 0o755), ("run/a/svc", 0o755), (&entry, 0o700)] {
        assert_eq!(permissions(sandbox, name), mode, "{name}");
    }
    let script = format!("svwait -u sv/s; cd {entry}; ls; ls $OLDPWD/sv/s");
    sandbox
        .sh(&with(variable, &script))
        .prints("control\nlock\nok\nstate\nstatus\nrun\n");
    // Without the variable, the service never ran.
    sandbox.sh("svok sv/s").exits(100);
    sandbox.sh("svc -dx sv/s").is(
        0,
        "",
        "svc: warning: unable to control sv/s: file does not exist\n",
    );
    sandbox
        .sh("svstat sv/s")
        .prints("sv/s: unable to open supervise/ok: file does not exist\n");
    let script = "svwait -r sv/s -- svc -k sv/s; svc -dx sv/s";
    sandbox.sh(&with(variable, script)).is(0, "", "");
    supervise.wait().is(0, "", "");
    assert!(sandbox.exists(format!("{entry}/death_tally")));
    sandbox
        .sh(&with(variable, "svstat link"))
        .prints("link: supervise not running\n");
}

fn relative_variable_names_entry_of_service(sandbox: &Sandbox) {
    sandbox.script("s/run", "#!/bin/sh\necho $SUPERVISEDIR\nexec sleep 1000\n");
    let variable = ".state/deep";
    let supervise = start(sandbox, variable, "supervise s", "s");
    assert_eq!(permissions(sandbox, "s/.state"), 0o755);
    assert_eq!(permissions(sandbox, "s/.state/deep"), 0o700);
    // At first, there is a file status.new.
    sandbox.wait_for("ls s/.state/deep; ls s", |text| {
        text == "control\nlock\nok\nstatus\nrun\n"
    });
    sandbox.sh(&with(variable, "supervise s")).is(
        111,
        "",
        "supervise: fatal: unable to acquire s/.state/deep/lock: temporary failure\n",
    );
    sandbox.sh("svok s").exits(100);
    sandbox.sh(&with(variable, "svc -dx s")).is(0, "", "");
    supervise.wait().is(0, ".state/deep\n", "");
    sandbox
        .sh("rm s/.state/deep/ok; mkdir s/.state/deep/ok")
        .succeeds();
    sandbox.sh(&with(variable, "svok s")).is(
        111,
        "",
        "svok: fatal: unable to open s/.state/deep/ok: is a directory\n",
    );
    sandbox
        .sh(&with(variable, "svstat s"))
        .prints("s: unable to open .state/deep/ok: is a directory\n");
    sandbox
        .sh(&with(
            variable,
            "svps . 2>&1 >/dev/null | head -n 1; svwait s",
        ))
        .is(
            111,
            "svps: warning: unable to read s/.state/deep/ok: is a directory\n",
            "svwait: fatal: unable to read s/.state/deep/ok: is a directory\n",
        );
}

fn svscan_and_clients_use_the_variable(sandbox: &Sandbox) {
    sandbox.script("sv/web/run", READY);
    sandbox.write("sv/web/notification-fd", "3");
    sandbox.script("sv/web/log/run", "#!/bin/sh\nexec cat >kept\n");
    sandbox.script("scan/lone/run", SLEEPER);
    sandbox.sh("ln -s ../sv/web scan/").succeeds();
    for (variable, option, ready) in [("$PWD/run/svc", "-e", "ready"), (".state", "", "up")] {
        let svscan = start(
            sandbox,
            variable,
            &format!("svscan {option} scan"),
            "scan/web",
        );
        let services = "scan/web scan/web/log scan/lone";
        let script = format!(
            "svwait -U {services} && svstat {services} |
            sed -E 's/\\(pid [0-9]+\\) [0-9]+ seconds/PID/; s/ready [0-9]+ seconds/ready/'
            svps -j scan | grep -Eo '\"supervised\":true|\"state\":\"[a-z]*\"'"
        );
        let is_ready = if ready == "ready" { ", ready" } else { "" };
        let row = |state| format!("\"supervised\":true\n\"state\":\"{state}\"\n");
        let rows = ["up", ready, "up"].map(row).concat();
        sandbox.sh(&with(variable, &script)).prints(format!(
            "scan/web: up PID{is_ready}\nscan/web/log: up PID\nscan/lone: up PID\n{rows}"
        ));
        sandbox.wait_until("the logger has the line", || {
            sandbox.exists("sv/web/log/kept") && sandbox.read("sv/web/log/kept") == b"line\n"
        });
        assert!(!sandbox.exists("sv/web/supervise"));
        if option.is_empty() {
            svscan.kill();
            sandbox
                .sh(&with(variable, &format!("svc -dx {services}")))
                .is(0, "", "");
        } else {
            svscan.signal(Signal::SIGTERM);
            svscan.wait().is(0, "", "");
        }
        let script = format!("svwait -x {services}");
        sandbox.sh(&with(variable, &script)).is(0, "", "");
    }
}

fn svscan_stops_services_by_the_variable(sandbox: &Sandbox) {
    let variable = "$PWD/run";
    // A service that ignores TERM, and its orphaned supervise.
    sandbox.script(
        "scan/a/run",
        "#!/bin/sh\ntrap '' TERM\necho >up\nsleep 1000\n",
    );
    sandbox.write("scan/a/timeout-kill", "100");
    sandbox.script("scan/b/run", SLEEPER);
    let orphan = start(sandbox, variable, "supervise -e scan/b", "scan/b");
    let svscan = start(sandbox, variable, "svscan -e scan", "scan/a");
    sandbox.wait_until("the service ignores TERM", || sandbox.exists("scan/a/up"));
    svscan.signal(Signal::SIGTERM);
    orphan.wait().is(0, "", "");
    let outcome = svscan.wait();
    outcome.exits(0);
    // supervise could not start beside the orphan. svscan and supervise of `a` have
    // the same timeout, and svscan warns if its own expires first.
    let stderr = outcome.error_text();
    for line in stderr.lines() {
        assert!(
            line.starts_with("supervise: fatal: ")
                || line == "svscan: warning: unable to stop a: timed out",
            "{stderr}"
        );
    }
    let state = format!("run/{}:scan:a/state", mangled(sandbox));
    let state = String::from_utf8(sandbox.read(state)).unwrap();
    // supervise itself has killed the service.
    assert!(state.contains("\nsignal=9\n"), "{state}");
}

fn renamed_service_keeps_its_directory(sandbox: &Sandbox) {
    let variable = "$PWD/run";
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/a/log/run", "#!/bin/sh\nexec cat\n");
    let svscan = start(sandbox, variable, "svscan -e scan", "scan/a");
    sandbox
        .sh(&with(variable, "svwait -u scan/a scan/a/log"))
        .succeeds();
    sandbox.sh("mv scan/a scan/b").succeeds();
    sandbox.sh(&with(variable, "svok scan/b")).exits(100);
    svscan.signal(Signal::SIGTERM);
    svscan.wait().is(0, "", "");
}

fn services_of_one_name_exclude_each_other(sandbox: &Sandbox) {
    let variable = "$PWD/run";
    for dir in ["one/web", "two/web", "one:web"] {
        sandbox.script(format!("{dir}/run"), SLEEPER);
    }
    let one = start(sandbox, variable, "supervise one/web", "one/web");
    let two = start(sandbox, variable, "supervise two/web", "two/web");
    let entry = format!(
        "{}/run/{}:one:web",
        sandbox.dir().display(),
        mangled(sandbox)
    );
    // Both paths become one name.
    sandbox.sh(&with(variable, "supervise one:web")).is(
        111,
        "",
        format!("supervise: fatal: unable to acquire {entry}/lock: temporary failure\n"),
    );
    sandbox
        .sh(&with(variable, "svc -dx one/web two/web"))
        .succeeds();
    one.wait().is(0, "", "");
    two.wait().is(0, "", "");
}

fn unusable_variable_is_one_fatal_message(sandbox: &Sandbox) {
    sandbox.script("scan/s/run", "#!/bin/sh\necho >started\nexec sleep 1000\n");
    sandbox.write("file", "");
    let file = sandbox.path("file");
    let file = file.display();
    for (variable, problem) in [
        ("file", "write to"),
        ("file/run", "make"),
        ("file/a/svc", "make"),
    ] {
        let rest = variable.strip_prefix("file").unwrap();
        let svscan = format!("svscan: fatal: unable to {problem} SUPERVISEDIR {file}{rest}");
        for option in ["", "-e"] {
            let script = format!("exec svscan {option} scan");
            let variable = format!("$PWD/{variable}");
            sandbox.sh(&with(&variable, &script)).is(
                111,
                "",
                format!("{svscan}: not a directory\n"),
            );
        }
        let entry = format!("{file}{rest}/{}:scan:s", mangled(sandbox));
        sandbox
            .sh(&with(&format!("$PWD/{variable}"), "supervise scan/s"))
            .is(
                111,
                "",
                format!("supervise: fatal: unable to make {entry}: not a directory\n"),
            );
    }
    assert!(!sandbox.exists("scan/s/started"));
    assert!(!sandbox.exists("scan/s/supervise"));
}

fn variable_with_dot_dot_is_refused(sandbox: &Sandbox) {
    sandbox.script("scan/s/run", SLEEPER);
    for variable in ["..", "../run", "a/../../run"] {
        for command in [
            "svscan scan",
            "svscan -e scan",
            "supervise scan/s",
            "svc -d scan/s",
            "svok scan/s",
            "svstat scan/s",
            "svwait scan/s",
            "svps scan",
        ] {
            let program = command.split(' ').next().unwrap();
            let problem = "fatal: SUPERVISEDIR leads out of the service directory";
            sandbox.sh(&with(variable, command)).is(
                111,
                "",
                format!("{program}: {problem}: {variable}\n"),
            );
        }
    }
    assert_eq!(sandbox.listing("scan/s").lines().count(), 1);
    // A name that only begins so stays inside.
    let supervise = start(sandbox, "..run", "supervise scan/s", "scan/s");
    assert!(sandbox.exists("scan/s/..run/status"));
    sandbox.sh(&with("..run", "svc -dx scan/s")).succeeds();
    supervise.wait().succeeds();
    // An absolute path means the same in each service.
    let variable = "$PWD/a/../run";
    let supervise = start(sandbox, variable, "supervise scan/s", "scan/s");
    assert!(sandbox.exists(format!("run/{}:scan:s/status", mangled(sandbox))));
    sandbox.sh(&with(variable, "svc -dx scan/s")).succeeds();
    supervise.wait().succeeds();
}

fn empty_variable_counts_as_unset(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let supervise = start(sandbox, "", "supervise s", "s");
    sandbox.sh("svok s").is(0, "", "");
    sandbox.sh(&with("", "svc -dx s")).is(0, "", "");
    supervise.wait().is(0, "", "");
}

fn unusual_names_are_used_as_they_are(sandbox: &Sandbox) {
    for (service, variable) in [
        ("new\nline", "$PWD/run\nline"),
        ("a b;c", "./-state\n"),
        ("\u{e4}", "$PWD/%s"),
    ] {
        sandbox.script(format!("{service}/run"), SLEEPER);
        let supervise = start(
            sandbox,
            variable,
            &format!("supervise \"{service}\""),
            &format!("\"{service}\""),
        );
        let script = format!("svc -dx \"{service}\"");
        sandbox.sh(&with(variable, &script)).is(0, "", "");
        supervise.wait().is(0, "", "");
        assert!(!sandbox.exists(format!("{service}/supervise")));
    }
}

fn too_long_name_is_reported(sandbox: &Sandbox) {
    let dir = ["a".repeat(130), "b".repeat(130)].join("/");
    sandbox.script(format!("{dir}/run"), SLEEPER);
    let entry = format!(
        "{}/run/{}:{}",
        sandbox.dir().display(),
        mangled(sandbox),
        dir.replace('/', ":")
    );
    let cause = "file name too long";
    for (command, code, stdout, stderr) in [
        (
            "supervise",
            111,
            String::new(),
            format!("supervise: fatal: unable to make {entry}: {cause}\n"),
        ),
        (
            "svok",
            111,
            String::new(),
            format!("svok: fatal: unable to open {entry}/ok: {cause}\n"),
        ),
        (
            "svwait",
            111,
            String::new(),
            format!("svwait: fatal: unable to watch {dir}: {cause}\n"),
        ),
        (
            "svstat",
            0,
            format!("{dir}: unable to open {entry}/ok: {cause}\n"),
            String::new(),
        ),
        (
            "svc -d",
            0,
            String::new(),
            format!("svc: warning: unable to control {dir}: {cause}\n"),
        ),
    ] {
        sandbox
            .sh(&with("$PWD/run", &format!("{command} {dir}")))
            .is(code, stdout, stderr);
    }
}

fn removed_working_directory_is_reported(sandbox: &Sandbox) {
    let cause = "unable to find the path of .: file does not exist";
    for (command, code, stdout, stderr) in [
        (
            "supervise .",
            111,
            "",
            format!("supervise: fatal: {cause}\n"),
        ),
        ("svok .", 111, "", format!("svok: fatal: {cause}\n")),
        ("svwait .", 111, "", format!("svwait: fatal: {cause}\n")),
        ("svc -d .", 0, "", format!("svc: warning: {cause}\n")),
        (
            "svstat .",
            0,
            ".: unable to find the path: file does not exist\n",
            String::new(),
        ),
    ] {
        let script = format!("mkdir gone; cd gone; rmdir ../gone; exec {command}");
        sandbox
            .sh(&with("/nowhere", &script))
            .is(code, stdout, stderr);
    }
}

fn svwait_follows_missing_parents(sandbox: &Sandbox) {
    for (variable, link) in [
        ("$PWD/run/a/svc", None),
        ("a/b", None),
        ("", Some("../run/b/c/s")),
        ("", Some("hop")),
    ] {
        sandbox.script("s/run", SLEEPER);
        sandbox
            .sh("mkdir -p run; ln -s ../run/deep/er s/hop")
            .succeeds();
        if let Some(target) = link {
            sandbox
                .sh(&format!("ln -s {target} s/supervise"))
                .succeeds();
        }
        // Exit code 99 is the timeout.
        let wait = "exec svwait -u -t 60000 s";
        let svwait = sandbox.start(sandbox.shell(&with(variable, wait)));
        super::wait_until_asleep(sandbox, &svwait);
        // Each parent appears alone.
        sandbox
            .sh("mkdir -p run/a run/b s/a; sleep 0.1; mkdir run/b/c")
            .succeeds();
        let supervise = start(sandbox, variable, "supervise -e s", "s");
        svwait.wait().is(0, "", "");
        sandbox.sh(&with(variable, "svc -dx s")).succeeds();
        supervise.wait().is(0, "", "");
        sandbox.sh("rm -r s run").succeeds();
    }
}

fn essential_is_noticed_behind_missing_parents(sandbox: &Sandbox) {
    for (variable, link) in [
        ("$PWD/run/a/svc", None),
        ("a/b", None),
        ("", Some("../../run/b/c/main")),
    ] {
        // A scan follows 5 seconds after the start. A busy machine does not
        // delay each of these runs by that time.
        let first = (0..5).map(|_| {
            sandbox.script("scan/main/run", "#!/bin/sh\nexit 7\n");
            sandbox.script("scan/main/finish", "#!/bin/sh\nexit 125\n");
            sandbox.write("scan/main/essential", "");
            if let Some(target) = link {
                sandbox
                    .sh(&format!("ln -s {target} scan/main/supervise"))
                    .succeeds();
            }
            let started = Instant::now();
            sandbox
                .sh(&with(variable, "exec svscan -e scan"))
                .is(7, "", "");
            sandbox.sh("rm -rf scan run").succeeds();
            started.elapsed().as_millis()
        });
        let first = first.min().unwrap();
        assert!(first < 4500, "{variable}: {first} ms");
    }
}

fn link_parents_are_made_with_e(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    for target in ["../run/a/b/s", "$PWD/run/a/b/s"] {
        sandbox
            .sh(&format!("ln -s \"{target}\" s/supervise"))
            .succeeds();
        // As in 0.76.
        sandbox.sh("supervise s").is(
            111,
            "",
            "supervise: fatal: unable to acquire s/supervise/lock: file does not exist\n",
        );
        assert!(!sandbox.exists("run"));
        let supervise = sandbox.start_supervisor("supervise -e", "s");
        assert_eq!(permissions(sandbox, "run/a/b"), 0o755);
        assert_eq!(permissions(sandbox, "run/a/b/s"), 0o700);
        sandbox.sh("svc -dx s").succeeds();
        supervise.wait().is(0, "", "");
        sandbox.sh("rm -r run s/supervise").succeeds();
    }
    sandbox
        .sh("touch run; ln -s ../run/a/s s/supervise")
        .succeeds();
    sandbox.sh("supervise -e s").is(
        111,
        "",
        "supervise: fatal: unable to make s/supervise: not a directory\n",
    );
}

fn any_uid_runs_on_read_only_root(sandbox: &Sandbox) {
    if !testkit::is_root("an unprivileged user on a read-only root") {
        return;
    }
    let mounts = "mkdir rw && mount --bind . . && cd . && mount -t tmpfs none rw \
        && mkdir rw/log && chown 12345:12345 rw rw/log && mount -o remount,bind,ro \"$PWD\" \
        && { mount -o remount,bind,ro / 2>/dev/null || :; }";
    if sandbox.sh(&format!("unshare -m sh -c '{mounts}'")).code() != Some(0) {
        testkit::skip("a read-only root", "mount(2) fails in a new namespace");
        return;
    }
    // Other users may not enter the directory of the programs.
    sandbox.sh("mkdir bin").succeeds();
    for program in [
        "svscan",
        "supervise",
        "multilog",
        "svwait",
        "svstat",
        "svps",
        "svc",
        "setuidgid",
        "chpst",
    ] {
        sandbox.copy_program(program, &sandbox.path(format!("bin/{program}")));
    }
    // Each is the identity that the process has already.
    sandbox.script(
        "scan/web/run",
        &READY.replace("exec sleep", "exec chpst -u :12345:12345 sleep"),
    );
    sandbox.write("scan/web/notification-fd", "3");
    sandbox.script(
        "scan/web/log/run",
        "#!/bin/sh\nexec setuidgid :12345:12345 multilog ../../../rw/log\n",
    );
    sandbox.write("scan/web/lock-fd", "4");
    sandbox.script(
        "inside",
        "#!/bin/sh
export PATH=$PWD/bin:$PATH
! touch scan/web/down 2>/dev/null || exit 1
! grep -q 12345 /etc/passwd || exit 1
SUPERVISEDIR=$PWD/elsewhere svscan -e scan
export SUPERVISEDIR=$PWD/rw/run/svc
svscan -e scan & svscan=$!
svwait -U -t 60000 scan/web scan/web/log || exit 1
svps scan | cut -c 1-15
svwait -R -t 60000 scan/web -- svc -t scan/web
kill $svscan && wait $svscan && svstat scan/web
id -u; cat rw/log/current; ls scan/web
",
    );
    let sandbox_path = sandbox.dir();
    let user = "setpriv --reuid 12345 --regid 12345 --groups 12345 --no-new-privs \
        --inh-caps=-all --bounding-set=-all";
    sandbox
        .sh(&format!(
            "exec unshare -m sh -c 'rmdir rw; {mounts} && cd \"$PWD\" && exec {user} ./inside'"
        ))
        .is(
            0,
            "SERVICE  STATE \nweb      ready \n  log    up    \nscan/web: supervise not running\n\
            12345\nline\nline\nlock-fd\nlog\nnotification-fd\nrun\n",
            format!(
                "svscan: fatal: unable to make SUPERVISEDIR {}/elsewhere: read-only file system\n",
                sandbox_path.display()
            ),
        );
}

fn runit_ignores_the_variable(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/log/run", "#!/bin/sh\nexec cat\n");
    let runsv = sandbox.start(sandbox.shell(&with("$PWD/run", "exec runsv s")));
    sandbox.wait_until("runsv runs", || sandbox.is_supervised("s"));
    sandbox
        .sh(&with("../run", "sv -v start ./s >/dev/null && sv exit ./s"))
        .is(0, "", "");
    runsv.wait().is(0, "", "");
    assert!(!sandbox.exists("run"));
}
