//! The places of -c.

use std::path::{Path, PathBuf};

use cli::Failure;
use reader::{Cursor, Position, Source, cursor};

use super::warnings::unusable_cursor;

/// The places in the log directories, by number. Without -c, there are none.
pub(crate) struct Places<'a> {
    kept: Option<KeptPlaces<'a>>,
}

struct KeptPlaces<'a> {
    file: &'a Path,
    cursor: Cursor,
    keys: Vec<PathBuf>,
}

impl<'a> Places<'a> {
    /// Reads the cursor file, and writes it, which detects an unwritable file
    /// before the first line is printed.
    pub(crate) fn load(file: Option<&'a Path>, sources: &[Source]) -> Result<Self, Failure> {
        let load = |file| {
            let keys: Vec<_> = sources
                .iter()
                .map(|source| cursor::key(&source.path))
                .collect();
            let mut cursor = Cursor::load(file)?;
            cursor.check_directories(&keys)?;
            cursor.save()?;
            Ok(KeptPlaces { file, cursor, keys })
        };
        let kept = file.map(|file| load(file).map_err(|error| unusable_cursor(file, &error)));
        Ok(Places {
            kept: kept.transpose()?,
        })
    }

    /// The place in a log directory. None: the cursor has none.
    pub(crate) fn get(&self, source: usize) -> Option<Position> {
        let KeptPlaces { cursor, keys, .. } = self.kept.as_ref()?;
        cursor.position(keys.get(source)?)
    }

    /// Sets the place in a log directory.
    pub(crate) fn set(&mut self, source: usize, position: Position) {
        if let Some(KeptPlaces { cursor, keys, .. }) = &mut self.kept {
            if let Some(key) = keys.get(source) {
                cursor.set(key, position);
            }
        }
    }

    /// Writes the cursor file. All lines before the places are written already.
    pub(crate) fn save(&mut self) -> Result<(), Failure> {
        match &mut self.kept {
            Some(KeptPlaces { file, cursor, .. }) => {
                cursor.save().map_err(|error| unusable_cursor(file, &error))
            }
            None => Ok(()),
        }
    }
}
