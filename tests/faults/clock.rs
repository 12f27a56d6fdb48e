//! Clock steps of a day, forward and back. The machine's clock does not change:
//! the test replaces each time that a program reads.
//!
//! Programs read the time from the vDSO, code that the kernel maps into each
//! process. ptrace hides the vDSO from a starting program. The program then
//! calls the kernel, and ptrace changes the result.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::ptr::without_provenance_mut;
use std::thread;

use daemontools_core::label::Label;
use nix::libc::{self, c_long};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use testkit::{Outcome, Sandbox, compliance, kill, ours_on_theirs, say};

use crate::compliance::multilog::line;

/// A time, in microseconds since the Unix epoch.
const NOW: i64 = 1_800_000_000_123_456;
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// The type of the vDSO's entry in the auxiliary vector, and the type of an
/// entry that programs ignore.
const AT_SYSINFO_EHDR: c_long = 33;
const AT_IGNORE: c_long = 1;

compliance!(
    tai64n_labels_follow_the_clock,
    multilog_stamps_follow_the_clock,
    old_files_have_unique_labels_of_the_clock,
    removal_by_least_label_if_clock_goes_back,
);

ours_on_theirs!(follower_prints_lines_in_order_if_clock_steps);

/// The memory of a stopped process.
struct Memory(Pid);

impl Memory {
    fn read(&self, address: u64) -> c_long {
        let address = without_provenance_mut(usize::try_from(address).unwrap());
        ptrace::read(self.0, address).unwrap()
    }

    fn write(&self, address: u64, word: i64) {
        let address = without_provenance_mut(usize::try_from(address).unwrap());
        ptrace::write(self.0, address, word).unwrap();
    }

    /// Hides the vDSO from a program at its first instruction. The stack holds
    /// the number of arguments, the arguments, a zero, the environment, a zero,
    /// and the auxiliary vector: pairs of words up to a pair that begins with a
    /// zero.
    fn hide_vdso(&self) {
        let mut place = ptrace::getregs(self.0).unwrap().rsp + 8;
        for _ in 0..2 {
            while self.read(place) != 0 {
                place += 8;
            }
            place += 8;
        }
        while self.read(place) != 0 {
            if self.read(place) == AT_SYSINFO_EHDR {
                self.write(place, AT_IGNORE);
            }
            place += 16;
        }
    }

    /// Replaces the time in the result of a system call that returns the time.
    fn replace_time(&self, mut now: impl FnMut() -> i64) {
        let mut registers = ptrace::getregs(self.0).unwrap();
        match c_long::try_from(registers.orig_rax).unwrap_or(-1) {
            libc::SYS_clock_gettime if registers.rdi == 0 => {
                let now = now();
                self.write(registers.rsi, now / SECOND);
                self.write(registers.rsi + 8, now % SECOND * 1000);
            }
            libc::SYS_gettimeofday => {
                let now = now();
                self.write(registers.rdi, now / SECOND);
                self.write(registers.rdi + 8, now % SECOND);
            }
            libc::SYS_time => {
                registers.rax = u64::try_from(now() / SECOND).unwrap();
                ptrace::setregs(self.0, registers).unwrap();
            }
            _ => {}
        }
    }
}

/// Runs a program. Each read returns the next of `chunks`, and each read of the
/// clock returns the next of `moments`. Returns the outcome and the number of
/// unused moments. None if processes cannot be traced.
fn run(
    sandbox: &Sandbox,
    program: &str,
    chunks: &[Vec<u8>],
    moments: &[i64],
) -> Option<(Outcome, usize)> {
    let (sender, receiver) = UnixDatagram::pair().unwrap();
    let mut command = sandbox.shell(&format!("kill -STOP $$; exec $FIRST/{program}"));
    command.stdin(OwnedFd::from(receiver));
    let running = sandbox.start(command);
    let pid = running.pid();
    let stat = format!("/proc/{pid}/stat");
    sandbox.wait_until("the shell has stopped", || {
        std::fs::read_to_string(&stat).unwrap().contains(") T ")
    });
    if ptrace::attach(pid).is_err() {
        return None;
    }
    let mut moments = moments.iter();
    thread::scope(|scope| {
        scope.spawn(move || {
            for chunk in chunks.iter().map(Vec::as_slice).chain([&b""[..]]) {
                match sender.send(chunk) {
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
                    sent => assert_eq!(sent.unwrap(), chunk.len()),
                }
            }
        });
        trace(pid, || {
            *moments.next().expect("a moment for each read of the clock")
        });
    });
    Some((running.wait(), moments.len()))
}

/// Traces a stopped shell through its exec of the program, up to the exit.
fn trace(pid: Pid, mut now: impl FnMut() -> i64) {
    let memory = Memory(pid);
    let mut has_execed = false;
    let mut within_call = false;
    let mut signal = None;
    let mut options = ptrace::Options::PTRACE_O_TRACESYSGOOD;
    options |= ptrace::Options::PTRACE_O_TRACEEXEC | ptrace::Options::PTRACE_O_TRACEEXIT;
    options |= ptrace::Options::PTRACE_O_EXITKILL;
    waitpid(pid, None).unwrap();
    ptrace::setoptions(pid, options).unwrap();
    kill(pid, Signal::SIGCONT).unwrap();
    loop {
        ptrace::syscall(pid, signal.take()).unwrap();
        match waitpid(pid, None).unwrap() {
            WaitStatus::PtraceEvent(_, _, event) => {
                if event == ptrace::Event::PTRACE_EVENT_EXIT as i32 {
                    ptrace::detach(pid, None).unwrap();
                    return;
                }
                memory.hide_vdso();
                has_execed = true;
            }
            WaitStatus::PtraceSyscall(_) => {
                within_call = !within_call;
                // The first return after the exec is the return of execve.
                if has_execed && !within_call {
                    memory.replace_time(&mut now);
                }
            }
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
            WaitStatus::Stopped(_, other) => signal = Some(other),
            other => panic!("{other:?}"),
        }
    }
}

fn label(moment: i64) -> String {
    let microseconds = u32::try_from(moment % SECOND).unwrap();
    let text = Label::from_unix(moment / SECOND, microseconds).text();
    String::from_utf8(text.to_vec()).unwrap()
}

fn skip() {
    say("skipped, processes cannot be traced: the clock going back");
}

/// Times of the clock, out of order.
const MOMENTS: [i64; 5] = [NOW, NOW - DAY, NOW + DAY, NOW - 1, NOW + 1];

/// A line for each moment, and the text of all lines with their labels.
fn lines() -> (Vec<Vec<u8>>, String) {
    let lines: Vec<_> = ('a'..)
        .map(|letter| format!("{letter}\n"))
        .take(MOMENTS.len())
        .collect();
    let stamp = |(moment, line): (&i64, &String)| format!("{} {line}", label(*moment));
    let stamped: Vec<_> = MOMENTS.iter().zip(&lines).map(stamp).collect();
    (
        lines.into_iter().map(String::into_bytes).collect(),
        stamped.concat(),
    )
}

fn tai64n_labels_follow_the_clock(sandbox: &Sandbox) {
    let (lines, stamped) = lines();
    let Some((outcome, left)) = run(sandbox, "tai64n", &lines, &MOMENTS) else {
        return skip();
    };
    outcome.prints(stamped);
    assert_eq!(left, 0);
}

fn multilog_stamps_follow_the_clock(sandbox: &Sandbox) {
    let (lines, stamped) = lines();
    let Some((outcome, left)) = run(sandbox, "multilog t ./m", &lines, &MOMENTS) else {
        return skip();
    };
    outcome.succeeds();
    assert_eq!(sandbox.read("m/current"), stamped.as_bytes());
    assert_eq!(left, 0);
}

fn old_files_have_unique_labels_of_the_clock(sandbox: &Sandbox) {
    let chunks: Vec<_> = (0..16).map(|_| line(1000)).collect();
    let Some((outcome, left)) = run(sandbox, "multilog s4096 n100 ./m", &chunks, &MOMENTS) else {
        return skip();
    };
    outcome.succeeds();
    assert_eq!(left, 0);
    for moment in MOMENTS {
        assert_eq!(
            sandbox.read(format!("m/{}.s", label(moment))),
            line(1000).repeat(3)
        );
    }
    assert_eq!(sandbox.read("m/current"), line(1000));
}

fn removal_by_least_label_if_clock_goes_back(sandbox: &Sandbox) {
    let chunks: Vec<_> = (b'a'..=b'p')
        .map(|byte| {
            let mut line = line(1000);
            line[0] = byte;
            line
        })
        .collect();
    let Some((outcome, left)) = run(sandbox, "multilog s4096 n3 ./m", &chunks, &MOMENTS) else {
        return skip();
    };
    outcome.succeeds();
    assert_eq!(left, 0);
    // Two old files are kept. The file labelled a day earlier sorts first and
    // is removed when a third appears.
    let first = |name: String| sandbox.read(format!("m/{name}"))[0];
    assert_eq!(sandbox.sh("ls m | grep @").stdout.len(), 2 * 28);
    assert_eq!(first(format!("{}.s", label(NOW + DAY))), b'g');
    assert_eq!(first(format!("{}.s", label(NOW + 1))), b'm');
    assert_eq!(first("current".into()), b'p');
}

fn follower_prints_lines_in_order_if_clock_steps(sandbox: &Sandbox) {
    sandbox.write("m/lock", "");
    sandbox.write("m/current", "x start\n");
    let follower = sandbox.start(sandbox.shell("exec svlog -f -r m"));
    sandbox.wait_until("svlog follows", || follower.stdout() == b"x start\n");
    let chunks: Vec<_> = (0..200)
        .map(|number| format!("{number:0>300}\n").into_bytes())
        .collect();
    // Each line and each old file takes a time; many of them go back.
    let steps = [0, -DAY, DAY, -1, -SECOND, 3, -DAY / 2, SECOND];
    let moments: Vec<_> = (0..1000)
        .zip(steps.iter().cycle())
        .map(|(number, step)| NOW + number + step)
        .collect();
    let Some((outcome, _)) = run(sandbox, "multilog t s4096 n1000 ./m", &chunks, &moments) else {
        return skip();
    };
    outcome.succeeds();
    let messages = || {
        let printed = String::from_utf8(follower.stdout()).unwrap();
        let message = |line: &str| line.split(' ').nth(1).unwrap_or_default().to_owned() + "\n";
        printed
            .lines()
            .map(message)
            .collect::<String>()
            .into_bytes()
    };
    let expected = [&b"start\n"[..], &chunks.concat()].concat();
    sandbox.wait_until("all lines are printed", || {
        messages().len() >= expected.len()
    });
    assert_eq!(messages(), expected);
    assert_eq!(follower.stderr(), b"");
    follower.kill();
}
