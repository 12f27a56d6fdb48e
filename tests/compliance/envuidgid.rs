use testkit::compliance;

use super::chain::{environment_after, with_accounts};

const USAGE: &str = "envuidgid: usage: envuidgid account child\n";

compliance! {
    fn usage_is_for_missing_arguments(scene: &Scene) {
        scene.sh("envuidgid").is(100, "", USAGE);
        scene.sh("envuidgid root").is(100, "", USAGE);
        scene.sh("envuidgid nosuchaccount").is(100, "", USAGE);
    }

    fn an_unknown_account_is_said(scene: &Scene) {
        for name in [
            "nosuchaccount",
            "''",
            "0",
            "root:",
            "-s",
            "--",
            "ROOT",
            ":0",
        ] {
            scene.sh(&format!("exec envuidgid {name} echo ran")).is(
                111,
                "",
                format!(
                    "envuidgid: fatal: unknown account {}\n",
                    name.trim_matches('\'')
                ),
            );
        }
        scene
            .sh("exec envuidgid \"$(printf 'a\\377\\nb')\" echo ran")
            .is(111, "", b"envuidgid: fatal: unknown account a\xff\nb\n");
    }

    fn uid_and_gid_are_set_and_nothing_else_changes(scene: &Scene) {
        scene
            .sh("exec envuidgid nobody sh -c 'echo $UID $GID; id -u'")
            .prints(format!("65534 65534\n{}\n", nix::unistd::geteuid()));
        scene
            .sh("exec envuidgid games sh -c 'echo $UID $GID'")
            .prints("5 60\n");
    }

    fn gid_comes_before_uid_at_the_end(scene: &Scene) {
        let seen = environment_after(scene, &[b"A=1", b"B=2"], "envuidgid", &["root"]);
        assert_eq!(seen, b"A=1\0B=2\0GID=0\0UID=0\0");
        assert_eq!(
            environment_after(scene, &[], "envuidgid", &["root"]),
            b"GID=0\0UID=0\0"
        );
    }

    fn the_last_entry_takes_the_place_of_a_removed_one(scene: &Scene) {
        let environment: [&[u8]; 8] = [
            b"A=1", b"UID=5", b"UID", b"GID", b"GID=3", b"=x", b"GID=4", b"Z",
        ];
        let seen = environment_after(scene, &environment, "envuidgid", &["nobody"]);
        assert_eq!(
            seen.escape_ascii().to_string(),
            b"A=1\0GID=65534\0UID\0GID\0Z\0=x\0GID=4\0UID=65534\0"
                .escape_ascii()
                .to_string()
        );
    }

    fn ids_are_unsigned_decimal_numbers(scene: &Scene) {
        scene.write(
            "passwd",
            "root:x:0:0::/:/bin/sh\nhigh:x:4294967294:3000000000::/:/bin/sh\n",
        );
        if let Some(outcome) =
            with_accounts(scene, "exec envuidgid high sh -c \"echo \\$UID \\$GID\"")
        {
            outcome.prints("4294967294 3000000000\n");
        }
    }

    fn accounts_are_those_of_the_name_service(scene: &Scene) {
        // No service is asked: /etc/passwd alone is not what counts.
        scene.write("nsswitch.conf", "passwd:\ngroup:\n");
        if let Some(outcome) = with_accounts(scene, "exec envuidgid root echo ran") {
            outcome.is(111, "", "envuidgid: fatal: unknown account root\n");
        }
    }

    fn an_account_with_a_long_entry_is_found(scene: &Scene) {
        let gecos = "g".repeat(100_000);
        scene.write(
            "passwd",
            format!("root:x:0:0::/:/bin/sh\nlong:x:77:78:{gecos}:/:/bin/sh\n"),
        );
        if let Some(outcome) =
            with_accounts(scene, "exec envuidgid long sh -c \"echo \\$UID \\$GID\"")
        {
            outcome.prints("77 78\n");
        }
    }
}
