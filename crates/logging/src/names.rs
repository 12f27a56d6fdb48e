//! The file names and modes in a log directory.

use std::ffi::{CStr, CString};

use daemontools_core::label::TEXT;
use nix::sys::stat::Mode;

/// The mode of a file that is being written.
pub(crate) const UNFINISHED: Mode = Mode::from_bits_truncate(0o644);
/// The mode of a finished file.
pub(crate) const FINISHED: Mode = Mode::from_bits_truncate(0o744);

/// Locked (flock) while the directory is open; mode 0600.
pub const LOCK: &CStr = c"lock";
/// The file to which lines are appended.
pub const CURRENT: &CStr = c"current";
/// The last `current`, until it is linked to its label or processed.
pub const PREVIOUS: &CStr = c"previous";
/// The output of the processor for `previous`; finished once synced.
pub const PROCESSED: &CStr = c"processed";
/// The state that the processor stored in its last run.
pub const STATE: &CStr = c"state";
/// The state for the next run, while the processor is running.
pub const NEWSTATE: &CStr = c"newstate";

/// The end of an old file's name, after its label and a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suffix<'a> {
    /// `s`: complete and synced to disk.
    Safe,
    /// Complete, synced and processed. Default: `s`, as in 0.76.
    Processed(&'a [u8]),
    /// `u`: cut short by a crash, or not processed yet.
    Unfinished,
    /// `t`: the unfinished output of svlogd's processor.
    InProgress,
}

/// The maximum length of a suffix, in bytes.
pub const MAX_SUFFIX_LEN: usize = 16;

impl<'a> Suffix<'a> {
    /// The suffix of processed files, if `suffix` is valid: 1 to 16 letters,
    /// digits, dots, hyphens and underscores, but not `u` or `t`.
    #[must_use]
    pub fn processed(suffix: &'a [u8]) -> Option<Self> {
        let reserved = [Suffix::Unfinished, Suffix::InProgress];
        let is_valid = (1..=MAX_SUFFIX_LEN).contains(&suffix.len())
            && suffix
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
            && reserved.iter().all(|other| other.bytes() != suffix);
        is_valid.then_some(Suffix::Processed(suffix))
    }

    /// The bytes after the dot.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Suffix::Safe => b"s",
            Suffix::Processed(suffix) => suffix,
            Suffix::Unfinished => b"u",
            Suffix::InProgress => b"t",
        }
    }

    /// The suffix of an old file of svlogd; None for other suffixes.
    #[must_use]
    pub fn of_name(name: &CStr) -> Option<Self> {
        [Suffix::Safe, Suffix::Unfinished, Suffix::InProgress]
            .into_iter()
            .find(|suffix| {
                let before = name.to_bytes().strip_suffix(suffix.bytes());
                before.is_some_and(|before| before.ends_with(b"."))
            })
    }

    /// The name of an old file with this suffix, and with the label at the
    /// start of `name`.
    #[must_use]
    pub fn name(self, name: &[u8]) -> CString {
        let label = name.get(..TEXT).unwrap_or(name);
        CString::new([label, b".", self.bytes()].concat()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_and_unsafe_suffixes_are_rejected() {
        for suffix in ["s", "gz", "tar.gz", "x-z_9", "uu", "0123456789abcdef"] {
            let suffix = suffix.as_bytes();
            assert_eq!(Suffix::processed(suffix), Some(Suffix::Processed(suffix)));
        }
        for suffix in [
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
            assert_eq!(Suffix::processed(suffix.as_bytes()), None, "{suffix}");
        }
    }

    #[test]
    fn name_is_label_dot_suffix() {
        let label = b"@400000003b9aca0a000001f4";
        for (suffix, name) in [
            (Suffix::Safe, c"@400000003b9aca0a000001f4.s"),
            (Suffix::Unfinished, c"@400000003b9aca0a000001f4.u"),
            (Suffix::InProgress, c"@400000003b9aca0a000001f4.t"),
        ] {
            assert_eq!(suffix.name(label).as_c_str(), name);
            assert_eq!(suffix.name(name.to_bytes()).as_c_str(), name);
            assert_eq!(Suffix::of_name(name), Some(suffix));
        }
        let name = Suffix::Processed(b"gz").name(label);
        assert_eq!(name.as_c_str(), c"@400000003b9aca0a000001f4.gz");
        assert_eq!(Suffix::of_name(&name), None);
    }
}
