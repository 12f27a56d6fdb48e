//! A model of the directories that a disk may hold after power loss.
//!
//! The model knows calls, not disks. Data that was written and not fsynced is
//! present, missing, or cut. Changes of names and modes reach the disk in
//! their order, up to any point. With a journal ([`Journal::Kept`]), an fsync
//! of any file makes all earlier changes safe. Without a journal
//! ([`Journal::None`]), an fsync has no effect on names and modes. btrfs
//! ([`Journal::Inodes`]) keeps text and mode of a file together, as of its own fsync,
//! and may keep a later change of another name.

use std::collections::{BTreeMap, BTreeSet};

/// A successful call on files, by their names in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Creates a file with this mode.
    Make(String, u32),
    /// Appends bytes to a file.
    Write(String, Vec<u8>),
    /// fsync.
    Sync(String),
    Mode(String, u32),
    Rename(String, String),
    Link(String, String),
    Unlink(String),
}

/// The effect of an fsync on names and modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Journal {
    /// Earlier changes are safe.
    Kept,
    /// Earlier names are safe, and text and mode of this file, but no other mode.
    Inodes,
    /// No effect.
    None,
}

/// The files of a directory after power loss: for each name the number of its
/// file, the mode and the text.
pub(super) type Wreck = BTreeMap<String, (usize, u32, Vec<u8>)>;

/// A file, which may have several names or none.
#[derive(Clone, Debug)]
struct File {
    text: Vec<u8>,
    /// The number of bytes that are safe.
    safe: usize,
    /// The mode at the last fsync of the file, or at its creation.
    safe_mode: u32,
}

/// A change of a name or mode.
#[derive(Clone, Debug)]
enum Change {
    Name(String, usize),
    Unname(String),
    Move(String, String),
    Mode(usize, u32),
}

/// The names and modes of files.
#[derive(Clone, Debug, Default)]
struct Table {
    names: BTreeMap<String, usize>,
    modes: BTreeMap<usize, u32>,
}

impl Table {
    fn change(&mut self, change: &Change) {
        match change {
            Change::Name(name, file) => {
                self.names.insert(name.clone(), *file);
            }
            Change::Unname(name) => {
                self.names.remove(name);
            }
            Change::Move(from, to) => {
                let file = self.names.remove(from).unwrap();
                self.names.insert(to.clone(), file);
            }
            Change::Mode(file, mode) => {
                self.modes.insert(*file, *mode);
            }
        }
    }
}

/// A directory with its history of changes.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    journal: Journal,
    files: Vec<File>,
    /// The names and modes that programs see.
    now: Table,
    /// The names and modes at the start, which are safe.
    begin: Table,
    changes: Vec<Change>,
    /// The number of safe changes.
    safe: usize,
}

impl Directory {
    /// A directory with safe files: name, mode and text.
    pub(super) fn new(journal: Journal, files: &[(&str, u32, &str)]) -> Self {
        let mut begin = Table::default();
        for (number, (name, mode, _)) in files.iter().enumerate() {
            begin.change(&Change::Name((*name).to_owned(), number));
            begin.change(&Change::Mode(number, *mode));
        }
        let file = |(_, mode, text): &(&str, u32, &str)| File {
            text: text.as_bytes().to_vec(),
            safe: text.len(),
            safe_mode: *mode,
        };
        Directory {
            journal,
            files: files.iter().map(file).collect(),
            now: begin.clone(),
            begin,
            changes: Vec::new(),
            safe: 0,
        }
    }

    pub(super) fn call(&mut self, call: &Call) {
        let change = match call {
            Call::Make(name, mode) => {
                assert!(!self.now.names.contains_key(name), "{name} exists");
                let number = self.files.len();
                self.files.push(File {
                    text: Vec::new(),
                    safe: 0,
                    safe_mode: *mode,
                });
                self.change(Change::Mode(number, *mode));
                Change::Name(name.clone(), number)
            }
            Call::Write(name, bytes) => {
                let file = self.file(name);
                self.files[file].text.extend(bytes);
                return;
            }
            Call::Sync(name) => {
                let file = self.file(name);
                self.files[file].safe = self.files[file].text.len();
                self.files[file].safe_mode = self.now.modes[&file];
                if self.journal != Journal::None {
                    self.safe = self.changes.len();
                }
                return;
            }
            Call::Mode(name, mode) => Change::Mode(self.file(name), *mode),
            Call::Rename(from, to) => Change::Move(from.clone(), to.clone()),
            Call::Link(from, to) => Change::Name(to.clone(), self.file(from)),
            Call::Unlink(name) => Change::Unname(name.clone()),
        };
        self.change(change);
    }

    /// The possible directories if power is lost now.
    pub(super) fn wrecks(&self) -> BTreeSet<Wreck> {
        let mut table = self.begin.clone();
        let mut wrecks = BTreeSet::new();
        for done in 0..=self.changes.len() {
            if let Some(last) = done.checked_sub(1) {
                table.change(&self.changes[last]);
            }
            if done >= self.safe && self.journal == Journal::Inodes {
                let mut table = table.clone();
                for (file, mode) in &mut table.modes {
                    *mode = self.files[*file].safe_mode;
                }
                wrecks.insert(self.wreck(&table, 0));
            }
            if done >= self.safe {
                for part in 0..=2 {
                    wrecks.insert(self.wreck(&table, part));
                }
            }
        }
        wrecks
    }

    /// The safe texts of the files that must have a name in `wreck`.
    pub(super) fn safe_texts<'a>(&'a self, wreck: &'a Wreck) -> impl Iterator<Item = &'a [u8]> {
        let named = |file: &usize| wreck.values().any(|(number, ..)| number == file);
        let all = self.journal != Journal::None;
        let files = self.files.iter().enumerate();
        files
            .filter(move |(number, _)| all || named(number))
            .map(|(_, file)| &file.text[..file.safe])
    }

    /// The wreck that keeps 0, 1 or 2 halves of the unsafe data of each file.
    fn wreck(&self, table: &Table, halves: usize) -> Wreck {
        let entry = |(name, &number): (&String, &usize)| {
            let File { text, safe, .. } = &self.files[number];
            let left = safe + (text.len() - safe) * halves / 2;
            (
                name.clone(),
                (number, table.modes[&number], text[..left].to_vec()),
            )
        };
        table.names.iter().map(entry).collect()
    }

    fn change(&mut self, change: Change) {
        self.now.change(&change);
        self.changes.push(change);
    }

    fn file(&self, name: &str) -> usize {
        let file = self.now.names.get(name);
        *file.unwrap_or_else(|| panic!("there is no {name}"))
    }
}

/// Joins consecutive writes to the same file.
pub(super) fn joined(calls: Vec<Call>) -> Vec<Call> {
    let mut joined: Vec<Call> = Vec::new();
    for call in calls {
        match (joined.last_mut(), call) {
            (Some(Call::Write(last, text)), Call::Write(name, more)) if *last == name => {
                text.extend(more);
            }
            (_, call) => joined.push(call),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wrecks, each as its names, modes and texts.
    fn wrecks(journal: Journal, calls: &[Call]) -> Vec<String> {
        let mut directory = Directory::new(journal, &[("a", 0o644, "old")]);
        for call in calls {
            directory.call(call);
        }
        let show = |wreck: &Wreck| {
            let entry = |(name, (_, mode, text)): (&String, &(usize, u32, Vec<u8>))| {
                format!("{name} {mode:o} {}", String::from_utf8_lossy(text))
            };
            wreck.iter().map(entry).collect::<Vec<_>>().join(", ")
        };
        directory.wrecks().iter().map(show).collect()
    }

    fn write(text: &str) -> Call {
        Call::Write("a".into(), text.into())
    }

    #[test]
    fn unsynced_data_may_be_missing_or_cut() {
        let seen = wrecks(Journal::Kept, &[write("new!")]);
        assert_eq!(seen, ["a 644 old", "a 644 oldne", "a 644 oldnew!"]);
        let seen = wrecks(Journal::Kept, &[write("new!"), Call::Sync("a".into())]);
        assert_eq!(seen, ["a 644 oldnew!"]);
    }

    #[test]
    fn names_and_modes_are_lost_newest_first() {
        let calls = [
            Call::Rename("a".into(), "b".into()),
            Call::Mode("b".into(), 0o744),
            Call::Link("b".into(), "c".into()),
            Call::Unlink("b".into()),
        ];
        let mut seen = wrecks(Journal::None, &calls);
        seen.sort();
        let expected = [
            "a 644 old",
            "b 644 old",
            "b 744 old",
            "b 744 old, c 744 old",
            "c 744 old",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn journal_keeps_names_at_fsync() {
        let calls = [Call::Make("b".into(), 0o600), Call::Sync("a".into())];
        assert_eq!(wrecks(Journal::Kept, &calls), ["a 644 old, b 600 "]);
        let seen = wrecks(Journal::None, &calls);
        assert_eq!(seen, ["a 644 old", "a 644 old, b 600 "]);
    }

    #[test]
    fn btrfs_loses_mode_before_later_name() {
        let calls = [
            Call::Make("b".into(), 0o600),
            Call::Sync("b".into()),
            Call::Mode("b".into(), 0o744),
            Call::Unlink("a".into()),
        ];
        let seen = wrecks(Journal::Inodes, &calls);
        let expected = ["a 644 old, b 600 ", "a 644 old, b 744 ", "b 600 ", "b 744 "];
        assert_eq!(seen, expected);
        let mut calls = calls.to_vec();
        calls.insert(3, Call::Sync("b".into()));
        let seen = wrecks(Journal::Inodes, &calls);
        assert_eq!(seen, ["a 644 old, b 744 ", "b 744 "]);
    }

    #[test]
    fn hard_links_share_their_text() {
        let calls = [
            Call::Link("a".into(), "b".into()),
            Call::Sync("a".into()),
            write("er"),
        ];
        let seen = wrecks(Journal::Kept, &calls);
        let expected = [
            "a 644 old, b 644 old",
            "a 644 olde, b 644 olde",
            "a 644 older, b 644 older",
        ];
        assert_eq!(seen, expected);
    }
}
