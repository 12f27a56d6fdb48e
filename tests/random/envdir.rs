//! Directories of variables, and the environments that envdir changes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use testkit::Sandbox;
use testkit::random::compare;

use super::batch::{Run, bytes, compare_runs};

/// A file of a directory of variables.
#[derive(Debug)]
enum File {
    Regular(Vec<u8>),
    Unreadable(Vec<u8>),
    Directory,
    Fifo,
    Link(Vec<u8>),
}

fn name(random: &mut fastrand::Rng) -> Vec<u8> {
    let common: [&[u8]; 8] = [b"A", b"B", b"C", b"PATH", b"A=B", b"AB", b".A", b"="];
    match random.u8(0..10) {
        0..=6 => random.choice(common).unwrap().to_vec(),
        7 => vec![b'L'; random.usize(1..200)],
        _ => bytes(random, b"ABC=. -\xff\n\x01", 1..5),
    }
}

fn contents(random: &mut fastrand::Rng) -> Vec<u8> {
    match random.u8(0..40) {
        0..=5 => Vec::new(),
        6..=9 => b"value\n".to_vec(),
        10..=12 => bytes(random, b" \t\0\n", 1..6),
        // About the longest string that execve accepts: 131072 with name and NUL.
        13 => {
            let long = random.usize(131_060..131_080);
            [vec![b'x'; long], bytes(random, b" \n", 0..3)].concat()
        }
        14 => vec![b'x'; random.usize(60_000..300_000)],
        15 => bytes(random, b"x \n", 4000..9000),
        16 => (0..random.usize(0..600)).map(|_| random.u8(..)).collect(),
        _ => bytes(random, b"ab =\t\0\n\xff$\r", 0..14),
    }
}

fn file(random: &mut fastrand::Rng) -> File {
    match random.u8(0..100) {
        0 => File::Directory,
        1 => File::Unreadable(contents(random)),
        2..=3 => File::Fifo,
        4..=8 => {
            let target = random.choice(["nowhere", "A", "../value", "/dev/null", "A=B", "."]);
            File::Link(target.unwrap().as_bytes().to_vec())
        }
        _ => File::Regular(contents(random)),
    }
}

fn make(sandbox: &Sandbox, directory: &str, files: &[(Vec<u8>, File)]) {
    let directory = sandbox.path(directory);
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir(&directory).unwrap();
    for (name, file) in files {
        let path = directory.join(OsStr::from_bytes(name));
        // Skips a second file of the same name.
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match file {
            File::Regular(contents) => fs::write(&path, contents).unwrap(),
            File::Unreadable(contents) => {
                fs::write(&path, contents).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
            }
            File::Directory => fs::create_dir(&path).unwrap(),
            File::Fifo => nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
            File::Link(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
        }
    }
}

fn environment(random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    (0..random.usize(0..10))
        .map(|_| {
            let mut entry = name(random);
            if random.u8(0..8) > 0 {
                entry.push(b'=');
                entry.extend(bytes(random, b"ab=\n \xff", 0..6));
            } else if random.bool() {
                entry.clear();
            }
            entry
        })
        .collect()
}

#[test]
fn envdir_directories_match_reference() {
    const DIRECTORIES: usize = 8;
    let root = nix::unistd::geteuid().is_root();
    compare(
        "envdir, 8 directories each",
        env!("CARGO_BIN_EXE_svok"),
        225,
        |random, pair| {
            let mut runs = Vec::new();
            for n in 0..DIRECTORIES {
                let directory = format!("d{n}");
                let files: Vec<_> = (0..random.usize(0..9))
                    .map(|_| (name(random), file(random)))
                    .filter(|(name, _)| name != b"." && name != b"..")
                    .collect();
                for sandbox in [&pair.reference, &pair.ours] {
                    sandbox.write("value", "from a link\n");
                    make(sandbox, &directory, &files);
                }
                let argument = match random.u8(0..40) {
                    0 => "nowhere".to_owned(),
                    1 => String::new(),
                    2 => "value".to_owned(),
                    3..=5 => format!("./{directory}/"),
                    _ => directory,
                };
                let words = ["envdir", &argument, "/bin/cat", "/proc/self/environ"];
                runs.push(Run {
                    program: "envdir",
                    argv: words.map(|word| word.as_bytes().to_vec()).to_vec(),
                    environment: environment(random),
                });
            }
            // Root can read files of mode 0: half of the cases run as nobody.
            let nobody = root && random.bool();
            let wrapper = if nobody {
                "setpriv --reuid=65534 --regid=65534 --clear-groups"
            } else {
                ""
            };
            compare_runs(pair, wrapper, &runs);
        },
    );
}
