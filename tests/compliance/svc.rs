use nix::sys::signal::Signal;
use testkit::{SLEEPER, Sandbox, Subject, compliance, interop};

use super::multilog::calls::strace_works;
use super::{supervise, wait_for_status};

const USAGE: &str = "svc options: u up, d down, o once, x exit, p pause, c continue, h hup, a \
    alarm, \
                     i interrupt, t term, k kill\n";

/// The letters that 0.76 refuses.
const NEW: &str = "q12w+=";

compliance!(
    bad_options_are_reported_with_usage,
    message_names_program_as_called,
    call_without_directories_succeeds,
    options_end_at_the_first_other_word,
    word_with_two_dashes_ends_options,
    failing_directory_does_not_stop_the_others,
    letters_are_sent_in_their_order_and_each_once,
    later_letters_are_refused_or_sent,
    later_letters_send_signals_or_are_ignored,
    group_led_by_service_gets_signals,
    group_led_by_another_process_gets_no_signal,
    exiting_supervise_does_not_stop_the_others,
    empty_command_writes_nothing,
    full_fifo_blocks_until_read,
);

interop!(
    commands_reach_the_service,
    several_directories_are_controlled,
);

/// A service, started by its shell, that leads its own process group if
/// `alone`, with a child in the group. Each of the two writes its signals to a
/// file.
fn pair(sandbox: &Sandbox, alone: &str) {
    let log = |who: &str| {
        let trap = |signal: &str| format!("trap 'echo {who} {signal} >>got' {signal}");
        ["QUIT", "USR1", "USR2", "WINCH"].map(trap).join("\n")
    };
    let wait = "while :; do sleep 0.01; done";
    sandbox.script(
        "s/child",
        &format!("#!/bin/sh\n{}\necho child >>got\n{wait}\n", log("child")),
    );
    sandbox.script(
        "s/parent",
        &format!("#!/bin/sh\n{}\n./child &\n{wait}\n", log("parent")),
    );
    sandbox.script("s/run", &format!("#!/bin/sh\nexec {alone} ./parent\n"));
}

/// Waits until the lines of `s/got`, in any order, are those.
#[track_caller]
fn wait_for_got(sandbox: &Sandbox, wanted: &[&str]) {
    let mut wanted = wanted.to_owned();
    wanted.sort_unstable();
    sandbox.wait_for("sort s/got 2>/dev/null", |text| {
        text.lines().collect::<Vec<_>>() == wanted
    });
}

fn bad_options_are_reported_with_usage(sandbox: &Sandbox) {
    sandbox
        .sh("svc -Z s")
        .is(100, "", format!("svc: illegal option -- Z\n{USAGE}"));
    sandbox
        .sh("svc -uZd s")
        .is(100, "", format!("svc: illegal option -- Z\n{USAGE}"));
    sandbox
        .sh("svc -u- s")
        .is(100, "", format!("svc: illegal option -- -\n{USAGE}"));
    sandbox
        .sh("svc -: s")
        .is(100, "", format!("svc: illegal option -- :\n{USAGE}"));
}

fn message_names_program_as_called(sandbox: &Sandbox) {
    sandbox.sh("ln -s $THEN/svc other; ./other -Z").is(
        100,
        "",
        format!("other: illegal option -- Z\n{USAGE}"),
    );
    sandbox.sh("exec bash -c 'exec -a dir/ svc -Z'").is(
        100,
        "",
        format!(": illegal option -- Z\n{USAGE}"),
    );
}

fn call_without_directories_succeeds(sandbox: &Sandbox) {
    sandbox.sh("svc").succeeds();
    sandbox.sh("svc -u").succeeds();
    sandbox.sh("svc -u --").succeeds();
}

fn options_end_at_the_first_other_word(sandbox: &Sandbox) {
    sandbox.sh("svc -u - -d").is(
        0,
        "",
        "svc: warning: unable to chdir to -: file does not exist\n\
         svc: warning: unable to chdir to -d: file does not exist\n",
    );
    sandbox.sh("svc -- -d").is(
        0,
        "",
        "svc: warning: unable to chdir to -d: file does not exist\n",
    );
}

fn word_with_two_dashes_ends_options(sandbox: &Sandbox) {
    for word in ["--", "---", "--u", "--Z"] {
        sandbox.sh(&format!("svc {word} -d")).is(
            0,
            "",
            "svc: warning: unable to chdir to -d: file does not exist\n",
        );
    }
}

fn failing_directory_does_not_stop_the_others(sandbox: &Sandbox) {
    sandbox.write("file", "");
    sandbox
        .sh("mkdir -p none fifo/supervise dir/supervise/control; mkfifo fifo/supervise/control")
        .succeeds();
    sandbox.sh("svc -u nope file none fifo dir").is(
        0,
        "",
        "svc: warning: unable to chdir to nope: file does not exist\n\
         svc: warning: unable to chdir to file: not a directory\n\
         svc: warning: unable to control none: file does not exist\n\
         svc: warning: unable to control fifo: supervise not running\n\
         svc: warning: unable to control dir: is a directory\n",
    );
}

fn letters_are_sent_in_their_order_and_each_once(sandbox: &Sandbox) {
    sandbox
        .sh("mkdir -p s/supervise; : >s/supervise/control")
        .succeeds();
    sandbox.sh("svc -udo -tuk -t -xpchai s").succeeds();
    assert_eq!(
        sandbox
            .read("s/supervise/control")
            .escape_ascii()
            .to_string(),
        "udotkxpchai"
    );
}

fn later_letters_are_refused_or_sent(sandbox: &Sandbox) {
    sandbox
        .sh("mkdir -p s/supervise; : >s/supervise/control")
        .succeeds();
    if sandbox.subject() == Subject::Reference {
        for letter in NEW.chars() {
            sandbox.sh(&format!("svc -{letter} s")).is(
                100,
                "",
                format!("svc: illegal option -- {letter}\n{USAGE}"),
            );
        }
    } else {
        sandbox.sh("svc -q -1 -2 -w -+ -= -+1 s").succeeds();
        // The effect of `+` ends with the command line.
        let sent = |letters| {
            assert_eq!(
                sandbox
                    .read("s/supervise/control")
                    .escape_ascii()
                    .to_string(),
                letters
            );
        };
        sent("q12w+=+1=");
        sandbox
            .sh(": >s/supervise/control; svc -++t1=t=1+tw1 s")
            .succeeds();
        sent("+t1=t1+w=");
        sandbox
            .sh("svc -Z s")
            .is(100, "", format!("svc: illegal option -- Z\n{USAGE}"));
    }
}

fn later_letters_send_signals_or_are_ignored(sandbox: &Sandbox) {
    pair(sandbox, "");
    let _supervise = supervise(sandbox);
    wait_for_got(sandbox, &["child"]);
    let mut got = vec!["child"];
    for (letter, line) in [
        ("q", "parent QUIT"),
        ("1", "parent USR1"),
        ("2", "parent USR2"),
        ("w", "parent WINCH"),
    ] {
        // As svc writes the byte. The next assertions show that supervise has
        // read it.
        sandbox
            .sh(&format!("printf {letter}p >s/supervise/control"))
            .succeeds();
        wait_for_status(sandbox, (true, 1, b'u'));
        sandbox.sh("svc -c s").succeeds();
        if sandbox.subject() == Subject::Ours {
            got.push(line);
        }
        wait_for_got(sandbox, &got);
    }
}

fn group_led_by_service_gets_signals(sandbox: &Sandbox) {
    pair(sandbox, "pgrphack");
    let supervise = supervise(sandbox);
    wait_for_got(sandbox, &["child"]);
    if sandbox.subject() == Subject::Reference {
        // supervise of 0.76 reads all letters at once and obeys only the last.
        sandbox.sh("printf +12=wp >s/supervise/control").succeeds();
        wait_for_status(sandbox, (true, 1, b'u'));
        sandbox.sh("svc -c s").succeeds();
        return wait_for_got(sandbox, &["child"]);
    }
    sandbox.sh("svc -w s").succeeds();
    wait_for_got(sandbox, &["child", "parent WINCH"]);
    // The letters after one, up to the other, and no longer than one svc.
    sandbox.sh("svc -+1=2 s").succeeds();
    wait_for_got(
        sandbox,
        &[
            "child",
            "parent WINCH",
            "parent USR1",
            "child USR1",
            "parent USR2",
        ],
    );
    sandbox.sh(": >s/got; svc -w s").succeeds();
    wait_for_got(sandbox, &["parent WINCH"]);
    // The letters also stay separate if supervise reads both at once.
    supervise.signal(Signal::SIGSTOP);
    sandbox.sh(": >s/got; svc -+1 s; svc -2 s").succeeds();
    supervise.signal(Signal::SIGCONT);
    wait_for_got(sandbox, &["parent USR1", "child USR1", "parent USR2"]);
}

fn group_led_by_another_process_gets_no_signal(sandbox: &Sandbox) {
    pair(sandbox, "");
    let mut supervise = supervise(sandbox);
    wait_for_got(sandbox, &["child"]);
    if sandbox.subject() == Subject::Ours {
        // The group is that of supervise, which would die of these.
        sandbox.sh("svc -+12p s").succeeds();
        wait_for_status(sandbox, (true, 1, b'u'));
        sandbox.sh("svc -+cw s").succeeds();
        wait_for_got(
            sandbox,
            &["child", "parent USR1", "parent USR2", "parent WINCH"],
        );
        assert!(supervise.runs());
    }
}

fn exiting_supervise_does_not_stop_the_others(sandbox: &Sandbox) {
    if !strace_works(sandbox) {
        return;
    }
    sandbox
        .sh("for d in a b; do mkdir -p $d/supervise; : >$d/supervise/control; done")
        .succeeds();
    for (error, why) in [
        ("EPIPE:signal=PIPE", "broken pipe"),
        ("EIO", "input/output error"),
    ] {
        let svc =
            format!("exec strace -o /dev/null -e inject=write:error={error}:when=1 svc -u a b");
        sandbox.sh(&svc).is(
            0,
            "",
            format!("svc: warning: error writing commands to a: {why}\n"),
        );
    }
    assert_eq!(
        (
            sandbox.read("a/supervise/control"),
            sandbox.read("b/supervise/control")
        ),
        (b"".to_vec(), b"u".to_vec())
    );
}

fn empty_command_writes_nothing(sandbox: &Sandbox) {
    sandbox
        .sh("mkdir -p s/supervise; echo kept >s/supervise/control")
        .succeeds();
    sandbox.sh("svc s").succeeds();
    assert_eq!(sandbox.read("s/supervise/control"), b"kept\n");
}

fn full_fifo_blocks_until_read(sandbox: &Sandbox) {
    sandbox
        .sh("mkdir -p s/supervise; mkfifo s/supervise/control")
        .succeeds();
    let fill = "exec 5<>s/supervise/control; head -c 65536 /dev/zero >&5; \
                svc -u s & until grep -q pipe_write /proc/$!/wchan 2>/dev/null \
                || grep -q ' S ' /proc/$!/stat; do :; done; head -c 65537 <&5 | tail -c 1; wait";
    sandbox.sh(fill).prints("u");
}

fn commands_reach_the_service(sandbox: &Sandbox) {
    let log = "for s in HUP ALRM INT TERM CONT; do trap \"echo $s >>got\" $s; done";
    sandbox.script(
        "s/run",
        &format!("#!/bin/sh\n{log}\necho ready >>got\nwhile :; do sleep 0.01; done\n"),
    );
    let _supervise = supervise(sandbox);
    let got = |wanted: &str| {
        sandbox.wait_until(wanted, || {
            sandbox.read("s/got").escape_ascii().to_string() == wanted.replace(' ', "\\n")
        });
    };
    sandbox.wait_until("the service runs", || sandbox.exists("s/got"));
    got("ready ");
    for (letter, seen) in [
        ("h", "ready HUP "),
        ("a", "ready HUP ALRM "),
        ("i", "ready HUP ALRM INT "),
        ("t", "ready HUP ALRM INT TERM "),
        ("c", "ready HUP ALRM INT TERM CONT "),
    ] {
        sandbox.sh(&format!("svc -{letter} s")).succeeds();
        got(seen);
    }
    let first = sandbox.service("s");
    sandbox.sh("svc -k s").succeeds();
    sandbox.wait_until("the service is killed and restarted", || {
        sandbox.service("s") != first
    });
}

fn several_directories_are_controlled(sandbox: &Sandbox) {
    for name in ["s", "b"] {
        sandbox.script(format!("{name}/run"), SLEEPER);
        sandbox.write(format!("{name}/down"), "");
    }
    let _first = supervise(sandbox);
    let _second = sandbox.start(sandbox.shell("exec supervise b"));
    sandbox.wait_until("both run", || sandbox.is_supervised("b"));
    sandbox.sh("svc -u s b").succeeds();
    wait_for_status(sandbox, (true, 0, b'u'));
    let up = "b: up (pid P) S seconds, normally down\n";
    sandbox.wait_until("the other is up", || sandbox.sh("svstat b").masked() == up);
}
