//! Accounts and groups of the name service, for setuidgid, envuidgid and chpst.

use std::os::unix::process::CommandExt;

use testkit::{Outcome, Sandbox, Subject, compliance, ours};

use super::chain::{MOUNT, has_extrausers, not_shown, with_accounts};

compliance!(
    accounts_of_other_services_are_found,
    nsswitch_conf_selects_the_services,
    malformed_entries_of_passwd_are_skipped,
    malformed_entries_of_group_are_skipped,
    strange_names_are_unknown,
    unreadable_files_are_reported,
    other_services_replace_an_unreadable_file,
    lookups_leave_the_process_unchanged,
    lookups_work_with_closed_descriptors,
    supplementary_groups_come_from_all_services,
    accounts_are_found_in_a_bare_root,
    failed_service_is_an_unknown_account,
    numeric_names_are_found_in_files,
);

ours!(
    answers_of_getent_are_checked,
    getent_runs_in_a_clean_process,
    getent_ends_with_the_program,
    missing_getent_leaves_the_files,
);

const SERVICES: &str = "passwd: files extrausers\ngroup: files extrausers\n";

/// Writes accounts in files and in another service: `local`, `remote` and `both`.
fn write_accounts(sandbox: &Sandbox) {
    let local = "root:x:0:0::/:/bin/sh\nlocal:x:1001:1002::/:/bin/sh\nboth:x:1003:1004::/:\n";
    let remote = "remote:x:2001:2002::/:/bin/sh\nboth:x:2003:2004::/:/bin/sh\n";
    sandbox.write("nsswitch.conf", SERVICES);
    sandbox.write("passwd", local);
    sandbox.write(
        "group",
        "root:x:0:\nours:x:3001:remote,both\nshared:x:3002:\n",
    );
    sandbox.write("extrausers/passwd", remote);
    sandbox.write(
        "extrausers/group",
        "theirs:x:4001:remote\nshared:x:4002:remote\n",
    );
}

fn accounts_of_other_services_are_found(sandbox: &Sandbox) {
    if !testkit::is_root("accounts_of_other_services") || !has_extrausers("accounts") {
        return;
    }
    write_accounts(sandbox);
    let ids = "sh -c \"id -u; id -G\"";
    for (command, stdout) in [
        (format!("setuidgid remote {ids}"), "2001\n2002\n"),
        (format!("setuidgid both {ids}"), "1003\n1004\n"),
        (format!("chpst -u remote {ids}"), "2001\n2002\n"),
        (
            format!("chpst -u remote:theirs:ours:shared {ids}"),
            "2001\n4001 3001 3002\n",
        ),
        (
            "envuidgid remote sh -c \"echo \\$UID \\$GID\"".to_owned(),
            "2001 2002\n",
        ),
        (
            "chpst -U local:theirs sh -c \"echo \\$UID \\$GID\"".to_owned(),
            "1001 4001\n",
        ),
    ] {
        if let Some(outcome) = with_accounts(sandbox, &format!("exec {command}")) {
            let sorted = |text: &str| {
                let mut words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
                words.sort_unstable();
                words
            };
            assert_eq!(sorted(&outcome.text()), sorted(stdout), "{command}");
        }
    }
    for (command, message) in [
        (
            "setuidgid nosuch",
            "setuidgid: fatal: unknown account nosuch\n",
        ),
        (
            "envuidgid nosuch",
            "envuidgid: fatal: unknown account nosuch\n",
        ),
        (
            "chpst -u nosuch",
            "chpst: fatal: unknown user/group: nosuch\n",
        ),
        (
            "chpst -u remote:nosuch",
            "chpst: fatal: unknown user/group: remote:nosuch\n",
        ),
    ] {
        if let Some(outcome) = with_accounts(sandbox, &format!("exec {command} echo ran")) {
            outcome.is(111, "", message);
        }
    }
}

/// The user IDs of some accounts, `-` for an unknown one.
fn user_ids(sandbox: &Sandbox, names: &str) -> Option<String> {
    let script = format!(
        "for name in {names}; do \
             envuidgid \"$name\" sh -c \"echo \\$UID\" 2>/dev/null || echo -; \
         done"
    );
    let outcome = with_accounts(sandbox, &script)?;
    Some(outcome.text().trim_end().replace('\n', " "))
}

fn nsswitch_conf_selects_the_services(sandbox: &Sandbox) {
    if !has_extrausers("nsswitch_conf_selects_the_services") {
        return;
    }
    write_accounts(sandbox);
    for (configuration, expected) in [
        ("passwd: files\n", "1001 - 1003"),
        ("passwd: files extrausers\n", "1001 2001 1003"),
        ("passwd: extrausers files\n", "1001 2001 2003"),
        ("passwd: extrausers\n", "- 2001 2003"),
        ("passwd: compat\n", "1001 - 1003"),
        ("passwd: compat extrausers\n", "1001 2001 1003"),
        ("passwd: nosuch files\n", "1001 - 1003"),
        ("passwd: nosuch\n", "- - -"),
        ("passwd:\n", "- - -"),
        ("", "1001 - 1003"),
        ("group: extrausers\nPasswd: extrausers\n", "1001 - 1003"),
        (" #passwd: extrausers\n", "1001 - 1003"),
        (" \tpasswd:\tfiles\textrausers \n", "1001 2001 1003"),
        ("passwd:extrausers\n", "- 2001 2003"),
        ("passwd extrausers\n", "- 2001 2003"),
        ("passwd: files, extrausers\n", "- 2001 2003"),
        ("passwd: Files\n", "- - -"),
        // The last line of a database counts.
        ("passwd: files\npasswd: extrausers\n", "- 2001 2003"),
        ("passwd: extrausers\npasswd: files\n", "1001 - 1003"),
        ("passwd: extrausers\npasswd:\n", "- - -"),
        // Actions.
        (
            "passwd: files [NOTFOUND=return] extrausers\n",
            "1001 - 1003",
        ),
        (
            "passwd: files [notfound=Return] extrausers\n",
            "1001 - 1003",
        ),
        ("passwd: files[NOTFOUND=return]extrausers\n", "1001 - 1003"),
        (
            "passwd: files [!NOTFOUND=return] extrausers\n",
            "1001 2001 1003",
        ),
        (
            "passwd: files [SUCCESS=continue] extrausers\n",
            "- 2001 2003",
        ),
        (
            "passwd: files [UNAVAIL=return] extrausers\n",
            "1001 2001 1003",
        ),
        ("passwd: [NOTFOUND=return] files\n", "- - -"),
        ("passwd: files [NOTFOUND=return\n", "- - -"),
        ("passwd: files [nonsense=return] extrausers\n", "- - -"),
        // A malformed line of one database makes the others unknown.
        ("passwd: files\nhosts: files [NOTFOUND\n", "- - -"),
        ("passwd: files\ngroup: files [NOTFOUND=nonsense]\n", "- - -"),
    ] {
        sandbox.write("nsswitch.conf", configuration);
        if let Some(seen) = user_ids(sandbox, "local remote both") {
            assert_eq!(seen, expected, "{configuration:?}");
        }
    }
}

fn malformed_entries_of_passwd_are_skipped(sandbox: &Sandbox) {
    sandbox.write("nsswitch.conf", "passwd: files\n");
    for (entry, expected) in [
        (&b"a:x:1:2"[..], "1"),
        (b"a::1:2:\n", "1"),
        (b" \t\r\x0ba:x:1:2:::\n", "1"),
        (b"\n \na:x: 1:\t+2:::\n", "1"),
        (b"a:x:1:2:\0\n", "1"),
        (b"a:x:1:2:::\r\n", "1"),
        (b"a:x:-18446744073709551615:2:::\n", "1"),
        // The first complete entry counts.
        (b"a:x:1:2:::\na:x:3:4:::\n", "1"),
        (b"a:x:1\na:x:3:4:::\n", "3"),
        (b"a:x:1:\na:x:3:4:::\n", "3"),
        (b"a:x::2:::\na:x:3:4:::\n", "3"),
        (b"a:x:1 :2:::\na:x:3:4:::\n", "3"),
        (b"a:x:1:2x:::\na:x:3:4:::\n", "3"),
        (b"a:x:1:2\r\na:x:3:4:::\n", "3"),
        (b"a:x:-1:2:::\na:x:3:4:::\n", "3"),
        (b"a:x:0x1:2:::\na:x:3:4:::\n", "3"),
        (b"a:x:4294967296:2:::\na:x:3:4:::\n", "3"),
        (b"a:x:99999999999999999999:2:::\na:x:3:4:::\n", "3"),
        (b"\0a:x:1:2:::\na:x:3:4:::\n", "3"),
        (b"a\0:x:1:2:::\na:x:3:4:::\n", "3"),
        // Comments, entries of compat mode, and other names.
        (b"#a:x:1:2:::\n", "-"),
        (b"+a:x:1:2:::\n", "-"),
        (b"+:x:::::\n-a\n", "-"),
        (b"A:x:1:2:::\na :x:1:2:::\n", "-"),
        (b"", "-"),
    ] {
        sandbox.write("passwd", entry);
        if let Some(seen) = user_ids(sandbox, "a") {
            assert_eq!(seen, expected, "{}", entry.escape_ascii());
        }
    }
    sandbox.write("passwd", b"\xff\xfe:x:7:8:::\n:x:9:10:::\n");
    if let Some(seen) = user_ids(sandbox, "\"$(printf \"\\377\\376\")\" \"\" \"\\377\"") {
        assert_eq!(seen, "7 9 -");
    }
    let long = "g".repeat(3_000_000);
    sandbox.write("passwd", format!("b:x:5:6:{long}:/:\na:x:7:8:{long}:/:\n"));
    if let Some(seen) = user_ids(sandbox, "a b") {
        assert_eq!(seen, "7 5");
    }
}

fn malformed_entries_of_group_are_skipped(sandbox: &Sandbox) {
    sandbox.write("nsswitch.conf", "passwd: files\ngroup: files\n");
    sandbox.write("passwd", "root:x:0:0::/:/bin/sh\n");
    for (entry, expected) in [
        ("a:x:7:b\n", "7"),
        ("a::7", "7"),
        (" a:x: 7\n", "7"),
        ("a:x:\na:x:8:\n", "8"),
        ("a:x\na:x:8:\n", "8"),
        ("a:x:7x:\na:x:8:\n", "8"),
        ("a:x:-1:\na:x:8:\n", "8"),
        ("a:x:7:\na:x:8:\n", "7"),
        ("#a:x:7:\n+a:x:7:\n-a:x:7:\n+\n", "unknown"),
    ] {
        sandbox.write("group", entry);
        let script = "exec chpst -U root:a sh -c \"echo \\$GID\"";
        let Some(outcome) = with_accounts(sandbox, script) else {
            return;
        };
        if expected == "unknown" {
            outcome.is(111, "", "chpst: fatal: unknown user/group: root:a\n");
        } else {
            outcome.prints(format!("{expected}\n"));
        }
    }
}

fn strange_names_are_unknown(sandbox: &Sandbox) {
    if !has_extrausers("strange_names_are_unknown") {
        return;
    }
    write_accounts(sandbox);
    // getent takes numbers for IDs, and begins options with a dash.
    let names = "0 1001 +2001 \" 2001\" -2001 2001 -x --help -- \"\" +remote Remote r..t \
                 root: \"root:x:0:0\" \"$(printf \"remote\\nroot\")\"";
    if let Some(seen) = user_ids(sandbox, names) {
        assert_eq!(seen, ["-"; 16].join(" "));
    }
}

/// The outcome of a command with an error injected into the open of a file.
fn with_open_error(sandbox: &Sandbox, file: &str, error: &str, command: &str) -> Option<Outcome> {
    if sandbox.sh("exec strace -o /dev/null true").code() != Some(0) {
        not_shown("what strace injects");
        return None;
    }
    let inject = format!(
        "strace -f -qq -o /dev/null -P {file} -e trace=?open,openat \
         -e inject=?open,openat:error={error}"
    );
    with_accounts(sandbox, &format!("exec {inject} {command} echo ran"))
}

fn unreadable_files_are_reported(sandbox: &Sandbox) {
    sandbox.write("nsswitch.conf", "passwd: files\ngroup: files\n");
    let entry = "unable to get password/group file entry";
    for (file, error, text) in [
        ("/etc/passwd", "ENOENT", "file does not exist"),
        ("/etc/passwd", "EIO", "input/output error"),
        ("/etc/passwd", "EMFILE", "process cannot open more files"),
        ("/etc/group", "EACCES", "access denied"),
        ("/etc/nsswitch.conf", "EIO", "input/output error"),
    ] {
        let command = "chpst -U root:root";
        let Some(outcome) = with_open_error(sandbox, file, error, command) else {
            return;
        };
        outcome.is(111, "", format!("chpst: fatal: {entry}: {text}\n"));
    }
    for program in ["envuidgid", "setuidgid"] {
        let command = format!("{program} root");
        if let Some(outcome) = with_open_error(sandbox, "/etc/passwd", "EIO", &command) {
            outcome.is(111, "", format!("{program}: fatal: unknown account root\n"));
        }
    }
    // Without nsswitch.conf, the files count.
    for error in ["ENOENT", "EACCES"] {
        let command = "chpst -U root:root";
        if let Some(outcome) = with_open_error(sandbox, "/etc/nsswitch.conf", error, command) {
            outcome.prints("ran\n");
        }
    }
}

fn other_services_replace_an_unreadable_file(sandbox: &Sandbox) {
    if !has_extrausers("other_services_replace_an_unreadable_file") {
        return;
    }
    write_accounts(sandbox);
    let open_error = |command: &str| with_open_error(sandbox, "/etc/passwd", "EIO", command);
    if let Some(outcome) = open_error("envuidgid both sh -c \"echo \\$UID\"") {
        outcome.prints("2003\n");
        open_error("envuidgid local").unwrap().is(
            111,
            "",
            "envuidgid: fatal: unknown account local\n",
        );
    }
}

fn lookups_leave_the_process_unchanged(sandbox: &Sandbox) {
    if !has_extrausers("lookups_leave_the_process_unchanged") {
        return;
    }
    write_accounts(sandbox);
    let signals = "grep -E \"^(SigQ|SigPnd|ShdPnd|SigBlk|SigIgn|SigCgt)\" /proc/self/status";
    for (name, child) in [
        // No process or zombie remains, and no signal is pending.
        ("children", "cat /proc/thread-self/children"),
        (
            "descriptors",
            "sh -c \"echo /proc/self/fd/*; pwd; umask; nice\"",
        ),
        ("signals", signals),
    ] {
        for environment in [
            "env",
            "env --block-signal=CHLD",
            "env --ignore-signal=CHLD",
            "env --block-signal --ignore-signal=CHLD,PIPE",
        ] {
            let run = |account: &str| {
                with_accounts(
                    sandbox,
                    &format!("exec 7</dev/null; exec {environment} envuidgid {account} {child}"),
                )
            };
            if let (Some(file), Some(service)) = (run("local"), run("remote")) {
                let mask = |text: String| {
                    let lines = text.lines().filter(|line| !line.starts_with("SigQ"));
                    lines.map(str::to_owned).collect::<Vec<_>>()
                };
                assert_eq!(
                    mask(file.text()),
                    mask(service.text()),
                    "{name}, {environment}"
                );
            }
        }
    }
}

fn lookups_work_with_closed_descriptors(sandbox: &Sandbox) {
    if !has_extrausers("lookups_work_with_closed_descriptors") {
        return;
    }
    write_accounts(sandbox);
    for closed in ["<&-", "2>&-", "<&- 2>&-"] {
        let script = format!("exec envuidgid remote sh -c \"echo \\$UID\" {closed}");
        if let Some(outcome) = with_accounts(sandbox, &script) {
            outcome.prints("2001\n");
        }
    }
    let script = "envuidgid remote sh -c \"echo \\$UID >seen\" <&- >&- 2>&-; cat seen";
    if let Some(outcome) = with_accounts(sandbox, script) {
        outcome.prints("2001\n");
    }
}

fn supplementary_groups_come_from_all_services(sandbox: &Sandbox) {
    if !testkit::is_root("setuidgid -s") || !has_extrausers("setuidgid -s") {
        return;
    }
    write_accounts(sandbox);
    for (services, groups) in [
        ("group: files", "2002 3001"),
        ("group: files extrausers", "2002 3001 4001 4002"),
        ("group: extrausers", "2002 4001 4002"),
        ("group: files\ninitgroups: extrausers", "2002 4001 4002"),
        ("group: extrausers\ninitgroups: files", "2002 3001"),
    ] {
        sandbox.write(
            "nsswitch.conf",
            format!("passwd: files extrausers\n{services}\n"),
        );
        let script = "exec setuidgid -s remote sh -c \"id -G\"";
        if let Some(outcome) = with_accounts(sandbox, script) {
            match sandbox.subject() {
                Subject::Reference => outcome.is(111, "", "setuidgid: fatal: unknown account -s\n"),
                _ => outcome.prints(format!("{groups}\n")),
            };
        }
    }
}

/// A getent whose answer depends on the name.
const GETENT: &str = r"#!/bin/sh
case $2 in
    good|GOOD) echo 'good:*:7:8:g:/:/bin/sh' ;;
    domain) echo 'domain@example.org:*:7:8:g:/:/bin/sh' ;;
    group) echo 'group:*:9:a,b' ;;
    other) echo 'root:x:0:0:root:/root:/bin/sh' ;;
    r..t) echo 'root:x:0:0:root:/root:/bin/sh' ;;
    empty) ;;
    blank) echo ;;
    short) echo 'short:*:7:8' ;;
    long) echo 'long:*:0:0:7:8:g:/:/bin/sh' ;;
    sign) echo 'sign:*:+7:8:g:/:/bin/sh' ;;
    range) echo 'range:*:4294967296:8:g:/:/bin/sh' ;;
    two) echo 'two:*:7:8:g:/:/bin/sh'; echo 'two:*:0:0:g:/:/bin/sh' ;;
    cut) printf '%s' 'cut:*:7:8:g:/:/bin/sh' ;;
    endless) exec cat /dev/zero ;;
    killed) kill -KILL $$ ;;
    failed) echo 'failed:*:7:8:g:/:/bin/sh'; exit 3 ;;
    *) exit 2 ;;
esac
";

fn answers_of_getent_are_checked(sandbox: &Sandbox) {
    sandbox.write("nsswitch.conf", "passwd: other\ngroup: other\n");
    sandbox.script("getent", GETENT);
    for (name, ids) in [("good", "7 8"), ("GOOD", "7 8"), ("domain", "7 8")] {
        let script = format!("exec envuidgid {name} sh -c \"echo \\$UID \\$GID\"");
        if let Some(outcome) = with_accounts(sandbox, &script) {
            outcome.prints(format!("{ids}\n"));
        }
    }
    let script = "exec chpst -U good:group sh -c \"echo \\$UID \\$GID\"";
    if let Some(outcome) = with_accounts(sandbox, script) {
        outcome.prints("7 9\n");
    }
    let failed = "unable to get password/group file entry: ";
    for (name, error) in [
        ("none", None),
        ("other", None),
        ("r..t", None),
        ("empty", Some("protocol error")),
        ("blank", Some("protocol error")),
        ("short", Some("protocol error")),
        ("long", Some("protocol error")),
        ("sign", Some("protocol error")),
        ("range", Some("protocol error")),
        ("two", Some("protocol error")),
        ("cut", Some("protocol error")),
        ("failed", Some("protocol error")),
        ("endless", Some("input/output error")),
        ("killed", Some("input/output error")),
    ] {
        let message = match error {
            Some(error) => format!("chpst: fatal: {failed}{error}\n"),
            None => format!("chpst: fatal: unknown user/group: {name}\n"),
        };
        if let Some(outcome) = with_accounts(sandbox, &format!("exec chpst -u {name} echo ran")) {
            outcome.is(111, "", message);
        }
        if let Some(outcome) = with_accounts(sandbox, &format!("exec envuidgid {name} echo ran")) {
            outcome.is(
                111,
                "",
                format!("envuidgid: fatal: unknown account {name}\n"),
            );
        }
    }
}

fn getent_runs_in_a_clean_process(sandbox: &Sandbox) {
    sandbox.write("nsswitch.conf", "passwd: other\n");
    let report = sandbox.path("report");
    sandbox.script(
        "getent",
        &format!(
            "#!/bin/sh\n\
             {{ echo $0 $*; pwd; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=; \
             for number in 0 2 3 4 5 6 7 8 9; do readlink /proc/$$/fd/$number; done; \
             }} >{}\nexit 2\n",
            report.display()
        ),
    );
    for (name, words) in [("web", "web"), ("-x", "-- -x"), ("--", "-- --")] {
        let script = format!(
            "exec 5</dev/null 7</dev/null; \
             exec env --ignore-signal=CHLD HOME=/ IFS=x envuidgid {name} echo ran"
        );
        let Some(outcome) = with_accounts(sandbox, &script) else {
            return;
        };
        outcome.is(
            111,
            "",
            format!("envuidgid: fatal: unknown account {name}\n"),
        );
        assert_eq!(
            String::from_utf8(sandbox.read("report")).unwrap(),
            format!(
                "/usr/bin/getent passwd {words}\n/\nPATH=/usr/bin:/bin\n\
                 /dev/null\n/dev/null\n"
            )
        );
    }
}

fn getent_ends_with_the_program(sandbox: &Sandbox) {
    sandbox.write("nsswitch.conf", "passwd: other\n");
    let pid_file = sandbox.path("getent.pid");
    sandbox.script(
        "getent",
        &format!(
            "#!/bin/sh\necho $$ >{}\nexec sleep 1000\n",
            pid_file.display()
        ),
    );
    if sandbox.sh("exec unshare -m mount --bind . .").code() != Some(0) {
        return not_shown("accounts in a mount namespace");
    }
    let mut command = sandbox.command("unshare");
    let script = format!("{MOUNT}; exec envuidgid slow true");
    command.args(["-m", "sh", "-c", &script]).arg0("unshare");
    let program = sandbox.start(command);
    let getent = sandbox.wait_for("cat getent.pid 2>/dev/null", |pid| pid.ends_with('\n'));
    let getent = getent.trim().to_owned();
    program.kill();
    sandbox.wait_until("getent has ended", || {
        !std::path::Path::new("/proc").join(&getent).exists()
    });
}

/// Fills the directory `root` with setuidgid and two more programs, their shared
/// libraries if they need any, and etc/passwd. Returns the owner and group of a
/// file that `setuidgid local` creates in that root.
fn owner_in_bare_root(sandbox: &Sandbox) -> String {
    sandbox.write("root/etc/passwd", "root:x:0:0:::\nlocal:x:1001:1002:::\n");
    sandbox
        .sh("mkdir root/home; chown 1001 root/home; \
             for program in setuidgid setlock svok; do \
                 cp -L $FIRST/$program root || exit; \
                 for library in $(ldd $FIRST/$program 2>/dev/null | grep -o '/[^ ]*'); do \
                     mkdir -p root/${library%/*}; cp -Ln $library root/$library || exit; \
                 done; \
             done")
        .succeeds();
    sandbox.sh("exec chroot root /setuidgid nosuch /svok").is(
        111,
        "",
        "setuidgid: fatal: unknown account nosuch\n",
    );
    sandbox
        .sh("exec chroot root /setuidgid local /setlock home/lock /svok /")
        .is(100, "", "");
    sandbox.sh("exec stat -c '%u %g' root/home/lock").text()
}

fn accounts_are_found_in_a_bare_root(sandbox: &Sandbox) {
    if testkit::is_root("accounts_are_found_in_a_bare_root") {
        assert_eq!(owner_in_bare_root(sandbox), "1001 1002\n");
    }
}

fn missing_getent_leaves_the_files(sandbox: &Sandbox) {
    if testkit::is_root("missing_getent_leaves_the_files") {
        for services in ["other", "files other", "compat", "files"] {
            sandbox.sh("rm -rf root").succeeds();
            sandbox.write("root/etc/nsswitch.conf", format!("passwd: {services}\n"));
            assert_eq!(owner_in_bare_root(sandbox), "1001 1002\n");
        }
    }
}

/// Where the service cannot be read, the original reports its error.
fn failed_service_is_an_unknown_account(sandbox: &Sandbox) {
    if !has_extrausers("failed_service_is_an_unknown_account") {
        return;
    }
    write_accounts(sandbox);
    sandbox.sh("rm extrausers/passwd").succeeds();
    let script = "exec chpst -U remote echo ran";
    if let Some(outcome) = with_accounts(sandbox, script) {
        let message = match sandbox.subject() {
            Subject::Reference => "unable to get password/group file entry: file does not exist",
            _ => "unknown user/group: remote",
        };
        outcome.is(111, "", format!("chpst: fatal: {message}\n"));
    }
}

fn numeric_names_are_found_in_files(sandbox: &Sandbox) {
    if !has_extrausers("numeric_names_are_found_in_files") {
        return;
    }
    sandbox.write("nsswitch.conf", SERVICES);
    sandbox.write("passwd", "1234:x:1001:1002::/:/bin/sh\n");
    sandbox.write(
        "extrausers/passwd",
        "4321:x:2001:2002::/:/bin/sh\n5555:x:5555:5555::/:/bin/sh\n",
    );
    sandbox.write("extrausers/group", "");
    if let Some(seen) = user_ids(sandbox, "1234 5555 4321 2001") {
        let remote = match sandbox.subject() {
            Subject::Reference => "2001",
            _ => "-",
        };
        assert_eq!(seen, format!("1001 5555 {remote} -"));
    }
}
