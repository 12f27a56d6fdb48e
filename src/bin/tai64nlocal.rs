//! tai64nlocal: convert the TAI64N labels of lines to local time.

#![cfg_attr(not(test), no_main)]

use std::cell::Cell;
use std::ffi::CStr;

use cli::options::flag;
use cli::text::print;
use cli::{Exit, Program};
use logging::tai64::{LocalZone, Localizer, TimeStyle};
use logging::text_buffer::TextBuffer;
use nix::errno::Errno;
use nix::unistd::read;
use unix::start;
use unix::stdio::STDIN;

pub(crate) static TAI64NLOCAL: Program = Program {
    name: "tai64nlocal",
    usage: "tai64nlocal: usage: tai64nlocal [-gi]",
    options: &[
        flag(b'g', "UTC instead of local time"),
        flag(b'i', "RFC 3339 format"),
    ],
};

/// The size of a read, in bytes: the capacity of a pipe.
const INPUT: usize = 64 * 1024;

/// The options.
#[derive(Clone, Copy)]
struct Conversion {
    utc: bool,
    style: TimeStyle,
}

unix::main!(TAI64NLOCAL.start(|arguments| {
    // As in 0.76, errors have no message.
    Ok(match tai64nlocal(parse_options(arguments)) {
        Ok(()) => Exit::Success,
        Err(_) => Exit::Temporary,
    })
}));

/// Parses the options. 0.76 ignores all arguments, so an invalid option
/// disables the others here.
fn parse_options(arguments: &[&'static CStr]) -> Conversion {
    let original = Conversion {
        utc: false,
        style: TimeStyle::Original,
    };
    let mut conversion = original;
    let mut options = TAI64NLOCAL.options(arguments);
    loop {
        match options.next() {
            Ok(Some((b'g', _))) => conversion.utc = true,
            Ok(Some(_)) => conversion.style = TimeStyle::Rfc3339,
            Ok(None) => return conversion,
            Err(_) => return original,
        }
    }
}

/// Copies lines until the end of input. The output is written before the next
/// read, except an unfinished label. As in 0.76, an unfinished label at the end
/// of the input is dropped.
fn tai64nlocal(Conversion { utc, style }: Conversion) -> Result<(), Errno> {
    let mut zone = LocalZone::new(start::variable(b"TZ"), start::variable(b"TZDIR"));
    let whole_minutes = utc || zone.keeps_to_minutes();
    // A zone is read for the first label of a read: a read without labels
    // needs none.
    let zone_is_read = Cell::new(false);
    let calendar = |seconds| {
        if !zone_is_read.replace(true) {
            zone.refresh();
        }
        match style {
            _ if utc => zone.utc(seconds),
            TimeStyle::Original => zone.civil(seconds),
            TimeStyle::Rfc3339 => zone.civil_to_the_minute(seconds),
        }
    };
    let mut localizer = Localizer::new(calendar, whole_minutes, style);
    let mut input = vec![0; INPUT];
    let mut output = TextBuffer::default();
    loop {
        let length = match read(STDIN, &mut input) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error),
        };
        // /etc/localtime may have changed since the last read. UTC depends on
        // leap seconds at most, which are read once.
        zone_is_read.set(utc && zone_is_read.get());
        localizer.clear_cache();
        localizer
            .convert(input.get(..length).unwrap_or_default(), &mut output)
            .map_err(|_| Errno::ENOMEM)?;
        print(output.text())?;
        output.clear();
    }
}
