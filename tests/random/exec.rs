//! The search for a program: PATH, names, and files of all kinds.

use std::fs;
use std::os::unix::fs::symlink;

use testkit::Sandbox;
use testkit::random::compare;

use super::batch::{Run, compare_runs};

/// Makes the file `t` in a directory, of one of the kinds that execve
/// distinguishes.
fn make(sandbox: &Sandbox, directory: &str, kind: u8) {
    let path = sandbox.path(directory);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir(&path).unwrap();
    let tool = format!("{directory}/t");
    match kind {
        0 => sandbox.script(&tool, &format!("#!/bin/sh\necho {directory} $0 $#\n")),
        1 => sandbox.write(&tool, "#!/bin/sh\necho not executable\n"),
        2 => sandbox.script(&tool, "echo no program\n"),
        3 => sandbox.script(&tool, "#!/no/interpreter\n"),
        4 => fs::create_dir(sandbox.path(&tool)).unwrap(),
        5 => symlink("t", sandbox.path(&tool)).unwrap(),
        6 => symlink("nowhere", sandbox.path(&tool)).unwrap(),
        7 => symlink("../value/t", sandbox.path(&tool)).unwrap(),
        8 => symlink("/bin/echo", sandbox.path(&tool)).unwrap(),
        _ => {}
    }
}

#[test]
fn program_search_matches_reference() {
    const RUNS: usize = 8;
    let long = "l".repeat(300);
    compare(
        "programs looked up, 8 each",
        env!("CARGO_BIN_EXE_svok"),
        75,
        |random, pair| {
            for directory in ["p", "q", "r"] {
                let kind = random.u8(0..12);
                for sandbox in [&pair.reference, &pair.ours] {
                    sandbox.write("value", "");
                    make(sandbox, directory, kind);
                }
            }
            let runs: Vec<_> = (0..RUNS)
                .map(|_| {
                    let elements = [
                        "p", "q", "r", "p", "q", "r", "", ".", "value", "nowhere", "p/", "p/t",
                        &long,
                    ];
                    let path: Vec<_> = (0..random.usize(1..5))
                        .map(|_| random.choice(elements).unwrap())
                        .collect();
                    let names = [
                        "t", "t", "t", "t", "p/t", "./q/t", "", ".", "..", "/", "t/", "p/../r/t",
                        "value", &long,
                    ];
                    let words = ["pgrphack", random.choice(names).unwrap(), "argument"];
                    let mut environment = vec![format!("PATH={}", path.join(":")).into_bytes()];
                    match random.u8(0..8) {
                        0 => environment.clear(),
                        1 => environment.insert(0, b"PATH".to_vec()),
                        2 => environment.push(b"PATH=p:q:r".to_vec()),
                        _ => {}
                    }
                    Run {
                        program: "pgrphack",
                        argv: words.map(|word| word.as_bytes().to_vec()).to_vec(),
                        environment,
                    }
                })
                .collect();
            compare_runs(pair, "", &runs);
        },
    );
}
