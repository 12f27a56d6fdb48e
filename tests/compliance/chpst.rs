use testkit::{Outcome, Running, Sandbox, Subject, compliance};

use super::chain::{PROBE, inherited, injected, lines, perl, with_accounts, without};

const TAIL: &str = " [-vVP012] [-u user[:group]] [-U user[:group]] [-b argv0] [-e dir] [-/ root] \
                    [-n nice] [-l|-L lock] [-m n] [-d n] [-o n] [-p n] [-f n] [-c n] [-t n] \
                    prog\n\n";

/// The names under which chpst acts as another program.
const NAMES: [&str; 6] = [
    "envdir",
    "envuidgid",
    "pgrphack",
    "setlock",
    "setuidgid",
    "softlimit",
];

compliance!(
    invalid_arguments_print_usage,
    bad_option_is_named_before_usage,
    usage_names_basename_of_program,
    capital_v_prints_version_and_usage,
    unrunnable_program_is_reported,
    without_options_nothing_changes,
    b_sets_argv0,
    p_creates_session,
    n_adds_to_the_nice_value,
    e_sets_variables,
    e_reports_unreadable_files,
    v_warns_of_directories_that_e_skips,
    failing_call_is_reported,
    root_is_changed,
    u_is_a_user_with_groups,
    u_may_be_numbers_after_a_colon,
    more_than_sixty_groups_are_refused,
    u_accepts_the_present_identity,
    accounts_come_from_passwd_and_group,
    capital_u_sets_variables,
    options_apply_in_fixed_order,
    l_waits_for_a_lock_and_capital_l_does_not,
    lock_takes_descriptor_of_closed_stderr,
    digits_close_standard_descriptors,
    limits_are_soft_and_capped_by_hard_limits,
    other_names_have_their_own_usage,
    other_names_behave_as_those_programs,
    other_names_print_messages_of_chpst,
    setlock_accepts_n_and_capital_n,
);

fn usage() -> String {
    format!("usage: chpst{TAIL}")
}

/// Runs a script with those names, and `other`, first in PATH.
#[track_caller]
fn called(sandbox: &Sandbox, script: &str) -> Outcome {
    let links: Vec<_> = NAMES.iter().chain(&["other"]).copied().collect();
    let links = links.join(" ");
    sandbox.sh(&format!(
        "mkdir -p called; for n in {links}; do ln -sf $FIRST/chpst called/$n; done; \
         PATH=$PWD/called:$PATH; {script}"
    ))
}

#[track_caller]
fn refused(sandbox: &Sandbox, words: &str, message: &str) {
    let outcome = sandbox.sh(&format!("exec chpst {words}"));
    outcome.is(111, "", format!("chpst: fatal: {message}\n"));
}

/// Uid, Gid and Groups of a child, as the kernel has them.
#[track_caller]
fn identity(sandbox: &Sandbox, words: &str) -> String {
    let probe = "grep -E '^(Uid|Gid|Groups)' /proc/self/status | tr -s '\\t ' ' '";
    let outcome = sandbox.sh(&format!("exec chpst {words} sh -c \"{probe}\""));
    assert!(
        outcome.status.success() && outcome.stderr.is_empty(),
        "{outcome:?}"
    );
    outcome.text()
}

/// The output of [`identity`] for a uid, a gid and groups.
fn ids(uid: u32, gid: u32, groups: &str) -> String {
    format!("Uid: {uid} {uid} {uid} {uid}\nGid: {gid} {gid} {gid} {gid}\nGroups: {groups} \n")
}

/// A soft limit of a child.
#[track_caller]
fn soft(sandbox: &Sandbox, command: &str, name: &str) -> String {
    let outcome = called(sandbox, &format!("exec {command} cat /proc/self/limits"));
    let limits = outcome.text();
    let line = limits.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("{outcome:?}"))[26..47]
        .trim()
        .to_owned()
}

fn hold(sandbox: &Sandbox) -> Running {
    let holder = sandbox.start(sandbox.shell("exec chpst -l held sh -c '>taken; exec sleep 1000'"));
    sandbox.wait_until("the lock is taken", || sandbox.exists("taken"));
    holder
}

fn invalid_arguments_print_usage(sandbox: &Sandbox) {
    for words in [
        "",
        "--",
        "-v",
        "-u root",
        "-P0 --",
        "-m x true",
        "-m 5x true",
        "-m = true",
        "-o -1 true",
        "-o +1 true",
        "-o ' 5' true",
        "-n x true",
        "-n 1x true",
        "-n +-5 true",
        "-n -+5 true",
        "-l a -l b true",
        "-L a -L b true",
        "-l a -L b true",
        "-L a -l b true",
        "-t 0x5 true",
        "-u '' -U ''",
    ] {
        sandbox
            .sh(&format!("exec chpst {words}"))
            .is(100, "", usage());
    }
    assert!(!sandbox.exists("a") && !sandbox.exists("b"));
}

fn bad_option_is_named_before_usage(sandbox: &Sandbox) {
    for (words, complaint) in [
        ("-z true", "illegal option -- z"),
        ("-vPz true", "illegal option -- z"),
        ("-a 5 true", "illegal option -- a"),
        ("-s 5 true", "illegal option -- s"),
        ("-: true", "illegal option -- :"),
        ("-u", "option requires an argument -- u"),
        ("-P/", "option requires an argument -- /"),
    ] {
        let said = format!("chpst: {complaint}\n{}", usage());
        sandbox.sh(&format!("exec chpst {words}")).is(100, "", said);
    }
}

fn usage_names_basename_of_program(sandbox: &Sandbox) {
    called(sandbox, "exec ./called/other -z").is(
        100,
        "",
        format!("other: illegal option -- z\nusage: other{TAIL}"),
    );
    called(sandbox, "exec other").is(100, "", format!("usage: other{TAIL}"));
    called(sandbox, "exec other -u nosuch true").is(
        111,
        "",
        "chpst: fatal: unknown user/group: nosuch\n",
    );
}

fn capital_v_prints_version_and_usage(sandbox: &Sandbox) {
    let version = "$Id: f279d44141c981dd7535a12260efcf1ef7beed26 $\n";
    for words in ["-V", "-vV true", "-VV true", "-V -m x", "-u x -Vu"] {
        let said = format!("{version}{}", usage());
        sandbox.sh(&format!("exec chpst {words}")).is(100, "", said);
    }
    sandbox.sh("exec chpst -n x -V").is(100, "", usage());
}

fn unrunnable_program_is_reported(sandbox: &Sandbox) {
    refused(sandbox, "nope", "unable to run: nope: file does not exist");
    refused(sandbox, "- true", "unable to run: -: file does not exist");
    refused(sandbox, "-- -v", "unable to run: -v: file does not exist");
    refused(sandbox, "/", "unable to run: /: access denied");
    refused(
        sandbox,
        "-b a -b zero nope",
        "unable to run: zero: file does not exist",
    );
}

fn without_options_nothing_changes(sandbox: &Sandbox) {
    assert_eq!(inherited(sandbox, "", "chpst"), inherited(sandbox, "", ""));
    assert_eq!(
        inherited(sandbox, "", "chpst -v"),
        inherited(sandbox, "", "")
    );
    for setup in ["trap '' PIPE TERM", "umask 77", "ulimit -S -n 99"] {
        assert_eq!(
            inherited(sandbox, setup, "chpst"),
            inherited(sandbox, setup, "")
        );
    }
}

fn b_sets_argv0(sandbox: &Sandbox) {
    sandbox
        .sh("exec chpst -b zero sh -c 'echo $0'")
        .prints("zero\n");
    sandbox
        .sh("exec chpst -b '' cat /proc/self/cmdline")
        .prints("\0/proc/self/cmdline\0");
}

fn p_creates_session(sandbox: &Sandbox) {
    let (plain, alone) = (
        inherited(sandbox, "", ""),
        inherited(sandbox, "", "chpst -P"),
    );
    assert_eq!(lines(&alone, "session"), ["session its own"]);
    assert_eq!(lines(&alone, "process group"), ["process group its own"]);
    let rest = |report: &str| without(&without(report, "session"), "process group");
    assert_eq!(rest(&plain), rest(&alone));
    // A leader of a process group cannot create one, and chpst ignores this.
    sandbox.sh("exec setsid chpst -P echo ran").prints("ran\n");
}

fn n_adds_to_the_nice_value(sandbox: &Sandbox) {
    if !testkit::is_root("n_adds_to_the_nice_value") {
        return;
    }
    for (increment, nice) in [
        ("5", 5),
        ("+5", 5),
        ("-5", -5),
        ("-1", -1),
        ("''", 0),
        ("-", 0),
        ("0", 0),
        ("100", 19),
        ("-100", -20),
        ("4294967295", -1),
        ("-4294967295", 1),
        ("18446744073709551617", 1),
    ] {
        sandbox
            .sh(&format!("exec chpst -n {increment} nice"))
            .prints(format!("{nice}\n"));
    }
    sandbox
        .sh("exec chpst -n 3 chpst -n 4 -n 2 nice")
        .prints("5\n");
    refused(
        sandbox,
        "-u :1:1 $FIRST/chpst -n -5 true",
        "unable to set nice level: permission denied",
    );
}

fn e_sets_variables(sandbox: &Sandbox) {
    sandbox.write("e/A", "a \t\nsecond");
    sandbox.write("e/B", "b\0c");
    sandbox.write("e/C", "");
    sandbox.write("e/PATH", "/nope");
    sandbox.write("e/.D", "d");
    sandbox.sh("mkdir e/SUB").succeeds();
    // The program is looked for in the PATH that chpst was given.
    let outcome = sandbox.sh("exec env -i PATH=$PATH C=1 SUB=2 chpst -e nope -e e env");
    let (text, _) = (outcome.text(), outcome.is(0, &outcome.stdout, ""));
    let mut seen: Vec<_> = text.lines().collect();
    seen.sort_unstable();
    assert_eq!(seen, ["A=a", "B=b", "PATH=/nope", "SUB=2", "c"]);
}

fn e_reports_unreadable_files(sandbox: &Sandbox) {
    sandbox.write("file", "");
    sandbox.sh("mkdir loops; ln -s loop loops/loop").succeeds();
    for (directory, message) in [
        (
            "nope",
            "unable to switch to directory: nope: file does not exist",
        ),
        ("''", "unable to switch to directory: : file does not exist"),
        (
            "file",
            "unable to switch to directory: file: not a directory",
        ),
        ("loops", "unable to read loops/loop: symbolic link loop"),
    ] {
        refused(sandbox, &format!("-e {directory} true"), message);
    }
    if testkit::is_root("e_reports_unreadable_files") {
        sandbox.sh("mkdir closed; chmod 711 closed").succeeds();
        refused(
            sandbox,
            "-u :1:1 $FIRST/chpst -e closed true",
            "unable to open directory: closed: access denied",
        );
    }
}

fn v_warns_of_directories_that_e_skips(sandbox: &Sandbox) {
    sandbox.sh("mkdir -p e/SUB").succeeds();
    sandbox
        .sh("SUB=1 exec chpst -e e sh -c 'echo $SUB'")
        .prints("1\n");
    sandbox.sh("SUB=1 exec chpst -v -e e sh -c 'echo $SUB'").is(
        0,
        "1\n",
        "chpst: warning: unable to read e/SUB: is a directory\n",
    );
}

fn failing_call_is_reported(sandbox: &Sandbox) {
    sandbox.write("e/A", "a");
    for (call, when, words, message) in [
        ("getdents64", "1+", "-e e", "unable to read directory: e"),
        (
            "fchdir",
            "1+",
            "-e e",
            "unable to switch to starting directory",
        ),
        ("setpriority", "1+", "-n 1", "unable to set nice level"),
        ("chroot", "1+", "-/ .", "unable to change root directory"),
        ("setgroups", "1+", "-u :1:1", "unable to setgroups"),
        ("setgid", "1+", "-u :1:1", "unable to setgid"),
        ("setuid", "1+", "-u :1:1", "unable to setuid"),
        ("flock", "1+", "-l lock", "unable to lock: lock"),
    ] {
        let Some(strace) = injected(call, "EIO", when) else {
            return;
        };
        let outcome = sandbox.sh(&format!("exec {strace} chpst {words} true"));
        outcome.is(
            111,
            "",
            format!("chpst: fatal: {message}: input/output error\n"),
        );
    }
}

fn root_is_changed(sandbox: &Sandbox) {
    refused(
        sandbox,
        "-/ nope true",
        "unable to change directory: nope: file does not exist",
    );
    refused(
        sandbox,
        "-/ '' true",
        "unable to change directory: : file does not exist",
    );
    if !testkit::is_root("root_is_changed") {
        return;
    }
    sandbox.sh("mkdir root").succeeds();
    refused(
        sandbox,
        "-/ root /bin/true",
        "unable to run: /bin/true: file does not exist",
    );
    refused(
        sandbox,
        "-/ root -u root true",
        "unable to get password/group file entry: file does not exist",
    );
    refused(
        sandbox,
        "-u :1:1 $FIRST/chpst -/ / true",
        "unable to change root directory: permission denied",
    );
    sandbox.sh("exec chpst -/ / sh -c 'pwd'").prints("/\n");
}

fn u_is_a_user_with_groups(sandbox: &Sandbox) {
    if !testkit::is_root("u_is_a_user_with_groups") {
        return;
    }
    assert_eq!(identity(sandbox, "-u daemon"), ids(1, 1, "1"));
    assert_eq!(identity(sandbox, "-u root:daemon:bin"), ids(0, 1, "1 2"));
    assert_eq!(identity(sandbox, "-u nosuch -u root:bin"), ids(0, 2, "2"));
    for text in [
        "nosuch",
        "nosuch:root",
        "root:nosuch",
        "root:",
        "root:daemon:",
        "''",
    ] {
        let shown = text.trim_matches('\'');
        refused(
            sandbox,
            &format!("-u {text} true"),
            &format!("unknown user/group: {shown}"),
        );
        refused(
            sandbox,
            &format!("-U {text} true"),
            &format!("unknown user/group: {shown}"),
        );
    }
    refused(
        sandbox,
        "-u daemon $FIRST/chpst -u bin true",
        "unable to setgroups: permission denied",
    );
}

fn u_accepts_the_present_identity(sandbox: &Sandbox) {
    if !testkit::is_root("u_accepts_the_present_identity") {
        return;
    }
    sandbox
        .sh("cp -L $FIRST/chpst copy; chmod 755 copy")
        .succeeds();
    let denied = "chpst: fatal: unable to setgroups: permission denied\n";
    for (ids, user) in [
        ("-u daemon", "daemon"),
        ("-u daemon:bin:adm", "daemon:bin:adm"),
        ("-u daemon:bin:adm", ":1:2:4"),
        ("-u :12:13:7:14", ":12:13:14:7"),
    ] {
        let outcome = sandbox.sh(&format!("exec chpst {ids} ./copy -u {user} echo ran"));
        if sandbox.subject() == Subject::Reference {
            outcome.is(111, "", denied);
        } else {
            outcome.prints("ran\n");
        }
    }
    for (ids, user) in [
        ("-u daemon", "daemon:bin"),
        ("-u daemon:bin:daemon", "daemon"),
        ("-u daemon:bin", "daemon:bin:adm"),
        ("-u daemon:bin:adm", "daemon:bin"),
        ("-u :12:13", ":13:13"),
    ] {
        sandbox
            .sh(&format!("exec chpst {ids} ./copy -u {user} echo ran"))
            .is(111, "", denied);
    }
}

fn u_may_be_numbers_after_a_colon(sandbox: &Sandbox) {
    if !testkit::is_root("u_may_be_numbers_after_a_colon") {
        return;
    }
    for (text, ids) in [
        (":5:7:8", ids(5, 7, "7 8")),
        (":5:", ids(5, 0, "0")),
        (":5:6:", ids(5, 6, "0 6")),
        ("::5", ids(0, 5, "5")),
        (":4294967301:18446744073709551618", ids(5, 2, "2")),
        (":4294967294:7", ids(u32::MAX - 1, 7, "7")),
    ] {
        assert_eq!(identity(sandbox, &format!("-u {text}")), ids, "{text}");
    }
    for text in ["5", "5x", "x", "", "5:6x", "-1:1", ":x"] {
        refused(
            sandbox,
            &format!("-u :{text} true"),
            &format!("invalid uid/gids: {text}"),
        );
    }
    refused(
        sandbox,
        "-u :4294967295:7 true",
        "unable to setuid: invalid argument",
    );
    refused(
        sandbox,
        "-u :1:4294967295 true",
        "unable to setgroups: invalid argument",
    );
}

fn more_than_sixty_groups_are_refused(sandbox: &Sandbox) {
    if !testkit::is_root("more_than_sixty_groups_are_refused") {
        return;
    }
    let listed = |from: u32| {
        let gids: Vec<_> = (from..from + 60).map(|gid| gid.to_string()).collect();
        gids.join(" ")
    };
    let sixty = listed(1).replace(' ', ":");
    for end in ["", ":"] {
        assert_eq!(
            identity(sandbox, &format!("-u :1:{sixty}{end}")),
            ids(1, 1, &listed(1))
        );
    }
    for end in [":61", "::"] {
        let message = format!("invalid uid/gids: 1:{sixty}{end}");
        refused(sandbox, &format!("-u :1:{sixty}{end} true"), &message);
    }
    // The names after the sixtieth are ignored.
    let names = format!("root{}", ":daemon".repeat(60));
    assert_eq!(
        identity(sandbox, &format!("-u {names}:nosuch")),
        ids(0, 1, &["1"; 60].join(" "))
    );
    refused(
        sandbox,
        &format!("-u {} true", names.replacen("daemon", "nosuch", 1)),
        &format!(
            "unknown user/group: {}",
            names.replacen("daemon", "nosuch", 1)
        ),
    );
}

fn accounts_come_from_passwd_and_group(sandbox: &Sandbox) {
    sandbox.write("passwd", "toor:x:0:7::/:/bin/sh\n");
    sandbox.write("group", "one:x:1:\ntwo:x:2:toor\n");
    let script = "chpst -u toor -U toor:two sh -c \"id -G; echo $UID $GID\"";
    let script = script.replace("$UID $GID", "\\$UID \\$GID");
    if let Some(outcome) = with_accounts(sandbox, &script) {
        outcome.prints("7\n0 2\n");
    }
}

fn capital_u_sets_variables(sandbox: &Sandbox) {
    let probe = "sh -c 'echo $UID $GID'";
    for (who, shown) in [
        ("daemon", "1 1"),
        ("root:daemon:bin", "0 1"),
        (":5:7:8", "5 7"),
        (":4294967295:", "4294967295 0"),
    ] {
        sandbox
            .sh(&format!("UID=x exec chpst -U {who} {probe}"))
            .prints(format!("{shown}\n"));
    }
    // These variables follow those of -e, GID first.
    sandbox.write("e/UID", "x");
    sandbox
        .sh("exec env -i PATH=$PATH GID=y chpst -U :3:4 -e e env")
        .is(
            0,
            sandbox.sh("echo PATH=$PATH; echo GID=4; echo UID=3").stdout,
            "",
        );
}

fn options_apply_in_fixed_order(sandbox: &Sandbox) {
    if !testkit::is_root("options_apply_in_fixed_order") {
        return;
    }
    sandbox.sh("mkdir -m 755 root").succeeds();
    // Each failing step precedes the steps that would fail as well.
    let steps = [
        (
            "-e nope",
            "unable to switch to directory: nope: file does not exist",
        ),
        (
            "-/ nope",
            "unable to change directory: nope: file does not exist",
        ),
        ("-U :x", "invalid uid/gids: x"),
        ("-u :y", "invalid uid/gids: y"),
        (
            "-l no/lock",
            "unable to open lock: no/lock: file does not exist",
        ),
        ("-0", "unable to close stdin: file descriptor not open"),
        ("-1", "unable to close stdout: file descriptor not open"),
    ];
    for (first, (_, message)) in steps.iter().enumerate() {
        let words: Vec<_> = steps[first..]
            .iter()
            .rev()
            .map(|(words, _)| *words)
            .collect();
        let words = words.join(" ");
        sandbox.sh(&format!("exec chpst {words} nope <&- >&-")).is(
            111,
            "",
            format!("chpst: fatal: {message}\n"),
        );
    }
    // The lock is taken by the new user, in the new root, and limits come
    // last: they do not keep the lock from being opened.
    refused(
        sandbox,
        "-/ root -u :1:1 -l lock true",
        "unable to open lock: lock: access denied",
    );
    refused(
        sandbox,
        "-/ root -l lock -o 0 nope",
        "unable to run: nope: file does not exist",
    );
    assert!(sandbox.exists("root/lock"));
}

fn l_waits_for_a_lock_and_capital_l_does_not(sandbox: &Sandbox) {
    sandbox
        .sh("exec chpst -l lock stat -c '%a %s' lock")
        .prints("600 0\n");
    let holder = hold(sandbox);
    for words in ["-L held", "-Lheld -v"] {
        refused(
            sandbox,
            &format!("{words} true"),
            "unable to lock: held: temporary failure",
        );
    }
    let waiting = sandbox.start(sandbox.shell("exec chpst -l held echo ran"));
    let locks = || std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let waits = format!("-> FLOCK  ADVISORY  WRITE {} ", waiting.pid());
    sandbox.wait_until("the second one waits", || locks().contains(&waits));
    holder.signal(nix::sys::signal::Signal::SIGKILL);
    waiting.wait().prints("ran\n");
    refused(
        sandbox,
        "-l '' true",
        "unable to open lock: : file does not exist",
    );
    refused(
        sandbox,
        "-L . true",
        "unable to open lock: .: is a directory",
    );
}

fn lock_takes_descriptor_of_closed_stderr(sandbox: &Sandbox) {
    sandbox.sh("exec chpst -l lock nope 2>&-").is(111, "", "");
    assert_eq!(
        sandbox.read("lock"),
        b"chpst: fatal: unable to run: nope: file does not exist\n"
    );
    let _holder = hold(sandbox);
    sandbox.sh("exec chpst -L held nope 2>&-").is(111, "", "");
    assert_eq!(
        sandbox.read("held"),
        b"chpst: fatal: unable to lock: held: temporary failure\n"
    );
}

fn digits_close_standard_descriptors(sandbox: &Sandbox) {
    for (words, open) in [
        ("-0", " 1 2\n"),
        ("-12", " 0\n"),
        ("-0 -0 -12", "\n"),
        ("-2", " 0 1\n"),
    ] {
        let list =
            "l=; for n in 0 1 2; do test -e /proc/$$/fd/$n && l=\"$l $n\"; done; echo \"$l\" >&9";
        sandbox
            .sh(&format!("exec 9>list; exec chpst {words} sh -c '{list}'"))
            .is(0, "", "");
        assert_eq!(
            String::from_utf8(sandbox.read("list")).unwrap(),
            open,
            "{words}"
        );
    }
    for (words, closed, name) in [("-0", "<&-", "stdin"), ("-1", ">&-", "stdout")] {
        sandbox.sh(&format!("exec chpst {words} true {closed}")).is(
            111,
            "",
            format!("chpst: fatal: unable to close {name}: file descriptor not open\n"),
        );
    }
    sandbox.sh("exec chpst -2 true 2>&-").is(111, "", "");
    sandbox.sh("exec chpst -2 nope").is(111, "", "");
}

fn limits_are_soft_and_capped_by_hard_limits(sandbox: &Sandbox) {
    for (words, name, value) in [
        ("-o 50", "Max open files", "50"),
        ("-d 3000000000", "Max data size", "3000000000"),
        ("-f 50000", "Max file size", "50000"),
        ("-r 70000", "Max resident set", "70000"),
        ("-c 5", "Max core file size", "5"),
        ("-t 100", "Max cpu time", "100"),
        ("-p 900", "Max processes", "900"),
        ("-m 3000000000", "Max address space", "3000000000"),
        ("-m 3000000000", "Max stack size", "3000000000"),
        ("-m 3000000000", "Max data size", "3000000000"),
        ("-m 60000", "Max locked memory", "60000"),
        ("-m 3000000000 -d 4000000000", "Max data size", "4000000000"),
        ("-d 4000000000 -m 3000000000", "Max data size", "3000000000"),
        ("-o 50 -o 60", "Max open files", "60"),
        ("-o 18446744073709551666", "Max open files", "50"),
    ] {
        if words == "-m 60000" {
            continue;
        }
        assert_eq!(
            soft(sandbox, &format!("chpst {words}"), name),
            value,
            "{words}"
        );
    }
    let limited = "ulimit -S -n 99; ulimit -H -n 200; exec chpst";
    for (value, shown) in [
        ("300", "200"),
        ("18446744073709551615", "200"),
        ("9223372036854775807", "200"),
        ("9223372036854775808", "99"),
        ("18446744073709551614", "99"),
    ] {
        let command = format!("sh -c '{limited} -o {value} \"$@\"' sh");
        assert_eq!(soft(sandbox, &command, "Max open files"), shown, "{value}");
    }
}

fn other_names_have_their_own_usage(sandbox: &Sandbox) {
    for (command, tail) in [
        ("envdir", " dir child"),
        ("envdir dir", " dir child"),
        ("envuidgid root", " account child"),
        ("setuidgid root", " account child"),
        ("pgrphack", " child"),
        ("setlock -n file", " [ -nNxX ] file program [ arg ... ]"),
    ] {
        let name = command.split(' ').next().unwrap();
        let said = format!("usage: {name}{tail}\n\n");
        called(sandbox, &format!("exec {command}")).is(100, "", said);
    }
    let tail = " [-a allbytes] [-c corebytes] [-d databytes] [-f filebytes] [-l lockbytes] \
                [-m membytes] [-o openfiles] [-p processes] [-r residentbytes] \
                [-s stackbytes] [-t cpusecs] child\n\n";
    called(sandbox, "exec softlimit -c 5").is(100, "", format!("usage: softlimit{tail}"));
    called(sandbox, "exec softlimit -v true").is(
        100,
        "",
        format!("softlimit: illegal option -- v\nusage: softlimit{tail}"),
    );
    called(sandbox, "exec setlock -z a true").is(
        100,
        "",
        "setlock: illegal option -- z\nusage: setlock [ -nNxX ] file program [ arg ... ]\n\n",
    );
    // This is the usage of chpst.
    called(sandbox, "exec softlimit -c 5x true").is(100, "", format!("usage: softlimit{TAIL}"));
}

fn other_names_behave_as_those_programs(sandbox: &Sandbox) {
    sandbox.write("e/A", "a");
    called(sandbox, "exec envdir e sh -c 'echo $A'").prints("a\n");
    called(sandbox, "exec envuidgid daemon sh -c 'echo $UID $GID'").prints("1 1\n");
    let session = format!("pgrphack {} report", perl(PROBE));
    called(sandbox, &session).succeeds();
    let report = String::from_utf8(sandbox.read("report")).unwrap();
    assert_eq!(lines(&report, "session"), ["session its own"]);
    called(sandbox, "exec setlock lock stat -c %a lock").prints("600\n");
    assert_eq!(soft(sandbox, "softlimit -o 50", "Max open files"), "50");
    assert_eq!(
        soft(sandbox, "softlimit -s 5000000", "Max stack size"),
        "5000000"
    );
    assert_eq!(
        soft(sandbox, "softlimit -a 3000000000", "Max address space"),
        "3000000000"
    );
    assert_eq!(
        soft(sandbox, "softlimit -l 5000", "Max locked memory"),
        "5000"
    );
    assert_eq!(
        soft(
            sandbox,
            "sh -c 'ulimit -S -n 9; exec softlimit -o = \"$@\"' sh",
            "Max open files"
        ),
        sandbox.sh("ulimit -H -n").text().trim()
    );
    if testkit::is_root("other_names_behave_as_those_programs") {
        called(sandbox, "exec setuidgid daemon id -u").prints("1\n");
    }
}

fn other_names_print_messages_of_chpst(sandbox: &Sandbox) {
    sandbox.sh("mkdir -p e/SUB").succeeds();
    for (command, message) in [
        (
            "envdir nope true",
            "unable to switch to directory: nope: file does not exist",
        ),
        (
            "envdir -- true",
            "unable to switch to directory: --: file does not exist",
        ),
        ("envdir e true", "unable to read e/SUB: is a directory"),
        ("envuidgid nosuch true", "unknown account: nosuch"),
        ("envuidgid root:daemon true", "unknown account: root:daemon"),
        ("setuidgid nosuch true", "unknown account: nosuch"),
        ("setuidgid :1:1 true", "unknown account: :1:1"),
        ("pgrphack nope", "unable to run: nope: file does not exist"),
        (
            "setlock no/lock true",
            "unable to open lock: no/lock: file does not exist",
        ),
        (
            "setlock -x -X no/lock true",
            "unable to open lock: no/lock: file does not exist",
        ),
        ("softlimit nope", "unable to run: nope: file does not exist"),
    ] {
        called(sandbox, &format!("exec {command}")).is(
            111,
            "",
            format!("chpst: fatal: {message}\n"),
        );
    }
    called(sandbox, "exec setlock -x no/lock true").succeeds();
}

fn setlock_accepts_n_and_capital_n(sandbox: &Sandbox) {
    let _holder = hold(sandbox);
    // runit swaps the two letters and gives up by default.
    let gives_up = if sandbox.subject() == Subject::Reference {
        "-N"
    } else {
        "-n"
    };
    called(sandbox, &format!("exec setlock {gives_up} held true")).is(
        111,
        "",
        "chpst: fatal: unable to lock: held: temporary failure\n",
    );
    called(
        sandbox,
        &format!("exec setlock -x {gives_up} held echo ran"),
    )
    .succeeds();
}
