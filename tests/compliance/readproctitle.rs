use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use testkit::{Running, Scene, compliance, skip};

/// Starts it with these arguments and a socket to write to.
fn start(scene: &Scene, arguments: &[&str]) -> (Running, UnixStream) {
    let (writer, reader) = UnixStream::pair().unwrap();
    let mut command = scene.command("readproctitle");
    command.args(arguments).stdin(OwnedFd::from(reader));
    (scene.start(command), writer)
}

/// The arguments as ps sees them.
fn title(running: &Running) -> Vec<u8> {
    fs::read(format!("/proc/{}/cmdline", running.pid())).unwrap()
}

fn wait_for_title(scene: &Scene, running: &Running, wanted: &[u8]) {
    let mut seen = Vec::new();
    scene.wait_until(&format!("the title is {}", wanted.escape_ascii()), || {
        seen = title(running);
        seen == wanted
    });
}

compliance! {
    fn it_needs_an_argument_of_five_bytes(scene: &Scene) {
        for arguments in ["", "....", "''", "..... ....", "-x ''"] {
            scene.sh(&format!("readproctitle {arguments}")).is(100, "", "");
        }
        for arguments in [".....", "a b 12345", "-- --help"] {
            scene.sh(&format!("readproctitle {arguments}")).succeeds();
        }
    }

    fn the_last_argument_becomes_dots(scene: &Scene) {
        let (running, _writer) = start(scene, &["service", "errors:", "not dots yet"]);
        wait_for_title(scene, &running, b"readproctitle\0service\0errors:\0............\0");
    }

    fn what_it_reads_moves_in_from_the_right_behind_three_dots(scene: &Scene) {
        let (running, mut writer) = start(scene, &["x", ".........."]);
        for (bytes, seen) in [
            ("a", ".........a"),
            ("bc\n", "......abc\n"),
            ("def", "...abc\ndef"),
            ("g", "...bc\ndefg"),
            ("a much longer message\n", "...essage\n"),
        ] {
            writer.write_all(bytes.as_bytes()).unwrap();
            wait_for_title(scene, &running, format!("readproctitle\0x\0{seen}\0").as_bytes());
        }
        drop(writer);
        running.wait().succeeds();
    }

    fn nul_bytes_are_dropped_and_all_others_kept(scene: &Scene) {
        let (running, mut writer) = start(scene, &["......."]);
        writer.write_all(b"\0\0\xff\0\x01\0\0").unwrap();
        wait_for_title(scene, &running, b"readproctitle\0.....\xff\x01\0");
        writer.write_all(b"\0").unwrap();
        writer.write_all(b"\xe9\0\n \t\x7f").unwrap();
        wait_for_title(scene, &running, b"readproctitle\0...\n \t\x7f\0");
    }

    fn five_bytes_show_two(scene: &Scene) {
        let (running, mut writer) = start(scene, &["....."]);
        writer.write_all(b"abc").unwrap();
        wait_for_title(scene, &running, b"readproctitle\0...bc\0");
    }

    fn a_read_error_ends_silently(scene: &Scene) {
        scene.sh("readproctitle ..... </").is(111, "", "");
        scene.sh("readproctitle ..... <&-").is(111, "", "");
        let (_writer, reader) = UnixStream::pair().unwrap();
        reader.set_nonblocking(true).unwrap();
        let mut command = scene.command("readproctitle");
        command.arg(".....").stdin(OwnedFd::from(reader));
        scene.run(command).is(111, "", "");
    }

    fn standard_output_and_error_are_not_needed(scene: &Scene) {
        scene.feed("an error\n", "readproctitle ..... >&- 2>&-").succeeds();
        scene.feed("an error\n", "readproctitle .... >&- 2>&-").is(100, "", "");
    }

    fn an_interruption_is_nothing(scene: &Scene) {
        if scene.sh("strace -o trace true").code() != Some(0) {
            return skip("interrupted reads", "strace cannot be used");
        }
        scene.write("in", "an error\n");
        scene.sh(
            "strace -qq -o trace -P in -e inject=read:error=EINTR:when=1 \
             readproctitle ..... <in 2>err",
        ).succeeds();
        assert!(scene.read("trace").windows(5).any(|word| word == b"EINTR"));
    }
}
