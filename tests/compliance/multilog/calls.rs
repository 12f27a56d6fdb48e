//! The order of multilog's system calls, and the retry after each one fails
//! once.
//!
//! strace records the calls and injects the failures.

use testkit::{Running, Sandbox, Subject, compliance, say};

use super::{contents, files, line, masked};

/// Calls of a rotation through a processor: the name, the file and, of two
/// files, the other.
const ROTATION: &[&str] = &[
    "fsync current",
    "rename current previous",
    "chmod current 0644",
    "chmod previous 0744",
    "fsync processed",
    "chmod processed 0744",
    "fsync newstate",
    "unlink previous",
    "rename newstate state",
    "link processed @LABEL.s",
    "unlink processed",
    "fsync current",
    "chmod current 0744",
];

compliance!(files_are_synced_before_rename, failing_calls_are_retried,);

/// A call that fails once.
pub(crate) struct Refusal {
    /// The system call, under all its names.
    pub(crate) calls: &'static str,
    /// The file of the call: its name in the sandbox, or as given.
    pub(crate) file: &'static str,
    /// The number of the call, as strace counts.
    pub(crate) which: u32,
    pub(crate) script: &'static str,
    pub(crate) says: &'static str,
}

const PLAIN: &str = "s4096 ./m";
const PROCESSED: &str = "s4096 !cat ./m";

pub(crate) const REFUSALS: &[Refusal] = &[
    refusal(
        "write",
        "m/current",
        1,
        PLAIN,
        "unable to write to ./m/current",
    ),
    refusal("fchdir", "m", 2, PLAIN, "unable to switch to ./m"),
    refusal(
        "fsync",
        "m/current",
        1,
        PLAIN,
        "unable to write ./m/current to disk",
    ),
    refusal(
        "?rename,?renameat,renameat2",
        "current",
        1,
        PLAIN,
        "unable to rename current to previous in directory ./m",
    ),
    refusal(
        "?open,openat",
        "current",
        2,
        PLAIN,
        "unable to create ./m/current",
    ),
    refusal(
        "fchmod",
        "m/current",
        2,
        PLAIN,
        "unable to set mode of ./m/current",
    ),
    refusal(
        "?chmod,fchmodat,?fchmodat2",
        "previous",
        1,
        PLAIN,
        "unable to set mode of ./m/previous",
    ),
    refusal(
        "?stat,?newfstatat,statx",
        "previous",
        2,
        PLAIN,
        "unable to stat ./m/previous",
    ),
    refusal(
        "?link,linkat",
        "previous",
        1,
        PLAIN,
        "unable to link to ./m/@LABEL.s",
    ),
    refusal(
        "?unlink,unlinkat",
        "previous",
        1,
        PLAIN,
        "unable to remove ./m/previous",
    ),
    refusal("getdents64", "m", 1, PLAIN, "unable to read ./m"),
    refusal(
        "?open,openat",
        "processed",
        1,
        PROCESSED,
        "unable to create ./m/processed",
    ),
    refusal(
        "fsync",
        "m/processed",
        1,
        PROCESSED,
        "unable to write ./m/processed to disk",
    ),
    refusal(
        "fchmod",
        "m/processed",
        1,
        PROCESSED,
        "unable to set mode of ./m/processed",
    ),
    refusal(
        "?open,openat",
        "newstate",
        1,
        PROCESSED,
        "unable to create ./m/newstate",
    ),
    refusal(
        "fsync",
        "m/newstate",
        1,
        PROCESSED,
        "unable to write ./m/newstate to disk",
    ),
    refusal(
        "?unlink,unlinkat",
        "previous",
        1,
        PROCESSED,
        "unable to remove ./m/previous",
    ),
    refusal(
        "?rename,?renameat,renameat2",
        "newstate",
        1,
        PROCESSED,
        "unable to rename newstate to state in directory ./m",
    ),
    refusal(
        "?stat,?newfstatat,statx",
        "processed",
        2,
        PROCESSED,
        "unable to stat ./m/processed",
    ),
    refusal(
        "?link,linkat",
        "processed",
        1,
        PROCESSED,
        "unable to link to ./m/@LABEL.s",
    ),
    refusal(
        "?unlink,unlinkat",
        "processed",
        2,
        PROCESSED,
        "unable to remove ./m/processed",
    ),
    refusal(
        "fsync",
        "m/current",
        2,
        PLAIN,
        "unable to write ./m/current to disk",
    ),
    refusal(
        "fchmod",
        "m/current",
        3,
        PLAIN,
        "unable to set mode of ./m/current",
    ),
    refusal(
        "lseek",
        "status",
        1,
        "=status ./m s4096",
        "unable to move to beginning of status",
    ),
    refusal(
        "write",
        "status",
        1,
        "=status ./m s4096",
        "unable to write status",
    ),
];

const fn refusal(
    calls: &'static str,
    file: &'static str,
    which: u32,
    script: &'static str,
    says: &'static str,
) -> Refusal {
    Refusal {
        calls,
        file,
        which,
        script,
        says,
    }
}

/// Whether strace works here; if not, prints that the test is skipped.
pub(crate) fn strace_works(sandbox: &Sandbox) -> bool {
    let works = sandbox
        .sh("strace -qq -e inject=getppid:error=EIO true")
        .code()
        == Some(0);
    if !works {
        say("skipped, strace is not installed or not allowed: the calls of multilog");
    }
    works
}

/// A trace as one call a line: the name without its variant, file names without
/// directories, and the mode.
pub(crate) fn summary(sandbox: &Sandbox, trace: &str) -> Vec<String> {
    let trace = masked(sandbox.read(trace));
    let successes = trace
        .lines()
        .filter_map(|line| line.trim_end().strip_suffix(" = 0"));
    successes
        .map(|call| {
            let (name, arguments) = call
                .trim_end()
                .trim_end_matches(')')
                .split_once('(')
                .unwrap();
            let name = match name {
                "fchmod" | "fchmodat" => "chmod",
                "linkat" => "link",
                "renameat" | "renameat2" => "rename",
                "unlinkat" => "unlink",
                name => name,
            };
            // An argument is `6</path>`, `"path"`, a mode, a directory or a flag.
            let arguments = arguments
                .split(", ")
                .filter(|argument| !argument.starts_with("AT_FDCWD") && *argument != "0");
            let names = arguments.map(|argument| {
                let path = argument.trim_end_matches(['"', '>']);
                path.rsplit(['"', '<', '/']).next().unwrap()
            });
            std::iter::once(name)
                .chain(names)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

fn start(sandbox: &Sandbox, n: usize, refusal: &Refusal) -> Running {
    let Refusal {
        calls,
        file,
        which,
        script,
        ..
    } = refusal;
    let script = format!(
        "mkdir {n}; cd {n}
        set -f
        exec strace -qq -o trace -P {file} -P \"$PWD/{file}\" \
        -e inject={calls}:error=EIO:when={which} $FIRST/multilog {script} <../input"
    );
    sandbox.start(sandbox.shell(&script))
}

fn files_are_synced_before_rename(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    sandbox.write("input", line(2500));
    // The directory exists, so the trace contains no calls that create it.
    sandbox
        .sh("mkdir m; touch m/state m/current; chmod 744 m/current")
        .succeeds();
    sandbox.sh("exec strace -qq -y -o trace \
        -e trace=fsync,fdatasync,?rename,?renameat,renameat2,?chmod,fchmod,fchmodat,?link,linkat,?unlink,unlinkat \
        $FIRST/multilog s4096 '!cat' ./m <input").succeeds();
    let calls = summary(sandbox, "trace");
    assert_eq!(calls[0], "chmod current 0644");
    let mut expected = ROTATION.to_vec();
    if sandbox.subject() == Subject::Ours {
        // Before `previous` goes: see `Journal::Inodes` in faults.
        expected.insert(6, "fsync processed");
    }
    assert_eq!(calls[1..], expected);
}

fn failing_calls_are_retried(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    // The input is one read with one rotation.
    sandbox.write("input", line(1000).repeat(3));
    let running: Vec<_> = REFUSALS
        .iter()
        .enumerate()
        .map(|(n, refusal)| start(sandbox, n, refusal))
        .collect();
    for (n, (refusal, running)) in REFUSALS.iter().zip(running).enumerate() {
        let outcome = running.wait();
        let expected = format!(
            "multilog: warning: {}, pausing: input/output error\n",
            refusal.says
        );
        assert_eq!(masked(&outcome.stderr), expected, "{outcome:?}");
        outcome.exits(0);
        let log = format!("{n}/m");
        assert_eq!(
            contents(sandbox, &log).concat(),
            line(1000).repeat(3),
            "{expected}"
        );
        assert!(
            files(sandbox, &log).contains("-rwxr--r-- 0 current\n")
                || refusal.script.starts_with('='),
            "{expected}"
        );
    }
}
