//! The words of a script.

use testkit::{Sandbox, compliance};

use super::{contents, files, masked, sizes};

compliance!(
    empty_script_discards_input,
    first_word_beginning_with_t_stamps_lines,
    t_is_ignored_anywhere_else,
    unknown_words_are_ignored,
    options_are_not_accepted,
    a_word_that_begins_with_e_prints,
    sizes_are_clamped,
    the_greatest_size_is_16777215,
    default_size_is_99999,
    file_counts_are_clamped,
    default_number_of_files_is_ten,
    settings_apply_to_later_directories,
    status_files_are_opened_before_directories,
    directories_are_opened_in_order,
    directories_begin_with_a_dot_or_a_slash,
    names_are_of_the_starting_directory,
);

fn empty_script_discards_input(sandbox: &Sandbox) {
    sandbox.feed("a\nb\n", "multilog; cat").succeeds();
}

fn first_word_beginning_with_t_stamps_lines(sandbox: &Sandbox) {
    for word in ["t", "tai64n", "test"] {
        let outcome = sandbox.feed("a\n\nb", &format!("multilog {word} e"));
        assert_eq!(masked(&outcome.stderr), "@LABEL a\n@LABEL \n@LABEL b\n");
    }
}

fn t_is_ignored_anywhere_else(sandbox: &Sandbox) {
    sandbox.feed("a\n", "multilog e t").is(0, "", "a\n");
    sandbox.feed("a\n", "multilog '' t e").is(0, "", "a\n");
    let outcome = sandbox.feed("a\n", "multilog t t e");
    assert_eq!(masked(&outcome.stderr), "@LABEL a\n");
}

fn unknown_words_are_ignored(sandbox: &Sandbox) {
    sandbox
        .feed("a\n", "multilog x '' Z 7 : e log/main q")
        .is(0, "", "a\n");
    assert!(!sandbox.exists("log"));
}

fn options_are_not_accepted(sandbox: &Sandbox) {
    sandbox.feed("-\na\n", "multilog -- e").is(0, "", "a\n");
    sandbox.feed("h\n-h\n", "multilog -h e").is(0, "", "-h\n");
}

fn a_word_that_begins_with_e_prints(sandbox: &Sandbox) {
    sandbox.feed("a\n", "multilog else e").is(0, "", "a\na\n");
}

fn sizes_are_clamped(sandbox: &Sandbox) {
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
        sandbox.sh(&command).succeeds();
        assert_eq!(sizes(sandbox, "m"), [size, 6001 - size], "{word}");
    }
}

fn the_greatest_size_is_16777215(sandbox: &Sandbox) {
    for word in [
        "s16777215",
        "s16777216",
        "s4294971392",
        "s18446744073709551615",
    ] {
        let command = format!("rm -rf m; head -c 16777220 /dev/zero | multilog {word} ./m");
        sandbox.sh(&command).succeeds();
        assert_eq!(sizes(sandbox, "m"), [16_777_215, 6], "{word}");
    }
}

fn default_size_is_99999(sandbox: &Sandbox) {
    sandbox
        .sh("head -c 100000 /dev/zero | multilog ./m")
        .succeeds();
    assert_eq!(sizes(sandbox, "m"), [99_999, 2]);
}

fn file_counts_are_clamped(sandbox: &Sandbox) {
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
        let command = format!("rm -rf m; head -c 28671 /dev/zero | multilog s4096 '{word}' ./m");
        sandbox.sh(&command).succeeds();
        assert_eq!(sizes(sandbox, "m").len(), kept + 1, "{word}");
    }
}

fn default_number_of_files_is_ten(sandbox: &Sandbox) {
    sandbox
        .sh("head -c 65535 /dev/zero | multilog s4096 ./m")
        .succeeds();
    assert_eq!(sizes(sandbox, "m").len(), 10);
}

fn settings_apply_to_later_directories(sandbox: &Sandbox) {
    let script = "multilog ./default s4096 ./small n2 './few' '!tr x y' ./changed s8192 ! ./lost";
    sandbox.feed("x".repeat(20_479), script).succeeds();
    assert_eq!(sizes(sandbox, "default"), [20_480]);
    assert_eq!(sizes(sandbox, "small"), [4096, 4096, 4096, 4096, 4096, 0]);
    assert_eq!(sizes(sandbox, "few"), [4096, 0]);
    let changed = contents(sandbox, "changed");
    assert_eq!(
        changed,
        ["y".repeat(4095) + "\n", String::new()].map(String::into_bytes)
    );
    // A processor without a name is one that prints nothing.
    assert_eq!(sizes(sandbox, "lost"), [0, 4096]);
}

fn status_files_are_opened_before_directories(sandbox: &Sandbox) {
    sandbox
        .feed("a\n", "multilog ./one =status =no/such ./two")
        .is(
            111,
            "",
            "multilog: fatal: unable to create no/such: file does not exist\n",
        );
    assert_eq!(files(sandbox, "."), "-rw------- 0 status\n");
}

fn directories_are_opened_in_order(sandbox: &Sandbox) {
    sandbox.feed("a\n", "multilog ./one ./no/such ./two").is(
        111,
        "",
        "multilog: fatal: unable to open directory ./no/such: file does not exist\n",
    );
    assert_eq!(
        files(sandbox, "one"),
        "-rw-r--r-- 0 current\n-rw------- 0 lock\n-rw-r--r-- 0 state\n"
    );
    assert!(!sandbox.exists("two"));
}

fn directories_begin_with_a_dot_or_a_slash(sandbox: &Sandbox) {
    let here = sandbox.dir();
    let script = format!("multilog . ./a/ .b ../here/c {}/d .//e", here.display());
    sandbox.feed("x\n", &script).succeeds();
    for log in [".", "a", ".b", "c", "d", "e"] {
        assert_eq!(sandbox.read(format!("{log}/current")), b"x\n", "{log}");
    }
}

fn names_are_of_the_starting_directory(sandbox: &Sandbox) {
    sandbox
        .feed("x\n", "multilog ./a ./b =status ./c")
        .succeeds();
    assert!(
        ["a", "b", "c", "status"]
            .iter()
            .all(|name| sandbox.exists(name))
    );
}
