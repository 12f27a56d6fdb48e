//! The order of svlogd's calls after a processor. A loss of power between two of them
//! leaves the input, or the whole output under its final name.

use testkit::{Sandbox, ours};

use crate::compliance::multilog::calls::{strace_works, summary};
use crate::compliance::multilog::line;

ours!(processor_output_is_synced_before_removal);

/// runit's svlogd syncs neither.
fn processor_output_is_synced_before_removal(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    sandbox.sh("mkdir m").succeeds();
    sandbox.write("m/config", "s2000\n!cat\n");
    sandbox.write("input", line(1000).repeat(3));
    let traced = sandbox.sh("exec strace -qq -y -o trace \
        -e trace=fsync,fdatasync,?rename,?renameat,renameat2,?chmod,fchmod,fchmodat,?unlink,unlinkat \
        svlogd m <input");
    traced.succeeds();
    let calls = summary(sandbox, "trace");
    let expected = [
        "fsync @LABEL.t",
        "rename @LABEL.t @LABEL.s",
        "chmod @LABEL.s 0744",
        "fsync @LABEL.s",
        "unlink @LABEL.u",
    ];
    let whole = calls
        .windows(expected.len())
        .filter(|calls| *calls == expected);
    let removals = calls.iter().filter(|call| *call == "unlink @LABEL.u");
    let count = removals.count();
    assert!(count > 0 && whole.count() == count, "{calls:?}");
}
