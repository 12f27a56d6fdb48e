//! Many runs of chain programs from one process, since the start of a driver
//! takes longer than the runs that it makes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use testkit::random::Pair;
use testkit::{Outcome, Sandbox};

use crate::compliance::chain::EXECVE;

/// A run of a program, with a raw argv and a raw environment.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The program's name, under which it is found in the sandbox.
    pub(super) program: &'static str,
    /// The complete argv, the program's name first.
    pub(super) argv: Vec<Vec<u8>>,
    pub(super) environment: Vec<Vec<u8>>,
}

/// Perl code that runs the lines of a file one after the other. A line holds the
/// program's path, the number of words in argv, argv and the environment, all
/// but the number in hexadecimal and with an `x` in front. For each run, a
/// second file gets the wait status and the lengths of the output so far.
const DRIVER: &str = r#"
    my ($execve, $list, $ends) = @ARGV;
    open(my $file, "<", $list) or die "$list: $!";
    my @lines = <$file>;
    my $report = "";
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
        $report .= join(" ", $?, map { 0 + sysseek($_, 0, 1) } *STDOUT, *STDERR) . "\n";
    }
    open($file, ">", $ends) or die "$ends: $!";
    print $file $report;
    close $file or die "$ends: $!";
"#;

/// How a run ended: its wait status, standard output and standard error.
#[derive(PartialEq, Eq)]
struct Ended {
    status: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (stdout, stderr) = (self.stdout.escape_ascii(), self.stderr.escape_ascii());
        write!(
            f,
            "wait status {}\n stdout {stdout}\n stderr {stderr}",
            self.status
        )
    }
}

fn results(sandbox: &Sandbox, wrapper: &str, runs: &[Run]) -> Vec<Ended> {
    let outside = sandbox.dir().parent().unwrap().to_owned();
    let mut list = String::new();
    for run in runs {
        // A copy, since the account of the run may lack access to the original.
        let copy = outside.join(run.program);
        if !copy.exists() {
            sandbox.copy_program(run.program, &copy);
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
    // A crash that the reference shows as well needs no core file.
    let ends = outside.join("ends");
    let script = format!(
        "ulimit -H -c 8; exec {wrapper} perl -e '{DRIVER}' {EXECVE} {} {}",
        name.display(),
        ends.display(),
    );
    fs::write(&ends, "").unwrap();
    fs::set_permissions(&ends, fs::Permissions::from_mode(0o666)).unwrap();
    let outcome: Outcome = sandbox.sh(&script);
    assert!(outcome.status.success(), "{outcome:?}");
    let (mut stdout, mut stderr) = (&outcome.stdout[..], &outcome.stderr[..]);
    let mut take = |up_to: [usize; 2]| {
        let mut parts = [&mut stdout, &mut stderr]
            .into_iter()
            .zip(up_to)
            .map(|(rest, end)| {
                let (part, after) = rest.split_at(end);
                *rest = after;
                part.to_vec()
            });
        [parts.next().unwrap(), parts.next().unwrap()]
    };
    let mut done = [0; 2];
    fs::read_to_string(&ends)
        .unwrap()
        .lines()
        .map(|line| {
            let numbers: Vec<usize> = line
                .split(' ')
                .map(|number| number.parse().unwrap())
                .collect();
            let end = [numbers[1], numbers[2]];
            let [stdout, stderr] = take([end[0] - done[0], end[1] - done[1]]);
            done = end;
            Ended {
                status: i32::try_from(numbers[0]).unwrap(),
                stdout,
                stderr,
            }
        })
        .collect()
}

/// Asserts that each run has the same result on both sides. The words of
/// `wrapper`, such as setpriv with options, start the driver.
#[track_caller]
pub(super) fn compare_runs(pair: &Pair, wrapper: &str, runs: &[Run]) {
    let theirs = results(&pair.reference, wrapper, runs);
    let ours = results(&pair.ours, wrapper, runs);
    assert_eq!((theirs.len(), ours.len()), (runs.len(), runs.len()));
    for (run, (theirs, ours)) in runs.iter().zip(theirs.iter().zip(&ours)) {
        assert!(
            theirs == ours,
            "{run:?}\nreference: {theirs:?}\nours: {ours:?}"
        );
    }
}

/// A random string of bytes out of `of`.
pub(super) fn bytes(
    random: &mut fastrand::Rng,
    of: &[u8],
    length: std::ops::Range<usize>,
) -> Vec<u8> {
    let length = random.usize(length);
    (0..length).map(|_| *random.choice(of).unwrap()).collect()
}
