//! How old `current` becomes.

use std::ffi::{CStr, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use daemontools_core::label::{Label, TEXT};
use nix::errno::Errno;
use nix::unistd::read;
use unix::file::open_read;

/// The age of a file, and how much of it is left. Where there is no limit, no
/// clock is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer {
    limit: Option<Duration>,
    /// When it is reached, if its time runs.
    due: Option<Instant>,
}

impl Timer {
    /// No file grows older than `limit`, if there is one.
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Timer { limit, due: None }
    }

    /// From now on the file grows older, unless it did already. So old it is
    /// by then.
    pub(crate) fn arm(&mut self, already: impl FnOnce() -> Duration) {
        if let (Some(limit), None) = (self.limit, self.due) {
            let left = limit.saturating_sub(already());
            self.due = Instant::now().checked_add(left);
        }
    }

    /// Another file follows, which does not grow older yet.
    pub(crate) fn disarm(&mut self) {
        self.due = None;
    }

    /// How much time is left, if the file grows older.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.due
            .map(|due| due.saturating_duration_since(Instant::now()))
    }
}

/// How long ago the first line came to a file in the current directory that
/// an earlier writer began.
///
/// Its label tells, if it has one. Otherwise nobody has written it down, and
/// the file counts from when it was made: rather too old than never old
/// enough, however often the writer is started.
pub(crate) fn age_since_first_line(file: &CStr) -> Duration {
    let began = match label(file) {
        Ok(Some(label)) => Some(label),
        Ok(None) | Err(_) => created(file),
    };
    // What is in the future may have come just now.
    let elapsed = began.and_then(|began| SystemTime::now().duration_since(began).ok());
    elapsed.unwrap_or_default()
}

/// The moment of the label that the file begins with, if it does.
fn label(file: &CStr) -> Result<Option<SystemTime>, Errno> {
    let mut head = [0; TEXT];
    let length = read(open_read(file)?, &mut head)?;
    let [b'@', digits @ ..] = head else {
        return Ok(None);
    };
    let (label, digits) = Label::read(&digits);
    let moment = u64::try_from(label.unix()).ok().and_then(|seconds| {
        let since = Duration::new(seconds, 0) + Duration::from_nanos(label.nanoseconds().into());
        UNIX_EPOCH.checked_add(since)
    });
    Ok(moment.filter(|_| length == TEXT && digits + 1 == TEXT))
}

/// When the file was made, if the file system knows.
fn created(file: &CStr) -> Option<SystemTime> {
    fs::metadata(OsStr::from_bytes(file.to_bytes()))
        .and_then(|metadata| metadata.created())
        .ok()
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn without_a_limit_nothing_is_asked() {
        let mut timer = Timer::new(None);
        timer.arm(|| panic!("asked"));
        assert_eq!(timer.remaining(), None);
    }

    #[test]
    fn time_runs_from_the_first_beginning_to_the_end() {
        let mut timer = Timer::new(Some(HOUR));
        assert_eq!(timer.remaining(), None);
        timer.arm(|| HOUR / 2);
        let left = timer.remaining().unwrap();
        assert!(left <= HOUR / 2 && left > HOUR / 4, "{left:?}");
        timer.arm(|| panic!("begun twice"));
        timer.disarm();
        assert_eq!(timer.remaining(), None);
        timer.arm(|| HOUR * 2);
        assert_eq!(timer.remaining(), Some(Duration::ZERO));
    }

    /// How old a file with this text is.
    fn since(text: &[u8]) -> Duration {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, text).unwrap();
        age_since_first_line(&CString::new(path.as_os_str().as_bytes()).unwrap())
    }

    #[test]
    fn a_label_tells_when_the_first_line_came() {
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
    fn what_is_no_label_tells_nothing() {
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
        // Older than Unix, and not the label of any line.
        assert!(since(b"@000000000000000000000000 x\n") < HOUR);
        assert_eq!(age_since_first_line(c"/no/such/file"), Duration::ZERO);
    }
}
