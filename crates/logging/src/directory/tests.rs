use std::fs;

use super::*;
use crate::lines::Lines;
use crate::scene::Scene;
use daemontools_core::label::Label;

const BOTH: [LogPolicy; 2] = [LogPolicy::Multilog, LogPolicy::Svlogd];

/// Files of at most ten bytes, which end at a line.
fn small(policy: LogPolicy) -> LogDirConfig {
    LogDirConfig {
        size: 10,
        slack: 0,
        ..policy.default_config()
    }
}

#[test]
fn full_file_becomes_an_old_file() {
    for policy in BOTH {
        let scene = Scene::new();
        fs::create_dir_all("log").unwrap();
        let mut directory = scene.open(policy, c"log", small(policy));
        directory.append_lines(b"aaaa\nbbbb\ncccc\ndddd\neeee\n");
        directory.append_lines(b"ff\n");
        let files = scene.files("log");
        let old = ["744 .s \"aaaa\\nbbbb\\n\"", "744 .s \"cccc\\ndddd\\n\""];
        assert_eq!(files[..2], old);
        assert_eq!(files[2], "644 current \"eeee\\nff\\n\"");
        directory.append_lines(b"g\n");
        assert_eq!(scene.files("log").len(), files.len() + 1);
        let renamed = policy == LogPolicy::Svlogd;
        let reports = Scene::reports();
        assert_eq!(reports[0], "Created");
        assert_eq!(reports.contains(&"Renamed".to_owned()), renamed);
    }
}

#[test]
fn batch_is_split_as_by_076() {
    let scene = Scene::new();
    let config = LogDirConfig {
        size: 4096,
        ..LogPolicy::Multilog.default_config()
    };
    let mut directory = scene.open(LogPolicy::Multilog, c"log", config);
    let mut lines = Lines::new(false);
    let input = ("x".repeat(999) + "\n").repeat(4);
    lines.read_buffer()[..4000].copy_from_slice(input.as_bytes());
    directory.append(&lines.batch(4000, Label::now));
    let sizes = scene.files("log").into_iter();
    let sizes: Vec<_> = sizes.map(|file| file.matches('x').count()).collect();
    assert_eq!(sizes, [2997, 999, 0]);
}

#[test]
fn finished_current_is_continued() {
    for policy in BOTH {
        let scene = Scene::new();
        scene.write("log/current", "12345678\n", 0o744);
        let mut directory = scene.open(policy, c"log", small(policy));
        assert_eq!(Scene::reports(), ["Resumed"]);
        assert_eq!(scene.files("log"), ["644 current \"12345678\\n\""]);
        directory.append_lines(b"\nnew\n");
        let files = scene.files("log");
        let old = "744 .s \"12345678\\n\\n\"";
        assert_eq!(files[..2], [old, "644 current \"new\\n\""]);
    }
}

#[test]
fn unfinished_current_becomes_an_old_file() {
    for policy in BOTH {
        let scene = Scene::new();
        scene.write("log/current", "cut", 0o644);
        let _directory = scene.open(policy, c"log", small(policy));
        let files = scene.files("log");
        assert_eq!(files[..2], ["644 .u \"cut\"", "644 current \"\""]);
        assert_eq!(Scene::reports(), ["Created"]);
    }
}

#[test]
fn leftovers_of_a_processor_are_repaired() {
    let multilog = LogPolicy::Multilog;
    for (mode, archived) in [(0o644, "744 .u \"raw\""), (0o744, "744 .gz \"done\"")] {
        let scene = Scene::new();
        scene.write("log/previous", "raw", 0o744);
        scene.write("log/processed", "done", mode);
        scene.write("log/state", "old", 0o644);
        scene.write("log/newstate", "new", 0o644);
        let mut config = small(multilog);
        config.suffix = b"gz".to_vec();
        let _directory = scene.open(multilog, c"log", config);
        let left = [archived, "644 current \"\"", "644 state \"\""];
        assert_eq!(scene.files("log"), left);
    }
    // After a clean end, nothing is repaired.
    let scene = Scene::new();
    scene.write("log/current", "", 0o744);
    scene.write("log/state", "old", 0o644);
    let _directory = scene.open(multilog, c"log", small(multilog));
    let left = ["644 current \"\"", "644 state \"old\""];
    assert_eq!(scene.files("log"), left);
}

#[test]
fn empty_current_is_not_rotated() {
    for policy in BOTH {
        let scene = Scene::new();
        fs::create_dir("log").unwrap();
        let mut directory = scene.open(policy, c"log", small(policy));
        let before = scene.files("log");
        directory.rotate();
        assert_eq!(scene.files("log"), before);
        directory.append_lines(b"line\n");
        directory.rotate();
        directory.rotate();
        let files = scene.files("log");
        assert_eq!(files[..2], ["744 .s \"line\\n\"", "644 current \"\""]);
        assert_eq!(files.len(), before.len() + 1);
        // The new file starts with size 0.
        directory.append_lines(b"12345678\n");
        assert_eq!(scene.files("log").len(), before.len() + 1);
    }
}

#[test]
fn directories_keep_their_files_apart() {
    let scene = Scene::new();
    let multilog = LogPolicy::Multilog;
    let mut one = scene.open(multilog, c"one", small(multilog));
    let mut two = scene.open(multilog, c"two", small(multilog));
    one.append_lines(b"one\n");
    two.append_lines(b"two\n");
    one.rotate();
    two.rotate();
    assert!(scene.files("one")[0].ends_with(".s \"one\\n\""));
    assert!(scene.files("two")[0].ends_with(".s \"two\\n\""));
}

#[test]
fn age_limit_closes_a_file_with_lines() {
    let hour = Duration::from_secs(3600);
    for policy in BOTH {
        let scene = Scene::new();
        fs::create_dir("log").unwrap();
        let starts_at_once = policy == LogPolicy::Svlogd;
        let open = |name, age| {
            let config = LogDirConfig {
                age,
                ..policy.default_config()
            };
            scene.open(policy, name, config)
        };
        let mut directory = open(c"log", Some(hour));
        assert_eq!(directory.rotate_if_expired().is_some(), starts_at_once);
        directory.append_lines(b"line\n");
        let remaining = directory.rotate_if_expired().unwrap();
        assert!(remaining <= hour && remaining > hour / 2, "{remaining:?}");
        assert!(!scene.files("log")[0].contains(".s "));
        directory.rotate();
        assert_eq!(directory.rotate_if_expired().is_some(), starts_at_once);

        fs::create_dir(scene.path("short")).unwrap();
        let mut directory = open(c"short", Some(Duration::ZERO));
        directory.append_lines(b"line\n");
        let next = starts_at_once.then_some(Duration::ZERO);
        assert_eq!(directory.rotate_if_expired(), next);
        assert!(scene.files("short")[0].ends_with(".s \"line\\n\""));

        fs::create_dir(scene.path("never")).unwrap();
        let mut directory = open(c"never", None);
        directory.append_lines(b"line\n");
        assert_eq!(directory.rotate_if_expired(), None);
    }
}

#[test]
fn total_limit_counts_current() {
    let scene = Scene::new();
    let multilog = LogPolicy::Multilog;
    let config = LogDirConfig {
        bytes: Some(20),
        ..small(multilog)
    };
    let mut directory = scene.open(multilog, c"log", config.clone());
    directory.append_lines(b"aaaaaaaaa\nbbbbbbbbb\n");
    let old = |files: &[String]| files.iter().filter(|file| file.contains(" .s ")).count();
    assert_eq!(old(&scene.files("log")), 2);
    std::env::set_current_dir(scene.path("")).unwrap();
    directory.append_lines(b"c\n");
    assert_eq!(old(&scene.files("log")), 1);
    directory.append_lines(b"ccccc\n");
    assert_eq!(old(&scene.files("log")), 1);
    directory.close();
    // At the start, the limit counts the continued file.
    scene.write("log/@400000000000000000000001.s", "1234567", 0o744);
    let directory = scene.open(multilog, c"log", config);
    assert_eq!(old(&scene.files("log")), 1);
    directory.close();
}

#[test]
fn closed_directory_is_finished_and_unlocked() {
    for policy in BOTH {
        let scene = Scene::new();
        fs::create_dir("log").unwrap();
        let mut directory = scene.open(policy, c"log", small(policy));
        directory.append_lines(b"line\n");
        let locked = LockedLogDir::enter(policy, c"log", scene.context());
        let error = locked.map(drop).unwrap_err();
        assert_eq!(
            (error.step, error.error),
            (LogStep::Lock, Some(Errno::EAGAIN))
        );
        assert_eq!(Scene::reports(), ["Created"]);
        directory.finish();
        assert_eq!(Scene::reports(), ["Closed"]);
        assert_eq!(scene.files("log")[0], "744 current \"line\\n\"");
        assert!(LockedLogDir::enter(policy, c"log", scene.context()).is_err());
        directory.close();
        assert!(LockedLogDir::enter(policy, c"log", scene.context()).is_ok());
    }
}

#[test]
fn only_multilog_creates_the_directory() {
    let scene = Scene::new();
    let entered = LockedLogDir::enter(LogPolicy::Svlogd, c"log", scene.context());
    let error = entered.map(drop).unwrap_err();
    assert_eq!(error.step, LogStep::OpenDirectory);
    assert_eq!(error.error, Some(Errno::ENOENT));
    assert!(LockedLogDir::enter(LogPolicy::Multilog, c"log", scene.context()).is_ok());
    assert!(scene.path("log/lock").exists());
}

#[test]
fn svlogd_repeats_a_write_that_may_succeed() {
    let scene = Scene::new();
    fs::create_dir_all("log").unwrap();
    let config = LogDirConfig {
        min_files: 0,
        ..LogPolicy::Svlogd.default_config()
    };
    let svlogd = scene.open(LogPolicy::Svlogd, c"log", config);
    assert!(svlogd.recovers_from(Errno::EINTR));
    assert!(!svlogd.recovers_from(Errno::EIO));
    assert!(!svlogd.recovers_from(Errno::ENOSPC));
    scene.write("log/@400000000000000000000001.s", "old", 0o744);
    std::env::set_current_dir(scene.path("")).unwrap();
    assert!(svlogd.recovers_from(Errno::ENOSPC));
    assert!(!scene.files("log")[0].contains("old"));
    let config = LogPolicy::Multilog.default_config();
    let multilog = scene.open(LogPolicy::Multilog, c"other", config);
    assert!(!multilog.recovers_from(Errno::EINTR));
    assert!(!multilog.recovers_from(Errno::ENOSPC));
}
