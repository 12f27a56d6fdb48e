//! JSON output.

use cli::json::member;
use daemontools_core::label::Label;
use daemontools_core::state::CheckResult;
use daemontools_core::status::Want;

use super::row::Row;

/// One object a row, each on its own line.
pub(crate) fn json(rows: &[Row], now: Label) -> String {
    rows.iter().map(|row| object(row, now) + "\n").collect()
}

fn object(row: &Row, now: Label) -> String {
    let name = if row.logger {
        [row.name.as_slice(), b"/log"].concat()
    } else {
        row.name.clone()
    };
    let mut object = b"{".to_vec();
    member("name", &name, |part| object.extend_from_slice(part));
    let record = row.record();
    let status = record.map(|record| record.status);
    let want = status.map(|status| match status.want {
        Want::Up => "\"up\"",
        Want::Down => "\"down\"",
        Want::Once => "\"once\"",
    });
    let state = record.and_then(|record| record.state_file);
    let ready_since = state.and_then(|state| state.ready_since);
    let next_start = state.and_then(|state| state.next_start);
    let supervised = row.known().map(|snapshot| snapshot.supervised);
    let private = row.memory.map(|memory| memory.private);
    let fields = [
        ("logger", row.logger.to_string()),
        ("supervised", or_null(supervised)),
        ("state", format!("\"{}\"", row.state(now).0)),
        ("want", or_null(want)),
        ("pid", or_null(row.pid())),
        ("since", or_null(status.map(|status| status.since.unix()))),
        ("seconds", or_null(row.seconds(now))),
        ("ready_since", or_null(ready_since.map(Label::unix))),
        ("next_start", or_null(next_start.map(Label::unix))),
        ("restarts", or_null(state.and_then(|state| state.restarts))),
        (
            "exit_code",
            or_null(state.and_then(|state| state.exit_code)),
        ),
        ("signal", or_null(state.and_then(|state| state.signal))),
        ("private_bytes", or_null(private)),
        (
            "rss_bytes",
            or_null(row.memory.map(|memory| memory.resident)),
        ),
        (
            "check",
            or_null(row.check().map(|result| match result {
                CheckResult::Ok => "\"ok\"".to_owned(),
                CheckResult::Failing => "\"failing\"".to_owned(),
                CheckResult::Failures(failures) => failures.to_string(),
            })),
        ),
    ];
    for (key, value) in fields {
        object.extend_from_slice(format!(",\"{key}\":{value}").as_bytes());
    }
    object.push(b'}');
    String::from_utf8(object).unwrap_or_default()
}

/// The value; `null` if unknown.
fn or_null(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::{NOW, row};
    use super::*;

    #[test]
    fn row_is_one_json_object() {
        let now = Label::from_unix(NOW, 0);
        let row = |name: &[u8]| row(name, false, 3, 0, b'd', "state=failed\nexit_code=1\n");
        let rest = "\"logger\":false,\"supervised\":true,\"state\":\"failed\",\"want\":\"down\",\
            \"pid\":null,\"since\":999999997,\"seconds\":3,\"ready_since\":null,\"next_start\":null,\
            \"restarts\":null,\"exit_code\":1,\"signal\":null,\"private_bytes\":null,\"rss_bytes\":null,\"check\":null}\n";
        assert_eq!(
            json(&[row(b"a\"\\\n\x7f"), row(b"\xffb")], now),
            format!(
                "{{\"name\":\"a\\\"\\\\\\u000a\\u007f\",{rest}{{\"name\":\"\u{fffd}b\",\"name_hex\":\"ff62\",{rest}"
            )
        );
    }
    #[test]
    fn check_result_is_word_or_number() {
        let now = Label::from_unix(NOW, 0);
        for (result, value) in [("ok", "\"ok\""), ("failing", "\"failing\""), ("2", "2")] {
            let state = format!("state=up\ncheck={result}\n");
            let text = json(&[row(b"s", false, 3, 7, b'u', &state)], now);
            assert!(text.ends_with(&format!(",\"check\":{value}}}\n")), "{text}");
        }
    }
}
