use std::fs;

use testkit::{Sandbox, ours};

use super::supervise_extended::wait_for_state;

const USAGE: &str = "sdnotify: usage: sdnotify fd program [ arg ... ]\n";

ours!(
    wrong_arguments_are_refused,
    program_keeps_pid_and_has_no_child,
    program_does_not_inherit_the_descriptor,
    helper_ends_with_the_program,
    helper_has_no_descriptor_of_the_service,
    systemd_notify_makes_service_ready,
    redis_makes_service_ready,
    report_of_another_user_is_ignored,
    user_of_the_program_may_report,
    other_datagrams_are_ignored,
);

fn wrong_arguments_are_refused(sandbox: &Sandbox) {
    for arguments in ["", "3", "x true", "-1 true", "'' true", "4294967296 true"] {
        sandbox
            .sh(&format!("sdnotify {arguments}"))
            .is(100, "", USAGE);
    }
    sandbox.sh("exec sdnotify 9 true 9>&-").is(
        111,
        "",
        "sdnotify: fatal: unable to use descriptor 9: file descriptor not open\n",
    );
    sandbox.sh("sdnotify 3 ./nope 3>ready").is(
        111,
        "",
        "sdnotify: fatal: unable to run ./nope: file does not exist\n",
    );
    sandbox
        .sh("sdnotify 3 sh -c 'exit 7' 3>ready")
        .is(7, "", "");
}

fn program_keeps_pid_and_has_no_child(sandbox: &Sandbox) {
    sandbox
        .sh("echo $$ >pid; exec sdnotify 3 sh -c \
            'read pid <pid; [ $$ = $pid ] && read children </proc/$$/task/$$/children
            echo \"children: $children\"' 3>ready")
        .prints("children: \n");
    // A program that waits for all of its children does not wait for the helper.
    sandbox
        .sh("exec sdnotify 3 sh -c 'sleep 0 & wait; echo over' 3>ready")
        .prints("over\n");
    assert_eq!(sandbox.read("ready"), b"");
}

fn program_does_not_inherit_the_descriptor(sandbox: &Sandbox) {
    sandbox
        .sh("sdnotify 7 sh -c 'readlink /proc/$$/fd/7 || echo closed' 7>ready")
        .prints("closed\n");
    sandbox
        .sh("sdnotify 1 sh -c 'target=$(readlink /proc/$$/fd/1); echo $target >&3' 3>&1 >ready")
        .prints("/dev/null\n");
    // Other descriptors stay.
    sandbox
        .sh("sdnotify 3 sh -c 'echo kept >&4' 3>ready 4>other && cat other")
        .prints("kept\n");
}

/// The processes of the sandbox that run sdnotify.
fn helpers(sandbox: &Sandbox) -> Vec<nix::unistd::Pid> {
    let is_helper = |pid: &nix::unistd::Pid| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sdnotify\n")
    };
    sandbox.processes().into_iter().filter(is_helper).collect()
}

fn helper_ends_with_the_program(sandbox: &Sandbox) {
    let program = sandbox.start(sandbox.shell("exec sdnotify 3 sleep 1000 3>ready"));
    sandbox.wait_until("the program runs", || {
        let name = fs::read_to_string(format!("/proc/{}/comm", program.pid()));
        name.is_ok_and(|name| name == "sleep\n")
    });
    assert_eq!(helpers(sandbox).len(), 1);
    program.kill();
    sandbox.wait_until("the helper has ended", || helpers(sandbox).is_empty());
}

fn helper_has_no_descriptor_of_the_service(sandbox: &Sandbox) {
    let program = sandbox.start(sandbox.shell("exec sdnotify 3 sleep 1000 3>ready 4>other"));
    sandbox.wait_until("the program runs", || {
        let name = fs::read_to_string(format!("/proc/{}/comm", program.pid()));
        name.is_ok_and(|name| name == "sleep\n")
    });
    let [helper] = helpers(sandbox)[..] else {
        panic!("{:?}", helpers(sandbox));
    };
    sandbox.wait_until("the helper has three descriptors", || {
        let descriptors = fs::read_dir(format!("/proc/{helper}/fd")).unwrap();
        let targets: Vec<_> = descriptors
            .flatten()
            .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
            .collect();
        targets.len() == 3
            && targets.iter().any(|target| target.ends_with("here/ready"))
            && !targets.iter().any(|target| target.ends_with("here/other"))
    });
    assert_eq!(
        fs::read_link(format!("/proc/{helper}/cwd"))
            .unwrap()
            .to_str(),
        Some("/")
    );
    program.kill();
}

/// Whether a program of the system is installed; the test is skipped otherwise.
fn has(sandbox: &Sandbox, program: &str, test: &str) -> bool {
    let is_installed = sandbox.sh(&format!("command -v {program}")).code() == Some(0);
    if !is_installed {
        testkit::skip(test, &format!("there is no {program}"));
    }
    is_installed
}

fn systemd_notify_makes_service_ready(sandbox: &Sandbox) {
    if !has(
        sandbox,
        "systemd-notify",
        "systemd_notify_makes_service_ready",
    ) {
        return;
    }
    // systemd-notify exits only after the receiver has closed the descriptor that
    // the second of its datagrams passes.
    sandbox.script(
        "s/run",
        "#!/bin/sh\nexec sdnotify 3 sh -c 'until [ -e ../go ]; do sleep 0.01; done
            systemd-notify --ready --status=up; echo $? >code; exec sleep 1000'\n",
    );
    sandbox.write("s/notification-fd", "3\n");
    let _supervise = sandbox.start_supervisor("supervise -e", "s");
    wait_for_state(sandbox, "starting");
    sandbox.write("go", "");
    wait_for_state(sandbox, "ready");
    sandbox.wait_until("systemd-notify has exited", || {
        fs::read(sandbox.path("s/code")).is_ok_and(|code| code == b"0\n")
    });
    let service = sandbox.service("s");
    let name = fs::read_to_string(format!("/proc/{service}/comm")).unwrap();
    assert!(["sh\n", "sleep\n"].contains(&name.as_str()), "{name}");
}

fn redis_makes_service_ready(sandbox: &Sandbox) {
    let Some(redis) = crate::real_services::program("redis-server", "redis_makes_service_ready")
    else {
        return;
    };
    sandbox.script(
        "s/run",
        &format!(
            "#!/bin/sh\nexec sdnotify 3 {} --supervised systemd --port 0 \
                --unixsocket $PWD/socket --save '' --daemonize no\n",
            redis.display()
        ),
    );
    sandbox.write("s/notification-fd", "3\n");
    let _supervise = sandbox.start_supervisor("supervise -e", "s");
    wait_for_state(sandbox, "ready");
    sandbox.sh("svc -d s; svwait -d s").succeeds();
    sandbox.wait_until("the helper has ended", || helpers(sandbox).is_empty());
}

fn report_of_another_user_is_ignored(sandbox: &Sandbox) {
    if !testkit::is_root("sdnotify with another user")
        || !has(
            sandbox,
            "systemd-notify",
            "report_of_another_user_is_ignored",
        )
    {
        return;
    }
    // The program, here root's, waits until the helper has read the datagram.
    sandbox
        .sh("sdnotify 3 sh -c 'setuidgid nobody systemd-notify --ready' 3>ready; cat ready")
        .prints("");
    sandbox
        .sh("sdnotify 3 sh -c 'systemd-notify --ready' 3>ready; cat ready")
        .prints("\n");
}

fn user_of_the_program_may_report(sandbox: &Sandbox) {
    if !testkit::is_root("sdnotify with another user")
        || !has(sandbox, "systemd-notify", "user_of_the_program_may_report")
    {
        return;
    }
    sandbox
        .sh("sdnotify 3 setuidgid nobody sh -c 'systemd-notify --ready; :' 3>ready; cat ready")
        .prints("\n");
    // Root may report for each program.
    sandbox.script(
        "run",
        "#!/bin/sh\nenv | grep ^NOTIFY_SOCKET= >variable.new
        mv variable.new variable; until [ -e notified ]; do sleep 0.01; done\n",
    );
    sandbox.sh("chmod 777 .").succeeds();
    let program = sandbox.start(sandbox.shell("exec sdnotify 3 setuidgid nobody ./run 3>ready"));
    sandbox.wait_until("the variable is known", || sandbox.exists("variable"));
    sandbox
        .sh("export $(cat variable); systemd-notify --ready; cat ready")
        .prints("\n");
    // systemd-notify also waits until the helper has read its datagrams.
    sandbox.write("notified", "");
    program.wait().succeeds();
}

/// Sends datagrams, and waits after each until the receiver has read it: a
/// descriptor in a further datagram is closed then.
const SENDER: &str = r#"
import os, socket
def send(data, descriptors=0):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect("\0" + os.environ["NOTIFY_SOCKET"][1:])
    pipes = [os.pipe() for _ in range(descriptors)]
    socket.send_fds(s, [data], [writer for _, writer in pipes])
    for _, writer in pipes:
        os.close(writer)
    for reader, _ in pipes:
        assert os.read(reader, 1) == b""
        os.close(reader)
def wait():
    send(b"BARRIER=1", 1)
for data in [b"", b"READY=0", b"READY=10", b" READY=1", b"XREADY=1", b"ready=1", b"READY=1\0",
        b"STATUS=READY=1", b"\xff\xfe\n\n", b"READY=1\n" + 4089 * b"x", 10000 * b"READY=1\n"]:
    send(data)
    wait()
    assert os.path.getsize("ready") == 0, data
send(b"STATUS=x", 253)
for _ in range(1000):
    send(b"WATCHDOG=1")
wait()
assert os.path.getsize("ready") == 0
send(b"MAINPID=1\nREADY=1\nSTATUS=x" + 4000 * b"x", 3)
assert open("ready").read() == "\n"
send(b"READY=1")
wait()
assert open("ready").read() == "\n"
print("done")
"#;

fn other_datagrams_are_ignored(sandbox: &Sandbox) {
    if !has(sandbox, "python3", "other_datagrams_are_ignored") {
        return;
    }
    sandbox.write("sender.py", SENDER);
    sandbox
        .sh("exec sdnotify 3 python3 sender.py 3>ready")
        .prints("done\n");
}
