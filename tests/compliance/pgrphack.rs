use testkit::{Sandbox, compliance};

use super::chain::{inherited, perl};

compliance!(
    missing_child_prints_usage,
    argument_with_dash_is_the_child,
    the_child_leads_a_session_and_a_process_group,
    group_leader_stays_in_its_session,
);

fn missing_child_prints_usage(sandbox: &Sandbox) {
    sandbox
        .sh("pgrphack")
        .is(100, "", "pgrphack: usage: pgrphack child\n");
}

fn argument_with_dash_is_the_child(sandbox: &Sandbox) {
    for word in ["-x", "--", "-"] {
        sandbox.sh(&format!("exec pgrphack {word} true")).is(
            111,
            "",
            format!("pgrphack: fatal: unable to run {word}: file does not exist\n"),
        );
    }
}

fn the_child_leads_a_session_and_a_process_group(sandbox: &Sandbox) {
    let shell = inherited(sandbox, "", "");
    assert!(!shell.contains("session its own\n"), "{shell}");
    let seen = inherited(sandbox, "", "pgrphack");
    assert!(
        seen.contains("process group its own\nsession its own\n"),
        "{seen}"
    );
}

fn group_leader_stays_in_its_session(sandbox: &Sandbox) {
    let leader = perl("setpgrp(0, 0); exec @ARGV");
    let direct = inherited(sandbox, "", &leader);
    assert!(
        direct.contains("process group its own\nsession ") && !direct.contains("session its own")
    );
    // The report's session is a number, of the session that it was in.
    assert_eq!(
        inherited(sandbox, "", &format!("{leader} pgrphack")),
        direct
    );
}
