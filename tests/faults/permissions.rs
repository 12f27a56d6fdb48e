//! Hostile users and directories: an unprivileged user cannot control or block a
//! service, a hostile directory affects no other service, and setuidgid leaves
//! no privilege.

use testkit::{SLEEPER, Sandbox, Subject, compliance, interop, say};

use super::{children, pid_of, record};

interop!(unprivileged_user_controls_and_blocks_nothing);

compliance!(
    hostile_directory_harms_only_itself,
    inherited_privileges_are_dropped,
);

fn unprivileged_user_controls_and_blocks_nothing(sandbox: &Sandbox) {
    if !testkit::is_root("an unprivileged user") {
        return;
    }
    sandbox.script("s/run", SLEEPER);
    let supervise = sandbox.start(sandbox.shell("exec supervise s"));
    sandbox.wait_until("the service is up", || {
        record(sandbox, "s").is_some_and(|record| pid_of(record) != 0)
    });
    let before = (sandbox.listing("s"), record(sandbox, "s"));
    let as_nobody = |command: &str| {
        // Other users may not enter the directory of the clients.
        let program = sandbox.path("client");
        sandbox.copy_program(command.split(' ').next().unwrap(), &program);
        let arguments = command.split_once(' ').unwrap().1;
        sandbox.sh(&format!(
            "exec setpriv --reuid 65534 --regid 65534 --clear-groups ./client {arguments}"
        ))
    };
    as_nobody("svc -dxk s").is(0, "", "svc: warning: unable to control s: access denied\n");
    as_nobody("svok s").is(
        111,
        "",
        "svok: fatal: unable to open s/supervise/ok: access denied\n",
    );
    as_nobody("svstat s").prints("s: unable to open supervise/ok: access denied\n");
    for attempt in [
        "exec 3<s/supervise/control",
        "exec 3<s/supervise/ok",
        "flock -n s/supervise/lock true",
        "echo d >s/supervise/control",
        "rm -f s/supervise/status",
        ": >s/supervise/status.new",
        "mv s/supervise s/elsewhere",
        ": >s/down",
        "kill -9 $(cat pid)",
    ] {
        sandbox.write("pid", supervise.pid().to_string());
        let tried = sandbox.sh(&format!(
            "exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '{attempt}' 2>/dev/null"
        ));
        assert_ne!(tried.code(), Some(0), "{attempt}");
    }
    // supervise may just write the record again, by way of status.new.
    sandbox.wait_until("nothing has changed", || {
        (sandbox.listing("s"), record(sandbox, "s")) == before
    });
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().succeeds();
}

fn hostile_directory_harms_only_itself(sandbox: &Sandbox) {
    // A hostile file in place of each file that svscan and supervise use.
    let hostile = [
        ("control-dir", "mkdir -p supervise/control"),
        ("down-loop", "ln -s down down"),
        ("lock-fifo", "mkdir supervise; mkfifo supervise/lock"),
        ("log-fifo", "mkfifo log"),
        ("log-loop", "ln -s log log"),
        (
            "ok-dir-locked",
            "mkdir supervise; ln -s /nonexistent/ok supervise/ok",
        ),
        ("run-dir", "rm run; mkdir run"),
        ("run-fifo", "rm run; mkfifo -m 755 run"),
        ("run-loop", "rm run; ln -s run run"),
        ("status-dir", "mkdir -p supervise/status/full"),
        (
            "status-fifo",
            "mkdir supervise; mkfifo supervise/status.new",
        ),
        ("supervise-file", ": >supervise"),
        ("supervise-link", "ln -s ../scan/good/supervise supervise"),
    ];
    sandbox.script("scan/good/run", SLEEPER);
    sandbox.script("scan/good/log/run", SLEEPER);
    let svscan = sandbox.start(sandbox.shell("exec svscan scan"));
    let is_good = || {
        ["scan/good", "scan/good/log"]
            .into_iter()
            .all(|dir| sandbox.is_supervised(dir))
    };
    sandbox.wait_until(
        "supervise runs for the good service and its logger",
        is_good,
    );
    let good = |dir| record(sandbox, dir).map(pid_of);
    let is_up = |dir| good(dir).is_some_and(|pid| pid != 0);
    sandbox.wait_until("the good service and its logger are up", || {
        is_up("scan/good") && is_up("scan/good/log")
    });
    let before = (good("scan/good"), good("scan/good/log"));
    for (name, prepare) in hostile {
        // Links, so that svscan never scans an incomplete directory.
        sandbox.script(format!("{name}/run"), SLEEPER);
        sandbox.sh(&format!("cd {name} && {prepare}")).succeeds();
    }
    sandbox
        .sh("for d in *-*; do ln -s ../$d scan/; done")
        .succeeds();
    let complaints = [
        "supervise: fatal: unable to acquire lock-fifo/supervise/lock: device not configured",
        "supervise: fatal: unable to acquire supervise-file/supervise/lock: not a directory",
        "supervise: fatal: unable to acquire supervise-link/supervise/lock: temporary failure",
        "supervise: fatal: unable to chdir to log: not a directory",
        "supervise: fatal: unable to read ok-dir-locked/supervise/ok: file does not exist",
        "supervise: fatal: unable to start run-dir/run: access denied",
        "supervise: fatal: unable to start run-fifo/run: access denied",
        "supervise: fatal: unable to start run-loop/run: symbolic link loop",
        "supervise: fatal: unable to stat down-loop/down: symbolic link loop",
        "supervise: fatal: unable to write control-dir/supervise/control: is a directory",
        "supervise: warning: unable to open status-fifo/supervise/status.new: device not configured",
        "supervise: warning: unable to rename status-dir/supervise/status.new to status: is a directory",
        "svscan: warning: unable to stat log-loop/log: symbolic link loop",
    ];
    let messages = || {
        let stderr = String::from_utf8(svscan.stderr()).unwrap();
        let mut lines: Vec<_> = stderr
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
            .map(str::to_owned)
            .collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    };
    sandbox.wait_until("each hostile directory has an error", || {
        messages().len() >= complaints.len()
    });
    sandbox.script("scan/late/run", SLEEPER);
    sandbox.wait_until("svscan starts a later service", || {
        sandbox.is_supervised("scan/late")
    });
    assert_eq!(messages(), complaints);
    assert!(is_good());
    assert_eq!((good("scan/good"), good("scan/good/log")), before);
    say(&format!(
        "{:?}: {} hostile directories, {} supervises run",
        sandbox.subject(),
        hostile.len(),
        children(svscan.pid()).len()
    ));
}

fn inherited_privileges_are_dropped(sandbox: &Sandbox) {
    if !testkit::is_root("setuidgid leaves no privilege") {
        return;
    }
    let accounts: &[&str] = match sandbox.subject() {
        Subject::Reference => &["nobody"],
        _ => &["nobody", "-s nobody", ":65534", ":65534:65534", "-s :65534"],
    };
    let fields = "^(Uid|Gid|Groups|CapPrm|CapEff|CapAmb):";
    let nothing = "Uid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534\nGroups:\t65534 \n\
        CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n";
    let mut tried = 0;
    for account in accounts {
        for inherited in [
            "",
            "--groups 1,2,3",
            "--inh-caps +net_raw,+setuid --ambient-caps +net_raw,+setuid",
        ] {
            sandbox.sh(&format!("exec setpriv {inherited} setuidgid {account} grep -E '{fields}' /proc/self/status")).prints(nothing);
            tried += 1;
        }
        // The drop is permanent: no call restores the former identity.
        sandbox.sh(&format!("exec setuidgid {account} perl -MPOSIX -e \
            'print 0 + !setuid(0), 0 + !setgid(0), \"\\n\"; $> = 0; $) = \"0 0\"; print \"$< $> $( $)\\n\"'"))
            .prints("11\n65534 65534 65534 65534 65534 65534\n");
    }
    say(&format!(
        "{:?}: {tried} ways to inherit a privilege, none remains",
        sandbox.subject()
    ));
}
