//! Helpers of the tests of all chain programs.

use std::io::Write;
use std::process::Command;

use testkit::{Outcome, Sandbox};

/// The chain programs, each with arguments that change little. They need the
/// directory `empty` in the sandbox, and setlock creates `lock`.
const PROGRAMS: [(&str, &str); 7] = [
    ("envdir", "empty"),
    ("envuidgid", "root"),
    ("setuidgid", "root"),
    ("softlimit", ""),
    ("setlock", "lock"),
    ("fghack", ""),
    ("pgrphack", ""),
];

/// The entries of [`PROGRAMS`] that can run here: setuidgid needs root, and its
/// own tests report that. An entry is the name and the beginning of a command
/// line; append a child. The words begin with the program's path, so that a
/// test can set PATH for the child alone.
pub(crate) fn programs(sandbox: &Sandbox) -> Vec<(&'static str, String)> {
    std::fs::create_dir_all(sandbox.path("empty")).unwrap();
    PROGRAMS
        .into_iter()
        .filter(|(name, _)| *name != "setuidgid" || nix::unistd::geteuid().is_root())
        .map(|(name, arguments)| {
            let program = sandbox.bin().join(name);
            (name, format!("{} {arguments}", program.display()))
        })
        .collect()
}

/// Prints that a part of a test was skipped because the system lacks a feature.
/// CI does not promise these features: few containers offer them.
pub(crate) fn not_shown(what: &str) {
    let _ = std::io::stderr().write_all(format!("not shown here: {what}\n").as_bytes());
}

/// Binds the sandbox's passwd, group and nsswitch.conf, extrausers and getent, as
/// far as they exist, to their places in the system.
pub(crate) const MOUNT: &str = "for file in passwd group nsswitch.conf extrausers getent; do \
         test -e $file || continue; \
         case $file in \
             extrausers) place=/var/lib/extrausers ;; \
             getent) place=/usr/bin/getent ;; \
             *) place=/etc/$file ;; \
         esac; \
         mount --bind $file $place || exit 99; \
     done";

/// Runs a script without single quotes after [`MOUNT`], in a mount namespace.
/// None if mounting is not permitted.
pub(crate) fn with_accounts(sandbox: &Sandbox, script: &str) -> Option<Outcome> {
    assert!(!script.contains('\''), "the shell could not quote it");
    if sandbox.sh("exec unshare -m mount --bind . .").code() != Some(0) {
        not_shown("accounts in a mount namespace");
        return None;
    }
    Some(sandbox.sh(&format!("exec unshare -m sh -c '{MOUNT}; {script}'")))
}

/// Whether Debian's libnss-extrausers is installed, a module of the name service
/// that reads accounts from /var/lib/extrausers; if not, `test` is skipped.
pub(crate) fn has_extrausers(test: &str) -> bool {
    let found = ["/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"]
        .iter()
        .any(|place| {
            std::path::Path::new(place)
                .join("libnss_extrausers.so.2")
                .exists()
        });
    if !found {
        testkit::skip(test, "libnss-extrausers is not installed");
    }
    found
}

/// A command that runs a program and injects an error into system calls of a
/// name; `when` selects the calls, as in strace(1). None if strace does not
/// work here.
pub(crate) fn injected(call: &str, error: &str, when: &str) -> Option<String> {
    let works = std::process::Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !works {
        not_shown("what strace injects");
    }
    works.then(|| {
        format!(
            "strace -qq -o /dev/null -e trace={call} -e inject={call}:error={error}:when={when}"
        )
    })
}

/// The words of a shell command that runs Perl code with arguments to follow.
pub(crate) fn perl(code: &str) -> String {
    assert!(!code.contains('\''), "the shell could not quote it");
    format!("perl -e '{code}'")
}

/// Perl code that writes to the file named by its argument all that a process
/// inherits but for its descriptors (see [`descriptors`]), a line each.
pub(crate) const PROBE: &str = r#"
    my $out = "";
    sub slurp { local $/; open(my $file, "<", $_[0]) or die "$_[0]: $!"; <$file> }
    for (split /\n/, slurp("/proc/self/status")) {
        $out .= "$_\n" if /^(Umask|Uid|Gid|Groups|SigBlk|SigIgn|ShdPnd|SigPnd|Cap...|NoNewPrivs)\b/;
    }
    my @stat = split / /, (split /\) /, slurp("/proc/self/stat"))[-1];
    for my $what (["process group", 2], ["session", 3]) {
        my $id = $stat[$what->[1]];
        $id = "its own" if $id == $$;
        $out .= "$what->[0] $id\n";
    }
    $out .= "nice $stat[16]\n";
    $out .= "cwd " . readlink("/proc/self/cwd") . "\n";
    $out .= "argument $_\n" for @ARGV[1 .. $#ARGV];
    $out .= slurp("/proc/self/limits");
    for (split /\0/, slurp("/proc/self/environ"), -1) { $out .= "environment $_\n" }
    open(my $file, ">", $ARGV[0]) or die "$ARGV[0]: $!";
    print $file $out;
    close($file) or die "$ARGV[0]: $!";
"#;

/// The report of [`PROBE`] as a child of `program`, a name with arguments; an
/// empty `program` means a child of the shell. The shell commands of `setup`
/// run first, in the same process.
pub(crate) fn inherited(sandbox: &Sandbox, setup: &str, program: &str) -> String {
    let probe = perl(PROBE);
    // The sandbox gives each command files of its own as output.
    sandbox
        .sh(&format!(
            "exec >output 2>&1\n{setup}\nexec {program} {probe} report 'an argument' ''"
        ))
        .succeeds();
    assert_eq!(sandbox.read("output").escape_ascii().to_string(), "");
    String::from_utf8_lossy(&sandbox.read("report")).into_owned()
}

/// The open descriptors of a child of `program`, each as `number target`, in
/// order. The setup may close any: Perl would open the first three again,
/// a shell does not.
pub(crate) fn descriptors(sandbox: &Sandbox, setup: &str, program: &str) -> Vec<(u32, String)> {
    let list = r#"(find /proc/$$/fd -mindepth 1 -printf "%f %l\n" >report); true"#;
    sandbox
        .sh(&format!(
            "exec >output 2>&1\n{setup}\nexec {program} sh -c '{list}'"
        ))
        .succeeds();
    let report = String::from_utf8(sandbox.read("report")).unwrap();
    let mut open: Vec<_> = report
        .lines()
        .map(|line| {
            let (number, target) = line.split_once(' ').unwrap();
            (number.parse().unwrap(), target.to_owned())
        })
        .collect();
    open.sort();
    open
}

/// A command that runs `program` with exactly this environment: entries in
/// this order, malformed and duplicate ones included.
pub(crate) fn with_environment(
    sandbox: &Sandbox,
    environment: &[&[u8]],
    program: &str,
    arguments: &[&str],
) -> Command {
    let mut entries = Vec::new();
    for entry in environment {
        entries.extend_from_slice(entry);
        entries.push(0);
    }
    let list = tempfile(sandbox, "environment", &entries);
    let mut command = sandbox.command("perl");
    command
        .args(["-e", RAW, &EXECVE.to_string(), &list])
        .arg(sandbox.bin().join(program))
        .arg(program)
        .args(arguments);
    command
}

/// Perl code that becomes a program with a raw environment. Arguments: the
/// number of execve, a file of environment entries, the program's path, argv.
const RAW: &str = r#"
    my ($execve, $list, $path, @argv) = @ARGV;
    open(my $file, "<", $list) or die "$list: $!";
    my @environment = do { local $/; split /\0/, scalar(<$file>), -1 };
    pop @environment;
    close $file;
    syscall(0 + $execve, $path, pack("p*", @argv) . pack("J", 0),
        pack("p*", @environment) . pack("J", 0));
    die "$path: $!";
"#;

/// The number of execve, for [`RAW`].
pub(crate) const EXECVE: i32 = if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
    59
} else if cfg!(any(
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "loongarch64"
)) {
    221
} else {
    11
};

fn tempfile(sandbox: &Sandbox, name: &str, bytes: &[u8]) -> String {
    let path = sandbox.dir().parent().unwrap().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.into_os_string().into_string().unwrap()
}

/// The environment that a child of `program` gets, when `program` is started
/// with `environment`.
pub(crate) fn environment_after(
    sandbox: &Sandbox,
    environment: &[&[u8]],
    program: &str,
    arguments: &[&str],
) -> Vec<u8> {
    let mut words = arguments.to_vec();
    words.extend(["/bin/cat", "/proc/self/environ"]);
    let outcome: Outcome = sandbox.run(with_environment(sandbox, environment, program, &words));
    assert!(
        outcome.status.success() && outcome.stderr.is_empty(),
        "{outcome:?}"
    );
    outcome.stdout
}

/// `KIND name` lines of the report of [`PROBE`] that begin with `prefix`.
pub(crate) fn lines<'a>(report: &'a str, prefix: &str) -> Vec<&'a str> {
    report
        .lines()
        .filter(|line| line.starts_with(prefix))
        .collect()
}

/// The report without the lines that begin with `prefix`.
pub(crate) fn without(report: &str, prefix: &str) -> String {
    let mut rest = String::new();
    for line in report.lines().filter(|line| !line.starts_with(prefix)) {
        rest.push_str(line);
        rest.push('\n');
    }
    rest
}
