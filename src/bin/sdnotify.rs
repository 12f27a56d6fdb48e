//! sdnotify: run a program that reports its readiness by systemd's protocol.

#![cfg_attr(not(test), no_main)]

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use chain::{Child, Environment};
use cli::{Exit, Failure, Program, text};
use daemontools_core::number::parse_decimal;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, Uid, getpid, getuid, write};
use unix::detached::start_detached;
use unix::file::take_inherited;
use unix::notify_socket::{Notification, NotifySocket};
use unix::poll::wait_for_events;
use unix::process::{exists, open_process, user_ids};
use unix::signals::ignore;

pub(crate) static SDNOTIFY: Program = Program {
    name: "sdnotify",
    usage: "sdnotify: usage: sdnotify fd program [ arg ... ]",
    options: &[],
};

/// The limit on datagrams in one round, so that a flood does not hide the end of the
/// program.
const MAX_DATAGRAMS: usize = 64;

/// The time between two looks at the program, where no descriptor reports its end.
const EXIT_RECHECK: Duration = Duration::from_secs(1);

unix::main!(SDNOTIFY.start(sdnotify));

fn sdnotify(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let (number, child) = match *arguments {
        [_, number, ref child @ ..] if !child.is_empty() => (number, child),
        _ => return Err(SDNOTIFY.usage()),
    };
    let fd = parse_decimal(number.to_bytes()).and_then(|number| RawFd::try_from(number).ok());
    let fd = fd.ok_or_else(|| SDNOTIFY.usage())?;
    let readiness = take_inherited(fd)
        .map_err(|error| SDNOTIFY.fatal(text!["unable to use descriptor ", number], error))?;
    let failed = |error| SDNOTIFY.fatal("unable to create socket", error);
    let socket = NotifySocket::new().map_err(failed)?;
    let name = socket.name().map_err(failed)?;
    let helper = Helper {
        program: getpid(),
        end: open_process(getpid()).ok(),
        socket,
        readiness,
    };
    helper
        .start()
        .map_err(|error| SDNOTIFY.fatal("unable to fork", error))?;
    let mut environment = Environment::inherited();
    // The name that the kernel chose has no NUL.
    let variable = text!["NOTIFY_SOCKET=", name];
    environment.edit(CString::new(variable).unwrap_or_default());
    Err(Child::new(&SDNOTIFY, child, &environment.entries()).exec())
}

/// The process that holds the socket.
struct Helper {
    /// The process that executes the program.
    program: Pid,
    /// Readable at the end of the program. None: not available.
    end: Option<OwnedFd>,
    socket: NotifySocket,
    /// Receives a newline at the first report of readiness.
    readiness: OwnedFd,
}

impl Helper {
    /// Starts the process. It is no child of the program, which might wait for all
    /// of its children. Errors: as fork(2).
    fn start(&self) -> Result<(), Errno> {
        let mut keep = vec![self.socket.as_fd(), self.readiness.as_fd()];
        keep.extend(self.end.as_ref().map(AsFd::as_fd));
        start_detached(&keep, || {
            self.run();
            0
        })
    }

    /// Forwards the first report of readiness. Reads the socket until the program
    /// ends, since a full or closed socket would fail the program's reports.
    fn run(&self) {
        // supervise may have closed its end.
        ignore(Signal::SIGPIPE);
        let mut is_ready = false;
        loop {
            let recheck = self.end.is_none().then(|| Instant::now() + EXIT_RECHECK);
            let mut inputs = vec![PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            let end = self.end.as_ref().map(AsFd::as_fd);
            inputs.extend(end.map(|end| PollFd::new(end, PollFlags::POLLIN)));
            wait_for_events(&mut inputs, recheck);
            for _ in 0..MAX_DATAGRAMS {
                let Ok(received) = self.socket.receive() else {
                    break;
                };
                let reports = received.is_some_and(|notification| self.is_report(&notification));
                if reports && !is_ready {
                    let _ = write(&self.readiness, b"\n");
                    is_ready = true;
                }
            }
            let has_ended = match inputs.get(1) {
                Some(end) => end.any() == Some(true),
                None => !exists(self.program),
            };
            if has_ended {
                return;
            }
        }
    }

    /// Whether the program, or root, reports readiness.
    fn is_report(&self, notification: &Notification) -> bool {
        let sender = notification.sender;
        let is_program = || match user_ids(self.program) {
            Some(ids) => ids.contains(&sender),
            None => sender == getuid(),
        };
        let mut lines = notification.text.split(|&byte| byte == b'\n');
        lines.any(|line| line == b"READY=1") && (sender == Uid::from_raw(0) || is_program())
    }
}
