//! JSON strings of text that may not be UTF-8.

/// Passes the content of a JSON string to `push`, in pieces, without the quotes.
/// Quotes, backslashes and control characters are escaped. Bytes that are not
/// UTF-8 become U+FFFD. Returns whether `text` is UTF-8.
pub fn escape(text: &[u8], mut push: impl FnMut(&[u8])) -> bool {
    let mut is_utf8 = true;
    for chunk in text.utf8_chunks() {
        escape_valid(chunk.valid().as_bytes(), &mut push);
        if !chunk.invalid().is_empty() {
            is_utf8 = false;
            push("\u{fffd}".as_bytes());
        }
    }
    is_utf8
}

/// As [`escape`], of UTF-8.
fn escape_valid(mut text: &[u8], push: &mut impl FnMut(&[u8])) {
    // 0xc2 begins the control characters from U+0080 to U+009F.
    let may_need_escape = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\' | 0x7f | 0xc2);
    while let Some(place) = text.iter().position(may_need_escape) {
        let (plain, rest) = text.split_at(place);
        push(plain);
        text = match rest {
            [byte @ (b'"' | b'\\'), rest @ ..] => {
                push(&[b'\\', *byte]);
                rest
            }
            [0xc2, code @ 0x80..0xa0, rest @ ..] => {
                push_code(*code, push);
                rest
            }
            [0xc2, other, rest @ ..] => {
                push(&[0xc2, *other]);
                rest
            }
            [control, rest @ ..] => {
                push_code(*control, push);
                rest
            }
            [] => rest,
        };
    }
    push(text);
}

/// `\u00NN`.
fn push_code(code: u8, push: &mut impl FnMut(&[u8])) {
    let [high, low] = hex(code);
    push(&[b'\\', b'u', b'0', b'0', high, low]);
}

/// The two hexadecimal digits of a byte.
fn hex(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|digit| match digit {
        0..10 => b'0' + digit,
        _ => b'a' + digit - 10,
    })
}

/// Passes the member `"KEY":"TEXT"` of an object to `push`, in pieces. If the
/// text is not UTF-8, `,"KEY_hex":"DIGITS"` follows, with its bytes as
/// hexadecimal digits.
pub fn member(key: &str, text: &[u8], mut push: impl FnMut(&[u8])) {
    push(b"\"");
    push(key.as_bytes());
    push(b"\":\"");
    let is_utf8 = escape(text, &mut push);
    push(b"\"");
    if !is_utf8 {
        push(b",\"");
        push(key.as_bytes());
        push(b"_hex\":\"");
        for byte in text {
            push(&hex(*byte));
        }
        push(b"\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &[u8]) -> String {
        let mut json = Vec::new();
        member("m", text, |part| json.extend_from_slice(part));
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn special_characters_are_escaped() {
        assert_eq!(shown(b""), r#""m":"""#);
        assert_eq!(shown(b"a\"\\\n\x7f"), r#""m":"a\"\\\u000a\u007f""#);
        let text = "\u{80}\u{9f}\u{a0}\u{e4}\u{2028}";
        let json = "\"m\":\"\\u0080\\u009f\u{a0}\u{e4}\u{2028}\"";
        assert_eq!(shown(text.as_bytes()), json);
    }

    #[test]
    fn other_bytes_are_added_as_digits() {
        assert_eq!(shown(b"\xffb"), "\"m\":\"\u{fffd}b\",\"m_hex\":\"ff62\"");
        assert_eq!(shown(b"\xc2"), "\"m\":\"\u{fffd}\",\"m_hex\":\"c2\"");
    }
}
