//! Shell completions: the files match the option tables, and each shell offers
//! the expected words.

mod make;
mod shells;

use std::fs;
use std::path::Path;

use make::Family;

/// With `DAEMONTOOLS_WRITE=1` the files are written.
#[test]
fn completions_match_option_tables() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    let files = [Family::Daemontools, Family::Runit].map(Family::files);
    for (name, made) in files.into_iter().flatten() {
        let file = directory.join(&name);
        if std::env::var_os("DAEMONTOOLS_WRITE").is_some() {
            fs::write(&file, &made).unwrap();
        }
        let written = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            written == made,
            "completions/{name} is stale; to write it: \
             DAEMONTOOLS_WRITE=1 cargo test --test suite completions"
        );
    }
}
