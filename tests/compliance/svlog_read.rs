//! svlog on files of all kinds: rotated, processed, damaged, long, unordered.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use testkit::{Outcome, Sandbox, ours, ours_on_theirs};

ours_on_theirs!(
    rotated_files_are_read_in_order,
    processed_files_are_read_in_order,
    processors_of_svlogd_hide_no_line,
    line_across_files_is_one_line,
);

ours!(
    merge_is_a_stable_sort_of_all_lines,
    last_lines_end_the_merge,
    range_selects_lines_of_many_files,
    files_outside_the_range_stay_closed,
    missing_tool_skips_its_file,
    damaged_file_is_read_to_the_damage,
    last_lines_name_unreadable_files,
    special_files_are_skipped,
    names_in_warnings_are_escaped,
    binary_lines_are_copied,
    cut_line_ends_before_the_next_stamp,
    unordered_lines_keep_their_place,
    impossible_stamps_are_text,
    line_of_100_mb_needs_little_memory,
    thousand_logs_need_64_descriptors,
    compressed_logs_need_64_descriptors,
);

/// The label of a second and a microsecond.
fn label(second: u32, microsecond: u32) -> String {
    let nanosecond = 1000 * microsecond + 500;
    format!(
        "@{:016x}{nanosecond:08x}",
        0x4000_0000_4d52_960a_u64 + u64::from(second)
    )
}

/// Lines with labels a second apart, from `first` on.
fn stamped(first: u32, count: u32, message: &str) -> String {
    (first..first + count)
        .map(|second| format!("{} {message} {second}\n", label(second, 0)))
        .collect::<Vec<_>>()
        .concat()
}

fn svlog(sandbox: &Sandbox, words: &str) -> Outcome {
    sandbox.sh(&format!("export TZ=UTC; exec svlog -r {words}"))
}

/// Whether a tool for compressed files is installed.
fn is_installed(sandbox: &Sandbox, tool: &str) -> bool {
    let is_there = sandbox.sh(&format!("command -v {tool} >found")).code() == Some(0);
    if !is_there {
        testkit::skip(tool, "the tool is not installed");
    }
    is_there
}

fn rotated_files_are_read_in_order(sandbox: &Sandbox) {
    let lines = stamped(0, 2000, "a line of a service that writes much");
    sandbox
        .feed(&lines, "multilog s4096 n1000 ./log")
        .succeeds();
    svlog(sandbox, "log").prints(&lines);
    sandbox
        .sh("mkdir sv; echo s4096 >sv/config; echo n1000 >>sv/config")
        .succeeds();
    sandbox.feed(&lines, "svlogd sv").succeeds();
    svlog(sandbox, "sv").prints(&lines);
    // Unstamped lines have no time, and still their order.
    let lines: String = (0..2000)
        .map(|number| format!("plain line {number}\n"))
        .collect::<Vec<_>>()
        .concat();
    sandbox
        .feed(&lines, "multilog s4096 n1000 ./plain")
        .succeeds();
    svlog(sandbox, "plain").prints(&lines);
    svlog(sandbox, "-n 3 plain").prints("plain line 1997\nplain line 1998\nplain line 1999\n");
}

fn processed_files_are_read_in_order(sandbox: &Sandbox) {
    let lines = stamped(0, 600, "a line of a service that writes much");
    for tool in ["gzip", "zstd -q", "xz", "bzip2"] {
        let name = tool.split(' ').next().unwrap();
        if is_installed(sandbox, name) {
            let logger = format!("multilog s4096 n1000 '!{tool}' ./{name}");
            sandbox.feed(&lines, &logger).succeeds();
            svlog(sandbox, name).prints(&lines);
            let last = stamped(300, 300, "a line of a service that writes much");
            svlog(sandbox, &format!("-n 300 {name}")).prints(&last);
            svlog(sandbox, &format!("-s {} {name}", label(300, 0))).prints(&last);
            svlog(sandbox, &format!("-g ' 1[0-9]$' {name}")).prints(stamped(
                10,
                10,
                "a line of a service that writes much",
            ));
        }
    }
}

fn processors_of_svlogd_hide_no_line(sandbox: &Sandbox) {
    let lines = stamped(0, 600, "a line of a service that writes much");
    sandbox
        .sh("mkdir log; printf 's4096\nn1000\n!gzip\n' >log/config")
        .succeeds();
    sandbox.feed(&lines, "svlogd log").succeeds();
    svlog(sandbox, "log").prints(&lines);
    // A processor that runs: the file beside its output counts once.
    sandbox
        .sh("mkdir two; cp log/current two; \
             echo 'first' >two/@400000004d52960a0ebe121c.u; \
             echo 'fir' >two/@400000004d52960a0ebe121c.t")
        .succeeds();
    let current = sandbox.read("log/current");
    svlog(sandbox, "two").prints([b"first\n", &current[..]].concat());
}

fn line_across_files_is_one_line(sandbox: &Sandbox) {
    let long = format!(
        "{} {}\n{} next\n",
        label(1, 0),
        "x".repeat(20_000),
        label(2, 0)
    );
    sandbox.feed(&long, "multilog s4096 n1000 ./log").succeeds();
    assert!(
        sandbox
            .sh("ls log | grep -c @")
            .text()
            .trim()
            .parse::<u32>()
            .unwrap()
            > 3
    );
    svlog(sandbox, "log").prints(&long);
    svlog(sandbox, "-n 2 log").prints(&long);
    svlog(sandbox, "-n 1 log").prints(format!("{} next\n", label(2, 0)));
}

/// Random logs of rotated, processed and unstamped lines; all their lines with the
/// latest stamp so far, as a stable sort puts them. With `has_steps`, the clock
/// steps back now and then.
fn random_logs(sandbox: &Sandbox, name: &str, has_steps: bool) -> Vec<(String, String)> {
    let mut random = fastrand::Rng::with_seed(16);
    let mut lines = Vec::new();
    for log in 0..40 {
        let (mut text, mut second, mut key) = (String::new(), random.u32(..50), String::new());
        for number in 0..random.u32(20..300) {
            second += random.u32(..3);
            if has_steps && random.u8(..60) == 0 {
                second -= second.min(4);
            }
            let mut line = format!("{log} line {number}");
            if number == 0 || random.u8(..5) > 0 {
                let stamp = label(second, number);
                line = format!("{stamp} {line}");
                key = key.max(stamp);
            }
            text += &line;
            text.push('\n');
            lines.push((key.clone(), line));
        }
        let processor = if log % 7 == 0 { "'!gzip'" } else { "" };
        let logger = format!("multilog s4096 n1000 {processor} ./{name}{log:02}");
        sandbox.feed(text, &logger).succeeds();
    }
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines
}

fn text<'a>(lines: impl Iterator<Item = &'a (String, String)>) -> String {
    lines.flat_map(|(_, line)| [line.as_str(), "\n"]).collect()
}

/// Removes the padded names, which are the first word of each line.
fn without_names(outcome: &Outcome) -> String {
    let text = outcome.text();
    let lines = text.lines().map(|line| line.get(6..).unwrap_or_default());
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn merge_is_a_stable_sort_of_all_lines(sandbox: &Sandbox) {
    if !is_installed(sandbox, "gzip") {
        return;
    }
    let lines = random_logs(sandbox, "old", true);
    assert_eq!(without_names(&svlog(sandbox, "old??")), text(lines.iter()));
    let lines = random_logs(sandbox, "log", false);
    assert_eq!(without_names(&svlog(sandbox, "log??")), text(lines.iter()));
    let odd = svlog(sandbox, "-g '[13579]$' log??");
    let is_odd = |(_, line): &&(String, String)| line.ends_with(['1', '3', '5', '7', '9']);
    assert_eq!(without_names(&odd), text(lines.iter().filter(is_odd)));
    let even = svlog(sandbox, "-v -g '[13579]$' log??");
    assert_eq!(
        without_names(&even),
        text(lines.iter().filter(|line| !is_odd(line)))
    );
}

fn last_lines_end_the_merge(sandbox: &Sandbox) {
    for log in 0..9 {
        let lines: String = (0..300)
            .map(|number| format!("{} {log} {number}\n", label(number, log)))
            .collect::<Vec<_>>()
            .concat();
        sandbox
            .feed(lines, &format!("multilog s4096 n1000 ./log{log:02}"))
            .succeeds();
    }
    let all = without_names(&svlog(sandbox, "log??"));
    let all: Vec<_> = all.split_inclusive('\n').collect();
    for count in [0, 1, 10, 1000, 2700, 9999] {
        let last = svlog(sandbox, &format!("-n {count} log??"));
        let first = all.len() - count.min(all.len());
        assert_eq!(without_names(&last), all[first..].concat(), "{count}");
    }
    let last = svlog(sandbox, "-n 2 -g '^[45] 1..$' log??");
    assert_eq!(
        without_names(&last),
        format!("{} 4 199\n{} 5 199\n", label(199, 4), label(199, 5))
    );
    let last = svlog(sandbox, &format!("-n 2 -u {} log??", label(100, 3)));
    assert_eq!(
        without_names(&last),
        format!("{} 2 100\n{} 3 100\n", label(100, 2), label(100, 3))
    );
}

fn range_selects_lines_of_many_files(sandbox: &Sandbox) {
    let lines = stamped(0, 3000, "a line of a service that writes much");
    sandbox
        .feed(&lines, "multilog s4096 n1000 ./log")
        .succeeds();
    for (since, until) in [
        (0, 2999),
        (1, 1),
        (700, 1900),
        (2998, 4000),
        (5000, 6000),
        (9, 8),
    ] {
        let words = format!("-s {} -u {} log", label(since, 0), label(until, 0));
        let last = until.min(2999);
        let count = (last + 1).saturating_sub(since);
        let wanted = stamped(since, count, "a line of a service that writes much");
        svlog(sandbox, &words).prints(wanted);
    }
}

fn files_outside_the_range_stay_closed(sandbox: &Sandbox) {
    fs::create_dir(sandbox.path("log")).unwrap();
    for (second, name) in [(1000, "early"), (2000, "middle"), (3000, "late")] {
        let damaged = b"\x1f\x8b\x08 this is no gzip file";
        sandbox.write(format!("log/{}.s", label(second, 0)), damaged);
        let lines = stamped(second - 500, 100, name);
        if name == "middle" {
            sandbox.write(format!("log/{}.s", label(second, 0)), lines);
        }
    }
    sandbox.write("log/current", stamped(3500, 1, "current"));
    let words = format!("-s {} -u {} log", label(1500, 0), label(1501, 0));
    svlog(sandbox, &words).prints(stamped(1500, 2, "middle"));
}

fn missing_tool_skips_its_file(sandbox: &Sandbox) {
    fs::create_dir(sandbox.path("log")).unwrap();
    let name = format!("{}.s", label(5, 0));
    sandbox.write(format!("log/{name}"), b"\x28\xb5\x2f\xfd and more");
    sandbox.write("log/current", stamped(6, 1, "later"));
    sandbox
        .sh("svlog=$(command -v svlog); PATH=/nonexistent; \"$svlog\" -r log")
        .is(
            111,
            stamped(6, 1, "later"),
            format!("svlog: warning: log: skipped {name}: zstd is not installed\n"),
        );
}

fn damaged_file_is_read_to_the_damage(sandbox: &Sandbox) {
    if !is_installed(sandbox, "gzip") {
        return;
    }
    fs::create_dir(sandbox.path("log")).unwrap();
    // Random text keeps the compressed file long.
    let mut random = fastrand::Rng::with_seed(1);
    let lines: String = (0..5000)
        .map(|second| format!("{} {}\n", label(second, 0), random.u64(..)))
        .collect::<Vec<_>>()
        .concat();
    sandbox.write("whole", &lines);
    let name = format!("{}.gz", label(5000, 0));
    sandbox
        .sh(&format!("gzip -c whole | head -c 60000 >log/{name}"))
        .succeeds();
    sandbox.write("log/current", stamped(6000, 1, "later"));
    let outcome = svlog(sandbox, "log");
    outcome.exits(111);
    assert_eq!(
        outcome.error_text(),
        format!("svlog: warning: log: unable to uncompress {name}\n")
    );
    let text = outcome.text();
    let read = text.strip_suffix(&stamped(6000, 1, "later")).unwrap();
    assert!(read.len() > 10_000);
    // The damage may cut the last line.
    assert!(lines.starts_with(read.strip_suffix('\n').unwrap()));
}

fn last_lines_name_unreadable_files(sandbox: &Sandbox) {
    if !is_installed(sandbox, "gzip") {
        return;
    }
    fs::create_dir(sandbox.path("log")).unwrap();
    let name = format!("{}.s", label(5, 0));
    sandbox.write(format!("log/{name}"), b"\x1f\x8b\x08 this is no gzip file");
    let lines = stamped(6, 2, "later");
    sandbox.write("log/current", &lines);
    svlog(sandbox, "-n 2 log").prints(&lines);
    let warning = format!("svlog: warning: log: unable to uncompress {name}\n");
    svlog(sandbox, "-n 3 log").is(111, &lines, &warning);
    // A file that is read twice has one warning.
    sandbox.write(format!("log/{}.s", label(1, 0)), stamped(0, 1, "earlier"));
    let lines = stamped(0, 1, "earlier") + &lines;
    svlog(sandbox, "-n 3 log").is(111, &lines, &warning);
}

fn special_files_are_skipped(sandbox: &Sandbox) {
    let fifo = format!("{}.s", label(5, 0));
    for (kind, make) in [
        ("fifo", "mkfifo"),
        ("directory", "mkdir"),
        ("link", "ln -s nowhere"),
    ] {
        let script =
            format!("mkdir {kind}; : >{kind}/lock; cd {kind}; {make} {fifo}; {make} current");
        sandbox.sh(&script).succeeds();
        let early = stamped(0, 1, "early");
        sandbox.write(format!("{kind}/{}.s", label(1, 0)), &early);
        let (old, current) = (
            format!("svlog: warning: {kind}: skipped {fifo}: not a file\n"),
            format!("svlog: warning: {kind}: skipped current: not a file\n"),
        );
        svlog(sandbox, kind).is(111, &early, format!("{old}{current}"));
        svlog(sandbox, &format!("-n 9 {kind}")).is(111, &early, format!("{current}{old}"));
        let range = format!("-s {} {kind}", label(0, 0));
        svlog(sandbox, &range).is(111, &early, format!("{old}{current}"));
    }
}

fn names_in_warnings_are_escaped(sandbox: &Sandbox) {
    let make = format!(
        "name=$(printf 'a\\033[31mb'); mkdir \"$name\"; mkfifo \"$name/{}.$name\"",
        label(1, 0)
    );
    sandbox.sh(&make).succeeds();
    let shown = "a\\x1b[31mb";
    sandbox.sh("svlog a*").is(
        111,
        "",
        format!(
            "svlog: warning: {shown}: skipped {}.{shown}: not a file\n",
            label(1, 0)
        ),
    );
}

fn binary_lines_are_copied(sandbox: &Sandbox) {
    let mut random = fastrand::Rng::with_seed(2);
    let mut rubbish: Vec<u8> = (0..300_000).map(|_| random.u8(..)).collect();
    rubbish.push(b'\n');
    fs::create_dir(sandbox.path("log")).unwrap();
    sandbox.write("log/current", &rubbish);
    svlog(sandbox, "log").prints(&rubbish);
    sandbox.write(format!("log/{}.s", label(1, 0)), &rubbish);
    svlog(sandbox, "log").prints([&rubbish[..], &rubbish[..]].concat());
    svlog(sandbox, "-v -g . log").exits(0);
}

fn cut_line_ends_before_the_next_stamp(sandbox: &Sandbox) {
    fs::create_dir(sandbox.path("log")).unwrap();
    let cut = format!("{} cut", label(1, 0));
    sandbox.write(format!("log/{}.u", label(2, 0)), &cut);
    sandbox.write("log/current", stamped(3, 1, "next"));
    svlog(sandbox, "log").prints(format!("{cut}\n{}", stamped(3, 1, "next")));
    svlog(sandbox, "-n 2 log").prints(format!("{cut}\n{}", stamped(3, 1, "next")));
    // A file that was cut within a line, and an empty directory.
    sandbox.write("log/current", "");
    svlog(sandbox, "log").prints(format!("{cut}\n"));
}

fn unordered_lines_keep_their_place(sandbox: &Sandbox) {
    fs::create_dir(sandbox.path("one")).unwrap();
    fs::create_dir(sandbox.path("two")).unwrap();
    let line = |second: u32| stamped(second, 1, "line");
    let one = [line(10), line(5), line(30)].concat();
    sandbox.write("one/current", &one);
    svlog(sandbox, "one").prints(&one);
    sandbox.write("two/current", [line(7), line(10), line(20)].concat());
    let merged = svlog(sandbox, "one two").text();
    let seconds = |text: &str| -> Vec<u32> {
        let words = text.lines().map(|line| line.rsplit(' ').next().unwrap());
        words.map(|word| word.parse().unwrap()).collect()
    };
    assert_eq!(seconds(&merged), [7, 10, 5, 10, 20, 30]);
    // A range selects each line by its own time.
    let range = svlog(
        sandbox,
        &format!("-s {} -u {} one", label(5, 0), label(9, 0)),
    );
    assert_eq!(seconds(&range.text()), [5]);
}

fn impossible_stamps_are_text(sandbox: &Sandbox) {
    fs::create_dir(sandbox.path("log")).unwrap();
    let lines = format!(
        "{}@ffffffffffffffffffffffff end of time\n@400000004d52960affffffff more than a second\n\
         2011-02-30T13:26:24.12345 no such day\n2011-02-09_25:00:00.00000 no such hour\n{}",
        stamped(1, 1, "first"),
        stamped(2, 1, "last")
    );
    sandbox.write("log/current", &lines);
    svlog(sandbox, "log").prints(&lines);
    sandbox.sh("TZ=UTC svlog log").prints(
        "2011-02-09 13:26:25.000000500 first 1\n@ffffffffffffffffffffffff end of time\n\
         @400000004d52960affffffff more than a second\n2011-02-30T13:26:24.12345 no such day\n\
         2011-02-09_25:00:00.00000 no such hour\n2011-02-09 13:26:26.000000500 last 2\n",
    );
    sandbox.sh("mkdir other").succeeds();
    sandbox.write("other/current", stamped(3, 1, "third"));
    let merged = svlog(sandbox, "log other").text();
    assert!(merged.ends_with("third 3\n"), "{merged}");
}

/// A limit of 32 MB for all memory that a program allocates, in KiB.
const LIMITS: &str = "ulimit -d 32768";

fn line_of_100_mb_needs_little_memory(sandbox: &Sandbox) {
    fs::create_dir(sandbox.path("log")).unwrap();
    let mut file = File::create(sandbox.path("log/current")).unwrap();
    write!(file, "{} ", label(1, 0)).unwrap();
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        file.write_all(&megabyte).unwrap();
    }
    write!(file, "\n{}", stamped(2, 1, "next")).unwrap();
    let check = |words: &str, lines: u32, bytes: u64| {
        let script = format!("{LIMITS}; svlog -r {words} log | wc");
        let text = sandbox.sh(&script).text();
        let counts: Vec<u64> = text
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect();
        assert_eq!((counts[0], counts[2]), (u64::from(lines), bytes), "{words}");
    };
    let (long, next) = ((100 << 20) + 27, stamped(2, 1, "next").len() as u64);
    check("", 2, long + next);
    check("-n 2", 2, long + next);
    check("-n 1", 1, next);
    check("-g x", 2, long + next);
    check("-v -g xxx", 1, next);
}

/// A thousand logs of 50 lines; the `nth` ones of them are rotated and compressed.
fn thousand_logs(sandbox: &Sandbox, nth: usize) -> u32 {
    let mut count = 0;
    let create = |path: &Path, text: &str| fs::write(path, text).unwrap();
    let compressed = sandbox.path("compressed");
    if nth > 0 {
        create(
            &sandbox.path("text"),
            &stamped(0, 5000, "a compressed line of many"),
        );
        sandbox.sh("gzip -c text >compressed").succeeds();
    }
    for log in 0..1000 {
        let directory = sandbox.path(format!("logs/s{log:03}"));
        fs::create_dir_all(&directory).unwrap();
        create(&directory.join("lock"), "");
        create(
            &directory.join("current"),
            &stamped(5000 + log, 50, "a line"),
        );
        count += 50;
        if nth > 0 && log as usize % nth == 0 {
            fs::copy(&compressed, directory.join(format!("{}.s", label(5000, 0)))).unwrap();
            count += 5000;
        }
    }
    count
}

fn check_limits(sandbox: &Sandbox, count: u32) {
    let script = format!(
        "ulimit -n 64; {LIMITS}; svlog -r logs/* >merged && wc -l <merged && \
         cut -d' ' -f2- merged | sort -s -k1,1 -c && svlog -r -n 3 logs/*"
    );
    let text = sandbox.sh(&script).text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0], count.to_string());
    let seconds: Vec<_> = lines[1..]
        .iter()
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(seconds, ["6047", "6047", "6048"]);
}

fn thousand_logs_need_64_descriptors(sandbox: &Sandbox) {
    let count = thousand_logs(sandbox, 0);
    check_limits(sandbox, count);
}

fn compressed_logs_need_64_descriptors(sandbox: &Sandbox) {
    if is_installed(sandbox, "gzip") {
        let count = thousand_logs(sandbox, 10);
        check_limits(sandbox, count);
    }
}
