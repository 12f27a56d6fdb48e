use testkit::{Scene, Subject, compliance};

use super::chain::{is_root, with_accounts};

const USAGE: &str = "setuidgid: usage: setuidgid account child\n";

/// Prints user, group and supplementary groups of a process.
const WHO: &str = "grep -E '^(Uid|Gid|Groups):' /proc/self/status";

compliance! {
    fn usage_is_for_missing_arguments(scene: &Scene) {
        scene.sh("setuidgid").is(100, "", USAGE);
        scene.sh("setuidgid root").is(100, "", USAGE);
        scene.sh("setuidgid nosuchaccount").is(100, "", USAGE);
    }

    fn an_unknown_account_is_said(scene: &Scene) {
        for name in ["nosuchaccount", "''", "0", "root:", "-z", "--", "ROOT"] {
            scene.sh(&format!("exec setuidgid {name} echo ran")).is(
                111,
                "",
                format!(
                    "setuidgid: fatal: unknown account {}\n",
                    name.trim_matches('\'')
                ),
            );
        }
        scene
            .sh("exec setuidgid \"$(printf 'a\\377\\nb')\" echo ran")
            .is(111, "", b"setuidgid: fatal: unknown account a\xff\nb\n");
        let long = "l".repeat(5000);
        scene.sh(&format!("exec setuidgid {long} echo ran")).is(
            111,
            "",
            format!("setuidgid: fatal: unknown account {long}\n"),
        );
    }

    fn the_child_has_the_accounts_user_and_group_alone(scene: &Scene) {
        if is_root("setuidgid changes identity") {
            scene.sh(&format!("exec setpriv --groups 1,2,3 setuidgid nobody {WHO}")).prints(
                "Uid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534\nGroups:\t65534 \n",
            );
            scene
                .sh(&format!("exec setuidgid root {WHO}"))
                .prints("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 \n");
            // A group of the user's number would be someone else's.
            scene
                .sh("exec setuidgid games sh -c 'echo $(id -u) $(id -g) $(id -G)'")
                .prints("5 60 60\n");
        }
    }

    fn privileges_are_gone(scene: &Scene) {
        if is_root("setuidgid drops privileges") {
            scene.write("secret", "");
            scene.mode("secret", 0o600);
            scene
                .sh("exec setuidgid nobody cat secret 2>/dev/null")
                .is(1, "", "");
            let capabilities =
                scene.sh("exec setuidgid nobody grep -E 'Cap(Prm|Eff)' /proc/self/status");
            capabilities.prints("CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n");
        }
    }

    fn the_child_is_searched_for_as_the_account(scene: &Scene) {
        if is_root("setuidgid searches as the account") {
            scene.script("mine/tool", "#!/bin/sh\necho mine\n");
            scene.script("all/tool", "#!/bin/sh\necho all\n");
            scene.mode("mine", 0o700);
            let setuidgid = scene.bin().join("setuidgid");
            let setuidgid = setuidgid.display();
            scene
                .sh(&format!("PATH=mine:all; exec {setuidgid} root tool"))
                .prints("mine\n");
            scene
                .sh(&format!("PATH=mine:all; exec {setuidgid} nobody tool"))
                .prints("all\n");
            scene
                .sh(&format!("PATH=mine; exec {setuidgid} nobody tool"))
                .is(
                    111,
                    "",
                    "setuidgid: fatal: unable to run tool: access denied\n",
                );
        }
    }

    fn the_environment_does_not_change(scene: &Scene) {
        if is_root("setuidgid keeps the environment") {
            let direct = scene.sh("exec env").text();
            scene.sh("exec setuidgid nobody env").prints(direct);
        }
    }

    fn without_privileges_it_is_refused(scene: &Scene) {
        // Groups come first, and are refused even if nothing would change.
        let refused = "setuidgid: fatal: unable to setgid: permission denied\n";
        if is_root("setuidgid without root") {
            // What is tested may lie where nobody may go.
            scene
                .sh("cp -L $FIRST/setuidgid copy; chmod 755 copy")
                .succeeds();
            let drop = "exec setpriv --reuid=65534 --regid=65534 --clear-groups ./copy";
            for name in ["nobody", "root"] {
                scene
                    .sh(&format!("{drop} {name} echo ran"))
                    .is(111, "", refused);
            }
            scene.sh(&format!("{drop} nosuchaccount echo ran")).is(
                111,
                "",
                "setuidgid: fatal: unknown account nosuchaccount\n",
            );
        } else {
            scene
                .sh("exec setuidgid nobody echo ran")
                .is(111, "", refused);
        }
    }

    fn each_privilege_that_lacks_is_said(scene: &Scene) {
        if is_root("setuidgid without some capabilities") {
            for (lacks, what) in [
                ("setgid", "setgid"),
                ("setuid", "setuid"),
                ("setgid,-setuid", "setgid"),
            ] {
                scene
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

    fn accounts_may_be_numbers(scene: &Scene) {
        if is_root("setuidgid to numbers") {
            for (account, uid, gid, groups) in [
                (":1234", 1234, 1234, "1234"),
                (":1234:5", 1234, 5, "5"),
                (":1234:5:7:6", 1234, 5, "5 6 7"),
                (":4294967294:0", 4_294_967_294_u32, 0, "0"),
            ] {
                let four = |id: u32| format!("\t{id}").repeat(4);
                more(
                    scene,
                    &format!("exec setpriv --groups 1,2,3 setuidgid {account} {WHO}"),
                    account,
                    &format!("Uid:{}\nGid:{}\nGroups:\t{groups} \n", four(uid), four(gid)),
                );
            }
        }
    }

    fn other_numbers_are_unknown_accounts(scene: &Scene) {
        for account in [
            "1234",
            ":",
            "::5",
            ":1234:",
            ":1234::5",
            ":x",
            ":+1",
            ":-1",
            ":1234:5x",
            ":4294967295",
            ":1:4294967295",
        ] {
            scene.sh(&format!("exec setuidgid {account} echo ran")).is(
                111,
                "",
                format!("setuidgid: fatal: unknown account {account}\n"),
            );
        }
    }

    fn s_adds_the_accounts_supplementary_groups(scene: &Scene) {
        scene.write(
            "group",
            "root:x:0:\none:x:101:member,other\ntwo:x:102:other\nthree:x:103:other,member\n",
        );
        scene.write(
            "passwd",
            "root:x:0:0::/:/bin/sh\nmember:x:77:78::/:/bin/sh\n",
        );
        let script = "exec setuidgid -s member sh -c \"id -u; id -g; id -G\"";
        if let Some(outcome) = is_root("setuidgid -s")
            .then(|| with_accounts(scene, script))
            .flatten()
        {
            match scene.subject() {
                Subject::Reference => outcome.is(111, "", "setuidgid: fatal: unknown account -s\n"),
                _ => outcome.prints("77\n78\n78 101 103\n"),
            };
            let script = "exec setuidgid member sh -c \"id -G\"";
            with_accounts(scene, script).unwrap().prints("78\n");
        }
    }

    fn s_adds_nothing_to_numbers(scene: &Scene) {
        if is_root("setuidgid -s to numbers") {
            more(
                scene,
                "exec setuidgid -s :1234:5 sh -c 'id -u; id -G'",
                "-s",
                "1234\n5\n",
            );
        }
    }

    fn s_needs_an_account_and_a_child(scene: &Scene) {
        for words in [
            "-s nobody",
            "-s echo",
            "-ss nobody true",
            "-z nobody true",
            "-- nobody true",
        ] {
            let word = words.split(' ').next().unwrap();
            scene.sh(&format!("exec setuidgid {words}")).is(
                111,
                "",
                format!("setuidgid: fatal: unknown account {word}\n"),
            );
        }
        let unknown = if scene.subject() == Subject::Reference {
            "-s"
        } else {
            "nosuchaccount"
        };
        scene.sh("exec setuidgid -s nosuchaccount echo ran").is(
            111,
            "",
            format!("setuidgid: fatal: unknown account {unknown}\n"),
        );
    }
}

/// Asserts what ours prints where 0.76 knows no such account.
#[track_caller]
fn more(scene: &Scene, script: &str, account: &str, stdout: &str) {
    let outcome = scene.sh(script);
    if scene.subject() == Subject::Reference {
        outcome.is(
            111,
            "",
            format!("setuidgid: fatal: unknown account {account}\n"),
        );
    } else {
        outcome.prints(stdout);
    }
}
