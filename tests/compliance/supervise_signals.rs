//! The signals of supervise -e: SIGTERM and SIGHUP.

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Sandbox, compliance, kill, ours};

/// A service that records each SIGTERM, and exits once the file `go` exists.
const RECORDER: &str = "#!/bin/sh
trap 'echo >>told' TERM
trap 'echo >>usr' USR1
echo >up
until [ -e go ]; do sleep 0.02; done
";

ours!(
    term_stops_service_and_supervise,
    repeated_term_signals_the_service_once,
    hup_exits_after_the_run,
    exit_request_leaves_the_record,
    ignored_hup_stays_ignored,
    ignored_hup_stays_ignored_on_a_terminal,
    hup_ends_a_session_without_terminal,
    signals_continue_a_paused_service,
    run_inherits_the_signal_mask,
);

compliance!(without_e_signals_kill_supervise);

#[track_caller]
fn wait_for_file(sandbox: &Sandbox, file: &str) {
    sandbox.wait_until(&format!("{file} is there"), || sandbox.exists(file));
}

fn term_stops_service_and_supervise(sandbox: &Sandbox) {
    sandbox.script(
        "s/run",
        "#!/bin/sh\ntrap 'echo >told; exit' USR1\necho >up\nwhile :; do sleep 0.02; done\n",
    );
    sandbox.script("s/finish", "#!/bin/sh\necho $1 >finished\n");
    sandbox.write("s/down-signal", "USR1");
    let supervise = sandbox.start_supervisor("supervise -e", "s");
    wait_for_file(sandbox, "s/up");
    supervise.signal(Signal::SIGTERM);
    supervise.wait().succeeds();
    assert!(sandbox.exists("s/told"));
    assert_eq!(sandbox.read("s/finished"), b"0\n");
}

fn repeated_term_signals_the_service_once(sandbox: &Sandbox) {
    sandbox.script("s/run", RECORDER);
    let supervise = sandbox.start_supervisor("supervise -e", "s");
    wait_for_file(sandbox, "s/up");
    supervise.signal(Signal::SIGTERM);
    wait_for_file(sandbox, "s/told");
    supervise.signal(Signal::SIGTERM);
    // supervise handles its signals in the order of their arrival, and then
    // commands.
    sandbox.sh("svc -1 s").succeeds();
    wait_for_file(sandbox, "s/usr");
    sandbox.write("s/go", "");
    supervise.wait().succeeds();
    assert_eq!(sandbox.read("s/told"), b"\n");
}

fn hup_exits_after_the_run(sandbox: &Sandbox) {
    sandbox.script("s/run", RECORDER);
    // Either file makes svc -x stop the service.
    sandbox.write("s/timeout-kill", "60000");
    sandbox.write("s/down-signal", "TERM");
    let supervise = sandbox.start_supervisor("supervise -e", "s");
    wait_for_file(sandbox, "s/up");
    supervise.signal(Signal::SIGHUP);
    sandbox.sh("svc -1 s").succeeds();
    wait_for_file(sandbox, "s/usr");
    sandbox.write("s/go", "");
    supervise.wait().succeeds();
    assert!(!sandbox.exists("s/told"));
}

/// The record does not show the request: a new one would only wake up its readers.
fn exit_request_leaves_the_record(sandbox: &Sandbox) {
    for request in ["kill -HUP $supervise", "svc -x s"] {
        sandbox.script("s/run", RECORDER);
        let supervise = sandbox.start_supervisor("supervise -e", "s");
        wait_for_file(sandbox, "s/up");
        sandbox.service("s");
        let inode = || sandbox.sh("stat -c %i s/supervise/status").text();
        let before = inode();
        let request = format!("supervise={}; {request}", supervise.pid());
        sandbox.sh(&request).succeeds();
        // The second signal comes after the turn of the loop that handles the
        // request.
        for signal in ["usr", "again"] {
            sandbox.sh("svc -1 s").succeeds();
            wait_for_file(sandbox, "s/usr");
            sandbox.sh(&format!("mv s/usr s/{signal}.seen")).succeeds();
        }
        assert_eq!(inode(), before, "{request}");
        sandbox.write("s/go", "");
        supervise.wait().succeeds();
        sandbox.sh("rm -r s").succeeds();
    }
}

fn ignored_hup_stays_ignored(sandbox: &Sandbox) {
    sandbox.script("s/run", RECORDER);
    let supervise = sandbox.start_supervisor("nohup supervise -e", "s");
    wait_for_file(sandbox, "s/up");
    survives_hup(sandbox, supervise.pid());
    supervise.wait().exits(0);
}

fn ignored_hup_stays_ignored_on_a_terminal(sandbox: &Sandbox) {
    sandbox.script("s/run", RECORDER);
    // This supervise leads the session of the terminal.
    let supervise = "echo $$ >pid; exec nohup supervise -e s >out 2>&1";
    let script = sandbox.start(sandbox.shell(&format!(
        "mkfifo keys; exec script -qec '{supervise}' /dev/null <>keys"
    )));
    wait_for_file(sandbox, "s/up");
    let pid = String::from_utf8(sandbox.read("pid")).unwrap();
    survives_hup(sandbox, Pid::from_raw(pid.trim().parse().unwrap()));
    script.wait().exits(0);
}

fn hup_ends_a_session_without_terminal(sandbox: &Sandbox) {
    sandbox.script("s/run", RECORDER);
    let supervise = "echo $$ >pid; exec nohup supervise -e s >out 2>&1";
    let session = sandbox.start(sandbox.shell(&format!("exec setsid -w sh -c '{supervise}'")));
    wait_for_file(sandbox, "s/up");
    let pid = String::from_utf8(sandbox.read("pid")).unwrap();
    kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGHUP).unwrap();
    sandbox.write("s/go", "");
    session.wait().exits(0);
}

/// Asserts that a supervise restarts its service after SIGHUP, and stops both.
#[track_caller]
fn survives_hup(sandbox: &Sandbox, supervise: Pid) {
    let first = sandbox.service("s");
    kill(supervise, Signal::SIGHUP).unwrap();
    kill(first, Signal::SIGKILL).unwrap();
    sandbox.wait_until("the service runs again", || sandbox.service("s") != first);
    kill(supervise, Signal::SIGTERM).unwrap();
    sandbox.write("s/go", "");
}

fn signals_continue_a_paused_service(sandbox: &Sandbox) {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        sandbox.script("s/run", RECORDER);
        let supervise = sandbox.start_supervisor("supervise -e", "s");
        wait_for_file(sandbox, "s/up");
        sandbox.sh("svc -p s").succeeds();
        let state = format!("ps -o state= {}", sandbox.service("s"));
        sandbox.wait_for(&state, |state| state == "T\n");
        sandbox.write("s/go", "");
        supervise.signal(signal);
        supervise.wait().succeeds();
        sandbox.sh("rm -r s").succeeds();
    }
}

fn run_inherits_the_signal_mask(sandbox: &Sandbox) {
    let masks = "grep -h ^Sig[BI] /proc/self/status";
    for program in ["run", "finish", "notify"] {
        sandbox.script(
            format!("s/{program}"),
            // A notify may still run after supervise has exited.
            &format!("#!/bin/sh\n{masks} >new.$$ && mv new.$$ {program}.masks\n"),
        );
    }
    for ignored in ["", "trap '' HUP TERM; "] {
        let supervise = sandbox.start(sandbox.shell(&format!("{ignored}exec supervise -e s")));
        for program in ["run", "finish", "notify"] {
            wait_for_file(sandbox, &format!("s/{program}.masks"));
        }
        supervise.signal(Signal::SIGTERM);
        supervise.wait().exits(0);
        let expected = sandbox.sh(&format!("{ignored}{masks}")).text();
        for program in ["run", "finish", "notify"] {
            let found = String::from_utf8(sandbox.read(format!("s/{program}.masks"))).unwrap();
            assert_eq!(found, expected, "{program}");
        }
        sandbox.sh("rm -r s/supervise s/*.masks").succeeds();
    }
}

fn without_e_signals_kill_supervise(sandbox: &Sandbox) {
    sandbox.script("s/run", RECORDER);
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let supervise = sandbox.start_supervisor("env --default-signal supervise", "s");
        wait_for_file(sandbox, "s/up");
        let service = sandbox.service("s");
        supervise.signal(signal);
        assert_eq!(supervise.wait().signal(), Some(signal as i32));
        kill(service, None).unwrap();
        kill(service, Signal::SIGKILL).unwrap();
        sandbox.sh("rm s/up").succeeds();
    }
}
