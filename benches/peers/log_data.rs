//! The lines that the rows of svlog read.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use daemontools_core::label::Label;

/// 2026-03-01 00:00 in New York.
pub(crate) const START: i64 = 1_772_341_200;

/// A helper of systemd, which is not in PATH.
pub(crate) const JOURNAL_REMOTE: &str = "/lib/systemd/systemd-journal-remote";

/// Whether a program is in PATH.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}

/// Creates the log directory of a service.
pub(crate) fn service(dir: &Path, n: usize) -> PathBuf {
    let main = dir.join(format!("scan/{n}/log/main"));
    fs::create_dir_all(&main).unwrap();
    main
}

/// The name of an old file whose last line is before this second.
pub(crate) fn old_name(end: i64) -> String {
    let label = Label::from_unix(end, 0).text();
    format!("{}.s", String::from_utf8_lossy(&label))
}

/// The message of a line.
fn message(n: usize) -> String {
    let level = ["debug", "info ", "warn ", "error"][n * 7 % 13 % 4];
    format!(
        "{level} request {n:09} from 192.0.2.{:03} served in {:04} ms",
        n % 250,
        n * 31 % 9000
    )
}

/// The time of a line of service `n`, evenly distributed from `first` on.
fn time(first: i64, seconds: i64, lines: usize, n: usize, line: usize) -> (i64, u32) {
    let step = seconds.unsigned_abs() * 1_000_000 / lines as u64;
    let microseconds = step * line as u64 + n as u64;
    let fraction = u32::try_from(microseconds % 1_000_000).unwrap();
    let seconds = i64::try_from(microseconds / 1_000_000).unwrap();
    (first + seconds, fraction)
}

/// Lines of equal length for this number of seconds.
pub(crate) fn log(first: i64, seconds: i64, lines: usize, n: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for line in 0..lines {
        let (second, microsecond) = time(first, seconds, lines, n, line);
        text.extend_from_slice(&Label::from_unix(second, microsecond).text());
        text.extend_from_slice(format!(" {:<88}\n", message(line + n)).as_bytes());
    }
    text
}

/// Writes the lines of services to `s.journal`. Returns false if the programs of
/// systemd are missing.
pub(crate) fn write_journal(dir: &Path, services: usize, lines: usize) -> bool {
    if !is_installed("journalctl") || !is_installed(JOURNAL_REMOTE) {
        return false;
    }
    let seconds = if services == 1000 { 1000 } else { 10 };
    let mut text = String::new();
    for line in 0..lines {
        for n in 0..services {
            let (second, microsecond) = time(START, seconds, lines, n, line);
            write!(
                text,
                "__REALTIME_TIMESTAMP={second}{microsecond:06}\n\
                 __MONOTONIC_TIMESTAMP={}{microsecond:06}\n\
                 _BOOT_ID=00112233445566778899aabbccddeeff\n\
                 PRIORITY=6\nSYSLOG_IDENTIFIER={n}\nMESSAGE={:<88}\n\n",
                second - START + 1,
                message(line + n)
            )
            .unwrap();
        }
    }
    fs::write(dir.join("export"), text).unwrap();
    let status = Command::new(JOURNAL_REMOTE)
        .args(["-o", "s.journal", "export"])
        .current_dir(dir)
        .stderr(Stdio::null())
        .status();
    fs::remove_file(dir.join("export")).unwrap();
    assert!(status.unwrap().success(), "{JOURNAL_REMOTE}");
    true
}

pub(crate) fn compress(from: &Path, to: &Path) {
    let status = Command::new("gzip")
        .arg("-1")
        .stdin(File::open(from).unwrap())
        .stdout(File::create(to).unwrap())
        .status();
    assert!(status.unwrap().success(), "gzip");
}

/// The bytes that the file system of a directory has space for.
pub(crate) fn available(dir: &Path) -> usize {
    let status = nix::sys::statvfs::statvfs(dir).unwrap();
    let bytes = status.blocks_available() * status.fragment_size();
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
