//! Status records and the lines of svstat.
#![no_main]

use daemontools_core::label::Label;
use daemontools_core::status::Status;
use daemontools_core::status_line::StatusLine;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [normally_up, rest @ ..] = bytes else {
        return;
    };
    let normally_up = normally_up & 1 == 1;
    let Some((now, record)) = rest.split_first_chunk::<12>() else {
        return;
    };
    let status = Status::decode(record);
    assert_eq!(status.is_some(), record.len() >= 18);
    let Some(status) = status else { return };

    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0_u64, |n, &byte| n << 8 | u64::from(byte))
    };
    let seconds = number(&now[..8]).saturating_sub(number(&record[..8])) as f64 as u64;
    let pid = u32::from_le_bytes(record[12..16].try_into().unwrap());
    let up = pid != 0;
    let mut expected = if up {
        format!("up (pid {pid}) {seconds} seconds")
    } else {
        format!("down {seconds} seconds")
    };
    if up && !normally_up {
        expected += ", normally down";
    }
    if !up && normally_up {
        expected += ", normally up";
    }
    if up && record[16] != 0 {
        expected += ", paused";
    }
    if !up && record[17] == b'u' {
        expected += ", want up";
    }
    if up && record[17] == b'd' {
        expected += ", want down";
    }
    let now = Label::unpack(*now);
    let sentence = StatusLine {
        status,
        normally_up,
        state: None,
        now,
    };
    assert_eq!(sentence.to_string(), expected);

    // A decoded and encoded record gives the same output.
    let again = Status::decode(&status.encode()).unwrap();
    assert_eq!(again.encode(), status.encode());
    let again = StatusLine {
        status: again,
        normally_up,
        state: None,
        now,
    };
    assert_eq!(again.to_string(), expected);
});
