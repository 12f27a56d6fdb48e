//! Dates and times of day.

use daemontools_core::calendar::date_of_day;

/// The length of a day, in seconds.
pub(crate) const DAY: i64 = 86_400;

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
    /// 0 to 60, and to 99 for many leap seconds in a row. Only time zones with
    /// leap seconds have second 60.
    pub second: u8,
    /// Local time minus UTC, in seconds.
    pub offset: i64,
}

impl Civil {
    /// The date and time at a Unix time plus `shift` seconds. None if the year
    /// exceeds an `int` of years since 1900, the format of the C library.
    pub(crate) fn new(seconds: i64, shift: i64, offset: i64) -> Option<Self> {
        // The sum of `seconds` and `shift` may overflow; days do not.
        let second = seconds.rem_euclid(DAY) + shift;
        let days = seconds.div_euclid(DAY) + second.div_euclid(DAY);
        let second = second.rem_euclid(DAY);
        let (year, month, day) = date_of_day(days);
        i32::try_from(year - 1900).ok()?;
        let part = |number: i64| u8::try_from(number).unwrap_or_default();
        Some(Civil {
            year,
            month,
            day,
            hour: part(second / 3600),
            minute: part(second / 60 % 60),
            second: part(second % 60),
            offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn year_is_limited_to_an_int() {
        let year = |seconds, shift| Civil::new(seconds, shift, 0).map(|civil| civil.year);
        assert_eq!(year(67_768_036_191_676_799, 0), Some(2_147_485_547));
        assert_eq!(year(67_768_036_191_676_799, 1), None);
        assert_eq!(year(67_768_036_191_676_800, -1), Some(2_147_485_547));
        assert_eq!(year(-67_768_040_609_740_800, 0), Some(-2_147_481_748));
        assert_eq!(year(-67_768_040_609_740_801, 0), None);
        assert_eq!(year(i64::MAX, i64::from(i32::MAX)), None);
        assert_eq!(year(i64::MIN, i64::from(i32::MIN)), None);
    }
}
