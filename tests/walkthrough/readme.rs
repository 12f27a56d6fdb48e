//! The minute of README.md.

use testkit::interop;

use super::{awaited, shown, typed};

/// The three pieces of shell in that chapter.
fn pieces() -> [String; 3] {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, chapter) = readme.split_once("\n## One minute\n").unwrap();
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
    pieces.try_into().unwrap()
}

interop! {
    fn one_minute(scene: &Scene) {
        let [make, run, remove] = pieces();
        typed(scene, &make).succeeds();

        let mut lines = run.lines().filter(|line| !line.trim().is_empty());
        assert_eq!(lines.next(), Some("    svscan service &"));
        let _svscan = scene.start(scene.shell("exec svscan service"));
        for line in lines {
            if let Some((svstat, says)) = line.split_once(" # service/clock: ") {
                assert_eq!(says, "up (pid 4242) 3 seconds");
                awaited(scene, svstat, "service/clock: up (pid N) N seconds\n");
            } else if line.contains("tail -F") {
                let once = line.replace("-F", "-n +1");
                let log = || shown(scene, &typed(scene, &once).stdout);
                scene.wait_until("the log has the time", || log().contains(" N:N:N "));
            } else {
                typed(scene, line).succeeds();
            }
        }
        awaited(scene, "svstat service/clock", "service/clock: up (pid N) N seconds\n");

        typed(scene, &remove).succeeds();
        typed(scene, "svstat sv/clock").prints("sv/clock: supervise not running\n");
    }
}
