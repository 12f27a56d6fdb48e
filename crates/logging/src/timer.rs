//! The age limit of `current`.

use std::ffi::CStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use daemontools_core::label::{Label, TEXT};
use nix::errno::Errno;
use nix::unistd::read;
use unix::file::{creation_time, open_read};

/// A timer that expires when a file reaches its age limit. Without a limit,
/// the timer makes no system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer {
    limit: Option<Duration>,
    /// The time of expiry. None: not armed.
    due: Option<Instant>,
}

impl Timer {
    /// A timer that is not armed. None: no limit.
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Timer { limit, due: None }
    }

    /// Arms the timer for a file of this age, unless it is armed.
    pub(crate) fn arm(&mut self, age: impl FnOnce() -> Duration) {
        if let (Some(limit), None) = (self.limit, self.due) {
            let remaining = limit.saturating_sub(age());
            self.due = Instant::now().checked_add(remaining);
        }
    }

    /// Disarms the timer.
    pub(crate) fn disarm(&mut self) {
        self.due = None;
    }

    /// The time until expiry. None: not armed.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.due
            .map(|due| due.saturating_duration_since(Instant::now()))
    }
}

/// The time since an earlier writer added the first line to a file in the
/// current directory: since the label of that line, or else since the
/// creation of the file. The latter may be too long, but a file without labels
/// expires even if its writer is often restarted.
pub(crate) fn age_since_first_line(file: &CStr) -> Duration {
    let start = match read_label(file) {
        Ok(Some(label)) => Some(label),
        Ok(None) | Err(_) => creation_time(file),
    };
    // Times in the future count as age 0.
    let elapsed = start.and_then(|start| SystemTime::now().duration_since(start).ok());
    elapsed.unwrap_or_default()
}

/// The time of the label at the start of a file, if there is one.
fn read_label(file: &CStr) -> Result<Option<SystemTime>, Errno> {
    let mut head = [0; TEXT];
    let length = read(open_read(file)?, &mut head)?;
    let [b'@', digits @ ..] = head else {
        return Ok(None);
    };
    let (label, digits) = Label::read(&digits);
    let time = u64::try_from(label.unix()).ok().and_then(|seconds| {
        let since = Duration::new(seconds, 0) + Duration::from_nanos(label.nanoseconds().into());
        UNIX_EPOCH.checked_add(since)
    });
    Ok(time.filter(|_| length == TEXT && digits + 1 == TEXT))
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn armed_timer_runs_until_disarmed() {
        let mut unlimited = Timer::new(None);
        unlimited.arm(|| panic!("age requested"));
        assert_eq!(unlimited.remaining(), None);
        let mut timer = Timer::new(Some(HOUR));
        assert_eq!(timer.remaining(), None);
        timer.arm(|| HOUR / 2);
        let left = timer.remaining().unwrap();
        assert!(left <= HOUR / 2 && left > HOUR / 4, "{left:?}");
        timer.arm(|| panic!("armed twice"));
        timer.disarm();
        assert_eq!(timer.remaining(), None);
        timer.arm(|| HOUR * 2);
        assert_eq!(timer.remaining(), Some(Duration::ZERO));
    }

    /// The age of a file with this text.
    fn since(text: &[u8]) -> Duration {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, text).unwrap();
        age_since_first_line(&CString::new(path.as_os_str().as_bytes()).unwrap())
    }

    #[test]
    fn label_gives_the_time_of_the_first_line() {
        let now = Label::now().unix();
        let label = |seconds: i64| {
            let label = Label::from_unix(now - seconds, 0);
            [&label.text()[..], b" line\n"].concat()
        };
        let old = since(&label(7200));
        assert!((HOUR * 2..HOUR * 3).contains(&old), "{old:?}");
        assert_eq!(since(&label(-7200)), Duration::ZERO);
    }

    #[test]
    fn invalid_label_is_ignored() {
        for text in [
            &b""[..],
            b"line\n",
            b"@400000003b9aca00000001f",
            b"@400000003b9aca00000001fx line\n",
            b"@400000003B9ACA00000001F4 line\n",
            b"x400000003b9aca00000001f4 line\n",
        ] {
            let old = since(text);
            assert!(old < HOUR, "{}: {old:?}", text.escape_ascii());
        }
        let old = since(b"@400000003b9aca00000001f4");
        assert!(old > HOUR, "{old:?}");
        // Before 1970: not the label of a line.
        assert!(since(b"@000000000000000000000000 x\n") < HOUR);
        assert_eq!(age_since_first_line(c"/no/such/file"), Duration::ZERO);
    }

    #[test]
    fn fractions_of_the_label_count() {
        let start = Label::from_unix(Label::now().unix() - 100, 999_999_999);
        let text = [&start.text()[..], b" line\n"].concat();
        let old = since(&text);
        let seconds = u64::try_from(start.unix()).unwrap();
        let start = UNIX_EPOCH + Duration::new(seconds, 999_999_999);
        assert!(old <= SystemTime::now().duration_since(start).unwrap());
    }
}
