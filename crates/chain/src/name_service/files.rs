//! The files passwd and group, read as glibc 2.36 does.

use std::fs::File;
use std::io::{BufRead, BufReader};

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

/// The file of groups.
pub(super) const GROUP_FILE: &str = "/etc/group";

/// Opens a file for reading. Errors: as open(2).
pub(super) fn open(path: &str) -> Result<File, Errno> {
    File::open(path).map_err(|error| unix::errno(&error))
}

/// Calls `read` with each line of a file, newline included, until `read` returns
/// a value. Needs memory for one line at a time, because memory may be limited.
/// Errors: as read(2).
pub(super) fn find_line<T>(
    file: File,
    mut read: impl FnMut(&[u8]) -> Option<T>,
) -> Result<Option<T>, Errno> {
    let mut file = BufReader::with_capacity(4096, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = file.read_until(b'\n', &mut line);
        if length.map_err(|error| unix::errno(&error))? == 0 {
            return Ok(None);
        }
        if let Some(value) = read(&line) {
            return Ok(Some(value));
        }
    }
}

/// The name of an entry, and the text after its second field. None for a comment,
/// for an entry of compat mode (`+` and `-`), and for a line without two colons.
///
/// Spaces before the name are ignored. A NUL ends the line.
pub(super) fn entry(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = line.iter().position(|byte| b"\0\n".contains(byte));
    let line = trim_start(line.get(..end.unwrap_or(line.len()))?);
    if matches!(line, [b'#' | b'+' | b'-', ..]) {
        return None;
    }
    let (name, rest) = split_field(line)?;
    let (_password, rest) = split_field(rest)?;
    Some((name, rest))
}

/// The user ID and the group ID at the start of the third field of passwd.
pub(super) fn user_and_group_id(rest: &[u8]) -> Option<(Uid, Gid)> {
    let (user, rest) = id(rest)?;
    let (group, _) = id(rest?)?;
    Some((Uid::from_raw(user), Gid::from_raw(group)))
}

/// The group ID at the start of the third field of group.
pub(super) fn group_id(rest: &[u8]) -> Option<Gid> {
    id(rest).map(|(group, _)| Gid::from_raw(group))
}

/// The groups in the file of which the account is a member.
pub(super) fn groups_with(account: &[u8]) -> Result<Vec<Gid>, Errno> {
    groups_in(open(GROUP_FILE)?, account)
}

fn groups_in(file: File, account: &[u8]) -> Result<Vec<Gid>, Errno> {
    let mut groups = Vec::new();
    let no_more: Option<()> = find_line(file, |line| {
        let (_, rest) = entry(line)?;
        let (group, members) = id(rest)?;
        let mut members = members.unwrap_or_default().split(|&byte| byte == b',');
        if members.any(|member| trim_start(member) == account) {
            groups.push(Gid::from_raw(group));
        }
        None
    })?;
    debug_assert!(no_more.is_none());
    Ok(groups)
}

/// The number of a field, and the text after its colon. None as the text if the
/// field is the last one.
///
/// The number is read as strtoul(3) does, with spaces and a sign. None for a
/// number above 32 bits, and for further characters in the field.
fn id(text: &[u8]) -> Option<(u32, Option<&[u8]>)> {
    let text = trim_start(text);
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let (digits, rest) = digits.split_at_checked(length.count())?;
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let number = if negative {
        number.wrapping_neg()
    } else {
        number
    };
    let rest = match rest {
        [] => None,
        [b':', rest @ ..] => Some(rest),
        _ => return None,
    };
    Some((u32::try_from(number).ok()?, rest))
}

/// The text up to the first colon, and the text after it.
fn split_field(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = text.iter().position(|&byte| byte == b':')?;
    Some((text.get(..colon)?, text.get(colon + 1..)?))
}

/// The text without the spaces at its start.
pub(super) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text {
        if !is_space(*first) {
            break;
        }
        text = rest;
    }
    text
}

/// Whether isspace(3) holds for the byte in the C locale.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    fn user(line: &str) -> Option<(&[u8], u32, u32)> {
        let (name, rest) = entry(line.as_bytes())?;
        let (user, group) = user_and_group_id(rest)?;
        Some((name, user.as_raw(), group.as_raw()))
    }

    #[test]
    fn entries_are_read_as_by_glibc() {
        for line in [
            "a:x:1:2:g:d:s\n",
            "a:x:1:2",
            "a::1:2:",
            " \t\r\x0b\x0ca:x:1:2:",
            "a:x: 1:\t+2:",
            "a:x:1:2:\0:",
            "a:x:1:2\0x",
            "a:x:-18446744073709551615:2",
        ] {
            assert_eq!(user(line), Some((&b"a"[..], 1, 2)), "{line:?}");
        }
        assert_eq!(user("a :x:0:4294967295"), Some((&b"a "[..], 0, u32::MAX)));
        assert_eq!(user(":x:1:2"), Some((&b""[..], 1, 2)));
        for line in [
            "",
            "\n",
            "a",
            "a:x",
            "a:x:1",
            "a:x:1:",
            "a:x::2",
            "a:x:1 :2",
            "a:x:1:2 ",
            "a:x:1:2\r\n",
            "a:x:-1:2",
            "a:x:--1:2",
            "a:x:- 1:2",
            "a:x:+:2",
            "a:x:0x1:2",
            "a:x:4294967296:2",
            "a:x:18446744073709551616:2",
            "a:x:1\0:2",
            "#a:x:1:2",
            " #a:x:1:2",
            "+a:x:1:2",
            "-a:x:1:2",
            "+",
        ] {
            assert_eq!(user(line), None, "{line:?}");
        }
    }

    #[test]
    fn members_are_separated_by_commas() {
        let mut file = tempfile::tempfile().unwrap();
        let text = "one:x:1:web\ntwo:x:2:a,web,b\nthree:x:3:webs,we\nfour:x:4: web\n\
            #five:x:5:web\nsix:x:6:\nseven:x:7\nbad:x:x:web\nlast:x:8:b,web";
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        let groups = groups_in(file, b"web").unwrap();
        let groups: Vec<_> = groups.into_iter().map(Gid::as_raw).collect();
        assert_eq!(groups, [1, 2, 4, 8]);
    }

    #[test]
    fn lines_are_read_up_to_the_value() {
        let mut file = tempfile::tempfile().unwrap();
        let long = "x".repeat(10_000);
        write!(file, "{long}\nb\nc").unwrap();
        for wanted in [&format!("{long}\n")[..], "b\n", "c"] {
            file.rewind().unwrap();
            let mut seen = 0;
            let found = find_line(file.try_clone().unwrap(), |line| {
                seen += 1;
                (line == wanted.as_bytes()).then_some(line.len())
            });
            assert_eq!(found, Ok(Some(wanted.len())));
            assert!(seen <= 3);
        }
        file.rewind().unwrap();
        assert_eq!(find_line(file, |_| None::<()>), Ok(None));
    }
}
