//! The commands of sv: their words, the letters for runsv, and their completion.

use daemontools_core::label::Label;
use daemontools_core::runsv::RunsvStatus;
use daemontools_core::state::ServiceState;
use daemontools_core::status::Want;

/// A command for each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SvCommand {
    /// The action on the service.
    pub(crate) action: SvAction,
    /// Whether sv waits for completion even without -v or -w.
    pub(crate) waits: bool,
    /// Whether a timeout kills the service.
    pub(crate) kills: bool,
}

/// An action on a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SvAction {
    /// Show the status.
    Status,
    /// Wait until the service is available.
    Check,
    /// Send these letters to runsv.
    Send(&'static [u8]),
}

/// The words that have to be complete, their actions, and whether a timeout
/// kills.
const COMPLETE_WORDS: [(&[u8], SvAction, bool); 11] = [
    (b"start", SvAction::Send(b"u"), false),
    (b"stop", SvAction::Send(b"d"), false),
    (b"restart", SvAction::Send(b"tcu"), false),
    (b"reload", SvAction::Send(b"h"), false),
    (b"shutdown", SvAction::Send(b"x"), false),
    (b"check", SvAction::Check, false),
    (b"try-restart", SvAction::Send(b"tc"), false),
    (b"force-stop", SvAction::Send(b"d"), true),
    (b"force-reload", SvAction::Send(b"tc"), true),
    (b"force-restart", SvAction::Send(b"tcu"), true),
    (b"force-shutdown", SvAction::Send(b"x"), true),
];

/// The words of which the first letter is enough.
const LETTER_WORDS: [(&[u8], SvAction); 15] = [
    (b"status", SvAction::Status),
    (b"up", SvAction::Send(b"u")),
    (b"down", SvAction::Send(b"d")),
    (b"once", SvAction::Send(b"o")),
    (b"pause", SvAction::Send(b"p")),
    (b"cont", SvAction::Send(b"c")),
    (b"hup", SvAction::Send(b"h")),
    (b"alarm", SvAction::Send(b"a")),
    (b"interrupt", SvAction::Send(b"i")),
    (b"quit", SvAction::Send(b"q")),
    (b"1", SvAction::Send(b"1")),
    (b"2", SvAction::Send(b"2")),
    (b"term", SvAction::Send(b"t")),
    (b"kill", SvAction::Send(b"k")),
    (b"exit", SvAction::Send(b"x")),
];

/// All words of sv in full.
#[cfg(test)]
pub(crate) fn words() -> impl Iterator<Item = &'static [u8]> {
    let letter_words = LETTER_WORDS.iter().map(|&(word, _)| word);
    letter_words.chain(COMPLETE_WORDS.iter().map(|&(word, ..)| word))
}

impl SvCommand {
    /// The command of a word; None if there is none.
    pub(crate) fn from_word(word: &[u8]) -> Option<Self> {
        if let Some(&(_, action, kills)) = COMPLETE_WORDS.iter().find(|(known, ..)| *known == word)
        {
            return Some(SvCommand {
                action,
                waits: true,
                kills,
            });
        }
        let letter = match *word.first()? {
            b'x' => b'e',
            letter => letter,
        };
        let &(_, action) = LETTER_WORDS
            .iter()
            .find(|(known, _)| known.first() == Some(&letter))?;
        Some(SvCommand {
            action,
            waits: false,
            kills: false,
        })
    }
}

impl SvAction {
    /// The letters for a service with this status; empty if the status is
    /// already as requested.
    pub(crate) fn letters(self, runsv: &RunsvStatus) -> &'static [u8] {
        let want = runsv.status.want;
        match self {
            SvAction::Status | SvAction::Check => b"",
            SvAction::Send(b"u") if want == Want::Up => b"",
            SvAction::Send(b"d") if want == Want::Down && runsv.got_term => b"",
            SvAction::Send(letters) => letters,
        }
    }

    /// Whether the action stops runsv itself.
    pub(crate) fn is_exit(self) -> bool {
        self == SvAction::Send(b"x")
    }

    /// Whether the action ends the current process, so that runsv writes a new
    /// record.
    pub(crate) fn stops_process(self) -> bool {
        match self {
            SvAction::Status | SvAction::Check => false,
            SvAction::Send(letters) => letters.iter().any(|letter| b"tk".contains(letter)),
        }
    }

    /// Whether the action, sent at this time, is complete for a service with
    /// this status.
    pub(crate) fn completion(self, runsv: &RunsvStatus, sent: Label) -> Completion {
        match self {
            SvAction::Status => Completion::Complete,
            SvAction::Check => match runsv.status.pid {
                Some(_) => Completion::IfAvailable,
                None => Completion::Complete,
            },
            SvAction::Send(letters) => letters
                .iter()
                .map(|&letter| letter_completion(letter, runsv, sent))
                .fold(Completion::Complete, Completion::and),
        }
    }
}

/// The completion of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    /// Not complete.
    Pending,
    /// Complete if the program `check` succeeds.
    IfAvailable,
    /// Complete.
    Complete,
}

impl Completion {
    fn and(self, other: Completion) -> Completion {
        match (self, other) {
            (Completion::Pending, _) | (_, Completion::Pending) => Completion::Pending,
            (Completion::IfAvailable, _) | (_, Completion::IfAvailable) => Completion::IfAvailable,
            (Completion::Complete, Completion::Complete) => Completion::Complete,
        }
    }
}

fn letter_completion(letter: u8, runsv: &RunsvStatus, sent: Label) -> Completion {
    let status = runsv.status;
    let runs = status.pid.is_some();
    // runit compares whole seconds.
    let is_new = status.since.seconds() >= sent.seconds();
    let (done, needs_check) = match letter {
        b'u' => (runs && runsv.state == Some(ServiceState::Up), true),
        b'd' => (!runs && runsv.state == Some(ServiceState::Down), false),
        b'o' => (
            if runs {
                status.want == Want::Down
            } else {
                is_new
            },
            false,
        ),
        b't' | b'k' if !runs && status.want == Want::Down => (true, false),
        b't' | b'k' => (runs && is_new && !runsv.got_term, true),
        b'p' => (!runs || status.paused, false),
        b'c' => (!runs || !status.paused, false),
        b'x' => (false, false),
        _ => (true, false),
    };
    match (done, needs_check) {
        (false, _) => Completion::Pending,
        (true, true) => Completion::IfAvailable,
        (true, false) => Completion::Complete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_a_command() {
        assert!(words().all(|word| SvCommand::from_word(word).is_some()));
    }
}
