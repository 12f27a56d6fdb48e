//! The crate for other projects on real supervisors.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use daemontools::{
    Command, Label, S6Snapshot, Service, ServiceState, WaitCondition, WaitOutcome, report_ready,
};
use testkit::{Sandbox, ours};

ours!(
    process_becomes_ready_by_its_report,
    status_of_s6_supervise_is_decoded,
);

const MINUTE: Option<Duration> = Some(Duration::from_secs(60));

/// The variable that makes the test binary the service.
const ACT_AS_SERVICE: &str = "DAEMONTOOLS_TEST_REPORTS_READINESS";

/// The service: the test binary itself, as the test of this name.
fn report_and_wait() -> ! {
    std::fs::read("go").unwrap();
    report_ready(4).unwrap();
    loop {
        std::thread::park();
    }
}

fn process_becomes_ready_by_its_report(sandbox: &Sandbox) {
    if std::env::var_os(ACT_AS_SERVICE).is_some() {
        report_and_wait();
    }
    let binary = std::env::current_exe().unwrap();
    let name = "client_crate::process_becomes_ready_by_its_report::ours";
    let run = format!(
        "#!/bin/sh\n{ACT_AS_SERVICE}=1 exec {} --exact {name}\n",
        binary.display()
    );
    sandbox.script("s/run", &run);
    sandbox.write("s/notification-fd", "4\n");
    sandbox.sh("mkfifo s/go").succeeds();
    let supervise = sandbox.start_supervisor("supervise -e", "s");
    let service = Service::open(sandbox.path("s")).unwrap();
    let up = service.wait(WaitCondition::Up, MINUTE).unwrap();
    assert_eq!(up, WaitOutcome::Reached);
    let snapshot = service.snapshot().unwrap();
    assert_eq!(snapshot.state(), Some(ServiceState::Starting));
    assert!(!snapshot.is_ready());
    sandbox.sh("echo >s/go").succeeds();
    let ready = service.wait(WaitCondition::UpAndReady, MINUTE).unwrap();
    assert_eq!(ready, WaitOutcome::Reached);
    let snapshot = service.snapshot().unwrap();
    assert_eq!(snapshot.state(), Some(ServiceState::Ready));
    assert!(snapshot.is_ready());
    let commands = [Command::Down, Command::Exit];
    let gone = service.send_and_wait(&commands, WaitCondition::Gone, MINUTE);
    assert_eq!(gone.unwrap(), WaitOutcome::Reached);
    supervise.wait().exits(0);
}

/// The snapshot of a service that has reached a state. The state lasts until the next
/// step of the test. s6-svstat agrees.
fn s6_in(sandbox: &Sandbox, service: &Service, wanted: ServiceState) -> S6Snapshot {
    s6_when(sandbox, service, |snapshot| {
        snapshot.supervised && snapshot.status.state() == wanted
    })
}

fn s6_when(
    sandbox: &Sandbox,
    service: &Service,
    holds: impl Fn(&S6Snapshot) -> bool,
) -> S6Snapshot {
    let mut last = None;
    sandbox.wait_until("the record of s6-supervise shows the state", || {
        last = service.s6_snapshot().unwrap();
        last.as_ref().is_some_and(&holds)
    });
    let snapshot = last.unwrap();
    let status = snapshot.status;
    let is_up = status.pid.is_some() && !status.finishing;
    let pid = status.pid.filter(|_| is_up).map_or(-1, i32::from);
    let mut expected = format!("{is_up} {} {} {pid}", status.wanted_up, status.paused);
    let mut fields = "up,wantedup,paused,pid".to_owned();
    if is_up {
        fields.push_str(",ready");
        expected = format!("{expected} {}", status.ready_since.is_some());
    } else if let Some(exit) = status.last_exit {
        fields.push_str(",exitcode,signum");
        let (code, signal) = (exit.code().unwrap_or(-1), exit.signal().unwrap_or(-1));
        expected = format!("{expected} {code} {signal}");
    }
    let shown = sandbox.sh(&format!("s6-svstat -o {fields} s")).text();
    assert_eq!(shown.trim_end(), expected, "{fields}");
    snapshot
}

fn status_of_s6_supervise_is_decoded(sandbox: &Sandbox) {
    if !Path::new("/usr/bin/s6-supervise").exists() {
        return testkit::skip("the status of s6-supervise", "s6 is not installed");
    }
    // Each FIFO holds a script until the test writes to it.
    sandbox.script(
        "s/run",
        "#!/bin/sh\necho $$ >pid\nread word <go\necho >&3\nread code <code\nexit $code\n",
    );
    sandbox.script("s/finish", "#!/bin/sh\necho $$ >pid\nread word <end\n");
    sandbox.sh("mkfifo s/go s/code s/end").succeeds();
    for (file, text) in [
        ("notification-fd", "3"),
        ("timeout-finish", "0"),
        ("down", ""),
    ] {
        sandbox.write(format!("s/{file}"), text);
    }
    let service = Service::open(sandbox.path("s")).unwrap();
    assert_eq!(service.s6_snapshot(), Ok(None));
    let begin = Label::now();
    let supervise = sandbox.start(sandbox.shell("exec s6-supervise s"));
    let send = |commands: &[Command]| service.send(commands).unwrap();
    let pid = || sandbox.read("s/pid");
    let reaches = |state| s6_in(sandbox, &service, state).status;
    let pid_is = |pid_of: i32| pid() == format!("{pid_of}\n").into_bytes();

    let never = reaches(ServiceState::Down);
    assert!(never.last_exit.is_none() && !never.wanted_up);
    // Without the leap seconds of s6.
    let age = Label::now().seconds() + 5 - never.since.seconds();
    assert!(age <= Label::now().seconds() + 10 - begin.seconds());

    send(&[Command::Up]);
    let up = reaches(ServiceState::Up);
    assert!(up.since > never.since && up.wanted_up && up.last_exit.is_none());
    let process = up.pid.unwrap().get();
    sandbox.wait_until("run has begun", || {
        sandbox.exists("s/pid") && pid_is(process)
    });
    sandbox.sh("echo >s/go").succeeds();
    let ready = reaches(ServiceState::Ready);
    assert!(ready.pid == up.pid && ready.since == up.since);
    assert!(ready.ready_since.unwrap() > ready.since);

    send(&[Command::Pause]);
    s6_when(sandbox, &service, |snapshot| snapshot.status.paused);
    send(&[Command::Continue, Command::Once]);
    let once = s6_when(sandbox, &service, |snapshot| {
        !snapshot.status.paused && !snapshot.status.wanted_up
    });
    assert_eq!(once.status.state(), ServiceState::Ready);

    send(&[Command::Terminate]);
    let finish = reaches(ServiceState::Finish);
    let signal = finish.last_exit.unwrap().signal();
    assert_eq!((signal, finish.ready_since), (Some(15), None));
    assert!(finish.since > up.since);
    let process = finish.pid.unwrap().get();
    sandbox.wait_until("finish has begun", || pid_is(process));
    sandbox.sh("echo >s/end").succeeds();
    assert_eq!(reaches(ServiceState::Down).last_exit, finish.last_exit);

    for code in [7, 0] {
        send(&[Command::Once]);
        reaches(ServiceState::Up);
        sandbox.sh("echo >s/go").succeeds();
        let ready = reaches(ServiceState::Ready);
        assert!(ready.last_exit.is_some() && !ready.wanted_up);
        sandbox.sh(&format!("echo {code} >s/code")).succeeds();
        let finish = reaches(ServiceState::Finish);
        assert_eq!(finish.last_exit.unwrap().code(), Some(code));
        sandbox.sh("echo >s/end").succeeds();
        let down = reaches(ServiceState::Down);
        assert_eq!(down.last_exit, finish.last_exit);
    }

    send(&[Command::Exit]);
    supervise.wait().exits(0);
    let gone = service.s6_snapshot().unwrap().unwrap();
    assert!(!gone.supervised);
    assert!(gone.status.last_exit.is_some_and(|exit| exit.success()));
}
