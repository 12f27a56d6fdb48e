//! The documents agree with the tree: tests, programs and files that they name
//! exist.

use std::path::{Path, PathBuf};

/// The text of a file of the project.
fn read(name: impl AsRef<Path>) -> std::io::Result<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
}

/// Whether a test of that path, `module::…::name`, is in the suite.
fn is_a_test(path: &str) -> bool {
    let (module, name) = path.rsplit_once("::").unwrap();
    let module: PathBuf = ["tests"].into_iter().chain(module.split("::")).collect();
    let source = read(module.with_extension("rs")).or_else(|_| read(module.join("mod.rs")));
    source.is_ok_and(|source| source.contains(&format!("\nfn {name}(")))
}

#[test]
fn each_difference_names_its_test() {
    let document = read("COMPATIBILITY.md").unwrap();
    let tables = document.split("| --- | --- | --- |\n").skip(1);
    let rows: Vec<_> = tables
        .flat_map(|table| table.lines().take_while(|line| line.starts_with('|')))
        .collect();
    assert!(rows.len() > 5, "{rows:?}");
    for row in rows {
        let named = row
            .strip_suffix("` |")
            .and_then(|row| row.rsplit('`').next());
        assert!(named.is_some_and(is_a_test), "{row}");
    }
}

#[test]
fn the_readme_names_every_program() {
    let readme = read("README.md").unwrap();
    let (_, programs) = readme.split_once("## The programs").unwrap();
    let (programs, _) = programs.split_once("\n## ").unwrap();
    for program in testkit::programs() {
        let mut words = programs.split(|c: char| !c.is_ascii_alphanumeric());
        assert!(words.any(|word| word == program), "{program}");
    }
}

/// The anchors that GitHub gives to the headings of a document.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let letters = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = letters
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn links_point_to_existing_targets() {
    let mut number = 0;
    for document in [
        "README.md",
        "CHANGELOG.md",
        "COMPATIBILITY.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "packaging/README.md",
        "doc/boot.md",
        "doc/containers.md",
        "doc/many-machines.md",
        "doc/migration.md",
        "doc/troubleshooting.md",
    ] {
        let text = read(document).unwrap();
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => Path::new(document).to_owned(),
                _ => Path::new(document).with_file_name(file),
            };
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&target);
            assert!(path.exists(), "{document}: {link}");
            if !anchor.is_empty() {
                let known = anchors(&read(&target).unwrap());
                assert!(
                    known.iter().any(|known| known == anchor),
                    "{document}: {link}"
                );
            }
            number += 1;
        }
    }
    assert!(number > 5, "{number}");
}
