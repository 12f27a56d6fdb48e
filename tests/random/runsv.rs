//! Sequences of control bytes, sent to runsv one by one, to the service or its
//! logger, with what is told of both and what they get after each.

use testkit::Sandbox;
use testkit::random::compare;

use super::control::{RECORDER, commands_are_read, is_calm};

/// Services that are kept at the same time: what each of them waits for, the
/// others wait for as well.
const SERVICES: usize = 12;

/// Commands sent to each service.
const COMMANDS: usize = 8;

/// What runsv runs when `run` has ended.
const FINISH: &str = "#!/bin/sh\necho \"finish $1 $2\" >>trace\n";

/// A logger that reads to the end, and records as the service does.
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

/// What a service is made of.
struct Made {
    down: bool,
    finish: bool,
    logger: bool,
}

/// What there is to see of a service or a logger: the record after its pid,
/// the line, whether `pid` has its pid, and its trace without pids. None while
/// commands wait for runsv, or signals for what it runs, or a death for it.
fn look(sandbox: &Sandbox, name: &str) -> Option<(Vec<u8>, String, bool, String)> {
    if !commands_are_read(sandbox, name) {
        return None;
    }
    let read = |file: &str| std::fs::read(sandbox.path(format!("{name}/{file}")));
    let record = read("supervise/status").ok()?;
    let pid = u32::from_le_bytes(record.get(12..16)?.try_into().ok()?);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_default();
    let log = text(read("trace").unwrap_or_default());
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
        .map(|line| line.strip_prefix("start ").map_or(line, |_| "start"));
    Some((
        record.get(16..)?.to_vec(),
        text(read("supervise/stat").ok()?),
        text(read("supervise/pid").ok()?).trim_end() == format_pid(pid),
        words.collect::<Vec<_>>().join(" "),
    ))
}

/// A pid as the file `pid` has it.
fn format_pid(pid: u32) -> String {
    match pid {
        0 => String::new(),
        pid => pid.to_string(),
    }
}

#[test]
fn sequences_of_control_bytes_for_runsv() {
    let mut run = 0;
    compare(
        "control bytes for runsv, 12 services a case",
        env!("CARGO_BIN_EXE_svok"),
        2,
        |random, pair| {
            run += 1;
            let services: Vec<_> = (0..SERVICES)
                .map(|n| {
                    let made = Made {
                        down: random.bool(),
                        finish: random.bool(),
                        logger: random.bool(),
                    };
                    (format!("r{run}-{n}"), made)
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
                for ((name, made), sent) in services.iter().zip(&sent) {
                    let mut seen = (None, None);
                    let what = format!("{name} is the same after {sent:?}");
                    let names = [name.clone(), format!("{name}/log")];
                    let names = &names[..if made.logger { 2 } else { 1 }];
                    pair.ours.wait_until(&what, || {
                        let all = |sandbox| -> Option<Vec<_>> {
                            names.iter().map(|name| look(sandbox, name)).collect()
                        };
                        seen = (all(&pair.reference), all(&pair.ours));
                        seen.0.is_some() && seen.0 == seen.1
                    });
                }
                if step == COMMANDS {
                    break;
                }
                for ((name, made), sent) in services.iter().zip(&mut sent) {
                    // Those that change the state come more often. What would
                    // end runsv comes at the end.
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
            // Told to exit while it starts the service, the reference complains.
            for runsv in running {
                assert_eq!(runsv.wait().code(), Some(0));
            }
        },
    );
}
