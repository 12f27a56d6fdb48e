//! Calendar dates and times, in the C library's local time zone and in UTC.

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
    /// 0 to 60. Only time zones with leap seconds have second 60.
    pub second: u8,
    /// Local time minus UTC, in seconds.
    pub offset: i64,
}

unsafe extern "C" {
    // POSIX, but missing in the libc crate for Linux.
    fn tzset();
}

/// Reads the time zone for the following calls of [`civil`].
///
/// 0.76 calls glibc's localtime for every line, which does the same: without
/// TZ, glibc reads a changed `/etc/localtime` again. A zone file named by TZ is
/// read once. An unreadable zone is UTC.
pub fn refresh() {
    // SAFETY: tzset reads the environment and frees the data of an earlier
    // call. The programs have one thread and keep no pointers to the data.
    unsafe { tzset() }
}

/// The local time of a Unix time. None if the year, local or UTC, exceeds the
/// C library's `int` of years since 1900.
pub fn civil(seconds: i64) -> Option<Civil> {
    convert_time(seconds, |moment, time| {
        // SAFETY: the arguments point to a number and to space for a tm.
        unsafe { libc::localtime_r(moment, time) }
    })
}

/// As [`civil`], in UTC. A time zone with leap seconds affects the result.
pub fn utc(seconds: i64) -> Option<Civil> {
    convert_time(seconds, |moment, time| {
        // SAFETY: as for localtime_r.
        unsafe { libc::gmtime_r(moment, time) }
    })
}

/// As [`civil`], with the offset truncated to whole minutes. The Unix time is
/// the same.
pub fn civil_to_the_minute(seconds: i64) -> Option<Civil> {
    let local = civil(seconds)?;
    let offset = local.offset - local.offset % 60;
    if offset == local.offset {
        return Some(local);
    }
    let time = utc(seconds.checked_add(offset)?)?;
    Some(Civil { offset, ..time })
}

/// The result of a conversion function of the C library.
fn convert_time(
    seconds: i64,
    convert: impl FnOnce(*const libc::time_t, *mut libc::tm) -> *mut libc::tm,
) -> Option<Civil> {
    let seconds = libc::time_t::try_from(seconds).ok()?;
    let mut time = std::mem::MaybeUninit::<libc::tm>::zeroed();
    if convert(&raw const seconds, time.as_mut_ptr()).is_null() {
        return None;
    }
    // SAFETY: all zeroes is a valid tm, and the function filled it in.
    let time = unsafe { time.assume_init() };
    Some(Civil {
        year: i64::from(time.tm_year) + 1900,
        month: u8::try_from(time.tm_mon + 1).ok()?,
        day: u8::try_from(time.tm_mday).ok()?,
        hour: u8::try_from(time.tm_hour).ok()?,
        minute: u8::try_from(time.tm_min).ok()?,
        second: u8::try_from(time.tm_sec).ok()?,
        offset: i64::try_from(i128::from(time.tm_gmtoff)).ok()?,
    })
}
