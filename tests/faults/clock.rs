//! The clock goes back and forth by a day. The machine's own does not: each
//! look of a program at the clock is answered by the test.
//!
//! Programs ask the vDSO, memory that the system maps into them, for the time.
//! ptrace can hide that from a program as it starts, so that it asks the
//! system, and can change what the system answers.

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
use testkit::{Outcome, Sandbox, compliance, kill, say};

use crate::compliance::multilog::line;

/// A moment, in microseconds of Unix time.
const NOW: i64 = 1_800_000_000_123_456;
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// What a program finds on its stack about the vDSO, and how it reads
/// something that it need not know.
const AT_SYSINFO_EHDR: c_long = 33;
const AT_IGNORE: c_long = 1;

compliance!(
    tai64n_labels_follow_the_clock,
    multilog_stamps_follow_the_clock,
    old_files_have_unique_labels_of_the_clock,
    removal_by_least_label_if_clock_goes_back,
);

/// A stopped process, whose memory is read and written.
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

    /// Hides the vDSO from a program that has not begun yet. On its stack are
    /// the number of arguments, these, a zero, the environment, a zero, and
    /// pairs of words, the last of which begins with a zero.
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

    /// Changes what the system has just answered, if it was asked for the
    /// time.
    fn answer(&self, mut now: impl FnMut() -> i64) {
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

/// Runs a program, each of whose reads returns one of `chunks` and each of
/// whose looks at the clock sees the next of `moments`; returns how many of
/// them were left. None if processes cannot be traced here.
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
        trace(pid, || *moments.next().expect("one more look at the clock"));
    });
    Some((running.wait(), moments.len()))
}

/// Goes with a stopped process that is to become a program, up to its end.
fn trace(pid: Pid, mut now: impl FnMut() -> i64) {
    let memory = Memory(pid);
    let mut has_begun = false;
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
                has_begun = true;
            }
            WaitStatus::PtraceSyscall(_) => {
                within_call = !within_call;
                // The call that made it the program is over now, too.
                if has_begun && !within_call {
                    memory.answer(&mut now);
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

/// Moments that do not follow each other.
const MOMENTS: [i64; 5] = [NOW, NOW - DAY, NOW + DAY, NOW - 1, NOW + 1];

/// A line for each of the moments, and all of them stamped.
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
    // Two are kept: what ended a day ago went as soon as there were three.
    let first = |name: String| sandbox.read(format!("m/{name}"))[0];
    assert_eq!(sandbox.sh("ls m | grep @").stdout.len(), 2 * 28);
    assert_eq!(first(format!("{}.s", label(NOW + DAY))), b'g');
    assert_eq!(first(format!("{}.s", label(NOW + 1))), b'm');
    assert_eq!(first("current".into()), b'p');
}
