//! The examples of supervise(8) under svscan -e: a service that waits for a
//! server's readiness, and a service that supervise stops restarting. svps shows
//! their states.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use testkit::{Running, SLEEPER, Sandbox, ours, skip};

ours!(
    service_waits_for_server_to_be_ready,
    service_retries_after_wait_timeout,
    flapping_service_backs_off_and_fails,
);

/// Starts svscan -e in the directory `service`.
fn svscan(sandbox: &Sandbox) -> Running {
    sandbox.start(sandbox.shell("exec svscan -e service"))
}

/// The words of a service's row in the output of svps.
fn row(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let rows = sandbox.sh("svps service").text();
    let row = rows.lines().find(|row| row.split(' ').next() == Some(name));
    row.unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// Waits until svps shows a service in this state.
fn wait_for_state(sandbox: &Sandbox, name: &str, wanted: &str) {
    sandbox.wait_until(&format!("{name} is {wanted}"), || {
        row(sandbox, name)
            .get(1)
            .is_some_and(|state| state == wanted)
    });
}

fn service_waits_for_server_to_be_ready(sandbox: &Sandbox) {
    if !Path::new("/usr/bin/s6-ipcserver").exists() {
        skip(
            "service_waits_for_server_to_be_ready",
            "s6-ipcserver is not installed",
        );
        return;
    }
    // The server writes a newline to standard output once it listens.
    sandbox.script(
        "service/db/run",
        "#!/bin/sh\nread go <go\nexec /usr/bin/s6-ipcserver -1 ./socket cat\n",
    );
    sandbox.write("service/db/notification-fd", "1");
    sandbox.script(
        "service/web/run",
        "#!/bin/sh\nsvwait -U -t 60000 ../db || exit 1\n\
        ls ../db/socket >served\nexec sleep 1000\n",
    );
    sandbox.sh("mkfifo service/db/go").succeeds();
    let _svscan = svscan(sandbox);
    wait_for_state(sandbox, "db", "starting");
    wait_for_state(sandbox, "web", "up");
    assert!(!sandbox.exists("service/web/served"));
    sandbox.sh("echo >service/db/go").succeeds();
    sandbox.wait_until("web has waited long enough", || {
        sandbox.exists("service/web/served")
    });
    sandbox.wait_until("web has seen the socket", || {
        sandbox.read("service/web/served") == b"../db/socket\n"
    });
    assert_eq!(row(sandbox, "db")[1], "ready");
    // A client of the ready server gets an answer.
    let mut socket = UnixStream::connect(sandbox.path("service/db/socket")).unwrap();
    socket.write_all(b"hello").unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello");
}

fn service_retries_after_wait_timeout(sandbox: &Sandbox) {
    sandbox.script(
        "service/db/run",
        "#!/bin/sh\n[ -e mended ] && echo >&3\nexec sleep 1000\n",
    );
    sandbox.write("service/db/notification-fd", "3");
    sandbox.script(
        "service/web/run",
        "#!/bin/sh\nsvwait -U -t 300 ../db || exit 1\n>served\nexec sleep 1000\n",
    );
    let _svscan = svscan(sandbox);
    sandbox.wait_until("web has tried", || {
        row(sandbox, "web")
            .get(4)
            .is_some_and(|restarts| restarts != "0")
    });
    wait_for_state(sandbox, "db", "starting");
    assert!(!sandbox.exists("service/web/served"));
    sandbox
        .sh(">service/db/mended; svc -t service/db")
        .succeeds();
    sandbox.wait_until("web has waited long enough", || {
        sandbox.exists("service/web/served")
    });
}

fn flapping_service_backs_off_and_fails(sandbox: &Sandbox) {
    sandbox.script("service/flaky/run", "#!/bin/sh\nexit 3\n");
    sandbox.script(
        "service/flaky/notify",
        "#!/bin/sh\n[ \"$2\" = start ] || echo \"$PWD: $2 with $4\" >>../../mail\n",
    );
    sandbox.write("service/flaky/restart-delay-max", "8");
    sandbox.write("service/flaky/restart-limit-count", "2");
    sandbox.write("service/flaky/restart-limit-interval", "60");
    sandbox.script("service/steady/run", SLEEPER);
    let _svscan = svscan(sandbox);
    // The delays of the two restarts are 1 and 2 seconds.
    wait_for_state(sandbox, "flaky", "restarting");
    wait_for_state(sandbox, "flaky", "failed");
    let line = format!(
        "{}: exit with 3\n",
        sandbox
            .dir()
            .canonicalize()
            .unwrap()
            .join("service/flaky")
            .display()
    );
    sandbox.wait_until("the mail has three lines", || {
        sandbox.read("mail") == line.repeat(3).as_bytes()
    });
    assert_eq!(row(sandbox, "flaky")[4], "2");
    assert_eq!(
        sandbox.sh("svstat service/flaky").masked(),
        "service/flaky: down S seconds, normally up, failed\n"
    );
    // On a terminal, only the failed row is red.
    let shown = sandbox
        .sh("script -qec 'TERM=xterm stty cols 100; TERM=xterm svps service' /dev/null </dev/null")
        .text();
    let row_of = |name: &str| {
        shown
            .lines()
            .find(|row| row.contains(name))
            .unwrap_or_default()
            .to_owned()
    };
    let red = "\x1b[1;31m";
    assert!(row_of("flaky").starts_with(red), "{shown:?}");
    assert!(
        row_of("steady").contains("steady") && !row_of("steady").contains(red),
        "{shown:?}"
    );
}
