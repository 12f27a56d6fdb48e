//! svps -m and -c: metrics for Prometheus, and checks as of a Nagios plugin.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use nix::sys::signal::Signal;
use testkit::{Running, SLEEPER, Sandbox, kill, ours, ours_on_theirs};

ours_on_theirs!(
    metrics_describe_each_service,
    metrics_omit_unknown_values,
    check_prints_one_line_and_exits_as_a_plugin,
    unreadable_service_fails_svps_after_its_rows,
);

ours!(
    metrics_show_state_of_supervise_e,
    metrics_escape_names_for_the_parser,
    metrics_distinguish_log_directories,
    metrics_omit_memory_of_exited_process,
    node_exporter_reads_metrics,
    check_of_supervise_e_distinguishes_causes,
    check_of_unreadable_service_exits_3,
);

/// Starts svscan on `scan`, and waits until all services and loggers are
/// supervised.
fn svscan(sandbox: &Sandbox, options: &str, services: &[&str]) -> Running {
    let svscan = sandbox.start(sandbox.shell(&format!("exec svscan {options} scan")));
    for service in services {
        sandbox.wait_until("the service is supervised", || {
            sandbox.is_supervised(&format!("scan/{service}"))
        });
    }
    svscan
}

/// The value of a sample, if it is present.
fn value(text: &str, name_and_labels: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name_and_labels)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

fn metrics_describe_each_service(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/a/log/run", "#!/bin/sh\nexec multilog t ./main\n");
    sandbox.script("scan/b/run", SLEEPER);
    sandbox.write("scan/b/down", "");
    let _svscan = svscan(sandbox, "", &["a", "a/log", "b"]);
    sandbox.service("scan/a");
    sandbox.wait_until("the log exists", || {
        sandbox.exists("scan/a/log/main/current")
    });
    sandbox.write("scan/a/log/main/@400000003b4a39c23294b13c.s", "1234567");
    let text = sandbox.wait_for("svps -m scan", |text| {
        value(text, r#"supervise_up{service="a",logger="true"}"#) == Some(1.0)
    });
    for (sample, expected) in [
        (r#"supervise_up{service="a",logger="false"}"#, 1.0),
        (r#"supervise_up{service="b",logger="false"}"#, 0.0),
        (r#"supervise_supervised{service="b",logger="false"}"#, 1.0),
        (r#"supervise_wanted_up{service="a",logger="false"}"#, 1.0),
        (r#"supervise_wanted_up{service="b",logger="false"}"#, 0.0),
        (r#"supervise_normally_up{service="a",logger="true"}"#, 1.0),
        (r#"supervise_normally_up{service="b",logger="false"}"#, 0.0),
        (r#"supervise_unreadable{service="b",logger="false"}"#, 0.0),
        (
            r#"supervise_state{service="a",logger="false",supervise_state="up"}"#,
            1.0,
        ),
        (
            r#"supervise_state{service="a",logger="false",supervise_state="down"}"#,
            0.0,
        ),
        (
            r#"supervise_state{service="b",logger="false",supervise_state="down"}"#,
            1.0,
        ),
    ] {
        assert_eq!(value(&text, sample), Some(expected), "{sample}\n{text}");
    }
    let directory = sandbox.path("scan/a/log/main").canonicalize().unwrap();
    let labels = format!(
        r#"{{service="a",logger="true",directory="{}"}}"#,
        directory.display()
    );
    assert_eq!(
        value(&text, &format!("supervise_log_bytes{labels}")),
        Some(7.0),
        "{text}"
    );
    let now = sandbox.sh("date +%s").text();
    let now: f64 = now.trim().parse().unwrap();
    for time in [
        format!("supervise_log_last_write_time_seconds{labels}"),
        r#"supervise_start_time_seconds{service="a",logger="false"}"#.to_owned(),
    ] {
        let time = value(&text, &time).unwrap_or_else(|| panic!("{time}: {text}"));
        assert!((now - 3600.0..now + 1.0).contains(&time), "{time} {now}");
    }
    let memory = r#"supervise_resident_memory_bytes{service="a",logger="false"}"#;
    assert!(value(&text, memory) > Some(0.0), "{text}");
    assert!(text.ends_with("\n# EOF\n"), "{text}");
}

fn metrics_omit_unknown_values(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.write("scan/bad/supervise/status", "123");
    sandbox.sh("mkdir empty; svps -m empty").prints("# EOF\n");
    let outcome = sandbox.sh("svps -m scan");
    outcome.is(
        111,
        "# TYPE supervise_supervised gauge\n\
         # HELP supervise_supervised Whether a supervise or runsv runs.\n\
         supervise_supervised{service=\"a\",logger=\"false\"} 0\n\
         # TYPE supervise_normally_up gauge\n\
         # HELP supervise_normally_up Whether supervise starts the service by itself.\n\
         supervise_normally_up{service=\"a\",logger=\"false\"} 1\n\
         supervise_normally_up{service=\"bad\",logger=\"false\"} 1\n\
         # TYPE supervise_unreadable gauge\n\
         # HELP supervise_unreadable Whether the status cannot be read.\n\
         supervise_unreadable{service=\"a\",logger=\"false\"} 0\n\
         supervise_unreadable{service=\"bad\",logger=\"false\"} 1\n\
         # EOF\n",
        "svps: warning: unable to read bad/supervise/status: bad format\n",
    );
}

fn metrics_show_state_of_supervise_e(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", "#!/bin/sh\nexit 3\n");
    sandbox.write("scan/a/restart-limit-count", "2\n");
    sandbox.write("scan/a/restart-limit-interval", "3600\n");
    sandbox.script("scan/k/run", "#!/bin/sh\nkill -9 $$\n");
    sandbox.write("scan/k/restart-delay", "3600\n");
    sandbox.script("scan/r/run", "#!/bin/sh\necho >&3\nexec sleep 1000\n");
    sandbox.write("scan/r/notification-fd", "3\n");
    let _svscan = svscan(sandbox, "-e", &["a", "k", "r"]);
    let a = r#"{service="a",logger="false""#;
    let failed = format!(r#"supervise_state{a},supervise_state="failed"}}"#);
    let signal = r#"supervise_last_signal{service="k",logger="false"}"#;
    let ready = r#"supervise_ready_time_seconds{service="r",logger="false"}"#;
    let text = sandbox.wait_for("svps -m scan", |text| {
        value(text, &failed) == Some(1.0)
            && value(text, signal).is_some()
            && value(text, ready).is_some()
    });
    for (name, expected) in [
        ("supervise_up", Some(0.0)),
        ("supervise_restarts_total", Some(2.0)),
        ("supervise_deaths_recent", Some(3.0)),
        ("supervise_last_exit_code", Some(3.0)),
        ("supervise_last_signal", None),
        ("supervise_start_time_seconds", None),
    ] {
        assert_eq!(
            value(&text, &format!("{name}{a}}}")),
            expected,
            "{name}\n{text}"
        );
    }
    assert_eq!(value(&text, signal), Some(9.0), "{text}");
    let next = r#"supervise_next_start_time_seconds{service="k",logger="false"}"#;
    let start = r#"supervise_start_time_seconds{service="r",logger="false"}"#;
    assert!(value(&text, next) > value(&text, start), "{text}");
    assert!(value(&text, ready) >= value(&text, start), "{text}");
    let deaths = r#"supervise_deaths_recent{service="r",logger="false"}"#;
    assert_eq!(value(&text, deaths), Some(0.0), "{text}");
}

/// Prints the samples of the family `supervise_unreadable`, one a line.
const PARSER: &str = r#"
import sys
from prometheus_client.openmetrics.parser import text_fd_to_metric_families
families = list(text_fd_to_metric_families(open(0, encoding="utf-8", newline="\n")))
for family in families:
    assert family.samples, family
    if family.name == "supervise_unreadable":
        for sample in family.samples:
            print(ascii(sample.labels["service"]), sample.labels.get("service_hex"), int(sample.value))
names = [family.name for family in families]
assert len(names) == len(set(names)), names
types = {family.name: family.type for family in families}
assert types["supervise_restarts"] == "counter", types
"#;

/// A scan directory with names that a text format has to escape.
fn add_names(sandbox: &Sandbox) {
    sandbox
        .sh(r#"mkdir scan; cd scan
            for name in 'quote"' 'back\n\' "$(printf 'line\nfeed\r')" "$(printf '\377')" "$(printf '\376')" "$(printf '\303\244,{}=#\342\200\250\t')"; do
                mkdir "$name"
                printf '#!/bin/sh\nexec sleep 1000\n' >"$name/run"; chmod +x "$name/run"
            done"#)
        .succeeds();
}

fn metrics_escape_names_for_the_parser(sandbox: &Sandbox) {
    if sandbox
        .sh("python3 -c 'import prometheus_client.openmetrics.parser'")
        .code()
        != Some(0)
    {
        return testkit::skip(
            "metrics_escape_names_for_the_parser",
            "the Prometheus client library for Python is not installed",
        );
    }
    add_names(sandbox);
    sandbox.script("scan/e/run", SLEEPER);
    let _svscan = svscan(sandbox, "-e", &["e"]);
    sandbox.service("scan/e");
    sandbox.write("parser.py", PARSER);
    sandbox
        .sh("svps -m scan >metrics && exec python3 parser.py <metrics")
        .prints(
            "'back\\\\n\\\\' None 0\n\
             'e' None 0\n\
             'line\\nfeed\\r' None 0\n\
             'quote\"' None 0\n\
             '\\xe4,{}=#\\u2028\\t' None 0\n\
             '\\ufffd' fe 0\n\
             '\\ufffd' ff 0\n",
        );
}

/// Prometheus rejects a text with two equal samples.
fn metrics_distinguish_log_directories(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script(
        "scan/a/log/run",
        "#!/bin/sh\nexec multilog t \"$(printf './m\\376')\" \"$(printf './m\\377')\" ./n\n",
    );
    let _svscan = svscan(sandbox, "", &["a", "a/log"]);
    let is_unique = |directory: &str| {
        let script = format!("svps -m scan | grep '^supervise_log_bytes' | grep -c '{directory}'");
        sandbox.wait_for(&script, |count| count == "1\n");
    };
    is_unique("/m\u{fffd}\",directory_hex=\".*6dfe\"} 0");
    is_unique("/m\u{fffd}\",directory_hex=\".*6dff\"} 0");
    is_unique("/n\"} 0");
}

/// A paused supervise has not noticed the exit.
fn metrics_omit_memory_of_exited_process(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    let supervise = sandbox.start_supervisor("supervise", "scan/a");
    let process = sandbox.service("scan/a");
    let memory = "svps -m scan | grep -c '^supervise_.*_memory_bytes{'";
    sandbox.wait_for(memory, |count| count == "2\n");
    supervise.signal(Signal::SIGSTOP);
    kill(process, Signal::SIGKILL).unwrap();
    sandbox.wait_for(memory, |count| count == "0\n");
    sandbox
        .sh("svps -m scan | grep '^supervise_up'")
        .prints("supervise_up{service=\"a\",logger=\"false\"} 1\n");
}

/// The answer of a server on loopback to a request for a page.
fn get(port: u16, page: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET {page} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn node_exporter_reads_metrics(sandbox: &Sandbox) {
    let Some(exporter) =
        crate::real_services::program("prometheus-node-exporter", "node_exporter_reads_metrics")
    else {
        return;
    };
    add_names(sandbox);
    let _svscan = svscan(sandbox, "-e", &["'quote\"'"]);
    sandbox.service("scan/quote\"");
    // Until each service has run, some of its metrics are left out.
    let metrics = sandbox.wait_for("svps -m scan", |text| {
        let count = |metric: &str| text.lines().filter(|line| line.starts_with(metric)).count();
        count("supervise_restarts_total{") == count("supervise_supervised{")
    });
    fs::create_dir(sandbox.path("metrics")).unwrap();
    sandbox.write("metrics/svps.prom", &metrics);
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut command = sandbox.command(exporter);
    command
        .args(["--collector.disable-defaults", "--collector.textfile"])
        .arg("--collector.textfile.directory=metrics")
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let _exporter = sandbox.start(command);
    let mut page = String::new();
    sandbox.wait_until("the exporter answers", || match get(port, "/metrics") {
        Ok(answer) => {
            page = answer;
            true
        }
        Err(_) => false,
    });
    assert!(page.contains("\nnode_textfile_scrape_error 0\n"), "{page}");
    for line in [
        "# TYPE supervise_up gauge",
        r#"supervise_up{logger="false",service="quote\"",service_hex=""} 1"#,
        r#"supervise_unreadable{logger="false",service="�",service_hex="ff"} 0"#,
        r#"supervise_restarts_total{logger="false",service="back\\n\\",service_hex=""} 0"#,
    ] {
        assert!(page.contains(&format!("\n{line}\n")), "{line}\n{page}");
    }
}

fn check_prints_one_line_and_exits_as_a_plugin(sandbox: &Sandbox) {
    sandbox.script("scan/a/run", SLEEPER);
    sandbox.script("scan/a/log/run", SLEEPER);
    sandbox.script("scan/b/run", SLEEPER);
    sandbox.write("scan/b/down", "");
    let svscan = svscan(sandbox, "", &["a", "a/log", "b"]);
    for service in ["scan/a", "scan/a/log"] {
        sandbox.service(service);
    }
    sandbox.sh("svps -c 0 scan").prints("OK: 3 well\n");
    sandbox.sh("cd scan; svps -c0").prints("OK: 3 well\n");
    sandbox.sh("svps -c 0 scan/a").prints("OK: 2 well\n");
    // Without -e, each run may be a restart.
    let outcome = sandbox.sh("svps -c 1000000 scan");
    assert_eq!(
        (outcome.code(), outcome.error_text().as_str()),
        (Some(1), "")
    );
    let words = "WARNING: a is up for only S s, a/log is up for only S s; 1 well\n";
    let shown: Vec<_> = outcome
        .text()
        .split(' ')
        .map(|word| {
            word.parse::<u32>()
                .map_or(word.to_owned(), |_| "S".to_owned())
        })
        .collect();
    assert_eq!(shown.join(" ").replace("; S well", "; 1 well"), words);
    sandbox.sh("svc -p scan/a").succeeds();
    sandbox.wait_for("svps -c 0 scan", |text| {
        text == "WARNING: a is paused; 2 well\n"
    });
    sandbox.sh("svc -c scan/a").succeeds();
    sandbox.wait_for("svps -c 0 scan", |text| text == "OK: 3 well\n");
    sandbox.script("scan/none/run", SLEEPER);
    sandbox
        .sh("svps -c 0 scan/none")
        .is(2, "CRITICAL: none is not supervised\n", "");
    svscan.kill();
    sandbox
        .sh("svps -c 0 nope")
        .is(3, "UNKNOWN: unable to read nope: file does not exist\n", "");
    sandbox
        .sh("mkdir empty; svps -c 0 empty")
        .prints("OK: 0 well\n");
    for seconds in ["", "x", "-1", "1.5", "18446744073709551616"] {
        assert_eq!(
            sandbox.sh(&format!("svps -c '{seconds}' scan")).code(),
            Some(100)
        );
    }
    sandbox.sh("exec svps -c 0 empty >/dev/full").is(
        111,
        "",
        "svps: fatal: unable to write output: out of disk space\n",
    );
}

fn check_of_supervise_e_distinguishes_causes(sandbox: &Sandbox) {
    sandbox.script("scan/down/run", SLEEPER);
    sandbox.write("scan/down/down", "");
    sandbox.script("scan/failed/run", "#!/bin/sh\nexit 3\n");
    sandbox.write("scan/failed/restart-limit-count", "1\n");
    sandbox.script("scan/first/run", SLEEPER);
    sandbox.script("scan/sick/run", SLEEPER);
    sandbox.script("scan/sick/check", "#!/bin/sh\nexit 1\n");
    sandbox.write("scan/sick/check-interval", "10\n");
    sandbox.script("scan/starting/run", SLEEPER);
    sandbox.write("scan/starting/notification-fd", "3\n");
    sandbox.script("scan/waits/run", "#!/bin/sh\nexit 3\n");
    sandbox.write("scan/waits/restart-delay", "100000\n");
    sandbox.script("scan/pipe|/run", "#!/bin/sh\nexit 3\n");
    sandbox.write("scan/pipe|/restart-delay", "100000\n");
    let _svscan = svscan(
        sandbox,
        "-e",
        &["down", "failed", "first", "sick", "starting", "waits"],
    );
    sandbox.write("scan/unreadable/supervise/status", "123");
    // The first run of a service does not count as flapping.
    let expected = "CRITICAL: failed has failed, sick fails its check; \
        UNKNOWN: unable to read unreadable/supervise/status: bad format; \
        WARNING: pipe\\x7c restarts in N s, starting is up but not ready, \
        waits restarts in N s; 2 well\n";
    let masked = |text: &str| {
        let is_long = |word: &&str| word.len() == 5 && word.parse::<u32>().is_ok();
        let words = text.split(' ');
        words
            .map(|word| if is_long(&word) { "N" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    };
    sandbox.wait_for("svps -c 1000 scan", |text| masked(text) == expected);
    assert_eq!(sandbox.sh("svps -c 1000 scan").code(), Some(2));
    sandbox
        .sh("mkdir out; mv scan/failed scan/sick scan/unreadable out")
        .succeeds();
    assert_eq!(sandbox.sh("svps -c 1000 scan").code(), Some(1));
}

fn check_of_unreadable_service_exits_3(sandbox: &Sandbox) {
    sandbox
        .sh("mkdir -p scan/a/supervise; echo 123 >scan/a/supervise/status")
        .succeeds();
    sandbox.sh("svps -c 0 scan").is(
        3,
        "UNKNOWN: unable to read a/supervise/status: bad format\n",
        "",
    );
}

fn unreadable_service_fails_svps_after_its_rows(sandbox: &Sandbox) {
    sandbox
        .sh("mkdir -p scan/a/supervise; echo 123 >scan/a/supervise/status")
        .succeeds();
    for option in ["", "-j", "-m"] {
        let outcome = sandbox.sh(&format!("svps {option} scan"));
        assert_eq!(outcome.code(), Some(111));
        assert!(outcome.text().contains('a'));
        assert_eq!(
            outcome.error_text(),
            "svps: warning: unable to read a/supervise/status: bad format\n"
        );
    }
}
