use testkit::{Running, SLEEPER, Sandbox, ours_on_theirs};

const USAGE: &str = "svps: usage: svps [-jmwV] [-c seconds] [scandir]\n";

ours_on_theirs!(
    each_service_has_a_row_and_its_logger_below,
    json_can_be_read,
    names_are_escaped_for_terminals,
    services_of_runsv_are_shown,
    state_of_supervise_e_is_shown,
    unreadable_state_is_reported,
    inaccessible_service_is_unknown,
    colours_are_for_terminals,
    wide_names_keep_the_columns,
    terminal_without_utf8_gets_escapes,
    service_directory_is_shown_with_a_warning,
    service_directory_with_services_is_scanned,
);

/// A service with a logger, a service that is down, and a service without
/// supervise.
fn three(sandbox: &Sandbox) -> Running {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/a/log/run", SLEEPER);
    sandbox.script("scan/b/run", SLEEPER);
    sandbox.write("scan/b/down", "");
    sandbox.write("scan/file", "");
    sandbox.script("scan/.hidden/run", SLEEPER);
    let svscan = sandbox.start(sandbox.shell("exec svscan scan"));
    sandbox.wait_until("all are supervised", || {
        sandbox
            .sh("svok scan/a && svok scan/a/log && svok scan/b")
            .code()
            == Some(0)
    });
    sandbox.wait_until("what is to run does", || {
        sandbox
            .sh("svstat scan/a scan/a/log")
            .text()
            .matches(": up ")
            .count()
            == 2
    });
    svscan
}

/// The words of each row: numbers as N, with their units.
fn words(text: &str) -> Vec<String> {
    let word = |word: &str| {
        let digits = word
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"smKM".contains(&byte));
        let number = digits && word.starts_with(|first: char| first.is_ascii_digit());
        if number {
            "N".to_owned()
        } else {
            word.to_owned()
        }
    };
    let row = |line: &str| {
        line.split_whitespace()
            .map(word)
            .collect::<Vec<_>>()
            .join(" ")
    };
    text.lines().map(row).collect()
}

fn each_service_has_a_row_and_its_logger_below(sandbox: &Sandbox) {
    let _svscan = three(sandbox);
    sandbox.script("scan/c/run", SLEEPER);
    let text = sandbox.sh("svps scan | cat; cd scan; svps >../here").text();
    let rows = [
        "SERVICE STATE PID FOR RESTARTS EXIT PRIVATE RSS",
        "a up N N - - N N",
        "log up N N - - N N",
        "b down - N - - - -",
        "c unsupervised - - - - - -",
    ];
    assert_eq!(words(&text), rows, "{text}");
    assert_eq!(
        words(&String::from_utf8(sandbox.read("here")).unwrap()),
        rows
    );
    sandbox.sh("svc -p scan/a").succeeds();
    sandbox.wait_for("svps scan", |text| words(text)[1] == "a paused N N - - N N");
}

fn json_can_be_read(sandbox: &Sandbox) {
    let _svscan = three(sandbox);
    sandbox.sh(r#"cd scan; for n in "$(printf '\377"\\\n\033')" "$(printf '"\\\t\302\233\303\244')"; do mkdir "$n"; touch "$n/run"; done"#)
        .succeeds();
    let one = sandbox.sh("svps -j scan | head -n 2 | tail -n 1").text();
    assert!(
        one.starts_with(
            r#"{"name":"a","logger":false,"supervised":true,"state":"up","want":"up","pid":"#
        ),
        "{one}"
    );
    if sandbox.sh("jq -n 1").code() != Some(0) {
        return testkit::skip("svps -j is read by jq", "jq is not installed");
    }
    let keys = "[.name, .name_hex, .logger, .supervised, .state, .want, .pid > 0, .rss_bytes \
        > 0, .exit_code]";
    sandbox.sh(&format!("svps -j scan | jq -c '{keys}'")).prints(
        "[\"\\\"\\\\\\t\u{9b}\u{e4}\",null,false,false,\"unsupervised\",null,false,false,null]\n\
         [\"a\",null,false,true,\"up\",\"up\",true,true,null]\n\
         [\"a/log\",null,true,true,\"up\",\"up\",true,true,null]\n\
         [\"b\",null,false,true,\"down\",\"down\",false,false,null]\n\
         [\"\u{fffd}\\\"\\\\\\n\\u001b\",\"ff225c0a1b\",false,false,\"unsupervised\",null,false,false,null]\n",
    );
    // Each name is on one line, with any bytes.
    sandbox
        .sh("svps -j scan | while read -r line; do echo \"$line\" | jq .logger; done")
        .prints("false\nfalse\ntrue\nfalse\nfalse\n");
}

fn names_are_escaped_for_terminals(sandbox: &Sandbox) {
    sandbox.sh(r#"mkdir scan; cd scan; n="$(printf 'a\033[2Jb\302\233c\377d\342\200\256e')"; mkdir "$n"; echo 123 >"$n/supervise"; mkdir "$n/log" "$n/log/supervise"; : >"$n/log/supervise/status""#)
        .succeeds();
    let outcome = sandbox.sh("svps scan");
    let shown = r"a\x1b[2Jb\xc2\x9bc\xffd\xe2\x80\xaee";
    assert!(
        outcome
            .text()
            .contains(&format!("\n{shown}  unsupervised ")),
        "{outcome:?}"
    );
    assert_eq!(
        outcome.error_text(),
        format!("svps: warning: unable to read {shown}/log/supervise/status: bad format\n")
    );
}

fn services_of_runsv_are_shown(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/a/finish", SLEEPER);
    sandbox.script("scan/a/log/run", SLEEPER);
    let _runsvdir = sandbox.start(sandbox.shell("exec runsvdir scan"));
    sandbox.wait_for("svps scan", |text| {
        words(text)[1..] == ["a up N N - - N N", "log up N N - - N N"]
    });
    sandbox.sh("svc -d scan/a").succeeds();
    sandbox.wait_for("svps scan", |text| words(text)[1] == "a finish N N - - N N");
    sandbox.wait_for("svps -j scan", |text| {
        text.contains(r#""state":"finish","want":"down","pid":"#)
    });
}

fn state_of_supervise_e_is_shown(sandbox: &Sandbox) {
    let _svscan = three(sandbox);
    let state = "state=failed\nsince=@4fffffffffffffff00000000\nrestarts=7\nexit_code=3\n";
    sandbox.write("scan/b/supervise/state", state);
    let text = sandbox.sh("svps scan").text();
    assert_eq!(words(&text)[3], "b failed - N N N - -", "{text}");
    sandbox.write(
        "scan/b/supervise/state",
        state.replace("exit_code=3", "signal=9"),
    );
    let text = sandbox.sh("svps scan").text();
    assert_eq!(words(&text)[3], "b failed - N N SIGKILL - -", "{text}");
    // A state older than the record belongs to another supervise.
    sandbox.write("scan/b/supervise/state", state.replace("@4f", "@3f"));
    assert_eq!(
        words(&sandbox.sh("svps scan").text())[3],
        "b down - N - - - -"
    );
}

fn unreadable_state_is_reported(sandbox: &Sandbox) {
    sandbox
        .sh(
            "mkdir -p scan/a/supervise scan/b/supervise; cd scan; ln -s loop loop; \
        ln -s nowhere gone",
        )
        .succeeds();
    let bad = |making: &str, error: &str| {
        sandbox
            .sh(&format!("cd scan/a/supervise; rm -rf *; {making}"))
            .succeeds();
        let outcome = sandbox.sh("svps scan");
        assert_eq!(outcome.code(), Some(111));
        assert_eq!(
            outcome.error_text(),
            format!("svps: warning: unable to read a/supervise/{error}\n")
        );
        assert_eq!(
            words(&outcome.text())[1..],
            ["a unknown - - - - - -", "b unsupervised - - - - - -"]
        );
    };
    bad("printf 123 >status", "status: bad format");
    bad("printf 12345678901234567 >status", "status: bad format");
    bad("mkdir status", "status: is a directory");
    bad("mkfifo status", "status: bad format");
    bad("ln -s status status", "status: symbolic link loop");
    bad("mkdir ok", "ok: is a directory");
    // Noise is shown as unknown, and endless files are not read to their end.
    sandbox
        .sh(
            "cd scan/a/supervise; rmdir ok; printf '%20s' '' | tr ' ' '\\377' >status; \
        ln -s /dev/zero state; : >ok",
        )
        .succeeds();
    let outcome = sandbox.sh("svps scan && svps -j scan | cat");
    assert_eq!(
        (outcome.code(), outcome.error_text().as_str()),
        (Some(0), "")
    );
    assert_eq!(
        words(&outcome.text())[1],
        "a paused -1 N - - - -",
        "{outcome:?}"
    );
    sandbox
        .sh("cd scan/a/supervise; rm state status ok; ln -s /dev/zero status; mkfifo state")
        .succeeds();
    assert_eq!(
        words(&sandbox.sh("svps scan").text())[1],
        "a unsupervised - - - - - -"
    );
    sandbox.sh("svps nope").is(
        111,
        "",
        "svps: fatal: unable to read nope: file does not exist\n",
    );
    sandbox.sh("svps ''").is(
        111,
        "",
        "svps: fatal: unable to read : file does not exist\n",
    );
    sandbox.sh("svps scan/loop").is(
        111,
        "",
        "svps: fatal: unable to read scan/loop: symbolic link loop\n",
    );
    sandbox.write("file", "");
    sandbox.sh("svps file").is(
        111,
        "",
        "svps: fatal: unable to read file: not a directory\n",
    );
    sandbox
        .sh("svps -Z")
        .is(100, "", format!("svps: illegal option -- Z\n{USAGE}"));
    sandbox.sh("svps a b").is(100, "", USAGE);
    sandbox.sh("exec svps scan 2>/dev/null >&-").is(111, "", "");
    sandbox
        .sh("exec svps -j scan 2>/dev/null >/dev/full")
        .is(111, "", "");
    sandbox.sh("mkdir empty; svps -j empty").succeeds();
    sandbox
        .sh("svps empty")
        .prints("SERVICE  STATE  PID  FOR  RESTARTS  EXIT  PRIVATE  RSS\n");
}

fn inaccessible_service_is_unknown(sandbox: &Sandbox) {
    let _svscan = three(sandbox);
    if !testkit::is_root("svps by another user") {
        return;
    }
    sandbox.copy_program("svps", &sandbox.path("svps"));
    let outcome = sandbox.sh("setuidgid nobody ./svps scan");
    assert_eq!(
        words(&outcome.text())[1..],
        [
            "a unknown - - - - - -",
            "log unknown - - - - - -",
            "b unknown - - - - - -"
        ]
    );
    assert_eq!(outcome.error_text().lines().count(), 3, "{outcome:?}");
    // Users also do not see the content of directories they may not enter.
    // Without permission to look up entries, anything but a file may be a
    // service.
    sandbox
        .sh(
            "mkdir -p more/c more/d/log; >more/file; ln -s file more/link; \
        chmod 600 more/c; chmod 0 more/d/log",
        )
        .succeeds();
    let unable = |name| format!("svps: warning: unable to read {name}: access denied\n");
    let outcome = sandbox.sh("setuidgid nobody ./svps more");
    assert_eq!(
        words(&outcome.text())[1..],
        [
            "c unknown - - - - - -",
            "d unsupervised - - - - - -",
            "log unknown - - - - - -"
        ]
    );
    assert_eq!(outcome.error_text(), ["c", "d/log"].map(unable).concat());
    sandbox.mode("more", 0o744);
    let outcome = sandbox.sh("setuidgid nobody ./svps more");
    let rows = ["c", "d", "link"].map(|name| format!("{name} unknown - - - - - -"));
    assert_eq!(words(&outcome.text())[1..], rows);
    assert_eq!(
        outcome.error_text(),
        ["c", "d", "link"].map(unable).concat()
    );
}

fn colours_are_for_terminals(sandbox: &Sandbox) {
    sandbox.sh("mkdir -p scan/a; touch scan/a/run").succeeds();
    let on_terminal = |before: &str| {
        sandbox
            .sh(&format!(
                "{before} script -qec 'stty cols 40; exec svps scan' /dev/null </dev/null"
            ))
            .text()
    };
    let plain = "SERVICE  STATE         PID  FOR\r\na        unsupervised    -    -\r\n";
    assert_eq!(on_terminal("TERM=xterm NO_COLOR=1"), plain);
    assert_eq!(on_terminal("TERM=dumb"), on_terminal("NO_COLOR=1"));
    let coloured = on_terminal("TERM=xterm NO_COLOR=");
    assert_eq!(
        coloured
            .replace("\x1b[1m", "")
            .replace("\x1b[1;31m", "")
            .replace("\x1b[0m", ""),
        on_terminal("NO_COLOR=1")
    );
    assert!(coloured.contains("\x1b[1;31ma "), "{coloured:?}");
    sandbox
        .sh("mkdir scan/a-name-that-is-too-long-for-a-terminal; exec svps scan >piped")
        .succeeds();
    assert!(
        sandbox
            .read("piped")
            .windows(8)
            .any(|window| window == b"terminal")
    );
    assert!(
        on_terminal("NO_COLOR=1").contains("\r\na-name-that-is-~  unsupervised"),
        "{}",
        on_terminal("NO_COLOR=1")
    );
}

/// The columns of a terminal before the state of each row, for names whose
/// widths are known.
fn starts_of_states(text: &str, names: &[(&str, usize)]) -> Vec<usize> {
    let start = |(name, width): &(&str, usize)| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
        let rest = lines.next().unwrap_or_else(|| panic!("{name} in {text}"));
        width + rest.len() - rest.trim_start_matches(' ').len()
    };
    names.iter().map(start).collect()
}

fn wide_names_keep_the_columns(sandbox: &Sandbox) {
    let names = [
        ("web", 3),
        ("\u{65e5}\u{672c}\u{8a9e}", 6),
        ("e\u{301}te\u{301}", 3),
        (
            "\u{30ed}\u{30b0}\u{53ce}\u{96c6}\u{30b5}\u{30fc}\u{30d0}",
            14,
        ),
        ("\u{1f4e6}", 2),
        ("\u{1f469}\u{200d}\u{1f4bb}", 2 + 12 + 2),
    ];
    for (name, _) in names {
        sandbox.write(format!("scan/{name}/run"), "");
    }
    let shown = names.map(|(name, width)| (name.replace('\u{200d}', "\\xe2\\x80\\x8d"), width));
    let shown = shown
        .each_ref()
        .map(|(name, width)| (name.as_str(), *width));
    let text = sandbox.sh("svps scan").text();
    assert_eq!(starts_of_states(&text, &shown), [18; 6], "{text}");
    let header = text.lines().next().unwrap();
    assert_eq!(header.find("STATE"), Some(18));
    // A terminal of 36 columns leaves 12 to names.
    let narrow = sandbox.sh(
        "LC_ALL=C.UTF-8 TERM=dumb script -qec 'stty cols 36; exec svps scan' /dev/null </dev/null",
    );
    let cut = [
        ("web", 3),
        ("\u{65e5}\u{672c}\u{8a9e}", 6),
        ("\u{30ed}\u{30b0}\u{53ce}\u{96c6}\u{30b5}~", 11),
        ("\u{1f469}\\xe2\\x80\\~", 12),
    ];
    let text = narrow.text();
    assert_eq!(starts_of_states(&text, &cut), [14; 4], "{text}");
}

fn terminal_without_utf8_gets_escapes(sandbox: &Sandbox) {
    sandbox.write("scan/\u{e4}/run", "");
    let on_terminal = |locale: &str| {
        let script = "script -qec 'exec svps scan' /dev/null </dev/null | tail -n 1";
        sandbox.sh(&format!("TERM=dumb {locale} {script}")).text()
    };
    let (plain, escaped) = ("\u{e4} ", "\\xc3\\xa4 ");
    for (locale, name) in [
        ("", plain),
        ("LANG=de_DE.UTF-8", plain),
        ("LC_ALL=C.utf8 LANG=C", plain),
        ("LC_ALL= LC_CTYPE=en_US.UTF-8 LANG=C", plain),
        ("LANG=C", escaped),
        ("LC_ALL=POSIX LANG=C.UTF-8", escaped),
        ("LC_CTYPE=de_DE.ISO-8859-1", escaped),
    ] {
        let text = on_terminal(locale);
        assert!(text.starts_with(name), "{locale}: {text}");
    }
    // Other output has UTF-8 in any locale.
    for options in ["", "-j"] {
        let text = sandbox.sh(&format!("LC_ALL=C svps {options} scan")).text();
        assert!(text.contains('\u{e4}'), "{text}");
    }
}

fn service_directory_is_shown_with_a_warning(sandbox: &Sandbox) {
    let _svscan = three(sandbox);
    let warning =
        |dir: &str| format!("svps: warning: {dir} is a service directory, not a scan directory\n");
    for (script, dir) in [
        ("svps scan/a", "scan/a"),
        ("svps scan/a//", "scan/a//"),
        ("cd scan/a; svps", "."),
        ("cd scan/a/log; svps ..", ".."),
        ("svps scan/a/.", "scan/a/."),
    ] {
        let outcome = sandbox.sh(script);
        assert_eq!(outcome.code(), Some(0));
        assert_eq!(outcome.error_text(), warning(dir));
        let rows = ["a up N N - - N N", "log up N N - - N N"];
        assert_eq!(words(&outcome.text())[1..], rows, "{outcome:?}");
    }
    // Other directories in a service are no services.
    sandbox
        .sh("mkdir -p scan/b/data/run scan/b/env; >scan/b/env/HOME; ln -s scan/b link")
        .succeeds();
    for (dir, name) in [("scan/b", "b"), ("link", "link"), ("scan/a/log", "log")] {
        let outcome = sandbox.sh(&format!("svps -j {dir}"));
        assert_eq!(outcome.error_text(), warning(dir));
        let text = outcome.text();
        let first = text.lines().next().unwrap();
        let start = format!("{{\"name\":\"{name}\",\"logger\":false,\"supervised\":true,");
        assert!(first.starts_with(&start), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    // Without run, a FIFO of supervise shows that the directory is a service.
    sandbox.sh("rm scan/b/run").succeeds();
    let outcome = sandbox.sh("svps scan/b");
    assert_eq!(outcome.error_text(), warning("scan/b"));
    assert_eq!(words(&outcome.text())[1..], ["b down - N - - - -"]);
    // The warning escapes names, too.
    sandbox
        .sh(r#"mkdir "$(printf 'x\033')"; >"$(printf 'x\033')/run"; svps x*"#)
        .is(
            0,
            "SERVICE  STATE         PID  FOR  RESTARTS  EXIT  PRIVATE  RSS\n\
         x\\x1b    unsupervised    -    -         -  -           -    -\n",
            warning("x\\x1b"),
        );
}

fn service_directory_with_services_is_scanned(sandbox: &Sandbox) {
    // A service may run svscan in its own directory.
    sandbox
        .sh("mkdir -p s/log s/a; >s/run; >s/log/run; >s/a/run")
        .succeeds();
    let outcome = sandbox.sh("svps s");
    assert_eq!(outcome.error_text(), "");
    let rows = ["a", "log"].map(|name| format!("{name} unsupervised - - - - - -"));
    assert_eq!(words(&outcome.text())[1..], rows);
    // Services may have the names of the files of a service.
    sandbox
        .sh("mkdir -p t/run t/supervise t/ok; >t/run/run; >t/supervise/run; >t/ok/run")
        .succeeds();
    let outcome = sandbox.sh("svps t");
    assert_eq!(outcome.error_text(), "");
    let rows = ["ok", "run", "supervise"].map(|name| format!("{name} unsupervised - - - - - -"));
    assert_eq!(words(&outcome.text())[1..], rows);
    // Nor is a directory of files a service.
    sandbox.sh("mkdir u; >u/file; svps u | wc -l").prints("1\n");
}
