//! Decimal numbers. 0.76 scans leading digits; files and options that 0.76
//! lacks are parsed whole.

/// The number of the leading decimal digits, and the rest of the text.
///
/// As in 0.76, no digits read as 0, and numbers wrap at 64 bits. Signs and
/// spaces are not digits.
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

/// The number of a text of decimal digits. None for an empty text, any other
/// byte, or a number above 64 bits.
pub fn parse_decimal(text: &[u8]) -> Option<u64> {
    let (first, more) = text.split_first()?;
    add_digits(0, std::iter::once(first).chain(more).copied())
}

/// A number with up to one decimal point, in units of the last of `decimals`
/// digits after the point. Further digits are cut off. None where
/// [`parse_decimal`] would be None for either side of the point, and for a
/// point if `decimals` is 0.
pub fn parse_fixed_point(text: &[u8], decimals: usize) -> Option<u64> {
    let point = text.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match point {
        None => (text, &b"0"[..]),
        Some(_) if decimals == 0 => return None,
        Some(point) => (text.get(..point)?, text.get(point + 1..)?),
    };
    if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let kept = fraction.iter().copied().chain(std::iter::repeat(b'0'));
    add_digits(parse_decimal(whole)?, kept.take(decimals))
}

fn add_digits(number: u64, mut digits: impl Iterator<Item = u8>) -> Option<u64> {
    digits.try_fold(number, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scan_stops_at_first_other_byte() {
        assert_eq!(scan_decimal(b"120k"), (120, &b"k"[..]));
        assert_eq!(scan_decimal(b"-1"), (0, &b"-1"[..]));
        assert_eq!(scan_decimal(b""), (0, &b""[..]));
        assert_eq!(scan_decimal(b"18446744073709551617"), (1, &b""[..]));
    }

    #[test]
    fn parse_rejects_all_but_digits() {
        assert_eq!(parse_decimal(b"0"), Some(0));
        assert_eq!(parse_decimal(b"0120"), Some(120));
        assert_eq!(parse_decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_decimal(b"18446744073709551616"), None);
        for text in ["", "+1", "-1", " 1", "1k", "1\n", "\u{ff11}"] {
            assert_eq!(parse_decimal(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn fixed_point_counts_last_decimals() {
        assert_eq!(parse_fixed_point(b"2", 3), Some(2000));
        assert_eq!(parse_fixed_point(b"2.5", 3), Some(2500));
        assert_eq!(parse_fixed_point(b"0.00019", 3), Some(0));
        assert_eq!(parse_fixed_point(b"7", 0), Some(7));
        assert_eq!(parse_fixed_point(b"18446744073709552", 3), None);
        for text in ["", ".", "1.", ".5", "1.5.5", "1.5s", "-1", "1.-5"] {
            assert_eq!(parse_fixed_point(text.as_bytes(), 3), None, "{text}");
        }
        assert_eq!(parse_fixed_point(b"7.0", 0), None);
    }
}
