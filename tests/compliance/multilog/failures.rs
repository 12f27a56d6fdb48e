//! Failing calls: multilog prints a message, retries every five seconds and
//! loses nothing.

use std::process::Command;

use nix::sys::signal::Signal;
use testkit::{Running, Sandbox, Subject, compliance};

use super::{Feed, contents, files, line, masked};

compliance!(
    each_failure_is_reported,
    processor_crash_after_signal_reports_eintr,
    full_disk_is_retried,
    unrunnable_processor_reports_its_error,
    unremovable_old_file_is_reported,
    retry_after_five_seconds_loses_nothing,
    processor_crash_is_a_failure,
);

/// A script that starts multilog in a directory `m` made by `before`, and the
/// first line of its standard error.
struct Failure {
    before: &'static str,
    words: &'static [&'static str],
    says: &'static str,
}

fn start(sandbox: &Sandbox, name: &str, failure: &Failure) -> (Running, Feed) {
    let words: Vec<String> = failure
        .words
        .iter()
        .map(|word| format!("'{word}'"))
        .collect();
    let script = format!(
        "mkdir {name}; cd {name}; {}; exec multilog {}",
        failure.before,
        words.join(" ")
    );
    let mut command: Command = sandbox.shell(&script);
    command.env("LC_ALL", "C");
    let (running, mut feed) = Feed::start(sandbox, command);
    feed.write([line(2500), b"more\n".to_vec()].concat());
    (running, feed)
}

/// A directory that was finished cleanly.
const CLEAN: &str = "mkdir m; touch m/state m/current; chmod 744 m/current";

const FAILURES: &[Failure] = &[
    Failure {
        before: "mkdir -p m/processed",
        words: &["./m"],
        says: "unable to remove ./m/processed, pausing: is a directory",
    },
    Failure {
        before: "mkdir -p m/previous",
        words: &["./m"],
        says: "unable to remove ./m/previous, pausing: is a directory",
    },
    Failure {
        before: "mkdir m; ln -s previous m/previous",
        words: &["./m"],
        says: "unable to stat ./m/previous, pausing: symbolic link loop",
    },
    Failure {
        before: "mkdir m; touch m/current; chmod 744 m/current; mkdir m/previous",
        words: &["s4096", "./m"],
        says: "unable to rename current to previous in directory ./m, pausing: is a directory",
    },
    Failure {
        before: "mkdir m; touch m/current; chmod 744 m/current; mkdir m/state",
        words: &["s4096", "!cat", "./m"],
        says: "unable to rename newstate to state in directory ./m, pausing: is a directory",
    },
    Failure {
        before: CLEAN,
        words: &["s4096", "!cat; rm -f processed; mkdir processed", "./m"],
        says: "unable to create ./m/processed, pausing: is a directory",
    },
    Failure {
        before: CLEAN,
        words: &["s4096", "!cat; rm -f newstate; mkdir newstate", "./m"],
        says: "unable to create ./m/newstate, pausing: is a directory",
    },
    Failure {
        before: CLEAN,
        words: &["s4096", "!cat; rm -f previous; mkdir previous", "./m"],
        says: "unable to remove ./m/previous, pausing: is a directory",
    },
    Failure {
        before: CLEAN,
        words: &["s4096", "!exit 1", "./m"],
        says: "processor failed in ./m, pausing",
    },
    Failure {
        before: CLEAN,
        words: &["s4096", "!exit 111", "./m"],
        says: "processor failed in ./m, pausing",
    },
    // A killed processor has no errno. 0.76 prints the errno of its last
    // failing call: mkdir of a directory that exists,
    Failure {
        before: CLEAN,
        words: &["s4096", "!kill -9 $$", "./m"],
        says: "processor crashed in ./m, pausing: file already exists",
    },
    // opening a missing current,
    Failure {
        before: ":",
        words: &["s4096", "!kill -9 $$", "./m"],
        says: "processor crashed in ./m, pausing: file does not exist",
    },
    // or none, after reading a directory to its end.
    Failure {
        before: ":",
        words: &["s4096", "./n", "!kill -9 $$", "./m"],
        says: "processor crashed in ./m, pausing: no error",
    },
    Failure {
        before: ":",
        words: &["=/dev/full"],
        says: "unable to write /dev/full, pausing: out of disk space",
    },
    Failure {
        before: "mkfifo f; exec 9<>f",
        words: &["=f"],
        says: "unable to move to beginning of f, pausing: unseekable descriptor",
    },
    // The file may have 512 bytes, so the first write is short without an
    // error.
    Failure {
        before: "ulimit -f 1",
        words: &["=status"],
        says: "unable to write status, pausing: no error",
    },
    Failure {
        before: "ulimit -f 2; trap '' XFSZ",
        words: &["./m"],
        says: "unable to write to ./m/current, pausing: file too big",
    },
];

/// The processor cannot even be started.
const UNSTARTED: &[(&str, &str)] = &[
    ("rm m/state", "file does not exist"),
    ("mkdir m/processed", "is a directory"),
    ("mkdir m/newstate", "is a directory"),
];

fn first_line(sandbox: &Sandbox, running: &Running) -> String {
    sandbox.wait_until("a message is written", || running.stderr().contains(&b'\n'));
    let said = String::from_utf8(running.stderr()).unwrap();
    said.lines().next().unwrap().to_owned()
}

fn each_failure_is_reported(sandbox: &Sandbox) {
    let running: Vec<_> = FAILURES
        .iter()
        .enumerate()
        .map(|(n, failure)| start(sandbox, &n.to_string(), failure))
        .collect();
    for (failure, (running, _)) in FAILURES.iter().zip(&running) {
        assert_eq!(
            first_line(sandbox, running),
            format!("multilog: warning: {}", failure.says),
            "{}",
            failure.before
        );
    }
}

fn processor_crash_after_signal_reports_eintr(sandbox: &Sandbox) {
    let mut command = sandbox.command("multilog");
    command.args(["!kill -9 $$", "./m"]);
    let (running, mut feed) = Feed::start(sandbox, command);
    feed.write("a\n");
    feed.settle(sandbox, &running);
    running.signal(Signal::SIGALRM);
    assert_eq!(
        first_line(sandbox, &running),
        "multilog: warning: processor crashed in ./m, pausing: interrupted system call"
    );
}

fn full_disk_is_retried(sandbox: &Sandbox) {
    // A file system of 64 KB with 8 KB left, in a name space of its own.
    let script = "
            mkdir m
            mount -t tmpfs -o size=64k none m || { echo unable >&2; exit; }
            head -c 56k /dev/zero >m/filler
            { until grep -qs pausing said; do sleep .05; done; rm m/filler; } &
            head -c 20000 /dev/zero | tr '\\0' '\\n' | multilog s4096 ./m 2>said
            cat said >&2
            cat m/@* m/current
        ";
    let outcome = sandbox.sh(&format!(
        "unshare -rm sh -c '{}'",
        script.replace('\'', "'\\''")
    ));
    if !outcome.stderr.starts_with(b"multilog") {
        testkit::say(&format!(
            "skipped, no file system can be mounted: {}",
            outcome.error_text()
        ));
        return;
    }
    let said = outcome.error_text();
    assert!(
        said.starts_with(
            "multilog: warning: unable to write to ./m/current, pausing: out of disk space\n"
        ),
        "{said}"
    );
    assert_eq!(outcome.stdout, vec![b'\n'; 20_000]);
}

fn unrunnable_processor_reports_its_error(sandbox: &Sandbox) {
    for (n, (before, error)) in UNSTARTED.iter().enumerate() {
        let command = sandbox.shell(&format!(
            "mkdir {n}; cd {n}; {CLEAN}; {before}; exec multilog s4096 '!cat this' ./m"
        ));
        let (running, mut feed) = Feed::start(sandbox, command);
        feed.write(line(2500));
        let expected = format!(
            "multilog: fatal: unable to run cat this: {error}\n\
             multilog: warning: processor failed in ./m, pausing\n"
        );
        sandbox.wait_until("both messages are written", || {
            running.stderr().len() >= expected.len()
        });
        // The messages repeat after five seconds.
        let said = String::from_utf8(running.stderr()).unwrap();
        assert!(said.starts_with(&expected), "{said}");
    }
}

fn unremovable_old_file_is_reported(sandbox: &Sandbox) {
    // A deliberate difference: 0.76 complains of the directory instead.
    let expected = match sandbox.subject() {
        Subject::Reference => "multilog: warning: unable to read ./m, pausing: is a directory",
        _ => {
            "multilog: warning: unable to remove ./m/@400000000000000000000001.s, pausing: is \
                a directory"
        }
    };
    sandbox.write("m/@400000000000000000000001.s/file", "");
    let mut command = sandbox.command("multilog");
    command.args(["s4096", "n2", "./m"]);
    let (running, mut feed) = Feed::start(sandbox, command);
    feed.write(line(2500));
    assert_eq!(first_line(sandbox, &running), expected);
}

fn retry_after_five_seconds_loses_nothing(sandbox: &Sandbox) {
    // All failures run at once, since each takes five seconds: name, failure,
    // repair, and the files afterwards.
    let failures: &[(&str, &str, &str, &str)] = &[
        (
            "mkdir m; touch m/current; chmod 744 m/current; mkdir m/previous; set -- s4096 ./m",
            "unable to rename current to previous in directory ./m, pausing: is a directory",
            "rmdir m/previous",
            "-rwxr--r-- 2505 @LABEL.s\n-rwxr--r-- 0 current\n-rw------- 0 lock\n",
        ),
        (
            "mkdir m m/processed; set -- ./m",
            "unable to remove ./m/processed, pausing: is a directory",
            "rmdir m/processed; touch m/processed",
            "-rwxr--r-- 2505 current\n-rw------- 0 lock\n-rw-r--r-- 0 state\n",
        ),
        (
            "mkdir m; ln -s previous m/previous; echo c >m/current; set -- ./m",
            "unable to stat ./m/previous, pausing: symbolic link loop",
            "rm m/previous",
            "-rw-r--r-- 2 @LABEL.u\n-rwxr--r-- 2505 current\n-rw------- 0 lock\n\
                -rw-r--r-- 0 state\n",
        ),
        (
            "set -- s4096 '!test -e ../mended && tr x y' ./m",
            "processor failed in ./m, pausing",
            "touch mended",
            "-rwxr--r-- 2505 @LABEL.s\n-rwxr--r-- 0 current\n-rw------- 0 lock\n\
                -rw-r--r-- 0 state\n",
        ),
        (
            "trap '' XFSZ; ulimit -S -f 4; set -- ./m",
            "unable to write to ./m/current, pausing: file too big",
            "prlimit --pid $PID --fsize=unlimited:",
            "-rwxr--r-- 2505 current\n-rw------- 0 lock\n-rw-r--r-- 0 state\n",
        ),
        (
            "mkdir m; touch m/current; chmod 744 m/current; mkdir m/state; \
                set -- s4096 '!cat; echo state >&5' ./m",
            "unable to rename newstate to state in directory ./m, pausing: is a directory",
            "rmdir m/state",
            "-rwxr--r-- 2505 @LABEL.s\n-rwxr--r-- 0 current\n-rw------- 0 lock\n\
                -rw-r--r-- 6 state\n",
        ),
    ];
    let running: Vec<_> = failures
        .iter()
        .enumerate()
        .map(|(n, (before, ..))| {
            let command = sandbox.shell(&format!(
                "mkdir {n}; cd {n}; {before}; exec multilog \"$@\""
            ));
            let (running, mut feed) = Feed::start(sandbox, command);
            feed.write([line(2500), b"more\n".to_vec()].concat());
            feed.end();
            (running, feed)
        })
        .collect();
    for (n, ((_, says, mend, _), (running, _))) in failures.iter().zip(&running).enumerate() {
        assert_eq!(
            first_line(sandbox, running),
            format!("multilog: warning: {says}")
        );
        sandbox
            .sh(&format!("cd {n}; PID={}; {mend}", running.pid()))
            .succeeds();
    }
    for (n, ((_, says, _, left), (running, _))) in failures.iter().zip(running).enumerate() {
        // On a busy machine, the repair may come after the first retry.
        let outcome = running.wait();
        let repeated = outcome.error_text();
        let repeated = repeated.replace(&format!("multilog: warning: {says}\n"), "");
        assert_eq!(repeated, "", "{outcome:?}");
        assert_eq!((outcome.code(), outcome.text().as_str()), (Some(0), ""));
        assert_eq!(files(sandbox, &format!("{n}/m")), *left, "{says}");
        let text = contents(sandbox, &format!("{n}/m")).concat();
        let text = text.strip_prefix(b"c\n").unwrap_or(&text);
        assert_eq!(text.len(), 2505, "{says}");
        assert!(text.ends_with(b"more\n"), "{says}");
    }
}

fn processor_crash_is_a_failure(sandbox: &Sandbox) {
    let script =
        "multilog s4096 '!test -e ../crashed || { touch ../crashed; kill -9 $$; }; tr x y' ./m";
    let said = "multilog: warning: processor crashed in ./m, pausing: file does not exist\n\
         multilog: warning: processor failed in ./m, pausing\n";
    sandbox.feed(line(2500), script).is(0, "", said);
    assert_eq!(masked(&contents(sandbox, "m")[0]), "y".repeat(2499) + "\n");
}
