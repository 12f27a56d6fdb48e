//! Processes of a test, found in /proc.

use std::fs;
use std::path::Path;

use nix::unistd::Pid;

/// The children of a process, including zombies.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let pids = children.split_whitespace().map(|pid| pid.parse().unwrap());
    pids.map(Pid::from_raw).collect()
}

/// The name of the program of a process.
pub(crate) fn program(pid: Pid) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

/// The fields of /proc/PID/stat after the name of the program: the first is the
/// state.
pub(crate) fn stat(pid: Pid) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

/// Whether a process waits in poll(2) or `ppoll`(2) without a timeout, from the third
/// argument of its system call. poll's is an int, whose upper half musl sets as well.
pub(crate) fn waits_without_timeout(pid: Pid) -> bool {
    let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    let argument = call
        .split(' ')
        .nth(3)
        .and_then(|argument| argument.strip_prefix("0x"));
    let argument = argument.map(|argument| u64::from_str_radix(argument, 16).unwrap());
    argument.is_some_and(|argument| {
        if cfg!(target_arch = "x86_64") {
            argument & 0xffff_ffff == 0xffff_ffff
        } else {
            argument == 0
        }
    })
}

/// The arguments of a process, each followed by a space.
pub(crate) fn arguments(pid: Pid) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

/// The working directory of a process. After a removal, Linux appends
/// ` (deleted)`.
pub(crate) fn directory(pid: Pid) -> Option<std::path::PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// A process for a report.
pub(crate) fn describe(pid: Pid) -> String {
    let words = arguments(pid);
    let directory = directory(pid).unwrap_or_default();
    let state = stat(pid).map(|fields| fields[..4].join(" "));
    format!("{pid} {state:?} {words}in {}", directory.display())
}

/// Whether a process has exited and its parent has not reaped it.
pub(crate) fn is_zombie(pid: Pid) -> bool {
    stat(pid).is_some_and(|fields| fields[0] == "Z")
}

/// The number of open descriptors of a process.
pub(crate) fn descriptors(pid: Pid) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The number of inotify watches of a process.
pub(crate) fn watches(pid: Pid) -> usize {
    let Ok(infos) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else {
        return 0;
    };
    let count = |path: &Path| {
        let info = fs::read_to_string(path).unwrap_or_default();
        info.lines()
            .filter(|line| line.starts_with("inotify "))
            .count()
    };
    infos.flatten().map(|info| count(&info.path())).sum()
}

/// A sum of `/proc/PID/smaps_rollup`, such as `Private_Dirty`, in KB.
pub(crate) fn memory(pid: Pid, sum: &str) -> Option<u64> {
    let sums = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let mut lines = sums.lines().filter_map(|line| line.split_once(':'));
    let (_, size) = lines.find(|(name, _)| *name == sum)?;
    size.trim().strip_suffix(" kB")?.parse().ok()
}
