//! Output for people: names as a terminal shows them, charset and colours.

use std::fmt::Write;
use std::io::IsTerminal;
use std::os::fd::BorrowedFd;

use unicode_width::UnicodeWidthChar;
use unix::start;

/// The characters that an output shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Those of Unicode, in UTF-8.
    Unicode,
    /// Those of ASCII.
    Ascii,
}

impl Charset {
    /// The charset of an output. Output to a file or pipe is not for display, and
    /// has UTF-8.
    pub fn of_output(output: BorrowedFd<'_>) -> Self {
        if !output.is_terminal() {
            return Charset::Unicode;
        }
        let names = [&b"LC_ALL"[..], b"LC_CTYPE", b"LANG"];
        Charset::of_locale(names.map(start::variable))
    }

    /// The charset of a terminal, by the values of `LC_ALL`, `LC_CTYPE` and
    /// `LANG`. The first value that is not empty decides, as in setlocale(3).
    /// Without one, the terminal is assumed to show UTF-8: the environment of
    /// containers and boot scripts lacks these variables.
    pub fn of_locale(values: [Option<&[u8]>; 3]) -> Self {
        let is_set = |value: &&[u8]| !value.is_empty();
        let Some(locale) = values.into_iter().flatten().find(is_set) else {
            return Charset::Unicode;
        };
        let codeset = locale.split(|&byte| byte == b'.').nth(1);
        let codeset = codeset.and_then(|codeset| codeset.split(|&byte| byte == b'@').next());
        let is_utf8 = |codeset: &[u8]| {
            [&b"UTF-8"[..], b"UTF8"]
                .iter()
                .any(|name| codeset.eq_ignore_ascii_case(name))
        };
        if codeset.is_some_and(is_utf8) {
            Charset::Unicode
        } else {
            Charset::Ascii
        }
    }
}

/// Whether an output has colours: on a terminal other than `dumb`, unless
/// `NO_COLOR` is set.
pub fn has_colours(output: BorrowedFd<'_>) -> bool {
    output.is_terminal()
        && start::variable(b"NO_COLOR").is_none_or(<[u8]>::is_empty)
        && start::variable(b"TERM") != Some(b"dumb")
}

/// A name with `\xNN` for bytes that are not UTF-8, and for control and
/// invisible characters and those outside the charset.
pub fn escape(name: &[u8], charset: Charset) -> String {
    let is_outside = |character: char| match charset {
        Charset::Unicode => false,
        Charset::Ascii => !character.is_ascii(),
    };
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || is_invisible(character) || is_outside(character) {
                escape_bytes(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(character);
            }
        }
        escape_bytes(&mut text, chunk.invalid());
    }
    text
}

fn escape_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Whether a character is invisible, or changes the direction or the form of
/// others: Unicode's default ignorable code points, separators of lines, and
/// annotations. Joiners and variation selectors are among them, whose effect on
/// the width differs between terminals.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The width of a text in columns of a terminal, as the sum of wcwidth(3): 2 for
/// a wide character, 0 for a combining one. No library measures whole sequences
/// of emoji as all terminals do.
pub fn width(text: &str) -> usize {
    text.chars().map(character_width).sum()
}

fn character_width(character: char) -> usize {
    character.width().unwrap_or(0)
}

/// Cuts a name to a width, with `~` at the end. A combining character stays with
/// its base, and no wide one is cut in half.
pub fn shorten(name: &mut String, max: usize) {
    if width(name) <= max {
        return;
    }
    let mut end = 0;
    let mut used = 0;
    for character in name.chars() {
        used += character_width(character);
        if used >= max {
            break;
        }
        end += character.len_utf8();
    }
    name.truncate(end);
    name.push('~');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unprintable_bytes_are_escaped() {
        assert_eq!(
            escape(
                b"a\x1b[31m\n\xff\xc3\xa4\xc2\x9b\xe2\x80\xae",
                Charset::Unicode
            ),
            "a\\x1b[31m\\x0a\\xff\u{e4}\\xc2\\x9b\\xe2\\x80\\xae"
        );
        let ascii = escape("a\u{e4}\u{301}".as_bytes(), Charset::Ascii);
        assert_eq!(ascii, "a\\xc3\\xa4\\xcc\\x81");
    }

    #[test]
    fn joiners_and_selectors_are_escaped() {
        let shown = |name: &str| escape(name.as_bytes(), Charset::Unicode);
        assert_eq!(shown("👩\u{200d}💻"), "👩\\xe2\\x80\\x8d💻");
        assert_eq!(shown("❤\u{fe0f}"), "❤\\xef\\xb8\\x8f");
        assert_eq!(shown("e\u{301}"), "e\u{301}");
    }

    #[test]
    fn width_counts_columns() {
        for (text, columns) in [
            ("", 0),
            ("web", 3),
            ("日本語", 6),
            ("e\u{301}", 1),
            ("e\u{301}\u{302}\u{303}", 1),
            ("ｱ", 1),
            ("Ａ", 2),
            ("📦", 2),
            ("한", 2),
            ("\u{1112}\u{1161}\u{11ab}", 2),
            ("α", 1),
            ("🇩🇪", 2),
        ] {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn name_is_cut_between_characters() {
        for (name, max, cut) in [
            ("ログ", 4, "ログ"),
            ("ログ", 3, "ロ~"),
            ("ログ", 2, "~"),
            ("aロ", 2, "a~"),
            ("e\u{301}ab", 2, "e\u{301}~"),
            ("abc", 0, "~"),
        ] {
            let mut text = name.to_owned();
            shorten(&mut text, max);
            assert_eq!(text, cut);
        }
    }

    #[test]
    fn locale_decides_on_charset() {
        let of = |values: [Option<&str>; 3]| {
            Charset::of_locale(values.map(|value| value.map(str::as_bytes)))
        };
        for utf8 in ["C.UTF-8", "en_US.utf8", "de_DE.UTF-8@euro"] {
            assert_eq!(of([None, Some(utf8), None]), Charset::Unicode);
            assert_eq!(of([Some("C"), Some(utf8), Some(utf8)]), Charset::Ascii);
        }
        for other in ["C", "POSIX", "de_DE", "ja_JP.eucJP", "x.UTF-80"] {
            assert_eq!(of([Some(""), None, Some(other)]), Charset::Ascii);
        }
        assert_eq!(of([None, Some(""), None]), Charset::Unicode);
    }
}
