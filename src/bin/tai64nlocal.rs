//! tai64nlocal: turn the TAI64N labels of lines into local time.

#![cfg_attr(not(test), no_main)]

use std::cell::Cell;
use std::ffi::CStr;

use cli::text::print;
use cli::{Exit, Failure, Opt, Program};
use logging::tai64::{Localizer, TimeStyle};
use nix::errno::Errno;
use nix::unistd::read;
use unix::stdio::STDIN;
use unix::{localtime, start};

pub(crate) static TAI64NLOCAL: Program = Program {
    name: "tai64nlocal",
    usage: "tai64nlocal: usage: tai64nlocal [-gi]",
    options: &[
        Opt {
            letter: b'g',
            value: None,
            help: "UTC, not local time",
        },
        Opt {
            letter: b'i',
            value: None,
            help: "as RFC 3339 has it",
        },
    ],
};

/// As much as a pipe holds.
const INPUT: usize = 64 * 1024;

/// What to make of a label.
#[derive(Clone, Copy)]
struct Form {
    utc: bool,
    style: TimeStyle,
}

unix::main!(TAI64NLOCAL.start(|arguments| {
    // Whoever reads the lines would not know what to do with a message.
    match tai64nlocal(form(arguments)) {
        Ok(()) => Ok(Exit::Success),
        Err(_) => Err(Failure::silent(Exit::Temporary)),
    }
}));

/// What the options say. Since 0.76 ignores all arguments, those that are not
/// understood, and all that stand beside them, are ignored here.
fn form(arguments: &[&'static CStr]) -> Form {
    let original = Form {
        utc: false,
        style: TimeStyle::Original,
    };
    let mut form = original;
    let mut options = TAI64NLOCAL.options(arguments);
    loop {
        match options.next() {
            Ok(Some((b'g', _))) => form.utc = true,
            Ok(Some(_)) => form.style = TimeStyle::Rfc3339,
            Ok(None) => return form,
            Err(_) => return original,
        }
    }
}

/// Copies lines until the end of input. All that was read is written before
/// the next read, but for a label that has not ended; one that ends with the
/// input is not written at all, as in 0.76.
fn tai64nlocal(Form { utc, style }: Form) -> Result<(), Errno> {
    let zone_is_read = Cell::new(utc);
    let calendar = |seconds| {
        if !zone_is_read.replace(true) {
            localtime::refresh();
        }
        match style {
            _ if utc => localtime::utc(seconds),
            TimeStyle::Original => localtime::civil(seconds),
            TimeStyle::Rfc3339 => localtime::civil_to_the_minute(seconds),
        }
    };
    let mut localizer = Localizer::new(calendar, utc || zone_keeps_to_minutes(), style);
    let mut input = vec![0; INPUT];
    let mut output = Vec::new();
    loop {
        let length = match read(STDIN, &mut input) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error),
        };
        // The time zone of this machine may have changed since the last read.
        zone_is_read.set(utc);
        localizer.forget();
        localizer
            .convert(input.get(..length).unwrap_or_default(), &mut output)
            .map_err(|_| Errno::ENOMEM)?;
        print(&output)?;
        output.clear();
    }
}

/// Whether the local time never changes its offset and changes it back within
/// one minute. No zone file of tzdata does so, and no zone that TZ describes,
/// unless it does with seconds: `J60/2:00:00,J60/2:00:30`.
fn zone_keeps_to_minutes() -> bool {
    let zone = start::variable(b"TZ").unwrap_or_default();
    let mut fields = zone.split(|&byte| byte == b':');
    fields.nth(2).is_none()
}
