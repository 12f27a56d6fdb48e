//! Masks for the variable parts of an example's output: process IDs and seconds
//! in lines of svstat, and labels and times of the present.

use std::time::{SystemTime, UNIX_EPOCH};

use daemontools_core::calendar::date_of_day;
use daemontools_core::label::{Label, TEXT};

/// The length of a timestamp of tai64nlocal.
const TIME: usize = "YYYY-MM-DD HH:MM:SS.nnnnnnnnn".len();

const DAY: i64 = 86400;

/// Whether `shown` equals the text of a document except for masked parts. In
/// `shown`, a label or time is masked only if it is of the present.
pub(super) fn alike(shown: &str, wanted: &str) -> bool {
    shown == wanted || masked(shown, true) == masked(wanted, false)
}

/// The text with masks in place of the numbers.
fn masked(text: &str, only_present: bool) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        let (mask, length) = if digits > 0 && masked.ends_with("(pid ") {
            ("PID", digits)
        } else if digits > 0 && masked.ends_with(' ') && rest[digits..].starts_with(" seconds") {
            ("NUMBER", digits)
        } else if label(rest).is_some_and(|label| !only_present || is_present(label)) {
            ("LABEL", TEXT)
        } else if time(rest).is_some_and(|date| !only_present || is_today(date)) {
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

/// The label at the beginning of a text.
fn label(text: &str) -> Option<Label> {
    let digits = text.as_bytes().get(..TEXT)?.strip_prefix(b"@")?;
    let (label, length) = Label::read(digits);
    (length == digits.len()).then_some(label)
}

/// The date of the timestamp at the beginning of a text.
fn time(text: &str) -> Option<&str> {
    let time = text.get(..TIME)?;
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '9' } else { c })
        .collect();
    (shape == "9999-99-99 99:99:99.999999999").then(|| &time[.."YYYY-MM-DD".len()])
}

fn is_present(label: Label) -> bool {
    (label.unix() - now()).abs() < DAY
}

/// Whether it is today's date in any time zone.
fn is_today(date: &str) -> bool {
    [-DAY, 0, DAY].iter().any(|offset| {
        let (year, month, day) = date_of_day((now() + offset).div_euclid(DAY));
        date == format!("{year}-{month:02}-{day:02}")
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
    let present = String::from_utf8(Label::now().text().to_vec()).unwrap();
    let old = "@400000004d52960a0ebe121c";
    assert!(alike(&format!("{present} a"), &format!("{old} a")));
    for (shown, wanted) in [
        ("s: up (pid 17) 1 seconds\n", "s: up (pid 17) 1 seconds"),
        ("s: up (pid 17) 1 seconds", "s: down 1 seconds"),
        ("17", "18"),
        (old, present.as_str()),
        (
            "2011-02-09 13:26:24.247337500",
            "2011-02-09 13:26:25.247337500",
        ),
    ] {
        assert!(!alike(shown, wanted), "{shown} {wanted}");
    }
}
