use testkit::compliance;

use super::chain::{inherited, perl};

compliance! {
    fn usage_is_for_a_missing_child(scene: &Scene) {
        scene
            .sh("pgrphack")
            .is(100, "", "pgrphack: usage: pgrphack child\n");
    }

    fn a_word_with_a_dash_is_the_child(scene: &Scene) {
        for word in ["-x", "--", "-"] {
            scene.sh(&format!("exec pgrphack {word} true")).is(
                111,
                "",
                format!("pgrphack: fatal: unable to run {word}: file does not exist\n"),
            );
        }
    }

    fn the_child_leads_a_session_and_a_process_group(scene: &Scene) {
        let shell = inherited(scene, "", "");
        assert!(!shell.contains("session its own\n"), "{shell}");
        let seen = inherited(scene, "", "pgrphack");
        assert!(
            seen.contains("process group its own\nsession its own\n"),
            "{seen}"
        );
    }

    fn the_leader_of_a_process_group_stays_in_its_session(scene: &Scene) {
        let leader = perl("setpgrp(0, 0); exec @ARGV");
        let direct = inherited(scene, "", &leader);
        assert!(
            direct.contains("process group its own\nsession ")
                && !direct.contains("session its own")
        );
        // The report's session is a number, of the session that it was in.
        assert_eq!(inherited(scene, "", &format!("{leader} pgrphack")), direct);
    }
}
