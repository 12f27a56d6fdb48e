//! The tests, programs, files and headings that the documents name exist.

use std::path::{Path, PathBuf};

/// The text of a file of the project.
fn read(name: impl AsRef<Path>) -> std::io::Result<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
}

/// Whether the suite contains the test `module::…::name`.
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

#[test]
fn every_program_has_compliance_tests() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compliance");
    for program in testkit::programs() {
        let file = tests.join(program).with_extension("rs");
        assert!(file.exists() || tests.join(program).is_dir(), "{program}");
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

/// The Markdown files of the project, with paths relative to its root.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut directories = vec![root.to_owned()];
    let mut documents = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let (name, path) = (entry.file_name(), entry.path());
            if entry.file_type().unwrap().is_dir() {
                let built = name == "target" || name.as_encoded_bytes().starts_with(b".");
                directories.extend((!built).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    documents
}

#[test]
fn container_page_shows_the_containerfile() {
    let file = read("packaging/container/Containerfile").unwrap();
    let instructions = file.lines().filter(|line| !line.starts_with('#'));
    let block: String = instructions
        .map(|line| ["    ", line, "\n"].concat())
        .collect();
    let page = read("doc/containers.md").unwrap();
    assert!(page.contains(&format!("\n\n{block}\n")), "{block}");
}

#[test]
fn links_point_to_existing_targets() {
    let mut number = 0;
    for document in documents() {
        let text = read(&document).unwrap();
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => document.clone(),
                _ => document.with_file_name(file),
            };
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&target);
            assert!(path.exists(), "{}: {link}", document.display());
            if !anchor.is_empty() {
                let known = anchors(&read(&target).unwrap());
                assert!(
                    known.iter().any(|known| known == anchor),
                    "{}: {link}",
                    document.display()
                );
            }
            number += 1;
        }
    }
    assert!(number > 5, "{number}");
}
