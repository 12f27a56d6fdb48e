//! The one-byte commands of `supervise/control`, which are the option letters of
//! svc.

/// A command: one byte in the control FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
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
    Send(ServiceSignal),
    /// `+` and `=`: set the target of later signals.
    Target(SignalTarget),
}

/// A signal that supervise only passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum ServiceSignal {
    /// SIGHUP.
    Hangup,
    /// SIGALRM.
    Alarm,
    /// SIGINT.
    Interrupt,
    /// SIGQUIT.
    Quit,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGWINCH.
    WindowChange,
}

/// The target of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
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
    (b'h', "hup", Command::Send(ServiceSignal::Hangup)),
    (b'a', "alarm", Command::Send(ServiceSignal::Alarm)),
    (b'i', "interrupt", Command::Send(ServiceSignal::Interrupt)),
    (b't', "term", Command::Terminate),
    (b'k', "kill", Command::Kill),
    (b'q', "quit", Command::Send(ServiceSignal::Quit)),
    (b'1', "usr1", Command::Send(ServiceSignal::User1)),
    (b'2', "usr2", Command::Send(ServiceSignal::User2)),
    (b'w', "winch", Command::Send(ServiceSignal::WindowChange)),
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

    /// The letter of the command. A test shows that each command is in the table.
    pub fn letter(self) -> u8 {
        COMMANDS
            .iter()
            .find(|(.., command)| *command == self)
            .map_or(0, |&(letter, ..)| letter)
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
    fn each_command_has_its_letter() {
        use ServiceSignal::{Alarm, Hangup, Interrupt, Quit, User1, User2, WindowChange};
        // An exhaustive match, so that a new command cannot be forgotten.
        let letter = |command| match command {
            Command::Up => b'u',
            Command::Down => b'd',
            Command::Once => b'o',
            Command::Exit => b'x',
            Command::Pause => b'p',
            Command::Continue => b'c',
            Command::Terminate => b't',
            Command::Kill => b'k',
            Command::Send(Hangup) => b'h',
            Command::Send(Alarm) => b'a',
            Command::Send(Interrupt) => b'i',
            Command::Send(Quit) => b'q',
            Command::Send(User1) => b'1',
            Command::Send(User2) => b'2',
            Command::Send(WindowChange) => b'w',
            Command::Target(SignalTarget::ProcessGroup) => b'+',
            Command::Target(SignalTarget::Process) => b'=',
        };
        for (_, word, command) in COMMANDS {
            assert_eq!(command.letter(), letter(command), "{word}");
        }
        assert_eq!(COMMANDS.len(), 17);
    }
}
