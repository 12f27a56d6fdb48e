//! The log directories of all operands.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::os::unix::fs::MetadataExt;

use cli::{Failure, text};
use daemontools::supervise_dir::SuperviseDirRule;
use reader::{Source, SourceKind, Sources};
use unix::file::status;

use super::SVLOG;
use super::warnings::warn_unreadable;

/// The log directories of all operands.
pub(crate) struct AllSources {
    /// In the order of the operands; each directory once.
    pub(crate) found: Vec<Source>,
    /// Whether lines begin with names: there are several directories, or more may
    /// come.
    pub(crate) has_names: bool,
    /// Whether all directories could be searched.
    pub(crate) is_complete: bool,
}

impl AllSources {
    /// Finds the log directories, and prints a warning for each directory that
    /// cannot be searched. Failure: an operand cannot be read, or has no log
    /// directory and does not wait for one.
    pub(crate) fn find(
        rule: SuperviseDirRule,
        operands: &[&'static CStr],
        waits: bool,
    ) -> Result<Self, Failure> {
        let mut all = AllSources {
            found: Vec::new(),
            has_names: false,
            is_complete: true,
        };
        let mut known = BTreeSet::new();
        for operand in operands {
            let Sources {
                kind,
                found,
                unreadable,
                places: _,
            } = Sources::find(rule, operand)
                .map_err(|error| SVLOG.fatal(text!["unable to read ", *operand], error))?;
            if found.is_empty() && unreadable.is_empty() && !waits {
                return Err(SVLOG.fatal_msg(text!["no log directory in ", *operand]));
            }
            for (path, error) in unreadable {
                warn_unreadable(&path, error);
                all.is_complete = false;
            }
            all.has_names |= kind == SourceKind::ScanDir;
            // A directory that was removed meanwhile fails later.
            let mut is_new = |source: &Source| {
                let status = status(&source.path).ok();
                status.is_none_or(|status| known.insert((status.dev(), status.ino())))
            };
            all.found.extend(found.into_iter().filter(&mut is_new));
        }
        all.has_names |= all.found.len() > 1;
        Ok(all)
    }
}
