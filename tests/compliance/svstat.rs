//! svstat, and the directories of svc, svstat and svok.

use testkit::{SLEEPER, Sandbox, compliance, interop};

use super::{supervise, wait_for_status};

compliance!(
    call_without_arguments_prints_nothing,
    options_are_not_accepted,
    each_directory_has_a_line_on_stdout,
    current_directory_is_restored_in_between,
    unreadable_down_counts_as_absent,
    effective_user_looks_for_down,
    ok_may_be_any_kind_of_file,
    a_short_record_is_a_bad_format,
    bytes_after_record_are_ignored,
    unreadable_status_repeats_the_previous_one,
    status_needs_one_free_descriptor,
    status_line_has_every_clause,
    seconds_are_counted_from_whole_seconds,
    seconds_of_a_record_of_noise,
    closed_output_is_not_a_failure,
    unopenable_current_directory_is_fatal,
    path_of_4095_bytes_is_entered,
);

interop!(running_service_is_described);

/// A perl command that writes a status record, the label, pid, paused and
/// want of which are given in hexadecimal.
fn record(label: &str, pid: &str, flags: &str) -> String {
    format!(
        "mkdir -p s/supervise; perl -e 'print pack(\"H*\", \"{label}{pid}{flags}\")' \
         >s/supervise/status; mkfifo s/supervise/ok 2>/dev/null; \
         exec 5<>s/supervise/ok; svstat s"
    )
}

const LONG_AGO: &str = "000000000000000000000000";
const IN_FUTURE: &str = "4fffffffffffffff00000000";

fn call_without_arguments_prints_nothing(sandbox: &Sandbox) {
    sandbox.sh("svstat").succeeds();
}

fn options_are_not_accepted(sandbox: &Sandbox) {
    sandbox.sh("svstat -Z --").prints(
        "-Z: unable to chdir: file does not exist\n--: unable to chdir: file does not exist\n",
    );
}

fn each_directory_has_a_line_on_stdout(sandbox: &Sandbox) {
    sandbox.write("file", "");
    sandbox.write("s/run", "");
    sandbox.write("fifo/supervise/status", "");
    sandbox.sh("mkfifo fifo/supervise/ok").succeeds();
    sandbox.sh("svstat nope file s fifo").prints(
        "nope: unable to chdir: file does not exist\n\
         file: unable to chdir: not a directory\n\
         s: unable to open supervise/ok: file does not exist\n\
         fifo: supervise not running\n",
    );
}

fn current_directory_is_restored_in_between(sandbox: &Sandbox) {
    sandbox.write("a/b/run", "");
    sandbox.write("a/supervise/x", "");
    sandbox.sh("svstat a a/b ../here/a").prints(
        "a: unable to open supervise/ok: file does not exist\n\
         a/b: unable to open supervise/ok: file does not exist\n\
         ../here/a: unable to open supervise/ok: file does not exist\n",
    );
}

fn unreadable_down_counts_as_absent(sandbox: &Sandbox) {
    sandbox.sh("mkdir s; ln -s down s/down").succeeds();
    sandbox
        .sh("svstat s")
        .prints("s: unable to stat down: symbolic link loop\n");
}

fn effective_user_looks_for_down(sandbox: &Sandbox) {
    if !testkit::is_root("effective_user_looks_for_down") {
        return;
    }
    // As in a set-user-ID program: the real user may not enter the directory.
    let svstat = "exec setpriv --ruid 65534 --clear-groups svstat s";
    sandbox
        .sh(&format!("mkdir -m 700 s; {svstat}"))
        .prints("s: unable to open supervise/ok: file does not exist\n");
}

fn ok_may_be_any_kind_of_file(sandbox: &Sandbox) {
    sandbox.sh("mkdir -p s/supervise/ok").succeeds();
    sandbox
        .sh("svstat s")
        .prints("s: unable to open supervise/ok: is a directory\n");
    sandbox
        .sh("rmdir s/supervise/ok; echo >s/supervise/ok")
        .succeeds();
    sandbox
        .sh("svstat s")
        .prints("s: unable to open supervise/status: file does not exist\n");
}

fn a_short_record_is_a_bad_format(sandbox: &Sandbox) {
    sandbox
        .sh("mkdir -p s/supervise; : >s/supervise/ok; : >s/supervise/status")
        .succeeds();
    sandbox
        .sh("svstat s")
        .prints("s: unable to read supervise/status: bad format\n");
    sandbox
        .sh("printf 12345678901234567 >s/supervise/status")
        .succeeds();
    sandbox
        .sh("svstat s")
        .prints("s: unable to read supervise/status: bad format\n");
}

fn bytes_after_record_are_ignored(sandbox: &Sandbox) {
    sandbox
        .sh(&record(IN_FUTURE, "00000000", "006475757575"))
        .prints("s: down 0 seconds, normally up\n");
}

fn unreadable_status_repeats_the_previous_one(sandbox: &Sandbox) {
    sandbox
        .sh("mkdir -p d/supervise/status; : >d/supervise/ok")
        .succeeds();
    sandbox.sh("svstat d").prints(format!(
        "d: down {} seconds, normally up\n",
        seconds_since_label_zero()
    ));
    sandbox
        .sh(&record(IN_FUTURE, "07000000", "0175").replace("svstat s", "svstat s d"))
        .prints("s: up (pid 7) 0 seconds, paused\nd: up (pid 7) 0 seconds, paused\n");
}

fn status_needs_one_free_descriptor(sandbox: &Sandbox) {
    let script = record(IN_FUTURE, "00000000", "0075");
    sandbox
        .sh(&script.replace("svstat s", "ulimit -n 5; svstat s"))
        .prints("s: down 0 seconds, normally up, want up\n");
}

fn status_line_has_every_clause(sandbox: &Sandbox) {
    let say = |pid: &str, flags: &str| sandbox.sh(&record(IN_FUTURE, pid, flags)).text();
    assert_eq!(say("00000000", "0000"), "s: down 0 seconds, normally up\n");
    assert_eq!(
        say("00000000", "0175"),
        "s: down 0 seconds, normally up, want up\n"
    );
    assert_eq!(say("00000000", "0064"), "s: down 0 seconds, normally up\n");
    assert_eq!(
        say("01000000", "0564"),
        "s: up (pid 1) 0 seconds, paused, want down\n"
    );
    assert_eq!(say("01000000", "0075"), "s: up (pid 1) 0 seconds\n");
    assert_eq!(
        say("ffffffff", "00ff"),
        "s: up (pid 4294967295) 0 seconds\n"
    );
    assert_eq!(
        say("00000080", "0044"),
        "s: up (pid 2147483648) 0 seconds\n"
    );
    sandbox.write("s/down", "");
    assert_eq!(say("00000000", "0000"), "s: down 0 seconds\n");
    assert_eq!(say("00000000", "0075"), "s: down 0 seconds, want up\n");
    assert_eq!(
        say("01000000", "0075"),
        "s: up (pid 1) 0 seconds, normally down\n"
    );
    assert_eq!(
        say("01000000", "0164"),
        "s: up (pid 1) 0 seconds, normally down, paused, want down\n"
    );
}

fn seconds_are_counted_from_whole_seconds(sandbox: &Sandbox) {
    let script = record("4000000000000000ffffffff", "00000000", "0000");
    let script = script
        .replace(
            "print pack",
            "print pack(\"NN\", 0x40000000, time + 9), pack",
        )
        .replace("4000000000000000ffffffff", "3b9ac9ff");
    // The clock may tick between the two readings.
    let seen = sandbox.sh(&script).text();
    assert!(
        [
            "s: down 1 seconds, normally up\n",
            "s: down 2 seconds, normally up\n"
        ]
        .contains(&&*seen),
        "{seen}"
    );
}

fn seconds_of_a_record_of_noise(sandbox: &Sandbox) {
    sandbox
        .sh(&record(LONG_AGO, "00000000", "0000"))
        .prints(format!(
            "s: down {} seconds, normally up\n",
            seconds_since_label_zero()
        ));
    sandbox
        .sh(&record("ffffffffffffffffffffffff", "00000000", "0000"))
        .prints("s: down 0 seconds, normally up\n");
}

fn closed_output_is_not_a_failure(sandbox: &Sandbox) {
    sandbox.sh("svstat nope >/dev/full").succeeds();
    sandbox.sh("svstat nope >&-").succeeds();
}

fn unopenable_current_directory_is_fatal(sandbox: &Sandbox) {
    if !testkit::is_root("unopenable_current_directory_is_fatal") {
        return;
    }
    sandbox.sh("mkdir s; chmod 711 s").succeeds();
    for program in ["svc", "svstat"] {
        let script = format!("cd s && exec setpriv --reuid 65534 --clear-groups {program} x");
        sandbox.sh(&script).is(
            111,
            "",
            format!("{program}: fatal: unable to open current directory: access denied\n"),
        );
    }
}

fn path_of_4095_bytes_is_entered(sandbox: &Sandbox) {
    sandbox.sh("mkdir s").succeeds();
    let path = |length: usize| format!("s{}", "/".repeat(length - 1));
    let (longest, longer) = (path(4095), path(4096));
    let run = |program: &str, path: &str| sandbox.sh(&format!("exec {program} {path}"));
    let (missing, long) = ("file does not exist\n", "file name too long\n");
    let warning = format!("svc: warning: unable to control {longest}: {missing}");
    run("svc", &longest).is(0, "", warning);
    let warning = format!("svc: warning: unable to chdir to {longer}: {long}");
    run("svc", &longer).is(0, "", warning);
    run("svok", &longest).is(100, "", "");
    let fatal = format!("svok: fatal: unable to chdir to {longer}: {long}");
    run("svok", &longer).is(111, "", fatal);
    let line = format!("{longest}: unable to open supervise/ok: {missing}");
    run("svstat", &longest).prints(line);
    run("svstat", &longer).prints(format!("{longer}: unable to chdir: {long}"));
}

fn running_service_is_described(sandbox: &Sandbox) {
    sandbox.script("s/run", SLEEPER);
    let supervise = supervise(sandbox);
    wait_for_status(sandbox, (true, 0, b'u'));
    assert_eq!(sandbox.sh("svstat s").masked(), "s: up (pid P) S seconds\n");
    sandbox.sh("svc -p s").succeeds();
    wait_for_status(sandbox, (true, 1, b'u'));
    assert_eq!(
        sandbox.sh("svstat s").masked(),
        "s: up (pid P) S seconds, paused\n"
    );
    sandbox.sh("svc -o s").succeeds();
    wait_for_status(sandbox, (true, 1, 0));
    assert_eq!(
        sandbox.sh("svstat s").masked(),
        "s: up (pid P) S seconds, paused\n"
    );
    sandbox.sh("svc -d s").succeeds();
    wait_for_status(sandbox, (false, 0, b'd'));
    assert_eq!(
        sandbox.sh("svstat s").masked(),
        "s: down S seconds, normally up\n"
    );
    sandbox.write("s/down", "");
    assert_eq!(sandbox.sh("svstat s").masked(), "s: down S seconds\n");
    sandbox.sh("svc -u s").succeeds();
    wait_for_status(sandbox, (true, 0, b'u'));
    assert_eq!(
        sandbox.sh("svstat s").masked(),
        "s: up (pid P) S seconds, normally down\n"
    );
    sandbox.sh("svc -dx s").succeeds();
    supervise.wait().succeeds();
    sandbox.sh("svstat s").prints("s: supervise not running\n");
}

/// Seconds from the zero label to now, as they are printed: in double
/// precision, in which seconds of the present come in steps of 1024.
fn seconds_since_label_zero() -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() + (1 << 62) + 10;
    let (low, rest) = (now & !1023, now & 1023);
    (if rest > 512 { low + 1024 } else { low }).to_string()
}
