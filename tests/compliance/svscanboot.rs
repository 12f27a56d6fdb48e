//! svscanboot for real: in a mount namespace, where the programs under test
//! are in `/usr/local/bin` and a directory of ours is `/etc`, and in a process
//! namespace, which ends with all that is in it when its first process does.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use testkit::{Running, SLEEPER, Sandbox, Subject, compliance, ours, say};

/// Where svscanboot looks for programs, and all that it hands on of its
/// environment.
const PATH: &str = "PATH=/command:/usr/local/bin:/usr/local/sbin:/bin:/sbin:/usr/bin:/usr/sbin:\
                    /usr/X11R6/bin";

/// The message for a service that cannot be started.
const MESSAGE: &str = "supervise: fatal: unable to start broken/run: file does not exist\n";

compliance!(
    svscan_pipes_to_readproctitle_with_path_only,
    errors_appear_in_process_title,
    leftover_services_are_stopped,
    empty_service_directory_is_accepted,
);

ours!(path_is_chosen_at_installation);

/// The svscanboot that `make install` writes with this variable. Installs no other
/// program, so that nothing has to be built.
fn installed(sandbox: &Sandbox, variable: &str) -> String {
    sandbox.script("built/svscan", "");
    let install = Command::new("make")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "--silent",
            "install",
            "INSTALLED=svscanboot",
            "PAGES=",
            "FAMILY=",
        ])
        .args(["SERVICEDIR=/etc/service", variable])
        .arg(format!("BUILT={}", sandbox.path("built").display()))
        .arg(format!("DESTDIR={}", sandbox.path("root").display()))
        .status();
    assert!(install.unwrap().success());
    fs::read_to_string(sandbox.path("root/usr/bin/svscanboot")).unwrap()
}

/// Starts the subject's svscanboot on the services in `etc/service`. None, with
/// a message, if the system does not permit a namespace.
fn boot(sandbox: &Sandbox) -> Option<Running> {
    let script = match sandbox.subject() {
        Subject::Reference => fs::read_to_string("/usr/bin/svscanboot").unwrap(),
        _ => installed(sandbox, "PREFIX=/usr"),
    };
    boot_with(sandbox, &script)
}

fn boot_with(sandbox: &Sandbox, script: &str) -> Option<Running> {
    let namespaces = "unshare --mount --pid --fork --kill-child --mount-proc";
    let mounts = "mount --bind etc /etc && mount --bind ../bin /usr/local/bin";
    if sandbox.sh(&format!("{namespaces} sh -c '{mounts}'")).code() != Some(0) {
        say("skipped, not permitted to mount: svscanboot");
        return None;
    }
    sandbox.script("svscanboot", script);
    let mut command = sandbox.shell(&format!(
        "exec {namespaces} sh -c '{mounts} && ./svscanboot; exit 1'"
    ));
    command.env("SECRET", "not for services");
    Some(sandbox.start(command))
}

/// A process, by its directory in /proc.
struct Process(PathBuf);

impl Process {
    /// Every process, the oldest first.
    fn all() -> Vec<Process> {
        let names = fs::read_dir("/proc").unwrap().flatten();
        let mut pids: Vec<u32> = names
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        pids.sort_unstable();
        pids.into_iter()
            .map(|pid| Process(format!("/proc/{pid}").into()))
            .collect()
    }

    /// The first process of this name below `ancestor`, once there is one.
    fn wait_for(sandbox: &Sandbox, ancestor: &Running, name: &str) -> Process {
        let mut found = None;
        sandbox.wait_until(&format!("{name} runs"), || {
            found = Process::all().into_iter().find(|process| {
                process.arguments().starts_with(&format!("{name}\0"))
                    && process.is_below(ancestor.pid().as_raw())
            });
            found.is_some()
        });
        found.unwrap()
    }

    fn is_below(&self, ancestor: i32) -> bool {
        let parent = self.status("PPid:").parse().unwrap_or(0);
        parent == ancestor
            || parent > 1 && Process(format!("/proc/{parent}").into()).is_below(ancestor)
    }

    fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(self.0.join("status")).unwrap_or_default();
        let value = status.lines().find_map(|line| line.strip_prefix(field));
        value.unwrap_or_default().trim().to_owned()
    }

    /// The arguments, each followed by NUL.
    fn arguments(&self) -> String {
        let arguments = fs::read(self.0.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).into_owned()
    }

    fn environment(&self) -> String {
        fs::read_to_string(self.0.join("environ")).unwrap()
    }

    /// The target of a descriptor.
    fn descriptor(&self, number: u32) -> String {
        let link = fs::read_link(self.0.join(format!("fd/{number}"))).unwrap();
        link.to_str().unwrap().to_owned()
    }
}

fn svscan_pipes_to_readproctitle_with_path_only(sandbox: &Sandbox) {
    // Not a shell, which would add to the environment.
    sandbox.script("etc/service/s/run", "#!/usr/bin/tail -fn0\n");
    let Some(boot) = boot(sandbox) else { return };
    let svscan = Process::wait_for(sandbox, &boot, "svscan");
    let title = Process::wait_for(sandbox, &boot, "readproctitle");
    let service = Process::wait_for(sandbox, &boot, "/usr/bin/tail");

    assert_eq!(svscan.arguments(), "svscan\0/etc/service\0");
    assert_eq!(
        title.arguments(),
        format!("readproctitle\0service\0errors:\0{}\0", ".".repeat(400))
    );
    for process in [&svscan, &title, &service] {
        assert_eq!(process.environment(), format!("{PATH}\0"));
    }
    let pipe = title.descriptor(0);
    assert!(pipe.starts_with("pipe:"), "{pipe}");
    let (null, pipe) = ("/dev/null", pipe.as_str());
    assert_eq!(
        [0, 1, 2].map(|number| svscan.descriptor(number)),
        [null, pipe, pipe]
    );
    assert_eq!(
        [0, 1, 2].map(|number| title.descriptor(number)),
        [pipe, null, null]
    );
    assert_eq!(
        [0, 1, 2].map(|number| service.descriptor(number)),
        [null, pipe, pipe]
    );

    // The message does not appear on the terminal of the caller.
    assert_eq!((boot.stdout(), boot.stderr()), (vec![], vec![]));
}

fn errors_appear_in_process_title(sandbox: &Sandbox) {
    fs::create_dir_all(sandbox.path("etc/service/broken")).unwrap();
    let Some(boot) = boot(sandbox) else { return };
    let title = Process::wait_for(sandbox, &boot, "readproctitle");
    sandbox.wait_until("the error is seen", || title.arguments().contains(MESSAGE));
    // The message returns every second, so one call of ps suffices. ps prints a
    // space or a question mark for a newline.
    let pid = title.0.file_name().unwrap().to_str().unwrap();
    let shown = sandbox
        .sh(&format!("ps -ww -o args= -p {pid}"))
        .text()
        .replace('?', " ");
    let possible = |times: usize| {
        let dots = ".".repeat(400 - times * MESSAGE.len());
        format!(
            "readproctitle service errors: {dots}{}\n",
            MESSAGE.replace('\n', " ").repeat(times)
        )
    };
    assert!((1..=6).any(|times| shown == possible(times)), "{shown}");
}

fn leftover_services_are_stopped(sandbox: &Sandbox) {
    sandbox.script("etc/service/s/run", SLEEPER);
    sandbox.script("etc/service/s/log/run", SLEEPER);
    let left = ["s", "s/log"].map(|service| {
        let supervise =
            sandbox.start(sandbox.shell(&format!("exec supervise etc/service/{service}")));
        sandbox.wait_until("the service is up", || {
            sandbox
                .sh(&format!("svstat etc/service/{service}"))
                .text()
                .contains(" up ")
        });
        supervise
    });
    let Some(_boot) = boot(sandbox) else { return };
    for supervise in left {
        supervise.wait().succeeds();
    }
}

fn empty_service_directory_is_accepted(sandbox: &Sandbox) {
    fs::create_dir_all(sandbox.path("etc/service")).unwrap();
    let Some(boot) = boot(sandbox) else { return };
    let svscan = Process::wait_for(sandbox, &boot, "svscan");
    let title = Process::wait_for(sandbox, &boot, "readproctitle");
    sandbox.wait_until("svscan waits", || svscan.status("State:").starts_with('S'));
    // The message of svc about `*` does not appear.
    assert_eq!(
        title.arguments(),
        format!("readproctitle\0service\0errors:\0{}\0", ".".repeat(400))
    );
}

fn path_is_chosen_at_installation(sandbox: &Sandbox) {
    let path = "/usr/local/bin:/opt/my tools:/usr/bin";
    let script = installed(sandbox, &format!("SERVICEPATH={path}"));
    sandbox.script("etc/service/s/run", "#!/usr/bin/tail -fn0\n");
    let Some(boot) = boot_with(sandbox, &script) else {
        return;
    };
    for name in ["svscan", "readproctitle", "/usr/bin/tail"] {
        let process = Process::wait_for(sandbox, &boot, name);
        assert_eq!(process.environment(), format!("PATH={path}\0"), "{name}");
    }
}
