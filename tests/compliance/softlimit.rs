use testkit::{Outcome, Sandbox, compliance};

use super::chain::{injected, with_environment};

const USAGE: &str = "softlimit: usage: softlimit [-a allbytes] [-c corebytes] [-d databytes] \
                     [-f filebytes] [-l lockbytes] [-m membytes] [-o openfiles] [-p processes] \
                     [-r residentbytes] [-s stackbytes] [-t cpusecs] child\n";

/// Each option and the limits that it sets, as the kernel calls them.
const OPTIONS: [(&str, &[&str]); 11] = [
    ("a", &["Max address space"]),
    ("c", &["Max core file size"]),
    ("d", &["Max data size"]),
    ("f", &["Max file size"]),
    ("l", &["Max locked memory"]),
    (
        "m",
        &[
            "Max data size",
            "Max stack size",
            "Max locked memory",
            "Max address space",
        ],
    ),
    ("o", &["Max open files"]),
    ("p", &["Max processes"]),
    ("r", &["Max resident set"]),
    ("s", &["Max stack size"]),
    ("t", &["Max cpu time"]),
];

compliance!(
    missing_child_prints_usage,
    bad_option_names_program_as_called,
    options_end_at_two_dashes_or_an_operand,
    without_options_nothing_changes,
    each_option_sets_its_soft_limits,
    an_equals_sign_is_the_hard_limit,
    value_is_capped_by_hard_limit,
    the_last_of_several_options_wins,
    numbers_are_decimal_digits_only,
    the_highest_number_is_no_limit,
    a_value_may_look_like_an_option,
    options_apply_in_given_order,
    sigxfsz_ignored_ends_long_message_silently,
    messages_need_no_memory,
    unavailable_limit_is_reported,
    a_limit_holds_for_the_child,
);

/// A limit: its name, and its soft and hard value.
type Limit = (String, String, String);

/// The limits under which a command runs cat.
#[track_caller]
fn limits(sandbox: &Sandbox, script: &str) -> Vec<Limit> {
    let outcome = sandbox.sh(&format!("{script} cat /proc/self/limits"));
    assert!(
        outcome.status.success() && outcome.stderr.is_empty(),
        "{outcome:?}"
    );
    let column = |line: &str, from: usize, to: usize| line[from..to].trim().to_owned();
    outcome
        .text()
        .lines()
        .skip(1)
        .map(|line| {
            (
                column(line, 0, 26),
                column(line, 26, 47),
                column(line, 47, 68),
            )
        })
        .collect()
}

/// The limits `before` with the soft values of an option's set.
fn with(before: &[Limit], names: &[&str], value: &str) -> Vec<Limit> {
    let mut after = before.to_vec();
    for (name, soft, hard) in &mut after {
        if names.contains(&name.as_str()) {
            let below = |value: &str| value.parse().unwrap_or(u64::MAX);
            let wanted = if value == "=" { hard.as_str() } else { value };
            let lower = if below(wanted) < below(hard) {
                wanted
            } else {
                hard.as_str()
            };
            lower.clone_into(soft);
        }
    }
    after
}

#[track_caller]
fn killed(outcome: &Outcome, signal: i32) {
    assert_eq!(outcome.signal(), Some(signal), "{outcome:?}");
}

const SIGXFSZ: i32 = 25;

fn missing_child_prints_usage(sandbox: &Sandbox) {
    for script in [
        "softlimit",
        "softlimit -c 0",
        "softlimit --",
        "softlimit -c 0 --",
    ] {
        sandbox.sh(script).is(100, "", USAGE);
    }
}

fn bad_option_names_program_as_called(sandbox: &Sandbox) {
    sandbox
        .sh("softlimit -z true")
        .is(100, "", format!("softlimit: illegal option -- z\n{USAGE}"));
    sandbox.sh("softlimit -c0 -: true").is(
        100,
        "",
        format!("softlimit: illegal option -- :\n{USAGE}"),
    );
    sandbox.sh("softlimit -m").is(
        100,
        "",
        format!("softlimit: option requires an argument -- m\n{USAGE}"),
    );
    sandbox
        .sh("ln -s $FIRST/softlimit other; ./other -z true; ./other -a")
        .is(
            100,
            "",
            format!(
                "other: illegal option -- z\n\
            {USAGE}other: option requires an argument -- a\n{USAGE}"
            ),
        );
}

fn options_end_at_two_dashes_or_an_operand(sandbox: &Sandbox) {
    sandbox
        .sh("exec softlimit -c 0 -- echo -c 1")
        .prints("-c 1\n");
    sandbox.sh("exec softlimit -c 0 - -c 1").is(
        111,
        "",
        "softlimit: fatal: unable to run -: file does not exist\n",
    );
    sandbox.sh("exec softlimit echo -c 1").prints("-c 1\n");
}

fn without_options_nothing_changes(sandbox: &Sandbox) {
    assert_eq!(limits(sandbox, "exec softlimit"), limits(sandbox, "exec"));
}

fn each_option_sets_its_soft_limits(sandbox: &Sandbox) {
    let before = limits(sandbox, "exec");
    for (letter, names) in OPTIONS {
        // Enough for cat in any unit.
        let value = if letter == "o" { "100" } else { "1000000003" };
        for words in [format!("-{letter} {value}"), format!("-{letter}{value}")] {
            assert_eq!(
                limits(sandbox, &format!("exec softlimit {words}")),
                with(&before, names, value),
                "{words}"
            );
        }
    }
}

fn an_equals_sign_is_the_hard_limit(sandbox: &Sandbox) {
    let lower = "ulimit -S -c 1; ulimit -S -n 77; ulimit -S -s 4444; exec";
    let before = limits(sandbox, lower);
    for (letter, names) in OPTIONS {
        let seen = limits(sandbox, &format!("{lower} softlimit -{letter} ="));
        assert_eq!(seen, with(&before, names, "="), "{letter}");
    }
}

fn value_is_capped_by_hard_limit(sandbox: &Sandbox) {
    let hard = "ulimit -S -c 3; ulimit -H -c 5; ulimit -S -n 50; ulimit -H -n 60; exec";
    let before = limits(sandbox, hard);
    for (words, names) in [
        ("-c 99999", ["Max core file size"]),
        ("-o 61", ["Max open files"]),
    ] {
        assert_eq!(
            limits(sandbox, &format!("{hard} softlimit {words}")),
            with(&before, &names, "="),
            "{words}"
        );
    }
}

fn the_last_of_several_options_wins(sandbox: &Sandbox) {
    let before = limits(sandbox, "exec");
    let seen = limits(
        sandbox,
        "exec softlimit -m 900000000 -s 800000000 -a700000000 -a =",
    );
    let after = with(&before, OPTIONS[5].1, "900000000");
    assert_eq!(
        seen,
        with(
            &with(&after, &["Max stack size"], "800000000"),
            &["Max address space"],
            "="
        )
    );
    let seen = limits(sandbox, "exec softlimit -s 800000000 -m 900000000");
    assert_eq!(seen, after);
}

fn numbers_are_decimal_digits_only(sandbox: &Sandbox) {
    let before = limits(sandbox, "exec");
    for (words, value) in [
        ("-c ''", "0"),
        ("-c 0", "0"),
        ("-c 007", "7"),
        ("-c 18446744073709551616", "0"),
        ("-c 18446744073709551623", "7"),
        ("-c 1844674407370955161500000001", "18446744073609551617"),
    ] {
        let seen = limits(sandbox, &format!("exec softlimit {words}"));
        assert_eq!(
            seen,
            with(&before, &["Max core file size"], value),
            "{words}"
        );
    }
    for word in [
        "5x",
        "5k",
        "'5 '",
        "' 5'",
        "+5",
        "-1",
        "0x5",
        "5.0",
        "==",
        "=5",
        "5=",
        "0=",
        "00=",
        "k",
        "\"$(printf '5\\n')x\"",
    ] {
        sandbox
            .sh(&format!("exec softlimit -c {word} true"))
            .is(100, "", USAGE);
        sandbox
            .sh(&format!("exec softlimit -c{word} true"))
            .is(100, "", USAGE);
    }
}

fn the_highest_number_is_no_limit(sandbox: &Sandbox) {
    let before = limits(sandbox, "exec");
    let seen = limits(sandbox, "exec softlimit -c 18446744073709551615");
    assert_eq!(seen, with(&before, &["Max core file size"], "unlimited"));
}

fn a_value_may_look_like_an_option(sandbox: &Sandbox) {
    sandbox.sh("exec softlimit -c -- true").is(100, "", USAGE);
    sandbox.sh("exec softlimit -cm true").is(100, "", USAGE);
    sandbox.sh("exec softlimit -c 5 -o true").is(100, "", USAGE);
}

fn options_apply_in_given_order(sandbox: &Sandbox) {
    let long = "softlimit: illegal option -- z\n";
    for (words, said) in [
        ("-f 4 -z true", "soft"),
        ("-f 0 -c 5x true", ""),
        ("-f 12 -m", "softlimit: o"),
        ("-f 31 -z true", long),
        ("-f 5", "softl"),
        ("-f 7 nope", "softlim"),
    ] {
        killed(
            &sandbox.sh(&format!("ulimit -c 0; exec softlimit {words} 2>said")),
            SIGXFSZ,
        );
        assert_eq!(
            String::from_utf8(sandbox.read("said")).unwrap(),
            said,
            "{words}"
        );
    }
    // The options after the bad one have no effect.
    sandbox
        .sh("exec softlimit -z -f 0 true 2>said")
        .is(100, "", "");
    assert_eq!(
        String::from_utf8(sandbox.read("said")).unwrap(),
        format!("{long}{USAGE}")
    );
}

fn sigxfsz_ignored_ends_long_message_silently(sandbox: &Sandbox) {
    sandbox
        .sh("trap '' XFSZ; exec softlimit -f 9 nope 2>said")
        .is(111, "", "");
    assert_eq!(sandbox.read("said"), b"softlimit");
}

fn messages_need_no_memory(sandbox: &Sandbox) {
    let entry = vec![b'e'; 100_000];
    let environment: Vec<&[u8]> = std::iter::once(&b"PATH=/no:/nowhere"[..])
        .chain(std::iter::repeat_n(&entry[..], 8))
        .chain(std::iter::repeat_n(&b"A=1"[..], 6000))
        .collect();
    let long = "n".repeat(250);
    for option in ["-a", "-d", "-m", "-s", "-l"] {
        for name in ["nope", &long] {
            sandbox
                .run(with_environment(
                    sandbox,
                    &environment,
                    "softlimit",
                    &[option, "0", name],
                ))
                .is(
                    111,
                    "",
                    format!("softlimit: fatal: unable to run {name}: file does not exist\n"),
                );
        }
        sandbox
            .run(with_environment(
                sandbox,
                &environment,
                "softlimit",
                &[option, "0", "-z"],
            ))
            .is(100, "", format!("softlimit: illegal option -- z\n{USAGE}"));
        let longest = "/n".repeat(60_000);
        sandbox
            .run(with_environment(
                sandbox,
                &environment,
                "softlimit",
                &[option, "0", &longest],
            ))
            .is(
                111,
                "",
                format!("softlimit: fatal: unable to run {longest}: file name too long\n"),
            );
    }
}

fn unavailable_limit_is_reported(sandbox: &Sandbox) {
    if let Some(injected) = injected("prlimit64", "EPERM", "1+") {
        let softlimit = sandbox.bin().join("softlimit");
        sandbox
            .sh(&format!(
                "exec {injected} {} -c 0 echo ran",
                softlimit.display()
            ))
            .is(
                111,
                "",
                "softlimit: fatal: getrlimit failed: permission denied\n",
            );
    }
}

fn a_limit_holds_for_the_child(sandbox: &Sandbox) {
    killed(
        &sandbox.sh("ulimit -c 0; exec softlimit -f 3 sh -c 'exec echo 12345 >file'"),
        SIGXFSZ,
    );
    assert_eq!(sandbox.read("file"), b"123");
    killed(&sandbox.sh("ulimit -c 0; exec softlimit -a 0 true"), 11);
    sandbox
        .sh("exec softlimit -o 3 sh -c 'exec 3</dev/null' 2>/dev/null")
        .is(127, "", "");
}
