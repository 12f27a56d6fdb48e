//! Lookups by getent(1), which uses the system's C library and its name service
//! modules.

use std::ffi::{CStr, CString};
use std::path::Path;

use daemontools_core::number::parse_decimal;
use nix::errno::Errno;
use nix::unistd::Gid;
use unix::exec::PreparedExec;
use unix::output::read_output;

use super::{Database, files};

/// The result of a run of getent.
pub(super) enum Reply<T> {
    Found(T),
    NotFound,
    /// The system has no getent.
    NoGetent,
}

/// The places of getent. PATH is not searched: the programs run as root, in the
/// environment of others.
const GETENT: [&CStr; 2] = [c"/usr/bin/getent", c"/bin/getent"];

/// Some systems have a script as getent, which needs tools.
const ENVIRONMENT: [&CStr; 1] = [c"PATH=/usr/bin:/bin"];

/// The maximum length of an answer in bytes. The largest entries are groups of
/// many members.
const MAX_ANSWER: u64 = 16 << 20;

/// Looks up an entry by name. Errors: as [`read_output`]; EPROTO for an exit code
/// of getent that means neither found nor not found, and for a malformed entry.
pub(super) fn entry<T>(database: &Database<T>, name: &[u8]) -> Result<Reply<T>, Errno> {
    if name.iter().any(|byte| b":\n".contains(byte)) {
        // No entry can have such a name.
        return Ok(Reply::NotFound);
    }
    Ok(match run(database.name, name)? {
        Reply::Found(answer) => {
            let (found, ids) = complete_entry(database, &answer).ok_or(Errno::EPROTO)?;
            if is_same_name(name, found) {
                Reply::Found(ids)
            } else {
                // getent takes digits for an ID, and a script may take the name
                // for a pattern.
                Reply::NotFound
            }
        }
        Reply::NotFound => Reply::NotFound,
        Reply::NoGetent => Reply::NoGetent,
    })
}

/// Looks up the groups of which an account is a member. Errors: see [`entry`].
pub(super) fn initgroups(account: &[u8]) -> Result<Reply<Vec<Gid>>, Errno> {
    Ok(match run("initgroups", account)? {
        Reply::Found(answer) => Reply::Found(group_list(&answer, account).ok_or(Errno::EPROTO)?),
        Reply::NotFound => Reply::NotFound,
        Reply::NoGetent => Reply::NoGetent,
    })
}

fn run(database: &str, name: &[u8]) -> Result<Reply<Vec<u8>>, Errno> {
    let exists = |path: &&CStr| path.to_str().is_ok_and(|path| Path::new(path).exists());
    let Some(getent) = GETENT.into_iter().find(exists) else {
        return Ok(Reply::NoGetent);
    };
    // Neither of the words has a NUL.
    let database = CString::new(database).unwrap_or_default();
    let name = CString::new(name).unwrap_or_default();
    let mut words = vec![c"getent", &*database];
    if name.to_bytes().starts_with(b"-") {
        words.push(c"--");
    }
    words.push(&name);
    let program = PreparedExec::at(getent, &words, &ENVIRONMENT);
    match read_output(program, MAX_ANSWER)? {
        (0, answer) => Ok(Reply::Found(answer)),
        (2, _) => Ok(Reply::NotFound),
        _ => Err(Errno::EPROTO),
    }
}

/// The name and the IDs of an answer. None unless the answer is one line with all
/// fields, and the IDs consist of digits.
fn complete_entry<'a, T>(database: &Database<T>, answer: &'a [u8]) -> Option<(&'a [u8], T)> {
    let line = only_line(answer)?;
    let fields: Vec<_> = line.split(|&byte| byte == b':').collect();
    let numbers = fields.get(database.numbers.clone())?;
    let is_number = |field: &&[u8]| parse_decimal(field).is_some();
    if fields.len() != database.fields || !numbers.iter().all(is_number) {
        return None;
    }
    let (name, rest) = files::entry(line)?;
    Some((name, (database.ids)(rest)?))
}

/// The text of an answer of one line. None for any other number of lines, and for
/// a NUL.
fn only_line(answer: &[u8]) -> Option<&[u8]> {
    let line = answer.strip_suffix(b"\n")?;
    (!line.iter().any(|byte| b"\0\n".contains(byte))).then_some(line)
}

/// Whether an entry has the name that was looked up. Directory services ignore
/// case, and add or remove the domain of `user@domain` and `DOMAIN\user`.
fn is_same_name(wanted: &[u8], found: &[u8]) -> bool {
    let is_same = |left: &[u8], right: &[u8]| left.eq_ignore_ascii_case(right);
    is_same(wanted, found)
        || is_same(without_domain(wanted), found)
        || is_same(wanted, without_domain(found))
}

fn without_domain(name: &[u8]) -> &[u8] {
    let user = match name.iter().position(|&byte| byte == b'\\') {
        Some(backslash) => name.get(backslash + 1..),
        None => name.split(|&byte| byte == b'@').next(),
    };
    user.filter(|user| !user.is_empty()).unwrap_or(name)
}

/// The groups in a line of the form `account gid gid …`.
fn group_list(answer: &[u8], account: &[u8]) -> Option<Vec<Gid>> {
    let numbers = only_line(answer)?.strip_prefix(account)?;
    let numbers = numbers.split(|&byte| byte == b' ');
    let numbers = numbers.filter(|number| !number.is_empty());
    numbers
        .map(|number| {
            let number = parse_decimal(number)?;
            u32::try_from(number).ok().map(Gid::from_raw)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{GROUP, PASSWD};
    use super::*;

    #[test]
    fn names_may_differ_in_case_and_domain() {
        for (wanted, found) in [
            ("web", "web"),
            ("Web", "wEB"),
            ("web", "web@example.org"),
            ("web@example.org", "web"),
            ("EXAMPLE\\web", "web"),
            ("web", "EXAMPLE\\Web"),
        ] {
            assert!(is_same_name(wanted.as_bytes(), found.as_bytes()));
        }
        for (wanted, found) in [
            ("0", "root"),
            ("w.b", "web"),
            ("web", "webs"),
            ("web@example.org", "web@example.net"),
            ("@example.org", ""),
            ("\\", ""),
            ("", "web"),
        ] {
            assert!(!is_same_name(wanted.as_bytes(), found.as_bytes()));
        }
    }

    #[test]
    fn answer_is_one_complete_entry() {
        let user = |answer: &str| {
            let (name, (uid, gid)) = complete_entry(&PASSWD, answer.as_bytes())?;
            Some((name.to_owned(), uid.as_raw(), gid.as_raw()))
        };
        assert_eq!(
            user("web:*:1:2:g:/:/bin/sh\n"),
            Some((b"web".to_vec(), 1, 2))
        );
        for answer in [
            "",
            "\n",
            "web:*:1:2:g:/:/bin/sh",
            "web:*:1:2:g:/:/bin/sh\n\n",
            "web:*:1:2:g:/:/bin/sh\nroot:*:0:0::/:\n",
            "web:*:0:0:1:2:g:/:/bin/sh\n",
            "web:*:1:2:g:/\n",
            "web:*: 1:2:g:/:/bin/sh\n",
            "web:*:1:-2:g:/:/bin/sh\n",
            "web:*:1:4294967296:g:/:/bin/sh\n",
            "web:*:1:2\0:g:/:/bin/sh\n",
        ] {
            assert_eq!(user(answer), None, "{answer:?}");
        }
        let group = |answer: &str| complete_entry(&GROUP, answer.as_bytes()).map(|(_, gid)| gid);
        assert_eq!(group("web:*:7:a,b\n"), Some(Gid::from_raw(7)));
        assert_eq!(group("web:*:7\n"), None);
    }

    #[test]
    fn group_list_is_read_whole() {
        let groups = |text: &str| {
            let groups = group_list(text.as_bytes(), b"web")?;
            Some(groups.into_iter().map(Gid::as_raw).collect::<Vec<_>>())
        };
        assert_eq!(groups("web        \n"), Some(vec![]));
        assert_eq!(groups("web        7 8\n"), Some(vec![7, 8]));
        for text in [
            "",
            "web 7",
            "wed 7\n",
            "web 7\n8\n",
            "web 7x\n",
            "web -1\n",
            "web 4294967296\n",
        ] {
            assert_eq!(groups(text), None, "{text:?}");
        }
    }
}
