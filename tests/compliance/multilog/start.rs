//! Recovery at start: the result for every state of files that a crash can
//! leave.

use testkit::{Sandbox, compliance};

use super::{contents, files};

const FRESH: &str = "-rwxr--r-- 2 current\n-rw------- 0 lock\n-rw-r--r-- 0 state\n";

compliance!(
    a_finished_current_is_continued,
    owner_x_bit_marks_finished_file,
    finished_current_leaves_other_files_alone,
    crash_leftover_is_kept_as_unfinished,
    empty_leftovers_are_kept,
    a_previous_without_a_current_is_unfinished,
    unfinished_processed_is_removed,
    finished_processed_replaces_previous,
    renamed_file_keeps_its_name,
    oldest_files_are_removed_at_start,
    state_is_removed_only_after_crash,
    unremovable_newstate_is_accepted,
);

/// Creates files in `m` from `NAME MODE TEXT`, runs multilog with one line, and
/// returns the files of `m`.
fn found(sandbox: &Sandbox, made: &[(&str, u32, &str)]) -> String {
    sandbox.sh("rm -rf m; mkdir m").succeeds();
    for (name, mode, text) in made {
        sandbox.write(format!("m/{name}"), text);
        sandbox.mode(format!("m/{name}"), *mode);
    }
    sandbox.feed("a\n", "multilog ./m").succeeds();
    files(sandbox, "m")
}

fn texts(sandbox: &Sandbox) -> Vec<String> {
    contents(sandbox, "m")
        .into_iter()
        .map(|text| String::from_utf8(text).unwrap())
        .collect()
}

fn a_finished_current_is_continued(sandbox: &Sandbox) {
    let seen = found(sandbox, &[("current", 0o744, "old\n")]);
    assert_eq!(seen, "-rwxr--r-- 6 current\n-rw------- 0 lock\n");
    assert_eq!(texts(sandbox), ["old\na\n"]);
}

fn owner_x_bit_marks_finished_file(sandbox: &Sandbox) {
    for (mode, continued) in [
        (0o100, true),
        (0o777, true),
        (0o677, false),
        (0o011, false),
        (0o644, false),
    ] {
        found(sandbox, &[("current", mode, "old\n")]);
        let expected: &[&str] = if continued {
            &["old\na\n"]
        } else {
            &["old\n", "a\n"]
        };
        assert_eq!(texts(sandbox), expected, "{mode:o}");
    }
}

fn finished_current_leaves_other_files_alone(sandbox: &Sandbox) {
    let seen = found(
        sandbox,
        &[
            ("current", 0o744, "old\n"),
            ("previous", 0o644, "p"),
            ("processed", 0o744, "pd"),
            ("newstate", 0o600, "ns"),
            ("state", 0o640, "s"),
            ("lock", 0o644, "l"),
        ],
    );
    assert_eq!(
        seen,
        "-rwxr--r-- 6 current\n-rw-r--r-- 1 lock\n-rw------- 2 newstate\n\
         -rw-r--r-- 1 previous\n-rwxr--r-- 2 processed\n-rw-r----- 1 state\n"
    );
}

fn crash_leftover_is_kept_as_unfinished(sandbox: &Sandbox) {
    let seen = found(
        sandbox,
        &[("current", 0o644, "old\nbro"), ("state", 0o644, "st")],
    );
    assert_eq!(seen, format!("-rw-r--r-- 7 @LABEL.u\n{FRESH}"));
    assert_eq!(texts(sandbox), ["old\nbro", "a\n"]);
    assert_eq!(sandbox.read("m/state"), b"");
}

fn empty_leftovers_are_kept(sandbox: &Sandbox) {
    let seen = found(sandbox, &[("current", 0o600, ""), ("previous", 0o640, "")]);
    assert_eq!(
        seen,
        format!("-rw-r----- 0 @LABEL.u\n-rw------- 0 @LABEL.u\n{FRESH}")
    );
}

fn a_previous_without_a_current_is_unfinished(sandbox: &Sandbox) {
    // Between the two renames of a rotation.
    let seen = found(sandbox, &[("previous", 0o644, "old\n")]);
    assert_eq!(seen, format!("-rw-r--r-- 4 @LABEL.u\n{FRESH}"));
    let seen = found(
        sandbox,
        &[("previous", 0o744, "old\n"), ("current", 0o644, "")],
    );
    assert_eq!(
        seen,
        format!("-rwxr--r-- 4 @LABEL.u\n-rw-r--r-- 0 @LABEL.u\n{FRESH}")
    );
}

fn unfinished_processed_is_removed(sandbox: &Sandbox) {
    let seen = found(
        sandbox,
        &[
            ("current", 0o644, "c"),
            ("previous", 0o744, "prev"),
            ("processed", 0o644, "processed"),
            ("newstate", 0o644, "ns"),
            ("state", 0o644, "s"),
        ],
    );
    assert_eq!(
        seen,
        format!("-rwxr--r-- 4 @LABEL.u\n-rw-r--r-- 1 @LABEL.u\n{FRESH}")
    );
}

fn finished_processed_replaces_previous(sandbox: &Sandbox) {
    let seen = found(
        sandbox,
        &[
            ("current", 0o644, "c"),
            ("previous", 0o744, "prev"),
            ("processed", 0o744, "processed"),
            ("newstate", 0o644, "ns"),
            ("state", 0o644, "s"),
        ],
    );
    assert_eq!(
        seen,
        format!("-rwxr--r-- 9 @LABEL.s\n-rw-r--r-- 1 @LABEL.u\n{FRESH}")
    );
    let seen = found(sandbox, &[("processed", 0o744, "processed")]);
    assert_eq!(seen, format!("-rwxr--r-- 9 @LABEL.s\n{FRESH}"));
}

fn renamed_file_keeps_its_name(sandbox: &Sandbox) {
    let label = "@400000000000000000000001";
    for (name, mode, code) in [
        ("previous", "744", "s"),
        ("current", "644", "u"),
        ("processed", "744", "s"),
        ("previous", "644", "u"),
    ] {
        sandbox
            .sh(&format!(
                "rm -rf m; mkdir m; echo text >m/{name}; chmod {mode} m/{name}; \
                ln m/{name} m/{label}.{code}"
            ))
            .succeeds();
        sandbox.feed("a\n", "multilog ./m").succeeds();
        assert_eq!(texts(sandbox), ["text\n", "a\n"], "{name}");
        assert!(sandbox.exists(format!("m/{label}.{code}")), "{name}");
    }
}

fn oldest_files_are_removed_at_start(sandbox: &Sandbox) {
    for n in 1..4 {
        sandbox.write(format!("m/@40000000000000000000000{n}.s"), format!("{n}"));
    }
    sandbox.write("m/current", "c");
    sandbox.feed("a\n", "multilog n3 ./m").succeeds();
    assert_eq!(texts(sandbox), ["3", "c", "a\n"]);
    // A start without a crash counts nothing.
    sandbox.feed("b\n", "multilog n2 ./m").succeeds();
    assert_eq!(texts(sandbox), ["3", "c", "a\nb\n"]);
    sandbox.sh("chmod 644 m/current").succeeds();
    sandbox.feed("d\n", "multilog n2 ./m").succeeds();
    assert_eq!(texts(sandbox), ["a\nb\n", "d\n"]);
}

fn state_is_removed_only_after_crash(sandbox: &Sandbox) {
    let run = || {
        let script = "multilog s4096 '!cat; cat <&4 >&5; echo more >&5' ./m";
        sandbox.feed("x".repeat(4097) + "\n", script).succeeds();
        String::from_utf8(sandbox.read("m/state")).unwrap()
    };
    assert_eq!(run(), "more\n");
    assert_eq!(run(), "more\nmore\n");
    sandbox.sh("chmod 644 m/current").succeeds();
    assert_eq!(run(), "more\n");
}

fn unremovable_newstate_is_accepted(sandbox: &Sandbox) {
    sandbox.write("m/newstate/file", "");
    sandbox
        .feed("a\n", "multilog ./m; rm -r m/newstate")
        .succeeds();
    assert_eq!(files(sandbox, "m"), FRESH);
}
