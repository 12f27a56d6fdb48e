//! Files passwd, group and nsswitch.conf, for envuidgid and chpst.

use testkit::random::{Pair, compare};

use super::batch::{Run, bytes, compare_runs};
use crate::compliance::chain::{MOUNT, has_extrausers, not_shown};

/// No numbers, which getent takes for IDs.
const NAMES: [&[u8]; 12] = [
    b"a", b"b", b"ab", b"root", b"", b"A", b"0a", b"-a", b"+a", b"#a", b" a", b"\xff",
];

/// Lines of nsswitch.conf that all versions of glibc read alike.
const SERVICES: [&str; 12] = [
    "files",
    "files",
    "files",
    "files extrausers",
    "files extrausers",
    "extrausers files",
    "extrausers",
    "compat extrausers",
    "files [NOTFOUND=return] extrausers",
    "files [!UNAVAIL=return] extrausers",
    "files [SUCCESS=continue UNAVAIL=return] extrausers",
    "nosuch files",
];

fn name(random: &mut fastrand::Rng) -> Vec<u8> {
    random.choice(NAMES).unwrap().to_vec()
}

fn number(random: &mut fastrand::Rng) -> Vec<u8> {
    match random.u8(0..12) {
        0 => bytes(random, b"0123456789-+ \t\0xX", 0..6),
        1 => random
            .u64(u64::from(u32::MAX) - 2..u64::from(u32::MAX) + 3)
            .to_string()
            .into_bytes(),
        2 => format!("-{}", random.u64(u64::MAX - 5..)).into_bytes(),
        3 => bytes(random, b"0123456789", 15..25),
        4 => format!(" +{}", random.u16(..)).into_bytes(),
        _ => random.u16(500..).to_string().into_bytes(),
    }
}

/// An entry: usually complete, sometimes cut or with other bytes.
fn line(random: &mut fastrand::Rng, numbers: usize) -> Vec<u8> {
    let mut line = name(random);
    line.extend(b":x");
    for _ in 0..numbers {
        line.push(b':');
        line.extend(number(random));
    }
    // getent cannot show a further colon.
    let ends: &[&[u8]] = if numbers == 2 {
        &[
            b":a,b",
            b":g:/:/bin/sh",
            b":",
            b"",
            b"::",
            b" ",
            b"\r",
            b":\0x",
        ]
    } else {
        &[b":a,b", b":b", b":", b"", b":,", b" ", b"\r", b":\0x"]
    };
    let end = *random.choice(ends).unwrap();
    line.extend(end);
    match random.u8(0..16) {
        0 => line.truncate(random.usize(..=line.len())),
        1 => line.insert(
            random.usize(..=line.len()),
            *random.choice(b" \t\x0b\0\n#+-\xff").unwrap(),
        ),
        2 => line.extend(b"g".repeat(random.usize(0..9000))),
        _ => {}
    }
    line
}

fn file(random: &mut fastrand::Rng, numbers: usize) -> Vec<u8> {
    let lines: Vec<_> = (0..random.usize(0..9))
        .map(|_| line(random, numbers))
        .collect();
    let mut file = lines.join(&b'\n');
    if random.u8(0..4) > 0 {
        file.push(b'\n');
    }
    file
}

#[test]
fn accounts_match_reference() {
    let test = "accounts_match_reference";
    if !testkit::is_root(test) || !has_extrausers(test) {
        return;
    }
    let mount = ["-m", "mount", "--bind", "/tmp", "/tmp"];
    let status = std::process::Command::new("unshare").args(mount).status();
    if !status.is_ok_and(|status| status.success()) {
        return not_shown("random accounts in a mount namespace");
    }
    compare(
        "accounts, 12 lookups each",
        env!("CARGO_BIN_EXE_svok"),
        60,
        |random, pair: &Pair| {
            let (passwd, group) = (file(random, 2), file(random, 1));
            // The module is the same on both sides; its files are well-formed.
            let module = "a:x:70001:70002::/:/bin/sh\nb:x:70003:70004::/:/bin/sh\n";
            let services = SERVICES;
            let configuration = format!(
                "passwd: {}\ngroup: {}\n",
                random.choice(services).unwrap(),
                random.choice(services).unwrap(),
            );
            for sandbox in [&pair.reference, &pair.ours] {
                sandbox.write("passwd", &passwd);
                sandbox.write("group", &group);
                sandbox.write("nsswitch.conf", &configuration);
                sandbox.write("extrausers/passwd", module);
                sandbox.write("extrausers/group", "a:x:80001:b\nb:x:80002:a\n");
                sandbox.script("mounted", &format!("#!/bin/sh\n{MOUNT}\nexec \"$@\"\n"));
            }
            let runs: Vec<_> = (0..12)
                .map(|_| {
                    let (program, argv): (_, Vec<Vec<u8>>) = if random.bool() {
                        ("envuidgid", vec![b"envuidgid".to_vec(), name(random)])
                    } else {
                        let user = [name(random), b":".to_vec(), name(random)].concat();
                        ("chpst", vec![b"chpst".to_vec(), b"-U".to_vec(), user])
                    };
                    let child = [&b"sh"[..], b"-c", b"echo $UID $GID"].map(<[u8]>::to_vec);
                    Run {
                        program,
                        argv: argv.into_iter().chain(child).collect(),
                        environment: vec![b"PATH=/bin:/usr/bin".to_vec()],
                    }
                })
                .collect();
            compare_runs(pair, "unshare -m ./mounted", &runs);
        },
    );
}
