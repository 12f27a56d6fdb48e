//! The documents that users learn daemontools from, followed to the letter:
//! whatever they tell to type is typed, and does what they say.

mod introduction;
mod order;
mod readme;
mod supervision;

use std::fs;

use testkit::{Outcome, Running, Sandbox};

/// Where a document's directories are found in the sandbox.
const MOVED: [&str; 3] = ["/etc/", "/usr/local/", "/var/"];

/// A machine with empty /etc/sv and /etc/service, svscan running on the
/// latter.
fn machine(sandbox: &Sandbox) -> Running {
    typed(sandbox, "mkdir -p /etc/sv /etc/service").succeeds();
    let mut svscan = sandbox.command("svscan");
    svscan.arg(sandbox.path("etc/service"));
    sandbox.start(svscan)
}

/// Types lines of a document into bash, its margin removed.
#[track_caller]
fn typed(sandbox: &Sandbox, lines: &str) -> Outcome {
    sandbox.run(terminal(sandbox, lines))
}

/// A bash in the home directory that is to run lines of a document.
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
    for place in MOVED {
        script = script.replace(place, &format!("{}{place}", sandbox.dir().display()));
    }
    let mut bash = sandbox.command("bash");
    bash.arg("-c").arg(script).env("HOME", sandbox.dir());
    bash
}

/// Types lines until they print what is wanted, `N` standing for any number.
#[track_caller]
fn awaited(sandbox: &Sandbox, lines: &str, wanted: &str) {
    let mut last = String::new();
    sandbox.wait_until(&format!("{lines} prints {wanted}"), || {
        last = shown(sandbox, &typed(sandbox, lines).stdout);
        last == wanted
    });
}

/// Output as the document has it: in its directories, `N` for any number.
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

/// The number that follows a word in a sentence of svstat's: `pid` or the
/// seconds after `)`.
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

/// What a logger has kept, without the time stamps.
fn log(sandbox: &Sandbox, current: &str) -> String {
    typed(
        sandbox,
        &format!("tai64nlocal < {current} | cut -d ' ' -f 3-"),
    )
    .text()
}

/// The commands of a process and its descendants, each below its parent, as
/// `ps -AH` prints them.
fn tree(sandbox: &Sandbox, root: nix::unistd::Pid) -> String {
    fn grow(processes: &[(i32, i32, String)], pid: i32, depth: usize) -> String {
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
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (_, after_name) = stat.rsplit_once(')')?;
            let parent = after_name.split_whitespace().nth(1)?.parse().ok()?;
            let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let command = command.replace(&*sandbox.dir().to_string_lossy(), "");
            Some((pid.as_raw(), parent, command.trim_end().to_owned()))
        })
        .collect();
    grow(&processes, root.as_raw(), 0)
}
