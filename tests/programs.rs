//! The usage lines and option tables, each from the source of its program.

use cli::Program;

macro_rules! programs {
    ($($program:ident $table:ident $source:literal,)*) => {
        $(#[path = $source]
        #[allow(dead_code, reason = "only the table is of interest")]
        pub(crate) mod $program;)*

        /// The programs with a usage line.
        pub(crate) static PROGRAMS: &[&Program] = &[$(&$program::$table),*];
    };
}

programs! {
    chpst CHPST "../src/bin/chpst/main.rs",
    envdir ENVDIR "../src/bin/envdir.rs",
    envuidgid ENVUIDGID "../src/bin/envuidgid.rs",
    fghack FGHACK "../src/bin/fghack.rs",
    multilog MULTILOG "../src/bin/multilog/main.rs",
    pgrphack PGRPHACK "../src/bin/pgrphack.rs",
    runsv RUNSV "../src/bin/runsv.rs",
    runsvchdir RUNSVCHDIR "../src/bin/runsvchdir.rs",
    runsvdir RUNSVDIR "../src/bin/runsvdir.rs",
    sdnotify SDNOTIFY "../src/bin/sdnotify.rs",
    setlock SETLOCK "../src/bin/setlock.rs",
    setuidgid SETUIDGID "../src/bin/setuidgid.rs",
    softlimit SOFTLIMIT "../src/bin/softlimit.rs",
    supervise SUPERVISE "../src/bin/supervise/main.rs",
    sv SV "../src/bin/sv/main.rs",
    svc SVC "../src/bin/svc.rs",
    svlog SVLOG "../src/bin/svlog/main.rs",
    svlogd SVLOGD "../src/bin/svlogd/main.rs",
    svok SVOK "../src/bin/svok.rs",
    svperms SVPERMS "../src/bin/svperms.rs",
    svps SVPS "../src/bin/svps/main.rs",
    svscan SVSCAN "../src/bin/svscan.rs",
    svstat SVSTAT "../src/bin/svstat.rs",
    svwait SVWAIT "../src/bin/svwait/main.rs",
    tai64nlocal TAI64NLOCAL "../src/bin/tai64nlocal.rs",
}

/// The arguments in a usage line: the text after the program's name, or the
/// whole line if the program prints the name it was called by. None if the line
/// does not list arguments.
pub(crate) fn arguments(program: &Program) -> Option<&'static str> {
    let (name, usage) = (program.name, program.usage.trim_end_matches('\n'));
    usage
        .strip_prefix(&format!("{name}: usage: {name} "))
        .or_else(|| usage.strip_prefix(&format!("usage: {name} ")))
        .or_else(|| usage.strip_prefix(' '))
}
