//! Numbers as the original scans them.

/// The number that the leading decimal digits make, and what follows them.
///
/// No digits read as 0, there is no sign and no space, and what is above 64
/// bits wraps.
#[must_use]
pub fn scan(text: &[u8]) -> (u64, &[u8]) {
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

#[cfg(test)]
mod tests {
    use super::scan;

    #[test]
    fn leading_digits_make_the_number() {
        assert_eq!(scan(b"120k"), (120, &b"k"[..]));
        assert_eq!(scan(b"-1"), (0, &b"-1"[..]));
        assert_eq!(scan(b""), (0, &b""[..]));
        assert_eq!(scan(b"18446744073709551617"), (1, &b""[..]));
    }
}
