//! svlog -f beside multilog and svlogd at full speed: each line that exists is
//! printed once and in order.
//!
//! The loggers of a test are Debian's with the mixed subject. All lines have
//! numbers and the same length; therefore, all files have the same number of
//! lines.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::thread;

use fastrand::Rng;
use nix::sys::signal::Signal::{SIGALRM, SIGCONT, SIGKILL, SIGSTOP, SIGTERM};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, pipe2};
use testkit::{Running, Sandbox, kill, ours, ours_on_theirs};

use super::wait_until_asleep;
use crate::processes::waits_without_timeout;

ours_on_theirs!(
    follower_prints_each_line_once,
    stopped_follower_prints_each_line_once,
    slow_follower_counts_missed_files,
    killed_follower_resumes_at_its_cursor,
    alarms_between_lines_lose_nothing,
);

ours!(
    idle_follower_waits_without_timeout,
    closed_output_ends_an_idle_follower,
    unfinished_line_waits_for_its_end,
    cut_line_of_a_finished_file_is_printed,
    replaced_directory_is_followed,
    later_services_are_followed,
    several_services_are_merged,
    cursor_keeps_other_directories,
    unusable_cursor_is_fatal,
    many_logs_are_followed_with_few_files,
    full_non_blocking_output_is_awaited,
    cut_line_of_a_shipper_is_ended,
    cursor_distinguishes_equal_line_ends,
    cursor_in_a_removed_file_counts_it,
);

/// The length of a line with its newline.
const LINE: usize = 100;
/// The longest output between two saved cursors.
const FLUSH: usize = 65_536 + LINE;

fn line(number: usize) -> Vec<u8> {
    let mut line = format!("{number:08} ").into_bytes();
    line.resize(LINE - 1, b'x');
    line.push(b'\n');
    line
}

fn lines(numbers: std::ops::Range<usize>) -> Vec<u8> {
    numbers.flat_map(line).collect()
}

/// The numbers of printed lines, each complete.
#[track_caller]
fn numbers(output: &[u8]) -> Vec<usize> {
    let lines = output.split_inclusive(|byte| *byte == b'\n');
    let number = |printed: &[u8]| {
        let stamped = printed.len().checked_sub(LINE).map(|at| &printed[at..]);
        let text = stamped.unwrap_or(printed);
        let number = text.get(..8).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            digits.parse().ok()
        });
        let number = number.unwrap_or_else(|| panic!("{}", printed.escape_ascii()));
        assert_eq!(
            text.escape_ascii().to_string(),
            line(number).escape_ascii().to_string()
        );
        number
    };
    lines.map(number).collect()
}

/// A logger on the log directory `m`.
struct Logger {
    running: Running,
    input: File,
}

/// A logger's command, and the configuration of svlogd.
#[derive(Clone, Copy)]
struct Setup {
    command: &'static str,
    config: &'static str,
}

/// Loggers that keep all files.
const KEEPING: [Setup; 6] = [
    Setup {
        command: "exec multilog s4096 n1000000 ./m",
        config: "",
    },
    Setup {
        command: "exec multilog t s4096 n1000000 ./m",
        config: "",
    },
    Setup {
        command: "exec multilog t s4096 n1000000 !cat ./m",
        config: "",
    },
    Setup {
        command: "exec svlogd m",
        config: "s4096\nn0\n",
    },
    Setup {
        command: "exec svlogd -tt m",
        config: "s4096\nn0\n",
    },
    Setup {
        command: "exec svlogd -tt m",
        config: "s4096\nn0\n!cat\n",
    },
];

impl Logger {
    /// Starts a logger and waits for its first line, number 0.
    fn start(sandbox: &Sandbox, setup: Setup) -> Self {
        if !setup.config.is_empty() {
            sandbox.write("m/config", setup.config);
        }
        let (reader, writer) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let mut command = sandbox.shell(setup.command);
        command.stdin(reader);
        let running = sandbox.start(command);
        let mut logger = Logger {
            running,
            input: File::from(writer),
        };
        logger.write(0..1);
        sandbox.wait_until("the logger writes", || {
            fs::read(sandbox.path("m/current")).is_ok_and(|current| current.ends_with(b"\n"))
        });
        logger
    }

    fn write(&mut self, numbers: std::ops::Range<usize>) {
        self.input.write_all(&lines(numbers)).unwrap();
    }

    /// Writes from another thread, as fast as the logger reads.
    fn write_behind(&self, numbers: std::ops::Range<usize>) -> thread::JoinHandle<()> {
        let mut input = self.input.try_clone().unwrap();
        thread::spawn(move || {
            for first in numbers.clone().step_by(50) {
                let some = lines(first..numbers.end.min(first + 50));
                input.write_all(&some).unwrap();
            }
        })
    }

    /// Ends the input and waits for the end of the logger.
    fn end(self) {
        drop(self.input);
        self.running.wait().succeeds();
    }
}

fn command(sandbox: &Sandbox, arguments: &str) -> Command {
    sandbox.shell(&format!("exec svlog {arguments}"))
}

/// Starts `svlog -f -r` and waits until it has printed line 0.
fn follow(sandbox: &Sandbox) -> Running {
    let reader = sandbox.start(command(sandbox, "-f -r m"));
    wait_for_lines(sandbox, &reader, 1);
    reader
}

#[track_caller]
fn wait_for_lines(sandbox: &Sandbox, reader: &Running, count: usize) {
    sandbox.wait_until(&format!("{count} lines are printed"), || {
        let printed = reader.stdout();
        assert_eq!(reader.stderr().escape_ascii().to_string(), "");
        count_lines(&printed) >= count
    });
}

#[track_caller]
fn wait_for_last(sandbox: &Sandbox, reader: &Running, last: usize) {
    sandbox.wait_until("the last line is printed", || {
        assert_eq!(reader.stderr().escape_ascii().to_string(), "");
        reader.stdout().ends_with(&line(last))
    });
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

/// Asserts that these lines, and no others, were printed in order.
#[track_caller]
fn assert_consecutive(setup: Setup, printed: &[usize], wanted: std::ops::Range<usize>) {
    let end = wanted.end;
    let wrong = wanted
        .zip(printed)
        .find(|(wanted, printed)| wanted != *printed);
    assert_eq!(wrong, None, "{} {:?}", setup.command, setup.config);
    assert_eq!(
        printed.last(),
        end.checked_sub(1).as_ref(),
        "{}",
        setup.command
    );
}

/// Ends a follower. Its output is complete: the test waited for it.
fn end(reader: Running) -> Vec<u8> {
    reader.signal(SIGTERM);
    let outcome = reader.wait();
    assert_eq!(outcome.signal(), Some(SIGTERM as i32), "{outcome:?}");
    outcome.stdout
}

fn follower_prints_each_line_once(sandbox: &Sandbox) {
    for setup in KEEPING {
        let logger = Logger::start(sandbox, setup);
        let reader = follow(sandbox);
        let count = if setup.command.contains('!') || setup.config.contains('!') {
            1000
        } else {
            10_000
        };
        let writer = logger.write_behind(1..count);
        wait_for_last(sandbox, &reader, count - 1);
        writer.join().unwrap();
        logger.end();
        let printed = numbers(&end(reader));
        assert_consecutive(setup, &printed, 0..count);
        fs::remove_dir_all(sandbox.path("m")).unwrap();
    }
}

fn stopped_follower_prints_each_line_once(sandbox: &Sandbox) {
    let mut rng = Rng::with_seed(1);
    for setup in KEEPING {
        let logger = Logger::start(sandbox, setup);
        let reader = follow(sandbox);
        let mut written = 1;
        for _ in 0..10 {
            reader.signal(SIGSTOP);
            let next = written + rng.usize(1..200);
            logger.write_behind(written..next).join().unwrap();
            written = next;
            reader.signal(SIGCONT);
            let next = written + rng.usize(1..50);
            logger.write_behind(written..next).join().unwrap();
            written = next;
        }
        wait_for_last(sandbox, &reader, written - 1);
        logger.end();
        assert_consecutive(setup, &numbers(&end(reader)), 0..written);
        fs::remove_dir_all(sandbox.path("m")).unwrap();
    }
}

/// Loggers that keep two files.
const REMOVING: [Setup; 4] = [
    Setup {
        command: "exec multilog s4096 n2 ./m",
        config: "",
    },
    Setup {
        command: "exec multilog t s4096 n2 ./m",
        config: "",
    },
    Setup {
        command: "exec svlogd m",
        config: "s4096\nn2\n",
    },
    Setup {
        command: "exec svlogd -tt m",
        config: "s4096\nn2\n",
    },
];

fn slow_follower_counts_missed_files(sandbox: &Sandbox) {
    for setup in REMOVING {
        let mut logger = Logger::start(sandbox, setup);
        let output = sandbox.path("output");
        mkfifo(&output, Mode::S_IRWXU).unwrap();
        let reader = sandbox.start(command(sandbox, "-f -r m >output"));
        let mut output = File::open(&output).unwrap();
        let mut printed = vec![0; 1];
        output.read_exact(&mut printed).unwrap();
        // The pipe holds less than the lines; the follower blocks.
        let count = 10_000;
        logger.write_behind(1..count).join().unwrap();
        logger.write(count..count + 1);
        while !printed.ends_with(&line(count)) {
            let mut some = [0; 4096];
            let len = output.read(&mut some).unwrap();
            printed.extend(&some[..len]);
        }
        let printed = numbers(&printed);
        assert!(printed.is_sorted_by(|a, b| a < b), "{printed:?}");
        let missing = count + 1 - printed.len();
        assert!(missing > 0, "the follower was not slow");
        let gone = || {
            let warning = String::from_utf8(reader.stderr()).unwrap();
            let counts = warning.lines().map(|line| {
                let words: Vec<_> = line.split(' ').collect();
                assert_eq!(words[..3], ["svlog:", "warning:", "m:"], "{line}");
                assert!(line.ends_with(" gone"), "{line}");
                words[3].parse::<usize>().unwrap()
            });
            counts.sum::<usize>()
        };
        // A file has at least 4096 bytes less 2000, and at most 4096.
        let length = if setup.command.contains(" t") {
            126
        } else {
            LINE
        };
        sandbox.wait_until("all missing files are counted", || {
            missing <= gone() * (4096 / length)
        });
        assert!(
            missing >= gone() * (2096 / length),
            "{missing} lines of {} files",
            gone()
        );
        logger.end();
        reader.kill();
        fs::remove_file(sandbox.path("output")).unwrap();
        fs::remove_dir_all(sandbox.path("m")).unwrap();
    }
}

fn killed_follower_resumes_at_its_cursor(sandbox: &Sandbox) {
    let mut rng = Rng::with_seed(2);
    for setup in KEEPING {
        let logger = Logger::start(sandbox, setup);
        let count = if setup.command.contains('!') || setup.config.contains('!') {
            1000
        } else {
            20_000
        };
        let writer = logger.write_behind(1..count);
        let mut next = 0;
        let mut kills = 0;
        let mut history = String::new();
        while next < count {
            let reader = sandbox.start(command(sandbox, "-f -r -c cursor m"));
            let enough = rng.usize(0..count / 10);
            sandbox.wait_until("lines are printed", || {
                let printed = count_lines(&reader.stdout());
                printed >= enough.min(count - next)
            });
            kill(reader.pid(), SIGKILL).unwrap();
            // The kill may cut the last write.
            let mut printed = reader.wait().stdout;
            let complete = printed.iter().rposition(|byte| *byte == b'\n');
            printed.truncate(complete.map_or(0, |newline| newline + 1));
            let printed = numbers(&printed);
            let Some(&first) = printed.first() else {
                continue;
            };
            let cursor = fs::read_to_string(sandbox.path("cursor")).unwrap_or_default();
            let last = first + printed.len() - 1;
            history.extend([format!("printed {first} to {last}\n"), cursor]);
            let context = format!("{} {:?}\n{history}", setup.command, setup.config);
            assert!(first <= next, "{context}lines {next} to {first} are lost");
            let doubled = (next - first) * LINE;
            assert!(doubled <= FLUSH, "{context}{doubled} bytes are doubled");
            assert_consecutive(setup, &printed, first..first + printed.len());
            next = next.max(first + printed.len());
            kills += 1;
        }
        writer.join().unwrap();
        logger.end();
        assert!(kills > 0);
        fs::remove_file(sandbox.path("cursor")).unwrap();
        fs::remove_dir_all(sandbox.path("m")).unwrap();
    }
}

fn alarms_between_lines_lose_nothing(sandbox: &Sandbox) {
    for setup in KEEPING {
        let mut logger = Logger::start(sandbox, setup);
        let reader = follow(sandbox);
        for number in 1..100 {
            logger.write(number..number + 1);
            logger.running.signal(SIGALRM);
        }
        wait_for_lines(sandbox, &reader, 100);
        logger.end();
        assert_consecutive(setup, &numbers(&end(reader)), 0..100);
        fs::remove_dir_all(sandbox.path("m")).unwrap();
    }
}

fn switches(reader: &Running) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", reader.pid())).unwrap();
    let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
    lines.collect::<Vec<_>>().join("\n")
}

fn idle_follower_waits_without_timeout(sandbox: &Sandbox) {
    let logger = Logger::start(sandbox, KEEPING[0]);
    let reader = follow(sandbox);
    wait_until_asleep(sandbox, &reader);
    sandbox.wait_until("the follower waits without a timeout", || {
        waits_without_timeout(reader.pid())
    });
    let before = switches(&reader);
    sandbox.sh("svstat m").exits(0);
    assert_eq!(switches(&reader), before);
    assert!(waits_without_timeout(reader.pid()));
    logger.end();
    end(reader);
}

fn closed_output_ends_an_idle_follower(sandbox: &Sandbox) {
    let logger = Logger::start(sandbox, KEEPING[0]);
    // Nothing is written after the reader of the pipe has exited.
    let outcome = sandbox.sh("{ svlog -f -r m; echo $? >&2; } | head -n 1");
    assert_eq!(outcome.stdout, line(0));
    assert_eq!(outcome.stderr, b"0\n");
    logger.end();
}

fn unfinished_line_waits_for_its_end(sandbox: &Sandbox) {
    sandbox.write("m/lock", "");
    sandbox.write("m/current", "one\n");
    let reader = sandbox.start(command(sandbox, "-f -r m"));
    wait_for_lines(sandbox, &reader, 1);
    let mut current = File::options()
        .append(true)
        .custom_flags(0)
        .open(sandbox.path("m/current"))
        .unwrap();
    current.write_all(b"tw").unwrap();
    wait_until_asleep(sandbox, &reader);
    assert_eq!(reader.stdout(), b"one\n");
    current.write_all(b"o\nthree\n").unwrap();
    wait_for_lines(sandbox, &reader, 3);
    assert_eq!(end(reader), b"one\ntwo\nthree\n");
}

fn cut_line_of_a_finished_file_is_printed(sandbox: &Sandbox) {
    let stamp = "@400000006b0b4bfb0a6f6cc4";
    sandbox.write("m/lock", "");
    sandbox.write("m/current", format!("{stamp} one\n{stamp} tw"));
    let reader = sandbox.start(command(sandbox, "-f -r m"));
    wait_for_lines(sandbox, &reader, 1);
    wait_until_asleep(sandbox, &reader);
    assert_eq!(reader.stdout(), format!("{stamp} one\n").as_bytes());
    // As multilog after a kill. The stamp shows that the next file does not
    // continue the line.
    let old = sandbox.path(format!("m/{stamp}.u"));
    fs::rename(sandbox.path("m/current"), old).unwrap();
    sandbox.write("m/current", format!("{stamp} three\n"));
    wait_for_lines(sandbox, &reader, 3);
    let lines = format!("{stamp} one\n{stamp} tw\n{stamp} three\n");
    assert_eq!(end(reader), lines.as_bytes());
}

fn replaced_directory_is_followed(sandbox: &Sandbox) {
    let mut next = 0;
    let mut write = |path: &str, count| {
        sandbox.write(format!("{path}/lock"), "");
        let lines = lines(next..next + count);
        next += count;
        let current = sandbox.path(format!("{path}/current"));
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(current)
            .unwrap();
        file.write_all(&lines).unwrap();
        next
    };
    let count = write("m", 2);
    let reader = sandbox.start(command(sandbox, "-f -r m"));
    wait_for_lines(sandbox, &reader, count);
    for round in 0..10 {
        // Removed and made anew; moved away; exchanged by a rename.
        match round % 3 {
            0 => fs::remove_dir_all(sandbox.path("m")).unwrap(),
            1 => fs::rename(sandbox.path("m"), sandbox.path(format!("old{round}"))).unwrap(),
            _ => {
                let count = write("new", 1);
                fs::rename(sandbox.path("m"), sandbox.path(format!("old{round}"))).unwrap();
                fs::rename(sandbox.path("new"), sandbox.path("m")).unwrap();
                wait_for_lines(sandbox, &reader, count);
            }
        }
        let count = write("m", 2);
        wait_for_lines(sandbox, &reader, count);
    }
    let count = write("m", 1);
    wait_for_lines(sandbox, &reader, count);
    assert!(numbers(&end(reader)).into_iter().eq(0..count));
}

fn later_services_are_followed(sandbox: &Sandbox) {
    fs::create_dir_all(sandbox.path("s/web/log/main")).unwrap();
    sandbox.script("s/web/run", testkit::SLEEPER);
    sandbox.script("s/web/log/run", testkit::SLEEPER);
    sandbox.write("s/web/log/main/lock", "");
    sandbox.write("s/web/log/main/current", "web 0\n");
    let reader = sandbox.start(command(sandbox, "-f -r s"));
    wait_for_lines(sandbox, &reader, 1);
    // Step by step, as an administrator and a logger make them.
    for number in 0..3 {
        let service = format!("s/db{number}");
        fs::create_dir(sandbox.path(&service)).unwrap();
        sandbox.script(format!("{service}/run"), testkit::SLEEPER);
        fs::create_dir(sandbox.path(format!("{service}/log"))).unwrap();
        sandbox.script(format!("{service}/log/run"), testkit::SLEEPER);
        wait_until_asleep(sandbox, &reader);
        fs::create_dir(sandbox.path(format!("{service}/log/main"))).unwrap();
        wait_until_asleep(sandbox, &reader);
        sandbox.write(format!("{service}/log/main/lock"), "");
        sandbox.write(
            format!("{service}/log/main/current"),
            format!("db {number}\n"),
        );
        wait_for_lines(sandbox, &reader, 2 + number);
    }
    // A complete service appears at once.
    sandbox
        .sh("cp -a s/web made && echo made 0 >made/log/main/current && mv made s/made")
        .succeeds();
    wait_for_lines(sandbox, &reader, 5);
    // A removed service is let go; one of the same name is new.
    sandbox.sh("rm -r s/made && cp -a s/web made && echo made 1 >made/log/main/current && mv made s/made").succeeds();
    wait_for_lines(sandbox, &reader, 6);
    let printed = String::from_utf8(end(reader)).unwrap();
    let words: Vec<_> = printed
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .collect();
    let messages: Vec<_> = words
        .iter()
        .map(|words| words[words.len() - 2..].join(" "))
        .collect();
    assert_eq!(
        messages,
        ["web 0", "db 0", "db 1", "db 2", "made 0", "made 1"]
    );
}

fn several_services_are_merged(sandbox: &Sandbox) {
    // The clock of all loggers is the same, and each writes its stamps in order.
    let names = ["a", "b", "c"];
    let count = 300;
    let mut loggers: Vec<_> = names
        .iter()
        .map(|name| {
            let (reader, writer) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
            let mut command = sandbox.shell(&format!("exec multilog t s4096 n1000 ./{name}"));
            command.stdin(reader);
            (sandbox.start(command), File::from(writer))
        })
        .collect();
    for name in names {
        sandbox.wait_until("the log directory exists", || {
            sandbox.exists(format!("{name}/current"))
        });
    }
    let reader = sandbox.start(command(sandbox, "-f -r a b c"));
    wait_until_asleep(sandbox, &reader);
    for number in 0..count {
        for (_, input) in &mut loggers {
            input.write_all(&line(number)).unwrap();
        }
    }
    wait_for_lines(sandbox, &reader, names.len() * count);
    let printed = String::from_utf8(end(reader)).unwrap();
    for name in names {
        let own = printed.lines().filter(|line| line.starts_with(name));
        let own: Vec<u8> = own
            .flat_map(|line| format!("{line}\n").into_bytes())
            .collect();
        assert!(numbers(&own).into_iter().eq(0..count), "{name}");
    }
    for (running, input) in loggers {
        drop(input);
        running.wait().succeeds();
    }
}

fn cursor_keeps_other_directories(sandbox: &Sandbox) {
    for name in ["a", "b"] {
        sandbox.write(format!("{name}/lock"), "");
        sandbox.write(format!("{name}/current"), format!("{name} 0\n"));
    }
    sandbox.sh("svlog -r -c cursor a").prints("a 0\n");
    sandbox.sh("svlog -r -c cursor a").prints("");
    // b is new, and a goes on.
    sandbox.sh("echo a 1 >>a/current").succeeds();
    sandbox
        .sh("svlog -r -c cursor a b | sed 's/^. *//' | LC_ALL=C sort")
        .prints("a 1\nb 0\n");
    sandbox
        .sh("echo a 2 >>a/current; echo b 1 >>b/current")
        .succeeds();
    sandbox.sh("svlog -r -c cursor b").prints("b 1\n");
    // a was kept.
    sandbox.sh("svlog -r -c cursor a").prints("a 2\n");
}

fn unusable_cursor_is_fatal(sandbox: &Sandbox) {
    for name in ["a", "b"] {
        sandbox.write(format!("{name}/lock"), "");
        sandbox.write(format!("{name}/current"), format!("{name} 0\n"));
    }
    sandbox.sh("svlog -r -c cursor a").prints("a 0\n");
    let intact = sandbox.read("cursor");
    let fatal = |cause: &str| format!("svlog: fatal: cursor cursor: {cause}\n");
    let directory = fs::canonicalize(sandbox.path("a")).unwrap();
    let other = format!(
        "belongs to other directories, such as {}",
        directory.display()
    );
    sandbox
        .sh("svlog -r -c cursor b")
        .is(111, "", fatal(&other));
    sandbox.write("cursor", &intact[..intact.len() - 30]);
    let damaged = "damaged; remove it to start without a cursor";
    sandbox
        .sh("svlog -r -c cursor a")
        .is(111, "", fatal(damaged));
    sandbox.write("cursor", "root:x:0:0\n");
    sandbox
        .sh("svlog -r -c cursor a")
        .is(111, "", fatal("not a cursor of svlog"));
    assert_eq!(sandbox.read("cursor"), b"root:x:0:0\n");
    sandbox.sh("svlog -r -c missing/cursor a").is(
        111,
        "",
        "svlog: fatal: unable to write cursor missing/cursor: file does not exist\n",
    );
}

/// Lines of one second each that differ in their stamps alone.
fn health_checks(seconds: std::ops::Range<u32>) -> String {
    let message = "GET /health HTTP/1.1 200 - kube-probe/1.27 and its constant user agent";
    seconds.fold(String::new(), |lines, second| {
        lines + &format!("@400000004d5296{second:02x}00000000 {message}\n")
    })
}

/// A log whose cursor is at the end of `current`, and an older file that has the
/// same bytes before the same offset, but for stamps.
fn read_health_checks(sandbox: &Sandbox) {
    sandbox.write("log/@400000004d52960800000000.s", health_checks(0..8));
    sandbox.write("log/current", health_checks(10..14));
    let all = health_checks(0..8) + &health_checks(10..14);
    sandbox.sh("svlog -r -c cursor log").prints(&all);
}

fn cursor_distinguishes_equal_line_ends(sandbox: &Sandbox) {
    read_health_checks(sandbox);
    // A processor replaces the file by a copy.
    sandbox
        .sh("cat log/current >log/@400000004d52960e00000000.s; ln log/current inode; rm log/current")
        .succeeds();
    sandbox.write("log/current", health_checks(20..26));
    sandbox
        .sh("svlog -r -c cursor log")
        .prints(health_checks(20..26));
}

fn cursor_in_a_removed_file_counts_it(sandbox: &Sandbox) {
    read_health_checks(sandbox);
    sandbox
        .sh("ln log/current inode; rm log/current")
        .succeeds();
    sandbox.write("log/current", health_checks(20..26));
    sandbox.sh("svlog -r -c cursor log").is(
        0,
        health_checks(20..26),
        "svlog: warning: log: 1 file is gone\n",
    );
}

fn many_logs_are_followed_with_few_files(sandbox: &Sandbox) {
    let name = |number: u32| format!("scan/s{number:03}");
    for number in 0..200 {
        sandbox.write(format!("{}/run", name(number)), "");
        let line = format!("@400000004d52960a{number:08x} first\n");
        sandbox.write(format!("{}/log/current", name(number)), line);
    }
    let follower = sandbox.start(sandbox.shell("ulimit -n 64; exec svlog -f -r -n 2 scan"));
    let text = || String::from_utf8_lossy(&follower.stdout()).into_owned();
    let first = "s198 @400000004d52960a000000c6 first\ns199 @400000004d52960a000000c7 first\n";
    sandbox.wait_until("the last lines are printed", || text() == first);
    for number in [7, 150] {
        let rotated = format!("{0}/log/@400000004d52960b00000000.s", name(number));
        let current = format!("{}/log/current", name(number));
        fs::rename(sandbox.path(&current), sandbox.path(rotated)).unwrap();
        sandbox.write(&current, "@400000004d52960b00000001 next\n");
        let line = format!("s{number:03} @400000004d52960b00000001 next\n");
        sandbox.wait_until("the next line is printed", || text().ends_with(&line));
    }
    assert_eq!(text().lines().count(), 4);
    kill(follower.pid(), SIGKILL).unwrap();
    assert_eq!(follower.wait().error_text(), "");
}

fn full_non_blocking_output_is_awaited(sandbox: &Sandbox) {
    let lines = lines(0..3000);
    sandbox.write("log/current", &lines);
    let (reader, writer) =
        pipe2(nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let mut command = command(sandbox, "-r log");
    command.stdout(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut printed = Vec::new();
    let mut reader = File::from(reader);
    sandbox.wait_until("all lines are read", || {
        let end = reader.read_to_end(&mut printed);
        end.is_ok()
    });
    assert!(child.wait().unwrap().success());
    assert_eq!(printed, lines);
}

/// The script of doc/logs.md.
fn cut_line_of_a_shipper_is_ended(sandbox: &Sandbox) {
    sandbox.write("log/current", "@400000004d52960a0ebe121c started\n");
    sandbox.write("lines.json", "{\"time\":\"20");
    let script = "touch lines.json; \
        test -z \"$(tail -c 1 lines.json)\" || echo >>lines.json; \
        exec svlog -j -c cursor log >>lines.json";
    sandbox.sh(script).prints("");
    sandbox.sh(script).prints("");
    let line = "{\"time\":\"2011-02-09T13:26:24.247337500+00:00\",\
        \"service\":\"log\",\"message\":\"started\"}\n";
    let written = String::from_utf8(sandbox.read("lines.json")).unwrap();
    assert_eq!(written, format!("{{\"time\":\"20\n{line}"));
}
