//! The file `supervise/state` of `supervise -e`, with lines `key=value`.
//!
//! supervise renames this file before the status record. A file older than the
//! record is stale: a supervise with -e wrote the file, and later a supervise
//! without -e wrote the record. See [`StateFile::belongs_to`].

use std::fmt;
use std::num::NonZeroI32;

use crate::label::{Label, TEXT};
use crate::number::parse_decimal;
use crate::short_text::ShortText;
use crate::status::Status;

/// The state of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum ServiceState {
    /// The service does not run, and only a command starts it.
    Down,
    /// The service runs and has not reported readiness.
    Starting,
    /// The service runs and does not report readiness.
    Up,
    /// The service runs and has reported readiness.
    Ready,
    /// `finish` runs.
    Finish,
    /// The service starts after a delay.
    Delay,
    /// The service has failed permanently.
    Failed,
    /// `start` runs.
    Start,
    /// `start` has succeeded, and there is no `run`: the service is up without a
    /// process.
    Started,
    /// `stop` runs.
    Stop,
}

/// The words in the file.
const STATE_WORDS: [(&[u8], ServiceState); 10] = [
    (b"down", ServiceState::Down),
    (b"starting", ServiceState::Starting),
    (b"up", ServiceState::Up),
    (b"ready", ServiceState::Ready),
    (b"finish", ServiceState::Finish),
    (b"delay", ServiceState::Delay),
    (b"failed", ServiceState::Failed),
    (b"start", ServiceState::Start),
    (b"started", ServiceState::Started),
    (b"stop", ServiceState::Stop),
];

impl ServiceState {
    /// The word in the file.
    pub fn word(self) -> &'static [u8] {
        STATE_WORDS
            .iter()
            .find(|(_, state)| *state == self)
            .map_or(b"", |(word, _)| word)
    }

    /// Whether the service is up: `run` runs, or `start` stands for it.
    pub fn is_up(self) -> bool {
        match self {
            ServiceState::Starting
            | ServiceState::Up
            | ServiceState::Ready
            | ServiceState::Started => true,
            ServiceState::Down
            | ServiceState::Finish
            | ServiceState::Delay
            | ServiceState::Failed
            | ServiceState::Start
            | ServiceState::Stop => false,
        }
    }

    /// Whether `start`, `stop` or `finish` runs.
    pub fn runs_script(self) -> bool {
        match self {
            ServiceState::Finish | ServiceState::Start | ServiceState::Stop => true,
            ServiceState::Down
            | ServiceState::Starting
            | ServiceState::Up
            | ServiceState::Ready
            | ServiceState::Delay
            | ServiceState::Failed
            | ServiceState::Started => false,
        }
    }
}

/// The word in the file: `ready`.
impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(self.word()).unwrap_or_default())
    }
}

/// The content of the file as a text: nine values, the longest of which are labels.
pub type StateText = ShortText<320>;

/// The content of the file `state`, which `supervise -e` writes. None: the value is
/// missing or invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub struct StateFile {
    /// `state`.
    pub state: ServiceState,
    /// `pid`: the process.
    pub pid: Option<NonZeroI32>,
    /// `since`: the time of the last start or exit, as in the record.
    pub since: Option<Label>,
    /// `ready_since`: the time at which the service reported readiness.
    pub ready_since: Option<Label>,
    /// `restarts`: the number of restarts.
    pub restarts: Option<u64>,
    /// `exit_code`: the exit code of the last run.
    pub exit_code: Option<u8>,
    /// `signal`: the number of the signal that killed the last run.
    pub signal: Option<u8>,
    /// `next_start`: the time of the next start.
    pub next_start: Option<Label>,
    /// `check`: the result of the last `check` of this run.
    pub check: Option<CheckResult>,
}

/// The result of a `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum CheckResult {
    /// `ok`: the check exited 0.
    Ok,
    /// `failing`: the check failed, and no number of failures stops the service.
    Failing,
    /// The number of failures since the last success, of which `check-failures`
    /// stop the service.
    Failures(u64),
}

impl CheckResult {
    fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"ok" => Some(CheckResult::Ok),
            b"failing" => Some(CheckResult::Failing),
            number => parse_decimal(number)
                .filter(|failures| *failures > 0)
                .map(CheckResult::Failures),
        }
    }

    fn push_value(self, text: &mut StateText) {
        match self {
            CheckResult::Ok => text.push(b"ok"),
            CheckResult::Failing => text.push(b"failing"),
            CheckResult::Failures(failures) => text.push_value(failures),
        }
    }

    /// Whether the check failed.
    pub fn is_failure(self) -> bool {
        match self {
            CheckResult::Ok => false,
            CheckResult::Failing | CheckResult::Failures(_) => true,
        }
    }
}

impl StateFile {
    /// Parses the file; None without a valid `state`. Unknown keys are ignored;
    /// the last of several equal keys counts.
    pub fn read(text: &[u8]) -> Option<Self> {
        let value = |key: &[u8]| {
            let mut lines = text.split(|&byte| byte == b'\n').rev();
            lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(b"="))
        };
        let word = value(b"state")?;
        let (_, state) = STATE_WORDS.iter().find(|(name, _)| *name == word)?;
        let label = |key| parse_label(value(key)?);
        let code = |key| u8::try_from(parse_decimal(value(key)?)?).ok();
        let pid = value(b"pid").and_then(parse_decimal);
        let pid = pid.and_then(|pid| i32::try_from(pid).ok());
        Some(StateFile {
            state: *state,
            pid: pid.and_then(NonZeroI32::new),
            since: label(b"since"),
            ready_since: label(b"ready_since"),
            restarts: value(b"restarts").and_then(parse_decimal),
            exit_code: code(b"exit_code"),
            signal: code(b"signal").filter(|signal| *signal != 0),
            next_start: label(b"next_start"),
            check: value(b"check").and_then(CheckResult::parse),
        })
    }

    /// The content of the file. An unknown value is an empty one, so that a shell
    /// that sources the file clears its variable.
    pub fn text(&self) -> StateText {
        let mut text = StateText::new();
        let number = |number: Option<u64>, text: &mut StateText| {
            if let Some(number) = number {
                text.push_value(number);
            }
        };
        let label = |label: Option<Label>, text: &mut StateText| {
            if let Some(label) = label {
                text.push(&label.text());
            }
        };
        let pid = self.pid.and_then(|pid| u64::try_from(pid.get()).ok());
        text.push(b"state=");
        text.push(self.state.word());
        text.push(b"\npid=");
        number(pid, &mut text);
        text.push(b"\nsince=");
        label(self.since, &mut text);
        text.push(b"\nready_since=");
        label(self.ready_since, &mut text);
        text.push(b"\nrestarts=");
        number(self.restarts, &mut text);
        text.push(b"\nexit_code=");
        number(self.exit_code.map(u64::from), &mut text);
        text.push(b"\nsignal=");
        number(self.signal.map(u64::from), &mut text);
        text.push(b"\nnext_start=");
        label(self.next_start, &mut text);
        text.push(b"\ncheck=");
        if let Some(check) = self.check {
            check.push_value(&mut text);
        }
        text.push(b"\n");
        text
    }

    /// Whether the last `check` of this run failed.
    pub fn fails_check(&self) -> bool {
        self.check.is_some_and(CheckResult::is_failure)
    }

    /// Whether the file is not older than the record.
    pub fn belongs_to(&self, status: &Status) -> bool {
        self.since.is_some_and(|since| since >= status.since)
    }
}

/// The label of a text that is exactly one.
fn parse_label(text: &[u8]) -> Option<Label> {
    let (label, length) = Label::read(text.strip_prefix(b"@")?);
    (length + 1 == TEXT && text.len() == TEXT).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Want;

    const TEXT: &[u8] = b"state=ready\npid=4242\nsince=@400000004d52960a0ebe121c\n\
        ready_since=@400000004d52960b0ebe121c\nrestarts=3\nexit_code=111\nsignal=\n";

    #[test]
    fn each_key_is_parsed() {
        let state = StateFile::read(TEXT).unwrap();
        assert_eq!(state.state, ServiceState::Ready);
        assert_eq!(state.pid, NonZeroI32::new(4242));
        assert_eq!(state.since.map(Label::unix), Some(1_297_257_984));
        assert_eq!(state.ready_since.map(Label::unix), Some(1_297_257_985));
        assert_eq!(state.restarts, Some(3));
        assert_eq!(state.exit_code, Some(111));
        assert_eq!((state.signal, state.next_start), (None, None));
        let delayed = b"state=delay\npid=0\nsignal=9\nnext_start=@400000004d52960b0ebe121c";
        let state = StateFile::read(delayed).unwrap();
        assert_eq!((state.state, state.pid), (ServiceState::Delay, None));
        assert_eq!(state.signal, Some(9));
        assert_eq!(state.next_start.map(Label::unix), Some(1_297_257_985));
    }

    #[test]
    fn written_text_reads_back() {
        let state = StateFile::read(TEXT).unwrap();
        let text = state.text();
        assert_eq!(StateFile::read(&text), Some(state));
        let nothing = StateFile {
            state: ServiceState::Down,
            pid: None,
            since: None,
            ready_since: None,
            restarts: None,
            exit_code: None,
            signal: Some(9),
            next_start: state.since,
            check: None,
        };
        let expected = b"state=down\npid=\nsince=\nready_since=\nrestarts=\nexit_code=\n\
            signal=9\nnext_start=@400000004d52960a0ebe121c\ncheck=\n";
        assert_eq!(*nothing.text(), expected[..]);
        assert_eq!(StateFile::read(&nothing.text()), Some(nothing));
    }

    #[test]
    fn unknown_keys_and_values_are_ignored() {
        let state =
            StateFile::read(b"\nfuture=1\nx\n=\nstate=up\npid=-4\nrestarts=many\nsince=@12\n")
                .unwrap();
        assert_eq!(state.state, ServiceState::Up);
        assert_eq!((state.pid, state.since, state.restarts), (None, None, None));
        assert_eq!(StateFile::read(b"state=\xff\n"), None);
        assert_eq!(StateFile::read(b"state=up \n"), None);
        assert_eq!(StateFile::read(b"pid=7\n"), None);
        assert_eq!(StateFile::read(b""), None);
    }

    #[test]
    fn each_state_has_its_word() {
        for (word, state) in STATE_WORDS {
            let text = [b"state=", word, b"\n"].concat();
            assert_eq!(StateFile::read(&text).map(|state| state.state), Some(state));
            assert_eq!(state.word(), word);
            assert_eq!(state.to_string().as_bytes(), word);
        }
    }

    #[test]
    fn service_is_up_from_run_to_exit() {
        let up = STATE_WORDS.iter().filter(|(_, state)| state.is_up());
        let up: Vec<_> = up.map(|(word, _)| String::from_utf8_lossy(word)).collect();
        assert_eq!(up, ["starting", "up", "ready", "started"]);
    }

    #[test]
    fn label_with_more_or_other_bytes_is_none() {
        for label in [
            "@400000004d52960a0ebe121c0",
            "@400000004d52960a0ebe121c ",
            "@400000004d52960a0ebe121",
            "@400000004d52960a0ebe121x",
            "400000004d52960a0ebe121c",
        ] {
            let text = format!("state=up\nsince={label}\n");
            let state = StateFile::read(text.as_bytes()).unwrap();
            assert_eq!(state.since, None, "{label}");
        }
    }

    #[test]
    fn check_result_reads_back() {
        for (word, result) in [
            ("ok", CheckResult::Ok),
            ("failing", CheckResult::Failing),
            ("1", CheckResult::Failures(1)),
            ("18446744073709551615", CheckResult::Failures(u64::MAX)),
        ] {
            let text = format!("state=up\ncheck={word}\n");
            let state = StateFile::read(text.as_bytes()).unwrap();
            assert_eq!(state.check, Some(result));
            assert_eq!(state.fails_check(), word != "ok");
            assert_eq!(StateFile::read(&state.text()), Some(state));
        }
        for word in ["", "0", "OK", "-1", "18446744073709551616"] {
            let text = format!("state=up\ncheck={word}\n");
            let state = StateFile::read(text.as_bytes()).unwrap();
            assert!(state.check.is_none() && !state.fails_check());
        }
    }

    #[test]
    fn file_older_than_record_is_stale() {
        let state = StateFile::read(TEXT).unwrap();
        let status = |since| Status {
            since,
            pid: None,
            paused: false,
            want: Want::Up,
        };
        let since = state.since.unwrap();
        assert!(state.belongs_to(&status(since)));
        assert!(!state.belongs_to(&status(since.next())));
        assert!(
            !StateFile::read(b"state=up")
                .unwrap()
                .belongs_to(&status(since))
        );
    }
}
