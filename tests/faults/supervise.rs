//! supervise under restarts without pause, signal storms, unusable standard
//! errors, garbage in its files and FIFOs, and idle readers and writers.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::Signal;

use testkit::{SLEEPER, Sandbox, compliance, kill, ours, say};

use super::{children, descriptors, is_zombie, memory, pid_of, record, span};
use crate::compliance::{supervise, wait_for_status};

compliance!(
    restarts_leak_no_descriptors_or_memory,
    signal_storm_does_not_block_commands,
    full_stderr_changes_nothing,
    file_in_place_of_status_is_replaced,
);

ours!(
    control_noise_of_a_megabyte_is_survived,
    command_burst_is_obeyed_in_order,
    idle_readers_and_writers_block_nothing,
);

fn restarts_leak_no_descriptors_or_memory(sandbox: &Sandbox) {
    const SERVICES: usize = 60;
    let pgrphack = sandbox.bin().join("pgrphack").canonicalize().unwrap();
    for n in 0..SERVICES {
        // Without arguments, pgrphack prints its usage and exits.
        sandbox
            .sh(&format!(
                "mkdir -p scan/{n}; ln -s {} scan/{n}/run",
                pgrphack.display()
            ))
            .succeeds();
    }
    let svscan = sandbox.start(sandbox.shell("exec svscan scan"));
    let starts = || svscan.stderr().split(|&byte| byte == b'\n').count() - 1;
    sandbox.wait_until("each service has restarted", || starts() >= 3 * SERVICES);
    let supervises = children(svscan.pid());
    assert_eq!(supervises.len(), SERVICES);
    let processes: Vec<_> = supervises.iter().copied().chain([svscan.pid()]).collect();
    let usage = || -> Vec<_> {
        // While supervise writes its status, one more descriptor is open.
        let mut least = vec![usize::MAX; processes.len()];
        let mut reads = 0;
        sandbox.wait_until("the descriptors were read 20 times", || {
            for (least, pid) in least.iter_mut().zip(&processes) {
                *least = descriptors(*pid).min(*least);
            }
            reads += 1;
            reads == 20
        });
        let memory = processes
            .iter()
            .map(|pid| memory(*pid, "Anonymous").unwrap());
        least.into_iter().zip(memory).collect()
    };
    let (first, before) = (starts(), usage());
    let start = Instant::now();
    let enough = || starts() >= first + 4 * SERVICES && start.elapsed() >= span(0);
    while !enough() {
        // With DAEMONTOOLS_MINUTES, the loop outlasts the limit of wait_until:
        // wait for one restart at a time.
        let now = starts();
        sandbox.wait_until("a service restarts", || starts() > now || enough());
    }
    let after = usage();
    for ((fds_before, before), (fds_after, after)) in before.iter().zip(&after) {
        assert_eq!(fds_before, fds_after);
        assert!(
            *after <= before + 16,
            "{before} KB before, {after} KB after"
        );
    }
    assert_eq!(children(svscan.pid()), supervises);
    let total = |usage: &[(usize, u64)]| usage.iter().map(|(_, memory)| memory).sum::<u64>();
    say(&format!(
        "{:?}: {} restarts of {SERVICES} services; their supervises used {} KB before, {} KB after",
        sandbox.subject(),
        starts() - first,
        total(&before),
        total(&after)
    ));
}

fn signal_storm_does_not_block_commands(sandbox: &Sandbox) {
    sandbox.script("scan/s/run", SLEEPER);
    let svscan = sandbox.start(sandbox.shell("exec svscan scan"));
    sandbox.wait_until("supervise runs", || sandbox.is_supervised("scan/s"));
    let supervise = children(svscan.pid())[0];
    let mut sent = 0;
    let mut storm = || {
        for signal in [
            Signal::SIGCHLD,
            Signal::SIGWINCH,
            Signal::SIGURG,
            Signal::SIGSTOP,
            Signal::SIGCHLD,
            Signal::SIGCONT,
        ] {
            for pid in [supervise, svscan.pid()] {
                kill(pid, signal).unwrap();
                sent += 1;
            }
        }
    };
    for (command, wanted) in [
        ("-p", (true, 1, b'u')),
        ("-c", (true, 0, b'u')),
        ("-d", (false, 0, b'd')),
        ("-u", (true, 0, b'u')),
    ] {
        (0..500).for_each(|_| storm());
        sandbox.sh(&format!("svc {command} scan/s")).succeeds();
        sandbox.wait_until("supervise has obeyed the command", || {
            storm();
            record(sandbox, "scan/s").map(|status| (pid_of(status) != 0, status[16], status[17]))
                == Some(wanted)
        });
    }
    sandbox.script("scan/t/run", SLEEPER);
    sandbox.wait_until("svscan has started the new service", || {
        storm();
        sandbox.is_supervised("scan/t")
    });
    sandbox.wait_until("no zombie is left", || {
        !children(supervise).into_iter().any(is_zombie)
    });
    assert_eq!(svscan.stderr(), b"");
    say(&format!(
        "{:?}: {sent} signals, every command obeyed",
        sandbox.subject()
    ));
}

fn full_stderr_changes_nothing(sandbox: &Sandbox) {
    for stderr in ["2>&-", "2>/dev/full", "2</dev/null"] {
        sandbox
            .sh("rm -rf s; mkdir -p s/supervise/status.new")
            .succeeds();
        sandbox.script("s/run", "#!/bin/sh\n: >ran; exec sleep 1000\n");
        // The status file, the service, and then the run script cause warnings.
        let supervise = sandbox.start(sandbox.shell(&format!("exec supervise s {stderr}")));
        sandbox.wait_until("run has started", || sandbox.exists("s/ran"));
        sandbox
            .sh("rm -r s/run s/supervise/status.new; svc -t s")
            .succeeds();
        wait_for_status(sandbox, (false, 0, b'u'));
        sandbox.script("s/run", SLEEPER);
        wait_for_status(sandbox, (true, 0, b'u'));
        sandbox.sh("svc -dx s").succeeds();
        supervise.wait().is(0, "", "");
    }
}

fn file_in_place_of_status_is_replaced(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let mut random = fastrand::Rng::with_seed(1);
    for length in [0, 1, 17, 18, 19, 70_000] {
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(length)
            .collect();
        sandbox.write("s/supervise/status", &noise);
        sandbox.write("s/supervise/status.new", &noise);
        let supervise = supervise(sandbox);
        wait_for_status(sandbox, (true, 0, b'u'));
        sandbox.sh("svc -dx s").succeeds();
        supervise.wait().succeeds();
        sandbox
            .sh("ls s/supervise")
            .prints("control\nlock\nok\nstatus\n");
    }
}

fn control_noise_of_a_megabyte_is_survived(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    let mut random = fastrand::Rng::with_seed(1);
    // Every byte but `x`, the command to exit.
    let noise = std::iter::repeat_with(|| random.u8(..)).filter(|&byte| byte != b'x');
    let noise: Vec<u8> = noise.take(1 << 20).collect();
    let (before, start) = (
        memory(supervise.pid(), "Anonymous").unwrap(),
        Instant::now(),
    );
    let mut control = fs::File::options()
        .write(true)
        .open(sandbox.path("s/supervise/control"))
        .unwrap();
    control.write_all(&noise).unwrap();
    let elapsed = start.elapsed();
    sandbox.sh("svc -uc s").succeeds();
    wait_for_status(sandbox, (true, 0, b'u'));
    let after = memory(supervise.pid(), "Anonymous").unwrap();
    assert!(after <= before + 16, "{before} KB before, {after} KB after");
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().succeeds();
    say(&format!(
        "Ours: {} bytes of noise obeyed in {elapsed:?}",
        noise.len()
    ));
}

fn command_burst_is_obeyed_in_order(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let _supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    watch
        .add_watch(
            &sandbox.path("s/supervise"),
            AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO,
        )
        .unwrap();
    let mut control = fs::File::options()
        .write(true)
        .open(sandbox.path("s/supervise/control"))
        .unwrap();
    let mut records = 0;
    for last in [b'p', b'c'] {
        // The most that one atomic write to a FIFO may hold.
        let mut burst = b"pc".repeat(2047);
        burst.push(last);
        control.write_all(&burst).unwrap();
        wait_for_status(sandbox, (true, u8::from(last == b'p'), b'u'));
        // Records of the burst precede those of the next two commands.
        sandbox.sh("svc -o s").succeeds();
        wait_for_status(sandbox, (true, u8::from(last == b'p'), 0));
        sandbox.sh("svc -u s").succeeds();
        wait_for_status(sandbox, (true, u8::from(last == b'p'), b'u'));
        while let Ok(events) = watch.read_events() {
            // inotify merges equal events in a row. The creation of each new
            // record separates the renames.
            records += events
                .iter()
                .filter(|event| event.mask == AddWatchFlags::IN_MOVED_TO)
                .count();
        }
    }
    // Twice: one record for the burst and one for each of the two commands.
    assert_eq!(records, 6);
    say("Ours: 2 bursts of 4095 commands, 2 new records");
}

fn idle_readers_and_writers_block_nothing(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    let open = |name: &str, flags| {
        let path = sandbox.path(format!("s/supervise/{name}"));
        fs::File::options()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(path)
            .unwrap()
    };
    // Both ends of the FIFOs stay open and idle.
    let _idle: Vec<_> = ["control", "ok", "control", "ok"]
        .into_iter()
        .map(|name| open(name, 0))
        .collect();
    sandbox.sh("svc -p s").succeeds();
    wait_for_status(sandbox, (true, 1, b'u'));
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().succeeds();
}
