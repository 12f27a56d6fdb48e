//! The sources of a database, in `/etc/nsswitch.conf`.
//!
//! Only plain lines are interpreted here. For all others, getent(1) knows the
//! rules of the system's C library, which differ between versions.

use nix::errno::Errno;

use super::files::{find_line, is_space, open, trim_start};

/// The sources of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sources {
    /// The file in /etc alone.
    Files,
    /// The file in /etc, whose entries are final, then others.
    FilesFirst,
    /// Any others.
    System,
}

/// The sources of the last of these databases that the file mentions. As in
/// glibc, the last line of a database counts. Default: the file in /etc.
///
/// Errors: as open(2) and read(2). As in glibc, a missing or inaccessible file
/// is empty.
pub(super) fn sources(databases: &[&str]) -> Result<Sources, Errno> {
    let mut configuration = Configuration::new(databases);
    let file = match open("/etc/nsswitch.conf") {
        Err(Errno::ENOENT | Errno::EACCES) => return Ok(Sources::Files),
        file => file?,
    };
    let found = find_line(file, |line| configuration.read(line))?;
    Ok(found.unwrap_or_else(|| configuration.sources()))
}

/// The lines read so far.
struct Configuration<'a> {
    databases: &'a [&'a str],
    /// The sources of the databases.
    found: Vec<Option<Sources>>,
}

impl<'a> Configuration<'a> {
    fn new(databases: &'a [&'a str]) -> Self {
        let found = vec![None; databases.len()];
        Configuration { databases, found }
    }

    /// Reads a line. Returns [`Sources::System`] for a line that glibc refuses
    /// together with the whole file, and for a line that its versions read
    /// differently.
    fn read(&mut self, line: &[u8]) -> Option<Sources> {
        let text = trim_start(line);
        if text.starts_with(b"#") {
            return None;
        }
        let is_end = |&byte: &u8| byte == b':' || is_space(byte);
        let end = text.iter().position(is_end).unwrap_or(text.len());
        let (database, rest) = text.split_at_checked(end)?;
        let is_wanted = |wanted: &&str| wanted.as_bytes() == database;
        let index = self.databases.iter().position(is_wanted);
        let sources = parse(rest);
        // glibc 2.36 ignores a last line without a newline.
        let is_cut = index.is_some() && !line.ends_with(b"\n");
        if sources.is_none() || is_cut {
            return Some(Sources::System);
        }
        if let Some(found) = index.and_then(|index| self.found.get_mut(index)) {
            *found = sources;
        }
        None
    }

    fn sources(&self) -> Sources {
        let last = self.found.iter().rev().find_map(|&found| found);
        last.unwrap_or(Sources::Files)
    }
}

/// The sources of a line, from the end of the database's name. None for a
/// malformed line.
fn parse(text: &[u8]) -> Option<Sources> {
    let mut text = trim_start(text.strip_prefix(b":").unwrap_or(text));
    if text.contains(&0) {
        return None;
    }
    let mut services = Vec::new();
    let mut keeps_success = true;
    while let Some(&first) = text.first() {
        if first == b'[' {
            // Actions follow a service.
            services.last()?;
            let end = text.iter().position(|&byte| byte == b']')?;
            keeps_success &= keeps_default_of_success(text.get(1..end)?)?;
            text = text.get(end + 1..)?;
        } else {
            let is_end = |&byte: &u8| byte == b'[' || is_space(byte);
            let end = text.iter().position(is_end).unwrap_or(text.len());
            services.push(text.get(..end)?);
            text = text.get(end..)?;
        }
        text = trim_start(text);
    }
    Some(match *services {
        [b"files"] if keeps_success => Sources::Files,
        [b"files", ..] if keeps_success => Sources::FilesFirst,
        _ => Sources::System,
    })
}

/// Parses the actions in brackets, such as `NOTFOUND=return`. False if an action
/// may apply to an entry that was found. None for malformed actions.
fn keeps_default_of_success(actions: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(actions).ok()?.to_ascii_lowercase();
    let mut words = text.split_ascii_whitespace().peekable();
    words.peek()?;
    let mut keeps = true;
    for word in words {
        let (status, action) = word.split_once('=')?;
        let negated = status.strip_prefix('!');
        keeps &= match negated.unwrap_or(status) {
            "success" => false,
            "notfound" | "unavail" | "tryagain" => negated.is_none(),
            _ => return None,
        };
        if !matches!(action, "return" | "continue" | "merge") {
            return None;
        }
    }
    Some(keeps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str, databases: &[&str]) -> Sources {
        let mut configuration = Configuration::new(databases);
        let mut lines = text.split_inclusive('\n');
        let found = lines.find_map(|line| configuration.read(line.as_bytes()));
        found.unwrap_or_else(|| configuration.sources())
    }

    #[test]
    fn plain_lines_have_files_alone_or_first() {
        use Sources::{Files, FilesFirst};
        for (text, expected) in [
            ("", Files),
            (" #passwd: sss\n", Files),
            ("group: sss\nPasswd: sss\nhosts: files dns\n", Files),
            ("passwd: files\n", Files),
            (" \tpasswd:\tfiles \n", Files),
            ("passwd files\n", Files),
            ("passwd: sss\npasswd: files\n", Files),
            ("passwd: files [NOTFOUND=return]\n", Files),
            ("passwd: files\nhosts: files [SUCCESS=merge] dns\n", Files),
            ("passwd: files systemd\n", FilesFirst),
            // Only a line that begins with a hash is a comment in glibc 2.36.
            ("passwd: files # sss\n", FilesFirst),
            ("passwd: files\x0bsss\r\n", FilesFirst),
            ("passwd: files [NOTFOUND=return] sss\n", FilesFirst),
            (
                "passwd: files[unavail=Continue TRYAGAIN=return]sss\n",
                FilesFirst,
            ),
            (
                "passwd: files sss\nhosts: files [!UNAVAIL=return] dns\n",
                FilesFirst,
            ),
        ] {
            assert_eq!(sources(text, &["passwd"]), expected, "{text:?}");
        }
    }

    #[test]
    fn all_other_lines_need_getent() {
        for text in [
            "passwd:\n",
            "passwd\n",
            "passwd : files\n",
            "passwd: sss files\n",
            "passwd: compat\n",
            "passwd: files\npasswd: sss\n",
            "passwd: files,sss\n",
            "passwd: Files\n",
            "passwd: files",
            "passwd: files [SUCCESS=continue] sss\n",
            "passwd: files [SUCCESS=continue]\n",
            "passwd: files [SUCCESS=merge] sss\n",
            "passwd: files [!NOTFOUND=return] sss\n",
            "passwd: files [NOTFOUND = return] sss\n",
            "passwd: files [bogus=return] sss\n",
            "group: files [NOTFOUND=bogus] sss\n",
            "passwd: [NOTFOUND=return] files\n",
            "passwd: files [NOTFOUND=return\n",
            "passwd: files []\n",
            "passwd: files\nhosts: files [dns\n",
            "passwd: files\0\n",
        ] {
            assert_eq!(sources(text, &["passwd"]), Sources::System, "{text:?}");
        }
    }

    #[test]
    fn initgroups_precedes_group() {
        let databases = ["group", "initgroups"];
        let text = "initgroups: files sss\ngroup: files\n";
        assert_eq!(sources(text, &databases), Sources::FilesFirst);
        assert_eq!(sources("group: sss\n", &databases), Sources::System);
    }
}
