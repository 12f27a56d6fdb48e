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
    use crate::testing::{in_directory, remove, set_mode, write};

    const MALFORMED_TIME: &str = "a number of milliseconds from 0 to 4294967295";

    #[expect(clippy::unnecessary_wraps, reason = "short expectations")]
    fn milliseconds(number: u64) -> Option<Duration> {
        Some(Duration::from_millis(number))
    }

    fn text(file: &'static CStr) -> &'static str {
        file.to_str().unwrap()
    }

    /// The settings with these files alone.
    fn read_files(files: &[(&'static CStr, &str)]) -> (Config, Vec<ConfigWarning>) {
        for (file, content) in files {
            write(text(file), content.as_bytes());
        }
        let read = Config::read(Vec::new());
        for (file, _) in files {
            remove(file);
        }
        read
    }

    /// The settings with one file, which has no warning.
    #[track_caller]
    fn read_file(file: &'static CStr, content: &str) -> Config {
        let (config, warnings) = read_files(&[(file, content)]);
        assert_eq!(warnings, []);
        config
    }

    fn malformed(file: &'static CStr, kind: &'static str) -> Vec<ConfigWarning> {
        vec![ConfigWarning::Malformed(file, kind)]
    }

    #[test]
    fn defaults_are_those_of_supervise_and_s6() {
        in_directory(|| {
            let restart = RestartConfig {
                finish_timeout: milliseconds(5000),
                ..RestartConfig::default()
            };
            let expected = Config {
                restart,
                ..Config::default()
            };
            assert_eq!(Config::read(Vec::new()), (expected, vec![]));
            assert_eq!(kill_timeout(|warning| panic!("{warning:?}")), None);
            assert!(!exit_implies_down());
            assert_eq!(permissions(|_| None, |warning| panic!("{warning:?}")), None);
        });
    }

    #[test]
    fn timeouts_are_milliseconds_and_0_disables() {
        in_directory(|| {
            type Field = fn(&RestartConfig) -> Option<Duration>;
            let fields: [(_, Field); 3] = [
                (names::TIMEOUT_KILL, |config| config.kill_timeout),
                (names::TIMEOUT_FINISH, |config| config.finish_timeout),
                (names::TIMEOUT_START, |config| config.start_timeout),
            ];
            for (file, field) in fields {
                let default = field(&Config::read(Vec::new()).0.restart);
                for (content, time) in [
                    ("1500\n", milliseconds(1500)),
                    (" 7 ", milliseconds(7)),
                    ("0", None),
                    ("4294967295", milliseconds(4_294_967_295)),
                    ("8\n9\n", milliseconds(8)),
                ] {
                    assert_eq!(field(&read_file(file, content).restart), time, "{content}");
                }
                for content in ["4294967296", "1.5", "", "x", "-1", "+1", "1 2"] {
                    let (config, warnings) = read_files(&[(file, content)]);
                    assert_eq!(field(&config.restart), default, "{content}");
                    assert_eq!(warnings, malformed(file, MALFORMED_TIME));
                }
            }
        });
    }

    #[test]
    fn file_of_64_bytes_in_line_is_malformed() {
        in_directory(|| {
            let line = |length: usize| format!("{}5", " ".repeat(length - 1));
            let time = |content: &str| {
                let (config, warnings) = read_files(&[(names::TIMEOUT_KILL, content)]);
                (config.restart.kill_timeout, warnings.len())
            };
            assert_eq!(time(&line(63)), (milliseconds(5), 0));
            assert_eq!(time(&line(64)), (None, 1));
            assert_eq!(time(&line(90)), (None, 1));
            // The rest of the file does not count.
            assert_eq!(time(&format!("5\n{}", line(90))), (milliseconds(5), 0));
        });
    }

    #[test]
    fn unreadable_file_counts_as_absent() {
        in_directory(|| {
            std::fs::create_dir("timeout-kill").unwrap();
            let (config, warnings) = Config::read(Vec::new());
            assert_eq!(config.restart.kill_timeout, None);
            assert!(!config.restart.exit_implies_down);
            let unreadable = ConfigWarning::Read(names::TIMEOUT_KILL, Errno::EISDIR);
            assert_eq!(warnings, [unreadable]);
            let name = |_| b"svc/timeout-kill".to_vec();
            assert_eq!(
                unreadable.message(name),
                b"unable to read svc/timeout-kill: is a directory"
            );
            let malformed = ConfigWarning::Malformed(names::TIMEOUT_KILL, "a number");
            assert_eq!(
                malformed.message(name),
                b"svc/timeout-kill is not a number: ignored"
            );
        });
    }

    #[test]
    fn links_that_lead_nowhere_are_reported() {
        in_directory(|| {
            for file in [names::ESSENTIAL, names::NO_SETSID] {
                std::os::unix::fs::symlink(text(file), text(file)).unwrap();
                let (config, warnings) = Config::read(Vec::new());
                assert!(!config.no_setsid);
                assert_eq!(warnings, [ConfigWarning::Read(file, Errno::ELOOP)]);
                remove(file);
            }
            assert!(read_file(names::NO_SETSID, "").no_setsid);
            assert!(!read_file(names::ESSENTIAL, "").no_setsid);
        });
    }

    #[test]
    fn delays_are_seconds_of_one_at_least() {
        in_directory(|| {
            let (first, longest) = (names::RESTART_DELAY, names::RESTART_DELAY_MAX);
            let backoff = |files: &[_]| {
                let (config, warnings) = read_files(files);
                let backoff = config.restart.backoff.unwrap();
                let times = [backoff.first, backoff.longest].map(|time| time.as_millis());
                (times, warnings.len())
            };
            assert_eq!(backoff(&[(first, "2")]), ([2000, 2000], 0));
            assert_eq!(backoff(&[(first, "2.5")]), ([2500, 2500], 0));
            assert_eq!(backoff(&[(first, "0.1")]), ([1000, 1000], 0));
            assert_eq!(backoff(&[(first, "0")]), ([1000, 1000], 0));
            assert_eq!(backoff(&[(longest, "3")]), ([1000, 3000], 0));
            assert_eq!(backoff(&[(longest, "1")]), ([1000, 1000], 0));
            assert_eq!(backoff(&[(longest, "0.999")]), ([1000, 1000], 1));
            assert_eq!(backoff(&[(first, "4"), (longest, "9")]), ([4000, 9000], 0));
            assert_eq!(backoff(&[(first, "4"), (longest, "4")]), ([4000, 4000], 0));
            assert_eq!(backoff(&[(first, "4"), (longest, "3")]), ([4000, 4000], 1));
            let most = "4294967";
            assert_eq!(backoff(&[(first, most)]), ([4_294_967_000; 2], 0));
            let (config, warnings) = read_files(&[(first, "4294967.001")]);
            assert_eq!(config.restart.backoff, None);
            let kind = "a number of seconds from 0 to 4294967";
            assert_eq!(warnings, malformed(first, kind));
        });
    }

    #[test]
    fn restart_limit_is_read_from_both_files() {
        in_directory(|| {
            let (count, interval) = (names::RESTART_LIMIT_COUNT, names::RESTART_LIMIT_INTERVAL);
            let limit = |files: &[_]| {
                let (config, warnings) = read_files(files);
                let limit = config.restart.limit;
                let limit = limit.map(|limit| (limit.count, limit.interval.as_millis()));
                (limit, warnings.len())
            };
            assert_eq!(limit(&[(count, "10000")]), (Some((10_000, 10_000)), 0));
            assert_eq!(limit(&[(count, "10001")]), (None, 1));
            assert_eq!(limit(&[(interval, "0.5")]), (Some((3, 500)), 0));
            let both = [(count, "1"), (interval, "60")];
            assert_eq!(limit(&both), (Some((1, 60_000)), 0));
        });
    }

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, signal) in [
            ("TERM", Signal::SIGTERM),
            ("sigint", Signal::SIGINT),
            ("SIGHUP", Signal::SIGHUP),
            ("Usr1", Signal::SIGUSR1),
            ("10", Signal::SIGUSR1),
        ] {
            assert_eq!(parse_signal(text.as_bytes()), Some(signal), "{text}");
        }
        for text in ["", "SIG", "SIGSIGINT", "0", "65", "-1", "TERM1", "1.0"] {
            assert_eq!(parse_signal(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_signal(b"\xff"), None);
    }

    #[test]
    fn stop_settings_let_exit_stop_the_service() {
        in_directory(|| {
            let signal = read_file(names::DOWN_SIGNAL, "int\n").restart;
            assert_eq!(signal.down_signal, Signal::SIGINT);
            assert!(signal.exit_implies_down);
            // A KILL that is disabled is a setting, too.
            for content in ["0", "700"] {
                let restart = read_file(names::TIMEOUT_KILL, content).restart;
                assert!(restart.exit_implies_down);
                write("timeout-kill", content.as_bytes());
                assert!(exit_implies_down());
                let expected = content.parse().ok().and_then(milliseconds);
                assert_eq!(kill_timeout(|warning| panic!("{warning:?}")), expected);
                remove(names::TIMEOUT_KILL);
            }
            write("down-signal", b"HUP");
            assert!(exit_implies_down());
            write("down-signal", b"nonsense");
            assert!(!exit_implies_down());
            let (config, warnings) = Config::read(Vec::new());
            assert_eq!(config.restart.down_signal, Signal::SIGTERM);
            let kind = "the name or the number of a signal";
            assert_eq!(warnings, malformed(names::DOWN_SIGNAL, kind));
            write("timeout-kill", b"soon");
            let seen = std::cell::RefCell::new(Vec::new());
            assert_eq!(
                kill_timeout(|warning| seen.borrow_mut().push(warning)),
                None
            );
            let expected = malformed(names::TIMEOUT_KILL, MALFORMED_TIME);
            assert_eq!(seen.into_inner(), expected);
        });
    }

    #[test]
    fn descriptors_are_within_bounds_and_differ() {
        in_directory(|| {
            let (notification, lock) = (names::NOTIFICATION_FD, names::LOCK_FD);
            let config = read_file(notification, "3");
            assert_eq!((config.notification_fd, config.lock_fd), (Some(3), None));
            assert!(config.restart.expects_readiness);
            let config = read_file(lock, "1");
            assert_eq!((config.notification_fd, config.lock_fd), (None, Some(1)));
            assert!(!config.restart.expects_readiness);
            for content in ["0", "65536", "", "x"] {
                let (config, warnings) = read_files(&[(lock, content)]);
                assert_eq!(config.lock_fd, None);
                let kind = "the number of a descriptor from 1 to 65535";
                assert_eq!(warnings, malformed(lock, kind));
            }
            let (config, warnings) = read_files(&[(notification, "4"), (lock, "4")]);
            assert_eq!((config.notification_fd, config.lock_fd), (Some(4), None));
            let kind = "another descriptor than that of notification-fd";
            assert_eq!(warnings, malformed(lock, kind));
            let (config, _) = read_files(&[(notification, "4"), (lock, "5")]);
            assert_eq!((config.notification_fd, config.lock_fd), (Some(4), Some(5)));
            if let Some(limit) = DescriptorLimit::read().soft_limit() {
                if limit <= 65_535 {
                    let (config, warnings) = read_files(&[(lock, &limit.to_string())]);
                    assert_eq!(config.lock_fd, None);
                    let kind = "a descriptor that the limit on them allows";
                    assert_eq!(warnings, malformed(lock, kind));
                    let highest = read_file(lock, &(limit - 1).to_string()).lock_fd;
                    assert_eq!(highest, RawFd::try_from(limit - 1).ok());
                }
            }
        });
    }

    #[test]
    fn checks_need_interval_and_executable_file() {
        in_directory(|| {
            let interval = (names::CHECK_INTERVAL, "2000");
            let kind = "an executable file";
            let no_check = malformed(names::CHECK, kind);
            let (config, warnings) = read_files(&[interval]);
            assert_eq!((config.restart.check, &warnings), (None, &no_check));
            write("check", b"#!/bin/sh\n");
            set_mode("check", 0o644);
            let (config, warnings) = read_files(&[interval]);
            assert_eq!((config.restart.check, &warnings), (None, &no_check));
            for mode in [0o100, 0o010, 0o001] {
                set_mode("check", 0o600 | mode);
                let check = CheckConfig {
                    interval: Duration::from_secs(2),
                    timeout: milliseconds(5000),
                    failures: 0,
                    reports_readiness: true,
                };
                let (config, warnings) = read_files(&[interval]);
                assert_eq!((config.restart.check, warnings), (Some(check), vec![]));
                assert!(config.restart.expects_readiness);
            }
            let check = |files: &[(&'static CStr, &'static str)]| {
                let files: Vec<_> = files.iter().copied().chain([interval]).collect();
                let (config, warnings) = read_files(&files);
                (config.restart.check, warnings.len())
            };
            let (timeout, failures) = (names::CHECK_TIMEOUT, names::CHECK_FAILURES);
            let timeout_of = |content| check(&[(timeout, content)]).0.unwrap().timeout;
            assert_eq!(timeout_of("70"), milliseconds(70));
            assert_eq!(timeout_of("0"), None);
            let failures_of = |content| check(&[(failures, content)]).0.unwrap().failures;
            assert_eq!((failures_of("0"), failures_of("10000")), (0, 10_000));
            // A malformed file disables the checks.
            assert_eq!(check(&[(failures, "10001")]), (None, 1));
            assert_eq!(check(&[(timeout, "x")]), (None, 1));
            // The pipe reports the readiness.
            let with_pipe = check(&[(names::NOTIFICATION_FD, "3")]).0.unwrap();
            assert!(!with_pipe.reports_readiness);
            // No interval, no checks; a malformed one is reported.
            assert_eq!(read_file(names::CHECK_INTERVAL, "0").restart.check, None);
            assert_eq!(read_file(failures, "3").restart.check, None);
            remove(names::CHECK);
            std::os::unix::fs::symlink("check", "check").unwrap();
            let (config, warnings) = read_files(&[interval]);
            assert_eq!(config.restart.check, None);
            assert_eq!(warnings, [ConfigWarning::Read(names::CHECK, Errno::ELOOP)]);
        });
    }

    #[test]
    fn group_files_set_permissions() {
        in_directory(|| {
            let find = |name: &[u8]| (name == b"staff").then(|| Gid::from_raw(50));
            let read = || permissions(find, |warning| panic!("{warning:?}"));
            write("control-group", b"staff\n");
            let expected = Permissions {
                control: Some(Gid::from_raw(50)),
                ..Permissions::default()
            };
            assert_eq!(read(), Some(expected));
            std::fs::rename("control-group", "status-group").unwrap();
            let expected = Permissions {
                status: Some(Gid::from_raw(50)),
                ..Permissions::default()
            };
            assert_eq!(read(), Some(expected));
            write("status-group", b"nobody knows");
            let seen = std::cell::RefCell::new(Vec::new());
            let found = permissions(find, |warning| seen.borrow_mut().push(warning));
            assert_eq!(found, None);
            let kind = "the name or the number of a group";
            assert_eq!(seen.into_inner(), malformed(names::STATUS_GROUP, kind));
        });
    }

    #[test]
    fn program_that_stat_cannot_reach_may_exist() {
        in_directory(|| {
            assert!(!program_exists(c"run"));
            write("run", b"");
            assert!(program_exists(c"run"));
            assert!(program_exists(c"run/beyond"));
            std::fs::create_dir("directory").unwrap();
            set_mode("directory", 0o755);
            assert!(!is_executable(&std::fs::metadata("directory").unwrap()));
        });
    }

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
