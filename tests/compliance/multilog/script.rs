//! The words of a script.

use testkit::compliance;

use super::{contents, files, masked, sizes};

compliance! {
    fn without_words_everything_is_read_and_nothing_done(scene: &Scene) {
        scene.feed("a\nb\n", "multilog; cat").succeeds();
    }

    fn a_first_word_that_begins_with_t_stamps_each_line(scene: &Scene) {
        for word in ["t", "tai64n", "test"] {
            let outcome = scene.feed("a\n\nb", &format!("multilog {word} e"));
            assert_eq!(masked(&outcome.stderr), "@LABEL a\n@LABEL \n@LABEL b\n");
        }
    }

    fn t_is_ignored_anywhere_else(scene: &Scene) {
        scene.feed("a\n", "multilog e t").is(0, "", "a\n");
        scene.feed("a\n", "multilog '' t e").is(0, "", "a\n");
        let outcome = scene.feed("a\n", "multilog t t e");
        assert_eq!(masked(&outcome.stderr), "@LABEL a\n");
    }

    fn words_that_mean_nothing_are_ignored(scene: &Scene) {
        scene
            .feed("a\n", "multilog x '' Z 7 : e log/main q")
            .is(0, "", "a\n");
        assert!(!scene.exists("log"));
    }

    fn there_are_no_options(scene: &Scene) {
        scene.feed("-\na\n", "multilog -- e").is(0, "", "a\n");
        scene.feed("h\n-h\n", "multilog -h e").is(0, "", "-h\n");
    }

    fn a_word_that_begins_with_e_prints(scene: &Scene) {
        scene.feed("a\n", "multilog else e").is(0, "", "a\na\n");
    }

    fn sizes_are_moved_into_their_bounds(scene: &Scene) {
        for (word, size) in [
            ("s", 4096),
            ("s0", 4096),
            ("s4095", 4096),
            ("s4097", 4097),
            ("s5000k", 5000),
            ("sx", 4096),
            ("s-5000", 4096),
            ("s 5000", 4096),
            ("size", 4096),
            ("s18446744073709551616", 4096),
            ("s18446744073709556616", 5000),
        ] {
            let command = format!("rm -rf m; head -c 6000 /dev/zero | multilog '{word}' ./m");
            scene.sh(&command).succeeds();
            assert_eq!(sizes(scene, "m"), [size, 6001 - size], "{word}");
        }
    }

    fn the_greatest_size_is_16777215(scene: &Scene) {
        for word in [
            "s16777215",
            "s16777216",
            "s4294971392",
            "s18446744073709551615",
        ] {
            let command = format!("rm -rf m; head -c 16777220 /dev/zero | multilog {word} ./m");
            scene.sh(&command).succeeds();
            assert_eq!(sizes(scene, "m"), [16_777_215, 6], "{word}");
        }
    }

    fn the_size_is_99999_unless_told(scene: &Scene) {
        scene
            .sh("head -c 100000 /dev/zero | multilog ./m")
            .succeeds();
        assert_eq!(sizes(scene, "m"), [99_999, 2]);
    }

    fn numbers_of_files_are_moved_into_their_bounds(scene: &Scene) {
        for (word, kept) in [
            ("n", 1),
            ("n0", 1),
            ("n1", 1),
            ("n2", 1),
            ("nx", 1),
            ("n-5", 1),
            ("n 5", 1),
            ("number", 1),
            ("n3", 2),
            ("n5x", 4),
            ("n18446744073709551619", 2),
            ("n4294967299", 7),
            ("n9", 7),
        ] {
            let command =
                format!("rm -rf m; head -c 28671 /dev/zero | multilog s4096 '{word}' ./m");
            scene.sh(&command).succeeds();
            assert_eq!(sizes(scene, "m").len(), kept + 1, "{word}");
        }
    }

    fn ten_files_are_kept_unless_told(scene: &Scene) {
        scene
            .sh("head -c 65535 /dev/zero | multilog s4096 ./m")
            .succeeds();
        assert_eq!(sizes(scene, "m").len(), 10);
    }

    fn numbers_and_processors_hold_for_the_directories_after_them(scene: &Scene) {
        let script =
            "multilog ./default s4096 ./small n2 './few' '!tr x y' ./changed s8192 ! ./lost";
        scene.feed("x".repeat(20_479), script).succeeds();
        assert_eq!(sizes(scene, "default"), [20_480]);
        assert_eq!(sizes(scene, "small"), [4096, 4096, 4096, 4096, 4096, 0]);
        assert_eq!(sizes(scene, "few"), [4096, 0]);
        let changed = contents(scene, "changed");
        assert_eq!(
            changed,
            ["y".repeat(4095) + "\n", String::new()].map(String::into_bytes)
        );
        // A processor without a name is one that prints nothing.
        assert_eq!(sizes(scene, "lost"), [0, 4096]);
    }

    fn status_files_are_opened_before_directories(scene: &Scene) {
        scene
            .feed("a\n", "multilog ./one =status =no/such ./two")
            .is(
                111,
                "",
                "multilog: fatal: unable to create no/such: file does not exist\n",
            );
        assert_eq!(files(scene, "."), "-rw------- 0 status\n");
    }

    fn directories_are_opened_in_order(scene: &Scene) {
        scene.feed("a\n", "multilog ./one ./no/such ./two").is(
            111,
            "",
            "multilog: fatal: unable to open directory ./no/such: file does not exist\n",
        );
        assert_eq!(
            files(scene, "one"),
            "-rw-r--r-- 0 current\n-rw------- 0 lock\n-rw-r--r-- 0 state\n"
        );
        assert!(!scene.exists("two"));
    }

    fn directories_begin_with_a_dot_or_a_slash(scene: &Scene) {
        let here = scene.dir();
        let script = format!("multilog . ./a/ .b ../here/c {}/d .//e", here.display());
        scene.feed("x\n", &script).succeeds();
        for log in [".", "a", ".b", "c", "d", "e"] {
            assert_eq!(scene.read(format!("{log}/current")), b"x\n", "{log}");
        }
    }

    fn names_are_of_the_starting_directory(scene: &Scene) {
        scene.feed("x\n", "multilog ./a ./b =status ./c").succeeds();
        assert!(
            ["a", "b", "c", "status"]
                .iter()
                .all(|name| scene.exists(name))
        );
    }
}
