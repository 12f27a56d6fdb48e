//! Numbers as the original scans them, and those that it does not have.

/// The number that the leading decimal digits make, and what follows them.
///
/// No digits read as 0, there is no sign and no space, and what is above 64
/// bits wraps.
#[must_use]
pub fn scan_decimal(text: &[u8]) -> (u64, &[u8]) {
    let mut number: u64 = 0;
    let mut rest = text;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        number = number
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit - b'0'));
        rest = after;
    }
    (number, rest)
}

/// The number that is written, in decimal digits alone; None if it is not, or
/// does not fit.
#[must_use]
pub fn parse_decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{parse_decimal, scan_decimal};

    #[test]
    fn leading_digits_make_the_number() {
        assert_eq!(scan_decimal(b"120k"), (120, &b"k"[..]));
        assert_eq!(scan_decimal(b"-1"), (0, &b"-1"[..]));
        assert_eq!(scan_decimal(b""), (0, &b""[..]));
        assert_eq!(scan_decimal(b"18446744073709551617"), (1, &b""[..]));
    }

    #[test]
    fn a_whole_number_has_nothing_else() {
        assert_eq!(parse_decimal(b"0"), Some(0));
        assert_eq!(parse_decimal(b"0120"), Some(120));
        assert_eq!(parse_decimal(b"18446744073709551615"), Some(u64::MAX));
        for text in [
            "",
            "18446744073709551616",
            "+1",
            "-1",
            " 1",
            "1k",
            "1\n",
            "\u{ff11}",
        ] {
            assert_eq!(parse_decimal(text.as_bytes()), None, "{text}");
        }
    }
}
