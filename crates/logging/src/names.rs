//! The names in a log directory, each written once.

use std::ffi::{CStr, CString};

use daemontools_core::label::TEXT;

/// Locked (flock) for as long as the directory is written to, mode 0600.
pub const LOCK: &CStr = c"lock";
/// The file that lines are appended to: mode 0644 while it is written, 0744
/// once it is finished.
pub const CURRENT: &CStr = c"current";
/// What was `current`, until it has its label or its processor is done.
pub const PREVIOUS: &CStr = c"previous";
/// What the processor makes of `previous`; mode 0744 once that is safe.
pub const PROCESSED: &CStr = c"processed";
/// What the processor is to know of its last run.
pub const STATE: &CStr = c"state";
/// What it is to know the next time, until it is done.
pub const NEWSTATE: &CStr = c"newstate";

/// The end of an old file's name, after its label and a dot: what is known of
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suffix<'a> {
    /// `s`: it is complete, and safely on disk.
    Safe,
    /// So is it, and a processor has made it; `s` too, unless the directory's
    /// terms have another code.
    Processed(&'a [u8]),
    /// `u`: a crash cut it short, or no processor has seen it.
    Unfinished,
    /// `t`: svlogd's processor is making it.
    InProgress,
}

impl<'a> Suffix<'a> {
    /// The code of what a processor has made, if `code` can be one: 1 to 16
    /// letters, digits, dots, hyphens and underscores that mean nothing else.
    #[must_use]
    pub fn processed(code: &'a [u8]) -> Option<Self> {
        let others = [Suffix::Unfinished, Suffix::InProgress];
        let sound = (1..=MAX_SUFFIX_LEN).contains(&code.len())
            && code
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
            && others.iter().all(|other| other.bytes() != code);
        sound.then_some(Suffix::Processed(code))
    }

    /// The bytes after the dot.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Suffix::Safe => b"s",
            Suffix::Processed(code) => code,
            Suffix::Unfinished => b"u",
            Suffix::InProgress => b"t",
        }
    }

    /// What the name of an old file says of it to svlogd, if it says something.
    #[must_use]
    pub fn of_name(name: &CStr) -> Option<Self> {
        [Suffix::Safe, Suffix::Unfinished, Suffix::InProgress]
            .into_iter()
            .find(|code| {
                let before = name.to_bytes().strip_suffix(code.bytes());
                before.is_some_and(|before| before.ends_with(b"."))
            })
    }

    /// The name of an old file whose label begins `name`.
    #[must_use]
    pub fn name(self, name: &[u8]) -> CString {
        let label = name.get(..TEXT).unwrap_or(name);
        CString::new([label, b".", self.bytes()].concat()).unwrap_or_default()
    }
}

/// The most bytes that a code has.
pub const MAX_SUFFIX_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_processed_files_is_short_plain_and_no_other_one() {
        for code in ["s", "gz", "tar.gz", "x-z_9", "uu", "0123456789abcdef"] {
            let code = code.as_bytes();
            assert_eq!(Suffix::processed(code), Some(Suffix::Processed(code)));
        }
        for code in [
            "",
            "u",
            "t",
            "/",
            "g/z",
            "g z",
            "g\n",
            "\u{fc}",
            "0123456789abcdefg",
        ] {
            assert_eq!(Suffix::processed(code.as_bytes()), None, "{code}");
        }
    }

    #[test]
    fn a_name_is_a_label_a_dot_and_a_code() {
        let label = b"@400000003b9aca0a000001f4";
        for (code, name) in [
            (Suffix::Safe, c"@400000003b9aca0a000001f4.s"),
            (Suffix::Unfinished, c"@400000003b9aca0a000001f4.u"),
            (Suffix::InProgress, c"@400000003b9aca0a000001f4.t"),
        ] {
            assert_eq!(code.name(label).as_c_str(), name);
            assert_eq!(code.name(name.to_bytes()).as_c_str(), name);
            assert_eq!(Suffix::of_name(name), Some(code));
        }
        let name = Suffix::Processed(b"gz").name(label);
        assert_eq!(name.as_c_str(), c"@400000003b9aca0a000001f4.gz");
        assert_eq!(Suffix::of_name(&name), None);
    }
}
