//! The version of the workspace: printed by -V, and changed everywhere at once.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::{Sandbox, ours};

const TREE: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");

ours!(
    additions_print_their_version,
    version_on_full_device_is_an_error,
);

fn additions_print_their_version(sandbox: &Sandbox) {
    for program in ["svlog", "svperms", "svps", "svwait"] {
        let line = format!("{program} (daemontools-rs) {VERSION}\n");
        sandbox.sh(&format!("{program} -V")).prints(&line);
        sandbox.sh(&format!("{program} -V nothing")).prints(&line);
    }
    sandbox
        .sh("svwait -dVt 1")
        .prints(format!("svwait (daemontools-rs) {VERSION}\n"));
}

fn version_on_full_device_is_an_error(sandbox: &Sandbox) {
    sandbox.sh("svps -V > /dev/full").is(
        111,
        "",
        "svps: fatal: unable to write output: out of disk space\n",
    );
}

/// The packages of the project in a lock file, each with its version.
fn locked(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap();
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("name = \"daemontools") {
            let version = lines.next().unwrap().strip_prefix("version = \"").unwrap();
            let name = name.trim_end_matches('"');
            found.push((name.to_owned(), version.trim_end_matches('"').to_owned()));
        }
    }
    found
}

/// Copies the files of a directory with their modes.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The files with this text below a directory.
fn files_with(text: &str, directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(text, &path, found);
        } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(text) {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn set_version_changes_every_copy() {
    let tree = tempfile::tempdir().unwrap();
    copy(
        &Path::new(TREE).join("packaging"),
        &tree.path().join("packaging"),
    );
    fs::create_dir(tree.path().join("fuzz")).unwrap();
    for file in [
        "Cargo.toml",
        "Cargo.lock",
        "fuzz/Cargo.lock",
        "CHANGELOG.md",
    ] {
        fs::copy(Path::new(TREE).join(file), tree.path().join(file)).unwrap();
    }
    let set_version = |arguments: &[&str]| {
        let mut command = Command::new(tree.path().join("packaging/set-version"));
        let output = command.args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // The next release, and a later one: no text contains the version of either.
    let next = "1.0.0";
    assert_eq!(set_version(&[next]), format!("{VERSION} -> {next}\n"));
    let changelog = tree.path().join("CHANGELOG.md");
    let before = fs::read_to_string(&changelog).unwrap();
    let before = format!("# Changelog\n\n## [Unreleased]\n\n{before}");
    fs::write(&changelog, before).unwrap();

    assert_eq!(
        set_version(&["98.7.65", "2031-02-03"]),
        format!("{next} -> 98.7.65\n")
    );

    let manifest = fs::read_to_string(tree.path().join("Cargo.toml")).unwrap();
    let own = manifest
        .lines()
        .filter(|line| line.starts_with("version =") || line.contains("path = \""));
    for line in own.filter(|line| line.contains("version =")) {
        assert!(line.contains("98.7.65\""), "{line}");
    }
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let packages = locked(&tree.path().join(lock));
        assert!(packages.len() > 5, "{packages:?}");
        for (name, version) in packages {
            let expected = if name == "-fuzz" { "0.0.0" } else { "98.7.65" };
            assert_eq!(version, expected, "{lock}: daemontools{name}");
        }
    }
    let changelog = fs::read_to_string(changelog).unwrap();
    assert!(changelog.starts_with("# Changelog\n\n## [98.7.65] - 2031-02-03\n"));
    for version in [VERSION, next] {
        let mut left = Vec::new();
        files_with(version, &tree.path().join("packaging"), &mut left);
        assert!(left.is_empty(), "files with {version}: {left:?}");
    }
}

#[test]
fn set_version_refuses_other_words() {
    for word in ["", "1.0", "v1.0.0", "1.0.0-rc", "1.0.x"] {
        let mut command = Command::new(Path::new(TREE).join("packaging/set-version"));
        let output = command.arg(word).output().unwrap();
        assert_eq!(output.status.code(), Some(100), "{word}: {output:?}");
    }
}

/// A name of a package of the project in a document has no version, which would be
/// wrong after the next release.
#[test]
fn documents_name_packages_without_version() {
    for folder in ["doc", "man", "completions"] {
        let mut found = Vec::new();
        files_with(
            &format!("daemontools-rs-{VERSION}"),
            &Path::new(TREE).join(folder),
            &mut found,
        );
        assert!(found.is_empty(), "{found:?}");
    }
}
