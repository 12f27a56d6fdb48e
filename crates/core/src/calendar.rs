//! Dates in the Gregorian calendar.

/// The year, month (1 to 12) and day of the month of `days` days after
/// 1 January 1970. Negative days precede that date. Years from -2^40 to 2^40
/// are exact.
pub fn date_of_day(days: i64) -> (i64, u8, u8) {
    // Counted years start in March, with the leap day as the last day.
    // The calendar repeats after 400 years, an era.
    let days = days.saturating_add(719_468);
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    // Months and days of the month have one byte.
    let byte = |number: i64| number.to_le_bytes()[0];
    (era * 400 + year + next_year, byte(month), byte(day))
}

/// The number of days from 1 January 1970 to a date; None if the month has no
/// such day. Years from -2^40 to 2^40 are exact.
pub fn day_of_date(year: i64, month: u8, day: u8) -> Option<i64> {
    if day == 0 || day > month_length(year, month)? {
        return None;
    }
    // As in `date_of_day`, years start in March.
    let (march_year, months) = match month {
        3.. => (year, i64::from(month) - 3),
        _ => (year.saturating_sub(1), i64::from(month) + 9),
    };
    let (era, year) = (march_year.div_euclid(400), march_year.rem_euclid(400));
    let day = (153 * months + 2) / 5 + i64::from(day) - 1;
    let day = day + 365 * year + year / 4 - year / 100;
    Some(era.saturating_mul(146_097) + day - 719_468)
}

/// The number of days of a month from 1 to 12.
fn month_length(year: i64, month: u8) -> Option<u8> {
    match month {
        2 => Some(28 + u8::from(is_leap_year(year))),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}

/// Whether a year has a 29th of February.
pub fn is_leap_year(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_gregorian_calendar() {
        let mut date = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(date_of_day(days), date);
            let (year, month, day) = date;
            date = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (month, day) if Some(day) == month_length(year, month) => (year, month + 1, 1),
                (month, day) => (year, month, day + 1),
            };
        }
    }

    #[test]
    fn dates_before_1970_follow_the_calendar() {
        let mut date = (1970, 1, 1);
        for days in 0..1_000_000 {
            assert_eq!(date_of_day(-days), date);
            let (year, month, day) = date;
            date = match (month, day) {
                (1, 1) => (year - 1, 12, 31),
                (month, 1) => (year, month - 1, month_length(year, month - 1).unwrap()),
                (month, day) => (year, month, day - 1),
            };
        }
    }

    #[test]
    fn day_of_date_inverts_date_of_day() {
        for days in (-1_000_000..1_000_000).chain([1 << 40, -1 << 40]) {
            let (year, month, day) = date_of_day(days);
            assert_eq!(day_of_date(year, month, day), Some(days));
        }
    }

    #[test]
    fn days_outside_a_month_are_rejected() {
        for (month, day) in [
            (0, 1),
            (13, 1),
            (1, 0),
            (1, 32),
            (4, 31),
            (2, 29),
            (12, 255),
        ] {
            assert_eq!(day_of_date(2026, month, day), None, "{month} {day}");
        }
        assert!(day_of_date(2028, 2, 29).is_some());
        assert_eq!(day_of_date(2100, 2, 29), None);
    }

    #[test]
    fn calendar_repeats_after_400_years() {
        for era in [-5_000_000, -1, 1, 5_000_000] {
            for days in (-400_000..400_000).step_by(997) {
                let (year, month, day) = date_of_day(days);
                let later = date_of_day(days + era * 146_097);
                assert_eq!(later, (year + era * 400, month, day));
            }
        }
    }
}
