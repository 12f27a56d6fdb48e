//! The labels that a watch reports.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use daemontools_core::label::Label;
use logging::names::CURRENT;
use unix::file::status;

use super::FileSequence;
use crate::log_files::FilePlace;
use crate::watch::NameFeed;

/// The number of labels to remember. svlogd runs one processor at a time.
const REPORTED: usize = 8;

impl FileSequence {
    /// Takes the names that a watch reports from now on.
    pub(crate) fn attach(&mut self, feed: NameFeed) {
        self.feed = Some(feed);
        self.watch_held();
    }

    /// Discards the labels of files before the held one.
    pub(super) fn watch_held(&mut self) {
        self.is_held_watched = false;
        let Some(feed) = &self.feed else {
            return;
        };
        // The first label after these is that of the present `current`.
        let _ = feed.take();
        let current = status(&self.path.join(OsStr::from_bytes(CURRENT.to_bytes())));
        self.is_held_watched = match (&self.held, current) {
            (Some(held), Ok(current)) => !held.is_suspended() && held.is_same(&current),
            (None, _) | (_, Err(_)) => false,
        };
    }

    /// Takes the labels that the watch has reported. Returns whether there are
    /// any.
    pub(super) fn take_reported(&mut self) -> bool {
        let Some(feed) = &self.feed else {
            return false;
        };
        let (labels, is_complete) = feed.take();
        if !is_complete {
            self.is_held_watched = false;
            for passed in &mut self.passed {
                passed.is_watched = false;
            }
        }
        for label in &labels {
            self.note(*label);
        }
        !(labels.is_empty() && is_complete)
    }

    /// Takes note of the label of an old file, which may be removed before the
    /// next listing. The first file without a label gets it: each `current` gets
    /// one label, in the order of the files.
    pub(crate) fn note(&mut self, label: Label) {
        if self.reported.contains(&label) {
            return;
        }
        self.reported.push_back(label);
        if self.reported.len() > REPORTED {
            self.reported.pop_front();
        }
        if self.done.contains(&label) || self.unread.contains(&label) {
            return;
        }
        if let Some(index) = self.passed.iter().position(|passed| passed.is_watched) {
            self.passed.remove(index);
            self.done.insert(label);
            return;
        }
        let held = self.held.as_mut().filter(|_| self.is_held_watched);
        if let Some(held) = held.filter(|held| held.place.label().is_none()) {
            held.place = FilePlace::Old(label);
            self.done.insert(label);
        } else {
            self.unread.insert(label);
            self.arrived.push(label);
        }
    }
}
