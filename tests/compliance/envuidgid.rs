use testkit::{Sandbox, compliance};

use super::chain::{environment_after, with_accounts};

const USAGE: &str = "envuidgid: usage: envuidgid account child\n";

compliance!(
    usage_is_for_missing_arguments,
    unknown_account_is_reported,
    only_uid_and_gid_variables_change,
    gid_is_appended_before_uid,
    removed_entry_is_replaced_by_last,
    ids_are_unsigned_decimal_numbers,
    accounts_come_from_name_service,
    an_account_with_a_long_entry_is_found,
);

fn usage_is_for_missing_arguments(sandbox: &Sandbox) {
    sandbox.sh("envuidgid").is(100, "", USAGE);
    sandbox.sh("envuidgid root").is(100, "", USAGE);
    sandbox.sh("envuidgid nosuchaccount").is(100, "", USAGE);
}

fn unknown_account_is_reported(sandbox: &Sandbox) {
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
        sandbox.sh(&format!("exec envuidgid {name} echo ran")).is(
            111,
            "",
            format!(
                "envuidgid: fatal: unknown account {}\n",
                name.trim_matches('\'')
            ),
        );
    }
    sandbox
        .sh("exec envuidgid \"$(printf 'a\\377\\nb')\" echo ran")
        .is(111, "", b"envuidgid: fatal: unknown account a\xff\nb\n");
}

fn only_uid_and_gid_variables_change(sandbox: &Sandbox) {
    sandbox
        .sh("exec envuidgid nobody sh -c 'echo $UID $GID; id -u'")
        .prints(format!("65534 65534\n{}\n", nix::unistd::geteuid()));
    sandbox
        .sh("exec envuidgid games sh -c 'echo $UID $GID'")
        .prints("5 60\n");
}

fn gid_is_appended_before_uid(sandbox: &Sandbox) {
    let seen = environment_after(sandbox, &[b"A=1", b"B=2"], "envuidgid", &["root"]);
    assert_eq!(seen, b"A=1\0B=2\0GID=0\0UID=0\0");
    assert_eq!(
        environment_after(sandbox, &[], "envuidgid", &["root"]),
        b"GID=0\0UID=0\0"
    );
}

fn removed_entry_is_replaced_by_last(sandbox: &Sandbox) {
    let environment: [&[u8]; 8] = [
        b"A=1", b"UID=5", b"UID", b"GID", b"GID=3", b"=x", b"GID=4", b"Z",
    ];
    let seen = environment_after(sandbox, &environment, "envuidgid", &["nobody"]);
    assert_eq!(
        seen.escape_ascii().to_string(),
        b"A=1\0GID=65534\0UID\0GID\0Z\0=x\0GID=4\0UID=65534\0"
            .escape_ascii()
            .to_string()
    );
}

fn ids_are_unsigned_decimal_numbers(sandbox: &Sandbox) {
    sandbox.write(
        "passwd",
        "root:x:0:0::/:/bin/sh\nhigh:x:4294967294:3000000000::/:/bin/sh\n",
    );
    if let Some(outcome) =
        with_accounts(sandbox, "exec envuidgid high sh -c \"echo \\$UID \\$GID\"")
    {
        outcome.prints("4294967294 3000000000\n");
    }
}

fn accounts_come_from_name_service(sandbox: &Sandbox) {
    // The name service has no source, and /etc/passwd alone does not count.
    sandbox.write("nsswitch.conf", "passwd:\ngroup:\n");
    if let Some(outcome) = with_accounts(sandbox, "exec envuidgid root echo ran") {
        outcome.is(111, "", "envuidgid: fatal: unknown account root\n");
    }
}

fn an_account_with_a_long_entry_is_found(sandbox: &Sandbox) {
    let gecos = "g".repeat(100_000);
    sandbox.write(
        "passwd",
        format!("root:x:0:0::/:/bin/sh\nlong:x:77:78:{gecos}:/:/bin/sh\n"),
    );
    if let Some(outcome) =
        with_accounts(sandbox, "exec envuidgid long sh -c \"echo \\$UID \\$GID\"")
    {
        outcome.prints("77 78\n");
    }
}
