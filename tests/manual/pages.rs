//! Each program has a page that agrees with its options and usage line.

use std::fs;
use std::path::Path;
use std::process::Command;

use cli::{Opt, Program};

use crate::programs::{self, PROGRAMS};

/// Differences between synopsis and usage line: program, text of the synopsis,
/// text of the usage line. The usage line is the reference's, byte for byte.
const USAGE_DIFFERENCES: [(&str, &str, &str); 9] = [
    ("setuidgid", "[-s] ", ""),
    ("supervise", "[-e] ", ""),
    ("runsvdir", " [log]", ""),
    (
        "chpst",
        "[-u user] [-U user]",
        "[-u user[:group]] [-U user[:group]]",
    ),
    ("chpst", "[-l lock] [-L lock]", "[-l|-L lock]"),
    (
        "chpst",
        "[-m bytes] [-d bytes] [-o n] [-p n] [-f bytes] [-c bytes] [-r bytes] [-t seconds]",
        "[-m n] [-d n] [-o n] [-p n] [-f n] [-c n] [-t n]",
    ),
    ("chpst", "[-n inc]", "[-n nice]"),
    ("chpst", "program [arg ...]", "prog"),
    ("svlogd", "[-ttvV]", "[-ttv]"),
];

/// A page of the manual: `NAME.SECTION` and its source.
struct Page {
    file: String,
    source: String,
}

impl Page {
    fn all() -> Vec<Page> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
        let files = fs::read_dir(directory).unwrap().flatten();
        let mut pages: Vec<_> = files
            .map(|file| Page {
                file: file.file_name().into_string().unwrap(),
                source: fs::read_to_string(file.path()).unwrap(),
            })
            .collect();
        pages.sort_by(|one, other| one.file.cmp(&other.file));
        pages
    }

    fn of(program: &Program) -> Page {
        let file = format!("{}.8", program.name);
        let mut pages = Page::all().into_iter();
        pages.find(|page| page.file == file).unwrap()
    }

    /// The lines of a section.
    fn section(&self, title: &str) -> Option<Vec<&str>> {
        let title = format!(".Sh {title}");
        let mut lines = self.source.lines().skip_while(|line| *line != title);
        lines.next()?;
        Some(lines.take_while(|line| !line.starts_with(".Sh ")).collect())
    }

    fn has(&self, title: &str) -> bool {
        self.section(title).is_some_and(|lines| !lines.is_empty())
    }

    /// The synopsis, as it is shown.
    fn synopsis(&self) -> String {
        let shown = self.section("SYNOPSIS").unwrap().into_iter().map(|line| {
            let (request, rest) = line.split_once(' ').unwrap_or((line, ""));
            match request {
                ".Nm" => self.name().to_owned(),
                ".Ar" => rest.to_owned(),
                ".Op" => format!("[{}]", rest.replace("Fl ", "-").replace("Ar ", "")),
                _ => panic!("{}: unknown request: {line}", self.file),
            }
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    fn name(&self) -> &str {
        self.file.rsplit_once('.').unwrap().0
    }

    /// The options that are described, with the names of their values.
    fn options(&self) -> Vec<&str> {
        let lines = self.section("DESCRIPTION").unwrap().into_iter();
        lines
            .filter_map(|line| line.strip_prefix(".It Fl "))
            .collect()
    }

    /// The pages that it refers to, as `NAME.SECTION`.
    fn references(&self) -> Vec<String> {
        let lines = self.source.lines();
        lines
            .filter_map(|line| {
                let line = line.strip_prefix(".It ").map_or(line, |rest| rest);
                let words = line.trim_start_matches('.').strip_prefix("Xr ")?;
                let mut words = words.split(' ');
                Some(format!("{}.{}", words.next()?, words.next()?))
            })
            .collect()
    }
}

/// An option as it is written: its letter, and its value's name.
fn written(option: &Opt, value: &str) -> String {
    let letter = char::from(option.letter);
    option
        .value
        .map_or(letter.to_string(), |name| format!("{letter} {value}{name}"))
}

#[test]
fn every_program_has_a_page() {
    let mut expected: Vec<_> = testkit::programs()
        .iter()
        .map(|name| format!("{name}.8"))
        .chain(["daemontools.7".to_owned(), "service-directory.5".to_owned()])
        .collect();
    expected.sort();
    let pages = Page::all();
    assert_eq!(
        pages.iter().map(|page| &page.file).collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
    for page in pages {
        let (name, section) = page.file.rsplit_once('.').unwrap();
        let title = format!("\n.Dt {} {section}\n", name.to_uppercase());
        assert!(
            page.source.contains(&title),
            "{title} is not in {}",
            page.file
        );
        assert!(
            page.source
                .contains(&format!("\n.Sh NAME\n.Nm {name}\n.Nd ")),
            "{}",
            page.file
        );
    }
}

#[test]
fn every_usage_line_is_known() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let has_one = |name: &&String| {
        let source = fs::read_to_string(sources.join(name).with_extension("rs"));
        let source = source.or_else(|_| fs::read_to_string(sources.join(name).join("main.rs")));
        source.is_ok_and(|source| source.contains(": Program = Program {"))
    };
    let names: Vec<_> = testkit::programs().iter().filter(has_one).collect();
    let known: Vec<_> = PROGRAMS.iter().map(|program| program.name).collect();
    assert_eq!(names, known);
}

#[test]
fn every_page_has_its_sections() {
    for page in Page::all() {
        for section in ["DESCRIPTION", "EXAMPLES", "COMPATIBILITY", "SEE ALSO"] {
            assert!(page.has(section), "{} has no {section}", page.file);
        }
        let of_a_program = page.file.ends_with(".8");
        for section in ["SYNOPSIS", "EXIT STATUS"] {
            assert_eq!(page.has(section), of_a_program, "{}: {section}", page.file);
        }
    }
}

#[test]
fn synopsis_matches_usage_line() {
    for program in PROGRAMS {
        let page = Page::of(program);
        let differences = USAGE_DIFFERENCES
            .iter()
            .filter(|(name, ..)| *name == program.name);
        let synopsis = differences.fold(page.synopsis(), |synopsis, (_, has, usage)| {
            assert!(synopsis.contains(has), "{has} is not in {synopsis}");
            synopsis.replace(has, usage)
        });
        // The usage line of svc is a list of its options.
        match programs::arguments(program) {
            Some(usage) => {
                let usage = usage.replace("[ ", "[").replace(" ]", "]");
                assert_eq!(synopsis, format!("{} {usage}", program.name));
            }
            None => assert_eq!(
                (program.name, synopsis.as_str()),
                ("svc", "svc [-udoxpchaitkq12w+=] [dir ...]")
            ),
        }
    }
}

#[test]
fn usage_line_has_options_of_table() {
    for program in PROGRAMS {
        let written: Vec<_> = program
            .options
            .iter()
            .map(|option| written(option, ""))
            .collect();
        let usage = match program.name {
            "svc" => {
                // The usage line lists the 11 options of 0.76 only.
                let meanings = program.options.iter().take(11);
                let meanings =
                    meanings.map(|option| format!("{} {}", char::from(option.letter), option.help));
                format!("svc options: {}", meanings.collect::<Vec<_>>().join(", "))
            }
            "setlock" => format!("-{} ", written.concat()),
            "softlimit" => format!("[-{}] ", written.join("] [-")),
            _ => continue,
        };
        assert!(
            program.usage.contains(&usage),
            "{usage} is not in {}",
            program.usage
        );
    }
}

#[test]
fn described_options_match_table() {
    for program in PROGRAMS {
        let options = program.options.iter();
        let options: Vec<_> = options.map(|option| written(option, "Ar ")).collect();
        assert_eq!(Page::of(program).options(), options, "{}", program.name);
        let letters: String = program
            .options
            .iter()
            .map(|option| char::from(option.letter))
            .collect();
        if program.options.iter().all(|option| option.value.is_none()) && !letters.is_empty() {
            let synopsis = Page::of(program).synopsis();
            assert!(synopsis.contains(&format!("[-{letters}]")), "{synopsis}");
        }
    }
}

#[test]
fn references_between_pages_resolve() {
    let pages = Page::all();
    let mut number = 0;
    for page in &pages {
        for reference in page.references() {
            let (name, _) = reference.rsplit_once('.').unwrap();
            if let Some(named) = pages.iter().find(|page| page.name() == name) {
                assert_eq!(named.file, reference, "{} refers to it", page.file);
                assert!(named.file != page.file, "{} refers to itself", page.file);
                number += 1;
            } else {
                // A page of the system, not one of ours in another section.
                let section = reference.rsplit_once('.').unwrap().1;
                assert!(
                    ["1", "2", "3", "5"].contains(&section),
                    "{}: {reference}",
                    page.file
                );
                assert!(
                    !testkit::programs().contains(&name.to_owned()),
                    "{reference}"
                );
            }
        }
    }
    assert!(number > 50, "{number}");
}

#[test]
fn overview_names_every_page() {
    let pages = Page::all();
    let overview = pages
        .iter()
        .find(|page| page.file == "daemontools.7")
        .unwrap();
    for page in &pages {
        let reached = page.file == overview.file || overview.references().contains(&page.file);
        assert!(reached, "{}", page.file);
    }
}

#[test]
fn mandoc_lint_is_clean() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let mut mandoc = Command::new("mandoc");
    mandoc
        .args(["-T", "lint", "-W", "style"])
        .current_dir(directory);
    let Ok(outcome) = mandoc
        .args(Page::all().iter().map(|page| &page.file))
        .output()
    else {
        return testkit::skip("the manual's source", "mandoc is not installed");
    };
    // The pages of other packages need not be installed.
    let messages: Vec<_> = String::from_utf8(outcome.stdout)
        .unwrap()
        .lines()
        .filter(|line| !line.contains("STYLE: referenced manual not found"))
        .map(str::to_owned)
        .collect();
    assert_eq!(messages, Vec::<String>::new());
}
