//! What ours does better by default: each test shows what the reference does
//! and what ours does, and is named in COMPATIBILITY.md.

use testkit::{Scene, Subject, compliance};

use super::{pid, status, supervise};

/// What a test of a difference expects of the subject.
fn reference_or_ours<T>(scene: &Scene, reference: T, ours: T) -> T {
    match scene.subject() {
        Subject::Reference => reference,
        Subject::Ours => ours,
        mixed => panic!("a difference is not shown by {mixed:?}"),
    }
}

compliance! {
    fn svscan_takes_any_number_of_services(scene: &Scene) {
        const MANY: usize = 1003;
        for n in 0..MANY {
            std::fs::create_dir_all(scene.path(format!("scan/{n}"))).unwrap();
        }
        scene.script("bin2/supervise", "#!/bin/sh\necho $1 >>../started\n");
        let svscan = scene.start(scene.shell("PATH=$PWD/bin2:$PATH; exec svscan scan"));
        let refused = || {
            let stderr = String::from_utf8(svscan.stderr()).unwrap();
            stderr.lines().filter(|line| line.ends_with(": running too many services")).count()
        };
        let started = || {
            let lines = std::fs::read_to_string(scene.path("started")).unwrap_or_default();
            lines.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect::<std::collections::BTreeSet<_>>().len()
        };
        let (reference, ours) = (1000, MANY);
        let expected = reference_or_ours(scene, reference, ours);
        scene.wait_until("the services are started", || started() == expected);
        scene.wait_until("the others are refused", || refused() >= MANY - expected);
        assert_eq!(svscan.stderr().is_empty(), expected == MANY);
    }

    fn supervise_sees_a_death_in_the_first_second(scene: &Scene) {
        scene.script("s/run", "#!/bin/sh\necho start >>starts\n");
        let _supervise = supervise(scene);
        let starts = || std::fs::read(scene.path("s/starts")).map_or(0, |starts| starts.len() / 6);
        let is_zombie = |pid| {
            let state = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            state.contains("State:\tZ")
        };
        scene.wait_until("the death shows", || match scene.subject() {
            Subject::Reference => is_zombie(pid(scene)),
            _ => starts() == 1 && status(scene) == (false, 0, b'u'),
        });
        scene.wait_until("it is restarted all the same", || starts() >= 2);
    }

    fn supervise_obeys_in_the_first_second(scene: &Scene) {
        // It lives until it is hung up, and tells for how many milliseconds.
        scene.script("s/run", "#!/usr/bin/perl\nuse Time::HiRes 'time'; my $start = time;\n\
            $SIG{HUP} = sub { open O, '>', 'lived.new'; printf O '%d', 1000 * (time - $start); close O; \
            rename 'lived.new', 'lived'; exit };\nopen O, '>', 'ready'; close O; sleep 1000;\n");
        scene.write("s/down", "");
        let _supervise = supervise(scene);
        let lived = || -> u32 {
            scene.sh("rm -f s/ready s/lived; svc -o s").succeeds();
            scene.wait_until("it runs", || scene.exists("s/ready"));
            scene.sh("svc -h s").succeeds();
            scene.wait_until("it is hung up", || scene.exists("s/lived"));
            scene.wait_until("it ends", || status(scene) == (false, 0, 0));
            String::from_utf8(scene.read("s/lived")).unwrap().parse().unwrap()
        };
        if scene.subject() == Subject::Reference {
            // What perl takes to start is not counted.
            let lived = lived();
            assert!(lived > 700, "{lived} ms");
        } else {
            // On a busy machine it may take several tries to be that quick.
            scene.wait_until("it obeys at once", || lived() < 500);
        }
    }
}
