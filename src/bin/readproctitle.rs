//! readproctitle: show standard input in the process list.

#![cfg_attr(not(test), no_main)]

use cli::Exit;
use cli::title::ScrollingTitle;
use nix::errno::Errno;
use nix::unistd::read;
use unix::start;
use unix::stdio::STDIN;

/// The length of the fixed prefix of the title.
const DOTS: usize = 3;

unix::main_with_reserve!("readproctitle", readproctitle());

/// Prints no messages: svscanboot starts it without an open output.
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
