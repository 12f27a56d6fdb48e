//! What the shells complete: made of the programs' usage lines and tables of
//! options, and tried in each shell.

mod make;
mod shells;

use std::fs;
use std::path::Path;

/// Each file in completions, and what belongs into it.
fn files() -> [(&'static str, String); 3] {
    [
        ("daemontools.bash", make::bash()),
        ("_daemontools", make::zsh()),
        ("daemontools.fish", make::fish()),
    ]
}

/// With `DAEMONTOOLS_WRITE=1` the files are written.
#[test]
fn the_completions_are_those_of_the_tables() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    for (name, made) in files() {
        let file = directory.join(name);
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
