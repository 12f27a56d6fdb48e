//! The one-byte commands of `supervise/control`, which are also svc's
//! option letters.

use nix::sys::signal::Signal;

/// What one byte in the control FIFO asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `u`: want up; start if down.
    Up,
    /// `d`: want down; TERM, then CONT.
    Down,
    /// `o`: start if down, and do not restart.
    Once,
    /// `x`: exit when the service is down.
    Exit,
    /// `p`: STOP, recorded as paused.
    Pause,
    /// `c`: CONT, no longer paused.
    Continue,
    /// A letter that sends a signal and does nothing else.
    Send(&'static [Signal; 1]),
}

/// Letters, words and commands, in the order of svc's usage line.
pub const COMMANDS: [(u8, &str, Command); 11] = [
    (b'u', "up", Command::Up),
    (b'd', "down", Command::Down),
    (b'o', "once", Command::Once),
    (b'x', "exit", Command::Exit),
    (b'p', "pause", Command::Pause),
    (b'c', "continue", Command::Continue),
    (b'h', "hup", Command::Send(&[Signal::SIGHUP])),
    (b'a', "alarm", Command::Send(&[Signal::SIGALRM])),
    (b'i', "interrupt", Command::Send(&[Signal::SIGINT])),
    (b't', "term", Command::Send(&[Signal::SIGTERM])),
    (b'k', "kill", Command::Send(&[Signal::SIGKILL])),
];

impl Command {
    /// The command that a byte stands for; None for bytes that supervise
    /// ignores.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        COMMANDS
            .iter()
            .find(|(letter, ..)| *letter == byte)
            .map(|&(_, _, command)| command)
    }
}
