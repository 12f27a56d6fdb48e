//! What sv can be told: its words, what they send to runsv, and when they
//! have taken effect.

use crate::label::Label;
use crate::runsv::Report;
use crate::state::ServiceState;
use crate::status::Want;

/// What sv is to do with each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SvCommand {
    /// What is asked of the service.
    pub action: Action,
    /// Whether sv waits for the effect and tells of it, even if it is not
    /// asked to.
    pub waits: bool,
    /// Whether a service that lets sv wait in vain is killed.
    pub kills: bool,
}

/// What is asked of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Say what it is at.
    Status,
    /// Be available; nothing is sent.
    Check,
    /// Obey these letters.
    Obey(&'static [u8]),
}

/// The words that count as a whole, and what they send.
const WORDS: [(&[u8], Action, bool); 11] = [
    (b"start", Action::Obey(b"u"), false),
    (b"stop", Action::Obey(b"d"), false),
    (b"restart", Action::Obey(b"tcu"), false),
    (b"reload", Action::Obey(b"h"), false),
    (b"shutdown", Action::Obey(b"x"), false),
    (b"check", Action::Check, false),
    (b"try-restart", Action::Obey(b"tc"), false),
    (b"force-stop", Action::Obey(b"d"), true),
    (b"force-reload", Action::Obey(b"tc"), true),
    (b"force-restart", Action::Obey(b"tcu"), true),
    (b"force-shutdown", Action::Obey(b"x"), true),
];

/// The words of whose first letters any other word needs to have one.
const LETTERS: [(&[u8], Action); 15] = [
    (b"status", Action::Status),
    (b"up", Action::Obey(b"u")),
    (b"down", Action::Obey(b"d")),
    (b"once", Action::Obey(b"o")),
    (b"pause", Action::Obey(b"p")),
    (b"cont", Action::Obey(b"c")),
    (b"hup", Action::Obey(b"h")),
    (b"alarm", Action::Obey(b"a")),
    (b"interrupt", Action::Obey(b"i")),
    (b"quit", Action::Obey(b"q")),
    (b"1", Action::Obey(b"1")),
    (b"2", Action::Obey(b"2")),
    (b"term", Action::Obey(b"t")),
    (b"kill", Action::Obey(b"k")),
    (b"exit", Action::Obey(b"x")),
];

/// All words that sv is told in full.
pub fn words() -> impl Iterator<Item = &'static [u8]> {
    let letters = LETTERS.iter().map(|&(word, _)| word);
    letters.chain(WORDS.iter().map(|&(word, ..)| word))
}

impl SvCommand {
    /// What a word orders, None if it is no word of sv's.
    #[must_use]
    pub fn from_word(word: &[u8]) -> Option<Self> {
        if let Some(&(_, action, kills)) = WORDS.iter().find(|(whole, ..)| *whole == word) {
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
        let &(_, action) = LETTERS
            .iter()
            .find(|(known, _)| known.first() == Some(&letter))?;
        Some(SvCommand {
            action,
            waits: false,
            kills: false,
        })
    }
}

impl Action {
    /// The letters to send to a service that tells this of itself: none that
    /// ask for what is so already.
    #[must_use]
    pub fn letters(self, report: &Report) -> &'static [u8] {
        let want = report.status.want;
        match self {
            Action::Status | Action::Check => b"",
            Action::Obey(b"u") if want == Want::Up => b"",
            Action::Obey(b"d") if want == Want::Down && report.got_term => b"",
            Action::Obey(letters) => letters,
        }
    }

    /// Whether it is runsv's end that is asked for.
    #[must_use]
    pub fn is_exit(self) -> bool {
        self == Action::Obey(b"x")
    }

    /// Whether what runs is to end, so that there is something new to tell of
    /// it in any case.
    #[must_use]
    pub fn ends_what_runs(self) -> bool {
        match self {
            Action::Status | Action::Check => false,
            Action::Obey(letters) => letters.iter().any(|letter| b"tk".contains(letter)),
        }
    }

    /// Whether the action, made at `asked`, has taken effect on a service
    /// that tells this of itself.
    #[must_use]
    pub fn effect(self, report: &Report, asked: Label) -> Completion {
        match self {
            Action::Status => Completion::Full,
            Action::Check => match report.status.pid {
                Some(_) => Completion::IfAvailable,
                None => Completion::Full,
            },
            Action::Obey(letters) => letters
                .iter()
                .map(|&letter| effect(letter, report, asked))
                .fold(Completion::Full, Completion::and),
        }
    }
}

/// How far a action has taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Not yet.
    None,
    /// If the service's `check` says that it is available.
    IfAvailable,
    /// Wholly.
    Full,
}

impl Completion {
    fn and(self, other: Completion) -> Completion {
        match (self, other) {
            (Completion::None, _) | (_, Completion::None) => Completion::None,
            (Completion::IfAvailable, _) | (_, Completion::IfAvailable) => Completion::IfAvailable,
            (Completion::Full, Completion::Full) => Completion::Full,
        }
    }
}

/// The effect of one letter.
fn effect(letter: u8, report: &Report, asked: Label) -> Completion {
    let status = report.status;
    let runs = status.pid.is_some();
    // The original compares whole seconds.
    let is_new = status.since.seconds() >= asked.seconds();
    let (effective, needs_check) = match letter {
        b'u' => (runs && report.state == Some(ServiceState::Up), true),
        b'd' => (!runs && report.state == Some(ServiceState::Down), false),
        b'o' => (
            if runs {
                status.want == Want::Down
            } else {
                is_new
            },
            false,
        ),
        b't' | b'k' if !runs && status.want == Want::Down => (true, false),
        b't' | b'k' => (runs && is_new && !report.got_term, true),
        b'p' => (!runs || status.paused, false),
        b'c' => (!runs || !status.paused, false),
        b'x' => (false, false),
        _ => (true, false),
    };
    match (effective, needs_check) {
        (false, _) => Completion::None,
        (true, true) => Completion::IfAvailable,
        (true, false) => Completion::Full,
    }
}
