//! What doc/many-machines.md tells: Ansible's module `community.general.svc`
//! drives our programs as it does the reference.

use testkit::{Outcome, Scene, compliance, skip};

/// The module in Python's words.
const MODULE: &str = "ansible_collections.community.general.plugins.modules.svc";

/// Runs a playbook on this machine, services being in `sv`, links in `service`.
fn play(scene: &Scene, playbook: &str) -> Outcome {
    scene.sh(&format!(
        "exec ansible-playbook -c local -i localhost, -e sv_dir=$PWD/sv -e service_dir=$PWD/service {playbook}"
    ))
}

/// Asks the module for one thing, as Ansible does on each host, and returns
/// the state that it saw before.
fn ask(scene: &Scene, wanted: &str) -> String {
    let directory = scene.dir();
    let directory = directory.display();
    let outcome = scene.feed(
        format!(
            r#"{{"ANSIBLE_MODULE_ARGS": {{"name": "clock", "service_src": "{directory}/sv",
            "service_dir": "{directory}/service", {wanted}}}}}"#
        ),
        &format!("exec python3 -m {MODULE}"),
    );
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let text = outcome.text();
    let (_, state) = text.split_once(r#""state": ""#).unwrap();
    state.split('"').next().unwrap().to_owned()
}

fn svstat(scene: &Scene) -> String {
    let svstat = "svstat sv/clock | sed 's/pid [0-9]*/pid N/; s/[0-9]* s/N s/'";
    scene.sh(svstat).text()
}

compliance! {
    fn ansible_drives_services(scene: &Scene) {
        if scene.sh(&format!("ansible-playbook --version && python3 -c 'import {MODULE}'")).code() != Some(0) {
            return skip("ansible_drives_services", "Ansible's community.general is not installed");
        }
        scene.sh("mkdir sv service").succeeds();
        let _svscan = scene.start(scene.shell("exec svscan service"));
        let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/ansible/service.yml");

        let first = play(scene, recipe);
        assert!(first.text().contains(" changed=6 "), "{first:?}");
        scene.wait_until("it is up", || svstat(scene) == "sv/clock: up (pid N) N seconds\n");
        scene.wait_until("its log is kept", || scene.exists("sv/clock/log/main/current"));
        let second = play(scene, recipe);
        assert!(second.text().contains(" changed=0 "), "{second:?}");

        assert_eq!(ask(scene, r#""downed": true"#), "started");
        assert_eq!(svstat(scene), "sv/clock: up (pid N) N seconds, normally down\n");
        ask(scene, r#""state": "stopped""#);
        scene.wait_until("it is down", || svstat(scene) == "sv/clock: down N seconds\n");
        assert_eq!(ask(scene, r#""state": "stopped", "downed": false"#), "stopped");
        assert_eq!(svstat(scene), "sv/clock: down N seconds, normally up\n");
        ask(scene, r#""state": "started""#);
        scene.wait_until("it is up", || svstat(scene) == "sv/clock: up (pid N) N seconds\n");
        for state in ["restarted", "killed"] {
            let pid = || scene.sh("svstat sv/clock | sed -n 's/.*(pid \\(.*\\)).*/\\1/p'").text();
            let before = pid();
            ask(scene, &format!(r#""state": "{state}""#));
            scene.wait_until("it has restarted", || !["", &before].contains(&pid().as_str()));
        }
        ask(scene, r#""enabled": false"#);
        for supervised in ["sv/clock", "sv/clock/log"] {
            scene.wait_until("its supervise is gone", || scene.sh(&format!("svok {supervised}")).code() == Some(100));
        }
        assert!(!scene.exists("service/clock"));
    }
}
