//! What supervise says when something goes wrong.

use std::ffi::CStr;

use cli::{Failure, basename, text};
use daemontools_core::names;
use nix::errno::Errno;
use supervision::directory::{Obstacle, ReplaceTrouble};
use supervision::extended;
use supervision::supervise::Trouble;

use super::SUPERVISE;

/// What keeps supervise from starting.
pub(crate) fn cannot_begin(dir: &CStr, obstacle: Obstacle) -> Failure {
    let (doing, file, error) = match obstacle {
        Obstacle::Link(_, error) => ("acquire ", names::LOCK, error),
        Obstacle::Open(lock, error) | Obstacle::Lock(lock, error) => ("acquire ", lock, error),
        Obstacle::Stat(fifo, error) | Obstacle::Read(fifo, error) => ("read ", fifo, error),
        Obstacle::NoFifo(fifo) => ("read ", fifo, Errno::EINVAL),
        Obstacle::Write(fifo, error) => ("write ", fifo, error),
    };
    SUPERVISE.fatal(text!["unable to ", doing, dir, "/", file], error)
}

/// What goes wrong later; it is tried again when there is reason to.
pub(crate) fn report(dir: &CStr, trouble: Trouble) {
    let (what, error) = match trouble {
        Trouble::Replace(ReplaceTrouble::Open(file, error)) => {
            (text!["open ", dir, "/", file.new], error)
        }
        Trouble::Replace(ReplaceTrouble::Write(file, error)) => {
            (text!["write ", dir, "/", file.new], error)
        }
        Trouble::Replace(ReplaceTrouble::Short(file)) => {
            (text!["write ", dir, "/", file.new], Errno::ENOSPC)
        }
        Trouble::Replace(ReplaceTrouble::Rename(file, error)) => (
            text![
                "rename ",
                dir,
                "/",
                file.new,
                " to ",
                basename(file.name.to_bytes())
            ],
            error,
        ),
        Trouble::Fork(error) => (text!["fork for ", dir, ", sleeping 60 seconds"], error),
        Trouble::Start(program, error) => return cannot_start(dir, program, error),
        Trouble::Pipe(_, error)
        | Trouble::Chdir(error)
        | Trouble::ControlStat(_, error)
        | Trouble::ControlFork(_, error)
        | Trouble::ControlPipe(_, error)
        | Trouble::ControlStart(_, error) => return cannot_start(dir, names::RUN_PROGRAM, error),
        Trouble::Extended(trouble) => return report_extended(dir, trouble),
    };
    SUPERVISE.try_warn(text!["unable to ", what], error);
}

/// The same of what only -e brings.
fn report_extended(dir: &CStr, trouble: extended::Trouble) {
    let (what, error) = match trouble {
        extended::Trouble::Read(file, error) => (text!["read ", dir, "/", file], error),
        extended::Trouble::Meaning(file, meaning) => {
            let what = text![dir, "/", file, " is not ", meaning, ": ignored"];
            return SUPERVISE.try_warn_msg(what);
        }
        extended::Trouble::Notification(error) => {
            let file = names::NOTIFICATION_FD;
            (text!["create pipe for ", dir, "/", file], error)
        }
        extended::Trouble::NotifyFork(error) => {
            (text!["fork for ", dir, "/", names::NOTIFY], error)
        }
        extended::Trouble::Waiting => {
            let what = text!["waiting for what holds ", dir, "/", names::RUN_LOCK];
            return SUPERVISE.try_warn_msg(what);
        }
        extended::Trouble::Lock(error) => {
            return last_words(text!["lock ", dir, "/", names::RUN_LOCK], error);
        }
        extended::Trouble::Descriptor(file, error) => {
            return last_words(text!["set the descriptor of ", dir, "/", file], error);
        }
        extended::Trouble::Notify(error) => {
            return cannot_start(dir, names::NOTIFY_PROGRAM, error);
        }
    };
    SUPERVISE.try_warn(text!["unable to ", what], error);
}

fn cannot_start(dir: &CStr, program: &CStr, error: Errno) {
    let name = program.to_bytes();
    let name = name.strip_prefix(b"./").unwrap_or(name);
    last_words(text!["start ", dir, "/", name], error);
}

/// The last words of a child that did not become what it was to be.
fn last_words(what: impl AsRef<[u8]>, error: Errno) {
    let failure = SUPERVISE.fatal(text!["unable to ", what.as_ref()], error);
    text::try_write_stderr(&failure.message);
}
