//! Full file systems: svlogd removes old files down to its minimum, then prints
//! a warning and retries. Once space is freed, the log holds every byte.

use testkit::{Sandbox, compliance, say};

use super::multilog_full::{ALL_FILES, ALL_FILES_BUT_ONE, finished, input, run, text};
use crate::compliance::multilog::{contents, files, masked};

compliance!(
    full_disk_loses_no_byte_of_svlogd,
    old_files_are_removed_down_to_minimum,
);

/// A full file system, and the messages of svlogd until space is freed.
struct Full {
    /// The command that uses up all bytes or all inodes.
    fill: &'static str,
    config: &'static str,
    /// The messages in order. svlogd may repeat each of them.
    stderr: &'static str,
}

const BYTES: &str = "head -c 60k /dev/zero >m/filler";
const OLD_FILES: &str = "for n in 10 11 12 13 14 15 16 17 18 19 20 21 22 23; do
    head -c 4096 /dev/zero >m/@4000000000000000000000$n.s; done";

const WAITING: &[Full] = &[
    Full {
        fill: BYTES,
        config: "",
        stderr: "svlogd: pausing: unable to write to current: m: out of disk space\n",
    },
    Full {
        fill: BYTES,
        config: "s4096\nn100\nN100\n",
        stderr: "svlogd: pausing: unable to write to current: m: out of disk space\n",
    },
    // The rotation cannot create a file.
    Full {
        fill: ALL_FILES,
        config: "s4096\nn100\n",
        stderr: "svlogd: pausing: unable to create new current: m: out of disk space\n",
    },
    // A single free inode: enough for the new current, not for the processor's output.
    Full {
        fill: ALL_FILES_BUT_ONE,
        config: "s4096\nn100\n!tr a-z A-Z\n",
        stderr: "svlogd: fatal: unable to open output for processor: m: out of disk space\n\
            svlogd: warning: processor failed, restart: m\n",
    },
];

const REMOVING: Full = Full {
    fill: OLD_FILES,
    config: "n14\nN12\n",
    stderr: "svlogd: warning: out of disk space, delete: m/@LABEL.s\n\
        svlogd: pausing: unable to write to current: m: out of disk space\n",
};

/// A script that runs svlogd on a file system of 68 KB in a mount namespace and
/// copies the final log directory to `log`. The script frees space once the
/// last expected message is there.
fn script(n: usize, full: &Full) -> String {
    let Full {
        fill,
        config,
        stderr,
    } = full;
    let last = stderr.lines().last().unwrap();
    format!(
        "mkdir {n}; cd {n}; mkdir m
        mount -t tmpfs -o size=68k,nr_inodes=50 none m || exit 99
        printf '{config}' >m/config
        svlogd m </dev/null || exit
        {fill}
        svlogd m 2>warnings <../input & PID=$!
        until grep -qs '{last}' warnings; do sleep .05; done
        ls m >left
        rm -f m/filler* m/@4000000000000000000000*
        wait $PID; code=$?
        rm m/config
        cp -a m log
        exit $code"
    )
}

/// The messages of svlogd, without repetitions.
fn messages(sandbox: &Sandbox, n: usize) -> String {
    let mut seen: Vec<String> = Vec::new();
    for line in masked(sandbox.read(format!("{n}/warnings"))).split_inclusive('\n') {
        if !seen.iter().any(|before| before == line) {
            seen.push(line.to_owned());
        }
    }
    seen.concat()
}

fn full_disk_loses_no_byte_of_svlogd(sandbox: &Sandbox) {
    let scripts = WAITING.iter().enumerate();
    if run(sandbox, scripts.map(|(n, full)| script(n, full))).is_none() {
        return;
    }
    let input = input();
    for (n, full) in WAITING.iter().enumerate() {
        assert_eq!(messages(sandbox, n), full.stderr, "{n}");
        assert!(text(sandbox, n) == input, "{}", full.config);
        let log = files(sandbox, &format!("{n}/log"));
        assert!(log.lines().all(finished), "{log}");
    }
    say(&format!(
        "svlogd, {:?}: {} full file systems, {} bytes written to each, none lost",
        sandbox.subject(),
        WAITING.len(),
        input.len()
    ));
}

fn old_files_are_removed_down_to_minimum(sandbox: &Sandbox) {
    if run(sandbox, [script(0, &REMOVING)]).is_none() {
        return;
    }
    assert_eq!(messages(sandbox, 0), REMOVING.stderr);
    let left = String::from_utf8(sandbox.read("0/left")).unwrap();
    let old: Vec<_> = left.lines().filter(|name| name.starts_with('@')).collect();
    assert_eq!((old.len(), old[0]), (12, "@400000000000000000000012.s"));
    assert!(contents(sandbox, "0/log").concat() == input().as_bytes());
}
