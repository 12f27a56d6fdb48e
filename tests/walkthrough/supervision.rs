//! "Init scripts considered harmful", a chapter after the other: /etc/runit,
//! /var/service and the home of a user are in the scene.

use std::fs;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, geteuid};
use testkit::{Running, Scene, interop, kill};

use super::{awaited, shown, tree, typed};

/// runsvdir on /var/service.
fn machine(scene: &Scene) -> Running {
    typed(scene, "mkdir -p /etc/runit /var/service").succeeds();
    let mut runsvdir = scene.command("runsvdir");
    runsvdir.arg(scene.path("var/service"));
    scene.start(runsvdir)
}

/// The service of the document, linked as it tells.
fn sleeper(scene: &Scene) {
    typed(scene, "mkdir /etc/runit/sleeper").succeeds();
    scene.write("etc/runit/sleeper/run", "#!/bin/sh -e\nexec sleep 300\n");
    typed(scene, "chmod +x /etc/runit/sleeper/run").succeeds();
    typed(scene, "ln -s /etc/runit/sleeper /var/service/sleeper").succeeds();
}

/// Types a line with the service directory of the document.
fn sv(scene: &Scene, line: &str) -> String {
    shown(
        scene,
        &typed(scene, &format!("export SVDIR=/var/service; {line}")).stdout,
    )
}

#[track_caller]
fn await_sv(scene: &Scene, line: &str, wanted: &str) {
    awaited(scene, &format!("export SVDIR=/var/service; {line}"), wanted);
}

interop! {
    fn the_sleeper_is_linked_stopped_started_restarted_killed_and_removed(scene: &Scene) {
        let runsvdir = machine(scene);
        sleeper(scene);
        let wanted = "runsvdir /var/service\n  runsv sleeper\n    sleep N\n";
        let seen = || shown(scene, tree(scene, runsvdir.pid()).as_bytes());
        scene.wait_until("pstree shows it", || seen() == wanted);
        await_sv(scene, "sv status sleeper", "run: sleeper: (pid N) Ns\n");
        assert_eq!(sv(scene, "sv stop sleeper"), "ok: down: sleeper: Ns, normally up\n");
        assert_eq!(sv(scene, "sv status sleeper"), "down: sleeper: Ns, normally up\n");
        assert_eq!(sv(scene, "sv start sleeper"), "ok: run: sleeper: (pid N) Ns\n");
        assert_eq!(sv(scene, "sv restart sleeper"), "ok: run: sleeper: (pid N) Ns\n");
        let pid = || fs::read_to_string(scene.path("etc/runit/sleeper/supervise/pid")).unwrap();
        let mut before = String::new();
        // killall sleep, of this machine's alone. The pid is away for a moment
        // if runsv was not yet done.
        scene.wait_until("it is up, and killed", || {
            before = pid();
            before.trim().parse().is_ok_and(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM).is_ok())
        });
        scene.wait_until("it is restarted", || !["", before.as_str()].contains(&pid().as_str()));
        await_sv(scene, "sv status sleeper", "run: sleeper: (pid N) Ns\n");
        typed(scene, "rm /var/service/sleeper").succeeds();
        scene.wait_until("it is removed from the tree", || seen() == "runsvdir /var/service\n");
        assert_eq!(scene.read("etc/runit/sleeper/supervise/stat"), b"down\n");
    }

    fn a_user_has_services_of_his_own(scene: &Scene) {
        if !geteuid().is_root() {
            testkit::skip("a_user_has_services_of_his_own", "only root can run a program as a user");
            return;
        }
        let _runsvdir = machine(scene);
        scene.script("home/appuser/service/myapplication/run", "#!/bin/sh\nexec sleep 300\n");
        scene.sh("chown -R nobody home/appuser; mkdir etc/runit/appuser").succeeds();
        // The document's run script lacks a `#`, and says both exec in one
        // line: what is meant is on two.
        let dots = ".".repeat(400);
        let home = scene.path("home/appuser/service");
        scene.script("etc/runit/appuser/run", &format!(
            "#!/bin/sh -e\nexec 2>&1\nexec chpst -u nobody runsvdir {} 'log: {dots}'\n", home.display()));
        // The programs of the scene may be where that user may not go.
        scene.sh("mkdir programs; chmod 755 programs").succeeds();
        for program in ["runsvdir", "runsv"] {
            scene.copy_program(program, &scene.path("programs").join(program));
        }
        let script = String::from_utf8(scene.read("etc/runit/appuser/run")).unwrap();
        let path = format!("PATH={}:$PATH\nexport PATH\nexec 2>&1", scene.path("programs").display());
        scene.write("etc/runit/appuser/run", script.replace("exec 2>&1", &path));
        typed(scene, "ln -s /etc/runit/appuser /var/service/appuser").succeeds();
        awaited(scene, "sv status ~/home/appuser/service/myapplication",
            "run: /home/appuser/service/myapplication: (pid N) Ns\n");
        let owner = scene.sh("ps -o user= $(cat home/appuser/service/myapplication/supervise/pid)").text();
        assert_eq!(owner.trim(), "nobody");
        let restarted = typed(scene, "sv restart ~/home/appuser/service/myapplication");
        assert_eq!(shown(scene, &restarted.stdout), "ok: run: /home/appuser/service/myapplication: (pid N) Ns\n");
        // What cannot be run is seen in the title of its runsvdir.
        scene.sh("ln -s nowhere home/appuser/service/broken").succeeds();
        let runsvdir = fs::read_to_string(scene.path("etc/runit/appuser/supervise/pid")).unwrap();
        let title = format!("/proc/{}/cmdline", runsvdir.trim());
        scene.wait_until("ps tells of it", || {
            let title = fs::read_to_string(&title).unwrap_or_default();
            title.contains("warning: unable to stat broken: file does not exist")
        });
    }
}
