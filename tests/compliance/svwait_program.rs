//! The program that svwait runs, in `svwait dir -- program`.

use nix::sys::signal::Signal;
use testkit::{Running, Sandbox, ours, ours_on_theirs};

use super::chain::injected;
use super::svwait::{USAGE, failing_service, service, sleeps, start};
use super::{supervise, wait_for_status};

ours_on_theirs!(
    restart_by_program_is_waited_for,
    state_counts_after_the_program,
    start_and_end_beside_program_count,
    exit_of_supervise_beside_program_counts,
    failed_program_ends_svwait,
    program_inherits_what_svwait_did,
    exhausted_resource_is_named,
    program_has_ignored_and_blocked_signals,
    inherited_children_do_not_count,
    timeout_includes_the_program,
    program_outlives_killed_svwait,
    operands_end_at_dashes,
);

ours!(failure_beside_program_ends_the_wait);

/// The service `s`, which is up.
fn up(sandbox: &Sandbox) -> Running {
    service(sandbox, false);
    let supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    supervise
}

fn restart_by_program_is_waited_for(sandbox: &Sandbox) {
    let _supervise = up(sandbox);
    for letter in ["r", "R"] {
        let before = sandbox.service("s");
        sandbox
            .sh(&format!("svwait -{letter} s -- svc -t s"))
            .succeeds();
        assert_ne!(sandbox.service("s"), before);
    }
    // The service is down first.
    sandbox.sh("svwait -D s -- svc -d s").succeeds();
    wait_for_status(sandbox, (false, 0, b'd'));
    sandbox.sh("svwait -R s -- svc -tu s").succeeds();
    wait_for_status(sandbox, (true, 0, b'u'));
    sandbox.sh("svwait -x s -- svc -dx s; svok s").exits(100);
}

fn state_counts_after_the_program(sandbox: &Sandbox) {
    let _supervise = up(sandbox);
    // An unchanged state is a state.
    sandbox
        .sh("svwait -u s -- svc -u s && svwait -U s -- true")
        .succeeds();
    // A state before the program does not count.
    sandbox
        .sh("svwait -u -t 1000 s -- svwait -d s -- svc -d s")
        .is(99, "", "svwait: fatal: timed out\n");
    // The program may outlive the timeout.
    sandbox.sh("svwait -d s").succeeds();
    sandbox
        .sh("svwait -d -t 1000 s -- svwait -u s -- svc -u s")
        .is(99, "", "svwait: fatal: timed out\n");
}

fn start_and_end_beside_program_count(sandbox: &Sandbox) {
    let _supervise = up(sandbox);
    // The service is up again when the program exits.
    for letter in ["r", "R", "d", "D"] {
        sandbox
            .sh(&format!("svwait -{letter} s -- svwait -R s -- svc -t s"))
            .succeeds();
    }
    wait_for_status(sandbox, (true, 0, b'u'));
}

fn exit_of_supervise_beside_program_counts(sandbox: &Sandbox) {
    let first = up(sandbox);
    sandbox.sh("mkfifo x R").succeeds();
    let beside = |letter| {
        let words = format!("-{letter} s -- sh -c 'read line <{letter}'");
        start(sandbox, &words)
    };
    let (mut gone, mut restarted) = (beside("x"), beside("R"));
    sandbox.sh("svc -d s && svwait -d s").succeeds();
    first.kill();
    let _second = supervise(sandbox);
    sandbox.sh("svc -u s && svwait -u s").succeeds();
    assert!(gone.runs() && restarted.runs(), "the programs run still");
    sandbox.sh("echo >x; echo >R").succeeds();
    gone.wait().succeeds();
    restarted
        .wait()
        .is(102, "", "svwait: fatal: supervise of s has ended\n");
}

fn failed_program_ends_svwait(sandbox: &Sandbox) {
    let _supervise = up(sandbox);
    for code in [1, 7, 99, 255] {
        sandbox
            .sh(&format!("svwait -u s -- sh -c 'exit {code}'"))
            .is(code, "", "");
    }
    sandbox.sh("svwait -d s -- sh -c 'kill -9 $$'").is(
        137,
        "",
        "svwait: fatal: sh was killed by signal 9\n",
    );
    sandbox.write("plain", "");
    for (program, error) in [
        ("nope", "file does not exist"),
        ("./nope", "file does not exist"),
        ("./plain", "access denied"),
    ] {
        let message = format!("svwait: fatal: unable to run {program}: {error}\n");
        sandbox
            .sh(&format!("svwait -u s -- {program}"))
            .is(111, "", message);
    }
    // A directory that cannot be watched comes first.
    sandbox.sh("svwait s nope -- touch ran").is(
        111,
        "",
        "svwait: fatal: unable to chdir to nope: file does not exist\n",
    );
    sandbox.sh("mkdir none; svwait s none -- touch ran").is(
        111,
        "",
        "svwait: fatal: none is not a service: it has no run\n",
    );
    assert!(!sandbox.exists("ran"));
}

fn program_inherits_what_svwait_did(sandbox: &Sandbox) {
    let _supervise = up(sandbox);
    sandbox.script(
        "here",
        "#!/bin/sh\ncat; pwd -P; ulimit -S -n; echo $WORD $# $1; ls -l /proc/self/fd/ | wc -l; \
        cat <&7\n",
    );
    let print = "ulimit -S -n 64; exec 7<seven; echo input | WORD=word";
    sandbox.write("seven", "seventh\n");
    let direct = sandbox.sh(&format!("{print} ./here 'a b'"));
    assert!(direct.text().starts_with("input\n/"), "{direct:?}");
    assert!(direct.text().contains("\n64\nword 1 a b\n"), "{direct:?}");
    sandbox
        .sh(&format!("{print} svwait -u s -- ./here 'a b'"))
        .prints(direct.text());
}

fn exhausted_resource_is_named(sandbox: &Sandbox) {
    let _supervise = up(sandbox);
    // 0, 1 and 2 are open already.
    sandbox.sh("ulimit -n 5; exec svwait s -- true").is(
        111,
        "",
        "svwait: fatal: unable to catch SIGCHLD: process cannot open more files\n",
    );
    sandbox
        .sh("ulimit -S -n 5; exec svwait s -- sh -c 'ulimit -S -n'")
        .prints("5\n");
    if let Some(words) = injected("clone,clone3,?fork", "EAGAIN", "1+") {
        sandbox.sh(&format!("exec {words} svwait s -- true")).is(
            111,
            "",
            "svwait: fatal: unable to fork: temporary failure\n",
        );
    }
}

fn program_has_ignored_and_blocked_signals(sandbox: &Sandbox) {
    let _supervise = up(sandbox);
    let print = "grep 'Sig[BIC]' /proc/self/status";
    let block = "exec perl -MPOSIX -e 'sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGCHLD, SIGINT)); \
        exec @ARGV'";
    for before in ["trap '' CHLD PIPE HUP; exec", "trap - CHLD; exec", block] {
        let direct = sandbox.sh(&format!("{before} {print}"));
        assert!(direct.text().contains("SigBlk"), "{direct:?}");
        sandbox
            .sh(&format!("{before} svwait s -- {print}"))
            .prints(direct.text());
        sandbox
            .sh(&format!("{before} svwait s -- sh -c 'exit 5'"))
            .exits(5);
    }
}

fn inherited_children_do_not_count(sandbox: &Sandbox) {
    let _supervise = up(sandbox);
    sandbox.sh("mkfifo go").succeeds();
    sandbox
        .sh("(exit 3) & exec svwait s -- sh -c 'exit 5'")
        .exits(5);
    let script = "(read line <go; exit 3) & exec svwait -d s -- touch ran";
    let svwait = sandbox.start(sandbox.shell(script));
    sandbox.wait_until("the program has run", || {
        sandbox.exists("ran") && sleeps(&svwait)
    });
    sandbox.sh("echo >go; svc -d s").succeeds();
    svwait.wait().succeeds();
}

fn timeout_includes_the_program(sandbox: &Sandbox) {
    let _supervise = up(sandbox);
    sandbox.sh("mkfifo go").succeeds();
    sandbox
        .sh("svwait -u -t 30 s -- sh -c 'read line <go; >ended' >/dev/null 2>error; echo $?; cat error")
        .prints("99\nsvwait: fatal: timed out\n");
    // The program runs on.
    sandbox.sh("echo >go").succeeds();
    sandbox.wait_until("the program ends", || sandbox.exists("ended"));
    sandbox
        .sh("svwait -d -t 30 s -- true")
        .is(99, "", "svwait: fatal: timed out\n");
}

fn program_outlives_killed_svwait(sandbox: &Sandbox) {
    let _supervise = up(sandbox);
    sandbox.sh("mkfifo go").succeeds();
    let svwait = start(sandbox, "s -- sh -c '>runs; read line <go; >ended'");
    sandbox.wait_until("the program runs", || sandbox.exists("runs"));
    svwait.signal(Signal::SIGTERM);
    sandbox.sh("echo >go").succeeds();
    assert_eq!(svwait.wait().signal(), Some(Signal::SIGTERM as i32));
    sandbox.wait_until("the program ends", || sandbox.exists("ended"));
}

fn operands_end_at_dashes(sandbox: &Sandbox) {
    let _supervise = up(sandbox);
    for words in ["s --", "-- s --", "-- -- true", "-u -- -- true"] {
        sandbox.sh(&format!("svwait {words}")).is(100, "", USAGE);
    }
    sandbox.sh("svwait -- s -- echo a -- b").prints("a -- b\n");
    sandbox.sh("mv s ./--; svwait ./-- -- echo a").prints("a\n");
}

fn failure_beside_program_ends_the_wait(sandbox: &Sandbox) {
    let _supervise = failing_service(sandbox);
    for letter in ["U", "R"] {
        sandbox
            .sh(&format!(
                "svwait -{letter} s -- sh -c 'svc -u s && echo >s/go && svwait -D s'"
            ))
            .is(1, "", "svwait: fatal: s has failed\n");
    }
    // The exit code of the program comes first.
    sandbox
        .sh("svwait -U s -- sh -c 'svc -u s && echo >s/go && exit 4'")
        .is(4, "", "");
}
