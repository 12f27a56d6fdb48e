//! Allocations of the loggers: none for a read, and for each rotation as many as for
//! another one.

use std::fs::{self, File};
use std::io::Write;
use std::net::UdpSocket;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use testkit::{Allocations, Running, Sandbox, say};

use super::{children, is_asleep, run, wait_until_quiet, wait_until_steady};

/// A logger whose allocations are counted.
struct Logger<'a> {
    sandbox: &'a Sandbox,
    allocations: Allocations,
    running: Running,
    input: File,
}

impl<'a> Logger<'a> {
    fn start(sandbox: &'a Sandbox, command: &str, test: &str) -> Option<Self> {
        let program = command.split(' ').next().unwrap();
        let allocations = sandbox.allocations(program, test)?;
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut start = sandbox.shell(&format!("exec {command}"));
        allocations.apply(&mut start);
        start.stdin(reader);
        let running = sandbox.start(start);
        let logger = Logger {
            sandbox,
            allocations,
            running,
            input: File::from(writer),
        };
        logger.settle();
        Some(logger)
    }

    /// Waits until the logger has read its input, and its processors have ended. A
    /// logger also sleeps while it waits for a processor.
    fn settle(&self) {
        let pid = self.running.pid();
        wait_until_steady(self.sandbox, "the logger sleeps", || {
            is_asleep(pid) && children(pid).is_empty()
        });
    }

    /// The allocations for these writes to the pipe.
    fn cost(&mut self, writes: &[&[u8]]) -> u64 {
        let before = self.allocations.count();
        for write in writes {
            self.input.write_all(write).unwrap();
        }
        self.settle();
        self.allocations.count() - before
    }

    fn end(self) {
        drop(self.input);
        self.running.wait().exits(0);
    }
}

/// Lines of many kinds, some of them in two reads.
const WRITES: [&[u8]; 8] = [
    b"one\n",
    b"two of three\nthree of three\n",
    b"debug: no line\n",
    b"a line ",
    b"in two\nand the start of one",
    &[b'x'; 3000],
    b"\n\n\n",
    b"error: alert\n",
];

#[test]
fn multilog_allocates_nothing_for_a_read() {
    run(|sandbox| {
        let name = "multilog_allocates_nothing_for_a_read";
        for script in [
            "./m",
            "t ./m",
            "t '-*' '+*a*' ./m",
            "t '-debug*' e =status 'pweb: ' e =status ./m",
            "t '-debug*' 'pweb: ' 1 ./m",
            "R3600 ./m s4096 ./n",
        ] {
            let Some(mut logger) = Logger::start(sandbox, &format!("multilog {script}"), name)
            else {
                return;
            };
            logger.cost(&WRITES);
            let cost = logger.cost(&WRITES.repeat(3)) + logger.cost(&[b"x\n"]);
            say(&format!(
                "allocations of multilog {script} for 25 writes: {cost}"
            ));
            // A rotation of the last script allocates names.
            assert!(cost == 0 || script.contains("s4096"), "{script}: {cost}");
            logger.end();
        }
    });
}

#[test]
fn svlogd_allocates_nothing_for_a_read() {
    run(|sandbox| {
        let name = "svlogd_allocates_nothing_for_a_read";
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = receiver.local_addr().unwrap().port();
        let config = format!("pweb: \n-debug*\ne*alert*\nu127.0.0.1:{port}\n");
        for (options, config) in [
            ("", ""),
            ("-t", ""),
            ("-ttt -r _ -R ae", ""),
            ("-tt -l 20", config.as_str()),
            ("-v", config.as_str()),
        ] {
            sandbox.write("m/config", config);
            let Some(mut logger) = Logger::start(sandbox, &format!("svlogd {options} m"), name)
            else {
                return;
            };
            logger.cost(&WRITES);
            let cost = logger.cost(&WRITES.repeat(3)) + logger.cost(&[b"x\n"]);
            say(&format!(
                "allocations of svlogd {options} for 25 writes: {cost}"
            ));
            assert_eq!(cost, 0, "{options}");
            logger.end();
        }
    });
}

/// The rotations of a test.
const ROTATIONS: usize = 100;

#[test]
fn rotations_allocate_equally() {
    run(|sandbox| {
        let name = "rotations_allocate_equally";
        sandbox.write("plain/config", "s3000\nn4\n");
        sandbox.write("processed/config", "s3000\nn4\n!cat\n");
        for (command, rotations) in [
            ("multilog t s4096 n4 ./m", ROTATIONS),
            ("multilog t s4096 n4 S20000 !cat ./p", ROTATIONS / 4),
            ("svlogd plain", ROTATIONS),
            ("svlogd processed", ROTATIONS / 4),
        ] {
            let Some(mut logger) = Logger::start(sandbox, command, name) else {
                return;
            };
            let line = [&[b'x'; 3000][..], b"\n"].concat();
            for _ in 0..8 {
                logger.cost(&[&line]);
            }
            let one = logger.cost(&[&line]);
            for _ in 0..rotations - 10 {
                logger.input.write_all(&line).unwrap();
            }
            logger.settle();
            let last = logger.cost(&[&line]);
            say(&format!(
                "allocations of {command} for a rotation: {one}, for the last of {rotations}: {last}"
            ));
            assert!(last <= one && one < 200);
            logger.end();
        }
    });
}

/// The text with times has a second buffer, whose room costs memory only when used.
#[test]
fn idle_svlogd_uses_no_room_for_times() {
    run(|sandbox| {
        sandbox.sh("mkdir plain times").succeeds();
        let used = |command: &str| {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
            let mut start = sandbox.shell(&format!("exec {command}"));
            start.stdin(reader);
            let running = sandbox.start(start);
            let lock = format!("{}/lock", command.rsplit(' ').next().unwrap());
            sandbox.wait_until("the directory is open", || sandbox.exists(&lock));
            wait_until_quiet(sandbox, running.pid());
            let mappings = fs::read_to_string(format!("/proc/{}/smaps", running.pid()));
            drop(writer);
            running.wait().exits(0);
            let mappings = mappings.unwrap();
            let sizes = mappings
                .lines()
                .filter_map(|line| line.strip_prefix("Anonymous:"));
            let sizes = sizes.map(|size| size.trim().trim_end_matches(" kB").parse::<u64>());
            sizes.map(Result::unwrap).sum::<u64>()
        };
        let (plain, times) = (used("svlogd plain"), used("svlogd -tt times"));
        say(&format!("idle svlogd: {plain} kB, with times {times} kB"));
        // A used room has 256 kB.
        assert!(times < plain + 200);
    });
}
