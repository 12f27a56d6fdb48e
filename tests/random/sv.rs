//! Services with any status record but no runsv: the output of sv, and the
//! bytes that it sends.

use testkit::random::compare;

use super::readable;
use crate::compliance::sv::{INIT_WORDS, RUNS, Record, pretend};

/// The commands of sv, apart from [`INIT_WORDS`].
const WORDS: [&str; 15] = [
    "status",
    "up",
    "down",
    "once",
    "pause",
    "cont",
    "hup",
    "alarm",
    "interrupt",
    "quit",
    "1",
    "2",
    "term",
    "kill",
    "exit",
];

/// Services of each case, so that their waits overlap.
const SERVICES: usize = 40;

#[test]
fn sv_treats_any_record_as_reference() {
    let all_words = [&WORDS[..], &INIT_WORDS].concat();
    compare(
        "sv, 40 services a case",
        env!("CARGO_BIN_EXE_svok"),
        20,
        |random, pair| {
            let mut words = vec!["-w", "0"];
            words.push(random.choice(&all_words).unwrap());
            let names: Vec<_> = (0..SERVICES).map(|n| format!("./s{n}")).collect();
            let mut records = Vec::new();
            for _ in &names {
                let record = Record {
                    pid: *random.choice(&[0, 0, 77, 77, u32::MAX]).unwrap(),
                    want: *random.choice(b"uudd\0z").unwrap(),
                    paused: *random.choice(&[0, 0, 1, 9]).unwrap(),
                    got_term: *random.choice(&[0, 0, 1]).unwrap(),
                    activity: *random.choice(&[0, 1, 1, 2, 3]).unwrap(),
                };
                let mut bytes = record.bytes();
                if random.u8(0..4) == 0 {
                    bytes.truncate(random.usize(0..24));
                }
                records.push((record, bytes, random.bool(), random.u8(0..6) == 0));
            }
            pair.same(|sandbox| {
                let held: Vec<_> = names
                    .iter()
                    .zip(&records)
                    .map(|(name, (record, bytes, down, logger))| {
                        let held = pretend(sandbox, name, *record);
                        sandbox.write(format!("{name}/supervise/status"), bytes);
                        let _ = std::fs::remove_file(sandbox.path(format!("{name}/down")));
                        if *down {
                            sandbox.write(format!("{name}/down"), "");
                        }
                        let logger = logger.then(|| pretend(sandbox, &format!("{name}/log"), RUNS));
                        (held, logger)
                    })
                    .collect();
                let mut command = sandbox.command("sv");
                command.args(&words).args(&names);
                let (status, stdout, stderr) = readable(&sandbox.run(command));
                // Ours needs one more poll to accept a restart without a new record, so
                // that the order of the lines differs.
                let mut lines: Vec<_> = stdout.split("\\n").map(str::to_owned).collect();
                lines.sort_unstable();
                let end = (status, lines, stderr);
                let letters: Vec<_> = held.iter().map(|(held, _)| held.letters()).collect();
                (end, letters)
            });
        },
    );
}
