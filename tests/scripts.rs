//! The shell scripts of the tree.

use std::fs;
use std::path::Path;
use std::process::Command;

const TREE: &str = env!("CARGO_MANIFEST_DIR");

/// With CDPATH, cd may enter another directory, and prints the name of it into
/// `$(cd … && pwd)`.
#[test]
fn scripts_that_change_directory_unset_cdpath() {
    let mut seen = 0;
    for folder in [
        "packaging",
        "packaging/arch",
        "packaging/debian",
        "packaging/html",
        "packaging/rpm",
        "tests",
        "fuzz",
        "demo",
    ] {
        for entry in fs::read_dir(Path::new(TREE).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let Some(first) = text
                .find("cd \"$")
                .filter(|_| text.starts_with("#!/bin/sh"))
            else {
                continue;
            };
            let unset = text.find("\nunset CDPATH\n");
            assert!(unset.is_some_and(|unset| unset < first), "{path:?}");
            seen += 1;
        }
    }
    assert!(seen >= 15, "{seen}");
}

#[test]
fn cdpath_does_not_change_the_source_date() {
    let script = "cd \"$TREE\" && CDPATH=.:/ packaging/source-date";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).env("TREE", TREE);
    let output = command.env("SOURCE_DATE_EPOCH", "5").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "5\n");
}
