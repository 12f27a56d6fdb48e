//! The commands of introductory documents, typed literally. The results match
//! the documents.

mod introduction;
mod order;
mod readme;
mod supervision;

use std::fs;

use nix::unistd::Pid;
use testkit::{Outcome, Running, Sandbox};

/// Directories of a document that are below the working directory of the
/// sandbox.
const MOVED: [&str; 3] = ["/etc/", "/usr/local/", "/var/"];

/// Makes empty directories /etc/sv and /etc/service and starts svscan in the
/// latter.
fn machine(sandbox: &Sandbox) -> Running {
    typed(sandbox, "mkdir -p /etc/sv /etc/service").succeeds();
    let mut svscan = sandbox.command("svscan");
    svscan.arg(sandbox.path("etc/service"));
    sandbox.start(svscan)
}

/// Types lines of a document into bash, without their common indentation.
#[track_caller]
fn typed(sandbox: &Sandbox, lines: &str) -> Outcome {
    sandbox.run(terminal(sandbox, lines))
}

/// A command that runs lines of a document in bash, in the home directory.
fn terminal(sandbox: &Sandbox, lines: &str) -> std::process::Command {
    let margin = lines
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let mut script = lines.lines().fold(String::new(), |script, line| {
        script + line.get(margin..).unwrap_or("") + "\n"
    });
    for path in MOVED {
        script = script.replace(path, &format!("{}{path}", sandbox.dir().display()));
    }
    let mut bash = sandbox.command("bash");
    bash.arg("-c").arg(script).env("HOME", sandbox.dir());
    bash
}

/// Types lines until they print `wanted`, in which `N` stands for any number.
#[track_caller]
fn awaited(sandbox: &Sandbox, lines: &str, wanted: &str) {
    let mut last = String::new();
    sandbox.wait_until(&format!("{lines} prints {wanted}"), || {
        last = shown(sandbox, &typed(sandbox, lines).stdout);
        last == wanted
    });
}

/// Output with the paths of the document, and with `N` for each number.
fn shown(sandbox: &Sandbox, output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output).replace(&*sandbox.dir().to_string_lossy(), "");
    let mut masked = String::new();
    for character in text.chars() {
        if !character.is_ascii_digit() {
            masked.push(character);
        } else if !masked.ends_with('N') {
            masked.push('N');
        }
    }
    masked
}

/// The number that follows `word` in a line of svstat: the pid after `(pid`, or
/// the seconds after `)`.
fn number_after(word: &str, sentence: &str) -> Option<i32> {
    let (_, rest) = sentence.split_once(word)?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..end].parse().ok()
}

/// The pid of a service that is up.
fn pid(sandbox: &Sandbox, service: &str) -> Option<i32> {
    number_after("(pid", &typed(sandbox, &format!("svstat {service}")).text())
}

/// The lines of a log file, without time stamps.
fn log(sandbox: &Sandbox, current: &str) -> String {
    typed(
        sandbox,
        &format!("tai64nlocal < {current} | cut -d ' ' -f 3-"),
    )
    .text()
}

/// The parent of a process that has not ended.
pub(crate) fn parent(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let parent = after_name.split_whitespace().nth(1)?.parse().ok()?;
    Some(Pid::from_raw(parent))
}

/// The commands of a process and its descendants, each below its parent, as
/// `ps -AH` prints them.
fn tree(sandbox: &Sandbox, root: Pid) -> String {
    fn grow(processes: &[(Pid, Pid, String)], pid: Pid, depth: usize) -> String {
        let mut children: Vec<_> = processes
            .iter()
            .filter(|(_, parent, _)| *parent == pid)
            .map(|(child, _, _)| grow(processes, *child, depth + 1))
            .collect();
        children.sort();
        let own = processes.iter().find(|process| process.0 == pid);
        let command = own.map_or("", |(_, _, command)| command);
        format!("{}{command}\n{}", "  ".repeat(depth), children.concat())
    }
    let processes: Vec<_> = sandbox
        .processes()
        .into_iter()
        .filter_map(|pid| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let command = command.replace(&*sandbox.dir().to_string_lossy(), "");
            Some((pid, parent(pid)?, command.trim_end().to_owned()))
        })
        .collect();
    grow(&processes, root, 0)
}
