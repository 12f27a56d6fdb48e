//! `make html`: each link and anchor resolves, the index leads to each page, and the
//! pages load nothing from other hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::skip;

const TREE: &str = env!("CARGO_MANIFEST_DIR");

/// A page, and its links and anchors in their order.
#[derive(Default)]
struct Page {
    text: String,
    links: Vec<String>,
    sources: Vec<String>,
    anchors: Vec<String>,
}

impl Page {
    fn parse(text: String) -> Self {
        let mut page = Self::default();
        let tags = text
            .split('<')
            .skip(1)
            .filter_map(|rest| rest.split('>').next());
        let mut in_link = false;
        for tag in tags {
            match tag.split_whitespace().next() {
                Some("a") => {
                    assert!(!in_link, "a link in a link: {tag}");
                    in_link = true;
                }
                Some("/a") => in_link = false,
                _ => {}
            }
            page.links.extend(attribute(tag, "href"));
            page.sources.extend(attribute(tag, "src"));
            page.anchors.extend(attribute(tag, "id"));
        }
        page.text = text;
        page
    }
}

/// The value of an attribute of a tag, without character references.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, value) = tag.split_once(&format!(" {name}=\""))?;
    let value = value.split('"').next()?;
    let decoded = value.replace("&lt;", "<").replace("&gt;", ">");
    Some(decoded.replace("&quot;", "\"").replace("&amp;", "&"))
}

/// Whether the tools are installed; otherwise, the test is skipped.
fn has_tools(test: &str) -> bool {
    for tool in ["mandoc", "cmark-gfm", "make"] {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|folder| folder.join(tool).exists()) {
            skip(test, &format!("there is no {tool}"));
            return false;
        }
    }
    true
}

/// Makes the pages in a new directory.
fn make(directory: &Path) {
    let mut command = Command::new("make");
    let html = format!("HTMLDIR={}", directory.display());
    command
        .args(["--silent", "html", &html])
        .current_dir(TREE)
        .env_remove("MAKEFLAGS");
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{error}");
}

/// The files below a directory, relative to `root`.
fn files(root: &Path, directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(root, &path, found);
        } else {
            found.insert(path.strip_prefix(root).unwrap().to_owned());
        }
    }
}

/// The file that a relative link of a page names.
fn resolve(page: &Path, link: &str) -> PathBuf {
    let mut target = page.parent().unwrap().to_owned();
    for part in link.split('/') {
        match part {
            ".." => assert!(target.pop(), "{}: {link}", page.display()),
            part => target.push(part),
        }
    }
    target
}

fn is_external(link: &str) -> bool {
    link.contains("://")
}

fn assert_external_form(page: &Path, link: &str) {
    let manual = link.strip_prefix("https://manpages.debian.org/");
    assert!(
        manual.is_none_or(|name| !Path::new(TREE).join("man").join(name).exists()),
        "{}: {link} leaves the site for a page of it",
        page.display()
    );
    let host = link
        .strip_prefix("https://")
        .and_then(|rest| rest.split('/').next());
    assert!(
        host.is_some_and(|host| host.contains('.'))
            && link
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"'),
        "{}: {link}",
        page.display()
    );
}

#[test]
fn links_of_html_pages_resolve() {
    if !has_tools("links_of_html_pages_resolve") {
        return;
    }
    let made = tempfile::tempdir().unwrap();
    make(made.path());
    let mut all = BTreeSet::new();
    files(made.path(), made.path(), &mut all);
    let is_page = |file: &&PathBuf| file.extension().is_some_and(|kind| kind == "html");
    let pages: BTreeMap<&Path, Page> = all
        .iter()
        .filter(is_page)
        .map(|file| {
            let text = fs::read_to_string(made.path().join(file)).unwrap();
            (file.as_path(), Page::parse(text))
        })
        .collect();

    let mut reached = BTreeSet::new();
    let mut next = vec![PathBuf::from("index.html")];
    while let Some(file) = next.pop() {
        if !reached.insert(file.clone()) {
            continue;
        }
        let Some(page) = pages.get(file.as_path()) else {
            continue;
        };
        let anchors: BTreeSet<_> = page.anchors.iter().collect();
        assert_eq!(anchors.len(), page.anchors.len(), "{}", file.display());
        assert!(!page.text.contains("<script"), "{}", file.display());
        assert!(!page.text.contains(" align="), "{}", file.display());
        // After a list, Markdown needs a paragraph before the indented lines of code.
        let paragraph_of_code = page.text.contains("<p>$ ") || page.text.contains("<p># ");
        assert!(!paragraph_of_code, "{}", file.display());
        assert!(
            !page.sources.iter().any(|source| is_external(source)),
            "{}",
            file.display()
        );
        for link in page.links.iter().chain(&page.sources) {
            if is_external(link) {
                assert_external_form(&file, link);
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => file.clone(),
                _ => resolve(&file, path),
            };
            assert!(all.contains(&target), "{}: {link}", file.display());
            if !anchor.is_empty() {
                let known = &pages[target.as_path()].anchors;
                assert!(
                    known.iter().any(|known| known == anchor),
                    "{}: {link}",
                    file.display()
                );
            }
            next.push(target);
        }
    }
    assert_eq!(reached, all, "the index leads to each file");

    for page in fs::read_dir(Path::new(TREE).join("man")).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        let file = PathBuf::from(format!("man/{name}.html"));
        assert!(reached.contains(&file), "{name}");
    }
    for document in ["README", "COMPATIBILITY", "CONTRIBUTING", "doc/logs"] {
        let file = PathBuf::from(format!("{document}.html"));
        assert!(reached.contains(&file), "{document}");
    }
    let style = fs::read_to_string(made.path().join("style.css")).unwrap();
    assert!(!style.contains("url(") && !style.contains("@import"));
}

#[test]
fn make_html_names_a_missing_tool() {
    let tools = tempfile::tempdir().unwrap();
    for tool in ["dirname", "mandoc"] {
        std::os::unix::fs::symlink("/usr/bin/dirname", tools.path().join(tool)).unwrap();
    }
    let mut command = Command::new("/bin/sh");
    command.arg(Path::new(TREE).join("packaging/html/build"));
    let output = command.env("PATH", tools.path()).output().unwrap();
    assert_eq!(
        (
            output.status.code(),
            &*String::from_utf8_lossy(&output.stderr)
        ),
        (Some(1), "make html needs Debian's package cmark-gfm.\n"),
    );
}

#[test]
fn make_html_fails_with_its_converter() {
    if !has_tools("make_html_fails_with_its_converter") {
        return;
    }
    for tool in ["cmark-gfm", "mandoc"] {
        let tools = tempfile::tempdir().unwrap();
        let failing = tools.path().join(tool);
        fs::write(&failing, "#!/bin/sh\nexit 3\n").unwrap();
        fs::set_permissions(&failing, fs::Permissions::from_mode(0o755)).unwrap();
        let mut path = std::ffi::OsString::from(tools.path());
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let mut command = Command::new(Path::new(TREE).join("packaging/html/build"));
        command.arg(tools.path().join("html")).env("PATH", path);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{tool}: {output:?}");
    }
}

#[test]
fn make_html_keeps_a_directory_of_others() {
    if !has_tools("make_html_keeps_a_directory_of_others") {
        return;
    }
    let others = tempfile::tempdir().unwrap();
    let file = others.path().join("file");
    fs::write(&file, "kept").unwrap();
    let mut command = Command::new(Path::new(TREE).join("packaging/html/build"));
    let output = command.arg(others.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(fs::read_to_string(file).unwrap(), "kept");
}
