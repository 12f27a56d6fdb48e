//! Full file systems: multilog prints a warning and retries. Once space is
//! freed, the log holds every byte.

use testkit::{Sandbox, compliance, say};

use crate::compliance::multilog::{contents, files, masked};

compliance!(
    full_disk_loses_no_byte_once_freed,
    term_on_full_disk_waits_for_room,
);

/// A full file system, and the warnings of multilog until space is freed.
struct Full {
    /// The command that uses up all bytes or all inodes.
    fill: &'static str,
    arguments: &'static str,
    stderr: &'static str,
}

const BYTES: &str = "head -c 56k /dev/zero >m/filler";

/// Uses up all inodes.
pub(super) const ALL_FILES: &str =
    "n=0; while touch m/filler.$n; do n=$((n + 1)); done 2>/dev/null";

/// Leaves one inode free.
pub(super) const ALL_FILES_BUT_ONE: &str =
    "n=0; while touch m/filler.$n; do n=$((n + 1)); done 2>/dev/null; rm m/filler.0";

const ALL: &[Full] = &[
    Full {
        fill: BYTES,
        arguments: "./m",
        stderr: "multilog: warning: unable to write to ./m/current, pausing: out of disk space\n",
    },
    Full {
        fill: BYTES,
        arguments: "t n100 ./m",
        stderr: "multilog: warning: unable to write to ./m/current, pausing: out of disk space\n",
    },
    Full {
        fill: BYTES,
        arguments: "s4096 n100 ./m",
        stderr: "multilog: warning: unable to write to ./m/current, pausing: out of disk space\n",
    },
    Full {
        fill: BYTES,
        arguments: "t s4096 n100 ./m",
        stderr: "multilog: warning: unable to write to ./m/current, pausing: out of disk space\n",
    },
    Full {
        fill: BYTES,
        arguments: "s4096 n100 '!tr a-z A-Z' ./m",
        stderr: "tr: write error: No space left on device\n\
            multilog: warning: processor failed in ./m, pausing\n",
    },
    // The rotation cannot create a file.
    Full {
        fill: ALL_FILES,
        arguments: "s4096 n100 ./m",
        stderr: "multilog: warning: unable to create ./m/current, pausing: out of disk space\n",
    },
    // A single free inode: enough for the new current, not for the processor's output.
    Full {
        fill: ALL_FILES_BUT_ONE,
        arguments: "s4096 n100 '!tr a-z A-Z' ./m",
        stderr: "multilog: fatal: unable to run tr a-z A-Z: out of disk space\n\
            multilog: warning: processor failed in ./m, pausing\n",
    },
    // A single free inode: enough for the new current, not for the link to the old file.
    Full {
        fill: ALL_FILES_BUT_ONE,
        arguments: "t s4096 n100 ./m",
        stderr: "multilog: warning: unable to link to ./m/@LABEL.s, pausing: out of disk space\n",
    },
];

/// Lines of numbers, 18692 bytes.
pub(crate) fn input() -> String {
    let line = |n| format!("line {n} abcdefghijklmnopqrstuvwxyzabcdefgijkl\n");
    (1..=400).map(line).collect()
}

/// A script that runs multilog on a file system of 64 KB in a mount namespace
/// and copies the final log directory to `log`. The script runs `then` before
/// it frees space.
fn script(n: usize, full: &Full, then: &str) -> String {
    let Full {
        fill, arguments, ..
    } = full;
    format!(
        "mkdir {n}; cd {n}; mkdir m
        mount -t tmpfs -o size=64k,nr_inodes=50 none m || exit 99
        multilog ./m </dev/null || exit
        {fill}
        multilog {arguments} 2>warnings <../input & PID=$!
        until grep -qs pausing warnings; do sleep .05; done
        {then}
        rm -f m/filler*
        wait $PID; code=$?
        cp -a m log
        exit $code"
    )
}

/// The scripts for all full file systems.
fn scripts(then: &str) -> impl Iterator<Item = String> {
    let all = ALL.iter().enumerate();
    all.map(move |(n, full)| script(n, full, then))
}

/// Runs the scripts at the same time. None if no file system can be mounted.
pub(crate) fn run(sandbox: &Sandbox, scripts: impl IntoIterator<Item = String>) -> Option<()> {
    sandbox.write("input", input());
    let start = |script: String| {
        let mut command = sandbox.command("unshare");
        command.args(["-rm", "sh", "-c", &script]);
        command.env("LC_ALL", "C");
        sandbox.start(command)
    };
    let running: Vec<_> = scripts.into_iter().map(start).collect();
    for (n, running) in running.into_iter().enumerate() {
        let outcome = running.wait();
        if !sandbox.exists(format!("{n}/log")) && outcome.code() != Some(0) {
            // Without permission to make a namespace, unshare prints the error.
            assert!(
                outcome.code() == Some(99) || outcome.error_text().starts_with("unshare: "),
                "{outcome:?}"
            );
            say(&format!(
                "skipped, no file system can be mounted: full file systems: {}",
                outcome.error_text()
            ));
            return None;
        }
        outcome.succeeds();
    }
    Some(())
}

/// The text of a log, without labels and in lower case: processors convert to
/// upper case.
pub(crate) fn text(sandbox: &Sandbox, n: usize) -> String {
    let text = masked(contents(sandbox, &format!("{n}/log")).concat());
    text.replace("@LABEL ", "").to_lowercase()
}

/// Whether a line of a listing shows a finished file, or one of the two files
/// that are never finished.
pub(crate) fn finished(line: &str) -> bool {
    line.starts_with("-rwxr--r-- ") || line.ends_with(" lock") || line.ends_with(" state")
}

fn full_disk_loses_no_byte_once_freed(sandbox: &Sandbox) {
    if run(sandbox, scripts("")).is_none() {
        return;
    }
    let input = input();
    for (n, full) in ALL.iter().enumerate() {
        assert_eq!(
            masked(sandbox.read(format!("{n}/warnings"))),
            full.stderr,
            "{n}"
        );
        assert!(text(sandbox, n) == input, "{}", full.arguments);
        let log = files(sandbox, &format!("{n}/log"));
        assert!(log.lines().all(finished), "{log}");
    }
    say(&format!(
        "multilog, {:?}: {} full file systems, {} bytes written to each, none lost",
        sandbox.subject(),
        ALL.len(),
        input.len()
    ));
}

fn term_on_full_disk_waits_for_room(sandbox: &Sandbox) {
    if run(sandbox, scripts("kill $PID")).is_none() {
        return;
    }
    let input = input();
    for (n, full) in ALL.iter().enumerate() {
        let text = text(sandbox, n);
        assert!(input.starts_with(&text), "{}", full.arguments);
        assert!(text.ends_with('\n'), "{}", full.arguments);
        assert!(files(sandbox, &format!("{n}/log")).contains("-rwxr--r--"));
    }
}
