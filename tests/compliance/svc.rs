use nix::sys::signal::Signal;
use testkit::{Scene, Subject, compliance, interop};

use super::multilog::calls::strace_works;
use super::{SLEEPER, supervise, wait_for_status};

const USAGE: &str = "svc options: u up, d down, o once, x exit, p pause, c continue, h hup, a alarm, \
                     i interrupt, t term, k kill\n";

/// The letters that 0.76 refuses.
const NEW: &str = "q12w+=";

/// A service, called by its shell, that leads a process group of its own if
/// `alone`, with a child in the group; each writes down what it is sent.
fn pair(scene: &Scene, alone: &str) {
    let log = |who: &str| {
        let trap = |signal: &str| format!("trap 'echo {who} {signal} >>got' {signal}");
        ["QUIT", "USR1", "USR2", "WINCH"].map(trap).join("\n")
    };
    let wait = "while :; do sleep 0.01; done";
    scene.script(
        "s/child",
        &format!("#!/bin/sh\n{}\necho child >>got\n{wait}\n", log("child")),
    );
    scene.script(
        "s/parent",
        &format!("#!/bin/sh\n{}\n./child &\n{wait}\n", log("parent")),
    );
    scene.script("s/run", &format!("#!/bin/sh\nexec {alone} ./parent\n"));
}

/// Waits until the lines of `s/got`, in any order, are those.
#[track_caller]
fn wait_for_got(scene: &Scene, wanted: &[&str]) {
    let mut wanted = wanted.to_owned();
    wanted.sort_unstable();
    scene.wait_for("sort s/got 2>/dev/null", |text| {
        text.lines().collect::<Vec<_>>() == wanted
    });
}

compliance! {
    fn bad_options_are_told_with_all_options(scene: &Scene) {
        scene.sh("svc -Z s").is(100, "", format!("svc: illegal option -- Z\n{USAGE}"));
        scene.sh("svc -uZd s").is(100, "", format!("svc: illegal option -- Z\n{USAGE}"));
        scene.sh("svc -u- s").is(100, "", format!("svc: illegal option -- -\n{USAGE}"));
        scene.sh("svc -: s").is(100, "", format!("svc: illegal option -- :\n{USAGE}"));
    }

    fn the_complaint_names_the_program_as_it_was_called(scene: &Scene) {
        scene.sh("ln -s $THEN/svc other; ./other -Z").is(100, "", format!("other: illegal option -- Z\n{USAGE}"));
        scene.sh("exec bash -c 'exec -a dir/ svc -Z'").is(100, "", format!(": illegal option -- Z\n{USAGE}"));
    }

    fn nothing_to_do_is_done(scene: &Scene) {
        scene.sh("svc").succeeds();
        scene.sh("svc -u").succeeds();
        scene.sh("svc -u --").succeeds();
    }

    fn options_end_at_the_first_other_word(scene: &Scene) {
        scene.sh("svc -u - -d").is(0, "",
            "svc: warning: unable to chdir to -: file does not exist\n\
             svc: warning: unable to chdir to -d: file does not exist\n");
        scene.sh("svc -- -d").is(0, "", "svc: warning: unable to chdir to -d: file does not exist\n");
    }

    fn a_word_that_begins_with_two_dashes_ends_the_options(scene: &Scene) {
        for word in ["--", "---", "--u", "--Z"] {
            scene.sh(&format!("svc {word} -d")).is(0, "", "svc: warning: unable to chdir to -d: file does not exist\n");
        }
    }

    fn single_directories_may_fail(scene: &Scene) {
        scene.write("file", "");
        scene.sh("mkdir -p none fifo/supervise dir/supervise/control; mkfifo fifo/supervise/control");
        scene.sh("svc -u nope file none fifo dir").is(0, "",
            "svc: warning: unable to chdir to nope: file does not exist\n\
             svc: warning: unable to chdir to file: not a directory\n\
             svc: warning: unable to control none: file does not exist\n\
             svc: warning: unable to control fifo: supervise not running\n\
             svc: warning: unable to control dir: is a directory\n");
    }

    fn letters_are_sent_in_their_order_and_each_once(scene: &Scene) {
        scene.sh("mkdir -p s/supervise; : >s/supervise/control");
        scene.sh("svc -udo -tuk -t -xpchai s").succeeds();
        assert_eq!(scene.read("s/supervise/control").escape_ascii().to_string(), "udotkxpchai");
    }

    fn later_letters_are_refused_or_sent(scene: &Scene) {
        scene.sh("mkdir -p s/supervise; : >s/supervise/control");
        if scene.subject() == Subject::Reference {
            for letter in NEW.chars() {
                scene.sh(&format!("svc -{letter} s")).is(100, "", format!("svc: illegal option -- {letter}\n{USAGE}"));
            }
        } else {
            scene.sh("svc -q -1 -2 -w -+ -= -+1 s").succeeds();
            // What `+` says is taken back at the end.
            let sent = |letters| assert_eq!(scene.read("s/supervise/control").escape_ascii().to_string(), letters);
            sent("q12w+=+1=");
            scene.sh(": >s/supervise/control; svc -++t1=t=1+tw1 s").succeeds();
            sent("+t1=t1+w=");
            scene.sh("svc -Z s").is(100, "", format!("svc: illegal option -- Z\n{USAGE}"));
        }
    }

    fn later_letters_send_their_signals_or_are_ignored(scene: &Scene) {
        pair(scene, "");
        let _supervise = supervise(scene);
        wait_for_got(scene, &["child"]);
        let mut got = vec!["child"];
        for (letter, line) in [("q", "parent QUIT"), ("1", "parent USR1"), ("2", "parent USR2"), ("w", "parent WINCH")] {
            // As svc writes it. That supervise has read it shows in what follows.
            scene.sh(&format!("printf {letter}p >s/supervise/control")).succeeds();
            wait_for_status(scene, (true, 1, b'u'));
            scene.sh("svc -c s").succeeds();
            if scene.subject() == Subject::Ours {
                got.push(line);
            }
            wait_for_got(scene, &got);
        }
    }

    fn a_group_that_the_service_leads_can_be_reached(scene: &Scene) {
        pair(scene, "pgrphack");
        let supervise = supervise(scene);
        wait_for_got(scene, &["child"]);
        if scene.subject() == Subject::Reference {
            // Its supervise reads all this, and minds the last letter alone.
            scene.sh("printf +12=wp >s/supervise/control").succeeds();
            wait_for_status(scene, (true, 1, b'u'));
            scene.sh("svc -c s").succeeds();
            return wait_for_got(scene, &["child"]);
        }
        scene.sh("svc -w s").succeeds();
        wait_for_got(scene, &["child", "parent WINCH"]);
        // The letters after one, up to the other, and no longer than one svc.
        scene.sh("svc -+1=2 s").succeeds();
        wait_for_got(scene, &["child", "parent WINCH", "parent USR1", "child USR1", "parent USR2"]);
        scene.sh(": >s/got; svc -w s").succeeds();
        wait_for_got(scene, &["parent WINCH"]);
        // Even if supervise reads what two of them have written at once.
        supervise.signal(Signal::SIGSTOP);
        scene.sh(": >s/got; svc -+1 s; svc -2 s").succeeds();
        supervise.signal(Signal::SIGCONT);
        wait_for_got(scene, &["parent USR1", "child USR1", "parent USR2"]);
    }

    fn a_group_that_the_service_does_not_lead_is_not_reached(scene: &Scene) {
        pair(scene, "");
        let mut supervise = supervise(scene);
        wait_for_got(scene, &["child"]);
        if scene.subject() == Subject::Ours {
            // The group is that of supervise, which would die of these.
            scene.sh("svc -+12p s").succeeds();
            wait_for_status(scene, (true, 1, b'u'));
            scene.sh("svc -+cw s").succeeds();
            wait_for_got(scene, &["child", "parent USR1", "parent USR2", "parent WINCH"]);
            assert!(supervise.runs());
        }
    }

    fn who_ends_before_it_is_told_keeps_nobody_from_being_told(scene: &Scene) {
        if !strace_works(scene) {
            return;
        }
        scene.sh("for d in a b; do mkdir -p $d/supervise; : >$d/supervise/control; done").succeeds();
        for (error, why) in [("EPIPE:signal=PIPE", "broken pipe"), ("EIO", "input/output error")] {
            let svc = format!("exec strace -o /dev/null -e inject=write:error={error}:when=1 svc -u a b");
            scene.sh(&svc).is(0, "", format!("svc: warning: error writing commands to a: {why}\n"));
        }
        assert_eq!((scene.read("a/supervise/control"), scene.read("b/supervise/control")), (b"".to_vec(), b"u".to_vec()));
    }

    fn no_letters_are_nothing_written(scene: &Scene) {
        scene.sh("mkdir -p s/supervise; echo kept >s/supervise/control");
        scene.sh("svc s").succeeds();
        assert_eq!(scene.read("s/supervise/control"), b"kept\n");
    }

    fn a_full_fifo_is_waited_for(scene: &Scene) {
        scene.sh("mkdir -p s/supervise; mkfifo s/supervise/control");
        let fill = "exec 5<>s/supervise/control; head -c 65536 /dev/zero >&5; \
                    svc -u s & until grep -q pipe_write /proc/$!/wchan 2>/dev/null \
                    || grep -q ' S ' /proc/$!/stat; do :; done; head -c 65537 <&5 | tail -c 1; wait";
        scene.sh(fill).prints("u");
    }
}

interop! {
    fn commands_reach_the_service(scene: &Scene) {
        let log = "for s in HUP ALRM INT TERM CONT; do trap \"echo $s >>got\" $s; done";
        scene.script("s/run", &format!("#!/bin/sh\n{log}\necho ready >>got\nwhile :; do sleep 0.01; done\n"));
        let _supervise = supervise(scene);
        let got = |wanted: &str| {
            scene.wait_until(wanted, || scene.read("s/got").escape_ascii().to_string() == wanted.replace(' ', "\\n"));
        };
        scene.wait_until("the service runs", || scene.exists("s/got"));
        got("ready ");
        for (letter, seen) in [("h", "ready HUP "), ("a", "ready HUP ALRM "), ("i", "ready HUP ALRM INT "),
            ("t", "ready HUP ALRM INT TERM "), ("c", "ready HUP ALRM INT TERM CONT ")]
        {
            scene.sh(&format!("svc -{letter} s")).succeeds();
            got(seen);
        }
        let first = scene.service("s");
        scene.sh("svc -k s").succeeds();
        scene.wait_until("it is killed and restarted", || scene.service("s") != first);
    }

    fn several_directories_are_controlled_in_one_go(scene: &Scene) {
        for name in ["s", "b"] {
            scene.script(format!("{name}/run"), SLEEPER);
            scene.write(format!("{name}/down"), "");
        }
        let _first = supervise(scene);
        let _second = scene.start(scene.shell("exec supervise b"));
        scene.wait_until("both run", || scene.sh("svok b").code() == Some(0));
        scene.sh("svc -u s b").succeeds();
        wait_for_status(scene, (true, 0, b'u'));
        let up = "b: up (pid P) S seconds, normally down\n";
        scene.wait_until("the other is up", || scene.sh("svstat b").masked() == up);
    }
}
