//! A random service directory: scripts that record their acts, and files of
//! supervise -e, valid or malformed.
//!
//! The scripts write lines `ID.PID.NUMBER` to their standard output, and append
//! each to the file `said/ID` once it is written. `said` and the logs are
//! outside the service directories, which a life may remove.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use testkit::Sandbox;

/// A service directory that a life has made.
#[derive(Debug)]
pub(super) struct Service {
    /// A number that no other service of the life has.
    pub(super) id: usize,
    /// The place of the directory, without links. None after its removal.
    pub(super) directory: Option<PathBuf>,
    /// The name in the scan directory. None if there is none now.
    pub(super) name: Option<String>,
    pub(super) has_logger: bool,
    pub(super) logger: Logger,
    /// The values of `timeout-kill` at all times, in milliseconds. An absent or
    /// malformed file counts as the default of svscan.
    pub(super) kill_timeouts: Vec<u32>,
    /// Why lines of the service may be lost: its logger was killed by a command,
    /// or was forbidden to run.
    pub(super) may_lose: Option<&'static str>,
    /// Whether a process of a killed supervise holds the pipe at the end.
    pub(super) has_orphan: bool,
    /// Whether the logger may be down: it received a command or lost its
    /// supervise.
    pub(super) logger_may_be_down: bool,
    /// The device and inode of the directory, and of that of the logger.
    pub(super) inodes: [Option<(u64, u64)>; 2],
    /// The files of the directory, for the report.
    pub(super) plan: String,
}

/// The program that reads the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logger {
    /// Reads the current line to its end after SIGTERM.
    Multilog,
    /// Loses the lines that it has read when a signal ends it.
    Cat,
    /// As `Cat`.
    Loop,
}

/// The default time of svscan, in milliseconds.
pub(super) const DEFAULT_TIMEOUT: u32 = 10_000;

/// The head of each script: it records its process, and defines `say`. A shell
/// runs traps between commands, so that no line is recorded before it is written.
pub(crate) fn head(sandbox: &Sandbox, id: usize, role: &str) -> String {
    let root = sandbox.dir().display().to_string();
    format!(
        "#!/bin/sh\nid={id}.$$.{tag}\necho \"{role} $$ {id}\" >>{root}/started\nn=0\n\
         say() {{ n=$((n+1)); echo \"$id.$n$1\" && echo \"$id.$n$1\" >>{root}/said/{id}; }}\n\
         burst() {{ i=0; while [ $i -lt $1 ]; do i=$((i+1)); say \" {pad}\"; done; }}\n",
        tag = role.chars().next().unwrap_or('r'),
        pad = "x".repeat(50),
    )
}

fn pick<'a>(rng: &mut Rng, choices: &[&'a str]) -> &'a str {
    choices[rng.usize(..choices.len())]
}

/// The kind and the body of a run script. Only a deaf service survives `stop`.
fn run_body(rng: &mut Rng, stop: &str) -> (&'static str, String) {
    let tick = pick(rng, &["0.1", "0.2", "0.4"]);
    let lines = rng.u32(1..4);
    let talk = format!("burst {lines}; sleep {tick}");
    let polite = format!("trap 'say; exit 0' {stop}\n");
    match rng.u32(..14) {
        0..=2 => ("polite", format!("{polite}while :; do {talk}; done\n")),
        3 => ("plain", format!("while :; do {talk}; done\n")),
        4 => {
            let wait = pick(rng, &["0.3", "0.8", "1.5"]);
            let trap = format!("trap 'burst 3; sleep {wait}; burst 3; exit 3' {stop}\n");
            ("slow", format!("{trap}while :; do {talk}; done\n"))
        }
        5 => {
            let trap = format!("trap 'say' {stop}\n");
            ("deaf", format!("{trap}while :; do {talk}; done\n"))
        }
        6 => {
            let children = rng.u32(1..4);
            let child = "( n=9000; while kill -0 $$ 2>/dev/null; do sleep 0.2; done ) &\n";
            (
                "parent",
                format!(
                    "{polite}{}while :; do {talk}; done\n",
                    child.repeat(children as usize)
                ),
            )
        }
        7 => {
            let end = pick(
                rng,
                &[
                    "exit 0",
                    "exit 1",
                    "exit 100",
                    "exit 111",
                    "kill -9 $$",
                    "kill -SEGV $$",
                ],
            );
            let times = rng.u32(1..8);
            (
                "dying",
                format!(
                    "{polite}k=0\nwhile [ $k -lt {times} ]; do k=$((k+1)); {talk}; done\n{end}\n"
                ),
            )
        }
        8 => (
            "pausing",
            format!("{polite}while :; do {talk}; kill -STOP $$; done\n"),
        ),
        9 => ("sleeper", "burst 2\nexec sleep 1000\n".into()),
        10 => (
            "flood",
            format!("{polite}while :; do burst 400; sleep {tick}; done\n"),
        ),
        11 => ("short", "say\n".into()),
        12 => {
            let wait = pick(rng, &["0", "0.1", "0.5"]);
            (
                "ready",
                format!(
                    "{polite}sleep {wait}\n{{ echo >&3; }} 2>/dev/null\nexec 3>&-\nwhile :; do {talk}; done\n"
                ),
            )
        }
        _ => (
            "big",
            format!("{polite}burst 1500\nwhile :; do {talk}; done\n"),
        ),
    }
}

/// The body of `finish`, which ends by itself or is killed after its timeout.
pub(crate) fn finish_body(rng: &mut Rng) -> (&'static str, &'static str) {
    match rng.u32(..8) {
        0..=2 => ("quick", "say\n"),
        3 => ("slow", "say\nsleep 0.7\nsay\n"),
        4 => ("endless", "say\nexec sleep 1000\n"),
        5 => ("125", "say\nexit 125\n"),
        6 => ("stopped", "say\nkill -STOP $$\n"),
        _ => ("deaf", "trap '' TERM INT HUP\nsay\nsleep 0.4\nexit 1\n"),
    }
}

/// The body of `start` or `stop`, which ends by itself or at a KILL.
pub(crate) fn start_stop_body(rng: &mut Rng) -> (&'static str, &'static str) {
    match rng.u32(..8) {
        0..=2 => ("quick", "say\n"),
        3 => ("slow", "say\nsleep 0.5\nsay\n"),
        4 => ("failing", "say\nexit 3\n"),
        5 => ("deaf", "trap '' TERM INT HUP\nsay\nsleep 0.4\n"),
        6 => ("killed", "say\nkill -9 $$\n"),
        _ => ("parent", "say\nsleep 0.3 &\n"),
    }
}

/// The body of `check`.
pub(crate) fn check_body(rng: &mut Rng) -> &'static str {
    match rng.u32(..6) {
        0..=2 => "exit 0\n",
        3 => "exit 1\n",
        4 => "exec sleep 1000\n",
        _ => "test $(($$ % 3)) = 0\n",
    }
}

pub(crate) fn notify_body(rng: &mut Rng) -> (&'static str, &'static str) {
    match rng.u32(..4) {
        0 => ("quick", "say\n"),
        1 => ("reader", "cat >/dev/null\n"),
        2 => ("slow", "sleep 1\nsay\n"),
        _ => ("failing", "exit 3\n"),
    }
}

/// Writes a file of settings: one of `valid`, or malformed in some way. Returns
/// the text if it is valid.
pub(crate) fn setting<'a>(
    rng: &mut Rng,
    sandbox: &Sandbox,
    dir: &Path,
    name: &str,
    valid: &[&'a str],
) -> Option<&'a str> {
    let path = dir.join(name);
    let path = path.as_path();
    match rng.u32(..16) {
        0 => sandbox.write(path, ""),
        1 => sandbox.write(
            path,
            pick(
                rng,
                &["soon\n", "-1\n", "99999999999999\n", "1 2\n", "0x10"],
            ),
        ),
        2 => sandbox.write(path, "9".repeat(200)),
        3 => std::fs::create_dir_all(sandbox.path(path)).unwrap(),
        4 => {
            let _ = std::os::unix::fs::symlink("nowhere", sandbox.path(path));
        }
        5 => {
            let fifo = nix::unistd::mkfifo(&sandbox.path(path), nix::sys::stat::Mode::S_IRUSR);
            let _ = fifo;
        }
        _ => {
            let text = pick(rng, valid);
            let end = pick(rng, &["", "\n", " \nsecond line\n"]);
            sandbox.write(path, format!("{text}{end}"));
            return Some(text);
        }
    }
    None
}

/// Files of settings, and valid values.
pub(crate) const SETTINGS: [(&str, &[&str]); 11] = [
    ("timeout-start", &["100", "300", "2000"]),
    ("restart-delay", &["0", "0.5", "1", "2", "1.25"]),
    ("restart-delay-max", &["1", "2", "4"]),
    ("restart-limit-count", &["0", "1", "3", "10"]),
    ("restart-limit-interval", &["0", "2", "10", "60"]),
    ("timeout-finish", &["300", "800", "2000"]),
    ("notification-fd", &["3", "7", "2", "65535"]),
    ("lock-fd", &["4", "3", "9", "2"]),
    ("no-setsid", &[""]),
    ("essential", &[""]),
    ("timeout-kill", &["300", "700", "2000"]),
];

/// Writes random files of settings, each with the given chance in percent.
/// `kill_timeouts` gains the value of `timeout-kill`.
pub(crate) fn settings(
    rng: &mut Rng,
    sandbox: &Sandbox,
    dir: &Path,
    files: &[(&str, &[&str])],
    chance: u32,
    kill_timeouts: &mut Vec<u32>,
    plan: &mut Vec<String>,
) {
    for &(name, valid) in files {
        let rare = matches!(name, "essential" | "no-setsid");
        let chance = if rare { chance / 4 } else { chance };
        if rng.u32(..100) >= chance || sandbox.exists(dir.join(name)) {
            continue;
        }
        let text = setting(rng, sandbox, dir, name, valid);
        plan.push(format!("{name}={}", text.unwrap_or("malformed")));
        if name == "timeout-kill" {
            let timeout = text.and_then(|text| text.parse().ok());
            kill_timeouts.push(timeout.unwrap_or(DEFAULT_TIMEOUT));
        }
    }
}

/// Files that an earlier supervise could have left, with stamps of any time.
fn old_state(rng: &mut Rng, sandbox: &Sandbox, dir: &Path) {
    let seconds = pick(
        rng,
        &[
            "4000000000000000",
            "4000000067000000",
            "40000000ffffffff",
            "0000000000000000",
        ],
    );
    let label: Vec<u8> = (0..8)
        .map(|n| u8::from_str_radix(&seconds[2 * n..2 * n + 2], 16).unwrap())
        .collect();
    let want = *rng.choice(b"ud\0").unwrap();
    let record = [&label[..], &[0, 0, 0, 9], &[1, 0, 0, 0, 0, want]].concat();
    sandbox.write(dir.join("supervise/status"), record);
    let state = pick(
        rng,
        &[
            "failed", "ready", "delay", "finish", "started", "stop", "nonsense",
        ],
    );
    let text = format!("state={state}\npid=1\nsince=@{seconds}00000009\nexit_code=7\n");
    sandbox.write(dir.join("supervise/state"), text);
    let tally: Vec<u8> = (0..rng.usize(..60)).map(|_| rng.u8(..)).collect();
    sandbox.write(dir.join("supervise/death_tally"), tally);
    sandbox.mode(dir.join("supervise"), 0o700);
}

/// The device and inode of a file.
pub(super) fn inode(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

impl Service {
    /// Makes a service directory `dir`, which does not exist.
    pub(super) fn make(rng: &mut Rng, sandbox: &Sandbox, id: usize, dir: &Path) -> Service {
        let mut plan = Vec::new();
        let mut service = Service {
            id,
            directory: Some(dir.to_owned()),
            name: None,
            has_logger: rng.u32(..10) < 8,
            logger: Logger::Multilog,
            kill_timeouts: Vec::new(),
            may_lose: None,
            has_orphan: false,
            logger_may_be_down: false,
            inodes: [None; 2],
            plan: String::new(),
        };
        let mut stop = "TERM";
        if rng.u32(..4) == 0 {
            let valid = &["INT", "hup", "SIGUSR1", "15", "10", "QUIT"];
            let text = setting(rng, sandbox, dir, "down-signal", valid);
            plan.push(format!("down-signal={}", text.unwrap_or("malformed")));
            stop = match text {
                Some("INT") => "INT",
                Some("hup") => "HUP",
                Some("SIGUSR1" | "10") => "USR1",
                Some("QUIT") => "QUIT",
                _ => "TERM",
            };
        }
        let (kind, body) = run_body(rng, stop);
        if kind == "deaf" && rng.u32(..10) != 0 {
            sandbox.write(dir.join("timeout-kill"), "600");
            service.kill_timeouts.push(600);
        }
        plan.insert(0, kind.into());
        let run = head(sandbox, id, "run") + &body;
        let run = run.replace("exec sleep", "exec /bin/sleep");
        match rng.u32(..20) {
            0 => plan.insert(1, "no run".into()),
            1 => {
                sandbox.write(dir.join("run"), run);
                plan.insert(1, "run not executable".into());
            }
            _ => sandbox.script(dir.join("run"), &run),
        }
        if rng.u32(..2) == 0 {
            let (kind, body) = finish_body(rng);
            sandbox.script(dir.join("finish"), &(head(sandbox, id, "finish") + body));
            plan.push(format!("finish {kind}"));
            if matches!(kind, "endless" | "stopped") && rng.u32(..10) != 0 {
                sandbox.write(dir.join("timeout-finish"), "600");
            }
        }
        if rng.u32(..3) == 0 {
            let (kind, body) = notify_body(rng);
            sandbox.script(dir.join("notify"), &(head(sandbox, id, "notify") + body));
            plan.push(format!("notify {kind}"));
        }
        for name in ["start", "stop"] {
            if rng.u32(..4) == 0 {
                let (kind, body) = start_stop_body(rng);
                sandbox.script(dir.join(name), &(head(sandbox, id, name) + body));
                plan.push(format!("{name} {kind}"));
            }
        }
        if rng.u32(..3) == 0 {
            let body = check_body(rng);
            sandbox.script(dir.join("check"), &format!("#!/bin/sh\n{body}"));
            let files: [(&str, &[&str]); 3] = [
                ("check-interval", &["1", "30", "200", "1000"]),
                ("check-timeout", &["50", "300", "0"]),
                ("check-failures", &["0", "1", "3", "20"]),
            ];
            plan.push(format!("check {}", body.trim()));
            for (name, valid) in files {
                let text = setting(rng, sandbox, dir, name, valid);
                plan.push(format!("{name}={}", text.unwrap_or("malformed")));
            }
        }
        if rng.u32(..12) == 0 {
            sandbox.write(dir.join("down"), "");
            plan.push("down".into());
        }
        if rng.u32(..5) == 0 {
            old_state(rng, sandbox, dir);
            plan.push("old state".into());
        }
        let timeouts = &mut service.kill_timeouts;
        settings(rng, sandbox, dir, &SETTINGS, 25, timeouts, &mut plan);
        if service.has_logger {
            service.make_logger(rng, sandbox, &dir.join("log"), &mut plan);
        }
        if !sandbox.exists(dir.join("timeout-kill")) {
            service.kill_timeouts.push(DEFAULT_TIMEOUT);
        }
        service.plan = plan.join(", ");
        service.inodes = [dir.to_owned(), dir.join("log")].map(|dir| inode(&sandbox.path(dir)));
        service
    }

    fn make_logger(
        &mut self,
        rng: &mut Rng,
        sandbox: &Sandbox,
        dir: &Path,
        plan: &mut Vec<String>,
    ) {
        let id = self.id;
        let (logger, read) = match rng.u32(..10) {
            0..=6 => (Logger::Multilog, "exec multilog s4096 n100000 LOG\n"),
            7 => (Logger::Cat, "mkdir -p LOG\nexec cat >>LOG/current\n"),
            8 => (
                Logger::Loop,
                "mkdir -p LOG\nwhile IFS= read -r line; do echo \"$line\" >>LOG/current; done\n",
            ),
            _ => (
                Logger::Multilog,
                "sleep 0.7\nexec multilog s65536 n100000 LOG\n",
            ),
        };
        self.logger = logger;
        let log = sandbox.path("logs").join(id.to_string());
        let start = format!(
            "#!/bin/sh\necho \"log $$ {id}\" >>{}\n",
            sandbox.path("started").display()
        );
        let read = read.replace("LOG", &log.display().to_string());
        sandbox.script(dir.join("run"), &(start + &read));
        plan.push(format!("logger {logger:?}"));
        // The scripts of the logger write to standard error: their standard
        // output is that of svscan.
        if rng.u32(..4) == 0 {
            let body = pick(
                rng,
                &["exit 0\n", "sleep 0.4\n", "exit 125\n", "cat >/dev/null\n"],
            );
            sandbox.script(dir.join("finish"), &format!("#!/bin/sh\n{body}"));
            plan.push(format!("log/finish {}", body.trim()));
        }
        if rng.u32(..4) == 0 {
            let body = pick(rng, &["exit 0\n", "sleep 0.4\n", "cat >/dev/null\n"]);
            sandbox.script(dir.join("notify"), &format!("#!/bin/sh\n{body}"));
            plan.push(format!("log/notify {}", body.trim()));
        }
        if rng.u32(..8) == 0 {
            let text = setting(rng, sandbox, dir, "timeout-kill", &["4000", "0"]);
            plan.push(format!("log/timeout-kill={}", text.unwrap_or("malformed")));
        }
        if rng.u32(..8) == 0 {
            let text = setting(rng, sandbox, dir, "lock-fd", &["5", "9"]);
            plan.push(format!("log/lock-fd={}", text.unwrap_or("malformed")));
        }
        if rng.u32(..8) == 0 {
            let text = setting(rng, sandbox, dir, "notification-fd", &["3", "8"]);
            plan.push(format!(
                "log/notification-fd={}",
                text.unwrap_or("malformed")
            ));
        }
        if rng.u32(..8) == 0 {
            let text = setting(rng, sandbox, dir, "restart-limit-count", &["1", "3"]);
            plan.push(format!(
                "log/restart-limit-count={}",
                text.unwrap_or("malformed")
            ));
        }
    }
}
