//! Random input to all filters and to multilog: no program of ours crashes, and
//! output, files and exit status equal those of Debian's.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fastrand::Rng;
use testkit::Outcome;
use testkit::random::compare;

use super::in_memory;
use crate::compliance::multilog::masked;

/// Arguments of multilog that process the text of lines.
const SCRIPTS: [&[&str]; 4] = [
    &["-*@*", "+*a*", "e", "=status", "./m"],
    &["t", "+*", "-*\u{1}*", "s4096", "n100", "./m"],
    &["s4096", "n3", "!cat", "./m"],
    &["t", "e", "=status"],
];

/// Random bytes, uniform or mostly of bytes with a meaning to the programs.
fn noise(random: &mut Rng) -> Vec<u8> {
    let length = random.usize(..30_000);
    let often = *random
        .choice(&[
            &b""[..],
            b"\n",
            b"@\n",
            b"@\n0123456789abcdef",
            b"\0",
            b" *a",
        ])
        .unwrap();
    let mut byte = || match random.choice(often) {
        Some(byte) if random.u8(..8) != 0 => *byte,
        _ => random.u8(..),
    };
    (0..length).map(|_| byte()).collect()
}

/// The exit status and the output of a program, with labels masked.
fn result(outcome: &Outcome) -> (Option<i32>, String, String) {
    assert_eq!(outcome.signal(), None, "{outcome:?}");
    let readable = |bytes: &[u8]| masked(bytes.escape_ascii().to_string());
    (
        outcome.code(),
        readable(&outcome.stdout),
        readable(&outcome.stderr),
    )
}

#[test]
fn noise_passes_filters_unchanged() {
    let (mut bytes, mut crashes) = (0, 0);
    compare("noise", env!("CARGO_BIN_EXE_svok"), 60, |random, pair| {
        let input = noise(random);
        bytes += input.len();
        for script in ["exec tai64n", "exec readproctitle x ............"] {
            pair.same(|sandbox| result(&sandbox.feed(&input, script)));
        }
        // 0.76 crashes at a label without a year: see COMPATIBILITY.md.
        let script = "export TZ=UTC0; exec tai64nlocal";
        let theirs = pair.reference.feed(&input, script);
        let ours = result(&pair.ours.feed(&input, script));
        if theirs.signal() == Some(11) {
            crashes += 1;
            assert_eq!(ours.0, Some(0));
        } else {
            assert!(result(&theirs) == ours, "{theirs:?}\nours: {ours:?}");
        }
        let words = *random.choice(&SCRIPTS).unwrap();
        pair.same(|sandbox| {
            let place = in_memory();
            let file = place.path().join("input");
            fs::write(&file, &input).unwrap();
            let mut command = sandbox.command("multilog");
            command
                .args(words)
                .current_dir(place.path())
                .stdin(fs::File::open(file).unwrap());
            let result = result(&sandbox.run(command));
            let status = fs::read(place.path().join("status")).unwrap_or_default();
            let mut names: Vec<_> = fs::read_dir(place.path().join("m"))
                .into_iter()
                .flatten()
                .map(|entry| entry.unwrap().path())
                .collect();
            names.sort();
            let file = |path: &std::path::PathBuf| {
                let name = masked(path.file_name().unwrap().to_str().unwrap());
                let mode = fs::metadata(path).unwrap().permissions().mode();
                let text = fs::read(path).unwrap().escape_ascii().to_string();
                (name, mode, masked(text))
            };
            let files: Vec<_> = names.iter().map(file).collect();
            (result, masked(status.escape_ascii().to_string()), files)
        });
    });
    testkit::say(&format!(
        "noise: {bytes} bytes written to each of four programs; 0.76's tai64nlocal crashed {crashes} times, ours never"
    ));
}
