use testkit::{SLEEPER, Sandbox, compliance, interop};

compliance!(
    missing_argument_prints_usage,
    further_arguments_are_ignored,
    a_missing_directory_is_fatal,
    non_fifo_is_reported,
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
