use testkit::{compliance, interop};

compliance! {
    fn usage_is_for_a_missing_argument(scene: &Scene) {
        scene.sh("svok").is(100, "", "svok: usage: svok dir\n");
    }

    fn further_arguments_are_ignored(scene: &Scene) {
        scene.write("s/run", "");
        scene.sh("svok s nonsense").is(100, "", "");
    }

    fn a_missing_directory_is_fatal(scene: &Scene) {
        scene.sh("svok nope").is(111, "", "svok: fatal: unable to chdir to nope: file does not exist\n");
    }

    fn anything_but_a_fifo_is_said(scene: &Scene) {
        scene.write("s/supervise/ok/file", "");
        scene.sh("svok s").is(111, "", "svok: fatal: unable to open s/supervise/ok: is a directory\n");
    }
}
interop! {
    fn it_tells_whether_supervise_runs(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\nexec sleep 1000\n");
        scene.sh("svok s").is(100, "", "");
        let supervise = scene.start(scene.shell("exec supervise s"));
        scene.wait_until("svok says yes", || scene.sh("svok s").code() == Some(0));
        scene.sh("svok s").succeeds();
        scene.sh("svc -dx s").succeeds();
        supervise.wait().succeeds();
        scene.sh("svok s").is(100, "", "");
    }
}
