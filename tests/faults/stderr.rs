//! Unusable standard errors: closed, full, without a reader, or unread. Lost
//! alerts and warnings do not affect the log.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use testkit::{Sandbox, compliance};

use crate::compliance::multilog::{Feed, contents, files, line};

/// Unusable standard errors: the shell commands that make them, and the signal
/// that kills multilog there.
const UNUSABLE: [(&str, Option<i32>); 4] = [
    ("exec 2>&-", None),
    ("exec 2>/dev/full", None),
    // Descriptor 2 is the writing end of a FIFO without a reader.
    ("mkfifo fifo; exec 3<>fifo 2>fifo 3<&-", Some(13)),
    ("trap '' PIPE; mkfifo fifo; exec 3<>fifo 2>fifo 3<&-", None),
];

compliance!(
    unread_alerts_do_not_affect_the_log,
    blocked_alert_loses_no_line,
    unread_warnings_keep_the_retry_pause,
);

fn unread_alerts_do_not_affect_the_log(sandbox: &Sandbox) {
    for (n, (before, signal)) in UNUSABLE.into_iter().enumerate() {
        for (m, script) in ["e ./m", "./m e", "t e =status ./m"]
            .into_iter()
            .enumerate()
        {
            let outcome = sandbox.feed(
                "a\nb\n",
                &format!("mkdir {n}.{m}; cd {n}.{m}; {before}; exec multilog {script}"),
            );
            assert_eq!(outcome.signal(), signal, "{before}: {script}");
            assert_eq!(
                (outcome.text(), outcome.error_text()),
                (String::new(), String::new())
            );
            let kept = sandbox.read(format!("{n}.{m}/m/current"));
            if signal.is_none() {
                assert_eq!(outcome.code(), Some(0));
                let lines = if m == 2 { 2 * 28 } else { 4 };
                assert_eq!(kept.len(), lines, "{before}: {script}");
            } else {
                assert_eq!(kept, b"", "{before}: {script}");
            }
            let lock = files(sandbox, &format!("{n}.{m}/m"));
            assert!(lock.contains("-rw------- 0 lock\n"), "{before}: {lock}");
        }
    }
}

fn blocked_alert_loses_no_line(sandbox: &Sandbox) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let line = |n| format!("{n} {}\n", "x".repeat(150));
    let lines: String = (0..1000).map(line).collect();
    sandbox.write("input", &lines);
    // The standard error of a sandbox is a file: pass the pipe as standard input.
    let mut command = sandbox.shell("exec multilog e s1000000 ./m 2>&0 <input");
    command.stdin(writer.try_clone().unwrap());
    let mut running = sandbox.start(command);
    sandbox.wait_until("the pipe is full", || {
        let mut room = [PollFd::new(writer.as_fd(), PollFlags::POLLOUT)];
        poll(&mut room, PollTimeout::ZERO).unwrap() == 0
    });
    drop(writer);
    assert!(running.runs() && sandbox.read("m/current").len() < lines.len());
    let mut alerts = String::new();
    File::from(reader).read_to_string(&mut alerts).unwrap();
    running.wait().succeeds();
    assert!(alerts == lines);
    assert!(sandbox.read("m/current") == lines.as_bytes());
}

fn unread_warnings_keep_the_retry_pause(sandbox: &Sandbox) {
    let start = |(n, (before, _)): (usize, (&str, Option<i32>))| {
        let command = sandbox.shell(&format!(
            "mkdir {n}; cd {n}; {before}
                exec multilog s4096 '![ -e ../tried ] || {{ : >../tried; exit 1; }}; tr x y' ./m"
        ));
        let (running, mut feed) = Feed::start(sandbox, command);
        feed.write([line(2500), b"more\n".to_vec()].concat());
        feed.end();
        running
    };
    let running: Vec<_> = UNUSABLE.into_iter().enumerate().map(start).collect();
    for (n, ((before, signal), running)) in UNUSABLE.into_iter().zip(running).enumerate() {
        let outcome = running.wait();
        assert_eq!(outcome.signal(), signal, "{before}");
        let log = files(sandbox, &format!("{n}/m"));
        if signal.is_none() {
            assert_eq!(outcome.code(), Some(0));
            let text = contents(sandbox, &format!("{n}/m")).concat();
            assert_eq!(text, ["y".repeat(2499).as_bytes(), b"\nmore\n"].concat());
        } else {
            assert!(log.contains("-rwxr--r-- 2505 previous\n"), "{log}");
        }
    }
}
