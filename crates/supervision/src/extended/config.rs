//! The settings of supervise -e: files in the service directory, which is the
//! current directory. Malformed and unreadable files count as absent. Source: service-directory(5).

use std::ffi::CStr;
use std::fs::Metadata;
use std::ops::RangeInclusive;
use std::os::fd::RawFd;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use cli::errno::errno_message;
use cli::text;
use daemontools_core::names;
use daemontools_core::number::parse_fixed_point;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, read};
use unix::descriptors::DescriptorLimit;
use unix::file;

use crate::machine::{Backoff, CheckConfig, RestartConfig, RestartLimit};
use crate::permissions::Permissions;

/// A file of settings that counts as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigWarning {
    /// The file could not be read.
    Read(&'static CStr, Errno),
    /// The content of the file is not of this kind.
    Malformed(&'static CStr, &'static str),
}

impl ConfigWarning {
    /// The text of the warning. `name` returns the name of a file in messages.
    #[must_use]
    pub fn message(self, name: impl Fn(&'static CStr) -> Vec<u8>) -> Vec<u8> {
        match self {
            ConfigWarning::Read(file, error) => {
                text!["unable to read ", name(file), ": ", errno_message(error)]
            }
            ConfigWarning::Malformed(file, kind) => {
                text![name(file), " is not ", kind, ": ignored"]
            }
        }
    }
}

/// The settings of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    pub restart: RestartConfig,
    /// The descriptor on which the service reports its readiness.
    pub notification_fd: Option<RawFd>,
    /// The descriptor on which the service inherits its lock.
    pub lock_fd: Option<RawFd>,
    /// Whether the service stays in the session of supervise.
    pub no_setsid: bool,
}

impl Config {
    /// Reads all files. Returns the warnings in the memory of `warnings`.
    pub(super) fn read(mut warnings: Vec<ConfigWarning>) -> (Self, Vec<ConfigWarning>) {
        warnings.clear();
        let mut files = Reader { warnings };
        let notification_fd = files.descriptor(names::NOTIFICATION_FD);
        let mut lock_fd = files.descriptor(names::LOCK_FD);
        if lock_fd.is_some() && lock_fd == notification_fd {
            let kind = "another descriptor than that of notification-fd";
            files.reject(names::LOCK_FD, kind);
            lock_fd = None;
        }
        let down_signal = files.signal(names::DOWN_SIGNAL);
        // svscan looks for this file, and leaves the warning to supervise.
        let _ = files.exists(names::ESSENTIAL);
        let kill_timeout = files.milliseconds(names::TIMEOUT_KILL);
        let finish_timeout = files.milliseconds(names::TIMEOUT_FINISH);
        let start_timeout = files.milliseconds(names::TIMEOUT_START);
        let first = files.seconds(names::RESTART_DELAY);
        let longest = files.seconds(names::RESTART_DELAY_MAX);
        let backoff = files.backoff(first, longest);
        let kind = "a number from 0 to 10000";
        let count = files.number(names::RESTART_LIMIT_COUNT, kind, 0, 0..=10_000);
        let interval = files.seconds(names::RESTART_LIMIT_INTERVAL);
        let no_setsid = files.exists(names::NO_SETSID);
        let check = files.check(notification_fd.is_none());
        let finish_timeout = finish_timeout.unwrap_or(DEFAULT_FINISH_TIMEOUT);
        let config = Config {
            restart: RestartConfig {
                backoff,
                limit: restart_limit(count, interval),
                down_signal: down_signal.unwrap_or(Signal::SIGTERM),
                kill_timeout: kill_timeout.filter(|time| !time.is_zero()),
                finish_timeout: Some(finish_timeout).filter(|time| !time.is_zero()),
                start_timeout: start_timeout.filter(|time| !time.is_zero()),
                exit_implies_down: implies_down(down_signal, kill_timeout),
                expects_readiness: notification_fd.is_some()
                    || check.is_some_and(|check| check.reports_readiness),
                check,
            },
            notification_fd,
            lock_fd,
            no_setsid,
        };
        (config, files.warnings)
    }
}

/// The time that `check` has by default.
const DEFAULT_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The permissions that `control-group` and `status-group` set; None without either
/// file. `find` looks up a group. `warn` receives the reason for which a file counts
/// as absent.
pub(crate) fn permissions(
    find: impl Fn(&[u8]) -> Option<Gid>,
    warn: impl Fn(ConfigWarning),
) -> Option<Permissions> {
    let mut files = Reader::default();
    let kind = "the name or the number of a group";
    let mut group = |file| files.parse(file, kind, &find);
    let permissions = Permissions {
        user: None,
        control: group(names::CONTROL_GROUP),
        status: group(names::STATUS_GROUP),
    };
    files.warnings.into_iter().for_each(warn);
    (permissions != Permissions::default()).then_some(permissions)
}

/// The time that `finish` has by default, as in s6.
const DEFAULT_FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the command `x` also stops the service in the current directory.
pub(crate) fn exit_implies_down() -> bool {
    let mut files = Reader::default();
    let down_signal = files.signal(names::DOWN_SIGNAL);
    implies_down(down_signal, files.milliseconds(names::TIMEOUT_KILL))
}

/// A service that may need more than TERM to stop is stopped before its
/// supervise exits.
fn implies_down(down_signal: Option<Signal>, kill_timeout: Option<Duration>) -> bool {
    down_signal.is_some() || kill_timeout.is_some()
}

/// `timeout-kill` of the service in the current directory. Zero disables the
/// KILL; None if the file counts as absent. `warn` receives the reason if the file
/// exists.
pub(crate) fn kill_timeout(warn: impl Fn(ConfigWarning)) -> Option<Duration> {
    let mut files = Reader::default();
    let timeout = files.milliseconds(names::TIMEOUT_KILL);
    files.warnings.into_iter().for_each(warn);
    timeout
}

/// Default, as in dinit: three exits in ten seconds. 0 disables the limit.
fn restart_limit(count: Option<u64>, interval: Option<Duration>) -> Option<RestartLimit> {
    if count.is_none() && interval.is_none() {
        return None;
    }
    let count = usize::try_from(count.unwrap_or(3)).ok()?;
    let interval = interval.unwrap_or(Duration::from_secs(10));
    (count > 0 && !interval.is_zero()).then_some(RestartLimit { count, interval })
}

/// Whether a program exists or may exist: supervise also runs a program that
/// stat(2) cannot reach, since the failed exec reports the reason.
pub(crate) fn program_exists(file: &CStr) -> bool {
    file::status(file).map(drop) != Err(Errno::ENOENT)
}

/// Whether someone may execute a file.
pub(super) fn is_executable(status: &Metadata) -> bool {
    status.is_file() && status.permissions().mode() & 0o111 != 0
}

/// The size limit of a file of settings, in bytes.
const MAX_LINE: usize = 64;

/// Reads files, and collects warnings.
#[derive(Default)]
struct Reader {
    warnings: Vec<ConfigWarning>,
}

impl Reader {
    fn reject(&mut self, file: &'static CStr, kind: &'static str) {
        self.warnings.push(ConfigWarning::Malformed(file, kind));
    }

    /// Calls `parse` with the first line of a file, without white space around it.
    fn first_line<T>(&mut self, file: &'static CStr, parse: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let mut bytes = [0; MAX_LINE];
        match file::open_read(file).and_then(|file| read(&file, &mut bytes)) {
            Ok(length) => {
                let text = bytes.get(..length).unwrap_or_default();
                let mut lines = text.split(|&byte| byte == b'\n');
                // A longer line may be cut within a number. Read as empty, it
                // is malformed.
                let line = lines.next().filter(|line| line.len() < MAX_LINE);
                Some(parse(line.unwrap_or_default().trim_ascii()))
            }
            Err(Errno::ENOENT) => None,
            Err(error) => {
                self.warnings.push(ConfigWarning::Read(file, error));
                None
            }
        }
    }

    fn parse<T>(
        &mut self,
        file: &'static CStr,
        kind: &'static str,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let value = self.first_line(file, parse)?;
        if value.is_none() {
            self.reject(file, kind);
        }
        value
    }

    /// A number in units of its last decimal; further decimals are cut off.
    fn number(
        &mut self,
        file: &'static CStr,
        kind: &'static str,
        decimals: usize,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        self.parse(file, kind, |text| {
            parse_fixed_point(text, decimals).filter(|value| range.contains(value))
        })
    }

    /// The longest time is that of s6: seven weeks.
    fn milliseconds(&mut self, file: &'static CStr) -> Option<Duration> {
        let kind = "a number of milliseconds from 0 to 4294967295";
        let value = self.number(file, kind, 0, 0..=4_294_967_295);
        value.map(Duration::from_millis)
    }

    fn seconds(&mut self, file: &'static CStr) -> Option<Duration> {
        let kind = "a number of seconds from 0 to 4294967";
        let value = self.number(file, kind, 3, 0..=4_294_967_000);
        value.map(Duration::from_millis)
    }

    fn signal(&mut self, file: &'static CStr) -> Option<Signal> {
        self.parse(file, "the name or the number of a signal", parse_signal)
    }

    fn descriptor(&mut self, file: &'static CStr) -> Option<RawFd> {
        let kind = "the number of a descriptor from 1 to 65535";
        let number = self.number(file, kind, 0, 1..=65_535)?;
        let limit = DescriptorLimit::read().soft_limit();
        if limit.is_some_and(|limit| number >= limit) {
            self.reject(file, "a descriptor that the limit on them allows");
            return None;
        }
        RawFd::try_from(number).ok()
    }

    fn exists(&mut self, file: &'static CStr) -> bool {
        self.status(file).is_some()
    }

    fn status(&mut self, file: &'static CStr) -> Option<Metadata> {
        match file::status(file) {
            Ok(status) => Some(status),
            Err(Errno::ENOENT) => None,
            Err(error) => {
                self.warnings.push(ConfigWarning::Read(file, error));
                None
            }
        }
    }

    /// The checks. A malformed file disables them: a default in its place could
    /// stop a service that is well.
    fn check(&mut self, reports_readiness: bool) -> Option<CheckConfig> {
        let interval = self.milliseconds(names::CHECK_INTERVAL)?;
        let warnings = self.warnings.len();
        let timeout = self.milliseconds(names::CHECK_TIMEOUT);
        let kind = "a number from 0 to 10000";
        let failures = self.number(names::CHECK_FAILURES, kind, 0, 0..=10_000);
        if interval.is_zero() {
            return None;
        }
        let known = self.warnings.len();
        let status = self.status(names::CHECK);
        if !status.is_some_and(|status| is_executable(&status)) && self.warnings.len() == known {
            self.reject(names::CHECK, "an executable file");
        }
        let timeout = timeout.unwrap_or(DEFAULT_CHECK_TIMEOUT);
        (self.warnings.len() == warnings).then_some(CheckConfig {
            interval,
            timeout: Some(timeout).filter(|timeout| !timeout.is_zero()),
            failures: failures.unwrap_or(0),
            reports_readiness,
        })
    }

    /// Default of the first delay: one second, which is also the minimum.
    /// Default of the longest one: the first one.
    fn backoff(&mut self, first: Option<Duration>, longest: Option<Duration>) -> Option<Backoff> {
        first.or(longest)?;
        let least = Duration::from_secs(1);
        let first = first.unwrap_or(least).max(least);
        if longest.is_some_and(|longest| longest < first) {
            let kind = "a number of seconds that is not lower than restart-delay, or than 1";
            self.reject(names::RESTART_DELAY_MAX, kind);
        }
        let longest = longest.unwrap_or(first).max(first);
        Some(Backoff { first, longest })
    }
}

/// Parses the name of a signal, with or without `SIG`, or its number.
fn parse_signal(text: &[u8]) -> Option<Signal> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(number) = text.parse::<i32>() {
        return Signal::try_from(number).ok();
    }
    Signal::iterator().find(|signal| {
        let name = signal.as_str();
        let names = [Some(name), name.strip_prefix("SIG")].into_iter().flatten();
        names
            .into_iter()
            .any(|name| text.eq_ignore_ascii_case(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_limit_needs_only_one_of_its_files() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let limit = |count, interval| {
            let interval = Duration::from_secs(interval);
            Some(RestartLimit { count, interval })
        };
        assert_eq!(restart_limit(None, None), None);
        assert_eq!(restart_limit(Some(2), None), limit(2, 10));
        assert_eq!(restart_limit(None, seconds(60)), limit(3, 60));
        assert_eq!(restart_limit(Some(2), seconds(60)), limit(2, 60));
        assert_eq!(restart_limit(Some(0), seconds(60)), None);
        assert_eq!(restart_limit(Some(2), seconds(0)), None);
    }
}
