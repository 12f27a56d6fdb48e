//! What the programs say of themselves: their usage lines and tables of
//! options, each from its own source, where it is written.

use cli::Program;

macro_rules! programs {
    ($list:ident: $($program:ident $table:ident $source:literal,)*) => {
        $(#[path = $source]
        #[allow(dead_code, reason = "only the table is of interest")]
        mod $program;)*

        pub(crate) static $list: &[&Program] = &[$(&$program::$table),*];
    };
}

// All programs of daemontools that have a usage line.
programs! { PROGRAMS:
    envdir ENVDIR "../src/bin/envdir.rs",
    envuidgid ENVUIDGID "../src/bin/envuidgid.rs",
    fghack FGHACK "../src/bin/fghack.rs",
    multilog MULTILOG "../src/bin/multilog.rs",
    pgrphack PGRPHACK "../src/bin/pgrphack.rs",
    setlock SETLOCK "../src/bin/setlock.rs",
    setuidgid SETUIDGID "../src/bin/setuidgid.rs",
    softlimit SOFTLIMIT "../src/bin/softlimit.rs",
    supervise SUPERVISE "../src/bin/supervise.rs",
    svc SVC "../src/bin/svc.rs",
    svok SVOK "../src/bin/svok.rs",
    svscan SVSCAN "../src/bin/svscan.rs",
    svstat SVSTAT "../src/bin/svstat.rs",
}

// Those of runit, whose usage lines have another form.
programs! { RUNIT:
    runsv RUNSV "../src/bin/runsv.rs",
    runsvdir RUNSVDIR "../src/bin/runsvdir.rs",
}

/// The names of all programs: those of the files in src/bin.
pub(crate) fn names() -> Vec<String> {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let files = std::fs::read_dir(sources).unwrap().flatten();
    let mut names: Vec<_> = files
        .map(|file| {
            let stem = file.path().file_stem().unwrap().to_owned();
            stem.into_string().unwrap()
        })
        .collect();
    names.sort();
    names
}
