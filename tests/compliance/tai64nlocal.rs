use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use testkit::{Sandbox, Subject, compliance, interop, say, skip};

/// 2026-11-21 12:10:56.173027500 in UTC.
const LABEL: &str = "@400000006b018a5a0a5030ac";

interop!(labels_of_one_are_read_by_the_other);

compliance!(
    g_shows_utc,
    i_shows_rfc_3339,
    other_arguments_are_ignored,
    labels_outside_rfc_3339_pass_unchanged,
    a_label_becomes_local_time,
    a_zone_may_be_described_in_tz,
    a_summer_may_last_less_than_a_minute,
    error_ends_a_description_in_tz,
    tz_without_days_of_change_has_the_default,
    tzdir_names_the_directory_of_zones,
    an_inserted_leap_second_is_second_60,
    first_standard_time_precedes_all_changes,
    unreadable_zone_means_utc,
    lines_without_a_label_pass_unchanged,
    only_label_at_line_start_is_converted,
    any_other_byte_ends_the_digits,
    only_the_last_24_digits_count,
    nanoseconds_above_range_are_printed,
    label_at_end_of_input_is_not_printed,
    chunking_of_label_changes_nothing,
    years_may_have_more_than_four_digits,
    a_label_without_a_year_is_printed_unchanged,
    changed_machine_zone_takes_effect,
    a_zone_file_is_read_once,
    zone_is_read_only_for_labels,
);

fn label(moment: i64) -> String {
    format!(
        "@{:016x}00000000",
        moment.wrapping_add(4_611_686_018_427_387_914)
    )
}

#[track_caller]
fn converts(sandbox: &Sandbox, zone: &str, input: impl AsRef<[u8]>, output: impl AsRef<[u8]>) {
    sandbox
        .feed(input, &format!("TZ='{zone}' tai64nlocal"))
        .prints(output);
}

/// Whether a zone is installed; if not, prints that the test is skipped.
fn zone_is_here(zone: &str) -> bool {
    let here = fs::exists(format!("/usr/share/zoneinfo/{zone}")).unwrap();
    if !here {
        skip(zone, "tzdata is not installed");
    }
    here
}

/// Sends lines, each time after something was done, and returns all that was
/// made of them.
fn converse(sandbox: &Sandbox, mut command: Command, turns: &[(&dyn Fn(), &str)]) -> String {
    let (mut writer, reader) = UnixStream::pair().unwrap();
    command.stdin(OwnedFd::from(reader));
    let running = sandbox.start(command);
    let mut lines = 0;
    for (act, line) in turns {
        act();
        writer.write_all(line.as_bytes()).unwrap();
        lines += line.lines().count();
        sandbox.wait_until("the line is converted", || {
            running.stdout().split(|&byte| byte == b'\n').count() > lines
        });
    }
    drop(writer);
    let outcome = running.wait();
    outcome.exits(0);
    outcome.text()
}

/// Lines with usual labels, with ones of up to 9000 digits, and without.
fn mixture(lines: usize) -> String {
    let mut random = fastrand::Rng::with_seed(3);
    let mut line = |_| {
        let label = label(random.i64(-3_000_000_000..3_000_000_000));
        let text: String = (0..random.usize(..120))
            .map(|_| random.alphanumeric())
            .collect();
        match random.u8(..10) {
            0 | 1 => format!("{text}\n"),
            2 => format!(
                "@{}{} {text}\n",
                "0".repeat(random.usize(..9000)),
                &label[1..]
            ),
            _ => format!("{label} {text}\n"),
        }
    };
    (0..lines).map(&mut line).collect()
}

fn labels_of_one_are_read_by_the_other(sandbox: &Sandbox) {
    let now = || sandbox.sh("date -u '+%F %T'").text().trim_end().to_owned();
    let before = now();
    let outcome = sandbox.feed("a\n\nb", "$FIRST/tai64n | TZ=UTC $THEN/tai64nlocal");
    let after = now();
    let mut rests = Vec::new();
    for line in outcome.text().split_inclusive('\n') {
        let (date, rest) = line.split_at(19);
        assert!(
            before.as_str() <= date && date <= after.as_str(),
            "{outcome:?}"
        );
        let (nanoseconds, rest) = rest.split_at(10);
        assert!(
            nanoseconds.starts_with('.') && nanoseconds.ends_with("500"),
            "{outcome:?}"
        );
        rests.push(rest.to_owned());
    }
    assert_eq!(rests, [" a\n", " \n", " b"]);
}

/// Asserts the output of `tai64nlocal WORDS` for lines; the reference ignores
/// the words.
#[track_caller]
fn converts_by(sandbox: &Sandbox, words: &str, input: &str, reference: &str, ours: &str) {
    let output = if sandbox.subject() == Subject::Reference {
        reference
    } else {
        ours
    };
    sandbox
        .feed(
            input,
            &format!("TZ=EST5EDT,M3.2.0,M11.1.0 tai64nlocal {words}"),
        )
        .prints(output);
}

fn g_shows_utc(sandbox: &Sandbox) {
    let input = format!("{LABEL} a\n{LABEL} b\nc\n");
    let reference = "2026-11-21 07:10:56.173027500 a\n2026-11-21 07:10:56.173027500 b\nc\n";
    let ours = "2026-11-21 12:10:56.173027500 a\n2026-11-21 12:10:56.173027500 b\nc\n";
    converts_by(sandbox, "-g", &input, reference, ours);
}

fn i_shows_rfc_3339(sandbox: &Sandbox) {
    // Both sides of the end of daylight saving time, and the zone's noon.
    let (before, after) = (label(1_793_512_799), label(1_793_512_800));
    let input = format!("{before} a\n{after} b\n{LABEL}\n");
    let reference = "2026-11-01 01:59:59.000000000 a\n2026-11-01 01:00:00.000000000 b\n\
        2026-11-21 07:10:56.173027500\n";
    let ours = "2026-11-01T01:59:59.000000000-04:00 a\n2026-11-01T01:00:00.000000000-05:00 b\n\
        2026-11-21T07:10:56.173027500-05:00\n";
    converts_by(sandbox, "-i", &input, reference, ours);
    let ours = "2026-11-01T05:59:59.000000000+00:00 a\n2026-11-01T06:00:00.000000000+00:00 b\n\
        2026-11-21T12:10:56.173027500+00:00\n";
    for words in ["-gi", "-i -g", "-ggii -- -x"] {
        converts_by(sandbox, words, &input, reference, ours);
    }
}

fn other_arguments_are_ignored(sandbox: &Sandbox) {
    let local = "2026-11-21 07:10:56.173027500 a\n";
    for words in [
        "-x", "-gx", "-ix", "- -i", "-- -i", "x -g", "''", "-g -: -i",
    ] {
        converts_by(sandbox, words, &format!("{LABEL} a\n"), local, local);
    }
}

fn labels_outside_rfc_3339_pass_unchanged(sandbox: &Sandbox) {
    if sandbox.subject() == Subject::Reference {
        return;
    }
    // Nanoseconds of more than a second, and the years -1, 10000 and 0.
    let labels = [
        "@400000006b018a5affffffff",
        &label(-62_198_755_200),
        &label(253_402_350_000),
    ];
    for label in labels {
        converts_by(
            sandbox,
            "-gi",
            &format!("{label} a\n"),
            "",
            &format!("{label} a\n"),
        );
    }
    let zero = format!("{}\n", label(-62_167_219_200));
    converts_by(
        sandbox,
        "-gi",
        &zero,
        "",
        "0000-01-01T00:00:00.000000000+00:00\n",
    );
    // No offset of a day is in it, and seconds of one are cut.
    let feed = |zone: &str| sandbox.feed(&zero, &format!("TZ={zone} tai64nlocal -i"));
    feed("XXX-24").prints(&zero);
    feed("XXX-1:02:59").prints("0000-01-01T01:02:00.000000000+01:02\n");
    let year = format!("{}\n", label(0));
    sandbox
        .feed(year, "TZ=XXX1:02:59 tai64nlocal -i")
        .prints("1969-12-31T22:58:00.000000000-01:02\n");
}

fn a_label_becomes_local_time(sandbox: &Sandbox) {
    converts(
        sandbox,
        "UTC",
        format!("{LABEL} a line\n"),
        "2026-11-21 12:10:56.173027500 a line\n",
    );
    converts(
        sandbox,
        "",
        format!("{LABEL}\n"),
        "2026-11-21 12:10:56.173027500\n",
    );
    if zone_is_here("Europe/Berlin") {
        let berlin = "2026-11-21 13:10:56.173027500\n";
        for zone in [
            "Europe/Berlin",
            ":Europe/Berlin",
            "/usr/share/zoneinfo/Europe/Berlin",
        ] {
            converts(sandbox, zone, format!("{LABEL}\n"), berlin);
        }
    }
}

fn a_zone_may_be_described_in_tz(sandbox: &Sandbox) {
    for (zone, time) in [
        ("AAA3", "09:10:56"),
        ("AAA-3:30", "15:40:56"),
        ("<+0330>-3:30:15", "15:41:11"),
        ("EST5EDT4,0/0,J365/25", "08:10:56"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "13:10:56"),
    ] {
        converts(
            sandbox,
            zone,
            format!("{LABEL}\n"),
            format!("2026-11-21 {time}.173027500\n"),
        );
    }
}

fn a_summer_may_last_less_than_a_minute(sandbox: &Sandbox) {
    // From 2026-03-01 02:00:10 on, for ten seconds.
    let zone = "AAA0BBB,J60/2:00:10,J60/3:00:20";
    let (mut input, mut output) = (String::new(), String::new());
    for second in [0, 59, 5, 10, 19, 20, 9, 15] {
        let hour = if (10..20).contains(&second) { 3 } else { 2 };
        input = format!("{input}{}\n", label(1_772_330_400 + second));
        output = format!("{output}2026-03-01 0{hour}:00:{second:02}.000000000\n");
    }
    converts(sandbox, zone, input, output);
}

/// The part before the error counts.
fn error_ends_a_description_in_tz(sandbox: &Sandbox) {
    for (zone, summer, winter) in [
        // Without a valid name and offset: UTC.
        ("AA3", "12:10:56", "12:10:56"),
        ("AAA", "12:10:56", "12:10:56"),
        ("AAA+", "12:10:56", "12:10:56"),
        ("<AAA3", "12:10:56", "12:10:56"),
        ("<A>3", "12:10:56", "12:10:56"),
        // Spaces and signs as in scanf.
        ("AAA- 3", "15:10:56", "15:10:56"),
        ("AAA++3", "09:10:56", "09:10:56"),
        // Daylight saving time, which is UTC, except for some hours of a year.
        ("AAA3B", "12:10:56", "12:10:56"),
        ("AAA3:", "12:10:56", "12:10:56"),
        ("AAA3BBB,x", "10:10:56", "10:10:56"),
        ("AAA3BBB,J0,J9", "09:10:56", "09:10:56"),
        // An error in the first rule leaves the second without a day.
        ("AAA3BBB,M3.6.0", "10:10:56", "10:10:56"),
        // A rule before the error counts.
        ("AAA3BBB,J100", "10:10:56", "09:10:56"),
        ("AAA3BBB,J100/x,J300", "10:10:56", "10:10:56"),
        ("AAA3BBB,J100,J366", "10:10:56", "10:10:56"),
        ("AAA3BBB,J100,J300rest", "10:10:56", "09:10:56"),
    ] {
        // 2026-06-24 and 2026-11-21.
        let input = format!("@400000006a3bc95a0a5030ac\n{LABEL}\n");
        let output = format!("2026-06-24 {summer}.173027500\n2026-11-21 {winter}.173027500\n");
        converts(sandbox, zone, input, output);
    }
    // Larger numbers count as 24 hours, 59 minutes and 59 seconds.
    let output = "2026-11-20 11:10:57.173027500\n";
    converts(sandbox, "AAA30:99:99", format!("{LABEL}\n"), output);
}

/// A zone file with changes at these times between standard time (UTC-5) and
/// daylight saving time (UTC-4).
fn zone_file(changes: &[i64], footer: &str) -> Vec<u8> {
    let mut file = Vec::new();
    for width in [4, 8] {
        file.extend_from_slice(b"TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        let count = u32::try_from(changes.len()).unwrap();
        for count in [2, 2, 0, count, 2, 8] {
            file.extend_from_slice(&count.to_be_bytes());
        }
        for change in changes {
            file.extend_from_slice(&change.to_be_bytes()[8 - width..]);
        }
        file.extend((0..changes.len()).map(|n| u8::from(n % 2 == 0)));
        for (offset, is_daylight, letters) in [(-18_000_i32, 0, 0), (-14_400, 1, 4)] {
            file.extend_from_slice(&offset.to_be_bytes());
            file.extend_from_slice(&[is_daylight, letters]);
        }
        file.extend_from_slice(b"STD\0DST\0\0\0\0\0");
    }
    file.extend_from_slice(format!("\n{footer}\n").as_bytes());
    file
}

#[track_caller]
fn converts_in_dir(sandbox: &Sandbox, zone: &str, times: &[(i64, &str)]) {
    let input: String = times.iter().map(|(time, _)| label(*time) + "\n").collect();
    let lines: Vec<String> = times
        .iter()
        .map(|(_, text)| format!("{text}.000000000\n"))
        .collect();
    sandbox
        .feed(input, &format!("TZDIR=zones TZ='{zone}' tai64nlocal"))
        .prints(lines.concat());
}

fn tz_without_days_of_change_has_the_default(sandbox: &Sandbox) {
    sandbox.sh("mkdir zones").succeeds();
    // Without the file posixrules: from March to November.
    let days = [
        (1_772_931_599, "2026-03-07 21:59:59"),
        (1_772_959_600, "2026-03-08 06:46:40"),
        (1_790_000_000, "2026-09-21 12:13:20"),
        (1_795_000_000, "2026-11-18 08:06:40"),
    ];
    for zone in ["AAA3BBB", "AAA3BBB,", "AAA3BBB2"] {
        converts_in_dir(sandbox, zone, &days);
    }
    // In the file, from 1,000,000 to 2,000,000. The start, in local standard
    // time, moves with the offset; the footer's offsets stay.
    let file = zone_file(
        &[1_000_000, 2_000_000, 5_000_000, 9_000_000],
        "STD5DST,M3.2.0,M11.1.0",
    );
    sandbox.write("zones/posixrules", file);
    let times = [
        (1_007_199, "1970-01-12 12:46:39"),
        (1_007_200, "1970-01-12 14:46:40"),
        (1_999_999, "1970-01-24 02:33:19"),
        (2_000_000, "1970-01-24 00:33:20"),
        (9_000_000, "1970-04-15 00:00:00"),
        (1_790_000_000, "2026-09-21 10:13:20"),
    ];
    for zone in ["AAA3BBB1", "AAA3BBB1,"] {
        converts_in_dir(sandbox, zone, &times);
    }
}

fn tzdir_names_the_directory_of_zones(sandbox: &Sandbox) {
    sandbox.sh("mkdir zones").succeeds();
    sandbox.write("zones/Here", zone_file(&[1_000_000, 2_000_000], "STD5"));
    sandbox.write("zones/Universal", zone_file(&[1_000_000], "STD6"));
    for zone in ["Here", ":Here"] {
        converts_in_dir(sandbox, zone, &[(1_500_000, "1970-01-18 04:40:00")]);
    }
    // An empty TZ is the zone Universal; only a colon is UTC.
    converts_in_dir(sandbox, "", &[(1_500_000, "1970-01-18 02:40:00")]);
    converts_in_dir(sandbox, ":", &[(1_500_000, "1970-01-18 08:40:00")]);
    // An empty TZDIR is the default.
    if zone_is_here("Europe/Berlin") {
        let input = format!("{LABEL}\n");
        sandbox
            .feed(input, "TZDIR= TZ=Europe/Berlin tai64nlocal")
            .prints("2026-11-21 13:10:56.173027500\n");
    }
}

fn an_inserted_leap_second_is_second_60(sandbox: &Sandbox) {
    if !zone_is_here("right/Asia/Tokyo") {
        return;
    }
    let times = [(77, "08:59:59"), (78, "08:59:60"), (79, "09:00:00")];
    for (second, text) in times {
        // The end of 1972-06-30 in UTC; Unix time counts the second here.
        let input = label(78_796_722 + second) + "\n";
        let output = format!("1972-07-01 {text}.000000000\n");
        converts(sandbox, "right/Asia/Tokyo", input, output);
    }
}

fn first_standard_time_precedes_all_changes(sandbox: &Sandbox) {
    sandbox.sh("mkdir zones").succeeds();
    let mut file = zone_file(&[1_000_000, 2_000_000], "STD5");
    // The types change places, so that daylight saving time comes first.
    let at = file.len() - b"\nSTD5\n".len() - 12 - 12;
    let (first, second) = file[at..at + 12].split_at_mut(6);
    first.swap_with_slice(second);
    sandbox.write("zones/Here", file);
    let times = [
        (-3_000_000_000, "1874-12-07 13:40:00"),
        (999_999, "1970-01-12 08:46:39"),
        (1_000_000, "1970-01-12 08:46:40"),
        (1_999_999, "1970-01-23 22:33:19"),
    ];
    converts_in_dir(sandbox, "Here", &times);
}

fn unreadable_zone_means_utc(sandbox: &Sandbox) {
    for zone in [
        "nonsense",
        "No/Where",
        "/dev/null",
        "/",
        "../..",
        ":",
        "::",
        "AA3",
        ",,,",
    ] {
        converts(
            sandbox,
            zone,
            format!("{LABEL}\n"),
            "2026-11-21 12:10:56.173027500\n",
        );
    }
}

fn lines_without_a_label_pass_unchanged(sandbox: &Sandbox) {
    let lines = format!("\n\na\n x{LABEL}\n {LABEL}\n\0{LABEL}\nno newline");
    converts(sandbox, "UTC", &lines, &lines);
}

fn only_label_at_line_start_is_converted(sandbox: &Sandbox) {
    let (utc, day) = ("UTC", "2026-11-21 12:10:56.173027500");
    converts(
        sandbox,
        utc,
        format!("{LABEL}{LABEL}\n"),
        format!("{day}{LABEL}\n"),
    );
    converts(
        sandbox,
        utc,
        format!("{LABEL} {LABEL}\n{LABEL}"),
        format!("{day} {LABEL}\n"),
    );
    converts(
        sandbox,
        utc,
        format!("{LABEL}\n{LABEL}\n"),
        format!("{day}\n{day}\n"),
    );
}

fn any_other_byte_ends_the_digits(sandbox: &Sandbox) {
    let (mut input, mut output) = (Vec::new(), Vec::new());
    for byte in (0..=255).filter(|byte| !b"0123456789abcdef".contains(byte)) {
        for (text, start) in [
            (&mut input, LABEL),
            (&mut output, "2026-11-21 12:10:56.173027500"),
        ] {
            text.extend_from_slice(start.as_bytes());
            text.extend([byte, b'a', byte, b'\n']);
        }
    }
    converts(sandbox, "UTC", input, output);
}

fn only_the_last_24_digits_count(sandbox: &Sandbox) {
    let day = "2026-11-21 12:10:56.173027500";
    for more in ["0", "1", "f", "123456789abcdef0", &"f".repeat(20_000)] {
        let long = format!("@{more}{}\n", &LABEL[1..]);
        converts(sandbox, "UTC", &long, format!("{day}\n"));
    }
}

fn nanoseconds_above_range_are_printed(sandbox: &Sandbox) {
    for (digits, number) in [
        ("00000000", "000000000"),
        ("00000001", "000000001"),
        ("3b9ac9ff", "999999999"),
        ("3b9aca00", "1000000000"),
        ("ffffffff", "4294967295"),
    ] {
        let input = format!("{}{digits}\n", &LABEL[..17]);
        converts(
            sandbox,
            "UTC",
            input,
            format!("2026-11-21 12:10:56.{number}\n"),
        );
    }
}

fn label_at_end_of_input_is_not_printed(sandbox: &Sandbox) {
    for end in [
        "@",
        "@4",
        "@400000006b018a5a0a5030a",
        LABEL,
        &format!("{LABEL}00"),
    ] {
        converts(sandbox, "UTC", format!("a\n{end}"), "a\n");
    }
}

fn chunking_of_label_changes_nothing(sandbox: &Sandbox) {
    for (lines, size) in [(50, 1), (100, 7), (500, 100), (500, 4096), (500, 8192)] {
        let input = mixture(lines);
        let command = || {
            let mut command = sandbox.command("tai64nlocal");
            command.env("TZ", "AAA3BBB");
            command
        };
        let mut at_once = command();
        sandbox.write("in", &input);
        at_once.stdin(fs::File::open(sandbox.path("in")).unwrap());
        let wanted = sandbox.run(at_once).stdout;
        let outcome = sandbox.run_with_chunks(command(), input.as_bytes().chunks(size));
        assert!(
            outcome.code() == Some(0) && outcome.stdout == wanted,
            "{size} at once"
        );
    }
}

fn years_may_have_more_than_four_digits(sandbox: &Sandbox) {
    for (moment, text) in [
        (0, "1970-01-01 00:00:00"),
        (-1, "1969-12-31 23:59:59"),
        (253_402_300_800, "10000-01-01 00:00:00"),
        (-62_135_596_801, "0-12-31 23:59:59"),
        (-62_167_219_201, "18446744073709551615-12-31 23:59:59"),
        (67_767_976_233_532_799, "2147483647-12-31 23:59:59"),
        (
            67_767_976_233_532_800,
            "18446744071562067968-01-01 00:00:00",
        ),
        (
            67_768_036_191_676_799,
            "18446744071562069867-12-31 23:59:59",
        ),
        (
            -67_768_040_609_740_800,
            "18446744071562069868-01-01 00:00:00",
        ),
    ] {
        converts(
            sandbox,
            "UTC",
            format!("{}\n", label(moment)),
            format!("{text}.000000000\n"),
        );
    }
}

/// A deliberate difference: 0.76 dies.
fn a_label_without_a_year_is_printed_unchanged(sandbox: &Sandbox) {
    let beyond = [
        label(67_768_036_191_676_800),
        label(-67_768_040_609_740_801),
        label(i64::MAX),
        label(i64::MIN),
        "@".to_owned(),
        "@0".to_owned(),
        "@@".to_owned(),
        "@ABCDEF".to_owned(),
        LABEL.to_uppercase().replace("6B", "6b"),
        format!("@{}", "e".repeat(100_000)),
    ];
    for bad in beyond {
        let input = format!("before\n{bad} and {bad}\n{LABEL} after\n");
        let outcome = sandbox.feed(&input, "exec env TZ=UTC tai64nlocal");
        if sandbox.subject() == Subject::Reference {
            // SIGSEGV; input that was read and not yet written is lost.
            assert_eq!(outcome.signal(), Some(11), "{outcome:?}");
        } else {
            outcome.prints(format!(
                "before\n{bad} and {bad}\n2026-11-21 12:10:56.173027500 after\n"
            ));
        }
    }
}

/// While TZ is not set, the next line is in the machine's new zone.
fn changed_machine_zone_takes_effect(sandbox: &Sandbox) {
    if !zone_is_here("Europe/Berlin") || !zone_is_here("Asia/Tokyo") {
        return;
    }
    // In a mount namespace of its own, with a directory of ours as /etc.
    if sandbox.sh("unshare -m mount --bind . /etc").code() != Some(0) {
        return say("skipped, not permitted to mount: another zone of the machine");
    }
    let (new, etc) = (sandbox.path("new"), sandbox.path("etc/localtime"));
    sandbox.write("etc/hosts", "");
    let install = |zone: &str| {
        fs::copy(format!("/usr/share/zoneinfo/{zone}"), &new).unwrap();
        fs::rename(&new, &etc).unwrap();
    };
    let spoil = || {
        sandbox.write("new", "not a zone");
        fs::rename(&new, &etc).unwrap();
    };
    let remove = || fs::remove_file(&etc).unwrap();
    let command = sandbox.shell("exec unshare -m sh -c 'mount --bind etc /etc; exec tai64nlocal'");
    let line = format!("{LABEL}\n{LABEL}\n");
    let seen = converse(
        sandbox,
        command,
        &[
            (&|| install("Europe/Berlin"), &line),
            (&|| install("Asia/Tokyo"), &line),
            (&spoil, &line),
            (&|| install("Europe/Berlin"), &line),
            (&remove, &line),
            (&|| install("Asia/Tokyo"), &line),
        ],
    );
    let hours = ["13", "21", "12", "13", "12", "21"];
    let wanted = hours.map(|hour| format!("2026-11-21 {hour}:10:56.173027500\n").repeat(2));
    assert_eq!(seen, wanted.concat());
}

fn a_zone_file_is_read_once(sandbox: &Sandbox) {
    if !zone_is_here("Europe/Berlin") || !zone_is_here("Asia/Tokyo") {
        return;
    }
    let install = |zone: &str| {
        fs::copy(format!("/usr/share/zoneinfo/{zone}"), sandbox.path("new")).unwrap();
        fs::rename(sandbox.path("new"), sandbox.path("zone")).unwrap();
    };
    let mut command = sandbox.command("tai64nlocal");
    command.env("TZ", sandbox.path("zone"));
    let seen = converse(
        sandbox,
        command,
        &[
            (&|| install("Europe/Berlin"), "@400000006b018a5a0a5030ac\n"),
            (&|| install("Asia/Tokyo"), "@400000006b018a5a0a5030ac\n"),
        ],
    );
    assert_eq!(seen, "2026-11-21 13:10:56.173027500\n".repeat(2));
}

fn zone_is_read_only_for_labels(sandbox: &Sandbox) {
    // Reading this zone would wait for a writer of the FIFO.
    sandbox.sh("mkfifo zone").succeeds();
    converts(
        sandbox,
        &sandbox.path("zone").display().to_string(),
        "a\n",
        "a\n",
    );
}
