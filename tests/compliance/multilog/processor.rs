//! Processors: their environment, their output and their failures.

use nix::sys::signal::Signal::{self, SIGALRM, SIGHUP, SIGPIPE, SIGTERM};
use testkit::{Sandbox, compliance};

use super::{contents, files, line, sizes};

compliance!(
    the_output_replaces_the_file,
    processor_state_survives_between_runs,
    processor_runs_as_sh_c_in_log_directory,
    processor_inherits_environment,
    processor_has_descriptors_0_1_4_5,
    processor_has_default_signals,
    processor_may_signal_its_group,
    files_exist_while_processor_runs,
    files_removed_by_processor_are_recreated,
    lines_during_processing_are_kept,
    a_processor_runs_for_every_file,
);

/// Runs multilog with a processor; the first file has 4096 bytes, the second
/// is empty or the line end.
fn process(sandbox: &Sandbox, processor: &str) -> testkit::Outcome {
    let mut command = sandbox.command("multilog");
    command.arg("s4096").arg(format!("!{processor}")).arg("./m");
    let input = line(4096);
    sandbox.run_with_chunks(command, input.chunks(1024))
}

fn the_output_replaces_the_file(sandbox: &Sandbox) {
    process(sandbox, "tr x y; echo done").succeeds();
    let expected = "y".repeat(4095) + "\ndone\n";
    assert_eq!(contents(sandbox, "m"), [expected.into_bytes(), vec![]]);
    assert_eq!(
        files(sandbox, "m"),
        "-rwxr--r-- 4101 @LABEL.s\n-rwxr--r-- 0 current\n-rw------- 0 lock\n-rw-r--r-- 0 state\n"
    );
}

fn processor_state_survives_between_runs(sandbox: &Sandbox) {
    let script = "multilog s4096 '!wc -c; { cat <&4; echo run; } >&5' ./m";
    sandbox.feed(line(4096).repeat(3), script).succeeds();
    assert_eq!(sandbox.read("m/state"), b"run\nrun\nrun\n");
    assert_eq!(
        contents(sandbox, "m"),
        [&b"4096\n"[..], b"4096\n", b"4096\n", b""]
    );
}

fn processor_runs_as_sh_c_in_log_directory(sandbox: &Sandbox) {
    process(
        sandbox,
        "pwd; echo \"$0 $#\"; ls; echo $FIRST >/dev/null; umask",
    )
    .succeeds();
    let expected = format!(
        "{}/m\nsh 0\ncurrent\nlock\nnewstate\nprevious\nprocessed\nstate\n0022\n",
        sandbox.dir().display()
    );
    assert_eq!(
        String::from_utf8_lossy(&contents(sandbox, "m")[0]),
        expected
    );
}

fn processor_inherits_environment(sandbox: &Sandbox) {
    let script =
        "exec env -i B=1 A=2 PATH=/usr/bin:/bin $FIRST/multilog s4096 '!cat /proc/$$/environ' ./m";
    sandbox.feed(line(4096), script).succeeds();
    let environment = String::from_utf8_lossy(&contents(sandbox, "m")[0]).into_owned();
    assert_eq!(environment, "B=1\0A=2\0PATH=/usr/bin:/bin\0");
}

fn processor_has_descriptors_0_1_4_5(sandbox: &Sandbox) {
    let script = "exec multilog s4096 \
        '!cd /proc/$$/fd; for n in *; do echo $n $(readlink $n); done; \
        cat /proc/$$/fdinfo/[01459] | grep flags' ./m ./n =st 9<. 4<.";
    sandbox.feed(line(4096), script).succeeds();
    let dir = sandbox.dir();
    let dir = dir.display();
    let seen = String::from_utf8_lossy(&contents(sandbox, "m")[0]).into_owned();
    // The caller of the tests may leave further descriptors open.
    let seen: Vec<_> = seen
        .lines()
        .filter(|line| line.starts_with("flags") || line.contains(&dir.to_string()))
        .collect();
    assert_eq!(
        seen,
        [
            format!("0 {dir}/m/previous"),
            format!("1 {dir}/m/processed"),
            format!("4 {dir}/m/state"),
            format!("5 {dir}/m/newstate"),
            format!("9 {dir}"),
            "flags:\t0104000".into(),
            "flags:\t0104001".into(),
            "flags:\t0104000".into(),
            "flags:\t0104001".into(),
            "flags:\t0100000".into(),
        ]
    );
}

fn processor_has_default_signals(sandbox: &Sandbox) {
    // TERM and ALRM have their defaults even if they were inherited ignored.
    // Other signals stay unchanged.
    for (trap, ignored) in [
        (":", [false; 3]),
        ("trap '' TERM ALRM HUP PIPE", [true, true, false]),
    ] {
        let script =
            format!("rm -rf m; {trap}; exec multilog s4096 '!exec cat /proc/self/status' ./m");
        sandbox.feed(line(4096), &script).succeeds();
        let status = String::from_utf8_lossy(&contents(sandbox, "m")[0]).into_owned();
        let has = |field: &str, signal: Signal| {
            let bits = status
                .lines()
                .find_map(|line| line.strip_prefix(field))
                .unwrap();
            u64::from_str_radix(bits.trim(), 16).unwrap() & 1 << (signal as u64 - 1) != 0
        };
        for signal in [SIGTERM, SIGALRM] {
            assert!(!has("SigIgn:", signal) && !has("SigBlk:", signal) && !has("SigCgt:", signal));
        }
        assert_eq!(
            [
                has("SigIgn:", SIGHUP),
                has("SigIgn:", SIGPIPE),
                has("SigBlk:", SIGHUP)
            ],
            ignored
        );
    }
}

fn processor_may_signal_its_group(sandbox: &Sandbox) {
    process(
        sandbox,
        "trap 'echo caught' TERM ALRM; kill -TERM $$; kill -ALRM $$; cat >/dev/null",
    )
    .succeeds();
    assert_eq!(contents(sandbox, "m")[0], b"caught\ncaught\n");
}

fn files_exist_while_processor_runs(sandbox: &Sandbox) {
    process(
        sandbox,
        "find . -name '[cnps]*' -printf '%M %s %P\\n' | sort -k 3",
    )
    .succeeds();
    assert_eq!(
        String::from_utf8_lossy(&contents(sandbox, "m")[0]),
        "-rw-r--r-- 0 current\n-rw-r--r-- 0 newstate\n-rwxr--r-- 4096 previous\n\
         -rw-r--r-- 0 processed\n-rw-r--r-- 0 state\n",
    );
}

fn files_removed_by_processor_are_recreated(sandbox: &Sandbox) {
    process(sandbox, "echo x; rm processed newstate state").succeeds();
    assert_eq!(
        files(sandbox, "m"),
        "-rwxr--r-- 0 @LABEL.s\n-rwxr--r-- 0 current\n-rw------- 0 lock\n-rw------- 0 state\n"
    );
}

fn lines_during_processing_are_kept(sandbox: &Sandbox) {
    let script = "multilog s4096 '!cat; echo processed' ./m";
    sandbox.feed(line(1000).repeat(20), script).succeeds();
    let text = contents(sandbox, "m").concat();
    let lines = text.split(|&byte| byte == b'\n');
    assert_eq!(
        lines
            .filter(|&line| line == "x".repeat(999).as_bytes())
            .count(),
        20
    );
}

fn a_processor_runs_for_every_file(sandbox: &Sandbox) {
    sandbox
        .feed(vec![b'x'; 20_000], "multilog s4096 n4 '!gzip' ./m")
        .succeeds();
    let log = |name: &str| format!("gzip -dc <m/{name} | wc -c");
    assert_eq!(sandbox.sh("ls m/@* | wc -l").text(), "3\n");
    let lengths = sandbox
        .sh(&format!("for f in $(cd m; ls @*); do {}; done", log("$f")))
        .text();
    assert_eq!(lengths, "4096\n4096\n3617\n");
    assert_eq!(sizes(sandbox, "m").last(), Some(&0));
}
