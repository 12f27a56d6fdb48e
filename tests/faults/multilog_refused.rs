//! Exceeded quotas: each call that a log depends on fails in turn with EDQUOT.
//! The logger, ours or Debian's, is killed during its pause or succeeds after
//! it. Either multilog continues in the directory that remains.
//!
//! `compliance::multilog::calls` tests that each call is retried.

use nix::sys::signal::Signal::SIGKILL;
use testkit::{Running, Sandbox, Subject, interop, say};

use crate::compliance::multilog::calls::{REFUSALS, Refusal, strace_works};
use crate::compliance::multilog::{Feed, contents, files, line, masked};

/// The files that a logger killed during its pause leaves, for each of
/// `REFUSALS`: all names but `lock`, with modes other than 0644.
const LEFT: [&str; 25] = [
    "current, state",
    "current, state",
    "current, state",
    "current, state",
    "previous, state",
    "current -rw-------, previous, state",
    "current, previous, state",
    "current, previous -rwxr--r--, state",
    "current, previous -rwxr--r--, state",
    "@LABEL.s -rwxr--r--, current, previous -rwxr--r--, state",
    "@LABEL.s -rwxr--r--, current, state",
    "current, newstate, previous -rwxr--r--, processed, state",
    "current, newstate, previous -rwxr--r--, processed, state",
    "current, newstate, previous -rwxr--r--, processed, state",
    "current, newstate, previous -rwxr--r--, processed -rwxr--r--, state",
    "current, newstate, previous -rwxr--r--, processed -rwxr--r--, state",
    "current, newstate, previous -rwxr--r--, processed -rwxr--r--, state",
    "current, newstate, processed -rwxr--r--, state",
    "current, processed -rwxr--r--, state",
    "current, processed -rwxr--r--, state",
    "@LABEL.s -rwxr--r--, current, processed -rwxr--r--, state",
    "@LABEL.s -rwxr--r--, current, state",
    "@LABEL.s -rwxr--r--, current, state",
    "current, state",
    "current, state",
];

interop!(writes_over_quota_are_continued_by_either);

/// Starts multilog with a call that fails once, or always if `ever` is `+`, and
/// writes enough input for a rotation.
fn start(sandbox: &Sandbox, place: &str, refusal: &Refusal, ever: &str) -> (Running, Feed) {
    let Refusal {
        calls,
        file,
        which,
        script,
        ..
    } = refusal;
    // With -D, multilog and not strace is the child of this process.
    let mut command = sandbox.shell(&format!(
        "mkdir {place}; cd {place}
        set -f
        exec strace -D -qq -o trace -P {file} -P \"$PWD/{file}\" \
        -e inject={calls}:error=EDQUOT:when={which}{ever} $FIRST/multilog {script}"
    ));
    command.env("LC_ALL", "C");
    let (running, mut feed) = Feed::start(sandbox, command);
    feed.write(line(1000).repeat(3));
    feed.end();
    (running, feed)
}

/// Runs the second multilog in a directory, on the unread input and one more
/// line. Returns the number of lost bytes of the first three lines.
#[track_caller]
fn run_second(sandbox: &Sandbox, place: &str, refusal: &Refusal, unread: &[u8]) -> usize {
    let rest = [unread, b"more\n"].concat();
    let script = format!("cd {place}; set -f; exec $THEN/multilog {}", refusal.script);
    sandbox.feed(&rest, &script).succeeds();
    let text = contents(sandbox, &format!("{place}/m")).concat();
    let kept = text.strip_suffix(&rest[..]).unwrap();
    let finished = files(sandbox, &format!("{place}/m"));
    assert!(finished.contains("\n-rwxr--r-- ") || finished.starts_with("-rwxr--r-- "));
    assert!(!finished.contains(" previous\n") && !finished.contains(" processed\n"));
    assert!(line(1000).repeat(3).starts_with(kept));
    3000 - unread.len() - kept.len()
}

/// The files in a log directory, in the format of [`LEFT`].
fn left(sandbox: &Sandbox, place: &str) -> String {
    let name = |line: &str| {
        let mut fields = line.split(' ');
        let (mode, name) = (fields.next().unwrap(), fields.next_back().unwrap());
        match (mode, name) {
            (_, "lock") => None,
            ("-rw-r--r--", _) => Some(name.to_owned()),
            _ => Some(format!("{name} {mode}")),
        }
    };
    let names: Vec<_> = files(sandbox, &format!("{place}/m"))
        .lines()
        .filter_map(name)
        .collect();
    names.join(", ")
}

fn writes_over_quota_are_continued_by_either(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    let all = |name: &str, ever: &str| -> Vec<_> {
        let start = |(n, refusal)| start(sandbox, &format!("{name}{n}"), refusal, ever);
        REFUSALS.iter().enumerate().map(start).collect()
    };
    let mut killed = all("killed", "+");
    // The calls of these succeed after a pause of five seconds.
    let waiting = match sandbox.subject() {
        Subject::Reference | Subject::Ours => Vec::new(),
        Subject::TheirsThenOurs | Subject::OursThenTheirs => all("waiting", ""),
    };
    let says = |refusal: &Refusal| {
        format!(
            "multilog: warning: {}, pausing: disk quota exceeded\n",
            refusal.says
        )
    };
    // The loggers are killed before the first directory is examined. After
    // several pauses, a logger has repeated its warning.
    for (refusal, (running, _)) in REFUSALS.iter().zip(&mut killed) {
        let says = says(refusal);
        sandbox.wait_until("the logger pauses", || {
            let text = masked(running.stderr());
            !text.is_empty() && text == says.repeat(text.len() / says.len())
        });
        running.signal(SIGKILL);
    }
    let mut greatest = 0;
    for (n, (refusal, (running, feed))) in REFUSALS.iter().zip(killed).enumerate() {
        let place = format!("killed{n}");
        assert_eq!(running.wait().signal(), Some(SIGKILL as i32));
        assert_eq!(left(sandbox, &place), LEFT[n], "{}", refusal.says);
        let lost = run_second(sandbox, &place, refusal, &feed.left());
        // multilog writes its input to the log before any other action, except
        // that a status file comes first.
        let unwritten = refusal.calls == "write" || refusal.script.starts_with('=');
        assert!(lost == 0 || unwritten, "{}: {lost} bytes", refusal.says);
        greatest = greatest.max(lost);
    }
    for (n, (refusal, (running, feed))) in REFUSALS.iter().zip(waiting).enumerate() {
        let outcome = running.wait();
        outcome.exits(0);
        assert_eq!(masked(&outcome.stderr), says(refusal));
        let lost = run_second(sandbox, &format!("waiting{n}"), refusal, &feed.left());
        assert_eq!(lost, 0, "{}", refusal.says);
    }
    say(&format!(
        "multilog, {:?}: killed in {} pauses for a quota; {greatest} bytes lost at most, by a first write",
        sandbox.subject(),
        REFUSALS.len(),
    ));
}
