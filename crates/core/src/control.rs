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
    /// Any other letter of a signal: this signal, and nothing else.
    Send(Signal),
    /// `+` and `=`: whom the signals of the commands after it reach.
    Target(SignalTarget),
}

/// Whom a signal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalTarget {
    /// The service's process.
    Process,
    /// The process group of that process, if it leads one; else the process
    /// alone, since the group is somebody else's: usually it is that of
    /// supervise itself, and of all its fellows.
    ProcessGroup,
}

/// Letters, words and commands of 0.76, in the order of svc's usage line.
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

/// The same of what 0.76 does not know: its svc refuses these letters, and its
/// supervise ignores the bytes. They are those of daemontools-encore; `q`, `1`
/// and `2` are also runit's.
pub const MORE_COMMANDS: [(u8, &str, Command); 6] = [
    (b'q', "quit", Command::Send(Signal::SIGQUIT)),
    (b'1', "usr1", Command::Send(Signal::SIGUSR1)),
    (b'2', "usr2", Command::Send(Signal::SIGUSR2)),
    (b'w', "winch", Command::Send(Signal::SIGWINCH)),
    (b'+', "group", Command::Target(SignalTarget::ProcessGroup)),
    (
        b'=',
        "process alone",
        Command::Target(SignalTarget::Process),
    ),
];

/// Those of them that runsv knows.
const RUNSV_LETTERS: &[u8] = b"q12";

impl Command {
    /// The command that a byte stands for; None for bytes that supervise
    /// ignores.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        COMMANDS
            .iter()
            .chain(&MORE_COMMANDS)
            .find(|(letter, ..)| *letter == byte)
            .map(|&(_, _, command)| command)
    }

    /// As [`Command::from_byte`], for runsv.
    #[must_use]
    pub fn from_byte_for_runsv(byte: u8) -> Option<Self> {
        let is_more = MORE_COMMANDS.iter().any(|&(letter, ..)| letter == byte);
        if is_more && !RUNSV_LETTERS.contains(&byte) {
            return None;
        }
        Command::from_byte(byte)
    }

    /// The letter that stands for it; None if there is none.
    #[must_use]
    pub fn letter(self) -> Option<u8> {
        COMMANDS
            .iter()
            .chain(&MORE_COMMANDS)
            .find(|(.., command)| *command == self)
            .map(|&(letter, ..)| letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_stands_for_one_command() {
        let all = || COMMANDS.iter().chain(&MORE_COMMANDS);
        for &(letter, word, command) in all() {
            assert_eq!(Command::from_byte(letter), Some(command), "{word}");
            let same = all().filter(|row| row.0 == letter || row.2 == command);
            assert_eq!(same.count(), 1, "{word}");
        }
        let known = (0..=255).filter(|&byte| Command::from_byte(byte).is_some());
        assert_eq!(known.count(), all().count());
    }
}
