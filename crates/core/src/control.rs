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
    /// `t`: TERM.
    Terminate,
    /// `k`: KILL.
    Kill,
    /// Any other letter: this signal, and nothing else.
    Send(Signal),
}

/// Letters, words and commands, in the order of svc's usage line.
pub const COMMANDS: [(u8, &str, Command); 11] = [
    (b'u', "up", Command::Up),
    (b'd', "down", Command::Down),
    (b'o', "once", Command::Once),
    (b'x', "exit", Command::Exit),
    (b'p', "pause", Command::Pause),
    (b'c', "continue", Command::Continue),
    (b'h', "hup", Command::Send(Signal::SIGHUP)),
    (b'a', "alarm", Command::Send(Signal::SIGALRM)),
    (b'i', "interrupt", Command::Send(Signal::SIGINT)),
    (b't', "term", Command::Terminate),
    (b'k', "kill", Command::Kill),
];

/// What runsv understands besides.
const RUNSV_COMMANDS: [(u8, Command); 3] = [
    (b'q', Command::Send(Signal::SIGQUIT)),
    (b'1', Command::Send(Signal::SIGUSR1)),
    (b'2', Command::Send(Signal::SIGUSR2)),
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

    /// As [`Command::from_byte`], for runsv.
    #[must_use]
    pub fn from_byte_for_runsv(byte: u8) -> Option<Self> {
        let more = RUNSV_COMMANDS.iter();
        let more = more
            .filter(|(letter, _)| *letter == byte)
            .map(|&(_, command)| command);
        more.chain(Command::from_byte(byte)).next()
    }

    /// The letter that stands for it; None if there is none.
    #[must_use]
    pub fn letter(self) -> Option<u8> {
        let all = COMMANDS.map(|(letter, _, command)| (letter, command));
        all.into_iter()
            .chain(RUNSV_COMMANDS)
            .find(|(_, command)| *command == self)
            .map(|(letter, _)| letter)
    }
}
