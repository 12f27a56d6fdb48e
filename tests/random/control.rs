//! Sequences of control bytes, sent to supervise one by one, with what the
//! status says and the service gets after each.

use testkit::random::compare;
use testkit::{Sandbox, Subject};

/// Services that are supervised at the same time: what each of them waits
/// for, the others wait for as well.
const SERVICES: usize = 25;

/// Commands sent to each service.
const COMMANDS: usize = 8;

/// A service that records how it starts, and which signals it gets; CONT is not
/// recorded, since after TERM it may come in time or too late.
pub(super) const RECORDER: &str = r#"#!/usr/bin/perl
use IO::Handle;
open my $log, ">>", "log";
$log->autoflush(1);
for my $name (qw(HUP ALRM INT)) { $SIG{$name} = sub { print $log "$name\n" }; }
$SIG{TERM} = sub { print $log "TERM\n"; exit 0 };
print $log "start $$\n";
sleep 1000 while 1;
"#;

/// What there is to see of a service: whether it is up, paused and want from
/// its status, and its log with the pids left out. None while commands wait
/// for supervise, or signals for the service, or its death for supervise.
fn look(sandbox: &Sandbox, name: &str) -> Option<(bool, u8, u8, String)> {
    if !commands_are_read(sandbox, name) {
        return None;
    }
    let record = std::fs::read(sandbox.path(format!("{name}/supervise/status"))).ok()?;
    let pid = u32::from_le_bytes(record[12..16].try_into().ok()?);
    let log = std::fs::read_to_string(sandbox.path(format!("{name}/log"))).unwrap_or_default();
    let last_start = log
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("start "));
    if pid != 0 && (last_start != Some(&pid.to_string()) || !is_calm(pid)) {
        return None;
    }
    // It is about to be started, and one side may be faster than the other.
    if pid == 0 && record.get(17) == Some(&b'u') {
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

/// Whether a process sleeps, or is stopped, and no signal is on its way to it.
pub(super) fn is_calm(pid: u32) -> bool {
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
fn sequences_of_control_bytes() {
    same_after_each("control bytes, 25 services a case", "supervise");
}

/// Where a service asks for nothing, -e changes nothing.
#[test]
fn sequences_of_control_bytes_with_e() {
    let name = "control bytes for supervise -e, 25 services a case";
    same_after_each(name, "supervise -e");
}

/// Sends random bytes to supervise of the reference, and to ours as it is
/// called there.
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
        let _running: Vec<_> = both
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
                let what = format!("{name} is the same after {:?}", sent[n]);
                pair.ours.wait_until(&what, || {
                    let seen = look(&pair.reference, name);
                    seen.is_some() && seen == look(&pair.ours, name)
                });
            }
            if step == COMMANDS {
                break;
            }
            for (n, name) in names.iter().enumerate() {
                // Those that change the state come more often.
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

/// Whether supervise has taken all commands that were sent.
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
