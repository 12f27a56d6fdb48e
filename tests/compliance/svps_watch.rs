//! svps -w, on a terminal that script(1) makes.

use std::fs;

use testkit::{Running, SLEEPER, Sandbox, ours_on_theirs};

ours_on_theirs!(
    watch_needs_a_terminal,
    watch_shows_table_and_restores_the_screen,
    watch_shows_changes_and_new_services,
    watch_fits_the_terminal_and_scrolls,
    signal_restores_the_screen,
);

/// The sequences at the start and at the end.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &str = "\x18\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

/// Two services, of which one is down.
fn two(sandbox: &Sandbox) -> Running {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/b/run", SLEEPER);
    sandbox.write("scan/b/down", "");
    let svscan = sandbox.start(sandbox.shell("exec svscan scan"));
    for service in ["scan/a", "scan/b"] {
        sandbox.wait_until("the service is supervised", || {
            sandbox.is_supervised(service)
        });
    }
    sandbox.service("scan/a");
    svscan
}

/// Runs svps -w on a terminal of 8 rows. The keys come from a FIFO. `out` receives
/// the output.
fn watch(sandbox: &Sandbox, arguments: &str) -> Running {
    sandbox.sh("mkfifo keys").succeeds();
    let running = sandbox.start(sandbox.shell(&format!(
        "exec 3<>keys; exec env TERM=xterm NO_COLOR=1 script -qefc \
            'stty rows 8 cols 40; exec svps -w {arguments}' out <&3"
    )));
    sandbox.wait_until("the table is shown", || {
        output(sandbox).contains(" critical, ")
    });
    running
}

/// The output so far.
fn output(sandbox: &Sandbox) -> String {
    let text = fs::read(sandbox.path("out")).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}

fn press(sandbox: &Sandbox, key: &str) {
    sandbox.sh(&format!("printf '{key}' >keys")).succeeds();
}

/// Waits until the output contains a text after the first `length` bytes.
#[track_caller]
fn wait_for_output(sandbox: &Sandbox, length: usize, text: &str) {
    sandbox.wait_until(&format!("{text:?} is shown"), || {
        output(sandbox)
            .get(length..)
            .is_some_and(|new| new.contains(text))
    });
}

fn watch_needs_a_terminal(sandbox: &Sandbox) {
    sandbox.sh("mkdir scan; svps -w scan").is(
        111,
        "",
        "svps: fatal: -w: standard output is not a terminal\n",
    );
    assert_eq!(sandbox.sh("svps -w 1 scan scan").code(), Some(100));
}

fn watch_shows_table_and_restores_the_screen(sandbox: &Sandbox) {
    let _svscan = two(sandbox);
    let watch = watch(sandbox, "1 scan");
    let text = output(sandbox);
    let (_, frame) = text.split_once(ENTER).unwrap();
    assert!(frame.contains("\x1b[1;1HSERVICE  STATE"), "{frame:?}");
    assert!(frame.contains("\x1b[2;1Ha        up "), "{frame:?}");
    assert!(frame.contains("\x1b[3;1Hb        down"), "{frame:?}");
    assert!(frame.contains("\x1b[8;1H2: 0 critical, "), "{frame:?}");
    press(sandbox, "q");
    watch.wait().exits(0);
    let text = output(sandbox);
    assert!(text.contains(LEAVE), "{text:?}");
}

fn watch_shows_changes_and_new_services(sandbox: &Sandbox) {
    let svscan = two(sandbox);
    // The times are refreshed once a day: the rest comes from notifications.
    let watch = watch(sandbox, "86400 scan");
    let mut length = output(sandbox).len();
    sandbox.sh("svc -u scan/b").succeeds();
    wait_for_output(sandbox, length, "\x1b[3;1Hb        up ");
    length = output(sandbox).len();
    sandbox.script("new/run", SLEEPER);
    sandbox.sh("mv new scan/c").succeeds();
    wait_for_output(sandbox, length, "\x1b[4;1Hc        up ");
    length = output(sandbox).len();
    sandbox
        .sh("rm scan/c/run; svc -dx scan/c; mv scan/c out-of-scan")
        .succeeds();
    wait_for_output(sandbox, length, "\x1b[4;1H\x1b[K");
    length = output(sandbox).len();
    svscan.kill();
    sandbox.sh("svc -x scan/b; svc -d scan/b").succeeds();
    wait_for_output(sandbox, length, "\x1b[3;1Hb        unsupervised");
    press(sandbox, "q");
    watch.wait().exits(0);
}

fn watch_fits_the_terminal_and_scrolls(sandbox: &Sandbox) {
    for number in 10..30 {
        sandbox.script(format!("scan/s{number}/run"), SLEEPER);
    }
    let watch = watch(sandbox, "86400 scan");
    let text = output(sandbox);
    assert!(text.contains("\x1b[7;1Hs15"), "{text:?}");
    assert!(!text.contains("s16"), "{text:?}");
    // The last line is cut at 40 columns.
    assert!(
        text.contains("\x1b[8;1Hrows 1 to 6 of 20: 20 critical, 0 warni~\x1b[K"),
        "{text:?}"
    );
    for (key, line) in [
        ("j", "\x1b[7;1Hs16"),
        ("G", "\x1b[7;1Hs29"),
        ("\\033[5~", "\x1b[7;1Hs23"),
        ("g", "\x1b[2;1Hs10"),
    ] {
        let length = output(sandbox).len();
        press(sandbox, key);
        wait_for_output(sandbox, length, line);
    }
    press(sandbox, "q");
    watch.wait().exits(0);
}

fn signal_restores_the_screen(sandbox: &Sandbox) {
    let _svscan = two(sandbox);
    let watch = watch(sandbox, "scan");
    // The interrupt character of the terminal.
    press(sandbox, "\\003");
    watch.wait().exits(130);
    let text = output(sandbox);
    let end = text.rfind(LEAVE).unwrap();
    assert!(!text[end..].contains("\x1b[8;1H"), "{text:?}");
}
