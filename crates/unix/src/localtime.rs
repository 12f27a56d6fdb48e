//! Dates and times of day: local, as the C library reads the time zone, and
//! UTC.

/// A date and a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year of the common era; 0 is the year before 1.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60: 60 is a leap second, which only zones that count them have.
    pub second: u8,
    /// Seconds that local time is ahead of UTC.
    pub offset: i64,
}

unsafe extern "C" {
    // POSIX, and missing in the libc crate for Linux.
    fn tzset();
}

/// Reads the time zone, for the calls of [`civil`] that follow.
///
/// glibc's localtime, which 0.76 calls for every line, does so each time: it
/// compares TZ with its last value, and while TZ is not set it looks whether
/// `/etc/localtime` is another file than before. A zone file that TZ names is
/// read once. What cannot be read is UTC.
pub fn refresh() {
    // SAFETY: tzset reads the environment and frees what an earlier call
    // made; the programs have one thread, and nothing keeps pointers to it.
    unsafe { tzset() }
}

/// The local time of a moment of Unix time; None if its year, or that of the
/// same moment in UTC, is not one that the C library can express (its `int`
/// counts years from 1900).
#[must_use]
pub fn civil(seconds: i64) -> Option<Civil> {
    broken_down(seconds, |moment, time| {
        // SAFETY: the first argument points to a number, the second to room
        // for the answer.
        unsafe { libc::localtime_r(moment, time) }
    })
}

/// The same in UTC. The time zone matters only if it is one that counts leap
/// seconds.
#[must_use]
pub fn utc(seconds: i64) -> Option<Civil> {
    broken_down(seconds, |moment, time| {
        // SAFETY: as for localtime_r.
        unsafe { libc::gmtime_r(moment, time) }
    })
}

/// As [`civil`], cut to an offset of whole minutes; it is the same moment.
#[must_use]
pub fn civil_to_the_minute(seconds: i64) -> Option<Civil> {
    let local = civil(seconds)?;
    let offset = local.offset - local.offset % 60;
    if offset == local.offset {
        return Some(local);
    }
    let shown = utc(seconds.checked_add(offset)?)?;
    Some(Civil { offset, ..shown })
}

/// What a function of the C library makes of a moment.
fn broken_down(
    seconds: i64,
    convert: impl FnOnce(*const libc::time_t, *mut libc::tm) -> *mut libc::tm,
) -> Option<Civil> {
    let seconds = libc::time_t::try_from(seconds).ok()?;
    let mut time = std::mem::MaybeUninit::<libc::tm>::zeroed();
    if convert(&raw const seconds, time.as_mut_ptr()).is_null() {
        return None;
    }
    // SAFETY: all zeroes is a valid tm, and it was filled in.
    let time = unsafe { time.assume_init() };
    Some(Civil {
        year: i64::from(time.tm_year) + 1900,
        month: u8::try_from(time.tm_mon + 1).ok()?,
        day: u8::try_from(time.tm_mday).ok()?,
        hour: u8::try_from(time.tm_hour).ok()?,
        minute: u8::try_from(time.tm_min).ok()?,
        second: u8::try_from(time.tm_sec).ok()?,
        offset: time.tm_gmtoff,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_is_ahead_of_nothing() {
        let civil = utc(1_297_257_974).unwrap();
        let (date, offset) = ((civil.year, civil.month, civil.day), civil.offset);
        assert_eq!((date, offset), ((2011, 2, 9), 0));
        assert_eq!((civil.hour, civil.minute, civil.second), (13, 26, 14));
    }
}
