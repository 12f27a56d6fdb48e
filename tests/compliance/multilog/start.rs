//! What is made of the files that are found at start, in every state that a
//! crash can leave.

use testkit::{Scene, compliance};

use super::{contents, files};

const FRESH: &str = "-rwxr--r-- 2 current\n-rw------- 0 lock\n-rw-r--r-- 0 state\n";

/// Makes `m` with files as `NAME MODE TEXT`, runs multilog with one line, and
/// returns what is in `m` then.
fn found(scene: &Scene, made: &[(&str, u32, &str)]) -> String {
    scene.sh("rm -rf m; mkdir m").succeeds();
    for (name, mode, text) in made {
        scene.write(format!("m/{name}"), text);
        scene.mode(format!("m/{name}"), *mode);
    }
    scene.feed("a\n", "multilog ./m").succeeds();
    files(scene, "m")
}

fn texts(scene: &Scene) -> Vec<String> {
    contents(scene, "m")
        .into_iter()
        .map(|text| String::from_utf8(text).unwrap())
        .collect()
}

compliance! {
    fn a_finished_current_is_continued(scene: &Scene) {
        let seen = found(scene, &[("current", 0o744, "old\n")]);
        assert_eq!(seen, "-rwxr--r-- 6 current\n-rw------- 0 lock\n");
        assert_eq!(texts(scene), ["old\na\n"]);
    }

    fn the_owners_x_bit_is_what_counts(scene: &Scene) {
        for (mode, continued) in [
            (0o100, true),
            (0o777, true),
            (0o677, false),
            (0o011, false),
            (0o644, false),
        ] {
            found(scene, &[("current", mode, "old\n")]);
            let expected: &[&str] = if continued {
                &["old\na\n"]
            } else {
                &["old\n", "a\n"]
            };
            assert_eq!(texts(scene), expected, "{mode:o}");
        }
    }

    fn beside_a_finished_current_nothing_is_touched(scene: &Scene) {
        let seen = found(
            scene,
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

    fn the_rest_of_a_crash_is_kept_as_unfinished(scene: &Scene) {
        let seen = found(
            scene,
            &[("current", 0o644, "old\nbro"), ("state", 0o644, "st")],
        );
        assert_eq!(seen, format!("-rw-r--r-- 7 @LABEL.u\n{FRESH}"));
        assert_eq!(texts(scene), ["old\nbro", "a\n"]);
        assert_eq!(scene.read("m/state"), b"");
    }

    fn empty_rests_are_kept_too(scene: &Scene) {
        let seen = found(scene, &[("current", 0o600, ""), ("previous", 0o640, "")]);
        assert_eq!(
            seen,
            format!("-rw-r----- 0 @LABEL.u\n-rw------- 0 @LABEL.u\n{FRESH}")
        );
    }

    fn a_previous_without_a_current_is_unfinished(scene: &Scene) {
        // Between the two renames of a rotation.
        let seen = found(scene, &[("previous", 0o644, "old\n")]);
        assert_eq!(seen, format!("-rw-r--r-- 4 @LABEL.u\n{FRESH}"));
        let seen = found(
            scene,
            &[("previous", 0o744, "old\n"), ("current", 0o644, "")],
        );
        assert_eq!(
            seen,
            format!("-rwxr--r-- 4 @LABEL.u\n-rw-r--r-- 0 @LABEL.u\n{FRESH}")
        );
    }

    fn an_unfinished_processed_is_forgotten(scene: &Scene) {
        let seen = found(
            scene,
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

    fn a_finished_processed_takes_the_place_of_previous(scene: &Scene) {
        let seen = found(
            scene,
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
        let seen = found(scene, &[("processed", 0o744, "processed")]);
        assert_eq!(seen, format!("-rwxr--r-- 9 @LABEL.s\n{FRESH}"));
    }

    fn a_file_that_has_its_name_already_gets_no_other(scene: &Scene) {
        let label = "@400000000000000000000001";
        for (name, mode, code) in [
            ("previous", "744", "s"),
            ("current", "644", "u"),
            ("processed", "744", "s"),
            ("previous", "644", "u"),
        ] {
            scene.sh(&format!(
                "rm -rf m; mkdir m; echo text >m/{name}; chmod {mode} m/{name}; ln m/{name} m/{label}.{code}"
            )).succeeds();
            scene.feed("a\n", "multilog ./m").succeeds();
            assert_eq!(texts(scene), ["text\n", "a\n"], "{name}");
            assert!(scene.exists(format!("m/{label}.{code}")), "{name}");
        }
    }

    fn at_start_too_the_oldest_go(scene: &Scene) {
        for n in 1..4 {
            scene.write(format!("m/@40000000000000000000000{n}.s"), format!("{n}"));
        }
        scene.write("m/current", "c");
        scene.feed("a\n", "multilog n3 ./m").succeeds();
        assert_eq!(texts(scene), ["3", "c", "a\n"]);
        // A start without a crash counts nothing.
        scene.feed("b\n", "multilog n2 ./m").succeeds();
        assert_eq!(texts(scene), ["3", "c", "a\nb\n"]);
        scene.sh("chmod 644 m/current").succeeds();
        scene.feed("d\n", "multilog n2 ./m").succeeds();
        assert_eq!(texts(scene), ["a\nb\n", "d\n"]);
    }

    fn the_state_is_forgotten_after_a_crash_alone(scene: &Scene) {
        let run = || {
            let script = "multilog s4096 '!cat; cat <&4 >&5; echo more >&5' ./m";
            scene.feed("x".repeat(4097) + "\n", script).succeeds();
            String::from_utf8(scene.read("m/state")).unwrap()
        };
        assert_eq!(run(), "more\n");
        assert_eq!(run(), "more\nmore\n");
        scene.sh("chmod 644 m/current").succeeds();
        assert_eq!(run(), "more\n");
    }

    fn a_newstate_that_cannot_be_removed_does_not_matter(scene: &Scene) {
        scene.write("m/newstate/file", "");
        scene
            .feed("a\n", "multilog ./m; rm -r m/newstate")
            .succeeds();
        assert_eq!(files(scene, "m"), FRESH);
    }
}
