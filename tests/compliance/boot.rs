//! Boot, restart and stop: what the init system does with svscan.

use nix::sys::signal::Signal;
use testkit::{Running, compliance, interop, say};

use super::SLEEPER;

/// The command by which the systemd unit stops the services in `scan`.
fn stop() -> String {
    let unit = include_str!("../../packaging/boot/svscanboot.service");
    let (_, command) = unit.split_once("\nExecStop=-").unwrap();
    command
        .lines()
        .next()
        .unwrap()
        .replace("/etc/service", "scan")
}

/// What svstat says of `scan/a`, up to the pid of a service that is up.
fn up(scene: &testkit::Scene) -> Option<String> {
    let says = scene.sh("svstat scan/a").text();
    Some(
        says.strip_prefix("scan/a: up (pid ")?
            .split_once(')')?
            .0
            .to_owned(),
    )
}

interop! {
    fn a_tree_survives_the_restart_of_svscan(scene: &Scene) {
        scene.script("scan/a/run", SLEEPER);
        let svscan = scene.start(scene.shell("exec svscan scan"));
        scene.wait_until("it is up", || up(scene).is_some());
        let service = up(scene);
        svscan.signal(Signal::SIGKILL);
        svscan.wait();

        let again = scene.start(scene.shell("PATH=$THEN:$PATH exec svscan scan"));
        let held = b"supervise: fatal: unable to acquire a/supervise/lock: temporary failure\n";
        scene.wait_until("it has tried to start another", || again.stderr().starts_with(held));
        assert_eq!(up(scene), service);

        // The old supervise obeys, and the new svscan replaces it once it is gone.
        scene.sh("svc -t scan/a").succeeds();
        scene.wait_until("it has restarted", || up(scene).is_some_and(|pid| Some(pid) != service));
        scene.sh("svc -dx scan/a").succeeds();
        scene.wait_until("the new svscan has a supervise", || {
            let child = format!("ps -o args= --ppid {}", again.pid());
            scene.sh(&child).text() == "supervise a\n" && up(scene).is_some()
        });
    }
}

compliance! {
    fn the_unit_stops_services_while_their_loggers_read(scene: &Scene) {
        scene.script("scan/a/run",
            "#!/bin/sh\ntrap 'sleep 1; echo last words; exit' TERM\necho first\nwhile :; do sleep 0.1; done\n");
        scene.script("scan/a/log/run", "#!/bin/sh\nexec multilog ./main\n");
        let _svscan = scene.start(scene.shell("exec svscan scan"));
        let current = "scan/a/log/main/current";
        scene.wait_until("it speaks", || scene.exists(current) && scene.read(current) == b"first\n");

        scene.sh(&stop()).prints("");
        scene.sh("svstat scan/a | sed 's/[0-9]* s/N s/'").prints("scan/a: down N seconds, normally up\n");
        scene.wait_until("all is logged", || scene.read(current) == b"first\nlast words\n");
        assert!(scene.sh("svstat scan/a/log").text().starts_with("scan/a/log: up "));
    }
}

/// Starts svscan on `scan` as process 1 of a process namespace; None, and said
/// aloud, where that is not permitted.
pub(super) fn process_one(scene: &testkit::Scene, options: &str) -> Option<Running> {
    let namespace = "unshare --mount --pid --fork --kill-child --mount-proc";
    if scene.sh(&format!("{namespace} true")).code() != Some(0) {
        say("skipped, not permitted to make a process namespace: svscan as process 1");
        return None;
    }
    Some(scene.start(scene.shell(&format!("exec {namespace} svscan {options} scan"))))
}

/// Makes orphans that end at once, each when the one before has been reaped.
const ORPHANS: &str = "#!/bin/sh
for n in 0 1 2 3 4 5 6 7 8 9 a b c d e f; do
    orphan=$(sh -c 'true >/dev/null & echo $!')
    while kill -0 $orphan 2>/dev/null; do sleep 0.01; done
done
echo >reaped
exec sleep 1000
";

/// Makes orphans that end at once, many a second.
const MANY_ORPHANS: &str = "#!/bin/sh
while :; do sh -c 'true &'; sleep 0.1; done
";

compliance! {
    fn as_process_one_svscan_reaps_orphans(scene: &Scene) {
        let theirs = scene.subject() == testkit::Subject::Reference;
        scene.script("scan/a/run", if theirs { MANY_ORPHANS } else { ORPHANS });
        let Some(unshare) = process_one(scene, "") else { return };
        if theirs {
            // They stay until the next look, five seconds at most.
            let zombies = || {
                let svscan = format!("ps -o pid= --ppid {}", unshare.pid());
                let children = format!("ps -o stat= --ppid $({svscan})");
                scene.sh(&children).text().lines().filter(|state| state.starts_with('Z')).count()
            };
            scene.wait_until("ten wait to be reaped", || zombies() > 10);
            scene.wait_until("they have been reaped", || zombies() < 10);
        } else {
            // One a look would take longer than a test may.
            scene.wait_until("all are reaped", || scene.exists("scan/a/reaped"));
        }
    }

    fn as_process_one_svscan_ends_all_at_term(scene: &Scene) {
        if scene.subject() == testkit::Subject::Reference {
            return cannot_be_ended_by_term(scene);
        }
        for signal in ["TERM", "INT"] {
            scene.script("scan/a/run", "#!/bin/sh\ntrap 'echo last words; exit' TERM\necho first\nwhile :; do sleep 0.1; done\n");
            scene.script("scan/a/log/run", "#!/bin/sh\nexec multilog ./main\n");
            let Some(unshare) = process_one(scene, "") else { return };
            let current = "scan/a/log/main/current";
            scene.wait_until("it speaks", || scene.exists(current) && scene.read(current) == b"first\n");
            signal_inside(scene, &unshare, signal);
            // All that was in there ended before it, in order.
            unshare.wait().succeeds();
            assert_eq!(scene.read(current), b"first\nlast words\n");
            for dir in ["scan/a", "scan/a/log"] {
                let record = scene.read(format!("{dir}/supervise/status"));
                assert_eq!(record[12..16], [0; 4], "{dir} is down");
            }
            scene.sh("test -x scan/a/log/main/current && rm -r scan").succeeds();
        }
    }
}

/// Sends the svscan that is process 1 a signal from outside.
pub(super) fn signal_inside(scene: &testkit::Scene, unshare: &Running, name: &str) {
    let svscan = format!("ps -o pid= --ppid {}", unshare.pid());
    scene.sh(&format!("kill -{name} $({svscan})")).succeeds();
}

/// svscan of 0.76 goes on, whatever it is told.
fn cannot_be_ended_by_term(scene: &testkit::Scene) {
    scene.script("scan/a/run", SLEEPER);
    let Some(unshare) = process_one(scene, "") else {
        return;
    };
    scene.wait_until("it is up", || up(scene).is_some());
    signal_inside(scene, &unshare, "TERM");
    signal_inside(scene, &unshare, "INT");
    scene.script("scan/b/run", SLEEPER);
    scene.wait_until("it starts another service", || {
        scene.sh("svok scan/b").code() == Some(0)
    });

    // Its end is the end of all that is in there.
    signal_inside(scene, &unshare, "KILL");
    unshare.wait();
    scene.wait_until("all have ended", || scene.processes().is_empty());
}

/// What a user copies from a document is what is shipped and tested.
#[test]
fn the_documents_show_the_lines_that_are_shipped() {
    let boot = include_str!("../../doc/boot.md");
    for file in [
        include_str!("../../packaging/boot/inittab"),
        include_str!("../../packaging/boot/rc.local"),
    ] {
        let line = file.lines().last().unwrap();
        assert!(boot.contains(&format!("\n    {line}\n")), "{line}");
    }
    let recipe = include_str!("../../packaging/container/Containerfile");
    let (_, command) = recipe.split_once("\nCMD [").unwrap();
    let command = command.replace(['"', ',', ']'], "");
    let containers = include_str!("../../doc/containers.md");
    assert!(
        containers.contains(&format!("\n    {command}")),
        "{command}"
    );
}
