//! The one-byte commands of `supervise/control`, which are the option letters of
//! svc.

use nix::sys::signal::Signal;

/// A command: one byte in the control FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `u`: start the service, and restart it when it exits.
    Up,
    /// `d`: send TERM and CONT, and do not restart.
    Down,
    /// `o`: start the service, and do not restart it.
    Once,
    /// `x`: exit when the service is down.
    Exit,
    /// `p`: send STOP; the record shows paused.
    Pause,
    /// `c`: send CONT; the record no longer shows paused.
    Continue,
    /// `t`: send TERM.
    Terminate,
    /// `k`: send KILL.
    Kill,
    /// The letter of another signal: send the signal.
    Send(Signal),
    /// `+` and `=`: set the target of later signals.
    Target(SignalTarget),
}

/// The target of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalTarget {
    /// The service's process.
    Process,
    /// The process group that the process leads. A process that leads none gets
    /// the signal alone: its group also contains supervise and other services.
    ProcessGroup,
}

/// Letters, words and commands: those of 0.76 in the order of svc's usage line,
/// then those of daemontools-encore, of which runit has `q`, `1` and `2`. svc of
/// 0.76 refuses the later letters, and its supervise ignores the bytes.
pub const COMMANDS: [(u8, &str, Command); 17] = [
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

/// The letters that runsv ignores.
const NOT_OF_RUNSV: &[u8] = b"w+=";

impl Command {
    /// The command of a byte; None for a byte that supervise ignores.
    pub fn from_byte(byte: u8) -> Option<Self> {
        COMMANDS
            .iter()
            .find(|(letter, ..)| *letter == byte)
            .map(|&(_, _, command)| command)
    }

    /// As [`Command::from_byte`], for runsv.
    pub fn from_byte_for_runsv(byte: u8) -> Option<Self> {
        Command::from_byte(byte).filter(|_| !NOT_OF_RUNSV.contains(&byte))
    }

    /// The letter of the command; None if there is none.
    pub fn letter(self) -> Option<u8> {
        COMMANDS
            .iter()
            .find(|(.., command)| *command == self)
            .map(|&(letter, ..)| letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_commands_match_one_to_one() {
        for (letter, word, command) in COMMANDS {
            assert_eq!(Command::from_byte(letter), Some(command), "{word}");
            let same = COMMANDS
                .iter()
                .filter(|row| row.0 == letter || row.2 == command);
            assert_eq!(same.count(), 1, "{word}");
        }
        let known = (0..=255).filter(|&byte| Command::from_byte(byte).is_some());
        assert_eq!(known.count(), COMMANDS.len());
    }

    #[test]
    fn runsv_ignores_letters_of_supervise() {
        for (letter, word, command) in COMMANDS {
            let expected = (!b"w+=".contains(&letter)).then_some(command);
            assert_eq!(Command::from_byte_for_runsv(letter), expected, "{word}");
        }
        assert_eq!(Command::from_byte_for_runsv(b'z'), None);
    }

    #[test]
    fn commands_without_an_option_have_no_letter() {
        assert_eq!(Command::Up.letter(), Some(b'u'));
        assert_eq!(Command::Send(Signal::SIGWINCH).letter(), Some(b'w'));
        assert_eq!(Command::Send(Signal::SIGTRAP).letter(), None);
    }
}
