//! readproctitle: show what comes in as the last argument, to be seen in ps.

#![cfg_attr(not(test), no_main)]

use cli::Exit;
use nix::errno::Errno;
use nix::unistd::read;
use unix::start;
use unix::stdio::STDIN;

/// Dots that stay at the beginning of the title.
const DOTS: usize = 3;

unix::main!(readproctitle());

/// Never says anything: where it is of use, nobody reads its output.
fn readproctitle() -> Exit {
    let Some(title @ [_, _, _, _, _, ..]) = start::last_argument() else {
        return Exit::No;
    };
    title.fill(b'.');
    let (_, window) = title.split_at_mut(DOTS);
    let mut input = [0; 1024];
    loop {
        match read(STDIN, &mut input) {
            Ok(0) => return Exit::Success,
            Ok(length) => {
                for &byte in input.iter().take(length).filter(|&&byte| byte != 0) {
                    push(window, byte);
                }
            }
            Err(Errno::EINTR) => {}
            Err(_) => return Exit::Failed,
        }
    }
}

/// Moves all bytes left by one, the first one out, and puts `byte` at the
/// end.
fn push(window: &mut [u8], byte: u8) {
    window.rotate_left(1);
    if let Some(last) = window.last_mut() {
        *last = byte;
    }
}
