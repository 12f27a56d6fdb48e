//! Many runs of chain programs from one process, since starting one takes
//! longer than what there is to compare.

use std::fs;

use testkit::random::Pair;
use testkit::{Outcome, Scene};

use crate::compliance::chain::EXECVE;

/// One run of a program, with a raw argv and a raw environment.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The program's name, under which it is found in the scene.
    pub(super) program: &'static str,
    /// All of argv, the program's name first.
    pub(super) argv: Vec<Vec<u8>>,
    pub(super) environment: Vec<Vec<u8>>,
}

/// Perl code that runs, one after the other, what the lines of a file say:
/// the program's path, the number of words in argv, argv and the environment,
/// all but the number in hexadecimal and with an `x` in front. After each it
/// says how it ended, on both outputs.
const DRIVER: &str = r#"
    my ($execve, $list) = @ARGV;
    open(my $file, "<", $list) or die "$list: $!";
    my @lines = <$file>;
    close $file;
    for (@lines) {
        my ($path, $words, @rest) = split / /;
        my @strings = map { pack("H*", substr($_, 1)) } ($path, @rest);
        $path = shift @strings;
        my @argv = splice(@strings, 0, $words);
        defined(my $pid = fork) or die "fork: $!";
        if (!$pid) {
            syscall(0 + $execve, $path, pack("p*", @argv) . pack("J", 0),
                pack("p*", @strings) . pack("J", 0));
            die "$path: $!";
        }
        waitpid($pid, 0) == $pid or die "waitpid: $!";
        syswrite($_, "\n<end of run: $?>\n") for (*STDOUT, *STDERR);
    }
"#;

/// What each run printed on standard output and standard error; how it ended
/// is at the end of both.
fn results(scene: &Scene, wrapper: &str, runs: &[Run]) -> Vec<(String, String)> {
    let outside = scene.dir().parent().unwrap().to_owned();
    let mut list = String::new();
    for run in runs {
        // A copy, since the account that runs it may not go where it is.
        let copy = outside.join(run.program);
        if !copy.exists() {
            fs::copy(scene.bin().join(run.program), &copy).unwrap();
        }
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(" x".to_owned(), |hex, byte| format!("{hex}{byte:02x}"))
        };
        list.push_str(hex(copy.as_os_str().as_encoded_bytes()).trim_start());
        list += " ";
        list += &run.argv.len().to_string();
        for string in run.argv.iter().chain(&run.environment) {
            list.push_str(&hex(string));
        }
        list.push('\n');
    }
    let name = outside.join("runs");
    fs::write(&name, list).unwrap();
    // A crash that is wanted needs no core file.
    let script = format!(
        "ulimit -H -c 8; exec {wrapper} perl -e '{DRIVER}' {EXECVE} {}",
        name.display()
    );
    let outcome: Outcome = scene.sh(&script);
    assert!(outcome.status.success(), "{outcome:?}");
    let split = |bytes: &[u8]| {
        let text = bytes.escape_ascii().to_string();
        let parts: Vec<_> = text.split_inclusive(">\\n").map(str::to_owned).collect();
        assert_eq!(parts.len(), runs.len(), "{text}");
        parts
    };
    split(&outcome.stdout)
        .into_iter()
        .zip(split(&outcome.stderr))
        .collect()
}

/// Asserts that each run has the same result on both sides. `wrapper` are
/// words of a command that runs all of them, like setpriv.
#[track_caller]
pub(super) fn compare_runs(pair: &Pair, wrapper: &str, runs: &[Run]) {
    let theirs = results(&pair.reference, wrapper, runs);
    let ours = results(&pair.ours, wrapper, runs);
    for (run, (theirs, ours)) in runs.iter().zip(theirs.iter().zip(&ours)) {
        assert!(
            theirs == ours,
            "{run:?}\nreference: {theirs:#?}\nours: {ours:#?}"
        );
    }
}

/// Strings of a few of these bytes.
pub(super) fn bytes(
    random: &mut fastrand::Rng,
    of: &[u8],
    length: std::ops::Range<usize>,
) -> Vec<u8> {
    let length = random.usize(length);
    (0..length).map(|_| *random.choice(of).unwrap()).collect()
}
