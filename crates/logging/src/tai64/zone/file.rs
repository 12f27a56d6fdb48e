//! Zone files: the format `TZif` of RFC 9636, as glibc reads it.

use super::rules::{Described, ZoneRules};

/// The length of a header, in bytes.
pub(crate) const HEADER: usize = 44;

/// The first bytes of a zone file.
pub(crate) const MAGIC: &[u8] = b"TZif";

/// The maximum number of leap seconds in a row, so that the second of a minute
/// has two digits. The zones of tzdata have one.
const MAX_INSERTED: u8 = 40;

/// A time zone from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ZoneFile {
    /// The Unix times at which a type begins, in order.
    changes: Vec<i64>,
    /// The type that begins at each change. All are in `types`.
    begins: Vec<u8>,
    types: Vec<TimeType>,
    leaps: Vec<Leap>,
    /// The rules from the last change on.
    footer: Option<ZoneRules>,
}

/// A kind of local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TimeType {
    /// Local time minus UTC, in seconds.
    offset: i64,
    is_daylight: bool,
    /// Whether a change to this type was described in standard time.
    in_standard: bool,
    /// Whether a change to this type was described in UTC.
    in_utc: bool,
}

/// A leap second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leap {
    /// The time of its occurrence, earlier leap seconds counted.
    time: i64,
    /// The sum of leap seconds from that time on.
    total: i64,
}

/// The correction for leap seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeapCorrection {
    /// The leap seconds so far.
    pub(crate) total: i64,
    /// The number of inserted seconds that the time is within: 1 in second 60.
    pub(crate) inserted: u8,
}

/// The numbers of entries in a block of a zone file.
struct Counts {
    utc: usize,
    standard: usize,
    leaps: usize,
    changes: usize,
    types: usize,
    letters: usize,
}

/// The unread part of a file.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// `count` entries of `width` bytes.
    fn entries(&mut self, count: usize, width: usize) -> Option<std::slice::ChunksExact<'a, u8>> {
        Some(self.take(count.checked_mul(width)?)?.chunks_exact(width))
    }

    /// A header: the version and the counts of the block that follows.
    fn header(&mut self) -> Option<(u8, Counts)> {
        let header = self.take(HEADER)?;
        header.strip_prefix(MAGIC)?;
        let version = *header.get(4)?;
        let mut counts = header.get(20..)?.chunks_exact(4).map(number);
        let mut next = || usize::try_from(counts.next()?).ok();
        let counts = Counts {
            utc: next()?,
            standard: next()?,
            leaps: next()?,
            changes: next()?,
            types: next()?,
            letters: next()?,
        };
        (counts.utc <= counts.types && counts.standard <= counts.types).then_some(())?;
        Some((version, counts))
    }
}

/// A big-endian number of up to eight bytes, with a sign.
fn number(bytes: &[u8]) -> i64 {
    let sign = match bytes.first() {
        Some(0x80..) => -1,
        _ => 0,
    };
    bytes
        .iter()
        .fold(sign, |number, &byte| number << 8 | i64::from(byte))
}

impl ZoneFile {
    /// Parses a file. None: the file is invalid.
    pub(crate) fn parse(file: &[u8]) -> Option<Self> {
        let mut reader = Reader(file);
        let (version, counts) = reader.header()?;
        if version == 0 {
            return Self::parse_block(&mut reader, &counts, 4);
        }
        // The block with times of 32 bits.
        for (count, width) in [
            (counts.changes, 4 + 1),
            (counts.types, 6),
            (counts.letters, 1),
            (counts.leaps, 4 + 4),
            (counts.standard, 1),
            (counts.utc, 1),
        ] {
            let _ = reader.entries(count, width)?;
        }
        let (_, counts) = reader.header()?;
        let mut zone = Self::parse_block(&mut reader, &counts, 8)?;
        // The footer is a line, between two newlines.
        let [_, _, ..] = reader.0 else { return None };
        let (_, footer) = reader.0.split_last()?;
        let footer = footer.strip_prefix(b"\n");
        let mut parts = footer.unwrap_or_default().split(|&byte| byte == 0);
        let text = parts.next().filter(|text| !text.is_empty());
        zone.footer = text.map(|text| Described::parse(text).rules);
        Some(zone)
    }

    /// Parses a block with times of `width` bytes.
    fn parse_block(reader: &mut Reader<'_>, counts: &Counts, width: usize) -> Option<Self> {
        let changes = reader.entries(counts.changes, width)?.map(number).collect();
        let begins = reader.take(counts.changes)?.to_vec();
        let is_known = |index: &u8| usize::from(*index) < counts.types;
        begins.iter().all(is_known).then_some(())?;
        let types = reader.entries(counts.types, 6)?;
        let types = types.map(|entry| {
            let (offset, [is_daylight, letters]) = entry.split_last_chunk()?;
            let is_valid = *is_daylight <= 1 && usize::from(*letters) <= counts.letters;
            is_valid.then_some(TimeType {
                offset: number(offset),
                is_daylight: *is_daylight == 1,
                in_standard: false,
                in_utc: false,
            })
        });
        let mut types = types.collect::<Option<Vec<_>>>()?;
        types.first()?;
        reader.take(counts.letters)?;
        let leaps = reader.entries(counts.leaps, width + 4)?;
        let leaps = leaps.map(|entry| {
            let (time, total) = entry.split_at(width);
            Leap {
                time: number(time),
                total: number(total),
            }
        });
        let leaps = leaps.collect();
        for (kind, flag) in types.iter_mut().zip(reader.take(counts.standard)?) {
            kind.in_standard = *flag != 0;
        }
        for (kind, flag) in types.iter_mut().zip(reader.take(counts.utc)?) {
            kind.in_utc = *flag != 0;
        }
        Some(ZoneFile {
            changes,
            begins,
            types,
            leaps,
            footer: None,
        })
    }

    /// Local time minus UTC at a Unix time, in seconds.
    pub(crate) fn offset_at(&self, seconds: i64) -> i64 {
        let count = self.changes.partition_point(|&change| change <= seconds);
        if count == self.changes.len() && count > 0 {
            let offset = self.footer.and_then(|rules| rules.offset_at(seconds));
            if let Some(offset) = offset {
                return offset;
            }
        }
        let kind = match count.checked_sub(1) {
            Some(latest) => self.begins.get(latest).map(|&index| usize::from(index)),
            // As in glibc, the first standard time precedes the first change.
            None => self.types.iter().position(|kind| !kind.is_daylight),
        };
        let kind = self.types.get(kind.unwrap_or_default());
        kind.map_or(0, |kind| kind.offset)
    }

    /// The correction for leap seconds at a Unix time.
    pub(crate) fn leap_correction(&self, seconds: i64) -> LeapCorrection {
        let mut leaps = self.leaps.iter().rev();
        let Some(latest) = leaps.find(|leap| leap.time <= seconds) else {
            return LeapCorrection::default();
        };
        let mut correction = LeapCorrection {
            total: latest.total,
            inserted: 0,
        };
        let mut later = latest;
        let before = leaps.clone().next().map_or(0, |leap| leap.total);
        if seconds == latest.time && latest.total > before {
            correction.inserted = 1;
            // Seconds inserted one after the other count together.
            for leap in leaps.take(usize::from(MAX_INSERTED - 1)) {
                let is_next = later.time.checked_sub(leap.time) == Some(1);
                if !is_next || later.total != leap.total + 1 {
                    break;
                }
                correction.inserted += 1;
                later = leap;
            }
        }
        correction
    }

    /// The zone with the changes of this one and the given offsets, for a TZ
    /// without days of change. None: the file has no daylight saving time.
    ///
    /// As in glibc, changes described in standard time keep that time of day,
    /// others keep their time in UTC, and the footer keeps its offsets.
    pub(crate) fn with_offsets(mut self, rules: &ZoneRules) -> Option<Self> {
        (self.types.len() >= 2).then_some(())?;
        let [standard, daylight] = [rules.standard.offset, rules.daylight.offset];
        let correction = standard - self.latest_standard_offset();
        let mut was_daylight = false;
        for (change, index) in self.changes.iter_mut().zip(&mut self.begins) {
            let kind = self.types.get(usize::from(*index))?;
            let in_local_daylight = was_daylight && !kind.in_standard;
            if !kind.in_utc && !in_local_daylight {
                *change = change.wrapping_add(correction);
            }
            was_daylight = kind.is_daylight;
            *index = was_daylight.into();
        }
        self.types = [(standard, false), (daylight, true)]
            .map(|(offset, is_daylight)| TimeType {
                offset,
                is_daylight,
                in_standard: false,
                in_utc: false,
            })
            .into();
        Some(self)
    }

    /// The offset of standard time after the last change to it, 0 without one.
    fn latest_standard_offset(&self) -> i64 {
        let kinds = self.begins.iter().rev();
        let mut kinds = kinds.filter_map(|&index| self.types.get(usize::from(index)));
        let latest = kinds.find(|kind| !kind.is_daylight);
        latest.map_or(0, |kind| kind.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with times of 64 bits: changes, types as offset and daylight
    /// saving time, leap seconds, footer.
    fn file(
        changes: &[(i64, u8)],
        types: &[(i32, u8)],
        leaps: &[(i64, i32)],
        footer: &str,
    ) -> Vec<u8> {
        let header = |counts: [usize; 6]| {
            let counts = counts.map(|count| u32::try_from(count).unwrap().to_be_bytes());
            [&b"TZif2"[..], &[0; 15], counts.as_flattened()].concat()
        };
        let mut file = header([0; 6]);
        file.extend(header([0, 0, leaps.len(), changes.len(), types.len(), 4]));
        file.extend(changes.iter().flat_map(|(time, _)| time.to_be_bytes()));
        file.extend(changes.iter().map(|(_, index)| index));
        for (offset, is_daylight) in types {
            file.extend(offset.to_be_bytes());
            file.extend([*is_daylight, 0]);
        }
        file.extend(b"ABC\0");
        for (time, total) in leaps {
            file.extend(time.to_be_bytes());
            file.extend(total.to_be_bytes());
        }
        file.extend(footer.as_bytes());
        file
    }

    const TYPES: [(i32, u8); 3] = [(7200, 1), (3600, 0), (-60, 0)];

    #[test]
    fn offset_begins_at_its_change() {
        let zone = |footer| {
            let file = file(&[(10, 2), (20, 0), (30, 1)], &TYPES, &[], footer);
            ZoneFile::parse(&file).unwrap()
        };
        let with_last_type = zone("\n\n");
        for (time, offset) in [
            (i64::MIN, 3600),
            (9, 3600),
            (10, -60),
            (19, -60),
            (20, 7200),
            (30, 3600),
            (i64::MAX, 3600),
        ] {
            assert_eq!(with_last_type.offset_at(time), offset, "{time}");
        }
        let with_rule = zone("\nAAA-5\n");
        assert_eq!(
            [29, 30].map(|time| with_rule.offset_at(time)),
            [7200, 18_000]
        );
        // As in glibc, the rule begins with the last change. Without one, it never does.
        let unchanged = ZoneFile::parse(&file(&[], &TYPES, &[], "\nAAA-5\n")).unwrap();
        assert_eq!(unchanged.offset_at(0), 3600);
        // No rule represents this year: the last type continues.
        assert_eq!(with_rule.offset_at(i64::MAX), 3600);
    }

    #[test]
    fn leap_seconds_shift_later_times() {
        let leaps = [(100, 1), (200, 2), (201, 3), (300, 2), (400, 2)];
        let zone = ZoneFile::parse(&file(&[], &TYPES, &leaps, "\n\n")).unwrap();
        for (time, total, inserted) in [
            (99, 0, 0),
            (100, 1, 1),
            (101, 1, 0),
            (200, 2, 1),
            (201, 3, 2),
            (202, 3, 0),
            (300, 2, 0),
            (400, 2, 0),
        ] {
            let expected = LeapCorrection { total, inserted };
            assert_eq!(zone.leap_correction(time), expected, "{time}");
        }
    }

    #[test]
    fn leap_seconds_in_a_row_have_a_limit() {
        let leaps: Vec<_> = (1..=300).map(|n| (100 + i64::from(n), n)).collect();
        let zone = ZoneFile::parse(&file(&[], &TYPES, &leaps, "\n\n")).unwrap();
        for (time, inserted) in [(101, 1), (139, 39), (140, 40), (141, 40), (400, 40)] {
            assert_eq!(zone.leap_correction(time).inserted, inserted, "{time}");
        }
        let leaps = [(i64::MAX, 1), (i64::MAX, 2)];
        let zone = ZoneFile::parse(&file(&[], &TYPES, &leaps, "\n\n")).unwrap();
        assert_eq!(zone.leap_correction(i64::MAX).inserted, 1);
    }

    #[test]
    fn invalid_file_is_no_zone() {
        let valid = file(&[(10, 1)], &TYPES, &[(100, 1)], "\nAAA3\n");
        assert!(ZoneFile::parse(&valid).is_some());
        // Without the last bytes, the footer is still a line.
        let shortest = valid.len() - "AAA3".len();
        for length in 0..valid.len() {
            let zone = ZoneFile::parse(&valid[..length]);
            assert_eq!(zone.is_some(), length >= shortest, "{length}");
        }
        for (at, byte) in [
            (0, b't'),
            (44, b't'),
            (44 + 44 + 8, 3),
            (44 + 44 + 9 + 4, 2),
        ] {
            let mut invalid = valid.clone();
            invalid[at] = byte;
            assert_eq!(ZoneFile::parse(&invalid), None, "{at}");
        }
        assert_eq!(ZoneFile::parse(&file(&[], &[], &[], "\n\n")), None);
    }

    #[test]
    fn any_bytes_are_processed() {
        let valid = file(&[(10, 1), (20, 2)], &TYPES, &[(100, 1)], "\nAAA3\n");
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let mut damaged = valid.clone();
            for _ in 0..random.usize(1..4) {
                damaged[random.usize(..valid.len())] = random.u8(..);
            }
            damaged.truncate(random.usize(..valid.len() * 3));
            if let Some(zone) = ZoneFile::parse(&damaged) {
                let time = random.i64(..);
                let _ = (zone.offset_at(time), zone.leap_correction(time));
                let _ = zone.with_offsets(&Described::parse(b"AAA3BBB").rules);
            }
        }
    }

    #[test]
    fn other_offsets_move_changes_in_local_time() {
        let changes = [(100_000, 0), (200_000, 1), (300_000, 0), (400_000, 1)];
        let rules = Described::parse(b"AAA3BBB").rules;
        let moved = |in_standard, in_utc| {
            let mut zone = ZoneFile::parse(&file(&changes, &TYPES, &[], "\n\n")).unwrap();
            zone.types[1].in_standard = in_standard;
            zone.types[0].in_utc = in_utc;
            zone.with_offsets(&rules).unwrap()
        };
        // Standard time was an hour east of Greenwich, and is now three hours west.
        let to_winter_in_utc = moved(false, false);
        assert_eq!(
            to_winter_in_utc.changes,
            [85_600, 200_000, 285_600, 400_000]
        );
        let offsets = [0, 85_600, 200_000, 285_600, 400_000];
        let offsets = offsets.map(|time| to_winter_in_utc.offset_at(time));
        assert_eq!(offsets, [-10_800, -7200, -10_800, -7200, -10_800]);
        assert_eq!(
            moved(true, false).changes,
            [85_600, 185_600, 285_600, 385_600]
        );
        assert_eq!(
            moved(false, true).changes,
            [100_000, 200_000, 300_000, 400_000]
        );
        let single = ZoneFile::parse(&file(&[], &TYPES[..1], &[], "\n\n")).unwrap();
        assert_eq!(single.with_offsets(&rules), None);
    }

    /// A header of version 2 and its block, with times of `width` bytes: two changes,
    /// three types, one leap second, and flags of two types.
    fn block(width: usize, flags: [[u8; 2]; 2]) -> Vec<u8> {
        let number = |number: i64| number.to_be_bytes()[8 - width..].to_vec();
        let counts: [u32; 6] = [2, 2, 1, 2, 3, 4];
        let counts = counts.map(u32::to_be_bytes);
        let mut block = [&b"TZif2"[..], &[0; 15], counts.as_flattened()].concat();
        block.extend([number(100_000), number(200_000), vec![0, 1]].concat());
        for (offset, is_daylight) in TYPES {
            block.extend(offset.to_be_bytes());
            block.extend([is_daylight, 0]);
        }
        block.extend(b"ABC\0");
        block.extend([number(5), 1_i32.to_be_bytes().to_vec()].concat());
        let [utc, standard] = flags;
        block.extend([standard, utc].concat());
        block
    }

    #[test]
    fn block_of_short_times_is_skipped() {
        let of_types = |zone: &ZoneFile| {
            let flags = |kind: &TimeType| (kind.in_utc, kind.in_standard);
            zone.types.iter().map(flags).collect::<Vec<_>>()
        };
        let both = [block(4, [[0; 2]; 2]), block(8, [[0, 1], [1, 1]])].concat();
        let zone = ZoneFile::parse(&[&both[..], b"\n\n"].concat()).unwrap();
        assert_eq!(zone.changes, [100_000, 200_000]);
        assert_eq!(zone.leaps, [Leap { time: 5, total: 1 }]);
        let expected = [(false, true), (true, true), (false, false)];
        assert_eq!(of_types(&zone), expected);
    }

    #[test]
    fn flags_of_more_types_than_there_are_are_invalid() {
        for (at, is_valid) in [(20, false), (24, false), (40, true)] {
            let mut header = block(4, [[0; 2]; 2]);
            header[at + 3] = 4;
            assert_eq!(Reader(&header).header().is_some(), is_valid, "{at}");
        }
    }
}
