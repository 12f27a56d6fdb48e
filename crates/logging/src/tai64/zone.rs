//! Local time, as the reference gets it from glibc.
//!
//! C libraries differ in their reading of TZ, of times before a zone's first
//! change, of leap seconds and of far years. This module follows glibc on all
//! of them, with numbers of 64 bits on all machines.
//!
//! Three results of glibc depend on its earlier results, and are not reproduced:
//! the year 0 with an error in the days of TZ, the first label of a process
//! next to an end of daylight saving time with a TZ without days, and times after
//! the last change of a file whose footer lacks days.

mod file;
mod rules;

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use self::file::{HEADER, LeapCorrection, MAGIC, ZoneFile};
use self::rules::{Described, ZoneRules};
use crate::tai64::civil::Civil;

/// The zone of the machine, while TZ is not set.
const MACHINE: &str = "/etc/localtime";

/// The directory of zone files, unless TZDIR names one.
const DIRECTORY: &[u8] = b"/usr/share/zoneinfo";

/// The zone of an empty TZ.
const EMPTY: &[u8] = b"Universal";

/// The zone file with the changes of a TZ that names daylight saving time
/// without days of change.
const DEFAULT_DAYS: &[u8] = b"posixrules";

/// The maximum length of a zone file, in bytes. Files of tzdata have less than
/// 6 KB.
const LONGEST: u64 = 1 << 20;

/// The local time zone of the environment.
#[derive(Debug)]
pub struct LocalZone {
    /// The value of TZ without a colon at its start. None: the machine's zone.
    name: Option<Vec<u8>>,
    /// The directory of zone files.
    directory: Vec<u8>,
    zone: Zone,
    origin: Origin,
}

/// A time zone.
#[derive(Debug)]
enum Zone {
    File(ZoneFile),
    Rules(ZoneRules),
}

/// The source of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// No zone was read, or the machine's zone has no valid file.
    None,
    /// The machine's zone in this file.
    Machine(FileIdentity),
    /// The file or description in TZ, which is read once.
    Name,
    /// The description in TZ with the days of the default file. As in glibc,
    /// the file is read again each time.
    DefaultDays,
}

/// The identity of a file and its content. As in glibc, a change of the content
/// within a second goes unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    modified: i64,
}

impl FileIdentity {
    fn new(status: &Metadata) -> Self {
        FileIdentity {
            device: status.dev(),
            inode: status.ino(),
            modified: status.mtime(),
        }
    }
}

impl LocalZone {
    /// The zone named by the variables TZ and TZDIR. UTC until the first
    /// [`LocalZone::refresh`].
    #[must_use]
    pub fn new(tz: Option<&[u8]>, tzdir: Option<&[u8]>) -> Self {
        let name = tz.map(|tz| if tz.is_empty() { EMPTY } else { tz });
        let name = name.map(|name| name.strip_prefix(b":").unwrap_or(name).to_owned());
        let directory = tzdir.filter(|directory| !directory.is_empty());
        LocalZone {
            name,
            directory: directory.unwrap_or(DIRECTORY).to_owned(),
            zone: Zone::Rules(ZoneRules::default()),
            origin: Origin::None,
        }
    }

    /// Reads the zone, unless it was read and cannot have changed. An
    /// unreadable zone is UTC.
    ///
    /// 0.76 calls glibc's localtime for every line, which does the same: without
    /// TZ, glibc reads a changed `/etc/localtime` again. A zone file named by TZ
    /// is read once.
    pub fn refresh(&mut self) {
        match &self.name {
            None => self.refresh_machine(),
            Some(_) if self.origin == Origin::Name => {}
            Some(name) => (self.zone, self.origin) = self.read_name(name),
        }
    }

    fn refresh_machine(&mut self) {
        let path = Path::new(MACHINE);
        if let Origin::Machine(identity) = self.origin {
            let status = path.metadata();
            if status.is_ok_and(|status| FileIdentity::new(&status) == identity) {
                return;
            }
        }
        (self.zone, self.origin) = match read_file(path) {
            Some((zone, identity)) => (Zone::File(zone), Origin::Machine(identity)),
            None => (Zone::Rules(ZoneRules::default()), Origin::None),
        };
    }

    /// The zone with a name: a file, or else a description.
    fn read_name(&self, name: &[u8]) -> (Zone, Origin) {
        if name.is_empty() {
            return (Zone::Rules(ZoneRules::default()), Origin::Name);
        }
        if let Some((zone, _)) = read_file(&self.path(name)) {
            return (Zone::File(zone), Origin::Name);
        }
        let Described { rules, lacks_days } = Described::parse(name);
        if lacks_days {
            let file = read_file(&self.path(DEFAULT_DAYS));
            if let Some(zone) = file.and_then(|(zone, _)| zone.with_offsets(&rules)) {
                return (Zone::File(zone), Origin::DefaultDays);
            }
        }
        (Zone::Rules(rules), Origin::Name)
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        if name.starts_with(b"/") {
            return Path::new(OsStr::from_bytes(name)).to_owned();
        }
        let path = [self.directory.as_slice(), b"/", name].concat();
        Path::new(OsStr::from_bytes(&path)).to_owned()
    }

    /// The local time of a Unix time. None if the year exceeds the C library's
    /// `int` of years since 1900.
    #[must_use]
    pub fn civil(&self, seconds: i64) -> Option<Civil> {
        self.with_offset(seconds, self.offset_at(seconds)?)
    }

    /// As [`LocalZone::civil`], with the offset truncated to whole minutes. The
    /// Unix time is the same.
    #[must_use]
    pub fn civil_to_the_minute(&self, seconds: i64) -> Option<Civil> {
        let offset = self.offset_at(seconds)?;
        self.with_offset(seconds, offset - offset % 60)
    }

    /// The time in UTC. A time zone with leap seconds affects the result.
    #[must_use]
    pub fn utc(&self, seconds: i64) -> Option<Civil> {
        self.with_offset(seconds, 0)
    }

    /// Whether no change of the local offset is undone within a minute. Zone
    /// files of tzdata have no such change, nor have rules in TZ without seconds.
    /// A counterexample is `J60/2:00:00,J60/2:00:30`.
    #[must_use]
    pub fn keeps_to_minutes(&self) -> bool {
        let zone = self.name.as_deref().unwrap_or_default();
        zone.split(|&byte| byte == b':').nth(2).is_none()
    }

    /// Local time minus UTC at a Unix time.
    fn offset_at(&self, seconds: i64) -> Option<i64> {
        match &self.zone {
            Zone::File(file) => Some(file.offset_at(seconds)),
            Zone::Rules(rules) => rules.offset_at(seconds),
        }
    }

    fn with_offset(&self, seconds: i64, offset: i64) -> Option<Civil> {
        let LeapCorrection { total, inserted } = match &self.zone {
            Zone::File(file) => file.leap_correction(seconds),
            Zone::Rules(_) => LeapCorrection::default(),
        };
        let mut civil = Civil::new(seconds, offset - total, offset)?;
        civil.second += inserted;
        Some(civil)
    }
}

/// Reads a zone file. None: the file is missing or invalid.
fn read_file(path: &Path) -> Option<(ZoneFile, FileIdentity)> {
    let mut file = File::open(path).ok()?;
    let identity = FileIdentity::new(&file.metadata().ok()?);
    let mut header = [0; HEADER];
    file.read_exact(&mut header).ok()?;
    header.starts_with(MAGIC).then_some(())?;
    let mut bytes = header.to_vec();
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some((ZoneFile::parse(&bytes)?, identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of version 1 with one type.
    fn file(offset: i32) -> Vec<u8> {
        let mut file = b"TZif".to_vec();
        file.resize(HEADER, 0);
        file[39] = 1;
        file[43] = 1;
        file.extend(offset.to_be_bytes());
        file.extend([0, 0, 0]);
        file
    }

    fn offset(tz: &str, directory: &Path) -> i64 {
        let directory = directory.as_os_str().as_bytes();
        let mut zone = LocalZone::new(Some(tz.as_bytes()), Some(directory));
        zone.refresh();
        zone.civil(0).unwrap().offset
    }

    #[test]
    fn file_precedes_a_description() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("AAA3"), file(42)).unwrap();
        std::fs::write(place.path().join("Universal"), file(43)).unwrap();
        std::fs::write(place.path().join("BBB3"), "TZif").unwrap();
        for (tz, wanted) in [
            ("AAA3", 42),
            (":AAA3", 42),
            ("", 43),
            (":", 0),
            ("::AAA3", 0),
            ("BBB3", -10_800),
            ("CCC3", -10_800),
            ("/", 0),
        ] {
            assert_eq!(offset(tz, place.path()), wanted, "{tz}");
        }
        let absolute = place.path().join("AAA3");
        assert_eq!(offset(absolute.to_str().unwrap(), Path::new("")), 42);
    }

    #[test]
    fn offset_to_the_minute_keeps_the_time() {
        let mut zone = LocalZone::new(Some(b"AAA-1:02:59"), None);
        zone.refresh();
        let civil = |civil: Civil| (civil.hour, civil.minute, civil.second, civil.offset);
        assert_eq!(zone.civil(0).map(civil), Some((1, 2, 59, 3779)));
        let minute = zone.civil_to_the_minute(0).map(civil);
        assert_eq!(minute, Some((1, 2, 0, 3720)));
        assert_eq!(zone.utc(0).map(civil), Some((0, 0, 0, 0)));
    }

    #[test]
    fn named_file_is_read_once() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("zone");
        std::fs::write(&path, file(42)).unwrap();
        let mut zone = LocalZone::new(Some(path.as_os_str().as_bytes()), None);
        for _ in 0..2 {
            zone.refresh();
            assert_eq!(zone.civil(0).unwrap().offset, 42);
            std::fs::write(&path, file(43)).unwrap();
        }
    }

    #[test]
    fn inserted_second_has_the_number_sixty() {
        // The leap second at the end of June 1972.
        let leap: i32 = 78_796_800;
        let mut bytes = file(0);
        bytes[31] = 1;
        bytes.extend(leap.to_be_bytes());
        bytes.extend(1_i32.to_be_bytes());
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("zone");
        std::fs::write(&path, bytes).unwrap();
        let mut zone = LocalZone::new(Some(path.as_os_str().as_bytes()), None);
        zone.refresh();
        let time = |seconds: i64| {
            let civil = zone.utc(i64::from(leap) + seconds).unwrap();
            (civil.day, civil.hour, civil.minute, civil.second)
        };
        assert_eq!(time(-1), (30, 23, 59, 59));
        assert_eq!(time(0), (30, 23, 59, 60));
        assert_eq!(time(1), (1, 0, 0, 0));
    }

    #[test]
    fn only_changes_with_seconds_leave_the_minute() {
        for (name, keeps) in [
            (None, true),
            (Some("Europe/Berlin"), true),
            (Some(":CET"), true),
            (Some("CET-1CEST,M3.5.0/2:30,M10.5.0/3"), true),
            (Some("AAA0BBB,J60/2:00:00,J60/2:00:30"), false),
        ] {
            let zone = LocalZone::new(name.map(str::as_bytes), None);
            assert_eq!(zone.keeps_to_minutes(), keeps, "{name:?}");
        }
    }
}
