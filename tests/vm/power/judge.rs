//! `vm-judge FILES CONSOLE...`: reads the consoles of all boots, in order, and checks
//! that each safe line was there after the cut, and after the recovery. FILES is the number
//! of old files that a directory keeps. Exits 1 if one of our programs lost a line, or
//! tore one, or left an unexpected file; also if the control has lost none.

use std::collections::BTreeMap;
use std::fs;

use daemontools_vm::Spans;

/// A file on a console.
struct Listed {
    name: String,
    mode: u32,
    torn: u64,
    tail: u64,
    spans: Spans,
}

/// A directory: its expected lines, and the lines found.
#[derive(Default)]
struct Directory {
    /// The lines that must be there.
    safe: Spans,
    /// The files that were listed last.
    before: Vec<Listed>,
    /// The files of the phase that is being listed.
    listed: Vec<Listed>,
    acknowledged: Option<u64>,
    sum: Sum,
}

/// The figures of a directory or of several.
#[derive(Clone, Default)]
struct Sum {
    cuts: u64,
    acknowledged: u64,
    found: u64,
    lost: u64,
    /// Cuts with lost lines.
    lossy: u64,
    torn: u64,
    finished: u64,
    unfinished: u64,
    resumed: u64,
    states: BTreeMap<String, u64>,
}

/// The state of the check.
struct Judge {
    files: usize,
    directories: BTreeMap<(String, String), Directory>,
    /// Faults of our programs, and causes of a void run.
    faults: Vec<String>,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let files = arguments.next().and_then(|files| files.parse().ok());
    let mut judge = Judge {
        files: files.expect("usage: vm-judge files console..."),
        directories: BTreeMap::new(),
        faults: Vec::new(),
    };
    for (round, console) in (0..).zip(arguments) {
        let text = fs::read(&console).expect(&console);
        judge.read(round, &String::from_utf8_lossy(&text));
    }
    let is_good = judge.report();
    std::process::exit(i32::from(!is_good));
}

impl Judge {
    /// Reads the console of a boot.
    fn read(&mut self, round: u64, text: &str) {
        // A line that a kill has cut does not count.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let known = match words[..] {
                ["F", disk, name, _, ref file @ ..] => {
                    listed(file).map(|file| self.directory(disk, name).listed.push(file))
                }
                ["A", disk, name, number] => number.parse().ok().map(|number| {
                    let directory = self.directory(disk, name);
                    directory.acknowledged = directory.acknowledged.max(Some(number));
                }),
                ["W" | "C" | "B" | "E", ..] => Some(()),
                _ => None,
            };
            let is_kernel = line.starts_with('[') && !line.contains("rror");
            if known.is_none() && !line.trim().is_empty() && !is_kernel {
                self.faults.push(format!("boot {round}: {}", line.trim()));
            }
            match words[..] {
                ["C"] if round > 0 => self.compare(round, true),
                ["B" | "E"] => self.compare(round, false),
                _ => {}
            }
        }
        for directory in self.directories.values_mut() {
            directory.listed.clear();
            if let Some(number) = directory.acknowledged.take() {
                directory.safe.add((round, 0, number));
                directory.sum.acknowledged += number + 1;
            }
        }
    }

    fn directory(&mut self, disk: &str, name: &str) -> &mut Directory {
        self.directories
            .entry((disk.to_owned(), name.to_owned()))
            .or_default()
    }

    /// Checks the files of all directories, after a cut or after the recovery.
    fn compare(&mut self, round: u64, is_cut: bool) {
        for ((disk, name), directory) in &mut self.directories {
            let rules = Rules {
                is_multilog: name.starts_with("multilog"),
                has_processor: name.contains("-cat"),
                reuses_blocks: disk.starts_with("writeback"),
                files: self.files,
            };
            let faults = if is_cut {
                directory.compare_cut(round, rules)
            } else {
                directory.compare_recovered(round, rules)
            };
            let faults = faults
                .iter()
                .map(|fault| format!("boot {round}: {disk} {name}: {fault}"));
            if name.ends_with(".ours") {
                self.faults.extend(faults);
            } else if name.ends_with(".debian") {
                faults.for_each(|fault| println!("reference: {fault}"));
            }
        }
    }

    /// Prints the figures. Returns whether all is well.
    fn report(&self) -> bool {
        println!(
            "{:<10} {:<22} {:>5} {:>10} {:>10} {:>7} {:>5} {:>5} {:>6} {:>5} {:>8}",
            "disk",
            "directory",
            "cuts",
            "safe",
            "found",
            "lost",
            "cuts",
            "torn",
            ".s",
            ".u",
            "resumed"
        );
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for ((disk, name), Directory { sum, .. }) in &self.directories {
            sum.print(disk, name);
            sums.entry(name.clone()).or_default().add(sum);
        }
        for (name, sum) in &sums {
            sum.print("all", name);
        }
        for (name, sum) in &sums {
            for (state, count) in &sum.states {
                println!("{name}: {count} times after a cut: {state}");
            }
        }
        let disks: BTreeMap<&String, u64> = self
            .directories
            .iter()
            .map(|((disk, _), directory)| (disk, directory.sum.cuts))
            .collect();
        println!("{} cuts of file systems", disks.values().sum::<u64>());
        self.faults
            .iter()
            .for_each(|fault| println!("fault: {fault}"));
        let control: u64 = sums
            .iter()
            .filter(|sum| sum.0.ends_with(".control"))
            .map(|sum| sum.1.lost)
            .sum();
        if control == 0 && disks.values().sum::<u64>() >= 40 {
            println!("fault: the control, without fsync, has lost nothing");
        }
        self.faults.is_empty()
    }
}

impl Directory {
    /// Checks the files after a cut. Returns the faults.
    fn compare_cut(&mut self, round: u64, rules: Rules) -> Vec<String> {
        let files = std::mem::take(&mut self.listed);
        let mut faults = Vec::new();
        let lost = rules.missing(&self.safe, &files, &self.before, Some(round - 1));
        let sum = &mut self.sum;
        sum.cuts += 1;
        sum.found += all(&files).count_of(round - 1);
        if lost.count() > 0 {
            sum.lost += lost.count();
            sum.lossy += 1;
            faults.push(format!("after the cut, lost {lost}"));
        }
        for file in &files {
            // With a processor, svlogd also finishes torn files.
            let is_finished =
                file.name.ends_with(".s") && (rules.is_multilog || !rules.has_processor);
            let is_reused = rules.reuses_blocks && file.spans.first_of(round - 1).is_some();
            let is_reused = is_reused && self.before.iter().any(|before| before.name == file.name);
            if is_finished && file.torn + file.tail > 0 && !is_reused {
                sum.torn += 1;
                faults.push(format!("torn: {}", file.name));
            }
        }
        *sum.states.entry(state(&files)).or_default() += 1;
        let is_resumed = |file: &Listed| file.name == "current" && file.mode & 0o100 != 0;
        sum.resumed += u64::from(files.iter().any(is_resumed));
        self.safe = all(&files);
        self.before = files;
        faults
    }

    /// Checks the files after the recovery. Returns the faults.
    fn compare_recovered(&mut self, round: u64, rules: Rules) -> Vec<String> {
        let files = std::mem::take(&mut self.listed);
        let mut faults = Vec::new();
        let lost = rules.missing(&self.safe, &files, &self.before, None);
        if round > 0 && lost.count() > 0 {
            self.sum.lost += lost.count();
            faults.push(format!("after the recovery, lost {lost}"));
        }
        for file in files.iter().filter(|file| !rules.allow(file)) {
            faults.push(format!(
                "after the recovery: {} with mode {:o}",
                file.name, file.mode
            ));
        }
        let is_new = |file: &&Listed| self.before.iter().all(|before| before.name != file.name);
        let new: Vec<_> = files
            .iter()
            .filter(|file| file.name.starts_with('@'))
            .filter(is_new)
            .collect();
        let count = |end| new.iter().filter(|file| file.name.ends_with(end)).count() as u64;
        self.sum.finished += count(".s");
        self.sum.unfinished += count(".u");
        self.safe = all(&files);
        self.before = files;
        faults
    }
}

/// The rules of a program.
#[derive(Clone, Copy)]
struct Rules {
    is_multilog: bool,
    has_processor: bool,
    /// With data=writeback, ext4 writes to the blocks of a removed file before the removal
    /// is safe: after a cut, the file can be there again, with later lines.
    reuses_blocks: bool,
    /// The number of old files that it keeps.
    files: usize,
}

impl Rules {
    /// Whether the file may be there, with this mode, after the recovery.
    fn allow(self, file: &Listed) -> bool {
        let is_old = |end| file.name.starts_with('@') && file.name.ends_with(end);
        match file.name.as_str() {
            "current" => file.mode == 0o744,
            "lock" => file.mode == 0o600,
            "state" | "config" => file.mode == 0o644,
            "newstate" => !self.is_multilog && file.mode == 0o644,
            // svlogd renames the output of a processor before it sets the mode.
            _ if is_old(".s") => file.mode == 0o744 || !self.is_multilog && self.has_processor,
            _ if is_old(".u") => true,
            _ => is_old(".t") && !self.is_multilog && self.has_processor,
        }
    }

    /// Whether the program may remove the file because it is old. svlogd keeps .u.
    fn may_remove(self, file: &Listed) -> bool {
        file.name.starts_with('@') && (self.is_multilog || file.name.ends_with(".s"))
    }

    /// The safe lines that are not in the files, without lines that the program may have
    /// removed. The files `before` were listed before. Since then, the program has
    /// written lines of the boot `written`.
    fn missing(
        self,
        safe: &Spans,
        files: &[Listed],
        before: &[Listed],
        written: Option<u64>,
    ) -> Spans {
        let mut reused = Spans::default();
        for file in before
            .iter()
            .filter(|file| self.reuses_blocks && self.may_remove(file))
        {
            let mut now = files.iter().filter(|now| now.name == file.name);
            if now.any(|now| written.is_some_and(|boot| now.spans.first_of(boot).is_some())) {
                reused.extend(&file.spans);
            }
        }
        let missing = safe.without(&all(files)).without(&reused);
        let kept: Vec<_> = files.iter().filter(|file| self.may_remove(file)).collect();
        let Some(oldest) = kept
            .iter()
            .map(|file| label(file))
            .min()
            .filter(|_| kept.len() + 1 >= self.files)
        else {
            return missing;
        };
        let (mut removed, mut known) = (Spans::default(), Spans::default());
        for file in before.iter().filter(|file| self.may_remove(file)) {
            known.extend(&file.spans);
            if label(file) < oldest {
                removed.extend(&file.spans);
            }
        }
        let of_boot = kept
            .iter()
            .filter_map(|file| file.spans.first_of(written?))
            .min();
        if let Some(first) = of_boot {
            let new = safe.without(&known);
            removed.extend(&new.without(&new.since(first)));
        }
        missing.without(&removed)
    }
}

/// The name without its suffix.
fn label(file: &Listed) -> &str {
    file.name.get(..25).unwrap_or(&file.name)
}

impl Sum {
    fn add(&mut self, other: &Sum) {
        self.cuts += other.cuts;
        self.acknowledged += other.acknowledged;
        self.found += other.found;
        self.lost += other.lost;
        self.lossy += other.lossy;
        self.torn += other.torn;
        self.finished += other.finished;
        self.unfinished += other.unfinished;
        self.resumed += other.resumed;
        for (state, count) in &other.states {
            *self.states.entry(state.clone()).or_default() += count;
        }
    }

    fn print(&self, disk: &str, name: &str) {
        println!(
            "{disk:<10} {name:<22} {:>5} {:>10} {:>10} {:>7} {:>5} {:>5} {:>6} {:>5} {:>8}",
            self.cuts,
            self.acknowledged,
            self.found,
            self.lost,
            self.lossy,
            self.torn,
            self.finished,
            self.unfinished,
            self.resumed
        );
    }
}

fn listed(words: &[&str]) -> Option<Listed> {
    let &[name, mode, _size, torn, tail, spans] = words else {
        return None;
    };
    Some(Listed {
        name: name.to_owned(),
        mode: u32::from_str_radix(mode, 8).ok()?,
        torn: torn.parse().ok()?,
        tail: tail.parse().ok()?,
        spans: Spans::parse(spans)?,
    })
}

/// All lines of the files.
fn all(files: &[Listed]) -> Spans {
    let mut all = Spans::default();
    files.iter().for_each(|file| all.extend(&file.spans));
    all
}

/// The names and modes after a cut, without those of old files.
fn state(files: &[Listed]) -> String {
    let mut words = Vec::new();
    for file in files {
        if !file.name.starts_with('@') && !["config", "lock"].contains(&file.name.as_str()) {
            let bad = if file.torn > 0 {
                " torn"
            } else if file.tail > 0 {
                " cut"
            } else {
                ""
            };
            words.push(format!("{} {:o}{bad}", file.name, file.mode));
        } else if file.name.ends_with(".t") {
            words.push("@*.t".to_owned());
        }
    }
    words.join(", ")
}
