//! What a document cannot know of its examples' output: process IDs and
//! seconds in svstat's sentences, and the labels and times of now.

use std::time::{SystemTime, UNIX_EPOCH};

use daemontools_core::label::{Label, TEXT};

/// The length of a time of day as tai64nlocal prints it.
const TIME: usize = "YYYY-MM-DD HH:MM:SS.nnnnnnnnn".len();

const DAY: i64 = 86400;

/// Whether `shown` is what a document says: to the byte, but for the numbers
/// that it cannot know. A label or time counts as such a number if it is of
/// now; any other has to be right.
pub(super) fn alike(shown: &str, wanted: &str) -> bool {
    shown == wanted || masked(shown, true) == masked(wanted, false)
}

/// The text, with masks where the numbers were.
fn masked(text: &str, must_be_of_now: bool) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        let (mask, length) = if digits > 0 && masked.ends_with("(pid ") {
            ("PID", digits)
        } else if digits > 0 && masked.ends_with(' ') && rest[digits..].starts_with(" seconds") {
            ("NUMBER", digits)
        } else if label(rest).is_some_and(|label| !must_be_of_now || is_of_now(label)) {
            ("LABEL", TEXT)
        } else if time(rest).is_some_and(|date| !must_be_of_now || is_of_today(date)) {
            ("TIME", TIME)
        } else {
            ("", 0)
        };
        if length > 0 {
            masked += mask;
            rest = &rest[length..];
        } else {
            masked.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    masked
}

/// The label that a text begins with.
fn label(text: &str) -> Option<Label> {
    let digits = text.as_bytes().get(..TEXT)?.strip_prefix(b"@")?;
    let (label, length) = Label::read(digits);
    (length == digits.len()).then_some(label)
}

/// The date of the time of day that a text begins with.
fn time(text: &str) -> Option<&str> {
    let time = text.get(..TIME)?;
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '9' } else { c })
        .collect();
    (shape == "9999-99-99 99:99:99.999999999").then(|| &time[.."YYYY-MM-DD".len()])
}

fn is_of_now(label: Label) -> bool {
    (label.unix() - now()).abs() < DAY
}

/// Whether it is today's date, somewhere on earth.
fn is_of_today(date: &str) -> bool {
    [-DAY, 0, DAY].iter().any(|offset| {
        let day = unix::localtime::civil(now() + offset).unwrap();
        date == format!("{}-{:02}-{:02}", day.year, day.month, day.day)
    })
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().try_into().unwrap()
}

#[test]
fn mask_hides_only_unpredictable_values() {
    for (shown, wanted) in [
        (
            "s: up (pid 17) 1 seconds\n",
            "s: up (pid 4242) 12 seconds\n",
        ),
        (
            "s: down 0 seconds, normally up",
            "s: down 3 seconds, normally up",
        ),
    ] {
        assert!(alike(shown, wanted), "{shown} {wanted}");
    }
    let of_now = String::from_utf8(Label::now().text().to_vec()).unwrap();
    let old = "@400000004d52960a0ebe121c";
    assert!(alike(&format!("{of_now} a"), &format!("{old} a")));
    for (shown, wanted) in [
        ("s: up (pid 17) 1 seconds\n", "s: up (pid 17) 1 seconds"),
        ("s: up (pid 17) 1 seconds", "s: down 1 seconds"),
        ("17", "18"),
        (old, of_now.as_str()),
        (
            "2011-02-09 13:26:24.247337500",
            "2011-02-09 13:26:25.247337500",
        ),
    ] {
        assert!(!alike(shown, wanted), "{shown} {wanted}");
    }
}
