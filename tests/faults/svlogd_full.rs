//! A file system that is full: svlogd removes old files as far as it may, and
//! else says so and waits; when there is room again every byte is there.

use testkit::{Sandbox, compliance, say};

use super::multilog_full::{finished, input, run, text};
use crate::compliance::multilog::{contents, files, masked};

compliance!(
    full_disk_loses_no_byte_of_svlogd,
    old_files_are_removed_down_to_minimum,
);

/// A file system that is full, and what svlogd says of it.
struct Full {
    /// What there is none of left.
    of: &'static str,
    config: &'static str,
    /// What it says first of all, and what then, each once or again and again.
    says: &'static str,
}

const BYTES: &str = "head -c 60k /dev/zero >m/filler";
const FILES: &str = "n=0; while touch m/filler.$n; do n=$((n + 1)); done 2>/dev/null";
const OLD: &str = "for n in 10 11 12 13 14 15 16 17 18 19 20 21 22 23; do
    head -c 4096 /dev/zero >m/@4000000000000000000000$n.s; done";

const WAITING: &[Full] = &[
    Full {
        of: BYTES,
        config: "",
        says: "svlogd: pausing: unable to write to current: m: out of disk space\n",
    },
    Full {
        of: BYTES,
        config: "s4096\nn100\nN100\n",
        says: "svlogd: pausing: unable to write to current: m: out of disk space\n",
    },
    // The rotation itself finds no room.
    Full {
        of: FILES,
        config: "s4096\nn100\n",
        says: "svlogd: pausing: unable to create new current: m: out of disk space\n",
    },
    // Room for the next current, and none for its processor.
    Full {
        of: "n=0; while touch m/filler.$n; do n=$((n + 1)); done 2>/dev/null; rm m/filler.0",
        config: "s4096\nn100\n!tr a-z A-Z\n",
        says: "svlogd: fatal: unable to open output for processor: m: out of disk space\n\
            svlogd: warning: processor failed, restart: m\n",
    },
];

const REMOVING: Full = Full {
    of: OLD,
    config: "n14\nN12\n",
    says: "svlogd: warning: out of disk space, delete: m/@LABEL.s\n\
        svlogd: pausing: unable to write to current: m: out of disk space\n",
};

/// Runs svlogd in a file system of 68 KB in a name space of its own, from
/// which `log` is what comes of it. There is room again once it has said the
/// last that it is to say.
fn script(n: usize, full: &Full) -> String {
    let Full { of, config, says } = full;
    let last = says.lines().last().unwrap();
    format!(
        "mkdir {n}; cd {n}; mkdir m
        mount -t tmpfs -o size=68k,nr_inodes=50 none m || exit 99
        printf '{config}' >m/config
        svlogd m </dev/null || exit
        {of}
        svlogd m 2>said <../input & PID=$!
        until grep -qs '{last}' said; do sleep .05; done
        ls m >left
        rm -f m/filler* m/@4000000000000000000000*
        wait $PID; code=$?
        rm m/config
        cp -a m log
        exit $code"
    )
}

/// What was said, without what was said before.
fn said(sandbox: &Sandbox, n: usize) -> String {
    let mut seen: Vec<String> = Vec::new();
    for line in masked(sandbox.read(format!("{n}/said"))).split_inclusive('\n') {
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
        assert_eq!(said(sandbox, n), full.says, "{n}");
        assert!(text(sandbox, n) == input, "{}", full.config);
        let log = files(sandbox, &format!("{n}/log"));
        assert!(log.lines().all(finished), "{log}");
    }
    say(&format!(
        "svlogd, {:?}: {} full file systems, {} bytes fed to each; lost nothing",
        sandbox.subject(),
        WAITING.len(),
        input.len()
    ));
}

fn old_files_are_removed_down_to_minimum(sandbox: &Sandbox) {
    if run(sandbox, [script(0, &REMOVING)]).is_none() {
        return;
    }
    assert_eq!(said(sandbox, 0), REMOVING.says);
    let left = String::from_utf8(sandbox.read("0/left")).unwrap();
    let old: Vec<_> = left.lines().filter(|name| name.starts_with('@')).collect();
    assert_eq!((old.len(), old[0]), (12, "@400000000000000000000012.s"));
    assert!(contents(sandbox, "0/log").concat() == input().as_bytes());
}
