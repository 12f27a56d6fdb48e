//! tai64n: put a TAI64N label in front of every line.

#![cfg_attr(not(test), no_main)]

use cli::Exit;
use daemontools_core::label::Label;
use logging::tai64::Stamper;
use nix::errno::Errno;
use nix::unistd::{read, write};
use unix::stdio::{STDIN, STDOUT};

/// As much as a pipe holds.
const INPUT: usize = 64 * 1024;
/// What is stamped between two looks at how much there is to write: labels
/// make a piece of empty lines 27 times as long.
const PIECE: usize = 4 * 1024;
/// What one read brings is written at once, if it becomes no longer than
/// this.
const OUTPUT: usize = 2 * INPUT;

// Whoever reads the lines would not know what to do with a message.
unix::main!(match tai64n() {
    Ok(()) => Exit::Success,
    Err(_) => Exit::Temporary,
});

/// Copies lines until the end of input. All that was read is written before
/// the next read, so that no line waits for another one. An interrupted call
/// is an error, as it was in 0.76.
fn tai64n() -> Result<(), Errno> {
    let mut stamper = Stamper::default();
    let mut input = vec![0; INPUT];
    let mut output = Vec::new();
    loop {
        let length = read(STDIN, &mut input)?;
        if length == 0 {
            return Ok(());
        }
        // The lines of one read share the moment at which it returned.
        let label = Label::now().text();
        for fragment in input.get(..length).unwrap_or_default().chunks(PIECE) {
            stamper.stamp(fragment, &label, &mut output);
            if output.len() > OUTPUT {
                write_all(&mut output)?;
            }
        }
        write_all(&mut output)?;
    }
}

/// BufferEmulation and empties the output.
fn write_all(output: &mut Vec<u8>) -> Result<(), Errno> {
    let mut rest = output.as_slice();
    while !rest.is_empty() {
        let written = write(STDOUT, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    output.clear();
    Ok(())
}
