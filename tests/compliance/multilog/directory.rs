//! The log directory: its files, their modes, where one ends and the next
//! begins, and which old ones go.

use daemontools_core::label::Label;
use testkit::{Sandbox, compliance};

use super::{Feed, contents, files, line, masked, sizes};

const FRESH: &str = "-rw------- 0 lock\n-rw-r--r-- 0 state\n";

compliance!(
    missing_directory_is_created,
    a_directory_keeps_its_mode,
    current_is_not_executable_while_written,
    the_directory_is_locked,
    directory_named_twice_is_fatal,
    file_is_closed_at_line_end_near_size,
    full_file_is_closed_inside_a_line,
    buffered_bytes_decide_rotation_point,
    write_is_split_at_its_last_line_end,
    unselected_lines_do_not_affect_rotation,
    oversized_current_is_closed_by_next_line,
    old_files_are_executable_and_labelled,
    oldest_files_are_removed,
    old_files_are_at_sign_and_25_bytes,
    old_files_of_equal_label_rank_equally,
    directories_rotate_independently,
    unopenable_directory_is_fatal,
    a_link_to_a_directory_is_followed,
    unopenable_lock_is_fatal,
    unopenable_files_are_fatal,
    unopenable_status_files_are_fatal,
    unreadable_starting_directory_is_fatal,
);

/// The sizes of the files that `input` becomes, one chunk a read.
fn cut(sandbox: &Sandbox, size: u32, chunks: &[&[u8]]) -> Vec<usize> {
    sandbox.sh("rm -rf m").succeeds();
    let mut command = sandbox.command("multilog");
    command.args([&format!("s{size}"), "n100", "./m"]);
    sandbox
        .run_with_chunks(command, chunks.iter().copied())
        .succeeds();
    assert_eq!(contents(sandbox, "m").concat(), chunks.concat());
    sizes(sandbox, "m")
}

fn missing_directory_is_created(sandbox: &Sandbox) {
    sandbox.feed("a\n", "umask 077; multilog ./m").succeeds();
    assert_eq!(sandbox.sh("stat -c %A m").text(), "drwx------\n");
    assert_eq!(
        files(sandbox, "m"),
        format!("-rwxr--r-- 2 current\n{FRESH}")
    );
}

fn a_directory_keeps_its_mode(sandbox: &Sandbox) {
    sandbox
        .feed("a\n", "umask 0; mkdir -m 755 m; multilog ./m")
        .succeeds();
    assert_eq!(sandbox.sh("stat -c %A m").text(), "drwxr-xr-x\n");
    assert_eq!(
        files(sandbox, "m"),
        format!("-rwxr--r-- 2 current\n{FRESH}")
    );
}

fn current_is_not_executable_while_written(sandbox: &Sandbox) {
    let mut command = sandbox.command("multilog");
    command.arg("./m");
    let (running, mut feed) = Feed::start(sandbox, command);
    feed.settle(sandbox, &running);
    assert_eq!(
        files(sandbox, "m"),
        format!("-rw-r--r-- 0 current\n{FRESH}")
    );
    feed.write("a\n");
    feed.settle(sandbox, &running);
    assert_eq!(
        files(sandbox, "m"),
        format!("-rw-r--r-- 2 current\n{FRESH}")
    );
    feed.end();
    running.wait().succeeds();
    assert_eq!(
        files(sandbox, "m"),
        format!("-rwxr--r-- 2 current\n{FRESH}")
    );
}

fn the_directory_is_locked(sandbox: &Sandbox) {
    let mut command = sandbox.command("multilog");
    command.arg("./m");
    let (running, mut feed) = Feed::start(sandbox, command);
    feed.settle(sandbox, &running);
    let refusal = "multilog: fatal: unable to lock directory ./m: temporary failure\n";
    sandbox.feed("b\n", "multilog ./m").is(111, "", refusal);
    sandbox.feed("b\n", "multilog ./n ./m").is(111, "", refusal);
    sandbox.sh("flock -n m/lock true").is(1, "", "");
    feed.end();
    running.wait().succeeds();
    sandbox.feed("b\n", "multilog ./m").succeeds();
    assert_eq!(sandbox.read("m/current"), b"b\n");
}

fn directory_named_twice_is_fatal(sandbox: &Sandbox) {
    sandbox.feed("b\n", "multilog ./m ./m").is(
        111,
        "",
        "multilog: fatal: unable to lock directory ./m: temporary failure\n",
    );
}

fn file_is_closed_at_line_end_near_size(sandbox: &Sandbox) {
    // Each chunk is one read, and multilog writes a read before the next one. A
    // file is closed if its last byte is a line end and at most 2000 bytes are
    // missing.
    let [thousand, last] = [line(1000), line(96)];
    assert_eq!(
        cut(sandbox, 4096, &[&thousand, &thousand, &last]),
        [2096, 0]
    );
    assert_eq!(cut(sandbox, 4097, &[&thousand, &thousand, &last]), [2096]);
    assert_eq!(
        cut(sandbox, 4096, &[&thousand, &thousand, &line(95)]),
        [2095]
    );
    assert_eq!(
        cut(sandbox, 4096, &[&thousand, &thousand, &line(1000), b"a\n"]),
        [3000, 2]
    );
}

fn full_file_is_closed_inside_a_line(sandbox: &Sandbox) {
    let long = vec![b'x'; 1024];
    let chunks = [&long[..], &long, &long, &long];
    assert_eq!(
        cut(sandbox, 4096, &[&chunks[..], &[b"\n"]].concat()),
        [4096, 1]
    );
    assert_eq!(
        cut(sandbox, 4100, &[&chunks[..], &[b"xxx\n"]].concat()),
        [4100, 0]
    );
    assert_eq!(
        cut(sandbox, 4099, &[&chunks[..], &[b"xxx\n"]].concat()),
        [4099, 1]
    );
    assert_eq!(
        cut(
            sandbox,
            4096,
            &[&chunks[..], &chunks[..], &[b"\n"]].concat()
        ),
        [4096, 4096, 1]
    );
    // A file of full size is closed by the next byte.
    let mut command = sandbox.command("multilog");
    command.args(["s4096", "./n"]);
    let (running, mut feed) = Feed::start(sandbox, command);
    feed.write("x".repeat(4096));
    feed.settle(sandbox, &running);
    assert_eq!(sizes(sandbox, "n"), [4096]);
    feed.write("y");
    feed.settle(sandbox, &running);
    assert_eq!(sizes(sandbox, "n"), [4096, 1]);
}

fn buffered_bytes_decide_rotation_point(sandbox: &Sandbox) {
    // 0.76 writes up to 512 bytes at once, and the last line end in them
    // counts: lines of 100 bytes are written by fives.
    let lines: Vec<u8> = line(100).repeat(90);
    sandbox.feed(&lines, "multilog s4096 ./m").succeeds();
    assert_eq!(sizes(sandbox, "m"), [2500, 2500, 2100, 1900]);
    assert_eq!(
        cut(sandbox, 4096, &lines.chunks(100).collect::<Vec<_>>()),
        [2100, 2100, 2100, 2100, 600]
    );
    assert_eq!(
        cut(sandbox, 4096, &lines.chunks(1000).collect::<Vec<_>>()),
        [2500, 2500, 2500, 1500]
    );
}

fn write_is_split_at_its_last_line_end(sandbox: &Sandbox) {
    let lines = [
        line(500),
        line(500),
        line(500),
        line(500),
        vec![b'x'; 600],
        b"\n".to_vec(),
    ]
    .concat();
    sandbox.feed(&lines, "multilog s4096 ./m").succeeds();
    assert_eq!(sizes(sandbox, "m"), [2601, 0]);
    let lines = [
        line(500).repeat(4),
        line(2).repeat(180),
        line(400),
        line(100),
    ]
    .concat();
    sandbox.feed(&lines, "multilog s4096 ./n").succeeds();
    assert_eq!(sizes(sandbox, "n"), [2360, 500]);
}

fn unselected_lines_do_not_affect_rotation(sandbox: &Sandbox) {
    // Unselected text ends inside any read, and the next selected line began in
    // an earlier read.
    let lines = ("z".repeat(99) + "\n").repeat(9);
    let input = [
        line(131_395),
        vec![b'y'; 701],
        b"\n".to_vec(),
        lines.into_bytes(),
    ]
    .concat();
    sandbox
        .sh("mkdir m; head -c 2000 /dev/zero >m/current; chmod 744 m/current")
        .succeeds();
    sandbox.feed(&input, "multilog s4096 '-x*' ./m").succeeds();
    assert_eq!(sizes(sandbox, "m"), [3202, 400]);
}

fn oversized_current_is_closed_by_next_line(sandbox: &Sandbox) {
    for (length, expected) in [
        (2000, vec![2010]),
        (2085, vec![2095]),
        (2086, vec![2096, 0]),
        (3000, vec![3010, 0]),
        (4086, vec![4096, 0]),
        (4090, vec![4096, 4]),
        (4096, vec![4096, 10]),
        (9000, vec![9000, 10]),
    ] {
        sandbox
            .sh(&format!(
                "rm -rf m; mkdir m; head -c {length} /dev/zero >m/current; chmod 744 m/current"
            ))
            .succeeds();
        sandbox.feed(line(10), "multilog s4096 ./m").succeeds();
        assert_eq!(sizes(sandbox, "m"), expected, "{length}");
    }
}

fn old_files_are_executable_and_labelled(sandbox: &Sandbox) {
    let start = Label::now().text();
    sandbox
        .feed(line(100).repeat(65), "multilog t s4096 ./m")
        .succeeds();
    let end = Label::now().text();
    assert_eq!(
        files(sandbox, "m"),
        format!(
            "-rwxr--r-- 2268 @LABEL.s\n-rwxr--r-- 2520 @LABEL.s\n-rwxr--r-- 2142 @LABEL.s\n\
             -rwxr--r-- 1260 current\n{FRESH}"
        )
    );
    let names = sandbox.sh("cd m; ls @*").text();
    let names: Vec<_> = names.lines().collect();
    assert!(names.is_sorted());
    for (name, text) in names.iter().zip(contents(sandbox, "m")) {
        let label = &name.as_bytes()[..25];
        let last = &text[text.len() - 126..text.len() - 101];
        assert!(start.as_slice() <= last && last <= label && label <= end.as_slice());
    }
}

fn oldest_files_are_removed(sandbox: &Sandbox) {
    for n in 1..6 {
        sandbox.write(format!("m/@40000000000000000000000{n}.s"), "");
    }
    let rotate = |n: u32| {
        sandbox
            .feed(line(3000), &format!("multilog s4096 n{n} ./m; ls m"))
            .text()
    };
    assert_eq!(
        masked(rotate(6)),
        "@LABEL.s\n@LABEL.s\n@LABEL.s\n@LABEL.s\n@LABEL.s\ncurrent\nlock\nstate\n"
    );
    assert!(sandbox.exists("m/@400000000000000000000002.s"));
    assert!(!sandbox.exists("m/@400000000000000000000001.s"));
    let left = rotate(3);
    assert!(left.starts_with("@4") && !left.contains("@400000000000000000000005.s"));
    assert_eq!(masked(left), "@LABEL.s\n@LABEL.s\ncurrent\nlock\nstate\n");
}

fn old_files_are_at_sign_and_25_bytes(sandbox: &Sandbox) {
    let label = "@40000000000000000000000";
    let kept = ["@", "@x", "a@", label, "%400000000000000000000001.s"];
    let gone = [
        format!("{label}0"),
        format!("{label}1.s"),
        format!("{label}2.u"),
        format!("{label}3.t"),
        format!("{label}4.s.gz"),
        format!("{label}5-and-more"),
        "@".repeat(25),
        "@".to_owned() + &"0".repeat(30),
    ];
    for name in kept.iter().copied().chain(gone.iter().map(String::as_str)) {
        sandbox.write(format!("m/{name}"), name);
    }
    // A name that sorts after the new file counts as newer.
    let newer = "@zzzzzzzzzzzzzzzzzzzzzzzz.s";
    sandbox.write(format!("m/{newer}"), "");
    sandbox.feed(line(3000), "multilog s4096 n2 ./m").succeeds();
    let mut left: Vec<&str> = kept
        .into_iter()
        .chain([newer, "current", "lock", "state"])
        .collect();
    left.sort_unstable();
    assert_eq!(sandbox.sh("LC_ALL=C ls m").text(), left.join("\n") + "\n");
}

fn old_files_of_equal_label_rank_equally(sandbox: &Sandbox) {
    for name in ["1.a", "1.b", "1.c", "2.s"] {
        sandbox.write(format!("m/@40000000000000000000000{name}"), "");
    }
    sandbox
        .feed(line(3000), "multilog s4096 n5 ./m; ls m >left")
        .succeeds();
    assert_eq!(masked(sandbox.read("left")).matches("@LABEL").count(), 4);
    sandbox
        .feed(line(3000), "multilog s4096 n3 ./m; ls m >left")
        .succeeds();
    let left = String::from_utf8(sandbox.read("left")).unwrap();
    assert!(!left.contains("@40000000000000000000000"), "{left}");
}

fn directories_rotate_independently(sandbox: &Sandbox) {
    let input = [line(1000), line(10)].concat().repeat(9);
    sandbox
        .feed(&input, "multilog s4096 n100 ./a s8192 ./b '-x*' ./c")
        .succeeds();
    assert_eq!(contents(sandbox, "a").concat(), input);
    assert_eq!(contents(sandbox, "b").concat(), input);
    assert_eq!(sizes(sandbox, "a"), [3030, 3030, 3030, 0]);
    assert_eq!(sizes(sandbox, "b"), [7070, 2020]);
    assert_eq!(sizes(sandbox, "c"), [0]);
}

fn unopenable_directory_is_fatal(sandbox: &Sandbox) {
    sandbox.write("file", "");
    sandbox.feed("a\n", "multilog ./file").is(
        111,
        "",
        "multilog: fatal: unable to open directory ./file: not a directory\n",
    );
    sandbox.feed("a\n", "multilog ./no/such").is(
        111,
        "",
        "multilog: fatal: unable to open directory ./no/such: file does not exist\n",
    );
    sandbox.feed("a\n", "ln -s loop loop; multilog ./loop").is(
        111,
        "",
        "multilog: fatal: unable to open directory ./loop: symbolic link loop\n",
    );
    let long = "./".to_owned() + &"x".repeat(300);
    sandbox.feed("a\n", &format!("multilog {long}")).is(
        111,
        "",
        format!("multilog: fatal: unable to open directory {long}: file name too long\n"),
    );
}

fn a_link_to_a_directory_is_followed(sandbox: &Sandbox) {
    sandbox
        .feed("a\n", "mkdir real; ln -s real m; multilog ./m")
        .succeeds();
    assert_eq!(sandbox.read("real/current"), b"a\n");
}

fn unopenable_lock_is_fatal(sandbox: &Sandbox) {
    sandbox.write("m/lock/file", "");
    sandbox.feed("a\n", "multilog ./m").is(
        111,
        "",
        "multilog: fatal: unable to lock directory ./m: is a directory\n",
    );
}

fn unopenable_files_are_fatal(sandbox: &Sandbox) {
    sandbox.write("c/current/file", "");
    sandbox.feed("a\n", "multilog ./c").is(
        111,
        "",
        "multilog: fatal: unable to append to ./c/current: is a directory\n",
    );
    sandbox.write("s/state/file", "");
    sandbox.feed("a\n", "multilog ./s").is(
        111,
        "",
        "multilog: fatal: unable to write to ./s/state: is a directory\n",
    );
    sandbox
        .feed("a\n", "mkdir l; ln -s current l/current; multilog ./l")
        .is(
            111,
            "",
            "multilog: fatal: unable to stat ./l/current: symbolic link loop\n",
        );
    sandbox
        .feed("a\n", "mkdir p; ln -s processed p/processed; multilog ./p")
        .is(
            111,
            "",
            "multilog: fatal: unable to stat ./p/processed: symbolic link loop\n",
        );
    sandbox
        .feed("a\n", "mkdir n; ln -s no/such n/current; multilog ./n")
        .is(
            111,
            "",
            "multilog: fatal: unable to write to ./n/current: file does not exist\n",
        );
}

fn unopenable_status_files_are_fatal(sandbox: &Sandbox) {
    sandbox.write("d/file", "");
    for (word, message) in [
        ("=d", "unable to create d: is a directory"),
        ("=", "unable to create : file does not exist"),
        ("=no/such", "unable to create no/such: file does not exist"),
        ("=fifo", "unable to create fifo: device not configured"),
    ] {
        let script = format!("[ -p fifo ] || mkfifo fifo; multilog {word}");
        sandbox
            .feed("a\n", &script)
            .is(111, "", format!("multilog: fatal: {message}\n"));
    }
}

fn unreadable_starting_directory_is_fatal(sandbox: &Sandbox) {
    // Only the system itself can refuse root: the directory is gone.
    let gone = "mkdir gone; cd gone; rmdir ../gone; ";
    sandbox.feed("a\n", &format!("{gone} multilog ./m")).is(
        111,
        "",
        "multilog: fatal: unable to open directory ./m: file does not exist\n",
    );
}
