use testkit::compliance;

use super::chain::is_root;

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
                111, "", format!("setuidgid: fatal: unknown account {}\n", name.trim_matches('\'')),
            );
        }
        scene.sh("exec setuidgid \"$(printf 'a\\377\\nb')\" echo ran")
            .is(111, "", b"setuidgid: fatal: unknown account a\xff\nb\n");
        let long = "l".repeat(5000);
        scene.sh(&format!("exec setuidgid {long} echo ran"))
            .is(111, "", format!("setuidgid: fatal: unknown account {long}\n"));
    }

    fn the_child_has_the_accounts_user_and_group_alone(scene: &Scene) {
        if is_root("setuidgid changes identity") {
            scene.sh(&format!("exec setpriv --groups 1,2,3 setuidgid nobody {WHO}")).prints(
                "Uid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534\nGroups:\t65534 \n",
            );
            scene.sh(&format!("exec setuidgid root {WHO}"))
                .prints("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 \n");
            // A group of the user's number would be someone else's.
            scene.sh("exec setuidgid games sh -c 'echo $(id -u) $(id -g) $(id -G)'").prints("5 60 60\n");
        }
    }

    fn privileges_are_gone(scene: &Scene) {
        if is_root("setuidgid drops privileges") {
            scene.write("secret", "");
            scene.mode("secret", 0o600);
            scene.sh("exec setuidgid nobody cat secret 2>/dev/null").is(1, "", "");
            let capabilities = scene.sh("exec setuidgid nobody grep -E 'Cap(Prm|Eff)' /proc/self/status");
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
            scene.sh(&format!("PATH=mine:all; exec {setuidgid} root tool")).prints("mine\n");
            scene.sh(&format!("PATH=mine:all; exec {setuidgid} nobody tool")).prints("all\n");
            scene.sh(&format!("PATH=mine; exec {setuidgid} nobody tool"))
                .is(111, "", "setuidgid: fatal: unable to run tool: access denied\n");
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
            scene.sh("cp -L $FIRST/setuidgid copy; chmod 755 copy").succeeds();
            let drop = "exec setpriv --reuid=65534 --regid=65534 --clear-groups ./copy";
            for name in ["nobody", "root"] {
                scene.sh(&format!("{drop} {name} echo ran")).is(111, "", refused);
            }
            scene.sh(&format!("{drop} nosuchaccount echo ran"))
                .is(111, "", "setuidgid: fatal: unknown account nosuchaccount\n");
        } else {
            scene.sh("exec setuidgid nobody echo ran").is(111, "", refused);
        }
    }

    fn each_privilege_that_lacks_is_said(scene: &Scene) {
        if is_root("setuidgid without some capabilities") {
            for (lacks, what) in [("setgid", "setgid"), ("setuid", "setuid"), ("setgid,-setuid", "setgid")] {
                scene.sh(&format!("exec setpriv --bounding-set -{lacks} setuidgid nobody echo ran"))
                    .is(111, "", format!("setuidgid: fatal: unable to {what}: permission denied\n"));
            }
        }
    }
}
