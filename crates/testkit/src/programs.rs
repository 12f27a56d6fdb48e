//! The list of programs, read from src/bin.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// The names of all programs, sorted: `src/bin/NAME.rs`, `src/bin/NAME.sh` or
/// the folder `src/bin/NAME`.
///
/// # Panics
///
/// Panics if src/bin cannot be read.
pub fn programs() -> &'static [String] {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/bin");
        let entries = fs::read_dir(sources).expect("src/bin is readable");
        let stem = |path: &Path| Some(path.file_stem()?.to_str()?.to_owned());
        let mut names: Vec<_> = entries
            .map(|entry| stem(&entry.unwrap().path()).expect("a program has a name in UTF-8"))
            .collect();
        names.sort();
        names
    });
    &NAMES
}
