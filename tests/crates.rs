//! The packages of Cargo: metadata, files, and the border of the crate for other
//! projects.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The folders of the packages that are published.
fn public_packages() -> Vec<PathBuf> {
    let crates = root().join("crates").read_dir().unwrap();
    let folders = crates.map(|entry| entry.unwrap().path());
    let others = ["", "benches", "fuzz", "tests/vm"].map(|folder| root().join(folder));
    let is_public = |folder: &PathBuf| !manifest(folder).contains("\npublish = false\n");
    let packages: Vec<_> = folders.chain(others).filter(is_public).collect();
    assert!(packages.len() > 5, "{packages:?}");
    packages
}

fn manifest(folder: &Path) -> String {
    read(folder.join("Cargo.toml"))
}

/// The value of a key of the manifest's package, which precedes its other tables in a
/// crate.
fn value<'a>(manifest: &'a str, key: &str) -> Option<&'a str> {
    let (_, package) = manifest.split_once("[package]\n")?;
    let package = package.split("\n[").next()?;
    let mut lines = package.lines();
    lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
}

fn name(manifest: &str) -> &str {
    value(manifest, "name").unwrap().trim_matches('"')
}

#[test]
fn public_crates_have_their_metadata() {
    for folder in public_packages() {
        let manifest = manifest(&folder);
        let name = name(&manifest);
        for key in ["description", "readme"] {
            assert!(value(&manifest, key).is_some(), "{name}: {key}");
        }
        for key in ["version", "license", "rust-version"] {
            let inherited = value(&manifest, &format!("{key}.workspace"));
            assert_eq!(inherited, Some("true"), "{name}: {key}");
        }
        for key in ["categories", "keywords"] {
            let list = value(&manifest, key).unwrap_or_default();
            let words: Vec<_> = list.split('"').skip(1).step_by(2).collect();
            // The limits of the registry.
            assert!((1..=5).contains(&words.len()), "{name}: {key}");
            let fits = |word: &&str| key == "categories" || word.len() <= 20;
            assert!(words.iter().all(fits), "{name}: {words:?}");
        }
    }
}

#[test]
fn internal_versions_are_those_of_the_workspace() {
    let workspace = read("Cargo.toml");
    let (_, package) = workspace.split_once("[workspace.package]\n").unwrap();
    let version = package
        .lines()
        .find_map(|line| line.strip_prefix("version = "));
    let version = version.unwrap();
    let mut paths = BTreeSet::new();
    let dependencies = workspace
        .lines()
        .filter(|line| line.contains("path = \"crates/"));
    for line in dependencies {
        let (_, path) = line.split_once("path = \"").unwrap();
        let folder = root().join(path.split('"').next().unwrap());
        let is_public = public_packages().contains(&folder);
        // Crates of one version belong together.
        let expected = format!("version = \"={}\"", version.trim_matches('"'));
        // Cargo leaves out a dependency for tests without a version.
        assert_eq!(line.contains("version = "), is_public, "{line}");
        assert!(!is_public || line.contains(&expected), "{line}");
        paths.insert(folder);
    }
    for folder in public_packages() {
        assert!(
            folder == root().join("") || paths.contains(&folder),
            "{folder:?}"
        );
    }
}

#[test]
fn readme_is_the_page_of_its_crate() {
    for folder in public_packages() {
        if folder == root().join("") {
            continue;
        }
        let title = format!("# {}\n", name(&manifest(&folder)));
        assert!(
            read(folder.join("README.md")).starts_with(&title),
            "{title}"
        );
        let first = "#![doc = include_str!(\"../README.md\")]\n";
        assert!(
            read(folder.join("src/lib.rs")).starts_with(first),
            "{title}"
        );
    }
}

#[test]
fn packages_contain_licence_and_readme() {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    for folder in public_packages() {
        let mut list = Command::new(&cargo);
        list.args(["package", "--list", "--allow-dirty", "--offline"]);
        let Ok(output) = list.current_dir(&folder).output() else {
            return testkit::skip(
                "cargo package lists licence and README",
                "cargo is not installed",
            );
        };
        let files = String::from_utf8(output.stdout).unwrap();
        let files: BTreeSet<_> = files.lines().collect();
        for file in ["LICENSE", "README.md", "Cargo.toml"] {
            let shown = folder.display();
            assert!(files.contains(file), "{shown}: {file} of {files:?}");
        }
        assert_eq!(read(folder.join("LICENSE")), read("LICENSE"));
    }
}

/// The public items of a source, each up to its body, and the body of an enum, without
/// comments.
fn signatures(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: Vec<_> = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let signature = |start: usize| {
        let line = code[start].trim_start();
        let rest = || code[start..].join("\n");
        let until = |ends: &[char]| rest().split(ends).next().unwrap().to_owned();
        let is_field = |line: &str| {
            let items = ["pub fn ", "pub const ", "pub static ", "pub use "];
            !items.iter().any(|item| line.starts_with(item))
        };
        if line.starts_with("pub enum ") {
            Some(rest().split("\n}").next().unwrap().to_owned())
        } else if line.starts_with("pub struct ") {
            // Private fields in parentheses have no `pub`.
            Some(until(&['{', ';', '(']))
        } else if line.starts_with("pub mod ") {
            None
        } else if line.starts_with("pub ") && is_field(line) {
            Some(line.to_owned())
        } else {
            let is_item = ["pub ", "impl", "type "]
                .iter()
                .any(|word| line.starts_with(word));
            is_item.then(|| until(&['{', ';']))
        }
    };
    (0..code.len()).filter_map(signature).collect()
}

/// The border of the crate has types of std and its own: a search of the source, which
/// knows no types. The crate uses no `type` of its own for them.
#[test]
fn border_of_daemontools_has_no_foreign_types() {
    let mut seen = 0;
    for name in ["daemontools", "core"] {
        for entry in root()
            .join("crates")
            .join(name)
            .join("src")
            .read_dir()
            .unwrap()
        {
            let path = entry.unwrap().path();
            let source = read(&path);
            let imports = source.lines().filter(|line| {
                ["use nix::", "use unix::", "use libc::", "use tai64::"]
                    .iter()
                    .any(|start| line.starts_with(start))
            });
            let imports = imports.collect::<Vec<_>>().join("\n");
            let words = |text: &str| -> BTreeSet<String> {
                let separators =
                    |character: char| !(character.is_alphanumeric() || character == '_');
                text.split(separators).map(str::to_owned).collect()
            };
            let types = words(&imports).into_iter().filter(|word| {
                word.starts_with(char::is_uppercase)
                    || ["nix", "unix", "libc", "tai64"].contains(&word.as_str())
            });
            let mut foreign: BTreeSet<_> = types.collect();
            foreign.extend(["nix", "libc", "tai64", "Errno"].map(str::to_owned));
            // std::os::unix.
            foreign.remove("unix");
            for signature in signatures(&source) {
                seen += 1;
                let used = words(&signature);
                let found: Vec<_> = used.intersection(&foreign).collect();
                assert!(
                    found.is_empty(),
                    "{}: {found:?} in {signature}",
                    path.display()
                );
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn signatures_are_those_of_public_items() {
    let source = "pub fn a(\n    b: u8,\n) -> Result<u8, Errno> {\n    x\n}\n\n/// Pid\n\
        pub(crate) fn c(d: Pid) {}\npub struct E(Pid);\npub enum F {\n    G(Pid),\n}\n\
        pub struct H {\n    pub i: Pid,\n    j: Pid,\n}\nimpl From<Errno> for K {\n";
    assert_eq!(
        signatures(source),
        [
            "pub fn a(\n    b: u8,\n) -> Result<u8, Errno> ",
            "pub struct E",
            "pub enum F {\n    G(Pid),",
            "pub struct H ",
            "pub i: Pid,",
            "impl From<Errno> for K "
        ]
    );
}
