//! What supervise -e does first and what next, by its calls of the system.

use std::fs;

use nix::libc::{self, c_long};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use testkit::{Running, Scene, kill, on_subjects, skip};

use super::{is_supervised, is_zombie, pid_of, record};

fn supervise(scene: &Scene) -> Running {
    let running = scene.start(scene.shell("exec supervise -e s"));
    scene.wait_until("supervise runs", || is_supervised(scene, "s"));
    running
}

/// The pid in the record.
fn recorded(scene: &Scene) -> i32 {
    record(scene, "s").map_or(0, pid_of)
}

/// A process that is stopped at each of its calls of the system.
struct Traced(Pid);

impl Traced {
    /// None if processes cannot be traced here.
    fn attach(pid: Pid) -> Option<Self> {
        ptrace::attach(pid).ok()?;
        waitpid(pid, None).unwrap();
        ptrace::setoptions(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD).unwrap();
        Some(Traced(pid))
    }

    /// Lets it go on to its next call, or to the end of the last one.
    fn next(&self) -> c_long {
        let mut signal = None;
        loop {
            ptrace::syscall(self.0, signal.take()).unwrap();
            match waitpid(self.0, None).unwrap() {
                WaitStatus::PtraceSyscall(_) => {
                    let number = ptrace::getregs(self.0).unwrap().orig_rax;
                    return c_long::try_from(number).unwrap_or(-1);
                }
                WaitStatus::Stopped(_, other) => signal = Some(other),
                other => panic!("{other:?}"),
            }
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None);
    }
}

on_subjects! {
    fn what_is_said_before_death_is_heard_however_late_it_is(scene) {
        // It dies with nothing said, and then in the moment when it is ready.
        scene.script("s/run", "#!/bin/sh\n[ -e go ] || exec mkfifo go\nread go <go\necho >&3\n");
        scene.write("s/notification-fd", "3");
        scene.write("s/restart-delay", "1");
        scene.write("s/restart-delay-max", "60");
        let supervise = supervise(scene);
        scene.wait_until("it was started", || scene.exists("s/go"));
        let state = || fs::read_to_string(scene.path("s/supervise/state")).unwrap();
        scene.wait_until("it was started again", || state().contains("\nrestarts=1\n"));
        let process = scene.service("s");
        let Some(traced) = Traced::attach(supervise.pid()) else {
            return skip("what_is_said_before_death_is_heard_however_late_it_is", "nothing can be traced");
        };
        fs::write(scene.path("s/supervise/control"), "c").unwrap();
        while traced.next() != libc::SYS_wait4 {}
        // It has listened, and is about to look who has died.
        fs::write(scene.path("s/go"), "\n").unwrap();
        scene.wait_until("it has died", || is_zombie(process));
        drop(traced);
        scene.wait_until("its death is seen", || state().starts_with("state=delay\n"));
        let moment = |key| {
            let state = state();
            let line = state.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            u64::from_str_radix(&line[2..17], 16).unwrap()
        };
        // The first delay again, not twice that.
        assert!(moment("next_start=") - moment("since=") < 2, "{}", state());
    }
    ours: Ours,
}

on_subjects! {
    fn a_death_is_recorded_before_anybody_is_started_because_of_it(scene) {
        scene.script("s/run", "#!/bin/sh\nexec sleep 1000\n");
        for program in ["notify", "finish"] {
            scene.script(format!("s/{program}"), "#!/bin/sh\n");
        }
        let supervise = supervise(scene);
        let process = scene.service("s");
        let Some(traced) = Traced::attach(supervise.pid()) else {
            return skip("a_death_is_recorded_before_anybody_is_started_because_of_it", "nothing can be traced");
        };
        kill(process, Signal::SIGKILL).unwrap();
        let state = || fs::read_to_string(scene.path("s/supervise/state")).unwrap();
        let mut renames = 0;
        loop {
            match traced.next() {
                libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => renames += 1,
                libc::SYS_clone | libc::SYS_fork | libc::SYS_vfork => break,
                _ => {}
            }
            // Each call is seen twice: the tally and the state are there, and
            // the record is not.
            if renames == 4 {
                assert!(state().starts_with("state=finish\n"), "{}", state());
                assert_ne!(recorded(scene), 0);
            }
        }
        assert_eq!((renames, recorded(scene)), (6, 0));
    }
    ours: Ours,
}
