//! Status records of any bytes.

use std::fs;

use testkit::random::compare;

use super::same_outcome;

#[test]
fn svstat_prints_any_record_as_reference() {
    compare(
        "status records",
        env!("CARGO_BIN_EXE_svok"),
        1500,
        |random, pair| {
            let length = if random.u8(0..4) == 0 {
                random.usize(0..40)
            } else {
                18
            };
            let mut record: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
                .take(length)
                .collect();
            // Start times whose age cannot change between the two sides: in the
            // future, or so old that 0.76 prints the age in steps of 1024.
            if let Some(first) = record.first_mut() {
                *first = *random.choice(&[0, 0x20, 0x41, 0x80, 0xff]).unwrap();
            }
            if let Some(end) = record.get_mut(12..) {
                for byte in end {
                    if random.bool() {
                        *byte = *random.choice(b"\0\0\x01ud").unwrap();
                    }
                }
            }
            let down = random.bool();
            for sandbox in [&pair.reference, &pair.ours] {
                sandbox.write("s/supervise/ok", "");
                sandbox.write("s/supervise/status", &record);
                let _ = fs::remove_file(sandbox.path("s/down"));
                if down {
                    sandbox.write("s/down", "");
                }
            }
            same_outcome(pair, "svstat", &["s"]);
        },
    );
}
