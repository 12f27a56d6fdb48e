//! svlog on the log directories of both sides, and of s6-log.

use testkit::{Outcome, SLEEPER, Sandbox, ours, ours_on_theirs};

const USAGE: &str = "svlog: usage: svlog [-f] [-n lines] [-s since] [-u until] \
    [-g pattern] [-v] [-l | -U | -r | -j] [-c cursor] [-V] where ...\n";

ours_on_theirs!(
    directories_are_merged_by_time,
    lines_without_a_stamp_stay_with_their_stamp,
    stamps_of_svlogd_are_read,
    times_have_four_styles,
    ranges_select_lines_by_time,
    last_lines_are_those_of_the_whole,
    running_logger_names_its_directories,
    script_around_a_logger_is_searched,
    moved_supervise_directory_is_honoured,
    services_have_the_directories_below_log,
);

ours!(
    s6_log_directories_are_read,
    wrong_usage_is_100,
    values_without_meaning_are_100,
    patterns_select_lines,
    pattern_without_match_exits_1,
    directory_without_a_log_is_111,
    unreadable_directories_are_reported,
    closed_output_ends_silently,
    output_that_fails_is_111,
    binary_lines_are_escaped_on_terminals,
    colours_are_for_terminals,
    names_fit_narrow_terminals,
    same_directory_is_read_once,
);

/// Log directories web and db of multilog, with lines at fixed times.
fn two(sandbox: &Sandbox) {
    for (directory, lines) in [("web", "b 1\nd 2\n"), ("db", "a 3\nc 4\ne 5\n")] {
        let stamped = lines.lines().map(|line| {
            let (second, message) = line.split_once(' ').unwrap();
            format!("@400000004d52960{second}0ebe121c {message}\n")
        });
        let lines: String = stamped.collect();
        sandbox
            .feed(lines, &format!("multilog ./{directory}"))
            .succeeds();
    }
}

fn svlog(sandbox: &Sandbox, words: &str) -> Outcome {
    sandbox.sh(&format!("export TZ=UTC; exec svlog {words}"))
}

fn directories_are_merged_by_time(sandbox: &Sandbox) {
    two(sandbox);
    svlog(sandbox, "web db").prints(
        "db  2011-02-09 13:26:24.247337500 3\n\
         web 2011-02-09 13:26:25.247337500 1\n\
         db  2011-02-09 13:26:26.247337500 4\n\
         web 2011-02-09 13:26:27.247337500 2\n\
         db  2011-02-09 13:26:28.247337500 5\n",
    );
    svlog(sandbox, "web").prints(
        "2011-02-09 13:26:25.247337500 1\n\
         2011-02-09 13:26:27.247337500 2\n",
    );
    // Equal times keep the order of the operands.
    svlog(sandbox, "-r -n 1 db db/../db").prints("@400000004d52960e0ebe121c 5\n");
    sandbox.sh("cp -r db other").succeeds();
    svlog(sandbox, "-r -n 4 other db").prints(
        "other @400000004d52960c0ebe121c 4\n\
         db    @400000004d52960c0ebe121c 4\n\
         other @400000004d52960e0ebe121c 5\n\
         db    @400000004d52960e0ebe121c 5\n",
    );
}

fn lines_without_a_stamp_stay_with_their_stamp(sandbox: &Sandbox) {
    let trace = "@400000004d52960b0ebe121c panic\n  at main\n@4000 short\n\n\
                 @400000004d52960d0ebe121c next\n";
    sandbox.feed(trace, "multilog ./app").succeeds();
    sandbox
        .feed("bare\n@400000004d52960c0ebe121c line\n", "multilog ./web")
        .succeeds();
    svlog(sandbox, "-r app web").prints(
        "web bare\n\
         app @400000004d52960b0ebe121c panic\n\
         app   at main\n\
         app @4000 short\n\
         app \n\
         web @400000004d52960c0ebe121c line\n\
         app @400000004d52960d0ebe121c next\n",
    );
}

fn stamps_of_svlogd_are_read(sandbox: &Sandbox) {
    for (directory, words) in [
        ("label", "-t"),
        ("date", "-tt"),
        ("iso", "-ttt"),
        ("none", ""),
    ] {
        sandbox.sh(&format!("mkdir {directory}")).succeeds();
        let script = format!("svlogd {words} ./{directory}");
        sandbox.feed("one\ntwo\n", &script).exits(0);
    }
    let none = "one\ntwo\n";
    svlog(sandbox, "none").prints(none);
    svlog(sandbox, "-r none").prints(none);
    for directory in ["label", "date", "iso"] {
        // Each line is from the last minute, and the merge puts `early` first.
        sandbox
            .feed(
                "@400000004d52960a0ebe121c early\n",
                "rm -rf old; multilog ./old",
            )
            .succeeds();
        let text = svlog(sandbox, &format!("{directory} old")).text();
        let lines: Vec<_> = text
            .lines()
            .map(|line| &line[..line.len().min(40)])
            .collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("old"), "{text}");
        let words: Vec<Vec<_>> = text.lines().map(|line| line.split(' ').collect()).collect();
        for (line, message) in [(1, "one"), (2, "two")] {
            assert_eq!(words[line].last(), Some(&message), "{text}");
            // The date and the time have the form of tai64nlocal.
            let time = words[line][words[line].len() - 2];
            assert_eq!(time.len(), "21:45:06.123456789".len(), "{text}");
        }
        svlog(sandbox, &format!("-s '1 min ago' -g one {directory}")).exits(0);
        svlog(sandbox, &format!("-u '1 h ago' -g one {directory}")).exits(1);
    }
}

fn s6_log_directories_are_read(sandbox: &Sandbox) {
    if sandbox.sh("command -v s6-log >found").code() != Some(0) {
        return testkit::skip("s6-log", "s6 is not installed");
    }
    for (directory, words) in [("label", "t"), ("date", "T"), ("none", "")] {
        let script = format!("s6-log -b {words} ./{directory}");
        sandbox.feed("one\ntwo\n", &script).exits(0);
        let text = sandbox.sh(&format!("svlog -j {directory}")).text();
        let messages: Vec<_> = text
            .lines()
            .map(|line| line.split("\"message\":").nth(1))
            .collect();
        assert_eq!(messages, [Some("\"one\"}"), Some("\"two\"}")], "{text}");
        assert_eq!(
            text.matches("\"time\":").count(),
            if words.is_empty() { 0 } else { 2 }
        );
        if !words.is_empty() {
            sandbox
                .sh(&format!("svlog -s '1 min ago' -g one {directory}"))
                .exits(0);
            sandbox
                .sh(&format!("svlog -u '1 h ago' -g one {directory}"))
                .exits(1);
        }
    }
}

fn times_have_four_styles(sandbox: &Sandbox) {
    two(sandbox);
    let of = |words: &str| sandbox.sh(&format!("TZ=Asia/Tokyo svlog -n 1 {words} web"));
    of("").prints("2011-02-09 22:26:27.247337500 2\n");
    of("-rl").prints("2011-02-09 22:26:27.247337500 2\n");
    of("-U").prints("2011-02-09 13:26:27.247337500 2\n");
    of("-r").prints("@400000004d52960d0ebe121c 2\n");
    of("-j").prints(
        "{\"time\":\"2011-02-09T13:26:27.247337500+00:00\",\"service\":\"web\",\"message\":\"2\"}\n",
    );
    let same = sandbox.sh("TZ=Asia/Tokyo tai64nlocal <web/current").text();
    sandbox.sh("TZ=Asia/Tokyo svlog web").prints(same);
}

fn ranges_select_lines_by_time(sandbox: &Sandbox) {
    two(sandbox);
    for (range, wanted) in [
        ("-s 2011-02-09T13:26:26.247337500Z", "4 2 5"),
        ("-s 2011-02-09T13:26:26.247337501Z", "2 5"),
        ("-u @400000004d52960b0ebe121c", "3 1"),
        ("-u @400000004d52960b0ebe121b", "3"),
        ("-s '2011-02-09 13:26:25' -u '2011-02-09 13:26:27'", "1 4"),
        ("-s 2011-02-10", ""),
        ("-u 2011-02-10 -n 2", "2 5"),
        ("-s '1 d ago'", ""),
        ("-u 00:00", "3 1 4 2 5"),
    ] {
        let text = svlog(sandbox, &format!("{range} web db"));
        text.exits(0);
        let text = text.text();
        let words: Vec<_> = text
            .lines()
            .filter_map(|line| line.rsplit(' ').next())
            .collect();
        assert_eq!(words.join(" "), wanted, "{range}");
    }
}

fn last_lines_are_those_of_the_whole(sandbox: &Sandbox) {
    two(sandbox);
    svlog(sandbox, "-r -n 2 web db").prints(
        "web @400000004d52960d0ebe121c 2\n\
         db  @400000004d52960e0ebe121c 5\n",
    );
    svlog(sandbox, "-n 0 web db").prints("");
    svlog(sandbox, "-r -n 1 -g '[12]' web db").prints("web @400000004d52960d0ebe121c 2\n");
    let all = svlog(sandbox, "web db").text();
    svlog(sandbox, "-n 99 web db").prints(all);
}

/// Writes a service whose logger is svscan's, and starts svscan. Lines go to
/// `away`, which is not below `log`.
fn start_services(sandbox: &Sandbox, log_run: &str) -> testkit::Running {
    sandbox.script(
        "scan/web/run",
        &format!(
            "#!/bin/sh\necho started\n{}",
            SLEEPER.trim_start_matches("#!/bin/sh\n")
        ),
    );
    sandbox.script("scan/web/log/run", log_run);
    sandbox.script("scan/none/run", SLEEPER);
    let svscan = sandbox.start(sandbox.shell("exec svscan scan"));
    sandbox.wait_until("the line is logged", || {
        sandbox.exists("away/current") && !sandbox.read("away/current").is_empty()
    });
    // The status record may name the logger later than the logger writes.
    sandbox.service("scan/web/log");
    svscan
}

fn running_logger_names_its_directories(sandbox: &Sandbox) {
    let _svscan = start_services(sandbox, "#!/bin/sh\nexec multilog ../../../away\n");
    svlog(sandbox, "scan").prints("web started\n");
    svlog(sandbox, "scan/web").prints("started\n");
    sandbox.sh("cd scan/web; svlog .").prints("started\n");
}

fn script_around_a_logger_is_searched(sandbox: &Sandbox) {
    let _svscan = start_services(sandbox, "#!/bin/sh\nmultilog ../../../away\nexit 0\n");
    svlog(sandbox, "scan/web").prints("started\n");
}

fn moved_supervise_directory_is_honoured(sandbox: &Sandbox) {
    if sandbox.subject() != testkit::Subject::Ours {
        return;
    }
    sandbox.script("web/run", SLEEPER);
    sandbox.script(
        "web/log/run",
        "#!/bin/sh\necho line | multilog ../../away\nexec multilog ../../away\n",
    );
    let _log = sandbox.start(
        sandbox.shell("mkfifo keys; cd web/log; SUPERVISEDIR=.state exec supervise . <>../../keys"),
    );
    sandbox.wait_until("the line is found", || {
        sandbox.sh("SUPERVISEDIR=.state svlog web").text() == "line\n"
    });
    svlog(sandbox, "web").is(111, "", "svlog: fatal: no log directory in web\n");
}

fn services_have_the_directories_below_log(sandbox: &Sandbox) {
    two(sandbox);
    sandbox.sh("mkdir -p scan/web/log scan/db/log scan/none; mv web scan/web/log/main; mv db/* scan/db/log; rm -d db").succeeds();
    for service in ["web", "web/log", "db", "db/log", "none"] {
        sandbox.script(format!("scan/{service}/run"), SLEEPER);
    }
    svlog(sandbox, "-r -n 2 scan").prints(
        "web @400000004d52960d0ebe121c 2\n\
         db  @400000004d52960e0ebe121c 5\n",
    );
    svlog(sandbox, "-r -n 1 scan/db/log").prints("@400000004d52960e0ebe121c 5\n");
    svlog(sandbox, "-j -n 1 scan/web/log/main").prints(
        "{\"time\":\"2011-02-09T13:26:27.247337500+00:00\",\"service\":\"web\",\"message\":\"2\"}\n",
    );
    svlog(sandbox, "scan/none").is(111, "", "svlog: fatal: no log directory in scan/none\n");
    // A name column also for one service: others may follow.
    sandbox.sh("rm -r scan/db").succeeds();
    svlog(sandbox, "-r -n 1 scan").prints("web @400000004d52960d0ebe121c 2\n");
}

fn same_directory_is_read_once(sandbox: &Sandbox) {
    two(sandbox);
    sandbox.sh("ln -s web link").succeeds();
    svlog(sandbox, "-r -n 1 web link ./web").prints("@400000004d52960d0ebe121c 2\n");
}

fn wrong_usage_is_100(sandbox: &Sandbox) {
    two(sandbox);
    for words in ["", "-v web", "-f -u 10:00 web", "-n 5 -c cursor web"] {
        svlog(sandbox, words).is(100, "", USAGE);
    }
    svlog(sandbox, "-x web").is(100, "", format!("svlog: illegal option -- x\n{USAGE}"));
    svlog(sandbox, "web -n").exits(111);
}

fn values_without_meaning_are_100(sandbox: &Sandbox) {
    two(sandbox);
    let forms = "known are YYYY-MM-DD, YYYY-MM-DD HH:MM:SS, HH:MM:SS, 10 min ago (s, min, h, d), \
                 RFC 3339, or a TAI64N label";
    for (words, problem) in [
        ("-n ten", "bad number of lines: ten".to_owned()),
        ("-n -1", "bad number of lines: -1".to_owned()),
        ("-s yesterday", format!("bad time: yesterday; {forms}")),
        ("-u 2011-02-29", format!("bad time: 2011-02-29; {forms}")),
        ("-g 'a('", "bad pattern a(: unclosed group".to_owned()),
        (
            "-g \"$(printf '\\377')\"",
            "bad pattern \u{fffd}: not UTF-8".to_owned(),
        ),
    ] {
        let outcome = svlog(sandbox, &format!("{words} web"));
        assert_eq!(outcome.code(), Some(100), "{words}");
        assert_eq!(outcome.error_text(), format!("svlog: fatal: {problem}\n"));
    }
}

fn patterns_select_lines(sandbox: &Sandbox) {
    let lines = "@400000004d52960a0ebe121c GET /\n\
                 @400000004d52960b0ebe121c POST /\u{e4}\n\
                 @400000004d52960c0ebe121c error: 4d52\n";
    sandbox.feed(lines, "multilog ./web").succeeds();
    for (words, wanted) in [
        ("-g '^(GET|POST) '", "012"),
        ("-g '^(GET|POST) /$'", "0"),
        ("-g 4d52", "2"),
        ("-v -g 4d52", "01"),
        ("-g '(?i)ERROR'", "2"),
        ("-g '/.$'", "1"),
        ("-g '^$' -v", "012"),
    ] {
        let wanted = if words.contains("POST) '") {
            "01"
        } else {
            wanted
        };
        let all: Vec<_> = lines.lines().collect();
        let wanted = wanted
            .bytes()
            .map(|digit| all[usize::from(digit - b'0')].to_owned() + "\n");
        svlog(sandbox, &format!("-r {words} web")).prints(wanted.collect::<String>());
    }
}

fn pattern_without_match_exits_1(sandbox: &Sandbox) {
    two(sandbox);
    svlog(sandbox, "-g 6 web db").is(1, "", "");
    svlog(sandbox, "-s 2020-01-01 web").is(0, "", "");
    svlog(sandbox, "-s 2020-01-01 -g 1 web").is(1, "", "");
}

fn directory_without_a_log_is_111(sandbox: &Sandbox) {
    sandbox.write("empty/file", "");
    svlog(sandbox, "empty").is(111, "", "svlog: fatal: no log directory in empty\n");
    svlog(sandbox, "none").is(
        111,
        "",
        "svlog: fatal: unable to read none: file does not exist\n",
    );
    svlog(sandbox, "empty/file").is(
        111,
        "",
        "svlog: fatal: unable to read empty/file: not a directory\n",
    );
}

fn unreadable_directories_are_reported(sandbox: &Sandbox) {
    two(sandbox);
    sandbox
        .sh("mkdir -p scan/web/log scan/db/log; mv web scan/web/log/main; mv db scan/db/log/main")
        .succeeds();
    for service in ["web", "db"] {
        sandbox.script(format!("scan/{service}/run"), SLEEPER);
        sandbox.script(format!("scan/{service}/log/run"), SLEEPER);
    }
    sandbox.mode("scan/web/log/main", 0o000);
    sandbox.mode("scan/db/log/main", 0o755);
    if nix::unistd::geteuid().is_root() {
        sandbox.sh("chmod 755 .").succeeds();
    }
    let unprivileged = "exec setuidgid nobody svlog -r -n 1";
    let command = if nix::unistd::geteuid().is_root() {
        unprivileged
    } else {
        "exec svlog -r -n 1"
    };
    sandbox.sh(&format!("{command} scan")).is(
        111,
        "db @400000004d52960e0ebe121c 5\n",
        "svlog: warning: unable to read scan/web/log/main: access denied\n",
    );
    sandbox.sh(&format!("{command} scan/web/log/main")).is(
        111,
        "",
        "svlog: fatal: unable to read scan/web/log/main: access denied\n",
    );
    sandbox.mode("scan/web/log/main", 0o755);
    sandbox.mode("scan/web/log/main/current", 0o000);
    sandbox.sh(&format!("{command} scan")).is(
        111,
        "db  @400000004d52960e0ebe121c 5\n",
        "svlog: warning: web: unable to read current: access denied\n",
    );
    let command = command.replace("-n 1", "-g 5");
    sandbox.sh(&format!("{command} scan")).is(
        111,
        "db  @400000004d52960e0ebe121c 5\n",
        "svlog: warning: web: unable to read current: access denied\n",
    );
}

fn closed_output_ends_silently(sandbox: &Sandbox) {
    let line = "@400000004d52960a0ebe121c ".to_owned() + &"x".repeat(100) + "\n";
    sandbox.feed(line.repeat(5000), "multilog ./web").succeeds();
    let first = sandbox.sh("{ svlog -r web; echo $? >code; } | head -n 1");
    first.prints(line);
    assert_eq!(sandbox.read("code"), b"141\n");
    // A parent may ignore SIGPIPE.
    let ignored = sandbox.sh("trap '' PIPE; { svlog -r web; echo $? >code; } | head -n 1");
    assert_eq!(ignored.error_text(), "");
    assert_eq!(sandbox.read("code"), b"111\n");
}

fn output_that_fails_is_111(sandbox: &Sandbox) {
    two(sandbox);
    svlog(sandbox, "web >/dev/full").is(
        111,
        "",
        "svlog: fatal: unable to write output: out of disk space\n",
    );
}

/// The output on a terminal.
fn on_terminal(sandbox: &Sandbox, environment: &str, words: &str) -> String {
    let command = format!("script -qec '{environment} svlog {words}' /dev/null </dev/null");
    sandbox.sh(&command).text().replace("\r\n", "\n")
}

fn binary_lines_are_escaped_on_terminals(sandbox: &Sandbox) {
    let rubbish: Vec<u8> = (0..=255)
        .filter(|byte| *byte != b'\n')
        .chain(*b"\n")
        .collect();
    sandbox.feed(&rubbish, "multilog ./web").succeeds();
    assert_eq!(sandbox.sh("svlog web").stdout, rubbish);
    assert_eq!(sandbox.sh("svlog -r web").stdout, rubbish);
    let shown = on_terminal(sandbox, "TERM=xterm LC_ALL=C.UTF-8", "web");
    assert!(shown.starts_with("\\x00\\x01"), "{shown}");
    assert!(shown.ends_with("\\xfe\\xff\n"), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown}");
}

fn colours_are_for_terminals(sandbox: &Sandbox) {
    two(sandbox);
    let words = "-r -n 2 web db";
    let plain = svlog(sandbox, words).text();
    let coloured = "\x1b[38;5;30mweb\x1b[0m @400000004d52960d0ebe121c 2\n\
                    \x1b[38;5;130mdb\x1b[0m  @400000004d52960e0ebe121c 5\n";
    assert_eq!(
        on_terminal(sandbox, "TERM=xterm NO_COLOR=", words),
        coloured
    );
    assert_eq!(on_terminal(sandbox, "TERM=xterm NO_COLOR=1", words), plain);
    assert_eq!(on_terminal(sandbox, "TERM=dumb", words), plain);
}

fn names_fit_narrow_terminals(sandbox: &Sandbox) {
    two(sandbox);
    sandbox.sh("mv web accounting-frontend").succeeds();
    let script = "script -qec 'stty cols 30; TERM=dumb svlog -r -n 2 accounting-frontend db' \
                  /dev/null </dev/null";
    let shown = sandbox.sh(script).text().replace("\r\n", "\n");
    assert_eq!(
        shown,
        "accountin~ @400000004d52960d0ebe121c 2\n\
         db         @400000004d52960e0ebe121c 5\n"
    );
}
