//! What doc/migration.md says of runit: our programs and runit's on one
//! service.

use testkit::{compliance, skip};

compliance! {
    fn svc_svok_and_svstat_work_on_a_service_of_runsv_and_sv_not_on_supervises(scene: &Scene) {
        if scene.sh("command -v runsv sv >found").code() != Some(0) {
            return skip("a service of runsv", "runit is not installed");
        }
        scene.script("s/run", "#!/bin/sh\nexec sleep 1000\n");
        let runsv = scene.start(scene.shell("exec runsv s"));
        scene.wait_until("it is up", || scene.sh("svstat s").masked() == "s: up (pid P) S seconds\n");
        scene.sh("svok s").succeeds();
        scene.sh("svc -d s").succeeds();
        scene.wait_until("it is down", || {
            scene.sh("svstat s").masked() == "s: down S seconds, normally up\n"
        });
        scene.sh("sv -w 9 exit ./s >said").succeeds();
        assert_eq!(runsv.wait().code(), Some(0));

        let _supervise = scene.start(scene.shell("exec supervise s"));
        scene.wait_until("it is up", || scene.sh("svstat s").masked() == "s: up (pid P) S seconds\n");
        scene.sh("sv status ./s").is(1, "warning: ./s: unable to read supervise/status: bad format\n", "");
    }
}
