//! Command lines for softlimit and setlock.

use testkit::random::{Pair, compare};

use super::batch::{Run, bytes, compare_runs};

const RUNS: usize = 8;

/// argv[0]: usually the program's name.
fn argv0(random: &mut fastrand::Rng, program: &str) -> Vec<u8> {
    match random.u8(0..12) {
        0 => format!("./{program}").into_bytes(),
        1 => bytes(random, b"ab/-\xff ", 0..7),
        _ => program.as_bytes().to_vec(),
    }
}

fn run(program: &'static str, argv0: Vec<u8>, words: Vec<Vec<u8>>) -> Run {
    Run {
        program,
        argv: std::iter::once(argv0).chain(words).collect(),
        environment: vec![b"PATH=/bin:/usr/bin".to_vec()],
    }
}

/// A value for a limit. The flag is true if the limit may prevent the start of a
/// child.
fn limit(random: &mut fastrand::Rng) -> (Vec<u8>, bool) {
    match random.u8(0..14) {
        0 => (b"=".to_vec(), false),
        1..=4 => (random.u64(1 << 32..1 << 45).to_string().into_bytes(), false),
        // Wraps at 64 bits, to any value.
        5 => (bytes(random, b"0123456789", 20..40), true),
        6 => (
            random.u64(u64::MAX - 9..=u64::MAX).to_string().into_bytes(),
            false,
        ),
        7 => (random.u64(0..100_000).to_string().into_bytes(), true),
        8 => (Vec::new(), true),
        9 => (b"=".repeat(random.usize(1..4)), false),
        _ => (bytes(random, b"0123456789=-+ kx\n\xff", 1..5), true),
    }
}

fn softlimit_words(random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut starved = false;
    for _ in 0..random.usize(0..5) {
        match random.u8(0..24) {
            0 => words.push(b"--".to_vec()),
            1 => words.push(b"-".to_vec()),
            2 => words.push([b"--".to_vec(), bytes(random, b"acm-=", 1..3)].concat()),
            3 => {
                words.push([b"-".to_vec(), bytes(random, b"zA-:?m =\xff", 1..3)].concat());
                starved = true;
            }
            _ => {
                // -t is left out: the moment of SIGXCPU is not reproducible.
                let letter = *random.choice(b"acdflmoprsmm").unwrap();
                let (value, low) = limit(random);
                starved |= low && b"adlms".contains(&letter);
                let mut word = vec![b'-', letter];
                if random.bool() {
                    word.extend(value);
                    words.push(word);
                } else {
                    words.push(word);
                    if random.u8(0..16) > 0 {
                        words.push(value);
                    } else {
                        // The next word becomes the value.
                        starved = true;
                    }
                }
            }
        }
    }
    match random.u8(0..16) {
        0 => {}
        1..=4 => words.push(b"nope".to_vec()),
        _ if starved => words.push(b"./nope".to_vec()),
        _ => words.extend([b"cat".to_vec(), b"/proc/self/limits".to_vec()]),
    }
    words
}

#[test]
fn softlimit_words_match_reference() {
    compare(
        "softlimit, 8 command lines each",
        env!("CARGO_BIN_EXE_svok"),
        200,
        |random, pair| {
            let runs: Vec<_> = (0..RUNS)
                .map(|_| {
                    let argv0 = argv0(random, "softlimit");
                    run("softlimit", argv0, softlimit_words(random))
                })
                .collect();
            compare_runs(pair, "", &runs);
        },
    );
}

fn setlock_words(random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    for _ in 0..random.usize(0..4) {
        match random.u8(0..12) {
            0 => words.push(b"--".to_vec()),
            1 => words.push(b"-".to_vec()),
            2 => words.push([b"--".to_vec(), bytes(random, b"nNxX-", 1..3)].concat()),
            3 => words.push([b"-".to_vec(), bytes(random, b"nNxXza-:?=\xff", 1..4)].concat()),
            _ => words.push([b"-".to_vec(), bytes(random, b"nNxX", 1..5)].concat()),
        }
    }
    let waits = words.first().is_none_or(|word| !word.starts_with(b"-n"))
        || words.iter().any(|word| word.contains(&b'N'));
    let files = [
        "lock", "no/lock", ".", "", "fifo", "another", "held", "held", "held", "held",
    ];
    // The held lock is used only if no run can block on it.
    let files = if waits { &files[..6] } else { &files };
    if random.u8(0..16) > 0 {
        words.push(random.choice(files).unwrap().as_bytes().to_vec());
    }
    match random.u8(0..8) {
        0 => {}
        1 => words.push(b"nope".to_vec()),
        _ => words.extend(["echo", "ran", "-n"].map(|word| word.as_bytes().to_vec())),
    }
    words
}

/// Holds the lock `held` on both sides.
fn hold_lock(pair: &Pair) {
    for sandbox in [&pair.reference, &pair.ours] {
        let script = "mkfifo fifo; exec setlock held sh -c '>taken; exec sleep 1000'";
        drop(sandbox.start(sandbox.shell(script)));
        sandbox.wait_until("the lock is taken", || sandbox.exists("taken"));
    }
}

#[test]
fn setlock_words_match_reference() {
    let mut held = false;
    compare(
        "setlock, 8 command lines each",
        env!("CARGO_BIN_EXE_svok"),
        125,
        |random, pair| {
            if !held {
                hold_lock(pair);
                held = true;
            }
            let runs: Vec<_> = (0..RUNS)
                .map(|_| {
                    let argv0 = argv0(random, "setlock");
                    run("setlock", argv0, setlock_words(random))
                })
                .collect();
            compare_runs(pair, "", &runs);
            pair.same(|sandbox| sandbox.listing("."));
        },
    );
}
