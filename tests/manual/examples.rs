//! The examples of the documents, typed. Their output matches the documents.

use std::fs;
use std::path::Path;

use testkit::{Sandbox, Subject, compliance, ours, ours_on_theirs};

use super::session::{Session, Step};

/// The sections about features that 0.76 lacks.
const OURS_ALONE: &[&str] = &[
    "A container does not stop",
    "A log is too large or too old",
    "A script waits for a service that fails",
    "A service does not stop",
    "A service starts before its dependency",
    "Alert on unhealthy services",
    "COMPATIBILITY",
    "EXAMPLES WITH -e",
    "EXTENDED SERVICES",
    "Find services that flap or have failed",
    "From daemontools-encore",
    "From an image with runit",
    "From s6",
    "From s6-overlay",
    "From supervisord",
    "From systemd",
    "Get notified when a service dies",
    "Let other users look or control",
    "Restart a service that hangs",
    "Two copies of a service run",
];

/// Types the examples of a document.
fn play(sandbox: &Sandbox, document: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let source = fs::read_to_string(&file).unwrap();
    let sessions = if file.extension().is_some_and(|end| end == "md") {
        Session::of_markdown(&source)
    } else {
        Session::of_manual(&source)
    };
    assert!(!sessions.is_empty(), "{document} has no examples");
    // The sections are independent of each other.
    std::thread::scope(|threads| {
        for session in sessions {
            if sandbox.subject() == Subject::Ours || !OURS_ALONE.contains(&&*session.title) {
                threads.spawn(move || session.play(sandbox));
            }
        }
    });
}

/// A test for each document, and their list.
macro_rules! documents {
    ($($tests:ident! { $($name:ident: $document:literal,)* })*) => {
        const DOCUMENTS: &[&str] = &[$($($document),*),*];

        $($tests!($($name),*);
        $(fn $name(sandbox: &Sandbox) {
            play(sandbox, $document);
        })*)*
    };
}

documents! {
    ours! {
        sdnotify: "man/sdnotify.8",
        svperms: "man/svperms.8",
        containers: "doc/containers.md",
    }
    ours_on_theirs! {
        logs: "doc/logs.md",
        migration: "doc/migration.md",
        troubleshooting: "doc/troubleshooting.md",
    }
    compliance! {
        chpst: "man/chpst.8",
        daemontools: "man/daemontools.7",
        envdir: "man/envdir.8",
        envuidgid: "man/envuidgid.8",
        fghack: "man/fghack.8",
        multilog: "man/multilog.8",
        pgrphack: "man/pgrphack.8",
        readproctitle: "man/readproctitle.8",
        runsv: "man/runsv.8",
        runsvchdir: "man/runsvchdir.8",
        runsvdir: "man/runsvdir.8",
        service_directory: "man/service-directory.5",
        setlock: "man/setlock.8",
        setuidgid: "man/setuidgid.8",
        softlimit: "man/softlimit.8",
        supervise: "man/supervise.8",
        sv: "man/sv.8",
        svc: "man/svc.8",
        svlogd: "man/svlogd.8",
        svok: "man/svok.8",
        svscan: "man/svscan.8",
        svscanboot: "man/svscanboot.8",
        svstat: "man/svstat.8",
        tai64n: "man/tai64n.8",
        tai64nlocal: "man/tai64nlocal.8",
    }
    ours_on_theirs! {
        svlog: "man/svlog.8",
        svps: "man/svps.8",
        svwait: "man/svwait.8",
    }
}

#[test]
fn every_document_with_commands_is_listed() {
    let mut found = Vec::new();
    for directory in ["doc", "man"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        for file in fs::read_dir(path).unwrap() {
            let file = file.unwrap();
            let text = fs::read_to_string(file.path()).unwrap();
            if directory == "man" || text.lines().any(|line| line.starts_with("    $ ")) {
                let name = file.file_name().into_string().unwrap();
                found.push(format!("{directory}/{name}"));
            }
        }
    }
    found.sort();
    let mut documents = DOCUMENTS.to_vec();
    documents.sort_unstable();
    assert_eq!(found, documents);
}

#[test]
fn commands_and_output_form_a_session() {
    let step = |command: &str, prints: &str, as_root| Step {
        command: command.to_owned(),
        prints: prints.to_owned(),
        as_root,
    };
    let steps = vec![
        step("cat <<'END' >a\n# b\nEND", "", false),
        step("cat \\\na", "b\n", false),
        step("id -u", "0\n", true),
    ];
    let title = "EXAMPLES".to_owned();
    let expected = vec![Session { title, steps }];
    let manual = ".Sh EXAMPLES\nText\n.Bd -literal -offset indent\n$ cat <<'END' >a\n# b\nEND\n\
        $ cat \\e\na\nb\n.Ed\n.Bd -literal\nno command\n.Ed\n.Bd -literal\n# id -u\n0\n.Ed\n";
    assert_eq!(Session::of_manual(manual), expected);
    let markdown = "## EXAMPLES\n\nText\n\n    $ cat <<'END' >a\n    # b\n    END\n    $ cat \\\n    a\n    b\n\n\
        text\n\n    no command\n\nmore\n\n    # id -u\n    0\n";
    assert_eq!(Session::of_markdown(markdown), expected);
}
