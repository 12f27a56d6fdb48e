use testkit::{Running, Scene};

use super::SLEEPER;

const USAGE: &str = "svps: usage: svps [-j] [scandir]\n";

/// svps, which the reference has not, on what ours makes and on what the
/// reference makes.
macro_rules! shows {
    ($($(#[$meta:meta])* fn $name:ident($scene:ident: &Scene) $body:block)*) => {
        $(testkit::on_subjects! {
            $(#[$meta])* fn $name($scene) $body
            ours: Ours, ours_on_theirs: TheirsThenOurs,
        })*
    };
}

/// A service with a logger, one that is down, and one that nobody supervises.
fn three(scene: &Scene) -> Running {
    scene.script("scan/a/run", SLEEPER);
    scene.script("scan/a/log/run", SLEEPER);
    scene.script("scan/b/run", SLEEPER);
    scene.write("scan/b/down", "");
    scene.write("scan/file", "");
    scene.script("scan/.hidden/run", SLEEPER);
    let svscan = scene.start(scene.shell("exec svscan scan"));
    scene.wait_until("all are supervised", || {
        scene
            .sh("svok scan/a && svok scan/a/log && svok scan/b")
            .code()
            == Some(0)
    });
    scene.wait_until("what is to run does", || {
        scene
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

shows! {
    fn each_service_has_a_row_and_its_logger_below(scene: &Scene) {
        let _svscan = three(scene);
        scene.script("scan/c/run", SLEEPER);
        let text = scene.sh("svps scan | cat; cd scan; svps >../here").text();
        let rows = ["SERVICE STATE PID FOR RESTARTS EXIT PRIVATE RSS",
            "a up N N - - N N", "log up N N - - N N", "b down - N - - - -", "c unsupervised - - - - - -"];
        assert_eq!(words(&text), rows, "{text}");
        assert_eq!(words(&String::from_utf8(scene.read("here")).unwrap()), rows);
        scene.sh("svc -p scan/a").succeeds();
        scene.wait_for("svps scan", |text| words(text)[1] == "a paused N N - - N N");
    }

    fn json_can_be_read(scene: &Scene) {
        let _svscan = three(scene);
        scene.sh(r#"cd scan; n=$(printf '\377"\\\n\033'); mkdir "$n"; touch "$n/run""#).succeeds();
        let read = "svps -j scan | perl -MJSON::PP -e 'while (<>) { my $row = JSON::PP->new->utf8->decode($_); \
            print join(\" \", map { defined $_ ? $_ : \"null\" } $row->{name_hex} // \"\", \
            $row->{state}, $row->{want}, $row->{logger} ? 1 : 0, $row->{supervised} ? 1 : 0, \
            $row->{pid} ? \"pid\" : \"none\", $row->{rss_bytes} ? 1 : 0, $row->{exit_code}), \"\\n\" }'";
                scene.sh(read).prints(
            " up up 0 1 pid 1 null\n up up 1 1 pid 1 null\n down down 0 1 none 0 null\n\
             ff225c0a1b unsupervised null 0 0 none 0 null\n",
        );
        let one = scene.sh("svps -j scan | head -n 1").text();
        assert!(one.starts_with(r#"{"name":"a","logger":false,"supervised":true,"state":"up","want":"up","pid":"#), "{one}");
    }

    fn what_supervise_e_tells_is_shown(scene: &Scene) {
        let _svscan = three(scene);
        let state = "state=failed\nsince=@4fffffffffffffff00000000\nrestarts=7\nexit_code=3\n";
        scene.write("scan/b/supervise/state", state);
        let text = scene.sh("svps scan").text();
        assert_eq!(words(&text)[3], "b failed - N N N - -", "{text}");
        scene.write("scan/b/supervise/state", state.replace("exit_code=3", "signal=9"));
        let text = scene.sh("svps scan").text();
        assert_eq!(words(&text)[3], "b failed - N N SIGKILL - -", "{text}");
        // One that is older than the record is of another supervise.
        scene.write("scan/b/supervise/state", state.replace("@4f", "@3f"));
        assert_eq!(words(&scene.sh("svps scan").text())[3], "b down - N - - - -");
    }

    fn what_cannot_be_read_is_told(scene: &Scene) {
        scene.sh("mkdir -p scan/a/supervise; printf short >scan/a/supervise/status").succeeds();
        let outcome = scene.sh("svps scan");
        assert_eq!(outcome.code(), Some(0));
        assert_eq!(outcome.error_text(), "svps: warning: unable to read a/supervise/status: bad format\n");
        assert_eq!(words(&outcome.text())[1], "a unknown - - - - - -");
        scene.sh("svps nope").is(111, "", "svps: fatal: unable to read nope: file does not exist\n");
        scene.sh("svps scan/a/supervise/status").is(111, "",
            "svps: fatal: unable to read scan/a/supervise/status: not a directory\n");
        scene.sh("svps -Z").is(100, "", format!("svps: illegal option -- Z\n{USAGE}"));
        scene.sh("svps a b").is(100, "", USAGE);
        scene.sh("exec svps scan 2>/dev/null >&-").is(111, "", "");
        scene.sh("exec svps -j scan 2>/dev/null >/dev/full").is(111, "", "");
    }

    fn colours_are_for_terminals(scene: &Scene) {
        scene.sh("mkdir -p scan/a; touch scan/a/run").succeeds();
        let on_terminal = |before: &str| {
            scene.sh(&format!("{before} script -qec 'stty cols 40; exec svps scan' /dev/null </dev/null")).text()
        };
        let plain = "SERVICE  STATE         PID  FOR\r\na        unsupervised    -    -\r\n";
        assert_eq!(on_terminal("TERM=xterm NO_COLOR=1"), plain);
        assert_eq!(on_terminal("TERM=dumb"), on_terminal("NO_COLOR=1"));
        let coloured = on_terminal("TERM=xterm NO_COLOR=");
        assert_eq!(coloured.replace("\x1b[1m", "").replace("\x1b[1;31m", "").replace("\x1b[0m", ""), on_terminal("NO_COLOR=1"));
        assert!(coloured.contains("\x1b[1;31ma "), "{coloured:?}");
    }
}
