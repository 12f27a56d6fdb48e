//! Command lines for chpst, by its own name and by others.

use testkit::random::{Pair, compare};

use super::batch::{Run, bytes, compare_runs};

const RUNS: usize = 8;

/// argv[0]: usually `chpst`, otherwise another program's name or any bytes.
fn argv0(random: &mut fastrand::Rng) -> Vec<u8> {
    let name = *random
        .choice(&["envdir", "envuidgid", "pgrphack", "setuidgid", "softlimit"])
        .unwrap();
    match random.u8(0..12) {
        0 => bytes(random, b"ab/-\xff ", 0..7),
        1 => format!("./{name}").into_bytes(),
        2 | 3 => name.as_bytes().to_vec(),
        4 => b"/usr/bin/chpst".to_vec(),
        _ => b"chpst".to_vec(),
    }
}

/// A limit. The flag is true if the limit may prevent the start of a child.
fn limit(random: &mut fastrand::Rng) -> (Vec<u8>, bool) {
    match random.u8(0..12) {
        0..=3 => (random.u64(1 << 32..1 << 45).to_string().into_bytes(), false),
        4 => (bytes(random, b"0123456789", 20..40), true),
        5 => (random.u64(u64::MAX - 9..).to_string().into_bytes(), false),
        6 => (
            random
                .u64(i64::MAX as u64 - 3..1 << 63 | 3)
                .to_string()
                .into_bytes(),
            false,
        ),
        7 => (random.u64(0..100_000).to_string().into_bytes(), true),
        8 => (Vec::new(), true),
        _ => (bytes(random, b"0123456789=-+ kx\n\xff", 1..5), true),
    }
}

fn increment(random: &mut fastrand::Rng) -> Vec<u8> {
    match random.u8(0..6) {
        0 => random.u64(..).to_string().into_bytes(),
        1 => bytes(random, b"0123456789-+ x", 0..4),
        2 => format!("-{}", random.u32(..)).into_bytes(),
        _ => random.u8(0..12).to_string().into_bytes(),
    }
}

/// A user and groups. root is frequent, so that later options succeed too.
fn user_and_groups(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut text = Vec::new();
    match random.u8(0..8) {
        0 => return bytes(random, b":0123x\xff", 0..8),
        1 => return format!(":{}:{}", random.u64(..), random.u64(..)).into_bytes(),
        2 => {
            text = random.u8(0..9).to_string().into_bytes();
            text.insert(0, b':');
            let few = random.u8(0..8) > 0;
            for _ in 0..random.u8(if few { 0..4 } else { 57..63 }) {
                text.push(b':');
                text.extend(bytes(random, b"0123456789", 0..4));
            }
        }
        _ => {
            let users: [&[u8]; 6] = [b"root", b"root", b"daemon", b"bin", b"nosuch", b""];
            text.extend(*random.choice(&users).unwrap());
            let few = random.u8(0..8) > 0;
            for _ in 0..random.u8(if few { 0..3 } else { 57..63 }) {
                let groups: [&[u8]; 5] = [b":root", b":daemon", b":adm", b":tty", b":bin"];
                text.extend(*random.choice(&groups).unwrap());
            }
            if random.u8(0..12) == 0 {
                text.extend(bytes(random, b":nx", 0..3));
            }
        }
    }
    text
}

fn path(random: &mut fastrand::Rng) -> Vec<u8> {
    let paths = [
        "env", "env", "env", "env/SUB", "env/", "empty", "more", "nope", "", "file", ".",
    ];
    random.choice(paths).unwrap().as_bytes().to_vec()
}

fn words(random: &mut fastrand::Rng, argv0: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut starved = false;
    let operands: &[&[u8]] = if argv0.ends_with(b"envdir") {
        &[b"env", b"more", b"nope", b"empty", b"file", b"-e"]
    } else if argv0.ends_with(b"uidgid") {
        &[
            b"root",
            b"daemon",
            b"nosuch",
            b"root:daemon",
            b":1:1",
            b"--",
        ]
    } else {
        &[]
    };
    if let Some(operand) = random.choice(operands) {
        words.push(operand.to_vec());
    }
    for _ in 0..random.usize(0..if operands.is_empty() { 6 } else { 2 }) {
        match random.u8(0..24) {
            0 => words.push(b"--".to_vec()),
            1 => words.push(b"-".to_vec()),
            2 => {
                words.push([b"-".to_vec(), bytes(random, b"zAVvP:?m=\xff", 1..3)].concat());
                starved = true;
            }
            3 => words.push([b"-".to_vec(), bytes(random, b"vP0", 1..4)].concat()),
            _ => {
                let letter = *random.choice(b"uuuUUUbeee/nnlLmdopfcrmdofcasl").unwrap();
                let (value, low) = match letter {
                    b'u' | b'U' => (user_and_groups(random), false),
                    b'e' => (path(random), false),
                    b'/' => (path(random), true),
                    b'b' => (bytes(random, b"ab/- \xff", 0..4), false),
                    b'n' => (increment(random), false),
                    b'l' | b'L' => {
                        let locks: [&[u8]; 5] = [b"lock", b"other", b"no/lock", b"env", b""];
                        (random.choice(locks).unwrap().to_vec(), false)
                    }
                    _ => limit(random),
                };
                starved |= low;
                let mut word = vec![b'-', letter];
                if random.bool() {
                    word.extend(value);
                    words.push(word);
                } else {
                    words.extend([word, value]);
                }
            }
        }
    }
    let ids = "nice; grep -E '^(Uid|Gid|Groups)' /proc/self/status; echo $0 $*";
    let child: &[&str] = if random.bool() {
        &["cat", "/proc/self/environ", "/proc/self/limits"]
    } else {
        &["sh", "-c", ids, "zero", "-x"]
    };
    match random.u8(0..16) {
        0 => {}
        1 | 2 => words.push(b"nope".to_vec()),
        _ if starved => words.push(b"./nope".to_vec()),
        _ => words.extend(child.iter().map(|word| word.as_bytes().to_vec())),
    }
    words
}

/// Makes the files that some words name, on both sides.
fn make_files(pair: &Pair) {
    for sandbox in [&pair.reference, &pair.ours] {
        sandbox.write("env/A", "a \t\nsecond");
        sandbox.write("env/PATH", "/nope");
        sandbox.write("env/UID", "x\0y\n");
        sandbox.write("env/EMPTY", "");
        sandbox.write("env/SUB/B", "b");
        sandbox.sh("ln -s nope env/DANGLES; mkdir empty").succeeds();
        sandbox.write("more/A=B", "\n");
        sandbox.write("more/.A", "\n");
        sandbox.sh("ln -s A=B more/LINK").succeeds();
        sandbox.write("file", "");
    }
}

#[test]
fn chpst_command_lines_match_reference() {
    if !testkit::is_root("chpst_command_lines_match_reference") {
        return;
    }
    let mut made = false;
    compare(
        "chpst, 8 command lines each",
        env!("CARGO_BIN_EXE_svok"),
        60,
        |random, pair| {
            if !made {
                make_files(pair);
                made = true;
            }
            let runs: Vec<_> = (0..RUNS)
                .map(|_| {
                    let argv0 = argv0(random);
                    let words = words(random, &argv0);
                    Run {
                        program: "chpst",
                        argv: std::iter::once(argv0).chain(words).collect(),
                        environment: [&b"PATH=/bin:/usr/bin"[..], b"GID=x", b"A=1", b"EMPTY=2"]
                            .map(<[u8]>::to_vec)
                            .to_vec(),
                    }
                })
                .collect();
            compare_runs(pair, "", &runs);
        },
    );
}
