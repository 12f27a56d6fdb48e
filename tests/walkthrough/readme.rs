//! The examples of README.md, typed.

use testkit::{SLEEPER, Sandbox, interop, ours};

use super::{awaited, shown, typed};

interop!(daemontools_tour_works_as_shown, runit_tour_works_as_shown);

ours!(extensions_tour_works_as_shown);

/// The indented blocks of a chapter.
fn pieces<const N: usize>(title: &str) -> [String; N] {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, chapter) = readme.split_once(&format!("\n## {title}\n")).unwrap();
    let (chapter, _) = chapter.split_once("\n## ").unwrap();
    let mut pieces = vec![String::new()];
    for line in chapter.lines() {
        let piece = pieces.last_mut().unwrap();
        if line.starts_with("    ") || line.is_empty() {
            *piece += line;
            *piece += "\n";
        } else if !piece.trim().is_empty() {
            pieces.push(String::new());
        }
    }
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces.try_into().unwrap()
}

fn daemontools_tour_works_as_shown(sandbox: &Sandbox) {
    let [make, run, remove] = pieces("One minute");
    typed(sandbox, &make).succeeds();

    let mut lines = run.lines().filter(|line| !line.trim().is_empty());
    assert_eq!(lines.next(), Some("    svscan service &"));
    let _svscan = sandbox.start(sandbox.shell("exec svscan service"));
    for line in lines {
        if let Some((svstat, says)) = line.split_once(" # service/clock: ") {
            assert_eq!(says, "up (pid 4242) 3 seconds");
            awaited(sandbox, svstat, "service/clock: up (pid N) N seconds\n");
        } else if line.contains("tail -F") {
            let once = line.replace("-F", "-n +1");
            let log = || shown(sandbox, &typed(sandbox, &once).stdout);
            sandbox.wait_until("the log has the time", || log().contains(" N:N:N "));
        } else {
            typed(sandbox, line).succeeds();
        }
    }
    awaited(
        sandbox,
        "svstat service/clock",
        "service/clock: up (pid N) N seconds\n",
    );

    typed(sandbox, &remove).succeeds();
    typed(sandbox, "svstat sv/clock").prints("sv/clock: supervise not running\n");
}

fn runit_tour_works_as_shown(sandbox: &Sandbox) {
    let [make, _, _] = pieces("One minute");
    typed(sandbox, &make).succeeds();
    typed(sandbox, "mkdir sv/clock/log/main").succeeds();
    let [run] = pieces("The same with runit");
    let mut lines = run.lines().filter(|line| !line.trim().is_empty());
    typed(sandbox, lines.next().unwrap()).succeeds();
    assert_eq!(lines.next(), Some("    runsvdir service &"));
    let _runsvdir = sandbox.start(sandbox.shell("exec runsvdir service"));
    typed(sandbox, lines.next().unwrap()).succeeds();
    let directory = lines.next().unwrap();
    awaited(
        sandbox,
        &format!("{directory}; sv status clock >/dev/null && echo there"),
        "there\n",
    );
    for line in lines {
        let (command, says) = line.split_once('#').unwrap_or((line, ""));
        let shown = shown(
            sandbox,
            &typed(sandbox, &format!("{directory} SVWAIT=60\n{command}")).stdout,
        );
        if says.starts_with(" ok: ") {
            let says = says
                .trim()
                .replace("4242", "N")
                .replace("2s", "Ns")
                .replace("0s", "Ns");
            // The line may go on with the state of a logger.
            assert!(shown.starts_with(&says), "{shown:?}");
        }
    }
    // The reference misses the second of two changes within one second.
    sandbox.wait_until("runsv ends", || {
        sandbox.sh("touch service; svok sv/clock").code() == Some(100)
    });
}

fn extensions_tour_works_as_shown(sandbox: &Sandbox) {
    typed(sandbox, "mkdir -p sv/db sv/web service bin").succeeds();
    sandbox.script(
        "sv/db/run",
        "#!/bin/sh\necho ready\necho >&3\nexec sleep 1000\n",
    );
    sandbox.script("sv/db/log/run", "#!/bin/sh\nexec multilog ./main\n");
    sandbox.script("bin/web-server", SLEEPER);
    let [files, script, run] = pieces("Extensions with -e");
    typed(sandbox, &files).succeeds();
    typed(sandbox, &script).succeeds();
    typed(
        sandbox,
        "chmod +x sv/web/run; ln -s ../sv/db ../sv/web service",
    )
    .succeeds();
    let mut lines = run.lines().filter(|line| !line.trim().is_empty());
    assert_eq!(lines.next(), Some("    svscan -e service &"));
    let _svscan = sandbox.start(sandbox.shell("PATH=$PWD/bin:$PATH; exec svscan -e service"));
    let svps = lines.next().unwrap();
    let row = |name: &str, state: &str| {
        let rows = String::from_utf8(typed(sandbox, svps).stdout).unwrap();
        rows.lines()
            .any(|row| row.starts_with(name) && row.contains(state))
    };
    sandbox.wait_until("both are up", || row("db", " ready ") && row("web", " up "));
    let svlog = sandbox.start(sandbox.shell(lines.next().unwrap()));
    sandbox.wait_until("the log is shown", || svlog.stdout() == b"db ready\n");
    assert_eq!(lines.next(), None);
}
