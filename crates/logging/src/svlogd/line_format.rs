//! Timestamps, replaced characters and the matched part of svlogd's lines.

use std::time::{SystemTime, UNIX_EPOCH};

use daemontools_core::calendar::date_of_day;
use daemontools_core::label::{Label, TEXT};

/// The format of the timestamp before each line. All formats have the length
/// of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampStyle {
    /// `-t`: a TAI64N label.
    Label,
    /// `-tt`: `YYYY-MM-DD_HH:MM:SS.xxxxx` in UTC.
    Date,
    /// `-ttt`: `YYYY-MM-DDTHH:MM:SS.xxxxx` in UTC.
    Iso,
}

impl TimestampStyle {
    /// The timestamp of the present time.
    #[must_use]
    pub fn now(self) -> [u8; TEXT] {
        match self {
            TimestampStyle::Label => Label::now().text(),
            TimestampStyle::Date => date(b'_', SystemTime::now()),
            TimestampStyle::Iso => date(b'T', SystemTime::now()),
        }
    }
}

fn date(separator: u8, time: SystemTime) -> [u8; TEXT] {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date_of_day(i64::try_from(days).unwrap_or_default());
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
    put(0, 4, year.unsigned_abs());
    put(5, 2, month.into());
    put(8, 2, day.into());
    put(11, 2, second / 3600);
    put(14, 2, second / 60 % 60);
    put(17, 2, second % 60);
    put(20, 5, u64::from(since.subsec_micros() / 10));
    if let Some(byte) = text.get_mut(10) {
        *byte = separator;
    }
    text
}

/// The options of svlogd for the format of lines, common to all directories.
#[derive(Clone, Debug)]
pub struct LineFormat {
    /// The timestamp before each line.
    pub timestamp: Option<TimestampStyle>,
    /// The number of bytes of a line that are matched, alerted and sent.
    pub head: usize,
    /// The replacement of each byte. None: no byte is replaced.
    replacements: Option<Box<[u8; 256]>>,
}

impl LineFormat {
    /// `replacement` takes the place of unprintable bytes and of the bytes in
    /// `also`. None: no byte is replaced.
    #[must_use]
    pub fn new(
        timestamp: Option<TimestampStyle>,
        head: usize,
        replacement: Option<u8>,
        also: &[u8],
    ) -> Self {
        let replacements = replacement.map(|replacement| {
            let mut table = Box::new([replacement; 256]);
            for (byte, to) in (0..=u8::MAX).zip(table.iter_mut()) {
                if (b' '..=b'~').contains(&byte) && !also.contains(&byte) || byte == b'\n' {
                    *to = byte;
                }
            }
            table
        });
        LineFormat {
            timestamp,
            head,
            replacements,
        }
    }

    /// Replaces bytes in the heads of lines. `column` is the offset of the
    /// text in its line, and is updated for the text that follows.
    pub fn replace(&self, text: &mut [u8], column: &mut usize) {
        let Some(table) = &self.replacements else {
            return;
        };
        for line in text.split_inclusive_mut(|&byte| byte == b'\n') {
            let length = line.len();
            for byte in line.iter_mut().take(self.head.saturating_sub(*column)) {
                *byte = table.get(usize::from(*byte)).copied().unwrap_or(*byte);
            }
            let is_complete = line.last() == Some(&b'\n');
            *column = if is_complete { 0 } else { *column + length };
        }
    }

    /// The head of a line that starts in `fragment`, and whether the line is,
    /// or may be, at least that long.
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
    fn dates_have_fixed_width_fields() {
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
    fn each_style_has_the_present_time() {
        let now = |style: TimestampStyle| String::from_utf8(style.now().to_vec()).unwrap();
        let label = now(TimestampStyle::Label);
        let seconds = Label::read(&label.as_bytes()[1..]).0.unix();
        assert!(label.starts_with('@') && seconds > 1_700_000_000, "{label}");
        for (style, separator) in [(TimestampStyle::Date, "_"), (TimestampStyle::Iso, "T")] {
            let date = now(style);
            assert!(&date[..4] > "2020" && &date[10..11] == separator, "{date}");
        }
    }

    #[test]
    fn only_the_head_is_replaced_and_matched() {
        let format = LineFormat::new(None, 4, Some(b'_'), b"x");
        let mut text = *b"ax\tbx\nxxxxx";
        let mut column = 0;
        format.replace(&mut text, &mut column);
        assert_eq!((&text, column), (b"a__bx\n____x", 5));
        format.replace(&mut text[..2], &mut column);
        assert_eq!((&text[..2], column), (&b"a_"[..], 7));
        let plain = LineFormat::new(None, 4, None, b"");
        assert_eq!(plain.head(b"abc\n"), (&b"abc"[..], false));
        assert_eq!(plain.head(b"abcd\n"), (&b"abcd"[..], true));
        assert_eq!(plain.head(b"abcde"), (&b"abcd"[..], true));
        let mut unchanged = *b"\t\x7f";
        plain.replace(&mut unchanged, &mut column);
        assert_eq!((&unchanged, column), (b"\t\x7f", 7));
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
