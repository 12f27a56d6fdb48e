//! Sequences of control bytes, sent to supervise one by one. After each, the
//! status and the signals that the service received are compared.

use nix::unistd::Pid;
use testkit::random::compare;
use testkit::{Sandbox, Subject};

/// Services supervised at the same time, so that their waits overlap.
const SERVICES: usize = 25;

/// Commands sent to each service.
const COMMANDS: usize = 8;

/// A service that records its starts and the signals that it receives. CONT is
/// not recorded: after TERM, the exit may overtake it.
pub(super) const RECORDER: &str = r#"#!/usr/bin/perl
use IO::Handle;
open my $log, ">>", "log";
$log->autoflush(1);
for my $name (qw(HUP ALRM INT)) { $SIG{$name} = sub { print $log "$name\n" }; }
$SIG{TERM} = sub { print $log "TERM\n"; exit 0 };
print $log "start $$\n";
sleep 1000 while 1;
"#;

/// The visible state of a service: whether it is up, paused and want from the
/// status record, and the log without pids. None while a command, a signal or
/// an exit is unprocessed.
fn settled_state(sandbox: &Sandbox, name: &str, supervise: Pid) -> Option<(bool, u8, u8, String)> {
    if !commands_are_read(sandbox, name) || !rests(supervise) {
        return None;
    }
    let record = std::fs::read(sandbox.path(format!("{name}/supervise/status"))).ok()?;
    let pid = u32::from_le_bytes(record[12..16].try_into().ok()?);
    let log = std::fs::read_to_string(sandbox.path(format!("{name}/log"))).unwrap_or_default();
    if !is_settled(pid, record[17], &log) {
        return None;
    }
    let words = log
        .lines()
        .map(|line| line.split(' ').next().unwrap_or_default());
    Some((
        pid != 0,
        record[16],
        record[17],
        words.collect::<Vec<_>>().join(" "),
    ))
}

/// Whether neither supervisor nor service is at work. A service that is up has
/// recorded its start and sleeps. A service that is down is not wanted up:
/// otherwise its restart is due, and one side may be faster than the other.
pub(super) fn is_settled(pid: u32, want: u8, log: &str) -> bool {
    let mut starts = log.lines().rev();
    let last_start = starts.find_map(|line| line.strip_prefix("start "));
    match pid {
        0 => want != b'u',
        _ => last_start == Some(&pid.to_string()) && rests(Pid::from_raw(pid.try_into().unwrap())),
    }
}

/// Whether a process sleeps or is stopped, and no signal is pending.
pub(super) fn rests(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
    };
    let pending = field("ShdPnd:\t").trim_start_matches('0');
    field("State:\t").starts_with('T') || (field("State:\t").starts_with('S') && pending.is_empty())
}

#[test]
fn control_bytes_have_same_effects() {
    same_after_each("control bytes, 25 services a case", "supervise");
}

/// Without files of -e in the service directory, -e changes nothing.
#[test]
fn control_bytes_with_e_have_same_effects() {
    let name = "control bytes for supervise -e, 25 services a case";
    same_after_each(name, "supervise -e");
}

/// Sends random bytes to supervise of the reference and to the command `ours`.
fn same_after_each(name: &str, ours: &str) {
    let mut run = 0;
    compare(name, env!("CARGO_BIN_EXE_svok"), 2, |random, pair| {
        run += 1;
        let names: Vec<String> = (0..SERVICES).map(|n| format!("s{run}-{n}")).collect();
        let down: Vec<bool> = names.iter().map(|_| random.bool()).collect();
        let both = [&pair.reference, &pair.ours];
        for sandbox in both {
            for (name, down) in names.iter().zip(&down) {
                sandbox.script(format!("{name}/run"), RECORDER);
                if *down {
                    sandbox.write(format!("{name}/down"), "");
                }
            }
        }
        let running: Vec<_> = both
            .iter()
            .flat_map(|sandbox| {
                let program = match sandbox.subject() {
                    Subject::Ours => ours,
                    _ => "supervise",
                };
                let start = move |name| sandbox.shell(&format!("exec {program} {name}"));
                names.iter().map(move |name| sandbox.start(start(name)))
            })
            .collect();
        let mut sent = vec![String::new(); SERVICES];
        for step in 0..=COMMANDS {
            for (n, name) in names.iter().enumerate() {
                let condition = format!("{name} is the same after {:?}", sent[n]);
                let pids = [running[n].pid(), running[SERVICES + n].pid()];
                pair.ours.wait_until(&condition, || {
                    let theirs = settled_state(&pair.reference, name, pids[0]);
                    theirs.is_some() && theirs == settled_state(&pair.ours, name, pids[1])
                });
            }
            if step == COMMANDS {
                break;
            }
            for (n, name) in names.iter().enumerate() {
                // Bytes that change the state are more frequent.
                let letter = char::from(*random.choice(b"uuddooppcchaitk+").unwrap());
                sent[n].push(letter);
                for sandbox in both {
                    sandbox
                        .sh(&format!("printf {letter} >{name}/supervise/control"))
                        .succeeds();
                }
            }
        }
        for sandbox in both {
            sandbox
                .sh(&format!("svc -dxck {}", names.join(" ")))
                .succeeds();
        }
    });
}

/// Whether supervise has read all commands that were sent.
pub(super) fn commands_are_read(sandbox: &Sandbox, name: &str) -> bool {
    use nix::fcntl::{OFlag, open};
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::stat::Mode;
    use std::os::fd::AsFd;

    let control = sandbox.path(format!("{name}/supervise/control"));
    let Ok(fifo) = open(&control, OFlag::O_RDONLY | OFlag::O_NONBLOCK, Mode::empty()) else {
        return false;
    };
    let mut descriptors = [PollFd::new(fifo.as_fd(), PollFlags::POLLIN)];
    poll(&mut descriptors, PollTimeout::ZERO) == Ok(0)
}
