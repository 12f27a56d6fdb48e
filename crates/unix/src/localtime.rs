//! Local time, as the C library reads the time zone.

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
    let seconds = libc::time_t::try_from(seconds).ok()?;
    let mut time = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: the first argument points to a number, the second to room for
    // the answer.
    let answer = unsafe { libc::localtime_r(&raw const seconds, time.as_mut_ptr()) };
    if answer.is_null() {
        return None;
    }
    // SAFETY: all zeroes is a valid tm, and localtime_r has filled it in.
    let time = unsafe { time.assume_init() };
    Some(Civil {
        year: i64::from(time.tm_year) + 1900,
        month: u8::try_from(time.tm_mon + 1).ok()?,
        day: u8::try_from(time.tm_mday).ok()?,
        hour: u8::try_from(time.tm_hour).ok()?,
        minute: u8::try_from(time.tm_min).ok()?,
        second: u8::try_from(time.tm_sec).ok()?,
    })
}
