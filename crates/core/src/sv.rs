//! What sv can be told: its words, what they send to runsv, and when they
//! have taken effect.

use crate::label::Label;
use crate::runsv::{Activity, Report};
use crate::status::Want;

/// What sv is to do with each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What is asked of the service.
    pub request: Request,
    /// Whether sv waits for the effect and tells of it, even if it is not
    /// asked to.
    pub waits: bool,
    /// Whether a service that lets sv wait in vain is killed.
    pub kills: bool,
}

/// What is asked of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Say what it is at.
    Status,
    /// Be available; nothing is sent.
    Check,
    /// Obey these letters.
    Obey(&'static [u8]),
}

/// The words that count as a whole, and what they send.
const WORDS: [(&[u8], Request, bool); 11] = [
    (b"start", Request::Obey(b"u"), false),
    (b"stop", Request::Obey(b"d"), false),
    (b"restart", Request::Obey(b"tcu"), false),
    (b"reload", Request::Obey(b"h"), false),
    (b"shutdown", Request::Obey(b"x"), false),
    (b"check", Request::Check, false),
    (b"try-restart", Request::Obey(b"tc"), false),
    (b"force-stop", Request::Obey(b"d"), true),
    (b"force-reload", Request::Obey(b"tc"), true),
    (b"force-restart", Request::Obey(b"tcu"), true),
    (b"force-shutdown", Request::Obey(b"x"), true),
];

/// The words of whose first letters any other word needs to have one.
const LETTERS: [(&[u8], Request); 15] = [
    (b"status", Request::Status),
    (b"up", Request::Obey(b"u")),
    (b"down", Request::Obey(b"d")),
    (b"once", Request::Obey(b"o")),
    (b"pause", Request::Obey(b"p")),
    (b"cont", Request::Obey(b"c")),
    (b"hup", Request::Obey(b"h")),
    (b"alarm", Request::Obey(b"a")),
    (b"interrupt", Request::Obey(b"i")),
    (b"quit", Request::Obey(b"q")),
    (b"1", Request::Obey(b"1")),
    (b"2", Request::Obey(b"2")),
    (b"term", Request::Obey(b"t")),
    (b"kill", Request::Obey(b"k")),
    (b"exit", Request::Obey(b"x")),
];

/// All words that sv is told in full.
pub fn words() -> impl Iterator<Item = &'static [u8]> {
    let letters = LETTERS.iter().map(|&(word, _)| word);
    letters.chain(WORDS.iter().map(|&(word, ..)| word))
}

impl Order {
    /// What a word orders, None if it is no word of sv's.
    #[must_use]
    pub fn from_word(word: &[u8]) -> Option<Self> {
        if let Some(&(_, request, kills)) = WORDS.iter().find(|(whole, ..)| *whole == word) {
            return Some(Order {
                request,
                waits: true,
                kills,
            });
        }
        let letter = match *word.first()? {
            b'x' => b'e',
            letter => letter,
        };
        let &(_, request) = LETTERS
            .iter()
            .find(|(known, _)| known.first() == Some(&letter))?;
        Some(Order {
            request,
            waits: false,
            kills: false,
        })
    }
}

impl Request {
    /// The letters to send to a service that tells this of itself: none that
    /// ask for what is so already.
    #[must_use]
    pub fn letters(self, report: &Report) -> &'static [u8] {
        let want = report.status.want;
        match self {
            Request::Status | Request::Check => b"",
            Request::Obey(b"u") if want == Want::Up => b"",
            Request::Obey(b"d") if want == Want::Down && report.got_term => b"",
            Request::Obey(letters) => letters,
        }
    }

    /// Whether it is runsv's end that is asked for.
    #[must_use]
    pub fn is_exit(self) -> bool {
        self == Request::Obey(b"x")
    }

    /// Whether what runs is to end, so that there is something new to tell of
    /// it in any case.
    #[must_use]
    pub fn ends_what_runs(self) -> bool {
        match self {
            Request::Status | Request::Check => false,
            Request::Obey(letters) => letters.iter().any(|letter| b"tk".contains(letter)),
        }
    }

    /// Whether the request, made at `asked`, has taken effect on a service
    /// that tells this of itself.
    #[must_use]
    pub fn effect(self, report: &Report, asked: Label) -> Effect {
        match self {
            Request::Status => Effect::Full,
            Request::Check => match report.status.pid {
                Some(_) => Effect::IfAvailable,
                None => Effect::Full,
            },
            Request::Obey(letters) => letters
                .iter()
                .map(|&letter| effect(letter, report, asked))
                .fold(Effect::Full, Effect::and),
        }
    }
}

/// How far a request has taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Not yet.
    None,
    /// If the service's `check` says that it is available.
    IfAvailable,
    /// Wholly.
    Full,
}

impl Effect {
    fn and(self, other: Effect) -> Effect {
        match (self, other) {
            (Effect::None, _) | (_, Effect::None) => Effect::None,
            (Effect::IfAvailable, _) | (_, Effect::IfAvailable) => Effect::IfAvailable,
            (Effect::Full, Effect::Full) => Effect::Full,
        }
    }
}

/// The effect of one letter.
fn effect(letter: u8, report: &Report, asked: Label) -> Effect {
    let status = report.status;
    let runs = status.pid.is_some();
    // The original compares whole seconds.
    let is_new = status.since.seconds() >= asked.seconds();
    let (effective, needs_check) = match letter {
        b'u' => (runs && report.activity == Activity::Run, true),
        b'd' => (!runs && report.activity == Activity::Down, false),
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
        (false, _) => Effect::None,
        (true, true) => Effect::IfAvailable,
        (true, false) => Effect::Full,
    }
}
