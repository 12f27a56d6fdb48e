//! A file system that is full: multilog says so and waits, and when there is
//! room again every byte is there.

use testkit::{Sandbox, compliance, say};

use crate::compliance::multilog::{contents, files, masked};

compliance!(
    full_disk_loses_no_byte_once_freed,
    term_on_full_disk_waits_for_room,
);

/// A file system that is full from the start, and what multilog says of it
/// before it has room again.
struct Full {
    /// What there is none of left.
    of: &'static str,
    words: &'static str,
    says: &'static str,
}

const BYTES: &str = "head -c 56k /dev/zero >m/filler";
const FILES: &str = "n=0; while touch m/filler.$n; do n=$((n + 1)); done 2>/dev/null";

const ALL: &[Full] = &[
    Full {
        of: BYTES,
        words: "./m",
        says: "multilog: warning: unable to write to ./m/current, pausing: out of disk space\n",
    },
    Full {
        of: BYTES,
        words: "t n100 ./m",
        says: "multilog: warning: unable to write to ./m/current, pausing: out of disk space\n",
    },
    Full {
        of: BYTES,
        words: "s4096 n100 ./m",
        says: "multilog: warning: unable to write to ./m/current, pausing: out of disk space\n",
    },
    Full {
        of: BYTES,
        words: "t s4096 n100 ./m",
        says: "multilog: warning: unable to write to ./m/current, pausing: out of disk space\n",
    },
    Full {
        of: BYTES,
        words: "s4096 n100 '!tr a-z A-Z' ./m",
        says: "tr: write error: No space left on device\n\
            multilog: warning: processor failed in ./m, pausing\n",
    },
    // The rotation itself finds no room.
    Full {
        of: FILES,
        words: "s4096 n100 ./m",
        says: "multilog: warning: unable to create ./m/current, pausing: out of disk space\n",
    },
    // Room for the next current, and none for its processor.
    Full {
        of: "n=0; while touch m/filler.$n; do n=$((n + 1)); done 2>/dev/null; rm m/filler.0",
        words: "s4096 n100 '!tr a-z A-Z' ./m",
        says: "multilog: fatal: unable to run tr a-z A-Z: out of disk space\n\
            multilog: warning: processor failed in ./m, pausing\n",
    },
    // Room for the next current, and none for the new name of the last.
    Full {
        of: "n=0; while touch m/filler.$n; do n=$((n + 1)); done 2>/dev/null; rm m/filler.0",
        words: "t s4096 n100 ./m",
        says: "multilog: warning: unable to link to ./m/@LABEL.s, pausing: out of disk space\n",
    },
];

/// Lines of numbers, 18692 bytes.
pub(crate) fn input() -> String {
    let line = |n| format!("line {n} abcdefghijklmnopqrstuvwxyzabcdefgijkl\n");
    (1..=400).map(line).collect()
}

/// Runs multilog in a file system of 64 KB in a name space of its own, from
/// which `log` is what comes of it. There is room again once `then` is done.
fn script(n: usize, full: &Full, then: &str) -> String {
    let Full { of, words, .. } = full;
    format!(
        "mkdir {n}; cd {n}; mkdir m
        mount -t tmpfs -o size=64k,nr_inodes=50 none m || exit 99
        multilog ./m </dev/null || exit
        {of}
        multilog {words} 2>said <../input & PID=$!
        until grep -qs pausing said; do sleep .05; done
        {then}
        rm -f m/filler*
        wait $PID; code=$?
        cp -a m log
        exit $code"
    )
}

/// Those for all file systems.
fn scripts(then: &str) -> impl Iterator<Item = String> {
    let all = ALL.iter().enumerate();
    all.map(move |(n, full)| script(n, full, then))
}

/// Runs one script for each file system that is full, all at once; None if
/// none can be made.
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
            // Where no name space can be made, unshare itself says so.
            assert!(
                outcome.code() == Some(99) || outcome.error_text().starts_with("unshare: "),
                "{outcome:?}"
            );
            say(&format!(
                "skipped, no file system can be mounted: full ones: {}",
                outcome.error_text()
            ));
            return None;
        }
        outcome.succeeds();
    }
    Some(())
}

/// What a log holds, without labels and the changes of its processor.
pub(crate) fn text(sandbox: &Sandbox, n: usize) -> String {
    let text = masked(contents(sandbox, &format!("{n}/log")).concat());
    text.replace("@LABEL ", "").to_lowercase()
}

/// Whether this is the line of a file that is finished, or of none that is
/// ever.
pub(crate) fn finished(line: &str) -> bool {
    line.starts_with("-rwxr--r-- ") || line.ends_with(" lock") || line.ends_with(" state")
}

fn full_disk_loses_no_byte_once_freed(sandbox: &Sandbox) {
    if run(sandbox, scripts("")).is_none() {
        return;
    }
    let input = input();
    for (n, full) in ALL.iter().enumerate() {
        assert_eq!(masked(sandbox.read(format!("{n}/said"))), full.says, "{n}");
        assert!(text(sandbox, n) == input, "{}", full.words);
        let log = files(sandbox, &format!("{n}/log"));
        assert!(log.lines().all(finished), "{log}");
    }
    say(&format!(
        "multilog, {:?}: {} full file systems, {} bytes fed to each; lost nothing",
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
        assert!(input.starts_with(&text), "{}", full.words);
        assert!(text.ends_with('\n'), "{}", full.words);
        assert!(files(sandbox, &format!("{n}/log")).contains("-rwxr--r--"));
    }
}
