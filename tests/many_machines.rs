//! doc/many-machines.md: Ansible's module `community.general.svc` drives our
//! programs as it does the reference.

use testkit::{Outcome, Sandbox, compliance, skip};

/// The Python name of the module.
const MODULE: &str = "ansible_collections.community.general.plugins.modules.svc";

compliance!(ansible_drives_services);

/// Runs a playbook on this machine. Services are in `sv`, links in `service`.
fn play(sandbox: &Sandbox, playbook: &str) -> Outcome {
    sandbox.sh(&format!(
        "exec ansible-playbook -c local -i localhost, -e sv_dir=$PWD/sv -e \
            service_dir=$PWD/service {playbook}"
    ))
}

/// Runs the module with some arguments, as Ansible does on each host, and
/// returns the state of the service before the call.
fn run_module(sandbox: &Sandbox, wanted: &str) -> String {
    let directory = sandbox.dir();
    let directory = directory.display();
    let outcome = sandbox.feed(
        format!(
            r#"{{"ANSIBLE_MODULE_ARGS": {{"name": "clock", "service_src": "{directory}/sv",
            "service_dir": "{directory}/service", {wanted}}}}}"#
        ),
        &format!("exec python3 -m {MODULE}"),
    );
    outcome.exits(0);
    let text = outcome.text();
    let (_, state) = text.split_once(r#""state": ""#).unwrap();
    state.split('"').next().unwrap().to_owned()
}

fn svstat(sandbox: &Sandbox) -> String {
    sandbox.sh("svstat sv/clock").masked()
}

fn ansible_drives_services(sandbox: &Sandbox) {
    if sandbox
        .sh(&format!(
            "ansible-playbook --version && python3 -c 'import {MODULE}'"
        ))
        .code()
        != Some(0)
    {
        return skip(
            "ansible_drives_services",
            "Ansible's community.general is not installed",
        );
    }
    sandbox.sh("mkdir sv service").succeeds();
    let _svscan = sandbox.start(sandbox.shell("exec svscan service"));
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/ansible/service.yml");

    let first = play(sandbox, recipe);
    assert!(first.text().contains(" changed=6 "), "{first:?}");
    sandbox.wait_until("the service is up", || {
        svstat(sandbox) == "sv/clock: up (pid P) S seconds\n"
    });
    sandbox.wait_until("the log exists", || {
        sandbox.exists("sv/clock/log/main/current")
    });
    let second = play(sandbox, recipe);
    assert!(second.text().contains(" changed=0 "), "{second:?}");

    assert_eq!(run_module(sandbox, r#""downed": true"#), "started");
    assert_eq!(
        svstat(sandbox),
        "sv/clock: up (pid P) S seconds, normally down\n"
    );
    run_module(sandbox, r#""state": "stopped""#);
    sandbox.wait_until("the service is down", || {
        svstat(sandbox) == "sv/clock: down S seconds\n"
    });
    assert_eq!(
        run_module(sandbox, r#""state": "stopped", "downed": false"#),
        "stopped"
    );
    assert_eq!(svstat(sandbox), "sv/clock: down S seconds, normally up\n");
    run_module(sandbox, r#""state": "started""#);
    sandbox.wait_until("the service is up", || {
        svstat(sandbox) == "sv/clock: up (pid P) S seconds\n"
    });
    for state in ["restarted", "killed"] {
        let pid = || {
            sandbox
                .sh("svstat sv/clock | sed -n 's/.*(pid \\(.*\\)).*/\\1/p'")
                .text()
        };
        let before = pid();
        run_module(sandbox, &format!(r#""state": "{state}""#));
        sandbox.wait_until("the service has another pid", || {
            !["", &before].contains(&pid().as_str())
        });
    }
    run_module(sandbox, r#""enabled": false"#);
    for supervised in ["sv/clock", "sv/clock/log"] {
        sandbox.wait_until("supervise has exited", || {
            sandbox.sh(&format!("svok {supervised}")).code() == Some(100)
        });
    }
    assert!(!sandbox.exists("service/clock"));
}
