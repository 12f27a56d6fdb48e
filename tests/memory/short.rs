//! Long scenes in which every allocation fails from the n-th on, for every n. The
//! programs stay alive and lose nothing, and all is as it should be five seconds
//! after memory is back.
//!
//! Default: a few n for each program. `DAEMONTOOLS_CASES` multiplies their number;
//! 200 runs all of them. `DAEMONTOOLS_SEED` selects one n.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Allocations, Running, Sandbox, holds_within, kill, say};

use super::{children, run};

/// The time in which all must be as it should be, and that of a busy machine.
pub(crate) const RECOVERY: Duration = Duration::from_secs(5 + 10);

/// The number of n that a test tries by default.
const SAMPLE: u64 = 3;

/// The limit for the use of the reserve of 64 KiB, in bytes.
const RESERVE_LIMIT: u64 = 32 * 1024;

/// A scene: an n, and the counter in which allocations fail from there on.
pub(crate) type Scene = fn(&Sandbox, &Allocations, u64);

/// Runs a scene for the n of a sample.
pub(crate) fn for_every_allocation(name: &str, program: &str, scene: Scene) {
    let mut total = 0;
    run(|sandbox| {
        if let Some(allocations) = sandbox.allocations(program, name) {
            allocations.fail_from(u64::MAX);
            scene(sandbox, &allocations, u64::MAX);
            total = allocations.count();
        }
    });
    let times = std::env::var("DAEMONTOOLS_CASES").map_or(1, |times| times.parse().unwrap());
    let step = total.div_ceil(SAMPLE * times).max(1);
    let selected = std::env::var("DAEMONTOOLS_SEED");
    let numbers: Vec<u64> = match &selected {
        Ok(number) => vec![number.parse().unwrap()],
        Err(_) => (1..=total)
            .step_by(usize::try_from(step).unwrap())
            .collect(),
    };
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let peak = AtomicU64::new(0);
    std::thread::scope(|scope| {
        // Most of a scene is waiting.
        for _ in 0..if times > 1 { 12 } else { 3 } {
            scope.spawn(|| {
                while let Some(&number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let case = || {
                        run(|sandbox| {
                            let allocations = sandbox.allocations(program, name).unwrap();
                            allocations.fail_from(number);
                            scene(sandbox, &allocations, number);
                            let used = allocations.reserve_peak();
                            let used = used.expect("nm lists the symbols of the program");
                            peak.fetch_max(used, Ordering::Relaxed);
                        });
                    };
                    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(case)).is_err() {
                        failed.lock().unwrap().push(number);
                    }
                }
            });
        }
    });
    let (failed, peak) = (failed.into_inner().unwrap(), peak.into_inner());
    say(&format!(
        "{name}: {} of {total} first failed allocations tried, {} scenes failed: {failed:?}, \
         {peak} bytes of the reserve used",
        numbers.len(),
        failed.len()
    ));
    assert!(failed.is_empty() && total > 0);
    // After some of the allocations, the reserve is not needed.
    assert!(
        (peak > 0 || selected.is_ok()) && peak < RESERVE_LIMIT,
        "{peak}"
    );
}

/// A supervisor in a scene.
struct Supervisor<'a> {
    sandbox: &'a Sandbox,
    running: Running,
}

impl<'a> Supervisor<'a> {
    fn start(sandbox: &'a Sandbox, allocations: &Allocations, command: &str) -> Self {
        let mut start = sandbox.shell(&format!("exec {command} svc"));
        allocations.apply(&mut start);
        let running = sandbox.start(start);
        sandbox.wait_until("the service is supervised", || sandbox.is_supervised("svc"));
        Supervisor { sandbox, running }
    }

    /// The pids that runs have appended to a file.
    fn pids(&self, file: &str) -> Vec<Pid> {
        let pids = fs::read_to_string(self.sandbox.path(file)).unwrap_or_default();
        let pids = pids.lines().map(|pid| Pid::from_raw(pid.parse().unwrap()));
        pids.collect()
    }

    /// Waits for the number-th run of a service.
    fn wait_for_run(&self, file: &str, number: usize) -> Pid {
        self.sandbox
            .wait_until(&format!("run {number} of {file}"), || {
                self.pids(file).len() >= number
            });
        *self.pids(file).last().unwrap()
    }

    fn command(&self, dir: &str, letters: &str) {
        fs::write(self.sandbox.path(dir).join("supervise/control"), letters).unwrap();
    }

    fn record(&self, dir: &str) -> Vec<u8> {
        fs::read(self.sandbox.path(dir).join("supervise/status")).unwrap_or_default()
    }

    fn recorded_pid(&self, dir: &str) -> i32 {
        let record = self.record(dir);
        let pid = record.get(12..16).unwrap_or(&[0; 4]);
        i32::from_le_bytes(pid.try_into().unwrap())
    }

    /// Pauses and continues, stops and starts, and kills the service, whose run
    /// `number` runs. Returns the number of its runs then.
    fn play(&self, dir: &str, pids: &str, number: usize) -> usize {
        self.wait_for_run(pids, number);
        for (letter, paused) in [("p", 1), ("c", 0)] {
            self.command(dir, letter);
            self.sandbox.wait_until("the service is paused or not", || {
                self.record(dir).get(16) == Some(&paused)
            });
        }
        self.command(dir, "d");
        self.sandbox
            .wait_until("the service is down", || self.recorded_pid(dir) == 0);
        self.command(dir, "u");
        let pid = self.wait_for_run(pids, number + 1);
        kill(pid, Signal::SIGKILL).unwrap();
        self.wait_for_run(pids, number + 2);
        number + 2
    }

    /// Asserts that the service has exactly one process, which its record names.
    fn assert_once(&self, dir: &str, pids: &str, runs: usize) {
        let holds = || {
            let pids = self.pids(pids);
            let alive: Vec<_> = pids
                .iter()
                .filter(|pid| kill(**pid, None).is_ok())
                .collect();
            pids.len() == runs && matches!(*alive, [pid] if pid.as_raw() == self.recorded_pid(dir))
        };
        assert!(
            holds_within(RECOVERY, holds),
            "{dir}: {:?}, record of {}",
            self.pids(pids),
            self.recorded_pid(dir)
        );
    }

    fn exit(self) {
        self.command("svc", "dx");
        let pid = self.running.pid();
        self.running.wait().exits(0);
        assert!(children(pid).is_empty());
    }
}

/// A run script that appends its pid to a file.
fn counted_run(file: &str) -> String {
    format!("#!/bin/sh\necho $$ >>{file}\nexec sleep 1000\n")
}

/// Plays a scene of supervise or runsv. `number` decides whether memory comes back
/// before the exit.
fn supervised(sandbox: &Sandbox, allocations: &Allocations, number: u64, command: &str) {
    sandbox.script("svc/run", &counted_run("pids"));
    let supervisor = Supervisor::start(sandbox, allocations, command);
    let runs = supervisor.play("svc", "svc/pids", 1);
    if number % 2 == 0 {
        allocations.restore();
    }
    supervisor.assert_once("svc", "svc/pids", runs);
    supervisor.exit();
    allocations.restore();
}

#[test]
fn supervise_survives_each_failed_allocation() {
    let name = "supervise_survives_each_failed_allocation";
    for_every_allocation(name, "supervise", |sandbox, allocations, number| {
        supervised(sandbox, allocations, number, "supervise");
    });
}

#[test]
fn supervise_e_survives_each_failed_allocation() {
    let name = "supervise_e_survives_each_failed_allocation";
    for_every_allocation(name, "supervise", |sandbox, allocations, number| {
        for script in ["finish", "notify", "start", "stop", "check"] {
            let text = format!("#!/bin/sh\necho $* >>{script}ed\n");
            sandbox.script(format!("svc/{script}"), &text);
        }
        sandbox.write("svc/check-interval", "50");
        sandbox.write("svc/timeout-kill", "10000");
        sandbox.write("svc/restart-limit-count", "20");
        sandbox.write("svc/notification-fd", "no number");
        symlink("../elsewhere", sandbox.path("svc/supervise")).unwrap();
        let lines = |file: &str| {
            let text = fs::read_to_string(sandbox.path(file)).unwrap_or_default();
            text.lines().count()
        };
        sandbox.script("svc/run", &counted_run("pids"));
        let supervisor = Supervisor::start(sandbox, allocations, "supervise -e");
        sandbox.write("svc/down-signal", "INT");
        let runs = supervisor.play("svc", "svc/pids", 1);
        sandbox.wait_until("finish has run", || lines("svc/finished") >= 2);
        sandbox.wait_until("notify has run", || lines("svc/notifyed") >= 5);
        allocations.restore();
        supervisor.assert_once("svc", "svc/pids", runs);
        let checks = lines("svc/checked");
        assert!(holds_within(RECOVERY, || lines("svc/checked") > checks + 1));
        if number % 2 == 0 {
            allocations.fail_from(0);
        }
        let stops = lines("svc/stoped");
        supervisor.exit();
        assert_eq!(lines("svc/stoped"), stops + 1);
    });
}

#[test]
fn runsv_survives_each_failed_allocation() {
    let name = "runsv_survives_each_failed_allocation";
    for_every_allocation(name, "runsv", |sandbox, allocations, number| {
        // A run is killed as soon as its pid is in the file.
        sandbox.script(
            "svc/run",
            "#!/bin/sh\necho $$\necho $$ >>pids\nexec sleep 1000\n",
        );
        let reader = "#!/bin/sh\necho $$ >>pids\nexec cat >>lines\n";
        sandbox.script("svc/log/run", reader);
        sandbox.script("svc/finish", "#!/bin/sh\necho $* >>finished\n");
        sandbox.script("svc/control/d", "#!/bin/sh\necho d >>controlled\nexit 1\n");
        let supervisor = Supervisor::start(sandbox, allocations, "runsv");
        // A killed logger loses the line that it has read and not written.
        sandbox.wait_until("the first line is logged", || {
            let read = |name: &str| fs::read(sandbox.path(name)).unwrap_or_default();
            let lines = read("svc/log/lines");
            !lines.is_empty() && lines == read("svc/pids")
        });
        let loggers = supervisor.play("svc/log", "svc/log/pids", 1);
        let runs = supervisor.play("svc", "svc/pids", 1);
        if number % 2 == 0 {
            allocations.restore();
        }
        supervisor.assert_once("svc", "svc/pids", runs);
        supervisor.assert_once("svc/log", "svc/log/pids", loggers);
        supervisor.exit();
        allocations.restore();
        // The logger has each line once.
        assert_eq!(sandbox.read("svc/log/lines"), sandbox.read("svc/pids"));
        assert_eq!(sandbox.read("svc/controlled"), b"d\n".repeat(2));
        assert_eq!(sandbox.sh("wc -l <svc/finished").text().trim(), "3");
    });
}
