//! What becomes of a line before it is written.

use std::time::{SystemTime, UNIX_EPOCH};

use daemontools_core::label::{Label, TEXT};

/// What stands before each line, beside the prefix of its directory. All are
/// of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampStyle {
    /// A label.
    Label,
    /// `YYYY-MM-DD_HH:MM:SS.xxxxx`, UTC.
    Date,
    /// The same with a `T`.
    Iso,
}

impl TimestampStyle {
    /// The stamp of now.
    #[must_use]
    pub fn now(self) -> [u8; TEXT] {
        match self {
            TimestampStyle::Label => Label::now().text(),
            TimestampStyle::Date => date(b'_', SystemTime::now()),
            TimestampStyle::Iso => date(b'T', SystemTime::now()),
        }
    }
}

fn date(between: u8, time: SystemTime) -> [u8; TEXT] {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00_00:00:00.00000";
    let mut put = |from: usize, length: usize, mut number: u64| {
        let field = text.get_mut(from..from + length).unwrap_or_default();
        for digit in field.iter_mut().rev() {
            *digit = b"0123456789"
                .get((number % 10) as usize)
                .copied()
                .unwrap_or(b'0');
            number /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, second / 3600);
    put(14, 2, second / 60 % 60);
    put(17, 2, second % 60);
    put(20, 5, u64::from(since.subsec_micros() / 10));
    if let Some(byte) = text.get_mut(10) {
        *byte = between;
    }
    text
}

/// Year, month and day of so many days after 1 January 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that a leap day is the last of its year,
    // and they are counted in the 400 years after which all is the same again.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + later, month, day)
}

/// How lines are changed and looked at, in all directories.
#[derive(Clone, Debug)]
pub struct LineFormat {
    /// What stands before them.
    pub stamps: Option<TimestampStyle>,
    /// How much of a line is matched, alerted of and sent.
    pub head: usize,
    /// What each byte becomes; none if all stay.
    replaced: Option<Box<[u8; 256]>>,
}

impl LineFormat {
    /// Replaces with `by`, if it is given, what cannot be printed and the
    /// bytes `also`.
    #[must_use]
    pub fn new(stamps: Option<TimestampStyle>, head: usize, by: Option<u8>, also: &[u8]) -> Self {
        let replaced = by.map(|by| {
            let mut table = Box::new([by; 256]);
            for (byte, to) in (0..=u8::MAX).zip(table.iter_mut()) {
                if (b' '..=b'~').contains(&byte) && !also.contains(&byte) || byte == b'\n' {
                    *to = byte;
                }
            }
            table
        });
        LineFormat {
            stamps,
            head,
            replaced,
        }
    }

    /// Replaces what is to be replaced in the heads of lines. `column` is
    /// where the text begins in its line, and where the next one will.
    pub fn replace(&self, text: &mut [u8], column: &mut usize) {
        let Some(table) = &self.replaced else {
            return;
        };
        for line in text.split_inclusive_mut(|&byte| byte == b'\n') {
            let length = line.len();
            for byte in line.iter_mut().take(self.head.saturating_sub(*column)) {
                *byte = table.get(usize::from(*byte)).copied().unwrap_or(*byte);
            }
            let ended = line.last() == Some(&b'\n');
            *column = if ended { 0 } else { *column + length };
        }
    }

    /// Of a line that begins in `fragment`, what patterns see, and whether there
    /// is, or may be, more of it.
    #[must_use]
    pub fn head<'a>(&self, fragment: &'a [u8]) -> (&'a [u8], bool) {
        let line = fragment.strip_suffix(b"\n").unwrap_or(fragment);
        match line.get(..self.head) {
            Some(head) => (head, true),
            None => (line, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let date = |seconds, micros: u32| {
            let time = UNIX_EPOCH + Duration::new(seconds, micros * 1000);
            String::from_utf8(date(b'_', time).to_vec()).unwrap()
        };
        assert_eq!(date(0, 0), "1970-01-01_00:00:00.00000");
        assert_eq!(date(951_782_399, 999_999), "2000-02-28_23:59:59.99999");
        assert_eq!(date(951_782_400, 10), "2000-02-29_00:00:00.00001");
        assert_eq!(date(1_134_896_090, 976_180), "2005-12-18_08:54:50.97618");
        assert_eq!(date(4_107_542_400, 0), "2100-03-01_00:00:00.00000");
    }

    #[test]
    fn unprintable_bytes_are_replaced() {
        let replaced = |also: &[u8]| {
            let mut text = *b"a\tx\x7f~ \xff\n";
            let form = LineFormat::new(None, 6, Some(b'.'), also);
            let mut column = 0;
            for text in text.chunks_mut(3) {
                form.replace(text, &mut column);
            }
            assert_eq!(column, 0);
            text
        };
        assert_eq!(&replaced(b""), b"a.x.~ \xff\n");
        assert_eq!(&replaced(b"ax\n"), b"....~ \xff\n");
    }
}
