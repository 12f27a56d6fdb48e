//! Status records of any bytes.

use std::fs;

use testkit::Sandbox;
use testkit::random::compare;

use super::readable;

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
            // Start times in the future have no age. The age of the others is a
            // double, which changes in steps of 256 seconds or more.
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
            let outcome = |sandbox: &Sandbox| {
                let mut command = sandbox.command("svstat");
                command.arg("s");
                readable(&sandbox.run(command))
            };
            loop {
                let (theirs, ours) = (outcome(&pair.reference), outcome(&pair.ours));
                if theirs == ours {
                    break;
                }
                // The age may have changed after the first run.
                let changed = theirs != outcome(&pair.reference);
                assert!(changed, "reference: {theirs:#?}\nours: {ours:#?}");
            }
        },
    );
}
