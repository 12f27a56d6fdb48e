//! fghack: keep a program from being put into the background.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};

use chain::Child;
use cli::{Exit, Failure, Program};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, dup, read};
use unix::file::{clear_cloexec, close_in_child};
use unix::pipe::pipe2;
use unix::start::environment;

pub(crate) static FGHACK: Program = Program {
    name: "fghack",
    usage: "fghack: usage: fghack child",
    options: &[],
};

/// The number of further copies of the pipe in the child. A daemon closes the
/// first few descriptors; one of the copies should stay open while it runs.
const COPIES: usize = 30;

unix::main!(FGHACK.start(fghack));

fn fghack(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let argv = match arguments {
        [_, argv @ ..] if !argv.is_empty() => argv,
        _ => return Err(FGHACK.usage()),
    };
    let child = Child::new(&FGHACK, argv, &environment());
    let pipe = pipe2(OFlag::O_CLOEXEC);
    let (reader, writer) = pipe.map_err(|error| FGHACK.fatal("unable to create pipe", error))?;
    let pid = child.start(|| {
        let _ = close_in_child(reader.as_fd());
        copy_pipe(&writer);
    });
    let pid = pid.map_err(|error| FGHACK.fatal("unable to fork", error))?;
    drop(writer);
    wait_for_eof(&reader);
    exit_code(pid)
}

/// In the child: makes the copies on the lowest free descriptors, until these
/// run out, and lets the program inherit all of them.
fn copy_pipe(writer: &OwnedFd) {
    for _ in 0..COPIES {
        if let Ok(copy) = dup(writer) {
            // This program never closes the copy.
            let _ = copy.into_raw_fd();
        }
    }
    let _ = clear_cloexec(writer);
}

/// Blocks until every copy is closed. Data written to the pipe is ignored.
fn wait_for_eof(reader: &OwnedFd) {
    while let Ok(1..) | Err(Errno::EINTR) = read(reader, &mut [0; 64]) {}
}

fn exit_code(pid: Pid) -> Result<Exit, Failure> {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, code)) => {
                return Ok(Exit::Code(u8::try_from(code).unwrap_or(u8::MAX)));
            }
            Ok(_) => return Err(FGHACK.fatal_msg("child crashed")),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(FGHACK.fatal("wait failed", error)),
        }
    }
}
