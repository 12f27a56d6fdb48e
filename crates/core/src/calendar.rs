//! Dates in UTC.

/// The year, month (1 to 12) and day of the month of `days` days after
/// 1 January 1970, in the Gregorian calendar.
pub fn date_of_day(days: u64) -> (u64, u64, u64) {
    // Counted years start in March, with the leap day as the last day.
    // The calendar repeats after 400 years, an era.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::date_of_day;

    #[test]
    fn dates_follow_the_gregorian_calendar() {
        let mut date = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(date_of_day(days), date);
            let (year, month, day) = date;
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(is_leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            date = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (month, day) if day == length => (year, month + 1, 1),
                (month, day) => (year, month, day + 1),
            };
        }
    }
}
