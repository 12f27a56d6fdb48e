//! Behaviour of all chain programs: the search for the child, the messages of a
//! failed exec, and the state that a child inherits.

use testkit::{Sandbox, compliance};

use super::chain::{
    descriptors, environment_after, inherited, injected, lines, not_shown, perl, programs,
    with_environment, without,
};

compliance!(
    child_is_searched_in_path,
    name_with_slash_skips_search,
    empty_path_element_is_current_directory,
    default_path_is_bin_and_usr_bin,
    missing_child_is_reported,
    empty_child_name_is_reported,
    non_executable_file_is_skipped,
    denied_search_is_reported_last,
    non_directory_in_path_ends_search,
    symlink_loop_ends_search,
    oversized_name_ends_search,
    missing_target_or_interpreter_is_enoent,
    invalid_executable_ends_search,
    program_open_for_writing_is_busy,
    search_stops_at_first_match,
    denied_execution_is_reported_last,
    errno_decides_whether_search_continues,
    names_are_bytes,
    first_path_variable_is_used,
    arguments_pass_unchanged,
    environment_passes_unchanged,
    an_empty_environment_stays_empty,
    child_inherits_process_state,
    closed_descriptors_stay_closed,
    ignored_and_default_signals_are_inherited,
    the_signal_mask_is_inherited,
    child_inherits_sigpipe_disposition,
    exit_code_is_that_of_child,
    chained_programs_combine,
    closed_stderr_loses_only_the_message,
    full_stderr_loses_only_the_message,
);

/// Runs `program` on every chain program, `setup` first, and asserts that it
/// is refused with this wording.
#[track_caller]
fn refused(sandbox: &Sandbox, setup: &str, program: &str, name: &str, wording: &str) {
    for (caller, words) in programs(sandbox) {
        sandbox.sh(&format!("{setup}\nexec {words} {program}")).is(
            111,
            "",
            format!("{caller}: fatal: unable to run {name}: {wording}\n"),
        );
    }
}

/// Runs `program` on every chain program, `setup` first, and asserts that it
/// runs and prints `stdout`.
#[track_caller]
fn found(sandbox: &Sandbox, setup: &str, program: &str, stdout: &str) {
    for (_, words) in programs(sandbox) {
        sandbox
            .sh(&format!("{setup}\nexec {words} {program}"))
            .prints(stdout);
    }
}

/// The arguments among the words of [`programs`].
fn arguments(words: &str) -> Vec<&str> {
    let arguments = words.split(' ').skip(1);
    arguments.filter(|word| !word.is_empty()).collect()
}

/// Directories to search: `tool` in the second and third.
fn tools(sandbox: &Sandbox) {
    sandbox.write("1/other", "");
    sandbox.script("2/tool", "#!/bin/sh\necho 2 \"$@\"\n");
    sandbox.script("3/tool", "#!/bin/sh\necho 3 \"$@\"\n");
    sandbox.script("tool", "#!/bin/sh\necho here \"$@\"\n");
}

/// Sets PATH for the chain program and its child.
fn path(value: &str) -> String {
    format!("PATH={value}; export PATH")
}

/// The number of setxattr, for Perl.
const SETXATTR: i32 = if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
    188
} else if cfg!(any(target_arch = "aarch64", target_arch = "riscv64")) {
    5
} else {
    226
};

fn child_is_searched_in_path(sandbox: &Sandbox) {
    tools(sandbox);
    found(sandbox, &path("1:2:3"), "tool a 'b c' ''", "2 a b c \n");
}

fn name_with_slash_skips_search(sandbox: &Sandbox) {
    tools(sandbox);
    found(sandbox, &path("2"), "./tool", "here\n");
    found(sandbox, &path("2"), "3/tool", "3\n");
    refused(
        sandbox,
        &path("2"),
        "./other",
        "./other",
        "file does not exist",
    );
}

fn empty_path_element_is_current_directory(sandbox: &Sandbox) {
    tools(sandbox);
    for value in ["''", ":2", "1::2", "1:"] {
        found(sandbox, &path(value), "tool", "here\n");
    }
}

fn default_path_is_bin_and_usr_bin(sandbox: &Sandbox) {
    tools(sandbox);
    let unset = format!("{}; unset PATH", path("2"));
    found(sandbox, &unset, "echo found", "found\n");
    found(sandbox, &unset, "env printf x", "x");
    refused(sandbox, &unset, "tool", "tool", "file does not exist");
}

fn missing_child_is_reported(sandbox: &Sandbox) {
    tools(sandbox);
    refused(
        sandbox,
        &path("1:2:nowhere"),
        "nope",
        "nope",
        "file does not exist",
    );
}

fn empty_child_name_is_reported(sandbox: &Sandbox) {
    tools(sandbox);
    refused(sandbox, &path("1:2"), "''", "", "access denied");
    refused(sandbox, &path("nowhere"), "''", "", "file does not exist");
}

fn non_executable_file_is_skipped(sandbox: &Sandbox) {
    tools(sandbox);
    sandbox.write("1/tool", "not executable");
    found(sandbox, &path("1:3"), "tool", "3\n");
    sandbox.write("4/tool/file", "a directory");
    found(sandbox, &path("4:3"), "tool", "3\n");
}

fn denied_search_is_reported_last(sandbox: &Sandbox) {
    tools(sandbox);
    sandbox.write("1/tool", "not executable");
    sandbox.write("4/tool/file", "a directory");
    for value in ["1", "1:nowhere", "nowhere:1:4", "4"] {
        refused(sandbox, &path(value), "tool", "tool", "access denied");
    }
}

fn non_directory_in_path_ends_search(sandbox: &Sandbox) {
    tools(sandbox);
    refused(
        sandbox,
        &path("1/other:2"),
        "tool",
        "tool",
        "not a directory",
    );
}

fn symlink_loop_ends_search(sandbox: &Sandbox) {
    tools(sandbox);
    std::os::unix::fs::symlink("tool", sandbox.path("1/tool")).unwrap();
    refused(sandbox, &path("1:2"), "tool", "tool", "symbolic link loop");
}

fn oversized_name_ends_search(sandbox: &Sandbox) {
    tools(sandbox);
    let long = "l".repeat(256);
    refused(
        sandbox,
        &path(&format!("{long}:2")),
        "tool",
        "tool",
        "file name too long",
    );
    refused(sandbox, &path("1:2"), &long, &long, "file name too long");
    let longer = "1/".repeat(2500);
    refused(
        sandbox,
        &path("1:2"),
        &longer,
        &longer,
        "file name too long",
    );
}

fn missing_target_or_interpreter_is_enoent(sandbox: &Sandbox) {
    tools(sandbox);
    std::os::unix::fs::symlink("nowhere", sandbox.path("1/tool")).unwrap();
    sandbox.script("4/tool", "#!/no/interpreter\n");
    found(sandbox, &path("1:4:2"), "tool", "2\n");
    refused(sandbox, &path("1:4"), "tool", "tool", "file does not exist");
    refused(
        sandbox,
        &path("4"),
        "4/tool",
        "4/tool",
        "file does not exist",
    );
}

fn invalid_executable_ends_search(sandbox: &Sandbox) {
    tools(sandbox);
    sandbox.script("1/tool", "echo there is no fallback to a shell\n");
    refused(sandbox, &path("1:2"), "tool", "tool", "exec format error");
    sandbox.script("empty-file", "");
    refused(
        sandbox,
        "",
        "./empty-file",
        "./empty-file",
        "exec format error",
    );
}

fn program_open_for_writing_is_busy(sandbox: &Sandbox) {
    sandbox.script("tool", "#!/bin/sh\n");
    refused(sandbox, "exec 9>>tool", "./tool", "./tool", "text busy");
}

fn search_stops_at_first_match(sandbox: &Sandbox) {
    tools(sandbox);
    sandbox.script("1/tool", "no program");
    sandbox.write("4/tool", "not executable");
    // A remembered EACCES does not hide the error that ended the search.
    refused(sandbox, &path("4:1:2"), "tool", "tool", "exec format error");
}

fn denied_execution_is_reported_last(sandbox: &Sandbox) {
    tools(sandbox);
    sandbox.sh("cp /bin/true 1/tool").succeeds();
    sandbox.write("4/tool", "not executable");
    // EPERM: a program with file capabilities outside the bounding set.
    let grant = format!(
        "my ($file, $name) = (\"1/tool\", \"security.capability\"); \
            my $value = pack(\"V5\", 0x02000001, 1 << 13, 0, 0, 0); \
         syscall({SETXATTR}, $file, $name, $value, length $value, 0) == 0 or exit 1"
    );
    if sandbox.sh(&perl(&grant)).code() != Some(0) {
        return not_shown("a program with file capabilities");
    }
    for (value, wording) in [
        ("1", "permission denied"),
        ("1:nowhere", "permission denied"),
        ("4:1", "permission denied"),
        ("1:4", "access denied"),
    ] {
        for (caller, words) in programs(sandbox) {
            sandbox
                .sh(&format!(
                    "PATH={value} exec /usr/bin/setpriv --bounding-set -net_raw {words} tool"
                ))
                .is(
                    111,
                    "",
                    format!("{caller}: fatal: unable to run tool: {wording}\n"),
                );
        }
    }
    sandbox
        .sh(&format!(
            "PATH=1:2 exec /usr/bin/setpriv --bounding-set -net_raw {}/pgrphack tool",
            sandbox.bin().display()
        ))
        .prints("2\n");
}

fn errno_decides_whether_search_continues(sandbox: &Sandbox) {
    tools(sandbox);
    let pgrphack = sandbox.bin().join("pgrphack");
    let pgrphack = pgrphack.display();
    for (error, remembered, wording) in [
        ("ENOENT", true, "file does not exist"),
        ("EACCES", true, "access denied"),
        ("EPERM", true, "permission denied"),
        ("EISDIR", true, "is a directory"),
        ("ENOTDIR", false, "not a directory"),
        ("EIO", false, "input/output error"),
        ("ENOMEM", false, "out of memory"),
        ("EAGAIN", false, "temporary failure"),
        ("EINVAL", false, "invalid argument"),
    ] {
        let message = format!("pgrphack: fatal: unable to run tool: {wording}\n");
        let Some(injected) = injected("execve", error, "1") else {
            return;
        };
        let search = |path| sandbox.sh(&format!("exec {injected} -E PATH={path} {pgrphack} tool"));
        let outcome = search("2:3");
        if remembered {
            outcome.prints("3\n");
        } else {
            outcome.is(111, "", &message);
        }
        // After the error, the last element has nothing.
        search("2:1").is(111, "", &message);
    }
}

fn names_are_bytes(sandbox: &Sandbox) {
    sandbox.sh("exec pgrphack \"$(printf 'a\\377\\nb')\"").is(
        111,
        "",
        b"pgrphack: fatal: unable to run a\xff\nb: file does not exist\n",
    );
}

fn first_path_variable_is_used(sandbox: &Sandbox) {
    tools(sandbox);
    for (program, words) in programs(sandbox) {
        let mut arguments = arguments(&words);
        arguments.push("tool");
        let environment: [&[u8]; 6] = [
            b"PATHS=9", b"PATH", b"path=9", b"PATH=3", b"PATH=2", b"PATH=1",
        ];
        let command = with_environment(sandbox, &environment, program, &arguments);
        sandbox.run(command).prints("3\n");
    }
}

fn arguments_pass_unchanged(sandbox: &Sandbox) {
    for (_, words) in programs(sandbox) {
        let command = format!(
            "exec {words} /bin/cat -- /proc/self/cmdline '' '-x' \"$(printf '\\377 \\n.')\""
        );
        // cat prints its own command line, then misses the other files.
        let seen = sandbox.sh(&command);
        assert_eq!(
            seen.stdout, b"/bin/cat\0--\0/proc/self/cmdline\0\0-x\0\xff \n.\0",
            "{seen:?}",
        );
    }
}

fn environment_passes_unchanged(sandbox: &Sandbox) {
    let environment: [&[u8]; 9] = [
        b"Z=1",
        b"A=2",
        b"PATH=/bin",
        b"Z=3",
        b"no equals sign",
        b"=",
        b"",
        b"A=\xff\n",
        b"=A=",
    ];
    for (program, words) in programs(sandbox) {
        if program == "envuidgid" {
            continue;
        }
        let seen = environment_after(sandbox, &environment, program, &arguments(&words));
        let expected: Vec<u8> = environment
            .iter()
            .flat_map(|entry| [entry, &b"\0"[..]].concat())
            .collect();
        assert!(seen == expected, "{program}: {}", seen.escape_ascii());
    }
}

fn an_empty_environment_stays_empty(sandbox: &Sandbox) {
    for (program, words) in programs(sandbox) {
        if program == "envuidgid" {
            continue;
        }
        let seen = environment_after(sandbox, &[], program, &arguments(&words));
        assert_eq!(seen, b"", "{program}");
    }
}

fn child_inherits_process_state(sandbox: &Sandbox) {
    let setup = "umask 027; ulimit -S -n 300; ulimit -S -c 0";
    let expected = inherited(sandbox, setup, "");
    for (program, words) in programs(sandbox) {
        let seen = inherited(sandbox, setup, &words);
        assert_eq!(
            comparable(program, &seen),
            comparable(program, &expected),
            "{program}"
        );
    }
}

fn closed_descriptors_stay_closed(sandbox: &Sandbox) {
    for closed in 0..8 {
        let mut setup = "exec 5</dev/null 7>>file;".to_owned();
        for (bit, close) in [(1, "exec 0<&-;"), (2, "exec 1>&-;"), (4, "exec 2>&-;")] {
            if closed & bit != 0 {
                setup.push_str(close);
            }
        }
        let direct = descriptors(sandbox, &setup, "");
        for (program, words) in programs(sandbox) {
            let mut expected = direct.clone();
            let mut seen = descriptors(sandbox, &setup, &words);
            // The lowest free descriptors are the program's own.
            let (own, target) = match program {
                "setlock" => (1, "here/lock"),
                "fghack" => (31, "pipe:"),
                _ => (0, ""),
            };
            let is_free = |number: &u32| direct.iter().all(|(open, _)| open != number);
            expected.extend(
                (0..)
                    .filter(is_free)
                    .take(own)
                    .map(|number| (number, target.to_owned())),
            );
            expected.sort();
            for descriptor in seen
                .iter_mut()
                .filter(|descriptor| !direct.contains(descriptor))
            {
                if own > 0 && descriptor.1.contains(target) {
                    target.clone_into(&mut descriptor.1);
                }
            }
            assert_eq!(seen, expected, "{setup} {program}");
        }
    }
}

fn ignored_and_default_signals_are_inherited(sandbox: &Sandbox) {
    for setup in [
        "",
        "trap '' PIPE",
        "trap '' HUP INT QUIT USR1 USR2 ALRM TERM CHLD CONT TSTP TTIN TTOU",
        "trap '' SEGV BUS ILL XFSZ PIPE",
    ] {
        let direct = inherited(sandbox, setup, "");
        for (program, words) in programs(sandbox) {
            // With SIGCHLD ignored, fghack could not wait for its child.
            if program == "fghack" && setup.contains("CHLD") {
                continue;
            }
            let seen = inherited(sandbox, setup, &words);
            assert_eq!(
                lines(&seen, "Sig"),
                lines(&direct, "Sig"),
                "{setup} {program}"
            );
        }
    }
}

fn the_signal_mask_is_inherited(sandbox: &Sandbox) {
    for signals in ["SIGTERM, SIGPIPE, SIGCHLD", "1 .. 31, 40"] {
        let block = format!(
            "use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new({signals})) or die; exec @ARGV"
        );
        let direct = inherited(sandbox, "", &perl(&block));
        assert!(!direct.contains("SigBlk:\t0000000000000000"), "{direct}");
        for (program, words) in programs(sandbox) {
            let seen = inherited(sandbox, "", &format!("{} {words}", perl(&block)));
            assert_eq!(
                lines(&seen, "Sig"),
                lines(&direct, "Sig"),
                "{signals} {program}"
            );
        }
    }
}

fn child_inherits_sigpipe_disposition(sandbox: &Sandbox) {
    for (program, words) in programs(sandbox) {
        let crash = if program == "fghack" {
            "111\n"
        } else {
            "141\n"
        };
        let script = format!(
            "({words} yes 2>/dev/null; echo $? >status) | head -n 1 >/dev/null; cat status"
        );
        sandbox.sh(&script).prints(crash);
        sandbox.sh(&format!("trap '' PIPE; {script}")).prints("1\n");
    }
}

fn exit_code_is_that_of_child(sandbox: &Sandbox) {
    for (_, words) in programs(sandbox) {
        for code in [0, 1, 99, 100, 111, 255] {
            sandbox
                .sh(&format!("exec {words} sh -c 'exit {code}'"))
                .is(code, "", "");
        }
    }
}

fn chained_programs_combine(sandbox: &Sandbox) {
    sandbox.write("env/NAME", "value\n");
    if testkit::is_root("a chain of all chain programs") {
        sandbox
            .sh(
                "exec pgrphack envuidgid root envdir env softlimit -c 0 setlock -n lock fghack \
                 setuidgid nobody sh -c 'echo $UID $GID $NAME; ulimit -c; id -u; exit 3'",
            )
            .is(3, "0 0 value\n0\n65534\n", "");
    }
}

fn closed_stderr_loses_only_the_message(sandbox: &Sandbox) {
    for (program, words) in programs(sandbox) {
        // setlock.rs tests the case in which the lock file becomes stderr.
        if program != "setlock" {
            sandbox
                .sh(&format!("exec {words} nope 2>&-"))
                .is(111, "", "");
        }
    }
}

fn full_stderr_loses_only_the_message(sandbox: &Sandbox) {
    for (_, words) in programs(sandbox) {
        sandbox
            .sh(&format!("exec {words} nope 2>/dev/full"))
            .is(111, "", "");
    }
}

/// A report without the lines that the program changes on purpose.
fn comparable(program: &str, report: &str) -> String {
    match program {
        "envuidgid" => without(&without(report, "environment UID"), "environment GID"),
        "setuidgid" => without(report, "Groups"),
        "pgrphack" => without(&without(report, "process group"), "session"),
        _ => report.to_owned(),
    }
}
