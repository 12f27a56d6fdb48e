use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use testkit::{Running, Sandbox, compliance, skip};

compliance!(
    last_argument_needs_five_bytes,
    the_last_argument_becomes_dots,
    input_scrolls_in_behind_three_dots,
    nul_bytes_are_dropped_and_all_others_kept,
    five_bytes_show_two,
    a_read_error_ends_silently,
    closed_output_and_error_are_accepted,
    interrupted_read_is_retried,
);

/// Starts readproctitle with these arguments and a socket as its input.
fn start(sandbox: &Sandbox, arguments: &[&str]) -> (Running, UnixStream) {
    let (writer, reader) = UnixStream::pair().unwrap();
    let mut command = sandbox.command("readproctitle");
    command.args(arguments).stdin(OwnedFd::from(reader));
    (sandbox.start(command), writer)
}

/// The arguments of the process, as ps shows them.
fn title(running: &Running) -> Vec<u8> {
    fs::read(format!("/proc/{}/cmdline", running.pid())).unwrap()
}

fn wait_for_title(sandbox: &Sandbox, running: &Running, wanted: &[u8]) {
    let mut seen = Vec::new();
    sandbox.wait_until(&format!("the title is {}", wanted.escape_ascii()), || {
        seen = title(running);
        seen == wanted
    });
}

fn last_argument_needs_five_bytes(sandbox: &Sandbox) {
    for arguments in ["", "....", "''", "..... ....", "-x ''"] {
        sandbox
            .sh(&format!("readproctitle {arguments}"))
            .is(100, "", "");
    }
    for arguments in [".....", "a b 12345", "-- --help"] {
        sandbox.sh(&format!("readproctitle {arguments}")).succeeds();
    }
}

fn the_last_argument_becomes_dots(sandbox: &Sandbox) {
    let (running, _writer) = start(sandbox, &["service", "errors:", "not dots yet"]);
    wait_for_title(
        sandbox,
        &running,
        b"readproctitle\0service\0errors:\0............\0",
    );
}

fn input_scrolls_in_behind_three_dots(sandbox: &Sandbox) {
    let (running, mut writer) = start(sandbox, &["x", ".........."]);
    for (bytes, seen) in [
        ("a", ".........a"),
        ("bc\n", "......abc\n"),
        ("def", "...abc\ndef"),
        ("g", "...bc\ndefg"),
        ("a much longer message\n", "...essage\n"),
    ] {
        writer.write_all(bytes.as_bytes()).unwrap();
        wait_for_title(
            sandbox,
            &running,
            format!("readproctitle\0x\0{seen}\0").as_bytes(),
        );
    }
    drop(writer);
    running.wait().succeeds();
}

fn nul_bytes_are_dropped_and_all_others_kept(sandbox: &Sandbox) {
    let (running, mut writer) = start(sandbox, &["......."]);
    writer.write_all(b"\0\0\xff\0\x01\0\0").unwrap();
    wait_for_title(sandbox, &running, b"readproctitle\0.....\xff\x01\0");
    writer.write_all(b"\0").unwrap();
    writer.write_all(b"\xe9\0\n \t\x7f").unwrap();
    wait_for_title(sandbox, &running, b"readproctitle\0...\n \t\x7f\0");
}

fn five_bytes_show_two(sandbox: &Sandbox) {
    let (running, mut writer) = start(sandbox, &["....."]);
    writer.write_all(b"abc").unwrap();
    wait_for_title(sandbox, &running, b"readproctitle\0...bc\0");
}

fn a_read_error_ends_silently(sandbox: &Sandbox) {
    sandbox.sh("readproctitle ..... </").is(111, "", "");
    sandbox.sh("readproctitle ..... <&-").is(111, "", "");
    let (_writer, reader) = UnixStream::pair().unwrap();
    reader.set_nonblocking(true).unwrap();
    let mut command = sandbox.command("readproctitle");
    command.arg(".....").stdin(OwnedFd::from(reader));
    sandbox.run(command).is(111, "", "");
}

fn closed_output_and_error_are_accepted(sandbox: &Sandbox) {
    sandbox
        .feed("an error\n", "readproctitle ..... >&- 2>&-")
        .succeeds();
    sandbox
        .feed("an error\n", "readproctitle .... >&- 2>&-")
        .is(100, "", "");
}

fn interrupted_read_is_retried(sandbox: &Sandbox) {
    if sandbox.sh("strace -o trace true").code() != Some(0) {
        return skip("interrupted reads", "strace cannot be used");
    }
    sandbox.write("in", "an error\n");
    sandbox
        .sh(
            "strace -qq -o trace -P in -e inject=read:error=EINTR:when=1 \
         readproctitle ..... <in 2>err",
        )
        .succeeds();
    assert!(
        sandbox
            .read("trace")
            .windows(5)
            .any(|word| word == b"EINTR")
    );
}
