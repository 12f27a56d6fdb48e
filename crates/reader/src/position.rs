//! The place after a line in a log directory.

use daemontools_core::label::Label;

/// The identity of a file, which a rename keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
}

/// The place after the last line that a reader returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The file.
    pub file: FileId,
    /// The label in the file's name. None: the file is `current`, or between
    /// `current` and its old name.
    pub label: Option<Label>,
    /// The number of bytes before the place; of a compressed file, the number of
    /// uncompressed bytes.
    pub offset: u64,
    /// The time of the last line with a stamp. None: no line had one.
    pub time: Option<Label>,
    /// The time of the file's first line. None: the line has no stamp.
    ///
    /// Many lines of a service end in the same bytes, and then the check of
    /// another file may be equal as well.
    pub first: Option<Label>,
    /// The [`check`] of the bytes before the place.
    ///
    /// A file system gives the inode of a removed file to a new file at once, and
    /// a processor replaces a file by a copy with another inode. The check
    /// distinguishes the file from others: the reader continues in a file only
    /// if the bytes before the place have this check.
    pub check: u64,
}

/// The number of bytes before a place that its check covers; fewer at the start
/// of a file. Lines may have long equal ends; most have their stamps in this
/// many bytes.
pub const CHECKED: usize = 512;

/// The check of the last [`CHECKED`] bytes of `before`, the bytes before a place:
/// 64-bit FNV-1a.
pub fn check(before: &[u8]) -> u64 {
    let start = before.len().saturating_sub(CHECKED);
    fnv1a(before.get(start..).unwrap_or_default())
}

/// 64-bit FNV-1a, which is the same on every machine.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_covers_the_last_bytes() {
        // The values are those of the algorithm's authors.
        assert_eq!(check(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(check(b"a"), 0xaf63_dc4c_8601_ec8c);
        let long = [b'x'; CHECKED + 1];
        assert_eq!(check(&long), check(&long[1..]));
        assert_ne!(check(&long), check(&long[2..]));
    }
}
