//! Option words and directories for svc, and the bytes that reach `control`.

use std::fs;

use testkit::random::compare;

use super::readable;

#[test]
fn svc_command_lines_match_reference() {
    compare(
        "svc's words",
        env!("CARGO_BIN_EXE_svok"),
        1500,
        |random, pair| {
            let words: Vec<String> = (0..random.usize(0..5))
                .map(|_| match random.u8(0..8) {
                    0 => "--".to_owned(),
                    1 => "-".to_owned(),
                    2..=5 => {
                        // Mostly letters that are options.
                        let letters = if random.u8(0..4) == 0 {
                            "uZ-:? ,.d"
                        } else {
                            "udopchaitkx"
                        };
                        let length = random.usize(1..5);
                        let letter = || char::from(*random.choice(letters.as_bytes()).unwrap());
                        std::iter::once('-')
                            .chain(std::iter::repeat_with(letter).take(length))
                            .collect()
                    }
                    6 => "s".to_owned(),
                    _ => random
                        .choice(["", "nope", "file", "s/", "../here/s", "none"])
                        .unwrap()
                        .to_owned(),
                })
                .collect();
            let words: Vec<String> = words.into_iter().chain(["s".to_owned()]).collect();
            for sandbox in [&pair.reference, &pair.ours] {
                sandbox.write("file", "");
                sandbox.write("s/supervise/control", "");
                fs::create_dir_all(sandbox.path("none")).unwrap();
            }
            pair.same(|sandbox| {
                let mut command = sandbox.command("svc");
                command.args(&words);
                readable(&sandbox.run(command))
            });
            pair.same(|sandbox| sandbox.read("s/supervise/control"));
        },
    );
}
