//! The offers of bash, zsh and fish.

use std::collections::BTreeSet;
use std::path::Path;

use testkit::{Sandbox, Subject};

/// Command lines, and the offers for the last word of each.
const LINES: [(&str, &str); 55] = [
    (
        "svc -",
        "-+ -1 -2 -= -a -c -d -h -i -k -o -p -q -t -u -w -x",
    ),
    ("svc ", "plain sv"),
    ("svc sv/", "sv/idle sv/web sv/web/log"),
    ("svc -u sv/w", "sv/web sv/web/log"),
    ("svc -u sv/web sv/i", "sv/idle"),
    ("svc sv/web/", "sv/web/log"),
    ("svstat sv/idle sv/w", "sv/web sv/web/log"),
    ("svok sv/i", "sv/idle"),
    ("svok sv/web ", ""),
    ("supervise sv/i", "sv/idle"),
    ("svwait sv/idle sv/w", "sv/web sv/web/log"),
    ("svwait -R -t 5 -- sv/idle sv/i", "sv/idle"),
    ("svwait -R -t 5 sv/idle -- zzp", "zzprogram"),
    ("svwait sv/idle sv/web -- cat plain.", "plain.txt"),
    ("svlog -", "-U -V -c -f -g -j -l -n -r -s -u -v"),
    ("svlog -s 1", "10 min ago|1 h ago|1 d ago"),
    ("svlog -f -u 10", "10 min ago"),
    ("svlog -f sv/web/log/", "sv/web/log/main"),
    ("svlog -j sv/w", "sv/web sv/web/log"),
    ("svscan p", "plain"),
    ("svscan plain ", ""),
    ("multilog t ./p", "./plain"),
    ("envdir e", "env"),
    ("envdir env zzp", "zzprogram"),
    ("envdir env cat plain.", "plain.txt"),
    ("setuidgid -", "-s"),
    ("setuidgid -s daemo", "daemon"),
    ("setuidgid -s daemon zzp", "zzprogram"),
    ("sdnotify p", ""),
    ("sdnotify 3 zzp", "zzprogram"),
    ("svperms -g daemo", "daemon"),
    ("svperms -u daemon sv/i", "sv/idle"),
    ("setlock -", "-n -N -x -X"),
    ("softlimit -m 5000000 -o5 zzp", "zzprogram"),
    ("setlock -n pl", "plain plain.txt"),
    ("setlock -n plain.txt zzp", "zzprogram"),
    ("fghack zzp", "zzprogram"),
    ("sv -", "-V -v -w"),
    ("sv st", "start status stop"),
    ("sv -w 9 force-re", "force-reload force-restart"),
    ("sv status ", "idle web web/log"),
    ("sv status web idle w", "web web/log"),
    ("sv -v up ./sv/i", "./sv/idle"),
    ("chpst -u daemo", "daemon"),
    ("chpst -e e", "env"),
    ("chpst -P -l pl", "plain plain.txt"),
    ("chpst -u daemon -0 -e env zzp", "zzprogram"),
    ("chpst -n ", ""),
    ("svlogd -", "-R -V -b -l -r -t -v"),
    ("svlogd -tt -l 80 plai", "plain"),
    ("runsv sv/i", "sv/idle"),
    ("runsv sv/web ", ""),
    ("runsvdir -P p", "plain"),
    ("runsvdir -", "-P"),
    ("runsvchdir sol", "solo"),
];

/// Tries the lines in a shell. The script beside this file prints the offers of
/// the shell for its completions and the lines.
fn check(sandbox: &Sandbox, shell: &str, option: Option<&str>) {
    if sandbox.sh(&format!("command -v {shell} >found")).code() != Some(0) {
        return testkit::skip("completion", &format!("{shell} is not installed"));
    }
    for service in ["sv/web", "sv/web/log", "sv/idle"] {
        sandbox.script(format!("{service}/run"), "");
    }
    sandbox.write("sv/web/log/main/current", "");
    sandbox.write("plain/inner/file", "");
    sandbox.write("plain.txt", "");
    sandbox.write("env/VARIABLE", "");
    sandbox.script("bin/zzprogram", "");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let offers = format!("tests/completions/offers.{shell}");
    let mut command = sandbox.shell("PATH=$PWD/bin:$PATH; exec \"$@\"");
    command.args(["sh", shell]).args(option);
    command.arg(root.join(offers)).arg(root.join("completions"));
    // runit installs this directory.
    let has_levels = Path::new("/etc/runit/runsvdir/solo").exists();
    let lines = LINES
        .iter()
        .filter(|(line, _)| has_levels || !line.starts_with("runsvchdir"));
    command.args(lines.clone().map(|(line, _)| line));
    command.env("HOME", sandbox.dir()).env("TERM", "dumb");
    command.env("SVDIR", sandbox.path("sv"));
    let outcome = sandbox.run(command);
    assert_eq!(
        (outcome.code(), outcome.error_text().as_str()),
        (Some(0), "")
    );

    let text = outcome.text();
    let mut offered = text.split("> ").skip(1);
    for (line, wanted) in lines {
        let mut offers = offered.next().unwrap().lines();
        assert_eq!(offers.next(), Some(*line));
        // bash quotes the spaces of times.
        let offers: Vec<_> = offers.map(|offer| offer.replace('\\', "")).collect();
        let offers = offers.iter().map(|offer| offer.trim_end_matches('/'));
        let offers: BTreeSet<_> = offers.collect();
        let wanted: Vec<_> = if wanted.contains(" ago") {
            wanted.split('|').collect()
        } else {
            wanted.split_whitespace().collect()
        };
        let wanted = wanted.into_iter();
        let wanted: BTreeSet<_> = if shell == "zsh" {
            wanted.filter_map(|offer| last(line, offer)).collect()
        } else {
            wanted.collect()
        };
        assert_eq!(offers, wanted, "{shell}, {line}");
    }
}

/// The part that zsh inserts for an offer: the last path element, without the
/// elements below.
fn last<'a>(line: &str, offer: &'a str) -> Option<&'a str> {
    let (_, word) = line.rsplit_once(' ')?;
    let directory = word.rfind('/').map_or("", |end| &word[..=end]);
    let last = offer.strip_prefix(directory)?;
    (!last.contains('/')).then_some(last)
}

fn try_in(name: &str, check: fn(&Sandbox)) {
    testkit::run(Subject::Ours, env!("CARGO_BIN_EXE_svok"), name, check);
}

#[test]
fn bash_completes() {
    try_in("bash", |sandbox| {
        check(sandbox, "bash", None);
    });
}

#[test]
fn zsh_completes() {
    try_in("zsh", |sandbox| check(sandbox, "zsh", Some("-f")));
}

#[test]
fn fish_completes() {
    try_in("fish", |sandbox| {
        check(sandbox, "fish", Some("--no-config"));
    });
}
