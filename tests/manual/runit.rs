//! The claims of doc/migration.md about runit: our programs and runit's on one
//! service.

use testkit::{SLEEPER, Sandbox, compliance, skip};

compliance!(manual_states_which_clients_work_with_runsv);

fn manual_states_which_clients_work_with_runsv(sandbox: &Sandbox) {
    if sandbox.sh("command -v runsv sv >found").code() != Some(0) {
        return skip("a service of runsv", "runit is not installed");
    }
    sandbox.script("s/run", SLEEPER);
    let runsv = sandbox.start(sandbox.shell("exec runsv s"));
    sandbox.wait_until("the service is up", || {
        sandbox.sh("svstat s").masked() == "s: up (pid P) S seconds\n"
    });
    sandbox.sh("svok s").succeeds();
    sandbox.sh("svc -d s").succeeds();
    sandbox.wait_until("the service is down", || {
        sandbox.sh("svstat s").masked() == "s: down S seconds, normally up\n"
    });
    sandbox.sh("sv -w 60 exit ./s >output").succeeds();
    assert_eq!(runsv.wait().code(), Some(0));

    let _supervise = sandbox.start(sandbox.shell("exec supervise s"));
    sandbox.wait_until("the service is up", || {
        sandbox.sh("svstat s").masked() == "s: up (pid P) S seconds\n"
    });
    sandbox.sh("sv status ./s").is(
        1,
        "warning: ./s: unable to read supervise/status: bad format\n",
        "",
    );
}
