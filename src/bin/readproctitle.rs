//! readproctitle: show what comes in as the last argument, to be seen in ps.

#![cfg_attr(not(test), no_main)]

use cli::Exit;
use cli::title::ScrollingTitle;
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
        return Exit::Permanent;
    };
    title.fill(b'.');
    let mut title = ScrollingTitle::new(title, DOTS);
    let mut input = [0; 1024];
    loop {
        match read(STDIN, &mut input) {
            Ok(0) => return Exit::Success,
            Ok(length) => title.push(input.get(..length).unwrap_or_default()),
            Err(Errno::EINTR) => {}
            Err(_) => return Exit::Temporary,
        }
    }
}
