use testkit::{Sandbox, Subject, compliance};

use super::chain::with_accounts;

const USAGE: &str = "setuidgid: usage: setuidgid account child\n";

/// Prints user, group and supplementary groups of a process.
const WHO: &str = "grep -E '^(Uid|Gid|Groups):' /proc/self/status";

compliance!(
    usage_is_for_missing_arguments,
    unknown_account_is_reported,
    child_has_only_uid_and_gid_of_account,
    child_cannot_regain_privileges,
    child_is_searched_with_account_permissions,
    the_environment_does_not_change,
    unprivileged_call_is_refused,
    present_identity_needs_no_privilege,
    each_missing_privilege_is_reported,
    accounts_may_be_numbers,
    other_numbers_are_unknown_accounts,
    s_adds_the_accounts_supplementary_groups,
    s_adds_nothing_to_numbers,
    s_needs_an_account_and_a_child,
);

fn usage_is_for_missing_arguments(sandbox: &Sandbox) {
    sandbox.sh("setuidgid").is(100, "", USAGE);
    sandbox.sh("setuidgid root").is(100, "", USAGE);
    sandbox.sh("setuidgid nosuchaccount").is(100, "", USAGE);
}

fn unknown_account_is_reported(sandbox: &Sandbox) {
    for name in ["nosuchaccount", "''", "0", "root:", "-z", "--", "ROOT"] {
        sandbox.sh(&format!("exec setuidgid {name} echo ran")).is(
            111,
            "",
            format!(
                "setuidgid: fatal: unknown account {}\n",
                name.trim_matches('\'')
            ),
        );
    }
    sandbox
        .sh("exec setuidgid \"$(printf 'a\\377\\nb')\" echo ran")
        .is(111, "", b"setuidgid: fatal: unknown account a\xff\nb\n");
    let long = "l".repeat(5000);
    sandbox.sh(&format!("exec setuidgid {long} echo ran")).is(
        111,
        "",
        format!("setuidgid: fatal: unknown account {long}\n"),
    );
}

fn child_has_only_uid_and_gid_of_account(sandbox: &Sandbox) {
    if testkit::is_root("setuidgid changes identity") {
        sandbox.sh(&format!("exec setpriv --groups 1,2,3 setuidgid nobody {WHO}")).prints(
            "Uid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534\nGroups:\t65534 \n",
        );
        sandbox
            .sh(&format!("exec setuidgid root {WHO}"))
            .prints("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 \n");
        // A group of the user's number would be someone else's.
        sandbox
            .sh("exec setuidgid games sh -c 'echo $(id -u) $(id -g) $(id -G)'")
            .prints("5 60 60\n");
    }
}

fn child_cannot_regain_privileges(sandbox: &Sandbox) {
    if testkit::is_root("setuidgid drops privileges") {
        sandbox.write("secret", "");
        sandbox.mode("secret", 0o600);
        sandbox
            .sh("exec setuidgid nobody cat secret 2>/dev/null")
            .is(1, "", "");
        let capabilities =
            sandbox.sh("exec setuidgid nobody grep -E 'Cap(Prm|Eff)' /proc/self/status");
        capabilities.prints("CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n");
    }
}

fn child_is_searched_with_account_permissions(sandbox: &Sandbox) {
    if testkit::is_root("setuidgid searches as the account") {
        sandbox.script("mine/tool", "#!/bin/sh\necho mine\n");
        sandbox.script("all/tool", "#!/bin/sh\necho all\n");
        sandbox.mode("mine", 0o700);
        let setuidgid = sandbox.bin().join("setuidgid");
        let setuidgid = setuidgid.display();
        sandbox
            .sh(&format!("PATH=mine:all; exec {setuidgid} root tool"))
            .prints("mine\n");
        sandbox
            .sh(&format!("PATH=mine:all; exec {setuidgid} nobody tool"))
            .prints("all\n");
        sandbox
            .sh(&format!("PATH=mine; exec {setuidgid} nobody tool"))
            .is(
                111,
                "",
                "setuidgid: fatal: unable to run tool: access denied\n",
            );
    }
}

fn the_environment_does_not_change(sandbox: &Sandbox) {
    if testkit::is_root("setuidgid keeps the environment") {
        let direct = sandbox.sh("exec env").text();
        sandbox.sh("exec setuidgid nobody env").prints(direct);
    }
}

fn unprivileged_call_is_refused(sandbox: &Sandbox) {
    // Groups come first, and are refused even if nothing would change.
    let refused = "setuidgid: fatal: unable to setgid: permission denied\n";
    if testkit::is_root("setuidgid without root") {
        // The account may not enter the directory of the programs.
        sandbox
            .sh("cp -L $FIRST/setuidgid copy; chmod 755 copy")
            .succeeds();
        let drop = "exec setpriv --reuid=65534 --regid=65534 --clear-groups ./copy";
        for name in ["nobody", "root"] {
            sandbox
                .sh(&format!("{drop} {name} echo ran"))
                .is(111, "", refused);
        }
        sandbox.sh(&format!("{drop} nosuchaccount echo ran")).is(
            111,
            "",
            "setuidgid: fatal: unknown account nosuchaccount\n",
        );
    } else {
        sandbox
            .sh("exec setuidgid nobody echo ran")
            .is(111, "", refused);
    }
}

fn present_identity_needs_no_privilege(sandbox: &Sandbox) {
    if !testkit::is_root("setuidgid to the present identity") {
        return;
    }
    sandbox
        .sh("cp -L $FIRST/setuidgid copy; chmod 755 copy")
        .succeeds();
    sandbox.write("group", "root:x:0:\none:x:101:nobody\n");
    let refused = "setuidgid: fatal: unable to setgid: permission denied\n";
    for (ids, account) in [
        ("--reuid=65534 --regid=65534 --groups=65534", "nobody"),
        (
            "--reuid=65534 --regid=65534 --groups=65534,101",
            "-s nobody",
        ),
        ("--reuid=7 --regid=8 --groups=9,8", ":7:8:9"),
    ] {
        let script = format!("exec setpriv {ids} ./copy {account} echo ran");
        let Some(outcome) = with_accounts(sandbox, &script) else {
            return;
        };
        match (sandbox.subject(), account) {
            (Subject::Reference, "nobody") => outcome.is(111, "", refused),
            (Subject::Reference, _) => {
                let name = account.split(' ').next().unwrap();
                let message = format!("setuidgid: fatal: unknown account {name}\n");
                outcome.is(111, "", message)
            }
            _ => outcome.prints("ran\n"),
        };
    }
    for ids in [
        "--reuid=65534 --regid=65534 --clear-groups",
        "--reuid=65534 --regid=65534 --groups=65534,101",
        "--reuid=65534 --regid=65534 --groups=101",
        "--reuid=65534 --regid=101 --groups=65534",
        "--reuid=65534 --rgid=101 --egid=65534 --groups=65534",
        "--reuid=65533 --regid=65534 --groups=65534",
        "--ruid=65534 --euid=65533 --regid=65534 --groups=65534",
    ] {
        let script = format!("exec setpriv {ids} ./copy nobody echo ran");
        let outcome = with_accounts(sandbox, &script).unwrap();
        outcome.is(111, "", refused);
    }
}

fn each_missing_privilege_is_reported(sandbox: &Sandbox) {
    if testkit::is_root("setuidgid without some capabilities") {
        for (lacks, what) in [
            ("setgid", "setgid"),
            ("setuid", "setuid"),
            ("setgid,-setuid", "setgid"),
        ] {
            sandbox
                .sh(&format!(
                    "exec setpriv --bounding-set -{lacks} setuidgid nobody echo ran"
                ))
                .is(
                    111,
                    "",
                    format!("setuidgid: fatal: unable to {what}: permission denied\n"),
                );
        }
    }
}

fn accounts_may_be_numbers(sandbox: &Sandbox) {
    if testkit::is_root("setuidgid to numbers") {
        for (account, uid, gid, groups) in [
            (":1234", 1234, 1234, "1234"),
            (":1234:5", 1234, 5, "5"),
            (":1234:5:7:6", 1234, 5, "5 6 7"),
            (":4294967294:0", 4_294_967_294_u32, 0, "0"),
        ] {
            let four = |id: u32| format!("\t{id}").repeat(4);
            more(
                sandbox,
                &format!("exec setpriv --groups 1,2,3 setuidgid {account} {WHO}"),
                account,
                &format!("Uid:{}\nGid:{}\nGroups:\t{groups} \n", four(uid), four(gid)),
            );
        }
    }
}

fn other_numbers_are_unknown_accounts(sandbox: &Sandbox) {
    for account in [
        "",
        "1234",
        ":",
        "::5",
        ":1234:",
        ":1234::5",
        ":x",
        ":+1",
        ":-1",
        ": 1",
        ":1 ",
        ":1234:x",
        ":1234:5x",
        ":0x1",
        "nobody:1",
        ":4294967296",
        ":4294967295",
        ":1:4294967295",
    ] {
        sandbox
            .sh(&format!("exec setuidgid '{account}' echo ran"))
            .is(
                111,
                "",
                format!("setuidgid: fatal: unknown account {account}\n"),
            );
    }
}

fn s_adds_the_accounts_supplementary_groups(sandbox: &Sandbox) {
    sandbox.write(
        "group",
        "root:x:0:\none:x:101:member,other\ntwo:x:102:other\nthree:x:103:other,member\n",
    );
    sandbox.write(
        "passwd",
        "root:x:0:0::/:/bin/sh\nmember:x:77:78::/:/bin/sh\n",
    );
    let script = "exec setuidgid -s member sh -c \"id -u; id -g; id -G\"";
    if let Some(outcome) = testkit::is_root("setuidgid -s")
        .then(|| with_accounts(sandbox, script))
        .flatten()
    {
        match sandbox.subject() {
            Subject::Reference => outcome.is(111, "", "setuidgid: fatal: unknown account -s\n"),
            _ => outcome.prints("77\n78\n78 101 103\n"),
        };
        let script = "exec setuidgid member sh -c \"id -G\"";
        with_accounts(sandbox, script).unwrap().prints("78\n");
    }
}

fn s_adds_nothing_to_numbers(sandbox: &Sandbox) {
    if testkit::is_root("setuidgid -s to numbers") {
        more(
            sandbox,
            "exec setuidgid -s :1234:5 sh -c 'id -u; id -G'",
            "-s",
            "1234\n5\n",
        );
    }
}

fn s_needs_an_account_and_a_child(sandbox: &Sandbox) {
    for words in [
        "-s nobody",
        "-s echo",
        "-ss nobody true",
        "-z nobody true",
        "-- nobody true",
    ] {
        let word = words.split(' ').next().unwrap();
        sandbox.sh(&format!("exec setuidgid {words}")).is(
            111,
            "",
            format!("setuidgid: fatal: unknown account {word}\n"),
        );
    }
    let unknown = if sandbox.subject() == Subject::Reference {
        "-s"
    } else {
        "nosuchaccount"
    };
    sandbox.sh("exec setuidgid -s nosuchaccount echo ran").is(
        111,
        "",
        format!("setuidgid: fatal: unknown account {unknown}\n"),
    );
}

/// Asserts our output for an account that 0.76 rejects.
#[track_caller]
fn more(sandbox: &Sandbox, script: &str, account: &str, stdout: &str) {
    let outcome = sandbox.sh(script);
    if sandbox.subject() == Subject::Reference {
        outcome.is(
            111,
            "",
            format!("setuidgid: fatal: unknown account {account}\n"),
        );
    } else {
        outcome.prints(stdout);
    }
}
