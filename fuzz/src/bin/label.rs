//! Labels: digits as read by tai64nlocal, text and packed form.
#![no_main]

use daemontools_core::label::{Label, PACKED};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    // Only the leading digits count.
    let value = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let values: Vec<u8> = text.iter().map_while(|&byte| value(byte)).collect();
    let (label, length) = Label::read(text);
    assert_eq!(length, values.len());

    // The digits form a number of 96 bits; excess bits are lost.
    let mut bits: u128 = 0;
    for value in &values {
        bits = (bits << 4 | u128::from(*value)) & (1 << 96) - 1;
    }
    assert_eq!(u128::from(label.seconds()), bits >> 32);
    assert_eq!(u128::from(label.nanoseconds()), bits & 0xffff_ffff);

    // The text and the packed form convert back to the label.
    assert_eq!(label.text()[1..], *format!("{bits:024x}").as_bytes());
    assert_eq!(label.text()[0], b'@');
    assert_eq!(Label::read(&label.text()[1..]), (label, 24));
    assert_eq!(label.pack(), bits.to_be_bytes()[16 - PACKED..]);
    assert_eq!(Label::unpack(label.pack()), label);

    // 2^62 + 10 is 1970.
    let unix = (bits >> 32) as i128 - (1 << 62) - 10;
    assert_eq!(label.unix(), unix as i64);

    // The text of labels sorts by time.
    let next = label.next();
    if label.nanoseconds() < 1_000_000_000 && label.seconds() < u64::MAX {
        assert!(next > label && next.text() > label.text());
        assert_eq!(
            u128::from(next.seconds()) * 1_000_000_000 + u128::from(next.nanoseconds()),
            u128::from(label.seconds()) * 1_000_000_000 + u128::from(label.nanoseconds()) + 1000
        );
    }
});
