//! tai64nlocal: turn the TAI64N labels of lines into local time.

#![cfg_attr(not(test), no_main)]

use std::cell::Cell;

use cli::{Exit, text::print};
use logging::local::Localizer;
use nix::errno::Errno;
use nix::unistd::read;
use unix::stdio::STDIN;
use unix::{localtime, start};

/// As much as a pipe holds.
const INPUT: usize = 64 * 1024;

// Whoever reads the lines would not know what to do with a message.
unix::main!(match tai64nlocal() {
    Ok(()) => Exit::Success,
    Err(_) => Exit::Failed,
});

/// Copies lines until the end of input. All that was read is written before
/// the next read, but for a label that has not ended; one that ends with the
/// input is not written at all, as in 0.76.
fn tai64nlocal() -> Result<(), Errno> {
    let zone_is_read = Cell::new(false);
    let calendar = |seconds| {
        if !zone_is_read.replace(true) {
            localtime::refresh();
        }
        localtime::civil(seconds)
    };
    let mut localizer = Localizer::new(calendar, zone_keeps_to_minutes());
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
        zone_is_read.set(false);
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
