//! "Init scripts considered harmful", chapter by chapter. /etc/runit,
//! /var/service and the home of a user are in the sandbox.

use std::fs;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Running, Sandbox, interop, is_root, kill};

use super::{awaited, shown, tree, typed};

interop!(sleeper_is_controlled_and_removed, user_runs_own_services,);

/// Starts runsvdir in /var/service.
fn machine(sandbox: &Sandbox) -> Running {
    typed(sandbox, "mkdir -p /etc/runit /var/service").succeeds();
    let mut runsvdir = sandbox.command("runsvdir");
    runsvdir.arg(sandbox.path("var/service"));
    sandbox.start(runsvdir)
}

/// Makes and links the service of the document.
fn sleeper(sandbox: &Sandbox) {
    typed(sandbox, "mkdir /etc/runit/sleeper").succeeds();
    sandbox.write("etc/runit/sleeper/run", "#!/bin/sh -e\nexec sleep 300\n");
    typed(sandbox, "chmod +x /etc/runit/sleeper/run").succeeds();
    typed(sandbox, "ln -s /etc/runit/sleeper /var/service/sleeper").succeeds();
}

/// Types a line with the service directory of the document, and with a timeout
/// of sv that a busy machine does not exceed.
fn sv(sandbox: &Sandbox, line: &str) -> String {
    shown(
        sandbox,
        &typed(
            sandbox,
            &format!("export SVDIR=/var/service SVWAIT=60; {line}"),
        )
        .stdout,
    )
}

#[track_caller]
fn await_sv(sandbox: &Sandbox, line: &str, wanted: &str) {
    awaited(
        sandbox,
        &format!("export SVDIR=/var/service; {line}"),
        wanted,
    );
}

fn sleeper_is_controlled_and_removed(sandbox: &Sandbox) {
    let runsvdir = machine(sandbox);
    sleeper(sandbox);
    let wanted = "runsvdir /var/service\n  runsv sleeper\n    sleep N\n";
    let seen = || shown(sandbox, tree(sandbox, runsvdir.pid()).as_bytes());
    sandbox.wait_until("pstree shows the service", || seen() == wanted);
    await_sv(sandbox, "sv status sleeper", "run: sleeper: (pid N) Ns\n");
    assert_eq!(
        sv(sandbox, "sv stop sleeper"),
        "ok: down: sleeper: Ns, normally up\n"
    );
    assert_eq!(
        sv(sandbox, "sv status sleeper"),
        "down: sleeper: Ns, normally up\n"
    );
    assert_eq!(
        sv(sandbox, "sv start sleeper"),
        "ok: run: sleeper: (pid N) Ns\n"
    );
    assert_eq!(
        sv(sandbox, "sv restart sleeper"),
        "ok: run: sleeper: (pid N) Ns\n"
    );
    let pid = || fs::read_to_string(sandbox.path("etc/runit/sleeper/supervise/pid")).unwrap();
    let mut before = String::new();
    // Instead of `killall sleep`, which would end others. The file is empty for
    // a moment if runsv is still at work.
    sandbox.wait_until("the service is up, and killed", || {
        before = pid();
        before
            .trim()
            .parse()
            .is_ok_and(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM).is_ok())
    });
    sandbox.wait_until("the service is restarted", || {
        !["", before.as_str()].contains(&pid().as_str())
    });
    await_sv(sandbox, "sv status sleeper", "run: sleeper: (pid N) Ns\n");
    typed(sandbox, "rm /var/service/sleeper").succeeds();
    sandbox.wait_until("runsv has exited", || seen() == "runsvdir /var/service\n");
    assert_eq!(sandbox.read("etc/runit/sleeper/supervise/stat"), b"down\n");
}

fn user_runs_own_services(sandbox: &Sandbox) {
    if !is_root("user_runs_own_services") {
        return;
    }
    let _runsvdir = machine(sandbox);
    sandbox.script(
        "home/appuser/service/myapplication/run",
        "#!/bin/sh\nexec sleep 300\n",
    );
    sandbox
        .sh("chown -R nobody home/appuser; mkdir etc/runit/appuser")
        .succeeds();
    // The document's run script lacks a `#` and has both exec commands on one
    // line. Here they are on two.
    let dots = ".".repeat(400);
    let home = sandbox.path("home/appuser/service");
    sandbox.script(
        "etc/runit/appuser/run",
        &format!(
            "#!/bin/sh -e\nexec 2>&1\nexec chpst -u nobody runsvdir {} 'log: {dots}'\n",
            home.display()
        ),
    );
    // The user may lack access to the programs of the sandbox.
    sandbox.sh("mkdir programs; chmod 755 programs").succeeds();
    for program in ["runsvdir", "runsv"] {
        sandbox.copy_program(program, &sandbox.path("programs").join(program));
    }
    let script = String::from_utf8(sandbox.read("etc/runit/appuser/run")).unwrap();
    let path = format!(
        "PATH={}:$PATH\nexport PATH\nexec 2>&1",
        sandbox.path("programs").display()
    );
    sandbox.write("etc/runit/appuser/run", script.replace("exec 2>&1", &path));
    typed(sandbox, "ln -s /etc/runit/appuser /var/service/appuser").succeeds();
    awaited(
        sandbox,
        "sv status ~/home/appuser/service/myapplication",
        "run: /home/appuser/service/myapplication: (pid N) Ns\n",
    );
    let owner = sandbox
        .sh("ps -o user= $(cat home/appuser/service/myapplication/supervise/pid)")
        .text();
    assert_eq!(owner.trim(), "nobody");
    let restarted = typed(
        sandbox,
        "SVWAIT=60 sv restart ~/home/appuser/service/myapplication",
    );
    assert_eq!(
        shown(sandbox, &restarted.stdout),
        "ok: run: /home/appuser/service/myapplication: (pid N) Ns\n"
    );
    // runsvdir shows a warning about a broken service in its title.
    sandbox
        .sh("ln -s nowhere home/appuser/service/broken")
        .succeeds();
    let runsvdir = fs::read_to_string(sandbox.path("etc/runit/appuser/supervise/pid")).unwrap();
    let title = format!("/proc/{}/cmdline", runsvdir.trim());
    sandbox.wait_until("the title shows the warning", || {
        let title = fs::read_to_string(&title).unwrap_or_default();
        title.contains("warning: unable to stat broken: file does not exist")
    });
}
