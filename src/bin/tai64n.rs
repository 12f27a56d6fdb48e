//! tai64n: add a TAI64N label to each line.

#![cfg_attr(not(test), no_main)]

use cli::Exit;
use daemontools_core::label::Label;
use logging::tai64::Stamper;
use logging::text_buffer::TextBuffer;
use nix::errno::Errno;
use nix::unistd::{read, write};
use unix::stdio::{STDIN, STDOUT};

/// The size of a read, in bytes: the capacity of a pipe.
const INPUT: usize = 64 * 1024;
/// The number of bytes that are stamped before each check of the output's
/// length. Labels make empty lines 27 times as long.
const PIECE: usize = 4 * 1024;
/// Output of this length is written before the rest of the read is stamped.
const OUTPUT: usize = 2 * INPUT;

// As in 0.76, errors have no message.
unix::main!(match tai64n() {
    Ok(()) => Exit::Success,
    Err(_) => Exit::Temporary,
});

/// Copies lines until the end of input. The output is written before the next
/// read, which may block. As in 0.76, EINTR is an error.
fn tai64n() -> Result<(), Errno> {
    let mut stamper = Stamper::default();
    let mut input = vec![0; INPUT];
    let mut output = TextBuffer::default();
    loop {
        let length = read(STDIN, &mut input)?;
        if length == 0 {
            return Ok(());
        }
        // The lines of one read share a label.
        let label = Label::now().text();
        for fragment in input.get(..length).unwrap_or_default().chunks(PIECE) {
            stamper.stamp(fragment, &label, &mut output);
            if output.text().len() > OUTPUT {
                write_all(&mut output)?;
            }
        }
        write_all(&mut output)?;
    }
}

/// Writes and empties the output.
fn write_all(output: &mut TextBuffer) -> Result<(), Errno> {
    let mut rest = output.text();
    while !rest.is_empty() {
        let written = write(STDOUT, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    output.clear();
    Ok(())
}
