use testkit::{SLEEPER, Sandbox, compliance, interop};

use super::supervise;

compliance!(
    missing_argument_prints_usage,
    further_arguments_are_ignored,
    a_missing_directory_is_fatal,
    non_fifo_is_reported,
    clients_need_as_few_descriptors,
);

interop!(exit_code_says_whether_supervise_runs);

fn missing_argument_prints_usage(sandbox: &Sandbox) {
    sandbox.sh("svok").is(100, "", "svok: usage: svok dir\n");
}

fn further_arguments_are_ignored(sandbox: &Sandbox) {
    sandbox.write("s/run", "");
    sandbox.sh("svok s nonsense").is(100, "", "");
}

fn a_missing_directory_is_fatal(sandbox: &Sandbox) {
    sandbox.sh("svok nope").is(
        111,
        "",
        "svok: fatal: unable to chdir to nope: file does not exist\n",
    );
}

fn non_fifo_is_reported(sandbox: &Sandbox) {
    sandbox.write("s/supervise/ok/file", "");
    sandbox.sh("svok s").is(
        111,
        "",
        "svok: fatal: unable to open s/supervise/ok: is a directory\n",
    );
}

fn clients_need_as_few_descriptors(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let supervise = supervise(sandbox);
    let full = "process cannot open more files";
    for (limit, client, expected) in [
        (4, "svok s", String::new()),
        (
            4,
            "svstat s",
            format!("s: unable to open supervise/ok: {full}\n"),
        ),
        (
            4,
            "svc -c s",
            format!("svc: warning: unable to control s: {full}\n"),
        ),
        (5, "svc -c s", String::new()),
    ] {
        let outcome = sandbox.sh(&format!("exec 2>&1; ulimit -n {limit}; exec {client}"));
        outcome.is(0, expected, "");
    }
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().succeeds();
}

fn exit_code_says_whether_supervise_runs(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    sandbox.sh("svok s").is(100, "", "");
    let supervise = sandbox.start(sandbox.shell("exec supervise s"));
    sandbox.wait_until("svok succeeds", || sandbox.is_supervised("s"));
    sandbox.sh("svok s").succeeds();
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().succeeds();
    sandbox.sh("svok s").is(100, "", "");
}
