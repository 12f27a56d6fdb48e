//! The result of a program that has ended.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Exit status and output, to the byte.
#[must_use = "a failed command goes unnoticed without an assertion"]
#[derive(Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The command line, for messages.
    pub what: String,
    /// Exit code or signal.
    pub status: ExitStatus,
    /// The whole standard output.
    pub stdout: Vec<u8>,
    /// The whole standard error.
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// Asserts exit code and the whole of standard output and standard error.
    #[track_caller]
    pub fn is(&self, code: i32, stdout: impl AsRef<[u8]>, stderr: impl AsRef<[u8]>) -> &Self {
        let seen = (self.code(), self.stdout.as_slice(), self.stderr.as_slice());
        assert!(
            seen == (Some(code), stdout.as_ref(), stderr.as_ref()),
            "{self:?}\nexpected exit code {code}\n stdout {}\n stderr {}",
            stdout.as_ref().escape_ascii(),
            stderr.as_ref().escape_ascii(),
        );
        self
    }

    /// Asserts exit code 0, this standard output and nothing on standard
    /// error.
    #[track_caller]
    pub fn prints(&self, stdout: impl AsRef<[u8]>) -> &Self {
        self.is(0, stdout, "")
    }

    /// Asserts exit code 0 and no output at all.
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        self.is(0, "", "")
    }

    /// Asserts the exit code alone.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code(), Some(code), "{self:?}");
        self
    }

    /// The exit code. None: a signal ended the program.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended the program.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as text, every number of seconds in it replaced by S
    /// and every pid by P.
    pub fn masked(&self) -> String {
        masked(&self.text())
    }

    /// Standard error as text.
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Fails on a crash or a panic, also if the test expects an error.
    #[track_caller]
    pub(crate) fn assert_no_panic(&self) {
        let panicked = self.stderr.windows(8).any(|window| window == b"panicked");
        assert!(
            !panicked && self.signal() != Some(6) && self.code() != Some(134),
            "{self:?}"
        );
    }
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\n     saw {}\n stdout {}\n stderr {}",
            self.what,
            self.status,
            self.stdout.escape_ascii(),
            self.stderr.escape_ascii(),
        )
    }
}

/// Replaces the pids and seconds in lines of svstat.
fn masked(text: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mut words: Vec<&str> = text.split(' ').collect();
    for n in 0..words.len() {
        if words[n].strip_suffix(')').is_some_and(is_number) {
            words[n] = "P)";
        }
        let unit = words
            .get(n + 1)
            .and_then(|next| next.strip_prefix("seconds"));
        if is_number(words[n]) && unit.is_some_and(|end| !end.starts_with(char::is_alphabetic)) {
            assert!(
                words[n].len() < 6,
                "no service of a test is that old: {text}"
            );
            words[n] = "S";
        }
    }
    words.join(" ")
}
