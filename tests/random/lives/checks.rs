//! The checks after the end of a life.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::time::Duration;

use nix::unistd::Pid;
use testkit::{Sandbox, holds_within, say};

use super::Life;
use super::service::Service;
use crate::processes::{describe, program};

/// The time that processes have to end after svscan: a logger whose supervise
/// was killed, and a `notify`, which supervise does not await.
const AFTERLIFE: Duration = Duration::from_secs(20);

/// The limit of the warnings of a life. A warning repeated without a pause
/// exceeds it.
const WARNINGS: usize = 400;

pub(super) fn check(mut life: Life, ended_early: bool) {
    // Fails after 60 seconds, which is more than the sum of the timeouts.
    let runs = !holds_within(Duration::from_secs(60), || !life.svscan.runs());
    let mut faults = Vec::new();
    life.tell(format!("svscan runs: {runs}"));
    if runs {
        faults.push("svscan does not end".to_owned());
        let left = life.sandbox.processes().into_iter().map(describe);
        faults.extend(left);
    }
    let pid = life.pid;
    let errors = String::from_utf8_lossy(&life.svscan.stderr()).into_owned();
    if errors.contains("strace: ") {
        // A traced process without its tracer cannot start programs.
        say("not checked: strace has failed in a life");
        return;
    }
    life.wait_for_processes(&mut faults);
    check_lines(&life, &mut faults);
    check_kills(&life, &mut faults);
    if errors.lines().count() > WARNINGS {
        faults.push(format!("{} warnings", errors.lines().count()));
    }
    if !runs {
        check_exit(&mut life, ended_early, &mut faults);
    }
    assert!(
        faults.is_empty(),
        "svscan {pid}\n{}\n{}\n{}",
        life.story.join("\n"),
        errors.lines().take(60).collect::<Vec<_>>().join("\n"),
        faults.join("\n")
    );
}

impl Life<'_> {
    /// Waits until no process is left. svscan is not responsible for orphans of
    /// services.
    fn wait_for_processes(&mut self, faults: &mut Vec<String>) {
        // An orphan of a service keeps the input of a logger open.
        self.end_orphans();
        let mut left = Vec::new();
        holds_within(AFTERLIFE, || {
            left = self.sandbox.processes();
            left.retain(|&pid| {
                pid != self.pid && pid != self.svscan.pid() && program(pid) != "strace"
            });
            left.is_empty()
        });
        faults.extend(
            left.into_iter()
                .map(|pid| format!("left: {}", describe(pid))),
        );
        self.end_orphans();
    }
}

/// svscan exits with 0 after SIGTERM. After the end of an essential service, it
/// exits with the code of the last death of that service.
fn check_exit(life: &mut Life, ended_early: bool, faults: &mut Vec<String>) {
    let mut story = life.story.iter();
    let is_essential = story.any(|sentence| sentence.contains("essential"));
    let code = life.svscan.code();
    if ended_early && !is_essential {
        faults.push(format!("svscan ended by itself with {code:?}"));
    }
    let mut codes = vec![0];
    if is_essential {
        // A removed tally cannot be read.
        codes.push(111);
        codes.extend(life.services.iter().filter_map(|service| {
            let tally = service.directory.as_ref()?.join("supervise/death_tally");
            let tally = fs::read(life.sandbox.path(tally)).ok()?;
            let [.., code, signal] = tally[..] else {
                return None;
            };
            Some(match signal {
                0 => i32::from(code),
                _ => 128 + i32::from(signal),
            })
        }));
    }
    if is_essential
        && life
            .services
            .iter()
            .any(|service| service.plan.contains("start "))
    {
        // A start that fails, or is killed, is in no tally.
        codes.extend([3, 137]);
    }
    let is_removed = life
        .services
        .iter()
        .any(|service| service.directory.is_none());
    let is_listed = code.is_some_and(|code| codes.contains(&code));
    let is_unwatched = is_essential && is_removed;
    if !(is_listed || is_unwatched) {
        faults.push(format!("svscan ended with {code:?}, not one of {codes:?}"));
    }
}

/// A line of a log without its label.
fn unlabelled(line: &str) -> &str {
    match line.split_once(' ') {
        Some((label, line)) if label.starts_with('@') => line,
        _ => line,
    }
}

/// A result, or None if the file does not exist. A logger may rename its files.
fn existing<T>(result: io::Result<T>) -> Option<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        result => Some(result.unwrap()),
    }
}

/// The number of lines that a service has recorded as written in `said/ID`, and
/// those of them that are not in `logs/ID`. Labels in front of lines in the log
/// do not count.
pub(crate) fn lost_lines(sandbox: &Sandbox, id: usize) -> (usize, Vec<String>) {
    let id = id.to_string();
    let said = existing(fs::read_to_string(sandbox.path("said").join(&id))).unwrap_or_default();
    let mut log = String::new();
    let files = existing(fs::read_dir(sandbox.path("logs").join(&id)));
    for file in files.into_iter().flatten() {
        let bytes = existing(fs::read(file.unwrap().path())).unwrap_or_default();
        log += &String::from_utf8_lossy(&bytes);
    }
    let kept: HashSet<_> = log.lines().map(unlabelled).collect();
    let lost = said.lines().filter(|line| !kept.contains(line));
    (said.lines().count(), lost.map(str::to_owned).collect())
}

/// Each line that a service has recorded as written is in its log.
fn check_lines(life: &Life, faults: &mut Vec<String>) {
    for service in &life.services {
        if !service.has_logger || service.may_lose.is_some() || service.has_orphan {
            continue;
        }
        let id = service.id;
        let (said, lost) = lost_lines(life.sandbox, id);
        if let [first, .., last] | [first @ last] = &lost[..] {
            let lost = lost.len();
            faults.push(format!(
                "service {id}: {lost} of {said} lines lost: {first} … {last}"
            ));
        }
    }
}

/// A `kill` of the trace, or the start of a program.
enum Event {
    Kill {
        by: Pid,
        program: String,
        to: Pid,
        signal: String,
    },
    Start {
        pid: Pid,
        program: String,
    },
}

fn number(text: &str) -> Option<(i32, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// Reads a line `PID<PROGRAM> TIME CALL(…`.
fn parse(line: &str) -> Option<(f64, Event)> {
    let (pid, rest) = number(line)?;
    let (by, rest) = rest.strip_prefix('<')?.split_once("> ")?;
    let (time, call) = rest.trim_start().split_once(' ')?;
    let time = time.parse().ok()?;
    let pid = Pid::from_raw(pid);
    if let Some(call) = call.strip_prefix("execve(\"") {
        let (program, _) = call.split_once('"')?;
        let program = program.rsplit('/').next()?.to_owned();
        return Some((time, Event::Start { pid, program }));
    }
    let target = call.strip_prefix("kill(")?;
    let (to, rest) = number(target.strip_prefix('-').unwrap_or(target))?;
    let (_, signal) = rest.split_once(", ")?;
    let end = signal.find(|c: char| !c.is_ascii_alphanumeric())?;
    let kill = Event::Kill {
        by: pid,
        program: by.to_owned(),
        to: Pid::from_raw(to),
        signal: signal[..end].to_owned(),
    };
    Some((time, kill))
}

/// No service received SIGKILL from its supervise or from svscan without a
/// request, or before its time after a signal that stops it. A logger does not
/// receive SIGKILL.
fn check_kills(life: &Life, faults: &mut Vec<String>) {
    let trace = fs::read_to_string(life.sandbox.path("trace")).unwrap_or_default();
    let started = fs::read_to_string(life.sandbox.path("started")).unwrap_or_default();
    let mut owners = HashMap::new();
    for line in started.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let pid = Pid::from_raw(words[1].parse().unwrap());
        owners.insert(pid, (words[0], words[2].parse::<usize>().unwrap()));
    }
    let mut programs: HashMap<Pid, String> = HashMap::new();
    let mut stops: HashMap<Pid, f64> = HashMap::new();
    for (time, event) in trace.lines().filter_map(parse) {
        match event {
            Event::Start { pid, program } => {
                if matches!(
                    &*program,
                    "run" | "finish" | "notify" | "check" | "start" | "stop" | "supervise"
                ) {
                    stops.remove(&pid);
                    programs.insert(pid, program);
                }
            }
            Event::Kill {
                by,
                program,
                to,
                signal,
            } => {
                if !matches!(&*program, "supervise" | "svscan") {
                    continue;
                }
                if signal != "SIGKILL" {
                    if !matches!(&*signal, "SIGCONT" | "SIGSTOP") {
                        stops.entry(to).or_insert(time);
                    }
                    continue;
                }
                let is_run = programs.get(&to).is_none_or(|program| program == "run");
                if !is_run || life.kill_requests.contains(&by) {
                    continue;
                }
                let owner = owners.get(&to);
                // A start or stop that has not recorded itself yet.
                let is_outside = |service: &Service| {
                    service.plan.contains("start ") || service.plan.contains("stop ")
                };
                if owner.is_none() && life.services.iter().any(is_outside) {
                    continue;
                }
                let service = owner.map(|(_, id)| &life.services[*id]);
                let is_logger = owner.is_some_and(|(role, _)| *role == "log");
                let what = format!("{program} {by} kills {to} of {owner:?} at {time}");
                if is_logger {
                    if service.is_some_and(|s| s.may_lose.is_none() && !s.has_orphan) {
                        faults.push(format!("logger: {what}"));
                    }
                    continue;
                }
                let Some(stop) = stops.get(&to) else {
                    faults.push(format!("no TERM: {what}"));
                    continue;
                };
                let least = service.and_then(|service| service.kill_timeouts.iter().min());
                let elapsed = (time - stop) * 1000.0;
                // strace may see the first signal later than the second.
                if least.is_some_and(|&least| elapsed < f64::from(least) / 2.0) {
                    faults.push(format!("{elapsed} ms after TERM, not {least:?}: {what}"));
                }
            }
        }
    }
}
