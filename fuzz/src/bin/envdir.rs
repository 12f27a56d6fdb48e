//! The value of a variable in a file of envdir's directory.
#![no_main]

use std::ffi::CString;
use std::fs;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    // fuzz/run sets TMPDIR to a directory of its own.
    let place = std::env::temp_dir().join(std::process::id().to_string());
    if !place.exists() {
        fs::create_dir(&place).unwrap();
    }
    fs::write(place.join("NAME"), text).unwrap();
    let edits = chain::envdir::read(place.as_path(), |_| false).unwrap();

    let expected = if text.is_empty() {
        b"NAME".to_vec()
    } else {
        let line: Vec<u8> = text
            .iter()
            .copied()
            .take_while(|&byte| byte != b'\n')
            .collect();
        let is_kept = |place: &usize| line[*place..].iter().any(|byte| !b" \t".contains(byte));
        let kept = (0..line.len()).take_while(is_kept).count();
        let value = line[..kept]
            .iter()
            .map(|&byte| if byte == 0 { b'\n' } else { byte });
        b"NAME=".iter().copied().chain(value).collect()
    };
    assert_eq!(edits, [CString::new(expected).unwrap()]);
});
