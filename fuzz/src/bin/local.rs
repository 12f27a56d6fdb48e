//! The output of tai64nlocal for labels in a stream of pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logging::tai64::{Civil, Localizer, TimeStyle};
use logging::text_buffer::TextBuffer;

/// UTC by counting days; None before 1970 and after 40,000 days.
fn calendar(moment: i64) -> Option<Civil> {
    let days = (0..40_000)
        .contains(&moment.div_euclid(86_400))
        .then(|| moment / 86_400)?;
    let second = moment % 86_400;
    let (mut year, mut month, mut day) = (1970, 1, 1);
    for _ in 0..days {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 => 28 + u8::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        day += 1;
        if day > length {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
    let part = |number: i64| u8::try_from(number).unwrap();
    Some(Civil {
        year,
        month,
        day,
        hour: part(second / 3600),
        minute: part(second / 60 % 60),
        second: part(second % 60),
        offset: 0,
    })
}

/// The model of the conversion.
fn naive(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    for line in input.split_inclusive(|&byte| byte == b'\n') {
        let Some(rest) = line.strip_prefix(b"@") else {
            output.extend(line);
            continue;
        };
        let digits = rest
            .iter()
            .take_while(|byte| b"0123456789abcdef".contains(byte))
            .count();
        let (digits, rest) = rest.split_at(digits);
        if rest.is_empty() {
            // The input ended within the label.
            continue;
        }
        let mut bits: u128 = 0;
        for &digit in digits {
            let digit = char::from(digit).to_digit(16).unwrap();
            bits = (bits << 4 | u128::from(digit)) & (1 << 96) - 1;
        }
        let seconds = ((bits >> 32) as u64).wrapping_sub((1 << 62) + 10) as i64;
        if let Some(civil) = calendar(seconds) {
            let Civil {
                year,
                month,
                day,
                hour,
                minute,
                second,
                ..
            } = civil;
            let nanoseconds = bits & 0xffff_ffff;
            output.extend(
                format!(
                    "{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{nanoseconds:09}"
                )
                .bytes(),
            );
        } else {
            output.push(b'@');
            output.extend(digits);
        }
        output.extend(rest);
    }
    output
}

fuzz_target!(|bytes: &[u8]| {
    let [piece, whole, rest @ ..] = bytes else {
        return;
    };
    // Bytes above 127 become the start of a label, to make labels frequent.
    let mut input = Vec::new();
    for &byte in rest {
        match byte {
            0x80.. => {
                input.extend(b"\n@4000000");
                input.extend(format!("{:02x}", byte & 15).bytes());
            }
            byte => input.push(byte),
        }
    }
    let mut localizer = Localizer::new(calendar, whole & 1 == 0, TimeStyle::Original);
    let mut output = TextBuffer::default();
    for piece in input.chunks(1 + usize::from(*piece)) {
        localizer.convert(piece, &mut output).unwrap();
        if whole & 2 == 0 {
            localizer.clear_cache();
        }
    }
    assert!(
        output.text() == naive(&input),
        "{}\n{}\n{}",
        input.escape_ascii(),
        output.text().escape_ascii(),
        naive(&input).escape_ascii()
    );
});
