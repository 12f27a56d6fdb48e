//! Sequences of control bytes, sent to runsv one by one, for the service or its
//! logger. After each, the files in supervise and the signals that both
//! received are compared.

use nix::unistd::Pid;
use testkit::Sandbox;
use testkit::random::compare;

use super::control::{RECORDER, commands_are_read, is_settled, rests};

/// Services supervised at the same time, so that their waits overlap.
const SERVICES: usize = 12;

/// Commands sent to each service.
const COMMANDS: usize = 8;

/// The finish script.
const FINISH: &str = "#!/bin/sh\necho \"finish $1 $2\" >>trace\n";

/// A logger that reads to the end of input and records like the service.
const LOGGER: &str = r#"#!/usr/bin/perl
use IO::Handle;
open my $log, ">>", "trace";
$log->autoflush(1);
for my $name (qw(HUP ALRM INT)) { $SIG{$name} = sub { print $log "$name\n" }; }
$SIG{TERM} = sub { print $log "TERM\n"; exit 0 };
print $log "start $$\n";
1 while sysread(STDIN, my $line, 100) || $!{EINTR};
print $log "end\n";
"#;

/// The optional parts of a service.
struct Parts {
    down: bool,
    finish: bool,
    logger: bool,
}

/// The visible state of a service or a logger: the record after the pid, the
/// line of `stat`, whether `pid` agrees with the record, and the trace without
/// pids. None while a command, a signal or an exit is unprocessed.
fn settled_state(
    sandbox: &Sandbox,
    name: &str,
    runsv: Pid,
) -> Option<(Vec<u8>, String, bool, String)> {
    if !commands_are_read(sandbox, name) || !rests(runsv) {
        return None;
    }
    let read = |file: &str| std::fs::read(sandbox.path(format!("{name}/{file}")));
    let record = read("supervise/status").ok()?;
    let pid = u32::from_le_bytes(record.get(12..16)?.try_into().ok()?);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_default();
    let log = text(read("trace").unwrap_or_default());
    if !is_settled(pid, *record.get(17)?, &log) {
        return None;
    }
    let words = log
        .lines()
        .map(|line| line.strip_prefix("start ").map_or(line, |_| "start"));
    Some((
        record.get(16..)?.to_vec(),
        text(read("supervise/stat").ok()?),
        text(read("supervise/pid").ok()?).trim_end() == format_pid(pid),
        words.collect::<Vec<_>>().join(" "),
    ))
}

/// A pid as in the file `pid`: empty if the service is down.
fn format_pid(pid: u32) -> String {
    match pid {
        0 => String::new(),
        pid => pid.to_string(),
    }
}

#[test]
fn control_bytes_for_runsv_have_same_effects() {
    let mut run = 0;
    compare(
        "control bytes for runsv, 12 services a case",
        env!("CARGO_BIN_EXE_svok"),
        2,
        |random, pair| {
            run += 1;
            let services: Vec<_> = (0..SERVICES)
                .map(|n| {
                    let parts = Parts {
                        down: random.bool(),
                        finish: random.bool(),
                        logger: random.bool(),
                    };
                    (format!("r{run}-{n}"), parts)
                })
                .collect();
            let both = [&pair.reference, &pair.ours];
            for sandbox in both {
                for (name, made) in &services {
                    sandbox.script(
                        format!("{name}/run"),
                        &RECORDER.replace("\"log\"", "\"trace\""),
                    );
                    if made.down {
                        sandbox.write(format!("{name}/down"), "");
                    }
                    if made.finish {
                        sandbox.script(format!("{name}/finish"), FINISH);
                    }
                    if made.logger {
                        sandbox.script(format!("{name}/log/run"), LOGGER);
                    }
                }
            }
            let running: Vec<_> = both
                .iter()
                .flat_map(|sandbox| {
                    services.iter().map(|(name, _)| {
                        sandbox.start(sandbox.shell(&format!("exec runsv {name}")))
                    })
                })
                .collect();
            let mut sent = vec![String::new(); SERVICES];
            for step in 0..=COMMANDS {
                for (n, ((name, made), sent)) in services.iter().zip(&sent).enumerate() {
                    let mut seen = (None, None);
                    let pids = [running[n].pid(), running[SERVICES + n].pid()];
                    let condition = format!("{name} is the same after {sent:?}");
                    let names = [name.clone(), format!("{name}/log")];
                    let names = &names[..if made.logger { 2 } else { 1 }];
                    pair.ours.wait_until(&condition, || {
                        let all = |sandbox, runsv| -> Option<Vec<_>> {
                            names
                                .iter()
                                .map(|name| settled_state(sandbox, name, runsv))
                                .collect()
                        };
                        seen = (all(&pair.reference, pids[0]), all(&pair.ours, pids[1]));
                        seen.0.is_some() && seen.0 == seen.1
                    });
                }
                if step == COMMANDS {
                    break;
                }
                for ((name, made), sent) in services.iter().zip(&mut sent) {
                    // Bytes that change the state are more frequent. The byte that
                    // ends runsv is sent last.
                    let letter = char::from(*random.choice(b"uuddooppcchaitkq12+").unwrap());
                    let logger = made.logger && random.u8(0..4) == 0;
                    sent.push_str(if logger { " log:" } else { " " });
                    sent.push(letter);
                    let path = if logger { "/log" } else { "" };
                    for sandbox in both {
                        sandbox
                            .sh(&format!("printf {letter} >{name}{path}/supervise/control"))
                            .succeeds();
                    }
                }
            }
            for sandbox in both {
                for (name, made) in &services {
                    let log = if made.logger {
                        format!("{name}/log")
                    } else {
                        name.clone()
                    };
                    sandbox
                        .sh(&format!(
                            "printf ck >{name}/supervise/control; printf c >{log}/supervise/control; \
                             printf x >{name}/supervise/control"
                        ))
                        .succeeds();
                }
            }
            // The reference prints a warning if x arrives while the service starts.
            for runsv in running {
                assert_eq!(runsv.wait().code(), Some(0));
            }
        },
    );
}
