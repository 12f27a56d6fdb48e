//! The end of a part of a long life: all services of the beginning are up, with
//! their first settings, and nothing else runs. Then the records are checked.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use daemontools_core::label::Label;
use daemontools_core::status::{LENGTH, Status, Want};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{kill, pause_at_random};

use super::directories::{Logger, Member, Presence, Program};
use super::{CALM, Life, Scanner};
use crate::processes::{arguments, children, describe, directory, program, stat};
use crate::random::lives::checks::lost_lines;
use crate::stepped_clock;

/// The time in which all settles. A failed processor is run again after five
/// seconds, a `finish` may take five seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// The difference between the start of a process in /proc, in hundredths of a
/// second since boot, and its label.
const INACCURACY: f64 = 0.5;

/// The names in a log directory between two rotations, apart from old files.
const LOG_FILES: [&str; 4] = ["lock", "current", "state", "config"];

/// The supervisors by their working directories.
type Supervisors = HashMap<PathBuf, Pid>;

/// The way from the state of a service to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Commands that want it up, and continue it.
    Up,
    /// Moreover, the end of the process.
    Restart,
    Time,
}

impl Life<'_> {
    pub(super) fn settle(&mut self) {
        self.tell("calm");
        let start = Instant::now();
        // A control program of runsv may have replaced TERM. A process that starts from
        // now on has the first settings.
        for member in &self.members {
            member.lay_out(self.sandbox);
        }
        self.sandbox.write(CALM, "");
        if self.is_stepped {
            stepped_clock::set(self.sandbox, 0);
            self.offsets.push((now(), 0.0));
        }
        for index in 0..self.members.len() {
            if self.members[index].is_guest {
                self.remove(index);
            }
        }
        loop {
            self.step_removals();
            let is_leaving = |m: &&Member| matches!(m.presence, Presence::Leaving(_));
            let leaving: Vec<_> = self.members.iter().filter(is_leaving).collect();
            if leaving.is_empty() {
                break;
            }
            let left: Vec<_> = leaving.iter().map(|m| m.mark() + "does not end").collect();
            self.wait(start, &left);
        }
        for _ in 0..self.members.len() {
            self.add();
        }
        self.restart_changed_loggers();
        loop {
            self.reap_commands();
            let left = self.unsettled();
            if left.is_empty() {
                break;
            }
            self.wait(start, &left);
        }
        let mut faults = std::mem::take(&mut self.faults);
        self.check_records(&mut faults);
        self.check_logs(&mut faults);
        self.faults = faults;
        self.tell("settled");
    }

    /// Waits for a moment, or fails if the time for settling is over.
    fn wait(&mut self, start: Instant, left: &[String]) {
        assert!(start.elapsed() < LIMIT, "{}", self.explain(left));
        pause_at_random(&mut self.rng, Duration::from_secs(1));
    }

    /// Makes changed loggers read their first files.
    fn restart_changed_loggers(&mut self) {
        let (mut restarted, mut reread) = (Vec::new(), Vec::new());
        for member in &mut self.members {
            let log = member.directory().join("log");
            let is_spared = member.is_spared() || member.needs_logger();
            if let Some(logger) = &mut member.logger {
                match logger.program {
                    _ if !logger.is_changed => {}
                    Program::Svlogd if is_spared => reread.push(log),
                    Program::Svlogd | Program::Multilog => restarted.push(log),
                }
                logger.is_changed = false;
            }
        }
        self.svc("h", reread);
        self.svc("t", restarted);
    }

    fn supervisors(&self) -> Supervisors {
        let scanners = Scanner::ALL.map(|scanner| self.scanner(scanner));
        let supervisors = scanners.into_iter().flat_map(children);
        supervisors
            .filter_map(|pid| Some((directory(pid)?, pid)))
            .collect()
    }

    /// The process of a service or logger, and the supervisor.
    fn process(&self, supervisors: &Supervisors, member: &Member, dir: &Path) -> Option<Pair> {
        let path = self.sandbox.path(dir);
        let supervisor = match member.scanner {
            Scanner::Runsvdir => &self.sandbox.path(member.directory()),
            Scanner::Extended | Scanner::Plain => &path,
        };
        let supervisor = *supervisors.get(supervisor)?;
        let mut runs = children(supervisor);
        // A logger works in its log directory.
        let service = self.sandbox.path(member.directory());
        let is_service = path == service;
        runs.retain(|&pid| (directory(pid).as_ref() == Some(&service)) == is_service);
        Some(Pair { supervisor, runs })
    }

    /// Lists the services that are not at rest, each with a reason, and sends the
    /// commands that bring them to rest.
    fn unsettled(&mut self) -> Vec<String> {
        let supervisors = self.supervisors();
        let (mut up, mut restarted, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for member in &self.members {
            for dir in member.directories() {
                let is_log = dir.ends_with("log");
                let pair = self.process(&supervisors, member, &dir);
                let record = self.record(&dir);
                let (need, reason) = match (&pair, &record) {
                    (None, _) => (Need::Time, "has no supervisor".to_owned()),
                    (_, None) => (Need::Time, "has no record".to_owned()),
                    (Some(pair), Some(record)) => match pair.need(&record.0, is_log) {
                        Some(need) => need,
                        None => continue,
                    },
                };
                left.push(format!("{}{} {reason}", member.mark(), dir.display()));
                for run in pair.into_iter().flat_map(|pair| pair.runs) {
                    let _ = kill(run, Signal::SIGCONT);
                }
                match need {
                    Need::Time => {}
                    Need::Up => up.push(dir),
                    Need::Restart => {
                        up.push(dir.clone());
                        restarted.push(dir);
                    }
                }
            }
        }
        self.svc("t", restarted);
        self.svc("uc", up);
        if left.is_empty() {
            left.extend(self.strays(&supervisors));
            let with_logger = self.members.iter().filter(|m| m.logger.is_some());
            left.extend(with_logger.filter_map(|member| {
                let (said, lost) = lost_lines(self.sandbox, member.id);
                let (first, number) = (lost.first()?, lost.len());
                let mark = member.mark();
                Some(format!(
                    "{mark}lacks {number} of {said} lines, from {first}"
                ))
            }));
        }
        left
    }

    /// Processes of the sandbox that belong to no service.
    fn strays(&self, supervisors: &Supervisors) -> Vec<String> {
        let mut known: HashSet<_> = Scanner::ALL.map(|s| self.scanner(s)).into();
        known.extend(supervisors.values());
        known.extend(supervisors.values().flat_map(|&pid| children(pid)));
        let mut strays = self.sandbox.processes();
        strays.retain(|pid| !known.contains(pid));
        strays.into_iter().map(describe).collect()
    }

    /// The status record, and the further bytes of runsv.
    fn record(&self, dir: &Path) -> Option<(Status, Vec<u8>)> {
        let record = fs::read(self.sandbox.path(dir).join("supervise/status")).ok()?;
        Some((Status::decode(&record)?, record.get(LENGTH..)?.to_vec()))
    }

    /// All records of a service name its process, and are not older.
    pub(super) fn check_records(&self, faults: &mut Vec<String>) {
        let supervisors = self.supervisors();
        for member in &self.members {
            for dir in member.directories() {
                let pair = self.process(&supervisors, member, &dir);
                let (Some(pair), Some(record)) = (pair, self.record(&dir)) else {
                    faults.push(format!("{}{} is not up", member.mark(), dir.display()));
                    continue;
                };
                if let Err(fault) = self.check_record(member, &dir, &pair, &record) {
                    let mark = member.mark();
                    faults.push(format!("{mark}{}: {fault}", dir.display()));
                }
            }
        }
    }

    fn check_record(
        &self,
        member: &Member,
        dir: &Path,
        pair: &Pair,
        (status, more): &(Status, Vec<u8>),
    ) -> Result<(), String> {
        let &[run] = &pair.runs[..] else {
            return Err(format!("{} processes", pair.runs.len()));
        };
        let is = |what: &str, is: bool| is.then_some(()).ok_or(format!("{run}: {what}"));
        is(
            &format!("status is {status:?}"),
            status.pid.map(i32::from) == Some(run.as_raw()),
        )?;
        is("paused", !status.paused)?;
        is("not wanted up", status.want == Want::Up)?;
        let label = unix_time(status.since);
        let start = start_time(run).ok_or("no start time")?;
        let now = now();
        let times = format!("label {label:.2}, start {start:.2}, now {now:.2}");
        let is_of_start = |offset: f64| (start - INACCURACY..=now).contains(&(label - offset));
        is(&times, self.offsets_at(start).any(is_of_start))?;
        let file = |name: &str| {
            fs::read_to_string(self.sandbox.path(dir).join("supervise").join(name))
                .unwrap_or_else(|error| error.to_string())
        };
        match member.scanner {
            Scanner::Plain => Ok(()),
            Scanner::Runsvdir => {
                is("status lacks its end", more[..] == [0, 1])?;
                is(
                    &format!("pid: {}", file("pid")),
                    file("pid") == format!("{run}\n"),
                )?;
                is(&format!("stat: {}", file("stat")), file("stat") == "run\n")
            }
            Scanner::Extended => {
                let state = file("state");
                let has = |line: &str| state.lines().any(|other| other == line);
                let since = String::from_utf8(status.since.text().to_vec()).unwrap();
                is(&state, has(&format!("pid={run}")))?;
                is(&state, has(&format!("since={since}")))?;
                let is_up = ["up", "ready", "starting"].map(|s| has(&format!("state={s}")));
                is(&state, is_up.contains(&true))?;
                let tally = fs::read(self.sandbox.path(dir).join("supervise/death_tally"));
                let tally = tally.unwrap_or_default();
                let length = format!("death_tally of {} bytes", tally.len());
                is(&length, tally.len() % 14 == 0 && tally.len() <= 1400)?;
                let Some((last, _)) = tally
                    .rchunks(14)
                    .next()
                    .and_then(|last| last.split_first_chunk())
                else {
                    return Ok(());
                };
                let death = unix_time(Label::unpack(*last));
                let is_before = self.is_stepped || death <= label;
                is(&format!("death at {death:.2}, {times}"), is_before)
            }
        }
    }

    /// The differences of the stepped clock that the label of a process may
    /// contain: its supervisor may read the clock some time later.
    fn offsets_at(&self, start: f64) -> impl Iterator<Item = f64> {
        let later = self.offsets[1..].iter().map(|(time, _)| *time);
        let ends = later.chain([f64::INFINITY]);
        let all = self.offsets.iter().zip(ends);
        all.filter(move |((begin, _), end)| *begin <= start + 5.0 && *end >= start - INACCURACY)
            .map(|((_, offset), _)| *offset)
    }

    /// The files of the log directories are those of finished rotations.
    pub(super) fn check_logs(&self, faults: &mut Vec<String>) {
        for member in self.members.iter().filter(|m| m.logger.is_some()) {
            let names = self.log_files(member);
            let is_left = |name: &&String| {
                let is_old = name.starts_with('@') && name.ends_with(['s', 'u']);
                !(is_old || LOG_FILES.contains(&name.as_str()))
            };
            let finished = names
                .iter()
                .filter(|name| name.starts_with('@') && name.ends_with('s'))
                .count();
            if member.logger.is_some_and(Logger::counts) && self.count(member) != finished {
                let (mark, count) = (member.mark(), self.count(member));
                faults.push(format!(
                    "{mark}counts {count} of {finished} processed files"
                ));
            }
            for name in names.iter().filter(is_left) {
                faults.push(format!("{}leaves {name} in its log", member.mark()));
            }
        }
    }

    /// The number that a processor keeps in `state`.
    fn count(&self, member: &Member) -> usize {
        let state = format!("logs/{}/state", member.id);
        let state = fs::read_to_string(self.sandbox.path(state)).unwrap_or_default();
        state.trim_end().parse().unwrap_or(0)
    }

    fn log_files(&self, member: &Member) -> Vec<String> {
        let place = self.sandbox.path("logs").join(member.id.to_string());
        let files = fs::read_dir(place).into_iter().flatten().flatten();
        files
            .map(|file| file.file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// The numbers of lines and of old files.
    pub(super) fn log_figures(&self) -> (usize, usize) {
        let with_logger = self.members.iter().filter(|m| m.logger.is_some());
        let figures = with_logger.map(|member| {
            let files = self.log_files(member);
            let old = files.iter().filter(|name| name.starts_with('@')).count();
            (lost_lines(self.sandbox, member.id).0, old)
        });
        figures.fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1))
    }
}

/// A supervisor, and its processes in one directory.
#[derive(Debug)]
struct Pair {
    supervisor: Pid,
    runs: Vec<Pid>,
}

impl Pair {
    /// The way to rest, with a reason. None at rest.
    fn need(&self, status: &Status, is_log: bool) -> Option<(Need, String)> {
        let is_calm = |pid: &&Pid| {
            if is_log {
                ["multilog", "svlogd"].contains(&program(**pid).as_str())
            } else {
                arguments(**pid) == "sleep 100000 "
            }
        };
        let restart = if is_log { Need::Up } else { Need::Restart };
        let Some(&run) = self.runs.iter().find(is_calm) else {
            let runs: Vec<_> = self.runs.iter().map(|&pid| describe(pid)).collect();
            let supervisor = describe(self.supervisor);
            return Some((restart, format!("is not calm: {runs:?}, {supervisor}")));
        };
        let is_stopped = stat(run).is_none_or(|fields| fields[0] == "T");
        if status.paused || status.want != Want::Up || is_stopped {
            return Some((Need::Up, format!("is paused or not wanted up: {status:?}")));
        }
        if status.pid.map(i32::from) != Some(run.as_raw()) {
            return Some((Need::Time, format!("is {run}, but has {status:?}")));
        }
        // A check without a timeout ends with its service.
        let more = self.runs.len() - 1 + children(run).len();
        (more != 0).then(|| (restart, format!("has {more} more processes")))
    }
}

pub(super) fn now() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs_f64()
}

/// The time of a label, in seconds since 1970.
fn unix_time(label: Label) -> f64 {
    let seconds = u32::try_from(label.unix()).unwrap_or_default();
    f64::from(seconds) + f64::from(label.nanoseconds()) / 1e9
}

/// The start of a process, in seconds since 1970.
fn start_time(pid: Pid) -> Option<f64> {
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
    let ticks: f64 = stat(pid)?.get(19)?.parse().ok()?;
    Some(now() - uptime + ticks / 100.0)
}
