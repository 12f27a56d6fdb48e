//! Lines with all kinds of labels in all kinds of time zones.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use fastrand::Rng;
use testkit::random::compare;
use testkit::{Outcome, Sandbox, say, skip};

const ZONES: &str = "/usr/share/zoneinfo";

/// A zone file of tzdata.
struct Zone {
    /// The name in TZ.
    name: String,
    /// The moments at which the offset from Unix time changes, in order;
    /// among them every leap second.
    changes: Vec<i64>,
    /// The rule after the last change, as in TZ.
    rule: String,
}

/// The installed zones, each under one name. Prints a line if there are none.
fn zones() -> Vec<Zone> {
    let mut files = Vec::new();
    list(Path::new(ZONES), &mut files);
    files.sort();
    let mut seen = HashSet::new();
    let zones: Vec<Zone> = files
        .into_iter()
        .filter_map(|name| {
            let file = fs::read(Path::new(ZONES).join(&name)).unwrap();
            (file.starts_with(b"TZif") && seen.insert(file.clone())).then(|| read(name, &file))
        })
        .collect();
    if zones.is_empty() {
        skip("time zones", "tzdata is not installed");
    } else if !zones.iter().any(|zone| zone.name.starts_with("right/")) {
        say("skipped, tzdata has not installed them: time zones that count leap seconds");
    }
    zones
}

/// The names of all files below a directory of zones, without links: these are
/// further names of the same zones.
fn list(directory: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            list(&path, files);
        } else if kind.is_file() {
            let name = path.strip_prefix(ZONES).unwrap();
            files.push(name.to_str().unwrap().to_owned());
        }
    }
}

/// Zones whose summer or winter lasts some seconds a year, from the tenth second
/// of a minute on.
fn short_seasons() -> impl Iterator<Item = Zone> {
    let seasons = [
        ("2:00:10,J60/3:00:11", 1),
        ("2:00:10,J60/3:00:40", 30),
        ("2:00:10,J60/3:00:59", 49),
        ("2:00:40,J60/3:00:10", 30),
        ("2:00:10,J60/3:01:20", 70),
    ];
    seasons.into_iter().map(|(times, length)| {
        let begins = (0..60).map(|year| {
            // Years from 1970, every fourth with a 29th of February.
            let days = year * 365 + (year + 1) / 4 + 59 + i64::from(year % 4 == 2);
            days * 86_400 + 7210
        });
        Zone {
            name: format!("AAA0BBB,J60/{times}"),
            changes: begins.flat_map(|begin| [begin, begin + length]).collect(),
            rule: String::new(),
        }
    })
}

/// The offsets of parts of a zone file (RFC 9636), with times of 64 bits.
struct Parts {
    /// The second header.
    second: usize,
    /// The types, which follow the changes and a type for each.
    types: usize,
    leaps: usize,
    footer: usize,
    /// The counts of the second header, in its order: flags for UTC and for
    /// standard time, leap seconds, changes, types, letters.
    counts: [usize; 6],
}

fn number(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |n, &byte| n << 8 | i64::from(byte))
}

fn parts(file: &[u8]) -> Parts {
    const HEADER: usize = 44;
    assert!(file[4] >= b'2', "a zone file without Unix time of 64 bits");
    let counts = |at: usize| -> [usize; 6] {
        std::array::from_fn(|n| number(&file[at + 20 + 4 * n..][..4]).try_into().unwrap())
    };
    let [utc, standard, leaps, times, types, letters] = counts(0);
    let second = HEADER + 5 * times + 6 * types + letters + 8 * leaps + standard + utc;
    let counts = counts(second);
    let [utc, standard, leaps, times, types, letters] = counts;
    let types_at = second + HEADER + 9 * times;
    let leaps_at = types_at + 6 * types + letters;
    Parts {
        second,
        types: types_at,
        leaps: leaps_at,
        footer: leaps_at + 12 * leaps + standard + utc,
        counts,
    }
}

fn read(name: String, file: &[u8]) -> Zone {
    let parts = parts(file);
    let [_, _, leaps, times, _, _] = parts.counts;
    let times_at = parts.types - 9 * times;
    let offset = |n: usize| {
        let kind = usize::from(file[times_at + 8 * times + n]);
        number(&file[parts.types + 6 * kind..][..4])
    };
    let mut changes: Vec<i64> = (0..times)
        .filter(|&n| n == 0 || offset(n) != offset(n - 1))
        .map(|n| number(&file[times_at + 8 * n..][..8]))
        .chain((0..leaps).map(|n| number(&file[parts.leaps + 12 * n..][..8])))
        .collect();
    changes.sort_unstable();
    let rule = String::from_utf8(file[parts.footer..].to_vec()).unwrap();
    Zone {
        name,
        changes,
        rule: rule.trim().to_owned(),
    }
}

fn label(moment: i64, nanoseconds: u32) -> String {
    let seconds = moment.wrapping_add(4_611_686_018_427_387_914);
    format!("@{seconds:016x}{nanoseconds:08x}")
}

/// A moment around a change, near the present, or rarely in any year of an int.
fn moment(random: &mut Rng, zone: Option<&Zone>) -> i64 {
    let changes = zone.map_or(&[][..], |zone| &zone.changes);
    match random.choice(changes) {
        Some(change) if random.bool() => change + random.i64(-200..200),
        // Beyond these bounds, the year overflows an int.
        _ if random.u8(..10) == 0 => random.i64(-67_768_040_609_000_000..67_768_036_191_000_000),
        _ => random.i64(-5_000_000_000..8_000_000_000),
    }
}

/// Moments as in a log: most equal or a few seconds later, some far away.
fn walk(random: &mut Rng, zone: Option<&Zone>, steps: usize) -> Vec<i64> {
    let mut now = moment(random, zone);
    (0..steps)
        .map(|_| {
            now = match random.u8(..12) {
                0 => moment(random, zone),
                1..4 => now + random.i64(-3..90),
                4..6 => now + random.i64(-1..3),
                _ => now,
            };
            now.clamp(-67_768_040_609_000_000, 67_768_036_191_000_000)
        })
        .collect()
}

/// A rule in the syntax of TZ, sometimes with an error.
fn description(random: &mut Rng) -> String {
    fn time(random: &mut Rng, hours: std::ops::Range<i8>) -> String {
        let mut text = random.i8(hours).to_string();
        for _ in 0..random.u8(..3) {
            text = format!("{text}:{:02}", random.u8(..60));
        }
        text
    }
    fn day(random: &mut Rng) -> String {
        let day = match random.u8(..3) {
            0 => format!("J{}", random.u16(1..=365)),
            1 => random.u16(0..=365).to_string(),
            _ => format!(
                "M{}.{}.{}",
                random.u8(1..=12),
                random.u8(1..=5),
                random.u8(..7)
            ),
        };
        match random.u8(..3) {
            0 => day,
            _ => format!("{day}/{}", time(random, -30..50)),
        }
    }
    let mut text = random
        .choice(["AAA", "<-03>", "<+0330>", "Abcdefgh"])
        .unwrap()
        .to_owned();
    text += &time(random, -14..14);
    if random.u8(..4) > 0 {
        text += random.choice(["BBB", "<x12>"]).unwrap();
        if random.bool() {
            text += &time(random, -14..14);
        }
        match random.u8(..4) {
            0 => {}
            _ => text = format!("{text},{},{}", day(random), day(random)),
        }
    }
    if random.u8(..8) == 0 {
        // Only before the comma: for an invalid month, glibc reads in front of
        // its table of months, with unpredictable results.
        let at = random.usize(..text.find(',').unwrap_or(text.len()));
        if random.bool() {
            text.remove(at);
        } else {
            let more = ["0", ":", "/", "<", "-", "A"];
            text.insert_str(at, random.choice(more).unwrap());
        }
    }
    text
}

/// Any value of TZ, or none, and the zone if it is one.
fn any_zone<'a>(random: &mut Rng, zones: &'a [Zone]) -> (Option<String>, Option<&'a Zone>) {
    let broken = [
        "",
        ":",
        "nonsense",
        "No/Where",
        "/dev/null",
        "/",
        "\x01",
        "UTC0UTC",
        "é3",
    ];
    match (random.u8(..10), random.choice(zones)) {
        (0, _) => (None, None),
        (1, _) => (random.choice(broken).map(str::to_owned), None),
        (2..6, Some(zone)) => {
            let path = random.choice(["", ":", "/usr/share/zoneinfo/"]).unwrap();
            (Some(format!("{path}{}", zone.name)), Some(zone))
        }
        _ => (Some(description(random)), None),
    }
}

fn digit(random: &mut Rng) -> char {
    char::from(*random.choice(b"0123456789abcdef").unwrap())
}

/// A line with or without a label. Years stay in the range of an int, beyond
/// which 0.76 crashes.
fn line(random: &mut Rng, moment: i64) -> Vec<u8> {
    let bytes = |random: &mut Rng, most: usize| -> Vec<u8> {
        let length = random.usize(..most);
        let among = *random
            .choice(&[&b"@\0 \xffaF0"[..], b"x", b"@0123456789abcdef"])
            .unwrap();
        (0..length)
            .map(|_| *random.choice(among).unwrap())
            .collect()
    };
    let nanoseconds = match random.u8(..4) {
        0 => random.u32(..),
        1 => random.u32(..1000) * 1_000_000,
        _ => random.u32(..1_000_000) * 1000 + 500,
    };
    let label = label(moment, nanoseconds);
    let mut line = match random.u8(..10) {
        0 => [&b"A"[..], &bytes(random, 80)].concat(),
        1 => format!(" {label}").into_bytes(),
        2 => {
            let length = random.usize(..60);
            let more: String = (0..length).map(|_| digit(random)).collect();
            format!("@{more}{}", &label[1..]).into_bytes()
        }
        3 => format!("@{}{}", "0".repeat(random.usize(..10_000)), &label[1..]).into_bytes(),
        4 => format!("{label}@{label}").into_bytes(),
        _ => label.into_bytes(),
    };
    line.push(*random.choice(b" \tAg@\0\xff").unwrap());
    let most = if random.u8(..30) == 0 { 20_000 } else { 90 };
    line.extend(bytes(random, most));
    line
}

/// Runs tai64nlocal on the input: a file, or chunks of this length in bytes.
fn run(sandbox: &Sandbox, zone: Option<&str>, input: &[u8], chunks: Option<usize>) -> Outcome {
    let mut command = sandbox.command("tai64nlocal");
    if let Some(zone) = zone {
        command.env("TZ", zone);
    }
    let mut outcome = if let Some(length) = chunks {
        sandbox.run_with_chunks(command, input.chunks(length))
    } else {
        sandbox.write("in", input);
        command.stdin(fs::File::open(sandbox.path("in")).unwrap());
        sandbox.run(command)
    };
    outcome.what.clear();
    outcome
}

#[test]
fn every_zone_is_right_around_its_changes() {
    let zones: Vec<Zone> = zones().into_iter().chain(short_seasons()).collect();
    let mut turn = zones.iter().cycle();
    let cases = zones.len().try_into().unwrap();
    compare(
        "tai64nlocal: zones",
        env!("CARGO_BIN_EXE_tai64nlocal"),
        cases,
        |random, pair| {
            let zone = turn.next().unwrap();
            let mut moments = Vec::new();
            for change in &zone.changes {
                // Each second around a change, then random ones in the same minutes,
                // for which ours reuses cached offsets.
                moments.extend(change - 3..change + 3);
                moments.extend((0..4).map(|_| change + random.i64(-70..70)));
            }
            moments.extend(walk(random, Some(zone), 300));
            let lines: Vec<String> = moments
                .into_iter()
                .map(|moment| format!("{} {moment}\n", label(moment, 123_456_500)))
                .collect();
            let input = lines.concat();
            let outcome =
                pair.same(|sandbox| run(sandbox, Some(&zone.name), input.as_bytes(), None));
            assert_eq!(outcome.code(), Some(0), "{}", zone.name);
        },
    );
}

#[test]
fn no_zone_undoes_a_change_within_a_minute() {
    for zone in zones() {
        for pair in zone.changes.windows(2) {
            assert!(
                pair[1] - pair[0] >= 60,
                "{} changes twice after {}",
                zone.name,
                pair[0]
            );
        }
        // In its rule, no time of day and no offset has seconds.
        let mut numbers = zone.rule.split(|c: char| c != ':' && !c.is_ascii_digit());
        assert!(
            numbers.all(|time| time.split(':').count() < 3),
            "{}: {}",
            zone.name,
            zone.rule
        );
    }
}

#[test]
fn lines_in_any_zone_print_as_reference() {
    let zones = zones();
    compare(
        "tai64nlocal: lines",
        env!("CARGO_BIN_EXE_tai64nlocal"),
        1300,
        |random, pair| {
            let (name, zone) = any_zone(random, &zones);
            let steps = random.usize(..60);
            let moments = walk(random, zone, steps);
            let lines: Vec<_> = moments
                .into_iter()
                .map(|moment| line(random, moment))
                .collect();
            let mut input = lines.join(&b'\n');
            if random.bool() {
                input.push(b'\n');
            }
            let most = 1 << random.usize(6..14);
            // At most 1000 chunks: each costs two context switches.
            let length = random.usize(1..most).max(input.len() / 1000);
            let chunks = random.bool().then_some(length);
            let _ = pair.same(|sandbox| {
                let outcome = run(sandbox, name.as_deref(), &input, chunks);
                assert_eq!(
                    outcome.code(),
                    Some(0),
                    "{name:?}, {}",
                    input.escape_ascii()
                );
                outcome
            });
        },
    );
}

/// 0.76 crashes on a label whose year overflows; ours copies exactly these lines.
#[test]
fn labels_at_last_year_print_as_reference() {
    let zones = zones();
    compare(
        "tai64nlocal: edge",
        env!("CARGO_BIN_EXE_tai64nlocal"),
        500,
        |random, pair| {
            let (name, _) = any_zone(random, &zones);
            let label = match random.u8(..5) {
                0 => (0..random.usize(..30))
                    .map(|_| char::from(*random.choice(b"0123456789abcdefA@").unwrap()))
                    .collect(),
                1 => label(random.i64(..), random.u32(..))[1..].to_owned(),
                _ => {
                    let edge = *random
                        .choice(&[67_768_036_191_676_800, -67_768_040_609_740_800])
                        .unwrap();
                    let near = if random.bool() { 100_000 } else { 5 };
                    label(edge + random.i64(-near..near), random.u32(..))[1..].to_owned()
                }
            };
            let input = format!("@{label}.\n");
            let theirs = run(&pair.reference, name.as_deref(), input.as_bytes(), None);
            let ours = run(&pair.ours, name.as_deref(), input.as_bytes(), None);
            if theirs.signal() == Some(11) {
                ours.prints(&input);
            } else {
                assert_eq!(theirs, ours, "{name:?}");
            }
        },
    );
}

/// A zone file with a random fault. The changes stay in order: otherwise, the
/// result of glibc's search depends on its first guess.
fn damaged(random: &mut Rng, zone: &Zone) -> Vec<u8> {
    let mut file = fs::read(Path::new(ZONES).join(&zone.name)).unwrap();
    let Parts {
        second,
        types,
        leaps,
        footer,
        counts: [_, _, leap_count, times, kinds, _],
    } = parts(&file);
    let small = random.u8(..4);
    match random.u8(..9) {
        0 => file[random.usize(..44)] = small,
        1 => file[second + random.usize(..44)] = small,
        2 => file.truncate(random.usize(..=file.len())),
        3 if times > 0 => {
            file[types - times + random.usize(..times)] =
                random.usize(..=kinds).try_into().unwrap();
        }
        4 => file[types + random.usize(..6 * kinds)] = random.u8(..),
        5 if leap_count > 0 => {
            file[leaps + 12 * random.usize(..leap_count) + random.usize(8..12)] = random.u8(..);
        }
        6 => {
            // The block with 32 bits alone, as in version 1.
            file.truncate(second);
            file[4] = 0;
        }
        _ => {
            let rule = loop {
                let rule = description(random);
                // glibc mixes a footer without days with those of the default.
                if rule.contains(',') || !rule.contains('B') && !rule.contains('x') {
                    break rule;
                }
            };
            let ends = ["", "\n", "\n\n", "x\n", "\nAAA3", "\n\0\n"].map(str::to_owned);
            let end = match random.usize(..8) {
                n @ ..6 => ends[n].clone(),
                _ => format!("\n{rule}\n"),
            };
            file.truncate(footer);
            file.extend_from_slice(end.as_bytes());
        }
    }
    file
}

/// Runs tai64nlocal on lines for these times, with a file of this name in the
/// directory of zones.
fn run_with_file(
    sandbox: &Sandbox,
    (name, file): (&str, &[u8]),
    zone: &str,
    moments: &[i64],
) -> Outcome {
    sandbox.write(name, file);
    let line = |moment: &i64| format!("{} {moment}\n", label(*moment, 0));
    sandbox.write("in", moments.iter().map(line).collect::<String>());
    let mut command = sandbox.command("tai64nlocal");
    command.env("TZDIR", ".").env("TZ", zone);
    command.stdin(fs::File::open(sandbox.path("in")).unwrap());
    let mut outcome = sandbox.run(command);
    outcome.what.clear();
    outcome
}

#[test]
fn damaged_zone_files_read_as_in_reference() {
    let zones = zones();
    if zones.is_empty() {
        return;
    }
    compare(
        "tai64nlocal: damaged zones",
        env!("CARGO_BIN_EXE_tai64nlocal"),
        600,
        |random, pair| {
            let zone = random.choice(&zones).unwrap();
            let file = damaged(random, zone);
            let moments = walk(random, Some(zone), 60);
            let _ = pair.same(|sandbox| run_with_file(sandbox, ("zone", &file), "zone", &moments));
        },
    );
}

/// The changes of a TZ without days come from the file `posixrules`.
#[test]
fn default_days_are_those_of_the_reference() {
    let zones = zones();
    if zones.is_empty() {
        return;
    }
    compare(
        "tai64nlocal: default days",
        env!("CARGO_BIN_EXE_tai64nlocal"),
        600,
        |random, pair| {
            let zone = random.choice(&zones).unwrap();
            let file = fs::read(Path::new(ZONES).join(&zone.name)).unwrap();
            let offset =
                |random: &mut Rng| format!("{}:{:02}", random.i8(-15..15), random.u8(..60));
            let mut text = format!("AAA{}BBB", offset(random));
            if random.bool() {
                text += &offset(random);
            }
            if random.u8(..4) == 0 {
                text += ",";
            }
            // The first label of a process may lie next to no change: glibc shifts
            // the ends of daylight saving time by its offset for that label.
            let mut moments = vec![-60_000_000_000];
            moments.extend(walk(random, Some(zone), 60));
            // Changes move by the difference of the offsets.
            for change in zone.changes.iter().step_by(random.usize(1..8)) {
                moments.push(change + random.i64(-30..30) * 3600);
            }
            let file = ("posixrules", file.as_slice());
            let _ = pair.same(|sandbox| run_with_file(sandbox, file, &text, &moments));
        },
    );
}
