//! Programs of others that read the line of svstat or the status of runsv read ours
//! as they read the reference's.

use testkit::{SLEEPER, Sandbox, compliance, skip};

compliance!(
    management_tools_understand_svstat,
    status_of_runsv_has_the_fields_of_go_runit,
    sv_check_runs_the_check_of_a_service,
);

/// The rules by which Puppet, Salt and Datadog's agent read the output of svstat.
/// Prints the result of each.
const TOOLS: &str = r#"
import re, sys
line = sys.stdin.read()
puppet = "running" if re.search(r":\s+up \(", line) else "stopped"
salt = re.search(r"\(pid (\d+)\)", line)
datadog = re.match(r".*: (down|up) \(pid (\d+)\) (\d+) seconds", line)
print(puppet, bool(salt), datadog and datadog.group(1))
if salt:
    assert salt.group(1) == datadog.group(2) == sys.argv[1], (line, sys.argv)
"#;

/// Whether python3 is installed; the test is skipped otherwise.
fn has_python(sandbox: &Sandbox, test: &str) -> bool {
    let found = sandbox.sh("command -v python3").code() == Some(0);
    if !found {
        skip(test, "there is no python3");
    }
    found
}

fn management_tools_understand_svstat(sandbox: &Sandbox) {
    if !has_python(sandbox, "management_tools_understand_svstat") {
        return;
    }
    sandbox.write("tools.py", TOOLS);
    sandbox.script("s/run", SLEEPER);
    let read = |pid: &str| sandbox.sh(&format!("svstat s | python3 tools.py {pid}"));
    sandbox
        .sh("mkdir t; svstat t | python3 tools.py")
        .prints("stopped False None\n");
    let _supervise = sandbox.start_supervisor("supervise", "s");
    let up = |sandbox: &Sandbox| {
        let pid = sandbox.service("s").to_string();
        read(&pid).prints("running True up\n");
    };
    up(sandbox);
    sandbox.sh("svc -p s").succeeds();
    sandbox.wait_for("svstat s", |text| text.contains(", paused"));
    up(sandbox);
    sandbox.write("s/down", "");
    up(sandbox);
    sandbox.sh("svc -cd s").succeeds();
    sandbox.wait_for("svstat s", |text| text.starts_with("s: down "));
    read("").prints("stopped False None\n");
}

/// Decodes the first 20 bytes of a status as go-runit does: Unix seconds from a
/// big-endian number, the pid from a little-endian one, wanted state and state.
const GO_RUNIT: &str = r#"
import sys, time
status = open("s/supervise/status", "rb").read(20)
assert len(status) == 20, status
seconds = time.time() - (int.from_bytes(status[0:8], "big") - 4611686018427387914)
assert -1 <= seconds < 3600, seconds
state = {0: "down", 1: "up", 2: "finish"}[status[19]]
print(state, status[17:18].decode(), int.from_bytes(status[12:16], "little"))
"#;

fn status_of_runsv_has_the_fields_of_go_runit(sandbox: &Sandbox) {
    if !has_python(sandbox, "status_of_runsv_has_the_fields_of_go_runit") {
        return;
    }
    sandbox.write("go.py", GO_RUNIT);
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/finish", "#!/bin/sh\n[ -e ../go ] || exec sleep 1000\n");
    let _runsv = sandbox.start_supervisor("runsv", "s");
    let pid = sandbox.service("s");
    sandbox.wait_for("python3 go.py", |text| text == format!("up u {pid}\n"));
    sandbox.sh("svc -d s").succeeds();
    // runit's runsv writes this state once before it starts `finish`.
    let finishes = |text: &str| text.starts_with("finish d ") && text != "finish d 0\n";
    let text = sandbox.wait_for("python3 go.py", finishes);
    let finish: i32 = text.trim().rsplit(' ').next().unwrap().parse().unwrap();
    assert_ne!(finish, pid.as_raw());
    sandbox.write("go", "");
    testkit::kill(
        nix::unistd::Pid::from_raw(finish),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    sandbox.wait_for("python3 go.py", |text| text == "down d 0\n");
}

fn sv_check_runs_the_check_of_a_service(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.script("s/check", "#!/bin/sh\npwd | grep -q '/s$' && [ -e good ]\n");
    let _runsv = sandbox.start_supervisor("runsv", "s");
    sandbox.service("s");
    let check = |code| {
        let outcome = sandbox.sh("sv -w 1 check ./s");
        assert_eq!(outcome.code(), Some(code), "{outcome:?}");
        outcome.masked()
    };
    let failed = check(1);
    assert!(failed.starts_with("timeout: run: ./s: "), "{failed}");
    sandbox.write("s/good", "");
    let passed = check(0);
    assert!(passed.starts_with("ok: run: ./s: "), "{passed}");
}
