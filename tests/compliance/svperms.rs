use testkit::{SLEEPER, Sandbox, ours, theirs_on_ours};

use super::supervise;

const USAGE: &str = "svperms: usage: svperms [-u user] [-g group] [-G group] [-V] dir ...\n";

theirs_on_ours!(
    groups_may_control_and_look,
    one_group_may_do_both,
    user_may_control,
    status_group_may_only_look,
);

ours!(
    without_options_only_the_owner_has_access,
    wrong_arguments_change_nothing,
    links_are_not_followed,
    further_directories_follow_a_failed_one,
    settings_of_supervise_e_set_permissions,
    unknown_group_of_supervise_e_is_reported,
    supervise_directory_elsewhere_is_set,
);

/// Starts supervise on `s`, and puts programs where all users may run them. False:
/// the test is skipped.
fn start(sandbox: &Sandbox) -> Option<testkit::Running> {
    if !testkit::is_root("svperms") {
        return None;
    }
    for program in ["svc", "svstat"] {
        sandbox.copy_program(program, &sandbox.path(program));
    }
    sandbox.script("s/run", SLEEPER);
    let running = supervise(sandbox);
    sandbox.service("s");
    Some(running)
}

/// Modes, users and groups of the supervise directory, `control` and `ok`.
fn permissions(sandbox: &Sandbox, dir: &str) -> String {
    sandbox
        .sh(&format!(
            "cd {dir}; stat -L -c '%a %u %g' supervise supervise/control supervise/ok"
        ))
        .text()
        .replace('\n', ", ")
}

/// Whether a user with these groups may control `s` and look at it, by svc and
/// svstat.
fn rights(sandbox: &Sandbox, identity: &str) -> (bool, bool) {
    let svstat = sandbox
        .sh(&format!("setuidgid {identity} ./svstat s"))
        .text();
    let looks = svstat.starts_with("s: up (pid ") || svstat.starts_with("s: down ");
    if !looks {
        assert_eq!(svstat, "s: unable to open supervise/ok: access denied\n");
    }
    // A command without an effect.
    let svc = sandbox.sh(&format!("setuidgid {identity} ./svc -u s"));
    let controls = svc.error_text().is_empty();
    if !controls {
        let message = "svc: warning: unable to control s: access denied\n";
        assert_eq!(svc.error_text(), message);
    }
    (controls, looks)
}

/// Stops and starts the service, so that supervise replaces its files.
fn replace_files(sandbox: &Sandbox) {
    sandbox.sh("svc -d s").succeeds();
    sandbox.wait_for("svstat s", |text| text.starts_with("s: down "));
    sandbox.sh("svc -u s").succeeds();
    sandbox.service("s");
}

fn groups_may_control_and_look(sandbox: &Sandbox) {
    let Some(_supervise) = start(sandbox) else {
        return;
    };
    assert_eq!(rights(sandbox, ":4001:5001:5002"), (false, false));
    sandbox.sh("svperms -g 5001 -G 5002 s").succeeds();
    assert_eq!(
        permissions(sandbox, "s"),
        "710 0 5002, 620 0 5001, 620 0 5002, "
    );
    for _ in 0..2 {
        assert_eq!(rights(sandbox, ":0"), (true, true));
        assert_eq!(rights(sandbox, ":4001:5001:5002"), (true, true));
        assert_eq!(rights(sandbox, ":4002:5002"), (false, true));
        assert_eq!(rights(sandbox, ":4003:6000"), (false, false));
        // The directory lets only the group of the status pass.
        assert_eq!(rights(sandbox, ":4004:5001"), (false, false));
        replace_files(sandbox);
    }
    // A controlling user has an effect.
    sandbox
        .sh("setuidgid :4001:5001:5002 ./svc -d s")
        .succeeds();
    sandbox.wait_for("setuidgid :4002:5002 ./svstat s", |text| {
        text.starts_with("s: down ")
    });
}

fn one_group_may_do_both(sandbox: &Sandbox) {
    let Some(_supervise) = start(sandbox) else {
        return;
    };
    sandbox.sh("svperms -g 5001 s").succeeds();
    assert_eq!(
        permissions(sandbox, "s"),
        "710 0 5001, 620 0 5001, 620 0 5001, "
    );
    assert_eq!(rights(sandbox, ":4001:5001"), (true, true));
    assert_eq!(rights(sandbox, ":4002:5002"), (false, false));
}

fn user_may_control(sandbox: &Sandbox) {
    let Some(_supervise) = start(sandbox) else {
        return;
    };
    sandbox.sh("svperms -u nobody s").succeeds();
    let identity = sandbox.sh("echo $(id -u nobody) $(id -g nobody)").text();
    let (user, group) = identity.trim().split_once(' ').unwrap();
    let expected = format!("710 0 {group}, 600 {user} 0, 600 {user} 0, ");
    assert_eq!(permissions(sandbox, "s"), expected);
    assert_eq!(rights(sandbox, &format!(":{user}:{group}")), (true, true));
    assert_eq!(rights(sandbox, ":4002:5002"), (false, false));
    sandbox.sh("svperms -u 4001 -G 5002 s").succeeds();
    assert_eq!(
        permissions(sandbox, "s"),
        "710 0 5002, 600 4001 0, 620 4001 5002, "
    );
    assert_eq!(rights(sandbox, ":4001:5002"), (true, true));
    assert_eq!(rights(sandbox, ":4002:5002"), (false, true));
}

fn status_group_may_only_look(sandbox: &Sandbox) {
    let Some(_supervise) = start(sandbox) else {
        return;
    };
    sandbox.sh("svperms -G 5002 s").succeeds();
    assert_eq!(
        permissions(sandbox, "s"),
        "710 0 5002, 600 0 0, 620 0 5002, "
    );
    assert_eq!(rights(sandbox, ":4002:5002"), (false, true));
    assert_eq!(rights(sandbox, ":4003:5001"), (false, false));
}

fn without_options_only_the_owner_has_access(sandbox: &Sandbox) {
    let Some(_supervise) = start(sandbox) else {
        return;
    };
    sandbox.sh("svperms -u 4001 -g 5001 s").succeeds();
    sandbox.sh("svperms s").succeeds();
    assert_eq!(
        permissions(sandbox, "s"),
        "700 0 5001, 600 0 5001, 600 0 5001, "
    );
    assert_eq!(rights(sandbox, ":4001:5001"), (false, false));
    // The second call finds nothing to change.
    let calls = "chmod|fchmodat|fchmodat2|fchownat|chown";
    if sandbox.sh("strace -V").code() == Some(0) {
        sandbox
            .sh(&format!(
                "strace -e trace='/^({calls})$' -o calls svperms s; grep -c '(' calls"
            ))
            .is(1, "0\n", "");
    }
}

fn wrong_arguments_change_nothing(sandbox: &Sandbox) {
    sandbox.sh("svperms").is(100, "", USAGE);
    sandbox.sh("svperms -g 5001").is(100, "", USAGE);
    sandbox
        .sh("svperms -Z s")
        .is(100, "", format!("svperms: illegal option -- Z\n{USAGE}"));
    for (arguments, message) in [
        ("-g no-such-group", "unknown group no-such-group"),
        ("-G ''", "unknown group "),
        ("-G 4294967295", "unknown group 4294967295"),
        ("-G -1", "unknown group -1"),
        ("-u no-such-user", "unknown account no-such-user"),
        (
            "-u 4001",
            "the user has no account: -g or -G must name a group",
        ),
    ] {
        sandbox.sh(&format!("svperms {arguments} nope")).is(
            111,
            "",
            format!("svperms: fatal: {message}\n"),
        );
    }
}

fn links_are_not_followed(sandbox: &Sandbox) {
    sandbox
        .sh(
            "umask 022; mkdir -p s/supervise t outside; mkfifo outside/control outside/ok; \
            ln -s ../outside t/supervise; ln -s ../../outside/control s/supervise/control; \
            mkfifo s/supervise/ok; stat -c '%a %u %g' outside outside/* >before",
        )
        .succeeds();
    let warns = |dir: &str, message: &str| {
        sandbox.sh(&format!("svperms -g 0 {dir}")).is(
            111,
            "",
            format!("svperms: warning: {message}\n"),
        );
    };
    warns("t", "t/supervise is a symbolic link");
    warns("s", "s/supervise/control is a symbolic link");
    sandbox
        .sh("cd s/supervise; rm control; mkdir control")
        .succeeds();
    warns("s", "s/supervise/control is not a FIFO");
    sandbox
        .sh("cd s/supervise; rmdir control; mkfifo control; rm ok; ln -s ../../outside/ok ok")
        .succeeds();
    warns("s", "s/supervise/ok is a symbolic link");
    sandbox
        .sh("rm s/supervise/ok; echo >s/supervise/ok")
        .succeeds();
    warns("s", "s/supervise/ok is not a FIFO");
    sandbox
        .sh("stat -c '%a %u %g' outside outside/* | cmp - before")
        .succeeds();
    warns(
        "outside",
        "unable to set permissions of outside/supervise: file does not exist",
    );
    warns("nope", "unable to chdir to nope: file does not exist");
    sandbox.sh("mkdir f; echo >f/supervise").succeeds();
    warns(
        "f",
        "unable to set permissions of f/supervise: not a directory",
    );
}

fn further_directories_follow_a_failed_one(sandbox: &Sandbox) {
    sandbox
        .sh(
            "for s in a b; do mkdir -p $s/supervise; mkfifo $s/supervise/control $s/supervise/ok; \
            done; chmod 755 b/supervise",
        )
        .succeeds();
    let outcome = sandbox.sh("svperms a nope b");
    outcome.is(
        111,
        "",
        "svperms: warning: unable to chdir to nope: file does not exist\n",
    );
    let modes = sandbox.sh("stat -c %a b/supervise b/supervise/ok");
    modes.prints("700\n600\n");
}

fn settings_of_supervise_e_set_permissions(sandbox: &Sandbox) {
    if !testkit::is_root("control-group") {
        return;
    }
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/log/run", SLEEPER);
    sandbox.write("s/control-group", "5001\n");
    sandbox.write("s/status-group", " nogroup \n");
    sandbox
        .sh("mkdir -p run; ln -s ../run/s s/supervise")
        .succeeds();
    let supervise = sandbox.start_supervisor("supervise -e", "s");
    let nogroup = sandbox.sh("getent group nogroup | cut -d: -f3").text();
    let nogroup = nogroup.trim();
    let expected = format!("710 0 {nogroup}, 620 0 5001, 620 0 {nogroup}, ");
    assert_eq!(permissions(sandbox, "s"), expected);
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().succeeds();
    // svperms decides without these files.
    sandbox.sh("rm s/control-group s/status-group").succeeds();
    let _supervise = sandbox.start_supervisor("supervise -e", "s");
    assert_eq!(permissions(sandbox, "s"), expected);
    // The logger has files of its own.
    let _logger = sandbox.start_supervisor("supervise -e", "s/log");
    assert_eq!(permissions(sandbox, "s/log"), "700 0 0, 600 0 0, 600 0 0, ");
}

fn unknown_group_of_supervise_e_is_reported(sandbox: &Sandbox) {
    if !testkit::is_root("control-group") {
        return;
    }
    sandbox.script("s/run", SLEEPER);
    sandbox.write("s/control-group", "no-such-group\n");
    sandbox.write("s/status-group", "5002\n");
    let supervise = sandbox.start_supervisor("supervise -e", "s");
    assert_eq!(
        permissions(sandbox, "s"),
        "710 0 5002, 600 0 0, 620 0 5002, "
    );
    sandbox.service("s");
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().is(
        0,
        "",
        "supervise: warning: s/control-group is not the name or the number of a group: ignored\n",
    );
    // A file in the place of a FIFO does not prevent the start.
    sandbox
        .sh("rm s/supervise/ok; ln -s control s/supervise/ok")
        .succeeds();
    let supervise = sandbox.start_supervisor("supervise -e", "s");
    sandbox.sh("svc -dx s").succeeds();
    let outcome = supervise.wait();
    assert!(
        outcome
            .error_text()
            .contains("supervise: warning: s/supervise/ok is a symbolic link\n"),
        "{outcome:?}"
    );
}

fn supervise_directory_elsewhere_is_set(sandbox: &Sandbox) {
    if !testkit::is_root("svperms") {
        return;
    }
    sandbox.script("s/run", SLEEPER);
    let directory = sandbox.path("run").display().to_string();
    let shell = |script: &str| format!("export SUPERVISEDIR={directory}; {script}");
    let _supervise = sandbox.start(sandbox.shell(&shell("exec supervise s")));
    sandbox.wait_until("supervise runs", || {
        sandbox.sh(&shell("svok s")).code() == Some(0)
    });
    sandbox.sh(&shell("svperms -g 5001 s")).succeeds();
    sandbox
        .sh("stat -c '%a %g' run run/*")
        .prints("755 0\n710 5001\n");
}
