//! The examples of a document, typed into a shell.
//!
//! A literal block that begins with a prompt is a part of a session: `$ ` for any
//! user, `# ` for root. The lines after a command, up to the next prompt or the
//! end of the block, are its output. A here-document, and a line that a
//! backslash continues, belong to the command. The blocks of one section are
//! typed into one shell, in their order, in an empty home directory. Sections
//! that need root are skipped for other users, with a message.
//!
//! Standard output and error, together, are compared byte for byte except for
//! masked parts: see [`super::mask`].

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use testkit::{Running, Sandbox};

use super::mask::alike;

/// Programs that show the state of other processes. The test repeats them until
/// their output is as in the document.
const POLLED: [&str; 11] = [
    "cat",
    "grep",
    "head",
    "ls",
    "ps",
    "svlog",
    "svok",
    "svps",
    "svstat",
    "tail",
    "tai64nlocal",
];

/// The time limit for the repetition of a polled program.
const POLL_TIMEOUT: Duration = Duration::from_secs(60);

/// The shell reads names of files from a FIFO and executes these files.
const SHELL: &str = r#"
session=$1
exec 9<"$2"
while read -r step <&9; do
    . "$session/$step" >"$session/$step.out" 2>&1 </dev/null 9<&-
    : >"$session/$step.done"
done
"#;

/// The examples of a section.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Session {
    /// The section's title.
    pub(super) title: String,
    /// The commands in their order.
    pub(super) steps: Vec<Step>,
}

/// An example: a command and its output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The typed lines.
    pub(super) command: String,
    /// The expected output.
    pub(super) prints: String,
    /// Whether the prompt is that of root.
    pub(super) as_root: bool,
}

impl Session {
    /// The sessions of a page of the manual, in mdoc.
    pub(super) fn of_manual(source: &str) -> Vec<Session> {
        let mut literal = false;
        Self::of_document(source, |line| {
            if let Some(title) = line.strip_prefix(".Sh ") {
                return Line::Title(title);
            }
            let was = literal;
            literal = line.starts_with(".Bd -literal") || literal && line != ".Ed";
            if was && literal {
                Line::Literal(unescaped(line))
            } else {
                Line::Text
            }
        })
    }

    /// The sessions of a document in Markdown, in which literal text is
    /// indented by four spaces.
    pub(super) fn of_markdown(source: &str) -> Vec<Session> {
        let mut literal = false;
        Self::of_document(source, |line| {
            if let Some(title) = line.strip_prefix("## ") {
                return Line::Title(title);
            }
            let indented = line.strip_prefix("    ");
            literal = indented.is_some() || literal && line.is_empty();
            if literal {
                Line::Literal(indented.unwrap_or("").to_owned())
            } else {
                Line::Text
            }
        })
    }

    fn of_document<'a>(source: &'a str, mut kind: impl FnMut(&'a str) -> Line<'a>) -> Vec<Self> {
        let mut sessions = vec![Session::default()];
        let mut block = String::new();
        for line in source.lines() {
            match kind(line) {
                Line::Literal(line) => block.extend([&line, "\n"]),
                Line::Text => sessions.last_mut().unwrap().take(&mut block),
                Line::Title(title) => {
                    sessions.last_mut().unwrap().take(&mut block);
                    sessions.push(Session {
                        title: title.to_owned(),
                        steps: Vec::new(),
                    });
                }
            }
        }
        sessions.last_mut().unwrap().take(&mut block);
        sessions.retain(|session| !session.steps.is_empty());
        sessions
    }

    /// Adds the commands of a block, if it has any, and empties the block.
    fn take(&mut self, block: &mut String) {
        let block = std::mem::take(block);
        // In Markdown, an empty line between text and text belongs to neither.
        let block = block.trim_end_matches('\n').to_owned() + "\n";
        if prompt(&block).is_none() {
            return;
        }
        let mut lines = block.lines();
        while let Some(line) = lines.next() {
            let Some((as_root, line)) = prompt(line) else {
                let step = self.steps.last_mut().unwrap();
                step.prints.extend([line, "\n"]);
                continue;
            };
            let mut command = line.to_owned();
            while command.ends_with('\\') {
                command.extend(["\n", lines.next().unwrap()]);
            }
            if let Some((_, end)) = line.split_once("<<") {
                let end = end
                    .split_whitespace()
                    .next()
                    .unwrap_or("")
                    .trim_matches('\'');
                loop {
                    let line = lines.next().unwrap_or_else(|| panic!("{line} has no end"));
                    command.extend(["\n", line]);
                    if line == end {
                        break;
                    }
                }
            }
            self.steps.push(Step {
                command,
                prints: String::new(),
                as_root,
            });
        }
    }

    /// Types the session and compares its output.
    pub(super) fn play(&self, sandbox: &Sandbox) {
        if self.steps.iter().any(|step| step.as_root) && !geteuid().is_root() {
            return testkit::skip(&self.title, "these examples are for root");
        }
        let shell = Shell::start(sandbox, &self.title);
        let mut typed = String::new();
        for step in &self.steps {
            writeln!(typed, "$ {}", step.command).unwrap();
            let mut shown = shell.type_in(&step.command);
            let first = step.command.split_whitespace().next().unwrap();
            if POLLED.contains(&first) {
                let start = Instant::now();
                while !alike(&shown, &step.prints) && start.elapsed() < POLL_TIMEOUT {
                    shown = shell.type_in(&step.command);
                }
            }
            assert!(
                alike(&shown, &step.prints),
                "{}:\n{typed}shows\n{shown}and not\n{}",
                self.title,
                step.prints
            );
            typed += &shown;
        }
    }
}

enum Line<'a> {
    Title(&'a str),
    Literal(String),
    Text,
}

/// The command after a prompt, and whether the prompt is that of root.
fn prompt(line: &str) -> Option<(bool, &str)> {
    let as_anyone = line.strip_prefix("$ ").map(|line| (false, line));
    as_anyone.or_else(|| line.strip_prefix("# ").map(|line| (true, line)))
}

/// A line without the two escapes of literal text. Others are an error.
fn unescaped(line: &str) -> String {
    let plain = line.replace(r"\&", "").replace(r"\e", "\0");
    assert!(!plain.contains('\\'), "unknown escape: {line}");
    plain.replace('\0', "\\")
}

/// A shell that runs the commands of a session.
struct Shell<'a> {
    sandbox: &'a Sandbox,
    _running: Running,
    fifo: fs::File,
}

impl<'a> Shell<'a> {
    fn start(sandbox: &'a Sandbox, title: &str) -> Self {
        let (home, session) = (sandbox.path(title), sandbox.path("session"));
        fs::create_dir_all(&home).unwrap();
        fs::create_dir_all(&session).unwrap();
        let fifo = session.join(title);
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let both = fs::OpenOptions::new().read(true).write(true).open(&fifo);
        let mut shell = sandbox.command("sh");
        shell.args(["-c", SHELL, "sh"]).arg(session).arg(fifo);
        shell.current_dir(&home).env("HOME", &home);
        shell.env("TZ", "UTC").env("LC_ALL", "C");
        // A process group of its own: signals to the group do not reach the tests.
        shell.process_group(0);
        Shell {
            sandbox,
            _running: sandbox.start(shell),
            fifo: both.unwrap(),
        }
    }

    /// Types a command and returns its output.
    fn type_in(&self, line: &str) -> String {
        static STEPS: AtomicU32 = AtomicU32::new(0);
        let step = STEPS.fetch_add(1, Ordering::Relaxed);
        let file = |end| format!("session/{step}{end}");
        self.sandbox.write(file(""), line.to_owned() + "\n");
        (&self.fifo)
            .write_all(format!("{step}\n").as_bytes())
            .unwrap();
        self.sandbox.wait_until(&format!("{line} is done"), || {
            self.sandbox.exists(file(".done"))
        });
        String::from_utf8(self.sandbox.read(file(".out"))).unwrap()
    }
}
